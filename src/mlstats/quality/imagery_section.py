"""What the page of an imagery pilot shows: units, areas with their errors, maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from mlstats.quality.figures import DASH, Cell, indicator_name, write
from mlstats.quality.plots import PlotRow, interval_plot
from mlstats.quality.report import RunReport
from mlstats.quality.variable_section import (
    Variable,
    Words,
    plain_tables,
    said,
    variable_of,
    variables_of,
)

__all__ = [
    "AREAS",
    "MEASURES",
    "TITLES",
    "area_rows",
    "counted",
    "headline",
    "imagery_section",
    "published",
    "scheme_rows",
]

AREAS: Final = "Published areas"
VALIDATION: Final = "Validation"
# Tables of an Evaluation -> how the report calls them.
TITLES: Final = {
    "areas": AREAS,
    "zones": "Totals of zones",
    "validation": VALIDATION,
    "map_accuracy": "Accuracy of the map",
    "worth": "Worth of the map in segments",
    "applicability": "Unlike the training",
    "class_areas": "Pixel counts, no figures",
    "date_drift": "Drift between dates",
    "clear": "Clear pixels",
    "costs": "Costs",
}
_UNIT: Final = "single unit"
_FIGURE: Final = "published figure"
# Measure -> what it is about, in the order of the columns.
MEASURES: Final = {
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
        "variables": [
            _variable(report, name) for name in variables_of(report, MEASURES)
        ],
        "plots": [(title, Markup(svg)) for title, svg in _plots(report) if svg],
        "domains": [],
        "tables": plain_tables(_readable(report.tables), [VALIDATION]),
    }


def _variable(report: RunReport, name: str) -> Variable:
    scored = {c.indicator for c in report.cells.values() if c.level == name}
    return variable_of(
        report,
        name,
        list(MEASURES),
        headline=headline(scored),
        aspects=MEASURES,
        units=counted(headline(scored)),
    )


def counted(indicator: str) -> str:
    """Return what the n of an indicator counts."""
    return "surveys drawn anew" if indicator.startswith("repeated_") else "units"


def headline(scored: set[str]) -> str:
    """Return the measure whose difference is shown."""
    return next((m for m in _HEADLINES if m in scored), "relative_efficiency")


def _plots(report: RunReport) -> list[tuple[str, str]]:
    found = [("Published areas by method", area_plot(report))]
    found += [("Accuracy by what is left out", validation_plot(report))]
    return [*found, *report.pictures]


def area_plot(report: RunReport) -> str:
    """Draw each published total with its interval; hollow what is no figure."""
    table = report.tables.get(AREAS)
    if table is None or table.empty:
        return ""
    return interval_plot(
        area_rows(table, report.kinds),
        key="areas",
        title="Published areas by method",
        description="A dot per method with its 95 % interval; hollow marks are no "
        "figures.",
        axis="total",
        remark="synthetic data" if report.synthetic else "",
    )


def area_rows(table: pd.DataFrame, kinds: Mapping[str, str]) -> list[PlotRow]:
    """Return the totals of the whole territory as rows of a plot."""
    whole = table[(table["domain"] == "") & np.isfinite(table["estimate"])]
    ordered = whole.sort_values("variable", key=_in_order, kind="stable")
    return [
        PlotRow(
            str(row["method"]),
            float(row["estimate"]),
            float(row["lower"]),
            float(row["upper"]),
            _told(row),
            kinds.get(str(row["method"]), "traditional"),
            str(row["variable"]),
            hollow=not row["publishable"],
        )
        for _, row in ordered.iterrows()
    ]


def _in_order(names: pd.Series) -> pd.Series:
    """Return the place at which each name is met first."""
    return pd.Series(pd.factorize(names)[0], names.index)


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
    if report.level != "class":
        return ""
    cells = {
        (method, indicator): report.cell(indicator, method, level=report.level)
        for method in report.method_names
        for indicator in _SCHEMES
    }
    return interval_plot(
        scheme_rows(cells, report.kinds),
        key="validation",
        title="Accuracy by what is left out",
        description="A dot per way to leave units out, with its 95 % interval.",
        axis=f"{indicator_name('accuracy')}, %",
        limits=(0, 100),
        remark="synthetic data" if report.synthetic else "",
    )


def scheme_rows(
    cells: Mapping[tuple[str, str], Cell | None], kinds: Mapping[str, str]
) -> list[PlotRow]:
    """Return the accuracies by method and indicator as rows of a plot."""
    rows = []
    for (method, indicator), cell in cells.items():
        if indicator not in _SCHEMES or cell is None or not cell.measured:
            continue
        text = write(cell, level=cell.level)
        shown = f"{text.text} ({text.interval})" if text.interval else text.text
        value, low, high = (100 * v for v in (cell.value, cell.lower, cell.upper))
        shown = shown.replace("\u202f", " ")
        label = _SCHEMES[indicator]
        kind = kinds.get(method, "")
        rows.append(PlotRow(label, value, low, high, shown, kind, method))
    return rows


def _readable(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the tables with the whole territory named as such."""
    found = {}
    for title, table in tables.items():
        shown = table
        if "domain" in shown:
            shown = shown.assign(domain=shown["domain"].replace("", "all"))
        found[title] = shown
    return found
