"""All of the project's database in one file, and back into an empty one.

The file holds every table as of one moment, and which releases there were. The same
content gives the same bytes, from whatever kind of database. It holds codes, login
names and hashes of units: it is confidential.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, String, Table, collate, func, insert, select, text
from sqlalchemy.exc import IntegrityError

import mlstats
from mlstats import io
from mlstats.append_only import METADATA, AppendOnly
from mlstats.decision_log import DecisionLog
from mlstats.decisions import Decision, faults
from mlstats.errors import ConfigError, RefusedError, SourceError, UsageError
from mlstats.migrations import HEAD
from mlstats.production_log import ProductionLog
from mlstats.releases import ReleaseStore
from mlstats.review_files import ReviewFiles
from mlstats.review_store import ReviewStore
from mlstats.settings import Settings

__all__ = ["KEPT", "Contents", "backup", "restore"]

# Whose tables are kept: an import of each makes its table known.
KEPT: Final = (DecisionLog, ProductionLog, ReviewStore, ReviewFiles)
_FORM: Final = 1  # of the file
_MANIFEST: Final = "manifest.json"
_RELEASES: Final = "releases"
_AT_ONCE: Final = 1_000  # rows
# What zipfile raises of an archive whose bytes were changed.
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    RuntimeError,
    UnicodeError,
)
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)  # Windows would change line ends


@dataclass(frozen=True)
class Contents:
    """What a backup holds.

    Parameters
    ----------
    rows : mapping of str to int
        Table -> rows.
    releases : int
        Releases that there were when it was made.
    missing : tuple of str
        Of a restore: which of them are not in the store, or are not the same.
    """

    rows: Mapping[str, int]
    releases: int
    missing: tuple[str, ...] = ()


class _Database(AppendOnly):
    """The database as a whole."""

    table = DecisionLog.table
    called = "The database"
    verb = "mlstats doctor"

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """Yield a transaction that sees one moment; None where there are no tables."""
        if not self._is_there():
            yield None
            return
        engine = self._engine
        if engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with self._telling(), engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a transaction in which no other one writes."""
        with self._telling(), self._writing() as connection:
            yield connection


# -- backup ------------------------------------------------------------------------


def backup(settings: Settings, path: Path) -> Contents:
    """Write all tables, as of one moment, into a new file.

    Parameters
    ----------
    path : pathlib.Path
        A zip archive: each table and the list of releases as JSON lines, and
        ``manifest.json`` with their checksums. Only its owner can read it, where the
        system has modes.

    Raises
    ------
    UsageError
        Where there is a file of that name.
    ServiceError
        Where the database does not answer or the file cannot be written.
    """
    if path.exists():
        raise UsageError(
            "There is a file of that name",
            where=str(path),
            hint="give each backup a name of its own, such as one with the date",
        )
    made: list[dict[str, Any]] = []
    with _Database(settings.database).reading() as connection:

        def write(hidden: Path) -> None:
            made.append(_fill(hidden, connection, settings))

        io.write_atomic(path, write)
    return _contents(made[0])


def _fill(
    path: Path, connection: Connection | None, settings: Settings
) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    with os.fdopen(descriptor, "wb+") as file, zipfile.ZipFile(file, "w") as archive:
        for table in METADATA.sorted_tables:
            rows = iter(()) if connection is None else _rows(connection, table)
            parts[table.name] = _write(archive, table.name, rows)
        parts[_RELEASES] = _write(archive, _RELEASES, _released(settings))
        told = {
            "form": _FORM,
            "made_by": f"mlstats {mlstats.__version__}",
            "schema": HEAD,
            "parts": parts,
        }
        archive.writestr(_entry(_MANIFEST), _line(told))
    return told


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    # Databases sort texts each in its own way: the order of bytes is the same in all.
    c = connection.dialect.name == "postgresql"
    order = [
        collate(key, "C") if c and isinstance(key.type, String) else key
        for key in table.primary_key.columns
    ]
    asked = select(table).order_by(*order).execution_options(yield_per=_AT_ONCE)
    for row in connection.execute(asked).mappings():
        yield dict(row)


def _released(settings: Settings) -> Iterator[dict[str, Any]]:
    store = ReleaseStore(settings.releases)
    for pilot in store.pilots():
        for period in store.periods(pilot):
            for one in store.revisions(pilot, period):
                manifest = io.sha256_file(one.folder / "manifest.json")
                yield {"path": one.path, "manifest": manifest, "final": one.final}


def _write(
    archive: zipfile.ZipFile, name: str, rows: Iterator[dict[str, Any]]
) -> dict[str, Any]:
    digest, count = hashlib.sha256(), 0
    with archive.open(_entry(f"{name}.jsonl"), "w", force_zip64=True) as file:
        for row in rows:
            line = _line(row)
            digest.update(line)
            count += 1
            file.write(line)
    return {"rows": count, "sha256": digest.hexdigest()}


def _line(told: Mapping[str, Any]) -> bytes:
    return (json.dumps(told, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry without the time, so that the same content is the same bytes."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system, entry.external_attr = 3, 0o600 << 16
    return entry


# -- restore -----------------------------------------------------------------------


def restore(settings: Settings, path: Path) -> Contents:
    """Put a backup into an empty database, all of it or nothing.

    Parameters
    ----------
    path : pathlib.Path
        From :func:`backup`, of this or of another kind of database.

    Returns
    -------
    Contents
        It names the releases that are not in the store of these settings.

    Raises
    ------
    SourceError
        Where the file is no backup or is damaged, or its decisions are not as they
        were written.
    ConfigError
        Where it was made by another version of the tables.
    RefusedError
        Where the database holds anything.
    ServiceError
        Where the database cannot be written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            told = _manifest(archive, path)
            for name, part in told["parts"].items():
                _check(archive, name, part, path)
            missing = _missing(archive, settings)  # before: nothing may fail after
            with _Database(settings.database).writing() as connection:
                _refuse_rows(connection, settings)
                _put(archive, connection, path)
    except FileNotFoundError:
        raise UsageError("There is no such file", where=str(path)) from None
    except _UNREADABLE as error:
        raise _damaged(path, type(error).__name__) from None
    return _contents(told, missing)


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        told = json.loads(archive.read(_MANIFEST))
        form, schema, parts = told["form"], str(told["schema"]), dict(told["parts"])
        by = str(told["made_by"])
    except (KeyError, ValueError, TypeError):
        raise _damaged(path, "it has no manifest") from None
    if (form, schema) != (_FORM, HEAD):
        newer = (form, schema) > (_FORM, HEAD)
        raise ConfigError(
            f"The backup was made by {by}, with version {schema} of the tables",
            where=str(path),
            expected=f"version {HEAD}",
            hint="restore it with an mlstats as new as that"
            if newer
            else f"restore it with {by}, then run mlstats migrate with this one",
        )
    if set(parts) != {*METADATA.tables, _RELEASES} or set(archive.namelist()) != {
        _MANIFEST,
        *(f"{name}.jsonl" for name in parts),
    }:
        raise _damaged(path, "parts are missing or unknown")
    return {"parts": parts}


def _check(
    archive: zipfile.ZipFile, name: str, part: Mapping[str, Any], path: Path
) -> None:
    digest, count = hashlib.sha256(), 0
    with archive.open(f"{name}.jsonl") as file:
        for line in file:
            digest.update(line)
            count += 1
    if {"rows": count, "sha256": digest.hexdigest()} != part:
        raise _damaged(path, f"{name} is not what was written")


def _refuse_rows(connection: Connection, settings: Settings) -> None:
    counts = {
        name: connection.scalar(select(func.count()).select_from(table)) or 0
        for name, table in METADATA.tables.items()
    }
    held = [f"{count} {name}" for name, count in sorted(counts.items()) if count]
    if held:
        raise RefusedError(
            f"The database is not empty: it holds {', '.join(held)}",
            where=f"{DecisionLog(settings.database).place}, of MLSTATS_DATABASE_URL",
            expected="an empty database: a restore never merges",
            hint="let MLSTATS_DATABASE_URL or MLSTATS_HOME name another one",
        )


def _put(archive: zipfile.ZipFile, connection: Connection, path: Path) -> None:
    for table in METADATA.sorted_tables:
        columns = {column.name for column in table.columns}
        with archive.open(f"{table.name}.jsonl") as file:
            rows = _read(file, columns, path)
            while some := list(islice(rows, _AT_ONCE)):
                try:
                    connection.execute(insert(table), some)
                except IntegrityError:
                    raise _damaged(path, f"{table.name} holds a row twice") from None
        _count_on(connection, table)
    log = DecisionLog.table
    asked = select(log).order_by(log.c.pilot, log.c.number)
    told = connection.execute(asked).mappings()
    decisions = [Decision(**{str(k): v for k, v in row.items()}) for row in told]
    for pilot, held in groupby(decisions, lambda row: row.pilot):
        wrong = faults(list(held))
        if wrong:
            raise _damaged(path, f"decisions on {pilot}: {wrong[0]}")


def _read(file: IO[bytes], columns: set[str], path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, start=1):
        try:
            row = json.loads(line)
            if set(row) != columns:
                raise ValueError
        except (ValueError, TypeError):
            raise _damaged(path, f"line {number} of {file.name}") from None
        yield row


def _count_on(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number new rows from behind the last one."""
    key = table.autoincrement_column
    if connection.dialect.name != "postgresql" or key is None:
        return
    last = connection.scalar(select(func.max(key)))
    if last is not None:
        named = {"table": table.name, "key": key.name, "last": last}
        ask = text("SELECT setval(pg_get_serial_sequence(:table, :key), :last)")
        connection.execute(ask, named)


def _missing(archive: zipfile.ZipFile, settings: Settings) -> tuple[str, ...]:
    missing = []
    with archive.open(f"{_RELEASES}.jsonl") as file:
        for line in file:
            told = json.loads(line)
            manifest = settings.releases / told["path"] / "manifest.json"
            if not manifest.is_file() or io.sha256_file(manifest) != told["manifest"]:
                missing.append(str(told["path"]))
    return tuple(missing)


def _contents(told: Mapping[str, Any], missing: tuple[str, ...] = ()) -> Contents:
    rows = {name: int(part["rows"]) for name, part in told["parts"].items()}
    return Contents(rows, rows.pop(_RELEASES), missing)


def _damaged(path: Path, why: str) -> SourceError:
    return SourceError(
        f"The backup is damaged: {why}",
        where=str(path),
        expected="a file that mlstats backup wrote",
        hint="take another copy; nothing was restored",
    )
