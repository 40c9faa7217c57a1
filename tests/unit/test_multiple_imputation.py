"""Variance of imputed figures: coverage, and figures if the missing differ."""

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.consistent import EditConsistent
from mlstats.editimpute.hotdeck import HotDeck
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.models import ChainedImputer
from mlstats.editimpute.multiple import (
    bootstrap_reimputed,
    combined,
    delta_sensitivity,
    multiple_imputations,
)
from mlstats.errors import ConfigError


def _sample(n, seed, slope=1.0, level=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    frame = pd.DataFrame({"x": x, "y": 10 + 2 * x + rng.normal(size=n)})
    mask = pd.DataFrame({"y": rng.random(n) < 1 / (1 + np.exp(-level - slope * x))})
    return frame.mask(mask.reindex(columns=frame.columns, fill_value=False)), mask


def _mean(frame):
    y = frame["y"].to_numpy()
    return y.mean(), y.var(ddof=1) / len(y)


def test_imputations_differ_and_their_variance_adds_to_the_sampling_variance():
    frame, mask = _sample(300, 1)
    imputer = ChainedImputer(trees=20, leaves=7)
    sets = multiple_imputations(imputer, frame, mask, 1, m=4)
    assert len({round(float(s["y"].mean()), 6) for s in sets}) == 4
    assert imputer.bootstrap is False
    found = combined(sets, _mean)
    assert found.between > 0
    assert found.estimate.se**2 == pytest.approx(found.within + found.added)


def test_intervals_of_multiple_imputation_cover():
    hits, naive, rounds = 0, 0, 40
    for r in range(rounds):
        frame, mask = _sample(500, 11_000 + r, slope=0.7, level=-1.0)
        imputer = ChainedImputer(trees=40, leaves=7, neighbours=5)
        sets = multiple_imputations(imputer, frame, mask, r, m=4)
        found = combined(sets, _mean, complete_df=499)
        hits += found.estimate.lower <= 10 <= found.estimate.upper
        value, variance = _mean(sets[0])
        naive += abs(value - 10) <= 1.96 * variance**0.5
    # A coverage of 95 % gives below 34 of 40 with probability below 0.005.
    assert hits >= 34
    assert naive <= hits


def test_bootstrap_with_reimputation_knows_what_the_naive_variance_does_not():
    rng = np.random.default_rng(5)
    n = 400
    frame = pd.DataFrame({"y": rng.normal(size=n)})
    mask = pd.DataFrame({"y": np.arange(n) % 2 == 0})
    frame.loc[mask["y"], "y"] = np.nan
    found = bootstrap_reimputed(
        HotDeck(), frame, mask, lambda f: f["y"].mean(), seed=1, replicates=300
    )
    # Var = s2/r + (1 - r/n) s2 / n for a random hot-deck with r of n respondents.
    s2 = frame["y"].var()
    assert found.se**2 == pytest.approx(s2 / 200 + s2 / 2 / 400, rel=0.2)
    assert found.se > 1.3 * (s2 / n) ** 0.5


def test_a_stratum_of_one_has_no_standard_error():
    frame, mask = _sample(20, 1)
    found = bootstrap_reimputed(
        HotDeck(),
        frame,
        mask,
        lambda f: f["y"].mean(),
        seed=1,
        replicates=5,
        stratum=np.arange(20) == 0,
    )
    assert not found.has_error


def test_multiple_imputation_goes_through_the_adjustment_and_refuses_donors():
    frame, mask = _sample(200, 1)
    edits = LinearEdits(np.array([[1.0]]), np.array([10.0]), np.zeros(1, bool), ["y"])
    frame["y"] = frame["y"].clip(upper=10)
    imputer = EditConsistent(ChainedImputer(trees=10), edits)
    for data in multiple_imputations(imputer, frame, mask, 1, m=2):
        assert not edits.failing(edits.matrix(data)).any()
    with pytest.raises(ConfigError, match="does not bootstrap"):
        multiple_imputations(HotDeck(), frame, mask, 1)
    with pytest.raises(ConfigError, match="two imputations"):
        multiple_imputations(imputer, frame, mask, 1, m=1)


def test_delta_shifts_only_what_was_imputed():
    frame = pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0]})
    mask = pd.DataFrame({"y": [False, False, True, True]})
    found = delta_sensitivity(frame, mask, "y", lambda f: f["y"].sum(), (0.5, 2.0))
    assert found["delta"].tolist() == [0.5, 1.0, 2.0]
    assert found["figure"].tolist() == [6.5, 10.0, 17.0]
    assert found["change"].tolist() == pytest.approx([-0.35, 0.0, 0.7])
