"""How the command line starts a flow: quietly, and with its errors as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from mlstats.errors import MlstatsError, ServiceError, UsageError
from mlstats.monitor_files import Monitored
from mlstats.pilot_files import load_pilot
from mlstats.produced import Produced
from mlstats.runs import Outcome
from mlstats.settings import load_settings
from pipelines.coding import coding
from pipelines.editimpute import editimpute
from pipelines.imagery import imagery
from pipelines.monitor import monitor
from pipelines.produce import produce
from pipelines.retrain import retrain

__all__ = ["run_flow", "run_monitor", "run_produce", "run_retrain"]

R = TypeVar("R")

_FLOWS = {"coding": coding, "editimpute": editimpute, "imagery": imagery}


def run_flow(
    pilot: str,
    *,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    period: str | None = None,
    full: bool = False,
) -> Outcome:
    """Run the flow of a pilot's theme in this process, on Prefect's server.

    Without PREFECT_API_URL that is a temporary server which ends with the process.

    Raises
    ------
    ServiceError
        Where Prefect's server does not answer or does not start.
    MlstatsError
        Whatever a step raised.
    """
    theme = load_pilot(
        pilot, project=load_settings().project, overrides=overrides
    ).theme
    if theme not in _FLOWS:
        raise UsageError(
            f"There is no flow for the theme {theme!r} yet",
            expected=", ".join(_FLOWS),
        )
    return _told(
        lambda: _FLOWS[theme](
            pilot, overrides=list(overrides), sample=sample, period=period, full=full
        )
    )


def run_produce(
    pilot: str, period: str | None, *, dry_run: bool = False, back_cast: bool = False
) -> Produced:
    """Run the flow of one reference period, as :func:`run_flow` does a pilot's.

    Raises
    ------
    ServiceError
        Where Prefect's server does not answer or does not start.
    MlstatsError
        Whatever a step raised.
    """
    return _told(
        lambda: cast(
            "Produced",
            produce(pilot, period=period, dry_run=dry_run, back_cast=back_cast),
        ),
        "mlstats calendar tells whether the period was released; ",
    )


def run_monitor(pilot: str) -> Monitored:
    """Run the flow that looks at a pilot over its periods, as :func:`run_flow` does.

    Raises
    ------
    ServiceError
        Where Prefect's server does not answer or does not start.
    MlstatsError
        Whatever a step raised.
    """
    return _told(lambda: cast("Monitored", monitor(pilot)))


def run_retrain(pilot: str, to: str) -> Outcome:
    """Run the flow that makes a new version, as :func:`run_flow` does a pilot's.

    Raises
    ------
    ServiceError
        Where Prefect's server does not answer or does not start.
    MlstatsError
        Whatever a step raised.
    """
    return _told(lambda: retrain(pilot, to))


def _told(flow: Callable[[], R], kept: str = "") -> R:
    """Return what a flow returns; only errors of mlstats come out of it.

    `kept` begins the hint where Prefect fails: what tells whether all was done before.
    """
    try:
        return flow()
    except MlstatsError:
        raise
    except Exception as error:
        # Steps are guarded, so what is left comes from Prefect itself.
        raise ServiceError(
            f"Prefect did not run the flow to its end: {type(error).__name__}",
            where=os.environ.get("PREFECT_API_URL", "the temporary server").split("@")[
                -1
            ],
            hint=f"{kept}mlstats doctor, or unset PREFECT_API_URL "
            "for a temporary server",
        ) from None
