"""The verbs for the project's database on the command line; nothing heavy before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["backup", "migrate", "purge", "restore"]

_SHOWN = 10  # releases that are missing


def migrate() -> None:
    """Bring the tables of the database up to this version of mlstats."""
    from mlstats.decision_log import DecisionLog
    from mlstats.settings import load_settings

    settings = load_settings()
    settings.prepare()
    log = DecisionLog(settings.database)
    before, now = log.migrate()
    if before == now:
        said = "is up to date"
    elif before is None:
        said = "has its tables now"
    else:
        since = f"version {before}" if before else "before there were versions"
        said = f"was brought up from {since}"
    typer.echo(f"{log.place} {said} (version {now} of its tables)")


def backup(
    file: Annotated[Path, typer.Argument(help="A new file, as state-2026-03-01.zip.")],
) -> None:
    """Write decisions, productions and reviews into a file; restore reads it."""
    from mlstats.backup import backup as write
    from mlstats.settings import load_settings

    held = write(load_settings(), file)
    for table, rows in held.rows.items():
        typer.echo(f"{rows:>9,} {table}")
    typer.echo(f"{held.releases:>9,} releases listed: their files are not in it")
    typer.echo(f"wrote {file}: confidential, it holds codes and hashes of units")


def restore(
    file: Annotated[Path, typer.Argument(help="From mlstats backup.")],
) -> None:
    """Put a backup into an empty database, all of it or nothing."""
    from mlstats.backup import restore as put
    from mlstats.settings import load_settings

    settings = load_settings()
    settings.prepare()
    held = put(settings, file)
    for table, rows in held.rows.items():
        typer.echo(f"{rows:>9,} {table}")
    there = held.releases - len(held.missing)
    typer.echo(f"{there:>9,} of {held.releases:,} releases are in {settings.releases}")
    for path in held.missing[:_SHOWN]:
        typer.echo(f"missing: {path}")
    if held.missing:
        typer.echo(
            "copy the folders releases, shadows, confidential and runs beside it"
        )


def purge(
    pilot: Annotated[str, typer.Argument(help="Of this pilot only.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would go, remove nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Remove what is still needed too.")
    ] = False,
) -> None:
    """Remove confidential tables older than production.retention says."""
    from rich.console import Console

    from mlstats.pilot_files import list_pilots, load_pilot
    from mlstats.purge import purge as remove
    from mlstats.retention import due, due_table, pilots_with_tables
    from mlstats.settings import load_settings

    settings, console = load_settings(), Console(highlight=False)
    names = [pilot] if pilot else pilots_with_tables(settings)
    there, found, known = list_pilots(settings.project), [], []
    for name in names:
        if not pilot and name not in there:
            typer.echo(f"{name}: all is kept, there is no file of this pilot")
            continue
        held = load_pilot(name, project=settings.project)
        if not held.production.retention.model_dump(exclude_none=True):
            typer.echo(f"{held.pilot}: all is kept, production.retention is not set")
        known.append(held.pilot)
        found += due(held, settings, force=force)
    console.print(due_table(found))
    if dry_run:
        also = f" The copies in {settings.publish} would go too."
        tail = also if settings.publish else ""
        typer.echo(f"A dry run: nothing was removed.{tail}")
        return
    for row in remove(found, settings, pilots=known if pilot else None):
        typer.echo(f"decision {row.number} on {row.pilot}: {row.reason}")
