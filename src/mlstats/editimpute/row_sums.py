"""Sums over the columns of a record that do not depend on the records beside it.

A matrix product adds up in an order that its library chooses by the number of rows:
one record alone can differ in the last digit from the same record among others. Where
such a sum ends up in a value, a file in blocks would not give the same bytes for every
size of the blocks. These add up column by column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["products", "row_sums"]

Floats = npt.NDArray[np.float64]


def products(x: Floats, A: Floats) -> Floats:
    """Return ``x @ A.T``, the terms added in the order of the columns.

    Parameters
    ----------
    x : ndarray of float, shape (n, variables)
        Records.
    A : ndarray of float, shape (rows, variables)
        Coefficients; a column of zeros is not looked at.
    """
    total = np.zeros((len(x), len(A)))
    for j in np.flatnonzero(A.any(axis=0)):
        total += x[:, j, None] * A[:, j]
    return total


def row_sums(x: npt.NDArray[np.generic]) -> Floats:
    """Return the sum of each row, the columns added in their order."""
    total = np.zeros(len(x))
    for column in x.T:
        total += column
    return total
