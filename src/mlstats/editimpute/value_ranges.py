"""What linear edits leave for the open cells of records, for all records at once.

Bounds go from edit to edit: the least that the other terms of an edit can be bounds
the one that is left. What comes out is never too narrow; programmes that look at all
edits together (:class:`~mlstats.editimpute.deterministic.Deterministic`) can find a
narrower range. Balances are solved as systems of equations, by pattern of open cells.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.row_sums import products, row_sums

__all__ = ["solve_balances", "value_ranges"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

_ROUNDS = 10


def value_ranges(
    edits: LinearEdits, x: Floats, is_open: Bools
) -> tuple[Floats, Floats]:
    """Return lower and upper bounds of every cell.

    Parameters
    ----------
    edits : LinearEdits
        The edits; one with a value that is missing and not open says nothing.
    x : ndarray, shape (n, variables)
        Records, NaN where a value is missing or open.
    is_open : ndarray of bool, shape (n, variables)
        Cells that may have any value.

    Returns
    -------
    lower, upper : ndarray, shape (n, variables)
        The value itself where it is given; infinite where there is no bound.
    """
    given = np.isfinite(x) & ~is_open
    low, high = np.where(given, x, -np.inf), np.where(given, x, np.inf)
    rows = [*zip(edits.A, edits.b, strict=True)]
    same = edits.equality
    rows += [*zip(-edits.A[same], -edits.b[same], strict=True)]
    todo = np.flatnonzero(is_open.any(axis=1))
    for _ in range(_ROUNDS):
        # A record is done when nothing of its own changes, whatever others do.
        part = low[todo], high[todo]
        changed = np.zeros(len(todo), dtype=bool)
        for c, bound in rows:
            changed |= _narrowed(c, bound, *part, is_open[todo])
        low[todo], high[todo] = part
        todo = todo[changed]
        if not len(todo):
            break
    return low, high


def _narrowed(
    c: Floats, bound: float, low: Floats, high: Floats, is_open: Bools
) -> Bools:
    """Narrow the bounds by one inequality, in place; tell for which records."""
    used = np.flatnonzero(c)
    least = np.where(c[used] > 0, c[used] * low[:, used], c[used] * high[:, used])
    endless = np.isinf(least)
    finite = np.where(endless, 0.0, least)
    total, count = row_sums(finite), endless.sum(axis=1)
    changed = np.zeros(len(low), dtype=bool)
    for place, j in enumerate(used):
        told = is_open[:, j] & (count - endless[:, place] == 0)
        end = (bound - (total[told] - finite[told, place])) / c[j]
        side = high if c[j] > 0 else low
        old = side[told, j]
        new = np.minimum(old, end) if c[j] > 0 else np.maximum(old, end)
        # A chain of edits can narrow without end; a millionth of a millionth is none.
        with np.errstate(invalid="ignore"):
            changed[told] |= np.abs(new - old) > 1e-12 * (1 + np.abs(new))
        side[told, j] = new
    return changed


def solve_balances(edits: LinearEdits, x: Floats, is_open: Bools) -> None:
    """Fill in the open cells that the balances leave one value for, in place."""
    A, b = edits.A[edits.equality], edits.b[edits.equality]
    asked = np.flatnonzero(is_open.any(axis=1))
    if not len(asked) or not len(b):
        return
    packed = np.packbits(np.hstack([is_open, np.isnan(x)])[asked], axis=1)
    kinds = np.unique(packed, axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(kinds, kind="stable")
    for part in np.split(asked[order], np.flatnonzero(np.diff(kinds[order])) + 1):
        free = is_open[part[0]]
        known = ~(A[:, np.isnan(x[part[0]]) & ~free] != 0).any(axis=1)
        _solved(A[known], b[known], x, part, np.flatnonzero(free))


def _solved(
    A: Floats,
    b: Floats,
    x: Floats,
    rows: npt.NDArray[np.intp],
    free: npt.NDArray[np.intp],
) -> None:
    from scipy.linalg import null_space

    system = A[:, free]
    used = (system != 0).any(axis=1)
    if not used.any():
        return
    loose = null_space(system[used])
    fixed = np.flatnonzero(~(np.abs(loose) > 1e-9).any(axis=1))
    if not len(fixed):
        return
    block = x[rows]
    block[:, free] = 0.0
    # A missing value that is not open stands in none of these balances.
    rest = b[used] - products(np.nan_to_num(block), A[used])
    inverse = np.linalg.pinv(system[used])[fixed]
    found = products(rest, inverse)
    # Once more with what is left over: values are exact where the numbers allow it.
    left = rest - products(found, system[used][:, fixed])
    if len(fixed) == len(free):
        found += products(left, inverse)
    x[np.ix_(rows, free[fixed])] = found + 0.0
