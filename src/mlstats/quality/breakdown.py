"""Accuracy by class and by domain, with linearised standard errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.quality.accuracy import (
    ProportionInterval,
    as_proportion,
    proportion,
)
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, as_table

__all__ = [
    "accuracy_by_class",
    "accuracy_by_domain",
    "macro_f1_difference",
    "macro_f1_linearised",
]


def accuracy_by_class(
    design: Design,
    truth: np.ndarray,
    prediction: np.ndarray,
    *,
    min_cell: int = 1,
    interval: ProportionInterval = "Korn-Graubard",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate precision, recall and F1 of every class.

    Each is a ratio of weighted totals: hits over predicted, hits over true, twice the
    hits over predicted plus true. The standard errors are linearised; the intervals
    of precision and recall are those of a proportion, that of F1 is made on the logit
    scale, since F1 is as bounded as a proportion is.

    Parameters
    ----------
    design : Design
        Of the sample.
    truth, prediction : numpy.ndarray of object, shape (n,)
        Codes; None where the method gave none, which is nobody's prediction.
    min_cell : int
        A measure over fewer units is not told.
    interval : {"Korn-Graubard", "logit"}
        Of precision and recall.

    Returns
    -------
    pandas.DataFrame
        Columns code, measure (precision, recall or f1) and those of
        :class:`~mlstats.quality.estimate.Estimate`, by code.
    """
    codes, measures = _measures(truth, prediction)
    rows = []
    for measure, (part, whole) in measures.items():
        kind: ProportionInterval = "logit" if measure == "f1" else interval
        for j, found in enumerate(_ratios(design, part, whole, kind, confidence)):
            keys = {"code": codes[j], "measure": measure}
            rows.append((keys, _suppressed(found, min_cell)))
    table = as_table(rows, ["code", "measure"])
    return table.sort_values("code", kind="stable", ignore_index=True)


def macro_f1_linearised(
    design: Design,
    truth: np.ndarray,
    prediction: np.ndarray,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the mean F1 over the true classes, with its standard error.

    The classes are those that occur as truth. The influence of a unit is the mean of
    its influences on the F1 of the classes, so no bootstrap is needed. Where many
    classes have a handful of units the linearisation is rough, and bootstrap weights
    with
    :func:`mlstats.quality.accuracy.macro_f1` are the safer way.

    Parameters
    ----------
    design : Design
        Of the sample.
    truth, prediction : numpy.ndarray of object, shape (n,)
        Codes; None where the method gave none.
    """
    if design.fault:
        return absent("not_measured", design.fault, len(truth))
    value, scores = _macro_f1_scores(design, truth, prediction)
    if not np.isfinite(value):
        return absent("not_measured", "no unit has a true code", len(truth))
    return design.linearised(value, scores, confidence=confidence)


def macro_f1_difference(
    design: Design,
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the macro-F1 of one method less that of another on the same units.

    The influence of a unit on the difference is the difference of its influences, as
    in :func:`macro_f1_linearised`; the interval is t.

    Parameters
    ----------
    design : Design
        Of the sample.
    truth, first, second : numpy.ndarray of object, shape (n,)
        True codes and those of both methods; None where a method gave none.
    """
    if design.fault:
        return absent("not_measured", design.fault, len(truth))
    one, scores = _macro_f1_scores(design, truth, first)
    other, others = _macro_f1_scores(design, truth, second)
    if not np.isfinite(one):
        return absent("not_measured", "no unit has a true code", len(truth))
    return design.linearised(one - other, scores - others, confidence=confidence)


def _macro_f1_scores(
    design: Design, truth: np.ndarray, prediction: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the mean F1 over the true classes and its weighted influences."""
    _, measures = _measures(truth, prediction)
    value, scores = _linearised(design.weight, *measures["f1"])
    occurs = np.asarray(measures["recall"][1].T @ design.weight).ravel() > 0
    if not occurs.any():
        return np.nan, np.zeros(len(truth))
    mean = np.asarray(scores @ occurs).ravel() / occurs.sum()
    return float(value[occurs].mean()), mean


def accuracy_by_domain(
    design: Design,
    correct: np.ndarray,
    domain: np.ndarray,
    *,
    min_cell: int = 1,
    interval: ProportionInterval = "Korn-Graubard",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate the accuracy in each domain, by zeroing and never by subsetting.

    Parameters
    ----------
    design : Design
        Of the whole sample.
    correct : numpy.ndarray of bool, shape (n,)
        Whether the code is right.
    domain : numpy.ndarray of object, shape (n,)
        Domain of each unit; None: in none.
    min_cell : int
        A domain with fewer units is not told.

    Returns
    -------
    pandas.DataFrame
        Columns domain and those of :class:`~mlstats.quality.estimate.Estimate`, by
        domain.
    """
    row, names = pd.factorize(domain)
    rows = []
    for i in np.argsort([str(name) for name in names]):
        found = proportion(
            design, correct, row == i, interval=interval, confidence=confidence
        )
        rows.append(({"domain": str(names[i])}, _suppressed(found, min_cell)))
    return as_table(rows, ["domain"])


def _measures(
    truth: np.ndarray, prediction: np.ndarray
) -> tuple[np.ndarray, dict[str, tuple[sparse.csr_array, sparse.csr_array]]]:
    """Return the codes, and part and whole of each measure: units x classes."""
    n = len(truth)
    row, codes = pd.factorize(np.concatenate([truth, prediction]))
    true, predicted = row[:n], row[n:]
    hit = np.where(true == predicted, true, -1)
    hits, predictions, truths = (
        _indicator(column, len(codes)) for column in (hit, predicted, true)
    )
    return codes, {
        "precision": (hits, predictions),
        "recall": (hits, truths),
        "f1": (sparse.csr_array(2 * hits), sparse.csr_array(predictions + truths)),
    }


def _indicator(column: np.ndarray, classes: int) -> sparse.csr_array:
    units = np.flatnonzero(column >= 0)
    cells = (np.ones(len(units)), (units, column[units]))
    return sparse.csr_array(cells, shape=(len(column), classes))


def _linearised(
    weight: np.ndarray, part: sparse.csr_array, whole: sparse.csr_array
) -> tuple[np.ndarray, sparse.csr_array]:
    """Return the ratios, NaN where nothing counts, and their weighted influences."""
    total = np.asarray(whole.T @ weight).ravel()
    counts = total > 0
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=counts)
    value = np.asarray(part.T @ weight).ravel() * scale
    residual = part - whole @ sparse.diags_array(value)
    scores = sparse.diags_array(weight) @ residual @ sparse.diags_array(scale)
    return np.where(counts, value, np.nan), sparse.csr_array(scores)


def _ratios(
    design: Design,
    part: sparse.csr_array,
    whole: sparse.csr_array,
    interval: ProportionInterval,
    confidence: float,
) -> list[Estimate]:
    """Return part over whole for every class."""
    classes = whole.shape[1]
    if design.fault:
        return [absent("not_measured", design.fault)] * classes
    value, scores = _linearised(design.weight, part, whole)
    error = np.sqrt(design.variances(scores))
    n, clusters, df = design.sizes(whole > 0)
    found = []
    for j in range(classes):
        if n[j] == 0:
            found.append(absent("not_applicable", "no unit counts for this class"))
            continue
        bare = design.told(float(value[j]), float(error[j]), int(df[j]), n=int(n[j]))
        found.append(_bounded(bare, int(clusters[j]), interval, confidence))
    return found


def _bounded(
    found: Estimate, n_clusters: int, interval: ProportionInterval, confidence: float
) -> Estimate:
    """Replace the t interval by one that keeps within 0 and 1."""
    if not np.isfinite(found.se):
        return found
    return as_proportion(found, n_clusters, interval=interval, confidence=confidence)


def _suppressed(found: Estimate, min_cell: int) -> Estimate:
    if 0 < found.n < min_cell:
        return absent("not_measured", f"fewer than {min_cell} units")
    return found
