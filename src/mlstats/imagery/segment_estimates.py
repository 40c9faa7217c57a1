"""Estimates from segments, each with a standard error and an interval that holds.

No closed form covers what it promises with fewer than about 60 segments whose cleared
or sown share is skewed. The default is the symmetric studentised bootstrap (Hall 1988,
Journal of the Royal Statistical Society B 50, 35-45) of segments within strata; what
was measured of it and of the closed forms is in docs/area-estimation.md.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, sqrt
from typing import Final, Literal

import numpy as np
from scipy import optimize, stats

from mlstats.errors import ContractError, nearest
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery.linear_estimators import LINEAR, Linear
from mlstats.quality.estimate import Estimate, absent, t_estimate

__all__ = [
    "INTERVALS",
    "SOURCES",
    "IntervalRule",
    "SegmentMethod",
    "horvitz_thompson",
    "pixel_count",
    "resample_counts",
    "segment_estimate",
]

SegmentMethod = Literal[
    "separate_regression", "combined_regression", "ratio", "difference",
    "prediction_powered", "direct",
]  # fmt: skip
IntervalRule = Literal["bootstrap", "leverage", "cochran"]
INTERVALS: Final = ("bootstrap", "leverage", "cochran")
SOURCES: Final = {
    "direct": "stratified expansion (Cochran 1977, 5.3)",
    "ratio": "combined ratio (Cochran 1977, 6.11)",
    "combined_regression": "combined regression (Cochran 1977, 7.10)",
    "separate_regression": "separate regression (Cochran 1977, 7.10)",
    "difference": "difference (Särndal et al. 1992, 6.3)",
    "prediction_powered": "power-tuned difference (Angelopoulos et al. 2023)",
}
RESAMPLES: Final = 999
_STILL: Final = "x does not vary within the strata: no slope"
_NO_SLOPE: Final = {"ratio": "the classified area of the sample is zero: no ratio"}
# Cells of a block of resamples, so that memory stays bounded.
_CELLS: Final = 2_000_000


def segment_estimate(
    sample: AreaSample,
    method: SegmentMethod,
    *,
    interval: IntervalRule = "bootstrap",
    per_segment: bool = False,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Estimate a total over all segments of the frame by one method.

    The rule of how many segments a method needs is
    :func:`~mlstats.imagery.choose_estimator`'s; this function works out what is asked.

    Parameters
    ----------
    sample : AreaSample
        Segments; `x` is the classified area, or a prediction of `y` for "difference"
        and "prediction_powered".
    method : str
        Key of :data:`SOURCES`.
    interval : {"bootstrap", "leverage", "cochran"}
        "bootstrap": the symmetric studentised bootstrap, never shorter than the t
        interval and never longer than the t interval of the direct expansion;
        "leverage": t, from residuals ``c e / (1 - h)`` (jackknife); "cochran": t, from
        the residual variance (Cochran 1977, 7.5). The direct expansion always has its
        t interval.
    per_segment : bool
        The mean per segment instead of the total.
    confidence : float
        Of the two-sided interval.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    Estimate
        In the unit of `y`. Its `df` is that with which a t interval has the same
        length, so that a table with standard error and df tells the same interval.
        "not_measured" where a stratum has no sampled segment or `x` does not vary.

    Raises
    ------
    ContractError
        Where the method or the interval has no such name, or the method needs `x` and
        there is none.
    """
    _check_names(sample, method, interval)
    gone = sample.unsampled()
    if gone:
        return absent("not_measured", gone, sample.n)
    scale = 1.0 if per_segment else sample.total_segments
    # Nothing is left to regress where every segment was surveyed.
    if method == "direct" or (sample.fraction == 1).all():
        return _direct(sample, scale, confidence)
    found = LINEAR[method](sample, np.ones((1, sample.n)))
    if not np.isfinite(found.value[0]):
        return absent("not_measured", _NO_SLOPE.get(method, _STILL), sample.n)
    df = _freedom(sample, method, found)
    value, few = float(found.value[0]) * scale, _too_few(sample, method)
    if few or df < 1:
        return Estimate(value, n=sample.n, note=few or "too few segments for an error")
    squared = found.model_variance if interval == "cochran" else found.variance
    se = sqrt(squared[0])
    if interval != "bootstrap" or se == 0:
        made = t_estimate(
            value, se * scale, df, n=sample.n, confidence=confidence
        )  # fmt: skip
        return replace(made, interval=f"t, {interval}" if made.interval else "")
    quantile = _quantile(sample, method, found, confidence, resamples, seed)
    least = _t(confidence, df)
    cap = max(_half_direct(sample, confidence) / se, least)
    return _with_quantile(
        value, se * scale, min(max(quantile, least), cap), df, sample.n, confidence,
        "bound by the direct expansion's interval" if quantile > cap else "",
    )  # fmt: skip


def pixel_count(sample: AreaSample, *, per_segment: bool = False) -> Estimate:
    """Return the classified area of the frame: a comparison, never a figure.

    Its error is commission less omission and does not shrink with the sample, so that
    it has no standard error (Gallego 2004, International Journal of Remote Sensing 25,
    3019-3047).

    Parameters
    ----------
    sample : AreaSample
        With the classified area, in the unit of `y`, as first column of `x`.
    per_segment : bool
        The mean per segment instead of the total.
    """
    if not sample.x.shape[1]:
        return absent("not_applicable", "there is no map", sample.n)
    mean = float(sample.share @ sample.x_mean[:, 0])
    scale = 1.0 if per_segment else sample.total_segments
    note = "for comparison only: biased by commission less omission"
    return Estimate(mean * scale, n=0, note=note)


def horvitz_thompson(
    y: np.ndarray,
    probability: np.ndarray,
    joint: np.ndarray,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate a total from segments drawn with any inclusion probabilities.

    ``sum y_i / pi_i`` with ``v = sum_i sum_j (pi_ij - pi_i pi_j) / pi_ij y_i / pi_i
    y_j / pi_j`` (Horvitz and Thompson 1952, Journal of the American Statistical
    Association 47, 663-685).

    Parameters
    ----------
    y, probability : numpy.ndarray, shape (n,)
        Values, and first-order inclusion probabilities.
    joint : numpy.ndarray, shape (n, n)
        Joint inclusion probabilities, `probability` on the diagonal.

    Returns
    -------
    Estimate
        With n - 1 degrees of freedom; without a standard error where the variance
        comes out negative, which it can for designs far from simple random sampling.

    Raises
    ------
    ContractError
        Where shapes differ or a probability is not between 0 and 1.
    """
    y, pi = np.asarray(y, dtype=float), np.asarray(probability, dtype=float)
    both = np.asarray(joint, dtype=float)
    if pi.shape != y.shape or both.shape != (len(y), len(y)):
        raise ContractError(
            "Values and inclusion probabilities do not match",
            expected=f"shapes ({len(y)},) and ({len(y)}, {len(y)})",
        )
    valid = (pi > 0).all() and (pi <= 1).all() and (both > 0).all()
    if not valid or not np.allclose(np.diagonal(both), pi):
        raise ContractError(
            "Inclusion probabilities are not valid",
            expected="all positive, at most 1, those of first order on the diagonal",
        )
    expanded = y / pi
    value = float(expanded.sum())
    delta = (both - np.outer(pi, pi)) / both
    variance = float(expanded @ delta @ expanded)
    if variance < -1e-12 * value**2:
        return Estimate(value, n=len(y), note="the variance comes out negative")
    se = sqrt(max(variance, 0.0))
    return t_estimate(value, se, len(y) - 1, n=len(y), confidence=confidence)


def _check_names(sample: AreaSample, method: str, interval: str) -> None:
    for given, valid in ((method, tuple(LINEAR)), (interval, INTERVALS)):
        if given not in valid:
            raise ContractError(
                f"There is no {given!r}",
                expected=", ".join(valid),
                nearest=nearest(given, valid),
            )
    if method != "direct" and not sample.x.shape[1]:
        raise ContractError(
            f"The method {method!r} needs the classified area of the segments",
            expected="x and x_mean",
        )


def _direct(sample: AreaSample, scale: float, confidence: float) -> Estimate:
    share = scale / sample.total_segments
    found = sample.design().total(sample.y * share, confidence=confidence)
    if found.interval != "t":
        return found
    return replace(found, interval="t, expansion")


def _half_direct(sample: AreaSample, confidence: float) -> float:
    """Return half the interval of the direct expansion per segment, or infinity."""
    found = _direct(sample, 1.0, confidence)
    half = (found.upper - found.lower) / 2
    return half if np.isfinite(half) and half > 0 else np.inf


def _t(confidence: float, df: float) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, df))


def _too_few(sample: AreaSample, method: str) -> str:
    """Return what keeps a variance from being worked out, if anything does."""
    p = sample.x.shape[1] if method == "separate_regression" else 0
    open_strata = (sample.drawn < sample.segments) | (not sample.finite)
    short = (sample.drawn < 2 + p) & open_strata
    if not short.any():
        return ""
    strata = "1 stratum has" if short.sum() == 1 else f"{int(short.sum())} strata have"
    return f"{strata} fewer than {2 + p} segments: no standard error, merge strata"


def _freedom(sample: AreaSample, method: str, found: Linear) -> float:
    """Return degrees of freedom; Satterthwaite's where slopes are fitted apart."""
    p = sample.x.shape[1]
    if method != "separate_regression":
        fitted = {"combined_regression": p, "prediction_powered": 1}.get(method, 0)
        return float(sample.n - len(sample.names) - fitted)
    parts, each = found.parts[0], sample.drawn - 1 - p
    varied = parts > 0
    if not varied.any() or (each[varied] < 1).any():
        return float(max(each.sum(), 0))
    spread = float((parts[varied] ** 2 / each[varied]).sum())
    return float(parts.sum()) ** 2 / spread


def _quantile(
    sample: AreaSample,
    method: str,
    found: Linear,
    confidence: float,
    resamples: int,
    seed: int,
) -> float:
    """Return the quantile of ``|estimate* - estimate| / se*`` over resamples."""
    # Resamples are drawn with replacement: neither side of the ratio is corrected
    # for a finite population.
    endless = replace(sample, finite=False)
    generator = np.random.default_rng(seed)
    block = max(1, min(resamples, _CELLS // max(sample.n, 1)))
    reached = []
    for first in range(0, resamples, block):
        size = min(block, resamples - first)
        again = LINEAR[method](endless, resample_counts(sample, size, generator))
        apart, se = np.abs(again.value - found.value[0]), np.sqrt(again.variance)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = apart / se
        # A resample without a slope or without an error shows no limit.
        reached.append(np.where(np.isfinite(t), t, np.inf))
    rank = min(ceil(confidence * (resamples + 1)), resamples) - 1
    return float(np.partition(np.concatenate(reached), rank)[rank])


def resample_counts(
    sample: AreaSample, size: int, generator: np.random.Generator
) -> np.ndarray:
    """Return how often each segment counts in resamples within strata.

    Parameters
    ----------
    sample : AreaSample
        Segments.
    size : int
        Resamples.
    generator : numpy.random.Generator
        Source of chance.

    Returns
    -------
    numpy.ndarray, shape (size, n)
    """
    counts = np.empty((size, sample.n))
    for h, drawn in enumerate(sample.drawn):
        if drawn:
            equal = np.full(drawn, 1 / drawn)
            counts[:, sample.stratum == h] = generator.multinomial(drawn, equal, size)
    return counts


def _with_quantile(
    value: float, se: float, quantile: float, df: float, n: int, confidence: float,
    note: str,
) -> Estimate:  # fmt: skip
    """Return an estimate whose df says the same as the quantile."""
    told = df
    if quantile > _t(confidence, df) * (1 + 1e-9):
        least = _t(confidence, 1.0)
        told = 1.0
        if quantile < least:
            told = float(
                optimize.brentq(lambda d: _t(confidence, d) - quantile, 1.0, df)
            )
    half = quantile * se
    return Estimate(
        value, se, told, value - half, value + half, n, note=note,
        interval="studentised bootstrap, symmetric",
    )  # fmt: skip
