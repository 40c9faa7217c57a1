"""An office with servers of its own: MLflow behind a login, all on PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import openpyxl
import psutil
import pytest

from mlstats import tracking
from mlstats.backup import backup, restore
from mlstats.decision_log import DecisionLog
from mlstats.decisions import faults
from mlstats.errors import ServiceError
from mlstats.pilot_files import load_pilot
from mlstats.production_calendar import calendar
from mlstats.production_log import ProductionLog
from mlstats.registry import read_registry
from mlstats.releases import ReleaseStore
from mlstats.review_files import folder_of
from mlstats.settings import Settings, load_settings
from tests.flows.canary import content
from tests.flows.promoting import ADA, MEI, WHY, desk
from tests.flows.real_servers import serving
from tests.flows.test_mlflow_server import copied, run_pilot, write_pilot
from tests.ports import free_port
from tests.postgresql_cluster import cluster, needs_postgresql, new_database
from tests.production_example import appoint
from tests.production_example import office as producing

pytestmark = [needs_postgresql, pytest.mark.slow, pytest.mark.xdist_group("team")]

WAIT = 180  # seconds that a busy machine may take to start a server
ADMIN = ("admin", "Hush-admin-4711")
WRITER = ("kim", "Hush-writer-4711")
READER = ("rob", "Hush-reader-4711")
DATABASE = "Hush-database-4711"  # the cluster asks for none, it only must not be shown
FEBRUARY = "2026-02"


@dataclass(frozen=True)
class Team:
    """The addresses of an office's servers."""

    mlflow: str
    database: str
    another: str
    prefect: str
    folder: Path
    pid: int


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Start PostgreSQL, with a database for each, and MLflow with its login."""
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        made = stack.enter_context(cluster())
        urls = [stack.enter_context(new_database(made.url)) for _ in range(5)]
        own, another, mlflow, auth, prefect = (
            url.replace("office@", f"office:{DATABASE}@") for url in urls
        )
        uri, pid = stack.enter_context(mlflow_server(folder, mlflow, auth))
        for name, password in (WRITER, READER):
            told = {"username": name, "password": password}
            ask(f"{uri}/api/2.0/mlflow/users/create", ADMIN, told)
        prefect = prefect.replace("+psycopg", "+asyncpg")
        yield Team(uri, own, another, prefect, folder, pid)


@contextmanager
def mlflow_server(folder: Path, store: str, auth: str) -> Iterator[tuple[str, int]]:
    """Start MLflow as docs/teams.md says: nothing secret on its command line."""
    told = f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {auth}\n"
    told += "auth_cache_ttl_seconds = 60\n"
    (folder / "auth.ini").write_text(told)
    (folder / "auth.ini").chmod(0o600)
    port = str(free_port())
    words = ["server", "--app-name", "basic-auth", "--host", "127.0.0.1"]
    words += ["--port", port, "--workers", "1"]
    words += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN[0],
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,  # its own workers end with it
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + WAIT
        while not healthy(uri):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < end, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield uri, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def healthy(uri: str) -> bool:
    try:
        with urlopen(f"{uri}/health", timeout=5) as said:
            return bool(said.status == 200)
    except (URLError, OSError):
        return False


def ask(address: str, user: tuple[str, str] | None, told: object) -> int:
    """Return the status of an answer."""
    import base64

    headers = {"Content-Type": "application/json"}
    if user:
        code = base64.b64encode(":".join(user).encode()).decode()
        headers["Authorization"] = f"Basic {code}"
    request = Request(address, json.dumps(told).encode(), headers)
    try:
        with urlopen(request, timeout=30) as said:
            return int(said.status)
    except HTTPError as error:
        with error:
            return error.code


def log_in(patch: pytest.MonkeyPatch, user: tuple[str, str] | None) -> None:
    for name, value in zip(("USERNAME", "PASSWORD"), user or ("", ""), strict=True):
        patch.setenv(f"MLFLOW_TRACKING_{name}", value)
        if user is None:
            patch.delenv(f"MLFLOW_TRACKING_{name}")


@pytest.fixture
def office(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Make a project whose settings name the servers."""
    write_pilot(tmp_path)
    monkeypatch.setenv("MLSTATS_TRACKING_URI", team.mlflow)
    monkeypatch.setenv("MLSTATS_DATABASE_URL", team.database)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    log_in(monkeypatch, WRITER)
    return load_settings(project=tmp_path)


def test_a_champion_behind_a_login_and_what_a_reader_may(
    office: Settings, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = f"{team.mlflow}/api/2.0/mlflow/experiments/search"
    create = f"{team.mlflow}/api/2.0/mlflow/experiments/create"
    assert ask(search, None, {"max_results": 1}) == 401
    assert ask(search, (WRITER[0], "wrong"), {"max_results": 1}) == 401
    assert ask(search, READER, {"max_results": 1}) == 200
    run_pilot(office)
    desk(office, "canary").promote("valid", reason=WHY)
    for to in ("shadow", "production"):
        for who, role in ((ADA, "methodologist"), (MEI, "subject_owner")):
            desk(office, "canary", who).sign(to, role=role, reason=WHY)
        desk(office, "canary").promote(to, reason=WHY)
    aliases, stages = copied(office)
    linear = aliases["champion"]
    assert stages == {linear: "production"}
    rows = DecisionLog(office.database).read("canary")
    assert faults(rows) == []

    # A reader reads, and writes nothing: 403, exit 4, and who may what is told.
    log_in(monkeypatch, READER)
    held = read_registry(office, "canary")
    assert held.aliases == aliases
    mine = tracking.connected(office)
    with mine as (_, client):
        experiment = client.get_experiment_by_name("canary").experiment_id
    change = f"{team.mlflow}/api/2.0/mlflow/experiments/update"
    told = {"experiment_id": experiment, "new_name": "mine"}
    assert ask(change, READER, told) == 403
    assert ask(create, None, {"name": "mine"}) == 401
    with pytest.raises(ServiceError, match="MLflow forbids this") as caught:
        tracking.describe(office, "canary", {str(linear): "a card"})
    assert caught.value.exit_code == 4
    assert "EDIT" in str(caught.value)
    # Nobody, or somebody with a wrong password: 401, and the variables are named.
    for user in (None, (WRITER[0], "Hush-wrong-4711")):
        log_in(monkeypatch, user)
        with pytest.raises(ServiceError, match="a user and a password") as caught:
            tracking.reachable(office)
        assert "MLFLOW_TRACKING_PASSWORD" in str(caught.value)
        assert "Hush" not in str(caught.value)
    said = command(office, "doctor", code=4)
    assert "MLflow asks for a user and a password" in said
    log_in(monkeypatch, WRITER)
    assert copied(office) == (aliases, stages)
    assert "1 whole" not in command(office, "doctor")
    assert shown(office.project, team) == []


def command(settings: Settings, *words: str, code: int = 0) -> str:
    """Run a command of mlstats with the variables of this test."""
    done = subprocess.run(
        [sys.executable, "-m", "mlstats", *words],
        cwd=settings.project,
        env={**os.environ, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Hush" not in said
    return " ".join(said.split())


def shown(project: Path, team: Team) -> list[str]:
    """Return the files and command lines that hold a password."""
    places = [project, team.folder]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    found = [
        str(path)
        for path in files
        if b"Hush" in content(path) and path.name != "auth.ini"
    ]
    mine = psutil.Process()
    family = [mine, psutil.Process(team.pid), *mine.children(recursive=True)]
    for one in family:
        try:
            found += [f"process {one.name()}" for w in one.cmdline() if "Hush" in w]
        except psutil.Error:  # it has ended meanwhile
            continue
    return found


def test_a_period_through_real_servers_and_its_copy_elsewhere(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions, productions, reviews, Prefect and MLflow, all on PostgreSQL."""
    project = tmp_path / "an office"
    project.mkdir()
    monkeypatch.setenv("MLSTATS_DATABASE_URL", team.another)
    made = producing(project)
    assert made.settings.database == team.another
    appoint(made.settings, made.linear, "production")
    monkeypatch.delenv("MLSTATS_DATABASE_URL")
    variables = {
        "MLSTATS_DATABASE_URL": team.another,
        "MLSTATS_TRACKING_URI": team.mlflow,
        "MLFLOW_TRACKING_USERNAME": WRITER[0],
        "MLFLOW_TRACKING_PASSWORD": WRITER[1],
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": team.prefect,
        "COLUMNS": "300",
    }
    with serving(project, **variables) as served:
        assert "MLSTATS_TRACKING_URI" not in served.addresses  # MLflow is there already
        done = served.command("produce", "diaries", "--period", FEBRUARY)
        assert done.returncode == 0, done.stdout + done.stderr
        with served.client() as client:
            runs = client.read_flow_runs()
        assert [run.state.name for run in runs] == ["Done"]
        said = served.command("calendar", "diaries")
        assert f"{FEBRUARY}" in said.stdout
        assert "waiting for review" in said.stdout
        assert "promote" in served.command("decisions", "diaries").stdout
        # The other test's pilot, whose log is elsewhere, is on the MLflow server too.
        doctor = " ".join(served.command("doctor").stdout.split())
        assert "MLflow good server answers" in doctor
        assert "releases good 1 whole" in doctor
        assert "diaries broken" not in doctor
        done = served.command("review", "export", "diaries", FEBRUARY, "--coder", "kim")
        assert done.returncode == 0, done.stdout + done.stderr
        told = {**variables, "MLSTATS_PROJECT": str(project)}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in told.items():
                patch.setenv(name, value)
            settings = load_settings()
        (book,) = folder_of(settings, "diaries", FEBRUARY).glob("*.xlsx")
        fill(book)
        done = served.command("review", "import", "diaries", FEBRUARY, str(book))
        assert done.returncode == 0, done.stdout + done.stderr
        done = served.command("produce", "diaries", "--period", FEBRUARY)
        assert done.returncode == 0, done.stdout + done.stderr
        assert shown(project, team) == []
    assert "Hush" not in served.logs() + served.said
    release = ReleaseStore(settings.releases).current("diaries", FEBRUARY)
    assert release is not None
    assert (release.number, release.final) == (2, True)
    assert len(ProductionLog(settings.database).read("diaries")) == 2
    held = prefect_tables(team)
    assert {"flow_run", "deployment"} <= held
    assert "decisions" not in held
    elsewhere(settings, tmp_path)


def fill(book: Path) -> None:
    """Give every unit of a coder's file a code that exists."""
    sheets = openpyxl.load_workbook(book)
    sheet = sheets["review"]
    at = {cell.value: cell.column for cell in sheet[1]}
    code = next(
        row[0] for row in sheets["search"].iter_rows(min_row=2, values_only=True)
        if str(row[0]).count(".") == 3
    )  # fmt: skip
    for number in range(2, sheet.max_row + 1):
        sheet.cell(number, at["code"]).value = code
    sheets.save(book)


def prefect_tables(team: Team) -> set[str]:
    import sqlalchemy

    engine = sqlalchemy.create_engine(team.prefect.replace("+asyncpg", "+psycopg"))
    try:
        return set(sqlalchemy.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def elsewhere(settings: Settings, tmp_path: Path) -> None:
    """Restore a copy on a laptop: the same calendar, decisions and releases."""
    backup(settings, tmp_path / "state.zip")
    other = load_settings(project=tmp_path / "laptop")
    other.prepare()
    for name in ("releases", "confidential"):
        place = getattr(other, name)
        if place.is_dir():
            place.rmdir()
        os.rename(getattr(settings, name), place)
    os.rename(settings.project / "configs", other.project / "configs")
    held = restore(other, tmp_path / "state.zip")
    assert held.missing == ()
    assert other.database.startswith("sqlite")
    pilot = load_pilot("diaries", project=other.project)
    for one in (settings, other):
        os.makedirs(one.home_folder, exist_ok=True)
    logs = [DecisionLog(one.database).read() for one in (settings, other)]
    assert logs[0] == logs[1] != []
    (entry,) = [e for e in calendar(other, pilot) if e.period == FEBRUARY]
    assert (entry.state, entry.release, entry.attempts) == ("done", 2, 2)
    release = ReleaseStore(other.releases).current("diaries", FEBRUARY)
    assert release is not None
    assert ReleaseStore(other.releases).verify(release) == []
