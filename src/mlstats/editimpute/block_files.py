"""Blocks of a Parquet or delimited file, or of a folder of them, as records and back.

A block is told by the files and rows it lies in, so that a worker can read it by
itself. Delimited text has no places to begin at: it is copied to Parquet before, by
:mod:`mlstats.editimpute.text_copy`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, ContractError, SourceError, nearest
from mlstats.object_store import is_remote, opened
from mlstats.parquet_folders import parquet_files

__all__ = [
    "FileBlock",
    "Reading",
    "RecordFiles",
    "check_named",
    "source_files",
]

Places = npt.NDArray[np.int64]

# Rows of a batch that is read or, of text, written.
COPIED_ROWS = 65_536


@dataclass(frozen=True)
class FileBlock:
    """Where the records of a block lie.

    Attributes
    ----------
    number : int
        Of the block, from 0.
    start : int
        Place of its first record in the source.
    rows : int
        How many there are.
    pieces : tuple of (str, int, int)
        Parquet file, first row in it, and number of rows.
    """

    number: int
    start: int
    rows: int
    pieces: tuple[tuple[str, int, int], ...]


def source_files(source: str) -> list[str]:
    """Return the absolute path of a file, or those of a folder in the order of names.

    Parameters
    ----------
    source : str
        A path, or an address in an S3 store.

    Raises
    ------
    SourceError
        Where there is no such file, or no Parquet file in the folder.
    """
    if not is_remote(source) and not Path(source).exists():
        raise SourceError("There is no such file", where=source)
    if not is_remote(source) and Path(source).is_file():
        return [str(Path(source).absolute())]
    return parquet_files(source)


@contextmanager
def _parquet(path: str) -> Iterator[Any]:
    """Open a Parquet file; what is wrong with it is told by its address alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with opened(path) as raw, pq.ParquetFile(raw, pre_buffer=True) as file:
            yield file
    except (pa.ArrowException, OSError):
        # Its message quotes the record, so it is not passed on.
        raise SourceError("The file cannot be read as a table", where=path) from None


@dataclass(frozen=True, eq=False)
class Reading:
    """How a block is read and its records are written.

    Attributes
    ----------
    unit : str or None
        Column with the label of a record.
    numeric : tuple of str
        Columns that are decimal numbers here.
    decimal : str
        Decimal point of texts that are numbers.
    schema : pyarrow.Schema
        Of the source; that of the target has decimal numbers in `numeric`.
    """

    unit: str | None
    numeric: tuple[str, ...]
    decimal: str
    schema: Any

    def frame(self, block: FileBlock) -> pd.DataFrame:
        """Return the records of a block, labelled."""
        return self.labelled(self.records(block), block, np.arange(block.rows))

    def records(self, block: FileBlock) -> Any:
        """Return the records of a block as they are in the source, a pyarrow.Table."""
        import pyarrow as pa

        return pa.concat_tables([self._piece(*piece) for piece in block.pieces])

    def labelled(self, records: Any, block: FileBlock, rows: Places) -> pd.DataFrame:
        """Return some of the records of a block, labelled.

        Parameters
        ----------
        records : pyarrow.Table
            Those of the block.
        block : FileBlock
            Where they lie.
        rows : ndarray of int
            Which of them.
        """
        import pyarrow.compute as pc

        some = records if len(rows) == len(records) else records.take(rows)
        frame = self._frame(some)
        if self.unit is None:
            frame.index = pd.Index(block.start + rows)
            return frame
        frame.index = pd.Index(frame[self.unit].to_numpy(dtype=object), dtype=object)
        if pc.any(some.column(self.unit).is_null(nan_is_null=True)).as_py():
            raise ContractError(f"A record has no label in {self.unit!r}")
        return frame

    def table(self, records: Any, rows: Places, values: pd.DataFrame) -> Any:
        """Return the records of a block as a table with the columns of the target.

        Parameters
        ----------
        records : pyarrow.Table
            As they are in the source.
        rows : ndarray of int
            Those that were treated.
        values : DataFrame
            Their values after treatment.
        """
        import pyarrow as pa

        order = np.arange(len(records))
        order[rows] = np.arange(len(records), len(records) + len(rows))
        schema, columns = self._target(), []
        for name, kind in zip(schema.names, schema.types, strict=True):
            before = self._untreated(records.column(name), name, kind)
            column = values[name]
            if name in self.numeric:
                column = pd.to_numeric(column, errors="coerce").astype(float)
            after = pa.Array.from_pandas(column, type=kind)
            both = pa.chunked_array([*before.chunks, after], type=kind)
            columns.append(both.take(order) if len(rows) else before)
        return pa.Table.from_arrays(columns, schema=schema)

    def _untreated(self, column: Any, name: str, kind: Any) -> Any:
        """Return a column of the source as one of the target."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if name in self.numeric:
            numbers = pd.to_numeric(self._numbers(column), errors="coerce")
            made = pa.array(numbers.astype(float), kind, from_pandas=True)
            return pa.chunked_array([made])
        if pa.types.is_floating(kind):
            return pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        return column.cast(kind)

    def _target(self) -> Any:
        import pyarrow as pa

        kinds = []
        for name, kind in zip(self.schema.names, self.schema.types, strict=True):
            if name in self.numeric:
                kinds.append(pa.float64())
            else:
                kinds.append(pa.string() if pa.types.is_dictionary(kind) else kind)
        return pa.schema(list(zip(self.schema.names, kinds, strict=True)))

    def _piece(self, path: str, first: int, rows: int) -> Any:
        """Return rows of a file; only the row groups that hold some are unpacked."""
        import pyarrow as pa

        batches, at = [], 0
        with _parquet(path) as file:
            wanted = []
            for group in range(file.metadata.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if at < first + rows and at + size > first:
                    wanted.append((group, at))
                at += size
            at = wanted[0][1]
            groups = [group for group, _ in wanted]
            size = min(rows, COPIED_ROWS)
            for batch in file.iter_batches(size, groups, use_threads=False):
                low, high = max(first - at, 0), min(first + rows - at, len(batch))
                if low < high:
                    batches.append(batch.slice(low, high - low))
                at += len(batch)
                if at >= first + rows:
                    break
        return (
            pa.Table.from_batches(batches).select(self.schema.names).cast(self.schema)
        )

    def _frame(self, table: Any) -> pd.DataFrame:
        import pyarrow as pa

        columns = {}
        for name in table.schema.names:
            column = table.column(name)
            if name in self.numeric:
                columns[name] = self._numbers(column)
            elif pa.types.is_floating(column.type):
                columns[name] = pd.Series(column.to_numpy(), dtype=float)
            elif pa.types.is_integer(column.type):
                columns[name] = column.to_pandas(types_mapper=lambda _: pd.Int64Dtype())
            else:
                columns[name] = column.to_pandas().astype(object)
        return pd.DataFrame(columns)

    def _numbers(self, column: Any) -> pd.Series:
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
        if not any(is_text(column.type) for is_text in texts):
            return pd.Series(column.to_numpy(), dtype=float)
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        if self.decimal != ".":
            text = pc.replace_substring(text, self.decimal, ".")
        try:
            # Every number that was written reads back as it was.
            return pd.Series(pc.cast(text, pa.float64()).to_numpy(), dtype=float)
        except pa.ArrowInvalid:
            # What is no number stays text: the review tells it, treatment replaces it.
            values = [_number(value) for value in text.to_pylist()]
            told = any(isinstance(value, str) for value in values)
            return pd.Series(values, dtype=object if told else float)


@dataclass(frozen=True, eq=False)
class RecordFiles:
    """The files of a source, and the blocks that they make together.

    Attributes
    ----------
    reading : Reading
        How their blocks are read.
    sizes : tuple of (str, int)
        Each Parquet file and its number of records, in their order.
    """

    reading: Reading
    sizes: tuple[tuple[str, int], ...]

    @classmethod
    def open(
        cls,
        files: Sequence[str],
        unit: str | None,
        numeric: Collection[str],
        decimal: str = ".",
    ) -> RecordFiles:
        """Read what Parquet files say of themselves.

        Raises
        ------
        SourceError
            Where one cannot be read, or partitions differ in their columns.
        ConfigError
            Where a column that is named is not there.
        """
        import pyarrow as pa

        schemas, sizes = [], []
        for path in files:
            with _parquet(path) as file:
                schemas.append(file.schema_arrow.remove_metadata())
                sizes.append((path, int(file.metadata.num_rows)))
            check_named(schemas[-1].names, unit, numeric, path)
            if set(schemas[-1].names) != set(schemas[0].names):
                raise SourceError(
                    "A partition has other columns than the first", where=path
                )
        try:
            # A part in which a column is empty, or has a gap, may say another type.
            schema = pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException:
            raise SourceError(
                "The partitions differ in the types of their columns",
                where=files[0],
            ) from None
        return cls(Reading(unit, tuple(numeric), decimal, schema), tuple(sizes))

    def blocks(self, rows: int) -> Iterator[FileBlock]:
        """Yield blocks of so many records, the last of fewer, across the files."""
        pieces: list[tuple[str, int, int]] = []
        number = start = have = 0
        for path, size in self.sizes:
            at = 0
            while at < size:
                taken = min(rows - have, size - at)
                pieces.append((path, at, taken))
                at, have = at + taken, have + taken
                if have == rows:
                    yield FileBlock(number, start, have, tuple(pieces))
                    number, start, have, pieces = number + 1, start + have, 0, []
        if have:
            yield FileBlock(number, start, have, tuple(pieces))

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(size for _, size in self.sizes)


def check_named(
    names: list[str], unit: str | None, numeric: Collection[str], where: str
) -> None:
    """Stop where a column that is named is not there.

    Raises
    ------
    ConfigError
        Telling the nearest name.
    """
    for name in [*numeric, *([unit] if unit else [])]:
        if name not in names:
            raise ConfigError(
                f"There is no column {name!r} in the file",
                where=where,
                nearest=nearest(name, names),
            )


def _number(text: str | None) -> Any:
    try:
        return np.nan if text is None else float(text)
    except ValueError:
        return text
