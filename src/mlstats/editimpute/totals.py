"""Totals and components: correct a total, or the components under it.

The definitions are those of the Office for National Statistics (Statistical Method
Specifications, *Totals and components*): the sum of the components is compared with a
predictive value of the total, first by an absolute threshold, then by a percentage of
the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlstats.errors import ContractError

__all__ = ["MARKERS", "CorrectedTotals", "correct_totals"]

MARKERS = {
    "N": "no correction: the components add up",
    "T": "the total was corrected",
    "C": "the components were corrected",
    "M": "beyond the thresholds: to be reviewed",
    "S": "stopped: the check cannot be made",
}


@dataclass(frozen=True, eq=False)
class CorrectedTotals:
    """Totals and components after correction.

    Parameters
    ----------
    total : numpy.ndarray, shape (n,)
        Totals.
    components : numpy.ndarray, shape (n, components)
        Components.
    marker : numpy.ndarray of str, shape (n,)
        See :data:`MARKERS`.
    difference, low, high : numpy.ndarray, shape (n,)
        Absolute difference, and the limits of the percentage; NaN where not used.
    """

    total: np.ndarray
    components: np.ndarray
    marker: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray


def correct_totals(
    total: np.ndarray,
    components: np.ndarray,
    *,
    amend_total: np.ndarray,
    predictive: np.ndarray | None = None,
    auxiliary: np.ndarray | None = None,
    absolute: np.ndarray | float | None = None,
    percentage: np.ndarray | float | None = None,
) -> CorrectedTotals:
    """Correct each record's total or components where they nearly agree.

    Parameters
    ----------
    total, components : numpy.ndarray, shape (n,) and (n, components)
        A missing component is no part of the sum and stays missing.
    amend_total : numpy.ndarray of bool, shape (n,)
        Correct the total, else the components, pro rata.
    predictive, auxiliary : numpy.ndarray, shape (n,), optional
        What the sum is compared with; the auxiliary where the predictive is missing,
        the total where both are.
    absolute, percentage : float or numpy.ndarray, optional
        Thresholds; the percentage is a share of the sum, 0.1 for ten per cent.
    """
    y, parts = np.asarray(total, dtype=float), np.array(components, dtype=float)
    if np.isinf(y).any() or np.isinf(parts).any():
        raise ContractError("Totals or components are infinite")
    limit, share = _filled(absolute, len(y)), _filled(percentage, len(y))
    compared = _first_known(_filled(predictive, len(y)), _filled(auxiliary, len(y)), y)
    derived = np.nansum(parts, axis=1)
    stop = np.isnan(y) | np.isnan(compared) | (np.isnan(limit) & np.isnan(share))
    stop |= (derived == 0) & (y != 0)
    difference = np.where(stop | np.isnan(limit), np.nan, np.abs(derived - compared))
    ends = np.sort(derived * np.stack([1 - share, 1 + share]), axis=0)
    low, high = np.where(stop, np.nan, ends)
    slack = 1e-9 * np.maximum(1.0, np.abs(derived))
    near = difference <= limit + slack
    near |= (compared >= low - slack) & (compared <= high + slack)
    adds_up = np.abs(derived - y) <= slack
    amend = np.asarray(amend_total, dtype=bool)
    marker = np.select(
        [stop, adds_up, near & amend, near], ["S", "N", "T", "C"], default="M"
    )
    corrected = np.where(marker == "T", derived, y)
    parts = _scaled(parts, y, derived, marker == "C")
    return CorrectedTotals(corrected, parts, marker, difference, low, high)


def _first_known(*columns: np.ndarray) -> np.ndarray:
    found = columns[0]
    for column in columns[1:]:
        found = np.where(np.isnan(found), column, found)
    return found


def _scaled(
    parts: np.ndarray, total: np.ndarray, derived: np.ndarray, which: np.ndarray
) -> np.ndarray:
    """Return components that add up to the total where they are to."""
    scale = np.ones(len(total))
    np.divide(total, derived, out=scale, where=which & (derived != 0))
    return np.asarray(parts * scale[:, None])


def _filled(values: np.ndarray | float | None, n: int) -> np.ndarray:
    given = np.nan if values is None else values
    return np.broadcast_to(np.asarray(given, dtype=float), (n,))
