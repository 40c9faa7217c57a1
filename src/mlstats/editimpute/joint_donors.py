"""Donors of all open cells of a record at once, near by the cells that stay.

The distance is that of Gower (1971, Biometrics 27, 857-871): the mean over the cells
that stay of the difference in ranks of a number, and of 0 or 1 for a category.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.compiled import Records

__all__ = ["near_donors"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_MOST_DONORS = 5_000


def near_donors(
    records: Records,
    free: Bools,
    donors: Ints,
    waiting: Ints,
    *,
    tries: int,
    seed: int,
) -> Ints:
    """Return the nearest donors of each waiting record.

    Parameters
    ----------
    records : Records
        All records.
    free : ndarray of bool, shape (n, variables)
        Cells that the record may take from a donor; they are not compared.
    donors, waiting : ndarray of int
        Rows; of more than 5,000 donors so many are drawn.
    tries : int
        Donors for each record.
    seed : int
        Of the draw.

    Returns
    -------
    ndarray of int, shape (waiting, at most tries)
        The nearest first; among equals the one that was drawn first.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(donors)[:_MOST_DONORS]
    tries = min(tries, len(drawn))
    near = np.empty((len(waiting), tries), dtype=np.int64)
    ranks = _ranks(records, drawn)
    numeric = records.numbers.shape[1]
    codes = records.codes[drawn]
    for at, row in enumerate(waiting):
        stays = ~(free[row] | records.missing[row])
        numbers = np.flatnonzero(stays[:numeric])
        own = np.array(
            [np.searchsorted(ranks[1][j], records.numbers[row, j]) for j in numbers]
        )
        distance = np.abs(ranks[0][:, numbers] - own / len(drawn)).sum(axis=1)
        kinds = np.flatnonzero(stays[numeric:])
        distance += (codes[:, kinds] != records.codes[row, kinds]).sum(axis=1)
        near[at] = drawn[np.argsort(distance, kind="stable")[:tries]]
    return near


def _ranks(
    records: Records, drawn: Ints
) -> tuple[npt.NDArray[np.float64], list[npt.NDArray[np.float64]]]:
    """Return the donors' ranks between 0 and 1, and their values in order."""
    values = records.numbers[drawn]
    ordered = [np.sort(column) for column in values.T]
    ranks = np.empty_like(values)
    for j, column in enumerate(ordered):
        ranks[:, j] = np.searchsorted(column, values[:, j]) / len(drawn)
    return ranks, ordered
