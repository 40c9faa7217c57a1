"""MLflow, Prefect, a worker and Dask on this machine, with their state in the project.

They listen on the loopback interface only. Each is a process of its own that is stopped
by its own number; what a killed ``mlstats up`` left behind is stopped by the next one.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from filelock import FileLock, Timeout

from mlstats import dask_servers, io
from mlstats.errors import ServiceError, UsageError
from mlstats.processes import Running, born, listens, running, stop
from mlstats.scale_connection import require_dask
from mlstats.settings import Settings

__all__ = ["serve"]

LOOPBACK: Final = "127.0.0.1"
POOL: Final = "mlstats"
_START: Final = 120.0  # seconds in which a server has to answer
_QUIET: Final = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # more processes, used by nothing
    "PYTHONUNBUFFERED": "1",
}
# Databases of the servers themselves; Prefect takes either name for its own.
_OF_SERVERS: Final = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "MLFLOW_BACKEND_STORE_URI",
)


class _Stopped(Exception):
    """Somebody asked for the end: Ctrl-C, or SIGTERM."""


def serve(
    settings: Settings,
    tell: Callable[[str], None],
    *,
    port_mlflow: int = 0,
    port_prefect: int = 0,
    worker: bool = True,
    dask_workers: int = 0,
) -> None:
    """Start the servers, wait until they answer, and stop them when asked to end.

    An MLflow server is started where the project's store is the embedded one, whose
    database it then serves; a project with MLSTATS_TRACKING_URI has one already.

    Parameters
    ----------
    settings : Settings
        Of the project.
    tell : callable
        Gets a line at a time: addresses, variables to set, where the logs lie.
    port_mlflow, port_prefect : int
        0: the usual one, or a free one where that is taken.
    worker : bool
        Whether to start a worker of the work pool too.
    dask_workers : int
        How many workers of a Dask cluster to start, with its scheduler; 0: none.

    Raises
    ------
    ConfigError
        Where Dask is asked for and not installed.
    ServiceError
        Where servers of this project run already, where one does not answer within two
        minutes, and where one ends by itself.
    UsageError
        Where a port that was asked for is taken.
    """
    if dask_workers:
        require_dask()
    settings.prepare()
    folder = settings.home_folder / "servers"
    folder.mkdir(exist_ok=True)
    with _alone(folder), _stoppable(), ExitStack() as stack:
        try:
            _stop_left_over(folder, tell)
            variables, started = dask_servers.start(folder, stack, dask_workers, _await)
            ports = (port_mlflow, port_prefect)
            _run(settings, folder, stack, tell, ports, worker, variables, started)
        except _Stopped:
            tell("stopping")


def _run(
    settings: Settings,
    folder: Path,
    stack: ExitStack,
    tell: Callable[[str], None],
    ports: tuple[int, int],
    worker: bool,
    variables: dict[str, str],
    started: list[Running],
) -> None:
    prefect = f"http://{LOOPBACK}:{_port(ports[1], 4200, 'prefect')}"
    variables["PREFECT_API_URL"] = f"{prefect}/api"
    mlflow = _address_of_mlflow(settings, ports[0])
    of_prefect = stack.enter_context(_prefect(folder, prefect))
    started.append(of_prefect)
    if mlflow:
        variables["MLSTATS_TRACKING_URI"] = mlflow
        started.append(stack.enter_context(_mlflow(settings, folder, mlflow)))
        _await(started, lambda: _serves(started[-1], mlflow, "/health"))
    _await(started, lambda: _serves(of_prefect, prefect, "/api/health"))
    _end_dead_runs(prefect, tell)
    if worker:
        started.append(stack.enter_context(_worker(settings, folder, variables)))
        _await(started, lambda: _has_worker(prefect))
    _remember(folder, started, variables)
    for line in _said(variables, prefect, folder, worker):
        tell(line)
    while True:
        _all_run(started)
        time.sleep(0.5)


def _said(
    variables: Mapping[str, str], prefect: str, folder: Path, worker: bool
) -> Iterator[str]:
    if "MLSTATS_TRACKING_URI" in variables:
        yield f"MLflow   {variables['MLSTATS_TRACKING_URI']}"
    yield f"Prefect  {prefect}"
    if worker:
        yield f"worker   of the work pool {POOL}"
    if "MLSTATS_SCALE" in variables:
        yield f"Dask     {variables['MLSTATS_SCALE']}"
    yield f"logs     {folder}"
    yield "to use them from another terminal:"
    setting = "set" if os.name == "nt" else "export"
    for name, value in sorted(variables.items()):
        yield f"  {setting} {name}={value}"
    yield "Ctrl-C stops all"


def _address_of_mlflow(settings: Settings, port: int) -> str:
    """Return where MLflow is to be started; empty where the project names a server."""
    if settings.mlflow_uri.startswith("sqlite"):
        return f"http://{LOOPBACK}:{_port(port, 5000, 'mlflow')}"
    if not _answers(f"{settings.mlflow_uri.rstrip('/')}/health"):
        raise ServiceError(
            "The MLflow server of MLSTATS_TRACKING_URI does not answer",
            where=settings.mlflow_uri.rpartition("@")[2],
            hint="start it, or unset the variable and the embedded store is served",
        )
    return ""


# -- the processes -----------------------------------------------------------------


@contextmanager
def _prefect(folder: Path, address: str) -> Iterator[Running]:
    home = folder / "prefect"
    environment = {
        **os.environ,
        **_QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
    }
    # The server must not take another one for itself.
    environment.pop("PREFECT_API_URL", None)
    port = address.rpartition(":")[2]
    words = ["prefect", "server", "start", "--host", LOOPBACK, "--port", port]
    log = folder / "prefect.log"
    with running("prefect", words, log, cwd=folder, environment=environment) as one:
        yield one


@contextmanager
def _mlflow(settings: Settings, folder: Path, address: str) -> Iterator[Running]:
    artifacts = settings.models / "artifacts"
    artifacts.mkdir(exist_ok=True)
    words = [
        "mlflow", "server", "--host", LOOPBACK, "--port", address.rpartition(":")[2],
        "--workers", "1", "--backend-store-uri", settings.mlflow_uri,
        # As the embedded store keeps them, so that both read what either wrote.
        "--no-serve-artifacts", "--default-artifact-root", artifacts.as_uri(),
    ]  # fmt: skip
    log, environment = folder / "mlflow.log", {**os.environ, **_QUIET}
    with running("mlflow", words, log, cwd=folder, environment=environment) as one:
        yield one


@contextmanager
def _worker(
    settings: Settings, folder: Path, variables: Mapping[str, str]
) -> Iterator[Running]:
    project = settings.project.absolute()
    environment = {
        **os.environ,
        **_QUIET,
        **variables,
        "MLSTATS_PROJECT": str(project),
        "PREFECT_HOME": str(folder / "prefect"),
    }
    for name in _OF_SERVERS:  # what it starts has no need of the servers' passwords
        environment.pop(name, None)
    words = ["prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    words += ["--name", f"mlstats-up-{os.getpid()}"]
    log = folder / "worker.log"
    with running("worker", words, log, cwd=project, environment=environment) as one:
        yield one


# -- waiting -----------------------------------------------------------------------


def _await(started: list[Running], healthy: Callable[[], bool]) -> None:
    end = time.monotonic() + _START
    while not healthy():
        _all_run(started)
        if time.monotonic() > end:
            last = started[-1]
            raise ServiceError(
                f"{last.name} does not answer after {_START:.0f} seconds",
                where=str(last.log),
                hint="the end of its log says why",
            )
        time.sleep(0.3)


def _all_run(started: list[Running]) -> None:
    for each in started:
        code = each.process.poll()
        if code is not None:
            raise ServiceError(
                f"{each.name} has ended by itself (code {code}), so all are stopped",
                where=str(each.log),
                hint="the end of its log says why",
            )


def _serves(one: Running, address: str, path: str) -> bool:
    """Tell whether a server answers, and not another's that took its port."""
    port = int(address.rpartition(":")[2])
    return _answers(address + path) and listens(one.process.pid, port)


def _answers(address: str) -> bool:
    return _get(address) is not None


def _has_worker(prefect: str) -> bool:
    found = _get(f"{prefect}/api/work_pools/{POOL}/workers/filter", b"{}")
    name = f"mlstats-up-{os.getpid()}"
    return any(
        worker["name"] == name and worker.get("status") == "ONLINE"
        for worker in json.loads(found or "[]")
    )


def _end_dead_runs(prefect: str, tell: Callable[[str], None]) -> None:
    """Tell Prefect that the runs of an ended worker have crashed.

    A server that was ended in the middle of a run takes it for running for ever, and
    with it the one place of its deployment. No worker of this project runs now: who
    starts the servers holds the project's lock.
    """
    api = f"{prefect}/api"
    running = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
    of_pool = {"name": {"any_": [POOL]}}
    asked = {"flow_runs": {"state": running}, "work_pools": of_pool}
    dead = json.loads(_get(f"{api}/flow_runs/filter", _json(asked)) or "[]")
    said = "the worker or the server of this run was ended"
    state = {"type": "CRASHED", "name": "Crashed", "message": said}
    for run in dead:
        change = _json({"state": state, "force": True})
        _get(f"{api}/flow_runs/{run['id']}/set_state", change)
        tell(f"{run['name']}: was cut off; it is told as crashed")
    limits = json.loads(_get(f"{api}/v2/concurrency_limits/filter", b"{}") or "[]")
    for limit in limits:
        if limit["active_slots"] and limit["name"].startswith("deployment:"):
            place = f"{api}/v2/concurrency_limits/{limit['id']}"
            _get(place, _json({"active_slots": 0}), "PATCH")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _get(
    address: str, content: bytes | None = None, method: str | None = None
) -> str | None:
    """Ask the loopback, whatever proxy the environment names for others."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        address,
        data=content,
        headers={"Content-Type": "application/json"},
        method=method,
    )
    try:
        with direct.open(request, timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None


def _port(asked: int, usual: int, name: str) -> int:
    for port in [asked] if asked else [usual, 0]:
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UsageError(
        f"The port {asked} is taken",
        where=f"--port-{name}",
        hint="leave it out for a free one",
    )


# -- one at a time -----------------------------------------------------------------


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / "up.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        known = " ".join(_known(folder).get("variables", {}).values())
        raise ServiceError(
            "The servers of this project run already",
            where=known or str(folder),
            hint="use those, or stop the other mlstats up with Ctrl-C",
        ) from None
    try:
        yield
    finally:
        (folder / "running.json").unlink(missing_ok=True)
        lock.release()


def _remember(
    folder: Path, started: list[Running], variables: Mapping[str, str]
) -> None:
    """Write down what runs, for a second `up` and for the one after a kill."""
    processes = {each.process.pid: born(each.process.pid) for each in started}
    told = {"processes": processes, "variables": dict(variables)}
    io.write_json(folder / "running.json", told)


def _stop_left_over(folder: Path, tell: Callable[[str], None]) -> None:
    """Stop what an `up` that was killed has left; a number may be another's by now."""
    for number, then in _known(folder).get("processes", {}).items():
        now = born(int(number))
        if now is not None and then is not None and abs(now - then) < 1:
            tell(f"stopping process {number}, left by an mlstats up that was killed")
            stop(int(number))


def _known(folder: Path) -> dict[str, Any]:
    try:
        told = json.loads((folder / "running.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the servers once, and in order."""

    def stop(number: int, frame: FrameType | None) -> None:
        for name in names:  # a second one must not leave processes behind
            signal.signal(name, signal.SIG_IGN)
        raise _Stopped

    names = (signal.SIGINT, signal.SIGTERM)
    before = {name: signal.signal(name, stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
