"""The guaranteed threshold, simulated: what it promises and what it costs."""

import numpy as np
import pytest
from scipy import stats

from mlstats.quality.automation import guaranteed_threshold, oracle_rate


def draw(rng: np.random.Generator, n: int, size: int) -> tuple[np.ndarray, ...]:
    """Units in clusters of `size` that share what makes them hard."""
    cluster = np.arange(n) // size
    mood = rng.normal(size=n // size + 1)[cluster]
    score = rng.beta(4, 1.2, n)
    true = np.clip(score**0.7 + 0.02, 0, 1)  # P(right | score)
    shift = stats.norm.cdf(stats.norm.ppf(np.clip(true, 1e-6, 1 - 1e-6)) * 1.2 + mood)
    chance = shift if size > 1 else true
    return score, rng.uniform(size=n) < chance, cluster, chance


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 20])
def test_the_promise_is_broken_in_at_most_one_run_in_twenty(size: int) -> None:
    """1,000 seeded runs; 5 % plus twice the Monte Carlo error is 6.4 %."""
    rng = np.random.default_rng(20260101 + size)
    score, right, _, chance = draw(rng, 400_000, size)
    order = np.argsort(-score)
    accuracy = np.cumsum(chance[order]) / np.arange(1, len(order) + 1)
    broken = shown = 0
    for _ in range(1000):
        score_v, right, cluster, _ = draw(rng, 1200, size)
        found = guaranteed_threshold(score_v, right, cluster, target=0.9)
        if found.n:
            shown += 1
            above = np.searchsorted(-score[order], -found.value, side="right")
            broken += accuracy[max(above - 1, 0)] < 0.9
    assert shown > 300, "a rule that automates nothing breaks no promise"
    assert broken <= 64


def test_the_bound_costs_rate_and_never_exceeds_the_oracle() -> None:
    rng = np.random.default_rng(1)
    score, right, cluster, _ = draw(rng, 3000, 1)
    found = guaranteed_threshold(score, right, cluster, target=0.9)
    assert 0 < found.n / 3000 < oracle_rate(score, right, 0.9)
    assert found.bound >= 0.9


def test_too_few_units_automate_nothing() -> None:
    found = guaranteed_threshold(
        np.linspace(0.5, 1, 50), np.ones(50, dtype=bool), np.arange(50), target=0.95
    )
    assert found.n == 0
    assert found.value == np.inf


def test_one_cluster_is_one_unit() -> None:
    found = guaranteed_threshold(
        np.linspace(0.5, 1, 500),
        np.ones(500, dtype=bool),
        np.zeros(500, dtype=int),
        target=0.95,
    )
    assert found.n == 0


def test_equal_confidences_are_not_parted() -> None:
    score = np.repeat([0.9, 0.5], [200, 200])
    right = np.r_[np.ones(200, dtype=bool), np.zeros(200, dtype=bool)]
    found = guaranteed_threshold(score, right, np.arange(400), target=0.95)
    assert (found.value, found.n) == (0.9, 200)
    assert oracle_rate(score, right, 0.95) == 0.5


def test_oracle_of_nothing_is_nothing() -> None:
    assert oracle_rate(np.array([]), np.array([], dtype=bool), 0.9) == 0.0
    assert oracle_rate(np.array([np.nan]), np.array([True]), 0.9) == 0.0


def test_the_promise_is_about_the_weighted_accuracy() -> None:
    """A tenth of the units weigh 20 times as much and are right in 75 %."""
    broken = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        heavy = rng.uniform(size=1200) < 0.1
        right = rng.uniform(size=1200) < np.where(heavy, 0.75, 0.985)
        found = guaranteed_threshold(
            rng.uniform(0.5, 1, 1200),
            right,
            np.arange(1200),
            np.where(heavy, 20.0, 1.0),
            target=0.95,
        )
        broken += found.n > 0  # the weighted accuracy is .82 at every threshold
    assert broken <= 10


def test_oracle_is_weighted_like_the_rate_beside_it() -> None:
    score = np.array([0.9, 0.8, 0.7])
    right = np.array([True, True, False])
    assert oracle_rate(score, right, 0.99, np.array([1.0, 1.0, 2.0])) == 0.5
