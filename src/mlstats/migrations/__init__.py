"""The tables of a project's database by version, each brought about by a migration.

The version is kept in a table of our own name, since other programs that use alembic
may share the server. A database without that table was made before there were versions:
the first migration takes its tables over as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, column, inspect, select, table

__all__ = ["HEAD", "TABLES", "VERSION_TABLE", "revision", "upgrade"]

HEAD: Final = "0001"  # the last migration, which the tables in the code are equal to
VERSION_TABLE: Final = "mlstats_schema"
# The tables that were made before there were versions.
TABLES: Final = ("decisions", "productions", "review_files", "reviews")


def revision(connection: Connection) -> str | None:
    """Return the version of a database.

    Returns
    -------
    str or None
        Empty where tables of ours have no version yet; None where there are none.
    """
    there = set(inspect(connection).get_table_names())
    if VERSION_TABLE in there:
        versions = table(VERSION_TABLE, column("version_num"))
        found = connection.scalar(select(versions.c.version_num))
        if found is not None:
            return str(found)
    return "" if there & set(TABLES) else None


def upgrade(connection: Connection) -> None:
    """Bring a database to :data:`HEAD`, within the transaction of the caller.

    Raises
    ------
    ServiceError
        Where a table of our name is none of ours.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    # A percent sign would begin an interpolation.
    place = str(Path(__file__).parent).replace("%", "%%")
    config.set_main_option("script_location", place)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
