"""Tables of any size: Parquet files parted into blocks of rows that are read alone.

A table is one Parquet file, a folder of them, or an address of an S3 store with
either. Opening it reads the footers; a partition is then a few words that a worker is
sent, and reads its own rows. Whatever the partitioning, the rows, their order and
their types are those of the table read whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlstats.errors import ConfigError, SourceError
from mlstats.object_store import (
    FileState,
    base_name,
    changed,
    check_unchanged,
    is_remote,
    opened,
    sha256_of,
    state_of,
)
from mlstats.parquet_folders import (
    MANIFEST,
    check_manifest,
    parquet_files,
    read_manifest,
)
from mlstats.parquet_types import as_frame, one_schema, schema_of
from mlstats.scale import Scale, map_blocks
from mlstats.table import Table, check_has_columns, column_names, finish_table

__all__ = [
    "MANIFEST",
    "Partition",
    "PartitionedTable",
    "digest_of",
    "is_partitioned",
]

BLOCK_ROWS: Final = 1_000_000
_SUFFIX: Final = ".parquet"


@dataclass(frozen=True)
class Partition:
    """Consecutive rows of one file of a table: what a worker is sent.

    Parameters
    ----------
    path : str
        The file: a local path, or ``s3://bucket/key``.
    first_group, groups : int
        The row groups of the file that belong to it.
    rows : int
        How many rows they have; one or more.
    start : int
        The number of its first row in the whole table.
    schema : pyarrow.Schema, optional
        The columns of the whole table, to whose types the rows are brought; without,
        those of the file.
    """

    path: str
    first_group: int
    groups: int
    rows: int
    start: int
    schema: pa.Schema | None = field(default=None, repr=False)

    def read(
        self,
        columns: Sequence[str] | None = None,
        *,
        text_columns: Collection[str] = (),
    ) -> pd.DataFrame:
        """Read the rows.

        Parameters
        ----------
        columns : sequence of str, optional
            Columns to read, in this order; by default all. No other is read.
        text_columns : collection of str
            Columns that are text whatever the file holds, such as codes; names that
            the table does not have are passed over.

        Returns
        -------
        pandas.DataFrame
            Numbered from 0, with the types that :func:`mlstats.io.read_table` gives
            the whole table.

        Raises
        ------
        SourceError
            For a file that is gone, damaged or has other rows than when the table was
            opened, and for a column that is not there.
        ServiceError
            Where the store does not answer, or refuses.
        """
        with _parquet(self.path) as (file, _):
            names = _names(file, self.path)
            wanted = list(names if columns is None else columns)
            if not wanted:
                return pd.DataFrame(index=pd.RangeIndex(self.rows))
            check_has_columns(names, wanted, self.path)
            stored = [file.schema_arrow.names[names.index(name)] for name in wanted]
            if self.first_group + self.groups > file.metadata.num_row_groups:
                raise changed(self.path, "read")
            groups = range(self.first_group, self.first_group + self.groups)
            table = file.read_row_groups(groups, columns=stored, use_threads=False)
            if table.num_rows != self.rows:
                raise changed(self.path, "read")
            # A name with a dot in it brings the columns below it along.
            table = pa.table([table.column(name) for name in stored], names=wanted)
            whole = schema_of(file, names) if self.schema is None else self.schema
        frame = as_frame(table, whole, where=self.path)
        read = Table(frame, self.path, "parquet", "")
        return finish_table(read, text_columns=text_columns).frame

    def digest(self) -> str:
        """Return the SHA-256 of the bytes of its whole file in hex.

        Raises
        ------
        SourceError, ServiceError
            Where the file cannot be read.
        """
        return sha256_of(self.path)


@dataclass(frozen=True)
class PartitionedTable:
    """A table of one or more Parquet files, opened and not read.

    Parameters
    ----------
    source : str
        The file, folder or address.
    partitions : tuple of Partition
        In the order of the rows.
    columns : tuple of str
        In the order of the first file.
    rows : int
        Of all partitions.
    states : mapping of str to FileState
        File -> what changes with its content, see
        :func:`mlstats.object_store.state_of`.
    """

    source: str
    partitions: tuple[Partition, ...]
    columns: tuple[str, ...]
    rows: int
    states: Mapping[str, FileState] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls, source: str | Path, *, block_rows: int = BLOCK_ROWS
    ) -> PartitionedTable:
        """Open a table: its files are found and their footers read.

        Parameters
        ----------
        source : str or pathlib.Path
            A file that ends in ``.parquet``, a folder of such files, or
            ``s3://bucket/prefix`` of either. Files of a folder follow each other by
            name in natural order (``part-2`` before ``part-10``); names that begin
            with a dot or an underscore are passed over. A folder may not hold folders:
            name each, as with ``{period}`` in a pilot's source.
        block_rows : int
            A file with more rows is parted between its row groups. A single row group
            that is larger is not, so that a partition has as many rows as the larger
            of the two; files are written with row groups that fit in memory.

        Raises
        ------
        SourceError
            For no files, no rows, files that are damaged, that are not Parquet, whose
            columns do not agree, or that are not those of the folder's manifest.
        ServiceError
            Where a store does not answer, or refuses.
        ConfigError
            Where the extra ``s3`` is needed and not installed.
        """
        if block_rows < 1:
            raise ConfigError(
                f"A block of {block_rows} rows is none",
                where="block_rows",
                expected="1 or more",
            )
        address = str(source)
        files = parquet_files(address)
        footers = [_footer(path) for path in files]
        told = read_manifest(address)
        if told is not None:
            check_manifest(told, address, {f.path: f.rows for f in footers})
        schema = one_schema([(f.path, f.schema, f.rows) for f in footers])
        partitions = tuple(_parted(footers, schema, block_rows))
        if not partitions:
            raise SourceError(
                "The table has column names but no rows",
                where=address,
                expected="one row or more",
                hint="check that the export, or the period asked for, has records",
            )
        rows = sum(partition.rows for partition in partitions)
        states = {footer.path: footer.state for footer in footers}
        return cls(address, partitions, tuple(schema.names), rows, states)

    def check_unchanged(self, path: str | None = None) -> None:
        """Check that the files are those that were opened.

        Whoever has read all partitions for one result asks this before it is used:
        a file that was written anew in between would give rows of two tables.

        Parameters
        ----------
        path : str, optional
            The only file to look at, after a partition of it was read.

        Raises
        ------
        SourceError
            Where a file is gone or was written since.
        ServiceError
            Where the store does not answer, or refuses.
        """
        states = self.states if path is None else {path: self.states[path]}
        check_unchanged(states, "read")

    def digest(self, workers: int | Scale = 1) -> str:
        """Return one SHA-256 of the table's files, each read once.

        Parameters
        ----------
        workers : int or Scale
            As in :func:`mlstats.scale.map_blocks`.

        Returns
        -------
        str
            In hex: of one file that of its bytes, as :func:`mlstats.io.read_table`
            tells it; of more that of their digests, in order, one a line. It does not
            depend on how many rows a partition has.

        Raises
        ------
        SourceError
            Where a file is gone, or is not what the folder's manifest says.
        """
        files = list(dict.fromkeys(partition.path for partition in self.partitions))
        found = list(map_blocks(sha256_of, files, workers=workers))
        told = read_manifest(self.source)
        listed = {} if told is None else told["files"]
        for path, digest in zip(files, found, strict=True):
            name = base_name(path)
            if name in listed and listed[name]["sha256"] != digest:
                raise SourceError(
                    "The file is not the one that the folder's manifest lists",
                    where=path,
                    expected=f"the checksum in {MANIFEST}",
                    hint="convert the source again, or copy the folder again",
                )
        return found[0] if len(found) == 1 else _joined(found)


def is_partitioned(source: str) -> bool:
    """Return whether a source is a folder, lies in a store, or has several partitions.

    Raises
    ------
    SourceError
        For a Parquet file that is damaged.
    """
    if is_remote(source) or Path(source).is_dir():
        return True
    if not (source.lower().endswith(_SUFFIX) and Path(source).is_file()):
        return False
    with _parquet(source) as (file, _):
        sizes = _group_rows(file.metadata)
    return len(list(_runs(sizes, BLOCK_ROWS))) > 1


def digest_of(source: str) -> str:
    """Return the digest of a table of partitions, or of any other file.

    Raises
    ------
    SourceError, ServiceError, ConfigError
        As :meth:`PartitionedTable.open` and :meth:`PartitionedTable.digest`.
    """
    if is_partitioned(source):
        return PartitionedTable.open(source).digest()
    return sha256_of(source)


@dataclass(frozen=True)
class _Footer:
    path: str
    groups: tuple[int, ...]
    schema: pa.Schema
    state: FileState

    @property
    def rows(self) -> int:
        return sum(self.groups)


def _footer(path: str) -> _Footer:
    with _parquet(path) as (file, raw):
        names, state = _names(file, path), state_of(path, raw)
        return _Footer(path, _group_rows(file.metadata), schema_of(file, names), state)


@contextmanager
def _parquet(path: str) -> Iterator[tuple[pq.ParquetFile, BinaryIO]]:
    """Open a Parquet file; what is wrong with it is told by its address alone."""
    try:
        with opened(path) as raw, pq.ParquetFile(raw, pre_buffer=True) as file:
            yield file, raw
    except (pa.ArrowException, OSError):
        raise SourceError(
            "The file is not a readable Parquet file",
            where=path,
            expected="a complete Parquet file",
            hint="write or copy it again; an interrupted copy looks like this",
        ) from None


def _names(file: pq.ParquetFile, path: str) -> list[str]:
    return column_names(file.schema_arrow.names, path, [])


def _group_rows(meta: Any) -> tuple[int, ...]:
    return tuple(meta.row_group(i).num_rows for i in range(meta.num_row_groups))


def _parted(
    footers: Sequence[_Footer], schema: pa.Schema, block_rows: int
) -> Iterator[Partition]:
    start = 0
    for footer in footers:
        for first, groups, rows in _runs(footer.groups, block_rows):
            yield Partition(footer.path, first, groups, rows, start, schema)
            start += rows


def _runs(sizes: Sequence[int], block_rows: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first, how many, rows) of runs of row groups; runs of no row are none."""
    first, rows = 0, 0
    for i, size in enumerate(sizes):
        if rows and rows + size > block_rows:
            yield first, i - first, rows
            first, rows = i, 0
        rows += size
    if rows:
        yield first, len(sizes) - first, rows


def _joined(digests: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
