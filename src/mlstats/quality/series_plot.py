"""A small plot over periods as inline SVG: values with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from mlstats.quality.plots import KIND_COLOURS, round_step

__all__ = ["Series", "series_plot"]

_WIDTH: Final = 430
_HEIGHT: Final = 190
_LEFT: Final = 52
_RIGHT: Final = 418
_TOP: Final = 30
_BOTTOM: Final = 150
_NAMES: Final = 6  # periods named below the axis, at most
_APART: Final = 7.0  # between the series of one period
_OTHER: Final = "#3d4654"


@dataclass(frozen=True)
class Series:
    """One arm over the periods.

    Parameters
    ----------
    name : str
        In the legend.
    points : sequence of (float, float, float)
        Value, lower and upper limit of each period; NaN where not measured.
    kind : str
        ``traditional`` (square) or ``ml`` (circle); others are circles too.
    """

    name: str
    points: Sequence[tuple[float, float, float]]
    kind: str = ""


def series_plot(
    periods: Sequence[str],
    series: Sequence[Series],
    *,
    key: str,
    title: str,
    unit: str = "",
    line: tuple[float, str] | None = None,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> str:
    """Draw values over periods with their intervals; a gap is a period not measured.

    Parameters
    ----------
    periods : sequence of str
        In their order.
    series : sequence of Series
        Each with a point per period.
    key : str
        An HTML id of its own on the page.
    title, unit : str
        Above the plot.
    line : (float, str), optional
        A level that is drawn across, and its name.
    limits : tuple of float
        The axis stays inside.

    Returns
    -------
    str
        One ``<svg>`` element, everything in it escaped; empty where nothing is
        measured.
    """
    ends = [end for one in series for point in one.points for end in point]
    ends = [end for end in [*ends, *([line[0]] if line else [])] if math.isfinite(end)]
    if not any(math.isfinite(p[0]) for one in series for p in one.points):
        return ""
    step = round_step((max(ends) - min(ends)) * 1.5)
    low = max(math.floor(min(ends) / step) * step, limits[0])
    high = min(math.ceil(max(ends) / step) * step, limits[1])
    low = low if high > low else high - step
    scale = (low, high, step)
    said = f"{title}{f', {unit}' if unit else ''}"
    parts = [
        f'<title id="{escape(key)}-title">{escape(said)}</title>',
        _text(_LEFT, 14, said, "plot-group"),
        *_axes(periods, scale),
        *_level(line, scale),
        *_legend(series),
    ]
    for place, one in enumerate(series):
        shift = _APART * (place - (len(series) - 1) / 2)
        parts += _drawn(periods, one, shift, scale)
    return (
        f'<svg class="plot series" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{escape(key)}-title" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )


def _x(place: int, periods: int) -> float:
    return _LEFT + (_RIGHT - _LEFT) * (place + 0.5) / periods


def _y(value: float, scale: tuple[float, float, float]) -> float:
    share = (value - scale[0]) / (scale[1] - scale[0])
    return _BOTTOM - min(max(share, 0.0), 1.0) * (_BOTTOM - _TOP)


def _axes(periods: Sequence[str], scale: tuple[float, float, float]) -> Iterator[str]:
    low, high, step = scale
    decimals = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    for tick in range(first, last + 1):
        y = _y(tick * step, scale)
        yield f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" class="plot-grid"/>'
        label = f"{tick * step:,.{decimals}f}".replace("-", "\u2212")
        yield _text(_LEFT - 6, y + 4, label, "plot-tick", "end")
    yield f'<path d="M{_LEFT} {_BOTTOM}H{_RIGHT}" class="plot-axis"/>'
    every = math.ceil(len(periods) / _NAMES)
    for place, period in enumerate(periods):
        if (len(periods) - 1 - place) % every == 0:
            x = _x(place, len(periods))
            yield _text(x, _BOTTOM + 16, period, "plot-tick", "middle")


def _level(
    line: tuple[float, str] | None, scale: tuple[float, float, float]
) -> Iterator[str]:
    if line is None:
        return
    y = _y(line[0], scale)
    yield f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" class="plot-margin"/>'
    yield _text(_RIGHT, y - 4, line[1], "plot-margin-name", "end")


def _legend(series: Sequence[Series]) -> Iterator[str]:
    if len(series) < 2:
        return
    x = float(_LEFT)
    for one in series:
        yield _marker(x + 4, _HEIGHT - 10, one)
        yield _text(x + 12, _HEIGHT - 6, one.name, "plot-tick")
        x += 24 + 7 * len(one.name)


def _drawn(
    periods: Sequence[str],
    one: Series,
    shift: float,
    scale: tuple[float, float, float],
) -> Iterator[str]:
    colour = KIND_COLOURS.get(one.kind, _OTHER)
    before: tuple[float, float] | None = None
    for place, (value, lower, upper) in enumerate(one.points):
        if not math.isfinite(value):
            before = None
            continue
        x, y = _x(place, len(periods)) + shift, _y(value, scale)
        if before is not None:
            line = f"M{before[0]:.1f} {before[1]:.1f}L{x:.1f} {y:.1f}"
            yield f'<path d="{line}" stroke="{colour}" fill="none" opacity="0.35"/>'
        if math.isfinite(lower) and math.isfinite(upper):
            line = f"M{x:.1f} {_y(lower, scale):.1f}V{_y(upper, scale):.1f}"
            yield f'<path d="{line}" stroke="{colour}" class="plot-interval"/>'
        yield _marker(x, y, one)
        before = (x, y)


def _marker(x: float, y: float, one: Series) -> str:
    colour = KIND_COLOURS.get(one.kind, _OTHER)
    if one.kind == "traditional":
        shape = f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" '
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" '
    return f'{shape}fill="{colour}"/>'


def _text(x: float, y: float, text: str, role: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{role}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
