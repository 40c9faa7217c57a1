"""Variances of statistics of parts, from the influence of each unit on them.

Influences can be told once the figures of all parts are known, so the parts are read a
second time. Of each statistic the moments of the cluster totals of its influences are
kept by stratum; the variance is that of
:func:`mlstats.quality.stratified.stratified_covariance`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mlstats.errors import MlstatsError
from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.estimate import Estimate
from mlstats.quality.stratified import (
    SingleClusterRule,
    Strata,
    cluster_factor,
    drawn_shares,
)

__all__ = ["InfluenceSums"]


@dataclass(frozen=True, eq=False)
class InfluenceSums:
    """Moments of cluster totals of influences, by stratum and statistic.

    Parameters
    ----------
    names : tuple
        What each statistic is called.
    strata : numpy.ndarray of str
        Names, sorted.
    clusters : numpy.ndarray of int, shape (strata,)
        Clusters of each stratum.
    mean, squares : numpy.ndarray, shape (strata, statistics)
        Mean of the cluster totals, and sum of squares about it.
    held : numpy.ndarray of int, shape (strata, statistics)
        Clusters that hold units of the statistic's domain, with weight.
    units : numpy.ndarray of int, shape (statistics,)
        Units of the domain, with weight.
    """

    names: tuple[Hashable, ...]
    strata: np.ndarray
    clusters: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    held: np.ndarray
    units: np.ndarray

    @classmethod
    def of(
        cls,
        clusters: Clusters,
        found: Iterable[tuple[Hashable, np.ndarray, np.ndarray]],
    ) -> InfluenceSums:
        """Add up the units of a part that holds whole clusters.

        Parameters
        ----------
        clusters : Clusters
            Of the units.
        found : iterable of (name, numpy.ndarray, numpy.ndarray of bool)
            Of each statistic the weighted influence of every unit, and the units of
            its domain that have weight.
        """
        stratum, width = clusters.stratum, len(clusters.strata)
        size = np.bincount(stratum, minlength=width)
        names, columns = [], []
        for name, scores, inside in found:
            total = np.bincount(clusters.number, scores, minlength=len(stratum))
            mean = np.bincount(stratum, total, minlength=width) / np.maximum(size, 1)
            apart = (total - mean[stratum]) ** 2
            member = np.zeros(len(stratum), dtype=bool)
            member[clusters.number[inside]] = True
            names.append(name)
            columns.append(
                (
                    mean,
                    np.bincount(stratum, apart, minlength=width),
                    np.bincount(stratum[member], minlength=width),
                    int(inside.sum()),
                )
            )
        shape = (len(names), width)
        mean, squares, held = (
            np.array([column[i] for column in columns]).reshape(shape).T
            for i in range(3)
        )
        units = np.array([column[3] for column in columns], dtype=np.int64)
        return cls(
            tuple(names), clusters.strata, size, mean, squares, held.astype(int), units
        )

    def merge(self, other: InfluenceSums) -> InfluenceSums:
        """Return the sums of both sets of clusters.

        By eq. 2.1 of Chan, Golub and LeVeque (1983, The American Statistician 37,
        242-247).

        Raises
        ------
        MlstatsError
            Where the two are of other statistics.
        """
        if self.names != other.names:
            raise MlstatsError(
                "Sums of different statistics cannot be merged",
                where="quality.influence_sums",
            )
        strata = np.union1d(self.strata, other.strata)
        one, two = self._aligned(strata), other._aligned(strata)
        clusters = one.clusters + two.clusters
        weight = (two.clusters / np.maximum(clusters, 1))[:, None]
        gap = two.mean - one.mean
        return InfluenceSums(
            self.names,
            strata,
            clusters,
            one.mean + gap * weight,
            one.squares + two.squares + gap**2 * one.clusters[:, None] * weight,
            one.held + two.held,
            one.units + two.units,
        )

    def told(
        self,
        name: Hashable,
        value: float,
        fractions: Mapping[str, float],
        single: SingleClusterRule,
    ) -> Estimate:
        """Return the estimate of a statistic.

        Parameters
        ----------
        name : hashable
            Which one.
        value : float
            What it is.
        fractions : mapping of str to float
            Stratum -> share of its clusters that was drawn.
        single : {"adjust", "refuse"}
            The rule for a stratum with a single cluster.
        """
        k, size = self.names.index(name), self.clusters
        drawn = drawn_shares(fractions, self.strata)
        design, alone = Strata(size, drawn, single), size == 1
        centre = float(size @ self.mean[:, k]) / max(int(size.sum()), 1)
        spread = np.where(alone, (self.mean[:, k] - centre) ** 2, self.squares[:, k])
        se = float(np.sqrt(cluster_factor(size, drawn) @ spread))
        held = self.held[:, k]
        return design.told(
            value,
            np.nan if design.refused else se,
            int(held.sum() - np.count_nonzero(held)),
            n=int(self.units[k]),
        )

    def _aligned(self, strata: np.ndarray) -> InfluenceSums:
        """Return the sums by a longer sorted list of strata."""
        rows = np.searchsorted(strata, self.strata)
        width = len(self.names)
        clusters = np.zeros(len(strata), dtype=np.int64)
        clusters[rows] = self.clusters
        mean, squares = np.zeros((2, len(strata), width))
        held = np.zeros((len(strata), width), dtype=np.int64)
        mean[rows], squares[rows], held[rows] = self.mean, self.squares, self.held
        return InfluenceSums(
            self.names, strata, clusters, mean, squares, held, self.units
        )
