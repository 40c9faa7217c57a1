"""Errors of imputed totals and shares: coverage, truth, gaps, bad requests."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.consistent import EditConsistent
from mlstats.editimpute.donors import NearestDonor
from mlstats.editimpute.hotdeck import HotDeck
from mlstats.editimpute.imputed_totals import imputation_error
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.models import ChainedImputer
from mlstats.editimpute.multiple import (
    bootstrap_reimputed,
    combined,
    multiple_imputations,
)
from mlstats.errors import ConfigError, ContractError


def _sample(n, seed, share=0.4):
    """Records with x and a group; y and a kind that go with them have holes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    group = np.where(x > 0, "high", "low")
    frame = pd.DataFrame(
        {
            "x": x,
            "group": group,
            "y": 10 + 2 * x + rng.normal(size=n),
            "kind": np.where(rng.random(n) < 0.3 + 0.4 * (x > 0), "a", "b"),
        }
    )
    mask = pd.DataFrame(rng.random((n, 2)) < share, columns=["y", "kind"])
    weight = rng.choice([1.0, 3.0], n)
    holes = frame.mask(mask.reindex(columns=frame.columns, fill_value=False))
    return holes, mask, weight


def test_intervals_of_a_hot_deck_cover_and_their_width_is_that_of_the_truth():
    rounds, hits, totals, variances, naive = 150, [], [], [], []
    for r in range(rounds):
        frame, mask, weight = _sample(120, 7000 + r)
        found = imputation_error(
            HotDeck(["group"]), frame, mask, weight, ["y", "kind"], seed=r, replicates=8
        ).set_index("variable")
        y = found.loc["y"]
        # The population total of a sample of 120 with a mean weight of 2.
        hits.append(y["lower"] <= 2400 <= y["upper"])
        totals.append(y["total"])
        variances.append(y["se"] ** 2)
        naive.append(y["se"] ** 2 - y["imputation_se"] ** 2)
        share = found.loc["kind=a"]
        hits.append(share["lower"] <= 0.5 <= share["upper"])
    # Below 274 of 300 has probability below 0.005 where the coverage is 95 %.
    assert sum(hits) >= 274
    # A variance from 150 totals has a relative error of sqrt(2 / 149) = 0.12.
    assert np.mean(variances) == pytest.approx(np.var(totals, ddof=1), rel=0.3)
    assert np.mean(naive) < 0.9 * np.mean(variances)


def test_replicates_give_the_variance_of_the_plain_bootstrap():
    frame, mask, weight = _sample(250, 3)
    frame["weight"] = weight
    few = [
        imputation_error(
            HotDeck(["group"]), frame, mask, weight, ["y"], seed=s, replicates=60
        )["se"][0]
        for s in range(6)
    ]
    plain = bootstrap_reimputed(
        HotDeck(["group"]),
        frame,
        mask,
        lambda f: float(f["weight"] @ f["y"]),
        seed=9,
        replicates=800,
    )
    assert np.mean(few) == pytest.approx(plain.se, rel=0.1)


def test_multiple_imputation_is_rubins_rule_by_hand():
    frame, mask, weight = _sample(200, 5)
    imputer = ChainedImputer(trees=15, leaves=7)
    found = imputation_error(
        imputer, frame, mask, weight, ["y", "kind"], seed=4, m=3
    ).set_index("variable")
    assert list(found.index) == ["y", "kind=a", "kind=b"]
    assert set(found["way"]) == {"multiple imputation"}
    sets = multiple_imputations(imputer, frame, mask, 4, m=3)

    def total(data):
        z = weight * data["y"].to_numpy()
        return z.sum(), len(z) * z.var(ddof=1)

    def share(data):
        here = (data["kind"] == "a").to_numpy()
        p = weight @ here / weight.sum()
        u = weight * (here - p) / weight.sum()
        return p, len(u) * u.var(ddof=1)

    for name, statistic in (("y", total), ("kind=a", share)):
        rubin = combined(sets, statistic, complete_df=199)
        got = found.loc[name]
        assert got["total"] == pytest.approx(rubin.estimate.value)
        assert got["se"] == pytest.approx(rubin.estimate.se)
        assert got["df"] == pytest.approx(rubin.estimate.df)
        assert got["share_of_variance"] == pytest.approx(rubin.missing_information)
        assert got["imputation_se"] ** 2 == pytest.approx(rubin.added)
    assert found.loc[["kind=a", "kind=b"], "total"].sum() == pytest.approx(1)


def test_the_seed_decides_and_one_set_of_imputations_serves_all_variables():
    frame, mask, weight = _sample(120, 1)
    asked = {"seed": 2, "m": 2, "replicates": 3}
    for imputer in (ChainedImputer(trees=5), NearestDonor(["x"])):
        both = [
            imputation_error(imputer, frame, mask, weight, v, **asked)
            for v in (["y", "kind"], ["kind", "y"])
        ]
        pd.testing.assert_frame_equal(
            both[0].set_index("variable"),
            both[1].set_index("variable").loc[both[0]["variable"]],
        )
    other = imputation_error(
        NearestDonor(["x"]), frame, mask, weight, ["y"], seed=3, replicates=3
    )
    assert other["se"][0] != both[0]["se"][0]


def test_what_was_reported_or_cannot_be_adds_no_error():
    frame, mask, weight = _sample(120, 1)
    frame.loc[:9, "y"] = np.nan
    mask.loc[:9, "y"] = False
    never = pd.DataFrame({"y": np.arange(120) < 10})
    found = imputation_error(
        HotDeck(),
        frame,
        mask,
        weight,
        ["x", "group", "y"],
        seed=1,
        replicates=5,
        structural=never,
    ).set_index("variable")
    same = found.loc[["x", "group=high", "group=low"]]
    assert (same["imputation_se"] == 0).all()
    assert (same["share_of_variance"] == 0).all()
    assert found.loc["x", "total"] == pytest.approx(weight @ frame["x"])
    assert found.loc["y", "imputation_se"] > 0
    mask.loc[3, "y"] = True
    with pytest.raises(ConfigError, match="structurally missing"):
        imputation_error(
            HotDeck(), frame, mask, weight, ["y"], seed=1, structural=never
        )


def test_a_gap_that_stays_leaves_no_figure_and_says_so():
    frame, mask, weight = _sample(60, 1)
    picky = HotDeck(["group"], collapse=False, min_donors=1000)
    found = imputation_error(
        picky, frame, mask, weight, ["y", "x"], seed=1, replicates=4
    ).set_index("variable")
    assert np.isnan(found.loc["y", ["total", "se"]].astype(float)).all()
    assert "4 of 4 replicates" in found.loc["y", "note"]
    assert np.isfinite(found.loc["x", "se"])


def test_the_adjustment_passes_the_bootstrap_on_and_bad_requests_are_told():
    frame, mask, weight = _sample(100, 1)
    frame["y"] = frame["y"].clip(upper=15)
    edits = LinearEdits(np.array([[1.0]]), np.array([15.0]), np.zeros(1, bool), ["y"])
    imputer = EditConsistent(ChainedImputer(trees=5), edits)
    found = imputation_error(imputer, frame, mask, weight, ["y"], seed=1, m=2)
    assert found["way"].tolist() == ["multiple imputation"]
    with pytest.raises(ContractError, match="99 weights for 100 records"):
        imputation_error(imputer, frame, mask, weight[1:], ["y"], seed=1)
    with pytest.raises(ConfigError, match="two imputations"):
        imputation_error(imputer, frame, mask, weight, ["y"], seed=1, m=1)
    with pytest.raises(ConfigError, match="no column 'z'"):
        imputation_error(imputer, frame, mask, weight, ["z"], seed=1)
