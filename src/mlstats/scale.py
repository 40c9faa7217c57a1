"""One map over blocks of rows or tiles, and its progress.

Everything that is too large for one piece goes through :func:`map_blocks`: inline,
by processes of this machine, or by the workers of a Dask cluster.

An error that crosses from a block to the caller never carries the content of a
record. Errors of :mod:`mlstats.errors` are written so and pass as they are; of any
other only the type and the line of code are told, because the message of a failed
conversion quotes the value.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from mlstats.block_calls import (
    GAVE_UP,
    guarded,
    packed,
    result_of,
    results,
    use_one_thread,
    worker_ended,
)
from mlstats.errors import ConfigError, TimeBudgetError
from mlstats.settings import LOCAL, Settings, scale_address

__all__ = ["LOCAL", "Scale", "isolated", "map_blocks", "progress", "row_blocks"]

_Block = TypeVar("_Block")
_Result = TypeVar("_Result")

_LOG = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 60.0


@dataclass(frozen=True)
class Scale:
    """Where blocks are worked on: by processes of this machine, or by a Dask cluster.

    Parameters
    ----------
    address : str, default="local"
        ``local``, or the address of a Dask scheduler (``tcp://``, ``tls://``).
    workers : int, default=1
        Processes of this machine; a cluster has as many as it has.

    Raises
    ------
    ConfigError
        Where the address is none, or there is not one worker.
    """

    address: str = LOCAL
    workers: int = 1

    def __post_init__(self) -> None:
        scale_address(self.address)
        if self.workers < 1:
            raise ConfigError(
                f"{self.workers} workers cannot work",
                where="workers",
                expected="1 or more",
                nearest="1",
            )

    @classmethod
    def of(cls, settings: Settings) -> Scale:
        """Return what ``MLSTATS_SCALE`` and ``MLSTATS_WORKERS`` say."""
        return cls(settings.scale, settings.workers)


def map_blocks(
    function: Callable[[_Block], _Result],
    blocks: Iterable[_Block],
    *,
    workers: int | Scale = 1,
    ordered: bool = True,
    apart: bool = False,
) -> Iterator[_Result]:
    """Yield `function` of every block.

    Parameters
    ----------
    function : callable
        Takes a block. With more than one worker it must be importable, that is,
        defined at the top of a module, or an object of such a class that holds, say,
        a model; it is sent to each worker once. Blocks and results must be picklable.
        A block may be worked on twice, where a worker is lost or, on a cluster, slow,
        so the function must have no effects besides its result.
    blocks : iterable
        Read only as fast as results are taken: at most ``2 * workers`` blocks are
        in memory at a time.
    workers : int or Scale, default=1
        Processes of this machine; 1 works inline, without a process and without
        pickling. A scale with the address of a Dask scheduler: its workers. The
        numerical libraries of each process use one thread.
    ordered : bool, default=True
        Results in the order of the blocks, else as they are ready.
    apart : bool, default=False
        Whether one worker too is a process of its own, whose end is not the caller's.

    Yields
    ------
    object
        The result of a block.

    Raises
    ------
    ConfigError
        Where `workers` is less than 1, and where Dask is not installed.
    MlstatsError
        What the first failing block raised; no further block is begun.
    ServiceError
        Where a disk refuses, or the cluster is out of reach, has no workers or other
        versions than this process.
    MethodError
        In place of any other exception, with its type and place only, and where
        workers end each time that a block is begun.
    """
    scale = workers if isinstance(workers, Scale) else Scale(workers=workers)
    if scale.address != LOCAL:
        from mlstats.scale_dask import map_on_dask

        return map_on_dask(function, blocks, scale.address, ordered=ordered)
    if scale.workers == 1 and not apart:
        return (guarded(function, block) for block in blocks)
    return _map_in_processes(function, blocks, scale.workers, ordered)


def isolated(function: Callable[..., _Result], *given: Any, seconds: float) -> _Result:
    """Return ``function(*given)`` of a process of its own, ended after `seconds`.

    What the function does to its process, even ending it, does not reach the caller.

    Parameters
    ----------
    function : callable
        Defined at the top of a module; what it is given and returns is pickled.
    seconds : float
        From the start of the process.

    Raises
    ------
    TimeBudgetError
        Where it took longer.
    MlstatsError
        What it raised.
    MethodError
        In place of any other exception, and where the process ended.
    """
    pool, task = _pool(1, packed(_call)), packed((function, given))
    try:
        done = pool.submit(_run, task)
        if not wait([done], timeout=seconds).done:
            raise TimeBudgetError(
                f"It was ended after its budget of {seconds:g} seconds",
                where="production.time_budget",
            )
        found: _Result = result_of(done)
        return found
    except BrokenExecutor:
        raise worker_ended() from None
    finally:
        # A process that does not return would hold up the end of the pool.
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


def _call(task: tuple[Callable[..., _Result], tuple[Any, ...]]) -> _Result:
    function, given = task
    return function(*given)


def row_blocks(n_rows: int, size: int) -> Iterator[slice]:
    """Yield the slices that part `n_rows` rows into blocks of at most `size`.

    Examples
    --------
    >>> list(row_blocks(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    if size < 1:
        raise ConfigError(f"A block of {size} rows is none", expected="1 or more")
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def progress(
    iterable: Iterable[_Block], total: int | None, title: str
) -> Iterator[_Block]:
    """Yield the items and show how far they are: a bar, or a line a minute in the log.

    Parameters
    ----------
    iterable : iterable
        The items.
    total : int or None
        How many there are; None where that is not known.
    title : str
        What is being done; never the content of a record.

    Yields
    ------
    object
        The items as they are.
    """
    if sys.stderr.isatty():
        return _with_bar(iterable, total, title)
    return _with_lines(iterable, total, title)


def _map_in_processes(
    function: Callable[[_Block], _Result],
    blocks: Iterable[_Block],
    workers: int,
    ordered: bool,
) -> Iterator[_Result]:
    pool = _Processes(workers, packed(function))
    try:
        yield from results(blocks, pool.submit, pool.limit, ordered, pool.renew)
    finally:
        pool.end()


class _Processes:
    """A pool of processes, in whose place another comes where one of them ended."""

    def __init__(self, workers: int, function: bytes) -> None:
        self._workers = workers
        self._function = function
        self._pool = _pool(workers, function)

    def submit(self, block: bytes) -> Future[Any]:
        return self._pool.submit(_run, block)

    def limit(self) -> int:
        return 2 * self._workers

    def renew(self) -> None:
        ended = list((getattr(self._pool, "_processes", None) or {}).values())
        self.end()
        if GAVE_UP in {process.exitcode for process in ended}:
            raise worker_ended()
        _LOG.warning("A worker process ended; the blocks it had are begun again")
        self._pool = _pool(self._workers, self._function)

    def end(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int, function: bytes) -> ProcessPoolExecutor:
    # "spawn" on every system: a forked child inherits locked threads and the
    # connections of MLflow and Prefect.
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(function,),
    )


# What a worker process was sent when it began, and the function once it is unpacked:
# a model of gigabytes is neither sent nor unpacked again for every block.
_sent: bytes = b""


def _start_worker(function: bytes) -> None:
    global _sent
    _sent = function
    use_one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()


@cache
def _unpacked() -> Callable[[Any], Any]:
    global _sent
    function: Callable[[Any], Any] = pickle.loads(_sent)
    _sent = b""
    return function


def _run(block: bytes) -> Any:
    return guarded(_unpacked(), pickle.loads(block))


def _end_with_parent() -> None:
    """End this worker when its parent was killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _with_bar(
    iterable: Iterable[_Block], total: int | None, title: str
) -> Iterator[_Block]:
    from rich.console import Console
    from rich.progress import track

    yield from track(
        iterable,
        description=title,
        total=total,
        console=Console(stderr=True),
        transient=True,
    )


def _with_lines(
    iterable: Iterable[_Block], total: int | None, title: str
) -> Iterator[_Block]:
    last = time.monotonic()
    of = "" if total is None else f" of {total}"
    for done, item in enumerate(iterable):
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            _LOG.info("%s: %d%s done", title, done, of)
            last = time.monotonic()
        yield item
