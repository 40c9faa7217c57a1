"""Shares and contrasts of domains against R, Clopper-Pearson against a paper.

`contrast/expected.csv` was made by survey 4.1.1 (R 4.2.2) from `survey/units.csv`:
svyby with covmat and svycontrast, svytotal and svycontrast of two ratios, and
svyciprop(method="beta") of a subset; clusters within strata, with replacement.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.indicator import clopper_pearson, contrast

HERE = Path(__file__).parent
UNITS = pd.read_csv(HERE / "survey" / "units.csv")
EXPECTED = pd.read_csv(HERE / "contrast" / "expected.csv", index_col="quantity")
DESIGN = Design.of(
    UNITS["weight"].to_numpy(),
    stratum=UNITS["stratum"].to_numpy(),
    cluster=UNITS["cluster"].to_numpy(),
)
RIGHT = UNITS["ml"].to_numpy(dtype=float)
SEEN = (UNITS["seen"] == 1).to_numpy()


def degrees_of_freedom(domain: np.ndarray) -> int:
    """Count clusters minus strata that hold units of the domain."""
    held = UNITS[domain]
    return held.groupby("stratum")["cluster"].nunique().sub(1).sum()


@pytest.mark.parametrize(
    ("quantity", "first", "second"),
    [
        ("seen - unseen", SEEN, ~SEEN),
        ("domain - all", SEEN & (UNITS["stratum"] == "a"), np.ones(240, dtype=bool)),
    ],
)
def test_difference_of_two_domains_keeps_their_covariance(
    quantity: str, first: np.ndarray, second: np.ndarray
) -> None:
    found = contrast(RIGHT, np.asarray(first), np.asarray(second), DESIGN)
    wanted = EXPECTED.loc[quantity, ["value", "se"]].to_list()
    assert [found.value, found.se] == pytest.approx(wanted, abs=1e-9)
    # R takes the degrees of freedom of the whole sample, 45; ours are those of the
    # domain that has fewer.
    fewer = min(degrees_of_freedom(np.asarray(d)) for d in (first, second))
    assert found.df == fewer < 45
    half = stats.t.ppf(0.975, fewer) * found.se
    assert found.upper - found.value == pytest.approx(half)


def test_domain_in_a_single_cluster_has_no_standard_error() -> None:
    domain = (UNITS["cluster"] == "k01").to_numpy()
    found = contrast(RIGHT, domain, ~domain, DESIGN)
    assert np.isfinite(found.value)
    assert not found.has_error
    assert found.note


def test_share_of_a_domain_and_its_korn_graubard_interval() -> None:
    found = proportion(DESIGN, RIGHT == 1, ~SEEN)
    wanted = EXPECTED.loc["unseen share"]
    assert [found.value, found.se, found.df, found.lower, found.upper] == pytest.approx(
        wanted.to_list(), abs=1e-9
    )


@pytest.mark.parametrize(
    ("successes", "n", "lower", "upper"),
    [
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_clopper_pearson(successes: int, n: int, lower: float, upper: float) -> None:
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 5.
    found = clopper_pearson(successes, n)
    assert found.value == successes / n
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=5e-5)
