"""A real PostgreSQL for tests: a private cluster on the loopback interface."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port

__all__ = ["PROGRAMS", "Cluster", "cluster", "needs_postgresql", "new_database"]

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:] or [
    Path(found).parent for found in [shutil.which("initdb")] if found
]
needs_postgresql = pytest.mark.skipif(
    not PROGRAMS, reason="PostgreSQL is not installed"
)


@dataclass(frozen=True)
class Cluster:
    """A cluster that can be stopped and started again."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its first database."""
        return f"postgresql+psycopg://office@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        data = str(self.folder / "data")
        self._call("initdb", "-D", data, "-U", "office", "-A", "trust", "-E", "UTF8")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        log = str(self.folder / "log")
        self._control("-o", options, "-l", log, "-w", "start")

    def stop(self) -> None:
        """Stop it as a power failure does."""
        self._control("-m", "immediate", "stop")

    def _control(self, *words: str) -> None:
        self._call("pg_ctl", "-D", str(self.folder / "data"), *words)

    def _call(self, program: str, *words: str) -> None:
        # PostgreSQL refuses to run as root: there the package's own user runs it.
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        # No pipes: the server would hold them open after pg_ctl has ended.
        subprocess.run(
            [*as_user, str(PROGRAMS[0] / program), *words],
            cwd=self.folder,
            check=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Make a cluster, start it, and leave nothing of it."""
    folder = Path(tempfile.mkdtemp(prefix="mlstats-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    made = Cluster(folder, free_port())
    try:
        made.make()
        made.start()
        try:
            yield made
        finally:
            if (folder / "data/postmaster.pid").exists():
                made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_database(url: str) -> Iterator[str]:
    """Make a database of its own in a cluster, and drop it."""
    import sqlalchemy

    name = f"own_{secrets.token_hex(4)}"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"create database {name}")
    try:
        yield url.replace("/postgres", f"/{name}")
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"drop database {name} with (force)")
        engine.dispose()
