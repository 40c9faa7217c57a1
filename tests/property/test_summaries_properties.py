"""A partitioned file gives the same summary as a whole one."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.quality.summaries import Confusion
from tests.evaluation_example import LEVELS, ancestor, units_of


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(6, 60),
    seed=st.integers(0, 99),
    cuts=st.lists(st.integers(0, 119), max_size=4),
)
def test_parts_merge_to_the_whole(n: int, seed: int, cuts: list[int]) -> None:
    units = units_of(n, seed=seed)
    whole = Confusion.from_units(units, ancestor, LEVELS)
    bounds = sorted({0, len(units), *(c for c in cuts if c < len(units))})
    parts = [
        Confusion.from_units(units.iloc[a:b], ancestor, LEVELS)
        for a, b in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    pd.testing.assert_frame_equal(merged.cells, whole.cells, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999))
def test_shuffled_units_give_the_same_sums(seed: int) -> None:
    units = units_of(40, seed=seed)
    shuffled = units.sample(frac=1, random_state=seed)
    for level in LEVELS:
        one = Confusion.from_units(units, ancestor, LEVELS).sums("ml", level)
        two = Confusion.from_units(shuffled, ancestor, LEVELS).sums("ml", level)
        assert np.allclose(one.correct, two.correct)
        assert one.n == two.n
        assert np.allclose((one.true - two.true).sum(), 0)
