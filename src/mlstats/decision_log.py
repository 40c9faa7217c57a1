"""The log of decisions in SQL: rows are added under a lock, and never changed.

The rules are asked inside the transaction that writes, while no other writer can add a
row; the row before is unique for each pilot, so that not even a writer without the
lock could fork the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from mlstats.append_only import METADATA, AppendOnly
from mlstats.decisions import Act, Decision, chained, faults
from mlstats.errors import ServiceError

__all__ = ["DecisionLog"]

_TRIES: Final = 20
_TABLE = Table(
    "decisions",
    METADATA,
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


class DecisionLog(AppendOnly):
    """The decisions of all pilots of a project.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the database; the table is made with the first decision.
    wait : float
        Seconds to wait for another writer.
    """

    table = _TABLE
    called = "The log of decisions"
    verb = "mlstats decisions"

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


def _rows(connection: Connection, pilot: str | None) -> list[Decision]:
    query = select(_TABLE).order_by(_TABLE.c.pilot, _TABLE.c.number)
    if pilot is not None:
        query = query.where(_TABLE.c.pilot == pilot)
    names = [f.name for f in fields(Decision)]
    return [
        Decision(**{name: row[name] for name in names})
        for row in connection.execute(query).mappings()
    ]
