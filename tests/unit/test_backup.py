"""Back-up and restore: the same content everywhere, all of it or nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy

from mlstats import backup as module
from mlstats.append_only import METADATA, AppendOnly
from mlstats.backup import KEPT, Contents, backup, restore
from mlstats.decision_log import DecisionLog
from mlstats.decisions import faults
from mlstats.errors import (
    ConfigError,
    MlstatsError,
    RefusedError,
    ServiceError,
    SourceError,
    UsageError,
)
from mlstats.production_log import ProductionLog
from mlstats.releases import ReleaseKey, ReleaseStore
from mlstats.review_files import ReviewFile, ReviewFiles
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings, load_settings
from tests.decision_example import next_idea
from tests.unit.test_migrations import call, connected
from tests.unit.test_production_log import DONE, FAILED

FILE = ReviewFile(
    "x1", "diary", "2026-03", 1, "d" * 64, "kim", 0, 2, "export", 0, "ada"
)
KEY = ReleaseKey("diary", "2026-03", "a", "b", "c", "d")


@pytest.fixture
def full(database: str, tmp_path: Path) -> Settings:
    """Fill every table, and publish two releases."""
    settings = load_settings(project=tmp_path / "office", database_url=database)
    settings.prepare()
    for pilot in ("diary", "trade", "Zoo", "äpfel"):
        for _ in range(3):
            DecisionLog(database).append(pilot, next_idea)
    for row in (DONE, FAILED, replace(DONE, final=False, causes="contract,time")):
        ProductionLog(database).add(row)
    reviewed = [Reviewed(f"{n:032x}", "01.1\n=é", "kim") for n in range(1_500)]
    ReviewStore(database).add("diary", "2026-03", reviewed)
    ReviewFiles(database).add([FILE])
    store = ReleaseStore(settings.releases)
    for champion in ("c", "d"):
        store.publish(replace(KEY, champion=champion), a_figure)
    return settings


def a_figure(folder: Path) -> None:
    (folder / "totals.csv").write_text("n\n5\n")


@pytest.fixture
def made(full: Settings, tmp_path: Path) -> Path:
    backup(full, tmp_path / "state.zip")
    return tmp_path / "state.zip"


def elsewhere(folder: Path) -> Settings:
    settings = load_settings(project=folder, database_url="")
    settings.prepare()
    return settings


def read_all(url: str) -> list[object]:
    return [
        DecisionLog(url).read(),
        ProductionLog(url).read(),
        ReviewStore(url).read("diary", "2026-03").to_dict("records"),
        ReviewFiles(url).read("diary", "2026-03").to_dict("records"),
    ]


def test_every_table_is_kept() -> None:
    assert {kind.table.name for kind in KEPT} == set(METADATA.tables)
    assert {k.table.name for k in AppendOnly.__subclasses__()} == set(METADATA.tables)


def test_the_same_content_everywhere_and_the_same_bytes(
    full: Settings, made: Path, tmp_path: Path, postgresql_url: Callable[[], str]
) -> None:
    """Into the other kind of database and back again."""
    other = elsewhere(tmp_path / "other")
    if full.database.startswith("sqlite"):
        other = load_settings(project=other.project, database_url=postgresql_url())
    held = restore(other, made)
    assert held == Contents(
        {"decisions": 12, "productions": 3, "reviews": 1_500, "review_files": 1},
        2,
        ("diary/2026-03/r0001", "diary/2026-03/r0002"),
    )
    assert read_all(other.database) == read_all(full.database)
    for settings in (full, other):  # each goes on where it was
        DecisionLog(settings.database).append("diary", next_idea)
        ReviewStore(settings.database).add(
            "diary", "2026-03", [Reviewed("f" * 32, "02", "lee")]
        )
        assert faults(DecisionLog(settings.database).read("diary")) == []
        assert len(ReviewStore(settings.database).read("diary", "2026-03")) == 1_501


def test_the_bytes_follow_the_content(
    full: Settings, made: Path, tmp_path: Path
) -> None:
    backup(full, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == made.read_bytes()
    other = elsewhere(tmp_path / "other")
    os.rename(full.releases, other.releases)
    assert restore(other, made).missing == ()
    backup(other, tmp_path / "third.zip")
    assert (tmp_path / "third.zip").read_bytes() == made.read_bytes()
    ProductionLog(other.database).add(DONE)
    backup(other, tmp_path / "fourth.zip")
    assert (tmp_path / "fourth.zip").read_bytes() != made.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="the system has no modes")
def test_only_its_owner_can_read_it(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_a_file_is_not_written_over(full: Settings, made: Path) -> None:
    before = made.read_bytes()
    with pytest.raises(UsageError, match="file of that name"):
        backup(full, made)
    assert made.read_bytes() == before


def test_a_database_that_holds_anything_is_refused(
    full: Settings, made: Path, tmp_path: Path
) -> None:
    other = elsewhere(tmp_path / "other")
    ProductionLog(other.database).add(DONE)
    with pytest.raises(RefusedError, match="it holds 1 productions") as caught:
        restore(other, made)
    assert "never merges" in str(caught.value)
    assert DecisionLog(other.database).read() == []
    assert ProductionLog(other.database).read() == [DONE]


def rewritten(made: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a part of a backup, and let its checksum be that of what it is now."""
    with zipfile.ZipFile(made) as archive:
        parts = {one: archive.read(one) for one in archive.namelist()}
    parts[name] = change(parts[name])
    told = json.loads(parts["manifest.json"])
    if name != "manifest.json":
        digest = module.hashlib.sha256(parts[name]).hexdigest()
        told["parts"][name.removesuffix(".jsonl")] = {
            "rows": parts[name].count(b"\n"),
            "sha256": digest,
        }
        parts["manifest.json"] = json.dumps(told).encode()
    with zipfile.ZipFile(made, "w") as archive:
        for one, content in parts.items():
            archive.writestr(one, content)


def torn(made: Path) -> None:
    made.write_bytes(made.read_bytes()[:2_000])


def flipped(made: Path) -> None:
    content = bytearray(made.read_bytes())
    content[400] ^= 0xFF
    made.write_bytes(bytes(content))


def unlisted(made: Path) -> None:
    """Take a row out, and leave its checksum as it was."""
    with zipfile.ZipFile(made) as archive:
        parts = {one: archive.read(one) for one in archive.namelist()}
    parts["reviews.jsonl"] = parts["reviews.jsonl"].partition(b"\n")[2]
    with zipfile.ZipFile(made, "w") as archive:
        for one, content in parts.items():
            archive.writestr(one, content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "torn": torn,
    "flipped": flipped,
    "no archive": lambda made: made.write_bytes(b"something else"),
    "a row less": unlisted,
    "a decision changed": lambda made: rewritten(
        made, "decisions.jsonl", lambda was: was.replace(b"as agreed", b"otherwise", 1)
    ),
    "a decision less": lambda made: rewritten(
        made, "decisions.jsonl", lambda was: was.partition(b"\n")[2]
    ),
    "a decision twice": lambda made: rewritten(
        made, "decisions.jsonl", lambda was: was + was.splitlines(keepends=True)[0]
    ),
    "no rows": lambda made: rewritten(made, "reviews.jsonl", lambda was: b"[1]\n"),
    "no json": lambda made: rewritten(made, "reviews.jsonl", lambda was: b"{\n"),
    "no manifest": lambda made: rewritten(made, "manifest.json", lambda was: b"{}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_damaged_backup_restores_nothing(
    made: Path, tmp_path: Path, damage: str
) -> None:
    DAMAGES[damage](made)
    refused(made, elsewhere(tmp_path / "other"))


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.xdist_group("pg")
def test_a_changed_decision_leaves_nothing_on_a_server(
    made: Path, tmp_path: Path, postgresql_url: Callable[[], str]
) -> None:
    """It is seen last, when all rows have been put in."""
    DAMAGES["a decision changed"](made)
    refused(made, load_settings(project=tmp_path, database_url=postgresql_url()))


def refused(made: Path, settings: Settings) -> None:
    with pytest.raises(SourceError, match="backup is damaged") as caught:
        restore(settings, made)
    assert caught.value.exit_code == 3
    assert read_all(settings.database) == [[], [], [], []]
    with connected(settings.database) as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_whatever_byte_is_changed(full: Settings, made: Path, tmp_path: Path) -> None:
    """It is refused, or was one of no account, such as that of an unused time."""
    content, rng = made.read_bytes(), random.Random(20260101)
    before, codes = read_all(full.database), []
    for number in range(40):
        changed = bytearray(content)
        changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
        made.write_bytes(bytes(changed))
        other = elsewhere(tmp_path / f"other{number}")
        try:
            restore(other, made)
            assert read_all(other.database) == before
        except MlstatsError as error:
            codes.append(error.exit_code)
            assert read_all(other.database) == [[], [], [], []]
    assert len(codes) > 20
    assert set(codes) <= {2, 3}


@pytest.mark.parametrize(
    ("schema", "told"), [("9999", "as new as"), ("0000", "migrate")]
)
def test_a_backup_of_other_tables_says_what_to_do(
    made: Path, tmp_path: Path, schema: str, told: str
) -> None:
    def change(was: bytes) -> bytes:
        return json.dumps(json.loads(was) | {"schema": schema}).encode()

    rewritten(made, "manifest.json", change)
    with pytest.raises(ConfigError, match=f"version {schema} of the tables") as caught:
        restore(elsewhere(tmp_path / "other"), made)
    assert told in str(caught.value.hint)


def test_a_restore_that_breaks_off_leaves_nothing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> Iterator[str]:
        raise sqlalchemy.exc.OperationalError("", {}, Exception("no space left"))

    monkeypatch.setattr(module, "faults", full_disk)
    other = elsewhere(tmp_path / "other")
    with pytest.raises(ServiceError, match="full disk"):
        restore(other, made)
    assert read_all(other.database) == [[], [], [], []]
    monkeypatch.undo()
    assert restore(other, made).rows["decisions"] == 12


def test_a_release_that_cannot_be_read_leaves_nothing_restored(
    full: Settings, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = elsewhere(tmp_path / "other")
    shutil.copytree(full.releases, other.releases, dirs_exist_ok=True)

    def closed(_: Path) -> str:
        raise PermissionError

    monkeypatch.setattr(module.io, "sha256_file", closed)
    with pytest.raises(SourceError, match="nothing was restored"):
        restore(other, made)
    monkeypatch.undo()
    assert restore(other, made).missing == ()


def test_rows_that_come_meanwhile_are_not_half_in_it(
    full: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One moment for all tables: on a server, others write while it is made."""
    if full.database.startswith("sqlite"):
        return  # there the writer waits, which would be this test itself
    real = module._rows

    def busy(connection: sqlalchemy.Connection, table: sqlalchemy.Table) -> object:
        if table.name == "decisions":
            list(real(connection, table))  # the moment is fixed by the first question
        ProductionLog(full.database).add(DONE)
        return real(connection, table)

    monkeypatch.setattr(module, "_rows", busy)
    assert backup(full, tmp_path / "busy.zip").rows["productions"] == 3
    assert len(ProductionLog(full.database).read()) == 7


def test_an_office_without_any_decision(tmp_path: Path) -> None:
    one = elsewhere(tmp_path / "one")
    held = backup(one, tmp_path / "none.zip")
    assert set(held.rows.values()) == {0}
    assert restore(elsewhere(tmp_path / "two"), tmp_path / "none.zip") == held
    with pytest.raises(MlstatsError, match="no such file"):
        restore(one, tmp_path / "gone.zip")


@pytest.mark.usefixtures("office_database")
def test_the_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    settings.prepare()
    DecisionLog(settings.database).append("diary", next_idea)
    ReleaseStore(settings.releases).publish(KEY, a_figure)
    said = call("backup", "state.zip")
    assert "1 decisions" in said
    assert "1 releases listed" in said
    assert "confidential" in said
    assert "holds 1 decisions" in call("restore", "state.zip", code=1)
    monkeypatch.delenv("MLSTATS_DATABASE_URL")
    monkeypatch.setenv("MLSTATS_HOME", str(tmp_path / "another home"))
    said = call("restore", "state.zip")
    assert "0 of 1 releases are in" in said
    assert "missing: diary/2026-03/r0001" in said
    assert "1 decisions" in said
