"""Small zones with their census and what rasters tell of them, for disaggregation."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats import contract, io
from mlstats.clock import Clock
from mlstats.config import Pilot
from mlstats.config_imagery import ZoneRaster, Zones
from mlstats.dataset import finder
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.guard import method_guard
from mlstats.imagery.grid import Grid
from mlstats.imagery.polygons import read_polygons
from mlstats.imagery.projection import known_crs
from mlstats.imagery.zones import PARTLY, prepared_zones
from mlstats.imagery_task import (
    ESTIMATE_COLUMNS,
    ArmRun,
    ImageryData,
    map_workers,
    unit_rows,
)
from mlstats.imagery_units import has_columns, numbers_in
from mlstats.method import build
from mlstats.settings import Settings

__all__ = ["build_spreader", "load_zones", "run_spreader"]

_CELLS = 100  # of a grid over all zones, on which distortion is looked at


def load_zones(
    pilot: Pilot, settings: Settings, *, sample: int | None, period: str | None
) -> tuple[ImageryData, contract.ContractResult]:
    """Read the small zones, their areas and the sums of the rasters in them.

    The frame has a row per small zone: the columns of the file, ``km2`` and a column
    for each raster.
    """
    spec, roles = pilot.data.zones, pilot.data.roles
    assert spec is not None
    find = finder(settings)
    source = find(pilot.data.source)
    shapes, notes = read_polygons(source, layer=spec.layer, id=roles.unit_id)
    _check(pilot, spec, shapes)
    if sample is not None or period is not None:
        raise ConfigError(
            "Zones are spread all together",
            where="--sample" if sample is not None else "--period",
            hint="leave it out",
        )
    _apart(spec.equal_area, shapes, roles.unit_id)
    shapes["km2"] = shapes.to_crs(spec.equal_area).geometry.area.to_numpy() / 1e6
    digests, cautions = [io.sha256_file(source)], list[str]()
    for name, raster in spec.rasters.items():
        path = find(raster.file)
        digests.append(io.sha256_file(path))
        places = shapes[[roles.unit_id, "geometry"]]
        shapes[name], told, more = _sums(path, raster, places)
        notes += [note for note in told if note not in notes]
        cautions += [note for note in more if note not in cautions]
    frame = pd.DataFrame(shapes.drop(columns="geometry"))
    codes = [c for c in [*roles.codes(), spec.within] if c in frame]
    frame = frame.astype(dict.fromkeys(codes, str)).astype(dict.fromkeys(codes, object))
    result = contract.check(frame, pilot.data, truth=None)
    notes.append(
        f"small zones: {len(frame):,} in {frame[spec.within].nunique():,} zones"
    )
    digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    rules = (result.kept, result.held)
    data = ImageryData(frame, shapes[["geometry"]], digest, notes, cautions, rules)
    return data, result


def _check(pilot: Pilot, spec: Zones, shapes: Any) -> None:
    """Refuse zones whose totals would not be those of their file."""
    where, variables = pilot.data.source, list(pilot.data.roles.variables)
    has_columns(shapes, [spec.within, *variables], "data.zones")
    numbers_in(shapes, variables, where)
    for name in variables:
        below = int((shapes[name].astype(float) < 0).sum())
        if below:
            raise ContractError(
                f"{below} of {len(shapes)} values of {name!r} are below 0",
                where=where,
                expected="totals that can be spread",
            )
    lost = int((shapes[spec.within].isna()).sum())
    if lost:
        raise ContractError(
            f"{lost} small zones lie in no large one",
            where=f"column {spec.within} of {where}",
            expected="the zone that each lies in",
        )
    taken = [name for name in [*spec.rasters, "km2"] if name in shapes]
    if taken:
        raise ConfigError(
            f"The small zones have a column {taken[0]!r} already",
            where="data.zones.rasters",
            hint="name the raster otherwise, or rename the column",
        )


def _apart(crs: str, shapes: Any, unit: str) -> None:
    """Refuse a projection that is not equal-area, and zones that overlap."""
    known_crs(crs)
    left, bottom, right, top = shapes.to_crs(crs).total_bounds
    side = max(right - left, top - bottom) / _CELLS
    size = (max(1, round((right - left) / side)), max(1, round((top - bottom) / side)))
    grid = Grid(crs, (side, 0.0, left, 0.0, -side, top), *size)
    grid.pixel_hectares()
    zones = prepared_zones(shapes[[unit, "geometry"]], id=unit, grid=grid)
    lost = len(shapes) - len(zones.used)
    if lost:
        raise ContractError(
            f"{lost} of {len(shapes)} small zones are no polygons",
            where="data.source",
            expected="polygons with an area",
        )
    try:
        _ = zones.layers
    except ContractError as error:  # without the ids that it names
        raise ContractError(
            f"{error.title}: their land would count twice",
            where="data.source",
            expected=error.expected,
        ) from None


def _sums(
    path: Path, spec: ZoneRaster, shapes: Any
) -> tuple[np.ndarray, list[str], list[str]]:
    """Return the sum of a raster in each small zone, 0 where it has no value there."""
    from mlstats.imagery.zonal import zonal_statistics

    pixels = int(np.prod(Grid.of(path).shape))
    with tempfile.TemporaryDirectory(prefix="mlstats-") as folder:
        used = path
        if spec.above is not None:
            used = Path(folder) / "above.tif"
            _above(path, spec.above, used, pixels)
        found = zonal_statistics(
            *(used, shapes),
            id=shapes.columns[0],
            statistics=("sum", "count"),
            # Other machines do not see a temporary folder.
            workers=map_workers(pixels, sums=True, shared=used == path),
        )
    empty, partly = (
        int((found["count"] == 0).sum()),
        int((found["status"] == PARTLY).sum()),
    )
    if empty == len(found):
        raise ContractError(
            f"{path.name} has a value in none of the small zones",
            where="data.zones.rasters",
            hint="does it cover their land, and is its CRS the right one?",
        )
    told = [f"{path.name}: {found.attrs['method']}"]
    cautions = []
    if empty or partly:
        cautions.append(
            f"{path.name} has no value in {empty} small zones and ends within "
            f"{partly}: what it does not tell counts as 0"
        )
    return found["sum"].fillna(0).to_numpy(float), told, cautions


class _Above:
    """1 where a raster is above a value; a class, so that workers can be sent it."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, block: Any) -> np.ndarray:
        return np.asarray(block.values[:1] > self.value, dtype="uint8")


def _above(path: Path, value: float, out: Path, pixels: int) -> None:
    from mlstats.imagery.raster_map import map_raster

    map_raster(
        *(_Above(value), path, out),
        bands=["above"],
        dtype="uint8",
        workers=map_workers(pixels),
    )


# -- methods -------------------------------------------------------------------------


def build_spreader(pilot: Pilot, name: str) -> Any:
    """Make a method of a pilot of zones.

    Raises
    ------
    ConfigError
        Where the class does not spread totals.
    """
    spec, where = pilot.methods[name], f"methods.{name}"
    method = build(spec.use, spec.params, where=where)
    if not callable(getattr(method, "spread", None)):
        raise ConfigError(
            f"{spec.use} does not spread totals",
            where=where,
            expected="ArealWeighting, Dasymetric, LearnedDensity of mlstats.imagery, "
            "or a class with spread(cells, totals, groups)",
        )
    assert pilot.data.zones is not None
    known = list(pilot.data.zones.rasters)
    for named in filter(None, [getattr(method, "weight", None), *_features(method)]):
        if named not in known:
            raise ConfigError(
                f"The pilot has no raster {named!r}",
                where=f"{where}.params",
                expected=", ".join(known) or "data.zones.rasters",
                nearest=nearest(str(named), known),
            )
    return method


def _features(method: Any) -> list[Any]:
    return list(getattr(method, "features", ()) or ())


def run_spreader(pilot: Pilot, name: str, data: ImageryData) -> ArmRun:
    """Spread the totals of the zones over the small ones, as if these were not known.

    The block that a learnt density may not have seen is the pilot's first domain, or
    the zone itself.

    Raises
    ------
    MethodError
        Where the method fails.
    ContractError
        Where a zone's total was lost.
    """
    spec = pilot.data.zones
    assert spec is not None
    method, clock = build_spreader(pilot, name), Clock(name)
    frame = data.frame.assign(zone=data.frame[spec.within])
    # What the census says of the small zones is not among what a method may read.
    cells = frame[["zone", "km2", *spec.rasters]]
    groups = frame[(pilot.data.roles.domain or (spec.within,))[0]].astype(str)
    parts, kept, changed = [], [], []
    for variable in pilot.data.roles.variables:
        totals = frame.groupby("zone")[variable].sum()
        blocks = groups.to_numpy(object)
        with method_guard(name):
            with clock("predict", len(frame)):
                found = method.spread(cells, totals, blocks)
            again = method.spread(cells, totals, blocks)
        changed.append(float((found.values != again.values).mean()))
        _nothing_lost(found, variable)
        kept.append(found.zones.assign(variable=variable))
        truth = frame[variable].to_numpy(float)
        parts.append(unit_rows(variable, found.values, truth))
    zones = pd.concat(kept, ignore_index=True)
    status = zones.groupby(["variable", "status"]).size().rename("zones").reset_index()
    rasters = dict.fromkeys(["km2", *spec.rasters], "double")
    return ArmRun(
        name,
        method,
        pd.concat(parts, ignore_index=True),
        pd.DataFrame(columns=list(ESTIMATE_COLUMNS)),
        clock.rows,
        rasters,
        float(np.mean(changed)),
        {"zones": status.assign(method=name)},
    )


def _nothing_lost(found: Any, variable: str) -> None:
    lost = found.zones["status"].str.startswith("not placed")
    if lost.any():
        raise ContractError(
            f"Totals of {variable!r} of {int(lost.sum())} zones are in no small zone",
            where="data.zones",
            expected="at least one small zone with an area in every zone",
        )
