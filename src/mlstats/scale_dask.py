"""Blocks on the workers of a Dask cluster.

The function is the result of a task of its own, named by the digest of its content:
each worker gets it once, from the scheduler or from another worker, and where the
last worker that holds it is lost, Dask computes it anew. A block is a task that
depends on it. What goes wrong on the way becomes one error, which tells no more of a
block than that it was one.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import pickle
import statistics
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from mlstats import scale_connection
from mlstats.block_calls import packed, results
from mlstats.cluster_errors import (
    ended_workers,
    out_of_reach,
    several_threads,
    told,
    without_workers,
)
from mlstats.errors import MlstatsError, ServiceError
from mlstats.scale_worker import Sealed, load, run, versions

__all__ = ["map_on_dask"]

_Block = TypeVar("_Block")
_Result = TypeVar("_Result")

# All in seconds.
_NO_WORKERS: Final = 120.0  # in which a worker has to come: a cluster may start them
_TICK: Final = 1.0  # between two looks at the scheduler
_CLOSE: Final = 5.0
_SILENT: Final = 10.0  # after which a worker that says nothing gets no more blocks
# A block is sent a second time where it takes longer than this and its worker is
# silent, or where it takes so many times what others took and workers are idle.
_LATE: Final = 10.0
_LATE_TIMES: Final = 4.0
_AGAIN: Final = 3  # how often at most; as often as Dask itself, where workers end


def map_on_dask(
    function: Callable[[_Block], _Result],
    blocks: Iterable[_Block],
    address: str,
    *,
    ordered: bool = True,
) -> Iterator[_Result]:
    """Yield `function` of every block, worked on by a Dask cluster.

    Parameters
    ----------
    function : callable
        As for :func:`mlstats.scale.map_blocks`; without effects besides its result.
    blocks : iterable
        At most two for each worker are on their way at a time.
    address : str
        Of the scheduler, ``tcp://`` or ``tls://``.
    ordered : bool, default=True
        Results in the order of the blocks, else as they are ready.

    Yields
    ------
    object
        The result of a block.

    Raises
    ------
    ConfigError
        Where Dask is not installed.
    MlstatsError
        What the first failing block raised.
    ServiceError
        Where the scheduler is out of reach or lost, no worker is there, or workers
        have other versions or more than one thread.
    MethodError
        In place of any other exception, and where a block ends its worker each time.
    """
    scale_connection.require_dask()
    return _mapped(function, blocks, address, ordered)


def _mapped(
    function: Callable[[_Block], _Result],
    blocks: Iterable[_Block],
    address: str,
    ordered: bool,
) -> Iterator[_Result]:
    cluster = _Cluster(address, packed(function))
    try:
        cluster.open()
        yield from results(blocks, cluster.submit, cluster.limit, ordered)
    finally:
        cluster.close()


@dataclass(frozen=True, eq=False)
class _Attempt:
    key: str
    began: float
    answer: asyncio.Task[bytes | None]


# -- on the client -----------------------------------------------------------------


class _Cluster:
    """The blocks that are on their way to the workers of one scheduler.

    All of it runs in one thread's event loop; only :meth:`submit` and :meth:`limit`
    are called from another.
    """

    def __init__(self, address: str, function: bytes) -> None:
        self._address = address
        self._content = function
        self._function_key = f"mlstats-function-{hashlib.sha256(function).hexdigest()}"
        self._run = f"mlstats-block-{uuid.uuid4().hex}"
        self._numbers = itertools.count()
        self._workers: frozenset[str] = frozenset()
        self._silent: frozenset[str] = frozenset()
        self._there: frozenset[str] = frozenset()  # silent ones too
        self._open = 0
        self._took: deque[float] = deque(maxlen=200)
        self._failure: MlstatsError | None = None
        self._functions: dict[frozenset[str], Any] = {}
        self._client: Any = None
        self._watching: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        # What Dask's own tasks leave behind when they are cancelled is no news.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def open(self) -> None:
        """Find the scheduler."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._connect(), self._loop).result()

    def submit(self, block: bytes) -> Future[Any]:
        """Begin the work on a block."""
        return asyncio.run_coroutine_threadsafe(self._work(block), self._loop)

    def limit(self) -> int:
        """Return how many blocks may be on their way: two for each worker."""
        # One where there is no worker yet: some clusters start them for work only.
        return max(1, 2 * len(self._workers))

    def close(self) -> None:
        """Let go of all blocks and of the scheduler."""
        if not self._thread.is_alive():
            self._loop.close()
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connect(self) -> None:
        self._client = await scale_connection.connected(self._address)
        try:
            asked = self._client.scheduler.identity(n_workers=-1)
            patience = scale_connection.CONNECT
            self._look(await scale_connection.bounded(asked, patience))
        except OSError as error:
            raise out_of_reach(self._address, error, patience) from None
        self._watching = asyncio.create_task(self._watch())

    async def _end(self) -> None:
        me = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not me]
        ours = [task for task in others if task.get_name().startswith("mlstats")]
        for task in [*ours, *([self._watching] if self._watching else [])]:
            task.cancel()
        if ours:
            await asyncio.wait(ours, timeout=_CLOSE)
        if self._client is not None:
            for function in self._functions.values():
                function.release()
            try:
                await scale_connection.bounded(self._client.close(), _CLOSE)
            except Exception:  # the scheduler may be gone; the results are here
                logging.getLogger(__name__).debug("the client did not close in time")

    # -- one block

    async def _work(self, block: bytes) -> Any:
        task = asyncio.current_task()
        assert task is not None
        key = f"{self._run}-{next(self._numbers)}"
        task.set_name(key)
        self._open += 1
        attempts: list[_Attempt] = []
        try:
            content = await self._first(attempts, key, block)
        except MlstatsError:
            raise
        except Exception as error:
            failure = self._failure or told(error, self._address)
            if not isinstance(failure, ServiceError):
                self._failure = failure
            raise failure from None
        finally:
            self._open -= 1
            for attempt in attempts:
                attempt.answer.cancel()
        result, raised = pickle.loads(content)
        if raised is not None:
            raise raised
        return result

    async def _first(self, attempts: list[_Attempt], key: str, block: bytes) -> bytes:
        """Return the first answer; a block that is late or lost is sent to others."""
        to = frozenset[str]()
        while True:
            if to or not any(not attempt.answer.done() for attempt in attempts):
                if len(attempts) > _AGAIN:
                    raise ended_workers()
                to = to or await self._awake()
                attempts.append(self._attempt(f"{key}-{len(attempts)}", block, to))
            await asyncio.wait(
                [attempt.answer for attempt in attempts if not attempt.answer.done()],
                timeout=_TICK,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._failure is not None:
                raise self._failure
            for attempt in attempts:
                content = attempt.answer.result() if attempt.answer.done() else None
                if content is not None:
                    return content
            to = frozenset()
            if len(attempts) <= _AGAIN:
                to = await self._elsewhere(attempts[-1], len(attempts) == 1)

    async def _awake(self) -> frozenset[str]:
        """Return the workers that are not silent; none in particular where all are."""
        while self._silent and not self._workers:
            await asyncio.sleep(_TICK)
        return self._workers if self._silent else frozenset()

    def _attempt(self, key: str, block: bytes, to: frozenset[str]) -> _Attempt:
        answer = asyncio.create_task(self._answer(key, block, to), name=key)
        return _Attempt(key, time.monotonic(), answer)

    async def _answer(self, key: str, block: bytes, to: frozenset[str]) -> bytes | None:
        began = time.monotonic()
        function, holding = self._function(to)
        future = self._submit(run, function, Sealed(block), key=key, workers=to)
        try:
            content = await self._unless_gone(future, (to, holding))
        finally:
            future.release()
        if content is not None:
            self._took.append(time.monotonic() - began)
        return content

    async def _unless_gone(
        self, future: Any, kept: tuple[frozenset[str], ...]
    ) -> bytes | None:
        """Return an answer, None where those that it was kept to are all gone.

        Dask waits for ever for the address of a worker that is lost.
        """
        answer = asyncio.ensure_future(future)
        try:
            while not answer.done():
                await asyncio.wait({answer}, timeout=_TICK)
                if any(some and not some & self._there for some in kept):
                    break
            return bytes(answer.result().content) if answer.done() else None
        finally:
            answer.cancel()

    def _function(self, workers: frozenset[str]) -> tuple[Any, frozenset[str]]:
        """Return the function's future, and the workers that it is kept to.

        Where some workers are avoided it is another one: the first may lie on one of
        those alone, and would not be sent on.
        """
        kept = workers
        if workers:
            there = (some for some in self._functions if some & self._workers)
            kept = next(there, workers)
        if kept not in self._functions:
            number = len(self._functions)
            key = f"{self._function_key}-{self._run}-{number}"
            self._functions[kept] = self._submit(
                load,
                Sealed(self._content),
                key=key if kept else self._function_key,
                workers=kept,
            )
        return self._functions[kept], kept

    def _submit(
        self, task: Callable[..., Any], *given: Any, key: str, workers: frozenset[str]
    ) -> Any:
        import dask

        # A model is large, and it is sent once: Dask's caution is not for us.
        with dask.config.set(
            {"distributed.admin.large-graph-warning-threshold": "1PB"}
        ):
            return self._client.submit(
                task,
                *given,
                versions(),
                key=key,
                workers=sorted(workers) or None,
                pure=False,
            )

    async def _elsewhere(self, last: _Attempt, only: bool) -> frozenset[str]:
        """Return the workers to which a block that is late is sent too."""
        age = time.monotonic() - last.began
        idle = self._open <= len(self._workers)
        long = bool(self._took) and age > _LATE_TIMES * statistics.median(self._took)
        if age <= _LATE or not (self._silent or (long and idle and only)):
            return frozenset()
        scheduler = self._client.scheduler
        holding = (await scheduler.who_has(keys=[last.key])).get(last.key) or ()
        processing = await scheduler.processing(workers=None)
        has = {
            *holding,
            *(worker for worker, keys in processing.items() if last.key in keys),
        }
        if not self._silent:
            return self._workers - has if has else frozenset()
        # Another one that has it may wait for the function of a silent one for ever;
        # among the others there is a function of their own.
        lost = has <= self._silent or (long and only)
        return self._workers if lost else frozenset()

    # -- the scheduler

    async def _watch(self) -> None:
        """Look at the scheduler all the time; without it blocks would wait for ever."""
        heard = worked = time.monotonic()
        patience = scale_connection.CONNECT
        while self._failure is None:
            try:
                asked = self._client.scheduler.identity(n_workers=-1)
                self._look(await scale_connection.bounded(asked, patience))
                heard = time.monotonic()
            except MlstatsError as error:
                self._failure = error
            except Exception as error:
                if time.monotonic() - heard > patience:
                    self._failure = out_of_reach(
                        self._address, error, scale_connection.CONNECT
                    )
            if self._workers:
                worked = time.monotonic()
            elif time.monotonic() - worked > _NO_WORKERS:
                self._failure = without_workers(self._address, _NO_WORKERS)
            await asyncio.sleep(_TICK)

    def _look(self, found: Mapping[str, Any]) -> None:
        workers = {
            address: worker
            for address, worker in found["workers"].items()
            if worker["status"] == "running"
        }
        if any(worker["nthreads"] > 1 for worker in workers.values()):
            raise several_threads(self._address)
        # Compared with each other: the clocks of two machines differ.
        seen = {address: worker["last_seen"] for address, worker in workers.items()}
        last = max(seen.values(), default=0.0)
        self._silent = frozenset(x for x in seen if last - seen[x] > _SILENT)
        self._there = frozenset(seen)
        self._workers = self._there - self._silent
