"""Dissimilarity, the area of applicability and how much of an estimate lies outside."""

import pickle

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import NearestNeighbors

import mlstats.imagery.applicability as module
from mlstats.errors import ConfigError, ContractError
from mlstats.imagery import Applicability, outside_share, permutation_weights


def brute_force(X, folds, weights, new):
    """Write the definition out: every distance of every pair."""
    mean, sd = X.mean(axis=0), X.std(axis=0, ddof=1)
    points, others = (X - mean) / sd * weights, (new - mean) / sd * weights
    n = len(X)
    far = np.array([[np.linalg.norm(a - b) for b in points] for a in points])
    average = far.sum() / (n * (n - 1))
    training = np.array(
        [min(far[i, j] for j in range(n) if folds[j] != folds[i]) for i in range(n)]
    )
    training /= average
    low, high = np.percentile(training, [25, 75])
    threshold = min(high + 1.5 * (high - low), training.max())
    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(points)
    return average, training, threshold, nearest.kneighbors(others)[0][:, 0] / average


def test_by_brute_force():
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(80, 3)) * [1, 50, 1e4], rng.normal(size=(40, 3)) * 1e4
    folds, weights = rng.integers(0, 4, 80), np.array([1.0, 0.2, 2.0])
    average, training, threshold, expected = brute_force(X, folds, weights, new)
    found = Applicability.learn(X, folds, weights)
    assert found.mean_distance == pytest.approx(average)
    np.testing.assert_allclose(found.training, training)
    assert found.threshold == pytest.approx(threshold)
    np.testing.assert_allclose(found.dissimilarity(new), expected)
    assert (found.inside(new) == (expected <= threshold)).all()
    assert found.bound == 0
    assert found.notes == ()


def test_on_a_line():
    # Four pixels at 0, 1, 2, 3: distances 1 1 1 2 2 3 have the mean 5/3.
    found = Applicability.learn([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    np.testing.assert_allclose(found.training, [1.2, 0.6, 0.6, 1.2])
    assert found.threshold == pytest.approx(1.2)
    np.testing.assert_allclose(found.dissimilarity([[0.0], [5.5]]), [0, 1.5])
    assert found.inside([[5.0], [5.1], [np.nan]]).tolist() == [True, False, False]
    assert np.isnan(found.dissimilarity([[np.nan]]))[0]


def test_the_border_is_inside():
    found = Applicability.learn([[0.0], [1.0], [3.0]], [0, 1, 2])
    at = np.array([[3 + found.threshold * found.mean_distance / found.factor[0]]])
    inside = found.dissimilarity(at)[0] <= found.threshold
    assert found.inside(at)[0] == inside


def test_weights_and_units():
    rng = np.random.default_rng(1)
    X, new = rng.normal(size=(2, 60, 3))
    folds = np.arange(60) % 3
    found = Applicability.learn(X, folds, [1, 1, -1])
    other = Applicability.learn(X[:, :2], folds)
    np.testing.assert_allclose(
        found.dissimilarity(new), other.dissimilarity(new[:, :2])
    )
    scaled = Applicability.learn(X * [1e4, 1, 1] + 5, folds, [7, 7, 0])
    np.testing.assert_allclose(
        scaled.dissimilarity(new * [1e4, 1, 1] + 5), found.dissimilarity(new)
    )
    assert scaled.threshold == pytest.approx(found.threshold)


@pytest.mark.parametrize("tolerance", [0.1, 0.4])
def test_thinning_errs_by_no_more_than_is_said(tolerance):
    rng = np.random.default_rng(2)
    X, new = rng.normal(size=(2000, 2)), rng.normal(size=(500, 2)) * 2
    folds = np.arange(2000) % 5
    exact = Applicability.learn(X, folds)
    found = Applicability.learn(X, folds, tolerance=tolerance)
    assert len(found.points) < 1000
    assert 0 < found.bound <= tolerance
    gap = found.dissimilarity(new) - exact.dissimilarity(new)
    assert (gap >= -1e-12).all()
    assert (gap <= found.bound + 1e-12).all()
    assert found.threshold == exact.threshold
    assert f"{len(found.points)} of 2000" in found.notes[0]


def test_many_pixels_have_a_mean_distance_from_drawn_pairs(monkeypatch):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 4))
    folds = np.arange(3000) % 5
    exact = Applicability.learn(X, folds)
    assert exact.mean_distance == pytest.approx(
        cdist(*[(X - X.mean(axis=0)) / X.std(axis=0, ddof=1)] * 2).sum() / (3000 * 2999)
    )
    monkeypatch.setattr(module, "_ALL_PAIRS", 1000)
    found = Applicability.learn(X, folds)
    assert found.mean_distance == pytest.approx(exact.mean_distance, rel=1e-3)
    assert "standard error 0.0" in found.notes[0]


def test_it_can_be_kept():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(50, 2))
    found = Applicability.learn(X, np.arange(50) % 2)
    first = found.dissimilarity(X + 1)
    again = pickle.loads(pickle.dumps(found))
    assert (again.dissimilarity(X + 1) == first).all()


def test_what_cannot_be_learnt():
    X = np.random.default_rng(5).normal(size=(20, 2))
    folds = np.arange(20) % 2
    still = np.column_stack([X, np.ones(20)])
    for values, group, weights in (
        (still, folds, None),
        (X, np.zeros(20), None),
        (X, folds[:-1], None),
        (np.where(X > 2, np.nan, X) * [1, np.nan], folds, None),
        (X, folds, [0, -1]),
        (X, folds, [1, 1, 1]),
    ):
        with pytest.raises(ContractError):
            Applicability.learn(values, group, weights)
    with pytest.raises(ConfigError):
        Applicability.learn(X, folds, tolerance=-1)
    with pytest.raises(ContractError, match="other features"):
        Applicability.learn(X, folds).inside(still)


def test_what_the_classifier_uses_has_weight():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(300, 3))
    y = np.where(X[:, 1] > 0, "b", "a")
    forest = RandomForestClassifier(20, random_state=0)
    found = permutation_weights(forest, X, y, np.arange(300) % 3)
    assert found[1] > 0.3
    assert found[[0, 2]].max() < 0.05
    assert (found >= 0).all()


def test_the_validated_accuracy_holds_inside_and_not_outside():
    """Land that drifts away from the training land: what the threshold is for."""
    rng = np.random.default_rng(7)

    def land(shift, blocks, size=10):
        own = rng.normal(size=(blocks, 4)) + [shift, 0, 0, 0]
        X = np.repeat(own, size, axis=0) + 0.3 * rng.normal(size=(blocks * size, 4))
        return X, np.where(np.sin(2 * X[:, 0]) + 0.2 * X[:, 1] > 0, "a", "b")

    X, y = land(0, 150)
    fold = np.repeat(np.arange(150), 10) % 5
    forest = RandomForestClassifier(50, random_state=0)
    validated = np.mean(
        [
            forest.fit(X[fold != k], y[fold != k]).score(X[fold == k], y[fold == k])
            for k in range(5)
        ]
    )
    forest.fit(X, y)
    area = Applicability.learn(X, fold, permutation_weights(forest, X, y, fold))
    new, truth = land(2.5, 150)
    inside = area.inside(new)
    right = forest.predict(new) == truth
    assert 0.1 < inside.mean() < 0.9
    assert abs(right[inside].mean() - validated) < 0.06
    assert right[~inside].mean() < validated - 0.15


def test_the_share_of_an_estimate_outside():
    classes = np.array([[1, 1, 2], [2, 2, 255]])
    inside = np.array([[True, False, True], [False, False, False]])
    table = outside_share(classes, inside, 0.5, nodata=255).set_index("class")
    assert table["pixels"].to_dict() == {
        "1": 2,
        "2": 3,
        "(unclassified)": 1,
        "(all classified)": 5,
    }
    assert table.loc["1", "share_outside"] == 0.5
    assert table.loc["2", "share_outside"] == pytest.approx(2 / 3)
    assert table.loc["(all classified)", "hectares_outside"] == 1.5
    assert table.loc["(unclassified)", "hectares"] == 0.5
    assert np.isnan(table.loc["(unclassified)", "share_outside"])
    assert table["hectares"].iloc[:-1].sum() == 3  # nothing of the map is lost


def test_shares_of_windows_add_up_and_missing_names_are_unclassified():
    rng = np.random.default_rng(8)
    classes = rng.choice(np.array(["crop", "forest", None], dtype=object), 200)
    inside = rng.random(200) < 0.7
    columns = ["pixels", "hectares", "hectares_outside"]
    whole, one, two = (
        outside_share(classes[s], inside[s], 0.09).set_index("class")[columns]
        for s in (slice(None), slice(80), slice(80, None))
    )
    np.testing.assert_allclose(one + two, whole)
    none = outside_share(np.array([255, 255]), [True, True], 1.0, nodata=255)
    assert none["pixels"].tolist() == [2, 0]
    assert none["share_outside"].isna().all()
    with pytest.raises(ContractError):
        outside_share(classes, inside[1:], 1.0)
    with pytest.raises(ConfigError):
        outside_share(classes, inside, 0.0)
