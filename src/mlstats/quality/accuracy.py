"""Accuracy of units under a sampling design: values, standard errors, intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

import numpy as np
from scipy import stats

from mlstats.quality.design import Design, SingleClusterRule
from mlstats.quality.estimate import NO_VARIATION, Estimate
from mlstats.quality.stratified import drawn_shares, stratified_covariance
from mlstats.quality.summaries import ClassSums

__all__ = [
    "ProportionInterval",
    "RatioEstimate",
    "as_proportion",
    "as_share",
    "bootstrap_weights",
    "discordance_bound",
    "labels_needed",
    "logit_interval",
    "macro_f1",
    "proportion",
    "proportion_interval",
    "ratio",
]

ProportionInterval = Literal["Korn-Graubard", "logit"]


@dataclass(frozen=True)
class RatioEstimate:
    """A weighted ratio with its linearised standard error.

    Parameters
    ----------
    value, se : float
        NaN where the denominator is zero or the standard error is not defined.
    df : float
        Clusters with weight minus their strata.
    n_clusters : int
        Clusters with weight.
    """

    value: float
    se: float
    df: float
    n_clusters: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the t interval."""
        if not np.isfinite(self.se) or self.df < 1:
            return (np.nan, np.nan)
        half = float(stats.t.ppf((1 + confidence) / 2, self.df)) * self.se
        return (self.value - half, self.value + half)


def ratio(
    numerator: np.ndarray,
    denominator: np.ndarray,
    strata: np.ndarray,
    *,
    fractions: Mapping[str, float] | None = None,
    single: SingleClusterRule = "adjust",
) -> RatioEstimate:
    """Estimate a ratio of weighted totals over clusters drawn within strata.

    With ``u = (y - R x) / sum(x)`` per cluster the variance is
    ``sum_h n_h / (n_h - 1) * sum_i (u_hi - mean_h(u))**2`` (Särndal, Swensson and
    Wretman 1992, eqs. 5.6.2 and 5.5.10 in the with-replacement form), times one minus
    the share of the stratum's clusters that was drawn, where that is known. A stratum
    with a single cluster is centred at the mean over all clusters, the rule that the
    survey package of R calls "adjust", or refused a standard error.

    Parameters
    ----------
    numerator, denominator : numpy.ndarray, shape (clusters,)
        Weighted totals per cluster; a domain is made by zeros, never by leaving
        clusters out.
    strata : numpy.ndarray, shape (clusters,)
        Stratum of each cluster.
    fractions : mapping, optional
        Stratum -> share of its clusters that was drawn.
    single : {"adjust", "refuse"}
        The rule for a stratum with a single cluster.
    """
    total = float(denominator.sum())
    if total <= 0:
        return RatioEstimate(np.nan, np.nan, 0.0, 0)
    value = float(numerator.sum()) / total
    u = (numerator - value * denominator) / total
    names, stratum = np.unique(strata, return_inverse=True)
    drawn = drawn_shares(fractions, names)
    variance = stratified_covariance(u[:, None], stratum, drawn)
    held = denominator > 0
    n_clusters = int(held.sum())
    # In a domain the strata and clusters that it is not in say nothing of it.
    df = float(n_clusters - len(np.unique(stratum[held])))
    alone = (np.bincount(stratum) == 1) & (drawn < 1)
    refused = single == "refuse" and alone.any()
    se = float(np.sqrt(variance[0, 0])) if df > 0 and not refused else np.nan
    return RatioEstimate(value, se, df, n_clusters)


def proportion_interval(
    estimate: RatioEstimate, n: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the Korn-Graubard interval of a design-weighted proportion.

    The Clopper-Pearson limits at the effective sample size
    ``n* = p (1 - p) / v * (t[n - 1] / t[df])**2``, at most `n` (Korn and Graubard
    1998, Survey Methodology 24, 193-201). Where the proportion is 0 or 1 no design
    effect can be estimated and the clusters count as units.

    Parameters
    ----------
    estimate : RatioEstimate
        The proportion.
    n : int
        Units behind it.
    """
    p = min(max(estimate.value, 0.0), 1.0)
    if not np.isfinite(estimate.value) or not np.isfinite(estimate.se) or n < 1:
        return (np.nan, np.nan)
    if p in (0.0, 1.0) or estimate.se == 0:
        effective = float(min(n, estimate.n_clusters))
    else:
        tail = (1 + confidence) / 2
        quantiles = stats.t.ppf(tail, max(n - 1, 1)) / stats.t.ppf(tail, estimate.df)
        effective = min(float(n), p * (1 - p) / estimate.se**2 * quantiles**2)
    x = p * effective
    alpha = 1 - confidence
    lower = stats.beta.ppf(alpha / 2, x, effective - x + 1) if x > 0 else 0.0
    upper = (
        stats.beta.ppf(1 - alpha / 2, x + 1, effective - x) if x < effective else 1.0
    )
    return (float(lower), float(upper))


def logit_interval(
    estimate: RatioEstimate, n: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the t interval on the logit scale, carried back to a proportion.

    ``logit(p) +- t[df] se / (p (1 - p))`` (Korn and Graubard 1999, Analysis of Health
    Surveys; ``svyciprop(method="logit")`` of R). Where the proportion is
    0 or 1 it does not exist and the Korn-Graubard interval stands in.

    Parameters
    ----------
    estimate : RatioEstimate
        The proportion.
    n : int
        Units behind it.
    """
    p = estimate.value
    if not np.isfinite(p) or not np.isfinite(estimate.se) or estimate.df < 1:
        return (np.nan, np.nan)
    if not 0 < p < 1 or estimate.se == 0:
        return proportion_interval(estimate, n, confidence)
    quantile = float(stats.t.ppf((1 + confidence) / 2, estimate.df))
    centre, half = np.log(p / (1 - p)), quantile * estimate.se / (p * (1 - p))
    lower, upper = 1 / (1 + np.exp(-(centre + np.array([-half, half]))))
    return (float(lower), float(upper))


def proportion(
    design: Design,
    part: np.ndarray,
    whole: np.ndarray,
    *,
    interval: ProportionInterval = "Korn-Graubard",
    confidence: float = 0.95,
) -> Estimate:
    """Estimate a proportion of the population or of a domain of it.

    Parameters
    ----------
    design : Design
        Of the sample.
    part, whole : numpy.ndarray of bool, shape (n,)
        Units that count, and units among which they count.
    interval : {"Korn-Graubard", "logit"}
        How the interval is made.
    """
    found = design.ratio((part & whole).astype(float), whole.astype(float))
    held = np.unique(design.cluster[whole & (design.weight > 0)])
    return as_proportion(found, len(held), interval=interval, confidence=confidence)


def as_proportion(
    found: Estimate,
    clusters: int,
    *,
    interval: ProportionInterval = "Korn-Graubard",
    confidence: float = 0.95,
) -> Estimate:
    """Replace the t interval of a ratio by one that keeps within 0 and 1.

    Parameters
    ----------
    found : Estimate
        The ratio; one of a census, or without degrees of freedom, stays as it is.
    clusters : int
        Clusters that hold units behind it.
    interval : {"Korn-Graubard", "logit"}
        How the interval is made.
    """
    if not found.df >= 1 or found.interval == "census":
        return found
    shape = RatioEstimate(found.value, found.se, found.df, clusters)
    make = proportion_interval if interval == "Korn-Graubard" else logit_interval
    lower, upper = make(shape, found.n, confidence)
    note = "" if found.note == NO_VARIATION else found.note
    return replace(found, lower=lower, upper=upper, interval=interval, note=note)


def as_share(
    found: Estimate, units: int, clusters: int, *, confidence: float = 0.95
) -> Estimate:
    """Return the share of a class with its Korn-Graubard interval.

    Parameters
    ----------
    found : Estimate
        The share; its n counts the class.
    units, clusters : int
        Behind the share: all that have weight.
    """
    if not np.isfinite(found.se):
        return found
    whole = replace(found, n=units)
    return replace(as_proportion(whole, clusters, confidence=confidence), n=found.n)


def discordance_bound(clusters: int, alpha: float) -> float:
    """Return the upper bound of a share that was seen in none of so many clusters.

    The exact bound for 0 of n, ``1 - alpha**(1/n)``: two arms that were never right
    apart may still differ by as much.

    Examples
    --------
    >>> round(discordance_bound(59, 0.05), 4)
    0.0495
    """
    return float(1 - alpha ** (1 / clusters)) if clusters > 0 else float("nan")


def bootstrap_weights(
    strata: np.ndarray,
    replicates: int,
    seed: int,
    *,
    fractions: Mapping[str, float] | None = None,
    cells: int = 2_000_000,
) -> Iterator[np.ndarray]:
    """Yield blocks of rescaled bootstrap weights (Rao and Wu 1988; JASA 83, 231-241).

    In each stratum ``n_h - 1`` clusters are drawn with replacement and weighted by
    ``1 - c + c m n_h / (n_h - 1)``, m the times that the cluster was drawn and ``c =
    sqrt(1 - f_h)``; a stratum with a single cluster keeps it.

    Parameters
    ----------
    strata : numpy.ndarray, shape (clusters,)
        Stratum of each cluster.
    replicates, seed : int
        Number of replicates and seed; the blocks do not depend on `cells`.
    fractions : mapping, optional
        Stratum -> share f of its clusters that was drawn.
    cells : int
        Upper bound of the numbers in one block, so that memory is bounded.

    Yields
    ------
    numpy.ndarray, shape (block, clusters)
    """
    rng = np.random.default_rng(seed)
    names = np.unique(strata)
    members = [np.flatnonzero(strata == stratum) for stratum in names]
    scales = np.sqrt(1 - drawn_shares(fractions, names))
    block = max(1, cells // max(len(strata), 1))
    for first in range(0, replicates, block):
        weights = np.zeros((min(block, replicates - first), len(strata)))
        for row in weights:
            for cluster, scale in zip(members, scales, strict=True):
                n = len(cluster)
                if n == 1:
                    row[cluster] = 1.0
                    continue
                drawn = rng.integers(0, n, size=n - 1)
                times = np.bincount(drawn, minlength=n) * (n / (n - 1))
                row[cluster] = 1 - scale + scale * times
        yield weights


def macro_f1(sums: ClassSums, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the mean over the true classes of ``2 tp / (predicted + true)``.

    The classes are those that occur as truth: scikit-learn's
    ``f1_score(average="macro", labels=unique(truth))``. A code that no unit has is no
    class to be found; that a unit was given it counts against the unit's own class.
    Uncoded units are nobody's prediction.

    Parameters
    ----------
    sums : ClassSums
        Of one method.
    weights : numpy.ndarray, shape (replicates, clusters), optional
        Bootstrap weights; none: the sample as it is.

    Returns
    -------
    numpy.ndarray, shape (replicates,) or (1,)
    """
    if weights is None:
        weights = np.ones((1, len(sums.weight)))
    hits = weights @ sums.hits
    union = weights @ (sums.predicted + sums.true)
    present = (weights @ sums.true) > 0
    f1 = np.divide(2 * hits, union, out=np.zeros_like(union), where=present)
    counted: np.ndarray = np.maximum(present.sum(axis=1), 1)
    return np.asarray(f1.sum(axis=1) / counted)


def labels_needed(
    margin: float,
    discordance: float,
    *,
    confidence: float = 0.95,
    power: float = 0.8,
) -> int:
    """Return the labels with which a non-inferiority gate can be expected to decide.

    ``(z[confidence] + z[power])**2 * discordance / margin**2`` for two methods that
    are equally accurate (the normal approximation for a paired difference).

    Parameters
    ----------
    margin : float
        Of the gate, as a share.
    discordance : float
        Share of units on which exactly one of the two methods is right.

    Examples
    --------
    >>> labels_needed(0.01, 0.10)
    6183
    """
    z = float(stats.norm.ppf(confidence) + stats.norm.ppf(power))
    return ceil(z**2 * discordance / margin**2)
