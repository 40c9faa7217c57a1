"""The option ``--scale`` of the verbs that work through blocks of records."""

from __future__ import annotations

import os
from typing import Annotated, Optional

import typer

__all__ = ["ScaleOption"]


def _use(address: str | None) -> str | None:
    """Set the variable, so that the processes that a verb starts see it too."""
    if address is not None:
        from mlstats.settings import scale_address

        os.environ["MLSTATS_SCALE"] = scale_address(address)
    return address


ScaleOption = Annotated[
    Optional[str],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option(
        "--scale",
        metavar="ADDRESS",
        callback=_use,
        help="local, or a Dask scheduler's tcp://HOST:PORT; as MLSTATS_SCALE.",
    ),
]
