"""Gates: rules on rows of the scorecard -> pass, fail, inconclusive, not measured.

A gate never looks at a point estimate alone: it passes where the one-sided bound of
its confidence lies on the right side, fails where the opposite bound lies on the wrong
side, and is inconclusive between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.config import GateRule
from mlstats.errors import ConfigError, nearest
from mlstats.quality.accuracy import (
    RatioEstimate,
    discordance_bound,
    proportion_interval,
)
from mlstats.quality.estimate import t_estimate
from mlstats.quality.indicator_names import INDICATORS, LOWER_IS_BETTER, SHARES
from mlstats.quality.sample_size import labels_to_decide
from mlstats.quality.scorecard import one_sided_bounds

__all__ = ["RESULTS", "check_measures", "judge", "verdict"]

RESULTS = ("pass", "fail", "inconclusive", "not_measured")
# Intervals that are not symmetric: value and standard error do not give their bounds.
_SKEWED = ("bootstrap of the logarithm", "Clopper-Pearson")
_WORST = ("fail", "inconclusive", "not_measured", "pass")


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
        threshold, result, reason, source; lower and upper are the one-sided bounds,
        source the gate file and its version.
    """
    rows = [_judge(scorecard, rule, method, level) for rule in rules]
    columns = [
        "gate", "measure", "method", "versus", "to", "rule", "value",
        "lower", "upper", "threshold", "result", "reason", "source",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def check_measures(rules: Sequence[GateRule]) -> None:
    """See that every rule measures something that a scorecard can have.

    Raises
    ------
    ConfigError
        With the nearest name.
    """
    for rule in rules:
        if rule.indicator not in INDICATORS:
            raise ConfigError(
                f"A gate measures {rule.indicator!r}, which no scorecard has",
                where="gates",
                expected=", ".join(INDICATORS),
                nearest=nearest(rule.indicator, INDICATORS),
            )


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


@dataclass(frozen=True)
class _Bar:
    """What a rule demands: on which side of which number the figure must lie."""

    sign: float  # 1: at least, -1: at most
    threshold: float
    said: str

    @classmethod
    def of(cls, rule: GateRule) -> _Bar:
        if rule.versus is not None:
            points = rule.indicator in SHARES
            told = f"{rule.margin * 100:g} points" if points else f"{rule.margin:g}"
            if rule.indicator in LOWER_IS_BETTER:
                return cls(-1.0, rule.margin, f"at most {told} above {rule.versus}")
            return cls(1.0, -rule.margin, f"at most {told} below {rule.versus}")
        if rule.at_most is not None:
            return cls(-1.0, rule.at_most, f"at most {rule.at_most:g}")
        least = rule.at_least if rule.at_least is not None else np.nan
        return cls(1.0, least, f"at least {least:g}")


def _judge(
    scorecard: pd.DataFrame, rule: GateRule, method: str, level: str
) -> dict[str, Any]:
    """Judge a rule; one that names a domain holds in each value of it.

    All of them have to pass, an intersection-union test that needs no adjustment: the
    row that is told is the worst.
    """
    at = rule.level or level
    bar = _Bar.of(rule)
    rows = _find(scorecard, rule, method, at) or [{}]
    judged = [_judge_row(row, rule, bar) for row in rows]
    worst = min(
        judged, key=lambda found: (_WORST.index(found["result"]), found["slack"])
    )
    del worst["slack"]
    if not _coded_any(scorecard, method, at):
        worst |= {"result": "not_measured", "reason": "the method coded no unit"}
    elif rows == [{}] and (why := _why_absent(scorecard, rule, method, at)):
        worst["reason"] = why
    measure = f"{rule.indicator}@{at}"
    within = f" in each {rule.domain}" if rule.domain else ""
    name = f"{measure} to {rule.to}"
    confident = f"with {rule.confidence:.0%} confidence"
    return {
        "gate": f"{name}, each {rule.domain}" if rule.domain else name,
        "measure": measure,
        "method": method,
        "versus": rule.versus or "",
        "to": rule.to,
        "rule": f"{_in_words(rule, at)} {bar.said}{within}, {confident}",
        **worst,
        "source": rule.source,
    }


def _judge_row(row: dict[str, Any], rule: GateRule, bar: _Bar) -> dict[str, Any]:
    prefix = "difference" if rule.versus is not None else "value"
    error = "difference_se" if rule.versus is not None else "se"
    number, se = (_number(row.get(name)) for name in (prefix, error))
    lower, upper = _bounds(row, rule, number, se)
    points = rule.versus is not None and rule.indicator in SHARES
    result, reason = _result(bar.sign, number, lower, upper, bar.threshold, points)
    where = str(row.get("domain", ""))
    if result == "inconclusive":
        reason += _labels(row, rule, bar, number, se)
    slack = bar.sign * ((lower if bar.sign > 0 else upper) - bar.threshold)
    return {
        "value": number,
        "lower": lower,
        "upper": upper,
        "threshold": float(bar.threshold),
        "result": result,
        "reason": f"{where}: {reason}" if where and reason else reason,
        "slack": slack if np.isfinite(slack) else np.inf,
    }


def _labels(
    row: dict[str, Any], rule: GateRule, bar: _Bar, value: float, se: float
) -> str:
    """Tell the labels with which the gate can be expected to decide."""
    df, n = _number(row.get("df")), int(row.get("n", 0))
    found = labels_to_decide(
        t_estimate(value, se, df, n=n), bar.threshold, confidence=rule.confidence
    )
    if found.n is None:
        return f"; {found.note}"
    return f"; about {found.n:,} labels would decide, {n:,} there are"


def _number(value: Any) -> float:
    return float(value) if value is not None else float("nan")


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
        if not np.isfinite(se):
            return _stated_bounds(row, rule, "difference_")
        if se == 0 and clusters > 0:
            apart = discordance_bound(clusters, 1 - rule.confidence)
            return (value - apart, value + apart)
        return one_sided_bounds(value, se, df, rule.confidence)
    if str(row.get("interval", "")).startswith("Korn-Graubard"):
        share = RatioEstimate(value, se, df, clusters)
        return proportion_interval(share, n, 2 * rule.confidence - 1)
    if se == 0 and np.isfinite(df):
        return (np.nan, np.nan)
    if not np.isfinite(se) or row.get("interval") in _SKEWED:
        return _stated_bounds(row, rule)
    return one_sided_bounds(value, se, df, rule.confidence)


def _stated_bounds(
    row: dict[str, Any], rule: GateRule, prefix: str = ""
) -> tuple[float, float]:
    """Return the limits of an interval that value and standard error do not give.

    The scorecard holds two-sided limits of 95 %: as one-sided bounds they hold with
    97.5 %, so they may serve any rule that asks for no more.
    """
    if rule.confidence > 0.975:
        return (np.nan, np.nan)
    return _number(row.get(f"{prefix}lower")), _number(row.get(f"{prefix}upper"))


def _coded_any(scorecard: pd.DataFrame, method: str, level: str) -> bool:
    coverage = scorecard[
        (scorecard["indicator"] == "coverage")
        & (scorecard["method"] == method)
        & (scorecard["level"] == level)
    ]
    return len(coverage) == 0 or float(coverage["value"].iloc[0]) > 0


def _why_absent(
    scorecard: pd.DataFrame, rule: GateRule, method: str, level: str
) -> str:
    """Return what the scorecard says of a figure that it names and could not tell."""
    named = _rows_of(scorecard, rule, method, level)
    told = named[(named["status"] != "measured") & (named["note"].astype(str) != "")]
    if told.empty:
        return ""
    row = told.iloc[0]
    return f"{str(row['status']).replace('_', ' ')}: {row['note']}"


def _find(
    scorecard: pd.DataFrame, rule: GateRule, method: str, level: str
) -> list[dict[str, Any]]:
    chosen = _rows_of(scorecard, rule, method, level)
    if rule.versus is not None:
        chosen = chosen[chosen["versus"] == rule.versus]
    # A domain that is too small to be told is not passed over.
    told = chosen if rule.domain else chosen[chosen["status"] == "measured"].head(1)
    return [
        {str(key): value for key, value in row.items()}
        for row in told.to_dict("records")
    ]


def _rows_of(
    scorecard: pd.DataFrame, rule: GateRule, method: str, level: str
) -> pd.DataFrame:
    inside = scorecard["domain"] == ""
    if rule.domain is not None:
        inside = scorecard["domain"].str.startswith(f"{rule.domain}: ")
    found: pd.DataFrame = scorecard[
        (scorecard["indicator"] == rule.indicator)
        & (scorecard["method"] == method)
        & (scorecard["level"].isin([level, ""]))
        & inside
    ]
    return found


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
        return f"{number * 100 + 0.0:+.1f} points" if points else f"{number:.3f}"

    if near >= bar:
        return "pass", f"the bound {told(sign * near)} keeps {told(threshold)}"
    if far < bar:
        return "fail", f"the bound {told(sign * far)} misses {told(threshold)}"
    between = f"{told(lower)} and {told(upper)}"
    return "inconclusive", f"{told(threshold)} lies between the bounds {between}"
