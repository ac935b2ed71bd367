"""Metrics of what was understood of speech, by torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence

from .raw import as_text, check_any, check_lengths, references


class CharacterErrorRate:
    """Inserted, deleted and replaced characters for each true character."""

    def __init__(self) -> None:
        self.predicted: list[str] = []
        self.truth: list[str] = []

    def update(self, predicted: Sequence[str | None], truth: Sequence[str | Sequence[str]]) -> None:
        """Add rows: a text each and its one reference.

        Raises:
            ValueError: a row has several references, or an empty one.
        """
        check_lengths("cer", predicted, truth)
        for one in truth:
            found = references("cer", one)
            if len(found) != 1 or not found[0]:
                raise ValueError(f"`cer` must get one reference with at least one character a row, but got {one!r:.80}")
            self.truth.append(found[0])
        self.predicted += [as_text("cer", one) for one in predicted]

    def compute(self) -> float:
        """The rate over all rows, 0 or more.

        >>> metric = CharacterErrorRate()
        >>> metric.update(["cart"], ["cats"])
        >>> metric.compute()
        0.5
        """
        from torchmetrics.functional.text import char_error_rate

        check_any("cer", self.truth)
        return float(char_error_rate(self.predicted, self.truth))
