"""Estimators from segments: formulas written out, statuses and errors."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.errors import ContractError, MethodError
from mlstats.imagery import (
    AreaSample,
    choose_estimator,
    compare_estimators,
    cost_break_even,
    cross_fitted,
    estimate_area,
    greg,
    horvitz_thompson,
    pixel_count,
    relative_efficiency,
    segment_estimate,
)
from mlstats.imagery import linear_estimators as linear
from mlstats.imagery.segment_estimates import resample_counts
from mlstats.quality.evaluation import ESTIMATES


def _drawn(n=24, seed=3, noise=4.0, finite=True):
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, 20.0, n)
    y = 3 + 0.8 * x + rng.normal(0, noise, n)
    return AreaSample.of(y, x, segments=400, x_mean=44.0, finite=finite)


def _stratified(drawn=(12, 15), seed=6):
    rng = np.random.default_rng(seed)
    names = np.repeat(["north", "south"], drawn)
    x = rng.gamma(2.0, 20.0, len(names)) + 30 * (names == "south")
    y = 3 + 0.8 * x + rng.normal(0, 4, len(names))
    return AreaSample.of(
        y, x, stratum=names, segments={"north": 200, "south": 300},
        x_mean={"north": 41.0, "south": 69.0},
    )  # fmt: skip


def _without(sample, i):
    kept = np.arange(sample.n) != i
    return AreaSample.of(
        sample.y[kept], sample.x[kept], segments=400, x_mean=sample.x_mean[0],
        finite=False,
    )  # fmt: skip


def test_the_regression_is_the_line_at_the_mean_of_the_frame():
    sample = _drawn()
    slope, intercept = np.polyfit(sample.x[:, 0], sample.y, 1)
    for method in ("combined_regression", "separate_regression"):
        found = segment_estimate(sample, method)
        assert found.value == pytest.approx(400 * (intercept + slope * 44.0))


def test_cochrans_variance_is_the_textbook_formula():
    sample = _drawn()
    x, y, n = sample.x[:, 0], sample.y, sample.n
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    spread = ((x - x.mean()) ** 2).sum()
    v = (1 - n / 400) * (residual @ residual) / (n - 2)
    v *= 1 / n + (44.0 - x.mean()) ** 2 / spread
    found = segment_estimate(
        sample, "combined_regression", interval="cochran", per_segment=True
    )
    assert found.se == pytest.approx(np.sqrt(v))
    assert found.df == n - 2
    half = stats.t.ppf(0.975, n - 2) * found.se
    assert found.upper - found.value == pytest.approx(half)


@pytest.mark.parametrize("method", ["combined_regression", "direct"])
def test_the_leverage_variance_is_the_jackknifes(method):
    sample = _drawn(finite=False)
    found = segment_estimate(sample, method, interval="leverage", per_segment=True)
    apart = [
        segment_estimate(_without(sample, i), method, per_segment=True).value
        - found.value
        for i in range(sample.n)
    ]
    n = sample.n
    jackknife = (n - 1) / n * np.square(apart).sum()
    assert found.se == pytest.approx(np.sqrt(jackknife))


def test_two_auxiliaries_give_the_least_squares_plane():
    rng = np.random.default_rng(8)
    x = rng.gamma(2, 10, (30, 2))
    y = 2 + x @ [0.7, -0.3] + rng.normal(0, 1, 30)
    sample = AreaSample.of(y, x, segments=300, x_mean=[19.0, 22.0])
    z = np.column_stack([np.ones(30), x])
    b = np.linalg.lstsq(z, y, rcond=None)[0]
    found = segment_estimate(
        sample, "combined_regression", interval="cochran", per_segment=True
    )
    assert found.value == pytest.approx(float(b @ [1, 19.0, 22.0]))
    e = y - z @ b
    at = np.array([1, 19.0, 22.0])
    v = 0.9 * (e @ e) / 27 * (at @ np.linalg.inv(z.T @ z) @ at)
    assert found.se == pytest.approx(np.sqrt(v))


def test_stratified_expansion_and_combined_regression_written_out():
    sample = _stratified()
    w, f = np.array([0.4, 0.6]), np.array([12 / 200, 15 / 300])
    n, level, bars, xy, xx = [], [], [], [], []
    for h in (0, 1):
        y, x = (part[sample.stratum == h] for part in (sample.y, sample.x[:, 0]))
        n.append(len(y))
        level.append(y.mean())
        bars.append(x.mean())
        xy.append(np.cov(x, y)[0, 1])
        xx.append(x.var(ddof=1))
    a = w**2 * (1 - f) / n
    slope = (a @ np.array(xy)) / (a @ np.array(xx))
    value = w @ level + slope * (w @ [41.0, 69.0] - w @ np.array(bars))
    found = segment_estimate(sample, "combined_regression", per_segment=True)
    assert found.value == pytest.approx(value)
    assert found.df <= 27 - 2 - 1
    direct = segment_estimate(sample, "direct")
    s2 = [sample.y[sample.stratum == h].var(ddof=1) for h in (0, 1)]
    assert direct.value == pytest.approx(500 * (w @ level))
    assert direct.se == pytest.approx(500 * np.sqrt(a @ np.array(s2)))


def test_separate_regression_is_the_sum_of_the_strata():
    sample = _stratified()
    found = segment_estimate(sample, "separate_regression", interval="leverage")
    total, variance = 0.0, 0.0
    for h, (size, mean) in enumerate([(200, 41.0), (300, 69.0)]):
        inside = sample.stratum == h
        one = AreaSample.of(
            sample.y[inside], sample.x[inside], segments=size, x_mean=mean
        )
        part = segment_estimate(one, "combined_regression", interval="leverage")
        total, variance = total + part.value, variance + part.se**2
    assert found.value == pytest.approx(total)
    assert found.se == pytest.approx(np.sqrt(variance))
    assert 10 < found.df <= 10 + 13


def test_the_ratio_written_out():
    sample = _drawn()
    x, y, n = sample.x[:, 0], sample.y, sample.n
    slope = y.mean() / x.mean()
    found = segment_estimate(sample, "ratio", interval="leverage", per_segment=True)
    assert found.value == pytest.approx(slope * 44.0)
    e = y - slope * x
    v = (1 - n / 400) / n * (e @ e) / (n - 1) * (44.0 / x.mean()) ** 2
    assert found.se == pytest.approx(np.sqrt(v))


def test_power_tuning_lies_between_the_direct_and_the_difference_estimate():
    sample = _drawn()
    tuned = segment_estimate(sample, "prediction_powered")
    assert tuned.value == segment_estimate(sample, "combined_regression").value
    steep = AreaSample.of(3 * sample.x[:, 0], sample.x, segments=400, x_mean=44.0)
    assert segment_estimate(steep, "prediction_powered").value == pytest.approx(
        segment_estimate(steep, "difference").value
    )
    against = AreaSample.of(-sample.y, sample.x, segments=400, x_mean=44.0)
    powered, bare = (
        segment_estimate(against, name, interval="leverage")
        for name in ("prediction_powered", "direct")
    )
    assert powered.value == pytest.approx(bare.value)
    assert powered.se == pytest.approx(bare.se)


def test_the_bootstrap_interval_lies_between_t_and_the_direct_expansion():
    sample = _drawn(15)
    boot, t, bare = (
        segment_estimate(sample, method, interval=interval)
        for method, interval in (
            ("combined_regression", "bootstrap"),
            ("combined_regression", "leverage"),
            ("direct", "leverage"),
        )
    )
    width = [found.upper - found.lower for found in (t, boot, bare)]
    assert width == sorted(width)
    assert boot.se == t.se
    # What a table tells with its standard error and df is the same interval.
    half = stats.t.ppf(0.975, boot.df) * boot.se
    assert boot.upper - boot.value == pytest.approx(half)
    assert boot == segment_estimate(sample, "combined_regression")
    assert "fewer than 15 segments" not in estimate_area(sample).estimate.note
    assert "fewer than 15 segments" in estimate_area(_drawn(14)).estimate.note
    other = segment_estimate(sample, "combined_regression", seed=1)
    assert other.value == boot.value
    assert other.upper != boot.upper


def test_the_bootstrap_never_is_shorter_than_t():
    rng = np.random.default_rng(1)
    # Errors of one size have lighter tails than t allows for.
    for _ in range(5):
        x = rng.uniform(0, 9, 40)
        y = x + rng.choice([-1.0, 1.0], 40)
        sample = AreaSample.of(y, x, segments=400, x_mean=4.5)
        boot, t = (
            segment_estimate(sample, "combined_regression", interval=interval)
            for interval in ("bootstrap", "leverage")
        )
        assert boot.upper - boot.lower >= t.upper - t.lower
        assert boot.df <= t.df


def test_the_bootstrap_does_not_see_the_finite_population():
    sample, endless = _drawn(15), _drawn(15, finite=False)
    one, other = (
        segment_estimate(part, "combined_regression") for part in (sample, endless)
    )
    quantile = [(found.upper - found.value) / found.se for found in (one, other)]
    assert quantile[0] == pytest.approx(quantile[1])
    assert one.se == pytest.approx(other.se * np.sqrt(1 - 15 / 400))


def test_resamples_without_an_error_widen_the_interval_to_the_direct_one():
    x = np.array([0.0] * 12 + [0.5, 0.9, 0.2])
    y = np.where(x == 0.9, 0.7, x)
    sample = AreaSample.of(y, x, segments=300, x_mean=0.1)
    boot, bare = (
        segment_estimate(sample, m) for m in ("combined_regression", "direct")
    )
    assert boot.upper - boot.lower == pytest.approx(bare.upper - bare.lower)
    assert "bound by the direct" in boot.note


def test_the_bootstrap_is_the_same_with_one_resample_at_a_time(monkeypatch):
    sample = _drawn(15)
    once = segment_estimate(sample, "ratio", resamples=50)
    monkeypatch.setattr("mlstats.imagery.segment_estimates._CELLS", 15)
    again = segment_estimate(sample, "ratio", resamples=50)
    assert again.upper == pytest.approx(once.upper)


def test_horvitz_thompson_is_the_expansion_under_simple_random_sampling():
    rng = np.random.default_rng(2)
    y, n, size = rng.gamma(2, 3, 12), 12, 60
    joint = np.full((n, n), n * (n - 1) / (size * (size - 1)))
    np.fill_diagonal(joint, n / size)
    found = horvitz_thompson(y, np.full(n, n / size), joint)
    plain = segment_estimate(AreaSample.of(y, segments=size), "direct")
    assert found.value == pytest.approx(plain.value)
    assert found.se == pytest.approx(plain.se)
    with pytest.raises(ContractError, match="not valid"):
        horvitz_thompson(y, np.full(n, 0.0), joint)
    with pytest.raises(ContractError, match="do not match"):
        horvitz_thompson(y, np.full(n, 0.2), joint[1:])


def test_horvitz_thompson_under_poisson_sampling_and_a_negative_variance():
    y, pi = np.array([4.0, 9.0, 2.0]), np.array([0.5, 0.9, 0.2])
    joint = np.outer(pi, pi)
    np.fill_diagonal(joint, pi)
    found = horvitz_thompson(y, pi, joint)
    assert found.se == pytest.approx(np.sqrt(((1 - pi) * (y / pi) ** 2).sum()))
    joint[joint < 0.2] = 0.001
    np.fill_diagonal(joint, pi)
    broken = horvitz_thompson(y, pi, joint)
    assert np.isnan(broken.se)
    assert "negative" in broken.note


def test_greg_weights_and_variance():
    sample = _drawn(finite=False)
    x, y = sample.x[:, 0], sample.y
    found = greg(y, x, weight=sample.weight, size=400, totals=[400 * 44.0])
    weight = sample.weight * found.g
    assert weight.sum() == pytest.approx(400)
    assert weight @ x == pytest.approx(400 * 44.0)
    assert weight @ y == pytest.approx(found.estimate.value)
    same = segment_estimate(sample, "combined_regression", interval="leverage")
    assert found.estimate.value == pytest.approx(same.value)
    assert found.estimate.se == pytest.approx(same.se, rel=0.01)
    assert found.estimate.df == same.df
    with pytest.raises(ContractError, match="do not vary"):
        greg(y, np.ones_like(x), weight=sample.weight, size=400, totals=[400])
    with pytest.raises(ContractError, match="do not match"):
        greg(y, x, weight=sample.weight, size=400, totals=[1, 2])
    with pytest.raises(ContractError, match="not finite"):
        greg(y, x * np.nan, weight=sample.weight, size=400, totals=[1])


class _Memory:
    """Predicts the mean of the targets that it was fitted to."""

    def get_params(self, deep=True):
        return {}

    def fit(self, features, y, sample_weight=None):
        self.mean = np.average(y, weights=sample_weight)
        return self

    def predict(self, features):
        return np.full(len(features), self.mean)


def test_cross_fitted_predictions_leave_the_segment_and_its_group_out():
    y = np.arange(12.0)
    features, frame = np.zeros((12, 1)), np.zeros((50, 1))
    group = np.repeat(list("abcdef"), 2)
    found = cross_fitted(_Memory(), features, y, frame, folds=3, group=group, seed=1)
    for k in range(3):
        assert not set(group[found.fold == k]) & set(group[found.fold != k])
        expected = y[found.fold != k].mean()
        assert found.sample[found.fold == k] == pytest.approx(expected)
    means = [y[found.fold != k].mean() for k in range(3)]
    assert found.population == pytest.approx(np.mean(means))
    weighted = cross_fitted(
        _Memory(), features, y, frame, folds=2, weight=np.arange(12) + 1.0
    )
    left = weighted.fold != weighted.fold[0]
    expected = np.average(y[left], weights=np.arange(12)[left] + 1.0)
    assert weighted.sample[0] == pytest.approx(expected)
    with pytest.raises(ContractError, match="cannot be split"):
        cross_fitted(_Memory(), features, y, frame, group=np.zeros(12))
    with pytest.raises(MethodError, match="not finite"):
        cross_fitted(_Memory(), features, y * np.nan, frame)


# -- statuses and errors -----------------------------------------------------------


def test_a_stratum_without_segments_is_told_and_not_left_out():
    sample = AreaSample.of(
        np.ones(4), np.arange(4.0), stratum=np.repeat("a", 4),
        segments={"a": 75, "unclassified": 25},
        x_mean={"a": 1.0, "unclassified": 0.0},
    )  # fmt: skip
    for method in ("direct", "ratio", "combined_regression"):
        found = segment_estimate(sample, method)
        assert found.status == "not_measured"
        assert "unclassified (25.0% of the frame)" in found.note
    assert relative_efficiency(sample).status == "not_measured"


def test_a_stratum_with_one_segment_has_a_value_and_no_error():
    sample = AreaSample.of(
        [1.0, 2.0, 4.0, 3.0], [1.0, 2.0, 3.0, 4.0],
        stratum=np.array(["a", "a", "a", "b"]),
        segments={"a": 30, "b": 10}, x_mean={"a": 2.0, "b": 4.0},
    )  # fmt: skip
    found = segment_estimate(sample, "combined_regression")
    assert np.isfinite(found.value)
    assert np.isnan(found.se)
    assert "1 stratum has fewer than 2 segments" in found.note
    assert "a single cluster" in segment_estimate(sample, "direct").note


def test_constant_x_and_zero_x():
    y = np.array([1.0, 3.0, 2.0, 5.0])
    flat = AreaSample.of(y, np.full(4, 7.0), segments=40, x_mean=7.0)
    found = segment_estimate(flat, "combined_regression")
    assert (found.status, np.isnan(found.value)) == ("not_measured", True)
    assert "does not vary" in found.note
    zero = AreaSample.of(y, np.zeros(4), segments=40, x_mean=0.5)
    assert "no ratio" in segment_estimate(zero, "ratio").note


def test_a_perfect_map_and_a_census():
    x = np.array([1.0, 4.0, 2.0, 8.0, 5.0])
    exact = AreaSample.of(2 * x, x, segments=50, x_mean=3.0)
    found = segment_estimate(exact, "combined_regression")
    assert found.value == pytest.approx(300)
    assert (found.se, found.interval) == (0.0, "")
    assert "nothing varies" in found.note
    census = AreaSample.of(x + 1, x, segments=5, x_mean=4.0)
    for method in ("direct", "combined_regression", "separate_regression"):
        whole = segment_estimate(census, method)
        assert (whole.value, whole.se, whole.interval) == (25.0, 0.0, "census")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": [1.0, np.nan, 2.0]}, "missing or not finite"),
        ({"x": np.ones((2, 1))}, "shape"),
        ({"x": [[[1.0]], [[2.0]], [[1.0]]]}, "shape"),
        ({"segments": 2}, "hold fewer segments"),
        ({"x_mean": np.nan}, "not finite"),
        ({"x_mean": [1.0, 2.0]}, "do not match the columns"),
        ({"x_mean": {}}, "not given for 1 strata"),
        ({"stratum": np.array(["a", "b", "c"])}, "frame does not have"),
        ({"stratum": np.array(["all"])}, "1 strata were given for 3"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    given = {"y": [1.0, 4.0, 2.0], "x": [1.0, 2.0, 1.0], "segments": 9, "x_mean": 1.5}
    given |= change
    with pytest.raises(ContractError, match=message):
        AreaSample.of(given.pop("y"), given.pop("x"), **given)


def test_names_that_do_not_exist_are_told():
    with pytest.raises(ContractError, match="no 'regresion'") as caught:
        segment_estimate(_drawn(), "regresion")
    assert "direct" in str(caught.value)
    with pytest.raises(ContractError, match="classified area"):
        segment_estimate(AreaSample.of([1.0, 2.0], segments=9), "ratio")


# -- the rule ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drawn", "method"),
    [
        ((10, 10), "separate_regression"),
        ((9, 12), "combined_regression"),
        ((4, 5), "ratio"),
        ((2, 2), "direct"),
        ((1, 30), "direct"),
    ],
)
def test_the_number_of_segments_chooses(drawn, method):
    sample = _stratified(drawn)
    choice = choose_estimator(sample)
    assert choice.method == method
    assert list(choice.strata["sampled"]) == list(drawn)
    found = estimate_area(sample, resamples=50)
    assert found.method == method
    assert choice.reason in found.estimate.note
    for refused, reason in choice.refused.items():
        assert reason
        with pytest.raises(MethodError, match=f"does not allow {refused}") as caught:
            estimate_area(sample, refused)
        assert reason in str(caught.value)
    assert estimate_area(sample, "direct").method == "direct"


def test_the_ratio_is_refused_where_it_would_be_worse():
    x = np.array([1.0, 9.0, 2.0, 7.0, 5.0, 3.0])
    unrelated = AreaSample.of([5.0, 5, 4, 6, 5, 5], x, segments=60, x_mean=4.0)
    choice = choose_estimator(unrelated)
    assert choice.method == "direct"
    assert "correlated too little" in choice.refused["ratio"]
    negative = AreaSample.of(x, -x, segments=60, x_mean=-4.0)
    assert "not positive" in choose_estimator(negative).refused["ratio"]
    bare = choose_estimator(AreaSample.of(x, segments=60))
    assert bare.method == "direct"
    assert "no classified area" in bare.reason


def test_x_that_stands_still_in_one_stratum_forbids_the_separate_slope():
    names = np.repeat(["a", "b"], 12)
    x = np.where(names == "a", 5.0, np.arange(24.0))
    sample = AreaSample.of(
        x + np.sin(np.arange(24)), x, stratum=names, segments={"a": 90, "b": 90},
        x_mean={"a": 5.0, "b": 17.0},
    )  # fmt: skip
    choice = choose_estimator(sample)
    assert choice.method == "combined_regression"
    assert choice.refused == {"separate_regression": "1 stratum has no variation of x"}


def test_a_slope_on_one_segment_is_refused():
    x = np.array([1.0, 1.2, 0.9, 1.1, 1.0, 0.8, 1.3, 1.0, 0.7, 1.1, 40.0])
    y = x + np.sin(np.arange(11))
    choice = choose_estimator(AreaSample.of(y, x, segments=90, x_mean=4.0))
    assert choice.method == "ratio"
    assert "rests on one segment" in choice.refused["separate_regression"]
    assert "rests on one segment" in choice.refused["combined_regression"]


def test_the_comparison_has_the_columns_of_the_evaluation():
    sample = _stratified((9, 12))
    table = compare_estimators(
        sample, "maize", domain="north and south", period="2024", run_id="r1",
        resamples=50,
    )  # fmt: skip
    assert list(table.columns[: len(ESTIMATES)]) == list(ESTIMATES)
    assert table["method"].tolist() == [
        "separate_regression", "combined_regression", "ratio", "direct", "pixel_count",
    ]  # fmt: skip
    rows = table.set_index("method")
    assert rows.index[rows["chosen"]].tolist() == ["combined_regression"]
    assert rows["publishable"].tolist() == [False, True, True, True, False]
    assert rows.loc["direct", "relative_efficiency"] == pytest.approx(1)
    assert rows.loc["combined_regression", "relative_efficiency"] > 5
    counted = rows.loc["pixel_count"]
    assert counted["estimate"] == pytest.approx(200 * 41 + 300 * 69)
    assert np.isnan(counted["standard_error"])
    assert "comparison only" in counted["note"]
    bare = compare_estimators(AreaSample.of([1.0, 2.0, 4.0], segments=9), "maize")
    assert bare["method"].tolist() == ["direct"]
    assert pixel_count(AreaSample.of([1.0], segments=9)).status == "not_applicable"


# -- what it is worth --------------------------------------------------------------


def test_relative_efficiency_and_the_equivalent_sample():
    sample = _drawn(40)
    found = relative_efficiency(sample)
    direct, regression = (
        segment_estimate(sample, name, interval="leverage")
        for name in ("direct", "combined_regression")
    )
    assert found.value == pytest.approx((direct.se / regression.se) ** 2)
    assert found.n_effective == pytest.approx(40 * found.value)
    counts = resample_counts(sample, 99, np.random.default_rng(4))
    logs = np.log(
        linear.direct(sample, counts).variance
        / linear.combined(sample, counts).variance
    )
    low, high = np.exp(np.quantile(logs, [0.025, 0.975]))
    again = relative_efficiency(sample, resamples=99, seed=4)
    assert again.lower == pytest.approx(found.value**2 / high)
    assert again.upper == pytest.approx(found.value**2 / low)
    few = relative_efficiency(_drawn(9))
    assert np.isfinite(few.value)
    assert np.isnan(few.lower)


def test_break_even():
    found = cost_break_even(3.0, 50, cost_per_segment=200.0, imagery_cost=10_000.0)
    assert found.equivalent_segments == 150
    assert found.saved == 10_000.0
    assert found.break_even_efficiency == 2.0
    assert found.break_even_segments == 25.0
    at = cost_break_even(2.0, 50, cost_per_segment=200.0, imagery_cost=10_000.0)
    assert (at.saved, at.worthwhile) == (0.0, False)
    never = cost_break_even(1.0, 50, cost_per_segment=200.0, imagery_cost=1.0)
    assert never.break_even_segments == np.inf
    with pytest.raises(Exception, match="cannot be used"):
        cost_break_even(2.0, 0, cost_per_segment=1.0, imagery_cost=1.0)


def test_pandas_columns_are_taken_as_they_are():
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0], "s": ["a", "a", "a"]}, index=[5, 3, 9])
    sample = AreaSample.of(frame["y"], segments={"a": 9}, stratum=frame["s"])
    assert segment_estimate(sample, "direct").value == pytest.approx(21)
