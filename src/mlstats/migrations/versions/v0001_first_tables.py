"""Decisions, productions, reviews and the files of coders.

Tables that are there already were made before there were versions: they stay as they
are, with their rows.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, Integer, String, Text, inspect

from mlstats.errors import ServiceError

revision = "0001"
down_revision = None

_metadata = sa.MetaData()
_KEPT = {
    "decisions": "decisions are never changed",
    "productions": "productions are never changed",
    "review_files": "the files of coders are added, not changed",
}

sa.Table(
    "decisions",
    _metadata,
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
    sa.UniqueConstraint("pilot", "previous"),
)
sa.Table(
    "productions",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("pilot", String(200), nullable=False, index=True),
    Column("period", String(20), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("scheduled", String(40), nullable=False),
    Column("started", String(40), nullable=False),
    Column("ended", String(40), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("release", Integer, nullable=False),
    Column("final", sa.Boolean, nullable=False),
    Column("causes", Text, nullable=False),
)
sa.Table(
    "reviews",
    _metadata,
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
sa.Table(
    "review_files",
    _metadata,
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


def upgrade() -> None:
    """Make the tables that are not there, and keep their rows from changes."""
    bind = op.get_bind()
    known = inspect(bind)
    for table in _metadata.sorted_tables:
        if known.has_table(table.name):
            there = {held["name"] for held in known.get_columns(table.name)}
            if there != {held.name for held in table.columns}:
                raise ServiceError(
                    f"The database holds a table {table.name} that is not mlstats'",
                    expected="a database, or a schema of it, for mlstats alone",
                    hint="let MLSTATS_DATABASE_URL name another database",
                )
            continue
        table.create(bind)
        if table.name in _KEPT:
            _keep(table.name, _KEPT[table.name])
    if bind.dialect.name == "postgresql":
        # Whoever may read any of the tables has to see their version.
        op.execute("GRANT SELECT ON mlstats_schema TO PUBLIC")


def _keep(name: str, said: str) -> None:
    """Let the database refuse changes: against mistakes, its owner can undo it."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name}"
                f" BEGIN SELECT RAISE(ABORT, '{said}'); END"
            )
    elif op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {name}_kept() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{said}'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name}_kept BEFORE UPDATE OR DELETE OR TRUNCATE "
            f"ON {name} EXECUTE FUNCTION {name}_kept()"
        )
