"""Any model's predictions as auxiliaries: cross-fitting and the GREG estimator.

A model that has seen the surveyed segments predicts them too well: residuals are too
small and so is the variance. Cross-fitted predictions of the sample come from models
that have not seen the segment (Breidt and Opsomer 2017, Statistical Science 32,
190-205; Zrnic and Candès 2024, PNAS 121, e2322083121); the population's are the mean
over the same models. Take them as `x` of an :class:`~mlstats.imagery.AreaSample` for
"prediction_powered" or "difference", or as a column of :func:`greg`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold

from mlstats.errors import ContractError, MethodError
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, t_estimate

__all__ = ["Assisted", "CrossFitted", "cross_fitted", "greg"]


@dataclass(frozen=True)
class CrossFitted:
    """Predictions of a quantity by models that did not see it.

    Parameters
    ----------
    sample : numpy.ndarray, shape (n,)
        Of each sampled segment, by the model that was fitted without its fold.
    population : numpy.ndarray, shape (N,)
        Of each segment of the frame, the mean over the models of all folds.
    fold : numpy.ndarray of int, shape (n,)
        Fold of each sampled segment.
    """

    sample: np.ndarray
    population: np.ndarray
    fold: np.ndarray


def cross_fitted(
    learner: Any,
    features: np.ndarray,
    y: np.ndarray,
    population: np.ndarray,
    *,
    folds: int = 5,
    group: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    seed: int = 0,
) -> CrossFitted:
    """Predict the sample out of fold, and the frame by the mean of the same models.

    Parameters
    ----------
    learner : scikit-learn regressor
        Cloned for each fold.
    features, y : numpy.ndarray, shapes (n, p) and (n,)
        Of the sampled segments.
    population : numpy.ndarray, shape (N, p)
        Features of all segments of the frame.
    folds : int
        Number of folds, at most the number of segments or groups.
    group : numpy.ndarray, shape (n,), optional
        Segments with the same label stay in one fold.
    weight : numpy.ndarray, shape (n,), optional
        Design weights, handed to the learner's ``fit``.
    seed : int
        Of the folds.

    Raises
    ------
    ContractError
        Where there are fewer than two segments or groups.
    MethodError
        Where a model predicts something that is not finite.
    """
    features, y = np.asarray(features), np.asarray(y, dtype=float)
    units = len(y) if group is None else len(np.unique(group))
    if units < 2:
        raise ContractError(
            f"{units} segments or groups cannot be split into folds",
            expected="at least 2",
        )
    number = min(folds, units)
    splitter = (
        KFold(number, shuffle=True, random_state=seed)
        if group is None
        else GroupKFold(number, shuffle=True, random_state=seed)
    )
    out, fold = np.empty(len(y)), np.empty(len(y), dtype=int)
    whole = np.zeros(len(population))
    for k, (train, held) in enumerate(splitter.split(features, y, group)):
        extra = {} if weight is None else {"sample_weight": np.asarray(weight)[train]}
        model = clone(learner).fit(features[train], y[train], **extra)
        out[held], fold[held] = model.predict(features[held]), k
        whole += np.asarray(model.predict(population), dtype=float) / number
    bad = int((~np.isfinite(out)).sum() + (~np.isfinite(whole)).sum())
    if bad:
        raise MethodError(
            f"{bad} predictions are not finite", where=type(learner).__name__
        )
    return CrossFitted(out, whole, fold)


@dataclass(frozen=True)
class Assisted:
    """A GREG estimate and the weights that it amounts to.

    Parameters
    ----------
    estimate : Estimate
        Of the total.
    g : numpy.ndarray, shape (n,)
        Factor of each design weight; ``sum w g x`` is the frame's total of x, and
        ``sum w g`` its size.
    slope : numpy.ndarray, shape (1 + p,)
        Of the assisting model, the intercept first.
    """

    estimate: Estimate
    g: np.ndarray
    slope: np.ndarray


def greg(
    y: np.ndarray,
    x: np.ndarray,
    *,
    weight: np.ndarray,
    size: float,
    totals: np.ndarray,
    stratum: np.ndarray | None = None,
    fraction: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> Assisted:
    """Estimate a total by generalised regression under any design weights.

    ``Y = sum_U x'b + sum_s w (y - x'b)`` with the weighted least squares slope, and
    the variance of the total of ``w g e`` (Särndal, Swensson and Wretman 1992, results
    6.5.1 and 6.6.1, with replacement within strata or with the fraction that was
    drawn). Residuals are divided by one less their leverage, which makes the variance
    the jackknife's under simple random sampling.

    Parameters
    ----------
    y : numpy.ndarray, shape (n,)
        Surveyed quantity.
    x : numpy.ndarray, shape (n,) or (n, p)
        Auxiliaries of the same segments; predictions must be cross-fitted.
    weight : numpy.ndarray, shape (n,)
        Design weights.
    size : float
        Segments of the frame.
    totals : numpy.ndarray, shape (p,)
        Totals of `x` over the frame.
    stratum : numpy.ndarray, shape (n,), optional
        Labels of the strata.
    fraction : mapping, optional
        Stratum -> share drawn, for the finite-population correction.

    Raises
    ------
    ContractError
        Where shapes differ, a value is not finite or `x` is collinear in the sample.
    """
    y, w = np.asarray(y, dtype=float), np.asarray(weight, dtype=float)
    columns = np.asarray(x, dtype=float).reshape(len(y), -1)
    z = np.column_stack([np.ones(len(y)), columns])
    known = np.concatenate([[size], np.ravel(np.asarray(totals, dtype=float))])
    _check(y, z, w, known)
    inverse = np.linalg.inv((z * w[:, None]).T @ z)
    slope = inverse @ (z.T @ (w * y))
    e = y - z @ slope
    e = np.where(np.abs(e) > 1e-12 * np.abs(y), e, 0.0)
    g = 1 + z @ inverse @ (known - z.T @ w)
    leverage = w * np.einsum("ij,jk,ik->i", z, inverse, z)
    design = Design.of(w, stratum=stratum, fraction=fraction)
    # The design's variance makes up for the mean, the leverage for the slopes.
    corrected = e * (1 - w / w.sum()) / np.maximum(1 - leverage, 1e-8)
    se = float(np.sqrt(design.covariance((w * g * corrected)[:, None])[0, 0]))
    df = design.degrees_of_freedom() - columns.shape[1]
    value = float(known @ slope + w @ e)
    note = design.remark() or ("a g-weight is negative" if (g < 0).any() else "")
    found = t_estimate(value, se, df, n=len(y), note=note, confidence=confidence)
    return Assisted(found, g, slope)


def _check(y: np.ndarray, z: np.ndarray, w: np.ndarray, known: np.ndarray) -> None:
    if w.shape != y.shape or known.shape != (z.shape[1],):
        raise ContractError(
            "Values, weights and totals do not match",
            expected="a weight for each segment and a total for each column of x",
        )
    finite = all(np.isfinite(part).all() for part in (y, z, w, known))
    if not finite or not (w > 0).all():
        raise ContractError(
            "A value, weight or total is missing, not finite or a weight not positive"
        )
    if np.linalg.matrix_rank(z / np.maximum(np.abs(z).max(axis=0), 1e-300)) < len(
        known
    ):
        raise ContractError(
            "The auxiliaries do not vary, or one follows from the others",
            expected="columns of x that are not constant and not collinear",
            hint="use the direct expansion",
        )
