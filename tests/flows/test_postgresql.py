"""Tables read from a real PostgreSQL: a private cluster on loopback, for this test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlstats.errors import MlstatsError, ServiceError
from mlstats.io import read_sql

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:] or [
    Path(found).parent for found in [shutil.which("initdb")] if found
]
pytestmark = pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a cluster that ends with the module and yield its URL."""
    # PostgreSQL refuses to run as root: there the package's own user runs it.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="mlstats-pg-"))
    if as_user:
        shutil.chown(folder, "postgres", "postgres")

    def call(program: str, *words: str) -> None:
        command = [*as_user, str(PROGRAMS[0] / program), *words]
        # No pipes: the server would hold them open after pg_ctl has ended.
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(folder / "data")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
    try:
        call("initdb", "-D", data, "-U", "office", "-A", "trust", "-E", "UTF8")
        call(
            "pg_ctl",
            "-D",
            data,
            "-o",
            options,
            "-l",
            str(folder / "log"),
            "-w",
            "start",
        )
        try:
            yield f"postgresql+psycopg://office@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
