"""A raster of classes as a map in inline SVG.

It needs no script, font file or style sheet. Colours are told apart by people
with colour blindness; what is not classified is grey and what lies outside the area of
applicability is hatched, so that neither looks like a class.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, ContractError, SourceError
from mlstats.imagery.grid import Grid, grid_of, open_raster
from mlstats.imagery.map_frame import Entry, Frame, framed, great_circle

__all__ = ["CLASS_COLOURS", "class_map_png", "class_map_svg"]

# Tol (2021), "Colour schemes", SRON/EPS/TN/09-002: muted, with its grey for no data.
CLASS_COLOURS: Final = (
    "#ddcc77", "#117733", "#88ccee", "#cc6677", "#332288",
    "#44aa99", "#882255", "#999933", "#aa4499",
)  # fmt: skip
UNCLASSIFIED_COLOUR: Final = "#dddddd"
_HATCH_COLOUR: Final = "#1c2430"
_TALLEST: Final = 1.5  # height over width
# Majority classes are read where that takes a moment, else every so many pixels.
_MODE_PIXELS: Final = 25_000_000

_Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Legend:
    """The place of each code in the palette, and what stands in the legend."""

    places: dict[int, int]
    colours: list[str]
    names: list[str]


def class_map_svg(
    path: str | Path,
    classes: Mapping[int, str],
    *,
    key: str,
    title: str,
    description: str = "",
    colours: Mapping[int, str] | None = None,
    unclassified: Collection[int] = (),
    outside: str | Path | None = None,
    width: int = 800,
    remark: str = "",
) -> str:
    """Draw a raster of classes with its legend, a scale bar and the north.

    Parameters
    ----------
    path : path
        Of the raster, north up; overviews are used where it has them.
    classes : mapping of int to str
        Code -> name, in the order of the legend.
    key : str
        An HTML id of its own on the page.
    title, description : str
        What a screen reader says.
    colours : mapping of int to str, optional
        Code -> colour such as ``#117733``; by default :data:`CLASS_COLOURS` in order.
    unclassified : collection of int
        Codes drawn grey, such as cloud; so are pixels without data and other codes.
    outside : path, optional
        A raster on the same grid that is 1 outside the area of applicability; it is
        hatched.
    width : int, default=800
        Of the map in pixels; a tall one is made narrower.
    remark : str
        Written at the lower right, for example that the data are synthetic.

    Returns
    -------
    str
        One ``<svg>`` element, everything in it escaped.

    Raises
    ------
    ConfigError
        More classes than colours; a colour that is none.
    ContractError
        Rasters on different grids.
    SourceError
        A raster that cannot be read.
    """
    legend = _legend(classes, colours, unclassified)
    picture, grid = _picture(path, legend, outside, width)
    rows, columns = picture.shape
    coded = base64.b64encode(_png(picture, legend.colours)).decode("ascii")
    image = (
        f'<image x="0" y="0" width="{columns}" height="{rows}" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{coded}"/>'
    )
    entries = [
        Entry(name, colour)
        for name, colour in zip(legend.names, legend.colours, strict=False)
    ]
    if outside is not None:
        entries.append(Entry("outside the area of applicability", "", hatched=True))
    told = description or f"Map of the classes {', '.join(legend.names)}."
    return framed(
        image,
        entries,
        Frame(key, title, told, columns, rows, remark),
        metres=_metres_across(grid),
    )


def class_map_png(
    path: str | Path,
    classes: Mapping[int, str],
    *,
    colours: Mapping[int, str] | None = None,
    unclassified: Collection[int] = (),
    outside: str | Path | None = None,
    width: int = 800,
) -> bytes:
    """Return the map of :func:`class_map_svg` alone, without its legend, as PNG."""
    legend = _legend(classes, colours, unclassified)
    return _png(_picture(path, legend, outside, width)[0], legend.colours)


def _legend(
    classes: Mapping[int, str],
    colours: Mapping[int, str] | None,
    unclassified: Collection[int],
) -> _Legend:
    shown = [code for code in classes if code not in unclassified]
    if colours is None and len(shown) > len(CLASS_COLOURS):
        raise ConfigError(
            f"{len(shown)} classes are more than there are colours",
            expected=f"at most {len(CLASS_COLOURS)}, or colours of your own",
        )
    if colours is None:
        colours = dict(zip(shown, CLASS_COLOURS, strict=False))
    absent = [classes[code] for code in shown if code not in colours]
    if absent:
        raise ConfigError("classes have no colour", where=", ".join(absent))
    chosen = [*(colours[code] for code in shown), UNCLASSIFIED_COLOUR, _HATCH_COLOUR]
    for colour in chosen:
        _rgb(colour)
    places = {code: place for place, code in enumerate(shown)}
    return _Legend(places, chosen, [*(classes[c] for c in shown), "not classified"])


def _rgb(colour: str) -> tuple[int, int, int]:
    digits = colour.removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        raise ConfigError(
            f"{colour!r} is no colour", expected="six digits, as #117733"
        ) from None
    return red, green, blue


def _picture(
    path: str | Path, legend: _Legend, outside: str | Path | None, width: int
) -> tuple[_Picture, Grid]:
    """Return the place in the palette of each pixel of the picture."""
    with open_raster(path) as raster:
        grid = grid_of(raster)
        tall = grid.height / grid.width
        columns = max(round(min(width, width * _TALLEST / tall)), 1)
        shape = max(round(columns * tall), 1), columns
        codes, valid = _decimated(raster, shape)
    found = np.full(shape, len(legend.names) - 1, np.uint8)
    for code, place in legend.places.items():
        found[(codes == code) & valid] = place
    if outside is not None:
        with open_raster(outside) as raster:
            if not grid_of(raster).same_as(grid):
                raise ContractError(
                    "the area of applicability is on another grid than the map",
                    where=str(outside),
                    hint="compute it from the same stack",
                )
            there, known = _decimated(raster, shape)
        down, across = np.indices(shape)
        stripes = (down + across) % 7 < 2
        found[(there == 1) & known & stripes] = len(legend.names)
    return found, grid


def _decimated(
    raster: Any, shape: tuple[int, int]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError

    finer = raster.width > shape[1]
    small = raster.width * raster.height <= _MODE_PIXELS
    rule = Resampling.mode if finer and small else Resampling.nearest
    try:
        read = raster.read(1, out_shape=shape, resampling=rule, masked=True)
    except RasterioError:
        raise SourceError(
            "The raster cannot be read",
            where=str(raster.name),
            hint="copy it again; an interrupted copy looks like this",
        ) from None
    return read.data, ~np.ma.getmaskarray(read)


def _png(picture: _Picture, colours: list[str]) -> bytes:
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import MemoryFile

    rows, columns = picture.shape
    profile = {"driver": "PNG", "dtype": "uint8", "count": 1}
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(width=columns, height=rows, zlevel=9, **profile) as target:
            target.write(picture, 1)
            target.write_colormap(1, {i: _rgb(c) for i, c in enumerate(colours)})
        return bytes(memory.read())


def _metres_across(grid: Grid) -> float:
    """Return the ground distance from the left to the right edge, at mid height."""
    from rasterio.warp import transform

    left, bottom, right, top = grid.bounds
    middle = (bottom + top) / 2
    # A quarter each side of the centre: the edges of a wide map may have no place.
    ends = [left + (right - left) * share for share in (0.375, 0.625)]
    longitude, latitude = transform(grid.crs, "EPSG:4326", ends, [middle, middle])
    return 4 * great_circle(longitude, latitude)
