"""Shares of classes under misclassification: four estimators and their errors.

Counting predictions gives biased shares however many units there are. An audit in
which the truth was found for a probability sample corrects them (Kloos, Meertens,
Scholtus and Karch 2020/21, "Comparing correction methods to reduce misclassification
bias", BNAIC). With ``P[i, j] = P(predicted j | true i)``, ``C[i, j] = P(true i |
predicted j)`` and ``a*`` the predicted shares:

==================== ==================== =============================================
classify and count   ``a*``               no audit; its bias does not vanish
subtracted bias      ``2 a* - P' a*``     takes off an estimate of the bias
misclassification    ``inv(P') a*``       holds on when the true shares move
calibration          ``C a*``             unbiased where the audit is of these very data
==================== ==================== =============================================

The audit must be of the current population for the calibration estimator; ``P`` from
an older audit is still right where only the true shares have moved. Nothing is
clipped: a share below 0 or above 1 is told as it is, and said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.errors import MlstatsError
from mlstats.quality.design import Design
from mlstats.quality.estimate import (
    NO_VARIATION,
    Estimate,
    absent,
    as_table,
    t_estimate,
)

__all__ = ["ESTIMATORS", "Audit", "Estimator", "corrected_shares"]

Estimator = Literal[
    "classify_and_count", "subtracted_bias", "misclassification", "calibration"
]
ESTIMATORS: Sequence[Estimator] = (
    "classify_and_count",
    "subtracted_bias",
    "misclassification",
    "calibration",
)
# Beyond this condition number the inverse of P' magnifies the audit's error so much
# that no digit of the shares can be trusted at the size of any audit.
_SINGULAR = 1e8


@dataclass(frozen=True)
class Audit:
    """A probability sample of units whose truth was found.

    Parameters
    ----------
    design : Design
        With the inverse inclusion probabilities as weights; an audit stratified by
        predicted code has these strata.
    true, predicted : numpy.ndarray of int, shape (n,)
        Position of each code in `classes`.
    classes : tuple of str
        All classes.
    """

    design: Design
    true: np.ndarray
    predicted: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        design: Design,
        truth: np.ndarray,
        prediction: np.ndarray,
        classes: Sequence[str],
    ) -> Audit:
        """Return an audit from the codes of its units.

        Parameters
        ----------
        design : Design
            Of the audit.
        truth, prediction : numpy.ndarray of object, shape (n,)
            Codes; give what is not coded a class of its own.
        classes : sequence of str
            All classes, of the population as well.

        Raises
        ------
        MlstatsError
            Where a code of the audit is not among the classes.
        """
        index = pd.Index(list(classes), dtype=object)
        true = index.get_indexer(pd.Index(truth, dtype=object))
        predicted = index.get_indexer(pd.Index(prediction, dtype=object))
        strange = int(((true < 0) | (predicted < 0)).sum())
        if strange:
            raise MlstatsError(
                f"{strange} audited units have a code outside the classes",
                expected="every code, and the mark of uncoded units, among the classes",
            )
        return cls(design, true, predicted, tuple(classes))

    def table(self) -> np.ndarray:
        """Return the weighted table of truth (rows) and prediction (columns)."""
        k = len(self.classes)
        cell = self.true * k + self.predicted
        return np.bincount(cell, self.design.weight, minlength=k * k).reshape(k, k)


def corrected_shares(
    audit: Audit,
    predicted_shares: np.ndarray,
    *,
    current: bool = True,
    shares_covariance: np.ndarray | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate the true share of every class by each estimator.

    Standard errors are linearised over the design of the audit. The bias of counting
    is its difference to the calibration estimate, that of subtracting is
    ``-(I - P')**2 a``; the misclassification estimator's is of the order of one over
    the audit's size and comes from the second order of the linearisation. The squares
    of estimated biases are too large by the variance of the estimate, which the mean
    squared error takes off. Where the audit is not current the calibration estimator
    is not used and the misclassification estimator takes its part.

    Parameters
    ----------
    audit : Audit
        Of the population whose shares are wanted.
    predicted_shares : numpy.ndarray, shape (classes,)
        Share of each class among the predictions, of all units or of a larger sample.
    current : bool
        Whether the audit was drawn from the units whose shares are wanted.
    shares_covariance : numpy.ndarray, shape (classes, classes), optional
        Of the predicted shares where they come from a sample; none: they are known.
        Their covariance with the audit's error is neglected.

    Returns
    -------
    pandas.DataFrame
        Columns estimator, class, bias, bias_se, mse and those of
        :class:`~mlstats.quality.estimate.Estimate`. Where the audit lacks a class that
        an estimator needs, or ``P`` is singular, its rows say so and have no value.
    """
    a_star = np.asarray(predicted_shares, dtype=float)
    k = len(audit.classes)
    known = np.zeros((k, k)) if shares_covariance is None else shares_covariance
    fault = audit.design.fault or _unfit(a_star, k)
    solver = None if fault else _Solver(audit, a_star, current=current)
    rows = []
    for estimator in ESTIMATORS:
        solved = fault if solver is None else solver.solve(estimator)
        if isinstance(solved, str):
            rows += _unsolved(audit, estimator, solved)
        else:
            rows += _solved_rows(audit, estimator, solved, known, confidence)
    return as_table(rows, ["estimator", "class", "bias", "bias_se", "mse"])


@dataclass(frozen=True)
class _Solved:
    """Shares by one estimator and what their errors are made of."""

    value: np.ndarray  # (classes,)
    scores: np.ndarray  # (n, classes), influence of the audited units
    slope: np.ndarray  # (classes, classes), in the predicted shares
    bias: np.ndarray  # (classes,)
    bias_scores: np.ndarray | None  # (n, classes); None: of no account


class _Solver:
    """The weighted audit table and what all estimators take from it."""

    def __init__(self, audit: Audit, a_star: np.ndarray, *, current: bool) -> None:
        self._a_star, self._current = a_star, current
        self._unit = np.eye(len(a_star))
        table = audit.table()
        of_true, of_predicted = table.sum(axis=1), table.sum(axis=0)
        held = of_true > 0
        # A class that is neither true nor predicted anywhere stays where it is.
        self._no_truth = ~held & ((a_star > 0) | (of_predicted > 0))
        self._no_prediction = (of_predicted == 0) & (a_star > 0)
        p = np.divide(table, of_true[:, None], out=self._unit.copy(),
                      where=held[:, None])  # fmt: skip
        filled = of_predicted[None, :] > 0
        self._p = p
        self._c = np.divide(table, of_predicted, out=np.zeros_like(p), where=filled)
        w, i, j = audit.design.weight, audit.true, audit.predicted
        share = np.divide(w, of_true[i], out=np.zeros_like(w), where=of_true[i] > 0)
        self._row = (self._unit[j] - p[i]) * share[:, None]
        among = np.divide(
            w, of_predicted[j], out=np.zeros_like(w), where=of_predicted[j] > 0
        )
        self._column = (self._unit[i] - self._c[:, j].T) * among[:, None]
        self._true, self._predicted = i, j
        squares = np.bincount(i, w**2, minlength=len(a_star))
        self._size = np.divide(
            of_true**2, squares, out=np.ones_like(of_true), where=squares > 0
        )

    def solve(self, estimator: Estimator) -> _Solved | str:
        """Return the shares, or why there are none."""
        if estimator == "classify_and_count":
            return self._classify_and_count()
        if estimator == "subtracted_bias":
            return self._subtracted_bias()
        if estimator == "misclassification":
            return self._misclassification()
        return self._calibration()

    def _unbiased(self) -> _Solved | None:
        """Return the estimate that the biases of others are measured by."""
        for solved in (self._calibration(), self._misclassification()):
            if isinstance(solved, _Solved):
                return solved
        return None

    def _classify_and_count(self) -> _Solved:
        truth, a_star = self._unbiased(), self._a_star
        none, unknown = np.zeros_like(self._row), np.full(len(a_star), np.nan)
        if truth is None:
            return _Solved(a_star, none, self._unit, unknown, None)
        bias = a_star - truth.value
        return _Solved(a_star, none, self._unit, bias, -truth.scores)

    def _subtracted_bias(self) -> _Solved | str:
        missing = int((self._no_truth & (self._a_star > 0)).sum())
        if missing:
            return _missing(missing, "true")
        value = 2 * self._a_star - self._p.T @ self._a_star
        scores = -self._row * self._a_star[self._true][:, None]
        slope = 2 * self._unit - self._p.T
        truth = self._unbiased()
        if truth is None:
            return _Solved(value, scores, slope, np.full(len(value), np.nan), None)
        apart = self._unit - self._p.T
        off = apart @ truth.value
        bias_scores = (
            self._row * off[self._true][:, None]
            + self._row @ apart.T * truth.value[self._true][:, None]
            - truth.scores @ (apart @ apart).T
        )
        return _Solved(value, scores, slope, -apart @ off, bias_scores)

    def _misclassification(self) -> _Solved | str:
        missing = int(self._no_truth.sum())
        if missing:
            return _missing(missing, "true")
        if np.linalg.cond(self._p) > _SINGULAR:
            return "the misclassification matrix is singular: predictions tell nothing"
        inverse = np.linalg.inv(self._p.T)
        value = inverse @ self._a_star
        scores = -(self._row * value[self._true][:, None]) @ inverse.T
        # Second order: inv(M) sum_i a_i Cov(P_i) inv(M)' e_i, with M = P'.
        bent = np.zeros(len(value))
        for i, p in enumerate(self._p):
            covariance = (np.diag(p) - np.outer(p, p)) / self._size[i]
            bent += value[i] * covariance @ inverse[i]
        return _Solved(value, scores, inverse, inverse @ bent, None)

    def _calibration(self) -> _Solved | str:
        if not self._current:
            return "the audit is not of the units whose shares are wanted"
        missing = int(self._no_prediction.sum())
        if missing:
            return _missing(missing, "predicted")
        scores = self._column * self._a_star[self._predicted][:, None]
        none = np.zeros(len(self._a_star))
        return _Solved(self._c @ self._a_star, scores, self._c, none, None)


def _solved_rows(
    audit: Audit,
    estimator: Estimator,
    solved: _Solved,
    known: np.ndarray,
    confidence: float,
) -> list[tuple[dict[str, Any], Estimate]]:
    design = audit.design
    variance = design.variances(sparse.csr_array(solved.scores))
    variance = variance + np.diag(solved.slope @ known @ solved.slope.T)
    of_bias = np.zeros_like(variance)
    if solved.bias_scores is not None:
        of_bias = design.variances(sparse.csr_array(solved.bias_scores))
    squared = solved.bias**2 - of_bias
    df, n = design.degrees_of_freedom(), len(audit.true)
    rows = []
    for i, name in enumerate(audit.classes):
        # An audit of every unit still leaves the error of sampled predictions.
        tell = t_estimate if known.any() else design.told
        found = tell(
            float(solved.value[i]), float(np.sqrt(variance[i])), df, n=n,
            confidence=confidence,
        )  # fmt: skip
        keys = {
            "estimator": estimator,
            "class": name,
            "bias": solved.bias[i],
            "bias_se": np.sqrt(of_bias[i]),
            "mse": squared[i] + variance[i],
        }
        rows.append((keys, _remarked(found, estimator, squared[i])))
    return rows


def _remarked(found: Estimate, estimator: Estimator, squared: float) -> Estimate:
    notes = [found.note] if found.note and found.note != NO_VARIATION else []
    if estimator == "classify_and_count":
        found = replace(found, lower=np.nan, upper=np.nan, interval="")
        notes.append("no interval, it would leave the bias out")
    if not 0 <= found.value <= 1:
        notes.append("outside 0 to 1, not clipped")
    if np.isnan(squared):
        notes.append("its bias is not known")
    if squared < 0:
        notes.append("the squared bias is estimated below zero")
    return replace(found, note="; ".join(notes))


def _unsolved(
    audit: Audit, estimator: Estimator, reason: str
) -> list[tuple[dict[str, Any], Estimate]]:
    gone = absent("not_measured", reason, len(audit.true))
    blank = dict.fromkeys(("bias", "bias_se", "mse"), np.nan)
    return [
        ({"estimator": estimator, "class": name, **blank}, gone)
        for name in audit.classes
    ]


def _missing(count: int, kind: str) -> str:
    classes = "1 class has" if count == 1 else f"{count} classes have"
    return f"{classes} no audited unit among the {kind} ones"


def _unfit(shares: np.ndarray, classes: int) -> str:
    if shares.shape != (classes,):
        return f"{len(shares)} predicted shares for {classes} classes"
    if not np.isfinite(shares).all() or (shares < 0).any():
        return "a predicted share is negative or not finite"
    if abs(shares.sum() - 1) > 1e-6:
        return f"the predicted shares add up to {shares.sum():.6f}"
    return ""
