from __future__ import annotations

import numpy as np
import pytest

from mlstats.quality.replication import Replicates, estimated, masks_error, paired


def test_groups_are_small_copies_of_the_strata():
    n = 4000
    rng = np.random.default_rng(1)
    cluster = rng.integers(0, 200, n)
    stratum = np.where(cluster < 80, "a", "b")
    cells = Replicates.of(np.ones(n), None, cluster, stratum, seed=3)
    assert (cells.groups, cells.n_clusters) == (40, 200)
    place, first = np.unique(cluster, return_index=True)
    of_cluster = cells.group[first]
    assert all(len(np.unique(cells.group[cluster == c])) == 1 for c in place)
    assert set(np.bincount(of_cluster[place < 80])) == {2}
    assert set(np.bincount(of_cluster[place >= 80])) == {3}


def test_equal_clusters_of_two_strata_are_two():
    cluster, stratum = np.arange(24) % 12, np.arange(24) // 12
    assert Replicates.of(np.ones(24), None, cluster, stratum).n_clusters == 24
    assert Replicates.of(np.ones(24), None, cluster).groups == 12


def test_few_clusters_make_no_groups_in_a_domain_either():
    cluster = np.repeat(np.arange(30), 4)
    cells = Replicates.of(np.ones(120), None, cluster)
    assert cells.groups == 30
    assert cells.take(cluster < 12).groups == 30
    assert cells.take(cluster < 9).groups == 0
    assert Replicates.of(np.ones(36), None, cluster[:36]).groups == 0


def test_one_mask_of_single_clusters_is_the_textbook_error_of_a_mean():
    values = np.random.default_rng(4).normal(size=50)
    cells = Replicates.of(np.ones(50), None, np.arange(50), groups=50)
    theta = cells.sums(values) / cells.sums(np.ones(50))
    found = estimated(theta, n=50)
    assert found.value == pytest.approx(values.mean())
    # Leaving one out of 50 gives the usual error of a mean.
    assert found.se == pytest.approx(values.std(ddof=1) / np.sqrt(50))
    assert found.df == 49
    total = estimated(cells.totals(values))
    assert total.se == pytest.approx(values.std(ddof=1) * np.sqrt(50))


def test_masks_alone_are_the_textbook_error_of_their_mean():
    theta = np.array([[1.0], [2.0], [4.0]])
    found = estimated(theta)
    assert found.se == pytest.approx(np.std([1, 2, 4], ddof=1) / np.sqrt(3))
    assert found.df == 2
    assert "this file only" in found.note
    assert masks_error(theta) == found.se
    assert np.isnan(masks_error(theta[:1]))


def test_variances_add_up_with_satterthwaites_degrees_of_freedom():
    rng = np.random.default_rng(5)
    theta = 1 + 0.1 * rng.normal(size=(4, 1)) + 0.01 * rng.normal(size=(4, 21))
    masks = theta[:, 0].var(ddof=1) / 4
    mean = theta.mean(axis=0)
    clusters = 19 / 20 * ((mean[1:] - mean[0]) ** 2).sum()
    found = estimated(theta)
    assert found.se**2 == pytest.approx(masks + clusters)
    df = (masks + clusters) ** 2 / (masks**2 / 3 + clusters**2 / 19)
    assert found.df == pytest.approx(df)
    assert 3 <= found.df <= 22


def test_limits_and_what_is_not_defined():
    theta = np.array([[0.9, 0.8, 1.0], [0.99, 0.9, 0.95]])
    found = estimated(theta, limits=(0.0, 1.0))
    assert found.lower < found.value < found.upper == 1.0
    missing = estimated(np.array([[np.nan, 1.0], [1.0, 1.0]]), n=3)
    assert (missing.status, missing.n) == ("not_measured", 3)
    constant = estimated(np.ones((3, 11)))
    assert constant.se == 0
    assert "nothing varies" in constant.note
    lost = estimated(np.array([[1.0, np.nan, 1.0], [2.0, 1.0, 1.0]]))
    assert lost.value == 1.5
    assert np.isnan(lost.lower)


def test_a_row_has_the_smaller_degrees_of_freedom():
    own, gap = estimated(np.array([[1.0], [2.0]])), estimated(np.ones((5, 1)) / 7)
    assert paired(gap, own, "other")["df"] == 1
    nothing = estimated(np.array([[np.nan]]))
    assert paired(nothing, own, "other") == {"versus": "other"}
