"""A figure by zone as a map in inline SVG, in classes of equal number."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.imagery.map_frame import Entry, Frame, framed, great_circle, hatch_of

__all__ = ["zone_map_svg"]

# ColorBrewer YlGnBu without its faintest (Harrower and Brewer 2003, The Cartographic
# Journal 40(1), 27-37): safe for colour blindness, in order on a grey print too.
_COLOURS: Final = ("#c7e9b4", "#7fcdbb", "#41b6c4", "#2c7fb8", "#253494")
_TALLEST: Final = 1.5
_CORNERS: Final = 0.6  # pixels within which corners are left out


def zone_map_svg(
    zones: Any,
    column: str,
    *,
    key: str,
    title: str,
    id: str | None = None,
    description: str = "",
    unit: str = "",
    breaks: Sequence[float] | None = None,
    colours: Sequence[str] = _COLOURS,
    width: int = 800,
    remark: str = "",
) -> str:
    """Draw a figure of zones in classes, those without a figure hatched.

    Parameters
    ----------
    zones : geopandas.GeoDataFrame
        Polygons in a known projection; degrees are drawn with the shape that they have
        at the middle latitude.
    column : str
        The figure. A rate or density: a total grows with the size of the zone.
    key : str
        An HTML id of its own on the page.
    title, description : str
        What a screen reader says.
    id : str, optional
        Column whose value is told with the figure where the pointer rests.
    unit : str
        Told with the figures.
    breaks : sequence of float, optional
        Ends of the classes, rising; by default quantiles.
    colours : sequence of str
        From the lowest class to the highest.
    width : int, default=800
    remark : str
        Written at the lower right.

    Returns
    -------
    str
        One ``<svg>`` element, everything in it escaped.

    Raises
    ------
    ConfigError
        Breaks that do not rise, do not fit the colours or leave figures out.
    ContractError
        No such column, no projection, no polygon.
    """
    _check(zones, column, id)
    figures = zones[column].to_numpy(float, na_value=np.nan)
    ends = _breaks(figures, breaks, len(colours))
    place = np.clip(np.searchsorted(ends, figures, side="right") - 1, 0, len(ends) - 2)
    shapes, size, metres = _placed(zones, width)
    names = zones[id].astype(str) if id else [""] * len(zones)
    parts = []
    for shape, figure, number, name in zip(shapes, figures, place, names, strict=True):
        known = bool(np.isfinite(figure))
        paint = colours[number] if known else hatch_of(key)
        told = f"{name}: " if name else ""
        told += f"{figure:,.4g} {unit}".strip() if known else "no figure"
        parts.append(
            f'<path d="{_path(shape)}" fill="{paint}"><title>{escape(told)}</title>'
            "</path>"
        )
    body = (
        '<g stroke="#ffffff" stroke-width="0.5" stroke-linejoin="round" '
        f'fill-rule="evenodd">{"".join(parts)}</g>'
    )
    entries = _entries(ends, colours, unit)
    if not np.isfinite(figures).all():
        entries.append(Entry("no figure", "", hatched=True))
    told = description or f"{column} of {len(zones)} zones, in {len(ends) - 1} classes."
    return framed(body, entries, Frame(key, title, told, *size, remark), metres=metres)


def _check(zones: Any, column: str, id: str | None) -> None:
    for name in (column, *([id] if id else [])):
        if name not in zones.columns:
            raise ContractError(
                f"the zones have no column {name!r}",
                nearest=nearest(name, map(str, zones.columns)),
            )
    if zones.crs is None:
        raise ContractError("the projection of the zones is not known")
    if not np.isfinite(zones.total_bounds).all():
        raise ContractError("there is no zone to draw")


def _breaks(
    figures: npt.NDArray[np.float64], breaks: Sequence[float] | None, most: int
) -> npt.NDArray[np.float64]:
    """Return the ends of the classes, lowest and highest included."""
    known = figures[np.isfinite(figures)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    if breaks is None:
        shares = np.arange(1, most if len(known) else 1) / most
        inner = sorted({float(f"{np.quantile(known, share):.3g}") for share in shares})
        inner = [value for value in inner if low < value <= high]
        return np.array([low, *inner, max(high, *inner, low)])
    if list(breaks) != sorted(set(breaks)) or not 2 <= len(breaks) <= most + 1:
        raise ConfigError(
            f"{len(breaks)} breaks cannot be drawn",
            where="breaks",
            expected=f"2 to {most + 1} that rise, or more colours",
        )
    if len(known) and not breaks[0] <= low <= high <= breaks[-1]:
        raise ConfigError(
            "figures lie outside the breaks",
            where="breaks",
            expected=f"from {low:.6g} or less to {high:.6g} or more",
        )
    return np.array(breaks, float)


def _entries(
    ends: npt.NDArray[np.float64], colours: Sequence[str], unit: str
) -> list[Entry]:
    texts = [
        f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}" for value in ends
    ]
    pairs = zip(texts, texts[1:], colours, strict=False)
    return [
        Entry(f"{low} \u2013 {high} {unit}".strip(), colour)
        for low, high, colour in pairs
    ]


def _placed(zones: Any, width: int) -> tuple[Any, tuple[float, float], float]:
    """Return the shapes on the map, its width and height, and the metres across."""
    import shapely
    from rasterio.warp import transform

    left, bottom, right, top = zones.total_bounds
    middle = (bottom + top) / 2
    squeeze = np.cos(np.radians(middle)) if zones.crs.is_geographic else 1.0
    tall = (top - bottom) / max((right - left) * squeeze, 1e-12)
    across = min(width, width * _TALLEST / tall)
    stretch = across / (right - left)

    def moved(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x, y = points[:, 0] - left, top - points[:, 1]
        return np.stack([x * stretch, y * stretch / squeeze], axis=1)

    shapes = shapely.transform(zones.geometry.to_numpy(), moved)
    shapes = shapely.simplify(shapes, _CORNERS, preserve_topology=True)
    ends = [left + (right - left) * share for share in (0.375, 0.625)]
    longitude, latitude = transform(zones.crs.to_wkt(), "EPSG:4326", ends, [middle] * 2)
    metres = 4 * great_circle(longitude, latitude)
    return shapes, (across, across * tall), metres


def _path(shape: Any) -> str:
    import shapely

    if shape is None:
        return ""
    rings = []
    for part in shapely.get_parts(shape):
        if part.geom_type == "Polygon":
            rings += [part.exterior, *part.interiors]
    # The last corner is the first.
    drawn = [
        "L".join(f"{x:.1f} {y:.1f}" for x, y in shapely.get_coordinates(ring)[:-1])
        for ring in rings
    ]
    return "".join(f"M{ring}z" for ring in drawn)
