"""Periods from scheduled times: zones, clocks that jump, ends of months."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from mlstats.config import Pilot, Production
from mlstats.errors import ConfigError, MlstatsError
from mlstats.period import ReferencePeriod
from mlstats.schedule import Schedule, frequency_of, period_of, scheduled_times

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Santiago",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
]
PILOT = {
    "pilot": "diary",
    "theme": "coding",
    "owner": {"author": "tests"},
    "data": {
        "source": "diary.csv",
        "roles": {"unit_id": "id", "text": ["text"], "target": "code"},
        "classification": {"file": "c.csv", "parent": "parent"},
    },
    "methods": {
        "exact": {"kind": "traditional", "use": "mlstats.coding.ExactIndex"},
        "linear": {"kind": "ml", "use": "mlstats.coding.LinearText"},
    },
    "baseline": "exact",
    "candidate": "linear",
}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("scheduled", "frequency", "lag", "zone", "period"),
    [
        ("2026-04-03T06:00+00:00", "M", 1, "UTC", "2026-03"),
        ("2026-04-03T06:00+00:00", "M", 0, "UTC", "2026-04"),
        ("2026-01-03T06:00+00:00", "M", 1, "UTC", "2025-12"),
        ("2026-01-03T06:00+00:00", "M", 13, "UTC", "2024-12"),
        ("2026-04-03T06:00+00:00", "Q", 1, "UTC", "2026-Q1"),
        ("2026-04-03T06:00+00:00", "S", 1, "UTC", "2025-S2"),
        ("2026-04-03T06:00+00:00", "A", 1, "UTC", "2025"),
        # midnight of the first of a month is the last of the month before in UTC ...
        ("2026-03-31T22:00+00:00", "M", 1, "Europe/Berlin", "2026-03"),
        ("2026-03-31T15:00+00:00", "M", 1, "Asia/Tokyo", "2026-03"),
        ("2026-12-31T15:00+00:00", "A", 1, "Asia/Tokyo", "2026"),
        # ... and a late hour of the last is the first in UTC
        ("2026-04-01T02:00+00:00", "M", 1, "America/New_York", "2026-02"),
        # an hour before and after the clock of Berlin changes
        ("2026-10-31T23:00+00:00", "M", 1, "Europe/Berlin", "2026-10"),
        ("2026-10-31T22:59+00:00", "M", 1, "Europe/Berlin", "2026-09"),
        ("2024-02-29T12:00+00:00", "M", 1, "UTC", "2024-01"),
    ],
)
def test_the_period_of_a_scheduled_time(
    scheduled: str, frequency: str, lag: int, zone: str, period: str
) -> None:
    assert str(period_of(moment(scheduled), frequency, lag, zone=zone)) == period


def test_a_time_without_an_offset_is_no_moment() -> None:
    with pytest.raises(MlstatsError, match="no offset"):
        period_of(datetime(2026, 4, 3), "M", 1)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "cron", ["0 6 3 * *", "0 0 1 * *", "0 0 31 * *", "30 4 * * 0", "15 5 13 * 5"]
)
def test_the_times_are_those_of_prefect(cron: str, zone: str) -> None:
    """Over a year with both changes of the clock."""
    from prefect.server.schemas.schedules import CronSchedule

    first, last = moment("2026-01-01T00:00+00:00"), moment("2026-12-31T23:00+00:00")
    prefects = CronSchedule(cron=cron, timezone=zone)
    theirs = asyncio.run(prefects.get_dates(n=500, start=first, end=last))
    ours = list(scheduled_times(cron, first, last, zone=zone))
    assert [t.timestamp() for t in ours] == [t.timestamp() for t in theirs]
    assert len(ours) >= 7


def test_an_hour_that_the_clock_leaves_out_and_one_that_comes_twice() -> None:
    march, april = moment("2026-03-28T12:00+00:00"), moment("2026-03-30T00:00+00:00")
    out = list(scheduled_times("30 2 29 3 *", march, april, zone="Europe/Berlin"))
    assert out == [moment("2026-03-29T01:30+00:00")]  # 3:30 of the new time
    october, after = moment("2026-10-24T12:00+00:00"), moment("2026-10-26T00:00+00:00")
    twice = list(scheduled_times("30 2 25 10 *", october, after, zone="Europe/Berlin"))
    assert twice == [moment("2026-10-25T00:30+00:00")]
    hourly = scheduled_times("0 * * * *", march, april, zone="Europe/Berlin")
    times = list(hourly)
    assert times == sorted(set(times))


def test_both_ends_count() -> None:
    ends = moment("2026-04-03T06:00+00:00"), moment("2026-05-03T06:00+00:00")
    assert list(scheduled_times("0 6 3 * *", *ends)) == list(ends)


def schedule(**plan: object) -> Schedule:
    data = {**PILOT["data"], "frequency": "M"}  # type: ignore[dict-item]
    plan = {"schedule": "0 0 1 * *", **plan}
    return Schedule.of(
        Pilot.model_validate({**PILOT, "data": data, "production": plan})
    )


def test_a_month_in_tokyo_is_scheduled_at_its_midnight() -> None:
    tokyo = schedule(timezone="Asia/Tokyo", due=5)
    first = ReferencePeriod.parse("2026-03")
    (expected,) = tokyo.expected(first, first)
    assert expected.scheduled == moment("2026-03-31T15:00+00:00")
    assert expected.due == moment("2026-04-05T15:00+00:00")
    assert tokyo.period_of(expected.scheduled) == first


def test_what_is_due_follows_the_clock_not_the_hours() -> None:
    berlin = schedule(schedule="0 6 25 3 *", timezone="Europe/Berlin", due=5, lag=0)
    march = ReferencePeriod.parse("2026-03")
    (expected,) = berlin.expected(march, march)
    assert expected.scheduled == moment("2026-03-25T05:00+00:00")
    assert expected.due == moment("2026-03-30T04:00+00:00")


def test_a_period_counts_once_and_may_be_left_out() -> None:
    daily = schedule(schedule="0 6 * * *")
    year = ReferencePeriod.parse("2025-12"), ReferencePeriod.parse("2026-11")
    assert len(list(daily.expected(*year))) == 12
    assert next(daily.expected(*year)).scheduled == moment("2026-01-01T06:00+00:00")
    twice_a_year = schedule(schedule="0 6 3 1,7 *")
    assert [str(e.period) for e in twice_a_year.expected(*year)] == [
        "2025-12",
        "2026-06",
    ]
    thirty_first = schedule(schedule="0 6 31 * *", lag=0)
    months = [str(e.period) for e in thirty_first.expected(*year)]
    assert months == ["2025-12", *(f"2026-0{m}" for m in (1, 3, 5, 7, 8)), "2026-10"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", ["0 0 1 * *", "59 23 28 * *", "0 0 1 1,4,7,10 *"])
@pytest.mark.parametrize("frequency", ["M", "Q", "A"])
def test_the_schedule_and_the_period_agree(
    cron: str, zone: str, frequency: str
) -> None:
    found = Schedule(cron, zone, frequency, 1, 5)
    first = ReferencePeriod.containing(moment("2024-01-01").date(), frequency)
    for expected in found.expected(first, first.shift(30)):
        assert found.period_of(expected.scheduled) == expected.period


def test_the_frequency_is_told_or_follows_from_the_periods() -> None:
    def of(**data: object) -> str:
        return frequency_of(
            Pilot.model_validate({**PILOT, "data": {**PILOT["data"], **data}})  # type: ignore[dict-item]
        )

    assert of(frequency="Q") == "Q"
    assert of(periods="2025-S1/2026-S1") == "S"
    with pytest.raises(ConfigError, match="how often"):
        of()


def test_a_pilot_without_a_schedule() -> None:
    with pytest.raises(ConfigError, match="has no schedule"):
        Schedule.of(Pilot.model_validate(PILOT))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"schedule": "0 6 3 *"}, "five fields"),
        ({"schedule": "@monthly"}, "five fields"),
        ({"schedule": "0 6 32 * *"}, "is none"),
        ({"timezone": "Europe/Berln"}, "nearest: Europe/Berlin"),
        ({"notify": ["https://office.example/hook"]}, "pattern"),
    ],
)
def test_a_plan_that_cannot_be(plan: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Production.model_validate(plan)


def test_utc_is_meant_where_nothing_is_said() -> None:
    assert Production().timezone == "UTC"
    time = datetime(2026, 4, 3, 6, tzinfo=UTC)
    assert period_of(time, "M", 1) == period_of(time, "M", 1, zone="UTC")
