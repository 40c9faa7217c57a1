"""The verb of serving on the command line; nothing heavy is imported before it."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

__all__ = ["serve"]


def serve(
    pilot: Annotated[str, typer.Argument(help="Name or path of a coding pilot.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the server; 0: a free one.")
    ] = 0,
    version: Annotated[
        Optional[int],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option(min=1, help="This one, not the one in production."),
    ] = None,
) -> None:
    """Code texts over HTTP while coders type, on this machine only."""
    from mlstats.serving import serve as answering
    from mlstats.settings import load_settings

    answering(pilot, load_settings(), typer.echo, port=port, version=version)
