"""Metrics over texts, by torchmetrics where it has them. A truth is a text or a list of references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .raw import as_text, check_any, check_lengths, references


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
    """Corpus BLEU, 0 to 1: Papineni et al., "BLEU", 2002, with the tokens of SacreBLEU (Post, 2018)."""

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
        from torchmetrics.functional.text import sacre_bleu_score

        check_any(self.name, self.truth)
        return float(sacre_bleu_score(self.predicted, self.truth, n_gram=self.n_gram, lowercase=self.uncased))


class RougeL(_Texts):
    """ROUGE-L, 0 to 1: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004."""

    name = "rouge_l"

    def compute(self) -> float:
        """The mean over rows of the F-measure with the best reference.

        >>> metric = RougeL()
        >>> metric.update(["the cat sat"], ["the cat sat down"])
        >>> round(metric.compute(), 3)
        0.857
        """
        from torchmetrics.functional.text import rouge_score

        check_any(self.name, self.truth)
        found = rouge_score(self.predicted, self.truth, accumulate="best", rouge_keys="rougeL")
        return float(found["rougeL_fmeasure"])


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
