"""The connection to a Dask scheduler; only here is ``distributed`` imported."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import util
from typing import Any, Final

from mlstats.cluster_errors import out_of_reach
from mlstats.errors import ConfigError
from mlstats.scale_worker import differences, versions

__all__ = ["CONNECT", "Workers", "bounded", "connected", "look_at", "require_dask"]

CONNECT: Final = 30.0  # seconds in which a scheduler has to answer
_CLOSE: Final = 5.0


def require_dask() -> None:
    """Refuse to go on where Dask is not installed.

    Raises
    ------
    ConfigError
        Where it is not.
    """
    if util.find_spec("distributed") is None:
        raise ConfigError(
            "Dask is not installed",
            where="MLSTATS_SCALE, --scale or --dask-workers",
            hint='pip install "mlstats[dask]"',
        )


@dataclass(frozen=True)
class Workers:
    """What a scheduler says of its workers.

    Parameters
    ----------
    count : int
        How many there are.
    threads : int
        The most that one of them has.
    wrong : tuple of str
        In what their versions are not those of this process.
    """

    count: int
    threads: int
    wrong: tuple[str, ...]


def look_at(address: str) -> Workers:
    """Ask a scheduler and its workers who they are.

    Raises
    ------
    ConfigError
        Where Dask is not installed.
    ServiceError
        Where the scheduler or a worker does not answer.
    """
    require_dask()
    return asyncio.run(_seen(address))


async def _seen(address: str) -> Workers:
    client = await connected(address)
    try:
        asked = client.scheduler.identity(n_workers=-1)
        found = (await bounded(asked, CONNECT))["workers"].values()
        asked = client.run(versions, on_error="return")
        told = (await bounded(asked, CONNECT)).values()
    except Exception as error:
        raise out_of_reach(address, error, CONNECT) from None
    finally:
        with suppress(TimeoutError):
            await bounded(client.close(), _CLOSE)
    have = [each if isinstance(each, dict) else {} for each in told]
    wrong = {text for each in have for text in differences(versions(), each)}
    threads = max((worker["nthreads"] for worker in found), default=0)
    return Workers(len(found), threads, tuple(sorted(wrong)))


async def bounded(step: Awaitable[Any], seconds: float) -> Any:
    """Return what a step of Dask's returns, within so many seconds.

    :func:`asyncio.wait_for` waits for what it cancels, and where a connection is lost
    some of Dask's steps do not let themselves be cancelled.

    Raises
    ------
    TimeoutError
        Where it takes longer.
    """
    task = asyncio.ensure_future(step)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        raise TimeoutError
    return task.result()


async def connected(address: str) -> Any:
    """Return a client of a scheduler, for the event loop that runs.

    Raises
    ------
    ServiceError
        Where the scheduler does not answer.
    """
    import distributed

    # mypy: Dask's client has types for some of its arguments only.
    client: Callable[..., Any] = distributed.Client
    _quieten()
    try:
        # A second limit, because Dask's does not hold for each of its steps.
        return await bounded(
            client(address, asynchronous=True, set_as_default=False, timeout=CONNECT),
            CONNECT + 1,
        )
    except Exception as error:
        raise out_of_reach(address, error, CONNECT) from None


def _quieten() -> None:
    """Keep what Dask says of a lost connection from the terminal: we tell it once."""
    for name in ("client", "core", "batched", "comm", "utils"):
        logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
