"""Reading the result of a query; the address of the database stays out of sight.

The address holds a password, so it comes from an environment variable and is in no
message. A database's own message may quote a record, so it is not passed on either.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from mlstats.errors import ConfigError, ServiceError, SourceError, nearest
from mlstats.table import Table, finish_table

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

__all__ = ["open_database", "read_sql"]

_EXAMPLE: Final = "an SQLAlchemy URL such as postgresql+psycopg://user@host/database"

# Texts, quoted names and comments, in which any word may stand.
_OPAQUE = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | --[^\n]* | /\*.*?\*/""",
    re.VERBOSE | re.DOTALL,
)
_CHANGES = re.compile(
    r"\b(insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|into|call"
    r"|exec|execute)\b",
    re.IGNORECASE,
)


def read_sql(
    url_variable: str, query: str, *, text_columns: Collection[str] = ()
) -> Table:
    """Read the result of one SELECT.

    Parameters
    ----------
    url_variable : str
        Name of the environment variable that holds the SQLAlchemy URL.
    query : str
        One statement that begins with SELECT or WITH and changes nothing; it runs
        in a transaction that is rolled back.
    text_columns : collection of str, default ()
        Columns to turn into text, such as codes stored as numbers.

    Returns
    -------
    mlstats.table.Table
        With one row or more.

    Raises
    ------
    ConfigError
        Where the variable is not set or holds no URL, where the driver is not
        installed, and for any other statement.
    ServiceError
        Where the database cannot be reached.
    SourceError
        Where the query fails or gives no rows, or two columns have one name.
    """
    from sqlalchemy.exc import SQLAlchemyError

    _check_only_reads(query)
    url = _url(url_variable)
    engine = _engine(url, url_variable)
    place = f"{url.get_backend_name()} database {url.database or ''}".strip()
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        engine.dispose()
        raise ServiceError(
            f"The database cannot be reached ({type(error).__name__})",
            where=f"{place}, of {url_variable}",
            expected="a server that runs and accepts the user",
            hint="try the address in the database's own client",
        ) from None
    try:
        frame = pd.read_sql_query(query, connection)
    except (SQLAlchemyError, pd.errors.DatabaseError):
        raise SourceError(
            "The query fails",
            where=place,
            expected="a statement that this database understands",
            hint="run it in the database's own client, which says why",
        ) from None
    finally:
        connection.close()
        engine.dispose()
    table = Table(frame, place, "sql", _digest(frame))
    return finish_table(table, text_columns=text_columns)


def _check_only_reads(query: str) -> None:
    words = _OPAQUE.sub(" ", query).strip().rstrip(";").strip()
    first = words.split(maxsplit=1)[0].lower() if words else ""
    change = _CHANGES.search(words)
    if first in ("select", "with") and ";" not in words and change is None:
        return
    if change:
        title = f"The query holds the word {change[0].upper()}"
    elif ";" in words:
        title = "The query is more than one statement"
    else:
        title = "The query does not begin with SELECT or WITH"
    raise ConfigError(
        title,
        expected="one statement that begins with SELECT or WITH and changes nothing",
        hint="put a column with such a name into double quotes",
    )


def _url(variable: str) -> URL:
    text = os.environ.get(variable, "")
    if not text:
        raise ConfigError(
            f"The environment variable {variable} is not set",
            expected=_EXAMPLE,
            nearest=nearest(variable, os.environ),
            hint=f"set {variable} where the run is started",
        )
    return _parsed(text, variable)


def _parsed(text: str, variable: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(
            f"The environment variable {variable} holds no database address",
            expected=_EXAMPLE,
        ) from None


def open_database(text: str, variable: str, **options: Any) -> Engine:
    """Return an engine for an address; nothing is asked of the database yet.

    Parameters
    ----------
    text : str
        An SQLAlchemy URL.
    variable : str
        The environment variable that errors name in the place of the address.
    **options
        As ``sqlalchemy.create_engine`` takes them.

    Raises
    ------
    ConfigError
        Where the text is no URL or the driver is not installed.
    """
    return _engine(_parsed(text, variable), variable, **options)


def _engine(url: URL, variable: str, **options: Any) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError

    try:
        return create_engine(url, **options)
    except (ArgumentError, ImportError):
        raise ConfigError(
            f"There is no driver for {url.drivername}",
            where=f"environment variable {variable}",
            expected="an installed SQLAlchemy driver, such as postgresql+psycopg",
            hint='for PostgreSQL: pip install "mlstats[postgres]"',
        ) from None


def _digest(frame: pd.DataFrame) -> str:
    numbered = frame.set_axis(range(frame.shape[1]), axis="columns")  # names may repeat
    lines = numbered.to_json(orient="records", lines=True, double_precision=15)
    columns = "\t".join(map(str, frame.columns))
    ordered = "\n".join([columns, *sorted(lines.splitlines())])
    return hashlib.sha256(ordered.encode("utf-8")).hexdigest()
