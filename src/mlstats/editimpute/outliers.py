"""Outlying values: Hidiroglou-Berthelot and the sigma gap, by group.

An outlying value is to be imputed (status ``impute``) where it lies outside the wider
bounds, or only to be kept out of the imputation of others (``exclude``) outside the
narrower ones. All percentiles are those of the position ``p (n + 1)``.

References
----------
M. A. Hidiroglou and J.-M. Berthelot, "Statistical editing and imputation for periodic
business surveys", Survey Methodology 12 (1986), 73-83.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["Outliers", "hb_current", "hb_ratio", "percentile", "sigma_gap"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Side = Literal["both", "left", "right"]

_TO_NORMAL = 1.4826  # makes the median absolute deviation a standard deviation


@dataclass(frozen=True)
class Outliers:
    """Which values are outlying.

    Attributes
    ----------
    status : Series of str
        ``impute``, ``exclude``, ``inside`` or ``not_used`` (missing, not a number,
        of a sign that the method drops, or in too small a group), with the index of
        the values.
    groups : DataFrame
        A row per group: group, observations, the statistics and bounds used, status
        (``measured`` or ``not_measured``) and reason.
    """

    status: pd.Series
    groups: pd.DataFrame


def percentile(values: Floats, percent: float) -> float:
    """Return a percentile at the position ``percent / 100 * (n + 1)``.

    Between two values it is linear, outside the first and the last it is theirs
    (numpy's method ``weibull``).

    Examples
    --------
    >>> percentile(np.array([1.0, 2, 3, 4]), 25)
    1.25
    """
    return float(np.percentile(values, percent, method="weibull"))


def hb_current(
    values: pd.Series,
    *,
    impute: float,
    exclude: float | None = None,
    floor: float = 0.05,
    weights: pd.Series | None = None,
    groups: pd.Series | None = None,
    side: Side = "both",
    accept_negative: bool = False,
    least_observations: int = 10,
) -> Outliers:
    """Find values far from the median, in quartile distances.

    The bounds are ``M - m max(M - Q1, |floor M|)`` and ``M + m max(Q3 - M, |floor M|)``
    with the median M, the quartiles and the multiplier m.

    Parameters
    ----------
    values : Series of numbers, shape (n,)
        Of the current period; missing ones are not used.
    impute, exclude : float
        Multipliers of the two statuses; exclude, where it is given, is the smaller.
    floor : float, default=0.05
        Least distance, as a share of the median.
    weights : Series, optional
        Factors of the values, such as design weights.
    groups : Series, optional
        Each group has its own bounds.
    side : {"both", "left", "right"}
        Where outliers are looked for.
    accept_negative : bool, default=False
        Whether values below zero are used.
    least_observations : int, default=10
        A smaller group is not measured; at least 3.

    Examples
    --------
    >>> values = pd.Series([8.0, 9, 9, 10, 10, 10, 11, 11, 12, 40])
    >>> found = hb_current(values, impute=5, exclude=1.5)
    >>> found.status.tolist()[-3:]
    ['inside', 'exclude', 'impute']
    """
    _check(impute, exclude, side, least_observations)
    numbers = _numbers(values, "values")
    used = numbers if weights is None else numbers * _numbers(weights, "weights")
    used = np.where(numbers >= 0, used, np.nan) if not accept_negative else used

    def judge(x: Floats) -> tuple[Floats, dict[str, float]]:
        return _hb(x, impute, exclude, floor, 0.0, side)

    return _by_group(values, used, groups, least_observations, judge)


def hb_ratio(
    values: pd.Series,
    auxiliary: pd.Series,
    *,
    impute: float,
    exclude: float | None = None,
    exponent: float = 0.5,
    floor: float = 0.05,
    absolute_floor: float = 0.0,
    groups: pd.Series | None = None,
    side: Side = "both",
    least_observations: int = 10,
) -> Outliers:
    """Find ratios (to another variable or to the period before) far from the median.

    With the ratios R and their median M the distances are ``S = 1 - M / R`` below and
    ``S = R / M - 1`` above it; the effects ``E = S max(x, auxiliary) ** exponent`` are
    judged as in :func:`hb_current`.

    Parameters
    ----------
    values, auxiliary : Series of numbers, shape (n,)
        Both above zero, or the pair is not used. With the values of the period before
        as `auxiliary` this is the historic method.
    impute, exclude, groups, side, least_observations
        As in :func:`hb_current`.
    exponent : float, default=0.5
        Between 0 (the size does not count) and 1.
    floor : float, default=0.05
        Least distance, as a share of the median effect.
    absolute_floor : float, default=0.0
        Least distance in units of the effects. The median effect lies near zero, so
        that `floor` does not help where most ratios are the same: the quartile
        distance is then zero, and every other ratio would be an outlier.

    Examples
    --------
    >>> x = pd.Series([10.0, 11, 9, 10, 52, 10, 9, 12, 10, 11])
    >>> before = pd.Series([10.0, 10, 10, 11, 10, 10, 10, 11, 9, 10])
    >>> hb_ratio(x, before, impute=5).status.tolist()[3:6]
    ['inside', 'impute', 'inside']
    """
    _check(impute, exclude, side, least_observations)
    if not 0 <= exponent <= 1:
        raise ConfigError(f"The exponent is {exponent!r}", expected="between 0 and 1")
    x, base = _numbers(values, "values"), _numbers(auxiliary, "auxiliary")
    _check_length(values, auxiliary, "auxiliary")
    usable = (x > 0) & (base > 0)
    ratio = np.full(len(x), np.nan)
    np.divide(x, base, out=ratio, where=usable)
    size = np.where(usable, np.maximum(x, base), 1.0) ** exponent

    def judge(places: Floats) -> tuple[Floats, dict[str, float]]:
        rows = places.astype(np.int64)
        R = ratio[rows]
        middle = percentile(R, 50)
        S = np.where(middle > R, 1 - middle / R, R / middle - 1)
        code, told = _hb(S * size[rows], impute, exclude, floor, absolute_floor, side)
        return code, {"median_ratio": middle, **told}

    places = np.where(usable, np.arange(len(x), dtype=float), np.nan)
    return _by_group(values, places, groups, least_observations, judge)


def sigma_gap(
    values: pd.Series,
    *,
    impute: float,
    exclude: float | None = None,
    start_percent: float = 75.0,
    sigma: Literal["mad", "std"] = "mad",
    weights: pd.Series | None = None,
    groups: pd.Series | None = None,
    side: Side = "both",
    accept_negative: bool = False,
    least_observations: int = 10,
) -> Outliers:
    """Find the values beyond the first wide gap, seen from the middle.

    The sorted values are walked outwards from the last one at or before a percentile;
    the first gap wider than ``multiplier * sigma`` makes all beyond it outliers.

    Parameters
    ----------
    values, weights, groups, side, accept_negative, least_observations
        As in :func:`hb_current`.
    impute, exclude : float
        Multipliers of the two statuses; exclude, where it is given, is the smaller.
    start_percent : float, default=75
        Where the walk to the right starts; the walk to the left starts at 100 less.
    sigma : {"mad", "std"}
        1.4826 times the median absolute deviation, or the standard deviation (n - 1).

    Examples
    --------
    >>> values = pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 60, 61])
    >>> found = sigma_gap(values, impute=4)
    >>> found.status.tolist()[-3:]
    ['inside', 'impute', 'impute']
    """
    _check(impute, exclude, side, least_observations)
    if not 0 <= start_percent <= 100 or sigma not in ("mad", "std"):
        raise ConfigError(
            "The sigma gap cannot be computed as asked for",
            expected="start_percent between 0 and 100, sigma 'mad' or 'std'",
        )
    numbers = _numbers(values, "values")
    used = numbers if weights is None else numbers * _numbers(weights, "weights")
    used = np.where(numbers >= 0, used, np.nan) if not accept_negative else used

    def judge(x: Floats) -> tuple[Floats, dict[str, float]]:
        spread = _sigma(x, sigma)
        code = np.zeros(len(x))
        told = {"sigma": spread}
        for name, multiplier, status in (
            ("exclude", exclude, 1.0),
            ("impute", impute, 2.0),
        ):
            if multiplier is None:
                continue
            width = multiplier * spread
            if side != "left":
                right = _beyond(x, start_percent, width)
                told[f"{name}_right"] = right
                code[x >= right] = status
            if side != "right":
                left = -_beyond(-x, start_percent, width)
                told[f"{name}_left"] = left
                code[x <= left] = status
        return code, told

    return _by_group(values, used, groups, least_observations, judge)


def _beyond(x: Floats, start_percent: float, width: float) -> float:
    """Return the first value after the first gap, infinite where there is none."""
    ordered = np.sort(x)
    # The last value at or before the percentile: the gap that holds it counts.
    position = int(start_percent / 100 * (len(x) + 1))
    start = min(max(position, 1), len(x)) - 1
    gaps = np.diff(ordered[start:])
    wide = np.flatnonzero(gaps > width)
    return float(ordered[start + 1 + wide[0]]) if len(wide) else np.inf


def _sigma(x: Floats, kind: str) -> float:
    if kind == "std":
        return float(np.std(x, ddof=1))
    return _TO_NORMAL * percentile(np.abs(x - percentile(x, 50)), 50)


def _hb(
    x: Floats,
    impute: float,
    exclude: float | None,
    floor: float,
    absolute_floor: float,
    side: Side,
) -> tuple[Floats, dict[str, float]]:
    first, middle, third = (percentile(x, percent) for percent in (25, 50, 75))
    least = max(abs(floor * middle), absolute_floor)
    below, above = max(middle - first, least), max(third - middle, least)
    told = {"q1": first, "median": middle, "q3": third}
    code = np.zeros(len(x))
    for name, multiplier, status in (
        ("exclude", exclude, 1.0),
        ("impute", impute, 2.0),
    ):
        if multiplier is None:
            continue
        left = middle - multiplier * below if side != "right" else -np.inf
        right = middle + multiplier * above if side != "left" else np.inf
        told |= {f"{name}_left": left, f"{name}_right": right}
        code[(x < left) | (x > right)] = status
    return code, told


_STATUS = np.array(["inside", "exclude", "impute", "not_used"], dtype=object)


def _by_group(
    values: pd.Series,
    used: Floats,
    groups: pd.Series | None,
    least: int,
    judge: Callable[[Floats], tuple[Floats, dict[str, float]]],
) -> Outliers:
    if groups is None:
        numbers, names = np.zeros(len(values), dtype=np.int64), pd.Index(["all"])
    else:
        _check_length(values, groups, "groups")
        numbers, names = pd.factorize(groups, use_na_sentinel=False, sort=False)
    status = np.full(len(values), 3)
    told = []
    for number, name in enumerate(names):
        rows = np.flatnonzero((numbers == number) & ~np.isnan(used))
        group: dict[str, object] = {"group": name, "observations": len(rows)}
        if len(rows) < least:
            reason = f"fewer than {least} observations"
            told.append({**group, "status": "not_measured", "reason": reason})
            continue
        code, statistics = judge(used[rows])
        status[rows] = code
        told.append({**group, **statistics, "status": "measured", "reason": ""})
    made = pd.Series(_STATUS[status], values.index, name="status", dtype=str)
    return Outliers(made, pd.DataFrame(told))


def _numbers(values: pd.Series, what: str) -> Floats:
    numbers = np.array(
        pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    )
    bad = ~np.isfinite(numbers) & values.notna().to_numpy()
    if bad.any():
        raise ContractError(
            f"{int(bad.sum())} of the {what} are no finite numbers",
            where=f"first at row {int(np.flatnonzero(bad)[0]) + 1}",
        )
    return numbers


def _check(impute: float, exclude: float | None, side: str, least: int) -> None:
    if side not in ("both", "left", "right"):
        raise ConfigError(
            f"side is {side!r}",
            expected="both, left or right",
            nearest=nearest(str(side), ("both", "left", "right")),
        )
    if not impute > 0 or (exclude is not None and not 0 < exclude < impute):
        raise ConfigError(
            "The multipliers of outliers are out of order",
            expected="0 < exclude < impute",
        )
    if least < 3:
        raise ConfigError(f"least_observations is {least}", expected="3 or more")


def _check_length(values: pd.Series, other: pd.Series, what: str) -> None:
    if len(values) != len(other):
        raise ContractError(f"There are {len(values)} values, {len(other)} {what}")
