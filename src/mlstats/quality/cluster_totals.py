"""Totals of the clusters of a part: what the moments of ratios are made of.

:mod:`mlstats.quality.ratio_sums` keeps the moments and says why they are those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Clusters", "Entries", "Pairs", "labelled", "ranked", "ratios", "residuals"]

# What is smaller than this beside the sums whose difference it is, is their rounding.
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of the units of a part, numbered once.

    Parameters
    ----------
    number : numpy.ndarray of int, shape (n,)
        Of each unit's cluster within its stratum.
    stratum : numpy.ndarray of int, shape (clusters,)
        Of each cluster, its place in `strata`.
    strata : numpy.ndarray of str
        Names, sorted.
    """

    number: np.ndarray
    stratum: np.ndarray
    strata: np.ndarray

    @classmethod
    def of(cls, cluster: pd.Series, stratum: pd.Series) -> Clusters:
        """Give each cluster of each stratum its number.

        Parameters
        ----------
        cluster, stratum : pandas.Series, shape (n,)
            Names; a cluster's name in two strata is two clusters.
        """
        of_unit, strata = labelled(stratum)
        member, _ = pd.factorize(cluster, use_na_sentinel=False)
        width = max(len(strata), 1)
        number, distinct = pd.factorize(member.astype(np.int64) * width + of_unit)
        return cls(number, distinct % width, strata)


def labelled(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each value among the sorted names, and the names."""
    number, found = pd.factorize(values, use_na_sentinel=False)
    names, rank = np.unique(np.array([str(v) for v in found], str), return_inverse=True)
    return rank[number], names


@dataclass(frozen=True, eq=False)
class Pairs:
    """The clusters of each group that have units of it."""

    x: np.ndarray  # weight of each pair
    at: np.ndarray  # its place
    place: np.ndarray
    size: np.ndarray  # pairs of each place
    mean: np.ndarray  # of x
    xx: np.ndarray

    @classmethod
    def of(
        cls, clusters: Clusters, weight: np.ndarray, group: np.ndarray, groups: int
    ) -> tuple[Pairs, np.ndarray]:
        """Return the pairs, and the pair of each unit."""
        of_unit, keys = pd.factorize(clusters.number * max(groups, 1) + group)
        cluster, number = np.divmod(keys, max(groups, 1))
        x = np.bincount(of_unit, weight, minlength=len(keys))
        key = number * len(clusters.strata) + clusters.stratum[cluster]
        place, at = ranked(key)
        size = np.bincount(at, minlength=len(place))
        mean = np.bincount(at, x, minlength=len(place)) / size
        xx = np.bincount(at, (x - mean[at]) ** 2, minlength=len(place))
        return cls(x, at, place, size, mean, xx), of_unit


@dataclass(frozen=True, eq=False)
class Entries:
    """The total of each pair in each class of which it has units."""

    pair: np.ndarray
    code: np.ndarray
    y: np.ndarray

    @classmethod
    def of(
        cls,
        pair: np.ndarray,
        codes: np.ndarray,
        less: np.ndarray | None,
        added: np.ndarray,
        width: int,
    ) -> Entries:
        """Add up what the units of each pair add to the classes.

        Parameters
        ----------
        pair, codes : numpy.ndarray of int, shape (n,)
            Of each unit.
        less : numpy.ndarray of int, shape (n,), optional
            Another coding, from which the same is taken.
        added : numpy.ndarray, shape (n,)
            What each unit adds.
        width : int
            Number of classes.
        """
        key, taken = pair * width + codes, np.empty(0)
        if less is not None:
            # Where both codings agree nothing is left, not even a rounding.
            apart = codes != less
            taken = added[apart]
            key = np.append(key[apart], pair[apart] * width + less[apart])
            added = taken
        row, keys = pd.factorize(key)
        plus = np.bincount(row[: len(added)], added, minlength=len(keys))
        minus = np.bincount(row[len(added) :], taken, minlength=len(keys))
        y = plus - minus
        y[np.abs(y) <= _ROUNDING * np.maximum(np.abs(plus), np.abs(minus))] = 0.0
        of_pair, code = np.divmod(keys, max(width, 1))
        return cls(of_pair, code, y)


def residuals(
    pairs: Pairs,
    entries: Entries,
    row: np.ndarray,
    at: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray],
    ratio: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, squares and products with x of ``y - R x`` over pairs, by cell.

    Parameters
    ----------
    pairs, entries : Pairs, Entries
        Of a part.
    row : numpy.ndarray of int
        The cell of each entry.
    at : numpy.ndarray of int, shape (cells,)
        The place of each cell.
    sums : (numpy.ndarray, numpy.ndarray)
        Totals of x and y of each cell.
    ratio : numpy.ndarray, shape (cells,)
        R.
    """
    cells = len(at)
    size, x_mean = pairs.size[at], pairs.mean[at]
    mean = (sums[1] - ratio * sums[0]) / size
    x = pairs.x[entries.pair]
    apart = x - x_mean[row]
    e = entries.y - ratio[row] * x - mean[row]
    none = ratio[row] * x + mean[row]  # what a pair without the class is less by
    ee = np.bincount(row, e**2, minlength=cells)
    ex = np.bincount(row, e * apart, minlength=cells)
    lack = np.bincount(row, minlength=cells) < size
    whole = ratio**2 * pairs.xx[at] + size * (ratio * x_mean + mean) ** 2
    squares = whole - np.bincount(row, none**2, minlength=cells)
    products = np.bincount(row, none * apart, minlength=cells) - ratio * pairs.xx[at]
    return (
        mean,
        ee + np.where(lack, np.maximum(squares, 0.0), 0.0),
        ex + np.where(lack, products, 0.0),
    )


def ratios(
    y: np.ndarray, x: np.ndarray, key: np.ndarray, group: np.ndarray, width: int
) -> np.ndarray:
    """Return for each cell the ratio of its class in its group, 0 without weight.

    `key` is ``group * width + class`` of each cell, `group` that of each place. Both
    sums run in the order of the places, so that the ratio of a class which holds
    everything is exactly one.
    """
    row, keys = pd.factorize(key)
    above = np.bincount(row, y, minlength=len(keys))
    below = np.bincount(group, x, minlength=1)[keys // max(width, 1)]
    ratio = np.divide(above, below, out=np.zeros(len(keys)), where=below > 0)
    return np.asarray(ratio[row])


def ranked(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct keys, sorted, and the place of each key among them."""
    number, found = pd.factorize(key)
    order = np.argsort(found)
    rank = np.empty(len(found), dtype=np.int64)
    rank[order] = np.arange(len(found))
    return np.asarray(found)[order], rank[number]
