"""The centre rule in strips: a cell belongs to the zone that holds its centre.

Zones are burnt into the labels of a strip of whole file blocks; runs of cells with one
label are then summed. Memory follows the strip and not the raster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import SourceError
from mlstats.imagery.cell_tally import Tally, check_codes
from mlstats.imagery.grid import Grid, grid_of
from mlstats.imagery.variance_components import Floats
from mlstats.imagery.zones import Places, Shapes, Zones
from mlstats.scale import Scale, map_blocks

__all__ = ["centre_tally", "strips"]

STRIP_ROWS = 512
STRIP_CELLS = 6_000_000
CACHE_BYTES = 64 * 2**20
# A span that is counted in an array; wider ones are sorted.
COUNTED = 65_536

_Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class _Strip:
    path: str
    bands: tuple[int, ...]
    window: tuple[int, int, int, int]  # row, column, rows, columns
    grid: Grid
    places: Places
    layers: tuple[Shapes, ...]
    statistics: frozenset[str]


def centre_tally(
    raster: Any,
    zones: Zones,
    *,
    bands: Sequence[int],
    statistics: Collection[str],
    workers: int | Scale = 1,
) -> Tally:
    """Tally the cells whose centre is in a zone.

    Parameters
    ----------
    raster : rasterio.DatasetReader
    zones : Zones
    bands : sequence of int
        From 1.
    statistics : collection of str
        What is to be told, of :data:`mlstats.imagery.cell_tally.STATISTICS`.
    workers : int or Scale, default=1

    Raises
    ------
    ContractError
        Zones that overlap, see :attr:`mlstats.imagery.zones.Zones.layers`.
    SourceError
        Where the raster cannot be read.
    """
    tally = Tally.empty(len(bands), len(zones.ids))
    tasks = _tasks(raster, zones, tuple(bands), frozenset(statistics))
    for places, part in map_blocks(_tally_strip, tasks, workers=workers):
        tally.add(places, part)
    return tally


def strips(raster: Any, bands: int = 1) -> Iterator[tuple[int, int, int, int]]:
    """Yield row, column, rows and columns of strips of whole blocks of the file."""
    block_rows, block_columns = raster.block_shapes[0]
    rows = max(STRIP_ROWS // block_rows, 1) * block_rows
    columns, most = raster.width, max(STRIP_CELLS // bands, 1)
    if rows * columns > most and block_columns < raster.width:
        columns = max(most // rows // block_columns, 1) * block_columns
    elif rows * columns > most:
        rows = max(most // columns // block_rows, 1) * block_rows
    for row in range(0, raster.height, rows):
        for column in range(0, raster.width, columns):
            size = min(rows, raster.height - row), min(columns, raster.width - column)
            yield row, column, *size


def _tasks(
    raster: Any,
    zones: Zones,
    bands: tuple[int, ...],
    statistics: frozenset[str],
) -> Iterator[_Strip]:
    import shapely

    trees = [shapely.STRtree(zones.shapes[places]) for places in zones.layers]
    grid, path = grid_of(raster), str(Path(raster.name).absolute())
    for window in strips(raster, len(bands)):
        part = grid.part(*window)
        box = shapely.box(*part.bounds)
        picks = [np.sort(tree.query(box)) for tree in trees]
        chosen = [
            places[pick]
            for places, pick in zip(zones.layers, picks, strict=True)
            if len(pick)
        ]
        if chosen:
            yield _Strip(
                path,
                bands,
                window,
                part,
                np.concatenate(chosen),
                tuple(zones.shapes[places] for places in chosen),
                statistics,
            )


def _tally_strip(task: _Strip) -> tuple[Places, Tally]:
    import rasterio
    from rasterio.features import rasterize
    from rasterio.windows import Window

    row, column, rows, columns = task.window
    window = Window(column, row, columns, rows)
    try:
        with (
            rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_NUM_THREADS=1),
            rasterio.open(task.path) as raster,
        ):
            values = raster.read(list(task.bands), window=window)
            valid = [
                _valid(raster, band, value, window)
                for band, value in zip(task.bands, values, strict=True)
            ]
    except rasterio.errors.RasterioError:
        raise SourceError(
            "The raster cannot be read",
            where=task.path,
            expected="a whole file in a format of GDAL",
            hint="copy it again; an interrupted copy looks like this",
        ) from None
    found = []
    for shapes in task.layers:
        labels = rasterize(
            zip(shapes, range(1, len(shapes) + 1), strict=True),
            out_shape=task.grid.shape,
            transform=task.grid.affine,
            dtype="uint16" if len(shapes) < 65_535 else "int32",
        )
        found.append(_tally_layer(labels.ravel(), len(shapes), values, valid, task))
    return task.places, _side_by_side(found)


def _valid(
    raster: Any, band: int, values: np.ndarray, window: Any
) -> npt.NDArray[np.bool_] | None:
    """Return which cells hold a value; None where all do."""
    from rasterio.enums import MaskFlags

    flags, nodata = raster.mask_flag_enums[band - 1], raster.nodatavals[band - 1]
    if MaskFlags.nodata in flags:
        whole = values.dtype.kind in "iu" and float(nodata).is_integer()
        valid = values != (int(nodata) if whole else nodata)
    elif MaskFlags.all_valid in flags:
        valid = np.ones(values.shape, bool)
    else:
        valid = raster.read_masks(band, window=window) > 0
    if values.dtype.kind == "f":
        valid &= ~np.isnan(values)
    return None if valid.all() else valid.ravel()


def _tally_layer(
    labels: _Labels,
    zones: int,
    values: np.ndarray,
    valid: list[npt.NDArray[np.bool_] | None],
    task: _Strip,
) -> Tally:
    tally = Tally.empty(len(values), zones)
    starts, lengths = _runs(labels)
    tally.cells = _summed(labels[starts], lengths, zones)
    counted = []
    for band, (grid, known) in enumerate(zip(values, valid, strict=True)):
        held, begin, length = labels, starts, lengths
        if known is not None:
            held = np.where(known, labels, 0)
            begin, length = _runs(held)
        flat = grid.ravel()
        _sum_runs(tally, band, flat, held[begin], begin, length, task.statistics)
        if "majority" in task.statistics:
            counted.append(_codes(held, flat, zones).assign(band=band))
    if counted:
        tally.codes = pd.concat(counted, ignore_index=True)
    return tally


def _runs(labels: _Labels) -> tuple[Places, Places]:
    """Return where runs of one label begin, and how long they are."""
    changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts = np.concatenate([[0], changes])
    return starts, np.diff(starts, append=len(labels))


def _summed(zone: _Labels, of_runs: np.ndarray, zones: int) -> Floats:
    sums = np.bincount(zone, of_runs, zones + 1)[1:]
    return np.asarray(sums, dtype=np.float64)


def _sum_runs(
    tally: Tally,
    band: int,
    flat: np.ndarray,
    zone: _Labels,
    starts: Places,
    lengths: Places,
    statistics: frozenset[str],
) -> None:
    zones = tally.count.shape[1]
    # Converted at once: summing integers as float64 run by run takes three times as
    # long, and float32 sums lose digits.
    exact = flat.astype(np.float64)
    with np.errstate(invalid="ignore"):
        sums = np.add.reduceat(exact, starts)
    tally.count[band] = _summed(zone, lengths, zones)
    tally.total[band] = _summed(zone, sums, zones)
    some = zone > 0
    # Both ends for either: a negative scale makes the lowest value the highest.
    ends = ((tally.low, np.minimum), (tally.high, np.maximum))
    for of_zones, ufunc in ends if statistics & {"min", "max"} else ():
        with np.errstate(invalid="ignore"):
            of_runs = ufunc.reduceat(flat, starts)[some]
        ufunc.at(of_zones[band], zone[some].astype(np.intp) - 1, of_runs)
    if "std" in statistics:
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.nan_to_num(tally.total[band] / tally.count[band])
            exact -= np.repeat(np.concatenate([[0.0], means])[zone], lengths)
            exact *= exact
            sums = np.add.reduceat(exact, starts)
        tally.squares[band] = _summed(zone, sums, zones)


def _codes(labels: _Labels, flat: np.ndarray, zones: int) -> pd.DataFrame:
    """Count the cells by zone and code."""
    inside = labels > 0
    zone, code = labels[inside].astype(np.int64) - 1, flat[inside].astype(np.int64)
    low, high = (int(code.min()), int(code.max())) if len(code) else (0, 0)
    if high - low < COUNTED:
        present = np.flatnonzero(np.bincount(code - low)) + low
        order = np.zeros(high - low + 1, np.int64)
        order[present - low] = np.arange(len(present))
        code = order[code - low]
    else:
        present, code = np.unique(code, return_inverse=True)
    check_codes(len(present))
    number = max(len(present), 1)
    cells = np.bincount(zone * number + code, minlength=zones * number)
    some = np.flatnonzero(cells)
    return pd.DataFrame(
        {
            "zone": some // number,
            "code": present[some % number],
            "cells": cells[some].astype(float),
        }
    )


def _side_by_side(tallies: list[Tally]) -> Tally:
    """Return one tally whose zones are those of the layers, one layer after another."""
    zones = [len(tally.cells) for tally in tallies]
    whole = Tally.empty(len(tallies[0].count), sum(zones))
    first = np.cumsum([0, *zones])
    for start, size, tally in zip(first[:-1], zones, tallies, strict=True):
        whole.add(np.arange(start, start + size), tally)
    return whole
