"""The effect on the published figure: what each arm would make of the shares.

Accuracy counts units; a statistic is published as shares and totals, in which errors
cancel or add up. The section shows by how many points the figure itself would move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from mlstats.quality.figures import (
    DASH,
    RESULTS,
    Figure,
    as_text,
    level_name,
    number,
    points,
)
from mlstats.quality.plots import PlotRow, interval_plot
from mlstats.quality.report import RunReport
from mlstats.quality.report_tables import TOTAL, told

__all__ = ["aggregate_section"]

_SHOWN: Final = 25  # classes of the page; the workbook has them all
_DRAWN: Final = 8
_NARROW_SPACE: Final = "\u202f"


@dataclass(frozen=True)
class _Column:
    """A column of the table: which arm it is of and how it is headed."""

    arm: str
    kind: str
    heading: str


def aggregate_section(report: RunReport) -> dict[str, Any]:
    """Return what the section shows; empty where there are no figures.

    Returns
    -------
    dict
        level, columns (headings), rows (class, figures with their differences), more
        (classes that only the workbook has), plot, domains (domain, class, figures),
        totals (whether they are of imputed variables, some of which are totals).
    """
    shown = told(report.aggregates)
    if shown.empty:
        return {}
    shown = shown.assign(
        **{c: shown[c].map(as_text) for c in ("level", "variable", "domain", "arm")}
    )
    has_totals = bool(shown["variable"].eq(TOTAL).any())
    shown = _side_by_side(shown) if has_totals else shown
    level = _top(shown, report)
    at_top = shown[shown["level"] == level]
    columns = _columns(at_top, report)
    focus = next((c.arm for c in columns if c.arm == report.focus), columns[-1].arm)
    overall = _by_class(at_top[at_top["domain"] == ""])
    classes = _sorted(overall, focus)
    drawn = [name for name in classes if _has_mark(overall[name], columns)][:_DRAWN]
    return {
        "level": level_name(level),
        "totals": has_totals,
        "focus": focus,
        "headings": [column.heading for column in columns],
        "rows": [
            (name, [_share(overall[name].get(c.arm), c.kind) for c in columns])
            for name in classes[:_SHOWN]
        ],
        "more": max(len(classes) - _SHOWN, 0),
        "drawn": len(drawn),
        "plot": Markup(_plot(report, overall, drawn, columns)),
        "domains": _domains(at_top[at_top["domain"] != ""], report, focus),
    }


def _side_by_side(shown: pd.DataFrame) -> pd.DataFrame:
    """Bring imputed variables, each a level of its own, to one table.

    The differences of totals become shares of the true total: an arm's value less its
    difference.
    """
    amount = shown["variable"] == TOTAL
    names = shown["level"].where(amount, shown["level"] + ": " + shown["variable"])
    found = shown.assign(variable=names, level="", amount=amount)
    numbers = list(_PARTS)
    found = found.astype(dict.fromkeys(["value", *numbers], "float64"))
    true = (found["value"] - found["difference"]).abs()
    found.loc[amount, numbers] = found[numbers].div(true, axis=0)[amount]
    return found


def _top(shown: pd.DataFrame, report: RunReport) -> str:
    levels = set(shown["level"])
    ordered = [level for level in report.levels if level in levels]
    return ordered[0] if ordered else min(levels, key=lambda x: (len(x), x))


def _columns(at_top: pd.DataFrame, report: RunReport) -> list[_Column]:
    """Return truth, baseline, candidate, hybrid and corrected, as far as they exist."""
    kinds = {
        as_text(a): as_text(k)
        for a, k in zip(at_top["arm"], at_top["kind"], strict=True)
    }
    found = [_Column(a, "truth", "truth") for a, k in kinds.items() if k == "truth"][:1]
    for arm, role in ((report.baseline, "baseline"), (report.candidate, "candidate")):
        if arm in kinds and arm not in {column.arm for column in found}:
            found.append(_Column(arm, kinds[arm], f"{arm} ({role})"))
    for kind in ("hybrid", "corrected"):
        arms = [arm for arm, of in kinds.items() if of == kind]
        # Each model has such arms; a reviewer compares those of the candidate.
        own = [arm for arm in arms if arm.startswith(report.focus)]
        found += [
            _Column(arm, kind, arm if kind in arm else f"{arm} ({kind})")
            for arm in (own or arms)[:1]
        ]
    first = next(iter(kinds))
    return found or [_Column(first, kinds[first], first)]


def _by_class(rows: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows.to_dict("records"):
        found.setdefault(row["variable"], {})[row["arm"]] = {
            str(name): value for name, value in row.items()
        }
    return found


def _sorted(overall: dict[str, dict[str, dict[str, Any]]], focus: str) -> list[str]:
    """Return the classes, the one that the candidate moves most first."""

    def moved(name: str) -> float:
        gap = abs(number(overall[name].get(focus, {}).get("difference")))
        return gap if math.isfinite(gap) else -1.0

    return sorted(overall, key=lambda name: (-moved(name), name))


def _has_mark(arms: dict[str, dict[str, Any]], columns: list[_Column]) -> bool:
    """Tell whether a class has a difference to draw under any arm."""
    rows = [arms[column.arm] for column in columns if column.arm in arms]
    return any(math.isfinite(number(row["difference"])) for row in rows)


def _share(row: dict[str, Any] | None, kind: str) -> tuple[Figure, Figure | None]:
    """Write a share and, but for the truth, its difference from the truth."""
    if row is None:
        return Figure(DASH, missing="not measured: no such arm for this class"), None
    value = number(row["value"])
    if as_text(row["status"]) != "measured" or not math.isfinite(value):
        status = as_text(row["status"])
        why = "no value" if status == "measured" else RESULTS.get(status, status)
        note = as_text(row["note"])
        return Figure(DASH, missing=f"{why}: {note}" if note else why), None
    bounds = (number(row["lower"]), number(row["upper"]))
    amount = bool(row.get("amount", False))
    text = f"{value:,.0f}" if amount else f"{100 * value:.1f}{_NARROW_SPACE}%"
    interval = ""
    if all(map(math.isfinite, bounds)):
        ends = (f"{b:,.0f}" if amount else f"{100 * b:.1f}" for b in bounds)
        interval = " to ".join(ends)
    share = Figure(text, interval)
    return share, None if kind == "truth" else _gap(row, "difference")


def _gap(row: dict[str, Any], name: str) -> Figure:
    value = number(row[name])
    bounds = (number(row[f"{name}_lower"]), number(row[f"{name}_upper"]))
    if not math.isfinite(value):
        why = as_text(row["note"]) or "no paired difference was worked out"
        return Figure(DASH, missing=f"not measured: {why}")
    interval = ""
    if all(map(math.isfinite, bounds)):
        interval = " to ".join(points(bound) for bound in bounds)
    return Figure(points(value), interval)


def _plot(
    report: RunReport,
    overall: dict[str, dict[str, dict[str, Any]]],
    classes: list[str],
    columns: list[_Column],
) -> str:
    rows = []
    has_totals = any("amount" in r for arms in overall.values() for r in arms.values())
    for name in classes:
        for column in columns:
            row = overall[name].get(column.arm)
            if column.kind == "truth" or row is None:
                continue
            figure = _gap(row, "difference")
            measured = as_text(row["status"]) == "measured"
            part = [100 * number(row[p]) if measured else math.nan for p in _PARTS]
            text = f"{figure.text} ({figure.interval})" if figure.interval else ""
            rows.append(
                PlotRow(
                    column.heading,
                    part[0],
                    part[1],
                    part[2],
                    text=text or figure.text,
                    kind=column.kind,
                    group=name if has_totals else f"class {name}",
                    hollow=column.kind == "corrected",
                )
            )
    return interval_plot(
        rows,
        key="aggregate-plot",
        title="Difference of the published figure from the truth",
        description="A mark per class and arm with its 95 % interval. On the zero line "
        "the arm publishes what the truth would.",
        axis="difference from the truth, "
        + ("% of a total, points of a share" if has_totals else "percentage points"),
        zero=True,
        remark="synthetic data" if report.synthetic else "",
    )


_PARTS: Final = ("difference", "difference_lower", "difference_upper")


def _domains(rows: pd.DataFrame, report: RunReport, focus: str) -> list[Any]:
    """Return the largest difference of the candidate in each domain.

    Returns
    -------
    list of (domain, units, class, truth, baseline, candidate)
        With the reason instead of figures where every cell is too small.
    """
    found = []
    for domain in dict.fromkeys(rows["domain"]):
        inside = _by_class(rows[rows["domain"] == domain])
        name = _sorted(inside, focus)[0]
        arms = inside[name]
        truth = next((r for r in arms.values() if as_text(r["kind"]) == "truth"), None)
        n = number(arms.get(focus, {}).get("n"))
        found.append(
            (
                domain,
                f"{n:,.0f}" if math.isfinite(n) else DASH,
                name,
                _share(truth, "truth")[0],
                _share(arms.get(report.baseline), ""),
                _share(arms.get(focus), ""),
            )
        )
    return found
