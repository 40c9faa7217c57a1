"""A part of a coding pilot's period on its worker: both arms' codes, routes, counts."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mlstats.coding.classification import Classification
from mlstats.coding_models import CodingModels
from mlstats.coding_production import (
    Codes,
    Question,
    known_codes,
)
from mlstats.coding_release import (
    counts_of,
    published_columns,
    queue_of,
    reviewed_units,
    valued_units,
)
from mlstats.coding_sums import CodeSums
from mlstats.evaluate import levels_of
from mlstats.partitions import Partition
from mlstats.period_parts import PartReader, as_parquet
from mlstats.produced import PeriodData, Situation
from mlstats.quality.audit_strata import Cell, audit_cells
from mlstats.review import BANDS, smallest_ranks

__all__ = ["STAGED", "CodePart", "CodedPart", "PartSums", "trimmed"]

# Columns of a staged part that its release does not have: what stood before clerks,
# and whether an earlier row of the period has the id.
STAGED = ("first_value", "first_confidence", "repeated")
_DRAWN = (
    *("unit", "value", "depth", "route", "weight", "confidence"),
    *("method", "model_version", "champion_code", "baseline_code"),
)


@dataclass(frozen=True, eq=False)
class PartSums:
    """What the parts of a period add up to.

    Parameters
    ----------
    sums : CodeSums
        Of totals and process figures.
    cells : Counter
        Cell of the audit -> units.
    drawn : pandas.DataFrame
        Units that an audit can be drawn from.
    drawn_cells : list of Cell
        Of each of them.
    counts : mapping of str to int
        Units by route.
    """

    sums: CodeSums
    cells: Mapping[Cell, int]
    drawn: pd.DataFrame
    drawn_cells: list[Cell]
    counts: Mapping[str, int]

    @classmethod
    def of(cls, units: pd.DataFrame, how: CodePart) -> PartSums:
        """Add up the units of a staged part."""
        classification = how.classification.extended(_told(units))
        level = levels_of(how.reader.pilot, classification)[0]
        before = units.assign(
            value=units["first_value"], confidence=units["first_confidence"]
        )
        pool = before[(before["route"] != "uncodable") & ~before["repeated"]]
        cells = audit_cells(pool, classification.ancestor, level, BANDS, "value")
        rows = smallest_ranks(pool["unit"], cells, size=how.audit, seed=how.seed)
        kinds: dict[str, type] = dict.fromkeys(_DRAWN, object)
        kinds |= {"weight": float, "confidence": float}
        return cls(
            CodeSums.of(
                units,
                classification,
                level,
                domains=how.reader.pilot.data.roles.domain,
                process=before,
            ),
            Counter(cells),
            pool.iloc[rows][[*_DRAWN]].astype(kinds),
            [cells[row] for row in rows],
            counts_of(units, pool.iloc[:0], int((units["flag"] == "reviewed").sum())),
        )

    def merge(self, other: PartSums) -> PartSums:
        """Return the sums of both."""
        return PartSums(
            self.sums.merge(other.sums),
            Counter(self.cells) + Counter(other.cells),
            pd.concat([self.drawn, other.drawn], ignore_index=True),
            [*self.drawn_cells, *other.drawn_cells],
            {name: n + other.counts[name] for name, n in self.counts.items()},
        )


@dataclass(frozen=True, eq=False)
class CodedPart:
    """What a worker gives back.

    Parameters
    ----------
    units, queue : bytes
        Parquet: a row per unit, with :data:`STAGED`; what clerks are shown.
    sums : PartSums or None
        None where no row is of the period.
    seconds : mapping of str to float
        By role, what the answer took.
    worker : str
        Which worker.
    """

    units: bytes = b""
    queue: bytes = b""
    sums: PartSums | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    worker: str = ""


@dataclass(frozen=True, eq=False)
class CodePart:
    """The work on one part; sent to workers once, with the models.

    Parameters
    ----------
    reader : PartReader
        Reads a part.
    models : CodingModels
        Who is asked.
    classification : Classification
        With the codes that clerks gave.
    now : Situation
        As for :func:`mlstats.coding_release.compose`.
    audit, seed : int
        Size and seed of the audit.
    again, first
        See :class:`mlstats.period_parts.PartedData`.
    """

    reader: PartReader
    models: CodingModels
    classification: Classification
    now: Situation
    audit: int
    seed: int
    again: np.ndarray
    first: Mapping[int, int]

    def __call__(self, part: Partition) -> CodedPart:
        """Code a part by each arm, route it, count it; ArmFailed where one does not."""
        read = self.reader(part)
        if read.empty:
            return CodedPart()
        repeated = np.isin(read.index.to_numpy() + 1, self.again)
        frame = read.reset_index(drop=True)
        asked, answers, seconds = self.models.answers(frame)
        units, queue = self._units(part, frame, asked, answers)
        units = units.assign(repeated=repeated)
        sums = PartSums.of(units, self)
        told = as_parquet(units), as_parquet(queue)
        return CodedPart(*told, sums, seconds, worker=_name())

    def _units(
        self,
        part: Partition,
        frame: pd.DataFrame,
        asked: Question,
        answers: Mapping[str, Codes],
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        pilot = self.reader.pilot
        classification = known_codes(self.classification, pilot, [*answers.values()])
        spread = self.models.spread(asked, answers, classification)
        level = levels_of(pilot, classification)[0]
        first = self.first.get(part.start, part.start)
        data = PeriodData(frame, "", [], classification, first)
        units = valued_units(pilot, data, spread, classification, level, self.now)
        before: dict[str, Any] = {
            "first_value": units["value"].astype("category"),
            "first_confidence": units["confidence"],
        }
        units, _ = reviewed_units(pilot, units, self.now)
        queue = queue_of(units, spread)
        return published_columns(units).assign(**before), queue


def trimmed(found: PartSums, how: CodePart) -> PartSums:
    """Return the sums without the units that no audit would draw."""
    if len(found.drawn) < 4 * how.audit * len(found.cells):
        return found
    rows = smallest_ranks(
        found.drawn["unit"], found.drawn_cells, size=how.audit, seed=how.seed
    )
    kept = found.drawn.iloc[rows].reset_index(drop=True)
    return replace(found, drawn=kept, drawn_cells=[found.drawn_cells[k] for k in rows])


def _name() -> str:
    return f"{platform.node()} {os.getpid()}"


def _told(units: pd.DataFrame) -> list[str]:
    names = ("value", "first_value", "champion_code", "baseline_code")
    found = {str(c) for name in names for c in units[name].dropna().unique()}
    return sorted(found)
