"""What the page of an imagery pilot shows: units, areas with their errors, maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from mlstats.quality.figures import DASH, indicator_name, write
from mlstats.quality.plots import PlotRow, interval_plot
from mlstats.quality.report import RunReport
from mlstats.quality.variable_section import (
    Variable,
    Words,
    plain_tables,
    said,
    variable_of,
)

__all__ = ["AREAS", "MAPS", "TITLES", "imagery_section", "published"]

AREAS: Final = "Published areas"
MAPS: Final = "Maps"
# Tables of an Evaluation -> how the report calls them.
TITLES: Final = {
    "areas": AREAS,
    "zones": "Totals of zones",
    "validation": "Validation",
    "applicability": "Unlike the training",
    "class_areas": "Classified area",
    "date_drift": "Drift between dates",
    "clear": "Clear pixels",
    "costs": "Costs",
    "maps": MAPS,
}
_UNIT: Final = "single unit"
_FIGURE: Final = "published figure"
# Measure -> what it is about, in the order of the columns.
_MEASURES: Final = {
    "accuracy": "blocks left out",
    "accuracy_random": "optimistic",
    "accuracy_season": "seasons left out",
    "macro_f1": "blocks left out",
    "nmae": _UNIT,
    "nrmse": _UNIT,
    "r_squared": _UNIT,
    "rank_correlation": _UNIT,
    "mean_bias": _UNIT,
    "relative_efficiency": _FIGURE,
    "count_bias": _FIGURE,
    "area_bias": _FIGURE,
    "repeated_bias": "repeated surveys",
    "repeated_rmse": "repeated surveys",
    "repeated_coverage": "repeated surveys",
    "unclassified_share": _FIGURE,
    "outside_applicability": _FIGURE,
}
_HEADLINES: Final = ("accuracy", "repeated_rmse", "nmae", "nrmse")
_WORDS: Final = Words(
    intro="Every arm on the same segments, labelled pixels or zones. A unit is "
    "predicted by what was learnt from others; the published figure is estimated from "
    "the survey, with the map as its helper, and carries a standard error. A pixel "
    "count stands beside it as a comparison and is no figure.",
    tables_title="Areas, validation and territory",
    tables_intro="All that was estimated, with standard errors and 95\u00a0% "
    "intervals; the workbook has every row.",
    domains_caption="By domain, with 95\u00a0% intervals.",
    drift_title="Drift",
    drift_intro="What is predicted against what it should resemble: the scene against "
    "the pixels that were learnt from, or the candidate against the baseline on the "
    "same units, in pairs.",
    reading=(
        (
            "Efficiency against direct",
            "is the variance of the survey alone over that of survey and map: with 3, "
            "one surveyed segment is worth three.",
        ),
        (
            "Random folds",
            "leave out single units beside their neighbours and flatter every method; "
            "what blocks, and seasons, leave out is what a new place, or year, shows.",
        ),
        (
            "A pixel count",
            "is off by what the map confuses, however large the map is: it has no "
            "standard error and is never published.",
        ),
    ),
)


def imagery_section(report: RunReport) -> dict[str, Any]:
    """Return what the section shows; empty for a pilot of another theme.

    Returns
    -------
    dict
        The words, variables, plots (title, svg), domains, tables.
    """
    if report.theme != "imagery":
        return {}
    return asdict(_WORDS) | {
        "closing": "",
        "variables": [_variable(report, name) for name in _levels(report)],
        "plots": [(title, Markup(svg)) for title, svg in _plots(report) if svg],
        "domains": [],
        "tables": plain_tables(_readable(report.tables), [MAPS]),
    }


def _levels(report: RunReport) -> list[str]:
    found = {
        c.level: None
        for c in report.cells.values()
        if c.indicator in _MEASURES and c.level
    }
    return sorted(found, key=lambda name: name != report.level)


def _variable(report: RunReport, name: str) -> Variable:
    scored = {c.indicator for c in report.cells.values() if c.level == name}
    headline = next((m for m in _HEADLINES if m in scored), "relative_efficiency")
    return variable_of(
        report, name, list(_MEASURES), headline=headline, aspects=_MEASURES,
        units="units",
    )  # fmt: skip


def _plots(report: RunReport) -> list[tuple[str, str]]:
    found = [("Published areas by method", area_plot(report))]
    found += [("Accuracy by what is left out", validation_plot(report))]
    maps = report.tables.get(MAPS)
    if maps is not None:
        found += [(str(title), str(svg)) for title, svg in maps.to_numpy()]
    return found


def area_plot(report: RunReport) -> str:
    """Draw each published total with its interval; hollow what is no figure."""
    table = report.tables.get(AREAS)
    if table is None or table.empty:
        return ""
    whole = table[table["domain"] == ""]
    rows = [
        PlotRow(
            str(row["method"]),
            float(row["estimate"]),
            float(row["lower"]),
            float(row["upper"]),
            _told(row),
            report.kinds.get(str(row["method"]), ""),
            str(row["variable"]),
            hollow=not row["publishable"],
        )
        for _, row in whole.sort_values("variable", kind="stable").iterrows()
        if math.isfinite(row["estimate"])
    ]
    return interval_plot(
        rows,
        key="areas",
        title="Published areas by method",
        description="A dot per method with its 95 % interval; hollow marks are no "
        "figures.",
        axis="total",
        remark="synthetic data" if report.synthetic else "",
    )


def published(areas: pd.DataFrame | None, variable: str, method: str) -> str:
    """Return a method's total of a variable with its interval as text."""
    if areas is None:
        return DASH
    hit = (areas["variable"] == variable) & (areas["method"] == method)
    found = areas[hit & (areas["domain"] == "")]
    if found.empty or not math.isfinite(found["estimate"].iloc[0]):
        return DASH
    return _told(found.iloc[0])


def _told(row: pd.Series) -> str:
    value = said(float(f"{row['estimate']:.4g}"))
    if not math.isfinite(row["lower"]):
        return f"{value}, no interval"
    low, high = (said(float(f"{row[c]:.4g}")) for c in ("lower", "upper"))
    return f"{value} ({low} to {high})"


_SCHEMES: Final = {
    "accuracy_random": "random folds",
    "accuracy": "blocks left out",
    "accuracy_season": "seasons left out",
}


def validation_plot(report: RunReport) -> str:
    """Draw the accuracy of each classifier by what was left out."""
    rows = []
    for method in report.method_names:
        for indicator, label in _SCHEMES.items():
            cell = report.cell(indicator, method, level=report.level)
            if cell is None or not cell.measured:
                continue
            text = write(cell, level=cell.level)
            shown = f"{text.text} ({text.interval})" if text.interval else text.text
            value, low, high = (100 * v for v in (cell.value, cell.lower, cell.upper))
            kind = report.kinds.get(method, "")
            rows.append(PlotRow(label, value, low, high, shown, kind, method))
    if not rows or report.level != "class":
        return ""
    return interval_plot(
        rows,
        key="validation",
        title="Accuracy by what is left out",
        description="A dot per way to leave units out, with its 95 % interval.",
        axis=f"{indicator_name('accuracy')}, %",
        limits=(0, 100),
        remark="synthetic data" if report.synthetic else "",
    )


def _readable(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the tables with the whole territory named as such."""
    found = {}
    for title, table in tables.items():
        shown = table
        if "domain" in shown:
            shown = shown.assign(domain=shown["domain"].replace("", "all"))
        found[title] = shown
    return found
