"""The verb for large tables on the command line; nothing heavy before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = ["convert"]


def convert(
    source: Annotated[str, typer.Argument(help="CSV of any size, also .csv.gz.")],
    target: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    by: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option(help="Column of the cluster: whole ones in one partition."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of a partition.")] = 1_000_000,
    text: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Column that is text whatever it holds; repeatable."),
    ] = None,
    pilot: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Read as this pilot does: its codes are text."),
    ] = None,
) -> None:
    """Convert a CSV to Parquet partitions, by stream."""
    from mlstats.conversion import convert as write

    named, options = set(text or ()), {}
    if pilot is not None:
        from mlstats.pilot_files import load_pilot
        from mlstats.settings import load_settings
        from mlstats.sources import text_columns_of

        found = load_pilot(pilot, project=load_settings().project)
        named |= text_columns_of(found)
        options = found.data.read.model_dump(exclude={"sheet"})
    done = write(source, target, rows=rows, by=by, text_columns=named, **options)
    for note in done.notes:
        typer.echo(note, err=True)
    said = "wrote" if done.is_new else "is there already:"
    typer.echo(f"{said} {done.folder}: {done.rows:,} rows in {done.parts} partitions")
