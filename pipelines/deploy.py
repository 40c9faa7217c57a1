"""Deployments of a pilot's flows on a Prefect server, and who is told of their runs.

A deployment is written only where it is not there yet as it should be: writing it would
throw away the runs that the server has planned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
    StateType,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Scheduled
from prefect.utilities.callables import parameter_schema

import mlstats
from mlstats.config import Pilot
from mlstats.errors import ConfigError, ServiceError, UsageError
from mlstats.period import PeriodRange
from mlstats.pilot_files import list_pilots, load_pilot
from mlstats.schedule import Schedule, frequency_of
from mlstats.settings import Settings, refuse_password
from pipelines.notify import action, notify

__all__ = ["POOL", "back_fill", "deploy", "described", "remove", "watching"]

POOL: Final = "mlstats"
ENTRYPOINT: Final = "pipelines.produce.produce"
FLOW: Final = "produce"
MONITOR: Final = "monitor"
_WAITING: Final = [
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
]
_Tell = Callable[[str], None]


def described(
    name: str, settings: Settings, *, entrypoint: str = ENTRYPOINT
) -> dict[str, Any]:
    """Return the deployment of a pilot as Prefect's client takes it.

    Parameters
    ----------
    name : str
        Name or path of the pilot.
    settings : Settings
        Whose places the worker's process is given; addresses of servers and of
        databases, which may hold a password, come from the worker's own environment.
    entrypoint : str
        Module and name of the flow; it is loaded from the installed package.

    Raises
    ------
    ConfigError
        Where the pilot has no schedule, or a place holds a password.
    """
    pilot = load_pilot(name, project=settings.project)
    schedule = Schedule.of(pilot)
    said = (
        f"each {_EACH[schedule.frequency]} with lag {schedule.lag}, due "
        f"{schedule.due} days after the scheduled time."
    )
    return _deployment(name, pilot, settings, entrypoint, schedule.cron, said)


def watching(name: str, settings: Settings) -> dict[str, Any] | None:
    """Return the deployment that monitors a pilot, None where it has no schedule."""
    pilot = load_pilot(name, project=settings.project)
    cron = pilot.production.monitor.schedule
    if cron is None:
        return None
    entrypoint = "pipelines.monitor.monitor"
    said = "history over its periods, and what is proposed."
    return _deployment(name, pilot, settings, entrypoint, cron, said)


def _deployment(
    name: str, pilot: Pilot, settings: Settings, entrypoint: str, cron: str, said: str
) -> dict[str, Any]:
    given = name if name in list_pilots(settings.project) else os.path.abspath(name)
    plan = CronSchedule(cron=cron, timezone=pilot.production.timezone)
    return {
        "name": pilot.pilot,
        "version": mlstats.__version__,
        "description": f"{pilot.title or pilot.pilot}: {said}",
        "tags": sorted({"mlstats", pilot.theme, pilot.pilot}),
        "parameters": {"pilot": given},
        "entrypoint": entrypoint,
        "work_pool_name": POOL,
        "job_variables": _job(settings),
        "schedules": [
            DeploymentScheduleCreate(schedule=plan, active=True, slug="plan")
        ],
        "concurrency_limit": 1,
        "concurrency_options": ConcurrencyOptions(
            collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
        ),
    }


_EACH: Final = {"A": "year", "S": "half-year", "Q": "quarter", "M": "month"}


def _job(settings: Settings) -> dict[str, Any]:
    """Return where the worker's process works, and with which settings."""
    for key in ("store", "data"):
        refuse_password(getattr(settings, key), f"MLSTATS_{key.upper()}")
    project = str(settings.project.absolute())
    environment = {
        "MLSTATS_PROJECT": project,
        "MLSTATS_HOME": str(settings.home_folder),
        "MLSTATS_PROFILE": settings.profile,
        # Code and packages are those that are installed; nothing is downloaded.
        "PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "false",
    }
    if settings.store:
        environment["MLSTATS_STORE"] = str(settings.store_folder)
    if settings.data:
        environment["MLSTATS_DATA"] = os.path.abspath(settings.data)
    return {"env": environment, "working_dir": project}


# -- deploying ---------------------------------------------------------------------


def deploy(
    name: str,
    settings: Settings,
    tell: _Tell,
    *,
    entrypoint: str = ENTRYPOINT,
) -> None:
    """Deploy a pilot, or bring its deployment up to date; twice changes nothing.

    Parameters
    ----------
    name : str
        Name or path of the pilot.
    settings : Settings
        Of the project.
    tell : callable
        Gets a line at a time.
    entrypoint : str
        Module and name of the flow.

    Raises
    ------
    ConfigError
        Where the pilot has no schedule, or names a block that the server lacks.
    ServiceError
        Where the server does not answer, or refuses.
    """
    wanted = {FLOW: described(name, settings, entrypoint=entrypoint)}
    wanted |= {MONITOR: found} if (found := watching(name, settings)) else {}
    pilot = load_pilot(name, project=settings.project)
    with _server() as client:
        actions = [action(client, block) for block in pilot.production.notify]
        _make_pool(client, tell)
        numbers = [_bring(client, flow, one, tell) for flow, one in wanted.items()]
        if MONITOR not in wanted:
            _take_away(client, MONITOR, pilot.pilot, tell)
        notify(client, pilot, numbers, actions, tell)


def _bring(
    client: SyncPrefectClient, flow: str, wanted: dict[str, Any], tell: _Tell
) -> str:
    """Write a deployment where it is not there as wanted; return its identifier."""
    wanted["parameter_openapi_schema"] = _parameters(wanted["entrypoint"])
    called = f"{flow}/{wanted['name']}"
    found = _find(client, called)
    if found is not None and _as_wanted(found, wanted):
        tell(f"{called} is deployed as it should be")
        return str(found.id)
    number = client.create_deployment(
        flow_id=client.create_flow_from_name(flow), **wanted
    )
    (plan,) = wanted["schedules"]
    done = "deployed" if found is None else "changed"
    tell(f"{called} {done}: {plan.schedule.cron}, {plan.schedule.timezone}")
    return str(number)


def _take_away(client: SyncPrefectClient, flow: str, pilot: str, tell: _Tell) -> None:
    found = _find(client, f"{flow}/{pilot}")
    if found is not None:
        client.delete_deployment(found.id)
        tell(f"{flow}/{pilot} removed")


def remove(name: str, settings: Settings, tell: _Tell) -> None:
    """Take a pilot's deployment and its notifications from the server.

    Raises
    ------
    UsageError
        Where it is not deployed.
    ServiceError
        Where the server does not answer, or refuses.
    """
    pilot = load_pilot(name, project=settings.project)
    with _server() as client:
        found = _find(client, f"{FLOW}/{pilot.pilot}")
        if found is None:
            raise _not_deployed(pilot.pilot)
        notify(client, pilot, [], [], tell)
        _take_away(client, MONITOR, pilot.pilot, tell)
        client.delete_deployment(found.id)
    tell(f"{FLOW}/{pilot.pilot} removed; its releases and its log stay")


def back_fill(name: str, settings: Settings, periods: str, tell: _Tell) -> None:
    """Let past periods be produced, the oldest first.

    Parameters
    ----------
    name : str
        Name or path of a pilot that is deployed.
    settings : Settings
        Of the project.
    periods : str
        ``FIRST/LAST``. A period whose run has not ended yet gets no second one.
    tell : callable
        Gets a line at a time.

    Raises
    ------
    UsageError
        Where the pilot is not deployed.
    ConfigError
        Where the periods are not of its frequency.
    ServiceError
        Where the server does not answer, or refuses.
    """
    pilot = load_pilot(name, project=settings.project)
    schedule, span = Schedule.of(pilot), PeriodRange.parse(periods)
    if span.first.frequency != frequency_of(pilot):
        raise ConfigError(
            f"The periods {periods} are not those of {pilot.pilot}",
            expected=f"periods of frequency {frequency_of(pilot)}",
        )
    times = {e.period: e.scheduled for e in schedule.expected(span.first, span.last)}
    with _server() as client:
        found = _find(client, f"{FLOW}/{pilot.pilot}")
        if found is None:
            raise _not_deployed(pilot.pilot)
        waiting = _waiting(client, found)
        for period in span:
            if str(period) in waiting:
                tell(f"{period} has a run that has not ended yet")
                continue
            run = client.create_flow_run_from_deployment(
                found.id,
                parameters={"period": str(period)},
                state=Scheduled(scheduled_time=times.get(period)),
                name=f"{pilot.pilot} {period}",
                tags=["back-fill"],
            )
            tell(f"{period} is planned: {run.name}")


def _waiting(client: SyncPrefectClient, found: DeploymentResponse) -> set[str]:
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_WAITING))
        ),
        limit=200,
    )
    return {str(run.parameters.get("period")) for run in runs}


# -- what the server holds ---------------------------------------------------------


@contextmanager
def _server() -> Iterator[SyncPrefectClient]:
    """Yield a client of the server that the settings name."""
    address = PREFECT_API_URL.value()
    if not address:
        raise ServiceError(
            "There is no Prefect server to deploy to",
            where="PREFECT_API_URL",
            expected="the address of a server, as in http://127.0.0.1:4200/api",
            hint="mlstats up starts one and prints its address",
        )
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, ObjectNotFound, ObjectAlreadyExists, OSError) as error:
        raise ServiceError(
            f"The Prefect server does not do what is asked: {type(error).__name__}",
            where=address.rpartition("@")[2],
            hint="look whether it runs, and whether its version is the one of mlstats",
        ) from None


def _make_pool(client: SyncPrefectClient, tell: _Tell) -> None:
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        tell(f"work pool {POOL} made")
        return
    if pool.type != "process":
        raise ConfigError(
            f"The work pool {POOL!r} is of type {pool.type!r}",
            expected="a pool of type process",
        )


def _find(client: SyncPrefectClient, called: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(called)
    except ObjectNotFound:
        return None


def _as_wanted(found: DeploymentResponse, wanted: dict[str, Any]) -> bool:
    """Tell whether the server's deployment is the one that is wanted."""
    limit = found.global_concurrency_limit
    options = found.concurrency_options
    plain = set(wanted) - {"schedules", "concurrency_limit", "concurrency_options"}
    have = found.model_dump(include=plain)
    return (
        {**have, "tags": sorted(found.tags)} == {key: wanted[key] for key in plain}
        and _crons(found.schedules) == _crons(wanted["schedules"])
        and limit is not None
        and limit.limit == wanted["concurrency_limit"]
        and options is not None
        and options.collision_strategy
        == wanted["concurrency_options"].collision_strategy
    )


def _crons(schedules: Sequence[Any]) -> list[tuple[str, str | None]]:
    """Return cron and zone of each; whether it is paused is the operators' business."""
    crons = [each.schedule for each in schedules]
    return [(getattr(each, "cron", ""), each.timezone) for each in crons]


def _parameters(entrypoint: str) -> dict[str, Any]:
    from prefect.flows import load_flow_from_entrypoint

    return parameter_schema(load_flow_from_entrypoint(entrypoint)).model_dump(
        exclude_unset=True
    )


def _not_deployed(pilot: str) -> UsageError:
    return UsageError(f"{pilot} is not deployed", hint=f"mlstats deploy {pilot}")
