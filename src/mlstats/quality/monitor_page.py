"""The page of a pilot's history: what is proposed, and small plots over periods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from mlstats.quality.figures import as_text, indicator_name
from mlstats.quality.pages import render
from mlstats.quality.series_plot import Series, series_plot

__all__ = ["MonitorPage", "render_monitor"]

_SHOWN: Final = 24  # periods of the page; history.parquet and the workbook have all
_LARGEST: Final = 6  # published figures that are drawn
_KINDS: Final = {"champion": "ml", "baseline": "traditional"}
_RATIOS: Final = frozenset({"mean confidence", "double_coding_kappa"})


@dataclass(frozen=True)
class MonitorPage:
    """What the page shows.

    Parameters
    ----------
    title : str
        Of the pilot.
    rows : pandas.DataFrame
        From :func:`mlstats.monitoring.history_of`.
    proposed : pandas.DataFrame
        From :func:`mlstats.proposals.proposed_table`.
    periods : sequence of mapping
        period, revision, state and by (whom it was produced by) of each.
    target : float
        Accuracy that was promised for what no clerk sees.
    synthetic : bool
        Whether the data were generated.
    """

    title: str
    rows: pd.DataFrame
    proposed: pd.DataFrame
    periods: Sequence[Mapping[str, str]]
    target: float
    synthetic: bool = False


def render_monitor(page: MonitorPage) -> str:
    """Return the page as HTML that stands alone."""
    shown = [one["period"] for one in page.periods][-_SHOWN:]
    rows = page.rows[page.rows["period"].isin(shown)]
    last = shown[-1] if shown else ""
    told = page.proposed
    return render(
        "monitor.html",
        title=page.title,
        synthetic=page.synthetic,
        last=last,
        open=_lines(told[told["period"] == last]),
        earlier=_lines(told[told["period"] != last]),
        performance=_performance(rows, shown, page.target),
        coders=_plots(rows, shown, "coders", ""),
        outputs=_plots(rows, shown, "outputs", "released"),
        shares=_shares(rows, shown),
        columns=_drift(rows, shown),
        shown=shown,
        periods=[dict(one) for one in page.periods if one["period"] in shown],
        table=_table(rows, shown),
    )


def _lines(table: pd.DataFrame) -> list[dict[str, str]]:
    found = []
    for row in table.to_dict("records"):
        ends = [float(row[name]) for name in ("value", "lower", "upper")]
        figure = ""
        if math.isfinite(ends[0]) and math.isfinite(ends[1]):
            value, lower, upper = (f"{100 * one:.1f}" for one in ends)
            figure = f"{value} % ({lower} to {upper})"
        words = {str(name): as_text(value) for name, value in row.items()}
        words["action"] = words["action"].replace("_", " ")
        found.append(words | {"figure": figure})
    return found


def _points(
    rows: pd.DataFrame, periods: Sequence[str], times: float
) -> list[tuple[float, float, float]]:
    by = rows.drop_duplicates("period").set_index("period")
    told = by.reindex(list(periods))[["value", "lower", "upper"]].to_numpy(dtype=float)
    return [(times * v, times * low, times * up) for v, low, up in told]


def _performance(
    rows: pd.DataFrame, periods: Sequence[str], target: float
) -> list[Markup]:
    right = rows[rows["indicator"] == "accuracy"]
    arms = [
        Series(role, _points(right[right["arm"] == role], periods, 100), kind)
        for role, kind in _KINDS.items()
    ]
    alone = Series("released", _points(right[right["arm"] == "released"], periods, 100))
    gap = rows[rows["indicator"] == "accuracy_difference"]
    less = Series("difference", _points(gap, periods, 100), "ml")
    drawn = [
        series_plot(periods, arms, key="arms", title="Accuracy on the same units",
                    unit="%", limits=(0, 100)),
        series_plot(periods, [less], key="gap", title="Champion less baseline",
                    unit="points", line=(0.0, "")),
        series_plot(periods, [alone], key="alone", unit="%", limits=(0, 100),
                    title="Accuracy of what no clerk saw",
                    line=(100 * target, "target")),
    ]  # fmt: skip
    return _marked(drawn)


def _plots(
    rows: pd.DataFrame, periods: Sequence[str], part: str, arm: str
) -> list[Markup]:
    """Draw each indicator of a part that is one figure per period."""
    mine = rows[(rows["part"] == part) & (rows["arm"] == arm) & (rows["domain"] == "")]
    mine = mine[mine["lower"].notna() | mine["indicator"].isin(_RATIOS)]
    drawn = []
    for place, (name, one) in enumerate(mine.groupby("indicator", sort=False)):
        share = name not in _RATIOS
        series = Series(str(name), _points(one, periods, 100 if share else 1))
        told = indicator_name(str(name))
        drawn.append(
            series_plot(
                periods, [series], key=f"{part}-{place}",
                title=told[:1].upper() + told[1:],
                unit="%" if share else "", limits=(0, 100) if share else (-1, 1),
            )
        )  # fmt: skip
    return _marked(drawn)


def _shares(rows: pd.DataFrame, periods: Sequence[str]) -> list[Markup]:
    """Draw the largest published figures of the last period."""
    mine = rows[rows["indicator"].isin(["share", "total"])]
    last = mine[mine["period"] == (periods[-1] if periods else "")]
    drawn = []
    for place, row in enumerate(last.nlargest(_LARGEST, "value").to_dict("records")):
        one = mine[mine["domain"] == row["domain"]]
        share = row["indicator"] == "share"
        series = Series("released", _points(one, periods, 100 if share else 1))
        drawn.append(
            series_plot(
                periods, [series], key=f"share-{place}", title=str(row["domain"]),
                unit="% of all units" if share else "",
            )
        )  # fmt: skip
    return _marked(drawn)


def _marked(drawn: Sequence[str]) -> list[Markup]:
    return [Markup(one) for one in drawn if one]  # noqa: S704 - the plot escapes


def _drift(rows: pd.DataFrame, periods: Sequence[str]) -> list[dict[str, Any]]:
    """Return the verdict of each watched column and reference, by period."""
    told = rows[rows["indicator"] == "drift"]
    found = []
    for (column, reference), one in told.groupby(["domain", "reference"], sort=True):
        by = dict(zip(one["period"], one["verdict"], strict=True))
        found.append(
            {
                "column": as_text(column),
                "reference": as_text(reference).replace("_", " "),
                "states": [by.get(period, "") for period in periods],
            }
        )
    return found


def _table(rows: pd.DataFrame, periods: Sequence[str]) -> list[dict[str, Any]]:
    """Return the figures of the plots as a table, newest period first."""
    wanted = rows[rows["part"].isin(["performance", "coders"])]
    found = []
    for (name, arm), one in wanted.groupby(["indicator", "arm"], sort=False):
        by = {row["period"]: row for row in one.to_dict("records")}
        told = indicator_name(str(name)) + (f", {arm}" if arm else "")
        cells = [
            _cell(by.get(period), str(name) in _RATIOS) for period in reversed(periods)
        ]
        found.append({"name": told, "cells": cells})
    return found


def _cell(row: Mapping[Any, Any] | None, ratio: bool) -> tuple[str, str]:
    if row is None or row["status"] != "measured":
        return ("not measured", "")
    told = [float(row[name]) for name in ("value", "lower", "upper")]
    told = told if ratio else [100 * one for one in told]
    digits = 2 if ratio else 1
    value, lower, upper = (f"{one:.{digits}f}" for one in told)
    ends = f"{lower} to {upper}" if math.isfinite(told[1]) else "no interval"
    return (value, ends)
