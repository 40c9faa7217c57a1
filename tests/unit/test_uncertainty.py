"""Three measures of how unsure a classifier is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import entropy

from mlstats.errors import ContractError
from mlstats.imagery import least_confidence, margin_uncertainty, normalised_entropy

MEASURES = [least_confidence, margin_uncertainty, normalised_entropy]


@given(
    arrays.arrays(float, st.tuples(st.integers(1, 5), st.integers(2, 6)),
                  elements=st.floats(1e-6, 1))
)  # fmt: skip
def test_by_their_definitions(raw):
    p = raw / raw.sum(axis=1, keepdims=True)
    ranked = np.sort(p, axis=1)
    expected = [
        1 - ranked[:, -1],
        1 - ranked[:, -1] + ranked[:, -2],
        entropy(p, axis=1, base=p.shape[1]),
    ]
    for measure, values in zip(MEASURES, expected, strict=True):
        np.testing.assert_allclose(measure(p), values, atol=1e-12)
        assert (measure(p) >= -1e-12).all()
        assert (measure(p) <= 1 + 1e-12).all()
        # Bands of a raster, and an order of the classes that tells nothing.
        raster = np.ascontiguousarray(p[:, ::-1].T)[:, None, :]
        np.testing.assert_allclose(measure(raster, axis=0)[0], values, atol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_ends_and_gaps(measure):
    found = measure([[1.0, 0.0], [0.5, 0.5], [np.nan, np.nan]])
    assert found[0] == 0
    assert found[1] == (0.5 if measure is least_confidence else 1)
    assert np.isnan(found[2])
    for wrong in ([[0.5, 0.2]], [[1.5, -0.5]], [[1.0]], [[128, 127]]):
        with pytest.raises(ContractError):
            measure(wrong)
