"""How long the command line takes from nothing to an answer, and that it does so without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

from .compiling import LINES
from .measuring import ROOT, Figure, calibrate

TIMES = 7
IMPORT = "import time; t = time.perf_counter(); import omniline; print(time.perf_counter() - t)"
MODULES = (
    "import sys, json; from omniline.__main__ import main; main(sys.argv[1:]); "
    "print('|' + json.dumps([n for n in ('torch', 'numpy', 'lightning', 'timm') if n in sys.modules]))"
)


def measure() -> list[Figure]:
    """Medians of 7, in seconds."""
    calibration = calibrate()
    found = [
        Figure(
            section="start",
            name=command,
            value=median(run_python("-m", "omniline", command, LINES["caption"])[0] for _ in range(TIMES)),
            calibration=calibration,
            detail={"loads": _loads(command), "bare_python": median(run_python("-c", "")[0] for _ in range(TIMES))},
        )
        for command in ("check", "explain")
    ]
    value = median(float(run_python("-c", IMPORT)[1]) for _ in range(TIMES))
    return [*found, Figure(section="start", name="import", value=value, calibration=calibration)]


def _loads(command: str) -> list[str]:
    """Which heavy libraries a command loads.

    Raises:
        RuntimeError: torch is among them.
    """
    found: list[str] = json.loads(run_python("-c", MODULES, command, LINES["caption"])[1].rpartition("|")[2])
    if "torch" in found:
        raise RuntimeError(f"`omniline {command}` must not load torch, but does")
    return found


def run_python(*words: str) -> tuple[float, str]:
    """Seconds and output of a Python process."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd=ROOT / "tests")
    return time.perf_counter() - start, done.stdout
