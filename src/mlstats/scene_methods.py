"""Classifiers of a scene: validated, fitted, mapped, and the areas by their maps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.clock import Clock
from mlstats.config import Pilot
from mlstats.errors import ConfigError, MethodError
from mlstats.guard import method_guard
from mlstats.imagery import segment_arms
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery.class_raster import classify_raster
from mlstats.imagery.efficiency import relative_efficiency
from mlstats.imagery.estimator_choice import choose_estimator
from mlstats.imagery.pixel_classifier import PixelClassifier
from mlstats.imagery.previous_map import PREVIOUS, PreviousMap
from mlstats.imagery.segment_estimates import SOURCES
from mlstats.imagery.stored_classifier import StoredClassifier
from mlstats.imagery.validation import validate_classifiers
from mlstats.imagery_task import (
    ESTIMATE_COLUMNS,
    ArmRun,
    ImageryData,
    count_bias,
    estimate_row,
)
from mlstats.imagery_units import BLOCK, CORE, UNCLASSIFIED
from mlstats.method import build
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator, exact
from mlstats.scene_data import SceneData, Survey
from mlstats.scene_units import POLYGON

__all__ = ["SURVEY_ALONE", "build_classifier", "run_classifier"]

SURVEY_ALONE: Final = "survey alone"
MAIN: Final = "blocked"  # the scheme whose units the Evaluation holds


def build_classifier(pilot: Pilot, name: str) -> Any:
    """Make a method of a pilot of a scene.

    Raises
    ------
    ConfigError
        Where the class is no classifier, or the earlier map is missing.
    """
    from sklearn.base import is_regressor

    spec, where = pilot.methods[name], f"methods.{name}"
    method = build(spec.use, spec.params, where=where)
    fits = hasattr(method, "fit") and hasattr(method, "predict")
    if not fits or (hasattr(method, "get_params") and is_regressor(method)):
        raise ConfigError(
            f"{spec.use} is no classifier",
            where=where,
            expected="PreviousMap or MaximumLikelihood of mlstats.imagery, or a "
            "classifier of scikit-learn",
        )
    scene = pilot.data.scene
    if isinstance(method, PreviousMap) and (scene is None or scene.previous is None):
        raise ConfigError(
            "The earlier map is not told",
            where="data.scene.previous",
            expected="its file, and the codes of its classes",
        )
    return method


def run_classifier(
    pilot: Pilot, name: str, data: ImageryData, folder: Path | None
) -> ArmRun:
    """Validate a classifier, fit it to all units, map the scene, estimate areas.

    Parameters
    ----------
    folder : pathlib.Path or None
        Where the map goes, as ``map-<name>.tif``; without it no scene is classified.

    Raises
    ------
    MethodError
        Where the method fails.
    """
    method, scene = build_classifier(pilot, name), data.task
    clock, truth = Clock(name), data.frame[pilot.truth].astype(str)
    with method_guard(name):
        with clock("validate", len(data.frame)):
            units = _validated(pilot, name, method, data)
        fitted = build_classifier(pilot, name)
        with clock("fit", len(data.frame)):
            fitted.fit(_inputs(method, data), truth.to_numpy(object))
        changed = _rerun(method, fitted, data, pilot, name)
    tables: dict[str, pd.DataFrame] = {}
    areas: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    path = None if folder is None else folder / f"map-{name}.tif"
    if path is not None:
        pixels = int(np.prod(scene.target.grid.shape))
        with method_guard(name), clock("predict", pixels):
            wide = pilot.data.scene is not None and pilot.data.scene.probabilities
            counts = _mapped(fitted, scene, path, pixels, wide)
        tables["class_areas"] = _class_areas(name, counts, scene)
        areas, rows = _areas(pilot, name, scene, path, counts)
        rows.append(_unclassified(name, counts))
    reads = [PREVIOUS] if isinstance(method, PreviousMap) else scene.names
    kind = "string" if isinstance(method, PreviousMap) else "double"
    kept = fitted
    if not isinstance(method, PreviousMap):
        kept = StoredClassifier(fitted, scene.names)
    return ArmRun(
        name,
        kept,
        units,
        pd.DataFrame(areas, columns=list(ESTIMATE_COLUMNS)),
        clock.rows,
        dict.fromkeys(reads, kind),
        changed,
        tables,
        rows,
        path,
        _remarks(pilot, name, scene, tables.get("class_areas"), areas),
    )


def _remarks(
    pilot: Pilot,
    name: str,
    scene: SceneData,
    counts: pd.DataFrame | None,
    areas: list[dict[str, Any]],
) -> list[str]:
    """Say where nothing was classified, and what the areas of a survey sum to."""
    told = []
    if counts is not None and not counts.loc[1:, "pixels"].any():
        told.append(f"{name} classified nothing: the whole scene is unclassified")
    mine = [row["estimate"] for row in areas if row["method"] == name]
    whole = len(mine) > 1 and bool(np.isfinite(mine).all())
    if name == pilot.candidate and whole and scene.survey is not None:
        frame = len(scene.survey.frame) * scene.survey.size**2
        told.append(
            "each class has a regression of its own: the areas by "
            f"{name} sum to {sum(mine):,.0f} hectares, the segments of the frame hold "
            f"{frame * scene.target.grid.pixel_hectares():,.0f}"
        )
    return told


def _inputs(method: Any, data: ImageryData) -> Any:
    if isinstance(method, PreviousMap):
        return data.frame
    return data.frame[data.task.names].to_numpy(np.float32)


def _rerun(
    method: Any, fitted: Any, data: ImageryData, pilot: Pilot, name: str
) -> float:
    """Return the share of units that a second fit with the same seed labels else."""
    X = _inputs(method, data)
    again = build_classifier(pilot, name)
    again.fit(X, data.frame[pilot.truth].astype(str).to_numpy(object))
    one, two = np.asarray(fitted.predict(X)), np.asarray(again.predict(X))
    return float((one != two).mean())


# -- validation ----------------------------------------------------------------------


def _validated(pilot: Pilot, name: str, method: Any, data: ImageryData) -> pd.DataFrame:
    """Return what the method answers for units that were left out, by each scheme."""
    spec, frame = pilot.data.scene, data.frame
    assert spec is not None
    seasons = frame[pilot.data.roles.period] if pilot.data.roles.period else None
    column = POLYGON if POLYGON in frame else pilot.data.roles.cluster
    learner = _Stand() if isinstance(method, PreviousMap) else method
    X = np.zeros((len(frame), 1)) if learner is not method else _inputs(method, data)
    found = validate_classifiers(
        {name: learner},
        X,
        frame[pilot.truth].astype(str),
        blocks=frame[BLOCK],
        seasons=seasons,
        clusters=None if column is None else frame[column].astype(str),
        folds=spec.folds,
        seed=pilot.evaluate.seed,
    )
    absent = found.attrs["not_measured"]
    answer = found["prediction"].to_numpy(object)
    if learner is not method:
        answer = method.predict(frame)[found["unit"].to_numpy(int)]
    table = pd.DataFrame(
        {
            "row": found["unit"].to_numpy(int),
            "variable": pilot.truth,
            "prediction": answer,
            "truth": found["truth"].to_numpy(object),
            "scheme": found["scheme"],
            "confidence": found["confidence"].to_numpy(float),
            "fold": found["fold"],
            "cluster": found["cluster"].astype(str),
            "learnt": found["learnt"],
        }
    )
    table = table[frame[CORE].to_numpy(bool)[table["row"]]].reset_index(drop=True)
    table.attrs["not_measured"] = absent
    return table


class _Stand:
    """Takes the earlier map's place while units are parted into folds."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def set_params(self, **params: Any) -> _Stand:
        return self

    def fit(self, X: np.ndarray, y: np.ndarray) -> _Stand:
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.full(len(X), "", dtype=object)


# -- the map -------------------------------------------------------------------------


def _mapped(
    fitted: Any, scene: SceneData, path: Path, pixels: int, wide: bool
) -> pd.DataFrame:
    """Write the map and return the pixels of each class, the unclassified too."""
    if isinstance(fitted, PreviousMap):
        return _recoded(fitted, scene, path)
    counts = classify_raster(
        scene.target,
        scene.features,
        PixelClassifier(fitted, unclassified=0),
        path,
        probabilities=wide and hasattr(fitted, "predict_proba"),
        uncertainty="margin" if hasattr(fitted, "predict_proba") else None,
        workers=_workers() if pixels > 4_000_000 else 1,
    )
    return counts.sort_values("code").reset_index(drop=True)  # a row's place: its code


def _workers() -> int:
    return max(1, int(os.environ.get("MLSTATS_WORKERS", "1")))


class _Recode:
    """The earlier map's codes as those of the classes; 0 for what it does not know."""

    def __init__(self, codes: Mapping[int, int]) -> None:
        self.codes = dict(codes)

    def __call__(self, block: Any) -> np.ndarray:
        values = block.values[0]
        found = np.zeros(values.shape, np.uint8)
        for old, new in self.codes.items():
            found[values == old] = new
        return found


def _recoded(fitted: PreviousMap, scene: SceneData, path: Path) -> pd.DataFrame:
    from mlstats.imagery.images import Image, Stack
    from mlstats.imagery.raster_map import map_raster

    assert scene.previous is not None
    earlier, names = scene.previous
    told = sorted({*map(str, fitted.classes_), *names.values()})
    classes = {name: code for code, name in enumerate(told, start=1)}
    codes = {old: classes[name] for old, name in names.items()}
    with Stack([Image(earlier, {PREVIOUS: 1}, classes=True)], scene.target.grid) as one:
        map_raster(
            _Recode(codes), one, path, bands=["class"], dtype="uint8", nodata=0,
            classes={code: name for name, code in classes.items()},
        )  # fmt: skip
    counted = count_codes(path, len(classes))
    return pd.DataFrame({"class": [UNCLASSIFIED, *classes], "pixels": counted})


def count_codes(path: Path, classes: int) -> np.ndarray:
    """Return the pixels of code 0, 1, ... of a map's first band."""
    import rasterio

    total = np.zeros(classes + 1, dtype=np.int64)
    with rasterio.open(path) as shown:
        for _, window in shown.block_windows(1):
            part = shown.read(1, window=window)
            total += np.bincount(part.ravel(), minlength=classes + 1)[: classes + 1]
    return total


def _class_areas(name: str, counts: pd.DataFrame, scene: SceneData) -> pd.DataFrame:
    hectares = scene.target.grid.pixel_hectares()
    share = counts["pixels"] / counts["pixels"].sum()
    return pd.DataFrame(
        {
            "method": name,
            "class": counts["class"],
            "pixels": counts["pixels"],
            "counted_hectares": counts["pixels"] * hectares,
            "share": share,
        }
    )


# -- areas ---------------------------------------------------------------------------


def _unclassified(name: str, counts: pd.DataFrame) -> dict[str, Any]:
    share = counts.loc[counts["class"] == UNCLASSIFIED, "pixels"].sum()
    total = int(counts["pixels"].sum())
    found = exact(float(share / total), n=total, note="pixels of the scene")
    return Indicator("accuracy", "unclassified_share", found).row(method=name)


def _areas(
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
            alone = segment_arms.SegmentEstimator("direct").estimate(sample)
            areas.append(
                estimate_row(
                    alone, method=SURVEY_ALONE, variable=variable, how=SOURCES["direct"]
                )
            )
        found, gain = _with_map(sample, pilot.evaluate.seed)
        choice = choose_estimator(sample).method
        areas.append(
            estimate_row(
                found,
                method=name,
                variable=variable,
                how=SOURCES[choice],
                efficiency=gain.value,
            )  # fmt: skip
        )
        counted = segment_arms.PixelCount().estimate(sample)
        areas.append(
            estimate_row(
                counted,
                method=f"{name}, pixel count",
                variable=variable,
                how="none: comparison only",
                publishable=False,
            )  # fmt: skip
        )
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
    """Return the sample of each surveyed class; x is its classified hectares."""
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
        # A class that the map does not have has no pixel in it, and still an area.
        x = np.zeros(len(counted))
        if variable in classes:
            x = counted[:, classes.index(variable)]
        means = pd.Series(x).groupby(strata).mean()
        found[variable] = AreaSample.of(
            survey.surveyed[variable].to_numpy(float),
            x[drawn],
            segments={str(h): float(n) for h, n in sizes.items()},
            x_mean={str(h): float(m) for h, m in means.items()},
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
