"""Whether a run can be restored exactly, and what each source means for it."""

from __future__ import annotations

from .mixture import Mixture
from .source_stream import StreamRows
from .sources import open_source


def restorable(mixture: Mixture) -> list[str]:
    """One sentence for each source that is not read by row number; none when resuming is exact and free everywhere.

    Every draw of a run is a function of its seed and its position, so what is left to say is about sources that can
    only be read from their beginning: resuming reads up to the place again, and is exact when each pass gives the same
    rows in the same order.
    """
    found = []
    for task in mixture:
        if task.train is None:
            continue
        rows = open_source(task.train, name=f"{task.name}.train")
        if isinstance(rows, StreamRows):
            found.append(
                f"task `{task.name}`: its rows can only be read from the beginning: a run that resumes reads up to its "
                "place again, and goes on exactly if every pass gives the same rows in the same order"
            )
    return found
