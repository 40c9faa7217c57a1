"""Which cells of a table are told so that none is what the others leave of a sum."""

from __future__ import annotations

import numpy as np

__all__ = ["told_cells"]


def told_cells(
    counts: np.ndarray, whole: np.ndarray, groups: np.ndarray, *, least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return which cells may be told, of all units and of the groups of a domain.

    The sums are known: of each group over the classes, as the shares add up to one,
    and of each told class over the groups. Where the cells that are left out of a sum
    hold fewer than `least` units together, the smallest that is told goes too.

    Parameters
    ----------
    counts : numpy.ndarray of int, shape (groups, classes)
        Units.
    whole : numpy.ndarray of int, shape (classes,)
        Of all groups.
    groups : numpy.ndarray of bool, shape (groups,)
        Which groups are told at all.
    least : int
        Units in a cell that is told.

    Returns
    -------
    (numpy.ndarray of bool, numpy.ndarray of bool)
        Shape (classes,) and (groups, classes).

    Examples
    --------
    >>> whole = np.array([90, 30, 3])
    >>> counts = np.array([[60, 20, 2], [30, 10, 1]])
    >>> for told in told_cells(counts, whole, np.array([True, True]), least=10):
    ...     print(told.tolist())
    [True, False, False]
    [[True, False, False], [True, False, False]]
    """
    whole_told = _safe(whole >= least, whole, least)
    told = (counts >= least) & groups[:, None] & whole_told
    while True:
        before = told.copy()
        for row in np.flatnonzero(groups):
            told[row] = _safe(told[row], counts[row], least)
        for column in np.flatnonzero(whole_told):
            told[:, column] = _safe(told[:, column], counts[:, column], least)
        if (told == before).all():
            return whole_told, told


def _safe(told: np.ndarray, counts: np.ndarray, least: int) -> np.ndarray:
    """Leave out the smallest told cells until those left out are enough, or none."""
    told = told.copy()
    order = np.argsort(counts, kind="stable")
    for place in order[told[order]]:
        if not 0 < int(counts[~told].sum()) < least:
            break
        told[place] = False
    return told
