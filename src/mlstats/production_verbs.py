"""The verbs of production on the command line; nothing heavy is imported before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlstats.scale_option import ScaleOption

if TYPE_CHECKING:
    from mlstats.produced import Produced

__all__ = ["FALLBACK", "code", "drill", "produce"]

FALLBACK = 6  # exit status: the baseline stood in for the champion
_SHOWN = 20  # figures on the terminal
_COUNTS = {"audit": "automatic in the audit", "audit_sample": "audit drawn"}
_COLUMNS = ("figure", "as released", "champion less baseline", "since last period")


def produce(
    pilot: Annotated[str, typer.Argument(help="Name or path of a pilot.")],
    period: Annotated[
        str, typer.Option(help="As 2026-03, or 2026-01/2026-03; else by the lag.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything but publish.")
    ] = False,
    back_cast: Annotated[
        bool,
        typer.Option("--back-cast", help="Ask the version in the shadow, publish not."),
    ] = False,
    scale: ScaleOption = None,
) -> None:
    """Produce a reference period, beside the baseline, to a release."""
    from mlstats.period import PeriodRange
    from mlstats.pilot_files import load_pilot
    from mlstats.settings import load_settings

    settings = load_settings()
    load_pilot(pilot, project=settings.project)
    periods: list[str | None] = [None]  # the one that is due today
    if period:
        periods = [str(one) for one in PeriodRange.parse(period)]
    settings.prepare()
    from pipelines.start import run_produce

    fallback = False
    for one in periods:
        made = run_produce(pilot, one, dry_run=dry_run, back_cast=back_cast)
        _show(made, dry_run=dry_run)
        fallback |= made.fallback
    if fallback:
        raise typer.Exit(FALLBACK)


def code(
    pilot: Annotated[str, typer.Argument(help="Name or path of a coding pilot.")],
    source: Annotated[str, typer.Argument(help="Parquet file, folder or s3 address.")],
    target: Annotated[str, typer.Argument(help="Folder that is made.")],
    truth: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="Score both against it: TARGET-scorecard."),
    ] = "",
    scale: ScaleOption = None,
) -> None:
    """Code a table of any size by champion and baseline; no release."""
    from mlstats.batch_coding import code_table
    from mlstats.settings import load_settings

    settings = load_settings()
    settings.prepare()
    if truth:
        from mlstats.coded_report import check_truth

        check_truth(pilot, source, truth, settings)
    made = code_table(pilot, source, target, settings)
    share = made.automatic / made.rows if made.rows else 0.0
    typer.echo(
        f"{made.rows:,} rows in {made.parts} parts, {made.computed} coded now; "
        f"{share:.1%} need no clerk"
    )
    typer.echo(f"Open: {made.folder}")
    if not truth:
        return
    from rich.console import Console

    from mlstats.coded_report import report_folder, score_table
    from mlstats.quality.terminal import print_scorecard

    shown = score_table(pilot, source, target, truth, settings)
    page = report_folder(target) / "scorecard.html"
    print_scorecard(shown, Console(highlight=False), path=page)


def drill(
    pilot: Annotated[str, typer.Argument(help="Name or path of a pilot.")],
    period: Annotated[
        str, typer.Option(help="The last released one where none is named.")
    ] = "",
) -> None:
    """Rehearse every cause of the fallback; nothing is published."""
    from rich.console import Console
    from rich.table import Table

    from mlstats.drill import drill as rehearse
    from mlstats.settings import load_settings

    table = Table("cause", "result", "seen", "seconds", box=None)
    found = []
    for one in rehearse(pilot, load_settings(), period=period or None):
        found.append(one)
        word = "the baseline produced" if one.passed else "FAILED"
        table.add_row(one.cause, word, one.said, f"{one.seconds:.1f}")
    Console(highlight=False).print(table)
    if not all(one.passed for one in found):
        raise typer.Exit(1)


def _show(made: Produced, *, dry_run: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    counts = ", ".join(
        f"{_COUNTS.get(name, name)} {n:,}" for name, n in made.counts.items() if n
    )
    console.print(f"{made.pilot} {made.period}: {counts or 'nothing is published'}")
    for one in made.reasons:
        told = f"fallback ({one.cause}): {one.said}"
        console.print(told, style="bold red", markup=False)
    for note in made.notes:
        console.print(f"note: {note}", markup=False)
    shown = made.totals
    if len(shown):
        whole = shown[shown["domain"].astype(str) == ""].nlargest(_SHOWN, "estimate")
        table = Table(box=None, padding=(0, 1, 0, 0))
        for name in _COLUMNS:
            table.add_column(name, justify="left" if name == "figure" else "right")
        for row in whole.to_dict("records"):
            table.add_row(*_cells({str(k): v for k, v in row.items()}))
        console.print(table)
        console.print("With 95 % intervals; changes of shares in points.", style="dim")
    if made.shadow is not None:
        facts = made.shadow.facts
        told = "answered" if facts["answered"] else f"did not answer: {facts['said']}"
        console.print(f"shadow, version {facts['shadow_version']}: {told}")
    if made.release is not None:
        state = "final" if made.release.final else "provisional"
        page = made.release.folder / "release.html"
        console.print(f"Released ({state}): {made.release.path}")
        console.print(f"Open: {page}", soft_wrap=True)
    elif dry_run:
        console.print("A dry run: nothing was published.")


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    """Return a figure and its changes, each with its interval; shares in percent."""
    from math import isfinite

    share = str(row["class"] or "") != ""

    def one(name: str, sign: str) -> str:
        value = float(str(row.get(name, "nan")))
        if not isfinite(value):
            return ""
        return f"{100 * value:{sign}.2f}" if share else f"{value:{sign},.5g}"

    def told(name: str, start: str = "", sign: str = "") -> str:
        value, *ends = (
            one(key, sign) for key in (name, f"{start}lower", f"{start}upper")
        )
        return f"{value} [{', '.join(ends)}]" if value and all(ends) else value

    name, released = str(row["class"] or row["variable"]), told("estimate")
    return (
        name,
        f"{released} %" if released and share else released,
        told("difference", "difference_", "+"),
        told("last_period_change", "last_period_", "+"),
    )
