"""Real data that are too large, or too narrowly licensed, to ship: `omniline data` fetches them into a cache.

Each set names its archives with their sha256 and the function that writes its rows: `train.jsonl` and `valid.jsonl`
with the media files beside them, so that a path is all that a task needs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import ConfigError
from ...core.near import nearest
from . import set_rows
from .fetching import Archive, cache_folder, fetch, unpack

DONE = "README.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSet:
    """A set of real rows.

    Attributes:
        title: what it is, in a few words.
        licence: under which its content may be used.
        columns: of a row.
        task: the preset that trains on such rows.
        line: another line than the preset's, where the rows want one; FOLDER stands for where they lie.
        archives: what is downloaded.
        make: writes the rows: takes the unpacked files' folder and the one to write into.
    """

    title: str
    licence: str
    columns: tuple[str, ...]
    task: str
    archives: tuple[Archive, ...]
    make: Callable[[Path, Path], None]
    line: str = ""

    @property
    def megabytes(self) -> float:
        """What is downloaded, together."""
        return sum(archive.megabytes for archive in self.archives)

    def command(self, folder: Path) -> str:
        """What trains on the rows in a folder."""
        rows = " ".join(f"tasks.{self.task}.{split}={folder / split}.jsonl" for split in ("train", "valid"))
        line = self.line.replace("FOLDER", str(folder))
        other = f" 'tasks.{self.task}.instruction={line}'" if line else ""
        return f"omniline train {self.task} {rows}{other}"


SETS: Mapping[str, RealSet] = {
    "stamps": RealSet(
        title="600 cut-out photographs and drawings with English captions, of Tux Paint",
        licence="GPL-2.0-or-later",
        columns=("img", "cap", "group"),
        task="captioning",
        archives=(
            Archive(
                client="apt",
                package="tuxpaint-stamps-default",
                version="2022.06.04-1",
                sha256="6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
                megabytes=160.9,
                wanted=(
                    "usr/share/tuxpaint/stamps/*.png",
                    "usr/share/tuxpaint/stamps/*.txt",
                    "usr/share/doc/*/copyright",
                ),
            ),
        ),
        make=set_rows.make_stamps,
    ),
    "prompts": RealSet(
        title="483 sentences spoken by one voice, telephone band (8 kHz), with their text",
        licence="CC-BY-SA-3.0",
        columns=("wav", "text"),
        task="speech_recognition",
        archives=(
            Archive(
                client="apt",
                package="asterisk-core-sounds-en-wav",
                version="1.6.1-1",
                sha256="2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
                megabytes=18.3,
                wanted=("usr/share/asterisk/sounds/*.wav",),
            ),
            Archive(
                client="apt",
                package="asterisk-core-sounds-en",
                version="1.6.1-1",
                sha256="973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
                megabytes=0.1,
                wanted=("usr/share/doc/asterisk-core-sounds-en/copyright", "usr/share/doc/*/core-sounds-en.txt.gz"),
            ),
        ),
        make=set_rows.make_prompts,
    ),
    "motions": RealSet(
        title="20 clips of human motion (walk, run, jump, kick, cartwheel ...) as BVH, of pybullet",
        licence="zlib (package)",
        columns=("text", "bvh_frames"),
        task="text_to_motion",
        archives=(
            Archive(
                client="wheel",
                package="pybullet",
                version="3.2.7",
                sha256="5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff",
                megabytes=103.2,
                wanted=("pybullet_data/data/motions/humanoid3d_*.txt", "pybullet_data/data/motions/walker/*.txt"),
            ),
        ),
        make=set_rows.make_motions,
        line="motion capture: [TEXT:text] -> [MOTION:bvh_frames,skeleton=FOLDER/clips/walk.bvh,fps=20,window=40]",
    ),
    "sentiment": RealSet(
        title="10,072 sentences of film reviews with the mean rating of twenty people each (VADER)",
        licence="MIT",
        columns=("sentence", "label", "rating"),
        task="sentiment",
        archives=(
            Archive(
                client="sdist",
                package="vaderSentiment",
                version="3.3.2",
                sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
                megabytes=2.5,
                wanted=(
                    "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
                    "vaderSentiment-3.3.2/LICENSE.txt",
                ),
            ),
        ),
        make=set_rows.make_sentiment,
    ),
    "wordnet": RealSet(
        title="82,115 definitions of English nouns with their words and groups",
        licence="WordNet-3.0 (permissive)",
        columns=("text", "word", "group"),
        task="text_infilling",
        archives=(
            Archive(
                client="apt",
                package="wordnet-base",
                version="1:3.0-37",
                sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
                megabytes=6.5,
                wanted=("usr/share/wordnet/data.noun", "usr/share/wordnet/lexnames", "usr/share/doc/*/copyright"),
            ),
        ),
        make=set_rows.make_definitions,
    ),
}


def place_of(name: str) -> Path:
    """The folder of a set, whether or not it is there."""
    return cache_folder() / "sets" / name


def is_there(name: str) -> bool:
    """Whether a set has been fetched whole."""
    return (place_of(name) / DONE).is_file()


def fetch_set(name: str, *, own: Sequence[Path] = (), sets: Mapping[str, RealSet] = SETS) -> Path:
    """The folder of a set: `train.jsonl`, `valid.jsonl`, their media files and README.txt. Fetched once.

    Args:
        name: of the set.
        own: archives that the user has downloaded already.
        sets: the manifest.

    Raises:
        ConfigError: there is no such set.
        DataError: an archive cannot be had, is another one, or holds what it must not.
    """
    wanted = known(name, sets)
    folder = place_of(name)
    if is_there(name):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as made:
        work, unpacked, target = (Path(made) / part for part in ("archives", "unpacked", "rows"))
        for part in (work, unpacked, target):
            part.mkdir()
        for archive in wanted.archives:
            unpack(fetch(archive, work, own=own), archive, unpacked)
        wanted.make(unpacked, target)
        (target / DONE).write_text(described(name, wanted), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(target, folder)
    return folder


def known(name: str, sets: Mapping[str, RealSet] = SETS) -> RealSet:
    """The set of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in sets:
        near = nearest(name, sets)
        hint = f"did you mean `{near}`?" if near else f"the sets are {', '.join(sets)}"
        raise ConfigError(f"there is no data set `{name}`; {hint}")
    return sets[name]


def described(name: str, wanted: RealSet) -> str:
    """What README.txt says."""
    archives = "".join(f"  {archive.name}  sha256 {archive.sha256}\n" for archive in wanted.archives)
    columns = ", ".join(wanted.columns)
    return f"{name}: {wanted.title}\nlicence: {wanted.licence}\ncolumns: {columns}\nmade from\n{archives}"
