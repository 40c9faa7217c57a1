"""Variance of sums over clusters that were drawn within strata."""

from __future__ import annotations

import numpy as np
from scipy import sparse

__all__ = ["centred_totals", "gathering", "stratified_covariance"]


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
    factor = (1 - fraction) * np.where(single, 1.0, size / np.maximum(size - 1, 1))
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
