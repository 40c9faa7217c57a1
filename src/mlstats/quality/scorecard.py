"""The scorecard: every indicator of both arms on the same units, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.method import as_codes
from mlstats.quality.accuracy import (
    RatioEstimate,
    bootstrap_weights,
    discordance_bound,
    macro_f1,
    proportion_interval,
    ratio,
)
from mlstats.quality.automation import oracle_rate
from mlstats.quality.design import SingleClusterRule
from mlstats.quality.evaluation import Evaluation, fractions_of
from mlstats.quality.routing import THRESHOLDS, Candidates, Routing, Step
from mlstats.quality.scorecard_rows import (
    KORN_GRAUBARD,
    accuracy_row,
    korn_graubard,
    tells_confidence,
    thresholds_in_words,
    timing_rows,
)
from mlstats.quality.summaries import Ancestor, ClassSums, Confusion

__all__ = ["COLUMNS", "Plan", "as_scorecard", "score"]

COLUMNS = (
    "dimension",
    "indicator",
    "level",
    "method",
    "kind",
    "domain",
    "value",
    "se",
    "df",
    "lower",
    "upper",
    "versus",
    "difference",
    "difference_se",
    "difference_lower",
    "difference_upper",
    "n",
    "n_clusters",
    "interval",
    "status",
    "note",
    "gsbpm",
)
_BOOTSTRAP = "bootstrap over clusters"
_NEVER_APART = "exact bound for arms that are never right apart"


@dataclass(frozen=True)
class Plan:
    """What is scored.

    Parameters
    ----------
    kinds : mapping
        Method -> traditional or ml.
    baseline : str
        The method that every difference refers to.
    level : str
        The level at which the automatic part is judged.
    levels : sequence of str
        All levels that are scored.
    versus : sequence of (str, str)
        Further pairs (method, other method) whose difference is worked out.
    routing : Routing
        How automatic coding is decided.
    bootstrap, seed : int
        Replicates and seed.
    gsbpm : str
        Sub-process that the indicators belong to.
    single : {"adjust", "refuse"}
        The rule for a stratum with a single cluster.
    fractions : mapping
        Stratum -> share of its clusters that was drawn; :func:`score` reads it from
        the units.
    """

    kinds: Mapping[str, str]
    baseline: str
    level: str
    levels: Sequence[str]
    versus: Sequence[tuple[str, str]] = ()
    routing: Routing = Routing((Step("full", 0.95),))
    bootstrap: int = 1000
    seed: int = 0
    gsbpm: str = "5.2"
    single: SingleClusterRule = "adjust"
    fractions: Mapping[str, float] = field(default_factory=dict)


def score(evaluation: Evaluation, ancestor: Ancestor, plan: Plan) -> pd.DataFrame:
    """Return the scorecard of an Evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        Of any number of methods on the same units.
    ancestor : callable
        ``ancestor(codes, level)`` of the classification.
    plan : Plan
        What is scored.

    Returns
    -------
    pandas.DataFrame
        The columns of :data:`COLUMNS`, a row per indicator, level and method.
        ``difference`` is the method minus ``versus`` on the same units.
    """
    of_test = evaluation.units["fold"] == "test"
    # Only what is counted is copied: ids and candidates are most of the table.
    test = evaluation.units.loc[of_test, list(Confusion.READ)]
    plan = replace(plan, fractions=fractions_of(evaluation.units[of_test]))
    confusion = Confusion.from_units(test, ancestor, plan.levels)
    rows: list[dict[str, Any]] = []
    for level in plan.levels:
        rows += _accuracy_rows(confusion, level, plan)
    rows += _automation_rows(evaluation, ancestor, plan)
    rows += timing_rows(evaluation.timings, list(plan.kinds))
    return as_scorecard(rows, plan)


def as_scorecard(rows: Sequence[Mapping[str, Any]], plan: Plan) -> pd.DataFrame:
    """Return rows as a scorecard: all of :data:`COLUMNS`, what is left out filled."""
    table = pd.DataFrame(list(rows)).reindex(columns=list(COLUMNS))
    table = table.assign(gsbpm=plan.gsbpm, kind=table["method"].map(dict(plan.kinds)))
    texts = ("level", "domain", "versus", "interval", "note")
    table = table.astype(dict.fromkeys(texts, object)).fillna(dict.fromkeys(texts, ""))
    return table.fillna({"status": "measured", "n": 0, "n_clusters": 0}).astype(
        {"n": "int64", "n_clusters": "int64"}
    )


# -- accuracy ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Level:
    """The sums and bootstrap replicates of every method at one level."""

    strata: np.ndarray
    sums: dict[str, ClassSums]
    accuracy: dict[str, np.ndarray]
    f1: dict[str, np.ndarray]
    plan: Plan

    def ratio(self, part: np.ndarray, whole: np.ndarray) -> RatioEstimate:
        return ratio(
            part,
            whole,
            self.strata,
            fractions=self.plan.fractions,
            single=self.plan.single,
        )


def _level(confusion: Confusion, level: str, plan: Plan) -> _Level:
    strata = confusion.frame_of(level)["stratum"].to_numpy()
    sums = {method: confusion.sums(method, level) for method in plan.kinds}
    accuracy: dict[str, list[np.ndarray]] = {method: [] for method in sums}
    f1: dict[str, list[np.ndarray]] = {method: [] for method in sums}
    for weights in bootstrap_weights(
        strata, plan.bootstrap, plan.seed, fractions=plan.fractions
    ):
        for method, s in sums.items():
            accuracy[method].append((weights @ s.correct) / (weights @ s.weight))
            f1[method].append(macro_f1(s, weights))
    return _Level(
        strata,
        sums,
        {method: np.concatenate(blocks) for method, blocks in accuracy.items()},
        {method: np.concatenate(blocks) for method, blocks in f1.items()},
        plan,
    )


def _accuracy_rows(
    confusion: Confusion, level: str, plan: Plan
) -> list[dict[str, Any]]:
    if len(confusion.frame_of(level)) == 0:
        return [
            {
                "dimension": "accuracy",
                "indicator": "accuracy",
                "level": level,
                "method": method,
                "status": "not_applicable",
                "note": "no unit has a truth at this level",
            }
            for method in plan.kinds
        ]
    at = _level(confusion, level, plan)
    rows = []
    for method in plan.kinds:
        others = [other for name, other in plan.versus if name == method]
        for other in [plan.baseline, *others]:
            rows.append(_accuracy_row(at, level, method, other))
            rows.append(_f1_row(at, level, method, other))
        rows.append(_share_row("coverage", at, level, method, at.sums[method].coded))
        rows.append(_unseen_row(confusion, at, level, method))
    return rows


def _accuracy_row(at: _Level, level: str, method: str, other: str) -> dict[str, Any]:
    sums = at.sums[method]
    row = _share_row("accuracy", at, level, method, sums.correct)
    if method == other:
        return row
    paired = at.ratio(sums.correct - at.sums[other].correct, sums.weight)
    replicates = at.accuracy[method] - at.accuracy[other]
    return row | _difference(other, paired, replicates)


def _f1_row(at: _Level, level: str, method: str, other: str) -> dict[str, Any]:
    sums = at.sums[method]
    value = float(macro_f1(sums)[0])
    share = at.ratio(sums.correct, sums.weight)
    estimate = RatioEstimate(
        value, float(at.f1[method].std(ddof=1)), share.df, share.n_clusters
    )
    lower, upper = estimate.interval()
    row = accuracy_row("macro_f1", level, method, estimate, sums.n) | {
        "lower": max(lower, 0.0),
        "upper": min(upper, 1.0),
        "interval": "t with bootstrap standard error",
    }
    if method == other:
        return row
    replicates = at.f1[method] - at.f1[other]
    gap = value - float(macro_f1(at.sums[other])[0])
    paired = RatioEstimate(
        gap, float(replicates.std(ddof=1)), share.df, share.n_clusters
    )
    lower, upper = paired.interval()
    return row | {
        "versus": other,
        "difference": gap,
        "difference_se": paired.se,
        "difference_lower": lower,
        "difference_upper": upper,
    }


def _difference(
    other: str, paired: RatioEstimate, replicates: np.ndarray
) -> dict[str, Any]:
    if paired.df < 1:
        return {"versus": other, "difference": paired.value}
    lower, upper = np.quantile(replicates, [0.025, 0.975])
    how = _BOOTSTRAP
    if paired.se == 0:
        apart = discordance_bound(paired.n_clusters, 0.025)
        lower, upper, how = paired.value - apart, paired.value + apart, _NEVER_APART
    return {
        "versus": other,
        "difference": paired.value,
        "difference_se": paired.se,
        "difference_lower": float(lower),
        "difference_upper": float(upper),
        "interval": f"{KORN_GRAUBARD}; difference: {how}",
    }


def _share_row(
    indicator: str, at: _Level, level: str, method: str, part: np.ndarray
) -> dict[str, Any]:
    sums = at.sums[method]
    estimate = at.ratio(part, sums.weight)
    lower, upper = proportion_interval(estimate, sums.n)
    return accuracy_row(indicator, level, method, estimate, sums.n) | {
        "lower": lower,
        "upper": upper,
        "interval": KORN_GRAUBARD,
    }


def _unseen_row(
    confusion: Confusion, at: _Level, level: str, method: str
) -> dict[str, Any]:
    sums = confusion.sums(method, level, seen=False)
    estimate = at.ratio(sums.correct, sums.weight)
    row = accuracy_row("accuracy_unseen", level, method, estimate, sums.n)
    if sums.n == 0:
        return row | {
            "status": "not_applicable",
            "note": "every text of the test part was known from training",
        }
    lower, upper = proportion_interval(estimate, sums.n)
    return row | {"lower": lower, "upper": upper, "interval": KORN_GRAUBARD}


# -- automation --------------------------------------------------------------------


def _automation_rows(
    evaluation: Evaluation, ancestor: Ancestor, plan: Plan
) -> list[dict[str, Any]]:
    """Return the rows of each depth to which units are coded automatically."""
    test = evaluation.units[evaluation.units["fold"] == "test"]
    shown = evaluation.tables.get("thresholds", pd.DataFrame(columns=list(THRESHOLDS)))
    rows: list[dict[str, Any]] = []
    for method in plan.kinds:
        part = test[test["method"] == method]
        for step in plan.routing.steps:
            at = (shown["method"] == method) & (shown["level"] == step.level)
            note = thresholds_in_words(shown[at], step)
            rows += _automation(part, step, note, ancestor, plan, method)
        if len(plan.routing.steps) > 1 and tells_confidence(part):
            decided = part["depth"].ne("").to_numpy()
            found = _share_of(part, decided, np.ones(len(part), dtype=bool), plan)
            row = accuracy_row("automation_any_depth", "", method, found, len(part))
            rows.append(row | korn_graubard(found, len(part)))
    return rows


def _automation(
    part: pd.DataFrame,
    step: Step,
    note: str,
    ancestor: Ancestor,
    plan: Plan,
    method: str,
) -> list[dict[str, Any]]:
    names = ("automation_guaranteed", "automation_error", "automation_oracle")
    common = {"dimension": "accuracy", "level": step.level, "method": method}
    if not tells_confidence(part):
        missing = {"status": "not_applicable", "note": "the method tells no confidence"}
        return [
            common | missing | {"indicator": name, "n": len(part)} for name in names
        ]
    truth = ancestor(as_codes(part["truth"]), step.level)
    judged = np.array([code is not None for code in truth], dtype=bool)
    part, truth = part[judged], truth[judged]
    decided = part["depth"].eq(step.level).to_numpy()
    wrong = decided & (part["routed"].to_numpy(dtype=object) != truth)
    everyone = np.ones(len(part), dtype=bool)
    rate = _share_of(part, decided, everyone, plan)
    error = _share_of(part, wrong, decided, plan)
    rows = []
    for name, found, n in (
        (names[0], rate, len(part)),
        (names[1], error, int(decided.sum())),
    ):
        interval = {"status": "not_applicable"} if n == 0 else korn_graubard(found, n)
        row = accuracy_row(name, step.level, method, found, n)
        rows.append(row | interval | {"note": note})
    seen = Candidates.of(part, ancestor, step.level)
    oracle = oracle_rate(
        seen.confidence,
        seen.code == truth,
        step.target,
        part["weight"].to_numpy(dtype=float),
    )
    told = f"target {step.target:g}, chosen with the labels known: no promise"
    cells = {"indicator": names[2], "value": oracle, "n": len(part), "note": told}
    return [*rows, common | cells]


def _share_of(
    part: pd.DataFrame, inside: np.ndarray, whole: np.ndarray, plan: Plan
) -> RatioEstimate:
    weight = part["weight"].to_numpy(dtype=float)
    strata, clusters = part["stratum"].to_numpy(), part["cluster"].to_numpy()
    return _clustered(weight * inside, weight * whole, strata, clusters, plan)


def _clustered(
    numerator: np.ndarray,
    denominator: np.ndarray,
    strata: np.ndarray,
    clusters: np.ndarray,
    plan: Plan,
) -> RatioEstimate:
    frame = pd.DataFrame({"s": strata, "c": clusters, "y": numerator, "x": denominator})
    sums = frame.groupby(["s", "c"], as_index=False)[["y", "x"]].sum()
    return ratio(
        sums["y"].to_numpy(),
        sums["x"].to_numpy(),
        sums["s"].to_numpy(),
        fractions=plan.fractions,
        single=plan.single,
    )


def one_sided_bounds(
    estimate: float, se: float, df: float, confidence: float
) -> tuple[float, float]:
    """Return the lower and the upper one-sided t bound, NaN where not defined."""
    if not np.isfinite(se) or not np.isfinite(estimate) or df < 1:
        return (np.nan, np.nan)
    half = float(stats.t.ppf(confidence, df)) * se
    return (estimate - half, estimate + half)
