"""Blocks on a real Dask scheduler and real workers, and what becomes of failures."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats import scale_connection, scale_dask, scale_worker
from mlstats.doctor import Finding, _scale
from mlstats.errors import (
    ConfigError,
    ContractError,
    MethodError,
    MlstatsError,
    ServiceError,
)
from mlstats.scale import Scale, map_blocks
from mlstats.settings import Settings
from tests.dask_cluster import DaskCluster, dask_cluster
from tests.ports import free_port

pytestmark = pytest.mark.xdist_group("dask")

PLANTED = "Quackenbush"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskCluster]:
    """Run a scheduler and two workers for all tests that leave them as they are."""
    with dask_cluster() as made:
        yield made


@pytest.fixture
def fresh() -> Iterator[Callable[..., DaskCluster]]:
    """Start clusters that a test may break."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda *args, **more: stack.enter_context(dask_cluster(*args, **more))


# The functions of this part stand at the top of the module: workers import them.


def square(number: int) -> int:
    return number * number


def table(seed: int) -> bytes:
    """Return the bytes of a table that depends on the block alone."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": random.normal(size=50), "code": ["0101"] * 50})
    return frame.to_parquet()


def slowly(number: int) -> tuple[int, int]:
    time.sleep(0.2)
    return number, os.getpid()


class Model:
    """A function that writes down in which process it was unpacked.

    Its first block may wait for one of another process: else, on a busy machine, one
    process may do all of them before the other is there.
    """

    def __init__(self, log: Path, *, waits: bool) -> None:
        self.log = log
        self.weights = np.arange(200_000.0)
        self.waits = waits

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        with self.log.open("a") as log:
            log.write(f"{os.getpid()}\n")

    def __call__(self, number: int) -> tuple[int, float]:
        time.sleep(0.02)
        (self.log.parent / f"at-work-{os.getpid()}").touch()
        end = time.monotonic() + 120
        while self.waits and time.monotonic() < end:
            self.waits = len(list(self.log.parent.glob("at-work-*"))) < 2
            time.sleep(0.02)
        return os.getpid(), float(self.weights[number])


def refuse(number: int) -> int:
    if number == 2:
        failures = pd.DataFrame({"column": ["age"], "count": [3]})
        raise ContractError(
            "A rule is not kept",
            failures=failures,
            where="pilot.yaml:3",
            expected="a number",
            nearest="age",
            hint="mend it",
        )
    return number


def quote_the_record(text: str) -> float:
    return float(text)


def make_a_generator(_: int) -> object:
    return (each for each in [PLANTED])


def fill_the_disk(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "/scratch/part")


class EndTheWorker:
    """Ends the process that is not the test's own."""

    def __init__(self, on: int) -> None:
        self.on = on

    def __call__(self, number: int) -> int:
        if number == self.on:
            os.kill(os.getpid(), signal.SIGKILL)
        return number


class Stopping:
    """Stops its process at a block, as a machine that hangs; other blocks are done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> int:
        if number == 3:
            mark = self.folder / "stopped"
            if not mark.exists():
                mark.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.05)
        return number


class StoppingSlowly(Stopping):
    def __call__(self, number: int) -> int:
        time.sleep(0.4)
        return super().__call__(number)


def counted(n: int, taken: list[int]) -> Iterator[int]:
    for number in range(n):
        taken.append(number)
        yield number


# -- what comes back -------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_a_cluster_gives_the_bytes_that_one_process_gives(cluster, ordered) -> None:
    there = Scale(cluster.address)
    found = list(map_blocks(table, range(12), workers=there, ordered=ordered))
    expected = list(map_blocks(table, range(12)))
    assert (found if ordered else sorted(found)) == (
        expected if ordered else sorted(expected)
    )


def test_no_blocks_give_no_results(cluster) -> None:
    assert list(map_blocks(square, [], workers=Scale(cluster.address))) == []


@pytest.mark.parametrize("where", ["cluster", "processes"])
def test_the_function_is_unpacked_once_in_each_process(
    cluster, tmp_path, where
) -> None:
    there = Scale(cluster.address) if where == "cluster" else 2
    log = tmp_path / "unpacked"
    # The workers of a cluster are there, but Dask may leave one without a block.
    model = Model(log, waits=where == "processes")
    found = list(map_blocks(model, range(30), workers=there))
    assert [weight for _, weight in found] == [float(n) for n in range(30)]
    unpacked = log.read_text().split()
    assert sorted(unpacked) == sorted({str(process) for process, _ in found})
    assert len(unpacked) == 2


@pytest.mark.parametrize("ordered", [True, False])
def test_at_most_two_blocks_for_each_worker_are_on_their_way(cluster, ordered) -> None:
    taken: list[int] = []
    there = Scale(cluster.address)
    results = map_blocks(square, counted(40, taken), workers=there, ordered=ordered)
    assert taken == []
    for used in range(8):
        next(results)
        assert len(taken) <= used + 4
    results.close()
    assert len(taken) < 40


def test_nothing_is_left_on_the_scheduler(cluster) -> None:
    from distributed import Client

    results = map_blocks(slowly, range(40), workers=Scale(cluster.address))
    next(results)
    results.close()
    with Client(cluster.address, set_as_default=False) as client:
        end = time.monotonic() + 60
        while left := client.run_on_scheduler(
            lambda dask_scheduler: sorted(map(str, dask_scheduler.tasks))
        ):
            assert time.monotonic() < end, left
            time.sleep(0.1)


# -- errors of a block -----------------------------------------------------------------


def test_an_error_of_ours_comes_back_whole(cluster) -> None:
    taken: list[int] = []
    with pytest.raises(ContractError) as raised:
        list(map_blocks(refuse, counted(30, taken), workers=Scale(cluster.address)))
    error = raised.value
    assert (error.title, error.where) == ("A rule is not kept", "pilot.yaml:3")
    assert (error.expected, error.nearest, error.hint) == ("a number", "age", "mend it")
    assert list(error.failures["count"]) == [3]
    assert len(taken) < 30


def test_no_record_leaves_in_a_message_or_in_the_logs_of_dask(
    cluster, caplog, capfd
) -> None:
    with pytest.raises(MethodError) as raised:
        list(
            map_blocks(quote_the_record, [PLANTED] * 6, workers=Scale(cluster.address))
        )
    told = "".join(traceback.format_exception(raised.value))
    assert raised.value.title == "A block failed with ValueError"
    assert "(quote_the_record)" in str(raised.value.where)
    shown = capfd.readouterr()
    assert PLANTED not in told + caplog.text + shown.out + shown.err + cluster.logs()


@pytest.mark.parametrize("function", [lambda block: block, make_a_generator])
def test_what_cannot_be_sent_is_told(cluster, function) -> None:
    with pytest.raises(MethodError, match="could not be sent") as raised:
        list(map_blocks(function, range(3), workers=Scale(cluster.address)))
    assert "picklable" in str(raised.value.expected)
    assert "Compute Failed" not in cluster.logs()


@pytest.mark.parametrize("where", ["cluster", "inline"])
def test_a_full_disk_is_a_service_out_of_reach(cluster, where) -> None:
    there = {"cluster": Scale(cluster.address), "inline": 1}[where]
    with pytest.raises(ServiceError, match="cannot be written") as raised:
        list(map_blocks(fill_the_disk, range(3), workers=there))
    assert raised.value.where == "/scratch/part"
    assert "free the disk" in str(raised.value.hint)


# -- workers that do not fit -----------------------------------------------------------


def test_workers_of_another_version_are_refused_by_name(cluster, other_numpy) -> None:
    with pytest.raises(
        ServiceError, match=r"numpy [\d.]+ instead of 1\.0\.0"
    ) as raised:
        list(map_blocks(square, range(3), workers=Scale(cluster.address)))
    assert "numpy 1.0.0" in str(raised.value.expected)
    (found,) = doctor_says(cluster)
    assert found.state == "broken"
    assert "numpy" in found.found


@pytest.fixture
def other_numpy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process have another version than the workers."""
    real = scale_worker.metadata.version
    with monkeypatch.context() as patch:
        patch.setattr(
            scale_worker.metadata,
            "version",
            lambda name: "1.0.0" if name == "numpy" else real(name),
        )
        scale_worker.versions.cache_clear()
        yield
    scale_worker.versions.cache_clear()


def test_doctor_finds_nothing_wrong(cluster) -> None:
    (found,) = doctor_says(cluster)
    assert found.state == "good"
    assert "2 workers" in found.found


def doctor_says(cluster: DaskCluster) -> list[Finding]:
    return list(_scale(Settings(scale=cluster.address)))


def test_a_worker_with_two_threads_is_refused(fresh) -> None:
    made = fresh(0)
    made.start_worker("--nthreads", "2")
    with pytest.raises(ServiceError, match="more than one thread") as raised:
        list(map_blocks(square, range(3), workers=Scale(made.address)))
    assert "--nthreads 1" in str(raised.value.hint)
    (found,) = doctor_says(made)
    assert found.state == "broken"
    assert "up to 2 threads" in found.found


def test_a_cluster_without_workers_is_told_after_a_while(fresh, monkeypatch) -> None:
    monkeypatch.setattr(scale_dask, "_NO_WORKERS", 2.0)
    made = fresh(0)
    with pytest.raises(ServiceError, match="no worker for 2 seconds"):
        list(map_blocks(square, range(3), workers=Scale(made.address)))
    (found,) = doctor_says(made)
    assert found.state == "broken"
    assert "0 workers; start some" in found.found


def test_a_worker_that_comes_later_is_used(fresh) -> None:
    made = fresh(0)
    results = map_blocks(slowly, range(4), workers=Scale(made.address))
    import threading

    thread = threading.Thread(target=made.start_worker)
    thread.start()
    assert [number for number, _ in results] == [0, 1, 2, 3]
    thread.join()


def test_dask_that_is_not_installed_is_told_with_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(scale_connection.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed") as raised:
        map_blocks(square, [1], workers=Scale("tcp://127.0.0.1:8786"))
    assert raised.value.hint == 'pip install "mlstats[dask]"'


# -- what dies -------------------------------------------------------------------------


def test_a_run_goes_on_without_a_worker_that_was_killed(fresh) -> None:
    made = fresh(2)
    results = map_blocks(slowly, range(16), workers=Scale(made.address))
    found = [next(results), next(results)]
    made.workers[0].kill()
    found += list(results)
    assert [number for number, _ in found] == list(range(16))
    assert found[-1][1] == made.workers[1].pid


def test_a_block_that_ends_each_worker_is_one_error(fresh) -> None:
    made = fresh(2, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")
    with pytest.raises(MethodError, match="ended each worker") as raised:
        list(map_blocks(EndTheWorker(2), range(6), workers=Scale(made.address)))
    assert "memory" in str(raised.value.hint)


def test_workers_that_all_end_are_told(fresh, monkeypatch) -> None:
    monkeypatch.setattr(scale_dask, "_NO_WORKERS", 2.0)
    made = fresh(1)
    with pytest.raises(ServiceError, match="no worker for 2 seconds"):
        list(map_blocks(EndTheWorker(2), range(6), workers=Scale(made.address)))


def test_a_worker_that_hangs_does_not_hold_up_the_others(
    cluster, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(scale_dask, "_LATE", 1.0)
    monkeypatch.setattr(scale_dask, "_SILENT", 2.0)
    there = Scale(cluster.address)
    try:
        found = list(map_blocks(Stopping(tmp_path), range(12), workers=there))
        assert found == list(range(12))
        assert (tmp_path / "stopped").exists()
    finally:
        os.kill(int((tmp_path / "stopped").read_text()), signal.SIGCONT)


def test_workers_that_are_lost_while_another_hangs_are_made_up_for(
    fresh, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(scale_dask, "_LATE", 1.0)
    monkeypatch.setattr(scale_dask, "_SILENT", 2.0)
    made, mark = fresh(2), tmp_path / "stopped"
    there, found = Scale(made.address), []
    for number in map_blocks(
        StoppingSlowly(tmp_path), range(24), workers=there, ordered=False
    ):
        found.append(number)
        seconds = time.time() - mark.stat().st_mtime if mark.exists() else 0
        # By now all is sent to the other one alone.
        if seconds > 5 and len(made.workers) == 2:
            hanging = int(mark.read_text())
            next(each for each in made.workers if each.pid != hanging).kill()
            made.start_worker()
    assert len(made.workers) == 3
    assert sorted(found) == list(range(24))


def test_a_scheduler_that_is_killed_is_one_error(fresh) -> None:
    made = fresh(1)
    results = map_blocks(slowly, range(50), workers=Scale(made.address))
    next(results)
    made.scheduler.kill()
    with pytest.raises(ServiceError, match="lost in the middle") as raised:
        list(results)
    assert raised.value.where == made.address
    assert "run it again" in str(raised.value.hint)


def test_a_scheduler_that_hangs_is_one_error(fresh, monkeypatch) -> None:
    made = fresh(1)
    monkeypatch.setattr(scale_connection, "CONNECT", 5.0)
    results = map_blocks(slowly, range(50), workers=Scale(made.address))
    next(results)
    made.scheduler.send_signal(signal.SIGSTOP)
    with pytest.raises(ServiceError, match="does not answer"):
        list(results)


def test_a_scheduler_that_is_not_there_is_one_error(monkeypatch) -> None:
    monkeypatch.setattr(scale_connection, "CONNECT", 2.0)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceError, match="does not answer") as raised:
        list(map_blocks(square, range(3), workers=Scale(address)))
    assert raised.value.where == address
    assert raised.value.expected == "an answer within 2 seconds"
    with pytest.raises(ServiceError, match="does not answer"):
        list(_scale(Settings(scale=address)))


def test_a_spill_folder_that_cannot_be_written_changes_nothing(fresh) -> None:
    made = fresh(
        0,
        DASK_DISTRIBUTED__WORKER__MEMORY__TARGET="0.0001",
        DASK_DISTRIBUTED__WORKER__MEMORY__SPILL="False",
    )
    made.start_worker("--memory-limit", "2GB")
    spill = next((made.folder / "space").rglob("storage"))
    spill.rmdir()
    spill.write_text("no folder any more")
    found = list(map_blocks(megabytes, range(3), workers=Scale(made.address)))
    assert [len(each) for each in found] == [2_000_000] * 3
    assert "Spill to disk failed" in made.logs()


def megabytes(_: int) -> bytes:
    return bytes(2_000_000)


def test_errors_of_ours_can_be_pickled() -> None:
    def kinds(base: type[MlstatsError]) -> Iterator[type[MlstatsError]]:
        yield base
        for kind in base.__subclasses__():
            yield from kinds(kind)

    for kind in kinds(MlstatsError):
        error = kind("It failed", where="w", expected="e", nearest="n", hint="h")
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert vars(again) == vars(error)
        assert str(again) == str(error)
