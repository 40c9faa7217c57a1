from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mlstats.errors import MlstatsError, ServiceError
from mlstats.production_log import Attempt, ProductionLog

DONE = Attempt(
    "diary", "2026-03", "scheduled", "2026-04-03T06:00:00+00:00",
    "2026-04-03T06:00:04.120+00:00", "2026-04-03T06:02:11.003+00:00", "done", 1, True,
)  # fmt: skip
FAILED = replace(DONE, period="2026-04", outcome="failed", release=0, final=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def log_of(file: Path, *, wait: float = 30.0) -> ProductionLog:
    return ProductionLog(f"sqlite:///{file.as_posix()}", wait=wait)


def test_what_is_added_is_read_again(file: Path) -> None:
    log = log_of(file)
    assert log.read() == []
    assert not file.exists()  # reading makes no file
    other = replace(DONE, pilot="trade", causes="contract,time", outcome="fallback")
    for row in (DONE, other, FAILED):
        log.add(row)
    assert log.read() == [DONE, other, FAILED]
    assert log.read("diary") == [DONE, FAILED]
    assert log.read("trade")[0].final is True
    assert log.read("nobody") == []


def test_drills_and_back_casts_publish_nothing() -> None:
    publishing = [
        replace(DONE, kind=kind).publishes
        for kind in ("scheduled", "by hand", "back-cast", "drill")
    ]
    assert publishing == [True, True, False, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"causes": "the text 'rye bread' cannot be coded"},
        {"causes": "contract,"},
        {"causes": "row 12"},
        {"kind": "nightly"},
        {"outcome": "good"},
    ],
)
def test_only_words_are_kept(wrong: dict[str, str]) -> None:
    with pytest.raises(MlstatsError) as caught:
        replace(DONE, **wrong)  # type: ignore[arg-type]
    assert "rye" not in str(caught.value)


def test_the_database_refuses_changes(file: Path) -> None:
    log_of(file).add(DONE)
    with closing(sqlite3.connect(file)) as connection:
        for change in ("update productions set release = 2", "delete from productions"):
            with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                connection.execute(change)


def test_writers_at_once_lose_no_row(database: str) -> None:
    rows = [replace(DONE, release=number) for number in range(1, 25)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda row: ProductionLog(database).add(row), rows))
    found = [row.release for row in ProductionLog(database).read()]
    assert sorted(found) == list(range(1, 25))


def test_a_locked_file_is_told_as_the_log_of_productions(file: Path) -> None:
    log_of(file).add(DONE)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(ServiceError, match="log of productions is locked") as told:
            log_of(file, wait=0.2).add(FAILED)
        other.execute("rollback")
    assert told.value.exit_code == 4
    assert "mlstats calendar" in str(told.value)
    assert log_of(file).read() == [DONE]
