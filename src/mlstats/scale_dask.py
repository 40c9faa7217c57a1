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
from typing import Any, Final, TypeVar

from mlstats import scale_connection
from mlstats.block_calls import packed, results
from mlstats.cluster_errors import (
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

_CAUTION: Final = "distributed.admin.large-graph-warning-threshold"


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
        self._open = 0
        self._took: deque[float] = deque(maxlen=200)
        self._failure: MlstatsError | None = None
        self._functions: dict[bool, Any] = {}
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
            self._look(await self._client.scheduler.identity(n_workers=-1))
        except OSError as error:
            patience = scale_connection.CONNECT
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
        number, began = next(self._numbers), time.monotonic()
        task.set_name(f"mlstats-{number}")
        self._open += 1
        attempts: list[asyncio.Task[Any]] = []
        try:
            attempts.append(self._attempt(f"{self._run}-{number}", block))
            content = await self._first(attempts, number, block, began)
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
                attempt.cancel()
        result, raised = pickle.loads(content)
        if raised is not None:
            raise raised
        return result

    async def _first(
        self,
        attempts: list[asyncio.Task[Any]],
        number: int,
        block: bytes,
        began: float,
    ) -> bytes:
        """Return the first answer; a block that is late is sent to others too."""
        while True:
            done, _ = await asyncio.wait(
                attempts, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED
            )
            if self._failure is not None:
                raise self._failure
            if done:
                return bytes(done.pop().result())
            if len(attempts) == 1:
                key = f"{self._run}-{number}"
                others = await self._elsewhere(key, time.monotonic() - began)
                if others:
                    again = self._attempt(f"{key}-again", block, others)
                    attempts.append(again)

    def _attempt(
        self, key: str, block: bytes, workers: frozenset[str] = frozenset()
    ) -> asyncio.Task[bytes]:
        return asyncio.create_task(self._answer(key, block, workers), name=key)

    async def _answer(self, key: str, block: bytes, workers: frozenset[str]) -> bytes:
        began = time.monotonic()
        if self._silent and not workers:
            workers = self._workers
        function = self._function(workers)
        future = self._submit(run, function, Sealed(block), key=key, workers=workers)
        try:
            content = bytes((await future).content)
        finally:
            future.release()
        self._took.append(time.monotonic() - began)
        return content

    def _function(self, workers: frozenset[str]) -> Any:
        """Return the function's future, a second one where some workers are avoided.

        The first may lie on one of those alone, and would not be sent on.
        """
        second = bool(workers)
        if second not in self._functions:
            self._functions[second] = self._submit(
                load,
                Sealed(self._content),
                key=self._function_key + (f"-{self._run}" if second else ""),
                workers=workers,
            )
        return self._functions[second]

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

    async def _elsewhere(self, key: str, age: float) -> frozenset[str]:
        """Return the workers to which a block that is late is sent too."""
        idle = bool(self._took) and self._open <= len(self._workers)
        long = idle and age > _LATE_TIMES * statistics.median(self._took)
        if age <= _LATE or not (long or self._silent):
            return frozenset()
        scheduler = self._client.scheduler
        holding = (await scheduler.who_has(keys=[key])).get(key) or ()
        processing = await scheduler.processing(workers=None)
        has = {
            *holding,
            *(worker for worker, keys in processing.items() if key in keys),
        }
        if has and (long or has <= self._silent):
            return self._workers - has
        return frozenset()

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
        self._workers = frozenset(seen) - self._silent
