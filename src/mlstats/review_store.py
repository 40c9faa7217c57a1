"""What clerks made of the units of a period, in SQL; a review is added, not changed.

Units are named by their keyed hash: the database holds codes and no record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Final

import pandas as pd
from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    String,
    Table,
    delete,
    func,
    insert,
    select,
)

from mlstats.append_only import METADATA, AppendOnly

__all__ = ["CLOSING", "KINDS", "ReviewStore", "Reviewed", "reviews_of", "slot"]

# What a unit was reviewed for: it waited in the queue and was coded beside a
# suggestion, or without one (blind); it was drawn for the audit and coded without a
# suggestion, by a first or a second coder.
KINDS: Final = ("queue", "blind", "audit", "second")
CLOSING: Final = ("queue", "blind")  # what takes a unit out of the queue
_TABLE = Table(
    "reviews",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("pilot", String(200), nullable=False, index=True),
    Column("period", String(20), nullable=False, index=True),
    Column("unit", String(64), nullable=False),
    Column("variable", String(200), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("code", String(200), nullable=False),
    Column("coder", String(255), nullable=False),
    Column("time", String(40), nullable=False),
)


@dataclass(frozen=True)
class Reviewed:
    """One unit as a coder left it.

    Parameters
    ----------
    unit : str
        Keyed hash of the unit id.
    code : str
        As the coder gave it.
    coder : str
        Login name.
    kind : str
        One of :data:`KINDS`.
    variable : str
        Of an edit and imputation pilot; empty for a code.
    """

    unit: str
    code: str
    coder: str
    kind: str = "queue"
    variable: str = ""


def slot(kind: str) -> str:
    """Return what a unit can have one code for.

    Examples
    --------
    >>> slot("blind"), slot("queue"), slot("audit")
    ('queue', 'queue', 'audit')
    """
    return CLOSING[0] if kind in CLOSING else kind


def reviews_of(unit: str, kinds: str, code: str, coder: str) -> Iterator[Reviewed]:
    """Yield the reviews that a code of a unit gives, one for each of its kinds."""
    for kind in kinds.split("+"):
        yield Reviewed(unit, code, coder, kind)


class ReviewStore(AppendOnly):
    """The reviews of all pilots of a project.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the database; the table is made with the first review.
    """

    table = _TABLE
    called = "The database of reviews"
    verb = "mlstats calendar"

    def add(self, pilot: str, period: str, reviewed: Sequence[Reviewed]) -> None:
        """Keep reviews, all or none of them.

        Raises
        ------
        ServiceError
            Where the database cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        shared = {"pilot": pilot, "period": period, "time": now}
        rows = [shared | asdict(one) for one in reviewed]
        if not rows:
            return
        with self._telling(), self._writing() as connection:
            connection.execute(insert(_TABLE), rows)

    def add_beside(
        self,
        pilot: str,
        period: str,
        unit: str,
        decide: Callable[[Sequence[Reviewed]], Sequence[Reviewed]],
    ) -> None:
        """Keep reviews of a unit after a look at what stands, while nobody else writes.

        Parameters
        ----------
        unit : str
            Keyed hash.
        decide : callable
            Gets the reviews of the unit, the oldest first; returns those to add, or
            raises where none may be added.

        Raises
        ------
        ServiceError
            Where the database cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        shared = {"pilot": pilot, "period": period, "time": now}
        told = [_TABLE.c[f.name] for f in fields(Reviewed)]
        query = (
            select(*told)
            .where(*_of(pilot, period), _TABLE.c.unit == unit)
            .order_by(_TABLE.c.id)
        )
        with self._telling(), self._writing() as connection:
            there = [Reviewed(*row) for row in connection.execute(query)]
            new = [shared | asdict(one) for one in decide(there)]
            if new:
                connection.execute(insert(_TABLE), new)

    def read(self, pilot: str, period: str) -> pd.DataFrame:
        """Return the last review of each unit, variable and kind.

        Returns
        -------
        pandas.DataFrame
            Columns unit, variable, kind, code, coder and time, ordered by the first
            three.
        """
        columns = ["unit", "variable", "kind", "code", "coder", "time"]
        if not self._is_there():
            return pd.DataFrame(columns=columns, dtype=object)
        with self._telling(), self._engine.connect() as connection:
            query = (
                select(*(_TABLE.c[name] for name in columns))
                .where(*_of(pilot, period))
                .order_by(_TABLE.c.id)
            )
            rows = [tuple(row) for row in connection.execute(query)]
        found = pd.DataFrame(rows, columns=columns, dtype=object)
        last = found.drop_duplicates(["unit", "variable", "kind"], keep="last")
        return last.sort_values(["unit", "variable", "kind"], ignore_index=True)

    def count(self, pilot: str, period: str) -> int:
        """Return how many reviews of a period are kept, changed ones too."""
        if not self._is_there():
            return 0
        asked = select(func.count()).select_from(_TABLE).where(*_of(pilot, period))
        with self._telling(), self._engine.connect() as connection:
            return int(connection.scalar(asked) or 0)

    def purge(self, pilot: str, period: str) -> None:
        """Remove the reviews of a period; the log of decisions tells of it.

        Raises
        ------
        ServiceError
            Where the database cannot be written.
        """
        with self._telling(), self._writing() as connection:
            if connection.dialect.name == "sqlite":
                # Else the rows would stay readable in the free part of the file.
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            connection.execute(delete(_TABLE).where(*_of(pilot, period)))

    @staticmethod
    def digest(reviewed: pd.DataFrame) -> str:
        """Return the sha256 of what was reviewed, empty where nothing was."""
        if reviewed.empty:
            return ""
        told = reviewed[["unit", "variable", "kind", "code"]].to_csv(index=False)
        return hashlib.sha256(told.encode()).hexdigest()


def _of(pilot: str, period: str) -> tuple[ColumnElement[bool], ...]:
    return (_TABLE.c.pilot == pilot, _TABLE.c.period == period)
