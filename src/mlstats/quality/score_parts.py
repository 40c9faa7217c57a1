"""The scorecard of units that come in parts, from their sums.

Shares, their errors and paired differences are those of
:func:`mlstats.quality.scorecard.score`. Where that draws a bootstrap over all clusters,
differences have the t interval of their own standard error here, and macro-F1 that of
the delete-a-group jackknife. What a perfect threshold could have reached needs the
order of all confidences and is not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import RatioEstimate, discordance_bound
from mlstats.quality.class_groups import jackknifed_f1
from mlstats.quality.routing import THRESHOLDS, Step
from mlstats.quality.score_sums import ScoreSums, others_of
from mlstats.quality.scorecard import Plan, as_scorecard
from mlstats.quality.scorecard_rows import (
    KORN_GRAUBARD,
    accuracy_row,
    korn_graubard,
    thresholds_in_words,
    timing_rows,
)

__all__ = ["scorecard_of_sums"]

_NEVER_APART: Final = "exact bound for arms that are never right apart"
_JACKKNIFE: Final = "t with delete-a-group jackknife"


def scorecard_of_sums(
    sums: ScoreSums,
    plan: Plan,
    *,
    thresholds: pd.DataFrame | None = None,
    timings: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the scorecard.

    Parameters
    ----------
    sums : ScoreSums
        Of all parts.
    plan : Plan
        As of the sums.
    thresholds, timings : pandas.DataFrame, optional
        Of the Evaluation.

    Returns
    -------
    pandas.DataFrame
        The rows of :func:`mlstats.quality.scorecard.score`, in their order.
    """
    shown = pd.DataFrame(columns=list(THRESHOLDS))
    shown = shown if thresholds is None else thresholds
    rows: list[dict[str, Any]] = []
    for level in plan.levels:
        rows += _Told(sums, plan).accuracy(level)
    for method in plan.kinds:
        for step in plan.routing.steps:
            at = (shown["method"] == method) & (shown["level"] == step.level)
            note = thresholds_in_words(shown[at], step)
            rows += _Told(sums, plan).automation(method, step, note)
        rows += _Told(sums, plan).any_depth(method)
    if timings is not None:
        rows += timing_rows(timings, list(plan.kinds))
    return as_scorecard(rows, plan)


@dataclass(frozen=True, eq=False)
class _Told:
    """The rows of a plan."""

    sums: ScoreSums
    plan: Plan

    def ratio(self, key: tuple[str, str, str, str]) -> RatioEstimate:
        fractions, single = self.sums.fractions, self.plan.single
        return self.sums.ratios[key].ratio("", fractions, single=single)[0]

    def share(self, indicator: str, level: str, method: str) -> dict[str, Any]:
        key = (indicator, level, method, "")
        found, n = self.ratio(key), self.sums.units[key]
        row = accuracy_row(indicator, level, method, found, n)
        return row | korn_graubard(found, n)

    def accuracy(self, level: str) -> list[dict[str, Any]]:
        methods = list(self.plan.kinds)
        if not any(self.sums.units["accuracy", level, name, ""] for name in methods):
            missing = {
                "dimension": "accuracy",
                "indicator": "accuracy",
                "level": level,
                "status": "not_applicable",
                "note": "no unit has a truth at this level",
            }
            return [missing | {"method": name} for name in methods]
        rows = []
        for name in methods:
            alone = [""] if name == self.plan.baseline else []
            for other in [*alone, *others_of(self.plan, name)]:
                rows += [
                    self._difference(level, name, other),
                    self._f1(level, name, other),
                ]
            rows += [self.share("coverage", level, name), self._unseen(level, name)]
        return rows

    def _difference(self, level: str, method: str, other: str) -> dict[str, Any]:
        row = self.share("accuracy", level, method)
        if not other:
            return row
        paired = self.ratio(("accuracy", level, method, other))
        row |= {"versus": other, "difference": paired.value}
        if paired.df < 1:
            return row
        (lower, upper), how = paired.interval(), "t"
        if paired.se == 0:
            apart = discordance_bound(paired.n_clusters, 0.025)
            lower, upper, how = paired.value - apart, paired.value + apart, _NEVER_APART
        return row | {
            "difference_se": paired.se,
            "difference_lower": lower,
            "difference_upper": upper,
            "interval": f"{KORN_GRAUBARD}; difference: {how}",
        }

    def _f1(self, level: str, method: str, other: str) -> dict[str, Any]:
        groups, n = self.sums.groups, self.sums.units["accuracy", level, method, ""]
        mine, gap = jackknifed_f1(
            groups[level, method],
            groups[level, other] if other else None,
            n_clusters=self.ratio(("accuracy", level, method, "")).n_clusters,
        )
        lower, upper = mine.interval()
        row = accuracy_row("macro_f1", level, method, mine, n) | {
            "lower": max(lower, 0.0),
            "upper": min(upper, 1.0),
            "interval": _JACKKNIFE,
        }
        if gap is None:
            return row
        lower, upper = gap.interval()
        return row | {
            "versus": other,
            "difference": gap.value,
            "difference_se": gap.se,
            "difference_lower": lower,
            "difference_upper": upper,
        }

    def _unseen(self, level: str, method: str) -> dict[str, Any]:
        row = self.share("accuracy_unseen", level, method)
        if row["n"]:
            return row
        return row | {
            "lower": np.nan,
            "upper": np.nan,
            "interval": "",
            "status": "not_applicable",
            "note": "every text of the test part was known from training",
        }

    def automation(self, method: str, step: Step, note: str) -> list[dict[str, Any]]:
        names = ("automation_guaranteed", "automation_error", "automation_oracle")
        common = {"dimension": "accuracy", "level": step.level, "method": method}
        units = self.sums.units
        if not units["confident", step.level, method, ""]:
            n = units["everyone", step.level, method, ""]
            missing = {
                "status": "not_applicable",
                "note": "the method tells no confidence",
                "n": n,
            }
            return [common | missing | {"indicator": name} for name in names]
        rows = []
        for name in names[:2]:
            row = self.share(name, step.level, method) | {"note": note}
            if row["n"] == 0:
                row |= {"lower": np.nan, "upper": np.nan, "interval": ""}
                row["status"] = "not_applicable"
            rows.append(row)
        told = f"target {step.target:g}: needs the order of all units, not their sums"
        missing = {"status": "not_measured", "note": told, "n": rows[0]["n"]}
        return [*rows, common | missing | {"indicator": names[2]}]

    def any_depth(self, method: str) -> list[dict[str, Any]]:
        levels = [step.level for step in self.plan.routing.steps]
        confident = any(self.sums.units["confident", k, method, ""] for k in levels)
        if len(levels) < 2 or not confident:
            return []
        return [self.share("automation_any_depth", "", method)]
