"""Whole numbers for variables that were eliminated, for many records at once.

The eliminated variables get their values one after the other, from the last to the
first: the restrictions left before a variable went bound it, and the whole number in
these bounds nearest to the record's own is taken. Where that ends well, whole numbers
exist; where it does not, they may exist nevertheless, and a program decides.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.elimination import Eliminator

__all__ = ["fits_whole_numbers"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_NEAR = 1e-9


def fits_whole_numbers(
    eliminator: Eliminator, mask: int, numbers: Floats, integer: frozenset[int]
) -> Bools:
    """Tell for which records whole numbers were found.

    Parameters
    ----------
    eliminator : Eliminator
        The edits.
    mask : int
        Bits of the variables to change.
    numbers : ndarray of float, shape (n, variables)
        The records.
    integer : frozenset of int
        The variables that are whole numbers.
    """
    X = numbers.copy()
    left = mask & ((1 << numbers.shape[1]) - 1)
    fits = np.ones(len(X), dtype=bool)
    while left:
        j = left.bit_length() - 1
        left &= ~(1 << j)
        low, high = _bounds(eliminator, left, j, X)
        if j in integer:
            low = np.ceil(low - _NEAR * (1 + np.abs(low)))
            high = np.floor(high + _NEAR * (1 + np.abs(high)))
            X[:, j] = np.rint(X[:, j])
        fits &= low <= high + _NEAR * (1 + np.abs(high))
        X[:, j] = np.clip(X[:, j], low, np.maximum(low, high))
    X[~fits] = 0.0
    base = np.array([row.number for row in eliminator.base], dtype=np.int64)
    fits &= ~eliminator.store.violated(base, X, np.abs(X)).any(axis=1)
    for j in integer:
        fits &= X[:, j] == np.rint(X[:, j])
    return np.asarray(fits)


def _bounds(
    eliminator: Eliminator, mask: int, j: int, X: Floats
) -> tuple[Floats, Floats]:
    """Return the bounds of a variable, the others as they are."""
    rows = eliminator.with_variable(mask, j)
    low, high = np.full(len(X), -np.inf), np.full(len(X), np.inf)
    if len(rows):
        A, bound, is_equality = eliminator.store.dense(rows)
        own = A[:, j]
        others = A.copy()
        others[:, j] = 0.0
        ends = (bound - X @ others.T) / own
        above, below = is_equality | (own > 0), is_equality | (own < 0)
        if above.any():
            high = ends[:, above].min(axis=1)
        if below.any():
            low = ends[:, below].max(axis=1)
    return low, high
