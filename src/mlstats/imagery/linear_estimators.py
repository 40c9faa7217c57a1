"""Direct, ratio, regression and difference estimators of a mean, resamples at once.

Each function takes how often every sampled segment counts, a row per resample, and
returns the estimated mean per segment with its variance: once with ones for the
estimate itself, then with the counts of a bootstrap. The estimators are linear in `y`,
``sum_i c_i y_i``, with ``c_i`` that depend on `x`; with residuals ``e_i`` and leverages
``h_i`` the variance is ``sum_h (1 - f_h) sum_i (c_i e_i / (1 - h_i))**2``: that of the
g-weighted residuals (Särndal, Swensson and Wretman 1989, Biometrika 76, 527-537) with
the correction of MacKinnon and White (1985, Journal of Econometrics 29, 305-325), which
is the jackknife's to first order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mlstats.imagery.area_sample import AreaSample

__all__ = [
    "LINEAR",
    "Linear",
    "combined",
    "difference",
    "direct",
    "powered",
    "ratio",
    "separate",
]

# A sum of squares that is smaller, as a share of what it is computed from, is zero.
_ROUNDING = 1e-12
# The leverage of a segment that alone determines the slope is one.
_LEAST_SLACK = 1e-8


@dataclass(frozen=True)
class Linear:
    """An estimator for every resample.

    Parameters
    ----------
    value : numpy.ndarray, shape (B,)
        Estimated mean per segment, NaN where `x` does not determine it.
    variance : numpy.ndarray, shape (B,)
        From leverage-corrected, g-weighted residuals.
    model_variance : numpy.ndarray, shape (B,)
        Cochran 1977 (Sampling Techniques, 3rd edition), section 7.5: the residual
        variance with its degrees of freedom, times ``1/n + (X - x)' S**-1 (X - x)``.
    parts : numpy.ndarray, shape (B, k)
        `variance` by what was fitted apart: strata for the separate estimator.
    slope : numpy.ndarray, shape (B, p)
        Of the segments' `y` in `x`; p is 0 where there is none, or one per stratum.
    """

    value: np.ndarray
    variance: np.ndarray
    model_variance: np.ndarray
    parts: np.ndarray
    slope: np.ndarray


def direct(sample: AreaSample, counts: np.ndarray) -> Linear:
    """Return the stratified mean of `y` (Cochran 1977, sections 5.3 and 5.6)."""
    bare = np.empty((sample.n, 0))
    none = np.empty((len(sample.names), 0))
    return _regressed(sample, counts, np.ones(len(sample.names), bool), bare, none)


def combined(sample: AreaSample, counts: np.ndarray) -> Linear:
    """Return the regression estimator with one slope for all strata.

    ``b = sum_h a_h s_xy,h / sum_h a_h s_xx,h`` with ``a_h = W_h**2 (1 - f_h) / n_h``
    (Cochran 1977, section 7.10, equation 7.49's estimate).
    """
    everywhere = np.ones(len(sample.names), bool)
    return _regressed(sample, counts, everywhere, sample.x, sample.x_mean)


def separate(sample: AreaSample, counts: np.ndarray) -> Linear:
    """Return the regression estimator with a slope for each stratum.

    Cochran 1977, section 7.10: ``sum_h W_h (y_h + b_h (X_h - x_h))``.
    """
    parts = []
    for h in range(len(sample.names)):
        inside = np.zeros(len(sample.names), bool)
        inside[h] = True
        parts.append(_regressed(sample, counts, inside, sample.x, sample.x_mean))
    variances = np.column_stack([part.variance for part in parts])
    return Linear(
        sum((part.value for part in parts), np.zeros(len(counts))),
        variances.sum(axis=1),
        sum((part.model_variance for part in parts), np.zeros(len(counts))),
        variances,
        np.empty((len(counts), 0)),
    )


def difference(sample: AreaSample, counts: np.ndarray) -> Linear:
    """Return the difference estimator, `x` being predictions of `y` in its unit.

    ``X + mean(y - x)``, with slope 1 (Särndal, Swensson and Wretman 1992, Model
    Assisted Survey Sampling, section 6.3).
    """
    gap = replace(sample, y=sample.y - sample.x[:, 0])
    found = direct(gap, counts)
    whole = float(sample.share @ sample.x_mean[:, 0])
    slope = np.ones((len(counts), 1))
    return replace(found, value=found.value + whole, slope=slope)


def powered(sample: AreaSample, counts: np.ndarray) -> Linear:
    """Return the difference estimator with a slope between 0 and 1.

    ``lambda X + mean(y - lambda x)`` with ``lambda = cov(y, x) / var(x)``, the power
    tuning of prediction-powered inference where the map covers the whole population
    (Angelopoulos, Duchi and Zrnic 2023, PPI++, arXiv 2311.01453, section 6): the
    combined regression estimator, whose slope is not let go beyond 0 and 1.
    """
    one = replace(sample, x=sample.x[:, :1], x_mean=sample.x_mean[:, :1])
    free = combined(one, counts)
    none, full = direct(sample, counts), difference(sample, counts)
    low, high = free.slope[:, 0] <= 0, free.slope[:, 0] >= 1

    def chosen(name: str) -> np.ndarray:
        ends = np.where(high, getattr(full, name).T, getattr(free, name).T)
        return np.asarray(np.where(low, getattr(none, name).T, ends).T)

    return Linear(
        chosen("value"),
        chosen("variance"),
        chosen("model_variance"),
        chosen("parts"),
        np.clip(free.slope, 0, 1),
    )


def ratio(sample: AreaSample, counts: np.ndarray) -> Linear:
    """Return the (combined) ratio estimator on the first column of `x`.

    ``R = y_st / x_st``, the mean ``R X``, its variance that of ``(X / x_st)(y - R x)``
    (Cochran 1977, sections 6.3, 6.4 and 6.11, with the factor ``X / x_st`` of the
    g-weights).
    """
    x, mean = sample.x[:, 0], float(sample.share @ sample.x_mean[:, 0])
    each = (sample.share / np.maximum(sample.drawn, 1))[sample.stratum]
    top, bottom = counts @ (each * sample.y), counts @ (each * x)
    fits = np.abs(bottom) > _ROUNDING * (counts @ np.abs(each * x))
    slope = np.divide(top, bottom, out=np.full(len(counts), np.nan), where=fits)
    scale = np.divide(mean, bottom, out=np.full(len(counts), np.nan), where=fits)
    residual = _rounded(sample.y - slope[:, None] * x, np.abs(sample.y))
    variance = np.zeros(len(counts))
    for h, drawn in enumerate(sample.drawn):
        inside = sample.stratum == h
        e, c = residual[:, inside], counts[:, inside]
        apart = e - ((c * e).sum(axis=1) / max(drawn, 1))[:, None]
        factor = (1 - sample.fraction[h]) * drawn / max(drawn - 1, 1)
        variance += factor * (c * (each[inside] * apart) ** 2).sum(axis=1)
    variance *= scale**2
    return Linear(slope * mean, variance, variance, variance[:, None], slope[:, None])


LINEAR: dict[str, Callable[[AreaSample, np.ndarray], Linear]] = {
    "separate_regression": separate,
    "combined_regression": combined,
    "ratio": ratio,
    "difference": difference,
    "prediction_powered": powered,
    "direct": direct,
}


@dataclass
class _Sums:
    """Within-stratum moments of some strata, for every resample."""

    y: np.ndarray  # (B, n) less the mean of the stratum
    x: np.ndarray  # (B, n, p) less the mean of the stratum
    level: np.ndarray  # (B,) stratified mean of y
    gap: np.ndarray  # (B, p) stratified mean of x in the frame less in the sample
    slope_weight: np.ndarray  # (n,) a_h / (n_h - 1)
    each: np.ndarray  # (n,) W_h / n_h
    size: np.ndarray  # (n,) n_h
    kept: np.ndarray  # (n,) 1 - f_h


def _moments(
    sample: AreaSample, counts: np.ndarray, rows: np.ndarray, x: np.ndarray,
    x_mean: np.ndarray,
) -> _Sums:  # fmt: skip
    stratum, drawn = sample.stratum[rows], sample.drawn
    share, kept = sample.share, 1 - sample.fraction
    # A stratum that was drawn whole has no error to lessen; it still may not make
    # the slope undefined.
    pull = share**2 * np.maximum(kept, _ROUNDING) / np.maximum(drawn, 1)
    y, b = sample.y[rows], len(counts)
    y_apart = np.zeros((b, len(y)))
    x_apart = np.zeros((b, len(y), x.shape[1]))
    level, gap = np.zeros(b), np.zeros((b, x.shape[1]))
    for h in np.unique(stratum):
        inside = stratum == h
        c = counts[:, inside] / drawn[h]
        y_mean, x_bar = c @ y[inside], c @ x[inside]
        y_apart[:, inside] = _rounded(y[inside] - y_mean[:, None], np.abs(y[inside]))
        x_apart[:, inside] = _rounded(x[inside] - x_bar[:, None], np.abs(x[inside]))
        level += share[h] * y_mean
        gap += share[h] * (x_mean[h] - x_bar)
    return _Sums(
        y_apart, x_apart, level, gap,
        (pull / np.maximum(drawn - 1, 1))[stratum],
        (share / np.maximum(drawn, 1))[stratum], drawn[stratum], kept[stratum],
    )  # fmt: skip


def _regressed(
    sample: AreaSample, counts: np.ndarray, inside: np.ndarray, x: np.ndarray,
    x_mean: np.ndarray,
) -> Linear:  # fmt: skip
    """Return what some strata add to the mean, with one slope for all of them."""
    rows = inside[sample.stratum]
    counts, p = counts[:, rows], x.shape[1]
    sums = _moments(sample, counts, rows, x[rows], x_mean)
    pulled = (counts * sums.slope_weight)[:, :, None] * sums.x
    inverse = _inverse(pulled.swapaxes(1, 2) @ sums.x)
    slope = inverse @ (pulled.swapaxes(1, 2) @ sums.y[:, :, None])
    lever = (sums.x @ inverse) * sums.slope_weight[:, None]
    e = _rounded(sums.y - (sums.x @ slope)[:, :, 0], np.abs(sample.y[rows]))
    c = sums.each + (lever @ sums.gap[:, :, None])[:, :, 0]
    h = 1 / sums.size + (lever * sums.x).sum(axis=2)
    kept = counts * sums.kept
    corrected = (c * e / np.maximum(1 - h, _LEAST_SLACK)) ** 2 * (1 - 1 / sums.size)
    variance = (kept * corrected).sum(axis=1)
    freedom = int(rows.sum()) - len(np.unique(sample.stratum[rows])) - p
    squares = (counts * e**2).sum(axis=1) / max(freedom, 1)
    model = squares * (kept * c**2).sum(axis=1)
    value = sums.level + (sums.gap * slope[:, :, 0]).sum(axis=1)
    return Linear(value, variance, model, variance[:, None], slope[:, :, 0])


def _inverse(cross: np.ndarray) -> np.ndarray:
    """Return inverses of symmetric matrices, NaN where one is singular."""
    size = np.sqrt(np.diagonal(cross, axis1=1, axis2=2))
    unit = np.where(size > 0, size, 1.0)
    scaled = cross / unit[:, :, None] / unit[:, None, :]
    lost = (size == 0).any(axis=1) | (np.linalg.det(scaled) <= _ROUNDING)
    scaled[lost] = np.eye(cross.shape[1])
    found = np.linalg.inv(scaled) / unit[:, :, None] / unit[:, None, :]
    found[lost] = np.nan
    return found


def _rounded(apart: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.where(np.abs(apart) > _ROUNDING * of, apart, 0.0)
