"""The data of a period that come in partitions, of which one is in memory at a time."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mlstats import __version__, io
from mlstats.config import Pilot
from mlstats.errors import SourceError
from mlstats.partitions import Partition, PartitionedTable, is_partitioned
from mlstats.period_source import has_own_files, of_period
from mlstats.recoding import recoded
from mlstats.scale import Scale, progress
from mlstats.settings import Settings
from mlstats.sources import ROW_NUMBER, in_periods, source_finder, text_columns_of

__all__ = [
    "PartReader",
    "PartedData",
    "as_parquet",
    "finished",
    "forget_finished",
    "needed_columns",
    "parted",
    "part_digest",
    "rows_of",
    "staged",
    "write_finished",
    "write_staged",
]

_DONE: Final = ".done"


@dataclass(frozen=True)
class PartReader:
    """How a partition is read as the data of a period; sent to workers.

    Parameters
    ----------
    pilot : Pilot
        As it is written.
    period : str
        Rows of other periods are left out.
    columns : tuple of str
        Of the table: no other is read.
    codes : tuple of str
        Columns that are text beside those of the pilot.
    """

    pilot: Pilot
    period: str
    columns: tuple[str, ...]
    codes: tuple[str, ...] = ()

    def __call__(self, part: Partition) -> pd.DataFrame:
        """Return the part's rows of the period, with their numbers in the table."""
        pilot, column = self.pilot, self.pilot.data.roles.period
        frame = self.rows(part)
        if column is None:
            return frame
        if column not in frame:
            # Without files of its own the contract tells that the column is missing.
            own = has_own_files(pilot)
            return frame.assign(**{column: self.period}) if own else frame
        return frame[(frame[column].astype("str") == self.period).to_numpy()]

    def rows(self, part: Partition) -> pd.DataFrame:
        """Return all rows of the part, with their numbers in the table."""
        pilot, column = self.pilot, self.pilot.data.roles.period
        text = {*text_columns_of(pilot), *self.codes}
        frame = part.read(self.columns, text_columns=text)
        frame.index = pd.RangeIndex(part.start, part.start + len(frame))
        if pilot.data.roles.unit_id == ROW_NUMBER and ROW_NUMBER not in frame:
            frame[ROW_NUMBER] = (frame.index + 1).astype(str).to_numpy(dtype=object)
        if column in frame and pilot.data.frequency is not None:
            frame[column] = in_periods(frame[column], pilot.data.frequency)
        return recoded(frame, pilot.data.recode)


@dataclass(frozen=True, eq=False)
class PartedData:
    """A period's partitions, and where what is made of them lies until it is released.

    Parameters
    ----------
    reader : PartReader
        Reads a partition.
    table : PartitionedTable
        All of them.
    scale : Scale
        Where they are worked on.
    staging : pathlib.Path
        Confidential; of this period alone.
    again : numpy.ndarray of int
        Numbers of the rows, from 1 and sorted, whose id an earlier row has.
    first : mapping of int to int
        Start of a partition -> number of its first row among those of the period,
        where the table holds rows of others.
    """

    reader: PartReader
    table: PartitionedTable
    scale: Scale
    staging: Path
    again: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    first: Mapping[int, int] = field(default_factory=dict)

    @property
    def watched(self) -> Path:
        """Where the watched columns of each part lie."""
        return self.staging / "watched"

    def key(self, digest: str, *decides: object) -> str:
        """Return a digest of everything that a finished part depends on.

        Parameters
        ----------
        digest : str
            Of the data of the period.
        *decides : object
            What else does, of a type whose ``repr`` tells its whole content.
        """
        parts = [
            (p.path, p.first_group, p.groups, p.rows, p.start)
            for p in self.table.partitions
        ]
        reader = self.reader
        pilot = reader.pilot.model_dump_json()
        read = pilot, reader.period, reader.columns, reader.codes
        told = repr((__version__, digest, parts, read, decides))
        return hashlib.sha256(told.encode()).hexdigest()[:24]


def parted(
    pilot: Pilot, settings: Settings, period: str, staging: Path
) -> PartedData | None:
    """Open the data of a period as partitions; None where they are one small table.

    Parameters
    ----------
    pilot : Pilot
        As it is written.
    settings : Settings
        Where data lie, and where blocks are worked on.
    period : str
        Which one.
    staging : pathlib.Path
        See :class:`PartedData`.
    """
    source = of_period(pilot, period).data.source
    place = source_finder(settings)(source)
    if not is_partitioned(place):
        return None
    table = PartitionedTable.open(place)
    reader = PartReader(pilot, period, tuple(needed_columns(pilot, table.columns)))
    return PartedData(reader, table, Scale.of(settings), staging)


def rows_of(data: PartedData, units: Collection[str]) -> tuple[pd.DataFrame, str]:
    """Return the rows of some units, numbered from 0, and the digest of all rows.

    The digest is that of :func:`mlstats.parts_reading.read_parts`.
    """
    wanted, column = set(units), data.reader.pilot.data.roles.unit_id
    found, rows, left_out = [], hashlib.sha256(), 0
    for part in progress(
        data.table.partitions, len(data.table.partitions), "Reading the parts"
    ):
        frame = data.reader(part)
        left_out += part.rows - len(frame)
        rows.update(part_digest(frame))
        found.append(frame[frame[column].isin(wanted)])
    digest = rows.hexdigest() if left_out else data.table.digest(data.scale)
    data.table.check_unchanged()
    return pd.concat(found, ignore_index=True), digest


def part_digest(frame: pd.DataFrame) -> bytes:
    """Return the sha256 of the rows of a part, of all columns that were read."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).digest()


def needed_columns(pilot: Pilot, there: Sequence[str]) -> list[str]:
    """Return the columns that a production reads, in the order of the table."""
    named = set(pilot.data.roles.columns())
    named |= {recode.of for recode in pilot.data.recode.values()}
    for spec in pilot.methods.values():
        column = spec.params.get("column")
        named |= {column} if isinstance(column, str) else set()
    return [name for name in there if name in named]


def staged(folder: Path, number: int) -> Path:
    """Return where a part lies; names sort as the parts do."""
    return folder / f"part-{number:05d}.parquet"


def write_staged(folder: Path, number: int, content: bytes) -> None:
    """Write a part, whole or not at all."""
    with suppress(OSError):  # where it cannot be made, writing tells why
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(path: Path) -> None:
        path.write_bytes(content)

    io.write_atomic(staged(folder, number), write)


def write_finished(
    folder: Path, number: int, contents: Mapping[str, bytes], **told: int
) -> None:
    """Stage all tables of a part, then what tells that it is finished.

    Parameters
    ----------
    contents : mapping of str to bytes
        Folder below `folder` -> the part; none where the part has no row.
    told : int
        What :func:`finished` gives back.
    """
    for name, content in contents.items():
        write_staged(folder / name, number, content)
    files = {n: hashlib.sha256(content).hexdigest() for n, content in contents.items()}
    io.write_json(_marker(folder, number), {"files": files, "told": told})


def finished(folder: Path, number: int) -> dict[str, int] | None:
    """Return what was told of a part; None where it is not there as it was written."""
    try:
        marker = json.loads(_marker(folder, number).read_text(encoding="utf-8"))
        for name, digest in marker["files"].items():
            if io.sha256_file(staged(folder / name, number)) != digest:
                return None
        return dict(marker["told"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SourceError):
        return None


def forget_finished(folder: Path) -> None:
    """Remove what tells which parts are finished; the parts stay."""
    shutil.rmtree(folder / _DONE, ignore_errors=True)


def _marker(folder: Path, number: int) -> Path:
    return folder / _DONE / f"{number:05d}.json"


def as_parquet(frame: pd.DataFrame, *, texts_alike: bool = False) -> bytes:
    """Return a table as the bytes of a Parquet file without its index.

    Categories have the same type in every part, however many there are, and none.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    texts_alike : bool
        Whether texts have the same type in every part too, whatever pandas holds
        them as; a column without any value is one of them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for place, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            kind = pa.dictionary(pa.int32(), pa.string())
        elif texts_alike and column.type in (pa.null(), pa.string()):
            kind = pa.large_string()
        else:
            continue
        table = table.set_column(place, column.name, table.column(place).cast(kind))
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())
