"""Prorating: sums, zeros, limits, rounding and what is refused."""

import numpy as np
import pytest

from mlstats.editimpute.prorate import prorate
from mlstats.errors import ConfigError, ContractError


def test_basic_prorating_follows_its_formula():
    found = prorate(np.array([[10.0, 30.0]]), np.array([50.0]), weights=[1.0, 3.0])
    # k = 10 / (10 + 10) = 0.5
    np.testing.assert_allclose(found.values, [[15.0, 35.0]])
    assert found.status.tolist() == ["prorated"]


def test_a_missing_total_is_refused_and_not_taken_as_zero():
    found = prorate(np.array([[3.0, 250.0]]), np.array([np.nan]))
    np.testing.assert_array_equal(found.values, [[3.0, 250.0]])
    assert found.status[0] == "refused"
    assert found.reason[0] == "the total is missing"


def test_rounding_carries_errors_to_the_right_and_keeps_zeros():
    found = prorate(np.array([[1.0, 1.0, 0.0, 1.0]]), np.array([10.0]), decimals=0)
    np.testing.assert_array_equal(found.values, [[3.0, 4.0, 0.0, 3.0]])


def test_rounded_components_always_reach_the_total():
    rng = np.random.default_rng(4)
    x = np.round(rng.lognormal(3, 1, (2000, 6))) * (rng.random((2000, 6)) > 0.2)
    total = np.round(rng.lognormal(5, 1, 2000))
    found = prorate(x, total, decimals=0)
    done = found.status == "prorated"
    np.testing.assert_allclose(found.values[done].sum(axis=1), total[done])
    assert (found.values[x == 0] == 0).all()
    assert done.mean() > 0.9


def test_scaling_moves_negative_components_towards_the_total_and_keeps_signs():
    found = prorate(np.array([[-10.0, 30.0]]), np.array([24.0]), method="scaling")
    # k = 4 / 40
    np.testing.assert_allclose(found.values, [[-9.0, 33.0]])
    over = prorate(np.array([[-10.0, 30.0]]), np.array([200.0]), method="scaling")
    assert over.reason[0] == "a component would change its sign"


@pytest.mark.parametrize(
    ("x", "total", "more", "why"),
    [
        ([[0.0, 0.0]], 5.0, {}, "no component that may change differs from zero"),
        ([[5.0, -5.0]], 5.0, {}, "the components that may change cancel out"),
        (
            [[1.0, 1.0]],
            9.0,
            {"upper": 2.0},
            "a component would change beyond its limits",
        ),
        ([[np.nan, np.nan]], 9.0, {}, "all components are missing"),
    ],
)
def test_what_cannot_be_prorated_is_refused_with_its_reason(x, total, more, why):
    found = prorate(np.array(x), np.array([total]), **more)
    assert (found.status[0], found.reason[0]) == ("refused", why)
    np.testing.assert_array_equal(found.values, x)


def test_bad_settings_and_infinite_values_are_errors():
    with pytest.raises(ConfigError, match="no prorating"):
        prorate(np.ones((1, 2)), np.ones(1), method="other")
    with pytest.raises(ConfigError, match="above zero"):
        prorate(np.ones((1, 2)), np.ones(1), weights=0.0)
    with pytest.raises(ContractError, match="infinite"):
        prorate(np.array([[np.inf, 1.0]]), np.ones(1))
