"""Series of one pixel through the dates: gaps filled, and what sums them up.

Arrays have the dates first; NaN is a date without a valid observation. Statistics use
the valid dates as they are, never a filled one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

__all__ = ["STATISTICS", "interpolated"]

Series = npt.NDArray[np.float32]
Days = npt.NDArray[np.float64]

DAYS_PER_YEAR = 365.25


def interpolated(values: Series, days: Days) -> Series:
    """Fill gaps by the line between the valid dates around them.

    Parameters
    ----------
    values : ndarray, shape (dates, ...)
        With NaN in the gaps.
    days : ndarray, shape (dates,)
        Ascending.

    Returns
    -------
    ndarray
        Of the same shape. Before the first and after the last valid date its value is
        held; a pixel without a valid date stays NaN.
    """
    known = np.isfinite(values)
    if known.all():
        return values
    order = np.arange(len(days)).reshape(-1, *[1] * (values.ndim - 1))
    before = np.maximum.accumulate(np.where(known, order, -1), axis=0)
    last = len(days)
    after = np.minimum.accumulate(np.where(known, order, last)[::-1], axis=0)[::-1]
    start = np.where(before < 0, after, before).clip(max=last - 1)
    end = np.where(after == last, before, after).clip(min=0)
    low = np.take_along_axis(values, start, 0)
    high = np.take_along_axis(values, end, 0)
    span = days[end] - days[start]
    share = np.divide(
        days[order] - days[start], span, out=np.zeros_like(span), where=span > 0
    )
    return np.asarray(low + share * (high - low), values.dtype)


def _count(values: Series) -> npt.NDArray[np.float64]:
    return np.asarray(np.isfinite(values).sum(0), float)


def _per(total: npt.NDArray[np.float64], by: npt.NDArray[np.float64]) -> Days:
    return np.divide(total, by, out=np.full_like(total, np.nan), where=by > 0)


def _mean(values: Series, _: Days) -> Days:
    return _per(np.nansum(values, 0, dtype=float), _count(values))


def _std(values: Series, days: Days) -> Days:
    apart = values - _mean(values, days)
    return np.sqrt(_per(np.nansum(apart**2, 0), _count(values)))


def _least(values: Series, _: Days) -> Days:
    found = np.fmin.reduce(values, axis=0)
    return np.asarray(found, float)


def _most(values: Series, _: Days) -> Days:
    return np.asarray(np.fmax.reduce(values, axis=0), float)


def _range(values: Series, days: Days) -> Days:
    return _most(values, days) - _least(values, days)


def _median(values: Series, _: Days) -> Days:
    # NaN sorts to the end, so the middle is counted among the valid dates.
    ordered = np.sort(values, axis=0).astype(float)
    count = np.isfinite(values).sum(0)[np.newaxis]
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, 0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(values) - 1), 0)[0]
    return np.asarray((low + high) / 2)


def _slope(values: Series, days: Days) -> Days:
    years = days.reshape(-1, *[1] * (values.ndim - 1)) / DAYS_PER_YEAR
    years = np.where(np.isfinite(values), years, np.nan)
    apart = years - _per(np.nansum(years, 0), _count(values))
    rise = np.nansum(apart * (values - _mean(values, days)), 0)
    return _per(rise, np.nansum(apart**2, 0))


STATISTICS: Mapping[str, Callable[[Series, Days], Days]] = MappingProxyType(
    {
        "mean": _mean,
        "median": _median,
        "min": _least,
        "max": _most,
        "range": _range,
        "std": _std,
        "slope": _slope,
    }
)
