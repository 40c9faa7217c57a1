"""What the intervals of accuracy promise: 95 %, simulated over designs.

Every case has 4,000 seeded samples of 300 or 1,000 units with unequal weights, alone or
in clusters of 10 that share a quarter of the variance of what makes a unit hard.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate
from mlstats.quality.paired import paired_difference

SAMPLES, PROMISE = 4000, 0.935
CASES = [
    (n, accuracy, clustered)
    for n in (300, 1000)
    for accuracy in (0.8, 0.95)
    for clustered in (False, True)
]
# Correlation of what makes a unit hard: for both methods, and within a cluster.
BETWEEN_METHODS, IN_CLUSTER = 0.7, 0.25


def sample(
    rng: np.random.Generator, n: int, levels: tuple[float, ...], clustered: bool
) -> np.ndarray:
    """Return right or wrong, shape (SAMPLES, methods, n), with the given accuracies."""
    size = 10 if clustered else 1
    shared = IN_CLUSTER if clustered else 0.0
    mood = rng.normal(size=(SAMPLES, 1, n // size)).repeat(size, axis=2)
    unit = rng.normal(size=(SAMPLES, 1, n))
    own = rng.normal(size=(SAMPLES, len(levels), n))
    rest = 1 - shared
    ease = (
        np.sqrt(shared) * mood
        + np.sqrt(rest * BETWEEN_METHODS) * unit
        + np.sqrt(rest * (1 - BETWEEN_METHODS)) * own
    )
    return ease < stats.norm.ppf(levels)[None, :, None]


def coverage(
    interval: Callable[[Design, np.ndarray], Estimate],
    levels: tuple[float, ...],
    truth: float,
    n: int,
    clustered: bool,
) -> float:
    rng = np.random.default_rng([n, int(1000 * levels[0]), clustered])
    weight = rng.gamma(4, 0.25, n)
    cluster = np.arange(n) // 10 if clustered else None
    design = Design.of(weight, cluster=cluster)
    held = 0
    for right in sample(rng, n, levels, clustered):
        found = interval(design, right)
        held += found.lower <= truth <= found.upper
    return held / SAMPLES


def table(name: str, found: dict[tuple[int, float, bool], float]) -> str:
    lines = [
        f"{name}: n={n}, p={p}, {'clustered' if c else 'alone'}: {value:.4f}"
        for (n, p, c), value in found.items()
    ]
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Korn-Graubard", "logit"])
def test_interval_of_a_weighted_accuracy_covers(kind: str) -> None:
    def interval(design: Design, right: np.ndarray) -> Estimate:
        everyone = np.ones(right.shape[1], dtype=bool)
        return proportion(design, right[0], everyone, interval=kind)

    found = {(n, p, c): coverage(interval, (p,), p, n, c) for n, p, c in CASES}
    assert min(found.values()) >= PROMISE, table(kind, found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["t", "score"])
def test_interval_of_a_paired_difference_covers(kind: str) -> None:
    def interval(design: Design, right: np.ndarray) -> Estimate:
        return paired_difference(design, right[0], right[1], interval=kind)

    found = {
        (n, p, c): coverage(interval, (p, p - 0.02), 0.02, n, c) for n, p, c in CASES
    }
    assert min(found.values()) >= PROMISE, table(kind, found)
