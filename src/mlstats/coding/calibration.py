"""Scores made probabilities.

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

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, logsumexp

__all__ = ["Calibration", "platt_logistic"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TEMPERATURES = (1e-2, 1e3)
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
        weights = platt_logistic(evidence, first == truth)
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


def _behind(scores: Floats, best: Ints) -> Floats:
    """Return how far each code is behind the best one, minus infinity for itself."""
    first = np.take_along_axis(scores, best, axis=1)
    behind: Floats = np.subtract(scores, first, dtype=np.float64)
    np.put_along_axis(behind, best, -np.inf, axis=1)
    return behind


def platt_logistic(evidence: Floats, right: npt.NDArray[np.bool_]) -> Floats:
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
