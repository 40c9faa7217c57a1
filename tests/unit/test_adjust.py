"""The minimum adjustment: optimal, feasible, only where it may, and honest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstats.editimpute.adjust import adjust
from mlstats.editimpute.adjust_fallback import on_grid
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.errors import ConfigError

SUM = LinearEdits(
    np.array([[1.0, 1.0, -1.0]]), np.zeros(1), np.ones(1, bool), ["a", "b", "t"]
).with_positivity()
# Profit balance and two ratio edits beside it.
RATIO = LinearEdits(
    np.array([[1, -1, -1, 0], [0, -0.6, 1, 0], [0, -0.5, 0, 1], [0, 0.1, 0, -1]]),
    np.zeros(4),
    np.array([True, False, False, False]),
    ["turnover", "costs", "profit", "staff"],
)


def test_prorates_a_balance_under_relative_weights():
    found = adjust(np.array([[10.0, 30.0, 50.0]]), [[True, True, False]], SUM)
    np.testing.assert_allclose(found.values, [[12.5, 37.5, 50.0]])
    assert found.status.tolist() == ["adjusted"]


def test_unit_weights_share_the_difference_evenly():
    found = adjust(
        np.array([[10.0, 30.0, 50.0]]), [[True, True, False]], SUM, weights="unit"
    )
    np.testing.assert_allclose(found.values, [[15.0, 35.0, 50.0]])


def test_a_bound_binds_and_the_rest_moves_on():
    found = adjust(
        np.array([[1.0, 30.0, 20.0]]), [[True, True, False]], SUM, weights="unit"
    )
    np.testing.assert_allclose(found.values, [[0.0, 20.0, 20.0]], atol=1e-9)


def test_a_record_that_passes_is_not_touched():
    x = np.array([[1.0, 2.0, 3.0]])
    found = adjust(x, np.ones((1, 3), bool), SUM)
    np.testing.assert_array_equal(found.values, x)
    assert found.status.tolist() == ["unchanged"]


def test_what_cannot_hold_is_left_with_the_reason():
    x = np.array([[9.0, 1.0, 5.0], [1.0, 1.0, 5.0], [np.nan, 1.0, 5.0]])
    free = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0]], dtype=bool)
    found = adjust(x, free, SUM)
    np.testing.assert_array_equal(found.values, x)
    assert set(found.status) == {"not_adjusted"}
    assert found.reason.tolist() == [
        "no values of the free cells satisfy the edits",
        "no cell of the record is free",
        "a free cell has no value to start from",
    ]


def _solution(x, free, edits, cost):
    """An independent solver of the same programme."""
    from scipy.optimize import LinearConstraint, minimize

    same, less = edits.equality, ~edits.equality
    keep = np.where(free, np.inf, 0.0)
    found = minimize(
        lambda y: np.sum(cost * (y - x) ** 2),
        x,
        jac=lambda y: 2 * cost * (y - x),
        constraints=[
            LinearConstraint(edits.A[same], edits.b[same], edits.b[same]),
            LinearConstraint(edits.A[less], -np.inf, edits.b[less]),
        ],
        bounds=list(zip(x - keep, x + keep, strict=True)),
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return found.x if found.success else None


@pytest.mark.parametrize("seed", range(40))
def test_agrees_with_an_independent_solver(seed):
    rng = np.random.default_rng(seed)
    x = rng.lognormal(2, 1, 4) * rng.choice([1, -1], 4, p=[0.8, 0.2])
    free = rng.random(4) < 0.8
    edits = RATIO
    expected = _solution(x, free, edits, np.ones(4))
    found = adjust(x[None], free[None], edits, weights="unit")
    if found.status[0] == "not_adjusted":
        assert expected is None or edits.failing(expected[None], tolerance=1e-6).any()
        return
    assert not edits.failing(found.values).any()
    if expected is not None:
        np.testing.assert_allclose(found.values[0], expected, atol=1e-4)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_never_moves_a_fixed_cell_and_never_says_adjusted_of_a_failure(x, free):
    x, free = np.array([x]), np.array([free])
    found = adjust(x, free, SUM)
    np.testing.assert_array_equal(found.values[~free], x[~free])
    if found.status[0] != "not_adjusted":
        assert not SUM.failing(found.values).any()
    else:
        np.testing.assert_array_equal(found.values, x)


def test_a_duplicated_balance_does_no_harm():
    edits = LinearEdits(
        np.vstack([SUM.A, 2 * SUM.A[:1]]),
        np.append(SUM.b, 0.0),
        np.append(SUM.equality, True),
        SUM.variables,
    )
    found = adjust(np.array([[10.0, 30.0, 50.0]]), [[True, True, False]], edits)
    np.testing.assert_allclose(found.values, [[12.5, 37.5, 50.0]], rtol=1e-9)


def test_integers_and_decimals_are_kept_with_every_edit_holding():
    rng = np.random.default_rng(1)
    x = np.column_stack(
        [rng.lognormal(3, 1, (60, 2)), np.round(rng.lognormal(4, 1, 60))]
    )
    free = np.tile([True, True, False], (60, 1))
    found = adjust(x, free, SUM, decimals={"a": 0, "b": 0})
    assert set(found.status) <= {"adjusted", "solver"}
    np.testing.assert_array_equal(found.values, np.round(found.values))
    assert not SUM.failing(found.values).any()
    cents = adjust(x, free, SUM, decimals={"a": 2})
    np.testing.assert_allclose(
        cents.values[:, 0] * 100, np.round(cents.values[:, 0] * 100)
    )
    assert not SUM.failing(cents.values).any()


def test_no_integer_solution_is_said():
    edits = LinearEdits(
        np.array([[2.0, 2.0]]), np.array([3.0]), np.ones(1, bool), ["a", "b"]
    )
    found = adjust(
        np.array([[1.0, 1.0]]), np.ones((1, 2), bool), edits, decimals={"a": 0, "b": 0}
    )
    assert found.reason.tolist() == ["no rounded values satisfy the edits"]
    assert on_grid(edits, np.ones(2), np.ones(2, bool), np.ones(2)) is None


def test_settings_that_cannot_be_used_are_errors():
    x, free = np.ones((1, 3)), np.ones((1, 3), bool)
    with pytest.raises(ConfigError, match="no weights"):
        adjust(x, free, SUM, weights="other")
    with pytest.raises(ConfigError, match="above zero"):
        adjust(x, free, SUM, weights=np.zeros(3))
    with pytest.raises(ConfigError, match="to round"):
        adjust(x, free, SUM, decimals={"z": 0})
    with pytest.raises(ConfigError, match="do not fit"):
        LinearEdits(np.ones((2, 2)), np.ones(1), np.ones(1, bool), ["a", "b"])
