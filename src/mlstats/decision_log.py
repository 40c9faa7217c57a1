"""The log of decisions in SQL: rows are added under a lock, and never changed.

The rules are asked inside the transaction that writes, while no other writer can add a
row; the row before is unique for each pilot, so that not even a writer without the
lock could fork the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mlstats.database import open_database
from mlstats.decisions import Act, Decision, chained, faults
from mlstats.errors import ServiceError

__all__ = ["DecisionLog"]

_WAIT: Final = 30.0  # seconds that a writer waits for another one
_TRIES: Final = 20
_LOCK: Final = 0x6D6C7374617473  # "mlstats": PostgreSQL's advisory lock of the writers
_METADATA = MetaData()
_TABLE = Table(
    "decisions",
    _METADATA,
    Column("pilot", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("model", String(64), nullable=False),
    Column("evidence", String(64), nullable=False),
    Column("stage_from", String(20), nullable=False),
    Column("stage_to", String(20), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("who", String(255), nullable=False),
    Column("role", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("waiver", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    UniqueConstraint("pilot", "previous"),  # a chain has no fork
)
_KEPT = "decisions are never changed"


@event.listens_for(_TABLE, "after_create")
def _refuse_changes(table: Table, connection: Connection, **_: object) -> None:
    """Let the database refuse changes.

    That is against mistakes: the owner of the database can take it away.
    """
    if connection.dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER decisions_no_{verb.lower()} BEFORE {verb} ON decisions"
                f" BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END"
            )
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "CREATE FUNCTION decisions_kept() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_KEPT}'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER decisions_kept BEFORE UPDATE OR DELETE OR TRUNCATE "
            "ON decisions EXECUTE FUNCTION decisions_kept()"
        )


class DecisionLog:
    """The decisions of all pilots of a project.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the database; the table is made with the first decision.
    wait : float
        Seconds to wait for another writer.
    """

    def __init__(self, url: str, *, wait: float = _WAIT) -> None:
        self.url = url
        self.wait = wait

    def read(self, pilot: str | None = None) -> list[Decision]:
        """Return the rows of a pilot, or of all, ordered by pilot and number.

        Raises
        ------
        ServiceError
            Where the database does not answer.
        """
        if not self._is_there():
            return []
        with self._telling(), self._engine.connect() as connection:
            return _rows(connection, pilot)

    def append(
        self, pilot: str, decide: Callable[[Sequence[Decision]], Sequence[Act]]
    ) -> list[Decision]:
        """Add what is decided after the rows that are there.

        Parameters
        ----------
        pilot : str
            Whose log it is.
        decide : callable
            Gets the rows of the pilot, while no other writer can add one, and
            returns the acts to add; where it raises, nothing is written. It may be
            called again, with newer rows.

        Returns
        -------
        list of Decision
            The rows that were added.

        Raises
        ------
        ServiceError
            Where the database cannot be written, and where its rows for the pilot
            are not as they were written.
        """
        for _ in range(_TRIES):
            with self._telling():
                try:
                    return self._append(pilot, decide)
                except IntegrityError:  # a writer without the lock was faster
                    continue
        raise ServiceError(
            "Other writers were always faster",
            where=self.place,
            hint="run the command again",
        )

    def _append(
        self, pilot: str, decide: Callable[[Sequence[Decision]], Sequence[Act]]
    ) -> list[Decision]:
        with self._writing() as connection:
            _METADATA.create_all(connection)
            rows = _rows(connection, pilot)
            wrong = faults(rows)
            if wrong:
                raise ServiceError(
                    f"The decisions on {pilot} are not as they were written: "
                    f"{wrong[0]}",
                    where=self.place,
                    expected="rows that nobody has changed",
                    hint="mlstats doctor tells all; restore the database from a copy",
                )
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            made = chained(decide(rows), pilot, rows, time)
            if made:
                connection.execute(insert(_TABLE), [asdict(row) for row in made])
            return made

    @property
    def place(self) -> str:
        """The database as messages name it, without user and password."""
        url = self._engine.url
        return f"{url.get_backend_name()} database {url.database or ''}".strip()

    @cached_property
    def _engine(self) -> Engine:
        sqlite = self.url.startswith("sqlite")
        options = {"timeout": self.wait} if sqlite else {}
        engine = open_database(
            self.url, "MLSTATS_DATABASE_URL", poolclass=NullPool, connect_args=options
        )
        if sqlite:
            event.listen(engine, "connect", _by_hand)
            event.listen(engine, "begin", _begin)
        return engine

    def _is_there(self) -> bool:
        """Tell whether a decision can have been made; reading makes no file."""
        file = self._engine.url.database
        sqlite = self._engine.dialect.name == "sqlite"
        plain = sqlite and file and not file.startswith(("file:", ":memory:"))
        if plain and not Path(str(file)).exists():
            return False
        with self._telling():
            return inspect(self._engine).has_table(_TABLE.name)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Yield a transaction in which no other one writes."""
        writing = self._engine.execution_options(writes=True)
        with writing.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                wait = text(f"SET LOCAL lock_timeout = '{int(self.wait * 1000)}ms'")
                connection.execute(wait)
                # No lock on the table: who may only select and insert cannot take one.
                lock = text("SELECT pg_advisory_xact_lock(:key)")
                connection.execute(lock, {"key": _LOCK})
            yield connection

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell the database's errors in our words; its own may quote a row."""
        try:
            yield
        except SQLAlchemyError as error:
            title, hint = _in_words(str(getattr(error, "orig", "")).lower())
            raise ServiceError(
                f"{title} ({type(error).__name__})",
                where=f"{self.place}, of MLSTATS_DATABASE_URL",
                expected="a database that this user can read and write",
                hint=f"{hint}; mlstats decisions tells what was recorded",
            ) from None


def _rows(connection: Connection, pilot: str | None) -> list[Decision]:
    query = select(_TABLE).order_by(_TABLE.c.pilot, _TABLE.c.number)
    if pilot is not None:
        query = query.where(_TABLE.c.pilot == pilot)
    names = [f.name for f in fields(Decision)]
    return [
        Decision(**{name: row[name] for name in names})
        for row in connection.execute(query).mappings()
    ]


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
        (
            "database is locked",
            "is locked by another writer",
            "wait until it has ended",
        ),
        ("lock timeout", *locked),
        ("no space", "is on a full disk", "free the disk"),
        ("full", "is on a full disk", "free the disk"),
        ("not a database", "is no database", "restore it from a copy"),
        ("malformed", "is damaged", "restore it from a copy"),
        ("unable to open", "cannot be opened", "mend the permissions of its folder"),
    )
    for word, title, hint in known:
        if word in said:
            return f"The log of decisions {title}", hint
    return "The log of decisions does not answer", "look whether its server runs"
