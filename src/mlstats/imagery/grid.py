"""The grid that images and maps of one study share, and the true area of its pixels.

Hectares are only told for a grid whose pixels are of one size on the ground: a
geographic grid is refused, and so is a projection that stretches areas by more than a
stated share (Web Mercator, the far edge of a UTM zone).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, ContractError, SourceError, nearest
from mlstats.imagery.projection import (
    Bounds,
    areal_scale,
    known_crs,
    moved_bounds,
    same_crs,
)

__all__ = ["Grid", "common_grid", "open_raster"]

# A pixel's hundredth: what the float noise of a transform may shift the far corner.
_SAME_PLACE = 0.01
_SQUARE_METRES = 10_000.0
_EQUAL_AREA_HINT = "align to an equal-area grid, for instance common_grid(..., crs="


@dataclass(frozen=True)
class Grid:
    """A raster's place on the ground.

    Attributes
    ----------
    crs : str
        ``EPSG:32615`` or, where there is no such code, WKT.
    transform : tuple of float
        (a, b, c, d, e, f) with x = a column + b row + c and y = d column + e row + f.
    width, height : int
        Columns and rows.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]
    width: int
    height: int

    @classmethod
    def of(cls, path: str | Path) -> Grid:
        """Return the grid of a raster file.

        Raises
        ------
        SourceError
            The file is missing, is no readable raster or does not tell its CRS.
        """
        with open_raster(path) as dataset:
            return grid_of(dataset)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def affine(self) -> Any:
        """The transform as an ``affine.Affine``."""
        from rasterio import Affine

        return Affine(*self.transform)

    @property
    def bounds(self) -> Bounds:
        """Left, bottom, right and top of the outer edges."""
        x, y = self._to_ground(
            [0, self.width, 0, self.width], [0, 0, *[self.height] * 2]
        )
        return min(x), min(y), max(x), max(y)

    @cached_property
    def distortion(self) -> float:
        """Largest deviation of the areal scale from 1, at corners, edges and centre.

        The scale is the projected over the true area on the CRS's own ellipsoid, by
        PROJ's factors. A projection of a sphere (MODIS) counts as equal-area by its
        own sphere; beside the WGS 84 ellipsoid that is up to .9 % off, by latitude.
        """
        across, down = np.meshgrid(
            np.linspace(0, self.width, 3), np.linspace(0, self.height, 3)
        )
        scale = areal_scale(*self._to_ground(across.ravel(), down.ravel()), self.crs)
        worst = np.abs(scale - 1).max()
        return float(worst) if np.isfinite(worst) else float("inf")

    def pixel_hectares(self, tolerance: float = 1e-3) -> float:
        """Return the hectares of a pixel.

        Parameters
        ----------
        tolerance : float
            Largest :attr:`distortion` that is accepted; the default .1 % holds
            within 270 km of the middle line of a UTM zone.

        Raises
        ------
        ContractError
            A geographic CRS, or a projection that distorts areas more than that.
        """
        from rasterio.crs import CRS

        crs = CRS.from_user_input(self.crs)
        if crs.is_geographic:
            raise ContractError(
                "the pixels of a geographic grid differ in area from row to row",
                expected="an equal-area projected CRS",
                hint=f'{_EQUAL_AREA_HINT}"EPSG:6933", resolution=metres)',
            )
        if self.distortion > tolerance:
            raise ContractError(
                f"the projection distorts areas by {self.distortion:.2%}",
                expected=f"at most {tolerance:.2%}",
                hint=f'{_EQUAL_AREA_HINT}"EPSG:6933", resolution=metres)',
            )
        a, b, _, d, e, _ = self.transform
        metres = float(crs.linear_units_factor[1])
        return abs(a * e - b * d) * metres**2 / _SQUARE_METRES

    def same_as(self, other: Grid) -> bool:
        """Whether both are the same, but for the float noise of transforms."""
        offset = self.offset_in(other)
        return offset == (0, 0) and self.shape == other.shape

    def offset_in(self, other: Grid) -> tuple[int, int] | None:
        """Return the (row, column) in `other` of this grid's corner, or None.

        None where pixels of the two do not lie on each other: another CRS, another
        size of pixels or a shift by part of a pixel.
        """
        if not same_crs(self.crs, other.crs):
            return None
        corners = [0, self.width, 0], [0, 0, self.height]
        column, row = other.to_pixels(*self._to_ground(*corners))
        start = round(row[0]), round(column[0])
        wanted = (
            np.array(corners[0]) + start[1],
            np.array(corners[1]) + start[0],
        )
        off = max(np.abs(column - wanted[0]).max(), np.abs(row - wanted[1]).max())
        return start if off < _SAME_PLACE else None

    def pixels_of(
        self, x: npt.ArrayLike, y: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the (row, column) of the pixels that hold points of this CRS.

        A point without a place in the CRS, at infinity, is outside: (-1, -1).
        """
        east, north = np.asarray(x, float), np.asarray(y, float)
        known = np.isfinite(east) & np.isfinite(north)
        column, row = self.to_pixels(
            np.where(known, east, 0), np.where(known, north, 0)
        )
        row, column = np.where(known, row, -1), np.where(known, column, -1)
        return np.floor(row).astype(np.intp), np.floor(column).astype(np.intp)

    def centres_of(
        self, row: npt.ArrayLike, column: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return x and y of the centres of pixels."""
        return self._to_ground(np.asarray(column) + 0.5, np.asarray(row) + 0.5)

    def part(self, row: int, column: int, height: int, width: int) -> Grid:
        """Return the grid of a window, which may reach over the edges."""
        x, y = self._to_ground([column], [row])
        a, b, _, d, e, _ = self.transform
        return Grid(self.crs, (a, b, float(x[0]), d, e, float(y[0])), width, height)

    def bounds_in(self, crs: str) -> Bounds:
        """Return the bounds in another CRS.

        Raises
        ------
        ContractError
            The grid cannot be projected there.
        """
        return moved_bounds(self.bounds, self.crs, crs)

    def _to_ground(self, column: Any, row: Any) -> tuple[Any, Any]:
        a, b, c, d, e, f = self.transform
        across, down = np.asarray(column, float), np.asarray(row, float)
        return a * across + b * down + c, d * across + e * down + f

    def to_pixels(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return the (column, row) of points, counted from the outer corner."""
        a, b, c, d, e, f = self.transform
        size = a * e - b * d
        right, up = np.asarray(x) - c, np.asarray(y) - f
        return (e * right - b * up) / size, (a * up - d * right) / size


def common_grid(
    paths: Sequence[str | Path],
    *,
    crs: str | None = None,
    resolution: float | None = None,
    bounds: Literal["intersection", "union"] = "intersection",
) -> Grid:
    """Return one grid for several rasters.

    Parameters
    ----------
    paths : sequence of str or pathlib.Path
        Raster files of any CRS and resolution.
    crs : str, optional
        CRS of the grid, as ``EPSG:6933`` or WKT; by default the first file's.
    resolution : float, optional
        Size of the square pixels in units of the CRS; by default the first file's,
        and then its pixels are kept in place. Required with another CRS.
    bounds : {"intersection", "union"}
        What all files cover, or what any does.

    Raises
    ------
    ConfigError
        No file, an unknown CRS or word, a resolution that is missing or not positive.
    ContractError
        The files have no place in common; the first file that is apart is named.
    SourceError
        As :meth:`Grid.of`.
    """
    _check_request(paths, bounds, resolution)
    grids = [Grid.of(path) for path in paths]
    first, target = grids[0], known_crs(crs or grids[0].crs)
    turned = first.transform[1] != 0 or first.transform[3] != 0
    keeps = same_crs(first.crs, target) and not turned
    if resolution is None and not keeps:
        raise ConfigError(
            "a grid in another CRS or turned otherwise needs the size of its pixels",
            where="resolution",
            hint="give it in units of the CRS, metres for EPSG:6933",
        )
    boxes = [grid.bounds_in(target) for grid in grids]
    edges = boxes[0]
    for box, path in zip(boxes[1:], paths[1:], strict=True):
        edges = _joined(edges, box, bounds, path)
    right, down = first.transform[0], first.transform[4]
    if resolution is not None and (not keeps or resolution != right):
        right, down, origin = resolution, -resolution, (0.0, 0.0)
    else:
        origin = (first.transform[2], first.transform[5])
    return _snapped(target, edges, (right, down), origin)


def _check_request(
    paths: Sequence[object], bounds: str, resolution: float | None
) -> None:
    if not paths:
        raise ConfigError("no raster to take a grid from", where="paths")
    if bounds not in ("intersection", "union"):
        raise ConfigError(
            f"unknown bounds {bounds!r}",
            expected="intersection or union",
            nearest=nearest(bounds, ["intersection", "union"]),
        )
    if resolution is not None and not resolution > 0:
        raise ConfigError(f"pixels of size {resolution} are none", where="resolution")


def _joined(edges: Bounds, box: Bounds, how: str, path: str | Path) -> Bounds:
    inner = (max(edges[0], box[0]), max(edges[1], box[1])) + (
        min(edges[2], box[2]),
        min(edges[3], box[3]),
    )
    if how == "intersection":
        if inner[0] >= inner[2] or inner[1] >= inner[3]:
            raise ContractError(
                "the raster has no place in common with those before it",
                where=str(path),
                expected="rasters of one region, or bounds='union'",
            )
        return inner
    return (min(edges[0], box[0]), min(edges[1], box[1])) + (
        max(edges[2], box[2]),
        max(edges[3], box[3]),
    )


def _snapped(
    crs: str, edges: Bounds, step: tuple[float, float], origin: tuple[float, float]
) -> Grid:
    """Cover the edges by whole pixels counted from the origin."""
    left, bottom, right, top = edges
    columns = _whole((left - origin[0]) / step[0], (right - origin[0]) / step[0])
    rows = _whole((top - origin[1]) / step[1], (bottom - origin[1]) / step[1])
    corner = origin[0] + columns[0] * step[0], origin[1] + rows[0] * step[1]
    transform = (step[0], 0.0, corner[0], 0.0, step[1], corner[1])
    return Grid(crs, transform, columns[1] - columns[0], rows[1] - rows[0])


def _whole(start: float, end: float) -> tuple[int, int]:
    low, high = sorted((start, end))
    return int(np.floor(low + _SAME_PLACE)), int(np.ceil(high - _SAME_PLACE))


def open_raster(path: str | Path) -> Any:
    """Open a local raster file for reading.

    Raises
    ------
    SourceError
        The file is missing or GDAL does not read it; names the file.
    """
    import rasterio
    from rasterio.errors import RasterioError

    path = Path(path)
    if not path.is_file():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        raise SourceError(
            "The raster is not there",
            where=str(path),
            expected="a local file",
            nearest=nearest(path.name, [entry.name for entry in beside]),
            hint="every worker of a cluster needs it under this path",
        )
    try:
        return rasterio.open(path)
    except RasterioError:
        raise SourceError(
            "The raster cannot be opened",
            where=str(path),
            expected="a complete raster file, such as a GeoTIFF",
            hint="copy or export it again; an interrupted copy looks like this",
        ) from None


def grid_of(dataset: Any) -> Grid:
    """Return the grid of an opened raster, which must tell its CRS."""
    if dataset.crs is None:
        raise SourceError(
            "The raster does not tell its coordinate reference system",
            where=str(dataset.name),
            hint="export it again with its CRS",
        )
    transform = tuple(float(value) for value in dataset.transform[:6])
    return Grid(known_crs(dataset.crs), transform, dataset.width, dataset.height)  # type: ignore[arg-type]
