"""Ratios of weighted totals and their errors from sums that add up over parts.

Of units that come in parts, each of which holds whole clusters, only moments of the
cluster totals are kept, by group of a domain, stratum and class: memory does not grow
with units or clusters. The estimator is that of :func:`mlstats.quality.accuracy.ratio`.

With ``y`` a cluster's total in a class, ``x`` its total and ``R`` the ratio of all,
what is kept are the moments of ``e = y - R x`` about its mean in the stratum, not
those of ``y`` about zero: differences of large sums would lose what is small. Where
two parts meet, ``e`` goes over to the common ``R`` (``e' = e + (R_old - R) x``) and
the moments add up by eq. 2.1 of Chan, Golub and LeVeque (1983, The American
Statistician 37, 242-247).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from mlstats.quality.accuracy import RatioEstimate
from mlstats.quality.cluster_totals import (
    Clusters,
    Entries,
    Pairs,
    ranked,
    ratios,
    residuals,
)
from mlstats.quality.stratified import (
    SingleClusterRule,
    cluster_factor,
    drawn_shares,
)

__all__ = ["RatioSums", "Shares"]


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares of every class in one group.

    Parameters
    ----------
    value, se : numpy.ndarray, shape (classes,)
        Share and standard error, NaN where it cannot be told.
    df : float
        Clusters less strata, of those that hold units of the group.
    clusters : int
        With weight.
    """

    value: np.ndarray
    se: np.ndarray
    df: float
    clusters: int


@dataclass(frozen=True, eq=False)
class RatioSums:
    """Moments of cluster totals by group, stratum and class.

    Parameters
    ----------
    groups, strata, classes : numpy.ndarray of str
        Names, sorted.
    clusters : numpy.ndarray of int, shape (strata,)
        Clusters of each stratum, with and without units of a group.
    place : numpy.ndarray of int, shape (places,)
        ``group * strata + stratum`` of those that hold units, rising.
    x, xx, held : numpy.ndarray, shape (places,)
        Weight, its sum of squares about the stratum's mean over the clusters, and
        the clusters with weight.
    cell : numpy.ndarray of int, shape (cells,)
        ``place * classes + class`` (numbers, not names) of those that hold units of
        the class, rising.
    y, ee, ex : numpy.ndarray, shape (cells,)
        Weight in the class, sum of squares of ``e`` about its mean, and of products
        with ``x``. A cell that is not there has ``e = -R x``.
    """

    groups: np.ndarray
    strata: np.ndarray
    classes: np.ndarray
    clusters: np.ndarray
    place: np.ndarray
    x: np.ndarray
    xx: np.ndarray
    held: np.ndarray
    cell: np.ndarray
    y: np.ndarray
    ee: np.ndarray
    ex: np.ndarray

    @classmethod
    def of(
        cls,
        clusters: Clusters,
        weight: np.ndarray,
        codes: np.ndarray,
        classes: np.ndarray,
        *,
        group: tuple[np.ndarray, np.ndarray] | None = None,
        added: np.ndarray | None = None,
        taken: np.ndarray | None = None,
        less: np.ndarray | None = None,
    ) -> RatioSums:
        """Take the moments of units that hold whole clusters.

        Parameters
        ----------
        clusters : Clusters
            Of the units.
        weight : numpy.ndarray, shape (n,)
            The denominator is its sum.
        codes : numpy.ndarray of int, shape (n,)
            Place of each unit's class in `classes`.
        classes : numpy.ndarray of str
            Names, sorted.
        group : (numpy.ndarray of int, numpy.ndarray of str), optional
            Of each unit the place of its group of a domain, and the sorted names;
            one group without a name otherwise.
        added, taken : numpy.ndarray, shape (n,), optional
            What a unit adds to its class, `weight` without it, and takes from it.
        less : numpy.ndarray of int, shape (n,), optional
            Another coding, whose shares are taken away.
        """
        number, groups = group or (np.zeros(len(codes), dtype=int), np.array([""]))
        width, strata = len(classes), len(clusters.strata)
        pairs, of_unit = Pairs.of(clusters, weight, number, len(groups))
        added = weight if added is None else added
        entries = Entries.of(of_unit, codes, less, added, taken, width)
        cell, row = ranked(pairs.at[entries.pair] * width + entries.code)
        at, code = cell // width, cell % width
        y = np.bincount(row, entries.y, minlength=len(cell))
        x = np.bincount(pairs.at, pairs.x, minlength=len(pairs.place))
        group_of = pairs.place // max(strata, 1)
        common = ratios(y, x, group_of[at] * width + code, group_of, width)
        mean, ee, ex = residuals(pairs, entries, row, at, (x[at], y), common)
        # The clusters of the stratum without units of the group: zeros all of them.
        total = np.bincount(clusters.stratum, minlength=strata)
        every = total[pairs.place % max(strata, 1)]
        join = pairs.size * (every - pairs.size) / every
        return cls(
            groups=groups,
            strata=clusters.strata,
            classes=classes,
            clusters=total,
            place=pairs.place,
            x=x,
            xx=pairs.xx + join * pairs.mean**2,
            held=np.bincount(pairs.at, pairs.x > 0, minlength=len(x)).astype(int),
            cell=cell,
            y=y,
            ee=ee + join[at] * mean**2,
            ex=ex + join[at] * mean * pairs.mean[at],
        )

    @classmethod
    def of_one(
        cls,
        clusters: Clusters,
        weight: np.ndarray,
        added: np.ndarray,
        *,
        group: tuple[np.ndarray, np.ndarray] | None = None,
        taken: np.ndarray | None = None,
    ) -> RatioSums:
        """Take the moments of a single ratio, as :meth:`of` of one nameless class."""
        codes, classes = np.zeros(len(weight), dtype=int), np.array([""])
        return cls.of(
            clusters, weight, codes, classes, group=group, added=added, taken=taken
        )

    def merge(self, other: RatioSums) -> RatioSums:
        """Return the sums of both sets of clusters."""
        names = [
            np.union1d(getattr(self, name), getattr(other, name))
            for name in ("groups", "strata", "classes")
        ]
        one, two = self._aligned(*names), other._aligned(*names)
        width, strata = len(names[2]), max(len(names[1]), 1)
        place = np.union1d(one.place, two.place)
        cell = np.union1d(one._cells_among(place), two._cells_among(place))
        at, code = np.divmod(cell, max(width, 1))
        key = (place // strata)[at] * width + code
        first, second = (_Side.of(part, place, cell, key) for part in (one, two))
        x, y = first.x + second.x, first.y + second.y
        common = ratios(y, x, key, place // strata, width)
        x1, e1, ee1, ex1 = first.about(common, at)
        x2, e2, ee2, ex2 = second.about(common, at)
        join = first.size * second.size / (first.size + second.size)
        return RatioSums(
            groups=names[0],
            strata=names[1],
            classes=names[2],
            clusters=one.clusters + two.clusters,
            place=place,
            x=x,
            xx=first.xx + second.xx + join * (x1 - x2) ** 2,
            held=first.held + second.held,
            cell=cell,
            y=y,
            ee=ee1 + ee2 + join[at] * (e1 - e2) ** 2,
            ex=ex1 + ex2 + join[at] * (e1 - e2) * (x1 - x2)[at],
        )

    @classmethod
    def of_parts(cls, parts: Iterable[RatioSums]) -> RatioSums:
        """Return the sums of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)

    def shares(
        self, group: str = "", fractions: Mapping[str, float] | None = None
    ) -> Shares:
        """Estimate the share of each class in a group.

        ``sum_h (1 - f_h) n_h / (n_h - 1) sum_i (u_hi - mean_h(u))**2`` with ``u = e /
        sum(x)`` (Särndal, Swensson and Wretman 1992, eqs. 5.6.2 and 5.5.10 with
        replacement); a stratum with a single cluster is centred at zero, the mean of
        all ``u``.

        Parameters
        ----------
        group : str
            Of :attr:`groups`.
        fractions : mapping, optional
            Stratum -> share of its clusters that was drawn.
        """
        found = self._estimated(group, fractions)
        if found is None:
            gone = np.full(len(self.classes), np.nan)
            return Shares(gone, gone, 0.0, 0)
        value, se, held = found
        df = float(held.sum() - np.count_nonzero(held))
        return Shares(
            value, se if df > 0 else np.full(len(se), np.nan), df, int(held.sum())
        )

    def ratio(
        self,
        group: str = "",
        fractions: Mapping[str, float] | None = None,
        *,
        single: SingleClusterRule = "adjust",
    ) -> list[RatioEstimate]:
        """Estimate the ratio of each class, each an estimate of its own.

        Parameters and results are those of :func:`mlstats.quality.accuracy.ratio`.
        """
        found = self.shares(group, fractions)
        if single == "refuse" and self.alone(fractions):
            found = replace(found, se=np.full(len(found.se), np.nan))
        return [
            RatioEstimate(float(value), float(se), found.df, found.clusters)
            for value, se in zip(found.value, found.se, strict=True)
        ]

    def alone(self, fractions: Mapping[str, float] | None = None) -> bool:
        """Tell whether a stratum has a single cluster and others were not drawn."""
        drawn = drawn_shares(fractions, self.strata)
        return bool(((self.clusters == 1) & (drawn < 1)).any())

    def _estimated(
        self, group: str, fractions: Mapping[str, float] | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return ratios, standard errors and clusters with weight by stratum."""
        strata, width = max(len(self.strata), 1), len(self.classes)
        if group not in self.groups:
            return None
        number = int(np.searchsorted(self.groups, group))
        rows = slice(
            *np.searchsorted(self.place, [number * strata, (number + 1) * strata])
        )
        cells = slice(
            *np.searchsorted(self.cell, [rows.start * width, rows.stop * width])
        )
        x = self.x[rows]
        total = float(np.bincount(np.zeros(len(x), dtype=int), x, minlength=1)[0])
        if not total > 0:
            return None
        row, code = np.divmod(self.cell[cells] - rows.start * width, max(width, 1))
        value = np.bincount(code, self.y[cells], minlength=width) / total
        e, ee = -value * x[:, None], value**2 * self.xx[rows][:, None]
        e[row, code] += self.y[cells]
        ee[row, code] = self.ee[cells]
        stratum = self.place[rows] % strata
        size = self.clusters[stratum]
        factor = cluster_factor(size, drawn_shares(fractions, self.strata[stratum]))
        spread = np.where((size == 1)[:, None], e**2, np.maximum(ee, 0.0))
        return value, np.sqrt(factor @ spread) / total, self.held[rows]

    def _cells_among(self, place: np.ndarray) -> np.ndarray:
        """Return the cells numbered by a longer list of places."""
        width = max(len(self.classes), 1)
        own = np.searchsorted(place, self.place)
        return np.asarray(own[self.cell // width] * width + self.cell % width)

    def _aligned(
        self, groups: np.ndarray, strata: np.ndarray, classes: np.ndarray
    ) -> RatioSums:
        """Return the sums numbered by longer sorted lists of names."""
        group, stratum, code = (
            np.searchsorted(longer, names)
            for longer, names in (
                (groups, self.groups),
                (strata, self.strata),
                (classes, self.classes),
            )
        )
        clusters = np.zeros(len(strata), dtype=np.int64)
        clusters[stratum] = self.clusters
        old, width = max(len(self.strata), 1), max(len(self.classes), 1)
        place = group[self.place // old] * len(strata) + stratum[self.place % old]
        cell = self.cell // width * len(classes) + code[self.cell % width]
        return replace(
            self,
            groups=groups,
            strata=strata,
            classes=classes,
            clusters=clusters,
            place=place,
            cell=cell,
        )


# -- two parts ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Side:
    """The sums of one part at the places and cells of both."""

    size: np.ndarray
    x: np.ndarray
    xx: np.ndarray
    held: np.ndarray
    y: np.ndarray
    ee: np.ndarray
    ex: np.ndarray
    ratio: np.ndarray

    @classmethod
    def of(
        cls, part: RatioSums, place: np.ndarray, cell: np.ndarray, key: np.ndarray
    ) -> _Side:
        strata, width = max(len(part.strata), 1), max(len(part.classes), 1)
        x, xx, held = _spread(
            np.searchsorted(place, part.place), len(place), part.x, part.xx, part.held
        )
        where = np.searchsorted(cell, part._cells_among(place))
        y, ee, ex = _spread(where, len(cell), part.y, part.ee, part.ex)
        at = cell // width
        ratio = ratios(y, x, key, place // strata, width)
        lack = np.ones(len(cell), dtype=bool)
        lack[where] = False
        return cls(
            size=part.clusters[place % strata],
            x=x,
            xx=xx,
            held=held,
            y=y,
            ee=np.where(lack, ratio**2 * xx[at], ee),
            ex=np.where(lack, -ratio * xx[at], ex),
            ratio=ratio,
        )

    def about(
        self, ratio: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the mean of x, and mean, squares and products of ``y - R x``."""
        size = np.maximum(self.size, 1)
        shift, xx = self.ratio - ratio, self.xx[at]
        return (
            self.x / size,
            (self.y - ratio * self.x[at]) / size[at],
            self.ee + 2 * shift * self.ex + shift**2 * xx,
            self.ex + shift * xx,
        )


def _spread(where: np.ndarray, n: int, *columns: np.ndarray) -> list[np.ndarray]:
    """Return columns at their places among `n`, zero elsewhere."""
    wide = [np.zeros(n, dtype=column.dtype) for column in columns]
    for one, column in zip(wide, columns, strict=True):
        one[where] = column
    return wide
