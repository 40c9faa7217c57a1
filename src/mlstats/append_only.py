"""Tables in SQL that only grow: rows are added one writer at a time, never changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, Engine, MetaData, Table, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from mlstats.database import open_database
from mlstats.errors import ServiceError
from mlstats.migrations import HEAD, revision, upgrade

__all__ = ["METADATA", "AppendOnly"]

METADATA: Final = MetaData()  # of all tables; mlstats.migrations makes them
_WAIT: Final = 30.0  # seconds that a writer waits for another one
_LOCK: Final = 0x6D6C7374617473  # "mlstats": PostgreSQL's advisory lock of the writers


class AppendOnly:
    """One table of a project's database; its subclasses add rows and read them.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the database; the table is made with the first row.
    wait : float
        Seconds to wait for another writer.
    """

    table: ClassVar[Table]
    called: ClassVar[str]  # how messages name the table
    verb: ClassVar[str]  # the command that shows it

    def __init__(self, url: str, *, wait: float = _WAIT) -> None:
        self.url = url
        self.wait = wait

    @property
    def place(self) -> str:
        """The database as messages name it, without user and password."""
        url = self._engine.url
        return f"{url.get_backend_name()} database {url.database or ''}".strip()

    @cached_property
    def _engine(self) -> Engine:
        sqlite = self.url.startswith("sqlite")
        # An address may say itself how long to wait: sqlite:///FILE?timeout=5
        says = "timeout=" in self.url.partition("?")[2]
        options = {"timeout": self.wait} if sqlite and not says else {}
        engine = open_database(
            self.url, "MLSTATS_DATABASE_URL", poolclass=NullPool, connect_args=options
        )
        if sqlite:
            event.listen(engine, "connect", _by_hand)
            event.listen(engine, "begin", _begin)
        return engine

    def _is_there(self) -> bool:
        """Tell whether a row can have been added; reading makes no file."""
        file = self._engine.url.database
        sqlite = self._engine.dialect.name == "sqlite"
        plain = sqlite and file and not file.startswith(("file:", ":memory:"))
        if plain and not Path(str(file)).exists():
            return False
        with self._telling():
            with self._engine.connect() as connection:
                found = revision(connection)
                held = inspect(connection).has_table(self.table.name)
            if found is None:
                return False
            if found != HEAD:
                with self._writing():
                    return True  # it is brought up to date, or told what to do
            return held  # who holds copies of its rows tells that they are gone

    @contextmanager
    def _writing(self, *, asked: bool = False) -> Iterator[Connection]:
        """Yield a transaction in which no other one writes; the table is there."""
        writing = self._engine.execution_options(writes=True)
        with writing.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                wait = text(f"SET LOCAL lock_timeout = '{int(self.wait * 1000)}ms'")
                connection.execute(wait)
                # No lock on the table: who may only select and insert cannot take one.
                lock = text("SELECT pg_advisory_xact_lock(:key)")
                connection.execute(lock, {"key": _LOCK})
            found = revision(connection)
            if found != HEAD:
                self._bring_up(connection, found, asked)
            if not inspect(connection).has_table(self.table.name):
                raise ServiceError(
                    f"{self.called} has lost its table {self.table.name}",
                    where=f"{self.place}, of MLSTATS_DATABASE_URL",
                    hint="restore the database from a copy: no row is added before",
                )
            yield connection

    def _bring_up(self, connection: Connection, found: str | None, asked: bool) -> None:
        """Bring the tables to the version of the code.

        A file of one's own is brought up at once. Of a server that others work with,
        only an empty database is: an older mlstats could not use it any more, and who
        does not own the tables cannot change them.
        """
        if found is not None and found > HEAD:
            raise ServiceError(
                f"The database was made by a newer mlstats (version {found} of its "
                "tables)",
                where=f"{self.place}, of MLSTATS_DATABASE_URL",
                expected=f"version {HEAD}",
                hint="install the version of mlstats that the others use",
            )
        own = self._engine.dialect.name == "sqlite"
        if found is not None and not own and not asked:
            raise ServiceError(
                "The database was made by an older mlstats (version "
                f"{found or '0000'} of its tables)",
                where=f"{self.place}, of MLSTATS_DATABASE_URL",
                expected=f"version {HEAD}",
                hint="let the owner of its tables run mlstats migrate, once all who "
                "use it have this mlstats",
            )
        upgrade(connection)

    def migrate(self) -> tuple[str | None, str]:
        """Bring the tables up to date; return their version before and now.

        The version before is empty for tables from before there were versions, and
        None where there were no tables.

        Raises
        ------
        ServiceError
            Where the database cannot be changed, or is of a newer mlstats.
        """
        with self._telling():
            with self._engine.connect() as connection:
                found = revision(connection)
            with self._writing(asked=True):
                return found, HEAD

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell the database's errors in our words; its own may quote a row."""
        try:
            yield
        except SQLAlchemyError as error:
            title, hint = _in_words(str(getattr(error, "orig", "")).lower())
            raise ServiceError(
                f"{self.called} {title} ({type(error).__name__})",
                where=f"{self.place}, of MLSTATS_DATABASE_URL",
                expected="a database that this user can read and write",
                hint=f"{hint}; {self.verb} tells what was recorded",
            ) from None


def _by_hand(connection: Any, record: object) -> None:
    connection.isolation_level = None  # the driver would begin too late


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    # Two readers that both went on to write would wait for each other for ever.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _in_words(said: str) -> tuple[str, str]:
    """Return what happened and what to do, from a database's own words."""
    locked = ("is locked by another writer", "wait until it has ended")
    known = (
        ("readonly", "cannot be written", "mend the permissions of file and folder"),
        ("permission", "cannot be written", "ask for the right to select and insert"),
        ("read-only", "cannot be written", "use the server that takes writes"),
        ("database is locked", *locked),
        ("lock timeout", *locked),
        ("no space", "is on a full disk", "free the disk"),
        ("full", "is on a full disk", "free the disk"),
        ("not a database", "is no database", "restore it from a copy"),
        ("malformed", "is damaged", "restore it from a copy"),
        ("unable to open", "cannot be opened", "mend the permissions of its folder"),
    )
    for word, title, hint in known:
        if word in said:
            return title, hint
    return "does not answer", "look whether its server runs"
