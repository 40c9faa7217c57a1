"""Features of the pixels that points and polygons name, for training and reference.

Nothing is lost on the way: a pixel on cloud stays with ``ok`` false, what lies outside
the raster is refused or counted, and what a person should know is told in sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.imagery.features import FeatureSet
from mlstats.imagery.images import Stack
from mlstats.imagery.projection import moved_points
from mlstats.imagery.windows import Window

__all__ = ["LabelledPixels", "pixels_at_points", "pixels_in_polygons"]

Whole = npt.NDArray[np.intp]
Outside = Literal["refuse", "drop"]
# Pixels within one such square are read together.
_SQUARE = 64
# Rows of a strip in which polygons are drawn.
_STRIP = 512
# Shapely's numbers of polygons and collections of them.
_POLYGONS = (3, 6)
OWN_COLUMNS = ("row", "column", "x", "y", "ok")


@dataclass(frozen=True)
class LabelledPixels:
    """Pixels with what is known of them.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per point, or pixel of a polygon: what was given (of polygons: polygon,
        the place among those given, counted from 0, id and class), row, column, x and
        y of the pixel's centre in the grid's CRS, ok (not on cloud, enough valid
        dates), and the features, NaN where not ok.
    features : tuple of str
        Columns that are features.
    counts : dict of str to int
        given, outside, pixels and not_ok.
    notes : list of str
        What to know before use: classes with one polygon, pixels on cloud, ...
    """

    table: pd.DataFrame
    features: tuple[str, ...]
    counts: dict[str, int]
    notes: list[str] = field(default_factory=list)


def pixels_at_points(
    stack: Stack,
    features: FeatureSet,
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    crs: str | None,
    outside: Outside = "refuse",
) -> LabelledPixels:
    """Return the features at points.

    Parameters
    ----------
    stack : Stack
        The images.
    features : FeatureSet
        What to compute.
    table : pandas.DataFrame
        One row per point; all columns are kept.
    x, y : str
        Columns of the coordinates: east (longitude) and north (latitude).
    crs : str
        CRS of the coordinates, as ``EPSG:4326``.
    outside : {"refuse", "drop"}
        What to do with points outside the raster.

    Returns
    -------
    LabelledPixels
        In the order of the points; `x` and `y` are replaced by the pixel's centre
        where they have these names.

    Raises
    ------
    ConfigError
        An unknown word, column or CRS.
    ContractError
        No CRS, coordinates that are missing, points outside, or all of them.
    """
    _check_outside(outside)
    for name in (x, y):
        if name not in table.columns:
            raise ConfigError(
                f"there is no column {name!r}", nearest=nearest(name, table.columns)
            )
    east, north = (table[name].to_numpy(float) for name in (x, y))
    if not (np.isfinite(east) & np.isfinite(north)).all():
        lost = int((~(np.isfinite(east) & np.isfinite(north))).sum())
        raise ContractError(
            f"{lost} points lack a coordinate", where=f"columns {x}, {y}"
        )
    if not crs:
        raise _no_crs("the points do")
    moved = moved_points(east, north, crs, stack.grid.crs)
    row, column = stack.grid.pixels_of(*moved)
    height, width = stack.grid.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    notes = _outside_notes(inside, outside, "points")
    given = table[inside].reset_index(drop=True)
    given = given.drop(columns=[name for name in (x, y) if name in OWN_COLUMNS])
    return _labelled(stack, features, given, row[inside], column[inside], inside, notes)


def pixels_in_polygons(
    stack: Stack,
    features: FeatureSet,
    polygons: Any,
    *,
    id: str,
    label: str,
    max_per_polygon: int | None = None,
    seed: int = 0,
    outside: Outside = "refuse",
) -> LabelledPixels:
    """Return the features of pixels whose centres lie in polygons.

    Parameters
    ----------
    stack : Stack
        The images.
    features : FeatureSet
        What to compute.
    polygons : geopandas.GeoDataFrame
        With its CRS; invalid polygons are repaired and counted.
    id, label : str
        Columns of the polygon's id and class.
    max_per_polygon : int, optional
        At most so many pixels of a polygon, drawn without replacement.
    seed : int
        Of that draw.
    outside : {"refuse", "drop"}
        What to do with polygons wholly outside the raster.

    Returns
    -------
    LabelledPixels
        Ordered by polygon, row and column. Columns polygon, id and class come first.

    Raises
    ------
    ConfigError
        An unknown word or column, or geopandas is not installed.
    ContractError
        No CRS, polygons outside, or all of them.
    """
    _check_outside(outside)
    for name in (id, label):
        if name not in polygons.columns:
            raise ConfigError(
                f"there is no column {name!r}", nearest=nearest(name, polygons.columns)
            )
    shapes, notes = _shapes(polygons, stack.grid.crs)
    boxes = np.array([shape.bounds for shape in shapes], float).reshape(-1, 4)
    left, bottom, right, top = stack.grid.bounds
    inside = (boxes[:, 0] < right) & (boxes[:, 2] > left)
    inside &= (boxes[:, 1] < top) & (boxes[:, 3] > bottom)
    notes += _outside_notes(inside, outside, "polygons")
    polygon, row, column = _covered(stack, shapes, boxes, np.flatnonzero(inside))
    if max_per_polygon is not None:
        kept = _drawn(polygon, max_per_polygon, seed)
        polygon, row, column = polygon[kept], row[kept], column[kept]
    given = pd.DataFrame(
        {
            "polygon": polygon,
            "id": polygons[id].to_numpy(object)[polygon],
            "class": polygons[label].to_numpy(object)[polygon],
        }
    )
    notes += _polygon_notes(polygons, id, label, inside, given, row, column)
    return _labelled(stack, features, given, row, column, inside, notes)


def _labelled(
    stack: Stack,
    features: FeatureSet,
    given: pd.DataFrame,
    row: Whole,
    column: Whole,
    inside: npt.NDArray[np.bool_],
    notes: list[str],
) -> LabelledPixels:
    names = features.names(stack)
    taken = {*OWN_COLUMNS, *names}
    twice = [str(name) for name in given.columns if name in taken]
    if twice:
        raise ContractError(
            f"the column {twice[0]!r} has the name of one that is made here",
            hint="rename it",
        )
    values, ok = _features_at(stack, features, len(names), row, column)
    x, y = stack.grid.centres_of(row, column)
    own = pd.DataFrame({"row": row, "column": column, "x": x, "y": y, "ok": ok})
    table = pd.concat([given, own, pd.DataFrame(values, columns=list(names))], axis=1)
    lost = int((~ok).sum())
    if lost:
        notes = [*notes, f"{lost} of {len(ok)} pixels have too few valid dates."]
    counts = {
        "given": len(inside),
        "outside": int((~inside).sum()),
        "pixels": len(ok),
        "not_ok": lost,
    }
    return LabelledPixels(table, names, counts, notes)


def _features_at(
    stack: Stack, features: FeatureSet, number: int, row: Whole, column: Whole
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    values = np.full((len(row), number), np.nan, np.float32)
    ok = np.zeros(len(row), bool)
    squares = pd.Series(range(len(row))).groupby([row // _SQUARE, column // _SQUARE])
    for places in squares.indices.values():
        top, left = row[places].min(), column[places].min()
        height, width = row[places].max() - top + 1, column[places].max() - left + 1
        window = Window(int(top), int(left), int(height), int(width))
        wide = window.grown(features.halo)
        planes, good = features.compute(stack.read(wide))
        at = row[places] - wide.row, column[places] - wide.column
        values[places], ok[places] = planes[:, *at].T, good[at]
    return values, ok


def _covered(
    stack: Stack, shapes: Sequence[Any], boxes: npt.NDArray[np.float64], which: Whole
) -> tuple[Whole, Whole, Whole]:
    """Polygon, row and column of the pixels whose centres lie in a polygon."""
    from rasterio.features import rasterize

    found: list[tuple[Whole, Whole, Whole]] = []
    for number in which:
        part = _window(stack, boxes[number]).inside(stack.grid.shape)
        for strip in Window.cover((part.height, part.width), (_STRIP, part.width or 1)):
            place = strip.moved(part.row, part.column)
            grid = stack.grid.part(place.row, place.column, place.height, place.width)
            drawn = rasterize(
                [shapes[number]], grid.shape, transform=grid.affine, dtype="uint8"
            )
            row, column = np.nonzero(drawn)
            found.append(
                (np.full(len(row), number), row + place.row, column + place.column)
            )
    empty = np.zeros(0, np.intp)
    parts = zip(*found, strict=True) if found else ([empty],) * 3
    polygon, rows, columns = (np.concatenate(part) for part in parts)
    return polygon, rows, columns


def _window(stack: Stack, box: npt.NDArray[np.float64]) -> Window:
    corners = box[[0, 0, 2, 2]], box[[1, 3, 1, 3]]
    row, column = stack.grid.pixels_of(*corners)
    height, width = row.max() - row.min() + 1, column.max() - column.min() + 1
    return Window(int(row.min()), int(column.min()), int(height), int(width))


def _drawn(polygon: Whole, most: int, seed: int) -> Whole:
    if most < 1:
        raise ConfigError(
            f"{most} pixels per polygon are none", where="max_per_polygon"
        )
    order = np.random.default_rng(seed).permutation(len(polygon))
    rank = pd.Series(order).groupby(polygon[order]).cumcount().to_numpy()
    return np.sort(order[rank < most])


def _shapes(polygons: Any, crs: str) -> tuple[list[Any], list[str]]:
    shapely = _shapely()
    if polygons.crs is None:
        raise _no_crs("the polygons do")
    shapes = polygons.geometry.to_numpy()
    kinds = np.isin(shapely.get_type_id(shapes), _POLYGONS)
    wrong = int((~kinds | shapely.is_empty(shapes)).sum())
    if wrong:
        raise ContractError(f"{wrong} geometries are missing, empty or no polygons")
    valid = shapely.is_valid(shapes)
    notes = []
    if not valid.all():
        # "structure" keeps areas only; lines would be drawn as pixels.
        shapes = shapely.make_valid(shapes, method="structure", keep_collapsed=False)
        notes = [f"{int((~valid).sum())} invalid polygons were repaired."]
    moved = polygons.geometry.set_axis(range(len(shapes)))
    moved[:] = shapes
    return list(moved.to_crs(crs)), notes


def _no_crs(who: str) -> ContractError:
    return ContractError(
        f"{who} not tell their coordinate reference system",
        where="crs",
        hint="EPSG:4326 for longitude and latitude of GPS",
    )


def _check_outside(outside: str) -> None:
    if outside not in ("refuse", "drop"):
        raise ConfigError(
            f"unknown word {outside!r}", where="outside", expected="refuse or drop"
        )


def _outside_notes(
    inside: npt.NDArray[np.bool_], outside: Outside, what: str
) -> list[str]:
    lost = int((~inside).sum())
    if not inside.size:
        raise ContractError(f"there are no {what}")
    if not lost:
        return []
    if lost == len(inside):
        raise ContractError(
            f"none of the {lost} {what} lies in the raster",
            hint="check the CRS, and that x is east and y is north",
        )
    if outside == "refuse":
        raise ContractError(
            f"{lost} of {len(inside)} {what} lie outside the raster",
            expected=f"{what} in the region of the images",
            hint="check their CRS, or take them out of the file; in Python "
            "outside='drop' leaves them out and counts them",
        )
    return [f"{lost} of {len(inside)} {what} lie outside the raster and are left out."]


def _polygon_notes(
    polygons: Any,
    id: str,
    label: str,
    inside: npt.NDArray[np.bool_],
    given: pd.DataFrame,
    row: Whole,
    column: Whole,
) -> list[str]:
    notes = []
    used = pd.DataFrame(
        {
            "id": polygons[id].to_numpy(object)[inside],
            "class": polygons[label].to_numpy(object)[inside],
        }
    )
    for name, count in used["class"].value_counts(sort=False).items():
        if count == 1:
            notes.append(
                f"Class {name} has one polygon: it cannot be both learnt and tested."
            )
    mixed = int((used.groupby("id")["class"].nunique() > 1).sum())
    if mixed:
        notes.append(f"{mixed} ids stand with more than one class.")
    small = int(inside.sum()) - given["polygon"].nunique()
    if small:
        notes.append(f"{small} polygons hold no centre of a pixel.")
    twice = int(pd.DataFrame({"row": row, "column": column}).duplicated().sum())
    if twice:
        notes.append(f"{twice} pixels lie in more than one polygon.")
    return notes


def _shapely() -> Any:
    try:
        import shapely
    except ImportError:
        raise ConfigError(
            "polygons need the package geopandas, which is not installed",
            hint="pip install 'mlstats[imagery]'",
        ) from None
    return shapely
