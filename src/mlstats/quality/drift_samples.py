"""One period's side of a comparison: shares of cells and their design variance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import sparse

from mlstats.quality.drift_summaries import ColumnCounts, Summary

__all__ = ["Sample", "degrees_of_freedom", "design_traces", "needs_variance"]

_DENSE: Final = 3000  # cells up to which a covariance matrix is written out


@dataclass(frozen=True, eq=False)
class Sample:
    """The shares of some cells among the units in them.

    The variance is that of a ratio, clusters drawn with replacement, and the units
    outside the cells a domain left out by zeros (Särndal, Swensson and Wretman 1992,
    section 5.6).

    Parameters
    ----------
    share : numpy.ndarray, shape (cells,)
        Weighted shares.
    count : numpy.ndarray of int, shape (cells,)
        Units in each cell.
    n : int
        Units in the cells.
    n_eff : float
        Independent units of equal weight that would have the same variance, added
        over the cells; at most `n`.
    total : float
        Weight of the units.
    factor : float
        ``g / (g - 1)`` for g clusters.
    moments : scipy.sparse.csr_array, shape (cells, cells), optional
        As in ColumnCounts; None where the variance is that of `n_eff` draws.
    """

    share: np.ndarray
    count: np.ndarray
    n: int
    n_eff: float
    total: float
    factor: float = 1.0
    moments: sparse.csr_array | None = None

    @classmethod
    def of(cls, counts: ColumnCounts, summary: Summary, group: np.ndarray) -> Sample:
        """Make the side from counts in the layout of their moments.

        Parameters
        ----------
        counts : ColumnCounts
            Of a column; numbers in coarse cells.
        summary : Summary
            With the design.
        group : numpy.ndarray of int, shape (cells + 1,)
            New cell of each cell, the unusable one included; -1 leaves it out.
        """
        kept = group >= 0
        cells = int(group.max(initial=-1)) + 1
        weight = np.bincount(group[kept], counts.weight[kept], minlength=cells)
        count = np.bincount(group[kept], counts.count[kept], minlength=cells)
        count = count.astype(np.int64)
        n = int(count.sum())
        total = float(weight.sum())
        share = weight / total if total > 0 else weight
        moments = None
        if counts.moments is not None:
            moments = _grouped(counts.moments, group, cells)
        stated = _stated_n_eff(summary, n, total, moments)
        if stated is not None:
            return cls(share, count, n, stated, total)
        clusters = summary.clusters
        factor = clusters / (clusters - 1) if clusters > 1 else 1.0
        bare = cls(share, count, n, float(n), total, factor, moments)
        plain = float((share * (1 - share)).sum())
        design = float(bare.variances(share).sum())
        n_eff = min(plain / design, float(n)) if design > 0 else float(n)
        return cls(share, count, n, n_eff, total, factor, moments)

    def variances(self, centre: np.ndarray) -> np.ndarray:
        """Return the variance of each share, were `centre` the true shares."""
        if self.moments is None:
            return np.asarray(centre * (1 - centre) / self.n_eff)
        own = self.moments.diagonal()
        row = np.asarray(self.moments.sum(axis=1)).ravel()
        spread = own - 2 * centre * row + centre**2 * row.sum()
        return np.asarray(np.maximum(spread, 0.0) * self.factor / self.total**2)

    def covariance(self, centre: np.ndarray) -> np.ndarray:
        """Return the covariance of the shares, were `centre` the true shares."""
        if self.moments is None:
            matrix = np.diag(centre) - np.outer(centre, centre)
            return np.asarray(matrix / self.n_eff)
        project = np.eye(len(centre)) - np.outer(centre, np.ones(len(centre)))
        matrix = project @ self.moments.toarray() @ project.T
        return np.asarray(matrix * self.factor / self.total**2)

    def grouped(self, group: np.ndarray) -> Sample:
        """Return the side with cells put together; -1 leaves an empty one out."""
        kept, cells = group >= 0, int(group.max(initial=-1)) + 1
        share = np.bincount(group[kept], self.share[kept], minlength=cells)
        count = np.bincount(group[kept], self.count[kept], minlength=cells)
        count = count.astype(np.int64)
        moments = None if self.moments is None else _grouped(self.moments, group, cells)
        return replace(self, share=share, count=count, moments=moments)

    def ordinate_n_eff(self) -> float:
        """Return the effective units behind the distribution function over the cells.

        Variances are added over its points, so that the middle counts most, where
        the Kolmogorov-Smirnov distance of a shift lies.
        """
        if self.moments is None:
            return self.n_eff
        below = np.tri(len(self.share))[:-1]
        at = below @ self.share
        design = float(np.trace(below @ self.covariance(self.share) @ below.T))
        plain = float((at * (1 - at)).sum())
        return min(plain / design, float(self.n)) if design > 0 else float(self.n)

    def effective(self, centre: np.ndarray) -> np.ndarray:
        """Return the effective units behind each share, at most :attr:`n_eff`."""
        plain = centre * (1 - centre)
        design = self.variances(centre)
        own = np.divide(
            plain, design, out=np.full(len(plain), np.inf), where=design > 0
        )
        return np.asarray(np.minimum(own, self.n_eff))


def needs_variance(summary: Summary) -> bool:
    """Return whether the variance has to come from the clusters themselves."""
    stated = (summary.deff_total, summary.deff_cluster)
    return summary.clustered and stated == (None, None)


def degrees_of_freedom(first: Summary, second: Summary) -> float:
    """Return the clusters of both less two; infinity where no variance is estimated."""
    if needs_variance(first) or needs_variance(second):
        return float(first.clusters + second.clusters - 2)
    return np.inf


def design_traces(
    first: Sample, second: Sample, pooled: np.ndarray
) -> tuple[float, float]:
    """Return the traces of V/P and of its square, V of the difference of shares."""
    if first.moments is None and second.moments is None:
        spread = 1 / first.n_eff + 1 / second.n_eff
        free = len(pooled) - 1
        return free * spread, free * spread**2
    if len(pooled) > _DENSE:
        variance = first.variances(pooled) + second.variances(pooled)
        trace = float((variance / pooled).sum())
        return trace, trace**2 / (len(pooled) - 1)  # the first-order correction
    covariance = first.covariance(pooled) + second.covariance(pooled)
    trace = float((covariance.diagonal() / pooled).sum())
    return trace, float((covariance**2 / np.outer(pooled, pooled)).sum())


def _grouped(
    moments: sparse.csr_array, group: np.ndarray, cells: int
) -> sparse.csr_array:
    kept = np.flatnonzero(group >= 0)
    select = sparse.csr_array(
        (np.ones(len(kept)), (kept, group[kept])), shape=(len(group), cells)
    )
    return sparse.csr_array(select.T @ moments @ select)


def _stated_n_eff(
    summary: Summary, n: int, total: float, moments: sparse.csr_array | None
) -> float | None:
    """Return n_eff where it does not come from the moments of the design."""
    if summary.deff_total is not None:
        return n / summary.deff_total
    if summary.deff_cluster is not None:
        square = float(moments.diagonal().sum()) if moments is not None else float(n)
        kish = total**2 / square if square > 0 else 0.0
        return kish / summary.deff_cluster
    return float(n) if moments is None else None
