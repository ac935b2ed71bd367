"""Tables in files and in text: comma- or tab-separated, plain or gzipped, with a header line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

from ...core.extras import needed
from .tables import Table

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
DATABASES = (".sqlite", ".sqlite3", ".db", ".db3")
OTHERS = (".json", ".jsonl", ".parquet")
FILES = (*DELIMITERS, *(suffix + ".gz" for suffix in DELIMITERS), *OTHERS, *DATABASES)
LONGEST_PATH = 4096


def is_file_name(text: str) -> bool:
    """Whether a text is to be taken as the name of a file, by its suffix.

    >>> is_file_name("pets.csv"), is_file_name("name : age | Ann : 31")
    (True, False)
    """
    return len(text) <= LONGEST_PATH and "\n" not in text and text.strip().lower().endswith(FILES)


def suffix_of(path: str) -> str:
    """The suffix that says what a file holds, `.gz` left out."""
    return Path(path.lower().removesuffix(".gz")).suffix


def checked_file(path: str, what: str) -> str:
    """The path, when a file is there.

    Raises:
        ValueError: there is none, or it is a folder.
    """
    path = os.path.expanduser(path.strip())
    if not os.path.isfile(path):
        raise ValueError(f"the {what} file {path!r} {'is a folder' if os.path.isdir(path) else 'does not exist'}")
    return path


def read_table(path: str) -> Table:
    """The table of a file, head first.

    Raises:
        ValueError: no such file, no header, rows that do not fit it, or text that is not UTF-8.
    """
    path = checked_file(path, "table")
    suffix = suffix_of(path)
    opened: Any = gzip.open if path.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, EOFError, UnicodeDecodeError) as cause:
        raise ValueError(f"the table file {path!r} cannot be read: {cause}") from cause
    delimiter, head = DELIMITERS.get(suffix, ","), text.partition("\n")[0]
    if delimiter == "," and "," not in head and ";" in head:  # as Excel writes where commas part decimals
        delimiter = ";"
    return parse_table(text, delimiter, f"the table file {path!r}")


def read_json(path: str) -> Any:
    """The value of a JSON file.

    Raises:
        ValueError: no such file, or no JSON.
    """
    path = checked_file(path, "structured")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as cause:
        raise ValueError(f"the structured file {path!r} cannot be read as JSON: {cause}") from cause


def read_json_lines(path: str) -> list[Any]:
    """The values of a file with one in JSON on each line; blank lines are left out.

    Raises:
        ValueError: no such file, or a line that is no JSON.
    """
    path = checked_file(path, "structured")
    found: list[Any] = []
    number = 0
    try:
        for line in Path(path).read_text(encoding="utf-8-sig").split("\n"):
            number += 1
            if line.strip():
                found.append(json.loads(line))
    except (OSError, ValueError, RecursionError) as cause:
        raise ValueError(f"the structured file {path!r} cannot be read as JSON, line {number}: {cause}") from cause
    return found


def read_parquet(path: str) -> dict[str, list[Any]]:
    """The columns of a parquet file; needs pyarrow.

    Raises:
        ValueError: no such file, or no parquet.
        ConfigError: pyarrow is not installed.
    """
    path = checked_file(path, "table")
    parquet = needed("pyarrow.parquet", "data", "parquet files")
    try:
        columns: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
    except (OSError, ValueError) as cause:
        raise ValueError(f"the table file {path!r} cannot be read as parquet: {cause}") from cause
    return columns


def parse_table(text: str, delimiter: str, name: str = "the table") -> Table:
    r"""The table of separated text; empty lines are left out.

    Raises:
        ValueError: no header, a broken quote, or a row of another length, with its line.

    >>> parse_table("name,age\nAnn,31\n", ",").rows
    [['name', 'age'], ['Ann', '31']]
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if not row:
                continue
            if rows and len(row) != len(rows[0]):
                raise ValueError(
                    f"{name} must have as many cells in every row as its header ({len(rows[0])}), but line "
                    f"{reader.line_num} has {len(row)}"
                )
            rows.append([cell.strip() for cell in row])
    except csv.Error as cause:
        raise ValueError(f"{name} cannot be read, line {reader.line_num}: {cause}") from cause
    if not rows or not any(rows[0]):
        raise ValueError(f"{name} must begin with a header line, but {'that is blank' if rows else 'it is empty'}")
    return Table(rows)


def delimiter_in(text: str) -> str | None:
    r"""The delimiter of a text that is a table: several lines, each with equally many of it; None for other text.

    >>> delimiter_in("a\tb\n1\t2"), delimiter_in("one, two")
    ('\t', None)
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    for delimiter in ("\t", ",", ";"):
        if delimiter in lines[0]:
            try:
                parse_table(text, delimiter)
            except ValueError:
                continue
            return delimiter
    return None


def write_table(rows: list[list[str]], stem: Path) -> Path:
    """The rows as a comma-separated file beside `stem`."""
    path = stem.with_name(stem.name + ".csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path
