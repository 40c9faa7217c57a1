"""The verbs of monitoring on the command line; nothing heavy is imported before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from mlstats.monitor_files import Monitored
    from mlstats.runs import Outcome

__all__ = ["monitor", "train_anew"]

_SHOWN = 12  # periods on the terminal


def monitor(
    pilot: Annotated[str, typer.Argument(help="Name or path of a pilot.")],
    first: Annotated[
        str, typer.Option("--from", help="Show from this period on, as 2026-01.")
    ] = "",
    last: Annotated[str, typer.Option("--to", help="Show up to this period.")] = "",
    ui: Annotated[
        bool, typer.Option("--ui", help="Then serve the Evidently history here.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of --ui; 0: a free one.")
    ] = 0,
) -> None:
    """Look at a pilot over its periods; propose, change nothing."""
    from mlstats.period import ReferencePeriod
    from mlstats.pilot_files import load_pilot
    from mlstats.settings import load_settings

    settings = load_settings()
    load_pilot(pilot, project=settings.project)
    ends = [ReferencePeriod.parse(one) if one else None for one in (first, last)]
    settings.prepare()
    from pipelines.start import run_monitor

    made = run_monitor(pilot)
    within = [
        name
        for name in made.history["period"].unique()
        if _between(ReferencePeriod.parse(name), *ends)
    ]
    _show(made, made.history[made.history["period"].isin(within[-_SHOWN:])])
    if ui:
        from mlstats.quality.evidently_ui import serve

        serve(settings.evidently, typer.echo, port=port)


def train_anew(pilot: str, to: str) -> Outcome:
    """Make a new version of the codes that coders gave; see `mlstats retrain`."""
    from mlstats.period import ReferencePeriod
    from mlstats.pilot_files import load_pilot
    from mlstats.settings import load_settings

    settings = load_settings()
    load_pilot(pilot, project=settings.project)
    ReferencePeriod.parse(to)
    settings.prepare()
    from pipelines.start import run_retrain

    return run_retrain(pilot, to)


def _between(period: object, first: object, last: object) -> bool:
    return not (
        (first is not None and period < first)  # type: ignore[operator]
        or (last is not None and last < period)  # type: ignore[operator]
    )


def _show(made: Monitored, rows: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if made.history.empty:
        console.print(f"No period of {made.pilot} has a release.")
    else:
        shown = (
            ("champion, %", "accuracy", "champion"),
            ("baseline, %", "accuracy", "baseline"),
            ("no clerk saw, %", "accuracy", "released"),
            ("automatic, %", "coded automatically", "released"),
            ("queue, %", "in the review queue", "released"),
        )
        table = Table("period", "alarms", *(name for name, *_ in shown), box=None)
        for period, one in rows.groupby("period", sort=False):
            alarms = one.loc[one["indicator"] == "drift_alarms", "value"]
            told = f"{alarms.sum():.0f}" if alarms.notna().any() else "not compared"
            table.add_row(str(period), told, *(_cell(one, *key) for _, *key in shown))
        console.print(table)
    for proposal in made.proposed:
        action = proposal.action.replace("_", " ")
        console.print(f"{proposal.state}: {action}", style="bold")
        console.print(f"  {proposal.cause}; since {proposal.since}", markup=False)
        console.print(f"  run: {proposal.run}", markup=False, soft_wrap=True)
    console.print(f"Open: {made.folder / 'monitor.html'}", soft_wrap=True)
    last = rows["period"].iloc[-1] if len(rows) else ""
    drawn = made.folder / f"drift/{last}.html"
    if last and drawn.is_file():
        console.print(f"Distributions: {drawn}", soft_wrap=True)


def _cell(rows: pd.DataFrame, indicator: str, arm: str) -> str:
    mine = rows[(rows["indicator"] == indicator) & (rows["arm"] == arm)]
    if mine.empty or mine["status"].iloc[0] != "measured":
        return "not measured"
    row = mine.iloc[0]
    value, lower, upper = (100 * float(row[c]) for c in ("value", "lower", "upper"))
    ends = f"{lower:.1f} to {upper:.1f}" if lower <= upper else "no interval"
    return f"{value:.1f}\n{ends}"
