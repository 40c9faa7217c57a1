"""A file too large for memory through review, selection and treatment, in blocks.

The file is read twice: once to draw the donors from all of it, once to treat it. What
is done to a record depends on the record, its label, the donors and the seed, and on
no other record: not on the size of the blocks, the partitions of the source, the
number of workers or the order in which they end. Ties and draws are those of the
label; ranks are taken over the donors; models are fitted on the donors, once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from mlstats import __version__
from mlstats.editimpute.block_files import (
    FileBlock,
    Reading,
    RecordFiles,
    copy_of_text,
    source_files,
)
from mlstats.editimpute.consistent import EditConsistent
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.pool import Pool
from mlstats.editimpute.pool_drawing import CellsOf, Drawing, draw_pool
from mlstats.editimpute.processing import process
from mlstats.editimpute.treated_blocks import (
    BlockStore,
    RowWriter,
    identity,
    packed,
    unpacked,
)
from mlstats.errors import ConfigError, MlstatsError, RefusedError
from mlstats.object_store import FileState, check_unchanged, is_remote, state_of
from mlstats.scale import map_blocks, progress
from mlstats.writing import sole_writer, write_atomic

if TYPE_CHECKING:
    from mlstats.scale import Scale

__all__ = ["ProcessedFile", "process_file"]

_RESULTS: Final = ("values.parquet", "cells.parquet")


@dataclass(frozen=True, eq=False)
class ProcessedFile:
    """What was done to a file.

    Attributes
    ----------
    values, cells : Path
        The treated records in their order, and the provenance, both Parquet. The
        columns of `cells` are row (from 0) and those of
        :class:`~mlstats.editimpute.processing.Processed`, values as text (the shortest
        that reads back to the same number).
    records, donors, blocks : int
        How many there were.
    computed : int
        Blocks that this run treated; the others were found finished.
    review : DataFrame
        status, records: before treatment.
    counts, edits : DataFrame
        As in :class:`~mlstats.editimpute.processing.Processed`, for the whole file.
    """

    values: Path
    cells: Path
    records: int
    donors: int
    blocks: int
    computed: int
    review: pd.DataFrame
    counts: pd.DataFrame
    edits: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Asked:
    """What was asked for, but where the records lie."""

    edits: EditSet | None
    imputer: Any
    mask: CellsOf | None
    structural: CellsOf | None
    weights: Mapping[str, float] | None
    limit: float | None
    seed: int
    period: str | None


@dataclass(frozen=True, eq=False)
class _Treating:
    """The treatment of a block: where it lies -> its tables as bytes."""

    reading: Reading
    asked: _Asked
    pool: Pool

    def __call__(self, block: FileBlock) -> tuple[int, bytes]:
        import pyarrow as pa

        asked = self.asked
        frame = self.reading.frame(block)
        found = process(
            frame,
            asked.edits,
            asked.imputer,
            mask=asked.mask and asked.mask(frame),
            structural=asked.structural and asked.structural(frame),
            weights=asked.weights,
            limit=asked.limit,
            seed=asked.seed,
            period=asked.period,
            donors=self.pool,
        )
        try:
            values = self.reading.table(found.values)
        except pa.ArrowInvalid:
            # Its message quotes the value, so it is not passed on.
            raise MlstatsError("A treated block does not fit the columns") from None
        return block.number, packed(found, values, block.start)


@dataclass
class _Sums:
    """Counts of the blocks, added up."""

    parts: dict[str, list[pd.DataFrame]] = field(default_factory=dict)

    def add(self, tables: Mapping[str, Any]) -> None:
        for name in ("counts", "edits", "review"):
            self.parts.setdefault(name, []).append(tables[name].to_pandas())

    def total(self, name: str, by: list[str], what: str) -> pd.DataFrame:
        parts = [part for part in self.parts.get(name, []) if len(part)]
        if not parts:
            return pd.DataFrame(columns=[*by, what])
        return pd.concat(parts).groupby(by, sort=False)[what].sum().reset_index()


def process_file(
    source: str | Path,
    target: str | Path,
    edits: EditSet | None,
    imputer: Any,
    *,
    unit: str | None = None,
    block_rows: int = 100_000,
    pool_rows: int = 20_000,
    by: Sequence[str] = (),
    class_rows: int = 200,
    numeric: Collection[str] = (),
    separator: str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
    mask: CellsOf | None = None,
    structural: CellsOf | None = None,
    weights: Mapping[str, float] | None = None,
    limit: float | None = None,
    seed: int = 0,
    period: str | None = None,
    workers: int | Scale = 1,
) -> ProcessedFile:
    """Take a Parquet or CSV file through review, selection and treatment.

    Parameters
    ----------
    source : path or address
        ``.parquet``, a folder of such partitions (in the order of their names, part-2
        before part-10), here or in an S3 store (``s3://``); or delimited text with a
        header.
    target : path
        Folder for ``values.parquet`` and ``cells.parquet``; they are there whole or
        not at all. Numeric variables are written as decimal numbers, text in them that
        was not replaced as missing.
    edits, imputer, weights, limit, period
        As in :func:`~mlstats.editimpute.processing.process` with donors.
    unit : str, optional
        Column with the label of a record, unlike all others; its row if left out. The
        label is what a record draws by: with it the order of the records matters no
        more than the blocks do.
    block_rows : int, default=100000
        Records that a worker has in memory at once.
    pool_rows : int, default=20000
        Donors, drawn from the records of the whole file that pass, lack nothing and
        have no cell in the mask.
    by : sequence of str
        Columns whose every class has `class_rows` donors at least, where it has so
        many, beside those drawn. They are used within these classes only.
    class_rows : int, default=200
        See `by`.
    numeric : collection of str
        Numeric columns beside those that the edits name.
    separator, decimal, encoding : str
        Of delimited text; the separator is recognised if left out.
    mask, structural : callable, optional
        Block -> cells, as in :func:`~mlstats.editimpute.processing.process`. What is
        said of a record must not depend on the others of its block.
    seed : int, default=0
        Of the donors, of ties and of the imputer.
    workers : int or Scale, default=1
        Processes, or where the blocks are worked on; `imputer`, `mask` and
        `structural` must be picklable for more than one. The workers of a cluster
        must reach the source, of delimited text the folder of `target`.

    Returns
    -------
    ProcessedFile

    Raises
    ------
    SourceError
        Where the file cannot be read as a table, or is changed meanwhile.
    ContractError
        Where a label is there twice.
    ConfigError
        Where the imputer needs all recipients at once, and the file has more blocks
        than one.
    RefusedError
        Where the result would lie in its source, or replace it.
    ServiceError
        Where another run treats a file into the same folder, or a disk refuses.

    Notes
    -----
    Beside its block a worker holds the donors and the models; the caller holds 8 bytes
    for each record, the donors, and two blocks for each worker at most. Finished
    blocks lie in a hidden folder beside the target until all are there: a run that was
    killed goes on where it was when it is called with the same arguments and the same
    source (path, size and time of change), and otherwise begins anew.
    """
    if block_rows < 1:
        raise ConfigError(f"A block of {block_rows} rows is none")
    target, files = Path(target), source_files(str(source))
    _refuse_source(str(source), target)
    numbers = sorted({*numeric, *(edits.numeric if edits is not None else ())})
    if edits is not None and not isinstance(imputer, EditConsistent):
        imputer = EditConsistent(imputer, edits.at(period))
    asked = _Asked(edits, imputer, mask, structural, weights, limit, seed, period)
    how = (unit, block_rows, pool_rows, tuple(by), class_rows, numbers)
    text = (separator, decimal, encoding)
    states = {path: state_of(path) for path in files}
    beside = target.absolute()
    folder = beside.with_name(f".{beside.name}.blocks")
    with sole_writer(beside):
        key = identity(__version__, [*states.values()], how, text, asked)
        store = BlockStore(folder, key)
        if not files[0].lower().endswith(".parquet"):
            files = [
                _copied(files[0], store.folder, separator, encoding, unit, numbers)
            ]
        records = RecordFiles.open(files, unit, numbers, decimal)
        drawing = Drawing(
            records.reading,
            None if edits is None else edits.at(period),
            mask,
            structural,
            seed,
            pool_rows,
            tuple(by),
            class_rows,
        )
        found = _treated(
            records, store, asked, drawing, block_rows, workers, target, states
        )
        # While no other run can have begun to fill it.
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _refuse_source(source: str, target: Path) -> None:
    if is_remote(source):
        return
    here, there = target.resolve(), Path(source).resolve()
    if here.is_relative_to(there) or there in [here / name for name in _RESULTS]:
        raise RefusedError(
            "The result would lie in its source, or replace it",
            where=str(target),
            expected="a folder beside the source, or elsewhere",
        )


def _refuse_changed(states: Mapping[str, FileState]) -> None:
    check_unchanged(states, "treated")


def _copied(
    text: str,
    folder: Path,
    separator: str | None,
    encoding: str,
    unit: str | None,
    numeric: Collection[str],
) -> str:
    """Return the copy of delimited text as Parquet, of this run or of a killed one."""
    copy = folder / "records.parquet"
    if not copy.exists():
        write_atomic(
            copy,
            lambda hidden: copy_of_text(
                text, hidden, separator, encoding, unit, numeric
            ),
        )
    return str(copy)


def _treated(
    records: RecordFiles,
    store: BlockStore,
    asked: _Asked,
    drawing: Drawing,
    block_rows: int,
    workers: int | Scale,
    target: Path,
    states: Mapping[str, FileState],
) -> ProcessedFile:
    blocks = list(records.blocks(block_rows))
    parts = _mapped(drawing, blocks, workers, "Drawing donors")
    donors, columns, filled = draw_pool(drawing, parts)
    pool = Pool.of(donors, asked.imputer, seed=asked.seed, asked=columns, filled=filled)
    if pool.imputer is None and len(blocks) > 1:
        raise ConfigError(
            "The imputer treats all recipients of a file together, not block by block",
            expected="one with fitted(donors, ...), such as NearestDonor or HotDeck",
            hint="raise block_rows to the records of the file, or call process",
        )
    treating = _Treating(records.reading, asked, pool)
    missing = [block for block in blocks if block.number not in store.numbers]
    for number, content in _mapped(treating, missing, workers, "Treating the file"):
        store.add(number, content)
    _refuse_changed(states)
    sums = _Sums()
    files = target / _RESULTS[0], target / _RESULTS[1]
    write_atomic(
        files[0],
        lambda values: write_atomic(
            files[1], lambda cells: _written(store, len(blocks), sums, values, cells)
        ),
    )
    by_cell = ["variable", "selection", "status", "method", "reason"]
    failing = sums.total("edits", ["edit", "reason"], "records")
    return ProcessedFile(
        *files,
        records=records.records,
        donors=len(donors),
        blocks=len(blocks),
        computed=len(missing),
        review=sums.total("review", ["status"], "records"),
        counts=sums.total("counts", by_cell, "cells"),
        edits=failing[["edit", "records", "reason"]],
    )


def _mapped(
    work: Callable[[FileBlock], Any],
    blocks: Sequence[FileBlock],
    workers: int | Scale,
    title: str,
) -> Iterable[Any]:
    done = map_blocks(work, blocks, workers=workers, ordered=False)
    return progress(done, len(blocks), title)


def _written(
    store: BlockStore, blocks: int, sums: _Sums, values: Path, cells: Path
) -> None:
    writers = {"values": RowWriter(values), "cells": RowWriter(cells)}
    try:
        for number in range(blocks):
            tables = unpacked(store.read(number))
            for name, writer in writers.items():
                writer.write(tables[name])
            sums.add(tables)
    finally:
        for writer in writers.values():
            writer.close()
