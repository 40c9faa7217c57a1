"""Which period a scheduled time stands for, and when a period is scheduled and due.

A time of the schedule is a time on the clock of the pilot's own zone. So is the day
that tells the period: midnight on the first of a month in Tokyo is the last day of the
month before in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from mlstats.errors import ConfigError, MlstatsError
from mlstats.period import ReferencePeriod

if TYPE_CHECKING:
    from mlstats.config import Pilot

__all__ = ["Expected", "Schedule", "frequency_of", "period_of", "scheduled_times"]


def period_of(
    scheduled: datetime, frequency: str, lag: int, *, zone: str = "UTC"
) -> ReferencePeriod:
    """Return the period that holds a scheduled time, shifted back by the lag.

    Parameters
    ----------
    scheduled : datetime.datetime
        With its offset from UTC.
    frequency : {"A", "S", "Q", "M"}
        Of the periods.
    lag : int
        Number of periods.
    zone : str
        Whose calendar it is.

    Raises
    ------
    MlstatsError
        For a time without an offset, which is no moment.

    Examples
    --------
    >>> midnight = datetime.fromisoformat("2026-03-31T15:00+00:00")
    >>> str(period_of(midnight, "M", 1, zone="Asia/Tokyo"))
    '2026-03'
    >>> str(period_of(midnight, "M", 1))
    '2026-02'
    """
    if scheduled.tzinfo is None:
        raise MlstatsError("A scheduled time has no offset from UTC")
    day = scheduled.astimezone(ZoneInfo(zone)).date()
    return ReferencePeriod.containing(day, frequency).shift(-lag)


def scheduled_times(
    cron: str, first: datetime, last: datetime, *, zone: str = "UTC"
) -> Iterator[datetime]:
    """Yield the times of a cron expression from `first` to `last`, in UTC.

    They are those of Prefect's scheduler, but for the hour that the clock leaves out
    when it is put forward: such a time is moved on by as much. A time that comes twice
    counts once, the first time.

    Parameters
    ----------
    cron : str
        Five fields: minute, hour, day of the month, month, day of the week.
    first, last : datetime.datetime
        With their offsets from UTC; both are included.
    zone : str
        Whose clock it is.

    Examples
    --------
    >>> year = [datetime.fromisoformat(f"{y}-01-01T00:00+00:00") for y in (2026, 2027)]
    >>> [f"{time:%m-%dT%H}" for time in scheduled_times("0 6 1 */6 *", *year)]
    ['01-01T06', '07-01T06']
    """
    from cronsim import CronSim

    clock = ZoneInfo(zone)
    # Read as the clock hangs on the wall, from before it may have been put forward.
    start = first.astimezone(clock).replace(tzinfo=None) - timedelta(hours=2)
    latest = first - timedelta.resolution
    for naive in CronSim(cron, start):
        time = naive.replace(tzinfo=clock).astimezone(UTC)
        if time > last:
            return
        if time > latest:
            latest = time
            yield time


def frequency_of(pilot: Pilot) -> str:
    """Return the frequency of a pilot's periods.

    Raises
    ------
    ConfigError
        Where the pilot does not tell it.
    """
    if pilot.data.frequency is not None:
        return pilot.data.frequency
    if pilot.data.periods is not None:
        return ReferencePeriod.parse(pilot.data.periods.partition("/")[0]).frequency
    raise ConfigError(
        f"The pilot {pilot.pilot!r} does not say how often it produces",
        expected="data.frequency: A, S, Q or M",
    )


@dataclass(frozen=True)
class Expected:
    """A period of a schedule.

    Parameters
    ----------
    period : ReferencePeriod
        What is to be produced.
    scheduled : datetime.datetime
        The first time at which it is, in UTC.
    due : datetime.datetime
        After that it is late, in UTC.
    """

    period: ReferencePeriod
    scheduled: datetime
    due: datetime


@dataclass(frozen=True)
class Schedule:
    """The schedule of a pilot.

    Parameters
    ----------
    cron : str
        Five fields.
    zone : str
        Name of the time zone, ``Europe/Berlin``.
    frequency : str
        Of the periods.
    lag : int
        Periods between the scheduled time and the period that is produced.
    due : int
        Days from the scheduled time on.
    """

    cron: str
    zone: str
    frequency: str
    lag: int
    due: int

    @classmethod
    def of(cls, pilot: Pilot) -> Schedule:
        """Return the schedule of a pilot.

        Raises
        ------
        ConfigError
            Where it has none, or does not tell its frequency.
        """
        plan = pilot.production
        if plan.schedule is None:
            raise ConfigError(
                f"The pilot {pilot.pilot!r} has no schedule",
                expected="production.schedule, as in '0 6 3 * *'",
            )
        return cls(
            plan.schedule, plan.timezone, frequency_of(pilot), plan.lag, plan.due
        )

    def period_of(self, scheduled: datetime) -> ReferencePeriod:
        """Return the period that is produced at a scheduled time."""
        return period_of(scheduled, self.frequency, self.lag, zone=self.zone)

    def expected(
        self, first: ReferencePeriod, last: ReferencePeriod
    ) -> Iterator[Expected]:
        """Yield the periods that the schedule produces; it may leave some out."""
        for ordinal in range(first.ordinal, last.ordinal + 1):
            period = ReferencePeriod(self.frequency, ordinal)
            scheduled = self._first_time(period.shift(self.lag))
            if scheduled is not None:
                local = scheduled.astimezone(ZoneInfo(self.zone))
                due = (local + timedelta(days=self.due)).astimezone(UTC)
                yield Expected(period, scheduled, due)

    def _first_time(self, within: ReferencePeriod) -> datetime | None:
        clock: Any = ZoneInfo(self.zone)
        begin, end = (
            datetime(day.year, day.month, day.day, tzinfo=clock).astimezone(UTC)
            for day in (within.first_day(), within.next().first_day())
        )
        times = scheduled_times(
            self.cron, begin, end - timedelta(seconds=1), zone=self.zone
        )
        return next(times, None)
