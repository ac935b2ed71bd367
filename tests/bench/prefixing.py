"""Requests on one long prompt, with what prompts have in common kept and without: how long until the first token, and
how long four rows take. Turns are taken in one process.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

import omniline as ol
from omniline.core.witness import Witness

from .measuring import Figure, calibrate
from .qwen import both
from .words import Texts

SHAPE = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8}
LINE = "[TEXT:rules] [TEXT:src] -> [TEXT:tgt"
SHARED, ROWS, ROUNDS = 2000, 4, 3


def measure() -> list[Figure]:
    """Times without over times with; the first request on a prompt; what telling whether weights changed costs."""
    torch.set_num_threads(1)  # what a second thread gains depends on what else runs
    warnings.simplefilter("ignore")
    calibration = calibrate()
    pair = both(words=32_000, **SHAPE)
    model, tokens = pair.ours, pair.tokenizer.encode(Texts(1).text(2 * SHARED, 2 * SHARED + 1))
    rules = pair.tokenizer.decode(tokens[:SHARED])
    rows = [{"rules": rules, **text} for text in Texts(2).column(ROWS, src=(8, 16))]
    _first(model, rows[0], {"prefix_cache": 0})
    cold = median(_new(model, row) for row in rows[:ROUNDS])
    first = _turns(lambda number, how: _first(model, rows[number % ROWS], how))
    model.prefixes.clear()
    batch = _turns(lambda _, how: _all(model, rows, how))
    witness = Witness(model.network.backbone)
    start = time.perf_counter()
    assert witness.holds(model.network.backbone)
    check = time.perf_counter() - start
    found = [
        ("prefix-first", first[0] / first[1], {"without": first[0], "with": first[1], "weights_compared": check}),
        ("prefix-new", cold / first[0], {"seconds": cold}),
        ("prefix-batch", batch[0] / batch[1], {"without": batch[0], "with": batch[1]}),
    ]
    return [
        Figure(section="prefix", name=name, value=value, calibration=calibration, detail=dict(detail))
        for name, value, detail in found
    ]


def _turns(call: Callable[[int, dict[str, Any]], float]) -> tuple[float, float]:
    """The medians without and with, one after the other in each round."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        for own, how in zip(times, ({"prefix_cache": 0}, {}), strict=True):
            own.append(call(number + 1, how))
    return median(times[0]), median(times[1])


def _first(model: ol.Model, row: dict[str, str], how: dict[str, Any]) -> float:
    """Seconds until the first token of text is there."""
    start = time.perf_counter()
    model.predict(f"{LINE},max_length=2]", row, min_length=1, **how)
    return time.perf_counter() - start


def _new(model: ol.Model, row: dict[str, str]) -> float:
    """The same where nothing is kept yet."""
    model.prefixes.clear()
    return _first(model, row, {})


def _all(model: ol.Model, rows: list[dict[str, str]], how: dict[str, Any]) -> float:
    start = time.perf_counter()
    model.predict(f"{LINE},max_length=9]", rows, min_length=8, **how)
    return time.perf_counter() - start
