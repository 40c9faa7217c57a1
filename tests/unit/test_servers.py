"""What `mlstats up` refuses; tests/flows/test_schedules.py starts it."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlstats import servers
from mlstats.errors import ServiceError, UsageError
from mlstats.processes import running
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


def test_nothing_is_asked_of_a_server_that_took_the_port_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two projects find the same port free: whose server comes second has ended."""
    asked: set[str] = set()

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.add(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    short = ["timeit", "-n", "1", "-r", "1", "import time; time.sleep(2)"]
    monkeypatch.setattr(
        servers,
        "_prefect",
        lambda folder, _: running(
            "prefect", short, folder / "log", cwd=tmp_path, environment={}
        ),
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        monkeypatch.setattr(servers, "_port", lambda *_: other.server_port)
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{other.server_port}"
        settings = Settings(project=tmp_path, tracking_uri=address)
        with pytest.raises(ServiceError, match="prefect has ended by itself"):
            serve(settings, print, worker=False)
        other.shutdown()
        thread.join()
    assert asked == {"/health", "/api/health"}
