"""What holds for any imputation, whatever the data."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.editimpute.donors import NearestDonor, rank_transform
from mlstats.editimpute.hotdeck import HotDeck
from mlstats.editimpute.matching import matched_donors
from mlstats.editimpute.prorate import prorate
from mlstats.editimpute.totals import correct_totals

NUMBERS = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))


@st.composite
def tables(draw):
    n = draw(st.integers(2, 25))
    columns = {
        "x": draw(st.lists(NUMBERS, min_size=n, max_size=n)),
        "y": draw(st.lists(st.none() | NUMBERS, min_size=n, max_size=n)),
        "c": draw(st.lists(st.sampled_from("ab"), min_size=n, max_size=n)),
    }
    frame = pd.DataFrame(columns).astype({"y": float})
    asked = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    order = draw(st.permutations(range(n)))
    return frame.set_axis([f"u{i}" for i in order]), np.array(asked)


@settings(max_examples=60)
@given(tables(), st.integers(0, 3))
def test_no_row_is_lost_and_each_cell_is_imputed_or_has_its_reason(table, seed):
    frame, asked = table
    mask = pd.DataFrame({"y": asked}, index=frame.index)
    methods = [
        NearestDonor(["x"], by=["c"], min_donors=1, min_percent=0, limit_uses=2),
        HotDeck(["c"]),
        HotDeck(["c"], order="sequential", collapse=False),
    ]
    for method in methods:
        found = method.treat(frame, mask, seed)
        pd.testing.assert_index_equal(found.values.index, frame.index)
        kept = found.values.loc[~asked]
        pd.testing.assert_frame_equal(kept, frame.loc[~asked])
        assert len(found.cells) == asked.sum()
        done = found.cells["status"] == "imputed"
        assert (found.cells.loc[~done, "reason"] != "").all()
        assert found.cells.loc[done, "after"].notna().all()
        observed = set(frame["y"][~asked].dropna())
        assert set(found.cells.loc[done, "after"]) <= observed


@given(st.lists(st.none() | NUMBERS, min_size=1, max_size=30))
def test_transformed_ranks_lie_inside_the_unit_interval_in_their_order(values):
    x = np.array(values, dtype=float)
    shares = rank_transform(x[:, None]).ravel()
    valid = np.isfinite(x)
    assert (np.isnan(shares) == ~valid).all()
    assert ((shares[valid] > 0) & (shares[valid] < 1)).all()
    order = np.argsort(x[valid], kind="stable")
    assert (np.diff(shares[valid][order]) >= -1e-12).all()


@given(
    st.lists(NUMBERS, min_size=1, max_size=30),
    st.lists(NUMBERS, min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_matching_draws_from_the_nearest_only(donors, recipients, k):
    d, r = np.array(donors), np.array(recipients)
    found = matched_donors(d, r, np.random.default_rng(1), neighbours=k)
    distance = np.abs(d[found] - r)
    limit = np.sort(np.abs(d[None, :] - r[:, None]), axis=1)[:, min(k, len(d)) - 1]
    assert (distance <= limit + 1e-9).all()


@given(
    st.lists(st.floats(0, 1e6), min_size=3, max_size=3),
    st.none() | st.floats(0, 1e6),
    st.sampled_from([None, 0, 2]),
)
def test_prorated_components_add_up_or_are_as_they_were(parts, total, decimals):
    x = np.array([parts])
    if decimals is not None and total is not None:
        total = round(total, decimals)
    y = np.array([np.nan if total is None else total])
    found = prorate(x, y, decimals=decimals)
    if found.status[0] == "prorated":
        np.testing.assert_allclose(found.values.sum(), y[0], rtol=1e-6, atol=1e-6)
        assert (found.values[x == 0] == 0).all()
    else:
        np.testing.assert_array_equal(found.values, x)
    assert (found.status[0] == "refused") == (found.reason[0] != "")


@given(
    st.lists(st.floats(0, 1e6), min_size=2, max_size=2),
    st.floats(0, 1e6),
    st.booleans(),
    st.floats(0, 1e3),
)
def test_corrected_totals_add_up(parts, total, amend, limit):
    found = correct_totals(
        np.array([total]),
        np.array([parts]),
        amend_total=np.array([amend]),
        absolute=limit,
    )
    if found.marker[0] in "TC":
        np.testing.assert_allclose(found.components.sum(), found.total[0], rtol=1e-9)
