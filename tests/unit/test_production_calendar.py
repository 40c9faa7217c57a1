"""The calendar: each state from the schedule, the releases and the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest
import yaml
from rich.console import Console

from mlstats.config import Pilot
from mlstats.decision_log import DecisionLog
from mlstats.decisions import Act, Decision
from mlstats.errors import ConfigError, UsageError
from mlstats.period import ReferencePeriod
from mlstats.pilot_files import load_pilot
from mlstats.production_calendar import Entry, calendar, show_calendar
from mlstats.production_log import Attempt, Kind, ProductionLog
from mlstats.releases import Release, ReleaseKey, ReleaseStore
from mlstats.settings import Settings
from tests.unit.test_schedule import PILOT

NOW = datetime.fromisoformat("2026-06-04T12:00+00:00")
PLAN = {
    "schedule": "0 6 3 * *",
    "lag": 1,
    "due": 5,
    "timezone": "Europe/Berlin",
}


@pytest.fixture
def settings(tmp_path: Path, office_database: str) -> Settings:
    found = Settings(project=tmp_path)
    found.prepare()
    data = {**PILOT["data"], "frequency": "M"}  # type: ignore[dict-item]
    (tmp_path / "configs/pilots").mkdir(parents=True)
    for name in ("diary", "trade"):
        tree = {**PILOT, "pilot": name, "data": data, "production": PLAN}
        (tmp_path / f"configs/pilots/{name}.yaml").write_text(yaml.safe_dump(tree))
    return found


@pytest.fixture
def pilot(settings: Settings) -> Pilot:
    return load_pilot("diary", project=settings.project)


def release(
    settings: Settings,
    period: str,
    *causes: str,
    final: bool = True,
    still_open: int = 0,
    pilot: str = "diary",
) -> Release:
    key = ReleaseKey(pilot, period, "i", "c", "v1", "b", str(final))
    facts = {
        "fallback": [{"cause": cause, "said": "as it is"} for cause in causes],
        "queue": {"open": still_open, "closed": 3},
    }
    return ReleaseStore(settings.releases).publish(
        key,
        lambda folder: (folder / "values.csv").write_text("1") and None,
        final=final,
        facts=facts,
    )


def tried(
    settings: Settings, period: str, outcome: str, kind: Kind = "scheduled", **more: str
) -> None:
    row = Attempt(
        "diary", period, kind, "", "2026-06-03T04:00:01+00:00",
        "2026-06-03T04:01:00+00:00", "done",
    )  # fmt: skip
    log = ProductionLog(settings.database)
    log.add(replace(row, outcome=outcome, **more))  # type: ignore[arg-type]


def states(entries: Sequence[Entry]) -> dict[str, str]:
    return {entry.period: entry.state for entry in entries}


def test_every_state(settings: Settings, pilot: Pilot) -> None:
    release(settings, "2025-12")
    release(settings, "2026-01", "contract", "time")
    release(settings, "2026-02", final=False, still_open=17)
    tried(settings, "2026-03", "failed", causes="ServiceError")
    found = calendar(settings, pilot, now=NOW)
    assert states(found) == {
        "2025-12": "done",
        "2026-01": "fallback",
        "2026-02": "waiting for review",
        "2026-03": "failed",
        "2026-04": "late",
        "2026-05": "missing",
        "2026-06": "planned",
    }
    by_period = {entry.period: entry for entry in found}
    assert by_period["2026-01"].note == "contract, time"
    assert by_period["2026-02"].note == "17 in the queue"
    assert by_period["2026-03"].note == (
        "last attempt failed (ServiceError), 2026-06-03 04:01 UTC; late"
    )
    assert by_period["2026-03"].attempts == 1
    assert [entry.release for entry in found] == [1, 1, 1, 0, 0, 0, 0]
    may = by_period["2026-05"]
    assert may.scheduled == datetime.fromisoformat("2026-06-03T06:00+02:00")
    assert may.due == datetime.fromisoformat("2026-06-08T06:00+02:00")
    assert may.scheduled is not None
    assert may.scheduled.utcoffset() is not None


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("2026-06-03T03:59:59+00:00", "planned"),
        ("2026-06-03T04:00:00+00:00", "missing"),
        ("2026-06-08T04:00:00+00:00", "missing"),
        ("2026-06-08T04:00:01+00:00", "late"),
    ],
)
def test_the_moments_between_the_states(
    settings: Settings, pilot: Pilot, now: str, state: str
) -> None:
    may = ReferencePeriod.parse("2026-05")
    moment = datetime.fromisoformat(now)
    (entry,) = calendar(settings, pilot, first=may, last=may, now=moment)
    assert entry.state == state


def test_a_failure_after_a_release_is_a_note(settings: Settings, pilot: Pilot) -> None:
    release(settings, "2026-05")
    tried(settings, "2026-05", "done", release=1)
    tried(settings, "2026-05", "failed", causes="ContractError")
    entry = calendar(settings, pilot, now=NOW)[0]
    assert (entry.state, entry.attempts) == ("done", 2)
    assert entry.note.startswith("last attempt failed (ContractError)")
    tried(settings, "2026-05", "done", release=1)
    assert calendar(settings, pilot, now=NOW)[0].note == ""


def test_a_later_success_ends_a_failure(settings: Settings, pilot: Pilot) -> None:
    tried(settings, "2026-05", "failed", causes="ServiceError")
    assert states(calendar(settings, pilot, now=NOW))["2026-05"] == "failed"
    release(settings, "2026-05", final=False)
    tried(settings, "2026-05", "done", release=1)
    assert states(calendar(settings, pilot, now=NOW))["2026-05"] == (
        "waiting for review"
    )
    release(settings, "2026-05", final=True)
    entry = calendar(settings, pilot, now=NOW)[0]
    assert (entry.state, entry.release) == ("done", 2)


@pytest.mark.parametrize("kind", ["drill", "back-cast"])
def test_what_publishes_nothing_does_not_count(
    settings: Settings, pilot: Pilot, kind: Kind
) -> None:
    tried(settings, "2026-05", "failed", kind, causes="model")
    entry = calendar(settings, pilot, now=NOW)[0]
    assert (entry.period, entry.state, entry.attempts) == ("2026-05", "missing", 0)


def test_a_damaged_release_is_told_beside_the_others(
    settings: Settings, pilot: Pilot
) -> None:
    release(settings, "2026-04")
    broken = release(settings, "2026-05")
    (broken.folder / "manifest.json").write_text("{")
    april, may, _ = calendar(settings, pilot, now=NOW)
    assert april.state == "done"
    assert may.state == "failed"
    assert may.note.startswith("A release is damaged: ")


def promote(settings: Settings, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.fromisoformat(when)

    def decide(rows: Sequence[Decision]) -> list[Act]:
        step = ("shadow", "production", "promote")
        return [Act(1, "a" * 64, "b" * 64, *step, "mei", "it", "as agreed")]

    monkeypatch.setattr("mlstats.decision_log.datetime", Clock)
    DecisionLog(settings.database).append("diary", decide)


def test_it_begins_when_the_pilot_was_to_produce(
    settings: Settings, pilot: Pilot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(states(calendar(settings, pilot, now=NOW))) == ["2026-05", "2026-06"]
    promote(settings, "2026-03-20T09:00:00+00:00", monkeypatch)
    assert list(states(calendar(settings, pilot, now=NOW)))[0] == "2026-02"
    release(settings, "2020-01")  # long ago: twelve are enough
    found = list(states(calendar(settings, pilot, now=NOW)))
    assert (found[0], len(found)) == ("2025-06", 13)


def test_a_range_that_is_asked_for(settings: Settings, pilot: Pilot) -> None:
    release(settings, "2025-11")
    first, last = map(ReferencePeriod.parse, ("2026-02", "2026-03"))
    found = calendar(settings, pilot, first=first, last=last, now=NOW)
    assert states(found) == {"2026-02": "late", "2026-03": "late"}
    year = ReferencePeriod.parse("2025")
    found = calendar(settings, pilot, first=year, last=year, now=NOW)
    assert [e.period for e in found] == [f"2025-{month:02d}" for month in range(1, 13)]
    assert states(found)["2025-11"] == "done"


def test_releases_without_a_schedule_are_shown(
    settings: Settings, pilot: Pilot
) -> None:
    release(settings, "2026-05")
    tree = pilot.model_dump(mode="json")
    tree["production"]["schedule"] = None
    (entry,) = calendar(settings, Pilot.model_validate(tree), now=NOW)
    assert (entry.period, entry.state, entry.scheduled) == ("2026-05", "done", None)


def test_the_table_and_its_excel_twin(settings: Settings, tmp_path: Path) -> None:
    release(settings, "2026-04", "model")
    release(settings, "2026-05", pilot="trade")
    console = Console(record=True, width=200)
    path = tmp_path / "calendar.xlsx"
    shown = show_calendar(settings, [], console, xlsx=path, now=NOW)
    said = console.export_text()
    for word in ("diary", "trade", "2026-04", "fallback", "r0001", "2026-05-03 06:00"):
        assert word in said
    book = openpyxl.load_workbook(path)
    header, *rows = book["Calendar"].iter_rows(values_only=True)
    assert header[:3] == ("pilot", "period", "state")
    assert [row[:3] for row in rows] == [(e.pilot, e.period, e.state) for e in shown]
    assert "fallback: released by the baseline" in [
        row[0] for row in book["Notes"].iter_rows(values_only=True)
    ]


def test_eighty_columns_cut_nothing_off(settings: Settings) -> None:
    release(settings, "2026-04", "model")
    console = Console(record=True, width=80)
    shown = show_calendar(settings, ["diary"], console, now=NOW)
    said = console.export_text()
    assert "…" not in said
    for entry in shown:
        assert entry.period in said
    assert "2026-05-03" in said
    assert "06:00" in said


def test_pilots_that_nobody_expects_are_left_out(settings: Settings) -> None:
    console = Console(record=True, width=200)
    assert show_calendar(settings, [], console, now=NOW) == []
    assert "no period is expected" in console.export_text()
    tried(settings, "2026-05", "failed", causes="ServiceError")
    assert {e.pilot for e in show_calendar(settings, [], console, now=NOW)} == {"diary"}


def test_what_cannot_be_asked(settings: Settings) -> None:
    console = Console(record=True)
    with pytest.raises(UsageError, match="no pilot"):
        show_calendar(settings, ["dairy"], console)
    with pytest.raises(UsageError, match="ends before"):
        show_calendar(settings, ["diary"], console, first="2026-05", last="2026-01")
    with pytest.raises(ConfigError, match="not a reference period"):
        show_calendar(settings, ["diary"], console, first="May")
