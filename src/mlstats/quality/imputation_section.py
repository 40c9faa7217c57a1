"""What the page of an edit and imputation pilot shows beside gates and lights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from mlstats.quality.figures import (
    DASH,
    Cell,
    Figure,
    as_text,
    indicator_name,
    number,
    write,
    write_difference,
)
from mlstats.quality.indicator_names import HEADLINES
from mlstats.quality.plots import PlotRow, interval_plot
from mlstats.quality.report import RunReport
from mlstats.quality.report_tables import KEPT_BACK, LEAST_UNITS, told

__all__ = ["Variable", "headline_of", "imputation_section", "variables_of"]

_NUMERIC: Final = (
    "nrmse", "rank_correlation", "ks", "mean_bias", "spread_ratio", "total_bias",
    "imputed_share",
)  # fmt: skip
_CATEGORICAL: Final = (
    "accuracy", "total_variation", "marginal_homogeneity", "ordinal_distance",
    "imputed_share",
)  # fmt: skip
_LEVELS: Final = {
    "nrmse": "prediction",
    "accuracy": "prediction",
    "rank_correlation": "ranking",
    "ordinal_distance": "ranking",
    "ks": "distribution",
    "total_variation": "distribution",
    "marginal_homogeneity": "distribution",
    "spread_ratio": "distribution",
    "mean_bias": "estimation",
    "total_bias": "estimation",
    "imputed_share": "plausibility",
}
# measure, title, axis, whether zero is drawn, in percent
_PLOTS: Final = (
    ("nrmse", "Error of prediction (nRMSE)", "RMSE over standard deviation", False, 1),
    ("accuracy", "Accuracy", "accuracy, %", False, 100),
    ("mean_bias", "Bias of the mean of imputed values", "bias, %", True, 100),
    ("ks", "Distance of distributions (Kolmogorov-Smirnov)", "largest gap", False, 1),
    ("total_variation", "Distance of the margins", "total variation", False, 1),
)  # fmt: skip
_NULLS: Final = {"ks": "ks_null", "total_variation": "total_variation_null"}
_TABLE_ROWS: Final = 40


@dataclass(frozen=True)
class Variable:
    """One variable: the measures of its table and a row of figures per method."""

    name: str
    headline: str
    headings: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, str, Figure, tuple[Figure, ...]], ...]
    null: str
    cells: str


def variables_of(report: RunReport) -> list[str]:
    """Return the variables that were scored, the one shown first at their head."""
    found = {
        c.level: None
        for c in report.cells.values()
        if c.indicator in HEADLINES and c.level
    }
    return sorted(found, key=lambda name: name != report.level)


def imputation_section(report: RunReport) -> dict[str, Any]:
    """Return what the section shows; empty for a pilot of another theme.

    Returns
    -------
    dict
        variables, plots (title, svg), domains, totals, tables (title, head, rows).
    """
    if report.theme != "editimpute":
        return {}
    names = variables_of(report)
    return {
        "variables": [_variable(report, name) for name in names],
        "plots": [
            (title, Markup(svg))
            for measure, title, axis, zero, scale in _PLOTS
            if (svg := _plot(report, names, measure, (title, axis, zero, scale)))
        ],
        "domains": _domains(report, names),
        "totals": _totals(report),
        "tables": [
            (title, list(map(str, table.columns)), _rows(table), len(table))
            for title, table in report.tables.items()
        ],
        "plausible": [
            (name, write(report.cell("edits_failing", name)))
            for name in report.method_names
        ],
    }


def headline_of(report: RunReport, variable: str) -> str:
    """Return the measure that a variable is judged by first."""
    for indicator in HEADLINES:
        if any(
            c.indicator == indicator and c.level == variable
            for c in report.cells.values()
        ):
            return indicator
    return "nrmse"


def _variable(report: RunReport, name: str) -> Variable:
    headline = headline_of(report, name)
    wanted = _NUMERIC if headline == "nrmse" else _CATEGORICAL
    scored = {c.indicator for c in report.cells.values() if c.level == name}
    measures = [m for m in wanted if m in scored]
    roles = {report.baseline: "baseline", report.candidate: "candidate"}
    rows = tuple(
        (
            method,
            report.kinds.get(method, ""),
            roles.get(method, ""),
            write_difference(
                report.cell(headline, method, level=name), baseline=report.baseline
            ),
            tuple(
                write(report.cell(measure, method, level=name), level=name)
                for measure in measures
            ),
        )
        for method in report.method_names
    )
    return Variable(
        name,
        indicator_name(headline),
        tuple((indicator_name(m), _LEVELS.get(m, "")) for m in measures),
        rows,
        _null(report, name, scored),
        _cells(report.cell(headline, report.baseline, level=name)),
    )


def _null(report: RunReport, name: str, scored: set[str]) -> str:
    """Say how far a perfect draw would lie from the truth by chance alone."""
    for measure, null in _NULLS.items():
        if null in scored:
            cell = report.cell(null, report.focus, level=name)
            if cell is not None and cell.measured:
                return (
                    f"{indicator_name(measure)} of a perfect draw: {write(cell).text}"
                )
    return ""


def _cells(cell: Cell | None) -> str:
    if cell is None or not cell.measured:
        return ""
    clusters = f" in {cell.n_clusters:,} clusters" if cell.n_clusters else ""
    return f"{cell.n:,} cells{clusters}"


def _plot(
    report: RunReport,
    names: Sequence[str],
    measure: str,
    look: tuple[str, str, bool, int],
) -> str:
    title, axis, zero, scale = look
    rows = []
    for name in names:
        for method in report.method_names:
            cell = report.cell(measure, method, level=name)
            if cell is None or not cell.measured:
                continue
            figure = write(cell, level=name)
            text = figure.text + (f" ({figure.interval})" if figure.interval else "")
            parts = (scale * cell.value, scale * cell.lower, scale * cell.upper)
            kind = report.kinds.get(method, "")
            rows.append(PlotRow(method, *parts, text=text, kind=kind, group=name))
        rows += _null_row(report, name, measure, scale) if rows else []
    if not rows:
        return ""
    return interval_plot(
        rows,
        key=f"plot-{measure}",
        title=title,
        description="A dot per variable and method with its 95 % interval; the same "
        "numbers stand in the tables.",
        axis=axis,
        zero=zero,
        remark="synthetic data" if report.synthetic else "",
    )


def _null_row(report: RunReport, name: str, measure: str, scale: int) -> list[PlotRow]:
    cell = report.cell(_NULLS.get(measure, ""), report.focus, level=name)
    if cell is None or not cell.measured:
        return []
    value, nan = scale * cell.value, math.nan
    text = write(cell, level=name).text
    return [PlotRow("a perfect draw", value, nan, nan, text, "", name, hollow=True)]


def _domains(report: RunReport, names: Sequence[str]) -> list[Any]:
    """Return (variable, domain, cells, baseline, candidate, difference) per domain."""
    rows = []
    for name in names:
        measure = "mean_bias" if headline_of(report, name) == "nrmse" else "accuracy"
        domains = dict.fromkeys(
            c.domain
            for c in report.cells.values()
            if c.indicator == measure and c.level == name and c.domain
        )
        for domain in domains:
            focus, base = (
                report.cell(measure, method, level=name, domain=domain)
                for method in (report.focus, report.baseline)
            )
            n = focus.n if focus else 0
            if focus is None or not focus.measured or n < LEAST_UNITS:
                why = focus.why_missing if focus else KEPT_BACK
                none = Figure(DASH, missing=why)
                rows.append((name, domain, DASH, none, none))
                continue
            rows.append(
                (
                    name,
                    domain,
                    f"{n:,}",
                    write(base, level=name),
                    write(focus, level=name),
                )
            )
    return rows


def _totals(report: RunReport) -> list[Any]:
    """Return (variable, class, domain, truth, baseline, candidate) of the figures."""
    shown = told(report.aggregates)
    if shown.empty:
        return []
    arms: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in shown.to_dict("records"):
        place = tuple(as_text(row[c]) for c in ("level", "variable", "domain"))
        cells = {str(name): value for name, value in row.items()}
        arms.setdefault(place, {})[as_text(row["arm"])] = cells
    rows = []
    for (variable, kind, domain), found in arms.items():
        truth = next((r for r in found.values() if as_text(r["kind"]) == "truth"), None)
        share = kind != "total"
        rows.append(
            (
                variable,
                kind,
                domain,
                _amount(truth, share),
                _arm(found.get(report.baseline), truth, share),
                _arm(found.get(report.focus), truth, share),
            )
        )
    return rows


def _amount(row: dict[str, Any] | None, share: bool) -> Figure:
    if row is None or as_text(row["status"]) != "measured":
        why = as_text(row["note"]) if row else "no such row"
        return Figure(DASH, missing=why or "not measured")
    value = number(row["value"])
    return Figure(f"{100 * value:.1f}\u202f%" if share else f"{value:,.0f}")


def _arm(
    row: dict[str, Any] | None, truth: dict[str, Any] | None, share: bool
) -> Figure:
    """Write by how much an arm moves a figure: in points, or relative to the truth."""
    if row is None or truth is None or as_text(row["status"]) != "measured":
        why = as_text(row["note"]) if row else "no such arm"
        return Figure(DASH, missing=why or "not measured")
    scale = 100.0 if share else 100.0 / (abs(number(truth["value"])) or math.nan)
    parts = [
        scale * number(row[name])
        for name in ("difference", "difference_lower", "difference_upper")
    ]
    unit = " points" if share else "\u202f%"
    interval = ""
    if all(map(math.isfinite, parts)):
        interval = f"{_signed(parts[1])} to {_signed(parts[2])}"
    return Figure(_signed(parts[0]) + unit, interval)


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return ("0.00" if float(text) == 0 else text).replace("-", "\u2212")


def _rows(table: pd.DataFrame) -> list[list[str]]:
    return [
        [_said(value) for value in row]
        for row in table.head(_TABLE_ROWS).itertuples(index=False)
    ]


def _said(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return DASH
        return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return as_text(value)
