"""Macro-F1 of units that come in parts, with the delete-a-group jackknife.

The classes' sums are kept for each of a hundred random groups of clusters: a statistic
of sums of any shape has its error from leaving out one group at a time (Kott 2001,
Journal of Official Statistics 17, 521-526). Strata and fractions are not used: the
error is then, if anything, too large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.quality.accuracy import RatioEstimate, macro_f1
from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.summaries import ClassSums

__all__ = ["GROUPS", "ClassGroups", "group_numbers", "jackknifed_f1"]

GROUPS: Final = 100


@dataclass(frozen=True, eq=False)
class ClassGroups:
    """Weighted sums of one method at one level by random group and class.

    Parameters
    ----------
    classes : numpy.ndarray of str
        Names, sorted.
    clusters : numpy.ndarray of int, shape (groups,)
        Clusters in each group.
    sums : numpy.ndarray, shape (3, groups, classes)
        Weight that was rightly coded, that was coded into the class, that is of it.
    """

    classes: np.ndarray
    clusters: np.ndarray
    sums: np.ndarray

    @classmethod
    def of(
        cls,
        clusters: np.ndarray,
        group: np.ndarray,
        weight: np.ndarray,
        truth: np.ndarray,
        prediction: np.ndarray,
    ) -> ClassGroups:
        """Add up the units of a part that holds whole clusters.

        Parameters
        ----------
        clusters : numpy.ndarray of int, shape (clusters,)
            The group of each cluster.
        group : numpy.ndarray of int, shape (n,)
            The group of each unit.
        weight : numpy.ndarray, shape (n,)
            Of each unit.
        truth, prediction : numpy.ndarray of object, shape (n,)
            Classes; None for a prediction that reaches none.
        """
        number, found = pd.factorize(np.concatenate([truth, prediction]))
        names, rank = np.unique(np.asarray(found, dtype=str), return_inverse=True)
        place = np.append(rank, -1)[number]
        true, coded = place[: len(truth)], place[len(truth) :]
        width = max(len(names), 1)

        def added(code: np.ndarray, kept: np.ndarray) -> np.ndarray:
            cell = group[kept] * width + code[kept]
            sums = np.bincount(cell, weight[kept], minlength=GROUPS * width)
            return sums.reshape(GROUPS, width)[:, : len(names)]

        told = coded >= 0
        sums = [
            added(true, true == coded),
            added(coded, told),
            added(true, np.ones(len(true), dtype=bool)),
        ]
        return cls(names, np.bincount(clusters, minlength=GROUPS), np.stack(sums))

    def merge(self, other: ClassGroups) -> ClassGroups:
        """Return the sums of both sets of clusters."""
        classes = np.union1d(self.classes, other.classes)
        sums = np.zeros((3, GROUPS, len(classes)))
        for one in (self, other):
            sums[:, :, np.searchsorted(classes, one.classes)] += one.sums
        return ClassGroups(classes, self.clusters + other.clusters, sums)


def group_numbers(clusters: Clusters, position: np.ndarray) -> np.ndarray:
    """Return the random group of each cluster, made of its first place in the data.

    Names would not do: each project hashes them under a key of its own. The place is
    mixed (the finaliser of SplitMix64), or clusters of one size fell into few groups.
    """
    first = np.full(len(clusters.stratum), np.iinfo(np.int64).max)
    np.minimum.at(first, clusters.number, position.astype(np.int64))
    mixed = first.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed % np.uint64(GROUPS)).astype(np.int64))


def jackknifed_f1(
    one: ClassGroups, other: ClassGroups | None = None, *, n_clusters: int
) -> tuple[RatioEstimate, RatioEstimate | None]:
    """Return macro-F1 of a method, and how it differs from another's.

    ``(G - 1) / G sum_g (F_(g) - F)**2`` with G - 1 degrees of freedom, G the groups
    that hold clusters; `n_clusters` is told with it.

    The error is that of the sample, not the bias of macro-F1, which comes out too low
    where classes have few clusters: of 200 classes in 2,000 clusters of two units a
    95 % interval held the macro-F1 of the population in about 82 % of samples, of 30
    classes in 300 clusters of four in 95 %.
    """
    held = np.flatnonzero(one.clusters)
    left_out = 1.0 - np.eye(len(held))
    found = []
    for sums in (one, other):
        if sums is not None:
            classes = _as_sums(sums, held)
            found.append((float(macro_f1(classes)[0]), macro_f1(classes, left_out)))
    mine = _estimated(*found[0], n_clusters)
    if other is None:
        return mine, None
    gap = found[0][0] - found[1][0]
    return mine, _estimated(gap, found[0][1] - found[1][1], n_clusters)


def _estimated(value: float, replicates: np.ndarray, clusters: int) -> RatioEstimate:
    groups = len(replicates)
    if groups < 2:
        return RatioEstimate(value, np.nan, 0.0, clusters)
    variance = (groups - 1) / groups * float(((replicates - value) ** 2).sum())
    return RatioEstimate(value, float(np.sqrt(variance)), groups - 1.0, clusters)


def _as_sums(groups: ClassGroups, held: np.ndarray) -> ClassSums:
    hits, predicted, true = (sparse.csr_array(part[held]) for part in groups.sums)
    weight = groups.sums[2][held].sum(axis=1)
    return ClassSums(weight, weight, weight, hits, predicted, true, 0)
