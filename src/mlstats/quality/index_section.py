"""The published index under truth, methods, hybrid and corrections, by period."""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd

from mlstats.quality.figures import DASH, RESULTS, Figure, as_text, number
from mlstats.quality.report import RunReport

__all__ = ["index_section"]

_SHOWN: Final = 12  # periods of the page; the workbook has them all


def index_section(report: RunReport) -> dict[str, Any]:
    """Return what the section shows; empty where there is no index.

    Returns
    -------
    dict
        name, headings (arms), rows (period, figures with their differences), more
        (periods that only the workbook has).
    """
    table = report.index
    if table.empty:
        return {}
    arms = _arms(table, report)
    cells = {
        (as_text(row["period"]), as_text(row["arm"])): row
        for row in table.to_dict("records")
    }
    periods = sorted({period for period, _ in cells} - {""})
    return {
        "name": as_text(table["index"].iloc[0]),
        "headings": arms,
        "rows": [
            (period or "all periods", [_pair(cells.get((period, arm))) for arm in arms])
            for period in ["", *periods[-_SHOWN:]]
        ],
        "more": max(len(periods) - _SHOWN, 0),
    }


def _arms(table: pd.DataFrame, report: RunReport) -> list[str]:
    """Return truth, baseline, and what there is of the method in focus."""
    known = [as_text(arm) for arm in dict.fromkeys(table["arm"])]
    return [
        arm
        for arm in known
        if arm in {"truth", report.baseline, report.focus}
        or arm.startswith(f"{report.focus}, ")
    ]


def _pair(row: dict[Any, Any] | None) -> tuple[Figure, Figure | None]:
    """Write an index and, but for the truth, its difference from the truth."""
    if row is None:
        return Figure(DASH, missing="not measured: no such arm"), None
    if as_text(row["status"]) != "measured":
        status = as_text(row["status"])
        why = f"{RESULTS.get(status, status)}: {as_text(row['note'])}"
        return Figure(DASH, missing=why), None
    value = Figure(f"{number(row['value']):.1f}", _interval(row, "", ""))
    if as_text(row["kind"]) == "truth":
        return value, None
    gap = Figure(f"{number(row['difference']):+.2f}", _interval(row, "difference_"))
    return value, gap


def _interval(row: dict[Any, Any], prefix: str, sign: str = "+") -> str:
    bounds = [number(row[f"{prefix}{bound}"]) for bound in ("lower", "upper")]
    if not all(map(math.isfinite, bounds)):
        return ""
    digits = 2 if prefix else 1
    return " to ".join(f"{bound:{sign}.{digits}f}" for bound in bounds)
