"""Krippendorff's alpha: by pairs, its errors, and where it does not exist."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstats.quality.design import Design
from mlstats.quality.krippendorff import krippendorff_alpha


def by_pairs(codes: np.ndarray) -> float:
    """Return alpha by its definition: disagreement within units and between any."""
    units = [[c for c in row if c is not None] for row in codes]
    units = [unit for unit in units if len(unit) > 1]
    values = [c for unit in units for c in unit]
    n = len(values)
    observed = sum(
        sum(a != b for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1)
        for unit in units
    )
    expected = sum(a != b for a, b in itertools.permutations(values, 2)) / (n - 1)
    return 1 - observed / expected


def coded(rng: np.random.Generator, n: int, coders: int = 2, right: float = 0.7):
    names = np.array(list("abcdef"), dtype=object)
    true = rng.choice(names, n, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    guess = rng.choice(names, (n, coders))
    return np.where(rng.random((n, coders)) < right, true[:, None], guess)


@given(st.integers(0, 10_000), st.integers(3, 30), st.integers(2, 5))
def test_value_is_that_of_the_pairs(seed: int, n: int, coders: int) -> None:
    rng = np.random.default_rng(seed)
    codes = coded(rng, n, coders)
    codes[rng.random(codes.shape) < 0.2] = None
    codes[:2, :2] = [["a", "b"], ["b", "b"]]
    found = krippendorff_alpha(Design.of(np.full(n, 3.0)), codes)
    assert found.value == pytest.approx(by_pairs(codes))


def test_a_weight_of_two_is_nearly_two_units() -> None:
    codes = coded(np.random.default_rng(1), 400)
    weight = np.repeat([2.0, 1.0], [200, 200])
    weighted = krippendorff_alpha(Design.of(weight), codes).value
    doubled = by_pairs(np.vstack([codes, codes[:200]]))
    assert weighted == pytest.approx(doubled, abs=1e-3)


def test_error_is_the_jackknifes_over_clusters() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat(coded(rng, 60, 3), 3, axis=0)  # a cluster says the same thrice
    cluster, weight = np.arange(60).repeat(3), rng.uniform(1, 3, 180)
    found = krippendorff_alpha(Design.of(weight, cluster=cluster), codes)
    left = [
        krippendorff_alpha(
            Design.of(np.where(cluster == i, 0, weight), cluster=cluster), codes
        ).value
        for i in range(60)
    ]
    jackknife = np.sqrt(59 / 60 * ((left - np.mean(left)) ** 2).sum())
    assert found.se == pytest.approx(jackknife, rel=0.04)
    drawn = krippendorff_alpha(
        Design.of(weight, cluster=cluster), codes, interval="bootstrap", seed=3
    )
    assert drawn.se == pytest.approx(jackknife, rel=0.12)
    alone = krippendorff_alpha(Design.of(weight), codes, interval="bootstrap")
    assert alone.se < 0.75 * drawn.se  # units would count as three times as many


def test_where_there_is_no_alpha() -> None:
    same = np.full((10, 2), "a", dtype=object)
    assert krippendorff_alpha(Design.of(np.ones(10)), same).status == "not_applicable"
    once = np.array([["a", None]] * 5, dtype=object)
    found = krippendorff_alpha(Design.of(np.ones(5)), once)
    assert (found.status, found.note) == ("not_measured", "no unit has two codes")


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["linearised", "bootstrap"])
def test_interval_covers_with_few_units(interval) -> None:
    rng = np.random.default_rng(5)
    # The alpha of the population, with no small-sample term.
    target = by_pairs(coded(rng, 3000, 2))
    samples, hits = (2000, 0) if interval == "linearised" else (600, 0)
    for i in range(samples):
        codes = coded(rng, 58)
        found = krippendorff_alpha(
            Design.of(np.ones(58)), codes, interval=interval, replicates=300, seed=i
        )
        hits += found.lower <= target <= found.upper
    assert 0.925 <= hits / samples <= 0.975
