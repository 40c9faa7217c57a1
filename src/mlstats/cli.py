"""The command line; it imports nothing heavy before a verb is chosen.

Exit codes: 0 done, 1 a gate failed or is inconclusive or a decision is refused, 2
config or usage, 3 data contract, 4 a service or store is out of reach, 5 internal, 6
the period was produced by the fallback.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

import mlstats
from mlstats.database_verbs import backup, migrate, purge, restore
from mlstats.decision_verbs import decisions, promote
from mlstats.errors import ContractError, MlstatsError
from mlstats.monitor_verbs import monitor, train_anew
from mlstats.production_verbs import code, drill, produce
from mlstats.review_verbs import review
from mlstats.scale_option import ScaleOption
from mlstats.schedule_verbs import calendar, deploy, up
from mlstats.serving_verbs import serve
from mlstats.table_verbs import convert

if TYPE_CHECKING:
    from rich.console import Console

    from mlstats.runs import Outcome

__all__ = ["app", "main"]

app = typer.Typer(
    name="mlstats",
    help="Machine-learning pilots for statistical production, beside the tradition.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
DEVELOP, REVIEW, PRODUCE, SET_UP = "Develop", "Review", "Produce", "Set up"

PilotName = Annotated[str, typer.Argument(help="Name or path of a pilot.")]
Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the pilot."),
]
Sample = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--sample", min=1, help="Draw about N rows, whole clusters."),
]
Period = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--period", help="Test on this period, as 2026-03."),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlstats {mlstats.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only results and errors.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Show the version.",
            hidden=True,  # everybody knows it, and the help is to fit one screen
        ),
    ] = False,
) -> None:
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
    )
    for noisy in ("httpx", "alembic", "mlflow", "matplotlib", "prefect"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Our own errors are told once, at the end, without a traceback.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")


# -- develop -----------------------------------------------------------------------


@app.command(rich_help_panel=DEVELOP)
def new(
    name: Annotated[str, typer.Argument(help="Name of the new pilot.")],
    data: Annotated[Path, typer.Option(help="A table with texts and codes.")],
    text: Annotated[list[str], typer.Option(help="Column of the text; repeatable.")],
    code: Annotated[str, typer.Option(help="Column of the code.")],
    unit_id: Annotated[
        str, typer.Option("--id", help="Column of the unit's id.")
    ] = "row_number",
    cluster: Annotated[
        str, typer.Option(help="Column of the cluster (household, firm).")
    ] = "",
    separator: Annotated[
        str, typer.Option(help="Sign between the levels of a code, as '.'.")
    ] = "",
) -> None:
    """Make a pilot from a table of your own."""
    from mlstats.scaffold import new_pilot
    from mlstats.settings import load_settings

    made = new_pilot(
        load_settings(),
        name,
        data,
        text=text,
        code=code,
        unit_id=unit_id,
        cluster=cluster or None,
        separator=separator or None,
    )
    for path in made:
        typer.echo(f"wrote {path}")
    typer.echo(f"next: mlstats check {name}, then mlstats run {name}")


@app.command(rich_help_panel=DEVELOP)
def pilots() -> None:
    """List the pilots that can be run."""
    from rich.table import Table

    from mlstats.pilot_files import list_pilots, load_pilot
    from mlstats.settings import load_settings

    project = load_settings().project
    table = Table(box=None)
    for column in ("pilot", "title", "baseline", "candidate"):
        table.add_column(column, no_wrap=column != "title")
    for name in list_pilots(project):
        pilot = load_pilot(name, project=project)
        table.add_row(name, pilot.title, pilot.baseline, pilot.candidate)
    _console().print(table)


@app.command(rich_help_panel=DEVELOP)
def check(
    pilot: PilotName,
    overrides: Overrides = None,
    sample: Sample = None,
    period: Period = None,
    scale: ScaleOption = None,
) -> None:
    """Read the data, check the contract, tell what the gates need."""
    from mlstats.checking import check_pilot
    from mlstats.settings import load_settings

    check_pilot(
        pilot,
        load_settings(),
        _console(),
        overrides=overrides or [],
        sample=sample,
        period=period,
    )


@app.command(rich_help_panel=DEVELOP)
def run(
    pilot: PilotName,
    overrides: Overrides = None,
    sample: Sample = None,
    period: Period = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Refit too: seeds, explanations, bad input."),
    ] = False,
    scale: ScaleOption = None,
) -> None:
    """Run every method on the same units, to scorecard and gates."""
    _finish(_run(pilot, overrides, sample, period, full=full))


@app.command(rich_help_panel=DEVELOP)
def retrain(
    pilot: PilotName,
    to: Annotated[str, typer.Option(help="Take coders' codes up to this period.")],
    scale: ScaleOption = None,
) -> None:
    """Train anew with coders' codes, beside the champion."""
    _finish(train_anew(pilot, to))


app.command(rich_help_panel=DEVELOP)(convert)


def _run(
    pilot: str,
    overrides: list[str] | None = None,
    sample: int | None = None,
    period: str | None = None,
    *,
    full: bool = False,
) -> Outcome:
    from mlstats.pilot_files import load_pilot
    from mlstats.settings import load_settings

    settings = load_settings()
    # Read here first: a misspelt key is told at once, not after a server's start.
    load_pilot(pilot, project=settings.project, overrides=overrides or [])
    settings.prepare()
    from pipelines.start import run_flow

    return run_flow(
        pilot, overrides=overrides or [], sample=sample, period=period, full=full
    )


def _finish(outcome: Outcome) -> None:
    from mlstats.quality.terminal import print_scorecard

    print_scorecard(outcome.report, _console(), path=outcome.folder / "scorecard.html")
    if outcome.gated and outcome.result not in {"pass", "waived"}:
        raise typer.Exit(1)


# -- review ------------------------------------------------------------------------


@app.command(rich_help_panel=REVIEW)
def report(
    pilot: PilotName,
    open_it: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(help="Write the results as Markdown and a picture here."),
    ] = None,
) -> None:
    """Show where the last run's reports lie."""
    from mlstats.errors import UsageError
    from mlstats.runs import latest
    from mlstats.settings import load_settings

    folder = latest(load_settings(), Path(pilot).stem)
    if folder is None:
        raise UsageError(
            f"The pilot {pilot!r} has no finished run", hint=f"mlstats run {pilot}"
        )
    if page is not None:
        from mlstats.quality.result_page import write_result_page

        for path in write_result_page(folder, page):
            typer.echo(path)
        return
    for path in sorted(folder.iterdir()):
        typer.echo(path)
    if open_it:
        typer.launch((folder / "scorecard.html").as_uri())


@app.command(rich_help_panel=REVIEW)
def compare(
    truth: Annotated[Path, typer.Option(help="Table of the true codes.")],
    traditional: Annotated[Path, typer.Option(help="Table of the traditional codes.")],
    ml: Annotated[Path, typer.Option(help="Table of the machine's codes.")],
    key: Annotated[str, typer.Option(help="Column that joins the three.")],
    code: Annotated[
        str, typer.Option(help="Column of the code, where there are several.")
    ] = "",
    weight: Annotated[str, typer.Option(help="Column of the weight.")] = "",
    cluster: Annotated[str, typer.Option(help="Column of the cluster.")] = "",
    separator: Annotated[
        str, typer.Option(help="Sign between the levels of a code, as '.'.")
    ] = "",
    output: Annotated[Path, typer.Option(help="Folder of the scorecard.")] = Path(
        "comparison"
    ),
) -> None:
    """Score two loose files of codes against a third, without a pilot."""
    from mlstats.compare import compare_files
    from mlstats.quality.terminal import print_scorecard

    shown = compare_files(
        truth,
        traditional,
        ml,
        key=key,
        code=code or None,
        weight=weight or None,
        cluster=cluster or None,
        separator=separator or None,
        output=output,
    )
    print_scorecard(shown, _console(), path=output / "scorecard.html")


app.command(rich_help_panel=REVIEW)(promote)
app.command(rich_help_panel=REVIEW)(decisions)
app.add_typer(review, rich_help_panel=REVIEW)


# -- produce -----------------------------------------------------------------------


app.command(rich_help_panel=PRODUCE)(produce)
app.command(rich_help_panel=PRODUCE)(code)
app.command(rich_help_panel=PRODUCE)(drill)
app.command(rich_help_panel=PRODUCE)(monitor)
app.command(rich_help_panel=PRODUCE)(deploy)
app.command(rich_help_panel=PRODUCE)(calendar)
app.command(rich_help_panel=PRODUCE)(serve)


# -- set up ------------------------------------------------------------------------


@app.command(rich_help_panel=SET_UP)
def doctor() -> None:
    """Look at the installation, the stores and the services."""
    from rich.table import Table

    from mlstats.doctor import examine
    from mlstats.settings import load_settings

    table = Table("what", "state", "found", box=None)
    findings = examine(load_settings())
    for finding in findings:
        table.add_row(finding.what, finding.state, finding.found)
    _console().print(table)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(4)


@app.command(rich_help_panel=SET_UP)
def demo(
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Generate the data, run nothing.")
    ] = False,
    theme: Annotated[
        str, typer.Option(help="Which one: coding, editimpute or imagery.")
    ] = "coding",
    seed: Annotated[int, typer.Option(help="Of the generator.")] = 20260101,
) -> None:
    """Generate synthetic data and run the demonstration of a theme."""
    from mlstats.demo import make_demo
    from mlstats.settings import load_settings

    folder = load_settings().home_folder / "demo"
    pilot = make_demo(theme, folder, seed=seed)
    typer.echo(f"synthetic data in {folder}", err=True)
    if not data_only:
        _finish(_run(pilot))


app.command(rich_help_panel=SET_UP)(up)
# Named by the error that asks for it: it needs no line of the screen.
app.command(hidden=True)(migrate)
app.command(rich_help_panel=SET_UP)(backup)
# Named by the line of backup, for which a screen has room.
app.command(hidden=True)(restore)
# Named by mlstats doctor, which tells what is due.
app.command(hidden=True)(purge)


# -- entry -------------------------------------------------------------------------


_INTERRUPTED = 130


def main() -> None:
    """Run the command line; every error becomes a message and an exit code."""
    signal.signal(signal.SIGTERM, _ended)
    try:
        app()
    except MlstatsError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:  # typer's, which says nothing
            typer.echo("interrupted", err=True)
        raise
    except Exception as error:
        from mlstats.guard import place

        fault = MlstatsError(
            f"An internal fault: {type(error).__name__}",
            where=place(error),
            hint="please report it; the message is withheld, it may hold a record",
        )
        _tell(fault)
        sys.exit(fault.exit_code)


def _ended(number: int, frame: object) -> None:
    """End in order, so that Prefect's temporary server ends too."""
    sys.exit(128 + number)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _tell(error: MlstatsError) -> None:
    console = _console(stderr=True)
    console.print(f"error: {error.title}", style="bold red", markup=False)
    failures = getattr(error, "failures", None)
    if isinstance(error, ContractError) and failures is not None:
        from mlstats.checking import failure_table

        console.print(failure_table(failures))
    for label, text in error.lines():
        console.print(f"  {label}: {text}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
