"""A project whose servers run, as `mlstats up` starts them, for several tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlstats.production_log import Attempt, ProductionLog
from mlstats.settings import Settings, load_settings
from tests.ports import free_port

__all__ = ["REPOSITORY", "Office", "left_of", "listening", "serving", "surroundings"]

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Office:
    """A project whose servers run."""

    project: Path
    process: subprocess.Popen[str]
    environment: dict[str, str]
    said: str
    addresses: dict[str, str]
    settings: Settings
    calls: list[tuple[str, str]] = field(default_factory=list)

    def command(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of mlstats as from another terminal."""
        return subprocess.run(
            [sys.executable, "-m", "mlstats", *words],
            cwd=self.project,
            env={**self.environment, **self.addresses, **more},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def attempts(self, pilot: str = "diary") -> list[Attempt]:
        return ProductionLog(self.settings.database).read(pilot)

    def await_(self, wanted: Callable[[], Any], seconds: float = 300) -> Any:
        end = time.monotonic() + seconds
        while not (found := wanted()):
            assert time.monotonic() < end, self.logs()
            time.sleep(0.3)
        return found

    def logs(self) -> str:
        folder = self.project / ".mlstats/servers"
        return "\n".join(path.read_text() for path in folder.glob("*.log"))

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Yield a client of the Prefect server."""
        from prefect import get_client
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with (
            temporary_settings({PREFECT_API_URL: self.addresses["PREFECT_API_URL"]}),
            get_client(sync_client=True) as client,
        ):
            yield client

    def plan(self, client: Any, pilot: str, when: str, **parameters: str) -> Any:
        """Plan a run as the scheduler does, for a time that may lie in the past."""
        from prefect.states import Scheduled

        found = client.read_deployment_by_name(f"produce/{pilot}")
        time = datetime.fromisoformat(when).astimezone(UTC)
        return client.create_flow_run_from_deployment(
            found.id, state=Scheduled(scheduled_time=time), parameters=parameters
        ).id

    def ended(self, client: Any, run: Any, seconds: float = 300) -> Any:
        """Wait for a run to end and return it."""

        def final() -> Any:
            found = client.read_flow_run(run)
            return found if found.state.is_final() else None

        return self.await_(final, seconds)


def listening(process: subprocess.Popen[str]) -> list[str]:
    """Return the address of each socket on which what a process started listens."""
    found = []
    for each in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            found += [
                one.laddr.ip
                for one in each.net_connections("inet")
                if one.status == psutil.CONN_LISTEN
            ]
    return found


def left_of(family: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return those that have not ended; a busy system may be slow to bury them."""
    return psutil.wait_procs(family, timeout=10)[1]  # type: ignore[no-any-return]


def surroundings(project: Path) -> dict[str, str]:
    """Return the environment of a project that has its servers for itself."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLSTATS_", "PREFECT_", "MLFLOW_"))
    }
    return environment | {
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")]),
        "HOME": str(project.parent),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "1",
    }


@contextmanager
def serving(
    project: Path,
    calls: list[tuple[str, str]] | None = None,
    words: Sequence[str] = (),
    **more: str,
) -> Iterator[Office]:
    """Run `mlstats up` in a project until the end."""
    heard = [] if calls is None else calls
    environment = {**surroundings(project), **more}
    # Not the usual ports: another test may start servers at the same moment.
    ports = [f"--port-{name}={free_port()}" for name in ("mlflow", "prefect")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlstats", "up", *ports, *words],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                break
        assert "Ctrl-C" in said, said
        lines = [line.split() for line in said.splitlines()]
        shown = [words[1] for words in lines if words[0] in {"export", "set"}]
        addresses = dict(text.split("=", 1) for text in shown)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLSTATS_DATA", raising=False)
            settings = load_settings(project=project)
        yield Office(project, process, environment, said, addresses, settings, heard)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
