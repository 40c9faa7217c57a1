"""Discriminants of Gaussian classes, quadratic in the values of a pixel.

The discriminant of class k is ``c_k - |(x - m_k) F_k|^2 / 2`` with the mean m_k, a
factor F_k of the inverse covariance, ``F_k F_k' = S_k^-1``, and the constant
``c_k = log p_k - log|S_k| / 2`` (Hastie, Tibshirani and Friedman 2009, The Elements of
Statistical Learning, equation 4.12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Quadratic", "quadratic"]


@dataclass(frozen=True)
class Quadratic:
    """Gaussian classes: `means` (k, f), `factors` (k, f, f), `constants` (k,)."""

    means: np.ndarray
    factors: np.ndarray
    constants: np.ndarray


def quadratic(estimator: Any) -> Quadratic | None:
    """Return the discriminants of an estimator, or None where it has no such.

    Parameters
    ----------
    estimator : object
        A fitted :class:`MaximumLikelihood` or scikit-learn's quadratic discriminant
        analysis. One of the latter that was fitted on float32 is left to scikit-learn,
        whose own rounding would decide too many labels.
    """
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

    from mlstats.imagery.maximum_likelihood import MaximumLikelihood

    if isinstance(estimator, QuadraticDiscriminantAnalysis):
        found = _of_analysis(estimator)
    elif isinstance(estimator, MaximumLikelihood):
        factors = estimator.factors_.swapaxes(1, 2)
        found = Quadratic(estimator.means_, factors, estimator.offsets_)
    else:
        return None
    parts = (found.means, found.factors, found.constants)
    return found if all(part.dtype == np.float64 for part in parts) else None


def _of_analysis(estimator: Any) -> Quadratic:
    pairs = list(zip(estimator.rotations_, estimator.scalings_, strict=True))
    determinants = np.array([np.log(scaling).sum() for _, scaling in pairs])
    return Quadratic(
        means=estimator.means_,
        factors=np.array([rotation * scaling**-0.5 for rotation, scaling in pairs]),
        constants=np.log(estimator.priors_) - determinants / 2,
    )
