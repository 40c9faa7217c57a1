"""Selective editing: what holds for any records, scores and orders."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mlstats.editimpute.below_cut import draw_below_cut
from mlstats.editimpute.cut import select_units
from mlstats.editimpute.selective import expected_errors, global_score, impact_table
from mlstats.editimpute.winsorisation import optimal_l, winsorise

amounts = st.integers(-50, 50).map(lambda v: v / 4)
rows = st.lists(st.tuples(amounts, amounts), min_size=1, max_size=25)
orders = st.randoms(use_true_random=False)


def errors_of(values: list[tuple[float, float]]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=["a", "b"])


@given(rows, st.sampled_from(["absolute", "signed"]), st.integers(1, 40), orders)
def test_selection_by_the_limit_does_not_depend_on_the_order(
    values, rule, limit, order
):
    errors = errors_of(values)
    place = list(range(len(values)))
    order.shuffle(place)
    here = select_units(errors, limit=limit / 4, rule=rule)
    there = select_units(errors.iloc[place], limit=limit / 4, rule=rule)
    moved = there.table.set_index("unit")["selected"].loc[errors.index]
    # Sums of quarters are exact: only the order of equal scores differs.
    assert moved.tolist() == here.table["selected"].tolist()


@given(rows, st.sampled_from(["absolute", "signed"]), st.integers(1, 40))
def test_what_remains_is_below_the_limit_and_more_would_not_be(values, rule, limit):
    errors = errors_of(values)
    found = select_units(errors, limit=limit / 4, rule=rule)
    assert (found.residual["after"] < limit / 4).all()
    table = found.table
    score = table["score"].to_numpy()
    selected = table["selected"].to_numpy()
    if selected.any() and (~selected).any():
        assert score[selected].min() > score[~selected].max()
    if rule == "absolute" and selected.any():
        # The next records, those of the least score above the cut, break a limit.
        more = ~selected | (score == score[selected].min())
        assert (errors[more].abs().sum() >= limit / 4).any()


@given(rows, st.integers(1, 20), st.integers(1, 8))
def test_scores_scale_with_the_factor_and_against_the_standard(values, factor, divisor):
    y = errors_of(values)
    base = y * 0 + 1
    w = np.arange(1, len(y) + 1)
    one = expected_errors(y, base, weight=w, standard={"a": 1, "b": 1})
    other = expected_errors(
        y, base, weight=w, standard={"a": divisor, "b": divisor}, factor=factor
    )
    np.testing.assert_allclose(other, one * factor / divisor)
    for how in ("max", "mean", "sum", "minkowski"):
        np.testing.assert_allclose(
            global_score(other, how), global_score(one, how) * factor / divisor
        )
    local = one.abs()
    for how in ("mean", "minkowski", "sum"):
        assert (global_score(one, "max") >= local.mean(axis=1) - 1e-12).all()
        score = global_score(one, how)
        assert (score >= local.mean(axis=1) - 1e-9).all()
        assert (score <= local.sum(axis=1) + 1e-9).all()


@given(rows, st.integers(1, 9), orders)
def test_impact_depends_neither_on_order_nor_on_the_unit_of_scores(
    values, scale, order
):
    truth, gap = np.array(values).T
    weights = np.arange(len(truth)) % 3 + 1
    score = np.abs(gap).round()
    shares = [0.1, 0.5, 1]
    one = impact_table(truth, truth + gap, weights, {"s": score}, shares)
    place = list(range(len(truth)))
    order.shuffle(place)
    two = impact_table(
        truth[place],
        (truth + gap)[place],
        weights[place] * scale,
        {"s": np.exp(score[place] / 4) * scale},
        shares,
    )
    pd.testing.assert_frame_equal(one, two)
    if (gap != 0).any():
        assert one["impact_removed"].iloc[-1] == 1
        assert one["impact_removed"].is_monotonic_increasing


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=40),
    st.integers(2, 30),
    st.integers(1, 12),
    st.integers(0, 99),
)
def test_weights_of_the_audit_add_up_to_the_records_below(sizes, n, strata, seed):
    scores = pd.DataFrame({"y": np.arange(len(sizes), dtype=float)})
    table = select_units(scores, most=len(sizes) // 3).table
    below = int((~table["selected"]).sum())
    audit = draw_below_cut(table, sizes, n, strata=strata, seed=seed)
    assert len(audit) == min(n, below)
    assert not table.loc[audit.index, "selected"].any()
    assert audit.index.is_unique
    assert np.isclose((1 / audit["inclusion"]).sum(), below)
    assert audit.groupby("audit_stratum")["inclusion"].nunique().eq(1).all()


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=20),
    st.integers(1, 400),
    st.integers(1, 12),
    st.integers(1, 9),
)
def test_winsorising_shrinks_within_bounds_and_scales(values, level, weight, scale):
    frame = pd.DataFrame({"y": np.array(values, float), "a": 1 + weight / 4})
    found = winsorise(frame, value="y", weight="a", l_value=level)
    assert found["outlier_weight"].between(0, 1).all()
    above = found["value"] < frame["y"]
    assert (found["value"][above] >= found["threshold"][above]).all()
    assert (frame["y"][~above] <= found["threshold"][~above] + 1e-9).all()
    # The order of values is kept.
    rank = frame["y"].sort_values().index
    assert found["value"].loc[rank].is_monotonic_increasing
    scaled = winsorise(
        frame.assign(y=frame["y"] * scale), value="y", weight="a", l_value=level * scale
    )
    np.testing.assert_allclose(scaled["value"], found["value"] * scale)
    expected, w = np.full(len(frame), frame["y"].mean()), frame["a"]
    np.testing.assert_allclose(
        optimal_l(frame["y"] * scale, expected * scale, w),
        optimal_l(frame["y"], expected, w) * scale,
    )
