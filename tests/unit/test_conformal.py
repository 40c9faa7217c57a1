"""Conformal sets: quantile, scores, sets, and the coverage that they promise."""

import numpy as np
import pytest
from scipy import stats

from mlstats.errors import MlstatsError
from mlstats.quality.conformal import (
    Candidates,
    conformal_quantile,
    conformal_rank,
    conformal_scores,
    conformal_sets,
    coverage_spread,
    coverage_table,
    judge_coverage,
)
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent

CODES = np.array([["a", "b", "c"], ["b", "a", None]], dtype=object)
CANDIDATES = Candidates(CODES, np.array([[0.6, 0.3, 0.1], [0.7, 0.2, np.nan]]))


@pytest.mark.parametrize(
    ("n", "alpha", "rank"),
    [(9, 0.1, 9), (19, 0.05, 19), (99, 0.1, 90), (10, 0.1, 10), (9, 0.7, 3)],
)
def test_rank_is_exact_in_spite_of_decimals(n: int, alpha: float, rank: int) -> None:
    assert conformal_rank(n, alpha) == rank


def test_quantile_of_too_few_units_is_infinite() -> None:
    assert conformal_quantile(np.arange(8.0), 0.1) == np.inf
    assert conformal_quantile(np.array([]), 0.1) == np.inf
    assert conformal_quantile(np.arange(9.0), 0.1) == 8.0
    assert conformal_quantile(np.array([3.0, 1.0, 2.0]), 0.5) == 2.0


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("lac", [0.7, np.inf]), ("aps", [0.9, np.inf]), ("rank", [2.0, np.inf])],
)
def test_score_of_the_truth(kind: str, wanted: list[float]) -> None:
    found = conformal_scores(CANDIDATES, np.array(["b", "z"], dtype=object), kind)
    assert found.tolist() == pytest.approx(wanted)


def test_sets_hold_what_lies_below_the_quantile() -> None:
    assert conformal_sets(CANDIDATES, 0.5, "lac").tolist() == [
        [True, False, False],
        [True, False, False],
    ]
    assert conformal_sets(CANDIDATES, 0.9, "aps").tolist() == [
        [True, True, False],
        [True, True, False],
    ]
    assert conformal_sets(CANDIDATES, 0.2, "lac").sum() == 0
    everything = conformal_sets(CANDIDATES, np.inf, "rank")
    assert everything.tolist() == [[True, True, True], [True, True, False]]


def test_ranked_lists_need_no_probabilities() -> None:
    bare = Candidates(CODES)
    assert bare.scores("rank")[0].tolist() == [1, 2, 3]
    with pytest.raises(MlstatsError, match="needs the probabilities"):
        bare.scores("aps")


def test_spread_of_the_coverage_is_that_of_its_beta() -> None:
    low, high = coverage_spread(500, 0.1, confidence=0.8)
    beta = stats.beta(501 - 50, 50)
    assert (low, high) == pytest.approx((beta.ppf(0.1), beta.ppf(0.9)))
    assert coverage_spread(5, 0.1) == (1.0, 1.0)


def test_table_of_coverage() -> None:
    sets = np.array([[1, 1], [1, 0], [0, 0], [1, 0]], dtype=bool)
    hit = np.array([[0, 1], [1, 0], [1, 0], [0, 1]], dtype=bool)
    group = np.array(["x", "x", "y", None], dtype=object)
    design = Design.of(np.array([1.0, 1.0, 1.0, 2.0]))
    table = coverage_table(design, sets, hit, group).set_index("group")
    assert list(table.index) == ["", "x", "y"]
    whole = table.loc[""]
    assert whole["value"] == pytest.approx(2 / 5)
    assert whole["mean_size"] == pytest.approx(5 / 5)
    assert whole["empty"] == pytest.approx(1 / 5)
    assert whole["single"] == pytest.approx(3 / 5)
    assert whole["single_error"] == pytest.approx(2 / 3)
    assert np.isnan(table.loc["y", "single_error"])
    small = coverage_table(design, sets, hit, group, min_cell=2).set_index("group")
    assert small.loc["y", "status"] == "not_measured"
    assert np.isnan(small.loc["y", "mean_size"])


@pytest.mark.parametrize(
    ("lower", "upper", "wanted"),
    [
        (0.89, 0.92, "pass"),
        (0.87, 0.93, "inconclusive"),
        (0.80, 0.87, "fail"),
        (np.nan, np.nan, "not_measured"),
    ],
)
def test_a_wide_interval_does_not_pass(lower: float, upper: float, wanted: str) -> None:
    found = Estimate(0.9, 0.01, 100, lower, upper, 500)
    verdict = judge_coverage(found, 0.1, tolerance=0.02, n_calibration=5000)
    assert verdict.result == wanted
    assert "by chance" not in verdict.reason


def test_few_calibration_units_are_named_as_a_cause() -> None:
    found = Estimate(0.86, 0.01, 100, 0.84, 0.87, 500)
    verdict = judge_coverage(found, 0.1, tolerance=0.02, n_calibration=100)
    assert verdict.result == "fail"
    assert "100 calibration units may by chance give" in verdict.reason
    gone = judge_coverage(
        absent("not_measured", "none"), 0.1, tolerance=0.02, n_calibration=9
    )
    assert gone.reason == "none"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lac", "aps", "rank"])
def test_sets_cover_what_they_promise(kind: str) -> None:
    """1,000 seeded splits: the mean and the spread of the coverage are as told."""
    rng = np.random.default_rng(5)
    k, n_calibration, n_test = 6, 199, 400
    names = np.array(list("abcdef"), dtype=object)
    coverage = []
    for _ in range(1000):
        n = n_calibration + n_test
        p = -np.sort(-rng.dirichlet(np.full(k, 0.4), n), axis=1)
        place = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(max=k - 1)
        candidates = Candidates(np.tile(names, (n, 1)), p)
        truth = names[place]
        scores = conformal_scores(candidates, truth, kind)
        quantile = conformal_quantile(scores[:n_calibration], 0.1)
        sets = conformal_sets(candidates, quantile, kind)
        coverage.append(sets[np.arange(n), place][n_calibration:].mean())
    assert np.mean(coverage) >= 0.9 - 0.003
    if kind == "lac":  # without ties the promise is kept exactly
        assert np.mean(coverage) == pytest.approx(180 / 200, abs=0.004)
        spread = np.hypot(stats.beta(180, 20).std(), np.sqrt(0.09 / n_test))
        assert np.std(coverage) == pytest.approx(spread, rel=0.1)
