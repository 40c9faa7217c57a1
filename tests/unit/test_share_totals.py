"""Shares of all classes at once are those of the estimator of one ratio."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.accuracy import RatioEstimate, proportion_interval, ratio
from mlstats.quality.share_totals import ShareDesign

CLASSES = 5


def sample(seed: int, *, lone: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = 600
    cluster = rng.integers(0, 90, n)
    stratum = cluster % 4
    if lone:  # a stratum with a single cluster
        stratum = np.where(cluster == 0, 9, stratum)
    return {
        "weight": rng.gamma(2.0, 1.0, n),
        "cluster": cluster.astype(str),
        "stratum": stratum.astype(str),
        "code": rng.integers(0, CLASSES, n),
        "less": rng.integers(0, CLASSES, n),
        "inside": rng.uniform(size=n) < 0.4,
    }


@pytest.mark.parametrize("lone", [False, True])
@pytest.mark.parametrize("fractions", [{}, {"0": 0.3, "1": 1.0}])
@pytest.mark.parametrize("domain", [False, True])
def test_equal_to_the_ratio_of_each_class(
    lone: bool, fractions: dict[str, float], domain: bool
) -> None:
    held = sample(1, lone=lone)
    design = ShareDesign.of(
        held["weight"],
        pd.Series(held["cluster"]),
        pd.Series(held["stratum"]),
        fractions,
    )
    inside = held["inside"] if domain else None
    one = design.shares(held["code"], CLASSES, inside)
    gap = design.shares(held["code"], CLASSES, inside, less=held["less"])
    key = pd.Series(held["stratum"]) + "/" + held["cluster"]
    number, names = pd.factorize(key)
    strata = np.array([name.split("/")[0] for name in names])
    weight = held["weight"] * (held["inside"] if domain else 1.0)
    whole = np.bincount(number, weight)
    for k in range(CLASSES):
        mine = np.bincount(number, weight * (held["code"] == k))
        theirs = np.bincount(number, weight * (held["less"] == k))
        expected = ratio(mine, whole, strata, fractions=fractions)
        assert one.value[k] == pytest.approx(expected.value, rel=1e-12)
        assert one.se[k] == pytest.approx(expected.se, rel=1e-9, abs=1e-15)
        both = ratio(mine - theirs, whole, strata, fractions=fractions)
        assert gap.value[k] == pytest.approx(both.value, abs=1e-13)
        assert gap.se[k] == pytest.approx(both.se, rel=1e-9, abs=1e-15)
        filled = whole > 0
        assert one.df == filled.sum() - len(set(strata[filled]))


def test_a_cluster_name_of_two_strata_is_two_clusters() -> None:
    design = ShareDesign.of(
        np.ones(4), pd.Series(["a", "a", "b", "b"]), pd.Series(["x", "y", "x", "y"])
    )
    assert len(design.stratum) == 4
    assert np.bincount(design.stratum).tolist() == [2, 2]


def test_nothing_inside_gives_no_share() -> None:
    design = ShareDesign.of(np.ones(3), pd.Series(list("abc")), pd.Series(["x"] * 3))
    found = design.shares(np.zeros(3, dtype=int), 2, np.zeros(3, dtype=bool))
    assert np.isnan(found.value).all()
    assert np.isnan(found.se).all()


def test_an_interval_in_a_domain_of_few_clusters_covers() -> None:
    """With the degrees of freedom of all clusters it covers .87 of such samples."""
    rng, hits, times = np.random.default_rng(3), 0, 600
    clusters, size, few = 60, 12, 3
    cluster = np.repeat(np.arange(clusters), size)
    inside = cluster < few
    for _ in range(times):
        rate = rng.beta(1.8, 4.2, clusters)
        is_one = rng.uniform(size=len(cluster)) < np.repeat(rate, size)
        design = ShareDesign.of(
            np.ones(len(cluster)),
            pd.Series(cluster).astype(str),
            pd.Series(["a"] * len(cluster)),
        )
        found = design.shares(is_one.astype(int), 2, inside)
        share = RatioEstimate(
            float(found.value[1]), float(found.se[1]), found.df, found.clusters
        )
        lower, upper = proportion_interval(share, int(inside.sum()))
        hits += lower <= 0.3 <= upper
    assert hits / times >= 0.94
