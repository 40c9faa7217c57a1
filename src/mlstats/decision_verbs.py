"""The verbs of decisions on the command line; nothing heavy is imported before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = ["decisions", "promote"]


def promote(
    pilot: Annotated[str, typer.Argument(help="Name or path of a pilot.")],
    to: Annotated[
        str, typer.Option(help="valid, shadow, production, suspended or retired.")
    ] = "",
    version: Annotated[
        int, typer.Option(min=0, help="Registered version; the newest that can.")
    ] = 0,
    sign: Annotated[
        str, typer.Option(metavar="ROLE", help="Sign its evidence in this role.")
    ] = "",
    waive: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="GATE", help="Sign the waiver of a gate too."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Bring the champion before back.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Copy the log into MLflow again.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what is missing, decide nothing.")
    ] = False,
) -> None:
    """Sign, promote, suspend, retire or roll back a version."""
    from mlstats.promoting import Asked, carry_out

    asked = Asked(
        to=to,
        version=version or None,
        sign=sign.replace("-", "_"),
        waive=tuple(waive or ()),
        reason=reason,
        rollback=rollback,
        repair=repair,
        dry_run=dry_run,
    )
    if not carry_out(pilot, asked, typer.echo):
        raise typer.Exit(1)


def decisions(
    pilot: Annotated[str, typer.Argument(help="Of this pilot only.")] = "",
    xlsx: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write them into this workbook too."),
    ] = None,
) -> None:
    """List who decided what on which version, and why."""
    from rich.console import Console

    from mlstats.promoting import show_decisions
    from mlstats.settings import load_settings

    console = Console(highlight=False)
    if show_decisions(load_settings(), pilot, console, xlsx=xlsx):
        raise typer.Exit(4)
