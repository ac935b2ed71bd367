"""Rewards: plain functions of an answer and the truth, 0 to 1. Keyword-only parameters are a slot's attributes."""

from __future__ import annotations

import math
import re

NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+")


def equal(predicted: str, truth: str, *, ignore_case: bool = False) -> float:
    """1 when the answer is the truth, white space at the ends aside.

    >>> equal(" Paris", "Paris"), equal("paris", "Paris"), equal("paris", "Paris", ignore_case=True)
    (1.0, 0.0, 1.0)
    """
    return float(_plain(predicted, ignore_case) == _plain(truth, ignore_case))


def contains(predicted: str, truth: str, *, ignore_case: bool = False) -> float:
    """1 when the truth stands somewhere in the answer.

    >>> contains("It is Paris.", "Paris"), contains("It is Rome.", "Paris")
    (1.0, 0.0)

    Raises:
        ValueError: the truth is empty, which every answer would contain.
    """
    wanted = _plain(truth, ignore_case)
    if not wanted:
        raise ValueError("the truth of the reward `contains` must be a text, but is empty")
    return float(wanted in _plain(predicted, ignore_case))


def regex(predicted: str, truth: str) -> float:
    r"""1 when the pattern that the truth holds is found in the answer.

    >>> regex("the answer is 42", r"\b4\d\b"), regex("none", r"\d")
    (1.0, 0.0)

    Raises:
        ValueError: the truth is no pattern.
    """
    try:
        return float(re.search(str(truth), str(predicted)) is not None)
    except re.error as cause:
        raise ValueError(f"the truth of the reward `regex` must be a pattern, but is {truth!r}: {cause}") from cause


def number(predicted: str | float, truth: str | float, *, tolerance: float = 1e-6) -> float:
    """1 when the last number of the answer is the last number of the truth, within a relative tolerance.

    >>> number("so 3 times 400 is 1,200.", "#### 1200"), number("no idea", "7")
    (1.0, 0.0)

    Raises:
        ValueError: the truth holds no number.
    """
    wanted = _last_number(truth)
    if wanted is None:
        raise ValueError(f"the truth of the reward `number` must hold a number, but is {truth!r}")
    found = _last_number(predicted)
    return float(found is not None and math.isclose(found, wanted, rel_tol=tolerance, abs_tol=tolerance * 1e-3))


def _plain(text: object, ignore_case: bool) -> str:
    plain = str(text).strip()
    return plain.casefold() if ignore_case else plain


def _last_number(text: object) -> float | None:
    found = NUMBER.findall(str(text))
    return float(found[-1].replace(",", "")) if found else None
