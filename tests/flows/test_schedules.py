"""Schedules on real servers: what `mlstats up` starts, and what it leaves."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mlstats.errors import ConfigError, MethodError, UsageError
from mlstats.production_log import Attempt, ProductionLog
from mlstats.releases import ReleaseStore
from pipelines import scheduled
from tests.flows.canary import content
from tests.flows.real_servers import (
    REPOSITORY,
    Office,
    left_of,
    listening,
    serving,
)
from tests.flows.stand_in import RECORD
from tests.unit.test_schedule import PILOT

pytestmark = pytest.mark.xdist_group("servers")

STAND_IN = "tests.flows.stand_in.produce"
PLAN = {
    "schedule": "0 0 1 * *",
    "timezone": "Asia/Tokyo",
    "lag": 1,
    "due": 5,
    "retries": 2,
    "notify": ["webhook/office", "custom-webhook/desk"],
}


TIMES = ["2026-04-30T15:00", "2026-05-31T15:00"]
PERIODS = ["2026-04", "2026-05"]


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


def own_office(
    folder: Path, plan: dict[str, Any] | None = None, **by_period: str
) -> Path:
    """Write a project with the diary's pilot, which calls nobody by default."""
    project = folder / "a project"
    (project / "configs/pilots").mkdir(parents=True)
    data = {**PILOT["data"], "frequency": "M"}  # type: ignore[dict-item]
    tree = {**PILOT, "data": data, "production": plan or {**PLAN, "notify": []}}
    (project / "configs/pilots/diary.yaml").write_text(yaml.safe_dump(tree))
    tell_outcomes(project, **by_period)
    return project


def tell_outcomes(project: Path, **by_period: str) -> None:
    said = {name.replace("_", "-")[1:]: what for name, what in by_period.items()}
    (project / "outcomes.json").write_text(json.dumps(said))


@pytest.fixture(scope="module")
def office(
    tmp_path_factory: pytest.TempPathFactory,
    hook: tuple[str, list[tuple[str, str]]],
) -> Iterator[Office]:
    project = own_office(tmp_path_factory.mktemp("office"), PLAN)
    with serving(project, hook[1]) as office:
        yield office


@pytest.fixture(scope="module")
def client(office: Office, hook: tuple[str, list[tuple[str, str]]]) -> Iterator[Any]:
    """Yield a client of the server, where the office has made its two blocks."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.blocks.webhook import Webhook

    with office.client() as client:
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


def outcomes(office: Office, **by_period: str) -> None:
    tell_outcomes(office.project, **by_period)


def test_up_tells_where_the_servers_are(office: Office) -> None:
    assert set(office.addresses) == {"PREFECT_API_URL", "MLSTATS_TRACKING_URI"}
    for address in office.addresses.values():
        assert address.startswith("http://127.0.0.1:")
    found = listening(office.process)
    assert len(found) >= 2
    assert set(found) == {"127.0.0.1"}
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


@pytest.fixture(scope="module")
def both(office: Office, client: Any, deployed: list[str]) -> list[Any]:
    """Two runs planned at once: a fallback, when a service is back, and a crash."""
    outcomes(office, _2026_04="fallback later", _2026_05="crash")
    # Midnight in Tokyo is the day before in UTC, and neither starts on time.
    runs = [office.plan(client, "diary", f"{time}:00+00:00") for time in TIMES]
    return [office.ended(client, run) for run in runs]


def test_the_period_comes_from_the_scheduled_time(
    office: Office, both: list[Any]
) -> None:
    assert [run.name for run in both] == [f"diary {period}" for period in PERIODS]
    rows = {row.period: row for row in office.attempts()}
    assert {period: rows[period].scheduled[:16] for period in PERIODS} == dict(
        zip(PERIODS, TIMES, strict=True)
    )
    assert {rows[period].kind for period in PERIODS} == {"scheduled"}


def test_a_run_keeps_the_parameters_it_was_given(both: list[Any]) -> None:
    assert [run.parameters["pilot"] for run in both] == ["diary", "diary"]
    assert "period" not in {k for run in both for k, v in run.parameters.items() if v}


def test_by_hand_and_in_time(
    office: Office, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, as the command line starts a flow, on the same server."""
    from tests.flows.stand_in import produce

    monkeypatch.setenv("MLSTATS_PROJECT", str(office.project))
    outcomes(office, _2020_02="slow")
    tried = len(office.attempts())
    assert produce("diary", "2020-01", dry_run=True).release is None
    assert len(office.attempts()) == tried
    monkeypatch.setattr(scheduled, "SHORTEST", 0.0)
    monkeypatch.setattr("prefect.runtime.deployment.id", "one", raising=False)
    path = office.project / "configs/pilots/hasty.yaml"
    tree = yaml.safe_load(path.with_name("diary.yaml").read_text())
    tree["pilot"] = "hasty"
    tree["production"]["time_budget"] = 0.1
    path.write_text(yaml.safe_dump(tree))
    try:
        with pytest.raises(MethodError, match="longer than 1 seconds"):
            produce("hasty", "2020-02")
    finally:
        path.unlink()
    (row,) = ProductionLog(office.settings.database).read("hasty")
    assert (row.kind, row.outcome) == ("scheduled", "failed")
    assert row.causes == "MethodError"


def test_one_run_waits_for_another(office: Office, both: list[Any]) -> None:
    rows = [row for row in office.attempts() if row.period in PERIODS]
    spans = sorted((row.started, row.ended) for row in rows)
    assert len(spans) == 2
    assert spans[0][1] <= spans[1][0]


def test_the_states_tell_fallback_and_failed(office: Office, both: list[Any]) -> None:
    assert [(run.state.type.value, run.state.name) for run in both] == [
        ("COMPLETED", "Fallback"),
        ("FAILED", "Failed"),
    ]
    rows = {row.period: row for row in office.attempts()}
    assert [
        (rows[p].outcome, rows[p].release, rows[p].final, rows[p].causes)
        for p in PERIODS
    ] == [
        ("fallback", 1, True, "model"),
        ("failed", 0, False, "MlstatsError"),
    ]


def test_only_a_service_out_of_reach_is_asked_again(
    office: Office, both: list[Any]
) -> None:
    tries = [
        len((office.settings.home_folder / f"{period}.tries").read_text())
        for period in PERIODS
    ]
    assert tries == [2, 1]


def test_a_fallback_and_a_failure_call_the_office(
    office: Office, both: list[Any]
) -> None:
    def told(path: str) -> list[dict[str, str]]:
        said = [json.loads(body) for to, body in office.calls if to == path]
        return [body for body in said if "Late" not in str(body)]

    office.await_(lambda: len(told("/webhook")) + len(told("/custom")) >= 4)
    assert sorted((b["pilot"], b["run"], b["state"]) for b in told("/webhook")) == [
        ("diary", "diary 2026-04", "Fallback"),
        ("diary", "diary 2026-05", "Failed"),
    ]
    assert all(
        set(body) == {"pilot", "run", "state", "scheduled"} for body in told("/webhook")
    )
    assert sorted(body["title"] for body in told("/custom")) == [
        "diary 2026-04: Fallback",
        "diary 2026-05: Failed",
    ]


def test_nothing_of_a_record_reaches_server_log_or_call(
    office: Office, both: list[Any]
) -> None:
    word = RECORD.split()[1]
    assert word not in str(office.calls)
    places = [office.project / ".mlstats", office.project / "models"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        assert word.encode() not in content(path), path


def test_back_fill_plans_past_periods_and_a_late_run_calls_the_office(
    office: Office, client: Any, deployed: list[str]
) -> None:
    from prefect.client.schemas.actions import WorkPoolUpdate

    from pipelines.deploy import back_fill

    def planned() -> list[Any]:
        runs = [run for run in client.read_flow_runs() if "back-fill" in run.tags]
        return sorted(runs, key=lambda run: run.expected_start_time)

    def late() -> list[dict[str, str]]:
        said = [json.loads(body) for path, body in office.calls if path == "/webhook"]
        return [body for body in said if body["state"] == "Late"]

    client.update_work_pool("mlstats", WorkPoolUpdate(is_paused=True))
    try:
        said: list[str] = []
        back_fill("diary", office.settings, "2022-11/2023-01", said.append)
        back_fill("diary", office.settings, "2022-12/2022-12", said.append)
        assert said == [
            "2022-11 is planned: diary 2022-11",
            "2022-12 is planned: diary 2022-12",
            "2023-01 is planned: diary 2023-01",
            "2022-12 has a run that has not ended yet",
        ]
        assert [
            (run.parameters["period"], f"{run.expected_start_time:%Y-%m-%dT%H:%M}")
            for run in planned()
        ] == [
            ("2022-11", "2022-11-30T15:00"),
            ("2022-12", "2022-12-31T15:00"),
            ("2023-01", "2023-01-31T15:00"),
        ]
        wanted = {"diary 2022-11", "diary 2022-12", "diary 2023-01"}
        office.await_(lambda: wanted <= {body["run"] for body in late()})
        assert {body["pilot"] for body in late()} == {"diary"}
    finally:
        for run in planned():
            client.delete_flow_run(run.id)
        client.update_work_pool("mlstats", WorkPoolUpdate(is_paused=False))


def test_back_fill_takes_periods_of_the_pilot_only(
    office: Office, deployed: list[str]
) -> None:
    from pipelines.deploy import back_fill

    with pytest.raises(ConfigError, match="not those"):
        back_fill("diary", office.settings, "2022/2023", print)


@pytest.mark.soak
def test_prefects_own_command_makes_the_same_deployment(
    office: Office, client: Any, deployed: list[str]
) -> None:
    """From the file that is shipped, with the flow that is shipped."""
    from pipelines.deploy import deploy, remove

    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy"]
        + ["--prefect-file", str(REPOSITORY / "prefect.yaml"), "--name", "coicop-demo"],
        cwd=office.project,
        env={
            **office.environment,
            **office.addresses,
            "MLSTATS_PROJECT": str(office.project),
            "PREFECT_HOME": str(office.project / ".mlstats/servers/prefect"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: list[str] = []
    deploy("coicop-demo", office.settings, said.append)
    assert said == ["produce/coicop-demo is deployed as it should be"]
    remove("coicop-demo", office.settings, print)


@pytest.mark.soak
def test_back_filled_periods_are_produced(
    office: Office, client: Any, deployed: list[str]
) -> None:
    from pipelines.deploy import back_fill

    outcomes(office)
    wanted = {"2021-11", "2021-12", "2022-01"}
    back_fill("diary", office.settings, "2021-11/2022-01", print)

    def rows() -> list[Attempt]:
        return [row for row in office.attempts() if row.period in wanted]

    office.await_(lambda: len(rows()) == 3)
    assert {row.outcome for row in rows()} == {"done"}
    assert {row.period for row in rows()} == wanted


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


def test_the_calendar_tells_what_came_of_it(office: Office, both: list[Any]) -> None:
    shown = office.command("calendar", "diary", "--from", "2026-02", "--to", "2026-06")
    assert shown.returncode == 0, shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines()]
    states = {row[1]: row[2] for row in rows if row[:1] == ["diary"]}
    assert states == {
        "2026-02": "late",
        "2026-03": "late",
        "2026-04": "fallback",
        "2026-05": "failed",
        "2026-06": "late",
    }


def test_monitoring_has_a_schedule_of_its_own(office: Office, client: Any) -> None:
    from pipelines.deploy import deploy

    path = office.project / "configs/pilots/diary.yaml"
    plain = path.read_text(encoding="utf-8")
    tree = yaml.safe_load(plain)
    tree["production"]["monitor"] = {"schedule": "0 8 2 * *"}
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    said: list[str] = []
    deploy("diary", office.settings, said.append, entrypoint=STAND_IN)
    assert "monitor/diary deployed: 0 8 2 * *, Asia/Tokyo" in said
    found = client.read_deployment_by_name("monitor/diary")
    assert found.entrypoint == "pipelines.monitor.monitor"
    (automation,) = client.read_automations()
    produce = client.read_deployment_by_name("produce/diary")
    told = json.dumps(automation.model_dump(mode="json"))
    assert str(found.id) in told
    assert str(produce.id) in told
    path.write_text(plain, encoding="utf-8")
    said.clear()
    deploy("diary", office.settings, said.append, entrypoint=STAND_IN)
    assert "monitor/diary removed" in said
    names = [one.name for one in client.read_deployments()]
    assert names == ["diary"]


def test_what_is_removed_is_gone(office: Office, client: Any) -> None:
    from pipelines.deploy import deploy, remove

    deploy("diary", office.settings, print, entrypoint=STAND_IN)
    remove("diary", office.settings, print)
    assert client.read_deployments() == []
    assert client.read_automations() == []
    with pytest.raises(UsageError, match="not deployed"):
        remove("diary", office.settings, print)
    assert office.attempts()


@pytest.mark.soak
def test_the_shipped_flow_produces_a_period_and_falls_back(
    office: Office, client: Any
) -> None:
    """The pilot, the methods and the flow are real; a worker runs them."""
    from pipelines.deploy import deploy, remove
    from tests import production_example

    made = production_example.office(office.project)
    production_example.appoint(made.settings, made.linear, "production")
    deploy("diaries", made.settings, print)
    found = client.read_deployment_by_name("produce/diaries")
    run = office.plan(client, "diaries", "2026-04-03T06:00:00+00:00")
    released = office.ended(client, run)
    assert (released.state.name, released.name) == ("Done", "diaries 2026-03")
    store = ReleaseStore(made.settings.releases)
    release = store.current("diaries", "2026-03")
    assert release is not None
    assert store.verify(release) == []
    shutil.rmtree(made.settings.confidential / "models" / made.linear)
    run = office.plan(client, "diaries", "2026-05-03T06:00:00+00:00")
    fell = office.ended(client, run)
    assert (fell.state.type.value, fell.state.name) == ("COMPLETED", "Fallback")
    rows = ProductionLog(made.settings.database).read("diaries")
    assert [(row.period, row.kind, row.outcome, row.causes) for row in rows] == [
        ("2026-03", "scheduled", "done", ""),
        ("2026-04", "scheduled", "fallback", "model"),
    ]
    shown = office.command(
        "calendar", "diaries", "--from", "2026-03", "--to", "2026-04"
    )
    assert "fallback" in shown.stdout
    assert found.entrypoint == "pipelines.produce.produce"
    path = office.project / "configs/pilots/diaries.yaml"
    told = path.read_text(encoding="utf-8") + '  monitor: {schedule: "0 8 2 * *"}\n'
    path.write_text(told, encoding="utf-8")
    deploy("diaries", made.settings, print)
    looking = client.read_deployment_by_name("monitor/diaries")
    run = client.create_flow_run_from_deployment(looking.id).id
    assert office.ended(client, run).state.name == "Done"
    assert (office.settings.monitor / "diaries/monitor.html").is_file()
    remove("diaries", made.settings, print)


@pytest.mark.soak
def test_a_run_that_is_killed_calls_the_office(office: Office, client: Any) -> None:
    from pipelines.deploy import deploy, remove

    deploy("diary", office.settings, print, entrypoint=STAND_IN)
    outcomes(office, _2018_01="slow")
    run = office.plan(client, "diary", "2018-01-31T15:00:00+00:00")
    office.await_((office.settings.home_folder / "2018-01.tries").exists)
    told = json.loads((office.project / ".mlstats/servers/running.json").read_text())
    worker = psutil.Process(int(list(told["processes"])[2]))
    for each in worker.children(recursive=True):
        each.kill()
    assert office.ended(client, run).state.name == "Crashed"

    def crashed() -> list[str]:
        return [body for path, body in office.calls if '"Crashed"' in body]

    office.await_(crashed)
    assert json.loads(crashed()[0])["run"] == "diary 2018-01"
    remove("diary", office.settings, print)


@pytest.mark.soak
def test_up_stops_a_flow_in_the_middle_of_a_period_too(tmp_path: Path) -> None:
    from pipelines.deploy import deploy

    with serving(own_office(tmp_path, _2019_01="slow")) as office:
        with office.client() as client:
            deploy("diary", office.settings, print, entrypoint=STAND_IN)
            office.plan(client, "diary", "2019-01-31T15:00:00+00:00")
            office.await_((office.settings.home_folder / "2019-01.tries").exists)
        family = psutil.Process(office.process.pid).children(recursive=True)
        office.process.send_signal(signal.SIGTERM)
        out, _ = office.process.communicate(timeout=120)
        assert office.process.returncode == 0, out
        assert left_of(family) == []
    assert ReleaseStore(office.settings.releases).current("diary", "2019-01") is None


def test_up_stops_all_and_leaves_no_process(office: Office) -> None:
    family = psutil.Process(office.process.pid).children(recursive=True)
    assert len(family) >= 3
    office.process.send_signal(signal.SIGINT)
    out, _ = office.process.communicate(timeout=120)
    assert office.process.returncode == 0, out
    assert left_of(family) == []
    assert not (office.project / ".mlstats/servers/running.json").exists()


@pytest.mark.soak
def test_what_a_killed_up_left_is_stopped_and_a_dead_server_ends_all(
    office: Office,
) -> None:
    """After the servers of the other tests have been stopped."""

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlstats", "up"],
            cwd=office.project,
            env=office.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        assert any(line.startswith("Ctrl-C") for line in process.stdout)
        return process

    office.process.send_signal(signal.SIGINT)
    office.process.communicate(timeout=120)
    killed = start()
    left = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()
    assert any(each.is_running() for each in left)
    second = start()
    assert left_of(left) == []
    family = psutil.Process(second.pid).children(recursive=True)
    told = json.loads((office.project / ".mlstats/servers/running.json").read_text())
    psutil.Process(int(list(told["processes"])[1])).kill()
    out, _ = second.communicate(timeout=120)
    assert second.returncode == 4, out
    assert "mlflow has ended by itself" in out
    assert left_of(family) == []


@pytest.mark.soak
def test_a_prefect_server_killed_in_the_middle_of_a_scheduled_run(
    tmp_path: Path,
) -> None:
    """Nothing is half released; after a new start the schedule goes on."""
    from pipelines.deploy import deploy

    project = own_office(tmp_path, _2019_01="slow")
    with serving(project) as office:
        with office.client() as client:
            deploy("diary", office.settings, print, entrypoint=STAND_IN)
            cut = office.plan(client, "diary", "2019-01-31T15:00:00+00:00")
            office.await_((office.settings.home_folder / "2019-01.tries").exists)
        told = json.loads((project / ".mlstats/servers/running.json").read_text())
        psutil.Process(int(next(iter(told["processes"])))).kill()
        out, _ = office.process.communicate(timeout=120)
        assert office.process.returncode == 4, out
        assert "prefect has ended by itself" in out
    store = ReleaseStore(office.settings.releases)
    assert store.current("diary", "2019-01") is None
    assert office.attempts() == []
    with serving(project) as office, office.client() as client:
        shown = office.command(
            "calendar", "diary", "--from", "2019-01", "--to", "2019-01"
        )
        assert "late" in shown.stdout
        outcomes(office)
        again = office.plan(client, "diary", "2019-01-31T15:00:00+00:00")
        run = office.ended(client, again)
        assert client.read_flow_run(cut).state.name == "Crashed"
        assert "was cut off; it is told as crashed" in office.said
    assert run.state.name == "Done"
    release = store.current("diary", "2019-01")
    assert release is not None
    assert store.verify(release) == []
    assert [row.outcome for row in office.attempts()] == ["done"]
