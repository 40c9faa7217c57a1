"""What a deployment says, without a server; tests/flows/test_schedules.py has one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mlstats import cli
from mlstats.errors import ConfigError, ServiceError, UsageError
from mlstats.produced import Produced, Reason
from mlstats.settings import Settings, load_settings
from pipelines.deploy import ENTRYPOINT, deploy, described
from pipelines.scheduled import ended, period_now, recorded

REPOSITORY = Path(__file__).parents[2]


def test_the_shipped_file_and_the_command_say_the_same(tmp_path: Path) -> None:
    settings = load_settings(project=tmp_path)
    text = (REPOSITORY / "prefect.yaml").read_text()
    shipped = yaml.safe_load(text.replace("{{ $MLSTATS_PROJECT }}", str(tmp_path)))
    (told,) = shipped["deployments"]
    wanted = described("coicop-demo", settings)
    for key in ("name", "version", "description", "tags", "parameters", "entrypoint"):
        assert told[key] == wanted[key], key
    assert told["work_pool"] == {
        "name": wanted["work_pool_name"],
        "job_variables": wanted["job_variables"],
    }
    (cron,), (schedule,) = told["schedules"], wanted["schedules"]
    assert cron == {
        "cron": schedule.schedule.cron,
        "timezone": schedule.schedule.timezone,
        "slug": schedule.slug,
        "active": schedule.active,
    }
    assert told["concurrency_limit"] == {
        "limit": wanted["concurrency_limit"],
        "collision_strategy": wanted["concurrency_options"].collision_strategy.value,
    }
    assert shipped["pull"] is None  # nothing is fetched from anywhere


def test_the_entry_point_is_a_flow_of_the_installed_package() -> None:
    from prefect.flows import Flow, load_flow_from_entrypoint

    flow = load_flow_from_entrypoint(ENTRYPOINT)
    assert isinstance(flow, Flow)
    assert flow.name == "produce"
    assert list(flow.parameters.properties)[:2] == ["pilot", "period"]
    assert flow.parameters.required == ["pilot"]


def test_the_places_of_the_project_are_given_and_no_address(tmp_path: Path) -> None:
    settings = Settings(
        project=tmp_path,
        store=str(tmp_path / "a share"),
        data="data",
        tracking_uri="https://ada:hush@mlflow.example",
        database_url="postgresql+psycopg://ada:hush@db.example/state",
    )
    told = described("coicop-demo", settings)
    environment = told["job_variables"]["env"]
    assert environment["MLSTATS_STORE"] == str(tmp_path / "a share")
    assert Path(environment["MLSTATS_DATA"]).is_absolute()
    assert told["job_variables"]["working_dir"] == str(tmp_path)
    assert "hush" not in str(told)
    assert "example" not in str(told)


def test_a_password_in_a_place_is_refused(tmp_path: Path) -> None:
    settings = Settings(project=tmp_path, data="s3://ada:hush@bucket/data")
    with pytest.raises(ConfigError, match="password") as told:
        described("coicop-demo", settings)
    assert "hush" not in str(told.value)


def test_a_pilot_outside_the_project_is_named_by_its_path(tmp_path: Path) -> None:
    shipped = REPOSITORY / "configs/pilots/coicop-demo.yaml"
    (tmp_path / "mine.yaml").write_text(shipped.read_text())
    path = tmp_path / "mine.yaml"
    told = described("mine.yaml", Settings(project=tmp_path))
    assert told["parameters"] == {"pilot": str(path)}
    assert told["name"] == "coicop-demo"


def test_a_pilot_without_a_schedule_is_not_deployed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no schedule"):
        described("crops-demo", Settings(project=tmp_path))


def test_without_a_server_there_is_nothing_to_deploy_to(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ServiceError, match="no Prefect server") as told,
    ):
        deploy("coicop-demo", Settings(project=tmp_path), print)
    assert "mlstats up" in str(told.value)


def test_a_server_that_is_down(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    address = "http://127.0.0.1:9/api"
    with (
        temporary_settings({PREFECT_API_URL: address}),
        pytest.raises(ServiceError, match="does not do what is asked") as told,
    ):
        deploy("coicop-demo", Settings(project=tmp_path), print)
    assert told.value.exit_code == 4
    assert address in str(told.value)


def test_options_that_do_not_go_together() -> None:
    asked = ["deploy", "coicop-demo", "--remove", "--back-fill", "2026-01/2026-03"]
    done = CliRunner().invoke(cli.app, asked)
    assert isinstance(done.exception, UsageError)


@pytest.mark.parametrize("verb", ["deploy", "calendar", "up"])
def test_each_verb_has_its_help(verb: str) -> None:
    done = CliRunner().invoke(cli.app, [verb, "--help"])
    assert done.exit_code == 0
    assert verb in done.output


# -- what surrounds the production of a period ---------------------------------------


def settings_of(tmp_path: Path) -> Settings:
    settings = Settings(project=tmp_path)
    settings.prepare()
    return settings


def rows(settings: Settings) -> list[tuple[str, ...]]:
    from mlstats.production_log import ProductionLog

    return [
        (row.period, row.kind, row.scheduled, row.outcome, row.causes)
        for row in ProductionLog(settings.database).read()
    ]


def test_a_production_by_hand_is_recorded(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    reasons = (Reason("time", "x"), Reason("model", "y"), Reason("time", "z"))
    with recorded("diary", "2026-03", settings) as recording:
        recording.produced = Produced("diary", "2026-03", None, reasons)
    with recorded("diary", "2026-04", settings, kind="back-cast") as recording:
        recording.produced = Produced("diary", "2026-04", None)
    assert rows(settings) == [
        ("2026-03", "by hand", "", "fallback", "time,model"),
        ("2026-04", "back-cast", "", "done", ""),
    ]


def test_a_failure_is_recorded_by_its_kind_and_passed_on(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with (
        pytest.raises(ServiceError, match="is gone"),
        recorded("diary", "2026-03", settings),
    ):
        raise ServiceError("The share is gone")
    with pytest.raises(SystemExit), recorded("diary", "2026-04", settings):
        raise SystemExit(143)  # a worker that is stopped
    assert [row[3:] for row in rows(settings)] == [
        ("failed", "ServiceError"),
        ("failed", "SystemExit"),
    ]


def test_a_log_out_of_reach_does_not_hide_what_went_wrong(tmp_path: Path) -> None:
    settings = Settings(project=tmp_path)  # whose folder is not there
    with (
        pytest.raises(ConfigError, match="a first fault"),
        recorded("diary", "2026-03", settings),
    ):
        raise ConfigError("a first fault")
    with (
        pytest.raises(ServiceError, match="log of productions"),
        recorded("diary", "2026-03", settings) as recording,
    ):
        recording.produced = Produced("diary", "2026-03", None)


def test_the_state_has_the_name_that_automations_match() -> None:
    done = ended(Produced("diary", "2026-03", None))
    assert (done.type.value, done.name) == ("COMPLETED", "Done")
    reasons = (Reason("model", "it is gone"),)
    fell = ended(Produced("diary", "2026-03", None, reasons))
    assert (fell.type.value, fell.name) == ("COMPLETED", "Fallback")
    assert fell.message == "model: it is gone"
    assert isinstance(fell.result(), Produced)


def test_outside_a_run_the_period_is_that_of_now(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    found = period_now("coicop-demo", Settings(project=tmp_path))
    assert found in {
        f"{now.year - (now.month == 1)}-{(now.month - 2) % 12 + 1:02d}"
        for now in (before, datetime.now(UTC))  # a month may have ended meanwhile
    }


def test_the_body_of_a_notification_names_no_message() -> None:
    from pipelines.notify import _BODY, TOLD

    failed = {"Failed", "Crashed", "TimedOut", "Late"}
    assert set(TOLD) == failed | {"Fallback", "Proposed", "Released"}
    body = json.dumps(_BODY)
    assert "message" not in body
    assert "parameters" not in body
