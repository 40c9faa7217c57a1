"""Imputed beside true values as pictures: measures with intervals, and distributions.

The distributions are drawn share against share, so that no value of a unit is on the
picture: how much of the truth, and how much of what was imputed, lies below the same
point. A perfect draw follows the diagonal; the largest vertical distance from it is
the Kolmogorov-Smirnov distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.figures import SCORECARD_COLUMNS, Cell, write
from mlstats.quality.imputed_cells import Scale, imputed_variables
from mlstats.quality.plots import KIND_COLOURS, PlotRow, interval_plot
from mlstats.quality.report_tables import LEAST_UNITS

__all__ = [
    "DISTRIBUTION_COLUMNS",
    "distribution_plot",
    "distribution_table",
    "imputation_plot",
]

DISTRIBUTION_COLUMNS: Final = (
    "variable", "method", "truth_share", "imputed_share", "n",
)  # fmt: skip
_BINS: Final = 40
# indicator -> name of the axis, factor, null indicator
_PANELS: Final[Mapping[str, tuple[str, float, str]]] = {
    "nrmse": ("RMSE over the spread of the truth", 1.0, ""),
    "accuracy": ("cells with their true category, %", 100.0, ""),
    "ks": ("largest gap of the distributions; hollow: a perfect draw", 1.0, "ks_null"),
    "total_variation": (
        "share in the wrong category; hollow: a perfect draw",
        1.0,
        "total_variation_null",
    ),
    "mean_bias": ("bias of the mean of the imputed cells, %", 100.0, ""),
}


def imputation_plot(
    rows: Sequence[Mapping[str, Any]], *, key: str = "imputation", remark: str = ""
) -> str:
    """Draw error, distance and bias of every arm, by variable.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of a scorecard, such as :func:`imputation_rows` of
        :mod:`mlstats.quality.imputation_level` returns; those of domains are left out.
    key : str
        An HTML id of its own on the page.
    remark : str
        Written at the lower right, for example that the data are synthetic.

    Returns
    -------
    str
        One ``<svg>`` element with a panel for each measure there is; empty where there
        is none.
    """
    filled = [{"gsbpm": "", **row} for row in rows if not row.get("domain")]
    frame = pd.DataFrame(filled).reindex(columns=list(SCORECARD_COLUMNS))
    cells = [Cell.from_row({str(k): v for k, v in r.items()}) for r in _records(frame)]
    held = {cell.indicator for cell in cells}
    names = [name for name in _PANELS if name in held]
    panels = [
        _panel(cells, name, f"{key}-{name}", remark * (name == names[-1]))
        for name in names
    ]
    return _stacked(panels, key) if panels else ""


def _records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    return frame.to_dict("records")


def _panel(cells: Sequence[Cell], name: str, key: str, remark: str) -> str:
    axis, factor, null = _PANELS[name]
    own = [cell for cell in cells if cell.indicator == name]
    nulls = {cell.level: cell for cell in cells if null and cell.indicator == null}
    drawn = []
    for level in dict.fromkeys(cell.level for cell in own):
        drawn += [_dot(cell, factor) for cell in own if cell.level == level]
        if level in nulls:
            found = nulls[level]
            drawn.append(
                PlotRow(
                    "a perfect draw", found.value * factor, math.nan, math.nan,
                    write(found).text, group=level, hollow=True,
                )
            )  # fmt: skip
    return interval_plot(
        drawn,
        key=key,
        title=axis,
        description="A mark per variable and arm with its 95 % interval.",
        axis=axis,
        limits=(-math.inf if name == "mean_bias" else 0.0, math.inf),
        zero=name == "mean_bias",
        remark=remark,
    )


def _dot(cell: Cell, factor: float) -> PlotRow:
    figure = write(cell, level=cell.level)
    text = f"{figure.text} ({figure.interval})" if figure.interval else figure.text
    ends = (cell.value, cell.lower, cell.upper)
    value, lower, upper = (end * factor for end in ends)
    return PlotRow(
        cell.method, value, lower, upper, figure.missing or text, cell.kind, cell.level
    )


def _stacked(panels: Sequence[str], key: str) -> str:
    """Put pictures below each other, in one."""
    top, body = 0.0, []
    for panel in panels:
        width, height = panel.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split()
        place = f'<svg x="0" y="{top:g}" width="{width}" height="{height}" '
        body.append(panel.replace("<svg ", place, 1).replace('class="plot" ', "", 1))
        top += float(height)
    return (
        f'<svg class="plot" id="{escape(key)}" viewBox="0 0 {width} {top:g}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(body)}</svg>'
    )


# -- distributions -------------------------------------------------------------------


def distribution_table(
    units: pd.DataFrame, *, variables: Mapping[str, Scale]
) -> pd.DataFrame:
    """Return which share of true and imputed values lies below the same points.

    Parameters
    ----------
    units, variables
        As for :func:`~mlstats.quality.imputation_level.imputation_rows`; variables
        that are not numeric have no rows.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`DISTRIBUTION_COLUMNS`, from (0, 0) to (1, 1) for every variable
        and method. The points are quantiles of the truth, at most 40, and so far apart
        that ten true and ten imputed cells of a mask lie between two; their values
        are not told. ``n`` is the number of cells of a mask.
    """
    numeric = {name: scale for name, scale in variables.items() if scale == "numeric"}
    own = units[units["variable"].isin(list(numeric))]
    rows: list[tuple[str, str, float, float, int]] = []
    for v in imputed_variables(own, scales=numeric, orders={}) if numeric else []:
        at = v.common
        weight, n = v.cells.weight[at], v.least(at)
        for method, imputed in v.imputed.items():
            pairs = _shares(v.truth[at], imputed[at], weight, v.cells.masks)
            rows += [(v.name, method, x, y, n) for x, y in pairs]
    return pd.DataFrame(rows, columns=list(DISTRIBUTION_COLUMNS))


def _shares(
    truth: np.ndarray, imputed: np.ndarray, weight: np.ndarray, masks: int
) -> list[tuple[float, float]]:
    if len(truth) == 0:  # a method gave no value at all
        return []
    least = LEAST_UNITS * max(masks, 1)
    points = np.unique(np.quantile(truth, np.arange(1, _BINS) / _BINS))
    sides = []
    for values in (truth, imputed):
        order = np.argsort(values, kind="stable")
        below = np.searchsorted(values[order], points, side="right")
        reached = np.concatenate([[0.0], np.cumsum(weight[order])])[below]
        sides.append((below, reached / weight.sum()))
    (n_true, of_true), (n_own, of_own) = sides
    found, last = [(0.0, 0.0)], (0, 0)
    for i in range(len(points)):
        here = (int(n_true[i]), int(n_own[i]))
        apart = min(here[0] - last[0], here[1] - last[1])
        if apart >= least and len(truth) - max(here) >= least:
            found.append((float(of_true[i]), float(of_own[i])))
            last = here
    return [*found, (1.0, 1.0)]


_SIDE: Final = 190
_LEFT: Final = 50
_GAP: Final = 46
_ROW: Final = _SIDE + 70
_TOP: Final = 26
_COLUMNS: Final = 3
_DASHES: Final = (
    'stroke-dasharray="none"', 'stroke-dasharray="7 3"', 'stroke-dasharray="2 2"',
    'stroke-dasharray="9 3 2 3"',
)  # fmt: skip


def distribution_plot(
    table: pd.DataFrame,
    *,
    kinds: Mapping[str, str],
    key: str = "distributions",
    remark: str = "",
) -> str:
    """Draw the share of imputed against the share of true values, by variable.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`distribution_table`.
    kinds : mapping
        Method -> traditional or ml, for the colour.
    key, remark : str
        As in :func:`imputation_plot`.

    Returns
    -------
    str
        One ``<svg>`` element with a square for each variable, empty without rows.
    """
    names = list(dict.fromkeys(table["variable"]))
    if not names:
        return ""
    body: list[str] = []
    for i, name in enumerate(names):
        x = _LEFT + (i % _COLUMNS) * (_SIDE + _GAP)
        y = _TOP + (i // _COLUMNS) * _ROW
        part = table[table["variable"] == name]
        body += _square(part, str(name), kinds, float(x), float(y))
    bottom = _TOP + (1 + (len(names) - 1) // _COLUMNS) * _ROW - 20
    width = _LEFT + _COLUMNS * (_SIDE + _GAP)
    body += _legend(table, kinds, bottom)
    if remark:
        body.append(_word(width, bottom + 18, remark, "plot-remark", "end"))
    title = "Share of imputed values below the points that cut the true values"
    described = "On the diagonal imputed values are distributed as the true ones."
    return (
        f'<svg class="plot" viewBox="0 0 {width} {bottom + 26}" role="img" '
        f'aria-labelledby="{escape(key)}-title {escape(key)}-desc" '
        f'xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{escape(key)}-title">{title}</title>'
        f'<desc id="{escape(key)}-desc">{described}</desc>{"".join(body)}</svg>'
    )


def _square(
    part: pd.DataFrame, name: str, kinds: Mapping[str, str], x: float, y: float
) -> Iterator[str]:
    yield _word(x, y - 8, name, "plot-group")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        across, up = x + share * _SIDE, y + (1 - share) * _SIDE
        yield f'<path d="M{across:g} {y:g}v{_SIDE}" class="plot-grid"/>'
        yield f'<path d="M{x:g} {up:g}h{_SIDE}" class="plot-grid"/>'
        yield _word(across, y + _SIDE + 16, f"{100 * share:g}", "plot-tick", "middle")
        yield _word(x - 6, up + 4, f"{100 * share:g}", "plot-tick", "end")
    axes = "true % across, imputed % up"
    yield _word(x + _SIDE / 2, y + _SIDE + 34, axes, "plot-tick", "middle")
    yield f'<path d="M{x:g} {y + _SIDE:g}l{_SIDE} {-_SIDE}" class="plot-axis"/>'
    strokes = _strokes(part, kinds)
    for method, line in part.groupby("method", sort=False):
        points = " ".join(
            f"{x + a * _SIDE:.1f},{y + (1 - b) * _SIDE:.1f}"
            for a, b in zip(line["truth_share"], line["imputed_share"], strict=True)
        )
        yield (
            f'<polyline points="{points}" {strokes[str(method)]}>'
            f"<title>{escape(str(method))}</title></polyline>"
        )


def _legend(
    table: pd.DataFrame, kinds: Mapping[str, str], bottom: float
) -> Iterator[str]:
    for i, (method, stroke) in enumerate(_strokes(table, kinds).items()):
        x = _LEFT + i * 150
        yield f'<path d="M{x} {bottom + 14:g}h24" {stroke}/>'
        yield _word(x + 30, bottom + 18, method, "plot-label")


def _strokes(table: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, str]:
    """Return how the line of each method is drawn: kinds by colour, arms by dashes."""
    found: dict[str, str] = {}
    for i, method in enumerate(sorted(map(str, table["method"].unique()))):
        colour = KIND_COLOURS.get(kinds.get(method, ""), "#3d4654")
        dashes = _DASHES[i % len(_DASHES)]
        found[method] = f'fill="none" stroke="{colour}" stroke-width="2" {dashes}'
    return found


def _word(x: float, y: float, text: str, role: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" class="{role}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
