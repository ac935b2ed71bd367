"""Rows of tables that other libraries hold: Hugging Face datasets, pandas and polars frames, parquet files.

None of these libraries is imported here unless a value of theirs, or a parquet file, is passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import DataError
from .source_files import MOST_UNPACKED, located
from .source_rows import Convert, Row, Rows

VALUE = 8
"""Bytes of a value in memory, about."""


class PandasRows(Rows):
    """Rows of a pandas frame; its index is not a column, and missing values are None."""

    def __init__(self, frame: Any, *, name: str) -> None:
        super().__init__(name)
        columns = [str(column) for column in frame.columns]
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise DataError(f"{name}: the frame's column names must differ, but `{twice[0]}` is there twice")
        self.frame = frame
        self._columns = {column: frame.iloc[:, number] for number, column in enumerate(columns)}

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, index: int) -> Row:
        self.checked(index)
        return {name: plain(column.iat[index]) for name, column in self._columns.items()}

    def place(self, index: int) -> str:
        return f"row {index}"


class PolarsRows(Rows):
    """Rows of a polars frame."""

    def __init__(self, frame: Any, *, name: str) -> None:
        super().__init__(name)
        self.frame = frame

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, index: int) -> Row:
        row: Row = self.frame.row(self.checked(index), named=True)
        return row

    def place(self, index: int) -> str:
        return f"row {index}"


class ParquetRows(Rows):
    """Rows of a parquet file, which each process holds in memory as Arrow does; needs pyarrow.

    For files larger than memory pass a Hugging Face dataset, which maps its files.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        super().__init__(name)
        self.path = path
        self._table: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None}

    def table(self) -> Any:
        """The table, read on first use.

        Raises:
            DataError: pyarrow is not installed, or the file is no parquet file.
        """
        if self._table is None:
            try:
                from pyarrow import ArrowException
                from pyarrow.parquet import ParquetFile
            except ImportError as cause:
                raise DataError(
                    f"{self.path}: reading parquet needs pyarrow, which is not installed: pip install 'omniline[data]'"
                ) from cause
            if not self.path.is_file():
                raise DataError(f"{self.path}: the file must be a plain file, but is a device or a pipe")
            try:
                with ParquetFile(self.path) as file:
                    texts = self._looked_at(file)
                with ParquetFile(self.path, read_dictionary=texts) as file:  # a text that comes again is held once
                    self._table = file.read()
            except DataError:
                raise
            except (ArrowException, OSError, ValueError) as cause:
                said = str(cause).partition("\n")[0]
                raise DataError(f"{self.path}: the file must be parquet, but: {said}") from cause
        return self._table

    def _looked_at(self, file: Any) -> list[str]:
        """The columns of texts and bytes of an open file.

        Raises:
            DataError: two columns of one name, or it would swell.
        """
        names = list(file.schema_arrow.names)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"{self.path}: column names must differ, but `{twice[0]}` is there twice")
        told = file.metadata
        groups = [told.row_group(number) for number in range(told.num_row_groups)]
        values = told.num_rows * told.num_columns  # asked column by column, a broken file would end the process
        most = max(self.path.stat().st_size, 1 << 20) * MOST_UNPACKED
        if max(values * VALUE, sum(group.total_byte_size for group in groups)) > most:
            raise DataError(f"{self.path}: the file must hold at most {MOST_UNPACKED} times its size, but holds more")
        kinds = ("string", "large_string", "binary", "large_binary")
        return [field.name for field in file.schema_arrow if str(field.type) in kinds]

    def __len__(self) -> int:
        return int(self.table().num_rows)

    def __getitem__(self, index: int) -> Row:
        from pyarrow import ArrowException

        table, at = self.table(), self.checked(index)
        try:
            row = {name: column[at].as_py() for name, column in zip(table.column_names, table.columns, strict=True)}
        except (ArrowException, ValueError) as cause:
            raise DataError(f"{self.place(index)}: a value cannot be read: {cause}") from cause
        return located(row, str(self.path.parent))

    def place(self, index: int) -> str:
        return f"{self.path.name} row {index}"


def plain(value: Any) -> Any:
    """A pandas value as Python's own: numbers out of numpy's, None for what is missing."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


class Names:
    """Replaces the integers of ClassLabel features by their names, wherever they stand in a row."""

    def __init__(self, features: Mapping[str, Any]) -> None:
        self.features = {name: feature for name, feature in features.items() if holds_labels(feature)}

    def __call__(self, row: Row) -> Row:
        return {**row, **{name: named(row[name], feature) for name, feature in self.features.items() if name in row}}


def names_of(features: Any) -> Convert | None:
    """What turns the labels of a Hugging Face dataset into names; None when it has none."""
    if not isinstance(features, Mapping) or not any(holds_labels(feature) for feature in features.values()):
        return None
    return Names(features)


def holds_labels(feature: Any) -> bool:
    """Whether a feature is a ClassLabel or holds one."""
    if type(feature).__name__ == "ClassLabel":
        return True
    return any(holds_labels(inner) for inner in _inside(feature))


def named(value: Any, feature: Any) -> Any:
    """A value with label numbers as names; an unlabelled one (None or -1) is None."""
    if value is None:
        return None
    if type(feature).__name__ == "ClassLabel":
        if isinstance(value, str):
            return value
        return None if int(value) < 0 else feature.names[int(value)]
    if isinstance(feature, Mapping) and isinstance(value, Mapping):
        return {name: named(item, feature[name]) if name in feature else item for name, item in value.items()}
    inner = _inside(feature)
    if len(inner) == 1 and not isinstance(value, str | Mapping):
        return [named(item, inner[0]) for item in value]
    return named(value, inner[0]) if inner and isinstance(value, Mapping) else value


def _inside(feature: Any) -> tuple[Any, ...]:
    if isinstance(feature, Mapping):
        return tuple(feature.values())
    if isinstance(feature, list | tuple):
        return tuple(feature)
    inner = getattr(feature, "feature", None)
    return () if inner is None else (inner,)
