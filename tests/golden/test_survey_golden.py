"""Design-weighted accuracy against R's survey package.

`survey/expected.csv` was made by survey 4.1.1 (R 4.2.2) from `survey/units.csv`:
svymean, svyciprop(method="beta") and confint with df = degf, clusters within strata,
with replacement, lonely PSUs "adjust".
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.accuracy import RatioEstimate, proportion_interval, ratio

HERE = Path(__file__).parent / "survey"
UNITS = pd.read_csv(HERE / "units.csv")
EXPECTED = pd.read_csv(HERE / "expected.csv", index_col="quantity")


def estimate(units: pd.DataFrame, y: pd.Series, x: pd.Series) -> RatioEstimate:
    frame = units.assign(y=y * units["weight"], x=x * units["weight"])
    sums = frame.groupby(["stratum", "cluster"], as_index=False)[["y", "x"]].sum()
    return ratio(*(sums[c].to_numpy() for c in ("y", "x", "stratum")))


def agrees(found: RatioEstimate, quantity: str) -> None:
    wanted = EXPECTED.loc[quantity]
    assert found.value == pytest.approx(wanted["value"], abs=1e-9)
    assert found.se == pytest.approx(wanted["se"], abs=1e-9)
    assert found.df == wanted["df"]


@pytest.mark.parametrize("method", ["trad", "ml"])
def test_proportion_and_korn_graubard_interval(method: str) -> None:
    found = estimate(UNITS, UNITS[method], pd.Series(1, UNITS.index))
    agrees(found, method)
    wanted = EXPECTED.loc[method, ["lower", "upper"]].to_numpy(dtype=float)
    assert proportion_interval(found, len(UNITS)) == pytest.approx(wanted, abs=1e-9)


def test_paired_difference_and_its_t_interval() -> None:
    gap = UNITS["ml"] - UNITS["trad"]
    found = estimate(UNITS, gap, pd.Series(1, UNITS.index))
    agrees(found, "ml-trad")
    wanted = EXPECTED.loc["ml-trad", ["lower", "upper"]].to_numpy(dtype=float)
    assert found.interval() == pytest.approx(wanted, abs=1e-9)


def test_domain_by_zeroing() -> None:
    unseen = (UNITS["seen"] == 0).astype(int)
    agrees(estimate(UNITS, UNITS["ml"] * unseen, unseen), "ml unseen")


def test_stratum_with_a_single_cluster_is_centred_at_the_grand_mean() -> None:
    kept = UNITS[(UNITS["stratum"] != "c") | (UNITS["cluster"] == "k39")]
    found = estimate(kept, kept["ml"], pd.Series(1, kept.index))
    agrees(found, "ml single")


def test_nothing_is_claimed_where_nothing_is_known() -> None:
    empty = ratio(np.zeros(3), np.zeros(3), np.array(["a", "a", "b"]))
    assert np.isnan(empty.value)
    assert np.isnan(empty.se)
    alone = ratio(np.array([1.0]), np.array([2.0]), np.array(["a"]))
    assert alone.value == 0.5
    assert np.isnan(alone.se)
    assert np.isnan(alone.interval()).all()
    assert np.isnan(proportion_interval(alone, 2)).all()
