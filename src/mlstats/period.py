"""Reference periods: what the data are about, never when a run took place.

The notation is that of SDMX time periods (SDMX 2.1 Technical Notes, 4.2): ``2026``
(year), ``2026-S1`` (half-year), ``2026-Q3`` (quarter) and ``2026-08`` (month).
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date
from functools import total_ordering

from mlstats.errors import ConfigError

__all__ = ["PeriodRange", "ReferencePeriod"]

_PER_YEAR = {"A": 1, "S": 2, "Q": 4, "M": 12}
_PATTERN = re.compile(r"(\d{4})(?:-(?:([SQ])(\d)|(\d{2})))?", re.ASCII)


@total_ordering
@dataclass(frozen=True)
class ReferencePeriod:
    """One period of a stated frequency.

    Parameters
    ----------
    frequency : {"A", "S", "Q", "M"}
        Annual, half-yearly, quarterly or monthly.
    ordinal : int
        Number of periods of that frequency since year 0.

    Raises
    ------
    ConfigError
        Where the year is not one of the calendar, 1 to 9999.

    Examples
    --------
    >>> august = ReferencePeriod.parse("2026-08")
    >>> str(august.shift(-8)), str(august.same_period_last_year())
    ('2025-12', '2025-08')
    >>> ReferencePeriod.parse("2026-Q3").first_day()
    datetime.date(2026, 7, 1)
    """

    frequency: str
    ordinal: int

    def __post_init__(self) -> None:
        if not MINYEAR <= self.ordinal // _PER_YEAR[self.frequency] <= MAXYEAR:
            raise ConfigError(
                "A reference period lies outside the calendar",
                expected=f"a year from {MINYEAR} to {MAXYEAR}",
            )

    @classmethod
    def parse(cls, text: str) -> ReferencePeriod:
        """Read one period.

        Raises
        ------
        ConfigError
            Where `text` is not a period.
        """
        found = _PATTERN.fullmatch(str(text).strip())
        if found is None:
            raise _not_a_period(text)
        year, letter, part, month = found.groups()
        frequency = letter or ("M" if month else "A")
        index = int(part or month or 1)
        if not 1 <= index <= _PER_YEAR[frequency]:
            raise _not_a_period(text)
        return cls(frequency, int(year) * _PER_YEAR[frequency] + index - 1)

    @classmethod
    def containing(cls, day: date, frequency: str) -> ReferencePeriod:
        """Return the period of that frequency in which `day` lies."""
        months = 12 // _PER_YEAR[frequency]
        return cls(
            frequency, day.year * _PER_YEAR[frequency] + (day.month - 1) // months
        )

    def shift(self, periods: int) -> ReferencePeriod:
        """Return the period that many periods later (earlier where negative)."""
        return ReferencePeriod(self.frequency, self.ordinal + periods)

    def next(self) -> ReferencePeriod:
        """Return the following period."""
        return self.shift(1)

    def previous(self) -> ReferencePeriod:
        """Return the preceding period."""
        return self.shift(-1)

    def same_period_last_year(self) -> ReferencePeriod:
        """Return the period one year earlier."""
        return self.shift(-_PER_YEAR[self.frequency])

    @property
    def per_year(self) -> int:
        """How many periods of its frequency a year has."""
        return _PER_YEAR[self.frequency]

    def first_day(self) -> date:
        """Return the first day of the period."""
        year, index = divmod(self.ordinal, _PER_YEAR[self.frequency])
        return date(year, index * (12 // _PER_YEAR[self.frequency]) + 1, 1)

    def last_day(self) -> date:
        """Return the last day of the period."""
        year, index = divmod(self.ordinal, _PER_YEAR[self.frequency])
        month = (index + 1) * (12 // _PER_YEAR[self.frequency])
        return date(year, month, monthrange(year, month)[1])

    def __str__(self) -> str:
        year, index = divmod(self.ordinal, _PER_YEAR[self.frequency])
        if self.frequency == "A":
            return f"{year:04d}"
        if self.frequency == "M":
            return f"{year:04d}-{index + 1:02d}"
        return f"{year:04d}-{self.frequency}{index + 1}"

    def __lt__(self, other: ReferencePeriod) -> bool:
        if self.frequency != other.frequency:
            raise ConfigError(
                f"Periods of two frequencies are compared: {self} and {other}",
                expected="periods of one frequency",
            )
        return self.ordinal < other.ordinal


@dataclass(frozen=True)
class PeriodRange:
    """A closed range of periods, written ``2026-01/2026-03`` or as one period.

    Examples
    --------
    >>> [str(p) for p in PeriodRange.parse("2025-Q4/2026-Q1")]
    ['2025-Q4', '2026-Q1']
    """

    first: ReferencePeriod
    last: ReferencePeriod

    @classmethod
    def parse(cls, text: str) -> PeriodRange:
        """Read a range.

        Raises
        ------
        ConfigError
            Where an end is not a period, or the range is empty or mixes frequencies.
        """
        first, slash, last = str(text).partition("/")
        start = ReferencePeriod.parse(first)
        end = ReferencePeriod.parse(last) if slash else start
        if end < start:
            raise ConfigError(
                f"The range of periods {text} ends before it begins",
                expected="FIRST/LAST, as in 2026-01/2026-03",
            )
        return cls(start, end)

    def __iter__(self) -> Iterator[ReferencePeriod]:
        for ordinal in range(self.first.ordinal, self.last.ordinal + 1):
            yield ReferencePeriod(self.first.frequency, ordinal)

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}/{self.last}"


def _not_a_period(text: object) -> ConfigError:
    return ConfigError(
        f"{str(text)[:40]!r} is not a reference period",
        expected="2026 (year), 2026-S1 (half-year), 2026-Q3 (quarter) or 2026-08",
    )
