"""The digest of outputs against its bytes, and the spread over seeds against tables."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.reproducibility import outputs_digest, seed_spread


def test_digest_is_that_of_the_rows_in_canonical_json() -> None:
    units = pd.DataFrame(
        {
            "unit": ["b", "a"],
            "prediction": ["0111", None],
            "confidence": [0.1 + 0.2, np.nan],
        }
    )
    text = (
        '{"columns":{"confidence":[null,0.30000000000000004],'
        '"prediction":[null,"0111"],"unit":["a","b"]},"rows":2,"tolerance":0.0}'
    )
    found = outputs_digest(units, keys=["unit"])
    assert found == hashlib.sha256(text.encode()).hexdigest()
    text = text.replace("0.30000000000000004", "300").replace("0.0}", "0.001}")
    found = outputs_digest(units, keys=["unit"], tolerance=0.001)
    assert found == hashlib.sha256(text.encode()).hexdigest()


def test_interval_by_printed_quantiles() -> None:
    # Tables of chi-squared with 9 degrees of freedom print 2.700 and 19.023 for the
    # lower and the upper 2.5 %.
    values = np.array([0.70, 0.72, 0.71, 0.69, 0.73, 0.70, 0.71, 0.72, 0.68, 0.74])
    sd = np.sqrt(((values - 0.71) ** 2).sum() / 9)
    found = seed_spread(values, 0.02, of="accuracy").estimate
    assert found.value == pytest.approx(sd / 0.02)
    assert found.lower == pytest.approx(sd * 3 / np.sqrt(19.023) / 0.02, rel=1e-4)
    assert found.upper == pytest.approx(sd * 3 / np.sqrt(2.700) / 0.02, rel=1e-3)


@pytest.mark.slow
def test_interval_covers_the_true_spread() -> None:
    rng = np.random.default_rng(20260101)
    hits = 0
    for _ in range(4000):
        found = seed_spread(rng.normal(0.7, 0.004, 10), 0.01, of="a").estimate
        hits += found.lower <= 0.4 <= found.upper
    assert hits / 4000 == pytest.approx(0.95, abs=0.011)  # 3 Monte Carlo errors
