from __future__ import annotations

from datetime import date

import pytest

from mlstats.errors import ConfigError
from mlstats.period import PeriodRange, ReferencePeriod


@pytest.mark.parametrize(
    ("text", "frequency", "first", "last"),
    [
        ("2026", "A", date(2026, 1, 1), date(2026, 12, 31)),
        ("2026-S1", "S", date(2026, 1, 1), date(2026, 6, 30)),
        ("2026-S2", "S", date(2026, 7, 1), date(2026, 12, 31)),
        ("2026-Q1", "Q", date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-Q4", "Q", date(2026, 10, 1), date(2026, 12, 31)),
        ("2026-08", "M", date(2026, 8, 1), date(2026, 8, 31)),
        ("2026-12", "M", date(2026, 12, 1), date(2026, 12, 31)),
        ("2024-02", "M", date(2024, 2, 1), date(2024, 2, 29)),
        ("2100-02", "M", date(2100, 2, 1), date(2100, 2, 28)),
        ("9999-12", "M", date(9999, 12, 1), date(9999, 12, 31)),
        ("0001", "A", date(1, 1, 1), date(1, 12, 31)),
    ],
)
def test_a_period_is_read_and_written_as_sdmx_writes_it(
    text, frequency, first, last
) -> None:
    period = ReferencePeriod.parse(text)
    assert period.frequency == frequency
    assert str(period) == text
    assert period.first_day() == first
    assert period.last_day() == last


def test_spaces_around_a_period_do_not_matter() -> None:
    assert ReferencePeriod.parse(" 2026-08\n") == ReferencePeriod.parse("2026-08")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "26",
        "2026-",
        "2026-00",
        "2026-13",
        "2026-8",
        "2026-Q0",
        "2026-Q5",
        "2026-S3",
        "2026-q1",
        "2026-W01",
        "2026-08-01",
        "2026.0",
        "0000",
        "٢٠٢٦",
    ],
)
def test_what_is_no_period_is_refused(text) -> None:
    with pytest.raises(ConfigError) as raised:
        ReferencePeriod.parse(text)
    assert raised.value.expected is not None


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("2025", "2026"),
        ("2025-S2", "2026-S1"),
        ("2025-Q4", "2026-Q1"),
        ("2025-12", "2026-01"),
        ("1999-12", "2000-01"),
        ("2026-01", "2026-02"),
    ],
)
def test_next_and_previous_pass_over_the_end_of_a_year(text, following) -> None:
    period = ReferencePeriod.parse(text)
    assert str(period.next()) == following
    assert period.next().previous() == period


def test_no_period_lies_outside_the_calendar() -> None:
    with pytest.raises(ConfigError, match="calendar"):
        ReferencePeriod.parse("9999-Q4").next()
    with pytest.raises(ConfigError, match="calendar"):
        ReferencePeriod.parse("0001").previous()


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("2026", "2025"),
        ("2026-S2", "2025-S2"),
        ("2026-Q1", "2025-Q1"),
        ("2026-02", "2025-02"),
    ],
)
def test_the_same_period_last_year(text, earlier) -> None:
    assert str(ReferencePeriod.parse(text).same_period_last_year()) == earlier


@pytest.mark.parametrize(
    ("frequency", "text"),
    [("A", "2026"), ("S", "2026-S2"), ("Q", "2026-Q3"), ("M", "2026-07")],
)
def test_the_period_that_contains_a_day(frequency, text) -> None:
    assert str(ReferencePeriod.containing(date(2026, 7, 1), frequency)) == text


def test_periods_of_one_frequency_are_ordered() -> None:
    early, late = (ReferencePeriod.parse(text) for text in ("2025-12", "2026-01"))
    assert early < late
    assert early <= late
    assert late > early
    assert late >= late.shift(0)
    assert sorted([late, early]) == [early, late]


def test_periods_of_two_frequencies_are_not_compared_nor_equal() -> None:
    month, quarter = (ReferencePeriod.parse(text) for text in ("2026-01", "2026-Q1"))
    assert month != quarter
    with pytest.raises(ConfigError, match="2026-01 and 2026-Q1"):
        assert month < quarter


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("2026-08", ["2026-08"]),
        ("2025-11/2026-02", ["2025-11", "2025-12", "2026-01", "2026-02"]),
        ("2025-Q4/2026-Q1", ["2025-Q4", "2026-Q1"]),
        ("2025-S1/2025-S2", ["2025-S1", "2025-S2"]),
        ("2024/2026", ["2024", "2025", "2026"]),
        ("9999-11/9999-12", ["9999-11", "9999-12"]),
    ],
)
def test_a_range_holds_both_its_ends(text, periods) -> None:
    assert [str(period) for period in PeriodRange.parse(text)] == periods
    assert str(PeriodRange.parse(text)) == text
    assert ReferencePeriod.parse(periods[-1]) in PeriodRange.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02/2026-01",
        "2026-01/2026-Q1",
        "2026-01/",
        "/2026-01",
        "2026-01/2026-02/2026-03",
        "2026-01-2026-03",
    ],
)
def test_what_is_no_range_is_refused(text) -> None:
    with pytest.raises(ConfigError):
        PeriodRange.parse(text)
