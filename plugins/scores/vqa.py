"""The accuracy of visual question answering."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .raw import as_text, check_any, check_lengths, references

ARTICLES = frozenset({"a", "an", "the"})
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ENOUGH = 3


class VqaScore:
    """Agreement with people: an answer that at least three of the others gave counts whole.

    Antol et al., "VQA: Visual Question Answering", 2015: min(people who said it / 3, 1), averaged over leaving each
    person out. A truth may also be a mapping from answer to its score, as some data sets store it.
    """

    def __init__(self) -> None:
        self.scores: list[float] = []

    def update(
        self, predicted: Sequence[str | None], truth: Sequence[Sequence[str] | Mapping[str, float] | str]
    ) -> None:
        """Add rows: an answer each, and people's answers or a score for each answer."""
        check_lengths("vqa_score", predicted, truth)
        for one, others in zip(predicted, truth, strict=True):
            self.scores.append(_score(plain_answer(as_text("vqa_score", one)), others))

    def compute(self) -> float:
        """The mean over rows, 0 to 1.

        >>> metric = VqaScore()
        >>> metric.update(["two"], [["2", "two", "3", "4"]])
        >>> round(metric.compute(), 3)
        0.5
        """
        check_any("vqa_score", self.scores)
        return sum(self.scores) / len(self.scores)


def _score(own: str, truth: Sequence[str] | Mapping[str, float] | str) -> float:
    if isinstance(truth, Mapping):
        return max((float(score) for answer, score in truth.items() if plain_answer(answer) == own), default=0.0)
    answers = [plain_answer(one) for one in references("vqa_score", truth)]
    if len(answers) == 1:
        return float(answers[0] == own)
    same = answers.count(own)
    without = [min((same - (answer == own)) / ENOUGH, 1.0) for answer in answers]
    return sum(without) / len(without)


def plain_answer(text: str) -> str:
    """An answer without case, articles and punctuation, small numbers as digits.

    >>> plain_answer("The two, big dogs.")
    '2 big dogs'
    """
    bare = re.sub(r"(?<=\d),(?=\d)", "", text.lower())
    words = re.sub(r"[^\w\s.':/-]|(?<!\d)[.:](?!\d)|\.$", " ", bare).split()
    digits = {word: str(value) for value, word in enumerate(NUMBERS)}
    return " ".join(digits.get(word, word) for word in words if word not in ARTICLES)
