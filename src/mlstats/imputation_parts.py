"""A part of an edit and imputation period on its worker: donors, values, what is told.

A part is read to draw the donors of the period, by each arm to be treated, and to be
brought to what is released once the totals of all parts are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mlstats.block_calls import ended_after
from mlstats.composed_records import ComposedRecords, WholeFile, compose_records
from mlstats.config import Pilot
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.flagging import selected
from mlstats.editimpute.pool import Pool
from mlstats.editimpute.pool_drawing import Drawing, Drawn
from mlstats.errors import ContractError, nearest
from mlstats.guard import method_guard
from mlstats.imputation_production import Treated, kept_cells
from mlstats.imputation_release import counts_of
from mlstats.imputation_routes import absolute
from mlstats.imputation_sums import ImputedSums
from mlstats.imputing import Case, cases, columns_of
from mlstats.partitions import Partition
from mlstats.period_parts import PartReader, as_parquet, staged
from mlstats.produced import Arm, Situation
from mlstats.record_treatment import id_of_label, labels_of, processed
from mlstats.records import (
    Records,
    as_decimals,
    check_columns,
    plain,
    weights_of,
)
from mlstats.scale import row_blocks

__all__ = [
    "ComposePart",
    "ComposedPart",
    "DrawPart",
    "DrawnPart",
    "ReadyArm",
    "RecordReader",
    "TreatPart",
]

# Records that a worker treats at once, as in mlstats.editimpute.streaming.
BLOCK_ROWS = 100_000


@dataclass(frozen=True)
class ReadyArm:
    """A version that is asked part by part.

    Parameters
    ----------
    arm : Arm
        The version.
    confidential : pathlib.Path
        Where its recipe lies; workers do not look there.
    """

    arm: Arm
    confidential: Path

    def begin(self) -> None:
        """Begin a part; a drill lets it fail here."""


@dataclass(frozen=True, eq=False)
class RecordReader:
    """How a part is read as records with labels; sent to workers.

    Parameters
    ----------
    reader : PartReader
        Reads a part.
    pilot : Pilot
        As it treats the period.
    edits : EditSet or None
        Of the period.
    again, first
        See :class:`mlstats.period_parts.PartedData`.
    """

    reader: PartReader
    pilot: Pilot
    edits: EditSet | None
    again: np.ndarray
    first: Mapping[int, int]

    def records(self, part: Partition) -> tuple[Records, pd.Index]:
        """Return the records of a part, numbered from 0, and their labels."""
        read = self.reader(part)
        again = np.isin(read.index.to_numpy() + 1, self.again)
        frame = plain(read.reset_index(drop=True))
        frame = as_decimals(frame, self.pilot, self.edits)
        ids = frame[self.pilot.data.roles.unit_id]
        labels = labels_of(ids, again, self.first_of(part) + np.arange(len(ids)))
        return Records(frame, "", [], edits=self.edits), labels

    def first_of(self, part: Partition) -> int:
        """Return the number of a part's first record in the period, from 0."""
        return self.first.get(part.start, part.start)

    def ready(self, records: Records, labels: pd.Index) -> pd.DataFrame:
        """Return the columns that methods read, in the right unit and labelled."""
        case = self.case(records)
        ready, _, _ = selected(case.frame, case.mask, self.pilot.data.selection)
        return ready.set_axis(labels)

    def case(self, records: Records) -> Case:
        """Return the records as a method sees them."""
        return next(cases(self.pilot, records))


# -- donors --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DrawnPart:
    """What may be donors of a part; None of a part without records.

    Parameters
    ----------
    drawn : Drawn or None
        The donors.
    valued : mapping of str to int
        Column that must have a value -> records with one.
    """

    drawn: Drawn | None = None
    valued: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class DrawPart:
    """The drawing of donors from a part.

    Parameters
    ----------
    how : RecordReader
        Reads it.
    drawing : Drawing
        From :func:`mlstats.record_treatment.drawing_of`.
    check : bool
        Whether the columns are looked at; the contract has told already where not.
    """

    how: RecordReader
    drawing: Drawing
    check: bool

    def __call__(self, part: Partition) -> DrawnPart:
        """Draw donors; ContractError for a column that lacks, or text for a number."""
        records, labels = self.how.records(part)
        if records.frame.empty:
            return DrawnPart()
        lost = [
            c for c in columns_of(self.how.pilot, records) if c not in records.frame
        ]
        if lost:
            there = part.schema.names if part.schema else records.frame.columns
            raise ContractError(
                f"There is no column {lost[0]!r} in the data",
                where=part.path,
                nearest=nearest(lost[0], map(str, there)),
            )
        try:
            return self._drawn(records, labels)
        except ContractError as error:
            before = self.how.first_of(part)
            told = f"rows are counted after the first {before:,}" if before else ""
            error.where = "; ".join(filter(None, [error.where, told]))
            raise

    def _drawn(self, records: Records, labels: pd.Index) -> DrawnPart:
        frame, valued = records.frame, {}
        if self.check:
            known = check_columns(frame, self.how.pilot, self.how.edits)
            valued = {name: int(frame[name].notna().sum()) for name in known}
        return DrawnPart(self.drawing(self.how.ready(records, labels)), valued)


# -- treatment -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TreatPart:
    """The treatment of a part by one arm; sent to workers once, with the donors.

    Parameters
    ----------
    how : RecordReader
        Reads it.
    pool : Pool
        The donors, and the method fitted on them.
    arm : ReadyArm
        Who is asked.
    budget : float
        Seconds after which the worker is ended.
    """

    how: RecordReader
    pool: Pool
    arm: ReadyArm
    budget: float

    def __call__(self, part: Partition) -> dict[str, bytes]:
        """Return values, cells and sums as Parquet; nothing without records."""
        records, labels = self.how.records(part)
        if records.frame.empty:
            return {}
        with ended_after(self.budget), method_guard(self.arm.arm.method):
            self.arm.begin()
            found = self._treated(records, labels)
        weight, sums = weights_of(self.how.pilot, records), []
        for name in found.values:
            column = found.values[name]
            if pd.api.types.is_numeric_dtype(column):
                y = column.to_numpy(dtype=float, na_value=np.nan)
                size = float(absolute(weight, column).sum())
                sums.append((name, float(np.nansum(weight * y)), size))
        told = pd.DataFrame(sums, columns=["variable", "total", "size"])
        return {
            "values": as_parquet(found.values, texts_alike=True),
            "cells": as_parquet(found.cells, texts_alike=True),
            "sums": as_parquet(told, texts_alike=True),
        }

    def _treated(self, records: Records, labels: pd.Index) -> Treated:
        case, how = self.how.case(records), self.how
        variables = [str(name) for name in case.mask.columns]
        values, cells = [], []
        for rows in row_blocks(len(labels), BLOCK_ROWS):
            own = labels[rows]
            found = processed(
                how.pilot,
                how.edits,
                None,
                *(
                    table.iloc[rows].set_axis(own)
                    for table in (case.frame, case.mask, case.structural)
                ),
                seed=case.seed,
                donors=self.pool,
            )
            places = own.get_indexer(pd.Index(found.cells["unit"])) + rows.start
            donors = [id_of_label(label) for label in found.cells["donor"]]
            told = found.cells.assign(
                row=places, donor=pd.Series(donors, found.cells.index, dtype=object)
            )
            values.append(found.values[variables])
            cells.append(kept_cells(told, variables))
        return Treated(
            pd.concat(values).set_axis(pd.RangeIndex(len(labels))),
            pd.concat(cells, ignore_index=True),
        )


# -- release -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ComposedPart:
    """What a part adds to the release beside its records.

    Parameters
    ----------
    units, cells : bytes
        Parquet, with the number ``row`` of the record in the part.
    queue : pandas.DataFrame
        What clerks are shown, ``row`` counted in the period.
    rows, adds : numpy.ndarray
        See :class:`mlstats.composed_records.ComposedRecords`.
    sums : ImputedSums
        Of what is published.
    counts : mapping of str to int
        Records by route.
    """

    units: bytes
    cells: bytes
    queue: pd.DataFrame
    rows: np.ndarray
    adds: np.ndarray
    sums: ImputedSums
    counts: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class ComposePart:
    """The way of a treated part to what is released; on the caller's machine.

    Parameters
    ----------
    how : RecordReader
        Reads the part.
    folders : mapping of str to pathlib.Path
        By role where the treated parts are staged.
    changed : mapping of str to tuple of str
        By role, see :class:`mlstats.imputation_production.Treated`.
    now : Situation
        As for :func:`mlstats.imputation_release.compose`.
    whole : WholeFile
        Of the period.
    """

    how: RecordReader
    folders: Mapping[str, Path]
    changed: Mapping[str, tuple[str, ...]]
    now: Situation
    whole: WholeFile

    def __call__(self, task: tuple[int, Partition]) -> ComposedPart | None:
        """Return what is released of a part; None of one without records."""
        number, part = task
        records, _ = self.how.records(part)
        if records.frame.empty:
            return None
        made = self._composed(number, part, records)
        return ComposedPart(
            as_parquet(made.units, texts_alike=True),
            as_parquet(made.cells, texts_alike=True),
            made.queue.assign(row=made.queue["row"] + self.how.first_of(part)),
            made.rows,
            made.adds,
            made.sums,
            counts_of(made.units, made.cells),
        )

    def _composed(
        self, number: int, part: Partition, records: Records
    ) -> ComposedRecords:
        answers = {
            role: Treated(
                _as_in(records, pd.read_parquet(staged(folder / "values", number))),
                plain(pd.read_parquet(staged(folder / "cells", number))),
                self.changed[role],
            )
            for role, folder in self.folders.items()
        }
        return compose_records(
            self.how.pilot,
            records,
            answers,
            self.now,
            first=self.how.first_of(part),
            whole=self.whole,
        )


def _as_in(records: Records, values: pd.DataFrame) -> pd.DataFrame:
    """Return values as the treatment gave them, of the types of the records.

    A truth that is missing somewhere is an object, also where a part lacks none: as a
    truth it would count as a number.
    """
    kinds = {
        name: object
        for name in values.select_dtypes(bool)
        if records.frame[name].dtype == object
    }
    return plain(values.astype(kinds))
