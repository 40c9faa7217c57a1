"""Predictions of unseen records, and the mean that the recipients should have."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlstats.editimpute.cross_fitting import expected_mean, unseen_predictions
from mlstats.editimpute.learners import Learner


def _split(n, seed, slope=1.0):
    """Donors first; the larger x, the likelier a recipient."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    lacks = rng.random(n) < 1 / (1 + np.exp(1 - slope * x))
    x = np.concatenate([x[~lacks], x[lacks]])
    return x, int((~lacks).sum()), rng


def test_no_model_saw_the_donor_that_it_predicts():
    """With one leaf a record, a model that saw a record repeats its noise."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(400, 2)), rng.normal(size=400)
    donors, wanted = np.arange(300), np.arange(300, 400)
    learner = Learner("forest", trees=30)
    ours, theirs = unseen_predictions(
        X, y, np.zeros(2, bool), donors, wanted, learner, rng
    )
    assert theirs.shape == (3, 100)
    seen = learner.regression(X[donors], y[donors], np.zeros(2, bool), 1)
    assert np.corrcoef(seen.predict(X[donors]), y[donors])[0, 1] > 0.6
    # Pure noise: a correlation of 300 pairs has an error of 0.06.
    assert abs(np.corrcoef(ours, y[donors])[0, 1]) < 0.2


def test_a_record_drawn_twice_is_in_one_fold():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(200, 3)), rng.normal(size=200)
    donors = rng.choice(200, 200)
    ours, _ = unseen_predictions(
        X, y, np.zeros(3, bool), donors, np.arange(3), Learner(trees=20), rng
    )
    for row in np.unique(donors):
        assert np.ptp(ours[donors == row]) == 0


def test_few_donors_have_no_models_and_many_have_one():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(900, 1)), rng.normal(size=900)
    kinds, wanted = np.zeros(1, bool), np.arange(5)
    ours, theirs = unseen_predictions(
        X, y, kinds, np.arange(40), wanted, Learner(), rng
    )
    assert np.isnan(ours).all()
    assert theirs.shape == (0, 5)
    small = Learner(trees=5, fit_rows=300)
    ours, theirs = unseen_predictions(X, y, kinds, np.arange(900), wanted, small, rng)
    assert theirs.shape == (1, 5)
    assert 200 < np.isnan(ours).sum() < 400


def test_the_mean_is_that_of_a_weighted_regression():
    x, n, rng = _split(500, 4)
    y = x[:n] + rng.normal(size=n)
    ours, theirs = 0.5 * x[:n], 0.5 * x[n:]
    found = expected_mean(
        x[:, None], y, np.array([False]), ours, theirs, most=10_000, rng=rng
    )
    z = ((x - x.mean()) / x.std())[:, None]
    model = LogisticRegression().fit(z, np.arange(500) >= n)
    weight = np.exp(model.decision_function(z[:n]))
    weight = np.minimum(weight, 10 * weight.mean())
    line = np.polyfit(ours, y, 1, w=np.sqrt(weight))
    assert found == pytest.approx(np.polyval(line, theirs.mean()))


@pytest.mark.parametrize("useless", ["predictions", "odds"])
def test_the_mean_is_right_if_either_part_is(useless):
    # No odds are so high here that they are cut off.
    apart, donors = [], []
    for seed in range(60):
        x, n, rng = _split(3000, 100 + seed, slope=0.6)
        right = np.exp(0.7 * x)
        y = right[:n] + 0.3 * rng.normal(size=n)
        noise = rng.normal(size=3000)
        X, predicted = (x, noise) if useless == "predictions" else (noise, right)
        found = expected_mean(
            X[:, None],
            y,
            np.array([False]),
            predicted[:n],
            predicted[n:],
            most=10_000,
            rng=rng,
        )
        apart.append(found - right[n:].mean())
        donors.append(y.mean() - right[n:].mean())
    error = np.std(apart, ddof=1) / np.sqrt(60)
    assert abs(np.mean(apart)) < 3 * error
    assert error < 0.01
    assert np.mean(donors) < -0.3


def test_gaps_codes_and_constants_are_no_obstacle():
    rng = np.random.default_rng(5)
    x, n, _ = _split(300, 5)
    X = np.column_stack([x, np.full(300, np.nan), np.ones(300), x > 0])
    X[::7, 0] = np.nan
    kinds = np.array([False, False, False, True])
    y = 1 + rng.normal(size=n)
    found = expected_mean(X, y, kinds, y, np.full(300 - n, 2.0), most=100, rng=rng)
    assert found == pytest.approx(2.0)
    constant = expected_mean(
        X, np.full(n, 4.0), kinds, np.ones(n), np.ones(300 - n), most=100, rng=rng
    )
    assert constant == pytest.approx(4.0)
