"""What each section of the report shows, as plain values for the template."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from markupsafe import Markup

from mlstats.quality.aggregate_section import aggregate_section
from mlstats.quality.all_figures import all_figures
from mlstats.quality.drift_section import drift_lines
from mlstats.quality.explanation import importance_rows
from mlstats.quality.figures import (
    CORE_DIMENSIONS,
    DASH,
    EXTENSIONS,
    INDICATORS,
    KINDS,
    Cell,
    Figure,
    as_text,
    gate_level,
    indicator_name,
    level_name,
    number,
    points,
    write,
    write_difference,
    write_speed,
)
from mlstats.quality.imagery_section import imagery_section
from mlstats.quality.imputation_section import imputation_section
from mlstats.quality.index_section import index_section
from mlstats.quality.method_card import method_cards
from mlstats.quality.plots import PlotRow, forest_plot, interval_plot
from mlstats.quality.previous_section import previous_section
from mlstats.quality.report import RunReport
from mlstats.quality.report_tables import KEPT_BACK, LEAST_UNITS
from mlstats.quality.verdicts import gates, lights, transitions

__all__ = ["MethodRow", "sections"]

_PLOT_REMARK: Final = "synthetic data"


@dataclass(frozen=True)
class MethodRow:
    """One method of the main table."""

    name: str
    kind: str
    kind_name: str
    role: str
    figures: dict[str, Figure]


def sections(report: RunReport) -> dict[str, Any]:
    """Return everything that the page shows besides the report itself."""
    rows = [_method_row(report, name) for name in report.method_names]
    others = [name for name in report.method_names if name != report.baseline]
    found = lights(report)
    varied = imputation_section(report) or imagery_section(report)
    return {
        "level": level_name(report.level),
        "gsbpm": sorted({c.gsbpm for c in report.cells.values() if c.gsbpm}),
        "rows": rows,
        "missing": _missing(rows),
        "size": _size(report),
        "gates": gates(report),
        "transitions": transitions(report),
        "core": [found[name] for name in CORE_DIMENSIONS],
        "extensions": [found[name] for name in EXTENSIONS],
        "unmeasured": [
            found[name].name
            for name in CORE_DIMENSIONS
            if found[name].state in {"not_measured", "not_applicable"}
        ],
        "level_names": [_heading(level_name(level)) for level in report.levels],
        "accuracy_rows": _by_level(report, report.method_names, _at_own_level),
        "difference_rows": _by_level(
            report,
            others,
            lambda cell: write_difference(cell, baseline=report.baseline),
        ),
        "accuracy_plot": Markup(_accuracy_plot(report)),
        "difference_plot": Markup(_difference_plot(report, others)),
        "unseen_rows": _unseen_rows(report),
        "unseen_plot": Markup(_unseen_plot(report)),
        "domain_rows": _domain_rows(report),
        "importance_rows": importance_rows(report.importances),
        "drift_lines": drift_lines(report.drift),
        "published": aggregate_section(report),
        "varied": varied,
        "indexed": index_section(report),
        "previous": previous_section(report),
        "cards": method_cards(report),
        "all_figures": all_figures(report),
        "interval_methods": _interval_methods(report),
        "kinds": KINDS,
        "least": LEAST_UNITS,
        "text": as_text,
    }


def _method_row(report: RunReport, name: str) -> MethodRow:
    kind = report.kinds.get(name, "")
    roles = {report.baseline: "baseline", report.candidate: "candidate"}
    figures = {
        indicator: write(report.cell(indicator, name), level=report.level)
        for indicator in INDICATORS
    }
    accuracy = report.cell("accuracy", name)
    figures["difference"] = write_difference(accuracy, baseline=report.baseline)
    figures["speed"] = write_speed(report.cell("predict_seconds_per_1000", name))
    return MethodRow(name, kind, KINDS.get(kind, kind), roles.get(name, ""), figures)


# What the main table shows, as its foot names it.
_MAIN: Final = {
    "accuracy": "accuracy",
    "difference": "difference",
    "macro_f1": "macro-F1",
    "coverage": "coverage",
    "automation_guaranteed": "guaranteed rate",
    "automation_oracle": "oracle rate",
    "automation_error": "error of the automated part",
    "speed": "units per second",
    "fit_seconds_per_1000": "fit time",
}


def _missing(rows: Sequence[MethodRow]) -> list[tuple[str, str]]:
    """Return why figures are missing, with where: a title attribute is not printed."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for key, name in _MAIN.items():
            if why := row.figures[key].missing:
                reasons.setdefault(why, {}).setdefault(row.name, []).append(name)
    return [
        (why, "; ".join(f"{name} ({', '.join(what)})" for name, what in where.items()))
        for why, where in reasons.items()
    ]


def _size(report: RunReport) -> str:
    """Return how many units and clusters the accuracies rest on."""
    cells = [report.cell("accuracy", name) for name in report.method_names]
    measured = [cell for cell in cells if cell is not None and cell.measured]
    if not measured:
        return ""
    units = _span([cell.n for cell in measured])
    if not any(cell.n_clusters for cell in measured):
        return f"{units} units"
    return f"{units} units in {_span([c.n_clusters for c in measured])} clusters"


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _by_level(
    report: RunReport, names: Sequence[str], one: Callable[[Cell | None], Figure]
) -> list[tuple[str, str, list[Figure]]]:
    return [
        (
            name,
            report.kinds.get(name, ""),
            [one(report.cell("accuracy", name, level=lv)) for lv in report.levels],
        )
        for name in names
    ]


def _plot_row(
    report: RunReport, cell: Cell | None, name: str, *, label: str, group: str
) -> PlotRow:
    shown = cell if cell is not None and cell.measured else None
    return PlotRow(
        label,
        100 * (shown.value if shown else math.nan),
        100 * (shown.lower if shown else math.nan),
        100 * (shown.upper if shown else math.nan),
        _words(_at_own_level(cell)),
        report.kinds.get(name, ""),
        group,
    )


def _at_own_level(cell: Cell | None) -> Figure:
    """Write a cell where its level stands beside it already."""
    return write(cell, level=cell.level if cell else "")


def _heading(name: str) -> str:
    # str.capitalize would lower the rest of a name.
    return name[:1].upper() + name[1:]


def _words(figure: Figure) -> str:
    if figure.missing:
        return f"{figure.text} {figure.missing.partition(':')[0]}"
    return f"{figure.text} ({figure.interval})" if figure.interval else figure.text


def _accuracy_plot(report: RunReport) -> str:
    rows = [
        _plot_row(
            report,
            report.cell("accuracy", name, level=level),
            name,
            label=name,
            group=_heading(level_name(level)),
        )
        for level in report.levels
        for name in report.method_names
    ]
    return interval_plot(
        rows,
        key="accuracy-plot",
        title="Accuracy of each method at each level",
        description="A dot per method with its 95 % interval; the same numbers stand "
        "in the table below.",
        axis="accuracy, %",
        limits=(0, 100),
        remark=_PLOT_REMARK if report.synthetic else "",
    )


def _difference_plot(report: RunReport, names: Sequence[str]) -> str:
    rows = []
    for name in names:
        for level in report.levels:
            cell = report.cell("accuracy", name, level=level)
            shown = cell if cell is not None and cell.measured else None
            rows.append(
                PlotRow(
                    level_name(level),
                    100 * (shown.difference if shown else math.nan),
                    100 * (shown.difference_lower if shown else math.nan),
                    100 * (shown.difference_upper if shown else math.nan),
                    _words(write_difference(cell, baseline=report.baseline)),
                    report.kinds.get(name, ""),
                    name,
                )
            )
    return forest_plot(
        rows,
        key="difference-plot",
        title=f"Difference in accuracy to {report.baseline}",
        description="A dot per level with its 95 % interval. Right of the zero line "
        "the method is better than the baseline; left of a margin it is worse than a "
        "gate allows.",
        axis=f"difference to {report.baseline}, percentage points",
        margins=_margins(report),
        remark=_PLOT_REMARK if report.synthetic else "",
    )


def _margins(report: RunReport) -> list[tuple[float, str]]:
    """Return the thresholds of the gates on the difference in accuracy, named."""
    found: dict[float, list[str]] = {}
    for row in report.gates.to_dict("records"):
        measure, threshold = as_text(row["measure"]), number(row["threshold"])
        on_accuracy = measure.partition("@")[0] == "accuracy"
        if on_accuracy and as_text(row["versus"]) == report.baseline:
            at = level_name(gate_level(measure) or report.level)
            name = f"{as_text(row['to'])}, {at}"
            names = found.setdefault(threshold, [])
            if math.isfinite(threshold) and name not in names:
                names.append(name)
    return [
        (100 * threshold, f"margin {points(threshold)} ({'; '.join(names)})")
        for threshold, names in sorted(found.items())
        if names and threshold != 0
    ]


def _unseen_parts(report: RunReport) -> list[tuple[str, str, bool]]:
    parts = [
        ("accuracy", "all texts", False),
        ("accuracy_seen", "seen in training", False),
        ("accuracy_unseen", "not seen in training", True),
    ]
    scored = {cell.indicator for cell in report.cells.values() if not cell.domain}
    return [part for part in parts if part[0] in scored]


def _unseen_rows(report: RunReport) -> dict[str, Any]:
    parts = _unseen_parts(report)
    if "accuracy_unseen" not in {part[0] for part in parts}:
        return {}
    rows = [
        (
            name,
            report.kinds.get(name, ""),
            [write(report.cell(part[0], name), level=report.level) for part in parts],
            [getattr(report.cell(part[0], name), "n", 0) for part in parts],
        )
        for name in report.method_names
    ]
    return {"names": [_heading(part[1]) for part in parts], "rows": rows}


def _unseen_plot(report: RunReport) -> str:
    rows = []
    for name in report.method_names:
        for indicator, label, hollow in _unseen_parts(report):
            cell = report.cell(indicator, name)
            row = _plot_row(report, cell, name, label=label, group=name)
            rows.append(replace(row, hollow=True) if hollow else row)
    return interval_plot(
        rows,
        key="unseen-plot",
        title="Accuracy on all texts and on texts not seen in training",
        description="Filled marks are all texts, hollow marks those whose text does "
        "not occur in the training data.",
        axis="accuracy, %",
        limits=(0, 100),
        remark=_PLOT_REMARK if report.synthetic else "",
    )


def _domain_rows(report: RunReport) -> list[Any]:
    """Return (domain, n, baseline, candidate, difference) at the report's level."""
    rows = []
    for domain in report.domains:
        of = {
            name: report.cell("accuracy", name, domain=domain)
            for name in (report.baseline, report.focus)
        }
        focus = of[report.focus]
        n = focus.n if focus else 0
        if n < LEAST_UNITS:
            # Whatever the scorecard holds: so few units are not told.
            why = focus.why_missing if focus and not focus.measured else KEPT_BACK
            none = Figure(DASH, missing=why)
            rows.append((domain, DASH, none, none, none))
            continue
        rows.append(
            (
                domain,
                f"{n:,}",
                write(of[report.baseline], level=report.level),
                write(focus, level=report.level),
                write_difference(focus, baseline=report.baseline),
            )
        )
    return rows


def _interval_methods(report: RunReport) -> list[tuple[str, str]]:
    """Return which interval each indicator has: (name of the method, indicators)."""
    found: dict[str, dict[str, None]] = {}
    for cell in report.cells.values():
        if cell.measured and cell.interval and math.isfinite(cell.lower):
            names = found.setdefault(cell.interval, {})
            names.setdefault(indicator_name(cell.indicator))
    return [(method, "; ".join(names)) for method, names in found.items()]
