"""How long the first output takes: of a model that is there, and of a new process that reads its bundle."""

from __future__ import annotations

import json
import pickle
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from omniline.tasks.model import Model

from .measuring import THREADS, Figure, calibrate, seconds
from .modalities import small_tokenizer, task_of
from .starting import run_python

WARM = {
    "text": "text-out",
    "caption": "image-in",
    "phone": "phone-out",
    "struct": "struct-out",
    "chat": "chat",
    "category": "category-out",
    "box": "box-out",
    "image": "image-out",
    "video": "video-out",
    "audio": "audio-out",
    "motion": "motion-out",
}
"""Outputs and the cases of `modalities` that make them: of texts the first piece, of all else the whole."""
COLD = {
    "text": "text-out",
    "caption": "image-in",
    "tower": "tower-in",
    "clip": "video-in",
    "sound": "audio-in",
    "category": "category-out",
    "image": "image-out",
    "audio": "audio-out",
    "motion": "motion-out",
}
TIMES, COLD_TIMES = 7, 3
PIECES = 16
"""Most tokens of an open-ended text."""
TORCH = "import torch"
PROCESS = """
import json, pickle, sys, time
began = time.perf_counter()
import omniline
load = omniline.load
imported = time.perf_counter()
model = load(sys.argv[1])
loaded = time.perf_counter()
with open(sys.argv[2], "rb") as file:
    line, row = pickle.load(file)
stream = model.stream(line, row, most_tokens=int(sys.argv[3]))
next(stream)
first = time.perf_counter()
stream.close()
print(json.dumps([imported - began, loaded - imported, first - loaded]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model with a line that it knows and one row's source."""

    model: Model
    line: str
    row: Mapping[str, Any]

    def first(self) -> tuple[float, Any]:
        """Seconds to the first piece of a text, or to the whole output, and what it is."""
        began = time.perf_counter()
        stream = self.model.stream(self.line, self.row, most_tokens=PIECES)
        said = next(stream)
        took = time.perf_counter() - began
        stream.close()  # type: ignore[attr-defined]
        return took, said

    def whole(self) -> object:
        """The whole output."""
        return self.model.predict(self.line, self.row, most_tokens=PIECES)


def measure() -> list[Figure]:
    """Models of random weights, size `ofa-tiny`; warm ones in this process, cold ones in processes of their own."""
    torch.set_num_threads(THREADS)
    warnings.filterwarnings("ignore")
    made: dict[str, Asked] = {}
    for case in dict.fromkeys([*WARM.values(), *COLD.values()]):
        made[case] = asked(case)
    warm = [_warm(name, made[case]) for name, case in WARM.items()]
    with tempfile.TemporaryDirectory() as folder:
        for case in set(COLD.values()):
            _write(made[case], Path(folder) / case)
        return [*warm, *_cold({name: Path(folder) / case for name, case in COLD.items()})]


def asked(case: str) -> Asked:
    """A case of `modalities` with a model of random weights and its first row, of which the target is left out."""
    task = task_of(case)
    model = Model.build(backbone="ofa-tiny", tasks=task, tokenizer=small_tokenizer())
    plan, row = model.plans[case], model.bound(task).read("train", 0)
    given = {slot.path for slot in plan.slots if slot.side == "source" or slot.modality == "CHAT"}
    return Asked(model=model, line=plan.text, row={name: row[name] for name in given})


def _warm(name: str, ask: Asked) -> Figure:
    calibration = calibrate()
    detail = {"whole_ms": 1e3 * seconds(ask.whole, times=3)}
    value = 1e3 * median(ask.first()[0] for _ in range(TIMES))
    return Figure(section="first", name=f"warm-{name}", value=value, calibration=calibration, detail=detail)


def _write(ask: Asked, folder: Path) -> None:
    ask.model.save(folder)
    folder.with_suffix(".row").write_bytes(pickle.dumps((ask.line, ask.row)))


def _cold(folders: Mapping[str, Path]) -> list[Figure]:
    """Processes from their start to their end, and what their parts took; all kinds take turns."""
    calibration = calibrate()
    took: dict[str, list[float]] = {}
    parts: dict[str, list[list[float]]] = {}
    for _ in range(COLD_TIMES):
        took.setdefault("torch", []).append(run_python("-c", TORCH)[0])
        for name, folder in folders.items():
            words = ("-c", PROCESS, str(folder), str(folder.with_suffix(".row")), str(PIECES))
            spent, told = run_python(*words)
            took.setdefault(name, []).append(spent)
            parts.setdefault(name, []).append(json.loads(told))
        bundle = folders["text"]
        words = ("-m", "omniline", "predict", str(bundle), bundle.name, "text=a hot drink", "--json")
        took.setdefault("command", []).append(run_python(*words)[0])
    kinds = {"section": "first", "theirs": median(took.pop("torch")), "calibration": calibration}
    return [
        Figure(name=f"cold-{name}", value=median(found), detail=_split(parts.get(name, [])), **kinds)
        for name, found in took.items()
    ]


def _split(parts: Sequence[Sequence[float]]) -> dict[str, float]:
    """Seconds of importing, loading and the first output."""
    columns = zip(*parts, strict=True)
    return dict(zip(("import_s", "load_s", "first_s"), map(median, columns), strict=False))
