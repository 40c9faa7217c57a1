"""How large blocks must be: coverage of accuracy, false alarms of drift, by simulation.

    python benchmarks/blocks.py

The first table of docs/classification-of-images.md under "Blocks", and the alarm rates
under "Drift between dates". Takes about two minutes.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from mlstats.imagery import block_cores, date_drift, spatial_blocks
from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design

SIDE = 96
ROW, COLUMN = np.divmod(np.arange(SIDE * SIDE), SIDE)


def coverage(draws: int = 300, units: int = 1000) -> None:
    """Print the coverage of 95 % intervals of an accuracy of .8.

    Errors are a cut through a Gaussian field, spherical with range 1, nugget .2, on a
    square of 10 by 10 ranges.
    """
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 10, (2, units))
    h = np.minimum(cdist(np.c_[x, y], np.c_[x, y]), 1)
    root = np.linalg.cholesky(1 - 1.5 * h + 0.5 * h**3 + 1e-8 * np.eye(units))
    every = np.ones(units, dtype=bool)
    ways = {"none: pixels": (np.arange(units), every)}
    for size in (1, 2, 3):
        ways[f"blocks of {size} x range"] = spatial_blocks(x, y, size), every
    cores = spatial_blocks(x, y, 2), block_cores(x, y, 2, 1)
    ways["cores of blocks of 2 x range, 1 x range apart"] = cores
    found: dict[str, list[tuple[bool, float]]] = {name: [] for name in ways}
    for _ in range(draws):
        field = root @ rng.normal(size=units) * np.sqrt(0.8)
        right = field + rng.normal(size=units) * np.sqrt(0.2) > -0.8416
        for name, (block, kept) in ways.items():
            design = Design.of(np.ones(kept.sum()), cluster=block[kept])
            told = proportion(design, right[kept], np.ones(kept.sum(), dtype=bool))
            found[name].append(
                (told.lower <= 0.8 <= told.upper, told.upper - told.lower)
            )
    print("| clusters | coverage | mean width |\n|---|---|---|")
    for name, cells in found.items():
        share, width = np.mean(cells, axis=0)
        print(f"| {name} | {share:.3f} | {width:.3f} |")


def smooth(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Return a field of variance one on a torus, related over about 3.5 sigma."""
    noise = gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma, mode="wrap")
    return np.asarray((noise * 2 * np.sqrt(np.pi) * sigma).ravel())


def alarms(sigma: float, size: int, gap: int, draws: int = 300) -> None:
    """Print the false alarms of date_drift, at .05, for three bands under clouds."""
    rng = np.random.default_rng(1)
    core = block_cores(COLUMN + 0.5, ROW + 0.5, size, gap)
    block = spatial_blocks(COLUMN, ROW, size)[core]
    any_, each = [], []
    for _ in range(draws):
        land = [smooth(rng, 6) for _ in range(3)]
        sides, maps, inside = [], [], []
        for _ in range(2):
            bands = np.stack([x + 0.6 * smooth(rng, sigma) for x in land], axis=1)
            named = np.where(
                bands[:, 0] > 0.5, "a", np.where(bands[:, 1] > 0, "b", "c")
            )
            cloud = smooth(rng, 5) > 1
            inside.append((bands[:, 2] < 1.2)[core])
            maps.append(np.where(cloud, None, named)[core])
            bands[cloud] = np.nan
            sides.append(bands[core])
        table = date_drift(
            sides[0], sides[1], block, classes=(maps[0], maps[1]),
            inside=(inside[0], inside[1]),
        )  # fmt: skip
        any_.append((table["p_adjusted"] <= 0.05).any())
        each.append((table["p"].dropna() <= 0.05).mean())
    print(
        f"| {3.5 * sigma:.1f} | {size} | {gap} | {len(np.unique(block))} | "
        f"{np.mean(any_):.3f} | {np.mean(each):.3f} |"
    )


if __name__ == "__main__":
    coverage()
    print("\n| range | block | gap | blocks | any alarm | each test |")
    print("|---|---|---|---|---|---|")
    for sigma, size, gap in (
        (1.0, 12, 0), (1.0, 12, 4), (1.5, 12, 0), (1.5, 12, 6), (2.5, 12, 0),
        (2.5, 12, 8), (2.5, 16, 8),
    ):  # fmt: skip
        alarms(sigma, size, gap)
