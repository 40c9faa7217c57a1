"""Revisions and the break at a switch of method."""

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.revisions import revision, revision_table, switch_over_break

FIRST = np.array([100.0, 101, 103, 102, 104, 105, 104, 106])
LATER = np.array([100.5, 101.5, 102.5, 103, 104.5, 105.5, 105, 106.5])


def test_summary_by_hand() -> None:
    found = revision(FIRST, LATER)
    gap = LATER - FIRST
    assert found.mean.mean.value == pytest.approx(gap.mean())
    assert found.mean_absolute == pytest.approx(np.abs(gap).mean())
    assert found.root_mean_square == pytest.approx(np.sqrt((gap**2).mean()))
    assert found.relative_mean_absolute == pytest.approx(
        np.abs(gap).sum() / LATER.sum()
    )
    # Of seven steps one went down first and up later.
    assert found.sign_changes == pytest.approx(1 / 7)


def test_signs_of_growth_rates_are_their_own() -> None:
    first, later = np.array([0.1, -0.2, 0.3, 0.1]), np.array([0.1, 0.1, 0.2, -0.1])
    assert revision(first, later, series="growth").sign_changes == 0.5


def test_periods_without_both_figures_do_not_count() -> None:
    later = LATER.copy()
    later[-2:] = np.nan
    found = revision(FIRST, later)
    assert found.n == 6
    assert found.mean_absolute == pytest.approx(np.abs(later - FIRST)[:6].mean())
    assert found.sign_changes == pytest.approx(1 / 5)


def test_too_few_periods_are_said() -> None:
    found = revision(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    assert (found.status, found.n) == ("not_measured", 1)
    assert found.mean.p_value is None


def test_no_revision_at_all_is_said() -> None:
    found = revision(FIRST, FIRST)
    assert found.mean_absolute == 0
    assert found.mean.p_value is None
    assert found.note == "the value is the same in every period"


def test_triangle_has_a_row_per_later_release() -> None:
    triangle = pd.DataFrame({"t": FIRST, "t+1": LATER, "t+2": LATER + 0.1})
    triangle.loc[7, "t+2"] = np.nan
    table = revision_table(triangle)
    assert list(table["release"]) == ["t+1", "t+2"]
    assert list(table["n"]) == [8, 7]
    assert table["mean_revision"][0] == pytest.approx((LATER - FIRST).mean())
    assert 0 <= table["p_value"][0] <= 1
    assert len(revision_table(pd.DataFrame())) == 0


def test_too_short_an_overlap_tells_no_break() -> None:
    found = switch_over_break(FIRST[:3], LATER[:3], 0.5)
    assert found.back_cast == "not_measured"
    assert "3 periods overlap, at least 4" in found.difference.note


@pytest.mark.parametrize(
    ("shift", "wanted"), [(3.0, "needed"), (0.1, "not needed"), (1.0, "inconclusive")]
)
def test_break_in_sampling_errors(shift: float, wanted: str) -> None:
    rng = np.random.default_rng(1)
    old = 100 + rng.normal(size=40).cumsum()
    new = old + shift + rng.normal(0, 0.3, 40)
    found = switch_over_break(old, new, 1.0)
    assert found.back_cast == wanted
    assert found.ratio.lower <= found.ratio.value <= found.ratio.upper


def test_errors_of_the_paired_differences_decide_with_four_periods() -> None:
    old = np.array([100.0, 101, 103, 102])
    new = old + np.array([2.0, 2.1, 1.9, 2.0])
    by_time = switch_over_break(old, new, 0.5)
    by_errors = switch_over_break(old, new, 0.5, paired_se=np.full(4, 0.4))
    assert by_time.difference.df == 1
    assert by_errors.difference.se == pytest.approx(0.2)
    assert by_errors.back_cast == "needed"


def test_a_figure_without_sampling_error_has_no_break_ratio() -> None:
    found = switch_over_break(FIRST, LATER, float("nan"))
    assert found.back_cast == "not_measured"
    assert found.difference.status == "measured"
