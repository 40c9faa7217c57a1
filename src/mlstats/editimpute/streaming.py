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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from mlstats import __version__
from mlstats.editimpute.block_files import (
    FileBlock,
    RecordFiles,
    source_files,
)
from mlstats.editimpute.block_work import Asked, DrawingFrom, Seen, Treating
from mlstats.editimpute.consistent import EditConsistent
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.pool import Pool
from mlstats.editimpute.pool_drawing import CellsOf, Drawing, draw_pool
from mlstats.editimpute.text_copy import copy_of_text
from mlstats.editimpute.treated_blocks import (
    TABLES,
    BlockStore,
    RowWriter,
    identity,
    unpacked,
)
from mlstats.errors import ConfigError, RefusedError
from mlstats.object_store import FileState, check_unchanged, is_remote, state_of
from mlstats.scale import map_blocks, progress
from mlstats.writing import sole_writer, write_atomic

if TYPE_CHECKING:
    from mlstats.scale import Scale

__all__ = ["ProcessedFile", "process_file"]

_RESULTS: Final = ("values.parquet", "cells.parquet")
_DONE: Final = "treated"


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
        Block, or some of its records -> cells, as in
        :func:`~mlstats.editimpute.processing.process`. What is said of a record must
        not depend on the others.
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
    and a bit for each record, the donors, and two blocks for each worker at most. The
    bit is of the first reading: records that pass, lack nothing and have no cell in the
    mask are as they were, and only the others are treated in the second. Finished
    blocks lie in a hidden folder beside the target until all are there: a run that was
    killed goes on where it was when it is called with the same arguments and the same
    source (path, size and time of change), and otherwise begins anew.
    """
    if block_rows < 1:
        raise ConfigError(f"A block of {block_rows} rows is none")
    target = Path(target)
    _refuse_source(str(source), target)
    if edits is not None and not isinstance(imputer, EditConsistent):
        imputer = EditConsistent(imputer, edits.at(period))
    asked = Asked(edits, imputer, mask, structural, weights, limit, seed, period)
    numbers = sorted({*numeric, *(edits.numeric if edits is not None else ())})
    given = _Given(str(source), unit, numbers, separator, decimal, encoding)
    donors = _DonorsAsked(pool_rows, tuple(by), class_rows)
    states = {path: state_of(path) for path in source_files(given.source)}
    beside = target.absolute()
    folder = beside.with_name(f".{beside.name}.blocks")
    with sole_writer(beside):
        how = (block_rows, asked, given, donors, TABLES)
        store = BlockStore(folder, identity(__version__, [*states.values()], how))
        records = given.records(states, store.folder)
        work = _Work(records, [*records.blocks(block_rows)], store, workers, states)
        pool, seen = work.pool(asked, donors)
        computed = work.treat(asked, pool, seen)
        check_unchanged(states, _DONE)
        found = work.written(target, len(pool.donors), computed, seen)
        # While no other run can have begun to fill it.
        shutil.rmtree(folder, ignore_errors=True)
    return found


@dataclass(frozen=True, eq=False)
class _Given:
    """Where the records lie, and how they are read."""

    source: str
    unit: str | None
    numeric: list[str]
    separator: str | None
    decimal: str
    encoding: str

    def records(self, states: Mapping[str, FileState], folder: Path) -> RecordFiles:
        """Open the files; of delimited text a copy, of this run or of a killed one."""
        files = [*states]
        if not files[0].lower().endswith(".parquet"):
            copy, text = folder / "records.parquet", files[0]
            if not copy.exists():
                write_atomic(copy, partial(self._copy, text, states))
            files = [str(copy)]
        return RecordFiles.open(files, self.unit, self.numeric, self.decimal)

    def _copy(self, text: str, states: Mapping[str, FileState], hidden: Path) -> None:
        copy_of_text(
            text, hidden, self.separator, self.encoding, self.unit, self.numeric
        )
        check_unchanged(states, _DONE)


@dataclass(frozen=True, eq=False)
class _DonorsAsked:
    """How many donors are drawn, and within which classes."""

    rows: int
    by: tuple[str, ...]
    class_rows: int


@dataclass(frozen=True, eq=False)
class _Work:
    """The records of a file, in blocks, and where finished blocks lie."""

    records: RecordFiles
    blocks: list[FileBlock]
    store: BlockStore
    workers: int | Scale
    states: Mapping[str, FileState]  # of the source, before it was read

    def pool(self, asked: Asked, donors: _DonorsAsked) -> tuple[Pool, Seen]:
        """Draw donors from all blocks; return them with what was seen."""
        drawing = Drawing(
            self.records.reading,
            None if asked.edits is None else asked.edits.at(asked.period),
            asked.mask,
            asked.structural,
            asked.seed,
            donors.rows,
            donors.by,
            donors.class_rows,
        )
        seen = Seen()
        found = self._mapped(DrawingFrom(drawing), self.blocks, "Drawing donors")
        held, columns, filled = draw_pool(drawing, seen.kept(found))
        check_unchanged(self.states, _DONE)
        pool = Pool.of(
            held, asked.imputer, seed=asked.seed, asked=columns, filled=filled
        )
        if pool.imputer is None and len(self.blocks) > 1:
            raise ConfigError(
                "The imputer treats all recipients of a file together, not by block",
                expected="one with fitted(donors, ...), such as NearestDonor, HotDeck",
                hint="raise block_rows to the records of the file, or call process",
            )
        return pool, seen

    def treat(self, asked: Asked, pool: Pool, seen: Seen) -> int:
        """Treat the blocks that are not finished; return how many they were."""
        missing = [
            (block, seen.able[block.number])
            for block in self.blocks
            if block.number not in self.store.numbers
        ]
        treating = Treating(self.records.reading, asked, pool)
        for number, content in self._mapped(treating, missing, "Treating the file"):
            # Whatever comes after, what is finished is of the records that were there.
            read = {path for path, *_ in self.blocks[number].pieces}
            still = {path: self.states[path] for path in read & self.states.keys()}
            check_unchanged(still, _DONE)
            self.store.add(number, content)
        return len(missing)

    def written(
        self, target: Path, donors: int, computed: int, seen: Seen
    ) -> ProcessedFile:
        """Write the finished blocks in their order; both files are there or none."""
        values, cells = (target / name for name in _RESULTS)
        parts: dict[str, list[pd.DataFrame]] = {"review": seen.statuses}
        write_atomic(
            values,
            lambda one: write_atomic(
                cells, lambda other: self._write(parts, one, other)
            ),
        )
        by_cell = ["variable", "selection", "status", "method", "reason"]
        failing = _total(parts, "edits", ["edit", "reason"], "records")
        return ProcessedFile(
            values,
            cells,
            records=self.records.records,
            donors=donors,
            blocks=len(self.blocks),
            computed=computed,
            review=_total(parts, "review", ["status"], "records"),
            counts=_total(parts, "counts", by_cell, "cells"),
            edits=failing[["edit", "records", "reason"]],
        )

    def _write(
        self, parts: dict[str, list[pd.DataFrame]], values: Path, cells: Path
    ) -> None:
        writers = {"values": RowWriter(values), "cells": RowWriter(cells)}
        try:
            for number in range(len(self.blocks)):
                tables = unpacked(self.store.read(number))
                for name, writer in writers.items():
                    writer.write(tables[name])
                for name in ("counts", "edits"):
                    parts.setdefault(name, []).append(tables[name].to_pandas())
        finally:
            for writer in writers.values():
                writer.close()

    def _mapped(
        self, work: Callable[[Any], Any], blocks: Sequence[Any], title: str
    ) -> Iterable[Any]:
        done = map_blocks(work, blocks, workers=self.workers, ordered=False)
        return progress(done, len(blocks), title)


def _total(
    parts: Mapping[str, list[pd.DataFrame]], name: str, by: list[str], what: str
) -> pd.DataFrame:
    """Return the counts of the blocks, added up."""
    some = [part for part in parts.get(name, []) if len(part)]
    if not some:
        return pd.DataFrame(columns=[*by, what])
    return pd.concat(some).groupby(by, sort=False)[what].sum().reset_index()


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
