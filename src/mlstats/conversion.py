"""Delimited text of any size as a folder of Parquet partitions, by stream.

The types are those that a reading of the whole file would give. The folder appears
when all of it is on the disk, its manifest with it; a conversion that was stopped
leaves nothing that is taken for a table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from mlstats.errors import ConfigError, RefusedError, SourceError
from mlstats.object_store import (
    FileState,
    base_name,
    changed,
    check_unchanged,
    is_remote,
    sha256_of,
    state_of,
)
from mlstats.partitions import BLOCK_ROWS, MANIFEST
from mlstats.scale import progress
from mlstats.table import check_has_columns
from mlstats.text_blocks import TextBlocks
from mlstats.writing import sole_writer, write_folder, write_json

__all__ = ["Conversion", "convert"]

_SUFFIXES: Final = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
_SPILLED: Final = "_spilled"
_DONE: Final = "converted"


@dataclass(frozen=True)
class Conversion:
    """A folder of partitions, and what was recognised in its source.

    Parameters
    ----------
    folder : pathlib.Path
        Holds ``part-NNNNN.parquet`` and the manifest.
    rows, parts : int
        How many there are.
    notes : list of str
        One sentence each.
    is_new : bool
        False where the folder held the conversion of the same source already.
    """

    folder: Path
    rows: int
    parts: int
    notes: list[str]
    is_new: bool


def convert(
    source: str | Path,
    target_folder: str | Path,
    *,
    rows: int = BLOCK_ROWS,
    by: str | None = None,
    text_columns: Collection[str] = (),
    encoding: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
) -> Conversion:
    """Convert delimited text to a folder of Parquet partitions.

    Encoding, separator, decimal sign and types are those that
    :func:`mlstats.io.read_table` finds in the whole file. In memory are some
    blocks of 4 MB of text, which is what a value may have, and what is made of one;
    with `by` one partition.

    Parameters
    ----------
    source : str or pathlib.Path
        A file that ends in ``.csv``, ``.tsv`` or ``.txt``, also with ``.gz``; here or
        at an address of a store.
    target_folder : str or pathlib.Path
        A folder of this machine that is not there, or that holds the conversion of
        this very source with these options, which is then kept as it is.
    rows : int
        Of a partition, the last has fewer.
    by : str, optional
        Column of the cluster: whole clusters lie in one partition, by a hash of their
        name; a row without a cluster is its own. The order of the rows is then by
        partition, in each as in the file, and a partition has about `rows` rows, or
        as many as a cluster in it needs.
    text_columns, encoding, separator, decimal
        As in :func:`mlstats.io.read_table`. A code that looks like a number with a
        fraction (1.10) keeps its letters only where its column is named.

    Raises
    ------
    SourceError
        For what cannot be read as delimited text, a missing column `by`, and a file
        that is changed meanwhile.
    RefusedError
        Where the folder holds something else.
    ServiceError
        Where the disk is full or the folder cannot be written.
    ConfigError
        For options that do not exist.
    """
    address, target = str(source), Path(target_folder)
    _check(address, str(target_folder), rows)
    options = {
        "rows": rows,
        "by": by,
        "text_columns": sorted(text_columns),
        "encoding": encoding,
        "separator": separator,
        "decimal": decimal,
    }
    with sole_writer(target):
        state, digest = state_of(address), sha256_of(address)
        known = _known(target, digest, options)
        if known is not None:
            return known
        blocks = TextBlocks.open(
            address,
            text_columns=text_columns,
            encoding=encoding,
            separator=separator,
            decimal=decimal,
        )
        if by is not None:
            check_has_columns(list(blocks.columns), [by], address)
        told = {
            "source": {"name": base_name(address), "sha256": digest},
            "options": options,
            "rows": blocks.rows,
            "columns": list(blocks.columns),
            "notes": list(blocks.notes),
        }
        files = _write(target, _unchanged(blocks, state), told, rows, by)
    return Conversion(target, blocks.rows, files, list(blocks.notes), True)


def _check(address: str, target: str, rows: int) -> None:
    if rows < 1:
        raise ConfigError(
            f"A partition of {rows} rows is none", where="--rows", expected="1 or more"
        )
    if is_remote(target):
        raise ConfigError(
            "A conversion is written to a folder of this machine",
            where=target,
            expected="a folder",
            hint="copy the folder to the store when it is done, its manifest last",
        )
    if not address.lower().endswith(_SUFFIXES):
        raise SourceError(
            "Only delimited text is converted",
            where=address,
            expected=f"a name that ends in {', '.join(_SUFFIXES)}",
            hint="Parquet is read by partition as it is; workbooks and SAS files are "
            "small enough to be read whole",
        )


def _known(target: Path, digest: str, options: Mapping[str, Any]) -> Conversion | None:
    """Return what the folder holds where it is of this source and these options."""
    if not target.exists():
        return None
    try:
        told = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        same = told["source"]["sha256"] == digest and told["options"] == options
        listed = {name: entry["sha256"] for name, entry in told["files"].items()}
        if same and all(sha256_of(str(target / n)) == d for n, d in listed.items()):
            return Conversion(target, told["rows"], len(listed), told["notes"], False)
    except (OSError, ValueError, KeyError, TypeError, SourceError):
        pass  # it is something else, or damaged: nothing of it is overwritten
    raise RefusedError(
        "The folder is there and is not the conversion of this source",
        where=str(target),
        expected="a folder that is not there",
        hint="name another folder, or remove this one; data that changed are another "
        "table",
    )


def _write(
    target: Path,
    blocks: Iterable[pa.Table],
    told: Mapping[str, Any],
    rows: int,
    by: str | None,
) -> int:
    """Write the partitions and then the manifest; return how many there are."""
    counts: list[int] = []

    def write(hidden: Path) -> None:
        shown = progress(blocks, None, "Blocks of 4 MB of text converted")
        if by is None:
            counts.extend(_in_order(hidden, shown, rows))
        else:
            buckets = math.ceil(told["rows"] / rows)
            counts.extend(_by_cluster(hidden, shown, buckets, by))
        files = {
            _part(i): {"rows": count, "sha256": sha256_of(str(hidden / _part(i)))}
            for i, count in enumerate(counts)
        }
        write_json(hidden / MANIFEST, {**told, "files": files})

    write_folder(target, write)
    return len(counts)


def _unchanged(blocks: TextBlocks, state: FileState) -> Iterator[pa.Table]:
    """Yield the blocks; refuse a source that is not what was read of it before."""
    try:
        yield from blocks
    except pa.ArrowException:
        raise changed(blocks.address, _DONE) from None
    check_unchanged({blocks.address: state}, _DONE)


def _part(number: int) -> str:
    return f"part-{number:05d}.parquet"


def _in_order(folder: Path, blocks: Iterable[pa.Table], rows: int) -> Iterator[int]:
    """Write the rows as they come; yield how many each partition has."""
    writer: pq.ParquetWriter | None = None
    number, filled = 0, 0
    try:
        for block in blocks:
            at = 0
            while at < len(block):
                if writer is None:
                    writer = pq.ParquetWriter(folder / _part(number), block.schema)
                piece = block.slice(at, rows - filled)
                writer.write_table(piece)
                at, filled = at + len(piece), filled + len(piece)
                if filled == rows:
                    writer.close()
                    writer = None
                    yield filled
                    number, filled = number + 1, 0
        if filled:
            yield filled
    finally:
        if writer is not None:
            writer.close()


def _by_cluster(
    folder: Path, blocks: Iterable[pa.Table], buckets: int, by: str
) -> Iterator[int]:
    """Write whole clusters to a partition each; yield how many rows it has."""
    first = 0
    for block in blocks:
        numbers = _buckets(block.column(by), first, buckets)
        first += len(block)
        # Sorted by bucket, stable: each is then one slice, in the order of the file.
        order = np.argsort(numbers, kind="stable")
        edges = np.searchsorted(numbers[order], np.arange(buckets + 1))
        ordered = block.take(pa.array(order))
        for number in np.flatnonzero(np.diff(edges)).tolist():
            piece = ordered.slice(edges[number], edges[number + 1] - edges[number])
            _spill(folder / f"{_SPILLED}{number}", piece)
    number = 0
    for spilled in (folder / f"{_SPILLED}{i}" for i in range(buckets)):
        if not spilled.exists():
            continue  # no cluster fell into this bucket
        table = _spilled(spilled)
        # One row group: a table is parted between row groups, a cluster never is.
        pq.write_table(table, folder / _part(number), row_group_size=len(table))
        spilled.unlink()
        number += 1
        yield len(table)


def _buckets(
    clusters: pa.ChunkedArray, first: int, buckets: int
) -> npt.NDArray[np.uint64]:
    """Return the bucket of each row by its cluster, or by its number without one."""
    named = clusters.cast(pa.string()).to_pandas()
    hashes = pd.util.hash_array(named.to_numpy(dtype=object))
    rows = np.arange(first, first + len(named), dtype=np.uint64)
    return np.where(named.isna(), rows, hashes).astype(np.uint64) % np.uint64(buckets)


def _spill(file: Path, table: pa.Table) -> None:
    # Opened anew for each piece: there may be more buckets than files may be open.
    with file.open("ab") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _spilled(file: Path) -> pa.Table:
    """Return the pieces of a bucket: streams that follow each other in one file."""
    pieces = []
    with pa.OSFile(str(file)) as source:
        while source.tell() < source.size():
            with pa.ipc.open_stream(source) as reader:
                pieces.append(reader.read_all())
    return pa.concat_tables(pieces)
