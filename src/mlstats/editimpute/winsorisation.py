"""One-sided winsorisation: few very large values count less in the estimated total.

A value above a threshold is drawn in so that only its own share of what it stands for,
and not that of the units it represents, lies above the threshold. It is no error and is
not edited: its outlier weight goes into estimation.

References
----------
P. N. Kokic and P. A. Bell, "Optimal winsorizing cutoffs for a stratified finite
population estimator", Journal of Official Statistics 10 (1994), 419-435. Office for
National Statistics, "Winsorisation", Statistical Method Specifications (OGL v3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["optimal_l", "winsorise"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def winsorise(
    frame: pd.DataFrame,
    *,
    value: str,
    weight: str,
    l_value: str | float,
    by: Sequence[str] = (),
    calibration: str | None = None,
    auxiliary: str | None = None,
) -> pd.DataFrame:
    """Return the outlier weight of every value.

    With ``w`` the design weight ``a`` (expansion estimation) or ``a g`` (ratio
    estimation, where `calibration` and `auxiliary` are given) the threshold is
    ``k = mu + L / (w - 1)``, and a value above it becomes ``y / w + (1 - 1 / w) k``.
    The expected value ``mu`` is the mean of the class, or ``x sum(a y) / sum(a x)``,
    over the units that can be winsorised.

    Parameters
    ----------
    frame : DataFrame
        The sample.
    value, weight : str
        Columns of the value and of the design weight (1 or more).
    l_value : str or float
        The parameter L, above zero, or its column: the same throughout a class.
    by : sequence of str
        Columns of the classes: the period, and stratum or calibration group.
    calibration, auxiliary : str, optional
        Columns of the calibration factor (not negative) and the auxiliary variable of
        ratio estimation.

    Returns
    -------
    DataFrame
        Rows of `frame`: outlier_weight (winsorised over original value), marker,
        threshold (NaN without), value (winsorised). Markers are those of the Office
        for National Statistics: ``W`` (could be winsorised), ``NW_FE`` (design weight
        1) and ``NW_AG`` (``a g`` not above 1).

    Raises
    ------
    ContractError
        Where a number is missing, a weight below 1, a calibration factor negative, L
        not positive or not one in its class, or an expected value cannot be made.

    Examples
    --------
    >>> frame = pd.DataFrame({"y": [10.0, 10, 40], "a": [3.0, 3, 3]})
    >>> found = winsorise(frame, value="y", weight="a", l_value=8)
    >>> found["value"].round(3).tolist()
    [10.0, 10.0, 29.333]
    """
    if (calibration is None) != (auxiliary is None):
        raise ConfigError(
            "Ratio estimation needs a calibration factor and an auxiliary variable",
            expected="both, or neither for expansion estimation",
        )
    y, a = _column(frame, value), _column(frame, weight)
    if not (a >= 1).all():
        raise ContractError(f"{int((a < 1).sum())} design weights are below 1")
    row_class = _classes(frame, by)
    limit = _l_values(frame, l_value, row_class)
    w, x = a, np.ones(len(frame))
    if calibration is not None and auxiliary is not None:
        g, x = _column(frame, calibration), _column(frame, auxiliary)
        if (g < 0).any():
            raise ContractError(f"{int((g < 0).sum())} calibration factors are < 0")
        w = a * g
    marker = np.select([a == 1, w <= 1], ["NW_FE", "NW_AG"], default="W")
    used = marker == "W"
    part = a if calibration is not None else np.ones(len(a))
    expected = x * _class_ratio(y, x, part, used, row_class)
    threshold = np.full(len(y), np.nan)
    threshold[used] = expected[used] + limit[used] / (w[used] - 1)
    treated = y.copy()
    above = used & (y > threshold)
    treated[above] = y[above] / w[above] + (1 - 1 / w[above]) * threshold[above]
    outlier = np.divide(treated, y, out=np.ones(len(y)), where=above & (y != 0))
    made = {"outlier_weight": outlier, "marker": pd.Series(marker, frame.index, str)}
    return pd.DataFrame({**made, "threshold": threshold, "value": treated}, frame.index)


def optimal_l(
    values: npt.ArrayLike, expected: npt.ArrayLike, weight: npt.ArrayLike
) -> float:
    """Return the L with the least mean square error of the total, from past data.

    It solves ``L = sum(max(D - L, 0))`` with ``D = (w - 1) (y - mu)``: at the best
    threshold L is minus the bias of the winsorised total (Kokic and Bell 1994, section
    3). The sum over a past sample stands for its expectation.

    Parameters
    ----------
    values, expected, weight : array, shape (n,)
        Past values, what was expected of them (class means, ratio predictions) and
        their weights, of one survey with the design of the coming one.

    Examples
    --------
    >>> optimal_l([10, 10, 40], [20, 20, 20], [3, 3, 3])
    20.0
    """
    y, mu, w = (np.asarray(v, dtype=float) for v in (values, expected, weight))
    if not len(y) == len(mu) == len(w):
        raise ContractError(f"There are {len(y)} values, {len(mu)} and {len(w)} others")
    if not np.isfinite(y * mu * w).all():
        raise ContractError("Past values, expected values or weights are not finite")
    excess = np.sort((w - 1) * (y - mu))[::-1]
    excess = excess[excess > 0]
    # With the k largest above L: L = sum of these / (k + 1).
    levels = excess.cumsum() / np.arange(2, len(excess) + 2)
    return float(levels.max(initial=0.0))


def _column(frame: pd.DataFrame, name: str) -> Floats:
    if name not in frame.columns:
        raise ConfigError(
            f"The column {name!r} is not in the data",
            nearest=nearest(name, map(str, frame.columns)),
        )
    numbers = pd.to_numeric(frame[name], errors="coerce")
    values = np.array(numbers.to_numpy(dtype=float, na_value=np.nan))
    bad = ~np.isfinite(values)
    if bad.any():
        raise ContractError(
            f"{int(bad.sum())} values of {name!r} are missing or no finite numbers",
            where=f"first at row {int(np.flatnonzero(bad)[0]) + 1}",
            hint="impute before values are winsorised",
        )
    return values


def _classes(frame: pd.DataFrame, by: Sequence[str]) -> npt.NDArray[np.int64]:
    for name in by:
        if name not in frame.columns:
            raise ConfigError(
                f"The column {name!r} is not in the data",
                nearest=nearest(name, map(str, frame.columns)),
            )
    if not by:
        return np.zeros(len(frame), dtype=np.int64)
    groups = frame.groupby(list(by), dropna=False, sort=False)
    return np.asarray(groups.ngroup(), dtype=np.int64)


def _l_values(
    frame: pd.DataFrame, l_value: str | float, row_class: npt.NDArray[np.int64]
) -> Floats:
    if isinstance(l_value, str):
        limit = _column(frame, l_value)
    else:
        limit = np.full(len(frame), float(l_value))
    if not (limit > 0).all():
        raise ContractError("A value of L is not above zero")
    spread = pd.Series(limit).groupby(row_class).agg(["min", "max"])
    mixed = int((spread["min"] != spread["max"]).sum())
    if mixed:
        raise ContractError(
            f"{mixed} classes have more than one value of L",
            expected="one L in each class and period",
        )
    return limit


def _class_ratio(
    y: Floats, x: Floats, part: Floats, used: Bools, row_class: npt.NDArray[np.int64]
) -> Floats:
    size = int(row_class.max(initial=-1)) + 1
    top = np.bincount(row_class[used], (part * y)[used], minlength=size)
    base = np.bincount(row_class[used], (part * x)[used], minlength=size)
    empty = (base == 0) & (np.bincount(row_class[used], minlength=size) > 0)
    if empty.any():
        raise ContractError(
            f"The auxiliary variable adds up to zero in {int(empty.sum())} classes"
        )
    ratio = np.divide(top, base, out=np.zeros(size), where=base != 0)
    return np.asarray(ratio[row_class])
