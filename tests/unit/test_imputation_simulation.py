"""What intervals over masks and clusters promise, simulated with both arms refitted.

Each run draws a file of clusters with unequal weights from a superpopulation, masks
cells completely at random, imputes by a regression with noise and by a random donor in
classes, both from what the mask left, and asks whether the interval holds the mean of
the figure over all runs.
"""

from __future__ import annotations

import numpy as np
import pytest

from mlstats.quality.estimate import Estimate
from mlstats.quality.imputation_measures import moment_measures
from mlstats.quality.replication import Replicates, estimated

RUNS, CLUSTERS, SIZE, MASKED = 1000, 300, 8, 0.25
PROMISE = 0.93


def arms(
    rng: np.random.Generator, masks: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    n = CLUSTERS * SIZE
    cluster, weight = np.repeat(np.arange(CLUSTERS), SIZE), rng.gamma(4, 0.25, n)
    x = 0.6 * rng.normal(size=CLUSTERS)[cluster] + 0.8 * rng.normal(size=n)
    own = 0.4 * rng.normal(size=CLUSTERS)[cluster] + 0.7 * rng.normal(size=n)
    y = 3 + x + own
    classes = np.digitize(x, [-0.7, 0.0, 0.7])
    parts = []
    for mask in range(masks):
        gone = rng.random(n) < MASKED
        left, at = ~gone, np.flatnonzero(gone)
        slope, level = np.polyfit(x[left], y[left], 1)
        noise = np.std(y[left] - level - slope * x[left])
        fitted = level + slope * x[at] + noise * rng.normal(size=len(at))
        donor = np.empty(len(at))
        for c in range(4):
            inside = classes[at] == c
            donor[inside] = rng.choice(y[left & (classes == c)], inside.sum())
        parts.append((at, np.full(len(at), mask), fitted, donor))
    at, mask, fitted, donor = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    cells = Replicates.of(weight[at], mask, cluster[at], seed=1)
    return moment_measures(y[at], fitted, cells), moment_measures(y[at], donor, cells)


def figures(rng: np.random.Generator, masks: int) -> dict[str, Estimate]:
    model, donor = arms(rng, masks)
    found = {}
    for name in ("nrmse", "mean_bias"):
        found[name] = estimated(model[name])
        found[f"{name} of the donor"] = estimated(donor[name])
        found[f"{name}, difference"] = estimated(model[name] - donor[name])
    # As the rows have it: the sizes of two biases, the signs as they come out.
    sizes = [
        theta["mean_bias"] * np.sign(theta["mean_bias"][:, 0].mean())
        for theta in (model, donor)
    ]
    found["sizes of the biases, difference"] = estimated(sizes[0] - sizes[1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("masks", [1, 5])
def test_intervals_cover(masks: int) -> None:
    rng = np.random.default_rng(masks)
    runs = [figures(rng, masks) for _ in range(RUNS)]
    covered = {}
    for name in runs[0]:
        value, lower, upper = (
            np.array([getattr(run[name], part) for run in runs])
            for part in ("value", "lower", "upper")
        )
        # Neither arm is biased, so their biases are of one size.
        target = 0.0 if name.startswith("sizes") else value.mean()
        covered[name] = float(((lower <= target) & (target <= upper)).mean())
    assert min(covered.values()) >= PROMISE, covered
    # And not because it is wide: the bias of the donor, which its file offsets, aside.
    se = np.mean([run["nrmse, difference"].se for run in runs])
    assert se < 1.4 * np.std([run["nrmse, difference"].value for run in runs])
