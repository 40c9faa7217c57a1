"""What is told of a Dask cluster that does not do its work; no word of Dask's own.

Its messages name tasks, and a task that cannot be sent is quoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mlstats.block_calls import not_sent
from mlstats.errors import MethodError, MlstatsError, ServiceError
from mlstats.guard import store_refused

__all__ = [
    "ended_workers",
    "other_versions",
    "out_of_reach",
    "several_threads",
    "told",
    "without_workers",
]

_RERUN: Final = "run it again when it is back: finished parts are kept"


def told(error: Exception, address: str) -> MlstatsError:
    """Return what happened to a block."""
    from distributed import CancelledError, KilledWorker

    if isinstance(error, KilledWorker):
        return ended_workers()
    if isinstance(error, CancelledError):
        return ServiceError(
            "The Dask scheduler was lost in the middle", where=address, hint=_RERUN
        )
    if isinstance(error, ModuleNotFoundError) or "deserialization" in str(error):
        return ServiceError(
            f"The scheduler or a worker cannot unpack a block: {type(error).__name__}",
            where=address,
            hint="give scheduler and workers the environment of this process",
        )
    return store_refused(error) or not_sent(error)


def ended_workers() -> MethodError:
    """Return the error of a block during which each of its workers ended."""
    return MethodError(
        "A block ended each worker that it was given to",
        hint="most often memory: take smaller blocks, or workers with more memory",
    )


def out_of_reach(address: str, error: Exception, seconds: float) -> ServiceError:
    """Return the error of a scheduler that has said nothing for so many seconds."""
    return ServiceError(
        f"The Dask scheduler does not answer ({type(error).__name__})",
        where=address,
        expected=f"an answer within {seconds:.0f} seconds",
        hint=f"{_RERUN}; tls:// needs the certificates that docs/cluster.md names",
    )


def without_workers(address: str, seconds: float) -> ServiceError:
    """Return the error of a scheduler that has had no worker for so many seconds."""
    return ServiceError(
        f"The Dask scheduler has had no worker for {seconds:.0f} seconds",
        where=address,
        expected="at least one worker that is not paused",
        hint=f"start workers, with more memory where they ended; {_RERUN}",
    )


def several_threads(address: str) -> ServiceError:
    """Return the error of workers that would work on several blocks at once."""
    return ServiceError(
        "A Dask worker has more than one thread, so blocks would share its memory",
        where=address,
        expected="workers that work on one block at a time",
        hint="start them as: dask worker --nthreads 1 --nworkers N",
    )


def other_versions(wrong: list[str], wanted: Mapping[str, str]) -> ServiceError:
    """Return the error of a worker whose results could differ."""
    return ServiceError(
        f"A Dask worker has another environment: {', '.join(wrong)}",
        expected=", ".join(f"{name} {has}" for name, has in wanted.items()),
        hint="give scheduler and workers the environment of this process",
    )
