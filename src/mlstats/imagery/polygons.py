"""Polygons from a file of any kind that GDAL reads, repaired where they are invalid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlstats.errors import ConfigError, SourceError, nearest

__all__ = ["read_polygons"]


def read_polygons(
    path: str | Path, *, id: str, layer: str | None = None, number: str = ""
) -> tuple[Any, list[str]]:
    """Read a layer of polygons.

    Parameters
    ----------
    path : str or pathlib.Path
        GeoPackage, GeoJSON, Shapefile or another format of GDAL.
    id : str
        Column that tells the polygons apart.
    layer : str, optional
        Where the file has several.
    number : str
        Name of a column with the place of each polygon in the file, from 1, that is
        made where the file has none.

    Returns
    -------
    shapes : geopandas.GeoDataFrame
        In the order of the file; an invalid polygon is its repaired one.
    notes : list of str
        How many were repaired.

    Raises
    ------
    SourceError
        Where the file cannot be read, has no CRS, or a row has no polygon.
    ConfigError
        Where the extra ``imagery`` is missing, or there is no such column.
    """
    try:
        import geopandas
        from pyogrio.errors import DataSourceError
    except ImportError:
        raise ConfigError(
            "Polygons need geopandas", hint="pip install 'mlstats[imagery]'"
        ) from None
    try:
        shapes = geopandas.read_file(path, layer=layer)
    except (DataSourceError, ValueError) as error:
        raise SourceError(
            f"The polygons cannot be read: {type(error).__name__}",
            where=str(path),
            expected="a file that GDAL reads, with the layer that is asked for",
        ) from None
    if number and number not in shapes:
        shapes[number] = [str(row) for row in range(1, len(shapes) + 1)]
    if id not in shapes:
        columns = [str(c) for c in shapes.columns if c != "geometry"]
        raise ConfigError(
            f"The polygons have no column {id!r}",
            where=str(path),
            expected=", ".join(columns),
            nearest=nearest(id, columns),
        )
    if shapes.crs is None:
        raise SourceError(
            "The polygons have no coordinate reference system",
            where=str(path),
            hint="write it into the file; a guess would move every polygon",
        )
    absent = int((shapes.geometry.isna() | shapes.geometry.is_empty).sum())
    if absent:
        raise SourceError(f"{absent} rows have no polygon", where=str(path))
    wrong = ~shapes.geometry.is_valid
    notes = []
    if wrong.any():
        mended = shapes.geometry.make_valid(method="structure", keep_collapsed=False)
        shapes["geometry"] = mended.where(wrong, shapes.geometry)
        notes.append(f"{int(wrong.sum())} of {len(shapes):,} polygons were repaired")
    return shapes, notes
