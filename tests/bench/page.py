"""The figures as a table in docs/performance.md and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .measuring import CALIBRATION, ROOT, THREADS, Figure
from .references import REFERENCES, Reference, ratio, reached

PAGE, JSON = ROOT / "docs" / "performance.md", ROOT / "build" / "bench.json"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
TITLES = {
    "compile": "Compiling a line",
    "start": "Starting",
    "encode": "Encoding and packing, one process",
    "train": "Training steps",
    "generate": "Generating",
    "padding": "Packed against padded",
    "video": "Films, one thread",
    "audio": "Sounds, one thread",
    "codecs": "Motions, boxes and tables against bare loops, one thread",
    "data": "Data beside the steps",
    "modalities": "Training by modality, 96 rows that ship, batches of 1,024 tokens",
    "first": "The first output",
    "qwen": "A Qwen2.5 of random weights beside transformers",
    "prefix": "Requests on one prompt of 2,000 tokens, width 512, 8 layers, one thread",
    "constrain": "Answers that must be something, a vocabulary of 151,936",
    "long": "Attention of long prompts, four heads of 64, one thread",
    "kernels": "Triton kernels",
}


THEIRS = {"modalities": "model alone", "first": "torch alone"}
"""What the figures of a section are compared with, where it is measured in the same run."""


def merge(figures: Sequence[Figure], path: Path = JSON) -> list[Figure]:
    """Figures of this run with those of an earlier one that it did not measure again; written to `path`."""
    new = {figure.name: figure for figure in figures}
    old = [Figure(**item) for item in json.loads(path.read_text())["figures"]] if path.exists() else []
    every = {**{figure.name: figure for figure in old}, **new}
    kept = [every[name] for name in REFERENCES if name in every]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "threads": THREADS, "figures": [asdict(figure) for figure in kept]}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return kept


def write_page(figures: Sequence[Figure], path: Path = PAGE) -> None:
    """Put the table between the page's markers.

    Raises:
        ValueError: the page has no markers.
    """
    text = path.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{path.name} must hold the markers `{BEGIN}` and `{END}`")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n{table(figures)}{END}{after}")


def table(figures: Sequence[Figure]) -> str:
    """Markdown: the machine, then a table for each section."""
    speeds = sorted(figure.calibration for figure in figures)
    lines = [
        f"Machine: {machine()}; {THREADS} threads. Calibration in this run: {speeds[0]:.0f} to {speeds[-1]:.0f} "
        f"GFLOP/s (the reference's: {CALIBRATION:.0f})."
    ]
    for section, title in TITLES.items():
        rows = [figure for figure in figures if figure.section == section]
        if rows:
            lines += ["", f"### {title}", "", *_section(rows, THEIRS.get(section, "OFASys"))]
    return "\n".join(lines) + "\n"


def _section(figures: Sequence[Figure], theirs: str) -> list[str]:
    head = ["workload", "ours", theirs, "ratio", "normalised", "wanted", "reached", "GFLOP/s", "more"]
    return [_line(head), _line(["---"] * len(head)), *(_line(_cells(figure)) for figure in figures)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(figure: Figure) -> list[str]:
    reference = REFERENCES[figure.name]
    speed = figure.calibration / CALIBRATION
    theirs = reference.theirs if figure.theirs is None else figure.theirs
    found = ratio(reference, figure.value, theirs)
    scaled = None if found is None or not reference.scaled else found / speed
    return [
        reference.words,
        f"{_number(figure.value)} {reference.unit}",
        "" if theirs is None else f"{_number(theirs)} {reference.unit}",
        "" if found is None else f"{found:.2f}x",
        "" if scaled is None else f"{scaled:.2f}x",
        _wanted(reference, found is not None),
        "yes" if reached(reference, figure.value, speed, theirs) else "**no**",
        f"{figure.calibration:.0f}",
        "; ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in figure.detail.items()),
    ]


def _wanted(reference: Reference, compared: bool) -> str:
    sign = "<=" if reference.most else ">="
    unit = "x" if compared or reference.unit == "x" else f" {reference.unit}"
    return f"{sign} {reference.wanted:g}{unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _short(value: object) -> str:
    if isinstance(value, float | int):
        return _number(float(value))
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def machine() -> str:
    """Processor, cores, system and versions."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        name = next((value.strip() for key, value in fields.items() if key.strip() == "model name"), name)
        flags = next((value.split() for key, value in fields.items() if key.strip() == "flags"), [])
        units = [unit for unit in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if unit in flags]
        name = f"{name} ({units[0] if units else 'no vector units'})"
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
