"""The calendar of periods: what is released, what waits, what is late.

It is derived, never kept: from the schedule, the releases and the log of productions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlstats import io, workbook
from mlstats.config import Pilot
from mlstats.decision_log import DecisionLog
from mlstats.errors import SourceError, UsageError
from mlstats.period import ReferencePeriod
from mlstats.pilot_files import list_pilots, load_pilot
from mlstats.production_log import Attempt, ProductionLog
from mlstats.releases import Release, ReleaseStore
from mlstats.schedule import Expected, Schedule
from mlstats.settings import Settings

__all__ = ["Entry", "calendar", "show_calendar"]

STATES: Final = {
    "done": "released as decided, final",
    "fallback": "released by the baseline",
    "waiting for review": "released, provisional until its queue is closed",
    "failed": "no release, and the last attempt failed",
    "late": "no release, and the due date has passed",
    "missing": "no release, and the scheduled time has passed",
    "planned": "the scheduled time has not come",
}
_COLOURS: Final = {"done": "green", "failed": "red", "late": "red"}
_SHOWN: Final = 12  # periods before the next one, where nobody says from when


@dataclass(frozen=True)
class Entry:
    """One period of one pilot.

    Parameters
    ----------
    pilot, period : str
        Which.
    state : str
        done, fallback, waiting for review,
        failed, late, missing, planned.
    scheduled, due : datetime.datetime or None
        On the clock of the pilot's zone; None where no schedule asks for the period.
    release : int
        Number of the current release, 0 where there is none.
    attempts : int
        How often it was tried, without drills and back-casts.
    note : str
        What the state does not tell: causes of a fallback, a later failure.
    """

    pilot: str
    period: str
    state: str
    scheduled: datetime | None
    due: datetime | None
    release: int = 0
    attempts: int = 0
    note: str = ""


def calendar(
    settings: Settings,
    pilot: Pilot,
    *,
    first: ReferencePeriod | None = None,
    last: ReferencePeriod | None = None,
    now: datetime | None = None,
) -> list[Entry]:
    """Return the periods of a pilot, the oldest first.

    Parameters
    ----------
    first, last : ReferencePeriod, optional
        The range, of any frequency: 2026 holds its months. Without them: from when the
        pilot was first released, tried or decided to produce, at most twelve periods,
        to the next one of the schedule.
    now : datetime.datetime, optional
        The moment at which it is judged, with its offset from UTC.

    Raises
    ------
    ServiceError
        Where a log cannot be read.
    """
    now = now or datetime.now(UTC)
    tried = [
        attempt
        for attempt in ProductionLog(settings.database).read(pilot.pilot)
        if attempt.publishes
    ]
    store = ReleaseStore(settings.releases)
    known = {*store.periods(pilot.pilot), *(attempt.period for attempt in tried)}
    schedule = Schedule.of(pilot) if pilot.production.schedule else None
    expected: dict[str, Expected] = {}
    if schedule is not None:
        each = schedule.frequency
        first = (
            ReferencePeriod.containing(first.first_day(), each)
            if first
            else _first(schedule, settings, pilot, known, now)
        )
        until = (
            ReferencePeriod.containing(last.last_day(), each)
            if last
            else _last(schedule, now)
        )
        expected = {str(e.period): e for e in schedule.expected(first, until)}
    periods = sorted(
        (period for period in {*known, *expected} if _within(period, first, last)),
        key=lambda period: (ReferencePeriod.parse(period).first_day(), period),
    )
    zone = ZoneInfo(pilot.production.timezone)
    return [
        _entry(
            pilot.pilot,
            period,
            expected.get(period),
            store,
            [attempt for attempt in tried if attempt.period == period],
            now,
            zone,
        )
        for period in periods
    ]


def _first(
    schedule: Schedule,
    settings: Settings,
    pilot: Pilot,
    known: set[str],
    now: datetime,
) -> ReferencePeriod:
    """Return the period from which on the pilot was to produce."""
    latest = schedule.period_of(now)
    begun = [ReferencePeriod.parse(period) for period in known]
    begun = [period for period in begun if period.frequency == schedule.frequency]
    for decision in DecisionLog(settings.database).read(pilot.pilot):
        if (decision.kind, decision.stage_to) == ("promote", "production"):
            begun.append(schedule.period_of(datetime.fromisoformat(decision.time)))
            break
    return max(min([latest, *begun]), latest.shift(1 - _SHOWN))


def _last(schedule: Schedule, now: datetime) -> ReferencePeriod:
    """Return the next period that the schedule will produce."""
    current = schedule.period_of(now)
    for expected in schedule.expected(current, current.shift(_SHOWN)):
        if expected.scheduled > now:
            return expected.period
    return current


def _within(
    text: str, first: ReferencePeriod | None, last: ReferencePeriod | None
) -> bool:
    period = ReferencePeriod.parse(text)
    begins = first is None or period.last_day() >= first.first_day()
    return begins and (last is None or period.first_day() <= last.last_day())


def _entry(
    pilot: str,
    period: str,
    expected: Expected | None,
    store: ReleaseStore,
    tried: Sequence[Attempt],
    now: datetime,
    zone: ZoneInfo,
) -> Entry:
    notes: list[str] = []
    release: Release | None = None
    failed = bool(tried) and tried[-1].outcome == "failed"
    try:
        release = store.current(pilot, period)
    except SourceError as error:
        failed = True
        notes.append(f"{error.title}: {error.where}")
    if release is not None:
        state = _released(release)
        notes += _of_release(release)
    elif failed:
        state = "failed"
    else:
        state = _awaited(expected, now)
    if tried and tried[-1].outcome == "failed":
        notes.append(f"last attempt failed ({tried[-1].causes}), {_day(tried[-1])}")
    if release is None and expected is not None and failed and now > expected.due:
        notes.append("late")
    return Entry(
        pilot,
        period,
        state,
        expected.scheduled.astimezone(zone) if expected else None,
        expected.due.astimezone(zone) if expected else None,
        release.number if release else 0,
        len(tried),
        "; ".join(notes),
    )


def _released(release: Release) -> str:
    if release.facts.get("fallback"):
        return "fallback"
    return "done" if release.final else "waiting for review"


def _of_release(release: Release) -> Iterator[str]:
    reasons: Sequence[Mapping[str, str]] = release.facts.get("fallback") or ()
    causes = list(dict.fromkeys(str(reason["cause"]) for reason in reasons))
    if causes:
        yield ", ".join(causes)
    if release.purged_on:
        yield f"purged on {release.purged_on}"
    still_open = (release.facts.get("queue") or {}).get("open", 0)
    if still_open and not release.final:
        yield f"{still_open} in the queue"
    elif not release.final and causes:
        yield "provisional"


def _awaited(expected: Expected | None, now: datetime) -> str:
    if expected is None:  # tried by hand, without a failure and without a release
        return "missing"
    if now > expected.due:
        return "late"
    return "missing" if now >= expected.scheduled else "planned"


def _day(attempt: Attempt) -> str:
    return attempt.ended[:16].replace("T", " ") + " UTC"


# -- the table ---------------------------------------------------------------------


def show_calendar(
    settings: Settings,
    names: Sequence[str],
    console: Console,
    *,
    first: str = "",
    last: str = "",
    xlsx: Path | None = None,
    now: datetime | None = None,
) -> list[Entry]:
    """Show the calendar, and write it into a workbook where one is named.

    Parameters
    ----------
    names : sequence of str
        Pilots by name or path; none: every pilot that has a schedule and was put into
        production, released or tried.
    console : rich.console.Console
        Where to.
    first, last : str
        Periods; empty: as :func:`calendar` chooses.
    xlsx : pathlib.Path, optional
        The workbook.

    Returns
    -------
    list of Entry
        What was shown.

    Raises
    ------
    UsageError
        Where there is no such pilot.
    ConfigError, ServiceError
        As :func:`calendar`.
    """
    begin = ReferencePeriod.parse(first) if first else None
    end = ReferencePeriod.parse(last) if last else None
    if begin and end and end.last_day() < begin.first_day():
        raise UsageError("The calendar ends before it begins", where="--to")
    entries: list[Entry] = []
    for name in names or _in_production(settings):
        pilot = load_pilot(name, project=settings.project)
        entries += calendar(settings, pilot, first=begin, last=end, now=now)
    console.print(_table(entries))
    for state in dict.fromkeys(entry.state for entry in entries):
        console.print(f"{state}: {STATES[state]}", style="dim", markup=False)
    if not entries:
        console.print("no period is expected, and none was released")
    if xlsx is not None:
        notes = [f"{state}: {said}" for state, said in STATES.items()]

        def write(path: Path) -> None:
            workbook.write_sheets(path, {"Calendar": _frame(entries)}, notes)

        io.write_atomic(xlsx, write)
    return entries


def _in_production(settings: Settings) -> list[str]:
    """Return the pilots that somebody expects periods of."""
    decided = {
        row.pilot
        for row in DecisionLog(settings.database).read()
        if (row.kind, row.stage_to) == ("promote", "production")
    }
    tried = {row.pilot for row in ProductionLog(settings.database).read()}
    store = ReleaseStore(settings.releases)
    return [
        name
        for name in list_pilots(settings.project)
        if name in decided or name in tried or store.periods(name)
    ]


def _table(entries: Sequence[Entry]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("pilot", "period", "state", "scheduled", "due", "release", "tried"):
        whole = name in ("period", "release", "tried")
        table.add_column(name, no_wrap=whole, overflow="fold")
    table.add_column("note", overflow="fold")
    for entry in entries:
        colour = _COLOURS.get(entry.state, "yellow" if entry.release else "")
        state = f"[{colour}]{entry.state}[/]" if colour else entry.state
        cells = (
            entry.pilot, entry.period, state, _clock(entry.scheduled),
            _clock(entry.due), f"r{entry.release:04d}" if entry.release else "",
            str(entry.attempts or ""), escape(entry.note),
        )  # fmt: skip
        table.add_row(*cells)
    return table


def _clock(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def _frame(entries: Sequence[Entry]) -> pd.DataFrame:
    names = [
        "pilot", "period", "state", "scheduled", "due", "release", "attempts", "note",
    ]  # fmt: skip
    rows = [
        [
            "" if value is None else _told(value)
            for value in (getattr(entry, name) for name in names)
        ]
        for entry in entries
    ]
    return pd.DataFrame(rows, columns=names)


def _told(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
