"""What every measurement is made of: a figure, the speed of the machine beside it, and a process of its own."""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
THREADS = 2
CALIBRATION = 290.0
"""GFLOP/s where the reference figures were taken: 265 to 315."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        section: which part of the suite made it.
        name: the row of `references.REFERENCES` that it is compared with, or a name of its own.
        value: the number, a median.
        calibration: GFLOP/s of a float32 product of 1024-cubed matrices, measured beside it on the same threads.
        theirs: what it is compared with, where that is measured in the same run and not written in `REFERENCES`.
        detail: further numbers of the same run, by name.
    """

    section: str
    name: str
    value: float
    calibration: float
    theirs: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def calibrate(dtype: str = "float32") -> float:
    """GFLOP/s of a 1024 x 1024 x 1024 product, the median of 20.

    Args:
        dtype: a name of torch's.
    """
    import torch

    torch.set_num_threads(THREADS)
    left, right = (torch.randn(1024, 1024).to(getattr(torch, dtype)) for _ in range(2))
    return 2 * 1024**3 / seconds(lambda: torch.mm(left, right), times=20) / 1e9


def seconds(call: Callable[[], object], *, times: int, before: int = 1) -> float:
    """Median time of a call in seconds, after `before` calls that do not count."""
    for _ in range(before):
        call()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def peak_gigabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def rise_gigabytes(step: Callable[[], object]) -> float:
    """How much memory a step takes and gives back: its most, less what is held before it or, as gradients are, behind.

    Linux alone: what the process held at its most before is forgotten.
    """
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    kept = step()
    after = _status("VmRSS")
    del kept
    return _status("VmHWM") - max(before, after)


def _status(key: str) -> float:
    """Gigabytes of an entry of the process's status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{key}:"))) / 1e6


def run_apart(*words: str) -> list[Figure]:
    """Run `python -m bench --print WORDS` in a process of its own and read the figures that it prints.

    Raises:
        RuntimeError: it failed; its words say why.
    """
    command = [sys.executable, "-m", "bench", "--print", *words]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "tests", env=_environment())
    if found.returncode:
        raise RuntimeError(f"`{' '.join(words)}` failed:\n{found.stderr[-4000:]}")
    return [Figure(**json.loads(line)) for line in found.stdout.splitlines() if line.startswith("{")]


def print_figures(figures: Sequence[Figure]) -> None:
    """One JSON object a line, for `run_apart`."""
    for figure in figures:
        print(json.dumps(asdict(figure)), flush=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(THREADS), "TOKENIZERS_PARALLELISM": "false"}
