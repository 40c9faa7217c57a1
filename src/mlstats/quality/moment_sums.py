"""Totals and ratios of many figures, and their errors, from sums that add up.

Of units that come in parts, each of which holds whole clusters, only moments of the
cluster totals are kept, by group of a domain, stratum and figure: memory does not grow
with units or clusters. The estimators are those of
:class:`mlstats.quality.design.Design`.

With ``y`` and ``x`` the totals of a cluster and ``R`` their ratio in the group, what is
kept of the ratio are the moments of ``e = y - R x``, which go over to the common ``R``
where two parts meet, see :mod:`mlstats.quality.ratio_sums`; moments add up by eq. 2.1
of Chan, Golub and LeVeque (1983, The American Statistician 37, 242-247).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlstats.quality.cluster_totals import Clusters, ranked
from mlstats.quality.stratified import cluster_factor, drawn_shares

__all__ = ["Column", "MomentSums", "Moments"]

# A residual that is smaller than this beside what it is the difference of, is zero.
_ROUNDING = 1e-12
_MOMENTS = ("y", "x", "yy", "xx", "ee", "ex", "held")


@dataclass(frozen=True, eq=False)
class Column:
    """A figure of each unit.

    Parameters
    ----------
    y, x : numpy.ndarray of float, shape (n,)
        Numerator and denominator, weighted; zero outside.
    there : numpy.ndarray of bool, shape (n,)
        Units that the figure is of.
    """

    y: np.ndarray
    x: np.ndarray
    there: np.ndarray


@dataclass(frozen=True)
class Moments:
    """What the estimates of one figure in one group are made of.

    Parameters
    ----------
    total, ratio : float
        Estimates; the ratio is NaN where its denominator is zero.
    total_variance, ratio_variance : float
        Of both.
    df : int
        Clusters less strata, of those that hold units of the figure with weight.
    clusters : int
        That hold units of the figure with weight.
    """

    total: float
    total_variance: float
    ratio: float
    ratio_variance: float
    df: int
    clusters: int


@dataclass(frozen=True, eq=False)
class MomentSums:
    """Moments of cluster totals by group, stratum and figure.

    Parameters
    ----------
    groups, strata : numpy.ndarray of str
        Names, sorted.
    names : tuple
        Of the figures.
    clusters : numpy.ndarray of int, shape (strata,)
        Clusters of each stratum, with and without units of a group.
    place : numpy.ndarray of int, shape (places,)
        ``group * strata + stratum`` of those that hold units, rising.
    sums : mapping of str to numpy.ndarray, shape (places, figures)
        ``y`` and ``x``, their totals; ``yy`` and ``xx``, squares about the mean over
        the stratum's clusters; ``ee`` and ``ex``, squares of the residual about its
        mean and products with ``x``; ``held``, clusters with units of the figure that
        have weight.
    """

    groups: np.ndarray
    strata: np.ndarray
    names: tuple[Any, ...]
    clusters: np.ndarray
    place: np.ndarray
    sums: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls,
        clusters: Clusters,
        weight: np.ndarray,
        columns: Mapping[Any, Column],
        group: tuple[np.ndarray, np.ndarray],
    ) -> MomentSums:
        """Take the moments of units that hold whole clusters.

        Parameters
        ----------
        clusters : Clusters
            Of the units.
        weight : numpy.ndarray, shape (n,)
            Of the units.
        columns : mapping of object to Column
            Name of a figure -> its values.
        group : (numpy.ndarray of int, numpy.ndarray of str)
            Of each unit the place of its group, and the sorted names.
        """
        number, groups = group
        strata = max(len(clusters.strata), 1)
        of_unit, keys = pd.factorize(clusters.number * max(len(groups), 1) + number)
        cluster, own = np.divmod(keys, max(len(groups), 1))
        place, at = ranked(own * strata + clusters.stratum[cluster])
        total = np.bincount(clusters.stratum, minlength=len(clusters.strata))
        pairs = _Pairs(of_unit, at, place // strata, total[place % strata])
        found = [pairs.moments(column, weight > 0) for column in columns.values()]
        sums = {
            name: np.stack([one[name] for one in found], axis=1)
            if found
            else np.zeros((len(place), 0))
            for name in _MOMENTS
        }
        return cls(groups, clusters.strata, tuple(columns), total, place, sums)

    def merge(self, other: MomentSums) -> MomentSums:
        """Return the sums of both sets of clusters, which have the same figures."""
        assert self.names == other.names
        groups = np.union1d(self.groups, other.groups)
        strata = np.union1d(self.strata, other.strata)
        one, two = self._aligned(groups, strata), other._aligned(groups, strata)
        place = np.union1d(one.place, two.place)
        first, second = one._spread(place), two._spread(place)
        width, group = max(len(strata), 1), place // max(len(strata), 1)
        sums = {n: first[n] + second[n] for n in ("y", "x", "held")}
        common = _ratios(sums["y"], sums["x"], group)
        one_of, two_of = (
            _about(side, _ratios(side["y"], side["x"], group), common)
            for side in (first, second)
        )
        sizes = [part.clusters[place % width][:, None] for part in (one, two)]
        join = sizes[0] * sizes[1] / (sizes[0] + sizes[1])
        apart = {
            n: one_of[n] / np.maximum(sizes[0], 1) - two_of[n] / np.maximum(sizes[1], 1)
            for n in ("y", "x", "e")
        }
        for name in ("yy", "xx", "ee", "ex"):
            step = join * apart[name[0]] * apart[name[1]]
            sums[name] = one_of[name] + two_of[name] + step
        return MomentSums(
            groups, strata, self.names, one.clusters + two.clusters, place, sums
        )

    def with_columns(self, like: Mapping[Any, Any], names: Sequence[Any]) -> MomentSums:
        """Return the sums with further figures, which nothing adds to here.

        Parameters
        ----------
        like : mapping
            New figure -> a figure of the same units whose ``y`` is zero.
        names : sequence
            All figures in their new order.
        """
        place = {name: number for number, name in enumerate(self.names)}
        taken = [place[name if name in place else like[name]] for name in names]
        sums = {name: table[:, taken] for name, table in self.sums.items()}
        return replace(self, names=tuple(names), sums=sums)

    def moments(
        self, group: str, name: Any, fractions: Mapping[str, float]
    ) -> Moments | None:
        """Return what the estimates of a figure in a group are made of.

        ``sum_h (1 - f_h) n_h / (n_h - 1) sum_i (z_hi - mean_h)**2`` with ``z`` the
        cluster's ``y``, or ``e / sum(x)`` (Särndal, Swensson and Wretman 1992, sections
        3.7 and 5.6); a stratum with a single cluster is centred at the mean of all.
        None for a group that is not there.
        """
        if group not in self.groups:
            return None
        strata, column = max(len(self.strata), 1), self.names.index(name)
        number = int(np.searchsorted(self.groups, group))
        rows = slice(
            *np.searchsorted(self.place, [number * strata, (number + 1) * strata])
        )
        of = {n: table[rows, column] for n, table in self.sums.items()}
        stratum = self.place[rows] % strata
        size, total, whole = self.clusters, float(of["y"].sum()), float(of["x"].sum())
        factor = cluster_factor(size, drawn_shares(fractions, self.strata))
        alone = size[stratum] == 1
        mean = total / max(int(size.sum()), 1)
        spread = np.where(alone, (of["y"] - mean) ** 2, of["yy"])
        lonely = (size == 1).nonzero()[0]
        empty = np.setdiff1d(lonely, stratum)  # their total is zero
        variance = float(factor[stratum] @ spread + factor[empty].sum() * mean**2)
        ratio, rest = np.nan, np.nan
        if whole:
            ratio = total / whole
            squares = np.where(alone, (of["y"] - ratio * of["x"]) ** 2, of["ee"])
            rest = float(factor[stratum] @ np.maximum(squares, 0.0)) / whole**2
            # Where parts meet, what does not vary keeps a rounding.
            rest = rest if rest > (_ROUNDING * ratio) ** 2 else 0.0
        held = int(of["held"].sum())
        df = held - int(np.count_nonzero(of["held"]))
        return Moments(total, variance, ratio, rest, df, held)

    def _aligned(self, groups: np.ndarray, strata: np.ndarray) -> MomentSums:
        """Return the sums numbered by longer sorted lists of names."""
        group, stratum = (
            np.searchsorted(groups, self.groups),
            np.searchsorted(strata, self.strata),
        )
        clusters = np.zeros(len(strata), dtype=np.int64)
        clusters[stratum] = self.clusters
        old = max(len(self.strata), 1)
        place = group[self.place // old] * len(strata) + stratum[self.place % old]
        return replace(
            self, groups=groups, strata=strata, clusters=clusters, place=place
        )

    def _spread(self, place: np.ndarray) -> dict[str, np.ndarray]:
        """Return the sums at their places among more, zero elsewhere."""
        where, wide = np.searchsorted(place, self.place), {}
        for name, table in self.sums.items():
            wide[name] = np.zeros((len(place), table.shape[1]))
            wide[name][where] = table
        return wide


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The clusters of each group that have units of it."""

    of_unit: np.ndarray  # pair of each unit
    at: np.ndarray  # place of each pair
    group: np.ndarray  # of each place
    every: np.ndarray  # clusters of the stratum of each place

    def moments(self, column: Column, weighted: np.ndarray) -> dict[str, np.ndarray]:
        y, x = self._summed(column.y), self._summed(column.x)
        above, below = self._placed(y), self._placed(x)
        ratio = _ratios(above[:, None], below[:, None], self.group)[:, 0]
        fitted = ratio[self.at] * x
        e = y - fitted
        e[np.abs(e) <= _ROUNDING * (np.abs(y) + np.abs(fitted))] = 0.0
        held = self._summed((column.there & weighted).astype(float)) > 0
        return {
            "y": above,
            "x": below,
            "yy": self._products(y, y),
            "xx": self._products(x, x),
            "ee": self._products(e, e),
            "ex": self._products(e, x),
            "held": self._placed(held.astype(float)),
        }

    def _summed(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.bincount(self.of_unit, values, minlength=len(self.at)))

    def _placed(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.bincount(self.at, values, minlength=len(self.group)))

    def _products(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        """Return products about the means over the clusters of the stratum.

        Those without units of the group are zeros.
        """
        size = np.bincount(self.at, minlength=len(self.group))
        means = [self._placed(values) / size for values in (one, two)]
        apart = (one - means[0][self.at]) * (two - means[1][self.at])
        join = size * (self.every - size) / self.every
        return np.asarray(self._placed(apart) + join * means[0] * means[1])


def _ratios(y: np.ndarray, x: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the ratio of each figure in the group of each place, 0 without weight."""
    _, number = np.unique(group, return_inverse=True)
    sums = []
    for table in (y, x):
        added = np.zeros((int(number.max(initial=-1)) + 1, table.shape[1]))
        np.add.at(added, number, table)
        sums.append(added)
    ratio = np.divide(sums[0], sums[1], out=np.zeros_like(sums[0]), where=sums[1] != 0)
    return np.asarray(ratio[number])


def _about(
    side: Mapping[str, np.ndarray], own: np.ndarray, ratio: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the sums of one part with residuals by another ratio."""
    shift = own - ratio
    return {
        **side,
        "e": side["y"] - ratio * side["x"],
        "ee": side["ee"] + 2 * shift * side["ex"] + shift**2 * side["xx"],
        "ex": side["ex"] + shift * side["xx"],
    }
