"""Confidential tables that go when their time is over, and all that stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy
from typer.testing import CliRunner

from mlstats import cli, production_reading
from mlstats import purge as module
from mlstats.decision_log import DecisionLog
from mlstats.decisions import PURGE, faults
from mlstats.doctor import _second_place, examine
from mlstats.errors import RefusedError, ServiceError, SourceError
from mlstats.evaluate import keyed, project_key
from mlstats.pilot_files import load_pilot
from mlstats.production import produce
from mlstats.production_calendar import calendar
from mlstats.provenance import config_digest
from mlstats.purge import purge
from mlstats.registry import Registry, deviations
from mlstats.release_mirror import mirror_release, verify_mirror
from mlstats.releases import Release, ReleaseStore
from mlstats.retention import Due, due
from mlstats.review_export import export
from mlstats.review_rows import open_period
from mlstats.review_status import status, write_labels
from mlstats.review_store import CLOSING, Reviewed, ReviewStore
from mlstats.settings import Settings, load_settings
from tests.decision_example import next_idea
from tests.flows.canary import find
from tests.production_example import appoint, office
from tests.unit.test_migrations import connected

FEBRUARY, APRIL = "2026-02", "2026-04"
LATER = date(2027, 6, 1)
NAME, UNIT = "Quackenbush", "CANARY0000123"
KEEP = "retention: {units: 6, watched: 6, reviews: 6}\n"


def here(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
    """Let the methods answer in this process: the processes are not the point."""
    return function(*given)


@pytest.fixture(autouse=True)
def _inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_reading, "isolated", here)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project in which a record of February is planted."""
    project = tmp_path_factory.mktemp("office")
    made = office(project)
    path = project / f"data/products_{FEBRUARY}.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[3, "line_id"] = UNIT
    frame.loc[3, "description"] += f" for {NAME}"
    frame.to_csv(path, index=False)
    keep(project, KEEP)
    (project / "linear").write_text(made.linear)
    return project


def keep(project: Path, told: str) -> None:
    pilot = project / "configs/pilots/diaries.yaml"
    plain = pilot.read_text(encoding="utf-8").partition("  retention:")[0]
    pilot.write_text(f"{plain}  {told}", encoding="utf-8")


@pytest.fixture
def champion(template: Path, tmp_path: Path) -> Settings:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    settings = load_settings(project=tmp_path)
    appoint(settings, (tmp_path / "linear").read_text(), "production")
    return settings


@pytest.fixture(scope="module")
def worked(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Produce three periods once, for all tests."""
    project = tmp_path_factory.mktemp("worked")
    shutil.copytree(template, project, dirs_exist_ok=True)
    settings = load_settings(project=project)
    appoint(settings, (project / "linear").read_text(), "production")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(production_reading, "isolated", here)
        work(settings)
    return project


@pytest.fixture
def reviewed(worked: Path, tmp_path: Path) -> Settings:
    shutil.copytree(worked, tmp_path, dirs_exist_ok=True)
    return load_settings(project=tmp_path)


def work(champion: Settings) -> None:
    """Produce three periods; clerks have worked through the first one."""
    produce("diaries", FEBRUARY, champion)
    export("diaries", FEBRUARY, champion, coder="kim")
    close(champion, FEBRUARY)
    made = produce("diaries", FEBRUARY, champion)
    assert made.release is not None
    assert made.release.final
    write_labels("diaries", champion)
    for period in ("2026-03", APRIL):
        produce("diaries", period, champion)
    log = champion.confidential / "productions/diaries/log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"a library stumbled over {NAME}\n")


def close(settings: Settings, period: str) -> None:
    now = open_period("diaries", period, settings)
    rows = [Reviewed(unit, "01.1.1.1", "kim", CLOSING[0]) for unit in now.queue["hash"]]
    rows += [Reviewed(u, "01.1.1.1", "kim", "audit") for u in now.audit["hash"].head(3)]
    planted = keyed(pd.Series([UNIT]), now.key)
    rows += [Reviewed(unit, "01.1.1.1", "kim") for unit in planted]
    ReviewStore(settings.database).add("diaries", period, rows)


def planted(settings: Settings) -> list[str]:
    return [NAME, UNIT, *keyed(pd.Series([UNIT]), project_key(settings))]


def left(settings: Settings) -> list[tuple[str, str]]:
    """Return where planted words still are, besides the data that the office gave."""
    files = [
        path
        for path in sorted(settings.project.rglob("*"))
        if path.is_file() and settings.project / "data" not in path.parents
    ]
    found = find(planted(settings), files)
    if not settings.database.startswith("sqlite"):
        with connected(settings.database) as connection:
            for table in sqlalchemy.inspect(connection).get_table_names():
                rows = connection.exec_driver_sql(f"select * from {table}").all()
                told = str(rows).lower()
                found += [(w, table) for w in planted(settings) if w.lower() in told]
    return found


def going(settings: Settings, *, force: bool = False, today: date = LATER) -> list[Due]:
    pilot = load_pilot("diaries", project=settings.project)
    return due(pilot, settings, today=today, force=force)


def current(settings: Settings, period: str = FEBRUARY) -> Release:
    release = ReleaseStore(settings.releases).current("diaries", period)
    assert release is not None
    return release


def purges(settings: Settings) -> list[Any]:
    rows = DecisionLog(settings.database).read("diaries")
    assert faults(rows) == []
    return [row for row in rows if row.kind == PURGE]


def doubts(settings: Settings, what: str) -> list[tuple[str, str]]:
    return [
        (one.state, one.found) for one in examine(settings) if one.what.startswith(what)
    ]


def published(settings: Settings) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(settings.releases.rglob("*"))
        if path.is_file()
        and "confidential" not in path.parts
        and path.name not in ("purged.json", ".lock", ".working")
    }


@pytest.mark.usefixtures("office_database")
def test_nothing_of_the_period_is_left_and_all_else_goes_on(champion: Settings) -> None:
    settings = champion
    work(settings)
    where = {Path(place.partition(":")[0]).name for _, place in left(settings)}
    assert {"units.parquet", "log.txt", "labels.parquet"} <= where
    assert len(where) > 5  # the coder's workbook, what it was made of, the database
    before = published(settings)
    found = going(settings)
    assert {(one.period, one.kind) for one in found if not one.needed} == {
        (FEBRUARY, "units"), (FEBRUARY, "watched"), (FEBRUARY, "reviews"),
    }  # fmt: skip
    (row,) = purge(found, settings)
    assert left(settings) == []
    assert published(settings) == before

    # The log of decisions tells of it, and is as it was written.
    assert purges(settings) == [row]
    told = json.loads(row.waiver)
    assert (told["period"], told["kinds"]) == (
        FEBRUARY, ["reviews", "units", "watched"],
    )  # fmt: skip
    assert told["rows"] == next(o.rows for o in found if o.kind == "reviews") > 3
    assert told["files"] == sum(len(one.files) for one in found if not one.needed)
    today = row.time[:10]
    # Doctor, calendar and store call it purged and not damaged.
    release, store = current(settings), ReleaseStore(settings.releases)
    assert store.verify(release) == []
    assert release.purged_on == today
    assert doubts(settings, "release") == [("good", "3 whole, 1 of them purged")]
    pilot = load_pilot("diaries", project=settings.project)
    notes = {one.period: one.note for one in calendar(settings, pilot)}
    assert notes[FEBRUARY] == f"purged on {today}"
    assert "purged" not in notes["2026-03"]
    # Later periods are produced, the purged one is not once more.
    close(settings, APRIL)
    made = produce("diaries", APRIL, settings)
    assert made.release is not None
    assert (made.release.number, made.release.final) == (2, True)
    for again in (
        lambda: produce("diaries", FEBRUARY, settings),
        lambda: export("diaries", FEBRUARY, settings, coder="lee"),
        lambda: list(status("diaries", settings, period=FEBRUARY)),
    ):
        with pytest.raises(RefusedError, match=f"was purged on {today}"):
            again()
    assert [one.period for one in status("diaries", settings)] == ["2026-03", APRIL]
    # Again: nothing is due, and decisions go on behind it.
    assert [one for one in going(settings) if not one.needed] == []
    assert purge(going(settings), settings) == []
    DecisionLog(settings.database).append("diaries", next_idea)
    assert purges(settings) == [row]


def test_the_copies_on_a_second_place_go_too(
    reviewed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is out of reach at first: here all is done, and there it is later."""
    second = tmp_path / "second place"
    monkeypatch.setenv("MLSTATS_PUBLISH", str(second))
    settings = load_settings(project=reviewed.project)
    store = ReleaseStore(settings.releases)
    for period in store.periods("diaries"):
        for release in store.revisions("diaries", period):
            mirror_release(release, settings.publish)
    assert confidential(second) == confidential(settings.releases)
    before = published_at(second)

    second.rename(tmp_path / "away")
    assert [state for state, _ in doubts(settings, "second place")] == ["broken"]
    assert f"The copies in {second} would go too." in run("purge", "--dry-run")
    with pytest.raises(ServiceError, match=r"Purged here \(1 decisions tell of it\)"):
        purge(going(settings), settings)
    (row,) = purges(settings)
    assert not [one for one in going(settings) if not one.needed]
    (tmp_path / "away").rename(second)
    assert any(FEBRUARY in name for name in confidential(second))

    run("purge", "diaries")
    assert purges(settings) == [row]  # nothing new was decided
    assert confidential(second) == confidential(settings.releases)
    assert not any(FEBRUARY in name for name in confidential(second))
    assert find(planted(settings), [p for p in second.rglob("*") if p.is_file()]) == []
    assert published_at(second) == before
    for release in store.revisions("diaries", FEBRUARY):
        told = (release.folder / "purged.json").read_bytes()
        assert (second / release.path / "purged.json").read_bytes() == told
    assert verify_mirror(settings.publish, "diaries", FEBRUARY) == []
    (seen,) = _second_place(settings)
    assert seen.state == "good"


def confidential(place: Path) -> set[str]:
    found = (path for path in place.glob("*/*/r*/confidential/**/*") if path.is_file())
    return {path.relative_to(place).as_posix() for path in found}


def published_at(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
        and "confidential" not in path.parts
        and path.name != "purged.json"
    }


def test_the_months_count_from_the_end_of_the_period(reviewed: Settings) -> None:
    assert going(reviewed, today=date(2026, 8, 31)) == []
    assert {one.period for one in going(reviewed, today=date(2026, 9, 1))} == {FEBRUARY}
    keep(reviewed.project, "retention: {reviews: 0}\n")
    found = going(reviewed, today=date(2026, 3, 1))
    assert [(one.period, one.kind) for one in found] == [(FEBRUARY, "reviews")]
    keep(reviewed.project, "retention: {}\n")
    assert going(reviewed, today=date(2099, 1, 1)) == []


def test_what_is_needed_stays_unless_it_is_forced(reviewed: Settings) -> None:
    needed = {(one.period, one.kind): one.needed for one in going(reviewed)}
    assert needed["2026-03", "units"] == "it is provisional"
    for period in ("2026-03", APRIL):
        close(reviewed, period)
        produce("diaries", period, reviewed)
    needed = {(one.period, one.kind): one.needed for one in going(reviewed)}
    assert needed == {
        (FEBRUARY, "units"): "",
        (FEBRUARY, "watched"): "",
        (FEBRUARY, "reviews"): "",
        ("2026-03", "units"): "",
        ("2026-03", "watched"): "",
        ("2026-03", "reviews"): "",
        (APRIL, "units"): "the champion is judged by its audit",
        (APRIL, "watched"): "the next period is compared with it",
        (APRIL, "reviews"): "the champion is judged by its audit",
    }
    path = reviewed.project / "configs/pilots/diaries.yaml"
    told = path.read_text(encoding="utf-8")
    year = "  drift: {references: [same_period_last_year]}\n  retention:"
    path.write_text(told.replace("  retention:", year), encoding="utf-8")
    needed = {(one.period, one.kind): one.needed for one in going(reviewed)}
    assert needed[FEBRUARY, "watched"] == "2027-02 will be compared with it"
    assert needed[FEBRUARY, "units"] == ""
    rows = purge(going(reviewed, force=True), reviewed)
    assert [json.loads(row.waiver)["period"] for row in rows] == [
        FEBRUARY, "2026-03", APRIL,
    ]  # fmt: skip
    assert left(reviewed) == []
    assert not list(reviewed.releases.glob("*/*/*/confidential/*"))


def test_a_reference_that_went_leaves_the_rest_at_work(reviewed: Settings) -> None:
    """Its units are kept: it can be reviewed, and produced once more."""
    keep(reviewed.project, "retention: {watched: 6}\n")
    purge(going(reviewed, force=True), reviewed)
    assert not list(reviewed.releases.glob("*/*/*/confidential/watched.parquet"))
    close(reviewed, APRIL)
    made = produce("diaries", APRIL, reviewed)
    assert made.release is not None
    assert made.release.number == 2
    told = [one.period for one in status("diaries", reviewed)]
    assert told == [FEBRUARY, "2026-03", APRIL]


BREAKS = ["record_purge", "_remove", "_purge_reviews", "rmtree"]


@pytest.mark.parametrize("at", BREAKS)
@pytest.mark.parametrize("after", [0, 1])
def test_a_purge_that_breaks_off_is_completed_by_the_next(
    reviewed: Settings, monkeypatch: pytest.MonkeyPatch, at: str, after: int
) -> None:
    """Also one that was forced; the log tells of it once."""
    place = module.shutil if at == "rmtree" else module
    real, calls = getattr(place, at), []

    def broken(*given: Any, **more: Any) -> Any:
        calls.append(given)
        if at == "_remove":
            real(given[0][: after + 1])
        if len(calls) > after:
            raise ServiceError("the disk went away")
        return real(*given, **more)

    ReviewStore(reviewed.database).add("diaries", "2026-03", [Reviewed("u", "c", "k")])
    found = [one for one in going(reviewed, force=True) if one.period == "2026-03"]
    assert current(reviewed, "2026-03").final is False
    (reviewed.releases / "diaries/2026-03/.new-x").mkdir()
    (reviewed.releases / "diaries/2026-03/.new-y").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(place, at, broken)
        if (at, after) in {("record_purge", 1), ("_purge_reviews", 1)}:
            purge(found, reviewed)  # there is one release, and one review of it
        else:
            with pytest.raises(ServiceError):
                purge(found, reviewed)
    (row,) = purges(reviewed)
    found = [one for one in going(reviewed) if one.period == "2026-03"]
    assert all(one.decided == row and not one.needed for one in found)
    purge(found, reviewed)
    assert purges(reviewed) == [row]
    release = current(reviewed, "2026-03")
    assert not [p for p in (release.folder / "confidential").rglob("*") if p.is_file()]
    assert ReviewStore(reviewed.database).count("diaries", "2026-03") == 0
    assert ReleaseStore(reviewed.releases).verify(release) == []
    assert doubts(reviewed, "release") == [("good", "3 whole, 1 of them purged")]


def test_a_run_works_on_the_period_and_nothing_goes(reviewed: Settings) -> None:
    with (
        ReleaseStore(reviewed.releases).working("diaries", FEBRUARY),
        pytest.raises(ServiceError, match="Another run works on this period"),
    ):
        purge(going(reviewed), reviewed)
    assert purges(reviewed) == []
    assert left(reviewed)


def test_tables_of_runs_go_by_their_last_period(champion: Settings) -> None:
    keep(champion.project, "retention: {runs: 12}\n")
    runs = champion.confidential / "runs"
    for name, periods in (
        ("20260301T101010.001-diaries", ["2026-01", FEBRUARY]),
        ("20260601T101010.001-diaries", [FEBRUARY, "2026-05"]),
        ("20260301T101010.001-other-diaries", [FEBRUARY]),
    ):
        (runs / name).mkdir(parents=True)
        pd.DataFrame({"period": periods, "unit": NAME}).to_parquet(
            runs / name / "units.parquet"
        )
    failed = runs / "20250102T101010.001-diaries"
    failed.mkdir()
    (failed / "log.txt").write_text(NAME)
    found = going(champion, today=date(2027, 3, 1))
    assert [one.run for one in found] == [failed.name, "20260301T101010.001-diaries"]
    rows = purge(found, champion)
    assert [json.loads(row.waiver)["period"] for row in rows] == ["2025-01", FEBRUARY]
    assert sorted(path.name for path in runs.iterdir()) == [
        "20260301T101010.001-other-diaries", "20260601T101010.001-diaries",
    ]  # fmt: skip


def test_the_verb_finds_a_pilot_that_was_run_and_never_released(
    champion: Settings,
) -> None:
    keep(champion.project, "retention: {runs: 12}\n")
    assert ReleaseStore(champion.releases).pilots() == []
    runs = champion.confidential / "runs"
    for name in ("20250102T101010.001-diaries", "20250102T101010.001-gone"):
        (runs / name).mkdir(parents=True)
        (runs / name / "log.txt").write_text(NAME)
    assert "of run 20250102T101010.001-diaries" in run("purge")
    assert not (runs / "20250102T101010.001-diaries").exists()
    assert (runs / "20250102T101010.001-gone").exists()  # its pilot says no months


def test_a_pilot_whose_file_is_gone_keeps_all_and_stops_nobody(
    reviewed: Settings,
) -> None:
    place = reviewed.releases / "abandoned"
    shutil.copytree(reviewed.releases / "diaries", place)
    said = run("purge", "--dry-run")
    assert "abandoned: all is kept, there is no file of this pilot" in said
    assert "diaries" in said
    assert place.is_dir()


def test_a_record_of_a_purge_is_held_to_the_log(reviewed: Settings) -> None:
    """And cannot excuse that something published is missing."""
    release, store = current(reviewed), ReleaseStore(reviewed.releases)
    told = {
        "time": "2026-10-01T00:00:00+00:00",
        "decision": "f" * 64,
        "kinds": ["units"],
        "files": {},
    }
    path = release.folder / "purged.json"
    name = "confidential/units.parquet"
    path.write_text(json.dumps([told | {"files": {name: release.files[name]}}]))
    (release.folder / name).unlink()
    assert store.verify(current(reviewed)) == []
    (state, said), _ = doubts(reviewed, "release")[::-1]
    assert state == "doubtful"
    assert "of which the decisions do not tell" in said
    for files in (
        {name: "0" * 64},
        {"totals.parquet": release.files["totals.parquet"]},
    ):
        path.write_text(json.dumps([told | {"files": files}]))
        with pytest.raises(SourceError, match="A release is damaged"):
            store.current("diaries", FEBRUARY)
    path.write_text("{")
    with pytest.raises(SourceError, match="A release is damaged"):
        store.current("diaries", FEBRUARY)
    assert ("broken", "A release is damaged; restore it from a copy") in doubts(
        reviewed, "release"
    )


def test_a_record_that_was_changed_is_told(reviewed: Settings) -> None:
    purge(going(reviewed), reviewed)
    path = current(reviewed).folder / "purged.json"
    (told,) = json.loads(path.read_text())
    told["files"].pop("confidential/units.parquet")
    path.write_text(json.dumps([told]))
    said = [found for _, found in doubts(reviewed, "release")]
    assert any("not what decision" in one for one in said)
    assert any("missing: confidential/units.parquet" in one for one in said)


def test_retention_decides_no_value(champion: Settings) -> None:
    digests = set()
    for told in (KEEP, "retention: {}\n", "retention: {units: 99}\n"):
        keep(champion.project, told)
        digests.add(config_digest(load_pilot("diaries", project=champion.project)))
    assert len(digests) == 1


def test_mlflow_is_not_told_of_a_purge(reviewed: Settings) -> None:
    """Its copy may end before it, and must not end before anything else."""
    purge(going(reviewed), reviewed)
    rows = DecisionLog(reviewed.database).read("diaries")
    before = next(row for row in reversed(rows) if row.kind != PURGE)
    said = "the copy ends before decision"
    for head, ends in ((before.hash, False), (rows[0].hash, True), ("", True)):
        found = deviations(rows, Registry(head=head))
        assert any(said in one for one in found) == ends
    only = [row for row in rows if row.kind == PURGE]
    assert deviations(only, Registry()) == []


def test_the_verb_shows_what_would_go_and_then_removes_it(reviewed: Settings) -> None:
    keep(reviewed.project, "retention: {units: 0, watched: 0, reviews: 0}\n")
    said = run("purge", "diaries", "--dry-run")
    assert "units" in said
    assert "MB" in said
    assert "it is provisional" in said
    assert left(reviewed)
    assert purges(reviewed) == []
    said = run("purge")
    (row,) = purges(reviewed)
    assert row.reason in said
    assert left(reviewed) == []
    assert "purge" in run("decisions", "diaries")
    keep(reviewed.project, "retention: {}\n")
    assert "production.retention is not set" in run("purge")


def run(*words: str) -> str:
    done = CliRunner(env={"COLUMNS": "400"}).invoke(cli.app, list(words))
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())
