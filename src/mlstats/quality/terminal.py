"""The scorecard as a table on a terminal: 80 columns, with or without colour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from mlstats.quality.figures import (
    KINDS,
    Figure,
    level_name,
    write,
    write_difference,
    write_speed,
)
from mlstats.quality.imagery_section import AREAS, published
from mlstats.quality.pages import SYNTHETIC
from mlstats.quality.report import RunReport
from mlstats.quality.variable_section import headline_of, variables_of
from mlstats.quality.verdicts import gates

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_scorecard"]

_STYLES: Final = {
    "pass": "bold green",
    "fail": "bold red",
    "inconclusive": "bold yellow",
    "waived": "bold red",
}
# Typography that code pages of old terminals lack.
_PLAIN: Final = str.maketrans({"\u2212": "-", "\u2013": "-", "\u202f": " "})


def print_scorecard(
    report: RunReport, console: Console, *, path: Path | None = None
) -> None:
    """Print a row per method, the gates under it, the verdict and what to open.

    Parameters
    ----------
    report : RunReport
        The run.
    console : rich.console.Console
        Where to; colour is never the only signal.
    path : pathlib.Path, optional
        The HTML report; printed unwrapped, so that it can be copied.
    """

    def line(text: str, style: str = "", *, wrap: bool = True) -> None:
        console.print(
            Text(_safe(text, console), style=style),
            soft_wrap=not wrap,
            highlight=False,
        )

    if report.synthetic:
        line(SYNTHETIC, "bold magenta")
    line(f"{report.title}  {report.period}".rstrip(), "bold")
    if report.theme == "editimpute":
        console.print(_imputed(report, console))
        line(_imputed_caption(report), "dim")
    elif report.theme == "imagery":
        console.print(_imaged(report, console))
        line(_imaged_caption(report), "dim")
    else:
        console.print(_table(report, console))
        line(_caption(report), "dim")
    for gate in gates(report):
        _print_gate(gate.result, gate.word, f"to {gate.to}: {gate.rule}", console)
        if gate.reason:
            _print_gate("", "", gate.reason, console)
        if gate.waiver:
            _print_gate(gate.result, "", f"Waiver: {gate.waiver}", console)
    if report.gates.empty:
        line("No gates: nothing was tested, so nothing has passed.")
    line("")
    line(report.verdict, "bold")
    if path is not None:
        line(f"Open: {path}", wrap=False)


def _table(report: RunReport, console: Console) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("method", overflow="fold", min_width=8)
    table.add_column("kind", no_wrap=True)
    for heading in (
        "accuracy, %",
        "difference, points",
        "auto, %",
        "rows/s",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in report.method_names:
        accuracy = report.cell("accuracy", name)
        cells = (
            name,
            "ML" if report.kinds.get(name) == "ml" else _short_kind(report, name),
            _bracketed(write(accuracy, level=report.level)),
            _bracketed(write_difference(accuracy, baseline=report.baseline)),
            _bare(write(report.cell("automation_guaranteed", name))),
            write_speed(report.cell("predict_seconds_per_1000", name)).text,
        )
        style = "bold" if name == report.candidate else ""
        table.add_row(*(Text(_safe(c, console)) for c in cells), style=style)
    return table


def _imputed(report: RunReport, console: Console) -> Table:
    """Return a row per variable and method of an edit and imputation pilot."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("variable", "method"):
        table.add_column(heading, overflow="fold")
    for heading in ("single values", "difference", "distribution", "total"):
        table.add_column(heading, justify="right")
    for variable in variables_of(report):
        headline = headline_of(report, variable)
        gap = "ks" if headline == "nrmse" else "total_variation"
        for name in report.method_names:
            first = report.cell(headline, name, level=variable)
            cells = (
                variable if name == report.method_names[0] else "",
                name,
                write(first, level=variable).text,
                _bracketed(write_difference(first, baseline=report.baseline)),
                write(report.cell(gap, name, level=variable), level=variable).text,
                write(
                    report.cell("total_bias", name, level=variable), level=variable
                ).text,
            )
            style = "bold" if name == report.candidate else ""
            table.add_row(*(Text(_safe(c, console)) for c in cells), style=style)
    return table


def _imputed_caption(report: RunReport) -> str:
    return (
        f"Candidate: {report.candidate or 'none'}. Single values: RMSE over the spread "
        "of the truth, for a category accuracy; paired difference to "
        f"{report.baseline} with 95 % interval. Distribution: largest gap, for a "
        "category total variation. Total: bias of the published one."
    )


def _imaged(report: RunReport, console: Console) -> Table:
    """Return a row per variable and method of an imagery pilot."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("variable", "method"):
        table.add_column(heading, overflow="fold")
    for heading in ("single unit", "difference", "published figure", "efficiency"):
        table.add_column(heading, justify="right")
    areas = report.tables.get(AREAS)
    names = variables_of(report)
    if areas is not None:
        names = list(dict.fromkeys([*names, *areas["variable"].map(str)]))
    for variable in names:
        headline = headline_of(report, variable)
        for name in report.method_names:
            first = report.cell(headline, name, level=variable)
            gain = report.cell("relative_efficiency", name, level=variable)
            cells = (
                variable if name == report.method_names[0] else "",
                name,
                write(first, level=variable).text,
                _bracketed(write_difference(first, baseline=report.baseline)),
                published(areas, variable, name),
                _bracketed(write(gain, level=variable)),
            )
            style = "bold" if name == report.candidate else ""
            table.add_row(*(Text(_safe(c, console)) for c in cells), style=style)
    return table


def _imaged_caption(report: RunReport) -> str:
    return (
        f"Candidate: {report.candidate or 'none'}. Single unit: RMSE over the spread "
        "of the truth, for classes accuracy with blocks left out; paired difference to "
        f"{report.baseline} with 95 % interval. Efficiency: variance of the survey "
        "alone over that with the map."
    )


def _caption(report: RunReport) -> str:
    target = ""
    if report.target_accuracy:
        target = f" at {100 * report.target_accuracy:g} % accuracy"
    automation = report.cell("automation_guaranteed", report.focus)
    remark = write(automation, level=report.level).remark
    return (
        f"Candidate: {report.candidate or 'none'}. Accuracy at "
        f"{level_name(report.level)} with 95 % interval; paired difference to "
        f"{report.baseline}; auto: share coded without a clerk, guaranteed{target}"
        f"{f', {remark}' if remark else ''}."
    )


def _short_kind(report: RunReport, name: str) -> str:
    kind = report.kinds.get(name, "")
    return "trad." if kind == "traditional" else KINDS.get(kind, kind)


def _bracketed(figure: Figure) -> str:
    bare = _bare(figure)
    if not figure.interval:
        return bare
    return f"{bare} [{figure.interval.replace(' to ', ', ')}]"


def _bare(figure: Figure) -> str:
    # The heading holds the unit.
    return figure.text.removesuffix("\u202f%")


def _print_gate(result: str, word: str, text: str, console: Console) -> None:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=max(12, len(word)), no_wrap=True)
    grid.add_column(overflow="fold")
    style = _STYLES.get(result, "bold")
    said = "" if word else style if result == "waived" else "dim"
    grid.add_row(Text(word, style=style), Text(_safe(text, console), style=said))
    console.print(grid, highlight=False)


def _safe(text: str, console: Console) -> str:
    """Return what this terminal can show, without codes that would steer it."""
    shown = "".join(c if c.isprintable() else "?" for c in text.translate(_PLAIN))
    return shown.encode(console.encoding, "replace").decode(console.encoding)
