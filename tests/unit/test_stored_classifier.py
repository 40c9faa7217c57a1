"""A stored classifier answers what was fitted, and only known types are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlstats.errors import ConfigError, SourceError
from mlstats.imagery import MaximumLikelihood
from mlstats.imagery.stored_classifier import StoredClassifier

NAMES = ["red", "nir", "NDVI"]
FITTED = {
    "likelihood": MaximumLikelihood(),
    "forest": RandomForestClassifier(8, random_state=1),
    "boosting": HistGradientBoostingClassifier(max_iter=5, random_state=1),
    "pipeline": make_pipeline(StandardScaler(), MaximumLikelihood()),
    "ridge": RidgeClassifier(),  # it has no probabilities
}


class Strange(ClassifierMixin, BaseEstimator):
    """A classifier of no library that is known."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Strange:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.full(len(X), self.classes_[0], object)


def pixels() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(2)
    y = rng.choice(["forest", "maize", "pasture"], 240).astype(object)
    place = pd.Categorical(y).codes[:, None] * np.array([0.6, -0.4, 0.8])
    values = rng.normal(0, 0.5, (240, 3)) + place
    return pd.DataFrame(values.astype(np.float32), columns=NAMES), y


def stored(estimator: Any) -> StoredClassifier:
    X, y = pixels()
    return StoredClassifier(estimator.fit(X.to_numpy(), y), NAMES)


@pytest.mark.parametrize("name", FITTED)
def test_what_was_saved_answers_the_same(name: str, tmp_path: Path):
    one, (X, y) = stored(FITTED[name]), pixels()
    one.save(tmp_path)
    again = StoredClassifier.load(tmp_path)
    assert again.features == NAMES
    assert list(again.classes_) == ["forest", "maize", "pasture"]
    told = again.predict(X)
    assert (told == one.estimator.predict(X.to_numpy())).all()
    assert (told == y).mean() > 0.6
    # By the names of the columns, whatever their order and what stands beside them.
    mixed = X[NAMES[::-1]].assign(id="a")
    assert (again.predict(mixed) == told).all()


def test_the_best_classes_stand_in_the_order_of_their_probabilities():
    one, (X, _) = stored(FITTED["likelihood"]), pixels()
    classes, scores = one.predict_top(X, 2)
    chances = one.estimator.predict_proba(X.to_numpy())
    order = np.argsort(-chances, axis=1)
    assert (classes == one.classes_[order[:, :2]]).all()
    np.testing.assert_allclose(scores, -np.sort(-chances, axis=1)[:, :2])
    more, rest = one.predict_top(X[:4], 5)
    assert more.shape == rest.shape == (4, 5)
    assert (more[:, 3:] == np.array(None)).all()
    assert np.isnan(rest[:, 3:]).all()


@pytest.mark.parametrize("name", ["likelihood", "ridge"])
def test_a_pixel_without_a_feature_has_no_class(name: str):
    one, (X, _) = stored(FITTED[name]), pixels()
    X.loc[3, "nir"] = np.nan
    told = one.predict(X)
    assert told[3] is None
    assert [v is None for v in told].count(True) == 1
    nothing = one.predict(X[3:4])
    assert list(nothing) == [None]


def test_a_new_fit_leaves_the_parameters_and_learns_the_data():
    one, (X, y) = stored(FITTED["forest"]), pixels()
    other = np.where(y == "maize", "rice", y).astype(object)
    one.fit(X.assign(id="a"), other)
    assert list(one.classes_) == ["forest", "pasture", "rice"]
    expected = RandomForestClassifier(8, random_state=1).fit(X.to_numpy(), other)
    assert (one.predict(X) == expected.predict(X.to_numpy())).all()


def test_a_type_that_is_not_trusted_is_neither_saved_nor_read(tmp_path: Path):
    one = stored(Strange())
    with pytest.raises(ConfigError, match="Strange, which is not trusted"):
        one.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    stored(FITTED["forest"]).save(tmp_path)
    skops.io.dump(one.estimator, tmp_path / "classifier.skops")
    with pytest.raises(ConfigError, match="Strange, which is not trusted"):
        StoredClassifier.load(tmp_path)


def test_what_cannot_be_read_is_named_by_its_file(tmp_path: Path):
    with pytest.raises(SourceError) as caught:
        StoredClassifier.load(tmp_path)
    assert caught.value.where == str(tmp_path / "classifier.skops")
    stored(FITTED["forest"]).save(tmp_path)
    path = tmp_path / "classifier.skops"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SourceError):
        StoredClassifier.load(tmp_path)
    (tmp_path / "features.json").write_text('{"columns": []}')
    with pytest.raises(SourceError):
        StoredClassifier.load(tmp_path)
