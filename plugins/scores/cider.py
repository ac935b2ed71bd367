"""CIDEr-D: consensus of a caption with people's captions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .raw import as_text, check_any, check_lengths, references
from .words import Gram, ngrams, words_of

LONGEST = 4
JOINTS = "'-"
"""What does not part the letters beside it."""


class _Vector(NamedTuple):
    """The weights of a caption's n-grams for each n, the norm of each, and the caption's words."""

    weights: tuple[dict[Gram, float], ...]
    norms: tuple[float, ...]
    words: int


class Cider:
    """CIDEr-D of Vedantam et al., "CIDEr: Consensus-based Image Description Evaluation", 2015, 0 to 10.

    For n = 1..4 a caption is a vector of n-gram counts times log(rows / rows whose references have the n-gram). Its
    score is 10 times the mean over n and references of the cosine, with the candidate's counts clipped to the
    reference's, times exp(-(difference of words)^2 / (2 sigma^2)). The rows that are measured are the documents, so a
    single row scores 0. Words are lower-cased and without punctuation.
    """

    def __init__(self, *, sigma: float = 6.0) -> None:
        self.sigma = sigma
        self.predicted: list[list[Counter[Gram]]] = []
        self.truth: list[list[list[Counter[Gram]]]] = []

    def update(self, predicted: Sequence[str | None], truth: Sequence[str | Sequence[str]]) -> None:
        """Add rows: a caption each, and its references."""
        check_lengths("cider", predicted, truth)
        self.predicted += [_grams(as_text("cider", one)) for one in predicted]
        self.truth += [[_grams(text) for text in references("cider", one)] for one in truth]

    def compute(self) -> float:
        """The mean over rows.

        >>> metric = Cider()
        >>> metric.update(["a cat on a mat", "two dogs run fast"], [["a cat on a mat"], ["two dogs run fast"]])
        >>> round(metric.compute(), 3)
        10.0
        """
        check_any("cider", self.truth)
        seen = Counter(gram for row in self.truth for gram in {g for one in row for n in one for g in n})
        rows = math.log(len(self.truth))
        rarity = {gram: rows - math.log(count) for gram, count in seen.items()}
        scores = [
            sum(self._score(_vector(own, rarity, rows), _vector(other, rarity, rows)) for other in others) / len(others)
            for own, others in zip(self.predicted, self.truth, strict=True)
        ]
        return sum(scores) / len(scores)

    def _score(self, own: _Vector, other: _Vector) -> float:
        near = math.exp(-((own.words - other.words) ** 2) / (2 * self.sigma**2))
        found = 0.0
        for n in range(LONGEST):
            reference = other.weights[n]
            shared = sum(
                min(w, reference[gram]) * reference[gram] for gram, w in own.weights[n].items() if gram in reference
            )
            norms = own.norms[n] * other.norms[n]
            found += shared / norms if norms else 0.0
        return 10 * near * found / LONGEST


def _grams(text: str) -> list[Counter[Gram]]:
    """Counts of n-grams for n = 1..4."""
    words = words_of(text, JOINTS)
    return [ngrams(words, n) for n in range(1, LONGEST + 1)]


def _vector(grams: Sequence[Counter[Gram]], rarity: dict[Gram, float], unseen: float) -> _Vector:
    weights = tuple({gram: count * rarity.get(gram, unseen) for gram, count in one.items()} for one in grams)
    norms = tuple(math.sqrt(sum(w * w for w in one.values())) for one in weights)
    return _Vector(weights, norms, sum(grams[0].values()))
