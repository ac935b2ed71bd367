"""`python -m bench [ONLY]` in the folder of the tests: measure speed and memory, and write docs/performance.md.

ONLY is a list of sections with commas between: compile, start, encode, train, generate, padding, video, audio,
codecs, data, modalities, first, qwen, prefix, constrain, long, kernels (which needs an accelerator). Figures that a
run does not measure again are kept from the last one, in build/bench.json.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module

from .measuring import CALIBRATION, Figure, print_figures, run_apart
from .references import REFERENCES, reached

SECTIONS = {
    "compile": "compiling",
    "start": "starting",
    "encode": "encoding",
    "train": "training",
    "generate": "generating",
    "padding": "padding",
    "video": "video",
    "audio": "audio",
    "codecs": "codecs",
    "data": "loading",
    "modalities": "modalities",
    "first": "first",
    "qwen": "qwen",
    "prefix": "prefixing",
    "constrain": "constraining",
    "long": "prompts",
    "kernels": "fused",
}


def main(words: Sequence[str]) -> int:
    """Run some sections, each in a process of its own; `SECTION` prints one, `train CASE PRECISION` one case."""
    if words[:1] == ["--print"]:
        print_figures(_section(words[1], *words[2:]))
        return 0
    chosen = [name for word in words for name in word.split(",") if name] or list(SECTIONS)
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        print(f"there is no section `{unknown[0]}` (sections: {', '.join(SECTIONS)})", file=sys.stderr)
        return 2
    from . import page

    for name in chosen:
        start = time.perf_counter()
        figures = run_apart(name)
        kept = page.merge(figures)
        for figure in figures:
            _report(figure)
        print(f"-- {name}: {time.perf_counter() - start:.0f} s", flush=True)
    page.write_page(kept)
    return 0


def _section(name: str, *words: str) -> list[Figure]:
    module = import_module(f".{SECTIONS[name]}", __package__)
    measure: Callable[..., list[Figure]] = module.measure_case if words else module.measure
    return measure(*words)


def _report(figure: Figure) -> None:
    reference = REFERENCES[figure.name]
    good = reached(reference, figure.value, figure.calibration / CALIBRATION, figure.theirs)
    verdict = "" if good else "  NOT REACHED"
    print(
        f"{reference.words:62s} {figure.value:10.4g} {reference.unit:10s} {figure.calibration:5.0f} GFLOP/s{verdict}",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
