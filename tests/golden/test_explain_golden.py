"""Importance, stability and contributions against numbers worked out by hand."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.quality.contributions import deletion_test, token_contributions
from mlstats.quality.design import Design
from mlstats.quality.explain import permutation_importance, rank_stability

WEIGHTS = {"rye": 0.5, "bread": 0.3, "fresh": 0.05, "sliced": -0.1}


def additive(X: pd.DataFrame, codes: np.ndarray) -> np.ndarray:
    """Score a text by the sum of the weights of its words, whatever the code."""
    texts = X["text"].fillna("").str.split()
    return np.array([sum(WEIGHTS.get(w, 0.0) for w in words) for words in texts])


def test_importance_meets_its_expectation_over_all_shuffles() -> None:
    # A shuffle gives each row the value of every row with equal probability, so the
    # mean accuracy over all shuffles is the mean over all pairs of rows.
    X = pd.DataFrame({"a": [0, 1, 0, 1, 1, 0, 1, 1], "b": [1, 1, 0, 0, 1, 0, 1, 0]})
    truth = np.array(["x", "y", "x", "y", "y", "x", "x", "y"], dtype=object)
    weight = np.array([1.0, 2, 1, 3, 1, 1, 2, 1])

    def predict(frame: pd.DataFrame) -> np.ndarray:
        return np.where(frame["a"] == 1, "y", "x")

    right = (predict(X) == truth).astype(float)
    accuracy = float(weight @ right / weight.sum())
    expected = {}
    for column in X:
        each = [
            float(weight @ (predict(X.assign(**{column: v})) == truth) / weight.sum())
            for v in X[column]
        ]
        expected[column] = accuracy - float(np.mean(each))
    design = Design.of(weight)
    table = permutation_importance(predict, X, truth, design, repeats=4000, seed=3)
    found = table.set_index("column")["importance"]
    assert found["a"] == pytest.approx(expected["a"], abs=0.01)
    assert found["b"] == expected["b"] == 0
    assert list(table["column"]) == ["a", "b"]


def test_standard_error_is_that_of_the_mean_drop_per_unit() -> None:
    rng = np.random.default_rng(5)
    X = pd.DataFrame({"a": rng.integers(0, 2, 200)})
    truth = np.where(rng.uniform(size=200) < 0.8, X["a"], 1 - X["a"]).astype(object)
    design = Design.of(np.ones(200))
    table = permutation_importance(
        lambda f: f["a"].to_numpy(dtype=object), X, truth, design, repeats=12, seed=1
    )
    row = table.iloc[0]
    assert row["lower"] < row["importance"] < row["upper"]
    assert row["df"] == 199
    # By hand: a unit's drop is its being right minus how often it was right shuffled;
    # with one column of two values that is a plain mean over units.
    assert row["importance"] == pytest.approx(0.3, abs=0.08)
    assert 0 < row["sd"] < row["se"] * 3


def test_stability_of_three_fits_by_hand() -> None:
    fits = pd.DataFrame(
        {"s1": [3.0, 2.0, 1.0, 0.0], "s2": [2.0, 3.0, 1.0, 0.0], "s3": [3.0, 1, 2, 0]},
        index=list("abcd"),
    )
    spearman, jaccard = rank_stability(fits, top=2)
    pairs = list(combinations(fits, 2))
    rho = [stats.spearmanr(fits[a], fits[b]).statistic for a, b in pairs]
    assert spearman.estimate.value == pytest.approx(np.mean(rho))
    # Sets {a, b}, {b, a}, {a, c}: shared 1, 1/3, 1/3.
    assert jaccard.estimate.value == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    # Leaving out one of three fits leaves one pair.
    left = np.array([rho[2], rho[1], rho[0]])
    se = np.sqrt(2 / 3 * ((left - left.mean()) ** 2).sum())
    half = stats.t.ppf(0.975, 2) * se
    assert spearman.estimate.se == pytest.approx(se)
    assert spearman.estimate.upper == pytest.approx(np.mean(rho) + half)


def test_additive_score_gives_back_its_own_weights() -> None:
    X = pd.DataFrame({"text": ["fresh rye bread", "", None, "rye rye", "tea"]})
    codes = np.array(["01", "01", "01", "01", None], dtype=object)
    found = token_contributions(additive, X, codes)
    assert found["row"].tolist() == [0, 0, 0, 3, 3]
    assert found["token"].tolist() == ["fresh", "rye", "bread", "rye", "rye"]
    assert found["contribution"].tolist() == pytest.approx([0.05, 0.5, 0.3, 0.5, 0.5])
    assert found["score"].tolist() == pytest.approx([0.85, 0.85, 0.85, 1.0, 1.0])


def test_deletion_against_random_removal_by_hand() -> None:
    # One of "rye bread", "rye fresh", "bread sliced" removed at random takes away the
    # mean weight, the named one the largest: differences .1, .225 and .2.
    X = pd.DataFrame({"text": ["rye bread", "rye fresh", "bread sliced", "tea"] * 2})
    codes = np.array(["01"] * len(X), dtype=object)
    design = Design.of(np.ones(len(X)))
    explained = token_contributions(additive, X, codes)
    found = deletion_test(additive, X, codes, explained, design, k=1, draws=4000)
    gaps = np.array([0.1, 0.225, 0.2] * 2)
    assert found.estimate.value == pytest.approx(gaps.mean(), abs=0.005)
    test = stats.ttest_1samp(gaps, 0)
    p = float(found.estimate.note.partition("p = ")[2].partition(";")[0])
    # A text that is too short stays in the design with zeros, as a domain does.
    assert p == pytest.approx(test.pvalue, rel=0.5)
    assert "2 texts have no more than 1" in found.estimate.note
