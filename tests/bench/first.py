"""How long the first output takes: of a model that is there, and of a new process that reads its bundle."""

from __future__ import annotations

import json
import pickle
import tempfile
import warnings
from collections.abc import Mapping
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
next(model.stream(line, row, most_tokens=int(sys.argv[3])))
print(json.dumps([imported - began, loaded - imported, time.perf_counter() - loaded]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model with a line that it knows and one row's source."""

    model: Model
    line: str
    row: Mapping[str, Any]

    def first(self) -> object:
        """The first piece of a text, or the whole output."""
        return next(self.model.stream(self.line, self.row, most_tokens=PIECES))

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
        bare = median(run_python("-c", TORCH)[0] for _ in range(COLD_TIMES))
        cold = [_cold(name, Path(folder) / case, bare) for name, case in COLD.items()]
        return [*warm, *cold, _command(Path(folder) / COLD["text"], bare)]


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
    value = 1e3 * seconds(ask.first, times=TIMES)
    return Figure(section="first", name=f"warm-{name}", value=value, calibration=calibration, detail=detail)


def _write(ask: Asked, folder: Path) -> None:
    ask.model.save(folder)
    folder.with_suffix(".row").write_bytes(pickle.dumps((ask.line, ask.row)))


def _cold(name: str, folder: Path, bare: float) -> Figure:
    """A process from its start to its end, and what its parts took."""
    calibration = calibrate()
    words = ("-c", PROCESS, str(folder), str(folder.with_suffix(".row")), str(PIECES))
    found = [run_python(*words) for _ in range(COLD_TIMES)]
    parts = zip(*(json.loads(out) for _, out in found), strict=True)
    detail = dict(zip(("import_s", "load_s", "first_s"), map(median, parts), strict=True))
    value = median(took for took, _ in found)
    return Figure(
        section="first", name=f"cold-{name}", value=value, theirs=bare, calibration=calibration, detail=detail
    )


def _command(folder: Path, bare: float) -> Figure:
    """`omniline predict`, a process, with a text for each source column."""
    calibration = calibrate()
    words = ("-m", "omniline", "predict", str(folder), folder.name, "text=a hot drink", "--json")
    value = median(run_python(*words)[0] for _ in range(COLD_TIMES))
    return Figure(section="first", name="cold-command", value=value, theirs=bare, calibration=calibration)
