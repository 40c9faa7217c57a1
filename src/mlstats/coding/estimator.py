"""Any scikit-learn classifier on the text features of the linear method."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone

from mlstats.coding.calibration import Floats
from mlstats.coding.coder import CalibratedCoder, Objects, Scorer
from mlstats.coding.linear import (
    both_codes,
    described,
    restore,
    text_features,
)
from mlstats.coding.saved_model import read_description
from mlstats.errors import MethodError
from mlstats.estimator_file import read_estimator, write_estimator
from mlstats.writing import write_json

__all__ = ["SklearnText"]

_SMALLEST = 1e-12  # below it a probability is taken as this when its log is needed


class SklearnText(CalibratedCoder):
    """Any scikit-learn classifier on the same features.

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba``, ``decision_function`` or only ``predict``; it has to
        take a sparse matrix.
    word_ngrams, min_characters, max_characters, character_weight, sublinear
        As in :class:`TextFeatures`.
    covariates, covariate_weight, bands, min_units
        As in :class:`TextFeatures`.
    random_state : int, default=0
        Held-out rows; the classifier has a seed of its own.

    Attributes
    ----------
    classes_ : ndarray of object
        The codes, sorted.
    features_ : TextFeatures
        Vocabulary and weights of the terms.
    estimator_ : classifier
        Fitted.
    """

    def __init__(
        self,
        estimator: Any,
        *,
        word_ngrams: int = 2,
        min_characters: int = 2,
        max_characters: int = 5,
        character_weight: float = 2.0,
        covariate_weight: float = 1.0,
        sublinear: bool = False,
        covariates: str = "tokens",
        bands: int = 10,
        min_units: int = 2,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.word_ngrams = word_ngrams
        self.min_characters = min_characters
        self.max_characters = max_characters
        self.character_weight = character_weight
        self.covariate_weight = covariate_weight
        self.sublinear = sublinear
        self.covariates = covariates
        self.bands = bands
        self.min_units = min_units
        self.random_state = random_state

    def save(self, folder: Path) -> None:
        """Write the classifier (skops) and the rest (json) to a folder.

        Raises
        ------
        ConfigError
            If the classifier holds a type that is not trusted.
        """
        about = described(self)
        write_estimator(Path(folder) / "estimator.skops", self.estimator_)
        write_json(Path(folder) / "sklearn.json", about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        ConfigError
            If the file holds a type that is not trusted.
        SourceError
            If the folder does not hold it.
        """
        about = read_description(Path(folder) / "sklearn.json")
        estimator = read_estimator(Path(folder) / "estimator.skops")
        coder = cls(estimator, **about["parameters"])
        coder.estimator_ = estimator
        restore(coder, about)
        return coder

    def _learn(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        self.features_ = text_features(self, rows, groups)
        self.estimator_ = clone(self.estimator)
        try:
            self.estimator_.fit(self._matrix(rows), codes)
        except (TypeError, ValueError) as error:
            raise MethodError(
                f"{type(self.estimator).__name__} failed with {type(error).__name__} "
                "while it fitted",
                expected="a classifier that takes a sparse matrix and text labels",
            ) from None  # its message may quote a code
        self.classes_ = np.asarray(self.estimator_.classes_, dtype=object)

    def _scorer(self, rows: pd.DataFrame) -> Scorer:
        matrix = self._matrix(rows)
        return lambda part: self._scored_by_estimator(matrix[part])

    def _scored_by_estimator(self, matrix: sparse.csr_matrix) -> Floats:
        if hasattr(self.estimator_, "predict_proba"):
            chances = np.asarray(self.estimator_.predict_proba(matrix), dtype=float)
            logs: Floats = np.log(np.maximum(chances, _SMALLEST))
            return logs
        if hasattr(self.estimator_, "decision_function"):
            scores = np.asarray(self.estimator_.decision_function(matrix), dtype=float)
            return both_codes(scores[None, :]).T if scores.ndim == 1 else scores
        best = np.asarray(self.estimator_.predict(matrix), dtype=object)
        is_best: Floats = (best[:, None] == self.classes_).astype(float)
        return is_best

    def _matrix(self, rows: pd.DataFrame) -> sparse.csr_matrix:
        # The older matrix type, with 32-bit indices: every classifier takes it.
        return sparse.csr_matrix(self.features_.transform(rows))
