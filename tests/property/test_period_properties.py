from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from mlstats.period import PeriodRange, ReferencePeriod

PER_YEAR = {"A": 1, "S": 2, "Q": 4, "M": 12}

periods = st.sampled_from(sorted(PER_YEAR)).flatmap(
    lambda frequency: st.builds(
        ReferencePeriod,
        st.just(frequency),
        st.integers(3000 * PER_YEAR[frequency], 7000 * PER_YEAR[frequency]),
    )
)
shifts = st.integers(-900, 900)


@given(periods)
def test_what_is_written_is_read_back(period) -> None:
    assert ReferencePeriod.parse(str(period)) == period


@given(periods, shifts)
def test_a_shift_there_and_back_changes_nothing(period, n) -> None:
    assert period.shift(n).shift(-n) == period


@given(periods, shifts, shifts)
def test_shifts_add_up(period, m, n) -> None:
    assert period.shift(m).shift(n) == period.shift(m + n)


@given(periods)
def test_a_period_begins_the_day_after_the_one_before_it_ends(period) -> None:
    assert period.previous().last_day() + timedelta(days=1) == period.first_day()


@given(periods)
def test_both_ends_lie_in_the_period(period) -> None:
    for day in (period.first_day(), period.last_day()):
        assert ReferencePeriod.containing(day, period.frequency) == period


@given(periods)
def test_a_year_has_its_number_of_periods(period) -> None:
    assert period.shift(-PER_YEAR[period.frequency]) == period.same_period_last_year()
    assert (
        period.first_day().year - 1 == period.same_period_last_year().first_day().year
    )


@given(periods, st.integers(0, 40))
def test_a_range_is_the_periods_one_after_the_other(first, length) -> None:
    found = list(PeriodRange.parse(f"{first}/{first.shift(length)}"))
    assert found == [first.shift(step) for step in range(length + 1)]
    assert found == sorted(found)
