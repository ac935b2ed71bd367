"""What it costs that an answer must be something: a step of the rule alone, over as many words as Qwen's, and answers.

The rule's step bans and takes note, as a search asks of it for every token. Answers are those of a checkpoint as in the
section of Qwen2.5, constrained beside free, of as many tokens.
"""

from __future__ import annotations

import random
import time
import warnings
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch

from omniline.core.inventory import Inventory
from omniline.plugins.language.box_pattern import json_pattern
from omniline.plugins.search.constraint import Constraint
from omniline.plugins.search.grammars import grammar_of

from .measuring import Figure, calibrate
from .qwen import LARGE, NEW, SHAPE, WORDS, both
from .words import Texts, common_words

SCHEMA = (
    '{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": '
    '{"type": "array", "items": {"type": "string"}}}, "required": ["name", "age", "tags"], '
    '"additionalProperties": false}'
)
PATTERN = "(yes|no), [a-z ]+"
STEPS, ROUNDS = 40, 3


def measure() -> list[Figure]:
    """Microseconds a step for one lane and for eight, and tokens a second against those of free answers."""
    warnings.simplefilter("ignore")
    calibration, inventory = calibrate(), _inventory()
    torch.set_num_threads(1)  # small calls of many: what a second thread gains depends on what else runs
    found = []
    for name, ruled in (("regex", {"regex": PATTERN}), ("json", {"json_schema": SCHEMA}), ("box", None)):
        for lanes in (1, 8):
            grammar = None if ruled is None else grammar_of(**ruled)
            first, each = _steps(inventory, grammar, lanes)
            detail = {"first_step_ms": first / 1e3}
            found.append(_figure(f"constrain-{name}-{lanes}", each, calibration, detail))
    value, detail = _answers()
    return [*found, _figure("constrain-answers", value, calibration, detail)]


def _figure(name: str, value: float, calibration: float, detail: dict[str, Any]) -> Figure:
    return Figure(section="constrain", name=name, value=value, calibration=calibration, detail=detail)


def _inventory() -> Inventory:
    """151,936 tokens: all bytes, common words with and without a space, digits, and words that nobody says."""
    draw = random.Random(0)
    tokens = dict.fromkeys(bytes([byte]) for byte in range(256))
    for word in common_words():
        tokens |= dict.fromkeys((word.encode(), f" {word}".encode(), word.capitalize().encode(), f'"{word}":'.encode()))
    while len(tokens) < LARGE - 1:
        word = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9)))
        tokens[(" " * draw.randint(0, 1) + word).encode()] = None
    return Inventory((*list(tokens)[: LARGE - 1], b""), end=LARGE - 1)


def _steps(inventory: Inventory, grammar: str | None, lanes: int) -> tuple[float, float]:
    """Microseconds of the first step of all, and the median of those behind it; tokens are drawn from what may follow.

    What is measured is the rule: the logits are there already.
    """
    pattern = json_pattern("bbox_2d", count=4, several=True)
    frontier: Any = SimpleNamespace(
        streams=lanes, inventory=inventory, name="a", thoughts=None, end=inventory.end, stops=(), pattern=pattern
    )
    random_numbers = torch.Generator().manual_seed(0)
    first, times = 0.0, []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        rule = Constraint(frontier, grammar)
        spent = time.perf_counter() - start
        for step in range(STEPS):
            logits = torch.randn(lanes, LARGE, generator=random_numbers)
            start = time.perf_counter()
            rule.apply(logits)
            spent += time.perf_counter() - start
            logits[:, inventory.end] -= 20  # goes on while it may
            tokens = logits.argmax(1).tolist()
            start = time.perf_counter()
            rule.saw(tokens)
            spent += time.perf_counter() - start
            first = first or spent
            if step:
                times.append(spent)
            spent = 0.0
    return first * 1e6, median(times) * 1e6


def _answers() -> tuple[float, dict[str, Any]]:
    """Tokens a second of constrained answers over those of free ones, eight together."""
    pair = both(words=WORDS, **SHAPE)
    rows = [{"src": text["src"]} for text in Texts(9).column(8, src=(12, 48))]
    line = f"[TEXT:src] -> [TEXT:tgt,max_length={NEW + 1}]"
    calls = ({"regex": "[a-z ]{2000}"}, {"min_length": NEW})
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for settings, own in zip(calls, times, strict=True):
            start = time.perf_counter()
            pair.ours.predict(line, rows, decoder="greedy", **settings)
            own.append(time.perf_counter() - start)
    ruled, free = (median(own[1:]) for own in times)
    tokens = NEW * len(rows)
    return free / ruled, {"tokens_a_second": tokens / ruled, "free_tokens_a_second": tokens / free}
