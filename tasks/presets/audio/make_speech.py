"""Makes the speech that ships in `samples/speech`: run it to rebuild it.

    python -m omniline.tasks.presets.audio.make_speech

It needs `flite` (Debian's package, version 2.2) on the path and soundfile. Nothing in the library imports this file.
"""

from __future__ import annotations

import csv
import hashlib
import random
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..placements import SAMPLES
from ..readers import read_table

RATE = 16_000
EDGE, GAP = 0.06, 0.25  # seconds of silence kept at the ends of an utterance, and laid between two
LEVEL = 0.95  # of Opus' compression, 0 to 1
VERBS = ("take", "move", "hide", "find", "paint", "count")
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = ("red", "green", "blue", "yellow", "black", "white")
THINGS = ("boxes", "lamps", "chairs", "doors", "cups", "keys")
COMMANDS, COMMANDS_HELD_OUT = 288, 48
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
VOICES = ("rms", "awb", "kal16", "slt")  # the last one is held out
STRETCHES = ("0.85", "1.0", "1.15", "1.3")
PRONOUNCED, PRONOUNCED_HELD_OUT = 4000, 0.1
SILENCE = "pau"
REDUCED = {"AX": "AH"}  # the voice's phone for the schwa is none of ARPAbet's 39


def main() -> None:
    """Write all files."""
    folder = SAMPLES / "speech"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        write(folder, "commands", [said(place, text, "slt") | more for text, more in commands()])
        write(folder, "words", [said(place, text, voice, stretch) | more for text, voice, stretch, more in words()])
        with (folder / "pronunciations.tsv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t", lineterminator="\n")
            table.writerow(("word", "phones", "split"))
            table.writerows(pronunciations())


def commands() -> Iterator[tuple[str, dict[str, str]]]:
    """Distinct commands; the held-out ones are other combinations of the same words."""
    every = sorted(" ".join(parts) for parts in product(VERBS, NUMBERS, COLOURS, THINGS))
    random.Random(0).shuffle(every)
    for number, text in enumerate(every[:COMMANDS]):
        yield text, {"split": "valid" if number < COMMANDS_HELD_OUT else "train"}


def words() -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """Single words by every voice at every speed; one voice is held out."""
    for text, voice, stretch in product(WORDS, VOICES, STRETCHES):
        yield text, voice, stretch, {"split": "valid" if voice == VOICES[-1] else "train"}


def said(place: str, text: str, voice: str, stretch: str = "1.0") -> dict[str, Any]:
    """An utterance: text, voice, phones and samples without the silence around."""
    import soundfile

    file = str(Path(place, "said.wav"))
    options = ["-voice", voice, "--setf", f"duration_stretch={stretch}", "-t", text]
    printed = subprocess.run(["flite", *options, "-psdur", file], capture_output=True, text=True, check=True).stdout
    phones = [part.split(":")[0].upper() for part in printed.split()]
    samples, rate = soundfile.read(file, dtype="float32")
    assert rate == RATE, f"{voice} speaks at {rate} Hz"
    spoken = [REDUCED.get(phone, phone) for phone in phones if phone != SILENCE.upper()]
    return {"text": text, "voice": voice, "phones": " ".join(spoken), "samples": trimmed(samples)}


def trimmed(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Samples without the silence at both ends, but for a little of it."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    edge = int(EDGE * RATE)
    return samples[max(0, loud[0] - edge) : loud[-1] + edge]


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """All utterances in one Ogg Opus file, and a table of where each stands."""
    import soundfile

    gap, at, parts = np.zeros(int(GAP * RATE), np.float32), 0, []
    with (folder / f"{name}.tsv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("text", "phones", "voice", "start", "stop", "split"))
        for row in rows:
            end = at + len(row["samples"])
            table.writerow((row["text"], row["phones"], row["voice"], at, end, row["split"]))
            parts += [row["samples"], gap]
            at = end + len(gap)
    soundfile.write(
        folder / f"{name}.opus", np.concatenate(parts), RATE, format="OGG", subtype="OPUS", compression_level=LEVEL
    )


def pronunciations() -> Iterator[tuple[str, str, str]]:
    """English words of letters with the phones that flite's lexicon and rules give them."""
    known = sorted({row["word"] for row in read_table("english/english.tsv", "\t") if row["word"].isalpha()})
    chosen = [word for word in known if word.islower() and word.isascii() and 3 <= len(word) <= 9]
    random.Random(0).shuffle(chosen)
    for word in sorted(chosen[:PRONOUNCED]):
        command = ["flite", "-voice", "slt", "-t", word, "-ps", "none"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.upper().split()
        spoken = " ".join(REDUCED.get(phone, phone) for phone in printed if phone != SILENCE.upper())
        held_out = int(hashlib.sha256(word.encode()).hexdigest(), 16) % 1000 < 1000 * PRONOUNCED_HELD_OUT
        yield word, spoken, "valid" if held_out else "train"


if __name__ == "__main__":
    main()
