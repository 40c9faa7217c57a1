"""What bias does to a published figure: bias ratio, coverage, mean squared error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from mlstats.quality.estimate import Estimate, Status, absent, t_estimate

__all__ = [
    "MeanSquaredError",
    "bias_ratio",
    "coverage_under_bias",
    "largest_bias_ratio",
    "mean_squared_error",
    "mean_squared_error_difference",
    "squared_bias_difference",
]

# Points on the edge of the region; the error of an extreme is below 1e-7 of its size.
_DIRECTIONS = 20_001


def coverage_under_bias(ratio: float, confidence: float = 0.95) -> float:
    """Return the true coverage of an interval that knows nothing of a bias.

    ``Phi(z - r) - Phi(-z - r)`` (Cochran 1977, Sampling Techniques, section 1.8 and
    table 1.1).

    Parameters
    ----------
    ratio : float
        Bias over standard error.
    confidence : float
        Coverage that is claimed.

    Examples
    --------
    >>> round(coverage_under_bias(1.0), 3)
    0.83
    """
    z = float(stats.norm.ppf((1 + confidence) / 2))
    return float(stats.norm.cdf(z - ratio) - stats.norm.cdf(-z - ratio))


def bias_ratio(bias: Estimate, sampling_se: float) -> Estimate:
    """Estimate the size of a bias in units of the sampling standard error.

    ``|B| / SE``; the interval is that of the bias, folded at zero where it holds zero.
    The estimate itself is never zero, because an estimated bias is not: read the
    interval. The standard error of the figure counts as known.

    Parameters
    ----------
    bias : Estimate
        Difference of the method's figure to the true one.
    sampling_se : float
        Standard error of the published figure.
    """
    if bias.status != "measured":
        return absent(bias.status, bias.note, bias.n)
    if not np.isfinite(sampling_se) or not sampling_se > 0:
        return absent("not_measured", "the figure has no sampling error", bias.n)
    low, high = bias.lower / sampling_se, bias.upper / sampling_se
    spans = low <= 0 <= high
    return Estimate(
        abs(bias.value) / sampling_se,
        bias.se / sampling_se,
        bias.df,
        0.0 if spans else min(abs(low), abs(high)),
        max(abs(low), abs(high)),
        bias.n,
        note=bias.note,
        interval=f"{bias.interval}, folded at zero" if bias.interval else "",
    )


def largest_bias_ratio(
    classes: Sequence[str],
    bias: np.ndarray,
    se: np.ndarray,
    sampling: np.ndarray,
    df: float,
    *,
    n: int,
) -> Estimate:
    """Return the bias ratio of the class that has the largest one.

    Parameters
    ----------
    classes : sequence of str
        Names, for the note.
    bias, se, sampling : numpy.ndarray, shape (classes,)
        Of each class the bias, its standard error, and that of the true figure.
    df : float
        Degrees of freedom of the standard errors.
    n : int
        Units.

    Returns
    -------
    Estimate
        Its interval holds for all classes together (Bonferroni) and ends at zero. The
        standard error of the true figure is estimated too, with a relative error of
        ``1 / sqrt(2 df)`` (delta method; of normal totals ``Var(s**2)`` is ``2
        sigma**4 / df``): of a large ratio that is most of the error.
    """
    usable = np.flatnonzero((sampling > 0) & np.isfinite(se) & (se > 0))
    if len(usable) == 0 or df < 1:
        return absent("not_measured", "no class has a sampling error and a bias", n)
    ratios = np.abs(bias[usable]) / sampling[usable]
    at = int(usable[int(ratios.argmax())])
    value, joint = float(ratios.max()), 1 - 0.05 / len(usable)
    error = float(np.hypot(se[at] / sampling[at], value / np.sqrt(2 * df)))
    found = t_estimate(value, error, df, n=n, confidence=joint)
    note = f"class {classes[at]}, the largest of {len(usable)}; joint interval"
    lower, how = max(found.lower, 0.0), f"{found.interval}, cut at zero"
    return replace(found, lower=lower, interval=how, note=note)


@dataclass(frozen=True)
class MeanSquaredError:
    """A mean squared error and its parts, which add up to it.

    Parameters
    ----------
    total : float
        The sum of the parts; NaN where one of them is not known.
    bias_squared : float
        Estimate of the squared bias; 0 for a figure that was corrected for it.
    correction : float
        Variance that the correction for bias brings in; 0 for one that was not.
    sampling, model : float
        Sampling variance, and variance from the model or the imputation.
    status, note : str
        As in :class:`~mlstats.quality.estimate.Estimate`; the note says where the
        estimate of the squared bias is negative.
    """

    total: float
    bias_squared: float
    correction: float
    sampling: float
    model: float
    status: Status = "measured"
    note: str = ""


def mean_squared_error(
    bias: Estimate,
    sampling_variance: float,
    model_variance: float = 0.0,
    *,
    form: Literal["uncorrected", "corrected"],
) -> MeanSquaredError:
    """Estimate the mean squared error of a figure that a method produced.

    The square of an estimated bias is too large by the variance of the estimate. For
    the figure as it stands: ``B**2 - v(B)`` plus the variances. For the figure less
    the estimated bias: the variances plus ``v(B)``, and no squared bias. Never both.
    A negative ``B**2 - v(B)`` is kept and said: it is unbiased, and a bias that the
    audit cannot tell from zero.

    Parameters
    ----------
    bias : Estimate
        Difference to the truth, with its standard error.
    sampling_variance, model_variance : float
        Variances of the figure.
    form : {"uncorrected", "corrected"}
        Whether the estimated bias was taken off the figure.
    """
    variances = np.array([sampling_variance, model_variance])
    if not bias.has_error or not np.isfinite(variances).all():
        reason = bias.note or "the bias or a variance is not known"
        nan = np.nan
        return MeanSquaredError(nan, nan, nan, nan, nan, "not_measured", reason)
    of_bias = bias.se**2
    squared = bias.value**2 - of_bias if form == "uncorrected" else 0.0
    added = of_bias if form == "corrected" else 0.0
    note = ""
    if squared < 0:
        note = "the squared bias is estimated below zero: the audit cannot tell it"
    total = squared + added + float(variances.sum())
    return MeanSquaredError(
        total, squared, added, float(sampling_variance), float(model_variance),
        note=note,
    )  # fmt: skip


def mean_squared_error_difference(
    bias: tuple[float, float],
    covariance: np.ndarray,
    variance: tuple[float, float],
    df: float,
    *,
    n: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the difference of two uncorrected mean squared errors.

    The value is ``B1**2 - v1 - (B2**2 - v2)`` plus the difference of the variances of
    the figures, which count as known. A square is anything but normal near zero, so
    the interval is that of the profile likelihood: all that ``b1**2 - b2**2`` takes on
    the confidence region ``(b - B)' inv(V) (b - B) <= t**2`` of the two biases (Venzon
    and Moolgavkar 1988, Applied Statistics 37). The value, free of the squares' own
    bias, may lie outside of it; there is no standard error to make bounds from, and a
    gate takes the interval of ``2 confidence - 1``.

    Parameters
    ----------
    bias : (float, float)
        Estimated biases of the first and of the second method.
    covariance : numpy.ndarray, shape (2, 2)
        Of the two, from the same audit.
    variance : (float, float)
        Sampling plus model variance of each figure.
    df : float
        Degrees of freedom of the covariance.
    n : int
        Units of the audit.

    Returns
    -------
    Estimate
        First minus second; below zero: the first is better.
    """
    b, v = np.asarray(bias, dtype=float), np.asarray(covariance, dtype=float)
    known = all(np.isfinite(part).all() for part in (b, v, np.asarray(variance)))
    if not known or not df >= 1:
        return absent("not_measured", "a bias or its covariance is not known", n)
    values, axes = np.linalg.eigh(v)
    radius = float(stats.t.ppf((1 + confidence) / 2, df))
    turn = np.linspace(0, 2 * np.pi, _DIRECTIONS)
    circle = np.array([np.cos(turn), np.sin(turn)])
    edge = b[:, None] + radius * (axes * np.sqrt(np.maximum(values, 0.0))) @ circle
    # An indefinite form has its extremes over an ellipse on the edge.
    form = edge[0] ** 2 - edge[1] ** 2
    apart = variance[0] - variance[1]
    return Estimate(
        float(b[0] ** 2 - v[0, 0] - b[1] ** 2 + v[1, 1]) + apart,
        df=df,
        lower=float(form.min()) + apart,
        upper=float(form.max()) + apart,
        n=n,
        note="the variances of the figures count as known",
        interval="profile likelihood",
    )


def squared_bias_difference(
    bias: np.ndarray,
    covariance: np.ndarray,
    df: float,
    *,
    shift: float = 0.0,
    n: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate by how much the squared biases of many figures differ in sum.

    ``b1'b1 - tr V11 - (b2'b2 - tr V22)`` is unbiased for the sum over the figures of
    the first arm's squared bias less the second's. With ``A = diag(I, -I)`` a normal
    ``b`` has ``Var(b'Ab) = 2 tr(AVAV) + 4 B'AVAB`` (Searle 1971, Linear Models,
    section 2.5, theorem 1 and corollary 1.2). The estimated biases stand for the true
    ones in the second term, which is then too large by ``4 tr(AVAV)`` on average: the
    standard error errs on the wide side, most where there is no bias at all.

    Parameters
    ----------
    bias : numpy.ndarray, shape (2, k)
        Estimated biases of k figures under both arms.
    covariance : numpy.ndarray, shape (2 k, 2 k)
        Of both rows after each other, from the same audit.
    df : float
        Degrees of freedom of the covariance.
    shift : float
        What the arms differ by besides, such as their variances; taken as known.
    """
    v = np.asarray(covariance, dtype=float)
    if not np.isfinite(v).all() or not df >= 1:
        return absent("not_measured", "a bias or its covariance is not known", n)
    k = bias.shape[1]
    sign = np.repeat([1.0, -1.0], k)
    flat = bias.ravel()
    value = float(sign @ (flat**2 - np.diag(v))) + shift
    turned = sign[:, None] * v  # AV
    both = sign * flat
    variance = 2 * float(np.trace(turned @ turned)) + 4 * float(both @ v @ both)
    return t_estimate(
        value, float(np.sqrt(max(variance, 0.0))), df, n=n, confidence=confidence
    )
