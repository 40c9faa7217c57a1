"""A digest tells two runs apart exactly where the comparison row by row does."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.quality.reproducibility import compare_reruns, outputs_digest

KEYS = ("unit",)
CODES = st.lists(
    st.tuples(
        st.sampled_from(["01", "1", "02", None]),
        st.sampled_from([0.0, 0.25, 0.5, np.nan]),
    ),
    min_size=1,
    max_size=6,
)


def run_of(rows: list[tuple[str | None, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unit": [str(i) for i in range(len(rows))],
            "prediction": pd.Series([code for code, _ in rows], dtype=object),
            "confidence": [number for _, number in rows],
        }
    )


@settings(max_examples=80, deadline=None)
@given(CODES, CODES, st.integers(0, 99))
def test_digest_and_comparison_agree(
    one: list[tuple[str | None, float]],
    two: list[tuple[str | None, float]],
    seed: int,
) -> None:
    first = run_of(one)
    second = run_of(two).sample(frac=1, random_state=seed)
    found = compare_reruns(first, second, keys=KEYS)
    same = found.changed == 0 and found.largest == 0
    assert found.identical == same
    digests = [outputs_digest(run, keys=KEYS) for run in (first, second)]
    assert (digests[0] == digests[1]) == same
