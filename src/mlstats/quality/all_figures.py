"""Every figure of the scorecard outside the domains, baseline beside candidate."""

from __future__ import annotations

from mlstats.quality.figures import (
    DIMENSIONS,
    Figure,
    indicator_name,
    write,
    write_difference,
)
from mlstats.quality.report import RunReport

__all__ = ["Line", "all_figures"]

# dimension, figure's name, baseline, candidate, paired difference
Line = tuple[str, str, Figure, Figure, Figure]


def all_figures(report: RunReport) -> list[Line]:
    """Return a line for each indicator at the level at which it was scored."""
    places: dict[tuple[str, str, str], None] = {}
    for cell in report.cells.values():
        if not cell.domain and cell.method in {report.baseline, report.focus}:
            places.setdefault((cell.dimension, cell.indicator, cell.level))
    order = {name: place for place, name in enumerate(DIMENSIONS)}
    kept = [p for p in places if p[2] in {"", report.level} or not _told(report, p[1])]
    lines: list[Line] = []
    for dimension, indicator, level in sorted(
        kept, key=lambda place: order.get(place[0], len(order))
    ):
        cells = [
            report.cell(indicator, name, level=level)
            for name in (report.baseline, report.focus)
        ]
        base, focus = (write(cell, level=report.level) for cell in cells)
        gap = Figure("")
        if cells[1] is not None and cells[1].difference == cells[1].difference:
            gap = write_difference(cells[1], baseline=report.baseline)
        title = DIMENSIONS.get(dimension, (dimension, ""))[0]
        lines.append((title, indicator_name(indicator), base, focus, gap))
    return lines


def _told(report: RunReport, indicator: str) -> bool:
    """Whether the indicator has a figure at the report's own level."""
    return report.cells.get((indicator, report.level, report.focus, "")) is not None
