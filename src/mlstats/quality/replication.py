"""How sure a measure is that was taken under several masks of the same file.

Two things are left to chance: which cells were masked, with the seeds of the methods,
and which clusters the file holds. A measure is worked out under each mask and averaged;
its standard error has a part for each of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.estimate import Estimate, absent, t_estimate

__all__ = [
    "GROUPS",
    "LEAST_CLUSTERS",
    "Replicates",
    "estimated",
    "numbered_by_place",
    "masks_error",
    "paired",
]

GROUPS: Final = 40
LEAST_CLUSTERS: Final = 10


@dataclass(frozen=True)
class Replicates:
    """The cells of one variable under all masks, with the groups of their clusters.

    Made by :meth:`of`.

    Parameters
    ----------
    weight : numpy.ndarray of float, shape (n,)
        Design weight of each cell.
    replicate, cluster, group : numpy.ndarray of int, shape (n,)
        Mask, cluster and group of each cell, each from 0.
    masks, groups : int
        How many there are; no groups where the clusters are too few for them.
    """

    weight: np.ndarray
    replicate: np.ndarray
    cluster: np.ndarray
    group: np.ndarray
    masks: int
    groups: int

    @classmethod
    def of(
        cls,
        weight: np.ndarray,
        replicate: np.ndarray | None = None,
        cluster: np.ndarray | None = None,
        stratum: np.ndarray | None = None,
        *,
        groups: int = GROUPS,
        seed: int = 0,
    ) -> Replicates:
        """Deal the clusters out into random groups for a delete-a-group jackknife.

        The clusters stand in the order of their strata, at random within them, and are
        dealt in turn, so that each group is a small copy of the file (Kott 2001,
        Journal of Official Statistics 17, 521-526). Where there are no more clusters
        than groups each is a group; below :data:`LEAST_CLUSTERS` there are none.

        Parameters
        ----------
        weight : numpy.ndarray, shape (n,)
            Design weights.
        replicate, cluster, stratum : numpy.ndarray, shape (n,), optional
            Labels; one mask, one stratum, and no groups where left out. Equal labels
            of clusters in two strata are two clusters.
        groups, seed : int
            How many groups at most, and the seed of their order.
        """
        n = len(weight)
        mask, masks = _numbered(
            np.zeros(n, dtype=int) if replicate is None else replicate
        )
        bare = np.zeros(n, dtype=np.int64)
        first, size = _numbered(bare if cluster is None else cluster)
        layer, _ = _numbered(bare if stratum is None else stratum)
        pairs, row = np.unique(layer * max(size, 1) + first, return_inverse=True)
        found = min(groups, len(pairs)) if len(pairs) >= LEAST_CLUSTERS else 0
        chance = np.random.default_rng(seed).random(len(pairs))
        place = np.empty(len(pairs), dtype=np.int64)
        place[np.lexsort((chance, pairs // max(size, 1)))] = np.arange(len(pairs))
        group = place[row] % max(found, 1)
        return cls(np.asarray(weight, dtype=float), mask, row, group, masks, found)

    @property
    def n_clusters(self) -> int:
        """Number of clusters that hold a cell."""
        return len(np.unique(self.cluster))

    def take(self, inside: np.ndarray) -> Replicates:
        """Return some of the cells; masks and groups stay, but for few clusters.

        Parameters
        ----------
        inside : numpy.ndarray of bool, shape (n,)
        """
        found = replace(
            self,
            weight=self.weight[inside],
            replicate=self.replicate[inside],
            cluster=self.cluster[inside],
            group=self.group[inside],
        )
        return found if found.n_clusters >= LEAST_CLUSTERS else replace(found, groups=0)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return weighted sums: all cells, then all but each group's.

        Parameters
        ----------
        values : numpy.ndarray, shape (n,)

        Returns
        -------
        numpy.ndarray, shape (masks, 1 + groups)
        """
        weighted = self.weight * values
        if not self.groups:
            return np.bincount(self.replicate, weighted, self.masks)[:, None]
        place = self.replicate * self.groups + self.group
        parts = np.bincount(place, weighted, self.masks * self.groups)
        parts = parts.reshape(self.masks, self.groups)
        whole = parts.sum(axis=1, keepdims=True)
        return np.hstack([whole, whole - parts])

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Return :meth:`sums` with the rest weighted up for the group left out."""
        found = self.sums(values)
        if self.groups:
            found[:, 1:] *= self.groups / (self.groups - 1)
        return found

    def kept(self, cells: np.ndarray) -> np.ndarray:
        """Return the weights of cells: as they are, then without each group.

        Parameters
        ----------
        cells : numpy.ndarray of int
            Places of cells.

        Returns
        -------
        numpy.ndarray, shape (1 + groups, cells)
        """
        weights = np.tile(self.weight[cells], (1 + self.groups, 1))
        if self.groups:
            weights[self.group[cells] + 1, np.arange(len(cells))] = 0.0
        return weights


def numbered_by_place(labels: pd.Series, table: pd.DataFrame) -> np.ndarray:
    """Return a number for each label that depends on the data alone.

    Parameters
    ----------
    labels : pandas.Series, shape (n,)
        Of units or clusters. Each project hashes them under a key of its own, so that
        an order of the labels would be another one in every project.
    table : pandas.DataFrame, shape (n, ...)
        The same rows. Where it has a column ``position``, a label counts by its first
        place in the data, else by its name.

    Returns
    -------
    numpy.ndarray of int, shape (n,)
    """
    if "position" not in table:
        return np.asarray(pd.factorize(labels, sort=True, use_na_sentinel=False)[0])
    number, names = pd.factorize(labels, use_na_sentinel=False)
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, number, table["position"].to_numpy(dtype=np.int64))
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(names))
    return rank[number]


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, int]:
    # By label, not by place: the groups must not depend on the order of the rows.
    row, names = pd.factorize(np.asarray(labels), sort=True, use_na_sentinel=False)
    return row.astype(np.int64), len(names)


def estimated(
    theta: np.ndarray,
    *,
    n: int = 0,
    note: str = "",
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Estimate a measure from its values under each mask and without each group.

    The value is the mean over the R masks. Its variance is that between the masks
    over R, with R - 1 degrees of freedom, plus the jackknife variance over the G
    groups of clusters, ``(G - 1) / G`` times the sum of squares of the means without a
    group, less the mean, with G - 1; those of the sum follow by Satterthwaite (1946,
    Biometrics Bulletin 2, 110-114). The parts overlap, since the choice of the cells
    shows in both. What shows in neither is that the file's own units are the donors,
    or fit the model, of all masks: the overlap makes up for it, as simulations of
    errors, biases and their differences show. With one mask only the clusters count,
    without groups only the masks; the note says so.

    Parameters
    ----------
    theta : numpy.ndarray, shape (masks, 1 + groups)
        A row for each mask: all cells, then all but each group's.
    n : int
        Cells of a mask.
    note : str
        To be told with it.
    limits : tuple of float
        The measure has no values beyond; the limits of the interval neither.
    """
    masks, groups = theta.shape[0], theta.shape[1] - 1
    value = float(theta[:, 0].mean()) if masks else np.nan
    if not np.isfinite(value):
        return absent("not_measured", note or "the measure is not defined", n)
    variance, df, covers = _variance(theta)
    told = "; ".join(part for part in (note, covers) if part)
    if not masks > 1 and not groups:
        return Estimate(value, n=n, note=told)
    found = t_estimate(value, float(np.sqrt(variance)), df, n=n, note=told)
    lower, upper = (float(np.clip(end, *limits)) for end in (found.lower, found.upper))
    how = f"t; {masks} masks, {groups} groups of clusters" if found.interval else ""
    return replace(found, lower=lower, upper=upper, interval=how)


def masks_error(theta: np.ndarray) -> float:
    """Return the standard error of a measure over the masks of this very file.

    The Monte Carlo error of its mean, NaN for a single mask.

    Parameters
    ----------
    theta : numpy.ndarray, shape (masks, 1 + groups)
        As for :func:`estimated`.
    """
    masks = theta.shape[0]
    if masks < 2:
        return float("nan")
    return float(theta[:, 0].std(ddof=1) / np.sqrt(masks))


def paired(gap: Estimate, own: Estimate, versus: str) -> dict[str, Any]:
    """Return a paired difference as cells of the scorecard.

    Parameters
    ----------
    gap, own : Estimate
        The method less the other one, and the method itself: a row has one ``df``,
        the smaller of the two.
    versus : str
        The other method.
    """
    if gap.status != "measured":
        return {"versus": versus}
    return {
        "df": float(np.fmin(gap.df, own.df)),
        "versus": versus,
        "difference": gap.value,
        "difference_se": gap.se,
        "difference_lower": gap.lower,
        "difference_upper": gap.upper,
    }


def _variance(theta: np.ndarray) -> tuple[float, float, str]:
    """Return variance, degrees of freedom and what an interval would not cover."""
    masks, groups = theta.shape[0], theta.shape[1] - 1
    between = masks_error(theta) ** 2
    if not groups:
        few = f"not {LEAST_CLUSTERS} clusters"
        if masks < 2:
            return np.nan, np.nan, f"one mask and {few}: no interval"
        return between, masks - 1, f"{few}: for other masks of this file only"
    clusters = _jackknife(theta.mean(axis=0))
    if masks < 2:
        return clusters, groups - 1, "one mask: for other clusters, not other fits"
    total = clusters + between
    if total == 0:
        return 0.0, groups - 1, ""
    parts = clusters**2 / (groups - 1) + between**2 / (masks - 1)
    return total, total**2 / parts, ""


def _jackknife(theta: np.ndarray) -> float:
    """Return the delete-a-group variance of a measure, its value being the first."""
    groups = len(theta) - 1
    return float((groups - 1) / groups * ((theta[1:] - theta[0]) ** 2).sum())
