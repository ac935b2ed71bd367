"""From unpacked archives to rows: `train.jsonl` and `valid.jsonl`, with their media files beside them.

Every split is by source item, by a hash of its name, so that it is the same on every machine.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ...core.errors import DataError
from .set_motions import make_motions as make_motions

HELD_OUT = 0.15
SIDE = 256
"""Longest side of a stamp, in pixels."""
PIXELS = 16_000_000
LEFT_OUT = ("alphabets", "math", "shapes")
GROUPS = (
    *("tops", "act", "animal", "artifact", "attribute", "body", "cognition", "communication", "event", "feeling"),
    *("food", "group", "location", "motive", "object", "person", "phenomenon", "plant", "possession", "process"),
    *("quantity", "relation", "shape", "state", "substance", "time"),
)
"""The groups of nouns of WordNet, numbered from 3: lexnames(5WN)."""
FIRM = 0.5
"""A mean rating at least this far from 0 has a side."""


def held_out(text: str, share: float = HELD_OUT) -> bool:
    """Whether an item belongs to the valid split: a hash of its name.

    >>> held_out("a"), held_out("b", share=1.0)
    (False, True)
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48 < share


def write_rows(folder: Path, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Write rows, each with the item that decides its split, as `train.jsonl` and `valid.jsonl`.

    Their order is that of the items' hashes, so that the first rows stand for all.

    Raises:
        DataError: there are no rows for one of the two.
    """
    counts = {"train": 0, "valid": 0}
    with (
        (folder / "train.jsonl").open("w", encoding="utf-8") as train,
        (folder / "valid.jsonl").open("w", encoding="utf-8") as valid,
    ):
        for item, row in sorted(rows, key=lambda pair: hashlib.sha256(pair[0].encode()).digest()[6:]):
            held = held_out(item)
            (valid if held else train).write(json.dumps(row, ensure_ascii=False) + "\n")
            counts["valid" if held else "train"] += 1
    if not all(counts.values()):
        raise DataError(f"the archive must hold rows for both splits, but gave {counts}")


def make_stamps(unpacked: Path, target: Path) -> None:
    """Pictures on white, at most 256 pixels wide or high, with the English caption of each."""
    _keep_licence(unpacked, target)
    root = unpacked / "usr/share/tuxpaint/stamps"
    (target / "stamps").mkdir()
    rows = []
    for path in sorted(root.rglob("*.png")):
        words = path.with_suffix(".txt")
        group = path.relative_to(root).parts[0]
        if not words.is_file() or any(part in LEFT_OUT for part in path.relative_to(root).parts):
            continue
        caption = words.read_text(encoding="utf-8", errors="replace").split("\n")[0].strip().rstrip(".")
        name = "-".join(path.relative_to(root).with_suffix("").parts) + ".png"
        if caption and _flattened(path, target / "stamps" / name):
            rows.append((caption.lower(), {"img": f"stamps/{name}", "cap": caption.lower(), "group": group}))
    write_rows(target, rows)


def _flattened(path: Path, to: Path) -> bool:
    """Write a picture with transparency on white, and say whether it was one of bearable size."""
    with Image.open(path) as image:
        if image.width * image.height > PIXELS:
            return False
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        clear = image.convert("RGBA")
    canvas = Image.new("RGB", clear.size, "white")
    canvas.paste(clear, (0, 0), clear)
    canvas.save(to)
    return True


def make_prompts(unpacked: Path, target: Path) -> None:
    """Wave files with what is said in them; whistles, beeps and cut-off words in brackets are left out."""
    _keep_licence(unpacked, target)
    (table,) = unpacked.rglob("core-sounds-en.txt.gz")
    said = dict(_said(gzip.decompress(table.read_bytes()).decode("utf-8", "replace")))
    (target / "wavs").mkdir()
    rows = []
    for path in sorted(unpacked.rglob("*.wav")):
        key = path.as_posix().partition("en_US_f_Allison/")[2].removesuffix(".wav")
        if key in said:
            name = f"wavs/{key.replace('/', '-')}.wav"
            shutil.copyfile(path, target / name)
            rows.append((said[key], {"wav": name, "text": said[key]}))
    write_rows(target, rows)


def _said(table: str) -> Iterable[tuple[str, str]]:
    for line in table.splitlines():
        key, colon, text = line.partition(":")
        if not colon or line.startswith(";") or "[" in text or "(" in text:
            continue
        plain = " ".join(re.sub(r"[^a-z0-9' -]", " ", text.lower()).split())
        if plain and not any(sign.isdigit() for sign in plain):
            yield key.strip(), plain


def make_sentiment(unpacked: Path, target: Path) -> None:
    """Sentences of film reviews whose mean rating of -4..4 has a side: `positive` or `negative`."""
    (licence,) = unpacked.rglob("LICENSE.txt")
    shutil.copyfile(licence, target / "LICENCE")
    (packed,) = unpacked.rglob("hutto_ICWSM_2014.tar.gz")
    with tarfile.open(packed) as archive:
        file = archive.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")
        if file is None:
            raise DataError(f"{packed.name} holds no film reviews")
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace").read()
    rows = []
    for line in text.splitlines():
        number, rating, sentence = line.split("\t", 2)
        if abs(float(rating)) >= FIRM:
            label = "positive" if float(rating) > 0 else "negative"
            row = {"sentence": sentence.strip(), "label": label, "rating": round(float(rating), 3)}
            rows.append((number.partition("_")[0], row))
    write_rows(target, rows)


def make_definitions(unpacked: Path, target: Path) -> None:
    """Definitions of nouns with the first word and the group of each: the glosses of `data.noun` (wndb(5WN))."""
    _keep_licence(unpacked, target)
    (nouns,) = unpacked.rglob("data.noun")
    rows = []
    for line in nouns.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        head, gloss = line.split(" | ", 1)
        offset, number, _, _, lemma = head.split(" ", 5)[:5]
        text = gloss.split("; ")[0].strip()
        rows.append((offset, {"text": text, "word": lemma.replace("_", " "), "group": GROUPS[int(number) - 3]}))
    write_rows(target, rows)


def _keep_licence(unpacked: Path, target: Path) -> None:
    """The package's own statement travels with its content."""
    for path in unpacked.rglob("copyright"):
        shutil.copyfile(path, target / "LICENCE")
