"""A Dask cluster that `mlstats up` starts, and what it leaves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from test_dask_cluster import EndTheWorker, square, table

from mlstats.doctor import examine
from mlstats.errors import MethodError
from mlstats.scale import Scale, map_blocks
from mlstats.settings import load_settings
from tests.dask_cluster import IMPORTED
from tests.flows.real_servers import (
    REPOSITORY,
    Office,
    left_of,
    listening,
    serving,
)

pytestmark = pytest.mark.xdist_group("dask")

WORDS = ("--dask-workers", "2", "--no-worker")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    path = os.pathsep.join(str(REPOSITORY / each) for each in IMPORTED)
    project = tmp_path_factory.mktemp("up with Dask")
    with serving(project, words=WORDS, PYTHONPATH=path) as made:
        yield made


@pytest.fixture
def there(office: Office, monkeypatch: pytest.MonkeyPatch) -> Scale:
    """Return the scale of the variable that `up` tells."""
    monkeypatch.setenv("MLSTATS_SCALE", office.addresses["MLSTATS_SCALE"])
    return Scale.of(load_settings())


def test_up_starts_a_cluster_that_works_as_one_process_does(there: Scale) -> None:
    assert there.address.startswith("tcp://127.0.0.1:")
    found = list(map_blocks(table, range(6), workers=there))
    assert found == list(map_blocks(table, range(6)))


def test_doctor_looks_at_the_cluster(there: Scale, office: Office) -> None:
    settings = load_settings(project=office.project)
    found = {each.what: each for each in examine(settings)}["scale"]
    assert found.state == "good"
    assert "2 workers with the versions of this process" in found.found


def test_only_the_loopback_listens(there: Scale, office: Office) -> None:
    found = listening(office.process)
    assert len(found) >= 2 + 4  # MLflow and Prefect too
    assert set(found) == {"127.0.0.1"}


def test_a_block_that_ends_its_worker_each_time_is_one_error_and_they_come_back(
    there: Scale,
) -> None:
    with pytest.raises(MethodError, match="ended each worker"):
        list(map_blocks(EndTheWorker(2), range(6), workers=there))
    assert list(map_blocks(square, range(6), workers=there)) == [0, 1, 4, 9, 16, 25]


def test_up_stops_the_cluster_and_leaves_no_process(office: Office) -> None:
    """Run last: the servers of the tests before are stopped."""
    family = psutil.Process(office.process.pid).children(recursive=True)
    words = [" ".join(words_of(each)) for each in family]
    assert sum("distributed.cli" in each for each in words) == 2
    office.process.send_signal(signal.SIGINT)
    out, _ = office.process.communicate(timeout=120)
    assert office.process.returncode == 0, out
    assert left_of(family) == []


def words_of(process: psutil.Process) -> list[str]:
    """Return a command line; none where a worker that ended is being replaced."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.mark.soak
def test_what_a_killed_up_left_of_dask_is_stopped_by_the_next(tmp_path: Path) -> None:
    with serving(tmp_path, words=WORDS) as killed:
        left = psutil.Process(killed.process.pid).children(recursive=True)
        killed.process.kill()
        killed.process.wait()
        assert any(each.is_running() for each in left)
        with serving(tmp_path, words=WORDS) as second:
            assert left_of(left) == []
            ended = psutil.Process(second.process.pid).children()
            scheduler = next(x for x in ended if "dask_scheduler" in str(x.cmdline()))
            scheduler.kill()
            out, _ = second.process.communicate(timeout=120)
            assert second.process.returncode == 4
            assert "dask-scheduler has ended by itself" in out
