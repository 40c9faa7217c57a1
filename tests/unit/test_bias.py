"""Bias ratios and mean squared errors: parts, signs, intervals."""

import numpy as np
import pytest
from scipy import stats

from mlstats.quality.bias import (
    bias_ratio,
    coverage_under_bias,
    largest_bias_ratio,
    mean_squared_error,
    mean_squared_error_difference,
)
from mlstats.quality.estimate import Estimate, absent, t_estimate


def test_coverage_under_bias_is_simulated() -> None:
    rng = np.random.default_rng(1)
    held = np.abs(rng.normal(0.7, 1, 400_000)) <= 1.959964
    assert coverage_under_bias(0.7) == pytest.approx(held.mean(), abs=0.002)


def test_bias_ratio_folds_its_interval_at_zero() -> None:
    found = bias_ratio(t_estimate(-0.01, 0.02, 100), 0.05)
    assert found.value == pytest.approx(0.2)
    assert found.lower == 0
    assert found.upper == pytest.approx((0.01 + 1.984 * 0.02) / 0.05, rel=1e-4)
    apart = bias_ratio(t_estimate(-0.1, 0.02, 100), 0.05)
    assert 0 < apart.lower < 2 < apart.upper


def test_bias_ratio_says_why_it_is_not_there() -> None:
    assert bias_ratio(t_estimate(0.1, 0.1, 9), 0.0).status == "not_measured"
    gone = bias_ratio(absent("not_measured", "no truth"), 1.0)
    assert (gone.status, gone.note) == ("not_measured", "no truth")


def test_the_squared_bias_is_never_counted_twice() -> None:
    bias = t_estimate(0.03, 0.01, 200)
    as_it_is = mean_squared_error(bias, 4e-4, 1e-4, form="uncorrected")
    assert as_it_is.total == pytest.approx(9e-4 - 1e-4 + 5e-4)
    assert as_it_is.correction == 0
    corrected = mean_squared_error(bias, 4e-4, 1e-4, form="corrected")
    assert corrected.total == pytest.approx(5e-4 + 1e-4)
    assert corrected.bias_squared == 0
    for found in (as_it_is, corrected):
        parts = found.bias_squared + found.correction + found.sampling + found.model
        assert found.total == pytest.approx(parts)


def test_a_negative_squared_bias_is_said_and_kept() -> None:
    found = mean_squared_error(t_estimate(0.005, 0.01, 99), 0, form="uncorrected")
    assert found.bias_squared == pytest.approx(-7.5e-5)
    assert "below zero" in found.note


def test_an_unknown_part_leaves_no_number() -> None:
    found = mean_squared_error(Estimate(0.1), 1e-4, form="corrected")
    assert found.status == "not_measured"
    assert np.isnan(found.total)
    found = mean_squared_error(t_estimate(0.1, 0.1, 9), np.nan, form="corrected")
    assert found.status == "not_measured"


def test_the_uncorrected_form_is_unbiased() -> None:
    rng = np.random.default_rng(2)
    found = [
        mean_squared_error(t_estimate(b, 0.02, 1e6), 1e-4, form="uncorrected").total
        for b in rng.normal(0.015, 0.02, 20_000)
    ]
    assert np.mean(found) == pytest.approx(0.015**2 + 1e-4, abs=2e-5)


def test_interval_of_a_difference_by_search_over_the_region() -> None:
    bias, covariance = (0.05, -0.02), np.array([[4e-4, 1e-4], [1e-4, 2e-4]])
    found = mean_squared_error_difference(bias, covariance, (1e-4, 3e-4), np.inf)
    rng = np.random.default_rng(3)
    root = np.linalg.cholesky(covariance)
    points = rng.normal(size=(400_000, 2))
    points *= (
        1.959964 * np.sqrt(rng.random(400_000)) / np.linalg.norm(points, axis=1)
    )[:, None]
    inside = np.array(bias) + points @ root.T
    form = inside[:, 0] ** 2 - inside[:, 1] ** 2 - 2e-4
    assert found.lower == pytest.approx(form.min(), abs=2e-5)
    assert found.upper == pytest.approx(form.max(), abs=2e-5)
    assert found.lower <= form.min()
    assert found.upper >= form.max()
    value = 0.05**2 - 4e-4 - (0.02**2 - 2e-4) - 2e-4
    assert found.value == pytest.approx(value)


def test_a_difference_without_covariance_is_not_measured() -> None:
    unknown = np.full((2, 2), np.nan)
    found = mean_squared_error_difference((0.1, 0.1), unknown, (0, 0), 10)
    assert found.status == "not_measured"


@pytest.mark.slow
@pytest.mark.parametrize("truth", [(0, 0), (1, 0), (2, 1), (3, 3), (5, 1), (1, 5)])
@pytest.mark.parametrize(
    "covariance", [((1, 0), (0, 1)), ((1, 0.6), (0.6, 1)), ((4, 1.5), (1.5, 1))]
)
def test_interval_of_a_difference_covers(
    truth: tuple[float, float], covariance: tuple[tuple[float, ...], ...]
) -> None:
    """2,000 seeded audits; the gate's error, a better figure than the truth, apart."""
    v = np.array(covariance)
    rng = np.random.default_rng(4)
    wanted = truth[0] ** 2 - truth[1] ** 2
    found = [
        mean_squared_error_difference(tuple(b), v, (0.0, 0.0), np.inf)
        for b in rng.multivariate_normal(truth, v, 2000)
    ]
    covered = np.mean([f.lower <= wanted <= f.upper for f in found])
    flattered = np.mean([f.upper < wanted for f in found])
    assert covered >= 0.935
    assert flattered <= 0.04


@pytest.mark.parametrize(("bias", "df"), [(0.0, 12), (1.0, 12), (8.0, 12), (8.0, 60)])
def test_interval_of_the_largest_bias_ratio_covers(bias: float, df: int) -> None:
    """400 seeded audits; with a known standard error .71 and .88 of the large."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(400):
        sampling, se = np.sqrt(rng.chisquare(df, 2) / df)
        found = largest_bias_ratio(
            ["a"],
            np.array([rng.normal(bias)]),
            np.array([se]),
            np.array([sampling]),
            df,
            n=500,
        )
        assert found.lower >= 0
        covered.append(found.lower <= bias <= found.upper)
    assert np.mean(covered) >= 0.925


def test_the_largest_bias_ratio_names_its_class() -> None:
    values = np.array([0.01, -0.05, 0.02])
    found = largest_bias_ratio(
        ["a", "b", "c"], values, np.full(3, 0.01), np.full(3, 0.01), 50, n=500
    )
    assert found.value == pytest.approx(5)
    assert found.note == "class b, the largest of 3; joint interval"
    half = stats.t.ppf(1 - 0.025 / 3, 50) * np.hypot(1, 5 / 10)
    assert found.upper == pytest.approx(5 + half)
    nothing = largest_bias_ratio(["a"], np.zeros(1), np.zeros(1), np.ones(1), 9, n=5)
    assert nothing.status == "not_measured"
