"""Blocks on the workers of a Dask cluster; the only home of ``distributed``.

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
from importlib import util
from typing import Any, Final, TypeVar

from mlstats.block_calls import not_sent, packed, results
from mlstats.errors import ConfigError, MethodError, MlstatsError, ServiceError
from mlstats.guard import store_refused
from mlstats.scale_worker import Sealed, load, other_versions, run, versions

__all__ = ["map_on_dask"]

_Block = TypeVar("_Block")
_Result = TypeVar("_Result")

# All in seconds.
_CONNECT: Final = 30.0  # in which a scheduler has to answer, at first and later on
_NO_WORKERS: Final = 120.0  # in which a worker has to come: a cluster may start them
_TICK: Final = 1.0  # between two looks at the scheduler
_CLOSE: Final = 5.0
# A block is sent a second time where it takes longer than this, and than so many
# times what others took.
_LATE: Final = 10.0
_LATE_TIMES: Final = 4.0

_CAUTION: Final = "distributed.admin.large-graph-warning-threshold"
_RERUN: Final = "run it again when it is back: finished parts are kept"


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
    if util.find_spec("distributed") is None:
        raise ConfigError(
            "Dask is not installed",
            where="MLSTATS_SCALE or --scale",
            hint='pip install "mlstats[dask]"',
        )
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
        self._workers: set[str] = set()
        self._open = 0
        self._took: deque[float] = deque(maxlen=200)
        self._failure: MlstatsError | None = None
        self._functions: dict[frozenset[str], Any] = {}
        self._client: Any = None
        self._watching: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
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
        import distributed

        # mypy: Dask's client has types for some of its arguments only.
        client: Callable[..., Any] = distributed.Client
        _quieten()
        try:
            # A second limit, because Dask's does not hold for each of its steps.
            self._client = await asyncio.wait_for(
                client(
                    self._address,
                    asynchronous=True,
                    set_as_default=False,
                    timeout=_CONNECT,
                ),
                _CONNECT + 1,
            )
        except Exception as error:
            raise _out_of_reach(self._address, error) from None
        self._look(await self._client.scheduler.identity(n_workers=-1))
        self._watching = asyncio.create_task(self._watch())

    async def _end(self) -> None:
        me = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not me]
        ours = [task for task in others if task.get_name().startswith("mlstats")]
        for task in [*ours, *([self._watching] if self._watching else [])]:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
        if self._client is not None:
            for function in self._functions.values():
                function.release()
            try:
                await asyncio.wait_for(self._client.close(), _CLOSE)
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
            raise self._failure or _told(error, self._address) from None
        finally:
            self._open -= 1
            for attempt in attempts:
                attempt.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)
        self._took.append(time.monotonic() - began)
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
            if len(attempts) == 1 and self._is_late(began):
                key = f"{self._run}-{number}"
                others = await self._others(key)
                if others:
                    attempts.append(self._attempt(f"{key}-again", block, others))

    def _attempt(
        self, key: str, block: bytes, workers: frozenset[str] = frozenset()
    ) -> asyncio.Task[bytes]:
        return asyncio.create_task(self._answer(key, block, workers), name=key)

    async def _answer(self, key: str, block: bytes, workers: frozenset[str]) -> bytes:
        future = self._submit(
            run, self._function(workers), Sealed(block), key=key, workers=workers
        )
        try:
            return bytes((await future).content)
        finally:
            future.release()

    def _function(self, workers: frozenset[str]) -> Any:
        """Return the function's future; a second one for a second attempt.

        The first may lie on the worker alone that does not answer.
        """
        if workers not in self._functions:
            again = f"-{len(self._functions)}-{self._run}" if workers else ""
            self._functions[workers] = self._submit(
                load,
                Sealed(self._content),
                key=self._function_key + again,
                workers=workers,
            )
        return self._functions[workers]

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

    def _is_late(self, began: float) -> bool:
        """Tell whether a block takes long while workers have nothing else to do."""
        if not self._took or self._open > len(self._workers):
            return False
        usual = statistics.median(self._took)
        return time.monotonic() - began > max(_LATE, _LATE_TIMES * usual)

    async def _others(self, key: str) -> frozenset[str]:
        """Return the workers besides the one that has a block, where that is known."""
        scheduler = self._client.scheduler
        holding = (await scheduler.who_has(keys=[key])).get(key) or ()
        processing = await scheduler.processing(workers=None)
        slow = {*holding, *(worker for worker, has in processing.items() if key in has)}
        return frozenset(self._workers - slow) if slow else frozenset()

    # -- the scheduler

    async def _watch(self) -> None:
        """Look at the scheduler all the time; without it blocks would wait for ever."""
        heard = worked = time.monotonic()
        while self._failure is None:
            try:
                asked = self._client.scheduler.identity(n_workers=-1)
                self._look(await asyncio.wait_for(asked, _CONNECT))
                heard = time.monotonic()
            except MlstatsError as error:
                self._failure = error
            except Exception as error:
                if time.monotonic() - heard > _CONNECT:
                    self._failure = _out_of_reach(self._address, error)
            if self._workers:
                worked = time.monotonic()
            elif time.monotonic() - worked > _NO_WORKERS:
                self._failure = _without_workers(self._address)
            await asyncio.sleep(_TICK)

    def _look(self, told: Mapping[str, Any]) -> None:
        workers = {
            address: worker
            for address, worker in told["workers"].items()
            if worker["status"] == "running"
        }
        if any(worker["nthreads"] > 1 for worker in workers.values()):
            raise _threads(self._address)
        self._workers = set(workers)


# -- what is told ------------------------------------------------------------------


def _quieten() -> None:
    """Keep what Dask says of a lost connection from the terminal: we tell it once."""
    for name in ("client", "core", "batched", "comm", "utils"):
        logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)


def _told(error: Exception, address: str) -> MlstatsError:
    """Return what happened to a block, without what Dask says of it."""
    from distributed import CancelledError, KilledWorker

    if isinstance(error, KilledWorker):
        return MethodError(
            "A block ended each worker that it was given to",
            hint="most often memory: take smaller blocks, or workers with more memory",
        )
    if isinstance(error, CancelledError):
        return ServiceError(
            "The Dask scheduler was lost in the middle", where=address, hint=_RERUN
        )
    if isinstance(error, ModuleNotFoundError) or "deserialization" in str(error):
        return other_versions([f"{type(error).__name__} where a block was unpacked"])
    return store_refused(error) or not_sent(error)


def _out_of_reach(address: str, error: Exception) -> ServiceError:
    return ServiceError(
        f"The Dask scheduler does not answer ({type(error).__name__})",
        where=address,
        expected=f"an answer within {_CONNECT:.0f} seconds",
        hint=f"{_RERUN}; tls:// needs the certificates that docs/cluster.md names",
    )


def _without_workers(address: str) -> ServiceError:
    return ServiceError(
        f"The Dask scheduler has had no worker for {_NO_WORKERS:.0f} seconds",
        where=address,
        expected="at least one worker that is not paused",
        hint=f"start workers, with more memory where they ended; {_RERUN}",
    )


def _threads(address: str) -> ServiceError:
    return ServiceError(
        "A Dask worker has more than one thread, so blocks would share its memory",
        where=address,
        expected="workers that work on one block at a time",
        hint="start them as: dask worker --nthreads 1 --nworkers N",
    )
