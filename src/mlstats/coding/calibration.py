"""Scores made probabilities, and what all methods that score every code share.

A score says which code is better; a threshold needs to know how often it is right.
Two steps, both fitted on coded rows that the method never learned from:

1. Temperature (Guo et al. 2017, On calibration of modern neural networks, section
   4.2): p = softmax(t s), with the t that makes the log-loss smallest.
2. Reliability of the best code (Platt 1999, Probabilistic outputs for support vector
   machines): P(right) = sigmoid(a + b logit(p1) + c (s1 - s2)), b and c not below 0,
   so that a clearer lead never lowers the confidence. One temperature cannot suit
   hundreds of one-against-rest scores; this step repairs what production uses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, logsumexp
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from mlstats.coding.text import normalise
from mlstats.errors import MethodError, nearest
from mlstats.scale import row_blocks

__all__ = ["CalibratedCoder", "Calibration"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

Scorer = Callable[[slice], Any]  # scores of some of the rows, of any float type

_PREPARED = 2**16  # rows whose terms are cut at a time: bounds the memory
_BLOCK_CELLS = 2**20  # rows x codes worked on at a time: 8 MiB a matrix
_TEMPERATURES = (1e-2, 1e3)
_HELD_OUT = 0.2
_SMALLEST = 1e-300  # a sum of probabilities that underflowed is taken as this
_RIDGE = 1e-3  # keeps the reliability finite where every row is right, or none


@dataclass(frozen=True)
class Calibration:
    """A map from scores to probabilities; the default is the plain softmax.

    Attributes
    ----------
    temperature : float
        Factor t of the scores.
    intercept, log_odds, lead : float
        a, b and c of the reliability of the best code.
    """

    temperature: float = 1.0
    intercept: float = 0.0
    log_odds: float = 1.0
    lead: float = 0.0

    @classmethod
    def fit(cls, scores: Floats, truth: Ints) -> Calibration:
        """Fit both steps.

        Parameters
        ----------
        scores : ndarray, shape (n, codes)
            Any real numbers, higher is better; at least two codes.
        truth : ndarray of int, shape (n,)
            Column of the true code, -1 where it is none of the columns: such a row
            tells nothing about the temperature, and its best code is wrong.
        """
        known = truth >= 0
        if not known.any():
            return cls()
        inside, column = scores[known].astype(np.float64), truth[known][:, None]

        def log_loss(log_temperature: float) -> float:
            logs = log_softmax(np.exp(log_temperature) * inside, axis=1)
            return float(-np.take_along_axis(logs, column, axis=1).mean())

        bounds = np.log(_TEMPERATURES)
        best = minimize_scalar(log_loss, bounds=bounds, method="bounded")
        temperature = float(np.exp(best.x))
        first = scores.argmax(axis=1)
        behind = _behind(scores, first[:, None])
        log_odds = -logsumexp(temperature * behind, axis=1)
        lead = -behind.max(axis=1)
        evidence = np.column_stack([np.ones(len(scores)), log_odds, lead])
        weights = _logistic(evidence, first == truth)
        return cls(temperature, *map(float, weights))

    def probabilities(self, scores: Floats) -> Floats:
        """Return the probability of each code.

        The best code gets its reliability; the others share the rest in proportion
        to the softmax, none of them more than the best one. A row therefore sums to
        1 or less, and its order is that of the scores.

        Parameters
        ----------
        scores : ndarray, shape (n, codes)

        Returns
        -------
        ndarray, shape (n, codes)
        """
        best = scores.argmax(axis=1)[:, None]
        chances, reliability = self._shares(scores, best)
        np.put_along_axis(chances, best, reliability, axis=1)
        return chances

    def ranked(self, scores: Floats, k: int) -> tuple[Ints, Floats]:
        """Return the columns of the `k` best codes and their probabilities.

        Parameters
        ----------
        scores : ndarray, shape (n, codes)
        k : int
            At most the number of codes.

        Returns
        -------
        best : ndarray of int, shape (n, k)
            Best first; of equal scores the column to the left.
        chances : ndarray, shape (n, k)
        """
        best = _best(scores, k)
        chances, reliability = self._shares(scores, best[:, :1])
        chances = np.take_along_axis(chances, best, axis=1)
        chances[:, :1] = reliability
        return best, chances

    def _shares(self, scores: Floats, best: Ints) -> tuple[Floats, Floats]:
        """Return the other codes' probabilities and the reliability of the best."""
        behind = _behind(scores, best)
        lead = -behind.max(axis=1, keepdims=True)
        shares = np.exp(np.multiply(behind, self.temperature, out=behind), out=behind)
        total = np.maximum(shares.sum(axis=1, keepdims=True), _SMALLEST)
        line = self.intercept - self.log_odds * np.log(total) + self.lead * lead
        reliability = expit(line)
        shares *= (1 - reliability) / total
        return np.minimum(shares, reliability, out=shares), reliability


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
        rows, codes, used = _coded(X, y)
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
        rows, codes, _ = _coded(X, y)
        self._calibration = self._calibrated_on(rows, codes)
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


def _coded(
    X: pd.DataFrame, y: pd.Series
) -> tuple[pd.DataFrame, Objects, npt.NDArray[np.bool_]]:
    """Return the rows with a word and a code, their codes, and which they are."""
    rows, codes = _normalised(X), pd.Series(y)
    there = codes.notna() & (codes != "")
    used = (rows["text"] != "").to_numpy() & there.to_numpy()
    return rows[used].reset_index(drop=True), codes[used].to_numpy(dtype=object), used


def _behind(scores: Floats, best: Ints) -> Floats:
    """Return how far each code is behind the best one, minus infinity for itself."""
    first = np.take_along_axis(scores, best, axis=1)
    behind: Floats = np.subtract(scores, first, dtype=np.float64)
    np.put_along_axis(behind, best, -np.inf, axis=1)
    return behind


def _logistic(evidence: Floats, right: npt.NDArray[np.bool_]) -> Floats:
    """Fit P(right) with Platt's targets, the two slopes not below 0."""
    hits = int(right.sum())
    target = np.where(
        right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2)
    )  # Platt 1999, section 2.2: keeps the fit finite where nothing is wrong

    def loss(weights: Floats) -> tuple[float, Floats]:
        line = evidence @ weights
        value = np.mean(np.logaddexp(0, line) - target * line)
        slope = evidence.T @ (expit(line) - target) / len(target)
        ridge = _RIDGE * np.array([0.0, 1.0, 1.0]) / len(target)
        return float(value + ridge @ weights**2 / 2), slope + ridge * weights

    bounds = [(None, None), (0, None), (0, None)]
    found = minimize(loss, [0.0, 1.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(found.x, dtype=np.float64)


def _best(scores: Floats, k: int) -> Ints:
    """Return the columns of the k highest scores, highest first."""
    left = scores.copy()
    best = np.empty((len(scores), k), dtype=np.int64)
    for rank in range(k):
        column = left.argmax(axis=1)[:, None]
        best[:, rank : rank + 1] = column
        np.put_along_axis(left, column, -np.inf, axis=1)
    return best
