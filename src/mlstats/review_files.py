"""Which coder has which file of a period, in SQL: rows are added, never changed.

The database names files, coders and counts. What was in a file lies in the confidential
store, as a keyed checksum of each locked cell and the unit of each row.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pandas as pd
from filelock import FileLock, Timeout
from sqlalchemy import Column, Integer, String, Table, insert, select

from mlstats import io
from mlstats.append_only import METADATA, AppendOnly
from mlstats.errors import ServiceError
from mlstats.settings import Settings

__all__ = [
    "LABELS_FILE",
    "ReviewFile",
    "ReviewFiles",
    "checksum",
    "folder_of",
    "keep_rows",
    "kept_rows",
    "working_alone",
]

_TABLE = Table(
    "review_files",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("export", String(32), nullable=False),
    Column("pilot", String(200), nullable=False, index=True),
    Column("period", String(20), nullable=False, index=True),
    Column("release", Integer, nullable=False),
    Column("input_digest", String(64), nullable=False),
    Column("coder", String(255), nullable=False),
    Column("second", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("act", String(20), nullable=False),
    Column("added", Integer, nullable=False),
    Column("by", String(255), nullable=False),
    Column("time", String(40), nullable=False),
)
LABELS_FILE: Final = "labels.parquet"  # of a pilot, beside the folders of periods
_NOT_TOLD: Final = ("id",)
_WAIT: Final = 60.0  # seconds for an export or import of the period to end


@dataclass(frozen=True)
class ReviewFile:
    """A file that was given to a coder, and what became of it.

    Parameters
    ----------
    export : str
        Its number.
    pilot, period : str
        Of what it holds units.
    release : int
        Revision of the period whose queue and audit it was made of.
    input_digest : str
        sha256 of the data of that release.
    coder : str
        For whom it is.
    second : int
        1 for the second coder of double-coded units, 0 otherwise.
    rows : int
        Units in it.
    act : str
        ``export``, ``import``, ``withdraw``, or ``page`` where a page has the units.
    added : int
        Reviews that an import added.
    by : str
        Login name of who did it.
    """

    export: str
    pilot: str
    period: str
    release: int
    input_digest: str
    coder: str
    second: int
    rows: int
    act: str
    added: int
    by: str


class ReviewFiles(AppendOnly):
    """The files of all coders of a project.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the database; the table is made with the first file.
    """

    table = _TABLE
    called = "The database of coders' files"
    verb = "mlstats review status"

    def add(self, files: Sequence[ReviewFile]) -> None:
        """Record what was done with files, all or nothing.

        Raises
        ------
        ServiceError
            Where the database cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if files:
            with self._telling(), self._writing() as connection:
                rows = [asdict(one) | {"time": now} for one in files]
                connection.execute(insert(_TABLE), rows)

    def read(self, pilot: str, period: str) -> pd.DataFrame:
        """Return all that was done with the files of a period, the oldest first.

        Returns
        -------
        pandas.DataFrame
            The fields of :class:`ReviewFile` and time (UTC).
        """
        told = [c for c in _TABLE.c if c.name not in _NOT_TOLD]
        columns = [c.name for c in told]
        if not self._is_there():
            return pd.DataFrame(columns=columns, dtype=object)
        with self._telling(), self._engine.connect() as connection:
            query = (
                select(*told)
                .where(_TABLE.c.pilot == pilot, _TABLE.c.period == period)
                .order_by(_TABLE.c.id)
            )
            rows = [tuple(row) for row in connection.execute(query)]
        return pd.DataFrame(rows, columns=columns, dtype=object)

    def held(self, pilot: str, period: str) -> pd.DataFrame:
        """Return the files of a period with what was done last to each.

        Returns
        -------
        pandas.DataFrame
            As :meth:`read`, a row per file that was not withdrawn; ``act`` is
            ``export`` where nothing of it has come back, ``page`` where it is no file
            but what a page has taken.
        """
        told = self.read(pilot, period).drop_duplicates("export", keep="last")
        return told[told["act"] != "withdraw"].reset_index(drop=True)


def checksum(key: bytes, *parts: str) -> str:
    """Return a keyed checksum of texts (HMAC-SHA256, 64 bits kept).

    Examples
    --------
    >>> checksum(b"key", "a", "b") == checksum(b"key", "ab", "")
    False
    """
    told = "\x1f".join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(key, told.encode("utf-8", "surrogatepass"), "sha256")[:8].hex()


def folder_of(settings: Settings, pilot: str, period: str) -> Path:
    """Return the confidential folder of a period's files; it is made."""
    folder = settings.confidential / "reviews" / pilot / period
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(
            f"The store cannot be written: {os.strerror(error.errno or 0)}",
            where=str(folder),
        ) from None
    return folder


@contextmanager
def working_alone(settings: Settings, pilot: str, period: str) -> Iterator[Path]:
    """Keep exports, imports, pages and purges of a period waiting for each other.

    Yields
    ------
    pathlib.Path
        From :func:`folder_of`.

    Raises
    ------
    ServiceError
        Where another one has not ended within a minute.
    """
    folder = folder_of(settings, pilot, period)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=_WAIT)
    except Timeout:
        raise ServiceError(
            "Another export or import of the period has not ended",
            hint="wait until it has",
        ) from None
    try:
        yield folder
    finally:
        lock.release()


def keep_rows(settings: Settings, one: ReviewFile, rows: pd.DataFrame) -> None:
    """Keep what a file was made of: row, unit, hash, kinds and checksums."""
    folder = folder_of(settings, one.pilot, one.period)
    io.write_parquet(folder / f"{one.export}.parquet", rows)


def kept_rows(settings: Settings, pilot: str, period: str, export: str) -> pd.DataFrame:
    """Return what :func:`keep_rows` kept.

    Raises
    ------
    ServiceError
        Where the confidential store does not have it.
    """
    path = folder_of(settings, pilot, period) / f"{export}.parquet"
    if not path.is_file():
        raise ServiceError(
            f"The rows of the file {export} are not in the confidential store",
            where=str(path),
            hint="export again for the coder",
        )
    return pd.read_parquet(path)
