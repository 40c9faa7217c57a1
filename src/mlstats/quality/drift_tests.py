"""The statistics of drift: p, effect with its interval, and what could be found.

Every function takes shares and effective numbers of units, so that it serves plain,
weighted, clustered and paired data alike. Nothing here reads data.
"""

from __future__ import annotations

from functools import partial
from math import sqrt
from typing import Final

import numpy as np
from scipy import special, stats

from mlstats.quality.drift_evidence import (
    NORMAL_95,
    NORMAL_OF_POWER,
    Evidence,
    Floors,
    Sizes,
    Test,
    nominal_level,
    refer_to_t,
)

__all__ = [
    "binomial_tails",
    "change_of_shares",
    "homogeneity",
    "kolmogorov_smirnov",
    "newcombe_interval",
    "noncentrality",
    "signed_binomial",
    "sparse_groups",
]

_ROUNDS: Final = 30


def kolmogorov_smirnov(
    reference: np.ndarray, current: np.ndarray, sizes: Sizes, df: float, floor: float
) -> Evidence:
    """Compare two distribution functions at common points.

    The two-sample statistic of Smirnov (1939) with the limiting distribution. Where a
    few values hold much of the mass that p is too large; the sum over the points t of
    the pooled distribution of ``P(|B(t)| > d)``, B the Brownian bridge, also bounds
    the p of the same statistic, and the smaller bound is taken. The interval
    inverts the statistic: distances within its 95 % point of the one observed.

    Parameters
    ----------
    reference, current : numpy.ndarray, shape (points,)
        Shares of units up to each point.
    sizes : Sizes
        Units behind them.
    df : float
        See :func:`refer_to_t`.
    floor : float
        Of the distance.
    """
    distance = float(np.abs(current - reference).max(initial=0.0))
    scaled = distance / np.sqrt(sizes.spread)
    total = sizes.n_eff_reference + sizes.n_eff
    pooled = (sizes.n_eff_reference * reference + sizes.n_eff * current) / total
    bridge = np.sqrt(np.clip(np.unique(pooled) * (1 - np.unique(pooled)), 0, None))
    bridge = bridge[bridge > 1e-9]
    union = float(2 * stats.norm.sf(scaled / bridge).sum()) if distance else 1.0
    p = float(refer_to_t(min(1.0, float(special.kolmogorov(scaled)), union), df))
    half = float(special.kolmogi(0.05)) * np.sqrt(sizes.spread)
    return Evidence(
        "distribution",
        "two-sample Kolmogorov-Smirnov",
        "distance",
        statistic=distance,
        p=p,
        p_each=np.array([p]),
        effect=np.array([distance]),
        lower=np.array([max(distance - half, 0.0)]),
        upper=np.array([min(distance + half, 1.0)]),
        floor=np.array([floor]),
        sizes=sizes,
        detectable=partial(_detectable_distance, sizes.spread, df),
    )


def _detectable_distance(spread: float, df: float, level: float, part: int) -> float:
    critical = float(special.kolmogi(nominal_level(level, df)))
    # Where the distance is largest the two shares are near one half.
    return float((critical + 0.5 * NORMAL_OF_POWER) * np.sqrt(spread))


def sparse_groups(
    units: np.ndarray, expected: np.ndarray, least: float = 5.0
) -> np.ndarray:
    """Return a group for each code such that each group expects at least so many.

    Codes are put together from the rarest up until a group is full. Their order must
    not tell how a code's units part between the periods, or like would be put to
    like and chance pass for drift: the whole number of units of both periods does
    not, while a pooled share does in its last digits.

    Parameters
    ----------
    units : numpy.ndarray of int, shape (codes,)
        Units of both periods.
    expected : numpy.ndarray, shape (codes,)
        What fills a group, such as the units expected in the smaller period.
    least : float
        Where a group is full.

    Examples
    --------
    >>> units = np.array([18, 2, 4, 6, 12])
    >>> sparse_groups(units, units / 2)
    array([2, 0, 0, 0, 1])
    """
    order = np.argsort(units, kind="stable")
    group = np.zeros(len(expected), dtype=int)
    filled, at = 0.0, 0
    for place in order:
        if filled >= least * (1 - 1e-9):  # nor by the last digits of a sum
            filled, at = 0.0, at + 1
        group[place] = at
        filled += expected[place]
    if filled < least and at > 0:
        group[group == at] = at - 1
    return group


def noncentrality(x: float, df: float, z: float) -> float:
    """Return the noncentrality at which `x` lies `z` deviations below the mean.

    It solves ``x = df + k - z * sqrt(2 df + 4 k)``, mean and variance those of the
    noncentral chi-square; 0 where that has no positive solution.

    Examples
    --------
    >>> round(noncentrality(30.0, 10.0, 0.0), 6)
    20.0
    """
    inside = z**2 + x - df / 2
    if inside <= 0:
        return 0.0
    root = 2 * z + 2 * sqrt(inside)
    return max((root**2 - 2 * df) / 4, 0.0) if root > 0 else 0.0


def homogeneity(
    shares: tuple[np.ndarray, np.ndarray, np.ndarray],
    traces: tuple[float, float],
    sizes: Sizes,
    df: float,
    floor: float,
) -> Evidence:
    """Compare the shares of codes between two periods, both of them samples.

    ``Q = sum((current - reference)**2 / pooled)`` with Rao and Scott's second-order
    correction (1981, JASA 76, 221-230; 1984, Annals of Statistics 12, 46-60): with
    V the covariance of the difference and P the diagonal of the pooled shares,
    ``X = Q * nu / tr(V/P)`` on ``nu = tr(V/P)**2 / tr((V/P)**2)`` degrees of freedom,
    read as F with ``nu * df`` where clusters are few (Thomas and Rao 1987, JASA 82,
    630-636). For independent rows it is Pearson's chi-square of homogeneity. The
    effect is ``sqrt(Q - E(Q))``: the share-weighted root mean square of the
    relative changes, freed of what chance adds.

    Parameters
    ----------
    shares : tuple of numpy.ndarray, shape (codes,)
        In the reference, now and pooled; at least two codes, no pooled share is zero.
    traces : tuple of float
        Traces of V/P and of its square.
    sizes, df, floor
        As for :func:`kolmogorov_smirnov`.
    """
    reference, current, pooled = shares
    trace, square = traces
    nu = trace**2 / square
    unit = trace / nu
    x = float(((current - reference) ** 2 / pooled).sum()) / unit
    tail = stats.chi2.sf(x, nu) if np.isinf(df) else stats.f.sf(x / nu, nu, nu * df)
    lower, upper = (
        np.sqrt(noncentrality(x, nu, z) * unit) for z in (-NORMAL_95, NORMAL_95)
    )
    return Evidence(
        "distribution",
        "chi-square of homogeneity" if np.isinf(df) else "Rao-Scott F",
        "composition",
        statistic=x,
        p=float(tail),
        p_each=np.array([float(tail)]),
        effect=np.array([np.sqrt(max(x - nu, 0.0) * unit)]),
        lower=np.array([lower]),
        upper=np.array([upper]),
        floor=np.array([floor]),
        sizes=sizes,
        detectable=partial(_detectable_change, unit, nu),
    )


def _detectable_change(unit: float, nu: float, level: float, part: int) -> float:
    critical = float(stats.chi2.isf(level, nu))
    return float(np.sqrt(noncentrality(critical, nu, NORMAL_OF_POWER) * unit))


def binomial_tails(
    reference: np.ndarray,
    current: np.ndarray,
    n_reference: np.ndarray,
    n: np.ndarray,
) -> np.ndarray:
    """Return the two-sided p of the equality of shares, each pair on its own.

    Given their sum, the counts of a rare code in two samples are binomial. Counts
    are divided by one minus the pooled share, which gives common codes the
    variance of the hypergeometric distribution as well, and may be effective
    counts, that is, no whole numbers. Twice the smaller tail, at most 1.

    Parameters
    ----------
    reference, current : numpy.ndarray, shape (codes,)
        Shares.
    n_reference, n : numpy.ndarray, shape (codes,)
        Effective units behind each share.
    """
    pooled = (reference * n_reference + current * n) / (n_reference + n)
    # A share above one half is tested by its complement.
    common = pooled > 0.5
    here = np.where(common, 1 - current, current) * n
    there = np.where(common, 1 - reference, reference) * n_reference
    scale = 1 / (1 - np.minimum(pooled, 1 - pooled))
    a, b = here * scale, there * scale
    part = n / (n_reference + n)
    # A share of exactly nothing has a tail of 1, where the beta function has a pole.
    tiny = 1e-12
    above = np.where(a > tiny, special.betainc(np.maximum(a, tiny), b + 1, part), 1.0)
    below = np.where(b > tiny, special.betaincc(a + 1, np.maximum(b, tiny), part), 1.0)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(above, below)))


def signed_binomial(share: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the two-sided p that `share` of n changes has probability one half.

    Twice the smaller tail, at most 1; `n` may be effective numbers.
    """
    least = np.maximum(np.minimum(share, 1 - share) * n, 0.0)
    tail = special.betainc(np.maximum(n - least, 1e-12), least + 1, 0.5)
    return np.asarray(np.minimum(1.0, 2 * tail))


def newcombe_interval(
    reference: np.ndarray,
    current: np.ndarray,
    n_reference: np.ndarray,
    n: np.ndarray,
    z: float = NORMAL_95,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of ``current - reference``, differences of shares.

    Newcombe (1998, Statistics in Medicine 17, 873-890), method 10: Wilson's limits
    of both shares combined.
    """
    low_r, high_r = _wilson(reference, n_reference, z)
    low, high = _wilson(current, n, z)
    difference = current - reference
    lower = difference - np.hypot(current - low, high_r - reference)
    upper = difference + np.hypot(high - current, reference - low_r)
    return lower, upper


def _wilson(
    share: np.ndarray, n: np.ndarray, z: float
) -> tuple[np.ndarray, np.ndarray]:
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)


def change_of_shares(
    test: Test,
    labels: tuple[str, ...],
    shares: tuple[np.ndarray, np.ndarray],
    effective: tuple[np.ndarray, np.ndarray],
    sizes: Sizes,
    df: float,
    floors: Floors,
) -> Evidence:
    """Test each share on its own; p is adjusted for their number (Bonferroni).

    Parameters
    ----------
    test : Test
        code, tails or missing.
    labels : tuple of str
        What each share is of.
    shares, effective : tuple of numpy.ndarray, shape (labels,)
        Shares in the reference and now, and the effective units behind them.
    sizes, df
        As for :func:`kolmogorov_smirnov`.
    floors : Floors
        Missing values have the plain floor; codes and tails that of rare ones too.
    """
    reference, current = shares
    p_alone = refer_to_t(binomial_tails(*shares, *effective), df)
    p_each = np.minimum(1.0, len(labels) * p_alone)
    lower, upper = newcombe_interval(*shares, *effective)
    plain = np.full(len(labels), floors.share)
    first = int(np.argmin(p_each))
    return Evidence(
        test,
        "binomial, given the sum of both periods",
        "share",
        statistic=float(current[first] - reference[first]),
        p=float(p_each[first]),
        labels=labels,
        p_each=p_each,
        effect=current - reference,
        lower=lower,
        upper=upper,
        floor=plain if test == "missing" else floors.of_shares(reference),
        sizes=sizes,
        detectable=partial(_detectable_share, shares, effective, df),
    )


def _detectable_share(
    shares: tuple[np.ndarray, np.ndarray],
    effective: tuple[np.ndarray, np.ndarray],
    df: float,
    level: float,
    part: int,
) -> float:
    n, m = float(effective[0][part]), float(effective[1][part])
    share = (float(shares[0][part]) * n + float(shares[1][part]) * m) / (n + m)
    adjusted = nominal_level(level / len(shares[0]), df)
    critical = -float(special.ndtri(adjusted / 2))
    gain = 1 / (n + m)
    for _ in range(_ROUNDS):
        # The variance is that of the larger share, which tells for rare codes.
        larger = min(share + gain, 1.0)
        pooled = (share * n + larger * m) / (n + m)
        under_none = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        under_gain = sqrt(share * (1 - share) / n + larger * (1 - larger) / m)
        gain = critical * under_none + NORMAL_OF_POWER * under_gain
    return gain
