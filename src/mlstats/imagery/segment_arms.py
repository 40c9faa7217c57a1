"""Estimators as methods of a pilot: they estimate, and predict the segment left out."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, MethodError, MlstatsError, nearest
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery.estimator_choice import choose_estimator, estimate_area
from mlstats.imagery.segment_estimates import pixel_count
from mlstats.imagery.unit_level import UnitLevelFit, battese_harter_fuller
from mlstats.quality.estimate import Estimate, absent

__all__ = ["PixelCount", "SegmentEstimator", "SmallAreas", "left_out"]

SegmentRule = Literal[
    "direct", "ratio", "combined_regression", "separate_regression", "chosen"
]
_RULES: Final = get_args(SegmentRule)


class SegmentEstimator:
    """A total from surveyed segments, with or without the map.

    Parameters
    ----------
    estimator : str
        direct, ratio, combined_regression, separate_regression, or chosen: what the
        number of segments allows (:func:`~mlstats.imagery.choose_estimator`). One that
        asks more than the rule allows is refused.
    resamples : int
        Of the bootstrap interval.

    Raises
    ------
    ConfigError
        Where there is no such estimator.
    """

    publishable = True

    def __init__(
        self, estimator: SegmentRule = "chosen", *, resamples: int = 999
    ) -> None:
        if estimator not in _RULES:
            raise ConfigError(
                f"There is no estimator {estimator!r}",
                expected=", ".join(_RULES),
                nearest=nearest(str(estimator), _RULES),
            )
        self.estimator: SegmentRule = estimator
        self.resamples = resamples

    @property
    def uses_map(self) -> bool:
        """Whether it reads what was classified."""
        return self.estimator != "direct"

    def estimate(self, sample: AreaSample, *, seed: int = 0) -> Estimate:
        """Estimate the total of the frame.

        Raises
        ------
        MethodError
            Where the sample does not allow the estimator.
        """
        method = None if self.estimator == "chosen" else self.estimator
        found = estimate_area(sample, method, resamples=self.resamples, seed=seed)
        return found.estimate

    def left_out(self, sample: AreaSample) -> np.ndarray:
        """Predict each segment from the others, shape (n,)."""
        rule: str = self.estimator
        if rule == "chosen":
            rule = choose_estimator(sample).method
        return left_out(sample, rule)


class PixelCount:
    """The classified area as it is: a comparison, never a figure.

    Parameters
    ----------
    column : int
        Which column of x, in the unit of y.
    """

    publishable = False
    uses_map = True

    def __init__(self, column: int = 0) -> None:
        self.column = column

    def estimate(self, sample: AreaSample, *, seed: int = 0) -> Estimate:
        """Count the frame; there is no standard error."""
        return pixel_count(sample)

    def left_out(self, sample: AreaSample) -> np.ndarray:
        """Return what was classified in each segment, shape (n,)."""
        return np.asarray(sample.x[:, self.column])


class SmallAreas:
    """Means of small areas by the nested-error model of Battese, Harter and Fuller.

    Parameters
    ----------
    method : {"reml", "ml"}
        Of the variances.
    """

    publishable = True
    uses_map = True

    def __init__(self, method: Literal["reml", "ml"] = "reml") -> None:
        self.method: Literal["reml", "ml"] = method

    def fit(
        self, segments: pd.DataFrame, areas: pd.DataFrame, variable: str, x: list[str]
    ) -> UnitLevelFit:
        """Fit the model; columns as in :func:`~mlstats.imagery.battese_harter_fuller`.

        Parameters
        ----------
        segments : pandas.DataFrame
            A row per surveyed segment: area, the variable and `x`.
        areas : pandas.DataFrame
            A row per area: area, size (segments) and the means of `x`.
        """
        return battese_harter_fuller(
            segments, areas, response=variable, covariates=x, method=self.method
        )

    def left_out(
        self, segments: pd.DataFrame, areas: pd.DataFrame, variable: str, x: list[str]
    ) -> np.ndarray:
        """Predict each segment by the model fitted without it, shape (n,).

        The area's effect is predicted from the area's other segments.
        """
        found = np.empty(len(segments))
        for row in range(len(segments)):
            fit = self.fit(segments.drop(index=segments.index[row]), areas, variable, x)
            found[row] = _one(fit, segments.iloc[row], variable, x)
        return found


def _one(fit: UnitLevelFit, segment: pd.Series, variable: str, x: list[str]) -> float:
    """Return x'b + v of a segment that the fit has not seen."""
    values = np.concatenate([[1.0], segment[x].to_numpy(dtype=float)])
    place = int(np.flatnonzero(fit.areas["area"] == segment["area"])[0])
    area = fit.areas.iloc[place]
    inside = fit.area == place
    effect = 0.0
    if inside.any() and fit.sigma2_v > 0:
        mean = fit.design[inside].mean(axis=0) @ fit.beta
        effect = float(area["gamma"]) * (float(area["direct"]) - float(mean))
    return float(values @ fit.beta) + effect


def left_out(sample: AreaSample, rule: str) -> np.ndarray:
    """Predict each segment's y from the others of the sample.

    Parameters
    ----------
    sample : AreaSample
        Segments.
    rule : str
        direct (mean of the stratum's others), ratio, combined_regression (means by
        stratum, one slope) or separate_regression.

    Returns
    -------
    numpy.ndarray of float, shape (n,)
        NaN for a segment without another in its stratum.

    Raises
    ------
    MethodError
        Where there is no such rule.
    """
    if rule not in _RULES[:-1]:
        raise MethodError(
            f"There is no estimator {rule!r}", expected=", ".join(_RULES[:-1])
        )
    found = np.empty(sample.n)
    for i in range(sample.n):
        others = np.arange(sample.n) != i
        found[i] = _left_out_one(sample, rule, i, others)
    return found


def _left_out_one(sample: AreaSample, rule: str, i: int, others: np.ndarray) -> float:
    near = others & (sample.stratum == sample.stratum[i])
    if not near.any():
        return float("nan")
    if rule == "direct":
        return float(sample.y[near].mean())
    if rule == "ratio":
        weight = sample.weight[others]
        top, bottom = weight @ sample.y[others], weight @ sample.x[others, 0]
        return float(sample.x[i, 0] * top / bottom) if bottom > 0 else float("nan")
    # One slope from all strata, or from the segment's own; means are the stratum's.
    used = others if rule == "combined_regression" else near
    x, y = sample.x[used].copy(), sample.y[used].copy()
    for h in np.unique(sample.stratum[used]):
        inside = sample.stratum[used] == h
        x[inside] -= x[inside].mean(axis=0)
        y[inside] -= y[inside].mean()
    root = np.sqrt(sample.weight[used])
    slope = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
    apart = sample.x[i] - sample.x[near].mean(axis=0)
    return float(sample.y[near].mean() + apart @ slope)


def refused(error: MlstatsError, n: int) -> Estimate:
    """Return what an estimator that the sample does not allow tells."""
    return absent("not_measured", f"{error.title}: {error.where or ''}".strip(": "), n)
