"""Estimates: intervals, bounds, and what they say where there are none."""

import numpy as np
import pytest
from scipy import stats

from mlstats.quality.accuracy import RatioEstimate, logit_interval, proportion
from mlstats.quality.accuracy import proportion_interval as korn_graubard
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, as_table, t_estimate


def test_bounds_are_the_limits_at_twice_the_tail() -> None:
    found = t_estimate(1.0, 0.1, 20, confidence=0.9)
    assert found.one_sided(0.95) == pytest.approx((found.lower, found.upper))
    assert found.interval == "t"


@pytest.mark.parametrize(
    ("se", "df", "said"),
    [(np.nan, 5, "too few"), (0.1, 0, "too few"), (0.0, 5, "nothing varies")],
)
def test_a_value_without_usable_error(se: float, df: float, said: str) -> None:
    found = t_estimate(0.5, se, df)
    assert (found.value, found.status) == (0.5, "measured")
    assert not found.has_error
    assert np.isnan(found.one_sided()).all()
    assert said in found.note


def test_an_undefined_value_is_not_measured() -> None:
    assert t_estimate(np.nan, 0.1, 5).status == "not_measured"
    assert t_estimate(np.inf, 0.1, 5, note="because").note == "because"


def test_a_table_has_its_columns_without_rows_too() -> None:
    keys = {"domain": "north"}
    table = as_table([(keys, absent("not_applicable", "empty", 3))], ["domain"])
    assert table.loc[0, "n"] == 3
    assert np.isnan(table.loc[0, "value"])
    assert list(as_table([], ["domain"]).columns) == list(table.columns)
    assert table.columns[1:].tolist() == list(Estimate.__dataclass_fields__)


def test_logit_interval_by_hand() -> None:
    shape = RatioEstimate(0.9, 0.02, 30.0, 40)
    quantile = stats.t.ppf(0.975, 30)
    limits = np.log(9) + np.array([-1, 1]) * quantile * 0.02 / 0.09
    assert logit_interval(shape, 400) == pytest.approx(1 / (1 + np.exp(-limits)))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_logit_interval_gives_way_where_it_does_not_exist(value: float) -> None:
    shape = RatioEstimate(value, 0.0, 30.0, 40)
    assert logit_interval(shape, 400) == korn_graubard(shape, 400)


def test_logit_interval_without_error_is_none() -> None:
    assert np.isnan(logit_interval(RatioEstimate(0.5, np.nan, 0.0, 1), 9)).all()


@pytest.mark.parametrize("interval", ["Korn-Graubard", "logit"])
def test_a_proportion_of_one_has_clopper_pearson_over_clusters(interval: str) -> None:
    right = np.ones(100, dtype=bool)
    design = Design.of(np.ones(100), cluster=np.arange(100) // 5)
    found = proportion(design, right, right, interval=interval)
    assert (found.value, found.upper) == (1.0, 1.0)
    assert found.lower == pytest.approx(0.025 ** (1 / 20))
    assert found.note == ""


def test_a_proportion_counts_the_part_within_the_whole_only() -> None:
    part = np.arange(10) < 6
    whole = np.arange(10) >= 4
    assert proportion(Design.of(np.ones(10)), part, whole).value == pytest.approx(2 / 6)


def test_a_proportion_of_one_cluster_has_no_interval() -> None:
    design = Design.of(np.ones(10), cluster=np.zeros(10))
    found = proportion(design, np.arange(10) < 6, np.ones(10, dtype=bool))
    assert found.value == 0.6
    assert np.isnan(found.lower)
