"""The verbs for the project's database on the command line; nothing heavy before."""

from __future__ import annotations

import typer

__all__ = ["migrate"]


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
