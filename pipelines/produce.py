"""The flow of one reference period: champion and baseline, to a release."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from prefect import flow

from mlstats.produced import Produced
from mlstats.settings import Settings
from pipelines.scheduled import run_period


@flow(name="produce", persist_result=False, log_prints=False)
def produce(
    pilot: str,
    period: str | None = None,
    dry_run: bool = False,
    back_cast: bool = False,
) -> Any:
    """Produce a reference period of a pilot.

    Parameters
    ----------
    pilot : str
        Name or path.
    period : str, optional
        Without it, the period of the scheduled time less the lag.
    dry_run : bool
        Publish nothing.
    back_cast : bool
        Let only the version in the shadow answer, for a past period.
    """
    return run_period(pilot, period, _one, dry_run=dry_run, back_cast=back_cast)


def _one(
    name: str,
    period: str,
    settings: Settings,
    *,
    dry_run: bool = False,
    back_cast: bool = False,
) -> Produced:
    production: Any = import_module("mlstats.production")
    made: Produced = production.produce(
        name, period, settings, dry_run=dry_run, back_cast=back_cast
    )
    return made
