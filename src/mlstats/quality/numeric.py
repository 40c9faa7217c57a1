"""Accuracy of numbers: mean errors, bias, and the distance of distributions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, Status, t_estimate

__all__ = [
    "DistributionDistance",
    "distribution_distance",
    "mean_absolute_error",
    "relative_bias",
    "root_mean_square_error",
]


def mean_absolute_error(
    design: Design,
    truth: np.ndarray,
    prediction: np.ndarray,
    inside: np.ndarray | None = None,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the mean of ``|prediction - truth|``, in the unit of the variable.

    Parameters
    ----------
    design : Design
        Of the sample.
    truth, prediction : numpy.ndarray of float, shape (n,)
        Values; a missing one inside the domain makes the figure "not measured".
    inside : numpy.ndarray of bool, shape (n,), optional
        Units of the domain, for instance those that were imputed.
    """
    error = np.abs(prediction - truth)
    return design.mean(error, inside, confidence=confidence)


def root_mean_square_error(
    design: Design,
    truth: np.ndarray,
    prediction: np.ndarray,
    inside: np.ndarray | None = None,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the root of the mean squared error, in the unit of the variable.

    The standard error follows from that of the mean square by the delta method,
    ``se(MSE) / (2 RMSE)``; the limits are the roots of those of the mean square, so
    that they are never negative.

    Parameters
    ----------
    design, truth, prediction, inside
        As in :func:`mean_absolute_error`.
    """
    square = design.mean((prediction - truth) ** 2, inside, confidence=confidence)
    if square.status != "measured":
        return square
    value = float(np.sqrt(square.value))
    if not square.has_error or value == 0:
        return Estimate(value, df=square.df, n=square.n, note=square.note)
    return Estimate(
        value,
        square.se / (2 * value),
        square.df,
        float(np.sqrt(max(square.lower, 0.0))),
        float(np.sqrt(square.upper)),
        square.n,
        square.n_effective,
        note=square.note,
        interval="root of the t interval of the mean square",
    )


def relative_bias(
    design: Design,
    truth: np.ndarray,
    prediction: np.ndarray,
    inside: np.ndarray | None = None,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate by which share of the true total the predicted total is off.

    ``sum w (prediction - truth) / sum w truth``, a ratio of totals.

    Parameters
    ----------
    design, truth, prediction, inside
        As in :func:`mean_absolute_error`.
    """
    held = np.ones(len(truth), dtype=bool) if inside is None else inside
    gap = np.where(held, prediction - truth, 0.0)
    found = design.ratio(gap, np.where(held, truth, 0.0), confidence=confidence)
    if found.status != "measured":
        return found
    # A true zero is a unit of the domain too, though it adds nothing to the total.
    n = int((held & (design.weight > 0)).sum())
    df = design.degrees_of_freedom(held)
    return t_estimate(
        found.value, found.se, df, n=n, n_effective=found.n_effective,
        note=found.note, confidence=confidence,
    )  # fmt: skip


@dataclass(frozen=True)
class DistributionDistance:
    """How far two weighted distributions lie apart.

    Parameters
    ----------
    kolmogorov_smirnov : float
        Largest gap of the distribution functions, 0 to 1.
    wasserstein : float
        Area between them, in the unit of the variable.
    wasserstein_scaled : float
        The area over the standard deviation of the truth; NaN where that is zero.
    n : int
        Units.
    status, note : str
        As in :class:`~mlstats.quality.estimate.Estimate`.
    """

    kolmogorov_smirnov: float
    wasserstein: float
    wasserstein_scaled: float
    n: int
    status: Status = "measured"
    note: str = ""


def distribution_distance(
    design: Design,
    truth: np.ndarray,
    prediction: np.ndarray,
    inside: np.ndarray | None = None,
) -> DistributionDistance:
    """Measure the distance of the predicted from the true distribution.

    Both distribution functions are weighted and exact, without bins. The two sets of
    values belong to the same units, so the p-value of a two-sample test would be
    wrong and is not given; :func:`mlstats.quality.imputation_variance.bootstrap` over
    this function tells how sure the distance is.

    Parameters
    ----------
    design, truth, prediction, inside
        As in :func:`mean_absolute_error`.
    """
    held = design.weight > 0
    held = held if inside is None else held & inside
    n = int(held.sum())
    w, x, y = design.weight[held], truth[held], prediction[held]
    bad = int((~np.isfinite(x)).sum() + (~np.isfinite(y)).sum())
    if design.fault or bad or n == 0:
        lacking = f"{bad} values are missing or not finite" if bad else "no unit"
        nan = float("nan")
        return DistributionDistance(
            nan, nan, nan, n, "not_measured", design.fault or lacking
        )
    points = np.sort(np.concatenate([x, y]))
    gap = np.abs(_distribution(x, w, points) - _distribution(y, w, points))
    area = float(gap[:-1] @ np.diff(points))
    share = w / w.sum()
    spread = float(np.sqrt(share @ (x - share @ x) ** 2))
    scaled = area / spread if spread > 0 else float("nan")
    note = "" if spread > 0 else "the truth is constant: no scaled distance"
    return DistributionDistance(float(gap.max()), area, scaled, n, note=note)


def _distribution(x: np.ndarray, w: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the weighted distribution function of `x` at the points."""
    order = np.argsort(x, kind="stable")
    steps = np.concatenate([[0.0], np.cumsum(w[order])])
    reached = steps[np.searchsorted(x[order], points, side="right")]
    return np.asarray(reached / steps[-1])
