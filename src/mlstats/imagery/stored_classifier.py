"""A fitted classifier of pixels that can be stored, and answers by the class's name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.errors import SourceError
from mlstats.estimator_file import read_estimator, write_estimator
from mlstats.io import write_json

__all__ = ["StoredClassifier"]


class StoredClassifier:
    """A fitted classifier of scikit-learn with the names of its features.

    Parameters
    ----------
    estimator : object
        Fitted on the features in their order.
    features : sequence of str
        Columns that it reads.
    """

    def __init__(self, estimator: Any, features: Sequence[str]) -> None:
        self.estimator = estimator
        self.features = list(features)
        self.classes_ = np.asarray(estimator.classes_, dtype=object)

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> StoredClassifier:
        """Fit a new classifier of the same kind to features and classes."""
        from sklearn.base import clone

        values = np.asarray(X[self.features], dtype=np.float32)
        self.estimator = clone(self.estimator).fit(values, y)
        self.classes_ = np.asarray(self.estimator.classes_, dtype=object)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the class of each row, None where a feature is missing."""
        return np.asarray(self.predict_top(X, 1)[0][:, 0])

    def predict_top(self, X: pd.DataFrame, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Return the best `k` classes of each row and their probabilities."""
        values = X[self.features].to_numpy(dtype=np.float32)
        there = np.isfinite(values).all(axis=1)
        classes = np.full((len(X), k), None, dtype=object)
        scores = np.full((len(X), k), np.nan)
        if not there.any():
            return classes, scores
        if not hasattr(self.estimator, "predict_proba"):
            classes[there, 0] = self.estimator.predict(values[there])
            return classes, scores
        chances = np.asarray(self.estimator.predict_proba(values[there]))
        best = np.argsort(-chances, axis=1, kind="stable")[:, :k]
        classes[np.ix_(there, range(best.shape[1]))] = self.classes_[best]
        shown = np.take_along_axis(chances, best, axis=1)
        scores[np.ix_(there, range(best.shape[1]))] = shown
        return classes, scores

    def save(self, folder: Path) -> None:
        """Write the classifier (skops) and its features (json) to a folder.

        Raises
        ------
        ConfigError
            Where it holds a type that is not trusted.
        """
        write_estimator(Path(folder) / "classifier.skops", self.estimator)
        write_json(Path(folder) / "features.json", {"features": self.features})

    @classmethod
    def load(cls, folder: Path) -> StoredClassifier:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ConfigError
            Where the file holds a type that is not trusted.
        SourceError
            Where the folder does not hold it.
        """
        estimator = read_estimator(Path(folder) / "classifier.skops")
        try:
            text = (Path(folder) / "features.json").read_text(encoding="utf-8")
            return cls(estimator, json.loads(text)["features"])
        except (OSError, ValueError, KeyError) as error:
            raise SourceError(
                "The saved classifier cannot be read",
                where=str(folder),
                expected="a saved classifier",
            ) from error
