"""Coordinate reference systems: names, places in another one, true areas.

Other systems than a raster's own ask for the package pyproj.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, ContractError

__all__ = ["areal_scale", "known_crs", "moved_bounds", "moved_points", "same_crs"]

Bounds = tuple[float, float, float, float]
Coordinates = npt.NDArray[np.float64]


def known_crs(crs: Any) -> str:
    """Return ``EPSG:...`` or, where there is no such code, WKT.

    Parameters
    ----------
    crs : str or rasterio.crs.CRS
        As a file or a person gives it.

    Raises
    ------
    ConfigError
        The CRS is not known.
    """
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        found = CRS.from_user_input(crs)
    except (CRSError, ValueError):
        raise ConfigError(
            "the CRS is not known", where=str(crs), expected="as EPSG:6933, or WKT"
        ) from None
    # 100: a CRS that is only similar to a code keeps its own definition.
    code = found.to_epsg(confidence_threshold=100)
    return f"EPSG:{code}" if code else str(found.to_wkt())


@lru_cache(maxsize=64)
def same_crs(one: str, other: str) -> bool:
    """Whether two names mean one CRS."""
    from rasterio.crs import CRS

    return bool(one == other or CRS.from_user_input(one) == CRS.from_user_input(other))


def moved_points(
    x: npt.ArrayLike, y: npt.ArrayLike, crs: str, to: str
) -> tuple[Coordinates, Coordinates]:
    """Return points in another CRS; infinite where they have no place there.

    Raises
    ------
    ConfigError
        An unknown CRS.
    """
    east, north = np.asarray(x, float), np.asarray(y, float)
    if same_crs(known_crs(crs), to):
        return east, north
    moved = _transformer(crs, to).transform(east, north)
    return np.asarray(moved[0]), np.asarray(moved[1])


def moved_bounds(bounds: Bounds, crs: str, to: str) -> Bounds:
    """Return the box in another CRS that holds a box.

    Raises
    ------
    ContractError
        It has no place there.
    """
    if same_crs(crs, to):
        return bounds
    left, bottom, right, top = _transformer(crs, to).transform_bounds(*bounds)
    if not np.isfinite([left, bottom, right, top]).all():
        raise ContractError(
            "the grid's bounds have no place in the other CRS",
            expected="coordinate systems that hold in the same region",
        )
    return left, bottom, right, top


def areal_scale(x: npt.ArrayLike, y: npt.ArrayLike, crs: str) -> Coordinates:
    """Return projected over true area at points, by PROJ's factors.

    True is the area on the CRS's own ellipsoid or sphere.
    """
    pyproj = _pyproj()
    projection = pyproj.Proj(pyproj.CRS.from_user_input(crs))
    longitude, latitude = projection(x, y, inverse=True)
    return np.asarray(projection.get_factors(longitude, latitude).areal_scale)


@lru_cache(maxsize=16)
def _transformer(crs: str, to: str) -> Any:
    return _pyproj().Transformer.from_crs(crs, to, always_xy=True)


def _pyproj() -> Any:
    try:
        import pyproj
    except ImportError:
        raise ConfigError(
            "other projections need the package pyproj, which is not installed",
            hint="pip install 'mlstats[imagery]'",
        ) from None
    return pyproj
