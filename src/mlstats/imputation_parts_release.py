"""What an edit and imputation pilot releases of a period in parts, as of one in memory.

Donors are drawn from all parts; each arm treats every part with them, and what it gave
is staged, so that a run that was ended goes on from there. When the totals are known,
each part is brought to what is released, and the audit is drawn from all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.approved_recipe import approved, as_spec
from mlstats.composed_records import WholeFile, producing_arm
from mlstats.config import Pilot
from mlstats.editimpute.arm import build_imputer
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.pool import Pool
from mlstats.editimpute.pool_drawing import Donors, Drawn, draw_pool
from mlstats.editimpute.treated_blocks import identity
from mlstats.errors import (
    ConfigError,
    ContractError,
    MethodError,
    ServiceError,
    SourceError,
)
from mlstats.imputation_parts import (
    ComposedPart,
    ComposePart,
    DrawPart,
    ReadyArm,
    RecordReader,
    TreatPart,
)
from mlstats.imputation_production import unedited
from mlstats.imputation_release import (
    audit_of,
    audit_size,
    audit_table,
    note_text,
    with_audit,
)
from mlstats.imputation_routes import in_order, size_strata
from mlstats.imputation_sums import ImputedSums
from mlstats.imputation_totals import totals_of
from mlstats.imputing import case_seed
from mlstats.method import resolve
from mlstats.period_parts import (
    PartedData,
    finished,
    staged,
    write_finished,
    write_staged,
)
from mlstats.period_source import of_period
from mlstats.produced import (
    Arm,
    ArmFailed,
    Composed,
    PeriodData,
    Reason,
    Situation,
    seconds_of,
    too_long,
)
from mlstats.record_treatment import drawing_of, pool_for
from mlstats.records import check_valued
from mlstats.review import smallest_ranks
from mlstats.scale import LOCAL, Scale, map_blocks, progress

__all__ = ["QUEUE_ROWS", "StagedRecords", "compose_parts"]

# Values that a queue lists, the most urgent: more than clerks can look at.
QUEUE_ROWS: Final = 1_000_000


@dataclass(frozen=True, eq=False)
class StagedRecords:
    """A table of records that lies in staged parts.

    Parameters
    ----------
    folder : pathlib.Path
        Of the parts.
    audited : mapping of int to numpy.ndarray of int
        Part with records -> places in it of those that the audit drew.
    """

    folder: Path
    audited: Mapping[int, np.ndarray]

    def write(self, target: Path) -> None:
        """Write the parts as they are released, with the route of audited records."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        target.mkdir(mode=0o700)
        for number, drawn in self.audited.items():
            table = pq.read_table(staged(self.folder, number))
            told = table.select(["row", "route"]).to_pandas()
            route = with_audit(told, pd.Series(drawn))["route"]
            place = table.schema.get_field_index("route")
            routed = table.set_column(
                place, "route", pa.array(route.astype(object), pa.large_string())
            )
            pq.write_table(
                routed.drop_columns(["row"]), staged(target, number), compression="zstd"
            )


@dataclass(frozen=True, eq=False)
class _Asked:
    """The parts, how they are read, and by whom they are treated."""

    parts: PartedData
    how: RecordReader
    decides: Mapping[str, Any]
    digest: str
    budget: float

    @property
    def numbers(self) -> range:
        return range(len(self.parts.table.partitions))


def compose_parts(
    pilot: Pilot,
    data: PeriodData,
    asked: PartedData,
    answers: Mapping[str, ReadyArm],
    now: Situation,
) -> Composed:
    """Bring a period in parts to what is released of it.

    Parameters
    ----------
    pilot : Pilot
        What is produced.
    data : PeriodData
        Digest, edits and what decides the values of the period.
    asked : PartedData
        Its parts.
    answers : mapping of str to ReadyArm
        By role who is asked.
    now : Situation
        As for :func:`mlstats.imputation_release.compose`.

    Raises
    ------
    ArmFailed
        Where an arm does not answer for a part, or takes longer than it may.
    ContractError
        Where a number is text, or a variable has no value in any part.
    SourceError
        Where a file was written since the period was opened.
    """
    role, arm = producing_arm([*answers], now)
    told = unedited(of_period(pilot, now.period))
    edits, decides = data.more
    edits = None if edits is None else edits.at(now.period)
    reading = RecordReader(asked.reader, told, edits, asked.again, asked.first)
    budget = pilot.production.time_budget
    task = _Asked(asked, reading, decides, data.digest, budget)
    recipes = {name: _recipe(task, one) for name, one in answers.items()}
    donors = _donors(task, check=now.cause != "contract")
    folders = {
        name: _treated(task, answers[name], found[0], donors)
        for name, found in recipes.items()
    }
    changed = {name: found[1] for name, found in recipes.items()}
    made = ComposePart(reading, folders, changed, now, _whole(task, folders[role]))
    found = _Release(pilot, task, arm, now, made).composed()
    asked.table.check_unchanged()
    return found


def _recipe(task: _Asked, one: ReadyArm) -> tuple[Any, tuple[str, ...]]:
    """Return the recipe of a version, and what the pilot says otherwise."""
    try:
        return approved(one.arm, one.confidential, task.decides)
    except ServiceError as error:
        raise ArmFailed.of(one.arm.role, Reason("model", error.title)) from None


# -- donors --------------------------------------------------------------------------


def _donors(task: _Asked, *, check: bool) -> Donors:
    """Draw the donors of the period from its parts, in their order."""
    how = task.how
    drawing = drawing_of(how.pilot, how.edits, case_seed(how.pilot))
    parts = task.parts.table.partitions
    done = map_blocks(DrawPart(how, drawing, check), parts, workers=task.parts.scale)
    valued: dict[str, int] = {}

    def drawn() -> Iterator[Drawn]:
        for found in progress(done, len(parts), "Drawing donors"):
            for name, count in found.valued.items():
                valued[name] = valued.get(name, 0) + count
            if found.drawn is not None:
                yield found.drawn

    donors = draw_pool(drawing, drawn())
    check_valued(valued)
    return donors


# -- treatment -----------------------------------------------------------------------


def _treated(task: _Asked, ready: ReadyArm, recipe: Any, donors: Donors) -> Path:
    """Let an arm treat the parts that are not staged; return where all of them lie."""
    arm, began = ready.arm, monotonic()
    limit = seconds_of(arm.role, task.budget)
    try:
        folder = task.parts.staging / _key(task, recipe)
        missing = [one for one in task.numbers if finished(folder, one) is None]
        if missing:
            work = TreatPart(task.how, _pool(task, arm, recipe, donors), ready, limit)
            for _ in _finish(task, work, folder, missing):
                if monotonic() - began > limit:
                    raise ArmFailed.of(arm.role, too_long(arm.label, limit))
    except (ArmFailed, SourceError):  # no method is to blame for a file
        raise
    except (ConfigError, ContractError, MethodError) as error:
        if monotonic() - began >= limit:
            raise ArmFailed.of(arm.role, too_long(arm.label, limit)) from None
        raise ArmFailed.of(arm.role, Reason("crash", error.title)) from None
    return folder


def _finish(
    task: _Asked, work: TreatPart, folder: Path, missing: list[int]
) -> Iterator[None]:
    """Treat parts and stage them, one at each step."""
    table, told = task.parts.table, f"Treating by {work.arm.arm.method}"
    parts = (table.partitions[number] for number in missing)
    done = map_blocks(work, parts, workers=task.parts.scale, apart=True)
    for number in progress(missing, len(missing), told):
        content = next(done)
        # Whatever comes after, what is finished is of the rows that were opened.
        table.check_unchanged(table.partitions[number].path)
        write_finished(folder, number, content)
        yield


def _pool(task: _Asked, arm: Arm, recipe: Any, donors: Donors) -> Pool:
    edits: EditSet | None = task.how.edits
    method = build_imputer(arm.method, as_spec(recipe), edits)
    return pool_for(arm.method, method, edits, donors, case_seed(task.how.pilot))


def _key(task: _Asked, recipe: Any) -> str:
    """Return a digest of everything that a treated part depends on."""
    return task.parts.key(
        task.digest,
        recipe.digest,
        identity(resolve(recipe.use)),  # an office changes methods of its own
        sorted((name, repr(value)) for name, value in task.decides.items()),
    )


def _whole(task: _Asked, folder: Path) -> WholeFile:
    """Add up what the producing arm gave, in the order of the parts."""
    totals: dict[str, float] = {}
    sizes: dict[str, float] = {}
    for number in task.numbers:
        path = staged(folder / "sums", number)
        if path.is_file():
            for row in pd.read_parquet(path).to_dict("records"):
                name = str(row["variable"])
                totals[name] = totals.get(name, 0.0) + float(row["total"])
                sizes[name] = sizes.get(name, 0.0) + float(row["size"])
    return WholeFile(totals, sizes)


# -- release -------------------------------------------------------------------------


@dataclass(eq=False)
class _Found:
    """What the parts add to a release, in their order."""

    sums: ImputedSums | None = None
    counts: dict[str, int] = field(default_factory=dict)
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    adds: dict[int, np.ndarray] = field(default_factory=dict)
    queue: list[pd.DataFrame] = field(default_factory=list)
    waits: int = 0

    def add(self, number: int, one: ComposedPart) -> None:
        """Add a part; of the queue no more is kept than may be listed."""
        self.sums = one.sums if self.sums is None else self.sums.merge(one.sums)
        for name, count in one.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.rows[number], self.adds[number] = one.rows, one.adds
        self.queue.append(one.queue)
        self.waits += len(one.queue)
        if sum(map(len, self.queue)) > 2 * QUEUE_ROWS:
            self.queue = [self._most_urgent()]

    def listed(self) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Return the values that are listed, and how many more wait."""
        queue = self._most_urgent().drop(columns="row").reset_index(drop=True)
        left = self.waits - len(queue)
        told = f"the queue lists the {QUEUE_ROWS:,} most urgent values; {left:,} more"
        return queue, (f"{told} wait",) if left > 0 else ()

    def _most_urgent(self) -> pd.DataFrame:
        return in_order(pd.concat(self.queue, ignore_index=True)).head(QUEUE_ROWS)


@dataclass(frozen=True, eq=False)
class _Release:
    """The treated parts on their way to a release."""

    pilot: Pilot
    task: _Asked
    arm: Arm
    now: Situation
    work: ComposePart

    @property
    def folder(self) -> Path:
        return self.task.parts.staging / "released"

    def composed(self) -> Composed:
        found = self._found()
        counts, drawn = dict(found.counts), self._audit(found)
        audited = {
            number: drawn.loc[drawn["part"] == number, "row"].to_numpy(dtype=int)
            for number in found.rows
        }
        counts["audit"], counts["audit_sample"] = len(drawn), len(drawn)
        counts["automatic"] -= len(drawn)
        queue, cautions = found.listed()
        note = note_text(self.work.changed.get("baseline", ()))
        assert found.sums is not None
        return Composed(
            StagedRecords(self.folder / "units", audited),
            totals_of(found.sums, single=self.pilot.data.single_cluster, note=note),
            counts,
            confidential={
                "cells": StagedRecords(self.folder / "cells", audited),
                "queue": queue,
                "audit": audit_table(drawn, self.arm, self.now),
            },
            cautions=cautions,
        )

    def _found(self) -> _Found:
        """Bring every part to what is released of it, and stage that."""
        parts, scale = self.task.parts.table.partitions, self.task.parts.scale
        # What was staged lies on this machine.
        here = scale if scale.address == LOCAL else Scale()
        done = map_blocks(self.work, enumerate(parts), workers=here)
        found = _Found()
        for number, one in enumerate(progress(done, len(parts), "Composing the parts")):
            if one is not None:
                write_staged(self.folder / "units", number, one.units)
                write_staged(self.folder / "cells", number, one.cells)
                found.add(number, one)
        if found.sums is None:
            raise MethodError("No part of the data has a record of the period")
        return found

    def _audit(self, found: _Found) -> pd.DataFrame:
        """Draw the audit from the treated records of all parts."""
        adds = np.concatenate([*found.adds.values()])
        if not len(adds):
            part = pd.read_parquet(staged(self.folder / "units", min(found.rows)))
            return part.iloc[:0].assign(part=0)
        strata, (size, seed) = size_strata(adds), audit_size(self.pilot, self.now)
        pool, first = pd.DataFrame(), 0
        for number, rows in found.rows.items():
            units = pd.read_parquet(staged(self.folder / "units", number)).iloc[rows]
            place = np.arange(first, first + len(units))
            both = pd.concat([pool, units.assign(part=number, place=place)])
            # What an earlier part gave makes way: no more is kept than is drawn from.
            of = strata[both["place"].to_numpy(int)]
            few = smallest_ranks(both["unit"], of, size=max(size, 2), seed=seed)
            pool, first = both.iloc[few], first + len(units)
        pool = pool.reset_index(drop=True)
        own = pool.pop("place").to_numpy(int)
        return audit_of(self.pilot, pool, own, adds, self.now)
