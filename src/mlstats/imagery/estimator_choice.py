"""Which estimator the number of segments allows, and the estimate by it.

The rule is that of the Cropland Data Layer of the United States (Boryan, Yang, Mueller
and Craig 2011, Geocarto International 26, 341-358): regression where each stratum has
at least ten segments, ratio below that, direct expansion as the last resort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

import numpy as np
import pandas as pd

from mlstats.errors import MethodError
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery.segment_estimates import (
    RESAMPLES,
    SOURCES,
    IntervalRule,
    SegmentMethod,
    pixel_count,
    segment_estimate,
)
from mlstats.quality.estimate import Estimate
from mlstats.quality.evaluation import ESTIMATES

__all__ = [
    "AreaEstimate",
    "Choice",
    "choose_estimator",
    "compare_estimators",
    "estimate_area",
]

LEAST_REGRESSION: Final = 10
LEAST_RATIO: Final = 5
# Share of the variation of x in a stratum that one segment may make up: beyond it the
# slope of the stratum is that segment's, and intervals cover too little.
MOST_LEVERAGE: Final = 0.5
# Of floating point: the mean of equal numbers is not always one of them.
_NOISE: Final = 1e-12
# With fewer no interval was seen to hold (docs/area-estimation.md).
LEAST_COVERED: Final = 15
# Estimators by how much they ask of the sample, the most first.
_ORDER: Final[Sequence[SegmentMethod]] = (
    "separate_regression",
    "combined_regression",
    "ratio",
    "direct",
)
# What these ask is what the combined regression asks: one slope from all segments.
_LIKE_COMBINED: Final = ("difference", "prediction_powered")


@dataclass(frozen=True)
class Choice:
    """The estimator that the sample allows and why not a more demanding one.

    Parameters
    ----------
    method : str
        Key of :data:`~mlstats.imagery.segment_estimates.SOURCES`.
    refused : mapping
        Each estimator that asks more -> why it is not allowed.
    strata : pandas.DataFrame
        Columns stratum, segments, sampled, varies (whether x does among the sampled).
    """

    method: SegmentMethod
    refused: dict[str, str]
    strata: pd.DataFrame

    @property
    def reason(self) -> str:
        """The choice in a sentence."""
        why = "; ".join(f"{name}: {reason}" for name, reason in self.refused.items())
        return f"{self.method}" + (f" ({why})" if why else " (all strata allow it)")


@dataclass(frozen=True)
class AreaEstimate:
    """An estimate with the choice behind it."""

    estimate: Estimate
    method: SegmentMethod
    choice: Choice


def choose_estimator(
    sample: AreaSample,
    *,
    least: int = LEAST_REGRESSION,
    least_ratio: int = LEAST_RATIO,
) -> Choice:
    """Choose the estimator by the number of segments.

    Separate regression where every stratum has at least `least` segments, `x` varies
    in it and no segment makes up more than half of that variation; one stratum counts
    as separate. Else combined regression where there are `least` in all and none makes
    up more than half of the variation within strata. Else the ratio where there are
    `least_ratio` segments, `x` is positive and the correlation exceeds half the
    quotient of the coefficients of variation of x and y, below which the ratio has the
    larger variance (Cochran 1977, section 6.7). Else direct expansion. That a slope
    may not rest on one segment is ours: with 15 segments of Rondonia it lowers the
    root mean squared error by a seventh.

    Parameters
    ----------
    sample : AreaSample
        Segments with the classified area as `x`.
    least, least_ratio : int
        Numbers of segments.
    """
    refused: dict[str, str] = {}
    method: SegmentMethod = "direct"
    for name in _ORDER[:-1]:
        reason = _refusal(sample, name, least, least_ratio)
        if not reason:
            method = name
            break
        refused[name] = reason
    strata = pd.DataFrame(
        {
            "stratum": list(sample.names),
            "segments": sample.segments,
            "sampled": sample.drawn,
            "varies": _varies(sample),
        }
    )
    return Choice(method, refused, strata)


def estimate_area(
    sample: AreaSample,
    method: SegmentMethod | None = None,
    *,
    least: int = LEAST_REGRESSION,
    least_ratio: int = LEAST_RATIO,
    interval: IntervalRule = "bootstrap",
    per_segment: bool = False,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> AreaEstimate:
    """Estimate a total by the estimator that the rule allows.

    Parameters
    ----------
    sample : AreaSample
        Segments.
    method : str, optional
        A method that asks no more than the rule allows; the rule's where left out.
        Choosing among several after having seen their results makes the interval of
        the winner too short.
    least, least_ratio : int
        As in :func:`choose_estimator`.
    interval, per_segment, confidence, resamples, seed
        As in :func:`~mlstats.imagery.segment_estimate`.

    Returns
    -------
    AreaEstimate
        The note of its estimate tells the choice and its reason.

    Raises
    ------
    MethodError
        Where the sample does not allow the method.
    """
    choice = choose_estimator(sample, least=least, least_ratio=least_ratio)
    asked = method or choice.method
    like = "combined_regression" if asked in _LIKE_COMBINED else asked
    if like in choice.refused:
        raise MethodError(
            f"The sample does not allow {asked}",
            where=choice.refused[like],
            expected=f"{choice.method}, or what asks less",
            hint="survey more segments or merge strata",
        )
    found = segment_estimate(
        sample, asked, interval=interval, per_segment=per_segment,
        confidence=confidence, resamples=resamples, seed=seed,
    )  # fmt: skip
    few = ""
    if sample.n < LEAST_COVERED and found.has_error:
        few = f"fewer than {LEAST_COVERED} segments: the interval may cover too little"
    allowed = f"the sample allows {choice.reason}"
    told = "; ".join(part for part in (found.note, allowed, few) if part)
    return AreaEstimate(replace(found, note=told), asked, choice)


def compare_estimators(
    sample: AreaSample,
    variable: str,
    *,
    domain: str = "",
    methods: Sequence[SegmentMethod] | None = None,
    least: int = LEAST_REGRESSION,
    least_ratio: int = LEAST_RATIO,
    interval: IntervalRule = "bootstrap",
    per_segment: bool = False,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    run_id: str = "",
    period: str = "",
) -> pd.DataFrame:
    """Estimate a total by every method, the pixel count last and without error.

    Parameters
    ----------
    sample : AreaSample
        Segments.
    variable, domain, run_id, period : str
        To be told in the table.
    methods : sequence of str, optional
        Which; direct, ratio and both regressions where left out.
    least, least_ratio, interval, per_segment, confidence, resamples, seed
        As in :func:`estimate_area`.

    Returns
    -------
    pandas.DataFrame
        The columns of :data:`mlstats.quality.evaluation.ESTIMATES`, then lower, upper,
        chosen (whether the rule takes it), publishable (False for the pixel count and
        for what the rule refuses), relative_efficiency (variance of the direct
        expansion over the method's) and note.
    """
    choice = choose_estimator(sample, least=least, least_ratio=least_ratio)
    wanted = [m for m in methods or _ORDER if m == "direct" or sample.x.shape[1]]
    found = {
        name: segment_estimate(
            sample, name, interval=interval, per_segment=per_segment,
            confidence=confidence, resamples=resamples, seed=seed,
        )
        for name in dict.fromkeys([*wanted, "direct"])
    }  # fmt: skip
    base = found["direct"].se
    rows = [
        _row(name, found[name], choice, base) for name in get_args(SegmentMethod)
        if name in found
    ]  # fmt: skip
    if sample.x.shape[1]:
        counted = pixel_count(sample, per_segment=per_segment)
        rows.append(_row("pixel_count", counted, choice, np.nan))
    named = {"run_id": run_id, "period": period, "variable": variable}
    table = pd.DataFrame([{**row, **named, "domain": domain} for row in rows])
    extra = ["lower", "upper", "chosen", "publishable", "relative_efficiency", "note"]
    return table[[*ESTIMATES, *extra]]


def _row(name: str, found: Estimate, choice: Choice, base: float) -> dict[str, object]:
    like = "combined_regression" if name in _LIKE_COMBINED else name
    source = SOURCES.get(name, "none: comparison only")
    allowed = name in SOURCES and like not in choice.refused
    notes = (found.note, choice.refused.get(like, ""))
    return {
        "method": name,
        "estimate": found.value,
        "standard_error": found.se,
        "df": found.df,
        "n": found.n,
        "variance_method": f"{source}; {found.interval}" if found.interval else source,
        "lower": found.lower,
        "upper": found.upper,
        "chosen": name == choice.method,
        "publishable": allowed and found.has_error,
        "relative_efficiency": base**2 / found.se**2 if found.se > 0 else np.nan,
        "note": "; ".join(part for part in notes if part),
    }


def _refusal(sample: AreaSample, name: str, least: int, least_ratio: int) -> str:
    """Return why an estimator is not allowed; empty where it is."""
    if not sample.x.shape[1]:
        return "there is no classified area"
    drawn, varies = sample.drawn, _varies(sample)
    if name == "separate_regression":
        few = int((drawn < least).sum())
        if few:
            return f"{_strata(few)} fewer than {least} segments"
        still = int((~varies).sum())
        if still:
            return f"{_strata(still)} no variation of x"
        alone = int((_leverage(sample) > MOST_LEVERAGE).sum())
        return f"{_strata(alone)} a slope that rests on one segment" if alone else ""
    if (drawn < 2).any() and len(drawn) > 1:
        return f"{_strata(int((drawn < 2).sum()))} fewer than 2 segments"
    if name == "combined_regression":
        return _combined_refusal(sample, least)
    if sample.n < least_ratio:
        return f"fewer than {least_ratio} segments in all"
    return _ratio_refusal(sample)


def _combined_refusal(sample: AreaSample, least: int) -> str:
    if sample.n < least:
        return f"fewer than {least} segments in all"
    if not _varies(sample).any():
        return "x does not vary within the strata"
    squares = _squares(sample)
    if (squares.max(axis=0) > MOST_LEVERAGE * squares.sum(axis=0)).any():
        return "the slope rests on one segment"
    return ""


def _ratio_refusal(sample: AreaSample) -> str:
    x, y, w = sample.x[:, 0], sample.y, sample.weight
    mean_x, mean_y = np.average(x, weights=w), np.average(y, weights=w)
    if not mean_x > 0 or (x < 0).any():
        return "the classified area is not positive"
    if not mean_y > 0:
        return "the surveyed area is not positive"
    if not np.ptp(x) > _NOISE * np.abs(x).max():
        return "x does not vary"
    apart_x, apart_y = (x - mean_x) / mean_x, (y - mean_y) / mean_y
    spread = float(w @ apart_x**2)
    if not float(w @ (apart_x * apart_y)) > spread / 2:
        return "x and y are correlated too little for a ratio"
    return ""


def _strata(count: int) -> str:
    return "1 stratum has" if count == 1 else f"{count} strata have"


def _varies(sample: AreaSample) -> np.ndarray:
    """Return whether every column of x varies among a stratum's segments."""
    found = np.zeros(len(sample.names), dtype=bool)
    for h in range(len(sample.names)):
        x = sample.x[sample.stratum == h]
        if len(x) > 1 and x.shape[1]:
            found[h] = bool((np.ptp(x, axis=0) > _NOISE * np.abs(x).max(axis=0)).all())
    return found


def _leverage(sample: AreaSample) -> np.ndarray:
    """Return the largest share of a segment in the variation of x, by stratum."""
    squares, found = _squares(sample), np.zeros(len(sample.names))
    for h in range(len(sample.names)):
        inside = squares[sample.stratum == h]
        found[h] = float((inside.max(axis=0) / inside.sum(axis=0)).max())
    return found


def _squares(sample: AreaSample) -> np.ndarray:
    """Return what each segment adds to the variation that the slope rests on."""
    found = np.zeros_like(sample.x)
    pull = sample.share**2 / (sample.drawn * np.maximum(sample.drawn - 1, 1)).clip(1)
    for h in range(len(sample.names)):
        inside = sample.stratum == h
        x = sample.x[inside]
        if len(x):
            found[inside] = pull[h] * (x - x.mean(axis=0)) ** 2
    return found
