"""Scores of predicted codes that undo misclassification in the mean of true scores.

With the estimators of :mod:`mlstats.quality.misclassification` the corrected index is a
mean over the units of a score that each predicted code is given instead of its own:
``C' s`` by calibration, the mean true score among the units predicted so, and
``inv(P) s`` by the misclassification estimator, whose mean among the units of a true
code is that code's score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.quality.estimate import Estimate
from mlstats.quality.judged import Judged
from mlstats.quality.misclassification import Audit
from mlstats.quality.summaries import UNCODED

__all__ = ["ScoreCorrection", "correction"]

_SINGULAR = 1e8


@dataclass(frozen=True)
class ScoreCorrection:
    """Corrected scores and the audit they come from.

    Parameters
    ----------
    audit : Audit
        Its classes are the scored codes and, last, what was not coded.
    true_score : numpy.ndarray, shape (classes,)
        Score of each class as truth.
    corrected_score : numpy.ndarray, shape (classes,)
        What a unit predicted so counts instead.
    inverse : numpy.ndarray or None, shape (classes, classes)
        ``inv(P)`` of the misclassification estimator; None: calibration.
    """

    audit: Audit
    true_score: np.ndarray
    corrected_score: np.ndarray
    inverse: np.ndarray | None

    def scores(self, codes: np.ndarray) -> np.ndarray:
        """Return the corrected score of each code, NaN where the audit has none."""
        at = _positions(codes, self.audit.classes)
        found = np.append(self.corrected_score, np.nan)
        return np.asarray(found[at])

    def error(self, codes: np.ndarray, weight: np.ndarray) -> Estimate:
        """Return the error that the audit puts into the corrected index.

        Parameters
        ----------
        codes : numpy.ndarray of object, shape (n,)
            Predicted codes of the units of the index.
        weight : numpy.ndarray, shape (n,)
            Their weights, zero outside the period.
        """
        at = _positions(codes, self.audit.classes)
        size = len(self.audit.classes)
        shares = np.bincount(at, weight, minlength=size + 1)[:size] / weight.sum()
        true, predicted = self.audit.true, self.audit.predicted
        w = self.audit.design.weight
        if self.inverse is None:
            # d(sum_j a*_j sum_i s_i C_ij): each column is a mean of true scores.
            of_class = np.bincount(predicted, w, minlength=size)[predicted]
            apart = self.true_score[true] - self.corrected_score[predicted]
            part = shares[predicted]
        else:
            # d(a*' inv(P) s) = -alpha' dP inv(P) s, with alpha = inv(P)' a*.
            of_class = np.bincount(true, w, minlength=size)[true]
            apart = self.true_score[true] - self.corrected_score[predicted]
            part = (self.inverse.T @ shares)[true]
        return self.audit.design.linearised(0.0, w * apart * part / of_class)


def correction(
    audit: Judged, scores: Mapping[str, float], estimator: str
) -> ScoreCorrection | str:
    """Return what corrects an index by an audit, or why nothing does.

    Parameters
    ----------
    audit : Judged
        One method's units of the audit.
    scores : mapping
        Code -> score.
    estimator : {"misclassification", "calibration"}
        Misclassification needs every predicted code to be a true one.
    """
    n = len(audit.truth)
    if n == 0 or audit.design.fault:
        return "there is no valid part for an audit" if n == 0 else audit.design.fault
    strange = sum(code not in scores for code in audit.truth)
    if strange:
        return f"{strange} audited units have a true code without a score"
    classes = (*scores, UNCODED)
    given = [code if code in scores else UNCODED for code in audit.code]
    found = Audit.of(audit.design, audit.truth, np.array(given, dtype=object), classes)
    true_score = np.array([*scores.values(), 0.0])
    table = found.table()
    if estimator == "calibration":
        of_predicted = table.sum(axis=0)
        mean = np.full(len(classes), np.nan)
        np.divide(true_score @ table, of_predicted, out=mean, where=of_predicted > 0)
        return ScoreCorrection(found, true_score, mean, None)
    return _inverted(found, true_score, table)


def _inverted(
    audit: Audit, true_score: np.ndarray, table: np.ndarray
) -> ScoreCorrection | str:
    if table[:, -1].any():
        return "some audited units are not coded: the matrix is not square"
    of_true = table.sum(axis=1)
    missing = int((of_true[:-1] == 0).sum())
    if missing:
        return f"{missing} scored codes are true of no audited unit"
    p = np.eye(len(of_true))
    p[:-1] = table[:-1] / of_true[:-1, None]
    if np.linalg.cond(p) > _SINGULAR:
        return "the misclassification matrix is singular: predictions tell nothing"
    inverse = np.linalg.inv(p)
    corrected = inverse @ true_score
    corrected[-1] = np.nan  # a unit without a code has no score
    return ScoreCorrection(audit, true_score, corrected, inverse)


def _positions(codes: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return the class of each code; a code without a score counts as not coded."""
    at = pd.Index(list(classes), dtype=object).get_indexer(
        pd.Index(codes, dtype=object)
    )
    return np.where(at < 0, len(classes) - 1, at)
