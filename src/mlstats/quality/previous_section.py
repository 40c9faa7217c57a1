"""What has changed since the last period, for the baseline and the candidate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from markupsafe import Markup

from mlstats.quality.figures import (
    Cell,
    Figure,
    as_text,
    indicator_name,
    level_name,
    number,
    write,
    write_difference,
)
from mlstats.quality.plots import PlotRow, interval_plot
from mlstats.quality.report import RunReport

__all__ = ["previous_section"]

_SHOWN: Final = (
    "accuracy",
    "accuracy_unseen",
    "macro_f1",
    "coverage",
    "automation_guaranteed",
    "automation_error",
    "kappa",
    "ece_debiased",
)


def previous_section(report: RunReport) -> dict[str, Any]:
    """Return rows (method, indicator, now, before, difference), notes and the plot."""
    methods = dict.fromkeys(
        name for name in (report.candidate, report.baseline) if name
    )
    rows: list[tuple[str, str, Figure, Figure, Figure]] = []
    drawn: list[PlotRow] = []
    notes: dict[str, None] = {}
    for method in methods:
        for indicator in _SHOWN:
            row = _row(report, indicator, method)
            if row is None:
                continue
            now, before, gap = (_cell(row, part) for part in ("now", "before", "gap"))
            difference = write_difference(gap, baseline="")
            rows.append(
                (
                    method,
                    indicator_name(indicator),
                    write(now, level=report.level),
                    write(before, level=report.level),
                    difference,
                )
            )
            if as_text(row["note"]):
                notes.setdefault(as_text(row["note"]))
            if indicator == "accuracy":
                drawn.append(_drawn(report, gap, difference))
    return {
        "rows": rows,
        "notes": list(notes),
        "level": level_name(report.level),
        "plot": Markup(_plot(report, drawn)) if drawn else "",
    }


def _row(report: RunReport, indicator: str, method: str) -> dict[str, Any] | None:
    table = report.previous
    if table.empty:
        return None
    found = table[(table["indicator"] == indicator) & (table["method"] == method)]
    for level in (report.level, "", "full"):
        at = found[found["level"].map(as_text) == level]
        if len(at):
            return {str(k): v for k, v in at.iloc[0].to_dict().items()}
    return None


def _cell(row: dict[str, Any], part: str) -> Cell:
    """Return one column of a row as a cell, so that it is written as any other."""
    blank = Cell.from_row(
        dict.fromkeys(Cell.__dataclass_fields__, "")
        | {"indicator": row["indicator"], "level": row["level"]}
        | {"method": row["method"], "status": "measured"}
    )
    if part != "gap":
        return replace(blank, value=number(row[part]))
    return replace(
        blank,
        value=number(row["now"]),
        difference=number(row["difference"]),
        difference_lower=number(row["lower"]),
        difference_upper=number(row["upper"]),
        note=as_text(row["note"]),
    )


def _drawn(report: RunReport, gap: Cell, figure: Figure) -> PlotRow:
    words = f"{figure.text} ({figure.interval})" if figure.interval else figure.text
    return PlotRow(
        gap.method,
        100 * gap.difference,
        100 * gap.difference_lower,
        100 * gap.difference_upper,
        text=words,
        kind=report.kinds.get(gap.method, ""),
    )


def _plot(report: RunReport, rows: list[PlotRow]) -> str:
    return interval_plot(
        rows,
        key="previous-plot",
        title="Change in accuracy since the last period",
        description="A mark per method with its 95 % interval. Right of the zero line "
        "the method was right more often than before.",
        axis="change in accuracy, percentage points",
        zero=True,
        remark="synthetic data" if report.synthetic else "",
    )
