"""Two methods on the same units: tests, intervals, non-inferiority, equivalence.

"Not significantly different" is not "equal": a method is shown to be no worse only
where the difference is shown to lie above minus the margin, and what is not shown
either way is inconclusive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import copysign, isfinite, sqrt
from typing import Literal

import numpy as np
from scipy import optimize, stats

from mlstats.quality.design import Design
from mlstats.quality.estimate import NO_VARIATION, Estimate

__all__ = [
    "McNemar",
    "Pairs",
    "Result",
    "Verdict",
    "effective_pairs",
    "equivalence",
    "mcnemar",
    "non_inferiority",
    "paired_difference",
    "pairs_of",
    "score_interval",
    "score_statistic",
    "scored",
]

Result = Literal["pass", "fail", "inconclusive", "not_measured"]


@dataclass(frozen=True)
class McNemar:
    """P-values of the hypothesis that both methods are right equally often.

    Parameters
    ----------
    exact : float
        Of the binomial test.
    mid_p : float
        The exact one less half the probability of the observed table, twice.
    chi_square, chi_square_p : float
        Statistic without continuity correction, and its p-value.
    """

    exact: float
    mid_p: float
    chi_square: float
    chi_square_p: float


@dataclass(frozen=True)
class Pairs:
    """Units on which exactly one of two methods is right.

    Parameters
    ----------
    first, second : float
        Number on which only the first, only the second is right; whole numbers, or
        effective ones of a design.
    n : float
        All units.
    """

    first: float
    second: float
    n: float


@dataclass(frozen=True)
class Verdict:
    """What a test of a margin says.

    Parameters
    ----------
    result : {"pass", "fail", "inconclusive", "not_measured"}
        Passed and failed are both shown, at the same confidence.
    p_value : float or None
        Of the hypothesis that has to be refuted for "pass"; None where there is none.
    reason : str
        In words.
    """

    result: Result
    p_value: float | None
    reason: str


def mcnemar(first: int, second: int) -> McNemar:
    """Test whether two methods are right equally often on an unweighted sample.

    ``exact = min(1, 2 P(X <= min(b, c)))`` with ``X ~ Bin(b + c, 1/2)``, ``mid_p`` is
    ``2 P(X <= min) - P(X = min)`` capped at 1 last of all (Fagerland, Lydersen and
    Laake 2013, BMC Medical Research Methodology 13:91), and the statistic is
    ``(b - c)**2 / (b + c)`` (McNemar 1947). Weights and clusters are not known to it:
    :func:`paired_difference` is the one for surveys.

    Parameters
    ----------
    first, second : int
        Units on which only the first, only the second method is right.

    Examples
    --------
    >>> mcnemar(1, 7).exact
    0.0703125
    >>> mcnemar(2, 2).mid_p
    1.0
    """
    total, least = first + second, min(first, second)
    if total == 0:
        return McNemar(1.0, 1.0, 0.0, 1.0)
    doubled = 2 * float(stats.binom.cdf(least, total, 0.5))
    point = float(stats.binom.pmf(least, total, 0.5))
    statistic = (first - second) ** 2 / total
    return McNemar(
        exact=min(doubled, 1.0),
        mid_p=min(doubled - point, 1.0),
        chi_square=statistic,
        chi_square_p=float(stats.chi2.sf(statistic, 1)),
    )


def paired_difference(
    design: Design,
    first: np.ndarray,
    second: np.ndarray,
    inside: np.ndarray | None = None,
    *,
    interval: Literal["t", "score"] = "t",
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the mean of ``first - second`` on the same units.

    The standard error is that of the difference itself, not of two figures put
    together. For rights and wrongs the interval may be the score interval at the
    effective numbers of :func:`effective_pairs`; it stands in for the t interval
    where the methods are never right apart. There is no standard error then, and a
    verdict takes the effective pairs themselves.

    Parameters
    ----------
    design : Design
        Of the sample.
    first, second : numpy.ndarray, shape (n,)
        Right or wrong of each unit, or a loss.
    inside : numpy.ndarray of bool, shape (n,), optional
        Units of the domain.
    interval : {"t", "score"}
        The score interval is for right and wrong only.
    """
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    found = design.mean(gap, inside, confidence=confidence)
    if interval == "t" and found.note != NO_VARIATION:
        return found
    pairs = effective_pairs(design, first, second, inside)
    return found if pairs is None else scored(found, pairs, confidence)


def scored(found: Estimate, pairs: Pairs, confidence: float = 0.95) -> Estimate:
    """Return a difference of rights and wrongs with the score interval.

    Parameters
    ----------
    found : Estimate
        The difference.
    pairs : Pairs
        Its effective numbers.
    """
    lower, upper = score_interval(pairs, confidence)
    name = "score (Tango), effective numbers"
    told = replace(found, lower=lower, upper=upper, interval=name)
    if found.se > 0:
        return told
    # A standard error of zero would let any bound made from it pass.
    return replace(told, se=np.nan, note=f"never right apart on {found.n} units")


def effective_pairs(
    design: Design,
    first: np.ndarray,
    second: np.ndarray,
    inside: np.ndarray | None = None,
) -> Pairs | None:
    """Return the numbers of a simple random sample that knows as much of the gap.

    As Korn and Graubard (1998) do for one proportion: ``n* = s**2 / v`` with ``v`` the
    design variance of the difference, times ``(t[n - 1] / t[df])**2``, at most ``n``;
    the counts are ``n*`` times the weighted shares. Where the methods are never right
    apart the clusters count as units.

    Parameters
    ----------
    design : Design
        Of the sample.
    first, second : numpy.ndarray of bool, shape (n,)
        Whether each method is right.
    inside : numpy.ndarray of bool, shape (n,), optional
        Units of the domain.

    Returns
    -------
    Pairs or None
        None where the values are not rights and wrongs or no error can be told.
    """
    if np.asarray(first).dtype != bool or np.asarray(second).dtype != bool:
        return None
    held = design.weight > 0
    held = held if inside is None else held & inside
    found = design.mean(first.astype(float) - second, held)
    if found.status != "measured":
        return None
    share = np.where(held, design.weight, 0.0)
    share = share / share.sum()
    alone = float(share @ (first & ~second)), float(share @ (second & ~first))
    return pairs_of(found, alone, len(np.unique(design.cluster[held])))


def pairs_of(
    found: Estimate, alone: tuple[float, float], clusters: int
) -> Pairs | None:
    """Return the numbers of :func:`effective_pairs`.

    Parameters
    ----------
    found : Estimate
        The difference.
    alone : (float, float)
        Weighted shares of the units on which only the first, only the second method
        is right.
    clusters : int
        That hold units with weight.
    """
    if found.status != "measured" or not found.df >= 1:
        return None
    n = float(found.n)
    if found.se == 0:
        n = float(clusters)
    elif isfinite(found.se):
        tails = stats.t.ppf(0.975, max(n - 1, 1)) / stats.t.ppf(0.975, found.df)
        n = min(n, found.n_effective * float(tails) ** 2)
    else:
        return None
    return Pairs(alone[0] * n, alone[1] * n, n)


def score_statistic(pairs: Pairs, difference: float) -> float:
    """Return Tango's score statistic for a hypothetical difference.

    ``z = (b - c - n D) / sqrt(n (2 q + D (1 - D)))`` with ``q`` the largest-likelihood
    estimate of the share of ``c`` under ``D`` (Tango 1998, Statistics in Medicine 17,
    891-908). At ``D = 0`` it is McNemar's.

    Parameters
    ----------
    pairs : Pairs
        Counts of right apart.
    difference : float
        Share of first minus share of second, -1 to 1.
    """
    b, c, n, d = pairs.first, pairs.second, pairs.n, difference
    linear = -b - c + (2 * n - b + c) * d
    root = sqrt(max(linear**2 + 8 * n * c * d * (1 - d), 0.0))
    share = (root - linear) / (4 * n)
    variance = n * (2 * share + d * (1 - d))
    distance = b - c - n * d
    if variance <= 1e-12 * n:
        # Certain to be refuted; finite, so that a root can still be bracketed by it.
        return copysign(1e9, distance) if abs(distance) > 1e-12 * n else 0.0
    return distance / sqrt(variance)


def score_interval(pairs: Pairs, confidence: float = 0.95) -> tuple[float, float]:
    """Return Tango's score interval: the differences that its test does not refute.

    Parameters
    ----------
    pairs : Pairs
        Counts of right apart.

    Examples
    --------
    >>> lower, upper = score_interval(Pairs(1, 7, 21))
    >>> round(lower, 3), round(upper, 3)
    (-0.517, -0.026)
    """
    z = float(stats.norm.ppf((1 + confidence) / 2))
    value = (pairs.first - pairs.second) / pairs.n

    def limit(sign: float) -> float:
        def beyond(d: float) -> float:
            return sign * score_statistic(pairs, d) + z

        if value == sign or beyond(sign) > 0:
            return sign
        return float(optimize.brentq(beyond, value, sign, xtol=1e-12))

    return limit(-1.0), limit(1.0)


def non_inferiority(
    difference: Estimate | Pairs, margin: float, *, confidence: float = 0.95
) -> Verdict:
    """Judge whether the first method is worse than the second by the margin or more.

    Parameters
    ----------
    difference : Estimate or Pairs
        First minus second, larger is better; an estimate is judged by its t
        statistic, pairs by Tango's score.
    margin : float
        How much worse is too much, positive, as a share.
    """
    above, below = _tails(difference, -margin)
    if above is None or below is None:
        return Verdict("not_measured", None, "the difference has no standard error")
    alpha = 1 - confidence
    told = f"{margin * 100:g} points"
    if above <= alpha:
        return Verdict("pass", above, f"shown to be less than {told} worse")
    if below <= alpha:
        return Verdict("fail", above, f"shown to be more than {told} worse")
    return Verdict("inconclusive", above, f"{told} worse is neither shown nor refuted")


def equivalence(
    difference: Estimate | Pairs, margin: float, *, confidence: float = 0.95
) -> Verdict:
    """Judge by two one-sided tests whether both methods are equal within the margin.

    Passed where both are refuted that the difference is ``-margin`` or less and that
    it is ``margin`` or more, the same as an interval of ``2 confidence - 1`` inside
    the margins (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15).

    Parameters
    ----------
    difference : Estimate or Pairs
        First minus second.
    margin : float
        Positive, as a share.
    """
    above_low, below_low = _tails(difference, -margin)
    above_high, below_high = _tails(difference, margin)
    if above_low is None or below_low is None:
        return Verdict("not_measured", None, "the difference has no standard error")
    if above_high is None or below_high is None:
        return Verdict("not_measured", None, "the difference has no standard error")
    alpha = 1 - confidence
    told = f"{margin * 100:g} points"
    p_value = max(above_low, below_high)
    if p_value <= alpha:
        return Verdict("pass", p_value, f"shown to be within {told}")
    if min(below_low, above_high) <= alpha:
        return Verdict("fail", p_value, f"shown to be more than {told} apart")
    return Verdict("inconclusive", p_value, f"{told} apart is not shown nor refuted")


def _tails(
    difference: Estimate | Pairs, threshold: float
) -> tuple[float | None, float | None]:
    """Return the p-values of "at most" and of "at least" the threshold."""
    if isinstance(difference, Pairs):
        z = score_statistic(difference, threshold)
        return float(stats.norm.sf(z)), float(stats.norm.cdf(z))
    if not difference.has_error or not difference.se > 0:
        return None, None
    t = (difference.value - threshold) / difference.se
    return float(stats.t.sf(t, difference.df)), float(stats.t.cdf(t, difference.df))
