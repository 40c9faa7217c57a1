"""A file too large for memory through review, selection and treatment, in blocks.

The file is read twice: once to draw the donors from all of it, once to treat it. What
does not depend on the size of the blocks: the donors (a seeded draw of the records that
pass, in the order of the file), the review, and which weight of cells is selected. What
does: ties of the selection and draws of the imputer, which are seeded by the number of
the block; ranks, which are taken over the donors and the recipients of the block; and
models, which are fitted for each block on the donors and on what its recipients have,
and may match either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.editimpute.block_files import Blocks, text_cells
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.processing import Processed, process
from mlstats.editimpute.status import PASS, review
from mlstats.errors import ContractError, MlstatsError
from mlstats.io import write_atomic
from mlstats.scale import progress

__all__ = ["ProcessedFile", "process_file"]

CellsOf = Callable[[pd.DataFrame], pd.DataFrame]


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
    review: pd.DataFrame
    counts: pd.DataFrame
    edits: pd.DataFrame


@dataclass
class _Sums:
    """Counts of the blocks, added up."""

    records: int = 0
    blocks: int = 0
    parts: dict[str, list[pd.DataFrame]] = field(default_factory=dict)

    def add(self, found: Processed) -> None:
        self.records += len(found.values)
        self.blocks += 1
        for name, part in (("counts", found.counts), ("edits", found.edits)):
            self.parts.setdefault(name, []).append(part)
        if found.review is not None:
            part = found.review.record_statistics()
            self.parts.setdefault("review", []).append(part)

    def summary(self, files: tuple[Path, Path], donors: int) -> ProcessedFile:
        """Return the sums as what was done to the file."""
        by_cell = ["variable", "selection", "status", "method", "reason"]
        edits = self._total("edits", ["edit", "reason"], "records")
        return ProcessedFile(
            *files,
            records=self.records,
            donors=donors,
            blocks=self.blocks,
            review=self._total("review", ["status"], "records"),
            counts=self._total("counts", by_cell, "cells"),
            edits=edits[["edit", "records", "reason"]],
        )

    def _total(self, name: str, by: list[str], what: str) -> pd.DataFrame:
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
) -> ProcessedFile:
    """Take a Parquet or CSV file through review, selection and treatment.

    Parameters
    ----------
    source : path
        ``.parquet``, or delimited text with a header.
    target : path
        Folder for ``values.parquet`` and ``cells.parquet``; they are there whole or
        not at all. Numeric variables are written as decimal numbers, text in them that
        was not replaced as missing.
    edits, imputer, weights, limit, seed, period
        As in :func:`~mlstats.editimpute.processing.process`.
    unit : str, optional
        Column with the label of a record, unlike all others; its row if left out.
    block_rows : int, default=100000
        Records that are in memory at once.
    pool_rows : int, default=20000
        Donors, drawn from the records of the whole file that pass and lack nothing.
    by : sequence of str
        Columns whose every class has `class_rows` donors at least, where it has so
        many, beside those drawn.
    class_rows : int, default=200
        See `by`.
    numeric : collection of str
        Numeric columns beside those that the edits name.
    separator, decimal, encoding : str
        Of delimited text; the separator is recognised if left out.
    mask, structural : callable, optional
        Block -> cells, as in :func:`~mlstats.editimpute.processing.process`.

    Raises
    ------
    SourceError
        Where the file cannot be read as a table.
    ContractError
        Where a label is there twice.
    """
    named = {*numeric, *(edits.numeric if edits is not None else ())}
    blocks = Blocks(Path(source), unit, block_rows, named, separator, decimal, encoding)
    pool = _pool(blocks, edits, structural, period, seed, pool_rows, by, class_rows)
    asked = {"donors": pool, "weights": weights, "limit": limit, "period": period}
    sums = _Sums()
    treated = _treated(blocks, sums, edits, imputer, mask, structural, seed, asked)
    folder = Path(target)
    files = folder / "values.parquet", folder / "cells.parquet"
    write_atomic(
        files[0],
        lambda values: write_atomic(
            files[1], lambda cells: _write(treated, values, cells, blocks)
        ),
    )
    return sums.summary(files, len(pool))


def _treated(
    blocks: Blocks,
    sums: _Sums,
    edits: EditSet | None,
    imputer: Any,
    mask: CellsOf | None,
    structural: CellsOf | None,
    seed: int,
    asked: Mapping[str, Any],
) -> Iterator[Processed]:
    """Yield the treated blocks and add up what was done."""
    for number, frame in enumerate(progress(blocks, None, "Treating the file")):
        found = process(
            frame,
            edits,
            imputer,
            mask=mask and mask(frame),
            structural=structural and structural(frame),
            seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
            **asked,
        )
        sums.add(found)
        yield found


def _pool(
    blocks: Blocks,
    edits: EditSet | None,
    structural: CellsOf | None,
    period: str | None,
    seed: int,
    pool_rows: int,
    by: Sequence[str],
    class_rows: int,
) -> pd.DataFrame:
    """Return the donors: the smallest drawn numbers, overall and by class."""
    rng = np.random.default_rng(seed)
    pool: pd.DataFrame | None = None
    drawn = np.zeros(0)
    labels: list[Any] = []
    for frame in progress(blocks, None, "Drawing donors"):
        # One number per record, passing or not: blocks of any size draw the same.
        numbers = rng.random(len(frame))
        labels.append(pd.util.hash_array(frame.index.to_numpy(), categorize=False))
        able = np.flatnonzero(_complete(frame, edits, structural, period))
        # A record that passes has no text in a number, even where its block has.
        part = frame.iloc[able].astype(dict.fromkeys(sorted(blocks.numeric), float))
        both = part if pool is None else pd.concat([pool, part])
        drawn = np.concatenate([drawn, numbers[able]])
        kept = drawn.argsort().argsort() < pool_rows
        if by:
            classes = both.groupby(list(by), dropna=False, sort=False).ngroup()
            ranks = pd.Series(drawn).groupby(classes.to_numpy())
            kept |= ranks.rank().to_numpy() <= class_rows
        pool, drawn = both[kept], drawn[kept]
    if pool is None:
        raise ContractError("The file has no records")
    every = np.concatenate(labels)
    if len(np.unique(every)) < len(every):
        raise ContractError("The labels of the records do not tell them apart")
    # In an order of their own: the imputer is not to see the order of the file.
    return pool.iloc[drawn.argsort()]


def _complete(
    frame: pd.DataFrame,
    edits: EditSet | None,
    structural: CellsOf | None,
    period: str | None,
) -> np.ndarray:
    absent = frame.isna()
    if structural is not None:
        absent &= ~structural(frame).reindex(columns=frame.columns, fill_value=False)
    if edits is not None:
        known = edits.at(period)
        absent = absent.drop(columns=list(known.missing_allowed), errors="ignore")
    complete = ~absent.to_numpy().any(axis=1)
    if edits is not None:
        complete &= review(frame, known).by_record == PASS
    return np.asarray(complete)


def _write(
    treated: Iterator[Processed], values: Path, cells: Path, blocks: Blocks
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writers: list[Any] = []
    row = 0
    try:
        for found in treated:
            tables = (blocks.table(found.values), text_cells(found, row))
            if not writers:
                writers = [
                    pq.ParquetWriter(path, table.schema)
                    for path, table in zip((values, cells), tables, strict=True)
                ]
            for writer, table in zip(writers, tables, strict=True):
                writer.write_table(table)
            row += len(found.values)
    except pa.ArrowInvalid:
        # Its message quotes the value, so it is not passed on.
        raise MlstatsError("A treated block does not fit the columns") from None
    finally:
        for writer in writers:
            writer.close()
