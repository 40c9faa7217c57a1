from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from mlstats import scale
from mlstats.block_calls import ATTEMPTS, GAVE_UP
from mlstats.errors import ConfigError, MethodError, MlstatsError, TimeBudgetError
from mlstats.scale import Scale, map_blocks, progress, row_blocks
from mlstats.settings import load_settings
from tests.conftest import REPOSITORY

# The functions of this part stand at the top of the module: processes import them.


def square(number: int) -> int:
    return number * number


def process_and_threads(_: int) -> tuple[int, str | None, int]:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((8, 8)) @ np.ones((8, 8))
    threads = [pool["num_threads"] for pool in threadpool_info()]
    return os.getpid(), os.environ.get("OMP_NUM_THREADS"), max(threads, default=1)


def refuse_the_third(number: int) -> int:
    if number == 2:
        raise ConfigError("Unknown key", where="pilot.yaml:3", nearest="source")
    return number


def quote_the_record(number: int) -> int:
    if number == 2:
        raise ValueError("could not convert Mrs Planted to a number")
    return number


def quote_the_record_behind_an_error_of_ours(_: int) -> int:
    try:
        return int("Mrs Planted")
    except ValueError as error:
        raise MethodError("A code could not be read") from error


def end_the_process(_: int) -> None:
    os._exit(1)


class EndTheProcess:
    """Ends its process at some blocks so many times; a folder tells how often."""

    def __init__(self, folder: Path, at: dict[int, int], code: int = 1) -> None:
        self.folder, self.at, self.code = folder, at, code

    def __call__(self, number: int) -> int:
        begun = len(list(self.folder.glob(f"{number}-*")))
        (self.folder / f"{number}-{begun}-{os.getpid()}").touch()
        if begun < self.at.get(number, 0):
            os._exit(self.code)
        return number * number


def make_a_lock(_: int) -> object:
    return threading.Lock()


def counted(n: int, taken: list[int]) -> Iterator[int]:
    for number in range(n):
        taken.append(number)
        yield number


# Inline


def test_one_worker_works_inline_and_block_by_block() -> None:
    taken: list[int] = []
    results = map_blocks(lambda block: (block, os.getpid()), counted(5, taken))
    assert next(results) == (0, os.getpid())
    assert taken == [0]
    assert [block for block, _ in results] == [1, 2, 3, 4]


def test_no_blocks_give_no_results() -> None:
    assert list(map_blocks(square, [])) == []
    assert list(map_blocks(square, [], workers=2)) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused_at_once(workers) -> None:
    with pytest.raises(ConfigError, match=f"{workers} workers"):
        map_blocks(square, [1], workers=workers)


# Processes


@pytest.mark.parametrize("ordered", [True, False])
def test_processes_give_what_one_worker_gives(ordered) -> None:
    found = list(map_blocks(square, range(20), workers=2, ordered=ordered))
    expected = list(map_blocks(square, range(20)))
    assert (found if ordered else sorted(found)) == expected


def test_processes_are_others_and_use_one_thread_each(monkeypatch) -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "2")
    found = list(map_blocks(process_and_threads, range(4), workers=2))
    assert os.getpid() not in {process for process, _, _ in found}
    assert {(variable, threads) for _, variable, threads in found} == {("1", 1)}


def test_workers_end_with_a_parent_that_was_killed() -> None:
    code = (
        "from mlstats.scale import map_blocks\n"
        "from tests.unit.test_scale import square\n"
        "for one in map_blocks(square, iter(int, 1), workers=2): print(one, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    # The pipe ends when the last process that holds it, a worker's too, has ended.
    process.communicate(timeout=120)


@pytest.mark.parametrize("ordered", [True, False])
def test_blocks_are_read_only_as_fast_as_results_are_taken(ordered) -> None:
    taken: list[int] = []
    results = map_blocks(square, counted(50, taken), workers=2, ordered=ordered)
    assert taken == []
    for used in range(10):
        next(results)
        assert len(taken) <= used + 4
    results.close()
    assert len(taken) < 50
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("ordered", [True, False])
def test_the_first_error_ends_the_map(ordered) -> None:
    taken: list[int] = []
    found: list[int] = []
    blocks = counted(50, taken)
    with pytest.raises(ConfigError) as raised:
        found.extend(map_blocks(refuse_the_third, blocks, workers=2, ordered=ordered))
    assert raised.value.where == "pilot.yaml:3"
    assert raised.value.nearest == "source"
    assert len(taken) < 50
    assert multiprocessing.active_children() == []
    if ordered:
        assert found == [0, 1]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_another_kind_is_told_without_its_message(workers) -> None:
    with pytest.raises(MethodError) as raised:
        list(map_blocks(quote_the_record, range(5), workers=workers))
    told = "".join(traceback.format_exception(raised.value))
    assert raised.value.title == "A block failed with ValueError"
    assert "test_scale.py" in str(raised.value.where)
    assert "(quote_the_record)" in str(raised.value.where)
    assert "Planted" not in told


@pytest.mark.parametrize("workers", [1, 2])
def test_what_an_error_of_ours_came_from_is_not_told(workers) -> None:
    with pytest.raises(MethodError) as raised:
        list(map_blocks(quote_the_record_behind_an_error_of_ours, [1], workers=workers))
    told = "".join(traceback.format_exception(raised.value))
    assert raised.value.title == "A code could not be read"
    assert "Planted" not in told


def test_a_process_that_ends_is_told_with_what_to_do() -> None:
    with pytest.raises(MethodError, match="ended before") as raised:
        list(map_blocks(end_the_process, range(9), workers=2))
    assert "MLSTATS_WORKERS" in str(raised.value.hint)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("at", [{0: 1}, {8: 1}, {2: 1, 5: 1}])
def test_blocks_of_a_process_that_ended_are_begun_again(
    tmp_path, caplog, ordered, at
) -> None:
    work = EndTheProcess(tmp_path, at)
    found = list(map_blocks(work, range(9), workers=2, ordered=ordered))
    assert (found if ordered else sorted(found)) == [n * n for n in range(9)]
    told = [record.message for record in caplog.records]
    assert 1 <= sum("ended" in one for one in told) <= len(at)
    assert not multiprocessing.active_children()


def test_a_block_that_always_ends_its_process_is_given_up(tmp_path) -> None:
    work = EndTheProcess(tmp_path, {3: 99})
    with pytest.raises(MethodError, match="ended before"):
        list(map_blocks(work, range(9), workers=2))
    assert len(list(tmp_path.glob("3-*"))) == ATTEMPTS
    assert not multiprocessing.active_children()


def test_a_process_that_gives_a_block_up_is_not_given_it_again(tmp_path) -> None:
    work = EndTheProcess(tmp_path, {3: 99}, code=GAVE_UP)
    with pytest.raises(MethodError, match="ended before"):
        list(map_blocks(work, range(9), workers=2))
    assert len(list(tmp_path.glob("3-*"))) == 1
    assert not multiprocessing.active_children()


def test_a_process_that_was_killed_from_outside_does_not_end_the_work(tmp_path) -> None:
    found = []
    for number in map_blocks(EndTheProcess(tmp_path, {}), range(30), workers=2):
        found.append(number)
        if len(found) == 5:
            multiprocessing.active_children()[0].kill()
    assert found == [n * n for n in range(30)]


@pytest.mark.parametrize("function", [lambda block: block, make_a_lock])
def test_what_cannot_be_sent_to_or_from_a_process_is_told(function) -> None:
    with pytest.raises(MethodError, match="could not be sent") as raised:
        list(map_blocks(function, range(3), workers=2))
    assert "picklable" in str(raised.value.expected)


# Blocks of rows


@pytest.mark.parametrize(
    ("n_rows", "size", "lengths"),
    [(0, 3, []), (1, 3, [1]), (3, 3, [3]), (4, 3, [3, 1]), (9, 3, [3, 3, 3])],
)
def test_blocks_of_rows_part_the_rows(n_rows, size, lengths) -> None:
    rows = list(range(n_rows))
    blocks = [rows[block] for block in row_blocks(n_rows, size)]
    assert [len(block) for block in blocks] == lengths
    assert sum(blocks, []) == rows


@pytest.mark.parametrize("size", [0, -1])
def test_a_block_without_rows_is_refused_at_once(size) -> None:
    with pytest.raises(MlstatsError):
        row_blocks(5, size)


# Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(scale.time, "monotonic", lambda: now[0])
    return now


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_is_logged_at_most_once_a_minute(
    clock, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    caplog.set_level(logging.INFO, logger="mlstats.scale")
    found = []
    for item in progress(range(10), 10, "Tiles"):
        found.append(item)
        clock[0] += 25.0
    assert found == list(range(10))
    assert caplog.messages == [
        "Tiles: 3 of 10 done",
        "Tiles: 6 of 10 done",
        "Tiles: 9 of 10 done",
    ]
    assert sys.stderr.getvalue() == ""


def test_a_short_step_logs_nothing(clock, monkeypatch, caplog) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    caplog.set_level(logging.INFO, logger="mlstats.scale")
    assert list(progress("abc", 3, "Tiles")) == ["a", "b", "c"]
    assert caplog.messages == []


def test_a_total_that_is_not_known_is_left_out(clock, monkeypatch, caplog) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    caplog.set_level(logging.INFO, logger="mlstats.scale")
    for _ in progress(iter("abc"), None, "Tiles"):
        clock[0] += 61.0
    assert caplog.messages == ["Tiles: 1 done", "Tiles: 2 done"]


def test_on_a_terminal_a_bar_is_shown(monkeypatch, caplog) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    caplog.set_level(logging.INFO, logger="mlstats.scale")
    assert list(progress(iter(range(3)), 3, "Tiles")) == [0, 1, 2]
    assert "Tiles" in sys.stderr.getvalue()
    assert "100%" in sys.stderr.getvalue()
    assert caplog.messages == []


# -- a process of its own --------------------------------------------------------------


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return "awake"


def _speak(word: str) -> str:
    raise ValueError(f"could not convert {word}")


def test_an_isolated_function_returns_what_it_found() -> None:
    assert scale.isolated(_wait, 0.0, seconds=60.0) == "awake"


def test_an_isolated_function_is_ended_after_its_time() -> None:
    began = time.monotonic()
    with pytest.raises(TimeBudgetError, match="budget of 2 seconds"):
        scale.isolated(_wait, 600.0, seconds=2.0)
    assert time.monotonic() - began < 120  # it did not wait for the function
    assert multiprocessing.active_children() == []


def test_a_process_that_ends_does_not_end_the_caller() -> None:
    with pytest.raises(MethodError, match="ended before its block was done"):
        scale.isolated(os._exit, 139, seconds=60.0)


def test_what_an_isolated_function_says_stays_inside() -> None:
    with pytest.raises(MethodError) as told:
        scale.isolated(_speak, "Quackenbush", seconds=60.0)
    assert "Quackenbush" not in str(told.value)


# -- a scale ---------------------------------------------------------------------------


def test_a_scale_is_what_the_settings_say(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MLSTATS_WORKERS", "3")
    assert Scale.of(load_settings(project=tmp_path)) == Scale("local", 3)
    monkeypatch.setenv("MLSTATS_SCALE", "tls://dask:8786")
    assert Scale.of(load_settings(project=tmp_path)).address == "tls://dask:8786"


def test_a_scale_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="scale 'dask:8786' is not valid") as raised:
        Scale("dask:8786")
    assert raised.value.nearest == "tcp://dask:8786"
    with pytest.raises(ConfigError, match="0 workers cannot work"):
        Scale(workers=0)


def test_a_local_scale_works_as_its_number_of_workers() -> None:
    assert list(map_blocks(square, range(5), workers=Scale())) == [0, 1, 4, 9, 16]
    found = list(map_blocks(process_and_threads, range(4), workers=Scale(workers=2)))
    assert os.getpid() not in {process for process, _, _ in found}
