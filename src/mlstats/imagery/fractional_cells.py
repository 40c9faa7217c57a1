"""Fractional cells: each counts by the share of it that lies in the zone.

The geometry is exactextract's; what is made of its sums is the same as for the centre
rule.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, SourceError
from mlstats.imagery.cell_tally import Tally
from mlstats.imagery.zones import Places, Shapes, Zones
from mlstats.scale import LOCAL, Scale, map_blocks

__all__ = ["fractional_tally"]

CACHE_BYTES = 64 * 2**20
CELLS_IN_MEMORY = 10_000_000
# For a cluster, which does not tell how many workers it will have.
PARTS = 64
# "unvalued" counts cells without data as well, by giving them a value.
_ALWAYS = ["count", "sum", "unvalued=count(default_value=0)"]
_BY_STATISTIC = {
    "min": ["min", "max"],  # a negative scale makes the lowest value the highest
    "max": ["min", "max"],
    "std": ["variance"],
    "majority": ["unique", "frac"],
}


@dataclass(frozen=True, eq=False)
class _Share:
    path: str
    crs: str
    bands: tuple[int, ...]
    places: Places
    shapes: Shapes
    statistics: frozenset[str]


def fractional_tally(
    raster: Any,
    zones: Zones,
    *,
    bands: Sequence[int],
    statistics: Collection[str],
    workers: int | Scale = 1,
) -> Tally:
    """Tally the cells of zones, those on a border by the share that is inside.

    Parameters
    ----------
    raster : rasterio.DatasetReader
    zones : Zones
        They may overlap.
    bands : sequence of int
        From 1.
    statistics : collection of str
        What is to be told, of :data:`mlstats.imagery.cell_tally.STATISTICS`.
    workers : int or Scale, default=1

    Raises
    ------
    ConfigError
        Where exactextract is not installed.
    SourceError
        Where the raster cannot be read.

    References
    ----------
    Baston (2025), exactextract, https://github.com/isciences/exactextract.
    """
    tally = Tally.empty(len(bands), len(zones.ids))
    # Zones of one part lie together, so that each block is read by few of them.
    parts = np.array_split(_southwards(zones), _parts(workers))
    path = str(Path(raster.name).absolute())
    tasks = (
        _Share(
            *(path, raster.crs.to_wkt(), tuple(bands)),
            *(places, zones.shapes[places], frozenset(statistics)),
        )
        for places in parts
        if len(places)
    )
    for places, part in map_blocks(_tally_share, tasks, workers=workers):
        tally.add(places, part)
    return tally


def _parts(workers: int | Scale) -> int:
    """Return how many parts there are; each reads the blocks at its borders again."""
    if isinstance(workers, int):
        return max(workers, 1)
    return workers.workers if workers.address == LOCAL else PARTS


def _southwards(zones: Zones) -> Places:
    import shapely

    used = zones.used
    return used[np.argsort(-shapely.bounds(zones.shapes[used])[:, 3], kind="stable")]


def _tally_share(task: _Share) -> tuple[Places, Tally]:
    import rasterio

    tally = Tally.empty(len(task.bands), len(task.shapes))
    needed = [_BY_STATISTIC.get(name, []) for name in sorted(task.statistics)]
    names = list(dict.fromkeys([*_ALWAYS, *chain.from_iterable(needed)]))
    rows: list[pd.DataFrame] = []
    for place, band in enumerate(task.bands):
        try:
            found = _extracted(task, band, names)
        except (rasterio.errors.RasterioError, RuntimeError):
            raise SourceError(
                "The raster cannot be read",
                where=task.path,
                expected="a whole file in a format of GDAL",
                hint="copy it again; an interrupted copy looks like this",
            ) from None
        _fill(tally, place, found)
        if "majority" in task.statistics:
            rows.append(_codes(found, place))
    if rows:
        tally.codes = pd.concat(rows, ignore_index=True)
    return task.places, tally


def _extracted(task: _Share, band: int, names: list[str]) -> pd.DataFrame:
    try:
        import exactextract
        from exactextract.raster import RasterioRasterSource
    except ImportError:
        raise ConfigError(
            "Fractional cells need the package exactextract, which is not installed",
            hint="pip install 'mlstats[imagery]', or method=\"centre\"",
        ) from None
    import geopandas
    import rasterio

    frame = geopandas.GeoDataFrame(
        {"place": np.arange(len(task.shapes))}, geometry=task.shapes, crs=task.crs
    )
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_NUM_THREADS=1),
        rasterio.open(task.path) as raster,
        warnings.catch_warnings(),
    ):
        # The projection is the same; exactextract compares how it is spelt.
        warnings.filterwarnings("ignore", "Spatial reference system")
        source = RasterioRasterSource(raster, band)
        # As the file has it: codes are never scaled, and sums are later.
        source.scaled = False
        found: pd.DataFrame = exactextract.exact_extract(
            source,
            frame,
            names,
            include_cols=["place"],
            strategy="feature-sequential",
            max_cells_in_memory=CELLS_IN_MEMORY,
            output="pandas",
        )
    return found.sort_values("place", ignore_index=True)


def _fill(tally: Tally, place: int, found: pd.DataFrame) -> None:
    count = found["count"].to_numpy(float)
    some = count > 0
    tally.cells = found["unvalued"].to_numpy(float)
    tally.count[place] = count
    for target, name in (
        (tally.total, "sum"),
        (tally.low, "min"),
        (tally.high, "max"),
        (tally.squares, "variance"),
    ):
        if name in found:
            target[place, some] = found[name].to_numpy(float)[some]
    tally.squares[place] *= count


def _codes(found: pd.DataFrame, place: int) -> pd.DataFrame:
    sizes = [len(codes) for codes in found["unique"]]
    return pd.DataFrame(
        {
            "band": place,
            "zone": np.repeat(np.arange(len(found)), sizes),
            "code": np.concatenate([*found["unique"], []]).astype(np.int64),
            "cells": np.concatenate([*found["frac"], []])
            * np.repeat(found["count"].to_numpy(float), sizes),
        }
    )
