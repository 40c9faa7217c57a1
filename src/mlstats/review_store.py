"""What clerks made of the units of a period, in SQL; rows are added, never changed.

Units are named by their keyed hash: the database holds codes and no record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from mlstats.database import open_database
from mlstats.errors import ServiceError

__all__ = ["KINDS", "Reviewed", "ReviewStore"]

# What a unit was reviewed for: it waited in the queue, or was drawn for the audit and
# coded without a suggestion, by a first or a second coder.
KINDS: Final = ("queue", "audit", "second")
_WAIT: Final = 30.0
_METADATA = MetaData()
_TABLE = Table(
    "reviews",
    _METADATA,
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


class ReviewStore:
    """The reviews of all pilots of a project.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the database; the table is made with the first review.
    """

    def __init__(self, url: str) -> None:
        self.url = url

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
        self._make_folder()
        with self._telling(), self._engine.begin() as connection:
            _METADATA.create_all(connection, checkfirst=True)
            connection.execute(insert(_TABLE), rows)

    def read(self, pilot: str, period: str) -> pd.DataFrame:
        """Return the last review of each unit, variable and kind.

        Returns
        -------
        pandas.DataFrame
            Columns unit, variable, kind, code, coder and time, ordered by the first
            three.
        """
        columns = ["unit", "variable", "kind", "code", "coder", "time"]
        with self._telling(), self._engine.connect() as connection:
            if not inspect(connection).has_table(_TABLE.name):
                return pd.DataFrame(columns=columns, dtype=object)
            query = (
                select(*(_TABLE.c[name] for name in columns))
                .where(_TABLE.c.pilot == pilot, _TABLE.c.period == period)
                .order_by(_TABLE.c.id)
            )
            rows = [tuple(row) for row in connection.execute(query)]
        found = pd.DataFrame(rows, columns=columns, dtype=object)
        last = found.drop_duplicates(["unit", "variable", "kind"], keep="last")
        return last.sort_values(["unit", "variable", "kind"], ignore_index=True)

    @staticmethod
    def digest(reviewed: pd.DataFrame) -> str:
        """Return the sha256 of what was reviewed, empty where nothing was."""
        if reviewed.empty:
            return ""
        told = reviewed[["unit", "variable", "kind", "code"]].to_csv(index=False)
        return hashlib.sha256(told.encode()).hexdigest()

    @cached_property
    def _engine(self) -> Engine:
        return open_database(self.url, "MLSTATS_DATABASE_URL", poolclass=NullPool)

    def _make_folder(self) -> None:
        if self._engine.dialect.name == "sqlite":
            folder = Path(self._engine.url.database or "").parent
            folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell of a failing database without its own words, which may hold rows."""
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            url = self._engine.url
            raise ServiceError(
                f"The database of reviews does not answer ({type(error).__name__})",
                where=f"{url.get_backend_name()} database {url.database or ''}".strip(),
                expected="a database that this user can read and write",
                hint="look whether its server runs, then try again",
            ) from None
