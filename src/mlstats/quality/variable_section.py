"""What the page of a pilot with several variables shows, whatever its theme.

A table per variable with a row per method, tables that are shown as they are, and the
words that a theme has for them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.figures import (
    DASH,
    Cell,
    Figure,
    as_text,
    indicator_name,
    write,
    write_difference,
)
from mlstats.quality.indicator_names import HEADLINES
from mlstats.quality.report import RunReport

__all__ = [
    "Variable",
    "Words",
    "headline_of",
    "plain_tables",
    "said",
    "variable_of",
    "variables_of",
]

_TABLE_ROWS: Final = 40
_WHOLE: Final = 10_000  # from here on decimals tell nothing


@dataclass(frozen=True)
class Variable:
    """One variable: the measures of its table and a row of figures per method."""

    name: str
    headline: str
    headings: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, str, Figure, tuple[Figure, ...]], ...]
    null: str
    cells: str
    differs: bool


@dataclass(frozen=True)
class Words:
    """The sentences of a theme around its tables."""

    intro: str
    tables_title: str
    tables_intro: str
    domains_caption: str
    drift_title: str
    drift_intro: str
    reading: tuple[tuple[str, str], ...]
    closing: str = ""


def variables_of(
    report: RunReport, indicators: Collection[str] = HEADLINES
) -> list[str]:
    """Return the variables that were scored, the one shown first at their head.

    Parameters
    ----------
    report : RunReport
        What is shown.
    indicators : collection of str
        Those that make a level of the scorecard a variable.
    """
    found = {
        c.level: None
        for c in report.cells.values()
        if c.indicator in indicators and c.level
    }
    return sorted(found, key=lambda name: name != report.level)


def headline_of(report: RunReport, variable: str) -> str:
    """Return the measure that a variable is judged by first."""
    for indicator in HEADLINES:
        if any(
            c.indicator == indicator and c.level == variable
            for c in report.cells.values()
        ):
            return indicator
    return "nrmse"


def variable_of(
    report: RunReport,
    name: str,
    measures: Sequence[str],
    *,
    headline: str,
    aspects: Mapping[str, str],
    units: str,
    null: str = "",
) -> Variable:
    """Return the table of one variable.

    Parameters
    ----------
    report : RunReport
        What is shown.
    name : str
        The variable; its level in the scorecard.
    measures : sequence of str
        Indicators in the order of the columns; those that were not scored are left
        out.
    headline : str
        The indicator whose difference is shown.
    aspects : mapping
        Indicator -> what stands below its heading.
    units : str
        How a unit is called: cells, segments.
    null : str
        A sentence for the caption.
    """
    scored = {c.indicator for c in report.cells.values() if c.level == name}
    kept = [m for m in measures if m in scored]
    roles = {report.baseline: "baseline", report.candidate: "candidate"}
    shown = [report.cell(headline, m, level=name) for m in report.method_names]
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
                for measure in kept
            ),
        )
        for method in report.method_names
    )
    return Variable(
        name,
        indicator_name(headline),
        tuple((indicator_name(m), aspects.get(m, "")) for m in kept),
        rows,
        null,
        _size(report.cell(headline, report.baseline, level=name), units),
        any(math.isfinite(c.difference) for c in shown if c is not None),
    )


def _size(cell: Cell | None, units: str) -> str:
    if cell is None or not cell.measured:
        return ""
    clusters = f" in {cell.n_clusters:,} clusters" if cell.n_clusters else ""
    return f"{cell.n:,} {units}{clusters}"


def plain_tables(
    tables: Mapping[str, pd.DataFrame], left_out: Iterable[str] = ()
) -> list[tuple[str, list[str], list[list[str]], int]]:
    """Return (title, head, lines, rows in all) of the tables that are shown."""
    hidden = set(left_out)
    return [
        (title, list(map(str, table.columns)), _lines(table), len(table))
        for title, table in tables.items()
        if title not in hidden
    ]


def _lines(table: pd.DataFrame) -> list[list[str]]:
    return [
        [said(value) for value in row]
        for row in table.head(_TABLE_ROWS).itertuples(index=False)
    ]


def said(value: Any) -> str:
    """Return a cell of a table as text."""
    if value is None or value is pd.NA:
        return DASH
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isnan(value):
            return DASH
        whole = value == round(value) or abs(value) >= _WHOLE
        return f"{value:,.0f}" if whole else f"{value:,.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return as_text(value)
