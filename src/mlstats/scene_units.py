"""The labelled units of a scene: points or polygons, their blocks, their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.config_imagery import Scene
from mlstats.dataset import ROW_NUMBER, read_source, source_finder
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.imagery.blocks_and_seasons import block_cores, spatial_blocks
from mlstats.imagery.features import FeatureSet
from mlstats.imagery.images import Stack
from mlstats.imagery.polygons import read_polygons
from mlstats.imagery.training_pixels import pixels_at_points, pixels_in_polygons
from mlstats.imagery_units import (
    BLOCK,
    CORE,
    UNCLASSIFIED,
    has_columns,
    numbers_in,
)
from mlstats.settings import Settings

__all__ = [
    "POLYGON",
    "labelled_units",
    "with_blocks",
    "with_labels",
]

POLYGON = "polygon"
_VECTOR = (".gpkg", ".geojson", ".json", ".shp", ".fgb")


def labelled_units(
    pilot: Pilot,
    settings: Settings,
    stack: Stack,
    features: FeatureSet,
    *,
    sample: int | None,
    period: str | None,
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return the labelled units with their features, notes and cautions.

    Raises
    ------
    ConfigError
        Where a column is missing, or the place of the units is not told.
    ContractError
        Where units lie outside the images, or nothing is left of them.
    """
    spec = pilot.data.scene
    assert spec is not None
    path = source_finder(settings)(pilot.data.source)
    if Path(path).suffix.lower() in _VECTOR:
        frame, notes, cautions = _in_polygons(pilot, path, stack, features, sample)
    else:
        source = read_source(pilot, settings, sample=sample)
        cautions = list(source.cautions)
        frame, notes = _at_points(pilot, source.frame, stack, features)
        notes = [*source.notes, *notes]
    if frame.empty:
        raise ContractError(
            "No labelled unit has enough clear dates",
            where="data.scene.images",
            expected=f"{spec.features.min_valid} clear dates in its pixel",
            hint="check the cloud mask and its clear codes, or lower "
            "data.scene.features.min_valid",
        )
    if period is not None:
        frame = _of_period(frame, pilot, period)
    return frame, notes, cautions


def _in_polygons(
    pilot: Pilot, path: Any, stack: Stack, features: FeatureSet, sample: int | None
) -> tuple[pd.DataFrame, list[str], list[str]]:
    spec, roles, seed = pilot.data.scene, pilot.data.roles, pilot.evaluate.seed
    assert spec is not None
    shapes, notes = read_polygons(path, id=roles.unit_id, number=ROW_NUMBER)
    has_columns(shapes, [str(roles.target)], "data.roles.target")
    found = pixels_in_polygons(
        stack, features, shapes, id=roles.unit_id, label=str(roles.target),
        max_per_polygon=spec.per_polygon, seed=seed,
    )  # fmt: skip
    frame = found.table[found.table["ok"]].reset_index(drop=True)
    frame = frame.rename(columns={"class": str(roles.target)})
    frame[POLYGON] = frame[POLYGON].astype(str)
    places = frame["row"].astype(str) + "-" + frame["column"].astype(str)
    frame[roles.unit_id] = frame[POLYGON] + "-" + places
    notes = [*notes, *found.notes]
    if sample is None or sample >= len(frame):
        return frame, notes, []
    # Whole polygons: half of one says little about the other half's errors.
    order = np.random.default_rng(seed).permutation(frame[POLYGON].unique())
    reached = frame[POLYGON].value_counts()[order].cumsum().searchsorted(sample)
    kept = frame[frame[POLYGON].isin(order[: int(reached) + 1])].reset_index(drop=True)
    return kept, notes, [f"a sample of {len(kept)} pixels was drawn (--sample)"]


def _at_points(
    pilot: Pilot, frame: pd.DataFrame, stack: Stack, features: FeatureSet
) -> tuple[pd.DataFrame, list[str]]:
    spec = pilot.data.scene
    assert spec is not None
    if spec.points is None:
        raise ConfigError(
            "The place of the labelled units is not told",
            where="data.scene.points",
            expected="columns x and y, and their crs",
        )
    places = [spec.points.x, spec.points.y]
    has_columns(frame, [*places, *spec.columns], "data.scene")
    numbers_in(frame, places, "data.scene.points")
    if spec.columns:
        lacking = frame[list(spec.columns)].isna().any(axis=1)
        kept = frame[~lacking].reset_index(drop=True)
        told = f"{int(lacking.sum()):,} units lack a feature and are left out"
        return kept, [told] if lacking.any() else []
    found = pixels_at_points(
        stack, features, frame, x=places[0], y=places[1], crs=spec.points.crs
    )
    kept = found.table[found.table["ok"]].reset_index(drop=True)
    return kept, [*found.notes, *_shared_pixels(kept, pilot.truth)]


def _shared_pixels(frame: pd.DataFrame, label: str) -> list[str]:
    """Tell of points that have all features in common, and not always the label."""
    if label not in frame:
        return []  # the contract tells
    by_pixel = frame.groupby(["row", "column"])[label]
    shared = int((by_pixel.transform("size") > 1).sum())
    apart = int((by_pixel.transform("nunique") > 1).sum())
    told = f"{shared:,} points share their pixel with another"
    told += f", {apart:,} of them with one of another class" if apart else ""
    return [told] if shared else []


def _of_period(frame: pd.DataFrame, pilot: Pilot, period: str) -> pd.DataFrame:
    column = pilot.data.roles.period
    if column is None:
        raise ConfigError(
            "A period was asked for and the pilot does not say which column holds it",
            where="data.roles.period",
            hint="leave --period out, or name the column",
        )
    has_columns(frame, [column], "data.roles.period")
    kept: pd.DataFrame = frame[frame[column].astype(str) == period]
    if kept.empty:
        raise ContractError(
            f"No unit is of the period {period}",
            where=f"column {column}",
            nearest=nearest(period, frame[column].astype(str).unique()),
        )
    return kept.reset_index(drop=True)


def with_blocks(pilot: Pilot, spec: Scene, frame: pd.DataFrame) -> list[str]:
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
        has_columns(frame, [column], "data.roles.cluster")
        frame[BLOCK] = frame[column].astype(str).to_numpy(object)
        return []
    # Read from images, units lie in their CRS, whatever CRS the points are told in.
    names = ("x", "y")
    if spec.columns and spec.points is not None:
        names = (spec.points.x, spec.points.y)
    x, y = (frame[name].to_numpy(float) for name in names)
    blocks = spatial_blocks(x, y, spec.block)
    frame[BLOCK] = np.asarray(blocks).astype(str).astype(object)
    if not spec.gap:
        return []
    frame[CORE] = block_cores(x, y, spec.block, spec.gap)
    beyond = int((~frame[CORE]).sum())
    return [f"{beyond:,} of {len(frame):,} units lie near another block: not judged"]


def with_labels(frame: pd.DataFrame, label: str) -> tuple[pd.DataFrame, list[str]]:
    """Leave out units without a label, which the contract tolerates up to a share.

    Raises
    ------
    ContractError
        Where a label is the word for what has no class, or all are the same.
    """
    given = frame[label].fillna("").astype(str).str.strip()
    if (given.str.lower() == UNCLASSIFIED).any():
        raise ContractError(
            f"A class is called {UNCLASSIFIED!r}, like what no map could classify",
            where=f"column {label}",
            hint="rename the class",
        )
    lost = int((given == "").sum())
    if given[given != ""].nunique() < 2:
        raise ContractError(
            "The labelled units have a single class",
            where=f"column {label}",
            expected="two classes at least",
        )
    kept = frame[given != ""].reset_index(drop=True)
    return kept, [f"{lost:,} units have no label and are left out"] if lost else []
