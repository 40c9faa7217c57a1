"""Classifiers of a scene: validated, fitted, mapped, and the areas by their maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.clock import Clock
from mlstats.config import Pilot
from mlstats.errors import ConfigError
from mlstats.guard import method_guard
from mlstats.imagery.class_raster import classify_raster
from mlstats.imagery.pixel_classifier import PixelClassifier
from mlstats.imagery.previous_map import PREVIOUS, PreviousMap
from mlstats.imagery.stored_classifier import StoredClassifier
from mlstats.imagery.validation import validate_classifiers
from mlstats.imagery_task import (
    ESTIMATE_COLUMNS,
    UNIT_COLUMNS,
    ArmRun,
    ImageryData,
    map_workers,
)
from mlstats.imagery_units import BLOCK, CORE, UNCLASSIFIED
from mlstats.method import build
from mlstats.quality.indicator import Indicator, exact
from mlstats.scene_areas import class_areas
from mlstats.scene_data import SceneData
from mlstats.scene_units import POLYGON

__all__ = [
    "MAIN",
    "build_classifier",
    "map_classifier",
    "run_classifier",
    "validated",
]

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
    method = build_classifier(pilot, name)
    clock, truth = Clock(name), data.frame[pilot.truth].astype(str)
    with method_guard(name):
        with clock("validate", len(data.frame)):
            units = validated(pilot, name, method, data)
        fitted = build_classifier(pilot, name)
        with clock("fit", len(data.frame)):
            fitted.fit(_inputs(method, data), truth.to_numpy(object))
        changed = _rerun(method, fitted, data, pilot, name)
    found = _shown(pilot, name, fitted, data, folder, clock)
    return replace(found, units=units, rerun_changed=changed)


def map_classifier(pilot: Pilot, name: str, data: ImageryData, folder: Path) -> ArmRun:
    """Fit a classifier to all units, map the scene and estimate areas.

    What :func:`run_classifier` does, without the validation: there are no units.

    Raises
    ------
    MethodError
        Where the method fails.
    """
    fitted, clock = build_classifier(pilot, name), Clock(name)
    truth = data.frame[pilot.truth].astype(str)
    with method_guard(name), clock("fit", len(data.frame)):
        fitted.fit(_inputs(fitted, data), truth.to_numpy(object))
    return _shown(pilot, name, fitted, data, folder, clock)


def _shown(
    pilot: Pilot,
    name: str,
    fitted: Any,
    data: ImageryData,
    folder: Path | None,
    clock: Clock,
) -> ArmRun:
    """Return a fitted classifier with its map and the areas by it."""
    scene: SceneData = data.task
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
        areas, rows = class_areas(pilot, name, scene, path, counts)
        rows.append(_unclassified(name, counts))
    earlier = isinstance(fitted, PreviousMap)
    reads = [PREVIOUS] if earlier else scene.names
    return ArmRun(
        name,
        fitted if earlier else StoredClassifier(fitted, scene.names),
        pd.DataFrame(columns=list(UNIT_COLUMNS)),
        pd.DataFrame(areas, columns=list(ESTIMATE_COLUMNS)),
        clock.rows,
        dict.fromkeys(reads, "string" if earlier else "double"),
        np.nan,
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


def validated(pilot: Pilot, name: str, method: Any, data: ImageryData) -> pd.DataFrame:
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
        return _recoded(fitted, scene, path, pixels)
    counts = classify_raster(
        scene.target,
        scene.features,
        PixelClassifier(fitted, unclassified=0),
        path,
        probabilities=wide and hasattr(fitted, "predict_proba"),
        uncertainty="margin" if hasattr(fitted, "predict_proba") else None,
        workers=map_workers(pixels),
    )
    return counts.sort_values("code").reset_index(drop=True)  # a row's place: its code


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


def _recoded(
    fitted: PreviousMap, scene: SceneData, path: Path, pixels: int
) -> pd.DataFrame:
    from mlstats.imagery.images import Image, Stack
    from mlstats.imagery.raster_map import map_raster

    assert scene.previous is not None
    earlier, names = scene.previous
    told = sorted({*map(str, fitted.classes_), *names.values()})
    classes = {name: code for code, name in enumerate(told, start=1)}
    codes = {old: classes[name] for old, name in names.items()}
    with Stack([Image(earlier, {PREVIOUS: 1}, classes=True)], scene.target.grid) as one:
        done = map_raster(
            _Recode(codes), one, path, bands=["class"], dtype="uint8", nodata=0,
            classes={code: name for name, code in classes.items()},
            workers=map_workers(pixels),
        )  # fmt: skip
    counted = done.counts[: len(classes) + 1]
    return pd.DataFrame({"class": [UNCLASSIFIED, *classes], "pixels": counted})


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


def _unclassified(name: str, counts: pd.DataFrame) -> dict[str, Any]:
    share = counts.loc[counts["class"] == UNCLASSIFIED, "pixels"].sum()
    total = int(counts["pixels"].sum())
    found = exact(float(share / total), n=total, note="pixels of the scene")
    return Indicator("accuracy", "unclassified_share", found).row(method=name)
