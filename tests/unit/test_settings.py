from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlstats.errors import ConfigError, ServiceError
from mlstats.settings import Settings, config_folders, load_settings


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in list(os.environ):
        if variable.upper().startswith("MLSTATS_"):
            monkeypatch.delenv(variable)
    # Set first, so that what load_settings sets is taken back after the test.
    monkeypatch.setenv("PREFECT_HOME", "before")
    monkeypatch.delenv("PREFECT_HOME")
    folder = tmp_path / "a project"
    (folder / "configs" / "profiles").mkdir(parents=True)
    return folder


def profile(project: Path, name: str, text: str) -> Path:
    path = project / "configs" / "profiles" / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_lie_in_the_project(project) -> None:
    settings = load_settings(project=project)
    assert settings.profile == "laptop"
    assert settings.home_folder == project / ".mlstats"
    assert settings.store_folder == settings.home_folder
    assert settings.confidential == project / ".mlstats" / "confidential"
    assert settings.runs == project / ".mlstats" / "runs"
    assert settings.models == project / "models"
    assert settings.mlflow_uri == f"sqlite:///{project}/models/mlflow.db"
    assert settings.data_path("data/diary.csv") == project / "data" / "diary.csv"
    assert settings.workers == 1


def test_the_folders_are_absolute_where_the_project_is_not(
    project, monkeypatch
) -> None:
    monkeypatch.chdir(project)
    settings = load_settings()
    assert settings.home_folder == project / ".mlstats"
    assert settings.models == project / "models"


def test_a_profile_gives_defaults(project) -> None:
    profile(project, "office", "workers: 3\ndata: /share\n")
    settings = load_settings(project=project, profile="office")
    assert settings.workers == 3
    assert settings.profile == "office"
    assert settings.data_path("diary.csv") == Path("/share/diary.csv")


def test_an_option_wins_over_a_variable_and_a_variable_over_a_profile(
    project, monkeypatch
) -> None:
    profile(project, "office", "workers: 3\nscale: local\nhome: state\n")
    monkeypatch.setenv("MLSTATS_PROFILE", "office")
    monkeypatch.setenv("MLSTATS_PROJECT", str(project))
    monkeypatch.setenv("MLSTATS_WORKERS", "5")
    assert load_settings().workers == 5
    assert load_settings(workers=7).workers == 7
    assert load_settings().home_folder == project / "state"


def test_a_variable_wins_whatever_its_case(project, monkeypatch) -> None:
    profile(project, "laptop", "workers: 3\n")
    monkeypatch.setenv("mlstats_workers", "5")
    assert load_settings(project=project).workers == 5


def test_the_profiles_that_are_shipped_are_valid(project) -> None:
    shipped = config_folders(project)[-1] / "profiles"
    names = sorted(path.stem for path in shipped.glob("*.yaml"))
    assert {"laptop", "team"} <= set(names)
    for name in names:
        assert load_settings(project=project, profile=name).profile == name


def test_a_profile_that_is_not_there_is_told_with_the_nearest(project) -> None:
    profile(project, "office", "workers: 3\n")
    with pytest.raises(ConfigError) as raised:
        load_settings(project=project, profile="ofice")
    assert raised.value.nearest == "office"
    assert "laptop" in str(raised.value.expected)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("worker: 3\n", "'worker' is not valid"),
        ("workers: many\n", "'workers' is not valid"),
        ("workers: 0\n", "'workers' is not valid"),
        ("- workers\n", "holds no settings"),
        ("workers: [1\n", "cannot be read as YAML"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused(project, text, told) -> None:
    profile(project, "office", text)
    with pytest.raises(ConfigError, match=told) as raised:
        load_settings(project=project, profile="office")
    assert "office" in str(raised.value.where)
    if text.startswith("worker:"):
        assert raised.value.nearest == "workers"


def test_a_profile_that_is_not_yaml_is_told_with_its_line(project) -> None:
    path = profile(project, "office", "workers: 1\nhome: [a\nscale: b\n")
    with pytest.raises(ConfigError) as raised:
        load_settings(project=project, profile="office")
    assert raised.value.where == f"{path}:3"


def test_a_password_in_a_profile_is_refused_and_not_repeated(project) -> None:
    profile(project, "office", "database_url: postgresql://u:hunter2@db/x\n")
    with pytest.raises(ConfigError, match="password") as raised:
        load_settings(project=project, profile="office")
    assert "hunter2" not in str(raised.value)


def test_a_password_of_the_environment_is_not_shown(project, monkeypatch) -> None:
    monkeypatch.setenv("MLSTATS_DATABASE_URL", "postgresql://u:hunter2@db/x")
    monkeypatch.setenv("MLSTATS_TRACKING_URI", "https://u:hunter2@mlflow")
    settings = load_settings(project=project)
    assert settings.database_url.startswith("postgresql://u:hunter2")
    assert settings.mlflow_uri == "https://u:hunter2@mlflow"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "close"),
    [
        ("MLSTATS_WORKER", "MLSTATS_WORKERS"),
        ("MLSTATS_TRACKING_URL", "MLSTATS_TRACKING_URI"),
        ("MLSTATS_STOER", "MLSTATS_STORE"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_right_one(
    project, monkeypatch, variable, close
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigError, match=variable) as raised:
        load_settings(project=project)
    assert raised.value.nearest == close


def test_a_variable_that_is_not_valid_is_told_without_its_value(
    project, monkeypatch
) -> None:
    monkeypatch.setenv("MLSTATS_WORKERS", "hunter2")
    with pytest.raises(ConfigError) as raised:
        load_settings(project=project)
    assert "MLSTATS_WORKERS" in str(raised.value.where)
    assert "hunter2" not in str(raised.value)


def test_an_option_that_is_no_setting_is_refused(project) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings(project=project, worker=2)
    assert raised.value.nearest == "workers"


def test_prefect_keeps_its_state_in_the_project_unless_told_otherwise(
    project, monkeypatch
) -> None:
    load_settings(project=project)
    assert os.environ["PREFECT_HOME"] == str(project / ".mlstats" / "prefect")
    monkeypatch.setenv("PREFECT_HOME", "/srv/prefect")
    load_settings(project=project)
    assert os.environ["PREFECT_HOME"] == "/srv/prefect"


def test_prepare_makes_the_folders_and_may_be_repeated(project) -> None:
    settings = load_settings(project=project)
    for _ in range(2):
        settings.prepare()
        assert settings.runs.is_dir()
        assert settings.models.is_dir()
        assert settings.confidential.is_dir()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_the_confidential_folder_is_for_its_owner_only(project) -> None:
    settings = load_settings(project=project)
    settings.prepare()
    assert settings.confidential.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("folder", [".mlstats", ".mlstats/runs", "models"])
def test_a_store_that_cannot_be_written_is_a_service_error(project, folder) -> None:
    # A file in the folder's place: permissions do not bind every user.
    (project / folder).parent.mkdir(exist_ok=True)
    (project / folder).write_text("in the way", encoding="utf-8")
    with pytest.raises(ServiceError) as raised:
        load_settings(project=project).prepare()
    assert raised.value.exit_code == 4
    assert str(raised.value.where) == str(project / folder)


def test_a_folder_that_may_not_be_written_is_a_service_error(
    project, monkeypatch
) -> None:
    settings = load_settings(project=project)
    settings.prepare()
    monkeypatch.setattr(os, "access", lambda path, mode: path != settings.runs)
    with pytest.raises(ServiceError) as raised:
        settings.prepare()
    assert raised.value.where == str(settings.runs)


def test_every_setting_is_described() -> None:
    described = str(Settings.__doc__)
    for name in Settings.model_fields:
        assert f"    {name} :" in described


# -- the scale -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["local", "tcp://127.0.0.1:8786", "tls://dask.office.example:443", "tcp://[::1]:1"],
)
def test_a_scale_is_local_or_the_address_of_a_scheduler(
    project, monkeypatch, address
) -> None:
    monkeypatch.setenv("MLSTATS_SCALE", address)
    assert load_settings(project=project).scale == address


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("Local", "local"),
        ("dask", "local"),
        ("", "local"),
        ("localhost:8786", "tcp://localhost:8786"),
        ("tcp://dask", "tcp://dask:8786"),
        ("tcp://dask:", "tcp://dask:8786"),
        ("tls://dask/", "tls://dask:8786"),
        ("http://dask:8787/status", "tcp://dask:8786"),
        ("https://dask:9000", "tls://dask:9000"),
        ("tcp://ada:Hush-4711@dask:9000", "tcp://dask:9000"),
    ],
)
def test_another_scale_is_told_with_the_nearest_form(
    project, monkeypatch, given, meant
) -> None:
    monkeypatch.setenv("MLSTATS_SCALE", given)
    with pytest.raises(ConfigError, match="scale .* is not valid") as raised:
        load_settings(project=project)
    assert raised.value.nearest == meant
    assert raised.value.expected == "local, tcp://HOST:PORT or tls://HOST:PORT"
    assert "Hush" not in str(raised.value)
