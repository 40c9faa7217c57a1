"""Intervals, bootstrap weights, macro-F1 and the labels a gate needs."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from mlstats.quality.accuracy import (
    RatioEstimate,
    bootstrap_weights,
    labels_needed,
    macro_f1,
    proportion_interval,
    ratio,
)
from mlstats.quality.design import Design
from tests.evaluation_example import confusion_of, units_of


def test_proportion_of_one_counts_clusters_as_units() -> None:
    found = RatioEstimate(1.0, 0.0, 19.0, 20)
    lower, upper = proportion_interval(found, 400)
    assert upper == 1.0
    assert lower == pytest.approx(0.025 ** (1 / 20))  # Clopper-Pearson, 20 of 20


def test_simple_random_sample_gives_clopper_pearson() -> None:
    y = np.r_[np.ones(37), np.zeros(13)]
    found = ratio(y, np.ones(50), np.repeat("a", 50))
    lower, _ = proportion_interval(found, 50)
    p, n = 0.74, 49.0  # effective size: the variance divides by n - 1
    assert lower == pytest.approx(stats.beta.ppf(0.025, p * n, n - p * n + 1))


def test_rescaled_bootstrap_reproduces_the_linearised_standard_error() -> None:
    rng = np.random.default_rng(3)
    strata = np.repeat(["a", "b"], [60, 40])
    y, x = rng.gamma(2, size=100), rng.uniform(1, 2, size=100)
    replicates = np.concatenate(
        [(w @ y) / (w @ x) for w in bootstrap_weights(strata, 4000, 1)]
    )
    assert replicates.std() == pytest.approx(ratio(y, x, strata).se, rel=0.05)


def test_bootstrap_does_not_depend_on_the_size_of_its_blocks() -> None:
    strata = np.repeat(["a", "b", "c"], [5, 4, 1])
    whole = np.concatenate(list(bootstrap_weights(strata, 7, 2)))
    pieces = np.concatenate(list(bootstrap_weights(strata, 7, 2, cells=20)))
    assert np.array_equal(whole, pieces)
    assert whole.sum(axis=1) == pytest.approx(10)
    assert (whole[:, 9] == 1).all()  # the single cluster of stratum c


def test_macro_f1_is_scikit_learns() -> None:
    units = units_of(300, seed=5, uncoded=0.0)
    for level in ("1", "full"):
        cut = 1 if level == "1" else 3
        part = units[units["method"] == "ml"]
        truth = part["truth"].str[:cut]
        wanted = f1_score(
            truth,
            part["prediction"].str[:cut],
            average="macro",
            labels=sorted(truth.unique()),
            sample_weight=part["weight"],
        )
        found = macro_f1(confusion_of(units).sums("ml", level))
        assert found[0] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("margin", "discordance", "wanted"), [(0.005, 0.1, 24_731), (0.01, 0.1, 6183)]
)
def test_labels_needed(margin: float, discordance: float, wanted: int) -> None:
    """The design note of the quality framework says about 24,700 and 6,200."""
    assert labels_needed(margin, discordance) == wanted


def test_fractions_shrink_the_error_as_the_design_does() -> None:
    rng = np.random.default_rng(8)
    strata = np.repeat(["a", "b"], [40, 60])
    y, x = rng.uniform(0, 1, 100), rng.uniform(1, 2, 100)
    shares = {"a": 0.5, "b": 0.2}
    plain = ratio(y, x, strata)
    found = ratio(y, x, strata, fractions=shares)
    assert ratio(y, x, strata, fractions={"a": 1.0, "b": 1.0}).se == 0
    assert found.se < plain.se
    design = Design.of(np.ones(100), stratum=strata, fraction=shares)
    assert found.se == pytest.approx(design.ratio(y, x).se)
    weights = np.concatenate(list(bootstrap_weights(strata, 4000, 1, fractions=shares)))
    replicates = (weights @ y) / (weights @ x)
    assert replicates.std() == pytest.approx(found.se, rel=0.05)


def test_a_single_cluster_is_refused_where_the_rule_says_so() -> None:
    strata = np.array(["a", "a", "b"])
    y, x = np.array([0.0, 1.0, 1.0]), np.ones(3)
    assert ratio(y, x, strata).se > 0
    assert np.isnan(ratio(y, x, strata, single="refuse").se)
    drawn = ratio(y, x, strata, single="refuse", fractions={"b": 1.0})
    assert drawn.se > 0


def test_a_domain_has_the_degrees_of_freedom_of_its_own_clusters() -> None:
    """As degf() of a subset of a design in R's survey package."""
    strata = np.repeat(["a", "b", "c"], 10)
    whole = np.zeros(30)
    whole[[0, 1, 2, 10, 11]] = 1.0
    found = ratio(0.5 * whole + 0.1 * whole * np.arange(30), whole, strata)
    assert (found.df, found.n_clusters) == (3, 5)
    alone = ratio(whole * (np.arange(30) < 1), whole * (np.arange(30) < 1), strata)
    assert alone.df == 0
    assert np.isnan(alone.se)
