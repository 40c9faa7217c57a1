"""Gates: rules on rows of the scorecard -> pass, fail, inconclusive, not measured.

A gate never looks at a point estimate alone: it passes where the one-sided bound of
its confidence lies on the right side, fails where the opposite bound lies on the wrong
side, and is inconclusive between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlstats.config import GateRule
from mlstats.quality.accuracy import (
    RatioEstimate,
    discordance_bound,
    proportion_interval,
)
from mlstats.quality.scorecard import one_sided_bounds

__all__ = ["RESULTS", "judge", "verdict"]

RESULTS = ("pass", "fail", "inconclusive", "not_measured")


def judge(
    scorecard: pd.DataFrame, rules: Sequence[GateRule], *, method: str, level: str
) -> pd.DataFrame:
    """Apply the rules to the rows of one method.

    Parameters
    ----------
    scorecard : pandas.DataFrame
        As :func:`mlstats.quality.scorecard.score` returns it.
    rules : sequence of GateRule
        ``versus`` compares the paired difference with ``-margin``; ``at_least`` and
        ``at_most`` compare the value with a number.
    method : str
        The candidate.
    level : str
        The level of a measure that names none.

    Returns
    -------
    pandas.DataFrame
        Columns gate, measure, method, versus, to, rule, value, lower, upper,
        threshold, result, reason; lower and upper are the one-sided bounds.
    """
    rows = [_judge(scorecard, rule, method, level) for rule in rules]
    columns = [
        "gate", "measure", "method", "versus", "to", "rule", "value",
        "lower", "upper", "threshold", "result", "reason",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def verdict(gates: pd.DataFrame, to: str) -> str:
    """Return the result of all gates that name a transition.

    One failure fails it, else one inconclusive gate leaves it open, else one that was
    not measured; without any gate nothing was measured.
    """
    results = set(gates.loc[gates["to"] == to, "result"])
    for result in ("fail", "inconclusive", "not_measured"):
        if result in results:
            return result
    return "pass" if results else "not_measured"


def _judge(
    scorecard: pd.DataFrame, rule: GateRule, method: str, level: str
) -> dict[str, Any]:
    at = rule.level or level
    measure = f"{rule.indicator}@{at}"
    row = _find(scorecard, rule, method, at)
    sign = 1.0
    if rule.versus is not None:
        threshold = -rule.margin
        said = f"at most {rule.margin * 100:g} points below {rule.versus}"
        value, se = row.get("difference"), row.get("difference_se")
    else:
        said = f"at least {rule.at_least:g}" if rule.at_least is not None else ""
        threshold = rule.at_least if rule.at_least is not None else np.nan
        if rule.at_most is not None:
            sign, threshold, said = -1.0, rule.at_most, f"at most {rule.at_most:g}"
        value, se = row.get("value"), row.get("se")
    number = float(value) if value is not None else np.nan
    error = float(se) if se is not None else np.nan
    lower, upper = _bounds(row, rule, number, error)
    points = rule.versus is not None
    result, reason = _result(sign, number, lower, upper, float(threshold), points)
    if not _coded_any(scorecard, method, at):
        result, reason = "not_measured", "the method coded no unit"
    return {
        "gate": f"{measure} to {rule.to}",
        "measure": measure,
        "method": method,
        "versus": rule.versus or "",
        "to": rule.to,
        "rule": f"{_in_words(rule, at)} {said}, with {rule.confidence:.0%} confidence",
        "value": number,
        "lower": lower,
        "upper": upper,
        "threshold": float(threshold),
        "result": result,
        "reason": reason,
    }


def _bounds(
    row: dict[str, Any], rule: GateRule, value: float, se: float
) -> tuple[float, float]:
    """Return the one-sided bounds of a figure, NaN where nothing can be said.

    A sample in which nothing varies proves nothing by that: a share has its
    Korn-Graubard bounds, and of two arms that were never right apart in n clusters
    the discordance is at most ``1 - alpha**(1/n)``, the exact bound for 0 of n.
    """
    df = float(row.get("df", 0.0))
    n, clusters = int(row.get("n", 0)), int(row.get("n_clusters", 0))
    if rule.versus is not None:
        if se == 0 and clusters > 0:
            apart = discordance_bound(clusters, 1 - rule.confidence)
            return (value - apart, value + apart)
        return one_sided_bounds(value, se, df, rule.confidence)
    if str(row.get("interval", "")).startswith("Korn-Graubard"):
        share = RatioEstimate(value, se, df, clusters)
        return proportion_interval(share, n, 2 * rule.confidence - 1)
    if se == 0 and np.isfinite(df):
        return (np.nan, np.nan)
    return one_sided_bounds(value, se, df, rule.confidence)


def _coded_any(scorecard: pd.DataFrame, method: str, level: str) -> bool:
    coverage = scorecard[
        (scorecard["indicator"] == "coverage")
        & (scorecard["method"] == method)
        & (scorecard["level"] == level)
    ]
    return len(coverage) == 0 or float(coverage["value"].iloc[0]) > 0


def _find(
    scorecard: pd.DataFrame, rule: GateRule, method: str, level: str
) -> dict[str, Any]:
    chosen = scorecard[
        (scorecard["indicator"] == rule.indicator)
        & (scorecard["method"] == method)
        & (scorecard["level"].isin([level, ""]))
        & (scorecard["domain"] == "")
        & (scorecard["status"] == "measured")
    ]
    if rule.versus is not None:
        chosen = chosen[chosen["versus"] == rule.versus]
    if len(chosen) == 0:
        return {}
    return {str(key): value for key, value in chosen.iloc[0].items()}


def _in_words(rule: GateRule, level: str) -> str:
    indicator = rule.indicator.replace("_", " ")
    where = "the full code" if level == "full" else f"level {level}"
    return f"{indicator} at {where}"


def _result(
    sign: float,
    value: float,
    lower: float,
    upper: float,
    threshold: float,
    points: bool,
) -> tuple[str, str]:
    if not np.isfinite(value):
        return "not_measured", "the scorecard has no such figure"
    if not np.isfinite(lower):
        return "not_measured", "nothing varies, or there is no standard error"
    near, far = (lower, upper) if sign > 0 else (-upper, -lower)
    bar = sign * threshold

    def told(number: float) -> str:
        return f"{number * 100:+.1f} points" if points else f"{number:.3f}"

    if near >= bar:
        return "pass", f"the bound {told(sign * near)} keeps {told(threshold)}"
    if far < bar:
        return "fail", f"the bound {told(sign * far)} misses {told(threshold)}"
    between = f"{told(lower)} and {told(upper)}"
    return "inconclusive", f"{told(threshold)} lies between the bounds {between}"
