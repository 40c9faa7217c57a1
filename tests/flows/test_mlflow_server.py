"""Decisions beside a real tracking server: a copy that may be away, and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import pytest

from mlstats import dataset, evaluate, publishing, runs
from mlstats.decision_audit import audit
from mlstats.errors import ServiceError
from mlstats.identity import operating_system_user
from mlstats.registry import read_registry
from mlstats.settings import Settings, load_settings
from mlstats.tracking import connected
from tests.flows.conftest import diaries
from tests.flows.promoting import ADA, MEI, WHY, desk
from tests.flows.test_promotion import call
from tests.ports import free_port

pytestmark = pytest.mark.xdist_group("mlflow")

WAIT = 180  # seconds that a busy machine may take to start a server
PILOT = """
pilot: canary
theme: coding
owner: {author: ME, roles: {methodologist: ada, subject_owner: mei}}
data:
  source: diaries.csv
  synthetic: true
  roles: {unit_id: line, text: [what], target: code, cluster: home}
  classification: {file: classifications/canary.csv, parent: parent}
methods:
  exact:  {kind: traditional, use: mlstats.coding.ExactIndex}
  linear: {kind: ml, use: mlstats.coding.LinearText}
baseline: exact
candidate: linear
evaluate:
  split: {by: random, test: 0.3, valid: 0.2}
  bootstrap: 50
  truth_seen: []
gates:
  - {measure: accuracy, versus: baseline, margin: 0.1}
  - {measure: accuracy, versus: baseline, margin: 0.1, to: production}
production: {shadow: {live: 0, back_cast: 0}}  # another test is about these
"""


@dataclass
class Server:
    """A tracking server on loopback; its state lies in a folder and outlives it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        words = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        words += ["--artifacts-destination", str(self.folder / "artifacts")]
        words += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *words],
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=log,
                start_new_session=True,  # its own workers end with it
            )
        for _ in range(WAIT * 5):
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            if self.healthy():
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "server.log").read_text())

    def healthy(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=5) as said:
                return said.status == 200
        except (URLError, OSError):
            return False

    def stop(self) -> None:
        """End it and what it started, by the id of its process."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(30)
            self.process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), free_port())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def office(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Run a pilot with the server for its record."""
    write_pilot(tmp_path)
    monkeypatch.setenv("MLSTATS_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = load_settings(project=tmp_path)
    run_pilot(settings)
    return settings


def write_pilot(project: Path) -> None:
    """Write the planted pilot, its data and its classification."""
    for name in ("configs/pilots", "configs/classifications"):
        (project / name).mkdir(parents=True)
    diaries().to_csv(project / "diaries.csv", index=False)
    (project / "configs/pilots/canary.yaml").write_text(
        PILOT.replace("ME", operating_system_user().name)
    )
    (project / "configs/classifications/canary.csv").write_text(
        "code,title,parent\n01,food,\n03,clothes,\n"
        "01.1,food,01\n01.2,drinks,01\n03.1,clothing,03\n"
    )


def run_pilot(settings: Settings) -> None:
    """Take the steps of the flow, without Prefect's server beside that of MLflow."""
    run = runs.prepare("canary", settings)
    data = dataset.part(dataset.load(run.pilot, settings)[0], run.pilot)
    with runs.working_folder(run) as folder:
        done = [
            evaluate.run_method(run.pilot, name, data, settings)
            for name in run.pilot.methods
        ]
        found, scorecard, drifted = runs.evaluate_methods(run, data, done)
        gates = runs.judge(run, scorecard)
        shown = runs.build_report(run, data, found, scorecard, gates, drifted, done)
        compared = runs.compared(data)
        outcome = publishing.publish(run, folder, compared, found, shown, done)
    publishing.conclude(run, outcome)


def copied(office: Settings) -> tuple[dict[str, int], dict[int, str]]:
    """Return the aliases and the tags `stage` that the server has."""
    held = read_registry(office, "canary")
    stages = {v: one.tags["stage"] for v, one in held.versions.items()
              if "stage" in one.tags}  # fmt: skip
    return dict(held.aliases), stages


def states(office: Settings) -> set[str]:
    return {notice.state for notice in audit(office)}


def test_a_champion_on_a_server_that_goes_away_and_comes_back(
    office: Settings, server: Server
) -> None:
    before, _ = copied(office)
    exact, linear = before["baseline"], before["challenger"]
    desk(office, "canary").promote("valid", reason=WHY)
    for to in ("shadow", "production"):
        for who, role in ((ADA, "methodologist"), (MEI, "subject_owner")):
            desk(office, "canary", who).sign(to, role=role, reason=WHY)
        desk(office, "canary").promote(to, reason=WHY)
    aliases, stages = copied(office)
    assert aliases == {"baseline": exact, "champion": linear}
    assert stages == {linear: "production"}
    with connected(office) as (served, _):
        model = served.pyfunc.load_model("models:/canary@champion")
    assert model.predict(pd.DataFrame({"text": ["milk fresh"]}))["code"][0] == "01.1"

    server.stop()
    words = ["promote", "canary", "--to", "suspended", "--reason", "wrong input"]
    said = call(*words, code=4)
    assert "The decision is recorded; its copy is not" in said
    assert "mlstats promote canary --repair" in said
    rows = desk(office, "canary").log.read("canary")
    assert (rows[-1].version, rows[-1].stage_to) == (linear, "suspended")
    # What has to ask the server decides nothing; nor does a run begin.
    for ask in (
        lambda: desk(office, "canary").lacks("production", version=linear),
        lambda: desk(office, "canary").repair(),
        lambda: runs.prepare("canary", office),
    ):
        with pytest.raises(ServiceError, match="MLflow does not answer") as caught:
            ask()
        assert caught.value.exit_code == 4
    assert desk(office, "canary").log.read("canary") == rows
    assert len(list((office.runs / "canary").glob("*-canary"))) == 1

    server.start()
    assert copied(office) == (aliases, stages)  # the copy is as old as it was
    assert "doubtful" in states(office)
    said = call("promote", "canary", "--repair")
    assert f"alias champion: version {linear}, the log: none" in said
    assert copied(office) == ({"baseline": exact}, {linear: "suspended"})
    assert states(office) == {"good"}
    assert desk(office, "canary").log.read("canary") == rows
