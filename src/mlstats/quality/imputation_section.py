"""What the page of an edit and imputation pilot shows beside gates and lights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from mlstats.quality.figures import (
    DASH,
    Cell,
    Figure,
    as_text,
    indicator_name,
    write,
    write_difference,
)
from mlstats.quality.imputation_plots import distribution_plot, imputation_plot
from mlstats.quality.indicator_names import HEADLINES
from mlstats.quality.report import RunReport
from mlstats.quality.report_tables import KEPT_BACK, LEAST_UNITS

__all__ = [
    "DISTRIBUTIONS",
    "Variable",
    "headline_of",
    "imputation_section",
    "variables_of",
]

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
_NULLS: Final = {"ks": "ks_null", "total_variation": "total_variation_null"}
_TABLE_ROWS: Final = 40
DISTRIBUTIONS: Final = "Distributions"


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
        variables, plots (title, svg), domains, tables (title, head, rows), plausible.
    """
    if report.theme != "editimpute":
        return {}
    names = variables_of(report)
    return {
        "variables": [_variable(report, name) for name in names],
        "plots": _plots(report),
        "domains": _domains(report, names),
        "tables": [
            (title, list(map(str, table.columns)), _rows(table), len(table))
            for title, table in report.tables.items()
            if title != DISTRIBUTIONS
        ],
        "plausible": [
            (name, write(report.cell("edits_failing", name)))
            for name in report.method_names
        ],
    }


def _plots(report: RunReport) -> list[tuple[str, Markup]]:
    remark = "synthetic data" if report.synthetic else ""
    cells = [asdict(cell) for cell in report.cells.values()]
    found = [("Error, distance and bias", imputation_plot(cells, remark=remark))]
    table = report.tables.get(DISTRIBUTIONS)
    if table is not None:
        drawn = distribution_plot(table, kinds=report.kinds, remark=remark)
        found.append(("Distribution of imputed against true values", drawn))
    return [(title, Markup(svg)) for title, svg in found if svg]


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
