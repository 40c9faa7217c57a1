"""Linear classifiers on TF-IDF of words and characters, with probabilities.

Short descriptions with many codes: one linear score per code against all others
does what larger models do, in seconds and on one core.
"""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from mlstats.coding.calibration import CalibratedCoder, Calibration, Floats, Objects
from mlstats.coding.features import TextFeatures
from mlstats.errors import ConfigError, MethodError, SourceError
from mlstats.writing import write_atomic, write_json

__all__ = ["LinearText", "SklearnText", "TextFeatures"]

_log = logging.getLogger(__name__)

_TRUSTED = ("sklearn.", "numpy.", "scipy.")
_SMALLEST = 1e-12  # below it a probability is taken as this when its log is needed


class LinearText(CalibratedCoder):
    """Support vector machine, one code against the rest, on words and characters.

    Parameters
    ----------
    C : float, default=0.3
        Cost of an error against the length of the weights.
    word_ngrams, min_characters, max_characters, character_weight
        As in :class:`TextFeatures`.
    covariates : {"tokens", "ignore"}, default="tokens"
        Whether the columns beside ``text`` are used.
    min_units : int, default=2
        A term used by fewer units, or clusters, is not in the model.
    random_state : int, default=0
        Order in which the solver visits rows, and the held-out rows.

    Attributes
    ----------
    classes_ : ndarray of object
        The codes, sorted.
    features_ : TextFeatures
        Vocabulary and weights of the terms.
    coef_ : ndarray, shape (terms, codes)
        Weights.
    intercept_ : ndarray, shape (codes,)

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["whole milk", "milk", "rye bread", "bread"]})
    >>> coder = LinearText(min_units=1).fit(X, pd.Series(["0114"] * 2 + ["0111"] * 2))
    >>> coder.predict(pd.DataFrame({"text": ["Skimmed MILK", "..."]})).tolist()
    ['0114', None]
    """

    def __init__(
        self,
        *,
        C: float = 0.3,
        word_ngrams: int = 2,
        min_characters: int = 2,
        max_characters: int = 5,
        character_weight: float = 2.0,
        covariates: str = "tokens",
        min_units: int = 2,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.word_ngrams = word_ngrams
        self.min_characters = min_characters
        self.max_characters = max_characters
        self.character_weight = character_weight
        self.covariates = covariates
        self.min_units = min_units
        self.random_state = random_state

    def save(self, folder: Path) -> None:
        """Write weights (npz) and vocabulary, codes, calibration (json) to a folder."""
        about = _described(self)

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, coef=self.coef_, intercept=self.intercept_)

        write_atomic(Path(folder) / "linear.npz", write)
        write_json(Path(folder) / "linear.json", about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        SourceError
            If the folder does not hold it.
        """
        about = _read_json(Path(folder) / "linear.json")
        coder = cls(**about["parameters"])
        try:
            with np.load(Path(folder) / "linear.npz", allow_pickle=False) as weights:
                coder.coef_, coder.intercept_ = weights["coef"], weights["intercept"]
        except (OSError, ValueError, KeyError) as error:
            raise _unreadable(Path(folder) / "linear.npz") from error
        _restore(coder, about)
        return coder

    def _learn(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        self.features_ = _features(self, rows, groups)
        machine = LinearSVC(C=self.C, dual=True, random_state=self.random_state)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ConvergenceWarning)
            machine.fit(self.features_.transform(rows), codes)
        if any(issubclass(w.category, ConvergenceWarning) for w in said):
            _log.warning("The linear classifier stopped before it converged")
        self.classes_ = np.asarray(machine.classes_, dtype=object)
        self.coef_ = np.ascontiguousarray(_both(machine.coef_).T)
        self.intercept_ = _both(machine.intercept_[:, None])[:, 0]

    def _scores(self, rows: pd.DataFrame) -> Floats:
        """Add up the blocks; characters by distinct word, which spares most work."""
        scores = np.tile(self.intercept_, (len(rows), 1))
        start = 0
        for kind, block in self.features_.blocks(rows).items():
            weights = self.coef_[start : start + len(block.names)]
            start += len(block.names)
            if kind == "characters":
                scores += block.rows @ (block.items @ weights)
            else:
                scores += block.counts @ weights
        return scores


class SklearnText(CalibratedCoder):
    """Any scikit-learn classifier on the same features.

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba``, ``decision_function`` or only ``predict``; it has to
        take a sparse matrix.
    word_ngrams, min_characters, max_characters, character_weight, covariates, min_units
        As in :class:`LinearText`.
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
        covariates: str = "tokens",
        min_units: int = 2,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.word_ngrams = word_ngrams
        self.min_characters = min_characters
        self.max_characters = max_characters
        self.character_weight = character_weight
        self.covariates = covariates
        self.min_units = min_units
        self.random_state = random_state

    def save(self, folder: Path) -> None:
        """Write the classifier (skops) and the rest (json) to a folder.

        Raises
        ------
        ConfigError
            If the classifier holds a type that is not scikit-learn's, numpy's or
            scipy's.
        """
        import skops.io

        about = _described(self)

        def write(path: Path) -> None:
            skops.io.dump(self.estimator_, path)
            _trusted_types(path)

        write_atomic(Path(folder) / "estimator.skops", write)
        write_json(Path(folder) / "sklearn.json", about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        ConfigError
            If the file holds a type that is not scikit-learn's, numpy's or scipy's.
        SourceError
            If the folder does not hold it.
        """
        import skops.io

        about = _read_json(Path(folder) / "sklearn.json")
        path = Path(folder) / "estimator.skops"
        try:
            estimator = skops.io.load(path, trusted=_trusted_types(path))
        except (OSError, BadZipFile) as error:
            raise _unreadable(path) from error
        coder = cls(estimator, **about["parameters"])
        coder.estimator_ = estimator
        _restore(coder, about)
        return coder

    def _learn(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        self.features_ = _features(self, rows, groups)
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

    def _scores(self, rows: pd.DataFrame) -> Floats:
        matrix = self._matrix(rows)
        if hasattr(self.estimator_, "predict_proba"):
            chances = np.asarray(self.estimator_.predict_proba(matrix), dtype=float)
            logs: Floats = np.log(np.maximum(chances, _SMALLEST))
            return logs
        if hasattr(self.estimator_, "decision_function"):
            scores = np.asarray(self.estimator_.decision_function(matrix), dtype=float)
            return _both(scores[None, :]).T if scores.ndim == 1 else scores
        best = np.asarray(self.estimator_.predict(matrix), dtype=object)
        is_best: Floats = (best[:, None] == self.classes_).astype(float)
        return is_best

    def _matrix(self, rows: pd.DataFrame) -> sparse.csr_matrix:
        # The older matrix type, with 32-bit indices: every classifier takes it.
        return sparse.csr_matrix(self.features_.transform(rows))


def _features(
    coder: LinearText | SklearnText, rows: pd.DataFrame, groups: pd.Series | None
) -> TextFeatures:
    names = TextFeatures().get_params(deep=False)
    features = TextFeatures(**{name: getattr(coder, name) for name in names})
    features.fit(rows, groups=groups)
    if not any(map(len, features.names_.values())):
        raise MethodError(
            f"No term is used by {coder.min_units} units or clusters",
            hint="give more training rows, or set min_units: 1 for public texts",
        )
    return features


def _both(scores: Floats) -> Floats:
    """Return a row per code where scikit-learn gives one row for two codes."""
    return np.vstack([-scores, scores]) if len(scores) == 1 else scores


def _described(coder: LinearText | SklearnText) -> dict[str, Any]:
    parameters = coder.get_params(deep=False)
    parameters.pop("estimator", None)
    return {
        "parameters": parameters,
        "classes": coder.classes_.tolist(),
        "features": coder.features_.to_dict(),
        "calibration": vars(coder._probabilities_ready()),
    }


def _restore(coder: LinearText | SklearnText, about: dict[str, Any]) -> None:
    coder.classes_ = np.array(about["classes"], dtype=object)
    coder.features_ = TextFeatures.from_dict(about["features"])
    coder._calibration = Calibration(**about["calibration"])
    coder._training = None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    return about


def _unreadable(path: Path) -> SourceError:
    return SourceError(
        "The saved model cannot be read", where=str(path), expected="a saved model"
    )


def _trusted_types(path: Path) -> list[str]:
    """Return the types in a skops file that have to be trusted by name."""
    import skops.io

    types: list[str] = skops.io.get_untrusted_types(file=path)
    strange = [name for name in types if not name.startswith(_TRUSTED)]
    if strange:
        raise ConfigError(
            f"The classifier holds the type {strange[0]}, which is not trusted",
            where=str(path.parent),
            expected="types of scikit-learn, numpy and scipy",
            hint="use a classifier of scikit-learn",
        )
    return types
