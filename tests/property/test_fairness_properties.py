"""No domain that is told is small, unless everything is."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.quality.fairness import POOLED, pooled


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 30), min_size=1),
    st.integers(1, 12),
    st.integers(0, 99),
)
def test_pool(counts: dict[str, int], min_cell: int, seed: int) -> None:
    domain = np.repeat(np.array(list(counts), dtype=object), list(counts.values()))
    domain = np.random.default_rng(seed).permutation(domain)
    found = pooled(domain, min_cell=min_cell)
    sizes = Counter(found)
    whole = set(found) == {POOLED}
    assert whole or min(sizes.values()) >= min_cell
    assert sum(sizes.values()) == len(domain)
    # A domain is told whole or not at all.
    for name in counts:
        assert len(set(found[domain == name])) == 1
