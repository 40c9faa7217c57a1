"""Schedules on real servers: what `mlstats up` starts, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mlstats.errors import ConfigError, UsageError
from mlstats.production_calendar import calendar
from mlstats.production_log import Attempt, ProductionLog
from mlstats.settings import Settings, load_settings
from tests.flows.stand_in import RECORD
from tests.unit.test_schedule import PILOT

pytestmark = pytest.mark.xdist_group("servers")

REPOSITORY = Path(__file__).parents[2]
STAND_IN = "tests.flows.stand_in.produce"
PLAN = {
    "schedule": "0 0 1 * *",
    "timezone": "Asia/Tokyo",
    "lag": 1,
    "due": 5,
    "retries": 2,
    "notify": ["webhook/office", "custom-webhook/desk"],
}


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

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mlstats", *words],
            cwd=self.project,
            env={**self.environment, **self.addresses},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def attempts(self) -> list[Attempt]:
        return ProductionLog(self.settings.database).read("diary")

    def await_(self, wanted: Callable[[], Any], seconds: float = 90) -> Any:
        end = time.monotonic() + seconds
        while not (found := wanted()):
            assert time.monotonic() < end, self.logs()
            time.sleep(0.3)
        return found

    def logs(self) -> str:
        folder = self.project / ".mlstats/servers"
        return "\n".join(path.read_text() for path in folder.glob("*.log"))


@pytest.fixture(scope="module")
def hook() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Listen on the loopback for calls: path and body of each."""
    calls: list[tuple[str, str]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            calls.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", calls
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def office(
    tmp_path_factory: pytest.TempPathFactory,
    hook: tuple[str, list[tuple[str, str]]],
) -> Iterator[Office]:
    project = tmp_path_factory.mktemp("office") / "a project"
    (project / "configs/pilots").mkdir(parents=True)
    data = {**PILOT["data"], "frequency": "M"}  # type: ignore[dict-item]
    tree = {**PILOT, "data": data, "production": PLAN}
    (project / "configs/pilots/diary.yaml").write_text(yaml.safe_dump(tree))
    (project / "outcomes.json").write_text("{}")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLSTATS_", "PREFECT_", "MLFLOW_"))
    }
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")]),
        "HOME": str(project.parent),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "2",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "mlstats", "up"],
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
        yield Office(
            project, process, environment, said, addresses, settings, hook[1]
        )
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)


@pytest.fixture(scope="module")
def client(office: Office, hook: tuple[str, list[tuple[str, str]]]) -> Iterator[Any]:
    """Yield a client of the server, where the office has made its two blocks."""
    from prefect import get_client
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.blocks.webhook import Webhook
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: office.addresses["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        Webhook(url=f"{hook[0]}/webhook").save("office")
        CustomWebhookNotificationBlock(
            name="desk",
            url=f"{hook[0]}/custom",
            json_data={"title": "{{subject}}", "text": "{{body}}"},
        ).save("desk")
        yield client


@pytest.fixture(scope="module")
def deployed(office: Office, client: Any) -> list[str]:
    from pipelines.deploy import deploy

    said: list[str] = []
    deploy("diary", office.settings, said.append, entrypoint=STAND_IN)
    return said


def plan(client: Any, when: str, **parameters: str) -> Any:
    """Plan a run as the scheduler does, for a time that may lie in the past."""
    from prefect.states import Scheduled

    found = client.read_deployment_by_name("produce/diary")
    time = datetime.fromisoformat(when).astimezone(UTC)
    return client.create_flow_run_from_deployment(
        found.id, state=Scheduled(scheduled_time=time), parameters=parameters
    ).id


def outcomes(office: Office, **by_period: str) -> None:
    said = {name.replace("_", "-")[1:]: what for name, what in by_period.items()}
    (office.project / "outcomes.json").write_text(json.dumps(said))


def ended(office: Office, client: Any, run: Any) -> Any:
    def final() -> Any:
        found = client.read_flow_run(run)
        return found if found.state.is_final() else None

    return office.await_(final)


def test_up_tells_where_the_servers_are(office: Office) -> None:
    assert set(office.addresses) == {"PREFECT_API_URL", "MLSTATS_TRACKING_URI"}
    for address in office.addresses.values():
        assert address.startswith("http://127.0.0.1:")
    listening = [
        c.laddr.ip
        for p in psutil.Process(office.process.pid).children(recursive=True)
        for c in p.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert set(listening) == {"127.0.0.1"}
    assert (office.project / ".mlstats/servers/prefect/prefect.db").exists()
    assert not (office.project.parent / ".prefect").exists()


def test_a_second_up_says_that_one_runs(office: Office) -> None:
    done = office.command("up")
    assert done.returncode == 4
    assert "run already" in done.stderr
    assert office.addresses["PREFECT_API_URL"] in " ".join(done.stderr.split())


def test_the_served_store_is_the_embedded_one(office: Office) -> None:
    from mlflow import MlflowClient

    served = MlflowClient(office.addresses["MLSTATS_TRACKING_URI"])
    number = served.create_experiment("seen by both")
    embedded = MlflowClient(office.settings.mlflow_uri)
    found = embedded.get_experiment(number)
    assert found.name == "seen by both"
    assert found.artifact_location.startswith(
        (office.settings.models / "artifacts").as_uri()
    )


def test_a_deployment_is_what_the_pilot_says(
    office: Office, client: Any, deployed: list[str]
) -> None:
    found = client.read_deployment_by_name("produce/diary")
    assert "produce/diary deployed: 0 0 1 * *, Asia/Tokyo" in deployed
    (schedule,) = found.schedules
    assert (schedule.schedule.cron, schedule.schedule.timezone) == (
        "0 0 1 * *",
        "Asia/Tokyo",
    )
    assert schedule.active
    assert found.parameters == {"pilot": "diary"}
    assert sorted(found.tags) == ["coding", "diary", "mlstats"]
    assert found.work_pool_name == "mlstats"
    assert found.global_concurrency_limit.limit == 1
    assert found.concurrency_options.collision_strategy.value == "ENQUEUE"
    assert found.job_variables["env"]["MLSTATS_PROJECT"] == str(office.project)
    assert "TRACKING" not in str(found.job_variables)
    assert "DATABASE" not in str(found.job_variables)


def test_deploying_twice_changes_nothing(
    office: Office, client: Any, deployed: list[str]
) -> None:
    from pipelines.deploy import deploy

    def state() -> list[Any]:
        found = client.read_deployment_by_name("produce/diary")
        runs = client.read_flow_runs()
        automations = client.read_automations()
        return [
            (found.id, found.updated, found.schedules[0].id),
            sorted(str(run.id) for run in runs),
            [(automation.id, automation.name) for automation in automations],
        ]

    office.await_(client.read_flow_runs)  # the scheduler has planned the next ones
    before, said = state(), list[str]()
    deploy("diary", office.settings, said.append, entrypoint=STAND_IN)
    assert said == ["produce/diary is deployed as it should be"]
    assert state() == before
    assert len(before[2]) == 1


def test_the_period_comes_from_the_scheduled_time_one_run_after_another(
    office: Office, client: Any, deployed: list[str]
) -> None:
    outcomes(office)
    # Midnight in Tokyo is the day before in UTC, and none of the three starts on time.
    times = ["2026-03-31T15:00", "2026-04-30T15:00", "2026-05-31T15:00"]
    runs = [plan(client, f"{time}:00+00:00") for time in times]
    found = [ended(office, client, run) for run in runs]
    assert {(run.state.type.value, run.state.name) for run in found} == {
        ("COMPLETED", "Done")
    }
    assert [run.name for run in found] == [
        "diary 2026-03", "diary 2026-04", "diary 2026-05",
    ]  # fmt: skip
    rows = [row for row in office.attempts() if row.period < "2026-06"]
    assert sorted((row.period, row.scheduled[:16], row.kind) for row in rows) == [
        (period, time, "scheduled")
        for period, time in zip(
            ["2026-03", "2026-04", "2026-05"], times, strict=True
        )
    ]
    assert {(row.outcome, row.release, row.final) for row in rows} == {
        ("done", 1, True)
    }
    spans = sorted((row.started, row.ended) for row in rows)
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False)), spans


def test_a_fallback_and_a_failure_call_the_office(
    office: Office, client: Any, deployed: list[str]
) -> None:
    outcomes(office, _2025_01="fallback", _2025_02="crash")
    before = len(office.calls)
    fell = ended(office, client, plan(client, "2025-01-31T15:00:00+00:00"))
    assert (fell.state.type.value, fell.state.name) == ("COMPLETED", "Fallback")
    broke = ended(office, client, plan(client, "2025-02-28T15:00:00+00:00"))
    assert broke.state.name == "Failed"

    def told() -> list[tuple[str, str]]:
        return [
            call
            for call in office.calls[before:]
            if '"Late"' not in call[1] and "Late" not in call[1]
        ]

    office.await_(lambda: len(told()) >= 4)
    assert len(told()) == 4
    bodies = [json.loads(body) for path, body in told() if path == "/webhook"]
    assert sorted((b["pilot"], b["run"], b["state"]) for b in bodies) == [
        ("diary", "diary 2025-01", "Fallback"),
        ("diary", "diary 2025-02", "Failed"),
    ]
    assert all(set(b) == {"pilot", "run", "state", "scheduled"} for b in bodies)
    desk = [json.loads(body) for path, body in told() if path == "/custom"]
    assert sorted(b["title"] for b in desk) == [
        "diary 2025-01: Fallback",
        "diary 2025-02: Failed",
    ]
    assert "Quackenbush" not in str(office.calls)
    (fallback,) = [row for row in office.attempts() if row.period == "2025-01"]
    assert (fallback.outcome, fallback.causes) == ("fallback", "model")
    (failed,) = [row for row in office.attempts() if row.period == "2025-02"]
    assert (failed.outcome, failed.release) == ("failed", 0)


def test_a_run_that_no_worker_took_in_time_calls_the_office_too(
    office: Office, client: Any, deployed: list[str]
) -> None:
    """It is named before it starts, by the server: the pilot tells which it is."""
    assert not client.read_work_pool("mlstats").is_paused
    from prefect.client.schemas.actions import WorkPoolUpdate

    outcomes(office)
    client.update_work_pool("mlstats", WorkPoolUpdate(is_paused=True))
    try:
        run = plan(client, "2024-01-31T15:00:00+00:00")
        late = office.await_(
            lambda: [
                json.loads(body)
                for path, body in office.calls
                if path == "/webhook" and '"Late"' in body and "2024-01-31" in body
            ]
        )
    finally:
        client.update_work_pool("mlstats", WorkPoolUpdate(is_paused=False))
    assert late[0]["pilot"] == "diary"
    assert ended(office, client, run).state.name == "Done"


def test_a_service_that_comes_back_is_asked_again(
    office: Office, client: Any, deployed: list[str]
) -> None:
    outcomes(office, _2024_06="later")
    run = ended(office, client, plan(client, "2024-06-30T15:00:00+00:00"))
    assert run.state.name == "Done"
    assert (office.settings.home_folder / "2024-06.tries").read_text() == "xx"
    rows = [row for row in office.attempts() if row.period == "2024-06"]
    assert [row.outcome for row in rows] == ["done"]


def test_nothing_of_a_record_reaches_the_server(
    office: Office, client: Any, deployed: list[str]
) -> None:
    outcomes(office, _2023_02="crash")
    run = ended(office, client, plan(client, "2023-02-28T15:00:00+00:00"))
    assert run.state.name == "Failed"
    word = RECORD.split()[1]
    for path in (office.project / ".mlstats/servers").rglob("*"):
        if path.is_file():
            assert word.encode() not in path.read_bytes(), path


def test_back_fill_makes_the_runs_of_past_periods(
    office: Office, client: Any, deployed: list[str]
) -> None:
    from prefect.client.schemas.actions import WorkPoolUpdate

    from pipelines.deploy import back_fill

    outcomes(office)
    client.update_work_pool("mlstats", WorkPoolUpdate(is_paused=True))
    try:
        said: list[str] = []
        back_fill("diary", office.settings, "2022-11/2023-01", said.append)
        back_fill("diary", office.settings, "2022-12/2022-12", said.append)
    finally:
        client.update_work_pool("mlstats", WorkPoolUpdate(is_paused=False))
    assert said == [
        "2022-11 is planned: diary 2022-11",
        "2022-12 is planned: diary 2022-12",
        "2023-01 is planned: diary 2023-01",
        "2022-12 has a run that has not ended yet",
    ]

    def rows() -> list[Attempt]:
        periods = {"2022-11", "2022-12", "2023-01"}
        return [row for row in office.attempts() if row.period in periods]

    office.await_(lambda: len(rows()) == 3)
    assert {row.period: row.scheduled[:16] for row in rows()} == {
        "2022-11": "2022-11-30T15:00",
        "2022-12": "2022-12-31T15:00",
        "2023-01": "2023-01-31T15:00",
    }
    assert {row.outcome for row in rows()} == {"done"}
    with pytest.raises(ConfigError, match="not those"):
        back_fill("diary", office.settings, "2022/2023", said.append)


def test_a_block_that_is_not_there(office: Office, client: Any) -> None:
    from pipelines.deploy import deploy

    tree = yaml.safe_load((office.project / "configs/pilots/diary.yaml").read_text())
    tree["pilot"] = "nobody"
    tree["production"]["notify"] = ["webhook/nobody"]
    path = office.project / "configs/pilots/nobody.yaml"
    path.write_text(yaml.safe_dump(tree))
    try:
        with pytest.raises(ConfigError, match="no block 'webhook/nobody'"):
            deploy("nobody", office.settings, print, entrypoint=STAND_IN)
    finally:
        path.unlink()
    assert [d.name for d in client.read_deployments()] == ["diary"]


def test_the_calendar_tells_what_came_of_it(office: Office, deployed: list[str]) -> None:
    from mlstats.pilot_files import load_pilot

    pilot = load_pilot("diary", project=office.settings.project)
    now = datetime(2026, 6, 4, tzinfo=UTC)
    found = {e.period: e.state for e in calendar(office.settings, pilot, now=now)}
    assert found["2026-03"] == found["2026-05"] == "done"
    assert found["2026-06"] == "planned"
    shown = office.command("calendar", "diary", "--from", "2025-01", "--to", "2025-02")
    assert shown.returncode == 0, shown.stderr
    assert "fallback" in shown.stdout
    assert "failed" in shown.stdout


def test_what_is_removed_is_gone(office: Office, client: Any) -> None:
    from pipelines.deploy import deploy, remove

    deploy("diary", office.settings, print, entrypoint=STAND_IN)
    remove("diary", office.settings, print)
    assert client.read_deployments() == []
    assert client.read_automations() == []
    with pytest.raises(UsageError, match="not deployed"):
        remove("diary", office.settings, print)
    assert office.attempts()


def test_up_stops_all_and_leaves_no_process(office: Office) -> None:
    family = psutil.Process(office.process.pid).children(recursive=True)
    assert len(family) >= 3
    office.process.send_signal(signal.SIGINT)
    out, _ = office.process.communicate(timeout=120)
    assert office.process.returncode == 0, out
    _, left = psutil.wait_procs(family, timeout=1)
    assert left == []
    assert not (office.project / ".mlstats/servers/running.json").exists()
