"""The calibration error from sums that add up over parts of whole clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

__all__ = ["CalibrationSums"]

# A share of the squared gaps that is smaller is the rounding of none; its root counts.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, eq=False)
class CalibrationSums:
    """What the calibration error needs of units, by bin of their confidence.

    Parameters
    ----------
    residual : numpy.ndarray, shape (bins,)
        Weighted sum of right (1 or 0) less confidence.
    products : numpy.ndarray, shape (bins, bins)
        Sum over the clusters of the products of their residuals in two bins.
    chance : numpy.ndarray, shape (bins,)
        Sum of ``w**2 c (1 - c)``, the variance of the residual where the labels of
        units are drawn from their confidences one by one.
    weight : float
        Of all units.
    n, clusters : int
        Units and clusters.
    """

    residual: np.ndarray
    products: np.ndarray
    chance: np.ndarray
    weight: float
    n: int
    clusters: int

    @classmethod
    def of(
        cls,
        bin_of: np.ndarray,
        bins: int,
        cluster: np.ndarray,
        weight: np.ndarray,
        confidence: np.ndarray,
        correct: np.ndarray,
    ) -> CalibrationSums:
        """Add up units that hold whole clusters.

        Parameters
        ----------
        bin_of, cluster : numpy.ndarray of int, shape (n,)
            Number of each unit's bin and cluster, from 0.
        bins : int
            How many bins there are.
        weight, confidence, correct : numpy.ndarray, shape (n,)
            Design weight, confidence from 0 to 1, and whether the code is right.
        """
        residual = weight * (correct - confidence)
        cells, within = np.unique(cluster * bins + bin_of, return_inverse=True)
        own, place = np.divmod(cells, bins)
        sums = np.bincount(within, residual, minlength=len(cells))
        # Cells lie by cluster: those of one cluster follow each other.
        products, apart = np.zeros((bins, bins)), 0
        while True:
            pair = np.flatnonzero(own[apart:] == own[: len(own) - apart])
            if len(pair) == 0:
                break
            both = place[pair] * bins + place[pair + apart]
            found = sums[pair] * sums[pair + apart]
            added = np.bincount(both, found, minlength=bins**2).reshape(bins, bins)
            products += added if apart == 0 else added + added.T
            apart += 1
        spread = weight**2 * confidence * (1 - confidence)
        return cls(
            np.bincount(bin_of, residual, minlength=bins),
            products,
            np.bincount(bin_of, spread, minlength=bins),
            float(weight.sum()),
            len(weight),
            len(np.unique(own)),
        )

    def merge(self, other: CalibrationSums) -> CalibrationSums:
        """Return the sums of both sets of clusters."""
        return CalibrationSums(
            self.residual + other.residual,
            self.products + other.products,
            self.chance + other.chance,
            self.weight + other.weight,
            self.n + other.n,
            self.clusters + other.clusters,
        )

    @property
    def gaps(self) -> np.ndarray:
        """Absolute gap of confidence and accuracy of each bin, by its share."""
        return np.asarray(np.abs(self.residual) / self.weight)

    @property
    def clustered(self) -> bool:
        """Whether a cluster holds several units."""
        return self.clusters < self.n

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the gaps of a method that is calibrated, shape (bins, bins)."""
        found = self.products if self.clustered else np.diag(self.chance)
        return np.asarray(found / self.weight**2)

    @property
    def debiased(self) -> float:
        """The error less what the noise of the bins adds to it."""
        spread = np.sqrt(np.diag(self.covariance))
        return float(self.gaps.sum()) - _added_by_noise(self.gaps, spread)

    def null(self, simulations: int, seed: int) -> np.ndarray:
        """Return errors that a calibrated method of many clusters may show.

        Drawn from the normal distribution with the covariance of the gaps, which is
        what :func:`mlstats.quality.calibration.expected_calibration_error` tends to
        with more clusters.
        """
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        drawn = np.random.default_rng(seed).normal(size=(simulations, len(values)))
        return np.asarray(np.abs(drawn @ root.T).sum(axis=1))


def _added_by_noise(gaps: np.ndarray, spread: np.ndarray) -> float:
    """Return how much larger noisy absolute gaps are on average than true ones."""
    seen = float((gaps**2).sum())
    signal = 1 - float((spread**2).sum()) / seen if seen > 0 else 0.0
    signal = signal if signal > _ROUNDING else 0.0
    noisy = spread > 0
    gap, s = np.sqrt(signal) * gaps[noisy], spread[noisy]
    z = gap / s
    density = np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2)
    folded = s * density + gap * special.erf(z / np.sqrt(2))
    return float((folded - gap).sum())
