"""One map over blocks of rows or tiles, and its progress.

Everything that is too large for one piece goes through :func:`map_blocks`: inline,
or by processes of this machine. It is the one place where a cluster of machines
would be put in.

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
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from mlstats.errors import ConfigError, MethodError, MlstatsError, TimeBudgetError
from mlstats.settings import Settings

__all__ = ["LOCAL", "Scale", "isolated", "map_blocks", "progress", "row_blocks"]

LOCAL: Final = "local"

_Block = TypeVar("_Block")
_Result = TypeVar("_Result")

_LOG = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 60.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Scale:
    """Where blocks are worked on: by processes of this machine, or by a Dask cluster.

    Parameters
    ----------
    address : str, default="local"
        ``local``, or the address of a Dask scheduler (``tcp://``, ``tls://``).
    workers : int, default=1
        Processes of this machine; a cluster has as many as it has.
    """

    address: str = LOCAL
    workers: int = 1

    @classmethod
    def of(cls, settings: Settings) -> Scale:
        """Return what ``MLSTATS_SCALE`` and ``MLSTATS_WORKERS`` say."""
        return cls(settings.scale, settings.workers)


def map_blocks(
    function: Callable[[_Block], _Result],
    blocks: Iterable[_Block],
    *,
    workers: int = 1,
    ordered: bool = True,
) -> Iterator[_Result]:
    """Yield `function` of every block.

    Parameters
    ----------
    function : callable
        Takes a block. With more than one worker it must be importable, that is,
        defined at the top of a module, and blocks and results must be picklable.
    blocks : iterable
        Read only as fast as results are taken: at most ``2 * workers`` blocks are
        in memory at a time.
    workers : int, default=1
        Processes; 1 works inline, without a process and without pickling. The
        numerical libraries of each process use one thread.
    ordered : bool, default=True
        Results in the order of the blocks, else as they are ready.

    Yields
    ------
    object
        The result of a block.

    Raises
    ------
    ConfigError
        Where `workers` is less than 1.
    MlstatsError
        What the first failing block raised; no further block is begun.
    MethodError
        In place of any other exception, with its type and place only.
    """
    if workers < 1:
        raise ConfigError(
            f"{workers} workers cannot work",
            where="workers",
            expected="1 or more",
            nearest="1",
        )
    if workers == 1:
        return (_guarded(function, block) for block in blocks)
    return _map_in_processes(function, blocks, workers, ordered)


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
    pool = ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        done = _submit(pool, _call, (function, given))
        if not wait([done], timeout=seconds).done:
            raise TimeBudgetError(
                f"It was ended after its budget of {seconds:g} seconds",
                where="production.time_budget",
            )
        return _take(deque([done]), ordered=True)
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
    # "spawn" on every system: a forked child inherits locked threads and the
    # connections of MLflow and Prefect.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    in_flight: deque[Future[_Result]] = deque()
    try:
        for block in blocks:
            in_flight.append(_submit(pool, function, block))
            if len(in_flight) == 2 * workers:
                yield _take(in_flight, ordered)
        while in_flight:
            yield _take(in_flight, ordered)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(
    pool: Executor, function: Callable[[_Block], _Result], block: _Block
) -> Future[_Result]:
    # Pickled here and not by the pool: where its own thread fails to pickle, Python
    # 3.11 may wait for that block for ever when the pool is shut down.
    try:
        task = pickle.dumps((function, block))
    except Exception as error:
        raise _not_sent(error) from None
    try:
        return pool.submit(_run, task)
    except BrokenExecutor:
        raise _worker_ended() from None


def _run(task: bytes) -> Any:
    function, block = pickle.loads(task)
    return _guarded(function, block)


def _take(in_flight: deque[Future[_Result]], ordered: bool) -> _Result:
    if ordered:
        future = in_flight.popleft()
    else:
        future = next(iter(wait(in_flight, return_when=FIRST_COMPLETED).done))
        in_flight.remove(future)
    try:
        return future.result()
    except MlstatsError as error:
        raise error from None
    except BrokenExecutor:
        raise _worker_ended() from None
    except Exception as error:
        raise _not_sent(error) from None


def _guarded(function: Callable[[_Block], _Result], block: _Block) -> _Result:
    """Return ``function(block)``; let no message out that may quote a record."""
    try:
        return function(block)
    except MlstatsError as error:
        raise error from None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise MethodError(
            f"A block failed with {type(error).__name__}",
            where=f"{Path(last.filename).name}:{last.lineno} ({last.name})",
            hint="run it with one worker and a debugger to see the records",
        ) from None


def _not_sent(error: Exception) -> MethodError:
    return MethodError(
        f"A block could not be sent to or from a worker: {type(error).__name__}",
        expected="a function at the top of a module, picklable blocks and results",
    )


def _worker_ended() -> MethodError:
    return MethodError(
        "A worker process ended before its block was done",
        hint="most often memory: set fewer MLSTATS_WORKERS or smaller blocks",
    )


def _start_worker() -> None:
    _use_one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when its parent was killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _use_one_thread() -> None:
    """Keep the numerical libraries of a worker at one thread each.

    The variables hold for libraries that are loaded from now on, threadpoolctl
    for those that came with the import of the caller's main module.
    """
    from threadpoolctl import threadpool_limits

    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    threadpool_limits(limits=1)


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
