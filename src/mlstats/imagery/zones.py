"""Zones made fit for a raster: read, repaired, in its projection, checked for overlaps.

No zone is ever dropped. What is wrong with one is in its status; what was mended is
listed by the zones' ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, ContractError, SourceError, nearest
from mlstats.imagery.grid import Grid

__all__ = ["Zones", "prepared_zones"]

INSIDE, PARTLY = "inside", "partly outside the raster"
OUTSIDE, NO_POLYGON = "outside the raster", "no polygon"
# Borders simplified apart overlap by slivers; more than this is another zone system.
SLIVER = 0.05

Shapes = npt.NDArray[np.object_]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Zones:
    """Zones in the projection of a raster.

    Attributes
    ----------
    ids : ndarray
        In the order of the zones as given.
    shapes : ndarray of shapely polygons
        None where there is no polygon.
    status : ndarray of str
        ``inside``, ``partly outside the raster``, ``outside the raster`` or ``no
        polygon`` (missing, empty, a point or a line, or without a place in the
        raster's projection).
    repaired : list
        Ids of the zones whose polygon was invalid.
    reprojected : bool
    """

    ids: Any
    shapes: Shapes
    status: Shapes
    repaired: list[Any]
    reprojected: bool

    @property
    def used(self) -> Places:
        """Places of the zones that meet the raster."""
        return np.flatnonzero((self.status == INSIDE) | (self.status == PARTLY))

    @cached_property
    def layers(self) -> list[Places]:
        """The zones that meet the raster, parted so that none overlaps in its layer.

        Clean borders give one layer. A cell in the sliver between borders that were
        simplified apart counts in both zones, whatever their order.

        Raises
        ------
        ContractError
            Where two zones share more than a twentieth of the smaller one.
        """
        used = self.used
        left, right, shared = _overlaps(self.shapes[used])
        if (shared > SLIVER).any():
            worst = int(shared.argmax())
            pair = [self.ids[used[side[worst]]] for side in (left, right)]
            raise ContractError(
                f"{int((shared > SLIVER).sum())} pairs of zones overlap",
                where=f"most of all {pair[0]} and {pair[1]}: {shared[worst]:.0%}",
                expected="zones that share no more than a twentieth of the smaller one",
                hint='method="fractional" takes zones that overlap',
            )
        taken = np.zeros(len(used), int)
        for zone in np.unique(right):
            others = set(taken[left[right == zone]])
            taken[zone] = next(n for n in range(len(used)) if n not in others)
        return [used[taken == number] for number in range(taken.max(initial=0) + 1)]


def prepared_zones(zones: Any, *, id: str, grid: Grid) -> Zones:
    """Return the zones of a GeoDataFrame or file, ready for a raster.

    Parameters
    ----------
    zones : geopandas.GeoDataFrame or path
    id : str
        Column of their ids, each once.
    grid : Grid
        Of the raster.

    Raises
    ------
    ConfigError
        Where geopandas is not installed.
    ContractError
        No column of that name, an id twice or missing, an unknown projection.
    """
    frame = _frame(zones)
    ids = _checked_ids(frame, id)
    if frame.crs is None:
        raise ContractError(
            "the projection of the zones is not known",
            hint="set it where the file was made; it is never guessed",
        )
    shapes, repaired = _polygons(frame.geometry.to_numpy())
    reprojected = not frame.crs.equals(grid.crs)
    if reprojected:
        moved = frame.set_geometry(shapes, crs=frame.crs).to_crs(grid.crs)
        # A polygon may cross itself once its corners have moved.
        shapes, _ = _polygons(moved.geometry.to_numpy())
    status = _status(shapes, grid.bounds)
    return Zones(ids, shapes, status, list(ids[repaired]), reprojected)


def _frame(zones: Any) -> Any:
    try:
        import geopandas
    except ImportError:
        raise ConfigError(
            "Zones need the package geopandas, which is not installed",
            hint="pip install 'mlstats[imagery]'",
        ) from None
    if not isinstance(zones, (str, Path)):
        return zones
    try:
        return geopandas.read_file(zones)
    except Exception:
        # The drivers raise errors of their own, and some quote the file's content.
        raise SourceError(
            "The zones cannot be read",
            where=str(zones),
            expected="a GeoPackage, GeoJSON or another vector file",
        ) from None


def _checked_ids(frame: Any, id: str) -> Any:
    if id not in frame.columns:
        raise ContractError(
            f"the zones have no column {id!r}",
            nearest=nearest(id, map(str, frame.columns)),
        )
    bad = int((frame[id].isna() | frame[id].duplicated(keep=False)).sum())
    if bad:
        raise ContractError(
            f"{bad} ids of zones are missing or stand twice",
            where=id,
            expected="an id of its own for every zone",
            hint="dissolve the zones by id first",
        )
    return frame[id].to_numpy(object)


def _polygons(given: Shapes) -> tuple[Shapes, npt.NDArray[np.bool_]]:
    """Return valid polygons, None where there is none, and which were mended."""
    import shapely

    shapes = np.array(given, dtype=object)
    area = np.isin(shapely.get_type_id(shapes), (3, 6))
    # Outside the domain of a projection corners move to infinity.
    area &= np.isfinite(shapely.bounds(shapes)).all(axis=1)
    shapes[~area] = None
    mended = area & ~shapely.is_valid(shapes)
    shapes[mended] = shapely.make_valid(
        shapes[mended], method="structure", keep_collapsed=False
    )
    kept = np.isin(shapely.get_type_id(shapes), (3, 6)) & ~shapely.is_empty(shapes)
    shapes[~kept] = None
    return shapes, mended


def _status(shapes: Shapes, bounds: tuple[float, ...]) -> Shapes:
    import shapely

    raster = shapely.box(*bounds)
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    # Borders that were written with fewer digits still end where the raster ends.
    slack = 1e-9 * max(width, height)
    status = np.full(len(shapes), PARTLY, object)
    status[shapely.covered_by(shapes, raster.buffer(slack, join_style="mitre"))] = (
        INSIDE
    )
    status[~shapely.intersects(shapes, raster)] = OUTSIDE
    status[shapely.is_missing(shapes)] = NO_POLYGON
    return status


def _overlaps(shapes: Shapes) -> tuple[Places, Places, npt.NDArray[np.float64]]:
    """Return the pairs whose insides meet, and which share of the smaller they do."""
    import shapely

    # A coverage whose borders match has no overlap: 40 times as fast as all pairs.
    loose = np.flatnonzero(~shapely.is_empty(shapely.coverage_invalid_edges(shapes)))
    tree = shapely.STRtree(shapes)
    left, right = tree.query(shapes[loose], predicate="intersects")
    pairs = np.sort(np.stack([loose[left], right]), axis=0)
    pairs = np.unique(pairs[:, pairs[0] != pairs[1]], axis=1)
    areas = shapely.area(shapes)
    met = shapely.area(shapely.intersection(shapes[pairs[0]], shapes[pairs[1]]))
    real = met > 0
    low, high = pairs[:, real]
    return low, high, met[real] / np.minimum(areas[low], areas[high])
