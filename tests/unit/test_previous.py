"""The difference from the last period: which run it is, and the interval."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.previous import (
    Previous,
    changes,
    compare,
    find,
    shared_clusters,
    welch_interval,
)
from mlstats.quality.report_tables import PREVIOUS_COLUMNS

NOW = "20260401T000000.000-p"


def card(**changes: object) -> pd.DataFrame:
    row = {
        "indicator": "accuracy", "level": "full", "method": "linear", "domain": "",
        "value": 0.70, "se": 0.03, "df": 40.0, "interval": "Korn-Graubard",
        "status": "measured", "period": "2026-01",
    }  # fmt: skip
    return pd.DataFrame([row | changes])


def finished(runs, name, period, frame=None):
    folder = runs / name
    folder.mkdir(parents=True)
    (card() if frame is None else frame).assign(period=period).to_parquet(
        folder / "scorecard.parquet"
    )
    return folder


def previous(folder, **changes: object) -> Previous:
    return Previous(**{"run_id": folder.name, "period": "2025-12", "folder": folder,
                       "same_period": False} | changes)  # fmt: skip


# -- which run ---------------------------------------------------------------------


def test_the_last_run_of_the_latest_earlier_period_is_taken(tmp_path):
    for name, period in (
        ("20260101T1-p", "2025-10 to 2025-11"),
        ("20260102T1-p", "2025-12"),
        ("20260103T1-p", "2025-12"),
        ("20260104T1-p", "2025-09"),
        ("20260105T1-p", "2026-01"),
        ("20260106T1-p", "2026-02"),
        (".20260107T1-p", "2025-12"),
    ):
        finished(tmp_path, name, period)
    (tmp_path / "20260108T1-p").mkdir()
    found = find(tmp_path, period="2026-01", run_id=NOW)
    assert (found.run_id, found.period, found.same_period) == (
        "20260103T1-p", "2025-12", False,
    )  # fmt: skip
    assert found.in_words == "the run 20260103T1-p of 2025-12"


def test_else_the_last_run_of_the_same_period_which_says_so(tmp_path):
    finished(tmp_path, "20260101T1-p", "2026-01")
    finished(tmp_path, "20260102T1-p", "2026-01")
    finished(tmp_path, "20260103T1-p", "2026-03")
    found = find(tmp_path, period="2026-01", run_id=NOW)
    assert found.run_id == "20260102T1-p"
    assert found.in_words.startswith("an earlier run of the same period")


def test_without_periods_the_last_run_is_of_the_same_period(tmp_path):
    finished(tmp_path, "20260101T1-p", "")
    assert find(tmp_path, period="", run_id=NOW).same_period


@pytest.mark.parametrize("period", ["2026-02", "2026-Q1", "nonsense"])
def test_a_later_period_or_another_frequency_is_no_previous_one(tmp_path, period):
    finished(tmp_path, "20260101T1-p", period)
    assert find(tmp_path, period="2026-01", run_id=NOW) is None


def test_a_run_that_came_later_is_not_an_earlier_one(tmp_path):
    finished(tmp_path, "20260501T1-p", "2025-12")
    assert find(tmp_path, period="2026-01", run_id=NOW) is None
    assert find(tmp_path / "nowhere", period="2026-01", run_id=NOW) is None


# -- the interval ------------------------------------------------------------------


def test_the_interval_is_that_of_welch_for_two_means():
    rng = np.random.default_rng(1)
    one, two = rng.normal(0, 1, 12), rng.normal(0.4, 3, 30)
    wanted = stats.ttest_ind(one, two, equal_var=False).confidence_interval(0.95)
    errors = np.array([x.std(ddof=1) / math.sqrt(len(x)) for x in (one, two)])
    lower, upper = welch_interval(
        one.mean() - two.mean(), errors, np.array([11.0, 29.0])
    )
    assert (lower, upper) == pytest.approx((wanted.low, wanted.high), rel=1e-12)


def test_the_interval_covers_the_change_of_two_small_samples():
    rng = np.random.default_rng(2)
    hits, rounds = 0, 2000
    for _ in range(rounds):
        one, two = rng.normal(1, 1, 6), rng.normal(0, 2, 9)
        errors = np.array([x.std(ddof=1) / math.sqrt(len(x)) for x in (one, two)])
        lower, upper = welch_interval(
            one.mean() - two.mean(), errors, np.array([5.0, 8.0])
        )
        hits += lower <= 1.0 <= upper
    assert 0.935 <= hits / rounds <= 0.975


def test_now_before_and_the_difference_stand_in_a_row(tmp_path):
    folder = finished(tmp_path, "a", "2025-12", card(value=0.66, se=0.04, df=30.0))
    table = compare(card(), previous(folder))
    assert list(table.columns) == list(PREVIOUS_COLUMNS)
    (row,) = table.to_dict("records")
    assert (row["now"], row["before"]) == (0.70, 0.66)
    assert row["difference"] == pytest.approx(0.04)
    half = (row["upper"] - row["lower"]) / 2
    df = 0.05**4 / (0.03**4 / 40 + 0.04**4 / 30)
    assert half == pytest.approx(stats.t.ppf(0.975, df) * 0.05)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"se": 0.0}, "nothing varied"),
        ({"se": math.nan}, "no standard error"),
        ({"df": 0.0}, "no standard error"),
    ],
)
def test_without_a_usable_error_there_is_no_interval(tmp_path, changes, why):
    folder = finished(tmp_path, "a", "2025-12", card(**changes))
    (row,) = compare(card(), previous(folder)).to_dict("records")
    assert math.isnan(row["lower"])
    assert math.isnan(row["upper"])
    assert why in row["note"]


def test_facts_differ_by_what_they_differ(tmp_path):
    fact = {"interval": "none: not a sample", "se": 0.0, "df": math.inf}
    folder = finished(tmp_path, "a", "2025-12", card(value=0.6, **fact))
    (row,) = compare(card(**fact), previous(folder)).to_dict("records")
    assert row["lower"] == row["upper"] == pytest.approx(0.1)


def test_domains_missing_figures_and_other_methods_are_not_compared(tmp_path):
    folder = finished(tmp_path, "a", "2025-12")
    for other in (
        {"domain": "shop: web"},
        {"status": "not_measured"},
        {"value": math.nan},
        {"method": "index"},
        {"level": "1"},
    ):
        assert compare(card(**other), previous(folder)).empty


def test_a_row_for_each_other_method_counts_once(tmp_path):
    folder = finished(tmp_path, "a", "2025-12", pd.concat([card(), card()]))
    assert len(compare(pd.concat([card(), card()]), previous(folder))) == 1


@pytest.mark.parametrize(
    ("shared", "same", "said"),
    [
        (None, False, "not known"),
        (0.0, False, "share no cluster"),
        (0.31, False, "31% of the clusters"),
        (0.31, True, "the units largely are"),
    ],
)
def test_the_note_says_what_independence_is_worth(tmp_path, shared, same, said):
    folder = finished(tmp_path, "a", "2025-12")
    table = compare(card(), previous(folder, same_period=same), shared=shared)
    assert said in table["note"].iloc[0]


def test_shared_clusters_are_those_of_the_test_parts(tmp_path):
    units = pd.DataFrame({"cluster": list("aabcd"), "fold": ["test"] * 4 + ["valid"]})
    earlier = pd.DataFrame({"cluster": list("abd"), "fold": ["test", "valid", "test"]})
    earlier.to_parquet(tmp_path / "units.parquet")
    assert shared_clusters(units, tmp_path / "units.parquet") == pytest.approx(1 / 3)
    assert shared_clusters(units, tmp_path / "gone.parquet") is None
    assert shared_clusters(units.iloc[:0], tmp_path / "units.parquet") is None


def test_changes_find_compare_and_name_the_run(tmp_path):
    units = pd.DataFrame({"cluster": ["a"], "fold": ["test"]})
    where = {"runs": tmp_path / "runs", "confidential": tmp_path / "kept"}
    of = {"period": "2026-01", "run_id": NOW}
    table, said = changes(card(), units, **where, **of, clustered=True)
    assert table.empty
    assert said == ""
    finished(tmp_path / "runs", "20260101T1-p", "2025-12")
    (tmp_path / "kept" / "20260101T1-p").mkdir(parents=True)
    units.to_parquet(tmp_path / "kept" / "20260101T1-p" / "units.parquet")
    table, said = changes(card(), units, **where, **of, clustered=True)
    assert "100% of the clusters" in table["note"].iloc[0]
    assert "2025-12" in said
    table, _ = changes(card(), units, **where, **of, clustered=False)
    assert "not known" in table["note"].iloc[0]
