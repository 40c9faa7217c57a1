"""One figure of a quality dimension: an estimate with its place in the scorecard.

The figures of the dimensions beside accuracy (explainability, reproducibility,
timeliness, cost, robustness, fairness) are all of this form, so that one line of the
scorecard's code takes any of them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, t_estimate

__all__ = [
    "Indicator",
    "clopper_pearson",
    "contrast",
    "contrasted",
    "exact",
    "noted",
    "p_in_words",
    "p_value",
]


@dataclass(frozen=True)
class Indicator:
    """A figure as a row of the scorecard, without the method it belongs to.

    Parameters
    ----------
    dimension, indicator : str
        As the scorecard names them.
    estimate : Estimate
        Value, interval, status and note.
    domain : str
        Empty for the whole.
    """

    dimension: str
    indicator: str
    estimate: Estimate
    domain: str = ""

    def row(self, *, method: str, kind: str = "", level: str = "") -> dict[str, Any]:
        """Return the figure as a row of the scorecard.

        Parameters
        ----------
        method, kind : str
            Whose figure it is, and traditional or ml.
        level : str
            Level of the classification, empty where it has none.
        """
        told = asdict(self.estimate)
        del told["n_effective"]
        where = {"dimension": self.dimension, "indicator": self.indicator}
        return where | {
            "level": level,
            "method": method,
            "kind": kind,
            "domain": self.domain,
            **told,
        }


def exact(value: float, *, n: int = 0, note: str = "") -> Estimate:
    """State a fact that no sample stands behind, such as a rerun's differences.

    Its bounds are the value itself, so that a gate on it passes or fails.
    """
    return Estimate(
        value, 0.0, math.inf, value, value, n, note=note, interval="none: not a sample"
    )


def noted(estimate: Estimate, note: str) -> Estimate:
    """Return the estimate with a remark before its own."""
    told = "; ".join(part for part in (note, estimate.note) if part)
    return replace(estimate, note=told)


def contrast(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, design: Design
) -> Estimate:
    """Estimate the mean in one domain minus the mean in another one.

    The influences of the units on the two means are subtracted unit by unit, which
    holds the covariance of the means: a cluster may have units in both domains
    (Särndal, Swensson and Wretman 1992, eq. 5.5.10, for a function of two ratios).
    The degrees of freedom are those of the domain that has fewer: a domain in a
    single cluster shows no variation between clusters, and has no standard error.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,)
        Finite in both domains.
    first, second : numpy.ndarray of bool, shape (n,)
        The domains; they may overlap.
    """
    one, two = (design.mean(values, inside) for inside in (first, second))
    if not one.status == two.status == "measured":
        return contrasted(one, two, one)
    scores = np.zeros(len(design.weight))
    for sign, found, inside in zip((1, -1), (one, two), (first, second), strict=True):
        held = design.weight * inside
        apart = np.where(inside, np.asarray(values, dtype=float) - found.value, 0.0)
        scores += sign * held * apart / held.sum()
    found = design.linearised(one.value - two.value, scores, inside=first | second)
    return contrasted(one, two, found)


def contrasted(first: Estimate, second: Estimate, found: Estimate) -> Estimate:
    """Return the difference of two means that were estimated.

    Parameters
    ----------
    first, second : Estimate
        The means.
    found : Estimate
        The difference with its standard error; not looked at where a mean is not
        measured.
    """
    for mean in (first, second):
        if mean.status != "measured":
            return absent(mean.status, mean.note)
    gap, fewer = first.value - second.value, min((first, second), key=lambda m: m.df)
    return t_estimate(gap, found.se, fewer.df, n=found.n, note=fewer.note or found.note)


def p_value(estimate: Estimate, hypothesis: float = 0.0) -> float:
    """Return the two-sided p of a t test; NaN where there is no standard error."""
    if not estimate.has_error or estimate.se == 0:
        return math.nan
    gap = abs(estimate.value - hypothesis)
    return float(2 * stats.t.sf(gap / estimate.se, estimate.df))


def p_in_words(p: float) -> str:
    """Return a p-value as it is written, ``no test`` where there is none.

    Examples
    --------
    >>> p_in_words(0.0312), p_in_words(1e-9), p_in_words(math.nan)
    ('p = 0.031', 'p < 0.0001', 'no test: no standard error')
    """
    if not math.isfinite(p):
        return "no test: no standard error"
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def clopper_pearson(
    successes: int, n: int, *, note: str = "", confidence: float = 0.95
) -> Estimate:
    """Estimate a proportion from a simple random sample with its exact interval.

    Clopper and Pearson 1934, Biometrika 26, 404-413, by quantiles of the beta
    distribution.

    Examples
    --------
    >>> found = clopper_pearson(0, 20)
    >>> found.lower, round(found.upper, 4)
    (0.0, 0.1684)
    """
    if n < 1:
        return absent("not_measured", note or "the sample is empty")
    tail = (1 - confidence) / 2
    lower, upper = 0.0, 1.0
    if successes > 0:
        lower = float(stats.beta.ppf(tail, successes, n - successes + 1))
    if successes < n:
        upper = float(stats.beta.ppf(1 - tail, successes + 1, n - successes))
    return Estimate(
        successes / n, lower=lower, upper=upper, n=n, note=note,
        interval="Clopper-Pearson",
    )  # fmt: skip
