"""A block on its way to the process that works on it, and what comes back.

This much is the same for processes of one machine and for those of a cluster: what
is pickled, how many blocks are on their way, what an error may say.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from pathlib import Path
from typing import Any, Final, TypeVar

from mlstats.errors import MethodError, MlstatsError
from mlstats.guard import store_refused

__all__ = [
    "guarded",
    "not_sent",
    "packed",
    "result_of",
    "results",
    "use_one_thread",
    "worker_ended",
]

_Block = TypeVar("_Block")
_Result = TypeVar("_Result")

_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


def results(
    blocks: Iterable[_Block],
    submit: Callable[[bytes], Future[_Result]],
    limit: Callable[[], int],
    ordered: bool,
) -> Iterator[_Result]:
    """Yield the result of every block; at most as many as the limit are on their way.

    Parameters
    ----------
    blocks : iterable
        Read only as fast as results are taken.
    submit : callable
        Begins the work on a pickled block.
    limit : callable
        How many may be on their way now.
    ordered : bool
        Results in the order of the blocks, else as they are ready.

    Yields
    ------
    object
        The result of a block.

    Raises
    ------
    MlstatsError
        What the first failing block raised.
    """
    in_flight: deque[Future[_Result]] = deque()
    for block in blocks:
        in_flight.append(submit(packed(block)))
        while len(in_flight) >= limit():
            yield result_of(_next(in_flight, ordered))
    while in_flight:
        yield result_of(_next(in_flight, ordered))


def _next(in_flight: deque[Future[_Result]], ordered: bool) -> Future[_Result]:
    if ordered:
        return in_flight.popleft()
    ready = next(iter(wait(in_flight, return_when=FIRST_COMPLETED).done))
    in_flight.remove(ready)
    return ready


def result_of(future: Future[_Result]) -> _Result:
    """Wait for what a process returns.

    Raises
    ------
    MlstatsError
        What it raised.
    MethodError
        Where the process ended, or its answer cannot be sent.
    """
    try:
        return future.result()
    except MlstatsError as error:
        raise error from None
    except BrokenExecutor:
        raise worker_ended() from None
    except Exception as error:
        raise not_sent(error) from None


def packed(thing: object) -> bytes:
    """Return a function, a block or a result, pickled.

    It is pickled here and not by who sends it: where the own thread of a pool of
    processes fails to pickle, Python 3.11 may wait for that block for ever when the
    pool is shut down, and Dask would log what it could not send.

    Raises
    ------
    MethodError
        Where it cannot be pickled; the message does not tell what it holds.
    """
    try:
        return pickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise not_sent(error) from None


def guarded(function: Callable[[Any], _Result], block: Any) -> _Result:
    """Return ``function(block)``; let no message out that may quote a record.

    Raises
    ------
    MlstatsError
        What it raised, without what that came from.
    ServiceError
        Where a disk or a store refuses.
    MethodError
        In place of any other exception, with its type and place only.
    """
    try:
        return function(block)
    except MlstatsError as error:
        raise error from None
    except Exception as error:
        refused = store_refused(error)
        if refused is not None:
            raise refused from None
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise MethodError(
            f"A block failed with {type(error).__name__}",
            where=f"{Path(last.filename).name}:{last.lineno} ({last.name})",
            hint="run it with one worker and a debugger to see the records",
        ) from None


def not_sent(error: Exception) -> MethodError:
    """Return the error of what cannot cross to another process."""
    return MethodError(
        f"A block could not be sent to or from a worker: {type(error).__name__}",
        expected="a function at the top of a module, picklable blocks and results",
    )


def worker_ended() -> MethodError:
    """Return the error of a process that ended before its block was done."""
    return MethodError(
        "A worker process ended before its block was done",
        hint="most often memory: set fewer MLSTATS_WORKERS or smaller blocks",
    )


def use_one_thread() -> None:
    """Keep the numerical libraries of a worker at one thread each.

    The variables hold for libraries that are loaded from now on, threadpoolctl
    for those that are loaded already.
    """
    from threadpoolctl import threadpool_limits

    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    threadpool_limits(limits=1)
