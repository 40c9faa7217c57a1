"""Queries: only reading, and never a word of the address's password."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mlstats.errors import ConfigError, MlstatsError, ServiceError, SourceError
from mlstats.io import read_sql

PASSWORD = "hunter2-of-the-office"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a base.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table lines (id text, code text, n int, x real)")
        connection.executemany(
            "insert into lines values (?, ?, ?, ?)",
            [("001", "0111", 111, 2.5), ("002", "0112", 112, None)],
        )
    monkeypatch.setenv("OFFICE_URL", f"sqlite:///{path}")
    return path


def test_a_select_gives_its_records_with_codes_as_texts(database: Path):
    table = read_sql(
        "OFFICE_URL", "SELECT * FROM lines ORDER BY id;", text_columns=["n"]
    )
    assert table.frame["id"].tolist() == ["001", "002"]
    assert table.frame["code"].tolist() == ["0111", "0112"]
    assert table.frame["n"].tolist() == ["111", "112"]
    assert table.frame["x"].isna().tolist() == [False, True]
    assert table.format == "sql"
    assert table.source == f"sqlite database {database}"


def test_the_digest_is_of_the_records_and_not_of_their_order(database: Path):
    up = read_sql("OFFICE_URL", "SELECT * FROM lines ORDER BY id")
    down = read_sql("OFFICE_URL", "SELECT * FROM lines ORDER BY id DESC")
    other = read_sql("OFFICE_URL", "SELECT id, code, n + 1 AS n, x FROM lines")
    renamed = read_sql("OFFICE_URL", "SELECT id, code, n AS m, x FROM lines")
    assert up.digest == down.digest
    assert len({up.digest, other.digest, renamed.digest}) == 3


@pytest.mark.parametrize(
    "query",
    [
        "WITH big AS (SELECT * FROM lines) SELECT * FROM big -- drop; nothing",
        "/* update */ SELECT 'insert; into' AS \"delete\", code FROM lines",
        "select code from lines where code = '12:30' or code like '01%'",
    ],
)
def test_words_in_texts_names_and_comments_do_not_count(database: Path, query: str):
    assert len(read_sql("OFFICE_URL", query).frame) == 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("DELETE FROM lines", "word DELETE"),
        ("WITH x AS (DELETE FROM lines RETURNING *) SELECT * FROM x", "word DELETE"),
        ("SELECT * INTO copy FROM lines", "word INTO"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("PRAGMA table_info(lines)", "does not begin with SELECT"),
        (" -- SELECT", "does not begin with SELECT"),
    ],
)
def test_everything_but_one_select_is_refused(database: Path, query: str, said: str):
    with pytest.raises(ConfigError, match=said):
        read_sql("OFFICE_URL", query)
    assert len(read_sql("OFFICE_URL", "SELECT * FROM lines").frame) == 2


def test_a_failing_query_does_not_quote_the_database(database: Path):
    with pytest.raises(SourceError, match="The query fails") as caught:
        read_sql("OFFICE_URL", "SELECT secret_word FROM lines")
    assert "secret_word" not in str(caught.value)
    with pytest.raises(SourceError, match="no rows"):
        read_sql("OFFICE_URL", "SELECT * FROM lines WHERE n > 1000")
    with pytest.raises(SourceError, match="'code' occurs 2 times"):
        read_sql("OFFICE_URL", "SELECT code, code FROM lines")


def test_a_variable_that_is_not_set_names_the_nearest(database: Path):
    with pytest.raises(ConfigError, match="OFICE_URL is not set") as caught:
        read_sql("OFICE_URL", "SELECT 1")
    assert caught.value.nearest == "OFFICE_URL"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (f"://{PASSWORD}", ConfigError),
        (f"nosuch://user:{PASSWORD}@host/db", ConfigError),
        (f"sqlite:////nowhere/{PASSWORD[:0]}x/y.db?password={PASSWORD}", ServiceError),
        (f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:1/db", ServiceError),
    ],
)
def test_no_error_shows_the_password(
    monkeypatch: pytest.MonkeyPatch, url: str, kind: type[MlstatsError]
):
    if "psycopg" in url:
        pytest.importorskip("psycopg")
    monkeypatch.setenv("OFFICE_URL", url)
    with pytest.raises(kind) as caught:
        read_sql("OFFICE_URL", "SELECT 1 AS a")
    assert PASSWORD not in str(caught.value)
    assert caught.value.__suppress_context__
