"""Two plots as inline SVG: intervals on a scale, and differences beside a zero line.

Every row is a dot with its interval and, at the right, the same in figures, so that
nothing has to be read off an axis. Kinds of method differ by shape as well as by
colour. A plot needs neither script nor font file and is sharp on paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

__all__ = ["KIND_COLOURS", "PlotRow", "forest_plot", "interval_plot", "round_step"]

_WIDTH: Final = 760
_LEFT: Final = 200
_RIGHT: Final = 580
_TOP: Final = 14
_ROW: Final = 24
_AXIS: Final = 46
_LABEL_LENGTH: Final = 27

# Dark enough for 4.5:1 on white, and told apart by people with colour blindness.
KIND_COLOURS: Final = {
    "traditional": "#7a4a00",
    "ml": "#0b5394",
    "hybrid": "#14633a",
    "corrected": "#5b2a86",
}
_OTHER_COLOUR: Final = "#3d4654"


@dataclass(frozen=True)
class PlotRow:
    """One dot with its interval.

    Parameters
    ----------
    label : str
        Stands at the left.
    value, lower, upper : float
        In units of the axis; NaN where missing.
    text : str
        The figures at the right, or why they are missing.
    kind : str
        ``traditional`` (square), ``ml`` (circle), ``hybrid`` or ``corrected``
        (diamonds).
    group : str
        A heading, drawn once above the first row of the group.
    hollow : bool
        Draw the outline only: a second quantity of the same method.
    """

    label: str
    value: float
    lower: float
    upper: float
    text: str
    kind: str = ""
    group: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    ticks: tuple[float, ...]
    decimals: int

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def x(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _LEFT + min(max(share, 0.0), 1.0) * (_RIGHT - _LEFT)


def interval_plot(
    rows: Sequence[PlotRow],
    *,
    key: str,
    title: str,
    description: str,
    axis: str,
    limits: tuple[float, float] = (-math.inf, math.inf),
    zero: bool = False,
    remark: str = "",
) -> str:
    """Draw values with their intervals.

    Parameters
    ----------
    rows : sequence of PlotRow
        In drawing order; rows of one group stand together.
    key : str
        An HTML id of its own on the page.
    title, description : str
        What a screen reader says.
    axis : str
        Name of the axis with its unit.
    limits : tuple of float
        The axis stays inside, for example (0, 100) for percentages.
    zero : bool
        Draw the line of zero, which is then on the axis.
    remark : str
        Written at the lower right, for example that the data are synthetic.

    Returns
    -------
    str
        One ``<svg>`` element, everything in it escaped.
    """
    lines: list[tuple[float, str, Literal["zero", "margin"]]] = (
        [(0.0, "", "zero")] if zero else []
    )
    scale = _scale([*([0.0] if zero else []), *_ends(rows)], limits)
    return _draw(rows, scale, lines, (key, title, description, axis, remark))


def forest_plot(
    rows: Sequence[PlotRow],
    *,
    key: str,
    title: str,
    description: str,
    axis: str,
    margins: Sequence[tuple[float, str]] = (),
    remark: str = "",
) -> str:
    """Draw differences with their intervals, the zero line and the margins.

    The axis is chosen for the ML methods, which the gates judge: a traditional method
    far away is an arrow at the frame, with its figures beside it.

    Parameters
    ----------
    rows, key, title, description, axis, remark
        As in :func:`interval_plot`.
    margins : sequence of (float, str)
        Thresholds in units of the axis, each with its name.

    Returns
    -------
    str
        One ``<svg>`` element, everything in it escaped.
    """
    known = [(value, name) for value, name in margins if math.isfinite(value)]
    judged = [row for row in rows if row.kind == "ml"]
    ends = [0.0, *(value for value, _ in known), *_ends(judged or rows)]
    lines: list[tuple[float, str, Literal["zero", "margin"]]] = [(0.0, "", "zero")]
    lines += [(value, name, "margin") for value, name in known]
    scale = _scale(ends, (-math.inf, math.inf))
    return _draw(rows, scale, lines, (key, title, description, axis, remark))


def _ends(rows: Iterable[PlotRow]) -> list[float]:
    ends = [end for row in rows for end in (row.value, row.lower, row.upper)]
    return [end for end in ends if math.isfinite(end)]


def _scale(ends: Sequence[float], limits: tuple[float, float]) -> _Scale:
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    step = round_step(high - low)
    # A dot never sits on the frame, except where the scale itself ends.
    low = max(math.floor((low - step / 4) / step) * step, limits[0])
    high = min(math.ceil((high + step / 4) / step) * step, limits[1])
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    ticks = tuple(round(i * step, 10) for i in range(first, last + 1))
    return _Scale(low, high, ticks, max(0, -math.floor(math.log10(step))))


def round_step(span: float) -> float:
    """Return the round step that divides a span into about six parts."""
    # Values that agree to the last figure still get an axis that can be read.
    rough = (span if span > 1e-6 else 1.0) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def _draw(
    rows: Sequence[PlotRow],
    scale: _Scale,
    lines: Sequence[tuple[float, str, Literal["zero", "margin"]]],
    words: tuple[str, str, str, str, str],
) -> str:
    key, title, description, axis, remark = words
    names = [name for _, name, _ in lines if name]
    top = _TOP + 15 * len(names)
    body: list[str] = []
    y = float(top)
    group = ""
    for row in rows:
        if row.group and row.group != group:
            group = row.group
            body.append(_text(0, y + 16, group, "plot-group"))
            y += _ROW
        body.append(_row(row, scale, y + _ROW / 2))
        y += _ROW
    parts = [
        f'<title id="{escape(key)}-title">{escape(title)}</title>',
        f'<desc id="{escape(key)}-desc">{escape(description)}</desc>',
        *_axis(scale, axis, top, y),
        *_lines(scale, lines, top, y),
        *body,
    ]
    if remark:
        parts.append(_text(_WIDTH, y + 40, remark, "plot-remark", "end"))
    height = y + _AXIS
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
        f'aria-labelledby="{escape(key)}-title {escape(key)}-desc" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _axis(scale: _Scale, axis: str, top: float, bottom: float) -> Iterable[str]:
    for tick in scale.ticks:
        x = scale.x(tick)
        yield _line(x, top, x, bottom, "plot-grid")
        label = f"{tick:.{scale.decimals}f}".replace("-", "\u2212")
        yield _text(x, bottom + 16, label, "plot-tick", "middle")
    yield _line(_LEFT, bottom, _RIGHT, bottom, "plot-axis")
    yield _text((_LEFT + _RIGHT) / 2, bottom + 36, axis, "plot-tick", "middle")


def _lines(
    scale: _Scale,
    lines: Sequence[tuple[float, str, Literal["zero", "margin"]]],
    top: float,
    bottom: float,
) -> Iterable[str]:
    y = 11.0
    for value, name, role in lines:
        x = scale.x(value)
        start = y + 4 if name else top
        yield _line(x, start, x, bottom, f"plot-{role}")
        if name:
            # Towards the middle, so that the name stays on the page.
            anchor = "start" if x < (_LEFT + _RIGHT) / 2 else "end"
            yield _text(x, y, name, "plot-margin-name", anchor)
            y += 15


def _row(row: PlotRow, scale: _Scale, y: float) -> str:
    colour = KIND_COLOURS.get(row.kind, _OTHER_COLOUR)
    label = row.label
    if len(label) > _LABEL_LENGTH:
        label = label[: _LABEL_LENGTH - 1].rstrip() + "\u2026"
    parts = [
        f"<title>{escape(f'{row.label}: {row.text}')}</title>",
        _text(12, y + 4.5, label, "plot-label"),
        _text(_RIGHT + 14, y + 4.5, row.text, "plot-value"),
    ]
    if math.isfinite(row.lower) and math.isfinite(row.upper):
        parts.append(_interval(row, scale, y, colour))
    if math.isfinite(row.value):
        parts.append(_marker(row, scale, y, colour))
    return f"<g>{''.join(parts)}</g>"


def _interval(row: PlotRow, scale: _Scale, y: float, colour: str) -> str:
    path = f"M{scale.x(row.lower):.1f} {y:g}H{scale.x(row.upper):.1f}"
    for end in (row.lower, row.upper):
        # An end without a cap goes on beyond the frame.
        if scale.holds(end):
            path += f"M{scale.x(end):.1f} {y - 5.5:g}v11"
    return f'<path d="{path}" stroke="{colour}" class="plot-interval"/>'


def _marker(row: PlotRow, scale: _Scale, y: float, colour: str) -> str:
    x = scale.x(row.value)
    paint = f'fill="{"#ffffff" if row.hollow else colour}" stroke="{colour}"'
    if not scale.holds(row.value):
        tip = -9 if row.value < scale.low else 9
        return (
            f'<path d="M{x:.1f} {y - 5.5:g}l{tip} 5.5l{-tip} 5.5z" '
            f'{paint} class="plot-marker"/>'
        )
    if row.kind == "traditional":
        return (
            f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:g}" width="7" height="7" '
            f'{paint} class="plot-marker"/>'
        )
    if row.kind in {"hybrid", "corrected"}:
        return (
            f'<path d="M{x:.1f} {y - 5:g}l5 5l-5 5l-5 -5z" '
            f'{paint} class="plot-marker"/>'
        )
    return f'<circle cx="{x:.1f}" cy="{y:g}" r="4" {paint} class="plot-marker"/>'


def _line(x1: float, y1: float, x2: float, y2: float, role: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:g}" x2="{x2:.1f}" y2="{y2:g}" class="{role}"/>'


def _text(x: float, y: float, text: str, role: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" class="{role}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
