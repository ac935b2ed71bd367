"""Motions, boxes and tables: examples a second of their codecs against loops that do the same and check nothing."""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tokenizers
import torch
import torchvision

from omniline.core.codec import Reading
from omniline.core.view import View
from omniline.plugins.language.struct import StructCodec
from omniline.plugins.motion.bvh_writing import write_bvh
from omniline.plugins.motion.codec import MotionCodec
from omniline.plugins.motion.skeleton import human
from omniline.plugins.vision.box import BoxCodec

from .measuring import Figure, calibrate
from .words import Texts, large_tokenizer

ROUNDS = 7
MOTIONS, FRAMES = 64, 120
BOXES, BINS, SIZE = 16_000, 1000, (640, 480)
TABLES, COLUMNS = 320, 6
TARGET = Reading(side="target", leader=View(size=SIZE))


def measure() -> list[Figure]:
    """BVH files of 4 seconds, boxes in pixels of their picture, CSV files of 5 to 40 rows; processor time, one thread.

    Rounds of the two loops take turns, so that both see the same machine; every value is seen for the first time.
    """
    calibration = calibrate()
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        jobs = {
            "codec-motion": (_motions(Path(folder)), MotionCodec().encode, bare_motion),
            "codec-box": (_boxes(), BoxCodec(unit="pixels", format="xywh", bins=BINS).encode, bare_box),
            "codec-struct": (_tables(Path(folder)), StructCodec(tokenizer=large_tokenizer()).encode, BareTable()),
        }
        for name, (values, encode, bare) in jobs.items():
            share = len(values) // (ROUNDS + 1)
            parts = [values[first : first + share] for first in range(0, share * (ROUNDS + 1), share)]
            rounds = [(_rate(lambda x, e=encode: e(x, TARGET), part), _rate(bare, part)) for part in parts]
            ours, theirs = (median(column) for column in zip(*rounds[1:], strict=True))
            detail = {"examples_a_second": ours, "bare_examples_a_second": theirs}
            kinds = {"section": "codecs", "calibration": calibration, "detail": detail}
            found.append(Figure(name=name, value=ours / theirs, **kinds))
    return found


def bare_motion(file: str) -> np.ndarray[Any, Any]:
    """float32 [frames, 6 + 6 joints] of a file whose channels are known: root, its speed, two columns of each turn."""
    numbers = np.array(Path(file).read_text().partition("Frame Time:")[2].split()[1:], np.float64).reshape(FRAMES, -1)
    root, angles = numbers[:, :3], np.radians(numbers[:, 3:].reshape(FRAMES, -1, 3))
    turns = np.tile(np.eye(3), (*angles.shape[:2], 1, 1))
    for number, (one, two) in enumerate(((0, 1), (2, 0), (1, 2))):
        cosine, sine = np.cos(angles[..., number]), np.sin(angles[..., number])
        around = np.tile(np.eye(3), (*angles.shape[:2], 1, 1))
        around[..., one, one] = around[..., two, two] = cosine
        around[..., one, two], around[..., two, one] = -sine, sine
        turns = turns @ around
    speed = np.diff(root, axis=0, append=root[-1:]) * 30
    return np.concatenate([root, speed, turns[..., :2].reshape(FRAMES, -1)], 1).astype(np.float32)


def bare_box(box: Sequence[float]) -> torch.Tensor:
    """int64 [4]: bins of the corners, with torchvision."""
    corners = torchvision.ops.box_convert(torch.tensor([box]), "xywh", "xyxy")
    corners = torchvision.ops.clip_boxes_to_image(corners, SIZE[::-1])
    return (corners[0] / torch.tensor([*SIZE, *SIZE]) * BINS).long().clamp(max=BINS - 1)


class BareTable:
    """A file's cells joined and cut into tokens, with csv and tokenizers."""

    def __init__(self) -> None:
        content = json.dumps(json.loads(large_tokenizer().to_json())["content"])
        self.tokenizer = tokenizers.Tokenizer.from_str(content)

    def __call__(self, file: str) -> list[int]:
        with open(file, newline="", encoding="utf-8") as rows:
            text = " | ".join(" : ".join(row) for row in csv.reader(rows))
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found


def _motions(folder: Path) -> list[str]:
    skeleton, out = human(), []
    for number in range(MOTIONS):
        random = np.random.default_rng(number)
        angle = np.cumsum(random.normal(0, 0.05, (FRAMES, skeleton.joints)), axis=0)
        turns = np.tile(np.eye(3), (FRAMES, skeleton.joints, 1, 1))
        turns[..., 0, 0] = turns[..., 1, 1] = np.cos(angle)
        turns[..., 0, 1], turns[..., 1, 0] = -np.sin(angle), np.sin(angle)
        root = np.cumsum(random.normal(0, 0.01, (FRAMES, 3)), axis=0)
        place = folder / f"{number}.bvh"
        place.write_text(write_bvh(skeleton, root, turns, 30.0), encoding="utf-8")
        out.append(str(place))
    return out


def _boxes() -> list[tuple[float, ...]]:
    random = np.random.default_rng(0)
    corners = random.uniform((0, 0), (SIZE[0] / 2, SIZE[1] / 2), (BOXES, 2))
    sides = random.uniform(8, SIZE[1] / 2, (BOXES, 2))
    return [tuple(map(float, row)) for row in np.concatenate([corners, sides], 1)]


def _tables(folder: Path) -> list[str]:
    texts, random, out = Texts(0), np.random.default_rng(0), []
    for number in range(TABLES):
        rows = [[texts.text(1, 3) for _ in range(COLUMNS)] for _ in range(int(random.integers(6, 42)))]
        place = folder / f"{number}.csv"
        with place.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        out.append(str(place))
    return out


def _rate(read: Callable[[Any], object], values: Sequence[Any]) -> float:
    start = time.process_time()
    for value in values:
        read(value)
    return len(values) / (time.process_time() - start)
