"""The data of a scene: labelled units, the images, an earlier map, a survey."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mlstats import contract, io
from mlstats.config import Pilot
from mlstats.config_imagery import Features, Map, Scene, SceneImage
from mlstats.dataset import ROW_NUMBER, finder, read_source
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.imagery.blocks_and_seasons import block_cores, spatial_blocks
from mlstats.imagery.features import FeatureSet
from mlstats.imagery.grid import Grid, common_grid
from mlstats.imagery.images import CloudMask, Image, Stack
from mlstats.imagery.polygons import read_polygons
from mlstats.imagery.previous_map import PREVIOUS
from mlstats.imagery.training_pixels import (
    LabelledPixels,
    pixels_at_points,
    pixels_in_polygons,
)
from mlstats.imagery.windows import Window
from mlstats.imagery_task import ImageryData
from mlstats.imagery_units import BLOCK, CORE
from mlstats.settings import Settings

__all__ = ["SceneData", "Survey", "load_scene"]

POLYGON = "polygon"
_VECTOR = (".gpkg", ".geojson", ".json", ".shp", ".fgb")


@dataclass(frozen=True, eq=False)
class Survey:
    """Surveyed segments of the scene, and all segments of their frame.

    Parameters
    ----------
    surveyed, frame : pandas.DataFrame
        With the columns segment, row, col and stratum; the first with the surveyed
        hectares under the names of the classes.
    size : int
        Pixels along the side of a segment.
    classes : list of str
        Classes that were surveyed.
    """

    surveyed: pd.DataFrame
    frame: pd.DataFrame
    size: int
    classes: list[str]


@dataclass(frozen=True, eq=False)
class SceneData:
    """What a scene's methods work with.

    Parameters
    ----------
    stack, target : Stack
        The images that units were read from, and those that are classified.
    features : FeatureSet
        Made of both alike.
    names : list of str
        Columns of the features in the data's frame.
    later : bool
        Whether the target is another date than the images.
    previous : tuple of (path, code -> class) or None
        The earlier map.
    survey : Survey or None
        Of the target's territory.
    known : dict of str to float
        Hectares by class that a demonstration knows; empty for real data.
    digests : list of str
        Of every file.
    """

    stack: Stack
    target: Stack
    features: FeatureSet
    names: list[str]
    later: bool
    previous: tuple[Path, dict[int, str]] | None
    survey: Survey | None
    known: dict[str, float]
    digests: list[str]


Find = Callable[[str], Path]


def load_scene(
    pilot: Pilot, settings: Settings, *, sample: int | None, period: str | None
) -> tuple[ImageryData, contract.ContractResult]:
    """Read labelled units and their features from table or images.

    Raises
    ------
    ConfigError
        Where a file lacks a column that the pilot names.
    ContractError
        Where units lie outside the images, or nothing is left of them.
    """
    spec, find = pilot.data.scene, finder(settings)
    assert spec is not None
    grid = _grid(spec, find)
    stack = Stack([_image(one, find) for one in spec.images], grid)
    target = stack
    if spec.target:
        target = Stack([_image(one, find) for one in spec.target], grid)
    features = _features(spec.features)
    frame, notes, cautions = _units(pilot, spec, settings, stack, features, sample)
    if period is not None:
        frame = _of_period(frame, pilot, period)
    names = list(spec.columns) or list(features.names(stack))
    _same_features(spec, stack, target)
    previous = _previous(spec, find)
    if previous is not None:
        frame[PREVIOUS] = _classes_at(frame, stack.grid, *previous)
    notes += _with_blocks(pilot, spec, frame)
    digests = [io.sha256_file(path) for path in _paths(pilot, spec, find)]
    scene = SceneData(
        stack, target, features, names, bool(spec.target), previous,
        _survey(spec, find, target.grid), _known(spec, find), digests,
    )  # fmt: skip
    result = contract.check(frame, pilot.data, truth=pilot.truth)
    digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    notes.append(f"labelled units: {len(frame):,} in {frame[BLOCK].nunique():,} blocks")
    notes.append(f"features: {len(names)}")
    rules = (result.kept, result.held)
    return ImageryData(frame, scene, digest, notes, cautions, rules), result


def _paths(pilot: Pilot, spec: Scene, find: Find) -> list[Path]:
    images = (*spec.images, *spec.target)
    masks = (one.cloud.file for one in images if one.cloud)
    named = [pilot.data.source, *(one.file for one in images), *masks, spec.known]
    named += [spec.previous.file] if spec.previous else []
    named += [spec.survey.file, spec.survey.frame] if spec.survey else []
    return [find(name) for name in dict.fromkeys(named) if name]


# -- images --------------------------------------------------------------------------


def _image(spec: SceneImage, find: Find) -> Image:
    cloud = None
    if spec.cloud is not None:
        path = find(spec.cloud.file) if spec.cloud.file else None
        cloud = CloudMask(spec.cloud.band, spec.cloud.clear, path)
    return Image(
        find(spec.file), spec.bands or None, spec.date, cloud, scale=spec.scale
    )


def _grid(spec: Scene, find: Find) -> Grid | None:
    """Return the grid that the pilot asks for, over what all images cover."""
    if spec.grid is None:
        return None
    paths = [find(one.file) for one in (*spec.images, *spec.target)]
    return common_grid(paths, crs=spec.grid.crs, resolution=spec.grid.resolution)


def _features(spec: Features) -> FeatureSet:
    return FeatureSet(
        bands=spec.bands if spec.bands == "all" else list(spec.bands),
        indices=list(spec.indices),
        dates=spec.dates,
        temporal=list(spec.temporal),
        interpolate=spec.interpolate,
        min_valid=spec.min_valid,
        texture=[one.model_dump() for one in spec.texture],
    )


def _same_features(spec: Scene, stack: Stack, target: Stack) -> None:
    if spec.columns and list(spec.columns) != list(stack.names):
        raise ConfigError(
            "The columns of the table are not the bands of the images",
            where="data.scene.columns",
            expected=", ".join(stack.names),
            hint="name the bands of the images like the columns: bands: {NAME: 1}",
        )
    # The classifier sees places of a row, not names.
    if _undated(stack) != _undated(target):
        raise ConfigError(
            "The bands of the target are not those of the images, in their order",
            where="data.scene.target",
            expected=", ".join(_undated(stack)),
        )


def _undated(stack: Stack) -> list[str]:
    """Return the names of the bands, with the place of a date for the date."""
    places = {day: f"@{place}" for place, day in enumerate(stack.dates, 1)}
    if len(places) == 1:
        return [name.partition("@")[0] for name in stack.names]
    parts = (name.partition("@") for name in stack.names)
    return [band + places[day or None] for band, _, day in parts]


def _previous(spec: Scene, find: Find) -> tuple[Path, dict[int, str]] | None:
    if spec.previous is None:
        return None
    return find(spec.previous.file), codes_of(spec.previous)


def codes_of(spec: Map) -> dict[int, str]:
    """Return code -> class of a map."""
    return {code: name for name, codes in spec.classes.items() for code in codes}


def _classes_at(
    frame: pd.DataFrame, grid: Grid, path: Path, codes: dict[int, str]
) -> np.ndarray:
    """Return the earlier class at the pixel of each unit, None where it is unknown."""
    with Stack([Image(path, {PREVIOUS: 1}, classes=True)], grid) as stack:
        whole = Window(0, 0, *stack.grid.shape)
        values = stack.read(whole).values[0]
    found = values[frame["row"].to_numpy(int), frame["column"].to_numpy(int)]
    return np.array([codes.get(int(v)) if v == v else None for v in found], object)


# -- units ---------------------------------------------------------------------------


def _units(
    pilot: Pilot,
    spec: Scene,
    settings: Settings,
    stack: Stack,
    features: FeatureSet,
    sample: int | None,
) -> tuple[pd.DataFrame, list[str], list[str]]:
    path = finder(settings)(pilot.data.source)
    if path.suffix.lower() in _VECTOR:
        return _in_polygons(pilot, spec, path, stack, features, sample)
    source = read_source(pilot, settings, sample=sample)
    frame, notes = source.frame, list(source.notes)
    if spec.points is None:
        raise ConfigError(
            "The place of the labelled units is not told",
            where="data.scene.points",
            expected="columns x and y, and their crs",
        )
    _has(frame, [spec.points.x, spec.points.y, *spec.columns], "data.scene")
    if spec.columns:
        lacking = frame[list(spec.columns)].isna().any(axis=1)
        if lacking.any():
            notes.append(
                f"{int(lacking.sum()):,} units lack a feature and are left out"
            )
        return frame[~lacking].reset_index(drop=True), notes, list(source.cautions)
    found = pixels_at_points(
        stack, features, frame, x=spec.points.x, y=spec.points.y, crs=spec.points.crs
    )
    kept = found.table[found.table["ok"]].reset_index(drop=True)
    notes += [*found.notes, *_left_out(found)]
    return kept, notes, list(source.cautions)


def _in_polygons(
    pilot: Pilot,
    spec: Scene,
    path: Path,
    stack: Stack,
    features: FeatureSet,
    sample: int | None,
) -> tuple[pd.DataFrame, list[str], list[str]]:
    roles, seed = pilot.data.roles, pilot.evaluate.seed
    shapes, notes = read_polygons(path, id=roles.unit_id, number=ROW_NUMBER)
    _has(shapes, [str(roles.target)], "data.roles.target")
    found = pixels_in_polygons(
        stack, features, shapes, id=roles.unit_id, label=str(roles.target),
        max_per_polygon=spec.per_polygon, seed=seed,
    )  # fmt: skip
    frame = found.table[found.table["ok"]].reset_index(drop=True)
    frame = frame.rename(columns={"class": str(roles.target)})
    frame[POLYGON] = frame[POLYGON].astype(str)
    places = frame["row"].astype(str) + "-" + frame["column"].astype(str)
    frame[roles.unit_id] = frame[POLYGON] + "-" + places
    notes = [*notes, *found.notes, *_left_out(found)]
    if sample is None or sample >= len(frame):
        return frame, notes, []
    # Whole polygons: half of one says little about the other half's errors.
    order = np.random.default_rng(seed).permutation(frame[POLYGON].unique())
    reached = frame[POLYGON].value_counts()[order].cumsum().searchsorted(sample)
    kept = frame[frame[POLYGON].isin(order[: int(reached) + 1])].reset_index(drop=True)
    return kept, notes, [f"a sample of {len(kept)} pixels was drawn (--sample)"]


def _left_out(found: LabelledPixels) -> list[str]:
    lost = int((~found.table["ok"]).sum())
    return [f"{lost:,} labelled pixels have too few clear dates"] if lost else []


def _has(frame: pd.DataFrame, wanted: list[str], where: str) -> None:
    for name in wanted:
        if name not in frame:
            raise ConfigError(
                f"There is no column {name!r} in the data",
                where=where,
                nearest=nearest(name, map(str, frame.columns)),
            )


def _of_period(frame: pd.DataFrame, pilot: Pilot, period: str) -> pd.DataFrame:
    column = pilot.data.roles.period
    if column is None:
        raise ConfigError(
            "A period was asked for and the pilot does not say which column holds it",
            where="data.roles.period",
        )
    kept: pd.DataFrame = frame[frame[column].astype(str) == period]
    if kept.empty:
        raise ContractError(f"No unit is of the period {period}")
    return kept.reset_index(drop=True)


def _with_blocks(pilot: Pilot, spec: Scene, frame: pd.DataFrame) -> list[str]:
    """Give each unit its block, a square of land or its polygon or cluster.

    Returns
    -------
    list of str
        How many units lie in no core and are not judged.
    """
    frame[CORE] = True
    if spec.block is None:
        column = POLYGON if POLYGON in frame else pilot.data.roles.cluster
        if column is None:
            raise ConfigError(
                "Nothing tells which units lie together",
                where="data.scene.block",
                expected="the side of a square of land, or data.roles.cluster",
            )
        frame[BLOCK] = frame[column].astype(str).to_numpy(object)
        return []
    names = ("x", "y") if spec.points is None else (spec.points.x, spec.points.y)
    x, y = (frame[name].to_numpy(float) for name in names)
    blocks = spatial_blocks(x, y, spec.block)
    frame[BLOCK] = np.asarray(blocks).astype(str).astype(object)
    if not spec.gap:
        return []
    frame[CORE] = block_cores(x, y, spec.block, spec.gap)
    beyond = int((~frame[CORE]).sum())
    return [f"{beyond:,} of {len(frame):,} units lie near another block: not judged"]


# -- the survey ----------------------------------------------------------------------


def _survey(spec: Scene, find: Find, grid: Grid) -> Survey | None:
    how = spec.survey
    if how is None:
        return None
    text = [how.id, *([how.stratum] if how.stratum else [])]
    surveyed = io.read_table(str(find(how.file)), text_columns=text).frame
    frame = io.read_table(str(find(how.frame)), text_columns=text).frame
    wanted = [how.id, how.row, how.column, *([how.stratum] if how.stratum else [])]
    _has(frame, wanted, "data.scene.survey.frame")
    _has(surveyed, [how.id, *how.surveyed.values()], "data.scene.survey.file")
    unknown = ~surveyed[how.id].isin(frame[how.id])
    if unknown.any() or surveyed[how.id].duplicated().any():
        raise ContractError(
            f"{int(unknown.sum())} surveyed segments are not in the frame, or one is "
            "there twice",
            where="data.scene.survey",
        )
    frame = frame[wanted].rename(
        columns={how.id: "segment", how.row: "row", how.column: "col"}
    )
    corners = frame[["row", "col"]].to_numpy(float)
    if ((corners < 0) | (corners > np.array(grid.shape) - how.size)).any():
        raise ConfigError(
            "A segment of the frame reaches over the edge of the images",
            where="data.scene.survey.frame",
            expected=f"row and col of the upper left pixel, size {how.size}",
        )
    frame["stratum"] = frame[how.stratum].astype(str) if how.stratum else "all"
    taken = surveyed[[how.id, *how.surveyed.values()]].set_axis(
        ["segment", *how.surveyed], axis=1
    )
    joined = taken.merge(frame, on="segment", validate="one_to_one")
    return Survey(joined, frame, how.size, list(how.surveyed))


def _known(spec: Scene, find: Find) -> dict[str, float]:
    if spec.known is None:
        return {}
    table = io.read_table(str(find(spec.known)), text_columns=["class"]).frame
    _has(table, ["class", "hectares"], "data.scene.known")
    return dict(zip(table["class"], table["hectares"].astype(float), strict=True))
