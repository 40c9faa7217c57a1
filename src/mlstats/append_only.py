"""Tables in SQL that only grow: rows are added one writer at a time, never changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, Engine, Table, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from mlstats.database import open_database
from mlstats.errors import ServiceError

__all__ = ["AppendOnly", "refuse_changes"]

_WAIT: Final = 30.0  # seconds that a writer waits for another one
_LOCK: Final = 0x6D6C7374617473  # "mlstats": PostgreSQL's advisory lock of the writers


def refuse_changes(table: Table, said: str) -> None:
    """Let the database refuse changes of a table's rows, from its creation on.

    That is against mistakes: the owner of the database can take it away.

    Parameters
    ----------
    table : sqlalchemy.Table
        The table.
    said : str
        What the database says to whoever tries.
    """
    name = table.name

    def made(_: Table, connection: Connection, **__: object) -> None:
        if connection.dialect.name == "sqlite":
            for verb in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name}"
                    f" BEGIN SELECT RAISE(ABORT, '{said}'); END"
                )
        elif connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                f"CREATE FUNCTION {name}_kept() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{said}'; END $$"
            )
            connection.exec_driver_sql(
                f"CREATE TRIGGER {name}_kept BEFORE UPDATE OR DELETE OR TRUNCATE "
                f"ON {name} EXECUTE FUNCTION {name}_kept()"
            )

    event.listen(table, "after_create", made)


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
            return inspect(self._engine).has_table(self.table.name)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a transaction in which no other one writes; the table is there."""
        writing = self._engine.execution_options(writes=True)
        with writing.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                wait = text(f"SET LOCAL lock_timeout = '{int(self.wait * 1000)}ms'")
                connection.execute(wait)
                # No lock on the table: who may only select and insert cannot take one.
                lock = text("SELECT pg_advisory_xact_lock(:key)")
                connection.execute(lock, {"key": _LOCK})
            self.table.metadata.create_all(connection)
            yield connection

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
