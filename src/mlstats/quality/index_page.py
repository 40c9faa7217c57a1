"""One page that lists the runs and periods of a project, each with its verdict.

It is made of what the run folders hold, so it can be made again at any time; a folder
that cannot be read is named and does not stop the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from mlstats import io
from mlstats.config import Pilot
from mlstats.errors import MlstatsError
from mlstats.quality import gate
from mlstats.quality.figures import (
    RESULTS,
    Cell,
    Figure,
    as_text,
    indicator_name,
    level_name,
    write,
    write_difference,
)
from mlstats.quality.indicator_names import HEADLINES
from mlstats.quality.pages import render
from mlstats.quality.plots import PlotRow, interval_plot
from mlstats.quality.sheet_file import read_sheet_file
from mlstats.quality.waiver import waived_verdict

__all__ = ["RunLine", "read_run", "render_index", "runs_of", "write_index"]

PLOTTED: Final = 12  # runs in the plot of a pilot, the newest
_RUN_ID: Final = re.compile(r"(\d{8}T\d{6})(?:\.(\d+))?-.+")


@dataclass(frozen=True)
class RunLine:
    """One run as the page shows it.

    Parameters
    ----------
    pilot, run_id : str
        Names of the folders.
    title, period, created : str
        Empty where not known.
    synthetic : bool
        Whether its data were generated.
    level, candidate, baseline : str
        What was compared at which level.
    verdicts : tuple of (str, str, str)
        Transition, result and the word for it.
    candidate_accuracy, baseline_accuracy, difference : Figure
        With their intervals.
    cells : tuple of (str, Cell)
        Kind of method and its accuracy, for the plot.
    link : str
        Of the report, relative to the page; empty where there is none.
    problem : str
        Why the run cannot be read; empty where it can.
    """

    pilot: str
    run_id: str
    title: str = ""
    period: str = ""
    created: str = ""
    synthetic: bool = False
    level: str = ""
    candidate: str = ""
    baseline: str = ""
    verdicts: tuple[tuple[str, str, str], ...] = ()
    candidate_accuracy: Figure = Figure("")
    baseline_accuracy: Figure = Figure("")
    difference: Figure = Figure("")
    cells: tuple[tuple[str, Cell], ...] = ()
    link: str = ""
    problem: str = ""


def runs_of(root: Path) -> list[RunLine]:
    """Return the runs of all pilots, by pilot, the newest first.

    Parameters
    ----------
    root : pathlib.Path
        The folder of runs: ``PILOT/RUN_ID/``. Hidden folders are runs that have not
        finished.
    """
    if not root.is_dir():
        return []
    pilots = sorted(path for path in root.iterdir() if _is_shown(path))
    return [
        read_run(folder)
        for pilot in pilots
        for folder in sorted(filter(_is_shown, pilot.iterdir()), reverse=True)
    ]


def _is_shown(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def read_run(folder: Path) -> RunLine:
    """Read the folder of one run.

    Its verdicts are those of ``gates.parquet`` where it was kept; else the pilot's
    rules are applied to the scorecard again.
    """
    pilot, run_id = folder.parent.name, folder.name
    try:
        spec = read_sheet_file(folder / "pilot.yaml", Pilot)
        scorecard = pd.read_parquet(folder / "scorecard.parquet")
        gates = _gates(folder, spec, scorecard)
        return _line(folder, spec, scorecard, gates)
    except (MlstatsError, OSError, ValueError, KeyError) as error:
        reason = f"it cannot be read ({type(error).__name__})"
        return RunLine(pilot, run_id, created=_created(run_id), problem=reason)


def _gates(folder: Path, spec: Pilot, scorecard: pd.DataFrame) -> pd.DataFrame:
    kept = folder / "gates.parquet"
    if kept.is_file():
        return pd.read_parquet(kept)
    return gate.judge(scorecard, spec.gates, method=spec.candidate, level=spec.level)


def _line(
    folder: Path, spec: Pilot, scorecard: pd.DataFrame, gates: pd.DataFrame
) -> RunLine:
    level = spec.level
    one = _cell(scorecard, spec.candidate, level, spec.baseline)
    other = _cell(scorecard, spec.baseline, level, spec.baseline)
    measure = one.indicator if one and one.indicator != HEADLINES[0] else ""
    first = scorecard.iloc[0]
    report = folder / "scorecard.html"
    link = quote("/".join((folder.parent.name, folder.name, report.name)))
    words = {**RESULTS, "waived": "passed with a waiver"}
    return RunLine(
        pilot=folder.parent.name,
        run_id=folder.name,
        title=spec.title or spec.pilot,
        period=as_text(first["period"]),
        created=_created(folder.name),
        synthetic=bool(first["synthetic"]),
        level=level_name(level) + (f", {indicator_name(measure)}" if measure else ""),
        candidate=spec.candidate,
        baseline=spec.baseline,
        verdicts=tuple(
            (to, result, words[result])
            for to in dict.fromkeys(gates["to"])
            for result in [waived_verdict(gates, to)]
        ),
        candidate_accuracy=write(one, level=level),
        baseline_accuracy=write(other, level=level),
        difference=write_difference(one, baseline=spec.baseline),
        cells=tuple(
            (kind, cell)
            for kind, cell in (("ml", one), ("traditional", other))
            if cell is not None and not measure  # the plot's axis is accuracy
        ),
        link=link if report.is_file() else "",
    )


def _cell(
    scorecard: pd.DataFrame, method: str, level: str, baseline: str
) -> Cell | None:
    found = scorecard[
        (scorecard["method"] == method)
        & (scorecard["level"] == level)
        & (scorecard["domain"].map(as_text) == "")
        & scorecard["versus"].map(as_text).isin(["", baseline])
    ]
    for measure in HEADLINES:
        rows = found[found["indicator"] == measure]
        if len(rows):
            return Cell.from_row({str(k): v for k, v in rows.iloc[0].items()})
    return None


def _created(run_id: str) -> str:
    """Return the time in a run's name, empty where it holds none."""
    found = _RUN_ID.fullmatch(run_id)
    if found is None:
        return ""
    try:
        time = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return ""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


# -- the page ----------------------------------------------------------------------


def render_index(lines: Sequence[RunLine]) -> str:
    """Return the page; it needs nothing but itself."""
    read = [line for line in lines if not line.problem]
    unreadable = [line for line in lines if line.problem]
    names = list(dict.fromkeys(line.pilot for line in read))
    pilots = [
        _pilot(number, [line for line in read if line.pilot == name])
        for number, name in enumerate(names, start=1)
    ]
    return render(
        "index.html",
        pilots=pilots,
        unreadable=unreadable,
        sentence=_sentence(read, names),
        all_synthetic=bool(read) and all(line.synthetic for line in read),
    )


def write_index(root: Path) -> Path:
    """Write ``index.html`` into the folder of runs and return its path.

    Raises
    ------
    ServiceError
        Where it cannot be written.
    """
    path = root / "index.html"
    io.write_text(path, render_index(runs_of(root)))
    return path


def _sentence(lines: Sequence[RunLine], names: Sequence[str]) -> str:
    if not lines:
        return "There are no finished runs yet."
    periods = len({(line.pilot, line.period) for line in lines if line.period})
    return (
        f"{_count(len(lines), 'run')} of {_count(len(names), 'pilot')}, "
        f"{_count(periods, 'reference period')}."
    )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _pilot(number: int, lines: Sequence[RunLine]) -> dict[str, Any]:
    first = lines[0]
    return {
        "name": first.pilot,
        "title": first.title,
        "lines": lines,
        "plot": Markup(_plot(number, lines[:PLOTTED])) if len(lines) > 1 else "",
    }


def _plot(number: int, lines: Sequence[RunLine]) -> str:
    rows = [
        PlotRow(
            label=cell.method,
            value=100 * cell.value,
            lower=100 * cell.lower,
            upper=100 * cell.upper,
            text=_in_words(cell, line.level),
            kind=kind,
            group=f"{line.period or 'no period'}, {line.created or line.run_id}",
        )
        for line in lines
        for kind, cell in line.cells
    ]
    return interval_plot(
        rows,
        key=f"runs-{number}",
        title=f"Accuracy over runs of {lines[0].pilot}",
        description="Candidate and baseline of each run with their 95 % intervals.",
        axis="accuracy, %",
        limits=(0, 100),
        remark="synthetic data" if all(line.synthetic for line in lines) else "",
    )


def _in_words(cell: Cell, level: str) -> str:
    figure = write(cell, level=cell.level)
    if figure.missing:
        return figure.missing
    return f"{figure.text} ({figure.interval})" if figure.interval else figure.text
