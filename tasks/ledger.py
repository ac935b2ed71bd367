"""What became of rows that could not be read: counted by task and cause, the first of each located."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .stream import Failure


def summary(failures: Sequence[Failure]) -> list[str]:
    """One line per task and cause, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Failure] = {}
    for failure in failures:
        key = (failure.id.task, failure.cause)
        counts[key] += 1
        first.setdefault(key, failure)
    return [
        f"task `{task}`: {count} {'row' if count == 1 else 'rows'} skipped, first {first[task, cause].place}: {cause}"
        for (task, cause), count in counts.most_common()
    ]


def report_failures(failures: Sequence[Failure]) -> None:
    """Warn of skipped rows on standard error, if there are any."""
    import sys

    for line in summary(failures):
        sys.stderr.write(f"skipped: {line}\n")
