"""What all methods share that give every code a score: fit, calibrate, predict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from mlstats.coding.calibration import Calibration, Floats, Ints
from mlstats.coding.text import normalise
from mlstats.errors import MethodError, nearest
from mlstats.scale import row_blocks

__all__ = ["CalibratedCoder", "Objects", "Scorer", "coded_rows"]

Objects = npt.NDArray[np.object_]
Scorer = Callable[[slice], Any]  # scores of some of the rows, of any float type

_PREPARED = 2**16  # rows whose terms are cut at a time
_BLOCK_CELLS = 2**20  # rows x codes worked on at a time: 8 MiB a matrix
_HELD_OUT = 0.2


class CalibratedCoder(BaseEstimator, ABC):  # type: ignore[misc]  # sklearn is untyped
    """What the methods share that give every code a score.

    A subclass learns from coded rows and scores rows; texts reach it normalised and
    none of them is empty.

    Attributes
    ----------
    classes_ : ndarray of object
        The codes of the training rows, sorted.
    """

    kind_of_work: ClassVar[str] = "predict"
    confidential: ClassVar[bool] = True

    random_state: int
    classes_: Objects
    _calibration: Calibration | None
    _training: tuple[pd.DataFrame, Objects, pd.Series | None] | None

    def fit(
        self, X: pd.DataFrame, y: pd.Series, groups: pd.Series | None = None
    ) -> Self:
        """Learn from coded rows; those without a word or a code are passed over.

        Parameters
        ----------
        X : DataFrame, shape (n, 1 + covariates)
            Column ``text``; every other column is a covariate.
        y : Series of str, shape (n,)
            Codes.
        groups : Series, shape (n,), optional
            Cluster of each row (household); a term enters the model only if
            enough clusters use it.

        Raises
        ------
        ConfigError
            If a parameter does not fit.
        MethodError
            If fewer than two codes are left.
        """
        rows, codes, used = coded_rows(X, y)
        if len(set(codes)) < 2:
            raise MethodError(
                f"The training rows have {len(set(codes))} codes",
                expected="at least two codes among the rows with a text and a code",
            )
        clusters = None
        if groups is not None:
            clusters = pd.Series(groups)[used].reset_index(drop=True)
        self._learn(rows, codes, clusters)
        self._calibration = None
        self._training = (rows, codes, clusters)
        return self

    def calibrate(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit the probabilities on coded rows that :meth:`fit` never saw.

        Without this call the first use of a probability holds a fifth of the
        training rows (clusters) out, learns from the rest and calibrates on them.

        Parameters
        ----------
        X, y : DataFrame and Series
            As in :meth:`fit`.
        """
        check_is_fitted(self, "classes_")
        rows, codes, _ = coded_rows(X, y)
        self._calibration = self._calibrated_on(rows, codes)
        self._training = None
        return self

    def leave_uncalibrated(self) -> Self:
        """Let probabilities be the plain softmax of the scores."""
        check_is_fitted(self, "classes_")
        self._calibration = Calibration()
        self._training = None
        return self

    def predict(self, X: pd.DataFrame) -> Objects:
        """Return the best code of each row, None where the text has no word.

        Parameters
        ----------
        X : DataFrame, shape (n, 1 + covariates)
            The columns of :meth:`fit`.

        Returns
        -------
        ndarray of object, shape (n,)
        """
        codes = np.full(len(X), None, dtype=object)
        for row, scores in self._scored(X):
            codes[row] = self.classes_[scores.argmax(axis=1)]
        return codes

    def predict_top(self, X: pd.DataFrame, k: int = 5) -> tuple[Objects, Floats]:
        """Return the best codes of each row.

        Parameters
        ----------
        X : DataFrame, shape (n, 1 + covariates)
            The columns of :meth:`fit`.
        k : int, default=5
            Number of candidates.

        Returns
        -------
        codes : ndarray of object, shape (n, k)
            Best first; None where there is no candidate.
        scores : ndarray of float, shape (n, k)
            Calibrated probabilities; 0 where there is no candidate.
        """
        codes = np.full((len(X), k), None, dtype=object)
        confidence = np.zeros((len(X), k))
        calibration = self._probabilities_ready()
        wide = min(k, len(self.classes_))
        for row, scores in self._scored(X):
            best, chances = calibration.ranked(scores, wide)
            codes[row, :wide] = self.classes_[best]
            confidence[row, :wide] = chances
        return codes, confidence

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Return the probability of each code of ``classes_``.

        Parameters
        ----------
        X : DataFrame, shape (n, 1 + covariates)
            The columns of :meth:`fit`.

        Returns
        -------
        ndarray of float, shape (n, codes)
            Zeros where the text has no word. A row may sum to less than 1, see
            :meth:`Calibration.probabilities`.
        """
        chances = np.zeros((len(X), len(self.classes_)))
        calibration = self._probabilities_ready()
        for row, scores in self._scored(X):
            chances[row] = calibration.probabilities(scores)
        return chances

    @abstractmethod
    def _learn(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        """Learn from rows with a text and a code, and set ``classes_``."""

    def _scores(self, rows: pd.DataFrame) -> Floats:
        """Return a score for each row and each code of ``classes_``."""
        scores: Floats = self._scorer(rows)(slice(0, len(rows)))
        return scores

    @abstractmethod
    def _scorer(self, rows: pd.DataFrame) -> Scorer:
        """Prepare rows, once for each distinct word, and return what scores some."""

    def _scored(self, X: pd.DataFrame) -> Iterator[tuple[Ints, Floats]]:
        """Yield row numbers and scores of the rows with a word, block by block."""
        check_is_fitted(self, "classes_")
        rows = _normalised(X)
        there = np.flatnonzero(rows["text"] != "")
        size = max(1, _BLOCK_CELLS // len(self.classes_))
        for prepared in row_blocks(len(there), _PREPARED):
            row = there[prepared]
            score = self._scorer(rows.iloc[row])
            for part in row_blocks(len(row), size):
                yield row[part], score(part)

    def _probabilities_ready(self) -> Calibration:
        check_is_fitted(self, "classes_")
        if self._calibration is None:
            self._calibration = self._held_out_calibration()
            self._training = None
        return self._calibration

    def _held_out_calibration(self) -> Calibration:
        """Calibrate a twin that learned from four fifths on the last fifth."""
        if self._training is None:
            return Calibration()
        rows, codes, groups = self._training
        cluster = np.arange(len(rows)) if groups is None else pd.factorize(groups)[0]
        alone = cluster < 0
        cluster[alone] = cluster.max() + 1 + np.arange(alone.sum())
        chance = np.random.default_rng(self.random_state).random(cluster.max() + 1)
        held = chance[cluster] < _HELD_OUT
        if held.all() or not held.any() or len(set(codes[~held])) < 2:
            return Calibration()
        twin = clone(self)
        kept = None if groups is None else groups[~held].reset_index(drop=True)
        twin._learn(rows[~held].reset_index(drop=True), codes[~held], kept)
        calibration: Calibration = twin._calibrated_on(rows[held], codes[held])
        return calibration

    def _calibrated_on(self, rows: pd.DataFrame, codes: Objects) -> Calibration:
        if rows.empty:
            return Calibration()
        truth = pd.Index(self.classes_).get_indexer(pd.Index(codes))
        return Calibration.fit(self._scores(rows), truth)


def _normalised(X: pd.DataFrame) -> pd.DataFrame:
    if "text" not in X:
        raise MethodError(
            "The data have no column 'text'",
            expected="the texts to be coded in the column 'text'",
            nearest=nearest("text", map(str, X.columns)),
        )
    return X.assign(text=normalise(X["text"]))


def coded_rows(
    X: pd.DataFrame, y: pd.Series
) -> tuple[pd.DataFrame, Objects, npt.NDArray[np.bool_]]:
    """Return the rows with a word and a code, their codes, and which they are."""
    rows, codes = _normalised(X), pd.Series(y)
    there = codes.notna() & (codes != "")
    used = (rows["text"] != "").to_numpy() & there.to_numpy()
    return rows[used].reset_index(drop=True), codes[used].to_numpy(dtype=object), used
