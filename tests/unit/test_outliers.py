from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.outliers import hb_current, hb_ratio, percentile, sigma_gap
from mlstats.editimpute.unit_of_measure import thousand_pounds, unit_errors
from mlstats.errors import ConfigError, ContractError

NAN = np.nan


def test_percentiles_are_at_p_times_n_plus_one() -> None:
    # T = .25 * 8 = 2, W = 2, D = 0; T = .3 * 8 = 2.4: .6 * 2 + .4 * 4.
    values = np.array([1.0, 2, 4, 7, 11, 16, 22])
    assert percentile(values, 25) == 2
    assert percentile(values, 30) == pytest.approx(2.8)
    assert percentile(values, 1) == 1
    assert percentile(values, 99) == 22


def test_hb_bounds_by_hand() -> None:
    # n = 11: Q1 = x3 = 10, M = x6 = 20, Q3 = x9 = 40.
    values = pd.Series([1.0, 5, 10, 15, 18, 20, 25, 30, 40, 95, 101])
    found = hb_current(values, impute=4, exclude=1.5)
    group = found.groups.iloc[0]
    assert group[["q1", "median", "q3"]].tolist() == [10, 20, 40]
    assert group[["impute_left", "impute_right"]].tolist() == [-20, 100]
    assert group[["exclude_left", "exclude_right"]].tolist() == [5, 50]
    assert found.status.tolist()[-3:] == ["inside", "exclude", "impute"]
    assert found.status.tolist()[:2] == ["exclude", "inside"]


def test_the_floor_is_a_share_of_the_median() -> None:
    values = pd.Series([100.0] * 9 + [109, 111])
    found = hb_current(values, impute=2)
    assert found.groups["impute_right"].tolist() == [110]
    assert found.status.tolist()[-2:] == ["inside", "impute"]


def test_sides_weights_groups_and_signs() -> None:
    values = pd.Series([-500.0, *range(10, 21), 500, NAN], index=range(5, 19))
    left = hb_current(values, impute=3, side="left", accept_negative=True)
    assert left.status.value_counts().to_dict() == {
        "inside": 12,
        "impute": 1,
        "not_used": 1,
    }
    right = hb_current(values, impute=3)
    assert right.status.iloc[[0, -2, -1]].tolist() == ["not_used", "impute", "not_used"]
    weights = pd.Series([1.0] * 12 + [0.03, 1], index=values.index)
    assert not hb_current(values, impute=3, weights=weights).status.eq("impute").any()
    groups = pd.Series(["a"] * 12 + ["b"] * 2, index=values.index)
    by_group = hb_current(values, impute=3, groups=groups)
    assert by_group.groups["status"].tolist() == ["measured", "not_measured"]
    assert by_group.groups["reason"].tolist()[1] == "fewer than 10 observations"
    assert by_group.status.index.equals(values.index)


def test_hb_ratio_by_hand() -> None:
    # Ratios .5 .8 .9 1 1 1 1.1 1.25 1.5 2 9, median 1; below 1 the distance is
    # 1 - 1 / R, above R - 1; with exponent 0 the sizes do not count.
    ratio = np.array([0.5, 0.8, 0.9, 1, 1, 1, 1.1, 1.25, 1.5, 2, 9])
    before = pd.Series(np.full(11, 20.0))
    found = hb_ratio(before * ratio, before, impute=4, exponent=0)
    group = found.groups.iloc[0]
    assert group["median_ratio"] == 1
    assert group["q1"] == pytest.approx(1 - 1 / 0.9)
    assert group["q3"] == pytest.approx(0.5)
    assert group["impute_right"] == pytest.approx(2)
    assert group["impute_left"] == pytest.approx(4 * (1 - 1 / 0.9))
    wanted = ["impute"] + ["inside"] * 9 + ["impute"]
    assert found.status.tolist() == wanted


def test_the_size_counts_with_the_exponent() -> None:
    ratio = np.array([0.8, 0.9, 0.95, 1, 1, 1, 1.05, 1.1, 1.2, 1.7, 1.7])
    before = np.full(11, 10.0)
    before[-1] = 1000
    values = pd.Series(before * ratio)
    found = hb_ratio(values, pd.Series(before), impute=8, exponent=0.5)
    assert found.status.tolist()[-2:] == ["inside", "impute"]


def test_an_absolute_floor_keeps_unchanged_ratios_from_flagging_all_others() -> None:
    rng = np.random.default_rng(1)
    before = pd.Series(rng.lognormal(3, 1, 1000))
    moved = rng.random(1000) < 0.4
    values = before * np.where(moved, np.exp(rng.normal(0, 0.1, 1000)), 1)
    bare = hb_ratio(values, before, impute=3)
    floored = hb_ratio(values, before, impute=3, absolute_floor=1.0)
    assert bare.status.eq("impute").mean() > 0.3
    assert floored.status.eq("impute").mean() < 0.02


def test_pairs_without_two_positive_values_are_not_used() -> None:
    values = pd.Series([1.0, 2, 3, 0, -1, NAN, 4])
    before = pd.Series([1.0, 2, 3, 5, 5, 5, 0])
    found = hb_ratio(values, before, impute=3, least_observations=3)
    assert found.status.tolist() == ["inside"] * 3 + ["not_used"] * 4


def test_the_gap_starts_at_the_percentile_and_takes_all_beyond() -> None:
    values = pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 22])
    # Median 6.5, absolute deviations' median 3 (.5 .5 1.5 1.5 2.5 2.5 3.5 3.5 ...).
    found = sigma_gap(values, impute=2, exclude=1)
    sigma = found.groups["sigma"].iloc[0]
    assert sigma == pytest.approx(1.4826 * 3)
    assert found.groups["impute_right"].tolist() == [20]
    assert found.status.tolist() == ["inside"] * 9 + ["impute"] * 3
    wider = sigma_gap(values, impute=3, exclude=2)
    assert wider.status.tolist() == ["inside"] * 9 + ["exclude"] * 3
    mirrored = sigma_gap(-values, impute=2, accept_negative=True)
    assert mirrored.status.tolist() == ["inside"] * 9 + ["impute"] * 3
    # Position .76 * 13 = 9.88 is the ninth value, before the gap; .77 * 13 after it.
    at_76 = sigma_gap(values, impute=2, start_percent=76)
    assert at_76.status.tolist() == ["inside"] * 9 + ["impute"] * 3
    assert sigma_gap(values, impute=2, start_percent=77).status.eq("inside").all()


def test_the_standard_deviation_has_n_minus_one() -> None:
    values = pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 40])
    found = sigma_gap(values, impute=2.4, sigma="std")
    assert found.groups["sigma"].iloc[0] == pytest.approx(values.std(ddof=1))
    assert found.status.tolist()[-1] == "impute"


def test_wrong_parameters_and_values_are_told() -> None:
    values = pd.Series([1.0] * 10)
    with pytest.raises(ConfigError, match="out of order"):
        hb_current(values, impute=1, exclude=2)
    with pytest.raises(ConfigError, match="side is"):
        sigma_gap(values, impute=1, side="rigth")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="The exponent"):
        hb_ratio(values, values, impute=1, exponent=2)
    with pytest.raises(ConfigError, match="least_observations"):
        hb_current(values, impute=1, least_observations=2)
    with pytest.raises(ContractError, match="no finite numbers"):
        hb_current(pd.Series([1.0, np.inf, 2]), impute=1)
    with pytest.raises(ContractError, match="no finite numbers"):
        hb_current(pd.Series(["1", "a"]), impute=1)


def test_the_first_of_two_references_that_is_there_counts() -> None:
    frame = pd.DataFrame(
        {
            "t": [9000.0, 9000, 9000, 9000, NAN, 3500],
            "b": [5.0, NAN, 5, 5, 5, 5],
            "last": [10.0, 0, NAN, 0, 10, 10],
            "register": [NAN, 10, 10, 0, 10, 10],
        }
    )
    found = thousand_pounds(
        frame,
        principal="t",
        targets=["b"],
        predictive="last",
        auxiliary="register",
        upper=350,
        lower=250,
    )
    wanted = ["kept", "kept", "kept", "not_measured", "not_measured", "kept"]
    assert found.status.tolist() == wanted
    assert found.ratio.tolist()[-1] == 350  # the limits are not included
    wide = thousand_pounds(
        frame, principal="t", targets=["b"], predictive="last", auxiliary="register"
    )
    assert wide.values["t"].tolist()[:3] == [9, 9, 9]
    assert wide.values["b"].tolist()[0] == 0.005
    with pytest.raises(ConfigError, match="nothing to compare"):
        thousand_pounds(frame, principal="t")
    with pytest.raises(ConfigError, match="is not in the data") as caught:
        thousand_pounds(frame, principal="t", predictive="lst")
    assert caught.value.nearest == "last"


def test_the_nearest_factor_counts_and_plain_growth_is_kept() -> None:
    values = pd.Series([120.0, 1000, 25, 0.1, -1000, NAN, 0, 11000])
    reference = pd.Series([10.0, 10, 10, 10, 10, 10, 10, 10])
    found = unit_errors(values, reference, factors=[12, 100, 1000], within=2)
    assert found.factor.tolist() == [12, 100, 1, 0.01, 1, 1, 1, 1000]
    assert found.status.tolist() == [
        "corrected",
        "corrected",
        "kept",
        "corrected",
        "not_measured",
        "not_measured",
        "not_measured",
        "corrected",
    ]
    with pytest.raises(ConfigError, match="do not fit"):
        unit_errors(values, reference, factors=[12], within=4)
