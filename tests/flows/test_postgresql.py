"""A real PostgreSQL, a private cluster on loopback: tables read, decisions kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlstats.decision_log import DecisionLog
from mlstats.decisions import faults
from mlstats.errors import MlstatsError, ServiceError
from mlstats.io import read_sql
from mlstats.production_log import ProductionLog
from tests.decision_example import kill_in_the_middle, next_idea, write_together
from tests.postgresql_cluster import cluster, needs_postgresql
from tests.unit.test_production_log import DONE, FAILED

pytestmark = [needs_postgresql, pytest.mark.xdist_group("pg")]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a cluster that ends with the module and yield its URL."""
    with cluster() as made:
        yield made.url


def test_codes_stay_text_and_the_digest_follows_the_content(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("create table t (id text, code text, n int)")
        )
        connection.execute(
            sqlalchemy.text("insert into t values ('001', '0111', 4), ('002', null, 5)")
        )
    engine.dispose()
    monkeypatch.setenv("OFFICE_DATABASE", server)
    query = "select id, code, n from t order by id"
    table = read_sql("OFFICE_DATABASE", query, text_columns=["id", "code"])
    assert table.frame["id"].tolist() == ["001", "002"]
    assert table.frame["code"].tolist()[0] == "0111"
    assert table.frame["code"].isna().tolist() == [False, True]
    assert table.frame["n"].tolist() == [4, 5]
    again = read_sql("OFFICE_DATABASE", query, text_columns=["id", "code"])
    assert table.digest == again.digest


def test_errors_of_the_server_quote_neither_password_nor_record(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFICE_DATABASE", server.replace("office@", "office:hush@"))
    with pytest.raises(MlstatsError) as caught:
        read_sql("OFFICE_DATABASE", "select 'Anna'::int")
    assert "hush" not in str(caught.value)
    assert "Anna" not in str(caught.value)
    nobody = "postgresql+psycopg://office:hush@127.0.0.1:9/none"
    monkeypatch.setenv("OFFICE_DATABASE", nobody)
    with pytest.raises(ServiceError):
        read_sql("OFFICE_DATABASE", "select 1")


@pytest.fixture
def log(server: str) -> Iterator[DecisionLog]:
    """Yield a log in a database of its own."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("create database decisions")
    try:
        yield DecisionLog(server.replace("/postgres", "/decisions"))
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql("drop database decisions with (force)")
        engine.dispose()


def do(url: str, *statements: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def test_writers_in_processes_make_one_chain(log: DecisionLog) -> None:
    """The table is not there yet: they race for making it too."""
    assert log.read() == []
    write_together(log.url, writers=3, each=8)
    rows = log.read("diary")
    assert [row.version for row in rows] == list(range(1, 25))
    assert faults(rows) == []


def test_a_killed_writer_leaves_no_row_and_no_lock(log: DecisionLog) -> None:
    log.append("diary", next_idea)
    kill_in_the_middle(log.url)
    log.append("diary", next_idea)
    assert [row.number for row in log.read()] == [1, 2]


def test_the_database_refuses_changes(log: DecisionLog) -> None:
    import sqlalchemy

    log.append("diary", next_idea)
    for statement in ("update decisions set who = 'x'", "delete from decisions"):
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="never changed"):
            do(log.url, statement)
    do(log.url, "alter table decisions disable trigger all")
    do(log.url, "update decisions set who = 'x'")
    with pytest.raises(ServiceError, match="row 1 was changed"):
        log.append("diary", next_idea)


def test_the_rights_to_select_and_insert_are_enough(log: DecisionLog) -> None:
    log.append("diary", next_idea)
    do(log.url, "create role clerk login", "grant select, insert on decisions to clerk")
    clerk = DecisionLog(log.url.replace("office@", "clerk@"))
    clerk.append("diary", next_idea)
    assert faults(log.read()) == []
    assert len(log.read()) == 2
    do(log.url, "revoke insert on decisions from clerk")
    with pytest.raises(ServiceError, match="cannot be written"):
        clerk.append("diary", next_idea)
    do(log.url, "drop owned by clerk", "drop role clerk")


def test_a_writer_that_waits_too_long_is_told(log: DecisionLog) -> None:
    import sqlalchemy

    log.append("diary", next_idea)
    engine = sqlalchemy.create_engine(log.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("select pg_advisory_xact_lock(30800015591044211)")
        with pytest.raises(ServiceError, match="locked by another writer") as caught:
            DecisionLog(log.url, wait=0.2).append("diary", next_idea)
        assert caught.value.exit_code == 4
    engine.dispose()
    log.append("diary", next_idea)


def test_productions_are_kept_beside_the_decisions(log: DecisionLog) -> None:
    """In the same database; to select and to insert is enough for whoever adds."""
    import sqlalchemy

    productions = ProductionLog(log.url)
    assert productions.read() == []
    productions.add(DONE)
    do(log.url, "create role clerk login")
    do(log.url, "grant select, insert on productions to clerk")
    ProductionLog(log.url.replace("office@", "clerk@")).add(FAILED)
    log.append("diary", next_idea)
    assert productions.read("diary") == [DONE, FAILED]
    for statement in ("update productions set release = 9", "truncate productions"):
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="never changed"):
            do(log.url, statement)
    do(log.url, "drop owned by clerk", "drop role clerk")
