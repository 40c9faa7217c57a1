"""Bins from parts, and parts that tear clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.errors import ContractError, MlstatsError
from mlstats.quality.drift import Reference, Summary, drift
from mlstats.quality.drift_learning import Learning
from mlstats.quality.quantile_sketch import QuantileSketch
from mlstats.quality.whole_clusters import WholeClusters


def frame_of(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "income": rng.lognormal(8, 1, n),
            "members": rng.poisson(2.2, n),
            "zero": np.where(rng.uniform(size=n) < 0.5, 0.0, rng.normal(size=n)),
            "shop": rng.choice(["a", "b", "c"], n),
            "none": np.full(n, np.nan),
        }
    )


def parts_of(frame: pd.DataFrame, count: int) -> list[pd.DataFrame]:
    return [frame[np.arange(len(frame)) % count == k] for k in range(count)]


def test_parts_that_are_held_exactly_give_the_bins_of_the_whole() -> None:
    frame = frame_of(5000)
    learnt = Learning.of_parts(map(Learning.of, parts_of(frame, 7)))
    whole, found = Reference.learn(frame), learnt.reference()
    assert learnt.rank_error == 0
    assert found.same_as(whole)
    assert all(np.array_equal(m, whole.marks[n]) for n, m in found.marks.items())


def test_bins_of_a_large_file_hold_what_they_should() -> None:
    frame = frame_of(300_000)
    learnt = Learning.of_parts(
        Learning.of(part, size=2048) for part in parts_of(frame, 20)
    )
    assert 0 < learnt.rank_error < 0.003
    found, income = learnt.reference(bins=200), np.sort(frame["income"])
    below = np.searchsorted(income, found.edges["income"], side="right") / len(income)
    gaps = np.diff(below)
    assert gaps.max() <= 1 / 200 + 2 * learnt.rank_error
    assert 0.0 in found.edges["zero"]  # the value of half the rows has its own bin
    assert np.nextafter(0.0, -1.0) in found.edges["zero"]


def test_verdicts_with_bins_from_parts() -> None:
    before, now = frame_of(40_000), frame_of(40_000, seed=1)
    now["income"] *= 1.1
    learnt = Learning.of_parts(
        Learning.of(part, size=1024) for part in parts_of(before, 8)
    )
    reference = learnt.reference()
    old, new = (
        Summary.of_parts(Summary.of(part, reference) for part in parts_of(frame, 5))
        for frame in (before, now)
    )
    states = drift(new, {"training": old}).by_column()
    assert states["income"] == "drift"
    assert set(states.drop(["income", "none"])) == {"no drift"}


def test_columns_must_be_the_same_in_all_parts() -> None:
    frame = frame_of(100)
    one = Learning.of(frame)
    for other in (frame.drop(columns="shop"), frame.assign(members="x")):
        with pytest.raises(MlstatsError, match="not the same in all parts"):
            one.merge(Learning.of(other))
    told = Learning.of(frame.assign(members=None), kinds={"members": "number"})
    assert one.merge(told).columns["members"] is not None


def test_sketches_of_two_sizes_are_not_merged() -> None:
    one, two = (QuantileSketch.of(np.arange(3.0), size=k) for k in (2, 4))
    with pytest.raises(MlstatsError, match="two sizes"):
        one.merge(two)
    with pytest.raises(MlstatsError, match="halved"):
        QuantileSketch.of(np.arange(3.0), size=1)


def test_whole_clusters_are_told_to_be_whole() -> None:
    names = pd.Series([str(k // 3) for k in range(3000)])
    parts = [WholeClusters.of(names[a : a + 300]) for a in range(0, 3000, 300)]
    found = WholeClusters.of_parts(parts)
    assert found.complete
    assert len(found.hashes) == 1000
    assert found.require() == ""


def test_a_cluster_in_two_parts_is_found() -> None:
    names = pd.Series([str(k // 3) for k in range(3000)])
    cuts = [0, 301, 1000, 2999, 3000]
    parts = [WholeClusters.of(names[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
    found = WholeClusters.of_parts(parts)
    assert int(found.torn.sum()) == 3
    for order in (parts[::-1], [parts[2], parts[0], parts[3], parts[1]]):
        again = WholeClusters.of_parts(order)
        assert np.array_equal(again.hashes, found.hashes)
        assert np.array_equal(again.torn, found.torn)
    with pytest.raises(ContractError, match="3 of 1,000 clusters"):
        found.require()


def test_of_many_clusters_a_sample_is_looked_at() -> None:
    names = pd.Series(np.arange(20_000).astype(str))
    halves = (names[:10_000], names[10_000:])
    found = WholeClusters.of_parts(WholeClusters.of(h, size=500) for h in halves)
    assert not found.complete
    assert found.share_bound == pytest.approx(1 - 0.05 ** (1 / 500))
    assert "500 clusters drawn at random" in found.require()
    assert "at most 598 in 100,000" in found.require()
    # One in fifty is torn: a sample of 500 shows them, about 10, in any of its halves.
    torn = (names[:10_000], names[9_600:])
    found = WholeClusters.of_parts(WholeClusters.of(h, size=500) for h in torn)
    assert 2 <= int(found.torn.sum()) <= 25


def test_a_name_in_two_strata_is_two_clusters() -> None:
    names = pd.Series(["1", "2"])
    one, two = (
        WholeClusters.of(names, pd.Series([stratum] * 2)) for stratum in ("a", "b")
    )
    assert one.merge(two).require() == ""
    with pytest.raises(ContractError):
        WholeClusters.of(names).merge(WholeClusters.of(names)).require()
    none = pd.Series([None, None])
    assert WholeClusters.of(none).merge(WholeClusters.of(none)).require() == ""
