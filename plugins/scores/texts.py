"""Metrics over texts. A truth is a text or a list of references."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from .raw import as_text, check_any, check_lengths, references
from .words import Gram, ngrams, words_of


class ExactMatch:
    """Share of rows whose value equals a reference."""

    def __init__(self, *, uncased: bool = False) -> None:
        self.uncased = uncased
        self.hits: list[bool] = []

    def update(self, predicted: Sequence[Any], truth: Sequence[Any]) -> None:
        """Add rows; texts are compared without white space at their ends and with single spaces inside."""
        check_lengths("exact_match", predicted, truth)
        self.hits += [self._match(p, t) for p, t in zip(predicted, truth, strict=True)]

    def compute(self) -> float:
        """The share, 0 to 1.

        >>> metric = ExactMatch()
        >>> metric.update(["a cat ", "a dog"], ["a cat", ["the dog", "one dog"]])
        >>> metric.compute()
        0.5
        """
        check_any("exact_match", self.hits)
        return sum(self.hits) / len(self.hits)

    def _match(self, predicted: Any, truth: Any) -> bool:
        if isinstance(truth, list | tuple) and not isinstance(predicted, list | tuple):
            return any(self._match(predicted, one) for one in truth)
        if isinstance(predicted, list | tuple) and isinstance(truth, list | tuple):
            return len(predicted) == len(truth) and all(map(self._match, predicted, truth))
        if isinstance(predicted, str) and isinstance(truth, str):
            return self._plain(predicted) == self._plain(truth)
        return predicted is not None and bool(np.all(predicted == truth))

    def _plain(self, text: str) -> str:
        plain = " ".join(text.split())
        return plain.casefold() if self.uncased else plain


class _Texts:
    """Collects predicted texts and their references."""

    name = ""

    def __init__(self) -> None:
        self.predicted: list[str] = []
        self.truth: list[list[str]] = []

    def update(self, predicted: Sequence[str | None], truth: Sequence[str | Sequence[str]]) -> None:
        """Add rows: a text each, and its reference or references."""
        check_lengths(self.name, predicted, truth)
        self.predicted += [as_text(self.name, one) for one in predicted]
        self.truth += [references(self.name, one) for one in truth]


class Bleu(_Texts):
    """Corpus BLEU, 0 to 1: Papineni et al., "BLEU", 2002, as SacreBLEU counts it (Post, 2018).

    Texts are parted into its 13a tokens; of several references the one of the nearest length counts, the shorter of
    two; and where no n-gram of a length is right, a half, a quarter ... of one is taken for it.
    """

    name = "bleu"

    def __init__(self, *, n_gram: int = 4, uncased: bool = False) -> None:
        super().__init__()
        self.n_gram, self.uncased = n_gram, uncased

    def compute(self) -> float:
        """BLEU of all rows together.

        >>> metric = Bleu()
        >>> metric.update(["the cat is on the mat"], [["the cat is on the mat", "a cat is there"]])
        >>> round(metric.compute(), 3)
        1.0
        """
        check_any(self.name, self.truth)
        right, made, own, near = [0] * self.n_gram, [0] * self.n_gram, 0, 0
        for predicted, truth in zip(self.predicted, self.truth, strict=True):
            words, others = self._words(predicted), [self._words(one) for one in truth]
            own += len(words)
            near += min((abs(len(other) - len(words)), len(other)) for other in others)[1]
            for n in range(self.n_gram):
                counts, most = ngrams(words, n + 1), Counter[Gram]()
                for other in others:
                    most |= ngrams(other, n + 1)
                right[n] += sum((counts & most).values())
                made[n] += sum(counts.values())
        return _bleu(right, made, own, near)

    def _words(self, text: str) -> list[str]:
        from torchmetrics.functional.text.sacre_bleu import _SacreBLEUTokenizer

        return list(_SacreBLEUTokenizer.tokenize(text, "13a", self.uncased))


def _bleu(right: Sequence[int], made: Sequence[int], own: int, near: int) -> float:
    """The geometric mean of the shares of right n-grams, less what texts that are too short lose."""
    if not own or not all(made) or not any(right):
        return 0.0
    logs, half = 0.0, 1.0
    for hits, all_ in zip(right, made, strict=True):
        half = half if hits else half / 2
        logs += math.log((hits or half) / all_)
    return math.exp(logs / len(made) + min(0.0, 1 - near / own))


class RougeL(_Texts):
    """ROUGE-L, 0 to 1: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004.

    Words are runs of letters, marks and digits of any script, in lower case; signs of scripts that write words without
    blanks are words of their own. Texts without a word are equal or not.
    """

    name = "rouge_l"

    def compute(self) -> float:
        """The mean over rows of the F-measure with the best reference.

        >>> metric = RougeL()
        >>> metric.update(["the cat sat"], ["the cat sat down"])
        >>> round(metric.compute(), 3)
        0.857
        """
        check_any(self.name, self.truth)
        scores = [max(_overlap(p, one) for one in t) for p, t in zip(self.predicted, self.truth, strict=True)]
        return sum(scores) / len(scores)


def _overlap(predicted: str, truth: str) -> float:
    first, second = words_of(predicted), words_of(truth)
    if not first and not second:
        return float(predicted.split() == truth.split())
    return 2 * _common(first, second) / (len(first) + len(second))


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence; one bit of a whole number for each word of `first`.

    Hyyro, "Bit-parallel LCS-length computation revisited", 2004.

    >>> _common(list("abcde"), list("xbxdx"))
    2
    """
    places: dict[str, int] = {}
    for at, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << at
    full = (1 << len(first)) - 1
    left = full
    for word in second:
        shared = left & places.get(word, 0)
        left = (left + shared | left - shared) & full
    return len(first) - left.bit_count()


class WordErrorRate(_Texts):
    """Inserted, deleted and replaced words for each true word."""

    name = "wer"

    def update(self, predicted: Sequence[str | None], truth: Sequence[str | Sequence[str]]) -> None:
        """Add rows: a text each and its one reference.

        Raises:
            ValueError: a row has several references, or one without a word.
        """
        super().update(predicted, truth)
        for one in self.truth[-len(truth) :] if truth else ():
            if len(one) != 1 or not one[0].split():
                raise ValueError(f"`wer` must get one reference with at least one word a row, but got {one!r:.80}")

    def compute(self) -> float:
        """The rate over all rows, 0 or more.

        >>> metric = WordErrorRate()
        >>> metric.update(["a black cat"], ["the black cat sat"])
        >>> metric.compute()
        0.5
        """
        from torchmetrics.functional.text import word_error_rate

        check_any(self.name, self.truth)
        return float(word_error_rate(self.predicted, [one[0] for one in self.truth]))
