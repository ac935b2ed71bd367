"""The sample data that ships: how much there is, that the splits share no item, and that reading is deterministic."""

from __future__ import annotations

import csv
import json
import pickle
import subprocess
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from PIL import Image, ImageChops, ImageDraw

import omniline.tasks.presets.placements as placements
from omniline.core.errors import ConfigError
from omniline.tasks.presets.make_samples import digest, fetch
from omniline.tasks.presets.samples import digit_rows, emoji_rows, english_rows

SAMPLES = Path(placements.__file__).with_name("samples")
SETS = ("digits", "emoji", "english")
MEGABYTE = 1_000_000


def table(path: str, delimiter: str) -> list[dict[str, str]]:
    with (SAMPLES / path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_all_samples_together_stay_below_six_megabytes() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6 * MEGABYTE


@pytest.mark.parametrize("name", SETS)
def test_each_set_states_its_source_and_ships_its_licence(name: str) -> None:
    folders = sorted(path for path in SAMPLES.iterdir())
    assert set(SETS) <= {path.name for path in folders}
    assert all((path / "README.md").is_file() and (path / "LICENCE").is_file() for path in folders)
    readme = (SAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert all(word in readme for word in ("Source", "Licence", "make_samples.py", "sha256", "does not"))
    assert len((SAMPLES / name / "LICENCE").read_text(encoding="utf-8")) > 1000


@pytest.mark.parametrize("name", SETS)
def test_the_files_are_the_ones_that_were_made(name: str) -> None:
    assert digest(name) in (SAMPLES / name / "README.md").read_text(encoding="utf-8")


def test_a_source_that_is_not_the_pinned_one_stops_the_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download(command: list[str], *, cwd: Path, **_: object) -> None:
        (cwd / "wordnet.deb").write_bytes(b"something else")

    monkeypatch.setattr(subprocess, "run", download)
    with pytest.raises(SystemExit, match=r"wordnet-base=1:3.0-37: the sha256 must be 61060d.*, but is "):
        fetch("wordnet-base=1:3.0-37", tmp_path)
    assert "source wordnet-base=1:3.0-37  sha256" in capsys.readouterr().out


def test_the_emoji_table_and_the_sprites_are_the_same_set() -> None:
    lines = (SAMPLES / "emoji" / "emoji.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    files = {f"sprites/{path.name}" for path in (SAMPLES / "emoji" / "sprites").iterdir()}
    assert {row["file"] for row in rows} == files
    assert len({row["name"] for row in rows}) == len(rows) == len(files) == 200
    assert all(row["name"] == row["name"].lower() and row["name"].isascii() for row in rows)
    assert all(1 <= len(row["name"].split()) <= 3 for row in rows)


def test_every_sprite_is_a_square_with_alpha_that_fills_its_frame() -> None:
    for sprite in placements.read_sprites():
        assert (sprite.picture.mode, sprite.picture.size) == ("RGBA", (72, 72)), sprite.name
        left, top, right, bottom = sprite.picture.getbbox() or (0, 0, 0, 0)
        assert max(right - left, bottom - top) >= 70, sprite.name
        assert sprite.picture.getchannel("A").getextrema()[0] == 0 or sprite.group != "animals", sprite.name


def test_no_two_sprites_are_the_same_picture() -> None:
    assert len({sprite.picture.tobytes() for sprite in placements.read_sprites()}) == 200


def test_placements_hold_every_emoji_equally_often() -> None:
    rows = emoji_rows(split="valid", per_emoji=2, size=32)
    names = Counter(rows[index]["name"] for index in range(len(rows)))
    assert len(names) == 200
    assert set(names.values()) == {2}


def test_a_placement_is_a_function_of_seed_split_and_index() -> None:
    def picture(split: str, seed: int, index: int) -> bytes:
        row = emoji_rows(split=split, per_emoji=2, seed=seed)[index]
        assert (row["img"].mode, row["img"].size) == ("RGB", (64, 64))
        return row["img"].tobytes()

    first = picture("train", 0, 7)
    assert picture("train", 0, 7) == first
    assert len({first, picture("valid", 0, 7), picture("train", 1, 7), picture("train", 0, 207)}) == 4


def test_the_splits_share_no_placement() -> None:
    drawn = {}
    for split in ("train", "valid"):
        rows = emoji_rows(split=split, per_emoji=2, size=24)
        drawn[split] = {rows[index]["img"].tobytes() for index in range(len(rows))}
        assert len(drawn[split]) == 400
    assert not drawn["train"] & drawn["valid"]


def test_placements_survive_pickling_to_a_worker() -> None:
    rows = emoji_rows(split="train", per_emoji=1)
    copy = pickle.loads(pickle.dumps(rows))
    assert copy[3]["img"].tobytes() == rows[3]["img"].tobytes()


def test_a_placed_sprite_is_visible_and_whole() -> None:
    size = 64
    disc = Image.new("RGBA", (72, 72), (0, 0, 0, 0))
    ImageDraw.Draw(disc).ellipse((0, 0, 71, 71), fill=(255, 255, 255, 255))
    places = set()
    for index in range(50):
        bare = placements.background(size, Random(f"whole/{index}"))
        after = placements.place(disc, size, Random(f"whole/{index}"))
        left, top, right, bottom = ImageChops.difference(after, bare).getbbox() or (0, 0, 0, 0)
        assert abs((right - left) - (bottom - top)) <= 4, "a disc that is cut is not round"
        assert 0.5 * size <= max(right - left, bottom - top) <= 0.97 * size
        places.add((left, top))
    assert len(places) >= 40


def test_the_three_kinds_of_background_all_occur_and_fill_the_picture() -> None:
    kinds: Counter[str] = Counter()
    for index in range(90):
        picture = placements.background(32, Random(index))
        assert (picture.mode, picture.size) == ("RGB", (32, 32))
        across = ImageChops.difference(picture, ImageChops.offset(picture, 1, 0)).getbbox() is None
        down = ImageChops.difference(picture, ImageChops.offset(picture, 0, 1)).getbbox() is None
        kinds["plain" if across and down else "blend" if across or down else "noise"] += 1
    assert set(kinds) == {"plain", "blend", "noise"}
    assert min(kinds.values()) >= 15


@pytest.mark.parametrize("index", [-1, 200])
def test_an_index_outside_the_placements_ends_the_source(index: int) -> None:
    with pytest.raises(IndexError, match=rf"must be in \[0, 200\), but is {index}"):
        emoji_rows(split="train", per_emoji=1)[index]


def test_the_digit_splits_are_disjoint_stratified_and_complete() -> None:
    train, valid = digit_rows(split="train"), digit_rows(split="valid")
    items = {"train": {item for item, _ in train.items}, "valid": {item for item, _ in valid.items}}
    assert not items["train"] & items["valid"]
    assert items["train"] | items["valid"] == set(range(1797))
    whole = Counter(row["digit"] for row in table("digits/digits.csv", ","))
    held = Counter(digit for _, digit in valid.items)
    assert set(whole) == set("0123456789")
    assert all(0.19 <= held[digit] / whole[digit] <= 0.21 for digit in whole)


def test_the_digit_scans_have_seventeen_levels_and_their_own_cell() -> None:
    rows = digit_rows(split="train", size=8)
    seen = set()
    for index in range(len(rows)):
        row = rows[index]
        assert (row["img"].mode, row["img"].size) == ("L", (8, 8))
        seen |= set(row["img"].tobytes())
    assert seen == {15 * ink for ink in range(17)}


def test_a_zero_is_hollow_and_a_one_is_not() -> None:
    rows = digit_rows(split="train", size=8)
    centre: dict[str, list[int]] = {"0": [], "1": []}
    for index in range(len(rows)):
        if rows[index]["digit"] in centre:
            centre[rows[index]["digit"]].append(rows[index]["img"].tobytes()[3 * 8 + 3])
    assert sum(centre["0"]) / len(centre["0"]) < 60 < 120 < sum(centre["1"]) / len(centre["1"])


def test_reading_digits_twice_gives_the_same_pictures() -> None:
    first, second = digit_rows(split="valid"), digit_rows(split="valid")
    assert all(first[i]["img"].tobytes() == second[i]["img"].tobytes() for i in range(len(first)))


def test_the_english_splits_share_neither_synset_nor_text() -> None:
    rows = table("english/english.tsv", "\t")
    held = [row for row in rows if row["split"] == "valid"]
    kept = [row for row in rows if row["split"] == "train"]
    assert (len(kept), len(held)) == (len(english_rows(split="train")), len(english_rows(split="valid")))
    assert len(kept) + len(held) == len(rows) == len({row["synset"] for row in rows}) == len({r["text"] for r in rows})
    assert 0.04 < len(held) / len(rows) < 0.06
    assert sum(len(row["text"]) for row in rows) > 0.8 * MEGABYTE


def test_english_texts_are_plain_sentences_of_five_to_twenty_words() -> None:
    rows = english_rows(split="train")
    for index in range(len(rows)):
        row = rows[index]
        assert sorted(row) == ["group", "text", "word"]
        assert 5 <= len(row["text"].split()) <= 20
        assert len(row["text"]) <= 100
        assert set(row["text"]) <= set("abcdefghijklmnopqrstuvwxyz ,'-")


@pytest.mark.parametrize("rows", [emoji_rows, digit_rows, english_rows])
def test_an_unknown_split_is_named(rows: object) -> None:
    assert callable(rows)
    with pytest.raises(ConfigError, match=r"must be one of train, valid, but is 'tset'"):
        rows(split="tset")


def test_sizes_and_counts_that_make_no_sense_are_named() -> None:
    with pytest.raises(ConfigError, match="per_emoji must be at least 1, but is 0"):
        emoji_rows(split="train", per_emoji=0)
    with pytest.raises(ConfigError, match="placement must be at least 16 pixels, but is 8"):
        emoji_rows(split="train", size=8)
    with pytest.raises(ConfigError, match="digit must be at least 8 pixels, but is 7"):
        digit_rows(split="train", size=7)
