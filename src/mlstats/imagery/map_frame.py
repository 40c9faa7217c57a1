"""What stands around a map: legend, scale bar, north and its text alternative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

__all__ = ["Entry", "Frame", "framed", "great_circle", "hatch_of"]

_COLUMN: Final = 200
_ROW: Final = 24
_INK, _SOFT, _REMARK = "#1c2430", "#56606e", "#5b2a86"
_FONT: Final = "font-family:system-ui,sans-serif"
_EARTH_METRES: Final = 6_371_008.8


@dataclass(frozen=True)
class Entry:
    """A line of the legend."""

    text: str
    colour: str
    hatched: bool = False


@dataclass(frozen=True)
class Frame:
    """Words and size of a map.

    Attributes
    ----------
    key : str
        An HTML id of its own on the page.
    title, description : str
        What a screen reader says.
    width, height : float
        Of the map itself.
    remark : str
        Written at the lower right.
    """

    key: str
    title: str
    description: str
    width: float
    height: float
    remark: str = ""


def framed(body: str, entries: Sequence[Entry], frame: Frame, *, metres: float) -> str:
    """Return the map `body` with what stands below it, as one ``<svg>`` element.

    Parameters
    ----------
    body : str
        SVG of the map, from (0, 0) to the frame's width and height.
    entries : sequence of Entry
    frame : Frame
    metres : float
        On the ground, from the left to the right edge of the map.
    """
    width = max(frame.width, 2 * _COLUMN)
    bar_top = frame.height + 14
    legend, bottom = _legend(entries, frame, width, bar_top + 34)
    parts = [
        f'<title id="{escape(frame.key)}-title">{escape(frame.title)}</title>',
        f'<desc id="{escape(frame.key)}-desc">{escape(frame.description)}</desc>',
        _hatch(frame.key),
        body,
        _scale_bar(frame.width, bar_top, metres),
        _north(width - 14, bar_top),
        *legend,
    ]
    if frame.remark:
        bottom += _ROW
        style = f"{_FONT};font-size:12px;font-weight:600;fill:{_REMARK}"
        parts.append(
            f'<text x="{width:g}" y="{bottom - 8:g}" text-anchor="end" '
            f'style="{style}">{escape(frame.remark)}</text>'
        )
    return (
        f'<svg class="map" viewBox="0 0 {width:g} {bottom:g}" role="img" '
        f'aria-labelledby="{escape(frame.key)}-title {escape(frame.key)}-desc" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def hatch_of(key: str) -> str:
    """Return the paint of what is hatched on the map of this key."""
    return f"url(#{escape(key)}-hatch)"


def round_step(rough: float) -> float:
    """Return the largest of 1, 2, 5, 10, ... times a power of ten up to `rough`.

    Examples
    --------
    >>> round_step(3400.0)
    2000.0
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return max(m * power for m in (1, 2, 5) if m * power <= rough * (1 + 1e-9))


def great_circle(longitude: Sequence[float], latitude: Sequence[float]) -> float:
    """Return the metres between two points given in degrees, on a sphere.

    Notes
    -----
    The haversine formula (Sinnott 1984, Sky and Telescope 68(2), 159), with the mean
    radius of the Earth: right to .6 %, finer than a scale bar is read.
    """
    east, west = (math.radians(value) for value in longitude)
    one, two = (math.radians(value) for value in latitude)
    half = (
        math.sin((two - one) / 2) ** 2
        + math.cos(one) * math.cos(two) * math.sin((east - west) / 2) ** 2
    )
    return 2 * _EARTH_METRES * math.asin(min(1.0, math.sqrt(half)))


def _hatch(key: str) -> str:
    return (
        f'<defs><pattern id="{escape(key)}-hatch" width="5" height="5" '
        'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="5" height="5" fill="#ffffff"/>'
        f'<rect width="1.6" height="5" fill="{_INK}"/></pattern></defs>'
    )


def _legend(
    entries: Sequence[Entry], frame: Frame, width: float, top: float
) -> tuple[list[str], float]:
    columns = max(int(width // _COLUMN), 1)
    style = f"{_FONT};font-size:13px;fill:{_INK}"
    parts = []
    for number, entry in enumerate(entries):
        x, y = number % columns * _COLUMN, top + number // columns * _ROW
        paint = hatch_of(frame.key) if entry.hatched else entry.colour
        parts.append(
            f'<rect x="{x + 1}" y="{y:g}" width="18" height="14" fill="{paint}" '
            f'stroke="{_SOFT}"/>'
            f'<text x="{x + 26}" y="{y + 12:g}" style="{style}">'
            f"{escape(entry.text)}</text>"
        )
    return parts, top + -(-len(entries) // columns) * _ROW


def _scale_bar(width: float, top: float, metres: float) -> str:
    if not (math.isfinite(metres) and metres > 0):
        return ""
    length = round_step(metres / 4)
    pixels = length / metres * width
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    style = f"{_FONT};font-size:12px;fill:{_INK}"
    return (
        f'<path d="M1 {top:g}v8h{pixels:.1f}v-8" fill="none" stroke="{_INK}" '
        f'stroke-width="1.6"/><text x="{pixels + 9:.1f}" y="{top + 9:g}" '
        f'style="{style}">{text}</text>'
    )


def _north(x: float, top: float) -> str:
    style = f"{_FONT};font-size:12px;font-weight:600;fill:{_INK}"
    return (
        f'<path d="M{x:g} {top - 6:g}l5 14l-5 -3.5l-5 3.5z" fill="{_INK}"/>'
        f'<text x="{x:g}" y="{top + 20:g}" text-anchor="middle" '
        f'style="{style}">N</text>'
    )
