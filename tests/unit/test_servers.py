"""What `mlstats up` refuses; tests/flows/test_schedules.py starts it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mlstats.errors import ServiceError, UsageError
from mlstats.servers import serve
from mlstats.settings import Settings


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is taken") as told:
            serve(Settings(project=tmp_path), print, port_prefect=port)
    assert "--port-prefect" in str(told.value)


def test_an_mlflow_that_the_project_names_and_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        project=tmp_path, tracking_uri="http://ada:hush@127.0.0.1:9/mlflow"
    )
    with pytest.raises(ServiceError, match="MLSTATS_TRACKING_URI does not") as told:
        serve(settings, print)
    assert "hush" not in str(told.value)
    assert not (settings.home_folder / "servers/running.json").exists()
    assert not (settings.home_folder / "servers/prefect.log").exists()
