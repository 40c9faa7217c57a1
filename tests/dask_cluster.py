"""A Dask scheduler and its workers on the loopback, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DaskCluster", "dask_cluster"]

REPOSITORY = Path(__file__).parents[1]
# Functions that tests send stand at the top of their own modules, named as pytest does.
IMPORTED = ("", "src", "tests/unit", "tests/flows")
WAIT = 180  # seconds that a busy machine may take to start a process


@dataclass
class DaskCluster:
    """What runs.

    Attributes
    ----------
    address : str
        Of the scheduler.
    scheduler : subprocess.Popen
        Its process.
    workers : list of subprocess.Popen
        Theirs, without a nanny: killed, they are gone.
    folder : pathlib.Path
        Of the logs.
    """

    folder: Path
    environment: dict[str, str]
    address: str = ""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def scheduler(self) -> subprocess.Popen[bytes]:
        return self.started[0]

    @property
    def workers(self) -> list[subprocess.Popen[bytes]]:
        return self.started[1:]

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def start_scheduler(self, protocol: str = "tcp") -> None:
        told = self.folder / "scheduler.json"
        told.unlink(missing_ok=True)
        words = ["--host", "127.0.0.1", "--port", "0", "--protocol", protocol]
        self._start("scheduler", *words, "--scheduler-file", str(told))
        self._wait_for("Scheduler at:")
        line = next(x for x in self.logs().splitlines() if "Scheduler at:" in x)
        self.address = line.split()[-1]

    def start_worker(self, *words: str) -> subprocess.Popen[bytes]:
        """Start one more worker and wait until the scheduler has it."""
        count = self.logs().count("Register worker")
        process = self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", *words,
            "--protocol", self.address.partition(":")[0],
            "--host", "127.0.0.1", "--local-directory", str(self.folder / "space"),
        )  # fmt: skip
        self._wait_for("Register worker", count + 1)
        return process

    def _start(self, kind: str, *words: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"{kind}-{len(self.started)}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words,
                 "--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )  # fmt: skip
        self.started.append(process)
        return process

    def _wait_for(self, words: str, count: int = 1) -> None:
        end = time.monotonic() + WAIT
        while self.logs().count(words) < count:
            assert self.started[-1].poll() is None, self.logs()
            assert time.monotonic() < end, self.logs()
            time.sleep(0.1)

    def stop(self) -> None:
        """End all; nothing of theirs is to be kept, so none is asked."""
        for process in self.started:
            process.kill()
        for process in self.started:
            process.wait()


@contextmanager
def dask_cluster(
    workers: int = 2,
    tls: Mapping[str, str] | None = None,
    folder: Path | None = None,
    **variables: str,
) -> Iterator[DaskCluster]:
    """Run a scheduler and workers with one thread each until the end.

    Parameters
    ----------
    workers : int
        How many.
    tls : mapping, optional
        The variables ``DASK_DISTRIBUTED__COMM__TLS__...``; the address is ``tls://``.
    folder : pathlib.Path, optional
        For logs; by default a temporary one.
    **variables : str
        More of the environment of all.
    """
    with tempfile.TemporaryDirectory(prefix="mlstats-dask-") as made:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(REPOSITORY / each) for each in IMPORTED),
            "PYTHONUNBUFFERED": "1",
            # As `mlstats up` has it: else now and then a worker loses the function
            # between two of its blocks, and is sent it again.
            "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "False",
            **(tls or {}),
            **variables,
        }
        cluster = DaskCluster(folder or Path(made), environment)
        try:
            cluster.start_scheduler("tls" if tls else "tcp")
            for _ in range(workers):
                cluster.start_worker()
            yield cluster
        finally:
            cluster.stop()
