"""The workloads' material: common words, a vocabulary of GPT-2's size, rows of texts and photographs."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from omniline.plugins.language.tokenizer import Tokenizer, train_bpe
from omniline.tasks.presets.samples import english_rows

VOCABULARY = 50_265
COMMON = 1_000
Row = dict[str, Any]


@cache
def common_words() -> tuple[str, ...]:
    """The most frequent words of the English sample, most frequent first."""
    counts: Counter[str] = Counter()
    for row in english_rows(split="train"):
        counts.update(re.findall(r"[a-z]+", row["text"].lower()))
    return tuple(word for word, _ in counts.most_common(COMMON))


@cache
def large_tokenizer() -> Tokenizer:
    """A byte-level BPE that knows the common words, filled up to the reference's size with pieces that never occur."""
    words = [f" {word}" for word in common_words()]
    content = json.loads(train_bpe([word * 9 for word in words], size=8192).to_json())["content"]
    pieces = content["model"]["vocab"]
    pieces.update({f"\ufffd{i}": i for i in range(len(pieces), VOCABULARY - 2)})
    made = Tokenizer.from_json(json.dumps(content))
    assert made.vocabulary == VOCABULARY, made.vocabulary
    return made


class Texts:
    """Texts of common words, lengths uniform; the same seed gives the same texts."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.words = np.array(common_words())

    def text(self, least: int, most: int) -> str:
        """Between `least` and `most` words."""
        count = int(self.random.integers(least, most + 1))
        return " ".join(self.random.choice(self.words, size=count).tolist())

    def column(self, count: int, **columns: tuple[int, int]) -> list[Row]:
        """Rows with a text in each column, of as many words as it says."""
        return [{name: self.text(*span) for name, span in columns.items()} for _ in range(count)]


def photographs(count: int, *, seed: int = 0, width: int = 640, height: int = 480) -> Iterator[bytes]:
    """JPEG files of about a photograph's detail: coloured clouds of several sizes with grain."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        pixels = np.full((height, width, 3), 128.0)
        for cells, strength in ((4, 60), (16, 40), (60, 22)):
            small = random.normal(0, strength, (cells * 3 // 4, cells, 3)) + 128
            cloud = Image.fromarray(small.clip(0, 255).astype(np.uint8)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
            pixels += np.asarray(cloud, dtype=np.float64) - 128
        grain = random.normal(0, 6, (height, width, 1))
        picture = Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).filter(ImageFilter.SHARPEN)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        yield file.getvalue()
