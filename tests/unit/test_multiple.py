"""Adjusted p-values: missing ones, bad ones, and what they promise."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from mlstats.errors import MlstatsError
from mlstats.quality.multiple import benjamini_hochberg, holm

Adjust = Callable[[np.ndarray], np.ndarray]


@pytest.mark.parametrize("adjust", [benjamini_hochberg, holm])
def test_a_test_that_was_not_made_is_no_member(adjust: Adjust) -> None:
    with_gap = adjust(np.array([0.02, np.nan, 0.03]))
    assert np.isnan(with_gap[1])
    assert with_gap[[0, 2]] == pytest.approx(adjust(np.array([0.02, 0.03])))


@pytest.mark.parametrize("adjust", [benjamini_hochberg, holm])
def test_a_number_that_is_no_p_value_is_refused(adjust: Adjust) -> None:
    with pytest.raises(MlstatsError, match="1 p-values lie outside 0 to 1"):
        adjust(np.array([0.5, 1.2]))


@pytest.mark.parametrize("adjust", [benjamini_hochberg, holm])
def test_an_empty_family_is_empty(adjust: Adjust) -> None:
    assert len(adjust(np.array([]))) == 0


def test_false_discoveries_and_false_findings_are_as_rare_as_promised() -> None:
    """2,000 seeded families of 40 tests, 10 with an effect."""
    rng = np.random.default_rng(11)
    z = rng.normal(size=(2000, 40))
    z[:, :10] += 3
    p_values = 2 * stats.norm.sf(np.abs(z))
    shares, any_false = [], []
    for p in p_values:
        found = benjamini_hochberg(p) <= 0.1
        shares.append(found[10:].sum() / max(found.sum(), 1))
        any_false.append((holm(p) <= 0.1)[10:].any())
    assert np.mean(shares) == pytest.approx(0.1 * 30 / 40, abs=0.008)
    assert np.mean(any_false) <= 0.1 + 2 * np.sqrt(0.09 / 2000)
