"""The data of a scene: labelled units, the images, an earlier map, a survey."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from mlstats import contract, io
from mlstats.config import Pilot
from mlstats.config_imagery import Features, Map, Scene, SceneImage
from mlstats.dataset import finder, source_finder
from mlstats.errors import ConfigError, ContractError
from mlstats.imagery.features import FeatureSet
from mlstats.imagery.grid import Grid, common_grid
from mlstats.imagery.images import CloudMask, Image, Stack
from mlstats.imagery.previous_map import PREVIOUS
from mlstats.imagery.projection import moved_points
from mlstats.imagery.windows import Window
from mlstats.imagery_task import ImageryData
from mlstats.imagery_units import BLOCK, has_columns, numbers_in
from mlstats.partitions import digest_of
from mlstats.scene_units import (
    labelled_units,
    with_blocks,
    with_labels,
)
from mlstats.settings import Settings

__all__ = ["SceneData", "Survey", "load_scene"]

_STRIP = 512  # rows of an earlier map that are read together


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
    frame, notes, cautions = labelled_units(
        pilot, settings, stack, features, sample=sample, period=period
    )
    _hectares(target.grid)  # refused here, before anything is fitted
    names = list(spec.columns) or list(features.names(stack))
    _same_features(spec, stack, target)
    previous = _previous(spec, find)
    if previous is not None:
        places = _pixels_of(frame, spec, stack.grid)
        frame[PREVIOUS] = _classes_at(places, stack.grid, *previous)
    notes += with_blocks(pilot, spec, frame)
    data = source_finder(settings)(pilot.data.source)
    paths = dict.fromkeys([data, *_paths(spec, find)])
    digests = [digest_of(path) for path in paths]
    survey = _survey(spec, find, target.grid)
    scene = SceneData(
        stack, target, features, names, bool(spec.target), previous,
        survey, _known(spec, find), digests,
    )  # fmt: skip
    result = contract.check(frame, pilot.data, truth=pilot.truth)
    if result.ok:
        frame, told = with_labels(frame, pilot.truth)
        notes += told
        cautions += _not_shown(frame, pilot.truth, survey)
    digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    notes.append(f"labelled units: {len(frame):,} in {frame[BLOCK].nunique():,} blocks")
    notes.append(f"features: {len(names)}")
    rules = (result.kept, result.held)
    return ImageryData(frame, scene, digest, notes, cautions, rules), result


def _paths(spec: Scene, find: Find) -> list[str]:
    images = (*spec.images, *spec.target)
    masks = (one.cloud.file for one in images if one.cloud)
    named = [*(one.file for one in images), *masks, spec.known]
    named += [spec.previous.file] if spec.previous else []
    named += [spec.survey.file, spec.survey.frame] if spec.survey else []
    return [str(find(name)) for name in dict.fromkeys(named) if name]


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


def _hectares(grid: Grid) -> float:
    """Return the area of a pixel, and say which key of the pilot mends a bad grid."""
    try:
        return grid.pixel_hectares()
    except ContractError as error:
        raise ContractError(
            f"No areas from this grid: {error.title}",
            where="data.scene.images",
            expected=error.expected,
            hint="data.scene.grid: {crs: EPSG:6933, resolution: 10} brings the images "
            "to an equal-area grid; resolution is in metres",
        ) from None


def _pixels_of(
    frame: pd.DataFrame, spec: Scene, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each unit; features of a table come without them."""
    if not spec.columns:
        return frame["row"].to_numpy(int), frame["column"].to_numpy(int)
    assert spec.points is not None
    x, y = (frame[name].to_numpy(float) for name in (spec.points.x, spec.points.y))
    return grid.pixels_of(*moved_points(x, y, spec.points.crs, grid.crs))


def _classes_at(
    places: tuple[np.ndarray, np.ndarray], grid: Grid, path: Path, codes: dict[int, str]
) -> np.ndarray:
    """Return the earlier class at each pixel, None where it is unknown or outside."""
    row, column = places
    found: np.ndarray = np.full(len(row), None, dtype=object)
    inside = (row >= 0) & (row < grid.height) & (column >= 0) & (column < grid.width)
    with Stack([Image(path, {PREVIOUS: 1}, classes=True)], grid) as stack:
        for strip in Window.cover(grid.shape, (_STRIP, grid.width)):
            here = inside & (row >= strip.row) & (row < strip.row + strip.height)
            if not here.any():
                continue
            values = stack.read(strip).values[0][row[here] - strip.row, column[here]]
            found[here] = [codes.get(int(v)) if v == v else None for v in values]
    return found


# -- the survey ----------------------------------------------------------------------


def _survey(spec: Scene, find: Find, grid: Grid) -> Survey | None:
    how = spec.survey
    if how is None:
        return None
    text = [how.id, *([how.stratum] if how.stratum else [])]
    surveyed = io.read_table(str(find(how.file)), text_columns=text).frame
    frame = io.read_table(str(find(how.frame)), text_columns=text).frame
    wanted = [how.id, how.row, how.column, *([how.stratum] if how.stratum else [])]
    has_columns(frame, wanted, "data.scene.survey.frame")
    has_columns(surveyed, [how.id, *how.surveyed.values()], "data.scene.survey.file")
    numbers_in(surveyed, list(how.surveyed.values()), "data.scene.survey.file")
    numbers_in(frame, [how.row, how.column], "data.scene.survey.frame")
    unknown = ~surveyed[how.id].isin(frame[how.id])
    twice = [table[how.id].duplicated().sum() for table in (surveyed, frame)]
    if unknown.any() or any(twice):
        raise ContractError(
            f"{int(unknown.sum())} surveyed segments are not in the frame, "
            f"{twice[0]} are surveyed twice, {twice[1]} stand twice in the frame",
            where="data.scene.survey",
            expected="each segment of the frame once, each surveyed one among them",
        )
    frame = frame[wanted].rename(
        columns={how.id: "segment", how.row: "row", how.column: "col"}
    )
    _apart(frame, how.size, grid)
    frame["stratum"] = frame[how.stratum].astype(str) if how.stratum else "all"
    taken = surveyed[[how.id, *how.surveyed.values()]].set_axis(
        ["segment", *how.surveyed], axis=1
    )
    joined = taken.merge(frame, on="segment", validate="one_to_one")
    _within(joined[list(how.surveyed)], how.size**2 * _hectares(grid))
    return Survey(joined, frame, how.size, list(how.surveyed))


def _within(surveyed: pd.DataFrame, hectares: float) -> None:
    """Refuse hectares of another unit; a tenth more is left to borders and rounding."""
    values = surveyed.to_numpy(float)
    wrong = (values < 0).any(axis=1) | (values.sum(axis=1) > 1.1 * hectares)
    if wrong.any():
        raise ContractError(
            f"{int(wrong.sum())} of {len(values)} surveyed segments hold less than 0 "
            "hectares of a class, or more of all than their land",
            where="data.scene.survey.surveyed",
            expected=f"hectares of a segment of {hectares:g} hectares",
        )


def _apart(frame: pd.DataFrame, size: int, grid: Grid) -> None:
    """Refuse segments that reach over the edge, or hold a pixel of another."""
    row, column = (frame[name].to_numpy(int) for name in ("row", "col"))
    over = (row < 0) | (column < 0)
    over |= (row + size > grid.height) | (column + size > grid.width)
    if over.any():
        raise ContractError(
            f"{int(over.sum())} segments of the frame reach over the images' edge",
            where="data.scene.survey.frame",
            expected=f"row and col, from 0, of the upper left of {size} x {size} "
            f"pixels in {grid.height} rows and {grid.width} columns",
        )
    corners = cKDTree(np.column_stack([row, column]))
    if corners.query_pairs(size - 0.5, p=np.inf):
        raise ContractError(
            "Segments of the frame overlap: their land would count twice",
            where="data.scene.survey.frame",
            expected=f"squares of {size} x {size} pixels that share none",
        )


def _not_shown(frame: pd.DataFrame, label: str, survey: Survey | None) -> list[str]:
    known = set(frame[label].astype(str))
    absent = [name for name in (survey.classes if survey else []) if name not in known]
    if not absent:
        return []
    return [
        "surveyed classes without a labelled unit, which no map shows: "
        + ", ".join(absent)
    ]


def _known(spec: Scene, find: Find) -> dict[str, float]:
    if spec.known is None:
        return {}
    table = io.read_table(str(find(spec.known)), text_columns=["class"]).frame
    has_columns(table, ["class", "hectares"], "data.scene.known")
    return dict(zip(table["class"], table["hectares"].astype(float), strict=True))
