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
from mlstats.config_imagery import ZoneRaster
from mlstats.dataset import finder
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.guard import method_guard
from mlstats.imagery.polygons import read_polygons
from mlstats.imagery_task import ESTIMATE_COLUMNS, ArmRun, ImageryData
from mlstats.method import build
from mlstats.settings import Settings

__all__ = ["build_spreader", "load_zones", "run_spreader"]


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
    _present([spec.within, *roles.variables], shapes, "data.zones")
    if sample is not None or period is not None:
        raise ConfigError(
            "Zones are spread all together",
            where="--sample" if sample is not None else "--period",
            hint="leave it out",
        )
    shapes["km2"] = shapes.to_crs(spec.equal_area).geometry.area.to_numpy() / 1e6
    digests = [io.sha256_file(source)]
    for name, raster in spec.rasters.items():
        path = find(raster.file)
        digests.append(io.sha256_file(path))
        shapes[name], told = _sums(path, raster, shapes, roles.unit_id)
        notes += told
    frame = pd.DataFrame(shapes.drop(columns="geometry"))
    codes = [c for c in [*roles.codes(), spec.within] if c in frame]
    frame = frame.astype(dict.fromkeys(codes, str)).astype(dict.fromkeys(codes, object))
    result = contract.check(frame, pilot.data, truth=None)
    notes.append(
        f"small zones: {len(frame):,} in {frame[spec.within].nunique():,} zones"
    )
    digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    rules = (result.kept, result.held)
    return ImageryData(frame, shapes[["geometry"]], digest, notes, [], rules), result


def _present(wanted: list[str], table: pd.DataFrame, where: str) -> None:
    for name in wanted:
        if name not in table:
            raise ConfigError(
                f"There is no column {name!r} in the small zones",
                where=where,
                nearest=nearest(name, map(str, table.columns)),
            )


def _sums(
    path: Path, spec: ZoneRaster, shapes: Any, unit: str
) -> tuple[np.ndarray, list[str]]:
    """Return the sum of a raster in each small zone, 0 where it has no cell there."""
    from mlstats.imagery.zonal import zonal_statistics

    with tempfile.TemporaryDirectory(prefix="mlstats-") as folder:
        used = path
        if spec.above is not None:
            used = Path(folder) / "above.tif"
            _above(path, spec.above, used)
        found = zonal_statistics(
            used, shapes[[unit, "geometry"]], id=unit, statistics=("sum", "count")
        )
    told = [f"{path.name}: {found.attrs['method']}"]
    empty = int((found["count"] == 0).sum())
    if empty:
        told.append(f"{path.name} has no cell in {empty} small zones: taken as 0")
    return found["sum"].fillna(0).to_numpy(float), told


class _Above:
    """1 where a raster is above a value; a class, so that workers can be sent it."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, block: Any) -> np.ndarray:
        return np.asarray(block.values[:1] > self.value, dtype="uint8")


def _above(path: Path, value: float, out: Path) -> None:
    from mlstats.imagery.raster_map import map_raster

    map_raster(_Above(value), path, out, bands=["above"], dtype="uint8", nodata=None)


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
    return method


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
    groups = frame[(pilot.data.roles.domain or (spec.within,))[0]].astype(str)
    parts, kept, changed = [], [], []
    for variable in pilot.data.roles.variables:
        totals = frame.groupby("zone")[variable].sum()
        with method_guard(name), clock("predict", len(frame)):
            found = method.spread(frame, totals, groups.to_numpy(object))
        again = method.spread(frame, totals, groups.to_numpy(object))
        changed.append(float((found.values != again.values).mean()))
        _nothing_lost(found, variable)
        kept.append(found.zones.assign(variable=variable))
        parts.append(
            pd.DataFrame(
                {
                    "row": np.arange(len(frame)),
                    "variable": variable,
                    "prediction": found.values,
                    "truth": frame[variable].to_numpy(float),
                    "scheme": "",
                    "confidence": np.nan,
                }
            )
        )
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
