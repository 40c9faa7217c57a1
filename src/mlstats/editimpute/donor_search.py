"""The search for the nearest donor that passes, with a limit on each donor's use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.editimpute.post_edits import PostEdits

__all__ = ["DonorPool", "assign", "first_passing", "nearest_places", "search_tree"]

# Neighbours asked for at first, and the most that a tie at the least distance may ask.
FIRST, WIDEST = 8, 512


@dataclass(frozen=True, eq=False)
class DonorPool:
    """Donors and recipients of a class.

    Parameters
    ----------
    ranks : numpy.ndarray, shape (records, fields)
        Transformed matching fields.
    donors, recipients : numpy.ndarray of int
        Places of the donors and recipients among the records of the class.
    used : numpy.ndarray of bool, shape (recipients, fields)
        Matching fields of each recipient.
    post_edits : PostEdits or None
        What a recipient must pass with the donor's values.
    """

    ranks: np.ndarray
    donors: np.ndarray
    recipients: np.ndarray
    used: np.ndarray
    post_edits: PostEdits | None

    def passes(self, recipients: np.ndarray, donors: np.ndarray) -> np.ndarray:
        """Return whether each recipient passes with the values of its donor."""
        if self.post_edits is None:
            return np.ones(len(recipients), dtype=bool)
        return self.post_edits.passes(recipients, donors)


def assign(
    pool: DonorPool,
    rng: np.random.Generator,
    *,
    tries: int,
    limit: int | None,
    random: bool,
) -> np.ndarray:
    """Return the place of each recipient's donor, -1 where none is found.

    With a limit the recipients choose in a random order, each the nearest donor that
    is left; a recipient whose first `tries` donors do not pass has none.
    """
    found = np.full(len(pool.recipients), -1)
    for pattern in _patterns(pool.used):
        fields = pool.used[pattern[0]]
        who = pool.recipients[pattern]
        if random or not fields.any():
            near = rng.choice(pool.donors, size=(len(who), tries))
        else:
            near = _nearest(pool, who, fields, tries, rng)
        found[pattern] = first_passing(pool.passes, who, near)
    if limit is None:
        return found
    return _limited(pool, found, tries, limit, random, rng)


def _patterns(used: np.ndarray) -> list[np.ndarray]:
    numbers = np.unique(np.packbits(used, axis=1), axis=0, return_inverse=True)[1]
    numbers = numbers.ravel()
    order = np.argsort(numbers, kind="stable")
    return list(np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1))


def _nearest(
    pool: DonorPool,
    who: np.ndarray,
    fields: np.ndarray,
    tries: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the nearest donors of each recipient, ties in a random order."""
    usable = pool.donors[np.isfinite(pool.ranks[pool.donors][:, fields]).all(axis=1)]
    if not len(usable):
        return np.full((len(who), tries), -1)
    # The order of equal distances in the tree follows the order of the points.
    usable = rng.permutation(usable)
    used = np.flatnonzero(fields)
    near = nearest_places(
        search_tree(pool.ranks[np.ix_(usable, used)]),
        pool.ranks[np.ix_(who, used)],
        tries,
        first=1 if pool.post_edits is None else tries,
        mixed=lambda _, places: rng.random(places.shape),
    )
    return np.asarray(np.where(near < 0, -1, usable[near]))


def search_tree(points: np.ndarray) -> Any:
    """Return a tree to find the nearest of some points in."""
    from scipy.spatial import cKDTree

    return cKDTree(points)


def nearest_places(
    tree: Any,
    points: np.ndarray,
    tries: int,
    *,
    first: int,
    mixed: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the places of the nearest of a tree's points, shape (n, tries).

    Parameters
    ----------
    tree : object
        From :func:`search_tree`.
    points : numpy.ndarray, shape (n, fields)
        To find them for.
    tries : int
        How many; -1 beyond those that there are.
    first : int
        How many to look for at first.
    mixed : callable
        Rows of `points` and places of their neighbours -> numbers in whose order
        equal distances are taken.
    """
    near = np.full((len(points), tries), -1)
    open_rows, k = np.arange(len(points)), min(max(first, FIRST), tree.n)
    while True:
        distance, place = tree.query(points[open_rows], k=k, p=np.inf)
        distance, place = distance.reshape(-1, k), place.reshape(-1, k)
        tied = _same(distance[:, -1], distance[:, 0])
        last = k >= min(tree.n, WIDEST)
        ready = np.ones(len(open_rows), dtype=bool) if last else ~tied
        order = _shuffled(distance[ready], mixed(open_rows[ready], place[ready]))
        kept = min(tries, k)
        near[open_rows[ready], :kept] = np.take_along_axis(
            place[ready], order[:, :kept], axis=1
        )
        open_rows = open_rows[~ready]
        if not len(open_rows):
            return near
        k = min(4 * k, tree.n, WIDEST)


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(a - b) < 1e-12, dtype=bool)


def _shuffled(distance: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    """Return the order of each row by distance, equal ones by drawn numbers."""
    # Ranks lie on a grid of 1 / (2 (N + 1)); a millionth of a millionth is a tie.
    keys = np.round(distance, 12)
    first: np.ndarray = np.argsort(mixed, axis=1)
    second = np.argsort(np.take_along_axis(keys, first, axis=1), axis=1, kind="stable")
    return np.take_along_axis(first, second, axis=1)


def first_passing(
    passes: Callable[[np.ndarray, np.ndarray], np.ndarray],
    who: np.ndarray,
    near: np.ndarray,
) -> np.ndarray:
    """Return the first of each recipient's donors that passes, -1 where none does."""
    found = np.full(len(who), -1)
    waiting = np.arange(len(who))
    for k in range(near.shape[1]):
        waiting = waiting[near[waiting, k] >= 0]
        ok = passes(who[waiting], near[waiting, k])
        found[waiting[ok]] = near[waiting[ok], k]
        waiting = waiting[~ok]
        if not len(waiting):
            break
    return found


def _limited(
    pool: DonorPool,
    found: np.ndarray,
    tries: int,
    limit: int,
    random: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Move the recipients of donors that are used too often to donors that are left."""
    order = rng.permutation(len(found))
    result = np.full(len(found), -1)
    uses = np.zeros(len(pool.ranks), dtype=int)
    waiting = order[found[order] >= 0]
    choice = found.copy()
    while len(waiting):
        chosen = choice[waiting]
        place = _place_in_queue(chosen)
        ok = uses[chosen] + place < limit
        result[waiting[ok]] = chosen[ok]
        np.add.at(uses, chosen[ok], 1)
        waiting = waiting[~ok]
        left = pool.donors[uses[pool.donors] < limit]
        if not len(waiting) or not len(left):
            break
        rest = DonorPool(
            pool.ranks,
            left,
            pool.recipients[waiting],
            pool.used[waiting],
            pool.post_edits,
        )
        again = assign(rest, rng, tries=tries, limit=None, random=random)
        choice[waiting] = again
        waiting = waiting[again >= 0]
    return result


def _place_in_queue(chosen: np.ndarray) -> np.ndarray:
    """Return how many earlier entries chose the same donor."""
    return pd.Series(chosen).groupby(chosen).cumcount().to_numpy()
