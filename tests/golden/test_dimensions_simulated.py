"""What the intervals of the dimensions beside accuracy promise, by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mlstats.quality.contributions import deletion_test
from mlstats.quality.design import Design
from mlstats.quality.explain import permutation_importance, rank_stability
from mlstats.quality.fairness import worst_to_best
from mlstats.quality.indicator import contrast

pytestmark = pytest.mark.slow


def clustered(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Design]:
    """Return 60 clusters of 5 in 3 strata: right or not, known or not, design."""
    clusters = np.arange(60).repeat(5)
    effect = rng.normal(size=60)[clusters]
    known = rng.uniform(size=300) < 0.4
    right = rng.normal(size=300) + effect < np.where(known, 1.0, 0.4)
    weight = rng.uniform(0.5, 2, 300)
    design = Design.of(weight, stratum=clusters % 3, cluster=clusters)
    return right.astype(float), known, design


def test_contrast_of_two_domains_covers() -> None:
    rng = np.random.default_rng(11)
    true = norm.cdf(1 / np.sqrt(2)) - norm.cdf(0.4 / np.sqrt(2))
    hits = 0
    for _ in range(2000):
        right, known, design = clustered(rng)
        found = contrast(right, known, ~known, design)
        hits += found.lower <= true <= found.upper
    assert 0.935 <= hits / 2000 <= 0.975


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.6])
def test_jackknife_of_rank_stability_covers(noise: float) -> None:
    rng = np.random.default_rng(12)

    def fits(m: int) -> pd.DataFrame:
        centre = np.linspace(0, 1, 12)[:, None]
        return pd.DataFrame(centre + rng.normal(0, noise, (12, m)))

    many = [[i.estimate.value for i in rank_stability(fits(40))] for _ in range(60)]
    true = np.mean(many, axis=0)
    hits = np.zeros(2)
    for _ in range(600):
        for j, found in enumerate(rank_stability(fits(10))):
            hits[j] += found.estimate.lower <= true[j] <= found.estimate.upper
    assert (hits / 600 >= 0.915).all()  # .935 less two Monte Carlo errors


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_worst_to_best_covers_although_it_chose_the_domains(spread: float) -> None:
    rng = np.random.default_rng(13)
    accuracy = np.linspace(0.85 - spread / 2, 0.85 + spread / 2, 8)
    names = np.array([f"domain {i}" for i in range(8)], dtype=object)
    design = Design.of(np.ones(1600))
    hits = 0
    for _ in range(300):
        drawn = rng.integers(0, 8, 1600)
        right = rng.uniform(size=1600) < accuracy[drawn]
        found = worst_to_best(right, names[drawn], design)
        hits += found.lower <= accuracy.min() / accuracy.max() <= found.upper
    assert hits / 300 >= 0.95


def test_explanations_drawn_at_random_are_rarely_found_faithful() -> None:
    rng = np.random.default_rng(14)
    words = np.array([f"w{i}" for i in range(30)])
    found = 0
    for run in range(400):
        weight = dict(zip(words, rng.normal(size=30), strict=True))
        texts = [" ".join(rng.choice(words, 6, replace=False)) for _ in range(60)]
        X = pd.DataFrame({"text": texts})
        invented = pd.DataFrame(
            {
                "row": np.repeat(np.arange(60), 6),
                "position": np.tile(np.arange(6), 60),
                "contribution": rng.normal(size=360),
            }
        )

        def score(
            frame: pd.DataFrame, codes: np.ndarray, w: dict[str, float] = weight
        ) -> np.ndarray:
            return np.array([sum(map(w.get, text.split())) for text in frame["text"]])

        design = Design.of(np.ones(60))
        codes = np.full(60, "01", dtype=object)
        tested = deletion_test(
            score, X, codes, invented, design, draws=5, seed=run
        ).estimate
        found += tested.lower > 0 or tested.upper < 0
    assert found / 400 <= 0.07


def test_importance_covers_its_expectation() -> None:
    rng = np.random.default_rng(15)
    hits = 0
    for run in range(300):
        x = rng.integers(0, 2, 300)
        truth = np.where(rng.uniform(size=300) < 0.8, x, 1 - x).astype(object)
        table = permutation_importance(
            lambda frame: frame["x"].to_numpy(dtype=object),
            pd.DataFrame({"x": x}),
            truth,
            Design.of(np.ones(300)),
            seed=run,
        )
        # Right 80 of 100 times, and half of the time when shuffled.
        hits += table["lower"].item() <= 0.3 <= table["upper"].item()
    assert hits / 300 >= 0.92
