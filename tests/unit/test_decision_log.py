from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mlstats import append_only, decision_log
from mlstats.decision_log import DecisionLog
from mlstats.decisions import Act, Decision, faults
from mlstats.errors import RefusedError, ServiceError
from tests.decision_example import kill_in_the_middle, next_idea, write_together


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def log_of(file: Path, *, wait: float = 30.0) -> DecisionLog:
    return DecisionLog(f"sqlite:///{file.as_posix()}", wait=wait)


def change(file: Path, statement: str) -> None:
    """Change the file as its owner can, triggers taken away."""
    with closing(sqlite3.connect(file)) as connection, connection:
        for verb in ("update", "delete"):
            connection.execute(f"drop trigger if exists decisions_no_{verb}")
        connection.execute(statement)


def test_what_is_added_is_read_again(file: Path) -> None:
    log = log_of(file)
    made = [log.append(pilot, next_idea)[0] for pilot in ("diary", "trade", "diary")]
    assert log.read("diary") == [made[0], made[2]]
    assert [row.pilot for row in log.read()] == ["diary", "diary", "trade"]
    assert [row.number for row in log.read("diary")] == [1, 2]
    assert made[0].time.endswith("+00:00")
    assert faults(log.read("diary")) == []


def test_reading_makes_no_file(file: Path) -> None:
    assert log_of(file).read() == []
    assert not file.exists()
    file.touch()
    assert log_of(file).read() == []


def test_a_refusal_writes_nothing(file: Path) -> None:
    def refuse(rows: Sequence[Decision]) -> list[Act]:
        raise RefusedError("no")

    log = log_of(file)
    log.append("diary", next_idea)
    with pytest.raises(RefusedError):
        log.append("diary", refuse)
    assert len(log.read()) == 1


@pytest.mark.parametrize(
    "statement", ["update decisions set who = 'x'", "delete from decisions"]
)
def test_the_database_refuses_changes(file: Path, statement: str) -> None:
    log_of(file).append("diary", next_idea)
    with (
        closing(sqlite3.connect(file)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="never changed"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update decisions set reason = 'other' where number = 2", "row 2 was changed"),
        ("delete from decisions where number = 2", "row 2 is missing"),
        ("update decisions set version = 'x' where number = 1", "row 1 was changed"),
    ],
)
def test_nothing_is_added_to_a_log_that_was_changed(
    file: Path, statement: str, said: str
) -> None:
    log = log_of(file)
    for _ in range(3):
        log.append("diary", next_idea)
    change(file, statement)
    before = len(log.read())
    with pytest.raises(ServiceError, match=said) as caught:
        log.append("diary", next_idea)
    assert caught.value.exit_code == 4
    assert len(log.read()) == before
    log.append("trade", next_idea)  # another pilot's log is another chain


def test_a_fork_is_refused_by_the_database(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that sees old rows, as one without the lock would, decides again."""
    log = log_of(file)
    log.append("diary", next_idea)
    real, seen = decision_log._rows, []

    def stale(connection: Any, pilot: str | None) -> list[Decision]:
        rows = real(connection, pilot)
        seen.append(len(rows))
        return rows if len(seen) > 1 else []

    monkeypatch.setattr(decision_log, "_rows", stale)
    log.append("diary", next_idea)
    assert seen == [1, 1]
    monkeypatch.setattr(decision_log, "_rows", lambda *_: [])
    with pytest.raises(ServiceError, match="always faster"):
        log.append("diary", next_idea)
    monkeypatch.setattr(decision_log, "_rows", real)
    assert [row.version for row in log.read()] == [1, 2]
    assert faults(log.read()) == []


def test_no_row_follows_a_row_that_has_one(file: Path) -> None:
    """Not even with another number and a hash that is right."""
    log = log_of(file)
    for _ in range(2):
        log.append("diary", next_idea)
    columns = "pilot, time, version, model, evidence, stage_from, stage_to, kind, who,"
    columns += " role, reason, waiver, previous"
    fork = f"insert into decisions ({columns}, number, hash) select {columns}, 9, 'x'"
    with (
        closing(sqlite3.connect(file)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="previous"),
    ):
        connection.execute(f"{fork} from decisions where number = 2")


def test_writers_in_processes_make_one_chain(file: Path) -> None:
    log = log_of(file)
    write_together(log.url, writers=3, each=8)
    rows = log.read("diary")
    assert [row.version for row in rows] == list(range(1, 25))
    assert faults(rows) == []


def test_a_killed_writer_leaves_no_row_and_no_lock(file: Path) -> None:
    log = log_of(file)
    log.append("diary", next_idea)
    kill_in_the_middle(log.url)
    log.append("diary", next_idea)
    assert [row.number for row in log.read()] == [1, 2]


def told(log: DecisionLog) -> str:
    with pytest.raises(ServiceError) as caught:
        log.append("diary", next_idea)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_locked_file(file: Path) -> None:
    log_of(file).append("diary", next_idea)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        assert "locked by another writer" in told(log_of(file, wait=0.2))
        assert len(log_of(file).read()) == 1  # readers are not locked out
        other.execute("rollback")
    log_of(file).append("diary", next_idea)


def test_a_read_only_file(file: Path) -> None:
    log_of(file).append("diary", next_idea)
    read_only = DecisionLog(f"sqlite:///file:{file.as_posix()}?mode=ro&uri=true")
    assert len(read_only.read()) == 1
    assert "cannot be written" in told(read_only)


def test_a_file_that_is_none(file: Path) -> None:
    file.write_bytes(b"something else " * 100)
    assert "is no database" in told(log_of(file))


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    assert "cannot be opened" in told(log_of(tmp_path / "none" / "state.db"))


def test_a_full_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(file)
    log.append("diary", next_idea)

    def small(connection: Any, record: object) -> None:
        connection.isolation_level = None
        connection.execute("pragma max_page_count = 1")

    def long(rows: Sequence[Decision]) -> list[Act]:
        act = next_idea(rows)[0]
        return [Act(**{**act.__dict__, "reason": "x" * 100_000})]

    monkeypatch.setattr(append_only, "_by_hand", small)
    with pytest.raises(ServiceError, match="full disk"):
        log_of(file).append("diary", long)
    assert len(log.read()) == 1


def test_a_server_that_is_down_keeps_its_password(monkeypatch: Any) -> None:
    pytest.importorskip("psycopg")
    log = DecisionLog("postgresql+psycopg://office:hush@127.0.0.1:9/none")
    said = told(log)
    assert "does not answer" in said
    assert "hush" not in said
