"""Adjusted p-values: what a family of tests may say together."""

from __future__ import annotations

import numpy as np

from mlstats.errors import MlstatsError

__all__ = ["benjamini_hochberg", "holm"]


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the false discovery rate.

    Those at most ``q`` are found with an expected share of at most ``q`` of false
    ones among them, for independent tests and for positively dependent ones
    (Benjamini and Hochberg 1995, JRSS B 57, the procedure (1); Benjamini and
    Yekutieli 2001).

    Parameters
    ----------
    p_values : numpy.ndarray, shape (m,)
        NaN stands for a test that was not made: it stays NaN and is no member of the
        family.

    Raises
    ------
    MlstatsError
        Where a p-value lies outside 0 to 1.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    order = _family(p_values)
    m = len(order)
    ranked = p_values[order] * m / np.arange(1, m + 1)
    adjusted = np.minimum.accumulate(ranked[::-1])[::-1]
    return _returned(p_values, order, adjusted)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted so that any false finding is rare.

    Those at most ``alpha`` are found, and the probability of a single false one among
    them is at most ``alpha`` under any dependence (Holm 1979, Scandinavian Journal of
    Statistics 6, section 3).

    Parameters
    ----------
    p_values : numpy.ndarray, shape (m,)
        NaN stands for a test that was not made: it stays NaN and is no member of the
        family.

    Raises
    ------
    MlstatsError
        Where a p-value lies outside 0 to 1.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    order = _family(p_values)
    m = len(order)
    adjusted = np.maximum.accumulate(p_values[order] * np.arange(m, 0, -1))
    return _returned(p_values, order, adjusted)


def _family(p_values: np.ndarray) -> np.ndarray:
    """Return the tests that were made, the smallest p-value first."""
    outside = int(((p_values < 0) | (p_values > 1)).sum())
    if outside:
        raise MlstatsError(f"{outside} p-values lie outside 0 to 1")
    made = np.flatnonzero(~np.isnan(p_values))
    return np.asarray(made[np.argsort(p_values[made], kind="stable")])


def _returned(
    p_values: np.ndarray, order: np.ndarray, adjusted: np.ndarray
) -> np.ndarray:
    result = np.full(len(p_values), np.nan)
    result[order] = np.minimum(adjusted, 1.0)
    return result
