"""Errors of numbers and distances of distributions."""

import numpy as np
import pytest
from scipy import stats

from mlstats.quality.design import Design
from mlstats.quality.numeric import (
    distribution_distance,
    mean_absolute_error,
    relative_bias,
    root_mean_square_error,
)


def values(n: int = 200) -> tuple[Design, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    truth = rng.lognormal(3, 1, n).round(1)
    imputed = np.where(rng.random(n) < 0.5, truth, truth * rng.lognormal(0, 0.3, n))
    return Design.of(rng.gamma(4, 1, n)), truth, imputed


def test_distances_are_scipys() -> None:
    design, truth, imputed = values()
    found = distribution_distance(design, truth, imputed)
    w = design.weight
    wanted = stats.wasserstein_distance(truth, imputed, w, w)
    assert found.wasserstein == pytest.approx(wanted)
    mean = np.average(truth, weights=w)
    spread = np.sqrt(np.average((truth - mean) ** 2, weights=w))
    assert found.wasserstein_scaled == pytest.approx(wanted / spread)
    plain = distribution_distance(Design.of(np.ones(200)), truth, imputed)
    ks = stats.ks_2samp(truth, imputed, method="asymp").statistic
    assert plain.kolmogorov_smirnov == pytest.approx(ks)


def test_kolmogorov_smirnov_by_hand() -> None:
    design = Design.of(np.array([1.0, 2.0, 1.0]))
    found = distribution_distance(
        design, np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 5.0])
    )
    assert found.kolmogorov_smirnov == 0.25
    assert found.wasserstein == pytest.approx(0.25 * 1 + 0.25 * 2)


def test_distance_within_a_domain() -> None:
    design, truth, imputed = values()
    inside = truth > np.median(truth)
    found = distribution_distance(design, truth, imputed, inside)
    w = design.weight[inside]
    wanted = stats.wasserstein_distance(truth[inside], imputed[inside], w, w)
    assert found.wasserstein == pytest.approx(wanted)
    assert found.n == inside.sum()


def test_constant_truth_has_no_scaled_distance() -> None:
    found = distribution_distance(Design.of(np.ones(3)), np.ones(3), np.arange(3.0))
    assert np.isnan(found.wasserstein_scaled)
    assert "constant" in found.note


@pytest.mark.parametrize("place", ["truth", "prediction"])
def test_missing_values_are_counted(place: str) -> None:
    design, truth, imputed = values()
    (truth if place == "truth" else imputed)[3] = np.nan
    found = distribution_distance(design, truth, imputed)
    assert (found.status, found.note) == (
        "not_measured",
        "1 values are missing or not finite",
    )
    assert mean_absolute_error(design, truth, imputed).status == "not_measured"
    assert root_mean_square_error(design, truth, imputed).status == "not_measured"
    assert relative_bias(design, truth, imputed).status == "not_measured"


def test_no_unit_is_not_measured() -> None:
    design, truth, imputed = values()
    nobody = np.zeros(200, dtype=bool)
    assert distribution_distance(design, truth, imputed, nobody).status != "measured"
    assert mean_absolute_error(design, truth, imputed, nobody).n == 0


def test_no_error_in_the_sample_is_no_certainty() -> None:
    design, truth, _ = values()
    for measure in (mean_absolute_error, root_mean_square_error, relative_bias):
        found = measure(design, truth, truth)
        assert found.value == 0
        assert not found.has_error
        assert np.isnan(found.upper)
        assert found.note


def test_root_mean_square_error_never_falls_below_zero() -> None:
    truth = np.zeros(6)
    imputed = np.array([0, 0, 0, 0, 0, 9.0])
    found = root_mean_square_error(Design.of(np.ones(6)), truth, imputed)
    assert found.lower == 0
    assert found.value == pytest.approx(np.sqrt(81 / 6))


def test_relative_bias_of_amounts_that_add_up_to_nothing() -> None:
    truth = np.array([1.0, -1.0])
    found = relative_bias(Design.of(np.ones(2)), truth, truth + 1)
    assert (found.status, found.note) == ("not_applicable", "the denominator is zero")


def test_relative_bias_counts_true_zeros() -> None:
    truth = np.array([0.0, 0.0, 4.0, 6.0])
    found = relative_bias(Design.of(np.ones(4)), truth, truth + 0.5)
    assert found.value == pytest.approx(0.2)
    assert (found.n, found.df) == (4, 3)
