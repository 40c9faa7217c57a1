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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any, Final, TypeVar

from mlstats.errors import MethodError, MlstatsError
from mlstats.guard import store_refused

__all__ = [
    "ATTEMPTS",
    "GAVE_UP",
    "ended_after",
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

# How often a block is begun: the end of one process ends the work on all of a pool's
# blocks, and it does not tell which of them it was.
ATTEMPTS: Final = 3
# What a process exits with that ends itself because a block takes too long: the block
# is then not begun again.
GAVE_UP: Final = 75

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
    renew: Callable[[], None] | None = None,
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
    renew : callable, optional
        Puts new processes in the place of those that ended, or raises what ended
        them; the blocks that were on their way are then begun again, each at most
        :data:`ATTEMPTS` times.

    Yields
    ------
    object
        The result of a block.

    Raises
    ------
    MlstatsError
        What the first failing block raised.
    MethodError
        Where a worker ended, and with `renew` where it did so each time.
    """
    on_way = _OnTheWay(submit, ordered, renew)
    for block in blocks:
        on_way.send(packed(block))
        while on_way.count >= limit():
            yield on_way.take()
    while on_way.count:
        yield on_way.take()


@dataclass(eq=False)
class _Sent:
    block: bytes
    future: Future[Any] | None = None
    attempts: int = 0


class _OnTheWay:
    """The blocks that are on their way, the oldest first."""

    def __init__(
        self,
        submit: Callable[[bytes], Future[Any]],
        ordered: bool,
        renew: Callable[[], None] | None,
    ) -> None:
        self._submit = submit
        self._ordered = ordered
        self._renew = renew
        self._sent: deque[_Sent] = deque()

    @property
    def count(self) -> int:
        return len(self._sent)

    def send(self, block: bytes) -> None:
        """Begin the work on a block."""
        self._sent.append(_Sent(block))
        self._begin()

    def take(self) -> Any:
        """Wait for a result, the oldest or whichever is ready."""
        while True:
            sent = self._next()
            assert sent.future is not None
            try:
                found = result_of(sent.future)
            except BrokenExecutor:
                self._begin_again()
                continue
            self._sent.remove(sent)
            return found

    def _next(self) -> _Sent:
        if self._ordered:
            return self._sent[0]
        futures = [sent.future for sent in self._sent if sent.future is not None]
        ready = wait(futures, return_when=FIRST_COMPLETED).done
        return next(sent for sent in self._sent if sent.future in ready)

    def _begin(self) -> None:
        """Begin the work on all blocks that nobody works on."""
        try:
            for sent in self._sent:
                if sent.future is None:
                    sent.attempts += 1
                    sent.future = self._submit(sent.block)
        except BrokenExecutor:
            self._begin_again()

    def _begin_again(self) -> None:
        """Renew the processes, and begin the blocks that were lost with them."""
        wait([sent.future for sent in self._sent if sent.future is not None])
        for sent in self._sent:
            if sent.future is not None and _was_lost(sent.future):
                sent.future = None
            if sent.future is None and sent.attempts >= ATTEMPTS:
                raise worker_ended() from None
        if self._renew is None:
            raise worker_ended() from None
        self._renew()
        self._begin()


def _was_lost(future: Future[Any]) -> bool:
    return future.cancelled() or isinstance(future.exception(), BrokenExecutor)


def result_of(future: Future[_Result]) -> _Result:
    """Wait for what a process returns.

    Raises
    ------
    MlstatsError
        What it raised.
    BrokenExecutor
        Where the process ended.
    MethodError
        Where its answer cannot be sent.
    """
    try:
        return future.result()
    except MlstatsError as error:
        raise error from None
    except BrokenExecutor:
        raise
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


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End this process where the body takes longer: nothing else ends every call."""
    timer = Timer(seconds, os._exit, (GAVE_UP,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def use_one_thread() -> None:
    """Keep the numerical libraries of a worker at one thread each.

    The variables hold for libraries that are loaded from now on, threadpoolctl
    for those that are loaded already.
    """
    from threadpoolctl import threadpool_limits

    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    threadpool_limits(limits=1)
