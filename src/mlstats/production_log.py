"""The log of productions in SQL: a row for each attempt at a period, also a failed one.

What a period's data became lies in its release. The log tells what was tried and when,
so that a failure is seen although it left no release.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Final, Literal, get_args

from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    String,
    Table,
    Text,
    func,
    insert,
    select,
)

from mlstats.append_only import METADATA, AppendOnly
from mlstats.errors import MlstatsError

__all__ = ["Attempt", "Kind", "Outcome", "ProductionLog"]

Kind = Literal["scheduled", "by hand", "back-cast", "drill"]
Outcome = Literal["done", "fallback", "failed", "rehearsed"]

_CAUSE: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}")
_TABLE = Table(
    "productions",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("pilot", String(200), nullable=False, index=True),
    Column("period", String(20), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("scheduled", String(40), nullable=False),
    Column("started", String(40), nullable=False),
    Column("ended", String(40), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("release", Integer, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("causes", Text, nullable=False),
)


@dataclass(frozen=True)
class Attempt:
    """One attempt to produce a period.

    Parameters
    ----------
    pilot, period : str
        What was to be produced.
    kind : {"scheduled", "by hand", "back-cast", "drill"}
        Who asked for it.
    scheduled : str
        The scheduled time, ISO 8601 in UTC; empty where there was none.
    started, ended : str
        ISO 8601 in UTC.
    outcome : {"done", "fallback", "failed", "rehearsed"}
        What came of it.
    release : int
        Number of the release, 0 where there is none.
    final : bool
        Whether the release was final at once.
    causes : str
        Why the baseline stood in, or what failed: words separated by commas, such as
        ``contract,time``; a sentence is refused, since it might hold a record.

    Raises
    ------
    MlstatsError
        Where `kind`, `outcome` or `causes` are not such words.
    """

    pilot: str
    period: str
    kind: Kind
    scheduled: str
    started: str
    ended: str
    outcome: Outcome
    release: int = 0
    final: bool = False
    causes: str = ""

    def __post_init__(self) -> None:
        causes = self.causes.split(",") if self.causes else []
        if (
            self.kind not in get_args(Kind)
            or self.outcome not in get_args(Outcome)
            or not all(_CAUSE.fullmatch(cause) for cause in causes)
        ):
            raise MlstatsError(
                "An attempt at a period is not described by the words for it",
                expected=", ".join([*get_args(Kind), *get_args(Outcome)])
                + "; causes as single words",
            )

    @property
    def publishes(self) -> bool:
        """Whether the attempt was to publish: no drill and no back-cast."""
        return self.kind in ("scheduled", "by hand")


class ProductionLog(AppendOnly):
    """The attempts of all pilots of a project.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the database; the table is made with the first attempt.
    wait : float
        Seconds to wait for another writer.
    """

    table = _TABLE
    called = "The log of productions"
    verb = "mlstats calendar"

    def add(self, row: Attempt) -> None:
        """Add an attempt that has ended.

        Raises
        ------
        ServiceError
            Where the database cannot be written.
        """
        with self._telling(), self._writing() as connection:
            last = connection.scalar(select(func.max(_TABLE.c.number))) or 0
            connection.execute(insert(_TABLE), [{"number": last + 1, **asdict(row)}])

    def read(self, pilot: str | None = None) -> list[Attempt]:
        """Return the attempts of a pilot, or of all, the oldest first.

        Raises
        ------
        ServiceError
            Where the database does not answer.
        """
        if not self._is_there():
            return []
        query = select(_TABLE).order_by(_TABLE.c.number)
        if pilot is not None:
            query = query.where(_TABLE.c.pilot == pilot)
        names = [f.name for f in fields(Attempt)]
        with self._telling(), self._engine.connect() as connection:
            return [
                Attempt(**{name: row[name] for name in names})
                for row in connection.execute(query).mappings()
            ]
