"""Shares of all classes at once are those of the estimator of one ratio."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.accuracy import ratio
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
        assert one.df == expected.df


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
