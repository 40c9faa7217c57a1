"""What a coding pilot releases of a period in parts: the same as of one in memory.

Workers code and route the parts; here their counts are added up in the order of the
parts, the audit is drawn and the release put together. A part that is done is staged,
so that a run that was ended goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Final

import numpy as np
import pandas as pd

from mlstats.audit_scorecard import scorecard_of
from mlstats.coding_models import CodingModels
from mlstats.coding_parts import (
    STAGED,
    CodedPart,
    CodePart,
    PartSums,
    trimmed,
)
from mlstats.coding_release import audit_table, limits_of
from mlstats.config import Pilot
from mlstats.errors import MethodError
from mlstats.model_store import PackedModel
from mlstats.period_parts import (
    PartedData,
    finished,
    staged,
    write_finished,
)
from mlstats.produced import (
    ArmFailed,
    Composed,
    PeriodData,
    Reason,
    Situation,
    seconds_of,
    too_long,
)
from mlstats.review import draw_counted, hash_of
from mlstats.review_store import CLOSING, ReviewStore
from mlstats.scale import map_blocks, progress

__all__ = ["QUEUE_ROWS", "StagedUnits", "compose_parts"]

# Rows of the queue that a release lists, the least sure: more than clerks can code.
QUEUE_ROWS: Final = 1_000_000


@dataclass(frozen=True, eq=False)
class StagedUnits:
    """The units of a release, which lie in staged parts.

    Parameters
    ----------
    folder : pathlib.Path
        Of the parts.
    numbers : tuple of int
        Of the parts that have rows, in their order.
    audited : frozenset of str
        Ids of the units that the audit drew.
    """

    folder: Path
    numbers: tuple[int, ...]
    audited: frozenset[str]

    def write(self, target: Path) -> None:
        """Write the parts as they are released, with the route of audited units."""
        target.mkdir(mode=0o700)
        for number in self.numbers:
            self._write_part(staged(self.folder, number), staged(target, number))

    def drawn(self) -> int:
        """Return how many rows the audit takes from what no clerk has looked at."""
        found = 0
        for number in self.numbers:
            columns = ["unit", "route"]
            part = pd.read_parquet(staged(self.folder, number), columns=columns)
            drawn = part["unit"].isin(self.audited) & (part["route"] == "automatic")
            found += int(drawn.sum())
        return found

    def _write_part(self, source: Path, target: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(source).drop_columns(list(STAGED))
        units = table.column("unit").to_pandas()
        place = table.schema.get_field_index("route")
        route = table.column(place).to_pandas().astype(object)
        drawn = (units.isin(self.audited) & (route == "automatic")).to_numpy()
        told = pa.array(pd.Categorical(route.mask(drawn, "audit")))
        routed = table.set_column(place, "route", told.cast(table.field(place).type))
        pq.write_table(routed, target, compression="zstd")


def compose_parts(
    pilot: Pilot,
    data: PeriodData,
    asked: PartedData,
    answers: Mapping[str, PackedModel | str],
    now: Situation,
) -> Composed:
    """Bring a period in parts to what is released of it.

    Parameters
    ----------
    pilot : Pilot
        What is produced.
    data : PeriodData
        Digest and classification of the period.
    asked : PartedData
        Its parts.
    answers : mapping of str to PackedModel or str
        By role who is asked: a model, or the name of a method that is a column.
    now : Situation
        As for :func:`mlstats.coding_release.compose`.

    Raises
    ------
    ArmFailed
        Where an arm does not answer for a part, or takes longer than it may.
    SourceError
        Where a file was written since the period was opened.
    """
    if not answers:
        raise MethodError("Neither champion nor baseline has answered")
    how = _work(pilot, data, asked, answers, now)
    folder = asked.staging / _key(data, asked, how, now)
    found = _coded(pilot, asked, how, folder)
    asked.table.check_unchanged()
    audit = _audit(how, found, now)
    kept = audit_table(audit, now)
    scorecard = scorecard_of(pilot, audit, kept, how.classification, now)
    numbers = tuple(
        number
        for number in range(len(asked.table.partitions))
        if staged(folder / "units", number).is_file()
    )
    units = StagedUnits(folder / "units", numbers, frozenset(audit["unit"]))
    drawn = int((audit["route"] == "automatic").sum()) if len(audit) else 0
    if len(asked.again):
        drawn = units.drawn()  # every row of an id that was drawn
    counts = dict(found.counts) | {"audit_sample": len(audit), "audit": drawn}
    counts["automatic"] -= drawn
    queue, left = _queue(folder / "queue", numbers)
    return Composed(
        units,
        found.sums.totals(single=pilot.data.single_cluster),
        counts,
        confidential={
            "audit": kept,
            "queue": queue,
        },
        tables={"process": found.sums.process(), "scorecard": scorecard},
        cautions=_of_queue(left),
    )


def _work(
    pilot: Pilot,
    data: PeriodData,
    asked: PartedData,
    answers: Mapping[str, PackedModel | str],
    now: Situation,
) -> CodePart:
    closing = now.reviewed[now.reviewed["kind"].isin(CLOSING)]
    told = closing["code"]
    # Workers get no coder's name, and the project's key only to find what is closed.
    sent = replace(
        now,
        reviewed=closing[["unit", "kind", "code"]],
        key=now.key if len(closing) else b"",
    )
    named = {"champion": now.champion, "baseline": now.baseline}
    assert data.more is not None
    classification, uncodable, _ = data.more
    limits = {role: limits_of(named[role]) for role in answers}
    budget = pilot.production.time_budget
    return CodePart(
        asked.reader,
        CodingModels(pilot, dict(answers), limits, uncodable, budget),
        classification.extended(told.astype(str).str.strip()),
        sent,
        # Two units at least are drawn, see _audit.
        max(pilot.production.review.audit_sample * (2 if now.alarm else 1), 2),
        pilot.evaluate.seed + hash_of(now.period),
        asked.again,
        asked.first,
    )


def _key(data: PeriodData, asked: PartedData, how: CodePart, now: Situation) -> str:
    """Return a digest of everything that a finished part depends on."""
    models = {
        role: model if isinstance(model, str) else model.digest
        for role, model in how.models.models.items()
    }
    limits = {role: one.table.to_csv() for role, one in how.models.limits.items()}
    assert data.more is not None
    return asked.key(
        data.digest,
        data.more[-1],  # of the pilot and its files
        sorted(models.items()),
        sorted(limits.items()),
        (now.cause, sorted(now.classes.items()), now.alarm),
        (now.champion and now.champion.label, now.baseline.label),
        ReviewStore.digest(now.reviewed),
        hashlib.sha256(now.key).hexdigest(),
        (how.audit, how.seed),
    )


def _coded(pilot: Pilot, asked: PartedData, how: CodePart, folder: Path) -> PartSums:
    """Code the parts that are not staged, and add all up in their order."""
    parts = asked.table.partitions
    missing = {n for n in range(len(parts)) if finished(folder, n) is None}
    work = (parts[number] for number in sorted(missing))
    done = _guarded(map_blocks(how, work, workers=asked.scale, apart=True), how)
    total: PartSums | None = None
    seconds: dict[str, float] = {}
    workers: set[str] = set()
    for number in progress(range(len(parts)), len(parts), "Coding the parts"):
        if number not in missing:
            found = _staged_sums(folder, number, how)
        else:
            coded = next(done)
            # Whatever comes after, what is finished is of the rows that were opened.
            asked.table.check_unchanged(parts[number].path)
            _check(coded, pilot, seconds, workers)
            content = {"queue": coded.queue, "units": coded.units}
            write_finished(folder, number, {} if coded.sums is None else content)
            found = coded.sums
        if found is not None:
            total = found if total is None else trimmed(total.merge(found), how)
    if total is None:
        raise MethodError("No part of the data has a row of the period")
    return total


def _staged_sums(folder: Path, number: int, how: CodePart) -> PartSums | None:
    path = staged(folder / "units", number)
    return PartSums.of(pd.read_parquet(path), how) if path.is_file() else None


def _guarded(done: Iterator[CodedPart], how: CodePart) -> Iterator[CodedPart]:
    """Yield the results; a worker that ended takes the champion's answer with it."""
    last = monotonic()
    while True:
        try:
            yield next(done)
        except StopIteration:
            return
        except ArmFailed:
            raise
        except MethodError as error:
            if "champion" not in how.models.models:
                raise
            reason = Reason("crash", error.title)
            if monotonic() - last >= how.models.budget:
                reason = too_long("the champion", how.models.budget)
            raise ArmFailed.of("champion", reason) from None
        last = monotonic()


def _check(
    coded: CodedPart, pilot: Pilot, seconds: dict[str, float], workers: set[str]
) -> None:
    """Raise where an arm has taken longer than it may."""
    workers.add(coded.worker)
    budget = pilot.production.time_budget
    for role, took in coded.seconds.items():
        seconds[role] = seconds.get(role, 0.0) + took
        limit = seconds_of(role, budget)
        if seconds[role] / len(workers) > limit:
            raise ArmFailed.of(role, too_long(f"the {role}", limit))


def _audit(how: CodePart, found: PartSums, now: Situation) -> pd.DataFrame:
    n = sum(found.cells.values())
    if n == 0:
        return found.drawn
    pilot = how.reader.pilot
    return draw_counted(
        found.drawn,
        found.drawn_cells,
        found.cells,
        size=max(min(how.audit, n), min(2, n)),
        least=min(2, n),
        double_code=pilot.production.review.double_code,
        seed=how.seed,
    )


def _queue(folder: Path, numbers: tuple[int, ...]) -> tuple[pd.DataFrame, int]:
    """Return the units that wait, least sure first, and how many are not listed."""
    queue, left = pd.DataFrame(), 0
    for number in numbers:
        part = pd.read_parquet(staged(folder, number))
        queue = part if queue.empty else pd.concat([queue, part], ignore_index=True)
        sure = np.nan_to_num(queue["confidence"].to_numpy(dtype=float), nan=-1.0)
        order = np.argsort(sure, kind="stable")[:QUEUE_ROWS]
        left += len(queue) - len(order)
        queue = queue.iloc[order].reset_index(drop=True)
    return queue, left


def _of_queue(left: int) -> tuple[str, ...]:
    if not left:
        return ()
    told = f"the queue lists the {QUEUE_ROWS:,} least sure units; {left:,} more wait"
    return (told,)
