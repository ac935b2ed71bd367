"""How long a line takes to compile, for the first time and again."""

from __future__ import annotations

import time
from statistics import median

from omniline.tasks import verbs

from .measuring import Figure, calibrate

LINES = {
    "caption": "[IMAGE:img] what does the image describe? -> [TEXT:cap]",
    "mnli": (
        'can text1 " [TEXT:sent1] " imply text2 " [TEXT:sent2] "? -> can text1 " [TEXT:sent1,no_loss] " imply text2 '
        '" [TEXT:sent2,no_loss] "? [TEXT:label,closed_set]'
    ),
    "interleaved": (
        "[IMAGE:img1] shows [TEXT:cap1] ; [IMAGE:img2] shows [TEXT:cap2] ; what about [IMAGE:img3] ? -> it shows "
        "[TEXT:cap3]"
    ),
}
"""By name; prompts and slots together they have 3, 11 and 12 parts in the ancestor's count."""
COLD, CACHED = 300, 20_000


def measure() -> list[Figure]:
    """Cold compiles of texts that differ in a prompt, and cached ones of one text, in microseconds."""
    calibration = calibrate()
    found = []
    for name, line in LINES.items():
        for kind, value in (("cold", _cold(line)), ("cached", _cached(line))):
            found.append(
                Figure(section="compile", name=f"compile-{name}-{kind}", value=1e6 * value, calibration=calibration)
            )
    return found


def _cold(line: str) -> float:
    times = []
    for number in range(COLD + 20):
        text = f"{number} {line}"
        start = time.perf_counter()
        verbs.compile(text)
        times.append(time.perf_counter() - start)
    return median(times[20:])


def _cached(line: str) -> float:
    verbs.compile(line)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(CACHED // 20):
            verbs.compile(line)
        times.append((time.perf_counter() - start) / (CACHED // 20))
    return median(times)
