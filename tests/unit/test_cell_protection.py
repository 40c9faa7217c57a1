"""No cell that is held back can be worked out from those that are told."""

from __future__ import annotations

import numpy as np
import pytest

from mlstats.cell_protection import told_cells


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_out_of_a_sum_is_nothing_or_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(1, 0.05, (rng.integers(1, 6), rng.integers(1, 8)))
    groups = rng.uniform(size=len(counts)) < 0.8
    whole = counts.sum(axis=0)
    everywhere, told = told_cells(counts, whole, groups, least=10)
    assert (whole[everywhere] >= 10).all()
    assert (counts[told] >= 10).all()
    assert not told[~groups].any()
    sums = [(whole, everywhere)]
    sums += [(counts[row], told[row]) for row in np.flatnonzero(groups)]
    sums += [(counts[:, k], told[:, k]) for k in np.flatnonzero(everywhere)]
    for cells, shown in sums:
        left = cells[~shown].sum()
        assert left == 0 or left >= 10 or not shown.any()


def test_a_table_that_hides_nothing_stays_whole() -> None:
    counts = np.array([[20, 0], [15, 30]])
    everywhere, told = told_cells(
        counts, counts.sum(axis=0), np.array([True, True]), least=10
    )
    assert everywhere.all()
    assert told.tolist() == [[True, False], [True, True]]
