"""The tables by version: new databases, those of before, newer ones; both kinds."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import DBAPIError

import mlstats
from mlstats import migrations
from mlstats.append_only import METADATA, AppendOnly
from mlstats.decision_log import DecisionLog
from mlstats.decisions import faults
from mlstats.errors import ServiceError
from mlstats.migrations import HEAD, VERSION_TABLE, revision
from mlstats.production_log import ProductionLog
from mlstats.review_store import Reviewed, ReviewStore
from tests.decision_example import next_idea
from tests.unit.test_production_log import DONE, FAILED

BEFORE = Path(__file__).parents[1] / "golden/database"


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def before_versions(url: str) -> None:
    """Make a database as the code did before it had versions, with rows."""
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    told = (BEFORE / f"before_versions_{kind}.sql").read_text(encoding="utf-8")
    with connected(url) as connection:
        for statement in told.split("\n--\n"):
            connection.exec_driver_sql(statement)


def test_the_models_are_what_the_migrations_make(database: str) -> None:
    for found in pkgutil.iter_modules(mlstats.__path__):
        if any(word in found.name for word in ("log", "review", "store", "kept")):
            importlib.import_module(f"mlstats.{found.name}")
    named = {kind.table.name for kind in AppendOnly.__subclasses__()}
    assert named == set(METADATA.tables)  # a table of its own would not be compared
    DecisionLog(database).append("diary", next_idea)
    with connected(database) as connection:
        options = {"version_table": VERSION_TABLE, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == HEAD


def test_the_code_names_the_last_migration() -> None:
    (folder,) = migrations.__path__
    assert ScriptDirectory(folder).get_heads() == [HEAD]


def test_a_database_of_before_keeps_its_rows(database: str) -> None:
    before_versions(database)
    if not database.startswith("sqlite"):
        DecisionLog(database).migrate()
    rows = DecisionLog(database).read()
    assert [(row.pilot, row.number) for row in rows] == [
        ("diary", 1), ("diary", 2), ("diary", 3), ("trade", 1),
    ]  # fmt: skip
    assert faults(rows[:3]) == []
    assert faults(rows[3:]) == []
    assert ProductionLog(database).read() == [DONE, FAILED]
    assert ReviewStore(database).read("diary", "2026-03")["coder"].tolist() == [
        "kim", "lee",
    ]  # fmt: skip
    # It goes on, with what was not there before, and still refuses changes.
    DecisionLog(database).append("diary", next_idea)
    ReviewStore(database).add("diary", "2026-03", [Reviewed("c", "01", "kim")])
    assert faults(DecisionLog(database).read("diary")) == []
    with connected(database) as connection:
        assert revision(connection) == HEAD
        assert sqlalchemy.inspect(connection).has_table("review_files")
    for table in ("decisions", "productions"):
        with pytest.raises(DBAPIError, match="never changed"), connected(database) as c:
            c.exec_driver_sql(f"delete from {table}")


def test_a_database_of_before_becomes_what_the_models_are(database: str) -> None:
    before_versions(database)
    assert DecisionLog(database).migrate() == ("", HEAD)
    assert DecisionLog(database).migrate() == (HEAD, HEAD)  # nothing happens
    with connected(database) as connection:
        held = MetaData()
        held.reflect(connection)
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE}
        )
        assert compare_metadata(context, METADATA) == []
        assert set(held.tables) == {*METADATA.tables, VERSION_TABLE}


def test_a_server_is_migrated_by_its_owner_only(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is brought up when it is used."""
    before_versions(database)
    if database.startswith("sqlite"):
        assert len(DecisionLog(database).read()) == 4
        return
    for use in (
        DecisionLog(database).read,
        lambda: ProductionLog(database).add(DONE),
        lambda: ReviewStore(database).read("diary", "2026-03"),
    ):
        with pytest.raises(ServiceError, match="older mlstats") as caught:
            use()
        assert "mlstats migrate" in str(caught.value.hint)
    monkeypatch.setenv("MLSTATS_DATABASE_URL", database)
    assert "from before there were versions (version 0001" in call("migrate")
    assert len(DecisionLog(database).read()) == 4
    assert "is up to date" in call("migrate")


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.xdist_group("pg")
def test_an_account_without_the_right_cannot_migrate(database: str) -> None:
    before_versions(database)
    with connected(database) as connection:
        connection.exec_driver_sql("create role guest login")
    try:
        guest = DecisionLog(database.replace("office@", "guest@"))
        with pytest.raises(ServiceError, match="cannot be written"):
            guest.migrate()
        with connected(database) as connection:
            assert revision(connection) == ""
    finally:
        with connected(database) as connection:
            connection.exec_driver_sql("drop role guest")


def test_a_newer_database_is_left_alone(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    DecisionLog(database).append("diary", next_idea)
    with connected(database) as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '9999'")
    for use in (
        DecisionLog(database).read,
        DecisionLog(database).migrate,
        lambda: DecisionLog(database).append("diary", next_idea),
    ):
        with pytest.raises(ServiceError, match="newer mlstats") as caught:
            use()
        assert caught.value.exit_code == 4
    monkeypatch.setenv("MLSTATS_DATABASE_URL", database)
    assert "newer mlstats (version 9999" in call("migrate", code=4)


def test_a_table_of_somebody_else_is_not_taken_over(database: str) -> None:
    with connected(database) as connection:
        connection.exec_driver_sql("create table reviews (stars integer)")
    with pytest.raises(ServiceError, match="a table reviews that is not mlstats'"):
        DecisionLog(database).migrate()
    with connected(database) as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == ["reviews"]
        connection.exec_driver_sql("drop table reviews")
    assert DecisionLog(database).migrate() == (None, HEAD)


def test_two_migrate_at_once(database: str) -> None:
    """One does it and the other waits; both go on."""
    before_versions(database)
    script = (
        "import sys\nfrom mlstats.decision_log import DecisionLog\n"
        "sys.stdin.readline()\n"
        "print(DecisionLog(sys.argv[1]).migrate())\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert said.strip() in {"('', '0001')", "('0001', '0001')"}
    rows = DecisionLog(database).read("diary")
    assert (len(rows), faults(rows)) == (3, [])
    with connected(database) as connection:
        found = connection.exec_driver_sql(f"select version_num from {VERSION_TABLE}")
        assert [tuple(row) for row in found] == [(HEAD,)]


def call(*words: str, code: int = 0) -> str:
    """Call the command line as a person does, in the folder of the test."""
    done = subprocess.run(
        [sys.executable, "-m", "mlstats", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())
