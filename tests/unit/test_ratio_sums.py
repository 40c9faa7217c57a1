"""Ratios from sums are those of the estimator of one ratio, however they are parted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.quality.accuracy import RatioEstimate, proportion_interval, ratio
from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.ratio_sums import RatioSums

CLASSES = 5
NAMES = np.array([str(k) for k in range(CLASSES)])


def sample(seed: int, *, lone: bool) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 600
    cluster = rng.integers(0, 90, n)
    stratum = cluster % 4
    if lone:  # a stratum with a single cluster
        stratum = np.where(cluster == 0, 9, stratum)
    return pd.DataFrame(
        {
            "weight": rng.gamma(2.0, 1.0, n),
            "cluster": cluster.astype(str),
            "stratum": stratum.astype(str),
            "code": rng.integers(0, CLASSES, n),
            "less": rng.integers(0, CLASSES, n),
            "inside": (rng.uniform(size=n) < 0.4).astype(int),
        }
    )


def sums_of(
    units: pd.DataFrame, *, domain: bool = False, gap: bool = False
) -> RatioSums:
    return RatioSums.of(
        Clusters.of(units["cluster"], units["stratum"]),
        units["weight"].to_numpy(),
        units["code"].to_numpy(),
        NAMES,
        group=(units["inside"].to_numpy(), np.array(["no", "yes"])) if domain else None,
        less=units["less"].to_numpy() if gap else None,
    )


def directly(
    units: pd.DataFrame, k: int, fractions: dict[str, float]
) -> tuple[RatioEstimate, RatioEstimate, float]:
    """Return the ratio of a class, and how it differs under the two codings."""
    number, names = pd.factorize(units["stratum"] + "/" + units["cluster"])
    strata = np.array([name.split("/")[0] for name in names])
    weight = units["weight"]
    whole = np.bincount(number, weight)
    mine = np.bincount(number, weight * (units["code"] == k))
    theirs = np.bincount(number, weight * (units["less"] == k))
    return (
        ratio(mine, whole, strata, fractions=fractions),
        ratio(mine - theirs, whole, strata, fractions=fractions),
        float((whole > 0).sum() - len(set(strata[whole > 0]))),
    )


@pytest.mark.parametrize("lone", [False, True])
@pytest.mark.parametrize("fractions", [{}, {"0": 0.3, "1": 1.0}])
@pytest.mark.parametrize("domain", [False, True])
@pytest.mark.parametrize("parts", [1, 7])
def test_equal_to_the_ratio_of_each_class(
    lone: bool, fractions: dict[str, float], domain: bool, parts: int
) -> None:
    units = sample(1, lone=lone)
    key = pd.factorize(units["cluster"])[0] % parts
    split = [part for _, part in units.groupby(key)]
    one, gap = (
        RatioSums.of_parts(
            [sums_of(part, domain=domain, gap=apart) for part in split]
        ).shares("yes" if domain else "", fractions)
        for apart in (False, True)
    )
    if domain:
        units = units.assign(weight=units["weight"] * units["inside"])
    for k in range(CLASSES):
        expected, both, df = directly(units, k, fractions)
        assert one.value[k] == pytest.approx(expected.value, rel=1e-12)
        assert one.se[k] == pytest.approx(expected.se, rel=1e-12)
        assert gap.value[k] == pytest.approx(both.value, abs=1e-14)
        assert gap.se[k] == pytest.approx(both.se, rel=1e-12)
        assert one.df == df
        assert one.clusters == expected.n_clusters


def test_a_cluster_name_of_two_strata_is_two_clusters() -> None:
    clusters = Clusters.of(
        pd.Series(["a", "a", "b", "b"]), pd.Series(["x", "y", "x", "y"])
    )
    assert np.bincount(clusters.stratum).tolist() == [2, 2]


def test_nothing_inside_gives_no_share() -> None:
    clusters = Clusters.of(pd.Series(list("abc")), pd.Series(["x"] * 3))
    sums = RatioSums.of(clusters, np.zeros(3), np.zeros(3, dtype=int), NAMES[:2])
    for group in ("", "nobody's"):
        assert np.isnan(sums.shares(group).value).all()
        assert np.isnan(sums.ratio(group)[0].se)


def test_a_class_that_holds_everything_is_exactly_one() -> None:
    """Else its interval would be made of roundings."""
    units = sample(2, lone=False).assign(code=1)
    parts = [part for _, part in units.groupby(units["cluster"].str[-1])]
    found = RatioSums.of_parts(map(sums_of, parts)).shares()
    assert found.value.tolist() == [0, 1, 0, 0, 0]
    assert found.se.tolist() == [0, 0, 0, 0, 0]


def test_codings_that_agree_leave_no_error() -> None:
    units = sample(3, lone=False)
    found = sums_of(units.assign(less=units["code"]), gap=True).shares()
    assert found.value.tolist() == found.se.tolist() == [0] * CLASSES


def test_two_rules_for_a_stratum_of_one_cluster() -> None:
    units = sample(4, lone=True)
    assert np.isfinite(sums_of(units).ratio()[0].se)
    assert np.isnan(sums_of(units).ratio(single="refuse")[0].se)
    drawn = {"9": 1.0}  # all of it: nothing to refuse
    assert np.isfinite(sums_of(units).ratio("", drawn, single="refuse")[0].se)


@pytest.mark.parametrize(
    ("scale", "spread", "share"),
    [
        (1.0, 1.0, 0.3),
        (1e6, 1e-3, 1e-5),  # heavy, nearly equal weights and a tiny share
        (1e6, 1.0, 1 - 1e-5),
        (1e-6, 2.0, 1e-5),
    ],
)
@pytest.mark.parametrize("ordered", [False, True])
def test_a_million_clusters_keep_nine_digits(
    scale: float, spread: float, share: float, ordered: bool
) -> None:
    rng = np.random.default_rng(5)
    n = 1_000_000
    weight = scale * (1 + spread * rng.gamma(2.0, 1.0, n))
    code = (rng.uniform(size=n) < share).astype(int)
    if ordered:  # one part holds all of the class
        code = np.sort(code)
    stratum = np.arange(n) % 3
    parts = [
        RatioSums.of(
            Clusters(np.arange(len(at)), stratum[at], np.array(["0", "1", "2"])),
            weight[at],
            code[at],
            NAMES[:2],
        )
        for at in np.array_split(np.arange(n), 12)
    ]
    found = RatioSums.of_parts(parts).shares()
    u = np.longdouble(weight) * code
    whole = np.longdouble(weight).sum()
    value = u.sum() / whole
    apart = (u - value * weight) / whole
    variance = sum(
        len(part) / (len(part) - 1) * ((part - part.mean()) ** 2).sum()
        for part in (apart[stratum == h] for h in range(3))
    )
    assert found.value[1] == pytest.approx(float(value), rel=1e-12)
    assert found.se[1] == pytest.approx(float(np.sqrt(variance)), rel=1e-9)
    assert found.se[0] == pytest.approx(float(np.sqrt(variance)), rel=1e-9)


def test_an_interval_in_a_domain_of_few_clusters_covers() -> None:
    """With the degrees of freedom of all clusters it covers .87 of such samples."""
    rng, hits, times = np.random.default_rng(3), 0, 600
    size, few = 12, 3
    cluster = np.repeat(np.arange(60), size)
    clusters = Clusters(cluster, np.zeros(60, dtype=int), np.array(["a"]))
    group = ((cluster < few).astype(int), np.array(["others", "these"]))
    for _ in range(times):
        rate = rng.beta(1.8, 4.2, 60)
        is_one = rng.uniform(size=len(cluster)) < np.repeat(rate, size)
        sums = RatioSums.of(
            clusters, np.ones(len(cluster)), is_one.astype(int), NAMES[:2], group=group
        )
        found = sums.shares("these")
        share = RatioEstimate(
            float(found.value[1]), float(found.se[1]), found.df, found.clusters
        )
        lower, upper = proportion_interval(share, few * size)
        hits += lower <= 0.3 <= upper
    assert hits / times >= 0.94
