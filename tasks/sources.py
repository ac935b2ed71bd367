"""Opening a source: whatever a Task is given as rows becomes `Rows`.

Paths may be globs and may hold braces: `data/*.jsonl`, `shard-{0000..0003}.tar`, `part-{a,b}.csv`.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import DataError
from ..core.near import nearest
from .source_chunks import ChunkRows, by_number
from .source_csv import DELIMITERS, TableRows
from .source_files import JsonlRows, JsonRows
from .source_rows import ChainRows, MapRows, Rows, kind_of
from .source_stream import StreamRows, refuse_spent
from .source_tables import PandasRows, ParquetRows, PolarsRows, names_of
from .source_tar import TarRows

__all__ = ["Rows", "open_source"]

FILES = (
    ".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz",
    ".parquet", ".tar", ".tar.gz", ".tgz",
)  # fmt: skip
MOST_FILES = 100_000
BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
ACCEPTED = (
    "a list of mappings, a torch Dataset or IterableDataset, a Hugging Face dataset, a pandas or polars frame, or the "
    "path of a jsonl, json, csv, tsv, parquet or tar file"
)


def open_source(data: Any, *, name: str) -> Rows:
    """The rows of a source.

    Args:
        data: a list of mappings, a torch Dataset or IterableDataset, any re-iterable of mappings, a Hugging Face
            dataset (streamed too), a streaming set of litdata or mosaic, a pandas or polars frame, a path or glob, or
            a list of paths.
        name: what errors call it, such as `caption.train`.

    Raises:
        DataError: it is none of these, a file is missing, or a pattern fits none.

    >>> open_source([{"text": "a cat"}], name="pets")[0]
    {'text': 'a cat'}
    """
    if isinstance(data, Rows):
        return data
    if isinstance(data, str | os.PathLike):
        return open_paths(os.fspath(data), name=name)
    if isinstance(data, list | tuple) and data and all(isinstance(item, str | os.PathLike) for item in data):
        return chained([open_paths(os.fspath(item), name=name) for item in data], name)
    frame = open_frame(data, name=name)
    if frame is not None:
        return frame
    if isinstance(data, Mapping):
        raise DataError(_not_a_mapping(data, name))
    convert = names_of(getattr(data, "features", None))
    if _iterates(data):
        if by_number(data):
            return ChunkRows(data, name=name, convert=convert)
        refuse_spent(data, name)
        return StreamRows(data, name=name, convert=convert)
    indexed = hasattr(data, "__getitem__") and not isinstance(data, type | bytes | bytearray)
    if indexed and hasattr(data, "__len__"):
        return MapRows(data, name=name, convert=convert)
    if indexed:
        raise DataError(f"{name}: the source has __getitem__ but no __len__: give it a __len__, or an __iter__")
    raise DataError(f"{name}: the source must be {ACCEPTED}, but is {kind_of(data)}")


def open_frame(data: Any, *, name: str) -> Rows | None:
    """The rows of a pandas or polars frame; None for anything else."""
    library, kind = type(data).__module__.partition(".")[0], type(data).__name__
    if library == "polars" and kind == "LazyFrame":
        raise DataError(f"{name}: the source is a polars LazyFrame: pass frame.collect()")
    if library in ("pandas", "polars") and kind == "Series":
        raise DataError(f"{name}: the source must have named columns, but is a Series: pass series.to_frame()")
    if not hasattr(data, "columns"):
        return None
    if hasattr(data, "iloc"):
        return PandasRows(data, name=name)
    return PolarsRows(data, name=name) if library == "polars" else None


def open_paths(text: str, *, name: str) -> Rows:
    """The rows of the files that a path or pattern names, in order.

    Raises:
        DataError: there is no such file, or it is of no known kind.
    """
    if "://" in text:
        return chained([open_remote(address, name=name) for address in _few(braced(text), text, name)], name)
    paths = [Path(found) for found in _few(expanded(text), text, name)]
    if not paths:
        raise DataError(f"{name}: no file fits the pattern `{text}`")
    return chained([open_file(path, name=name) for path in paths], name)


def _few(found: Iterator[str], text: str, name: str) -> list[str]:
    """All paths of a pattern, if they can be held.

    Raises:
        DataError: there are too many.
    """
    paths = list(islice(found, MOST_FILES + 1))
    if len(paths) > MOST_FILES:
        raise DataError(f"{name}: a pattern must stand for at most {MOST_FILES:,} files, but `{text[:80]}` names more")
    return paths


def open_remote(address: str, *, name: str) -> Rows:
    """The rows of a remote tar shard.

    Raises:
        DataError: it is of another kind.
    """
    if not urlsplit(address.rpartition("::")[2] or address).path.lower().endswith(".tar"):
        raise DataError(
            f"{name}: what lies elsewhere is read from tar shards (.tar) alone, but the source is `{address}`: "
            "fetch it first"
        )
    return TarRows(address, name=name)


def chained(parts: list[Rows], name: str) -> Rows:
    """Several sources as one."""
    return parts[0] if len(parts) == 1 else ChainRows(parts, name=name)


def expanded(text: str) -> Iterator[str]:
    """The paths that a text with braces and wildcards stands for; a file of that very name wins.

    >>> list(expanded("shard-{08..10}.tar"))
    ['shard-08.tar', 'shard-09.tar', 'shard-10.tar']
    """
    text = os.path.expanduser(text)
    if os.path.exists(text):
        yield text
        return
    for word in braced(text):
        if glob.has_magic(word) and not os.path.exists(word):
            yield from sorted(glob.glob(word, recursive=True))
        else:
            yield word


def braced(text: str) -> Iterator[str]:
    """The texts that one with `{a,b}` or `{0..3}` stands for; zeros in front of the first number set the width."""
    found = BRACES.search(text)
    if found is None:
        yield text
        return
    first, last, choices = found.groups()
    if first:
        words: Iterable[str] = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    else:
        words = choices.split(",")
    for word in words:
        yield from braced(text[: found.start()] + word + text[found.end() :])


def open_file(path: Path, *, name: str) -> Rows:
    """The rows of one file, by its suffix; the file is opened when a row is read.

    Raises:
        DataError: it does not exist, is a folder, or has an unknown suffix.
    """
    if path.is_dir():
        raise DataError(
            f"{name}: the source must be a file, but `{path}` is a folder: write `{path}/*.jsonl` or the like"
        )
    if not path.exists():
        beside = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
        near = nearest(path.name, [entry for entry in beside if entry != path.name])
        raise DataError(f"{name}: there is no file `{path}`" + (f"; did you mean `{near}`?" if near else ""))
    kind = next((suffix for suffix in FILES if path.name.lower().endswith(suffix)), "")
    bare = kind.removesuffix(".gz").lstrip(".")
    if bare in ("jsonl", "ndjson"):
        return JsonlRows(path, name=name)
    if bare in DELIMITERS:
        return TableRows(path, name=name, delimiter=DELIMITERS[bare])
    if bare in ("tar", "tgz"):
        return TarRows(path, name=name)
    if bare:
        return JsonRows(path, name=name) if bare == "json" else ParquetRows(path, name=name)
    raise DataError(f"{name}: a file of rows must end with one of {', '.join(FILES)}, but is `{path.name}`")


def _iterates(data: Any) -> bool:
    """Whether rows can only be read in order. Torch's IterableDataset has a `__getitem__` too, which only raises."""
    if any(base.__name__ in ("IterableDataset", "IterDataPipe") for base in type(data).__mro__):
        return True
    return hasattr(data, "__iter__") and not hasattr(data, "__getitem__") and not isinstance(data, type)


def _not_a_mapping(data: Mapping[Any, Any], name: str) -> str:
    keys = [str(key) for key in data]
    if any(hasattr(value, "features") for value in data.values()):
        return f"{name}: the source must be one split, but holds {', '.join(keys)}: pass data[{keys[0]!r}]"
    return (
        f"{name}: the source must be {ACCEPTED}, but is a mapping of columns: pass the rows one by one, "
        "[{'column': value}, ...]"
    )
