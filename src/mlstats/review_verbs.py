"""The verbs of clerical review on the command line; they import late."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from mlstats.quality.estimate import Estimate
    from mlstats.review_status import PeriodStatus

__all__ = ["review"]

review = typer.Typer(
    name="review",
    help="Clerical review: files or a page, agreement and accuracy.",
    no_args_is_help=True,
)

PilotName = Annotated[str, typer.Argument(help="Name or path of a pilot.")]
Period = Annotated[str, typer.Argument(help="Reference period, as 2026-03.")]
OnePeriod = Annotated[str, typer.Option("--period", help="Of this period only.")]


class Form(Enum):
    """What a coder's file is."""

    workbook = "workbook"
    label_studio = "label-studio"


@review.command("export")
def export_(
    pilot: PilotName,
    period: Period,
    coder: Annotated[str, typer.Option(help="Login name of whom the file is for.")],
    second: Annotated[
        bool, typer.Option("--second", help="The double-coded units, once more.")
    ] = False,
    rows: Annotated[
        Optional[int],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option(min=1, help="Units at most, at random from all that wait."),
    ] = None,
    instead_of: Annotated[
        str, typer.Option(metavar="CODER", help="Withdraw this coder's file.")
    ] = "",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File or folder; the confidential store otherwise."),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="Label Studio gets tasks as JSON.")
    ] = Form.workbook,
) -> None:
    """Write a coder's file: queue, audit and double coding mixed."""
    from mlstats.review_export import export
    from mlstats.settings import load_settings

    settings = load_settings()
    settings.prepare()
    made = export(
        pilot,
        period,
        settings,
        coder=coder,
        second=second,
        rows=rows,
        instead_of=instead_of,
        out=out,
        form=form.value,
    )
    typer.echo(f"{made.suggested} units with suggestions, {made.blind} without")
    if made.elsewhere:
        typer.echo(f"{made.elsewhere} units are left to other coders")
    for number in made.withdrawn:
        typer.echo(f"withdrawn: the file {number}")
    if made.dropped:
        typer.echo(f"{made.dropped} characters cannot stand in the file")
    typer.echo(f"Wrote (confidential): {made.path}")
    if form is Form.label_studio:
        typer.echo(f"Labelling configuration: {made.path.with_suffix('.xml')}")


@review.command("import")
def import_(
    pilot: PilotName,
    period: Period,
    files: Annotated[list[Path], typer.Argument(help="Files that came back.")],
    coder: Annotated[str, typer.Option(help="Whose file it must be.")] = "",
) -> None:
    """Check a file that came back, and keep all of its codes or none."""
    from mlstats.review_import import import_file
    from mlstats.review_rows import open_period
    from mlstats.review_status import status_of
    from mlstats.settings import load_settings

    settings = load_settings()
    settings.prepare()
    for path in files:
        made = import_file(pilot, period, path, settings, coder=coder)
        if made.again:
            typer.echo(f"{path.name}: was imported already, nothing is new")
        else:
            typer.echo(
                f"{path.name}: {made.coded} units coded by {made.file.coder}, "
                f"{made.left} left; {made.file.added} reviews are new (a unit of both "
                "queue and audit counts in each)"
            )
        if made.by_others:
            typer.echo(f"{made.by_others} units were coded by others; theirs stands")
    _show([status_of(open_period(pilot, period, settings))])
    typer.echo(f"next: mlstats produce {pilot} --period {period}")


@review.command("serve")
def serve_(
    pilot: PilotName,
    period: Period,
    coder: Annotated[
        str, typer.Option(help="Who codes; this machine's user otherwise.")
    ] = "",
    second: Annotated[
        bool, typer.Option("--second", help="The double-coded units, once more.")
    ] = False,
    instead_of: Annotated[
        str, typer.Option(metavar="CODER", help="Withdraw what this coder has.")
    ] = "",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the page; 0: a free one.")
    ] = 0,
) -> None:
    """Serve a page to code on, to this machine only; the address has a secret."""
    from mlstats.identity import operating_system_user
    from mlstats.review_page import serve_page
    from mlstats.settings import load_settings

    settings = load_settings()
    settings.prepare()
    serve_page(
        pilot,
        period,
        settings,
        typer.echo,
        coder=coder or operating_system_user().name,
        second=second,
        instead_of=instead_of,
        port=port,
    )


@review.command("status")
def status_(pilot: PilotName, period: OnePeriod = "") -> None:
    """Tell queue, audit, agreement, accuracy and who has which file."""
    from mlstats.review_status import status
    from mlstats.settings import load_settings

    found = list(status(pilot, load_settings(), period=period))
    if not found:
        typer.echo("No period has a release whose units are kept.")
        return
    _show(found)


@review.command("labels")
def labels_(
    pilot: PilotName,
    period: OnePeriod = "",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Parquet file; the confidential store otherwise."),
    ] = None,
) -> None:
    """Write what coders gave as training data, with who gave it, when and how."""
    from mlstats.review_status import write_labels
    from mlstats.settings import load_settings

    settings = load_settings()
    settings.prepare()
    path, table = write_labels(pilot, settings, period=period, out=out)
    for kind, n in table["kind"].value_counts(sort=False).items():
        told = "beside" if kind == "queue" else "without"
        typer.echo(f"{kind}: {n} coded {told} suggestions")
    typer.echo(f"Wrote (confidential): {path}")


def _show(found: list[PeriodStatus]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None)
    for name in ("period", "queue open", "closed", "audit", "pairs"):
        table.add_column(name, justify="left" if name == "period" else "right")
    for name in ("agreement", "kappa", "accuracy"):
        table.add_column(name)
    for one in found:
        table.add_row(
            one.period,
            f"{one.queue_open:,}",
            f"{one.queue_closed:,}",
            f"{one.audit_done:,} of {one.audit_drawn:,}",
            f"{one.pairs:,} of {one.pairs_drawn:,}",
            _told(one.agreement, 100, " %"),
            _told(one.kappa),
            _told(one.accuracy, 100, " %"),
        )
    console.print(table)
    for one in found:
        for row in one.files.to_dict("records"):
            second = ", second coder" if row["second"] else ""
            said = {"import": "came back", "page": "on a page since"}
            done = said.get(row["act"], "given out")
            console.print(
                f"{one.period}: {row['coder']}{second} has {row['rows']} units, file "
                f"{row['export']}, {done} {row['time'][:10]}",
                markup=False,
                soft_wrap=True,
            )


def _told(estimate: Estimate, times: float = 1, unit: str = "") -> str:
    from math import isfinite

    if estimate.status != "measured" or not isfinite(estimate.value):
        return "not measured"
    digits = 1 if times > 1 else 2
    value = f"{times * estimate.value:.{digits}f}"
    if not isfinite(estimate.lower):
        return f"{value}{unit}, no interval"
    low, high = (f"{times * v:.{digits}f}" for v in (estimate.lower, estimate.upper))
    return f"{value} [{low}, {high}]{unit}"
