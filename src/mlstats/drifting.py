"""Drift in a run: the test part against the periods that it should resemble.

The verdicts made here are the only ones of a run: its report, its scorecard and the
page of distributions show these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from mlstats.config import Pilot
from mlstats.dataset import Dataset
from mlstats.errors import ConfigError
from mlstats.period import ReferencePeriod
from mlstats.quality.concept_rows import concept_rows
from mlstats.quality.drift import (
    DriftResult,
    PairedSummary,
    Reference,
    Summary,
    drift,
)
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.evaluation import Evaluation
from mlstats.quality.indicator import Indicator, exact
from mlstats.watched import UNIT, Watched, watched

__all__ = ["HELD_OUT", "drift_of", "drift_rows"]

# Where the codes of the methods come from: they code no unit that they learnt from.
HELD_OUT: Final = "held_out"
_PANEL: Final = 0.5  # of the units, that must be in both periods to be paired


def drift_of(pilot: Pilot, dataset: Dataset, evaluation: Evaluation) -> DriftResult:
    """Compare the test part with the references that the pilot asks for.

    ``training`` is the training part; it is compared whether it is asked for or not,
    because references that move along miss a slow creep. ``last_accepted`` is, in a
    run for evaluation, the period before the test part, and ``same_period_last_year``
    the one a year before it; units of the test part and units without a label are in
    none of them. Where at least half of the units are in both periods, the common ones
    are compared in pairs. The codes that candidate and baseline give are compared with
    those they gave to the valid part, reference ``held_out``, always.

    Parameters
    ----------
    pilot : Pilot
        Roles and ``production.drift.references``.
    dataset : Dataset
        With its folds.
    evaluation : Evaluation
        With the codes of the methods.

    Returns
    -------
    DriftResult
        ``absent`` says which reference is not there, and why.
    """
    seen = watched(pilot, dataset, evaluation)
    sides = _Sides(seen, dataset.folds, _periods(pilot, dataset))
    columns = [*seen.inputs, *seen.outputs]
    reference = Reference.learn(
        seen.frame.loc[dataset.folds == "train", columns], kinds=seen.kinds
    )
    references: dict[str, Summary | PairedSummary] = {}
    missing: dict[str, str] = {}
    for name in _asked(pilot):
        rows, why = sides.rows(name)
        if why:
            missing[name] = why
        else:
            references[name] = sides.summary(name, rows, reference)
    now = _counted(seen, seen.frame[dataset.folds == "test"], reference)
    found = drift(now, references, periods_per_year=sides.per_year)
    asked = found.verdicts["column"].isin(seen.outputs) == (
        found.verdicts["reference"] == HELD_OUT
    )
    verdicts = found.verdicts[asked].reset_index(drop=True)
    return replace(found, verdicts=verdicts, absent=missing)


def drift_rows(
    pilot: Pilot, dataset: Dataset, evaluation: Evaluation, found: DriftResult
) -> list[dict[str, Any]]:
    """Return rows of the scorecard: alarms of the inputs, drift of the concept.

    The alarms are the same for candidate and baseline; the concept is tested for each
    method that tells a confidence.
    """
    alarms = Indicator("robustness", "drift_alarms", _alarms(found))
    rows = [
        alarms.row(method=name)
        for name in dict.fromkeys((pilot.candidate, pilot.baseline))
    ]
    roles = pilot.data.roles
    named = dict.fromkeys((*roles.domain, *roles.auxiliary))
    categories = dataset.frame[[c for c in named if c not in roles.confidential]]
    return rows + concept_rows(
        evaluation.units,
        list(pilot.methods),
        dataset.classification.ancestor,
        pilot.evaluate.level,
        categories,
    )


def _alarms(found: DriftResult) -> Estimate:
    measured = found.verdicts[~found.verdicts["state"].isin(["not measured", "break"])]
    said = " ".join(part for part in (found.sentence(), found.power()) if part)
    if measured.empty and found.alarms.empty:
        return absent("not_measured", said)
    n = int(found.verdicts["n"].max())
    return exact(float(found.alarming_pairs), n=n, note=said)


def _asked(pilot: Pilot) -> list[str]:
    asked = ("training", *pilot.production.drift.references, HELD_OUT)
    return list(dict.fromkeys(asked))


def _panel(before: pd.DataFrame, now: pd.DataFrame) -> bool:
    """Return whether the two periods ask, by and large, the same units."""
    one, two = before[UNIT], now[UNIT]
    if one.duplicated().any() or two.duplicated().any():
        return False
    common = int(two.isin(one).sum())
    return common >= _PANEL * max(len(one), len(two))


def _counted(seen: Watched, frame: pd.DataFrame, reference: Reference) -> Summary:
    return Summary.of(frame, reference, weight=seen.weight, cluster=seen.cluster)


# -- references --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Sides:
    """The rows of each reference."""

    seen: Watched
    folds: pd.Series
    periods: pd.Series | None  # of each row; None where the data have none

    @property
    def current(self) -> list[ReferencePeriod]:
        """The periods of the test part."""
        if self.periods is None:
            return []
        return sorted(set(self.periods[self.folds == "test"]))

    @property
    def per_year(self) -> int:
        """How often the question is asked; once where the data name no period."""
        return self.current[0].per_year if self.current else 1

    def summary(
        self, name: str, rows: pd.Series, reference: Reference
    ) -> Summary | PairedSummary:
        """Count a reference: in pairs with the test part where it is one panel."""
        seen = self.seen
        left_out = seen.inputs if name == HELD_OUT else seen.outputs
        before = seen.frame[rows].drop(columns=list(left_out))
        now = seen.frame[self.folds == "test"]
        if name in _EARLIER and _panel(before, now):
            return PairedSummary.of(
                before,
                now,
                reference,
                unit=UNIT,
                weight=seen.weight,
                cluster=seen.cluster,
            )
        return _counted(seen, before, reference)

    def rows(self, name: str) -> tuple[pd.Series, str]:
        """Return the rows of a reference, or none and the reason."""
        if name == "training":
            return self.folds == "train", ""
        if name == HELD_OUT:
            rows = self.folds == "valid"
            return rows, "" if rows.any() else "no units were held out (split.valid)"
        nothing = pd.Series(False, index=self.folds.index)
        if self.periods is None or not self.current:
            return nothing, "the data name no reference period"
        wanted = _EARLIER[name](self.current)
        accepted = self.periods.isin(wanted) & self.folds.isin(["train", "valid"])
        lacking = sorted(set(wanted) - set(self.periods[accepted]))
        if lacking:
            told = ", ".join(map(str, lacking))
            return nothing, f"the data hold no {told} outside the test part"
        return accepted, ""


_EARLIER: Final[
    Mapping[str, Callable[[Sequence[ReferencePeriod]], list[ReferencePeriod]]]
] = {
    "last_accepted": lambda current: [current[0].previous()],
    "same_period_last_year": lambda current: [
        period.same_period_last_year() for period in current
    ],
}


def _periods(pilot: Pilot, dataset: Dataset) -> pd.Series | None:
    column = pilot.data.roles.period
    if column is None or column not in dataset.frame:
        return None
    texts = dataset.frame[column].astype(str)
    try:
        known = {text: ReferencePeriod.parse(text) for text in texts.unique()}
    except ConfigError:
        return None
    if len({period.frequency for period in known.values()}) != 1:
        return None
    return texts.map(known)
