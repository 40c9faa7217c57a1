"""Gaussian maximum likelihood is quadratic discriminant analysis, and says more."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.utils.estimator_checks import parametrize_with_checks

from mlstats.errors import ConfigError, MethodError
from mlstats.imagery import MaximumLikelihood


@parametrize_with_checks([MaximumLikelihood()])
def test_scikit_learn_takes_it_for_a_classifier(estimator, check):
    check(estimator)


def pixels(seed=0, n=(60, 40, 25), bands=4):
    rng = np.random.default_rng(seed)
    parts, names = [], []
    for k, size in enumerate(n):
        mix = rng.normal(size=(bands, bands))
        parts.append(rng.normal(size=(size, bands)) @ mix + rng.normal(size=bands))
        names += [f"class {k}"] * size
    return np.vstack(parts), np.array(names)


@pytest.mark.parametrize("priors", ["equal", "sample", [0.5, 0.3, 0.2]])
def test_without_a_ridge_it_equals_scikit_learns(priors):
    X, y = pixels()
    found = MaximumLikelihood(ridge=0, priors=priors).fit(X, y)
    other = QuadraticDiscriminantAnalysis(priors=found.priors_).fit(X, y)
    new, _ = pixels(seed=1)
    assert np.array_equal(found.predict(new), other.predict(new))
    pairs = [
        (found.predict_proba(new), other.predict_proba(new)),
        (found.decision_function(new), other.decision_function(new)),
    ]
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-8)


def test_two_classes_have_one_discriminant():
    X, y = pixels(n=(50, 30))
    found = MaximumLikelihood(ridge=0, priors="sample").fit(X, y)
    other = QuadraticDiscriminantAnalysis().fit(X, y)
    np.testing.assert_allclose(
        found.decision_function(X), other.decision_function(X), rtol=1e-8, atol=1e-8
    )


def test_the_ridge_is_a_share_of_the_mean_variance():
    X, y = pixels()
    found = MaximumLikelihood(ridge=0.2).fit(X, y)
    density = []
    for k, name in enumerate(found.classes_):
        own = np.cov(X[y == name].T, bias=True)
        own += 0.2 * np.trace(own) / 4 * np.eye(4)
        np.testing.assert_allclose(found.covariances_[k], own)
        normal = multivariate_normal(X[y == name].mean(axis=0), own)
        density.append(normal.pdf(X))
    density = np.stack(density, axis=1)
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.predict_proba(X), expected, atol=1e-10)
    # The unit of the bands is of no account.
    scaled = MaximumLikelihood(ridge=0.2).fit(X * 1e4, y)
    np.testing.assert_allclose(scaled.predict_proba(X * 1e4), expected, atol=1e-10)


def test_a_class_with_too_few_pixels_gets_the_pooled_covariance():
    X, y = pixels(n=(60, 40, 4))
    found = MaximumLikelihood(ridge=0).fit(X, y)
    assert found.notes_ == ("class class 2: pooled covariance, 4 pixels for 4 bands",)
    within = sum(
        np.cov(X[y == name].T, bias=True) * (y == name).sum() for name in found.classes_
    )
    np.testing.assert_allclose(found.covariances_[2], within / len(X))
    np.testing.assert_allclose(found.covariances_[0], np.cov(X[:60].T, bias=True))
    assert MaximumLikelihood().fit(*pixels(n=(60, 40, 5))).notes_ == ()


def test_a_band_that_is_a_copy_is_refused_without_a_ridge():
    X, y = pixels()
    X = np.column_stack([X, X[:, 0]])
    with pytest.raises(MethodError, match="cannot be inverted"):
        MaximumLikelihood(ridge=0).fit(X, y)
    assert MaximumLikelihood().fit(X, y).score(X, y) > 0.5


@pytest.mark.parametrize(
    "parameters",
    [
        {"ridge": -1},
        {"priors": "area"},
        {"priors": [0.5, 0.5]},
        {"priors": [0.5, 0.4, 0.2]},
        {"priors": [1.5, -0.25, -0.25]},
    ],
)
def test_parameters_that_cannot_be_used(parameters):
    with pytest.raises(ConfigError):
        MaximumLikelihood(**parameters).fit(*pixels())


def test_a_prior_of_zero_leaves_a_class_out():
    X, y = pixels()
    found = MaximumLikelihood(priors=[0.5, 0.5, 0]).fit(X, y)
    assert set(found.predict(X)) == {"class 0", "class 1"}
    assert not found.predict_proba(X)[:, 2].any()
