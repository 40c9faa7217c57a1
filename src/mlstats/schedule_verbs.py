"""The verbs of schedules and servers on the command line; nothing heavy before one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = ["calendar", "deploy", "up"]


def calendar(
    pilot: Annotated[str, typer.Argument(help="Of this pilot only.")] = "",
    first: Annotated[
        str, typer.Option("--from", metavar="PERIOD", help="First period.")
    ] = "",
    last: Annotated[
        str, typer.Option("--to", metavar="PERIOD", help="Last period.")
    ] = "",
    xlsx: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write it into this workbook too."),
    ] = None,
) -> None:
    """Show which periods are done, fell back, wait, are late."""
    from rich.console import Console

    from mlstats.production_calendar import show_calendar
    from mlstats.settings import load_settings

    names = [pilot] if pilot else []
    console = Console(highlight=False)
    show_calendar(load_settings(), names, console, first=first, last=last, xlsx=xlsx)


def deploy(
    pilot: Annotated[str, typer.Argument(help="Name or path of a pilot.")],
    remove: Annotated[
        bool, typer.Option("--remove", help="Take it from the server.")
    ] = False,
    back_fill: Annotated[
        str, typer.Option(metavar="FIRST/LAST", help="Plan runs of past periods too.")
    ] = "",
) -> None:
    """Let a Prefect server produce a pilot's periods on schedule."""
    from mlstats.errors import UsageError
    from mlstats.settings import load_settings

    if remove and back_fill:
        raise UsageError("Only what is deployed can be back-filled", where="--remove")
    settings = load_settings()
    from pipelines import deploy as deploying

    if remove:
        deploying.remove(pilot, settings, typer.echo)
        return
    deploying.deploy(pilot, settings, typer.echo)
    if back_fill:
        deploying.back_fill(pilot, settings, back_fill, typer.echo)


def up(
    port_mlflow: Annotated[
        int, typer.Option(min=0, max=65535, help="Of MLflow; 0: a free one.")
    ] = 0,
    port_prefect: Annotated[
        int, typer.Option(min=0, max=65535, help="Of Prefect; 0: a free one.")
    ] = 0,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Start the servers only.")
    ] = False,
    dask_workers: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Start a Dask cluster of N workers too."),
    ] = 0,
) -> None:
    """Start MLflow, Prefect and a worker on this machine."""
    from mlstats.servers import serve
    from mlstats.settings import load_settings

    serve(
        load_settings(),
        typer.echo,
        port_mlflow=port_mlflow,
        port_prefect=port_prefect,
        worker=not no_worker,
        dask_workers=dask_workers,
    )
