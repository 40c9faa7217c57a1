"""Drift of the inputs: verdicts that keep their promise at any size of the data.

Every watched column is compared with every reference period; all tests are one
family, so that in a period without drift the chance of any alarm is at most the
level. A change is an alarm where it is significant and may be as large as its floor:
a verdict never rests on a point estimate. Drift of inputs is a reason for more audit,
not for another method.

Texts come in as columns of numbers and codes: the share of known words, the length,
the class that is nearest or predicted. The columns must be those of the data and not
binned or cut by one of the periods: where codes that are rare in the reference become
"other", chance alone makes "other" larger in the next period.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError
from mlstats.quality.drift_columns import compare_column
from mlstats.quality.drift_evidence import POWER, Evidence, Floors
from mlstats.quality.drift_paired import compare_paired
from mlstats.quality.drift_panel import PairedSummary
from mlstats.quality.drift_reference import Reference
from mlstats.quality.drift_summaries import Summary
from mlstats.quality.multiple import benjamini_hochberg

__all__ = [
    "ALARMS",
    "STATES",
    "DriftResult",
    "Floors",
    "PairedSummary",
    "Reference",
    "Summary",
    "drift",
]

STATES: Final = (
    "break",
    "drift",
    "significant, below floor",
    "not measured",
    "no drift",
)
ALARMS: Final = ("break", "drift")

_COLUMNS: Final = {
    "column": "str",
    "reference": "str",
    "test": "str",
    "method": "str",
    "measure": "str",
    "statistic": "float64",
    "p": "float64",
    "p_adjusted": "float64",
    "effect": "float64",
    "effect_lower": "float64",
    "effect_upper": "float64",
    "floor": "float64",
    "state": "str",
    "n_reference": "int64",
    "n": "int64",
    "n_eff_reference": "float64",
    "n_eff": "float64",
    "minimum_detectable": "float64",
    "note": "str",
}
_SMALLEST_FLOOR: Final = 1e-12
_SD_OF_DISTANCE: Final = float(np.sqrt(2 * np.pi))  # of a normal variable, per distance


@dataclass(frozen=True, eq=False)
class DriftResult:
    """The verdicts on one period.

    Parameters
    ----------
    verdicts : pandas.DataFrame
        A row per column, reference and test: method, statistic, p, p_adjusted
        (Benjamini-Hochberg over all rows that were tested), effect with its 95 %
        interval, floor, state (one of :data:`STATES`), units and effective units in
        the reference and now, minimum_detectable (the least effect that is found with
        probability .9) and a note. Effects are a Kolmogorov-Smirnov distance, a
        relative change of the composition or a difference of shares, see
        :class:`Floors`. Numbers that do not exist are missing.
    level : float
        The chance of any alarm in a period without drift is at most this.
    tests : int
        Size of the family.
    periods_per_year : int
        How often the question is asked.
    absent : mapping of str to str
        Reference that was asked for and is not there -> why.
    """

    verdicts: pd.DataFrame
    level: float
    tests: int
    periods_per_year: int
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def alarms(self) -> pd.DataFrame:
        """The rows in state drift or break."""
        return self.verdicts[self.verdicts["state"].isin(ALARMS)]

    @property
    def alarming_pairs(self) -> int:
        """The pairs of a column and a reference with an alarm."""
        return len(self.alarms[["column", "reference"]].drop_duplicates())

    @property
    def false_alarms_per_year(self) -> float:
        """The chance of at least one false alarm in a year without drift."""
        return float(1 - (1 - self.level) ** self.periods_per_year)

    def by_column(self) -> pd.Series:
        """Return the gravest state of each column."""
        rank = self.verdicts["state"].map({s: i for i, s in enumerate(STATES)})
        worst = rank.groupby(self.verdicts["column"], sort=False).min()
        return worst.map(dict(enumerate(STATES))).rename("state")

    def sentence(self) -> str:
        """Return the verdict in words, with its chance of being false."""
        states = self.by_column().value_counts()
        told = [f"{states[s]} {s}" for s in STATES if states.get(s, 0)]
        every = {12: "month", 4: "quarter", 1: "year"}.get(
            self.periods_per_year, "period"
        )
        said = (
            f"Columns: {'; '.join(told) or 'none watched'}. Without drift at most "
            f"{self.level:.0%} of periods give a false alarm; asked every {every}, "
            f"that is up to {self.false_alarms_per_year:.0%} of years."
        )
        for name, why in self.absent.items():
            said += f" Against {name.replace('_', ' ')} not measured: {why}."
        return said

    def table(self) -> pd.DataFrame:
        """Return the verdicts, and a row for each reference that is not there.

        Such a row has no column and the state "not measured".
        """
        blank = {n: "" if kind == "str" else np.nan for n, kind in _COLUMNS.items()}
        rows = [
            blank | {"reference": name, "state": "not measured", "note": why}
            for name, why in self.absent.items()
        ]
        if not rows:
            return self.verdicts
        missing = pd.DataFrame(rows).fillna({"n": 0, "n_reference": 0})
        return pd.concat([self.verdicts, missing.astype(_COLUMNS)], ignore_index=True)

    def power(self) -> str:
        """Return in words what would have been found in the columns without drift."""
        quiet = self.verdicts[
            (self.verdicts["state"] == "no drift")
            & (self.verdicts["test"] == "distribution")
        ]
        least = quiet.groupby("measure")["minimum_detectable"].max().dropna()
        told = [
            _detectable(str(measure), float(value)) for measure, value in least.items()
        ]
        if not told:
            return ""
        return (
            f"What would have been found with probability {POWER:g} in each column "
            f"without drift: {'; '.join(told)}."
        )


def drift(
    current: Summary,
    references: Mapping[str, Summary | PairedSummary],
    *,
    level: float = 0.05,
    floors: Floors | None = None,
    periods_per_year: int = 12,
    min_cell: int = 10,
) -> DriftResult:
    """Compare a period with its references.

    Parameters
    ----------
    current : Summary
        The period.
    references : mapping of str to Summary or PairedSummary
        Name of a reference to its summary: the last accepted period, the same period
        of the last year and the frozen training period. The last one is needed: a
        reference that moves along misses a slow creep. A PairedSummary, made from
        this period and the reference, tests the units common to both.
    level : float
        Chance of any alarm where nothing drifted (Benjamini and Hochberg 1995, JRSS B
        57, 289-300, over all columns, references and tests).
    floors : Floors, optional
        The changes that matter.
    periods_per_year : int
        For the chance of a false alarm in a year.
    min_cell : int
        A code is named only where none of its two counts is from 1 to this less 1.

    Returns
    -------
    DriftResult

    Raises
    ------
    MlstatsError
        Where a reference was counted into other bins.
    """
    bounds = floors or Floors()
    for name, reference in references.items():
        if not reference.reference.same_as(current.reference):
            raise MlstatsError(
                f"The reference {name!r} was counted into other bins",
                where="quality.drift",
                hint="count every period with one Reference",
            )
    found = [
        (column, name, evidence)
        for column in current.reference.columns
        for name, reference in references.items()
        for evidence in _compare(column, reference, current, bounds)
    ]
    family = np.array([e.p if e.in_family else np.nan for _, _, e in found])
    adjusted = benjamini_hochberg(family)
    tests = int(np.isfinite(family).sum())
    largest = float(np.max(family, where=adjusted <= level, initial=-1.0))
    rows = [
        {
            "column": column,
            "reference": name,
            **_Judged(evidence, q, largest, level / max(tests, 1), min_cell).row(level),
        }
        for (column, name, evidence), q in zip(found, adjusted, strict=True)
    ]
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
    return DriftResult(table, level, tests, periods_per_year)


def _compare(
    column: str, reference: Summary | PairedSummary, current: Summary, floors: Floors
) -> list[Evidence]:
    old, new = reference.versions.get(column), current.versions.get(column)
    if old != new:
        if old and new:
            note = f"code list {old} in the reference, {new} now: not comparable"
            return [Evidence("distribution", broken=True, note=note)]
        note = "the version of the code list is told for one period only"
        return [Evidence("distribution", note=note)]
    if isinstance(reference, PairedSummary):
        return compare_paired(column, reference, floors)
    return compare_column(column, reference, current, floors)


@dataclass(frozen=True, eq=False)
class _Judged:
    """Evidence in the light of its family."""

    evidence: Evidence
    adjusted: float
    largest: float  # the largest p of the family that is rejected
    share: float  # of the level, by Bonferroni
    min_cell: int

    def row(self, level: float) -> dict[str, object]:
        evidence = self.evidence
        state, part = self._state(level)
        sizes = evidence.sizes
        detectable = np.nan
        if evidence.detectable is not None:
            detectable = evidence.detectable(self.share, part)
        return {
            "test": evidence.test,
            "method": evidence.method,
            "measure": evidence.measure,
            "statistic": evidence.statistic,
            "p": evidence.p,
            "p_adjusted": self.adjusted if evidence.in_family else 1.0,
            "effect": evidence.effect[part],
            "effect_lower": evidence.lower[part],
            "effect_upper": evidence.upper[part],
            "floor": evidence.floor[part],
            "state": state,
            "n_reference": sizes.n_reference if sizes else 0,
            "n": sizes.n if sizes else 0,
            "n_eff_reference": sizes.n_eff_reference if sizes else np.nan,
            "n_eff": sizes.n_eff if sizes else np.nan,
            "minimum_detectable": detectable,
            "note": "; ".join(self._notes(state, part, detectable)),
        }

    def _state(self, level: float) -> tuple[str, int]:
        """Return the state and the part of the evidence that shows it."""
        evidence = self.evidence
        if not evidence.measured:
            return ("break" if evidence.broken else "not measured"), 0
        if not self.adjusted <= level:
            return "no drift", int(np.argmin(evidence.p_each))
        shown = evidence.p_each <= self.largest
        matters = shown & (evidence.reach >= evidence.floor)
        size = np.abs(evidence.effect) / np.maximum(evidence.floor, _SMALLEST_FLOOR)
        chosen = matters if matters.any() else shown
        part = int(np.argmax(np.where(chosen, size, -1.0)))
        return ("drift" if matters.any() else "significant, below floor"), part

    def _notes(self, state: str, part: int, detectable: float) -> Iterator[str]:
        evidence = self.evidence
        if evidence.note:
            yield evidence.note
        label = evidence.labels[part]
        if evidence.test == "code":
            named = evidence.fewest[part] >= self.min_cell
            yield f"code {label}" if named else "a code with too few units to be named"
            others = int((evidence.p_each <= self.largest).sum()) - 1
            if others > 0:
                yield f"{others} more codes changed significantly"
        elif label:
            yield label
        if state == "drift" and abs(evidence.effect[part]) < evidence.floor[part]:
            yield "the floor lies within the interval of the effect"
        if state == "no drift" and np.isfinite(detectable):
            found = _detectable(self.evidence.measure, detectable)
            yield f"found with probability {POWER:g}: {found}"


def _detectable(measure: str, effect: float) -> str:
    if measure == "composition":
        return f"shares changed by {effect:.0%} of themselves"
    if measure == "share":
        return f"a change of {effect * 100:.2g} points"
    return (
        f"a distance of {effect:.3f}, for a normal variable a shift of "
        f"{effect * _SD_OF_DISTANCE:.2f} standard deviations"
    )
