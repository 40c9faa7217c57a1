"""Areas of the classes of a scene, by the survey, by survey and map, and by count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import MethodError
from mlstats.imagery import segment_arms
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery.efficiency import relative_efficiency
from mlstats.imagery.estimator_choice import choose_estimator
from mlstats.imagery.segment_estimates import SOURCES
from mlstats.imagery_task import count_bias, estimate_row
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator
from mlstats.scene_data import SceneData, Survey

__all__ = ["SURVEY_ALONE", "class_areas", "segment_counts"]

SURVEY_ALONE: Final = "survey alone"


def class_areas(
    pilot: Pilot, name: str, scene: SceneData, path: Path, counts: pd.DataFrame
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return areas by survey and map and by count, and the rows of the scorecard."""
    areas: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    if scene.survey is None:
        return areas, rows
    samples = _samples(scene, path, [str(c) for c in counts["class"]])
    for variable, sample in samples.items():
        if name == pilot.baseline:  # once is enough: it does not depend on the map
            areas.append(_alone(variable, sample))
        found, gain = _with_map(sample, pilot.evaluate.seed)
        counted = segment_arms.PixelCount().estimate(sample)
        areas += _of_map(name, variable, sample, found, gain, counted)
        cells = {
            "relative_efficiency": gain,
            "count_bias": count_bias(counted, found, name),
            **_held_to(scene.known.get(variable), found),
        }
        rows += [
            Indicator("accuracy", key, cell).row(method=name, level=variable)
            for key, cell in cells.items()
        ]
    return areas, rows


def _alone(variable: str, sample: AreaSample) -> dict[str, Any]:
    found = segment_arms.SegmentEstimator("direct").estimate(sample)
    how = SOURCES["direct"]
    return estimate_row(found, method=SURVEY_ALONE, variable=variable, how=how)


def _of_map(
    name: str,
    variable: str,
    sample: AreaSample,
    found: Estimate,
    gain: Estimate,
    counted: Estimate,
) -> list[dict[str, Any]]:
    """Return the figure with a map's help, and the map's count, which is none."""
    figure = estimate_row(
        found,
        method=name,
        variable=variable,
        how=SOURCES[choose_estimator(sample).method],
        efficiency=gain.value,
    )
    count = estimate_row(
        counted,
        method=f"{name}, pixel count",
        variable=variable,
        how="none: comparison only",
        publishable=False,
    )
    return [figure, count]


def _with_map(sample: AreaSample, seed: int) -> tuple[Estimate, Estimate]:
    """Return the estimate that the sample allows, and its relative efficiency."""
    method = choose_estimator(sample).method
    try:
        found = segment_arms.SegmentEstimator("chosen").estimate(sample, seed=seed)
    except MethodError as error:
        return segment_arms.refused(error, sample.n), absent(
            "not_measured", "no estimate", sample.n
        )
    if method == "direct":
        return found, absent("not_measured", "the sample allows no map", sample.n)
    return found, relative_efficiency(sample, method, seed=seed)


def _held_to(known: float | None, found: Estimate) -> dict[str, Estimate]:
    """Return how far an estimate lies from the area that a demonstration knows."""
    if known is None or not known > 0 or not found.has_error:
        return {}
    value, low, high = (v / known - 1 for v in (found.value, found.lower, found.upper))
    told = replace(found, value=value, se=found.se / known, lower=low, upper=high)
    return {"area_bias": replace(told, note="against the area that was generated")}


def _samples(scene: SceneData, path: Path, classes: list[str]) -> dict[str, AreaSample]:
    """Return the sample of each surveyed class; x is its classified hectares.

    A class that the map does not have has no pixel in it, and still an area.
    """
    survey = scene.survey
    assert survey is not None
    hectares = scene.target.grid.pixel_hectares()
    counted = segment_counts(path, survey, len(classes)) * hectares
    place = survey.frame.reset_index().set_index("segment")["index"]
    drawn = place[survey.surveyed["segment"]].to_numpy(int)
    strata = survey.frame["stratum"].to_numpy(object)
    sizes = survey.frame["stratum"].value_counts()
    found = {}
    for variable in survey.classes:
        shown = variable in classes
        x = counted[:, classes.index(variable)] if shown else np.zeros(len(counted))
        means = {str(h): float(x[strata == h].mean()) for h in sizes.index}
        found[variable] = AreaSample.of(
            survey.surveyed[variable].to_numpy(float),
            x[drawn],
            segments={str(h): float(n) for h, n in sizes.items()},
            x_mean=means,
            stratum=strata[drawn].astype(str),
        )
    return found


def segment_counts(path: Path, survey: Survey, classes: int) -> np.ndarray:
    """Return the pixels of each code in each segment of the frame.

    Parameters
    ----------
    path : pathlib.Path
        A map whose codes are below `classes`.
    survey : Survey
        Its segments must lie inside the map.
    classes : int
        Codes, 0 for unclassified among them.

    Returns
    -------
    numpy.ndarray of int, shape (segments, classes)
    """
    import rasterio
    from rasterio.windows import Window

    size, frame = survey.size, survey.frame
    found = np.zeros((len(frame), classes), dtype=np.int64)
    with rasterio.open(path) as shown:
        for row in np.unique(frame["row"].to_numpy(int)):
            part = frame[frame["row"] == row]
            strip = shown.read(1, window=Window(0, row, shown.width, size))
            for place, column in zip(part.index, part["col"], strict=True):
                cell = strip[:, int(column) : int(column) + size]
                found[place] = np.bincount(cell.ravel(), minlength=classes)[:classes]
    return found
