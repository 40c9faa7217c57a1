"""Services that are gone, or go, while a period is produced: what is said and kept."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from mlstats.decision_log import DecisionLog
from mlstats.decisions import faults
from mlstats.errors import ServiceError
from mlstats.production import produce
from mlstats.production_log import ProductionLog
from mlstats.releases import ReleaseStore
from mlstats.settings import Settings, load_settings
from tests.flows.real_servers import surroundings
from tests.ports import free_port
from tests.postgresql_cluster import cluster, needs_postgresql
from tests.production_example import Office, appoint, office

pytestmark = pytest.mark.xdist_group("gone")

FIRST, NEXT = "2026-02", "2026-03"


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    server = PrefectServer(tmp_path_factory.mktemp("prefect"))
    server.start()
    yield server
    server.stop()


class PrefectServer:
    """A Prefect server on a port of its own that can be killed and started again."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        self.process = subprocess.Popen(
            [sys.executable, *words, "--port", str(self.port)],
            env={
                **surroundings(self.home),
                "PREFECT_HOME": str(self.home),
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 180
        while not self._listens():
            assert self.process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.3)

    def _listens(self) -> bool:
        import urllib.request

        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=5) as told:
                return bool(told.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=30)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=120)


@pytest.fixture
def champion(tmp_path: Path) -> Settings:
    """Return a project with a champion and one released period."""
    made = office(tmp_path / "office")
    appoint(made.settings, made.linear, "production")
    return made.settings


def begin(
    settings: Settings, period: str, server: PrefectServer, **more: str
) -> subprocess.Popen[str]:
    """Start `mlstats produce` as from a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "mlstats", "produce", "diaries", "--period", period],
        cwd=settings.project,
        env={
            **surroundings(settings.project),
            "PREFECT_API_URL": server.address,
            **more,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def at_work(settings: Settings, period: str, process: subprocess.Popen[str]) -> None:
    """Wait until a run holds its period: what was decided has been read by then."""
    held = settings.releases / "diaries" / period / ".working"
    end = time.monotonic() + 120
    while not held.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def suspended(run: subprocess.Popen[str]) -> Iterator[None]:
    """Let a run stand still meanwhile, so that what goes then goes in its middle."""
    process = psutil.Process(run.pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def whole(settings: Settings, *periods: str) -> None:
    """Check that these periods, and no others, have a release without a fault."""
    store = ReleaseStore(settings.releases)
    assert store.periods("diaries") == list(periods)
    for period in periods:
        for release in store.revisions("diaries", period):
            assert store.verify(release) == []


# -- MLflow ----------------------------------------------------------------------------


def test_a_silent_mlflow_server_is_not_even_asked(
    champion: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections and never answers; what was decided is in the log."""
    asked: list[object] = []
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(0.2)
        over = threading.Event()

        def count() -> None:
            while not over.is_set():
                try:
                    asked.append(silent.accept())
                except TimeoutError:
                    continue

        listener = threading.Thread(target=count)
        listener.start()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLSTATS_TRACKING_URI", address)
        settings = load_settings(project=champion.project)
        assert settings.mlflow_uri == address
        try:
            done = produce("diaries", NEXT, settings)
        finally:
            over.set()
            listener.join()
    assert not done.fallback
    assert asked == []
    whole(champion, NEXT)


def test_before_any_decision_a_missing_mlflow_server_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = office(tmp_path / "office")
    monkeypatch.setenv("MLSTATS_TRACKING_URI", "http://127.0.0.1:9")
    settings = load_settings(project=made.settings.project)
    with pytest.raises(ServiceError, match="MLflow") as caught:
        produce("diaries", NEXT, settings)
    assert caught.value.exit_code == 4
    whole(settings)


# -- the database ----------------------------------------------------------------------


def hold(settings: Settings) -> subprocess.Popen[str] | None:
    """Let another process hold the database for itself; None where somebody reads."""
    code = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=1)
try:
    held.execute("BEGIN EXCLUSIVE")
except sqlite3.OperationalError:
    sys.exit()
print("held", flush=True)
sys.stdin.read()
"""
    path = settings.database.removeprefix("sqlite:///").partition("?")[0]
    process = subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if process.stdout.readline() == "held\n":
        return process
    let_go(process)
    return None


def hold_in_the_middle(
    settings: Settings, run: subprocess.Popen[str]
) -> subprocess.Popen[str]:
    """Hold the database before a run that is at work goes on."""
    while True:
        with suspended(run):
            holder = hold(settings)
        if holder is not None:
            return holder
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)  # it stood still while it read


def let_go(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=120)


def impatient(settings: Settings) -> str:
    """Return the database's address, with a wait of a fraction of a second."""
    return f"{settings.database}?timeout=0.3"


def test_a_locked_database_is_told_and_nothing_is_lost(
    champion: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLSTATS_DATABASE_URL", impatient(champion))
    settings = load_settings(project=champion.project)
    produce("diaries", FIRST, settings)
    holder = hold(champion)
    assert holder is not None
    try:
        with pytest.raises(ServiceError) as caught:
            produce("diaries", NEXT, settings)
    finally:
        let_go(holder)
    assert caught.value.exit_code == 4
    assert caught.value.title.startswith(
        "The log of decisions is locked by another writer"
    )
    whole(champion, FIRST)
    assert not produce("diaries", NEXT, settings).fallback
    whole(champion, FIRST, NEXT)
    assert faults(DecisionLog(champion.database).read("diaries")) == []


def test_a_database_locked_later_loses_no_release(
    champion: Settings, prefect: PrefectServer
) -> None:
    """The row of the attempt cannot be added; the next run adds one."""
    address = impatient(champion)
    run = begin(champion, NEXT, prefect, MLSTATS_DATABASE_URL=address)
    at_work(champion, NEXT, run)
    holder = hold_in_the_middle(champion, run)
    try:
        _, said = run.communicate(timeout=120)
    finally:
        let_go(holder)
    assert run.returncode == 4, said
    assert "is locked by another writer" in said
    store = ReleaseStore(champion.releases)
    before = store.revisions("diaries", NEXT)
    assert all(store.verify(release) == [] for release in before)
    again = begin(champion, NEXT, prefect, MLSTATS_DATABASE_URL=address)
    out, said = again.communicate(timeout=120)
    assert again.returncode == 0, out + said
    whole(champion, NEXT)
    assert len(store.revisions("diaries", NEXT)) == 1
    rows = ProductionLog(champion.database).read("diaries")
    assert [(row.outcome, row.release) for row in rows] == [("done", 1)]


@needs_postgresql
def test_postgresql_that_goes_in_the_middle_of_a_period(
    tmp_path: Path, prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Office = office(tmp_path / "office")
    project = made.settings.project
    with cluster() as server:
        monkeypatch.setenv("MLSTATS_DATABASE_URL", server.url)
        settings = load_settings(project=project)
        appoint(settings, made.linear, "production")
        more = {"MLSTATS_DATABASE_URL": server.url}
        first = begin(settings, FIRST, prefect, **more)
        assert first.communicate(timeout=120)[0] is not None
        assert first.returncode == 0
        decided = DecisionLog(server.url).read("diaries")

        run = begin(settings, NEXT, prefect, **more)
        at_work(settings, NEXT, run)
        with suspended(run):
            server.stop()
        _, said = run.communicate(timeout=120)
        assert run.returncode == 4, said
        assert "does not answer" in said
        assert "office@" not in said
        _lost_nothing(settings)

        gone = begin(settings, "2026-04", prefect, **more)
        _, said = gone.communicate(timeout=120)
        assert gone.returncode == 4, said
        assert "The log of decisions does not answer" in said
        assert "2026-04" not in ReleaseStore(settings.releases).periods("diaries")

        server.start()
        again = begin(settings, NEXT, prefect, **more)
        out, said = again.communicate(timeout=120)
        assert again.returncode == 0, out + said
        assert DecisionLog(server.url).read("diaries") == decided
        assert faults(decided) == []
        rows = ProductionLog(server.url).read("diaries")
        assert [(row.period, row.outcome) for row in rows] == [
            (FIRST, "done"),
            (NEXT, "done"),
        ]
        whole(settings, FIRST, NEXT)


def _lost_nothing(settings: Settings) -> None:
    store = ReleaseStore(settings.releases)
    held = store.current("diaries", FIRST)
    assert held is not None
    assert (held.number, store.verify(held)) == (1, [])
    for release in store.revisions("diaries", NEXT):
        assert store.verify(release) == []


# -- Prefect ---------------------------------------------------------------------------


@pytest.mark.soak  # Prefect tries to tell its events for two minutes
def test_a_prefect_server_killed_in_the_middle_of_a_period(
    champion: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = PrefectServer(tmp_path_factory.mktemp("own"))
    server.start()
    try:
        run = begin(champion, NEXT, server)
        at_work(champion, NEXT, run)
        with suspended(run):
            server.kill()
        out, said = run.communicate(timeout=300)
        assert run.returncode == 4, out + said
        assert "Prefect did not run the flow to its end" in said
        assert "mlstats calendar tells whether the period was released" in said
        store = ReleaseStore(champion.releases)
        for release in store.revisions("diaries", NEXT):
            assert store.verify(release) == []
        server.start()
        again = begin(champion, NEXT, server)
        out, said = again.communicate(timeout=120)
        assert again.returncode == 0, out + said
        whole(champion, NEXT)
        assert len(store.revisions("diaries", NEXT)) == 1
    finally:
        server.stop()
