"""What surrounds the production of a period: which one, its tries, its log, its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import httpx
from prefect import get_client, runtime
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed
from prefect.utilities.timeout import timeout

from mlstats.config import Pilot
from mlstats.errors import MethodError, MlstatsError, ServiceError
from mlstats.pilot_files import load_pilot
from mlstats.produced import Produced
from mlstats.production_log import Attempt, Kind, ProductionLog
from mlstats.schedule import frequency_of, period_of
from mlstats.settings import Settings, load_settings

__all__ = ["Producer", "Recording", "ended", "period_now", "recorded", "run_period"]

_log = logging.getLogger(__name__)

RETRY_AFTER = 60  # seconds: a server that starts again takes about as long
# Champion and baseline have their own limits; this one ends a run that hangs.
LONGEST = 10  # times the budget, at least
SHORTEST = 3600  # seconds


class Producer(Protocol):
    """What produces a period; see :func:`mlstats.production.produce`."""

    def __call__(
        self,
        name: str,
        period: str,
        settings: Settings,
        *,
        dry_run: bool = False,
        back_cast: bool = False,
    ) -> Produced:
        """Produce a period."""


def run_period(
    pilot: str,
    period: str | None,
    one: Producer,
    *,
    dry_run: bool = False,
    back_cast: bool = False,
) -> State[Produced]:
    """Produce a period within a flow run, with all that surrounds it.

    Parameters
    ----------
    pilot : str
        Name or path.
    period : str or None
        None: that of the scheduled time, less the lag.
    one : callable
        Produces one period, in one call; it may call tasks.
    dry_run : bool
        Publish nothing; it is not recorded.
    back_cast : bool
        Let only the version in the shadow answer.

    Returns
    -------
    prefect.states.State
        Done, Fallback or Released, as :func:`ended`; the flow is to return it.

    Raises
    ------
    MlstatsError
        Whatever the production raised; a service that was out of reach was tried again
        as often as ``production.retries`` says, where a deployment runs.
    """
    settings = load_settings()
    settings.prepare()
    found = load_pilot(pilot, project=settings.project)
    period = period or period_now(pilot, settings)
    _name_run(f"{found.pilot} {period}")
    produced = partial(_tried, one, found, period, settings)
    if dry_run:
        return ended(produced(pilot, dry_run=True))
    kind: Kind | None = "back-cast" if back_cast else None
    with recorded(found.pilot, period, settings, kind=kind) as recording:
        recording.produced = produced(pilot, back_cast=back_cast)
    return ended(recording.produced)


def _tried(
    one: Producer,
    found: Pilot,
    period: str,
    settings: Settings,
    name: str,
    **how: bool,
) -> Produced:
    """Produce a period; a run of a deployment has a limit and waits for a service.

    Only a service comes back: a fault of data or pilot would only come again. Whoever
    runs it by hand wants to be told at once.
    """
    plan = found.production
    deployed = runtime.deployment.id is not None
    longest = max(SHORTEST, LONGEST * plan.time_budget)
    for left in range(plan.retries if deployed else 0, -1, -1):
        try:
            with timeout(longest if deployed else None):
                return one(name, period, settings, **how)
        except TimeoutError:
            raise MethodError(
                f"The period took longer than {longest:g} seconds",
                hint="look what it waits for, or raise production.time_budget",
            ) from None
        except ServiceError as error:
            if not left:
                raise
            _log.warning("%s; %d more tries", error.title, left)
            time.sleep(RETRY_AFTER)
    raise AssertionError("not reached")


def _name_run(name: str) -> None:
    """Give this flow run the name of what it produces, which notifications tell."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    # A name is not worth a period: where the server is busy the run keeps its own.
    with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, name=name)


def period_now(pilot: str, settings: Settings) -> str:
    """Return the period of the scheduled time of this flow run, less the lag.

    A run that waited, for a worker or for the run before it, keeps its scheduled time;
    a run by hand has that of its start.

    Parameters
    ----------
    pilot : str
        Name or path.
    settings : Settings
        Of the project.

    Raises
    ------
    ConfigError
        Where the pilot does not tell its frequency.
    """
    found = load_pilot(pilot, project=settings.project)
    plan = found.production
    scheduled = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    return str(period_of(scheduled, frequency_of(found), plan.lag, zone=plan.timezone))


class Recording:
    """What a production came to, filled in while it runs."""

    def __init__(self) -> None:
        self.produced: Produced | None = None


@contextmanager
def recorded(
    pilot: str, period: str, settings: Settings, *, kind: Kind | None = None
) -> Iterator[Recording]:
    """Add a row to the log of productions, however the production ends.

    Parameters
    ----------
    pilot : str
        The pilot's own name.
    period : str
        What is produced.
    settings : Settings
        Where the log lies.
    kind : str, optional
        Without it ``scheduled`` in a run of a deployment, else ``by hand``.

    Yields
    ------
    Recording
        Its `produced` is to be set where the production ends well.

    Raises
    ------
    ServiceError
        Where the row cannot be added and nothing else went wrong before; what was
        produced is then released all the same.
    """
    recording = Recording()
    deployed = runtime.deployment.id is not None
    row = Attempt(
        pilot,
        period,
        kind or ("scheduled" if deployed else "by hand"),
        _iso(runtime.flow_run.scheduled_start_time) if deployed else "",
        _iso(datetime.now(UTC)),
        "",
        "failed",
    )
    log = ProductionLog(settings.database)
    try:
        yield recording
    except BaseException as error:
        _add_quietly(log, replace(row, ended=_now(), causes=type(error).__name__))
        raise
    log.add(_with(replace(row, ended=_now()), recording.produced))


def _with(row: Attempt, produced: Produced | None) -> Attempt:
    if produced is None:
        return replace(row, outcome="failed", causes="unknown")
    release = produced.release
    return replace(
        row,
        outcome="fallback" if produced.fallback else "done",
        release=release.number if release else 0,
        final=bool(release and release.final),
        causes=",".join(dict.fromkeys(reason.cause for reason in produced.reasons)),
    )


def _add_quietly(log: ProductionLog, row: Attempt) -> None:
    """Add a row; what went wrong before is more telling than a log that does not."""
    try:
        log.add(row)
    except MlstatsError:
        return


def _now() -> str:
    return _iso(datetime.now(UTC))


def _iso(time: datetime | None) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds") if time else ""


def ended(produced: Produced) -> State[Produced]:
    """Return the state in which the flow run ends: Done, Fallback or Released.

    All are of the type COMPLETED: the period was produced. Automations match the name;
    a fallback that is not on the mirror is a Fallback, whose message says both.
    """
    said = [f"{one.cause}: {one.said}" for one in produced.reasons]
    name = "Fallback" if produced.fallback else "Done"
    if produced.unmirrored:
        name = "Fallback" if produced.fallback else "Released"
        said.append(f"not copied to the mirror: {produced.unmirrored}")
    return Completed(name=name, message="; ".join(said) or None, data=produced)
