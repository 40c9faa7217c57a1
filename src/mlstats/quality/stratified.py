"""Clusters that were drawn within strata: how many, and the variance of their sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from mlstats.quality.estimate import Estimate, t_estimate

__all__ = [
    "SingleClusterRule",
    "Strata",
    "centred_totals",
    "cluster_factor",
    "drawn_shares",
    "gathering",
    "stratified_covariance",
]

SingleClusterRule = Literal["adjust", "refuse"]


@dataclass(frozen=True)
class Strata:
    """How many clusters were drawn in each stratum, and what that lets one say.

    Parameters
    ----------
    clusters : numpy.ndarray of int, shape (strata,)
        Drawn.
    fraction : numpy.ndarray of float, shape (strata,)
        Share of the stratum's clusters that was drawn, 0 for "with replacement".
    single : {"adjust", "refuse"}
        The rule for a stratum with a single cluster.
    """

    clusters: np.ndarray
    fraction: np.ndarray
    single: SingleClusterRule = "adjust"

    @property
    def lonely(self) -> int:
        """Number of strata with a single cluster drawn without certainty."""
        return int(((self.clusters == 1) & (self.fraction < 1)).sum())

    @property
    def refused(self) -> bool:
        """Whether no standard error is given at all."""
        return self.single == "refuse" and self.lonely > 0

    def told(
        self, value: float, se: float, df: float, *, n: int, confidence: float = 0.95
    ) -> Estimate:
        """Return an estimate with what is to be said of the design.

        Parameters
        ----------
        value, se : float
            Figure and standard error.
        df, n : int
            Degrees of freedom and units of its domain.
        """
        if (self.fraction == 1).all():
            return Estimate(
                value, 0.0, np.inf, value, value, n, note="every cluster was drawn",
                interval="census",
            )  # fmt: skip
        if df < 1:
            return t_estimate(value, np.nan, df, n=n)
        return t_estimate(value, se, df, n=n, note=self.remark(), confidence=confidence)

    def remark(self) -> str:
        """Return what was done about strata with a single cluster, if there are."""
        if not self.lonely:
            return ""
        strata = "1 stratum has" if self.lonely == 1 else f"{self.lonely} strata have"
        if self.single == "refuse":
            return f"{strata} a single cluster: no standard error (rule: refuse)"
        return f"{strata} a single cluster, centred at the mean of all (rule: adjust)"


def drawn_shares(
    fractions: Mapping[str, float] | None, strata: Iterable[object]
) -> np.ndarray:
    """Return of each stratum the share of its clusters that was drawn.

    Parameters
    ----------
    fractions : mapping of str to float or None
        By the name of the stratum; those that are not named have 0.
    strata : iterable
        Names.

    Returns
    -------
    numpy.ndarray of float, shape (strata,)
    """
    known = fractions or {}
    return np.array([float(known.get(str(name), 0.0)) for name in strata])


def cluster_factor(size: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Return ``(1 - f) n / (n - 1)`` of strata, of a single cluster ``1 - f``.

    Parameters
    ----------
    size, fraction : numpy.ndarray, shape (strata,)
        Clusters of each, and the share that was drawn.
    """
    grow = np.where(size == 1, 1.0, size / np.maximum(size - 1, 1))
    return np.asarray((1 - fraction) * grow)


def stratified_covariance(
    totals: np.ndarray, stratum: np.ndarray, fraction: np.ndarray
) -> np.ndarray:
    """Return the covariance of sums over clusters that were drawn within strata.

    ``sum_h (1 - f_h) n_h / (n_h - 1) sum_i (z_hi - mean_h) (z_hi - mean_h)'``
    (Särndal, Swensson and Wretman 1992, section 3.7, with cluster totals for units). A
    stratum with a single cluster is centred at the mean over all clusters.

    Parameters
    ----------
    totals : numpy.ndarray, shape (clusters, k)
        Sum of the weighted influences in each cluster.
    stratum : numpy.ndarray of int, shape (clusters,)
        Stratum of each cluster.
    fraction : numpy.ndarray, shape (strata,)
        Share of the clusters that was drawn.
    """
    apart, factor = centred_totals(totals, stratum, fraction)
    return np.asarray(apart.T @ (apart * factor[:, None]))


def centred_totals(
    totals: np.ndarray, stratum: np.ndarray, fraction: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return cluster totals less the mean of their stratum, and what each counts.

    Parameters
    ----------
    totals, stratum, fraction
        As in :func:`stratified_covariance`.

    Returns
    -------
    apart : numpy.ndarray, shape (clusters, k)
        Zero on average in each stratum.
    factor : numpy.ndarray, shape (clusters,)
        Weight of the squares of `apart` in the variance.
    """
    size = np.bincount(stratum, minlength=len(fraction))
    sums = gathering(stratum, len(size)) @ totals
    single = size == 1
    centre = np.where(single[:, None], totals.mean(axis=0), sums / size[:, None])
    factor = cluster_factor(size, fraction)
    return totals - centre[stratum], factor[stratum]


def gathering(group: np.ndarray, groups: int) -> sparse.csr_array:
    """Return the matrix that adds up the rows of each group.

    Parameters
    ----------
    group : numpy.ndarray of int, shape (n,)
        Group of each row.
    groups : int
        Number of groups.

    Returns
    -------
    scipy.sparse.csr_array, shape (groups, n)
    """
    n = len(group)
    return sparse.csr_array((np.ones(n), (group, np.arange(n))), shape=(groups, n))
