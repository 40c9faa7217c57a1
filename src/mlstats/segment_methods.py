"""Estimators on surveyed segments: totals, small areas, and what repetition shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlstats.clock import Clock
from mlstats.config import Pilot
from mlstats.errors import ConfigError, ContractError, MethodError
from mlstats.guard import method_guard
from mlstats.imagery import segment_arms
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery.benchmarking import benchmarked
from mlstats.imagery.efficiency import relative_efficiency
from mlstats.imagery.estimator_choice import choose_estimator
from mlstats.imagery.segment_estimates import SOURCES
from mlstats.imagery_task import (
    ESTIMATE_COLUMNS,
    ArmRun,
    ImageryData,
    estimate_row,
    unit_rows,
)
from mlstats.method import build
from mlstats.quality.estimate import Estimate, absent, t_estimate
from mlstats.quality.report_tables import KEPT_BACK, LEAST_UNITS
from mlstats.segment_frames import AREA, SurveyFrame, drawn, sample_of

__all__ = ["build_estimator", "run_estimator", "simulated"]

_SMALL = segment_arms.SmallAreas


def build_estimator(pilot: Pilot, name: str) -> Any:
    """Make a method of a pilot of segments.

    Raises
    ------
    ConfigError
        Where the class does not estimate from segments.
    """
    spec, where = pilot.methods[name], f"methods.{name}"
    method = build(spec.use, spec.params, where=where)
    if not isinstance(method, _SMALL) and not callable(
        getattr(method, "estimate", None)
    ):
        raise ConfigError(
            f"{spec.use} does not estimate from segments",
            where=where,
            expected="SegmentEstimator, SmallAreas, PixelCount of mlstats.imagery, or "
            "a class with estimate(sample, seed) and left_out(sample)",
        )
    segments = pilot.data.segments
    if isinstance(method, _SMALL) and segments and segments.by is None:
        raise _no_areas()
    return method


def _no_areas() -> ConfigError:
    return ConfigError(
        "SmallAreas needs the number of segments of every small area",
        where="data.segments.by",
        expected="a domain of the segments, and a frame with a row for each",
    )


def run_estimator(pilot: Pilot, name: str, data: ImageryData) -> ArmRun:
    """Estimate every variable and predict every segment from the others.

    Raises
    ------
    MethodError
        Where the method fails; one that the sample does not allow says so in its row.
    """
    method, survey = build_estimator(pilot, name), data.task
    clock, rows, units = Clock(name), [], []
    with method_guard(name):
        for variable, sample in survey.samples.items():
            with clock("estimate", sample.n):
                rows += _estimates(pilot, name, method, data, variable)
            with clock("predict", sample.n):
                predicted = _left_out(method, data, variable)
            units.append(unit_rows(variable, predicted, sample.y))
        first = next(iter(survey.samples))
        again = _left_out(method, data, first)
    same = np.isclose(again, units[0]["prediction"], rtol=0, atol=0, equal_nan=True)
    reads = sorted({x for xs in survey.classified.values() for x in xs})
    inputs = dict.fromkeys(reads if method.uses_map else [], "double")
    return ArmRun(
        name,
        method,
        pd.concat(units, ignore_index=True),
        pd.DataFrame(rows, columns=list(ESTIMATE_COLUMNS)),
        clock.rows,
        inputs,
        float((~same).mean()),
        notes=_choices(method, survey),
    )


def _choices(method: Any, survey: SurveyFrame) -> list[str]:
    if getattr(method, "estimator", "") != "chosen":
        return []
    return [
        f"{name}: the sample allows {choose_estimator(sample).reason}"
        for name, sample in survey.samples.items()
    ]


def _left_out(method: Any, data: ImageryData, variable: str) -> np.ndarray:
    survey: SurveyFrame = data.task
    if isinstance(method, _SMALL):
        segments, areas, xs = _by_area(data, variable)
        try:
            return method.left_out(segments, areas, variable, xs)
        except (ContractError, MethodError):  # told with the estimates
            return np.full(len(segments), np.nan)
    return np.asarray(method.left_out(survey.samples[variable]), dtype=float)


def _estimates(
    pilot: Pilot, name: str, method: Any, data: ImageryData, variable: str
) -> list[dict[str, Any]]:
    survey: SurveyFrame = data.task
    sample, seed = survey.samples[variable], pilot.evaluate.seed
    if isinstance(method, _SMALL):
        try:
            return _small_areas(pilot, name, method, data, variable)
        except (ContractError, MethodError) as error:
            found = segment_arms.refused(error, sample.n)
            return [estimate_row(found, method=name, variable=variable)]
    try:
        found = method.estimate(sample, seed=seed)
    except MethodError as error:
        found = segment_arms.refused(error, sample.n)
    rows = [
        estimate_row(
            found,
            method=name,
            variable=variable,
            how=_source(method, sample),
            publishable=method.publishable,
            efficiency=efficiency_of(method, sample, seed).value,
        )
    ]
    if getattr(method, "estimator", "") == "direct" and survey.areas is not None:
        rows += _direct_areas(pilot, name, data, variable)
    return rows


def _source(method: Any, sample: AreaSample) -> str:
    rule = rule_of(method, sample)
    return SOURCES.get(rule, "none: comparison only")


def rule_of(method: Any, sample: AreaSample) -> Any:
    """Return which of the estimators of segments a method is, "" for none."""
    rule = getattr(method, "estimator", "")
    return choose_estimator(sample).method if rule == "chosen" else rule


def efficiency_of(method: Any, sample: AreaSample, seed: int) -> Estimate:
    """Return the variance of the direct expansion over the method's."""
    rule = rule_of(method, sample)
    if rule not in SOURCES:
        return absent("not_applicable", "has no design-based variance", sample.n)
    if rule == "direct":
        return absent("not_applicable", "it is what others are compared with", sample.n)
    if rule in choose_estimator(sample).refused:
        return absent("not_measured", "the sample does not allow it", sample.n)
    return relative_efficiency(sample, rule, seed=seed)


# -- small areas ---------------------------------------------------------------------


def _by_area(
    data: ImageryData, variable: str
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    survey: SurveyFrame = data.task
    if survey.areas is None or survey.domain is None:
        raise _no_areas()
    xs = sorted({x for names in survey.classified.values() for x in names})
    segments = data.frame[[variable, *xs]].astype(float)
    segments[AREA] = data.frame[survey.domain].astype(str)
    return segments, survey.areas, xs


def _small_areas(
    pilot: Pilot, name: str, method: Any, data: ImageryData, variable: str
) -> list[dict[str, Any]]:
    """Return totals by area, benchmarked to the regression's total, and that total."""
    survey: SurveyFrame = data.task
    sample, seed = survey.samples[variable], pilot.evaluate.seed
    segments, areas, xs = _by_area(data, variable)
    fit = method.fit(segments, areas, variable, xs)
    sizes = fit.areas["population"].to_numpy(float)
    whole = segment_arms.SegmentEstimator("chosen").estimate(sample, seed=seed)
    adjusted = benchmarked(
        fit, sizes, variable=variable, total=whole.value, total_se=whole.se, seed=seed
    )
    rows = [
        estimate_row(
            whole,
            method=name,
            variable=variable,
            how="the total that small areas are benchmarked to",
        )
    ]
    for place, (_, row) in enumerate(adjusted.iterrows()):
        found = t_estimate(
            float(row["estimate"]) * sizes[place],
            float(row["standard_error"]) * sizes[place],
            float(row["df"]),
            n=int(row["n"]),
        )
        rows.append(
            estimate_row(
                found,
                method=name,
                variable=variable,
                domain=f"{survey.domain}: {row['domain']}",
                how=str(row["variance_method"]),
            )
        )
    return rows


def _direct_areas(
    pilot: Pilot, name: str, data: ImageryData, variable: str
) -> list[dict[str, Any]]:
    """Return the direct expansion of each area by its own segments alone."""
    survey: SurveyFrame = data.task
    assert survey.areas is not None
    named = data.frame[survey.domain].astype(str)
    rows = []
    sizes = survey.areas["size"].to_numpy(float)
    for place, area in enumerate(survey.areas[AREA]):
        y = data.frame.loc[named == area, variable].to_numpy(float)
        size = float(sizes[place])
        spec = pilot.data.segments
        if len(y) < LEAST_UNITS and not (spec is not None and spec.public):
            found = absent("not_measured", KEPT_BACK, len(y))
        elif len(y) < 2:
            found = absent("not_measured", f"{len(y)} segments in the area", len(y))
        else:
            within = y.std(ddof=1) * np.sqrt((1 - len(y) / size) / len(y))
            found = t_estimate(
                size * y.mean(), size * within, len(y) - 1.0, n=len(y)
            )  # fmt: skip
        rows.append(
            estimate_row(
                found,
                method=name,
                variable=variable,
                domain=f"{survey.domain}: {area}",
                how=SOURCES["direct"],
            )
        )
    return rows


# -- repetition ----------------------------------------------------------------------


def simulated(pilot: Pilot, data: ImageryData, methods: dict[str, Any]) -> pd.DataFrame:
    """Draw the survey again and again where the reference is wall to wall.

    Parameters
    ----------
    methods : dict
        Name -> method.

    Returns
    -------
    pandas.DataFrame
        A row per draw, method and variable: ``error`` (estimate less truth, as a share
        of the truth), ``covered`` (whether the 95 % interval holds the truth; missing
        without an interval) and ``length`` of the interval over the truth; empty where
        the frame is not known wall to wall.
    """
    survey: SurveyFrame = data.task
    spec = pilot.data.segments
    if survey.every is None or spec is None:
        return pd.DataFrame()
    rows = []
    for number in range(spec.simulate):
        seed = pilot.evaluate.seed + 1 + number
        frame = drawn(survey.every, len(data.frame), seed)
        for variable in survey.samples:
            sample = sample_of(survey.every, frame, variable)
            truth = float(survey.every[variable].sum())
            for name, method in methods.items():
                found = _tried(method, sample, seed)
                rows.append(
                    {"draw": number, "method": name, "variable": variable}
                    | _against(found, truth)
                )
    return pd.DataFrame(rows)


def _tried(method: Any, sample: AreaSample, seed: int) -> Estimate:
    try:
        found: Estimate = method.estimate(sample, seed=seed)
    except MethodError as error:
        return segment_arms.refused(error, sample.n)
    return found


def _against(found: Estimate, truth: float) -> dict[str, float]:
    if not found.has_error:
        return {
            "error": (found.value - truth) / truth,
            "covered": np.nan,
            "length": np.nan,
        }
    return {
        "error": (found.value - truth) / truth,
        "covered": float(found.lower <= truth <= found.upper),
        "length": (found.upper - found.lower) / truth,
    }
