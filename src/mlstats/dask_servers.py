"""A Dask scheduler and its workers on this machine, for ``mlstats up``.

The workers stand under Dask's nanny: it starts one anew that was ended, and ends one
that takes more than its share of the memory before the system ends something else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

from mlstats.processes import Running, running
from mlstats.scale_connection import look_at

__all__ = ["start"]

_TOLD: Final = "dask-scheduler.json"
# The last is what Dask serves over HTTP besides the dashboard.
_HERE: Final = (
    "--host",
    "127.0.0.1",
    "--no-dashboard",
    "--dashboard-address",
    "127.0.0.1:0",
)
_MEMORY: Final = 0.8  # of the machine's, for all workers together
_QUIET: Final = {
    "PYTHONUNBUFFERED": "1",
    "DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "False",
    # The function stays on each worker also while it waits for blocks.
    "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "False",
    # Results are fetched at once, so there is nothing that a disk could relieve; and
    # records have no place on a worker's disk. A worker that paused would stay so.
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
}


def start(
    folder: Path,
    stack: ExitStack,
    count: int,
    wait: Callable[[list[Running], Callable[[], bool]], None],
) -> tuple[dict[str, str], list[Running]]:
    """Start a scheduler and so many workers of one thread each.

    Parameters
    ----------
    folder : pathlib.Path
        Of the logs.
    stack : contextlib.ExitStack
        Stops what was started.
    count : int
        Of workers; 0: start nothing.
    wait : callable
        Waits until processes that were started are as they should be.

    Returns
    -------
    tuple of dict and list
        The variable that names the scheduler, and the processes.
    """
    if not count:
        return {}, []
    (folder / _TOLD).unlink(missing_ok=True)
    started = [stack.enter_context(_scheduler(folder))]
    wait(started, lambda: bool(_address(folder)))
    address = _address(folder)
    started.append(stack.enter_context(_workers(folder, address, count)))
    wait(started, lambda: look_at(address).count >= count)
    return {"MLSTATS_SCALE": address}, started


def _scheduler(folder: Path) -> AbstractContextManager[Running]:
    words = ["distributed.cli.dask_scheduler", *_HERE]
    words += ["--port", "0", "--scheduler-file", str(folder / _TOLD)]
    return _running("dask-scheduler", words, folder)


def _address(folder: Path) -> str:
    """Return the address of a scheduler; empty before it listens."""
    try:
        told = json.loads((folder / _TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(told["address"])


def _workers(folder: Path, address: str, count: int) -> AbstractContextManager[Running]:
    words = ["distributed.cli.dask_worker", address, *_HERE]
    words += ["--nworkers", str(count), "--nthreads", "1", "--nanny"]
    words += ["--memory-limit", f"{_MEMORY / count:.4f}"]
    words += ["--local-directory", str(folder / "dask")]
    return _running("dask-workers", words, folder)


def _running(
    name: str, words: list[str], folder: Path
) -> AbstractContextManager[Running]:
    environment = {**os.environ, **_QUIET}
    log = folder / f"{name}.log"
    return running(name, words, log, cwd=folder, environment=environment)
