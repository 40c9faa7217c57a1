"""The flow of a period on a real server: killed, with faults, and what it tells."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from mlstats.decision_log import DecisionLog
from mlstats.decisions import faults
from mlstats.period import ReferencePeriod
from mlstats.releases import Release, ReleaseStore
from mlstats.settings import Settings, load_settings
from tests.flows.canary import find
from tests.ports import free_port
from tests.production_example import Office, appoint, office

pytestmark = pytest.mark.xdist_group("kills")

REPOSITORY = Path(__file__).parents[2]
PATHS = [str(REPOSITORY / "src"), str(REPOSITORY)]
FIRST, NEXT = "2026-02", "2026-03"
PLAIN = """
import sys
from mlstats.production import produce
from mlstats.settings import load_settings
produce("diaries", sys.argv[1], load_settings(project=sys.argv[2]))
"""
FLOW = """
import sys
from mlstats.settings import load_settings
load_settings()
from pipelines.start import run_produce
run_produce("diaries", sys.argv[1])
"""


@dataclass(frozen=True)
class Works:
    """A project with one release, and what an undisturbed run makes of the next.

    Its seconds are those of processors, which another load of the machine leaves as
    they are: at a share of them a run is as far as that.
    """

    settings: Settings
    first: Release
    files: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start one Prefect server for all flows; a killed run would leave its own."""
    port = str(free_port())
    home = tmp_path_factory.mktemp("prefect")
    words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    server = subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "PREFECT_HOME": str(home), "DO_NOT_TRACK": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/api"
    try:
        end = time.monotonic() + 180
        while not _healthy(address):
            assert server.poll() is None
            assert time.monotonic() < end
            time.sleep(0.5)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PREFECT_API_URL", address)
            yield home
    finally:
        server.terminate()
        server.wait(timeout=120)


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as told:
            return bool(told.status == 200)
    except OSError:
        return False


def start(code: str, period: str, project: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "MLSTATS_PROJECT": str(project),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, period, str(project)],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def worked(process: subprocess.Popen[bytes], seconds: float = inf) -> float:
    """Wait until a process has worked so long, or has ended; return how long it has.

    What it started counts too.
    """
    end, seen = time.monotonic() + 300, 0.0
    while process.poll() is None and seen < seconds:
        assert time.monotonic() < end
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(process.pid)
            family = [first, *first.children(recursive=True)]
            seen = max(seen, sum(sum(each.cpu_times()[:4]) for each in family))
        time.sleep(0.02)
    return seen


def works(project: Path, code: str) -> Works:
    """Make the project, release a period, and see what the next one will be."""
    made: Office = office(project)
    appoint(made.settings, made.linear, "production")
    assert start(code, FIRST, project).wait(timeout=300) == 0
    beside = project.with_name("undisturbed")
    shutil.copytree(project, beside)
    process = start(code, NEXT, beside)
    took = worked(process)
    assert process.returncode == 0
    undisturbed = ReleaseStore(load_settings(project=beside).releases)
    release = undisturbed.current("diaries", NEXT)
    first = ReleaseStore(made.settings.releases).current("diaries", FIRST)
    assert release is not None
    assert first is not None
    return Works(made.settings, first, dict(release.files), took)


def killed(at_work: Works, code: str, after: float) -> bool:
    """Kill a run after so much work; return whether it was still at work.

    All that is there is whole.
    """
    settings = at_work.settings
    process = start(code, NEXT, settings.project)
    worked(process, after)
    alive = process.poll() is None
    if alive:
        process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    store = ReleaseStore(settings.releases)
    for period in (FIRST, NEXT):
        for release in store.revisions("diaries", period):
            assert store.verify(release) == []
    held = store.current("diaries", FIRST)
    assert held is not None
    assert (held.number, held.files) == (1, at_work.first.files)
    assert faults(DecisionLog(settings.database).read("diaries")) == []
    assert len(DecisionLog(settings.database).read("diaries")) == 7
    return alive


def completes(at_work: Works, code: str) -> None:
    """Run to the end, compare with the undisturbed run, and clear the period."""
    settings = at_work.settings
    deadline = time.monotonic() + 300
    while start(code, NEXT, settings.project).wait(timeout=300) != 0:
        # The lock of a killed run ends with its last process.
        assert time.monotonic() < deadline
    store = ReleaseStore(settings.releases)
    release = store.current("diaries", NEXT)
    assert release is not None
    assert dict(release.files) == at_work.files  # byte for byte
    assert [one.number for one in store.revisions("diaries", NEXT)] == [release.number]
    shutil.rmtree(settings.releases / "diaries" / NEXT)


def kills(at_work: Works, code: str, times: int, *, seed: int, every: int) -> int:
    rng = np.random.default_rng(seed)
    hit = 0
    for number in range(times):
        hit += killed(at_work, code, float(rng.uniform(0.0, 1.05 * at_work.seconds)))
        if number % every == every - 1:
            completes(at_work, code)
    return hit


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
@pytest.mark.soak
def test_two_hundred_kills_of_the_plain_function(tmp_path: Path) -> None:
    at_work = works(tmp_path / "office", PLAIN)
    assert kills(at_work, PLAIN, 200, seed=7, every=20) > 150


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
@pytest.mark.usefixtures("prefect")
def test_ten_kills_of_the_flow(tmp_path: Path) -> None:
    at_work = works(tmp_path / "office", FLOW)
    assert kills(at_work, FLOW, 10, seed=8, every=5) >= 5


@pytest.mark.usefixtures("prefect")
def test_the_flow_and_the_function_make_the_same(tmp_path: Path) -> None:
    """What a flow releases is what its plain function does."""
    made = office(tmp_path / "office")
    appoint(made.settings, made.linear, "production")
    other = tmp_path / "other"
    shutil.copytree(made.settings.project, other)
    both = [replace(made), replace(made, settings=load_settings(project=other))]
    for one, code in zip(both, (PLAIN, FLOW), strict=True):
        assert start(code, NEXT, one.settings.project).wait(timeout=300) == 0
    files = []
    for one in both:
        release = ReleaseStore(one.settings.releases).current("diaries", NEXT)
        assert release is not None
        files.append(release.files)
    assert files[0] == files[1]


# -- what is told, and when something is out of reach ----------------------------------


def planted(project: Path) -> None:
    """Plant a name, an id and a household in the data of a period."""
    path = project / f"data/products_{NEXT}.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[3:5, "description"] = "parcel for Zebulon Quackenbush"
    frame.loc[7, "line_id"] = "CANARY0007"
    frame.loc[9, "household_id"] = "HHCANARY9"
    frame.to_csv(path, index=False)


def test_no_record_reaches_the_server(tmp_path: Path, prefect: Path) -> None:
    made = office(tmp_path / "office")
    appoint(made.settings, made.linear, "production")
    project = made.settings.project
    planted(project)
    assert start(FLOW, NEXT, project).wait(timeout=300) == 0
    broken = project / f"data/products_{FIRST}.csv"  # and one that fails
    broken.write_text("line_id,note\nCANARY0007,Zebulon Quackenbush\n")
    assert start(FLOW, FIRST, project).wait(timeout=300) != 0
    hidden = [made.settings.confidential, made.settings.releases]
    home = made.settings.home_folder
    files = [
        path
        for path in [*prefect.rglob("*"), *home.rglob("*")]
        if path.is_file() and not any(place in path.parents for place in hidden)
    ]
    assert any(path.suffix == ".db" for path in files)
    words = ["Quackenbush", "Zebulon", "CANARY0007", "HHCANARY9"]
    assert find(words, files) == []


def command(
    project: Path, *words: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlstats", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), **more},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def due_now() -> ReferencePeriod:
    return ReferencePeriod.containing(datetime.now(UTC).date(), "M").previous()


@pytest.mark.usefixtures("prefect")
def test_the_command_line_tells_by_its_status(tmp_path: Path) -> None:
    made = office(tmp_path / "office")
    appoint(made.settings, made.linear, "production")
    project = made.settings.project
    asked = ("produce", "diaries", "--period", NEXT)
    done = command(project, *asked, MLSTATS_TRACKING_URI="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr  # MLflow is not needed
    assert "Released (provisional): diaries/2026-03/r0001" in done.stdout
    (made.settings.confidential / "models" / made.linear).rename(tmp_path / "away")
    fallen = command(project, "produce", "diaries", "--period", "2026-04")
    assert fallen.returncode == 6, fallen.stderr
    assert "fallback (model): The confidential store does not hold" in fallen.stdout
    gone = command(project, *asked, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert gone.returncode == 4
    assert "Prefect did not run the flow to its end" in gone.stderr
    wrong = command(project, "produce", "diaries", "--period", "2026-13")
    assert wrong.returncode == 2
    (project / f"data/products_{FIRST}.csv").unlink()
    lacking = command(project, "produce", "diaries", "--period", FIRST)
    assert lacking.returncode == 3
    assert f"products_{FIRST}.csv" in lacking.stderr
    due = [due_now()]
    today = command(project, "produce", "diaries")
    due.append(due_now())  # another one where a month has ended meanwhile
    assert today.returncode == 3
    assert any(f"products_{period}.csv" in today.stderr for period in due)
    store = ReleaseStore(made.settings.releases)
    assert store.periods("diaries") == ["2026-03", "2026-04"]
