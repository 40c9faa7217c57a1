"""The threshold above which a code is taken without a clerk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = ["Threshold", "guaranteed_threshold", "oracle_rate"]


@dataclass(frozen=True)
class Threshold:
    """A threshold for which the accuracy of the automatic part was shown.

    Parameters
    ----------
    value : float
        Units with at least this confidence are automatic; infinity: none is.
    n : int
        Units of the calibration part at or above it.
    bound : float
        The one-sided lower bound of their accuracy; NaN where nothing was shown.
    """

    value: float
    n: int
    bound: float


def guaranteed_threshold(
    confidence: np.ndarray,
    correct: np.ndarray,
    clusters: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    target: float,
    level: float = 0.95,
    starts: int = 6,
    steps: int = 100,
) -> Threshold:
    """Find the loosest threshold whose accuracy is shown to reach the target.

    The candidate thresholds are ranks of the confidence, fixed before a label is
    looked at, and are tested from strict to loose as in Angelopoulos, Bates, Candès,
    Jordan and Lei (2021), "Learn then test". So that one early error does not end
    everything, the error probability is spread over several starts and handed on
    from each threshold that was shown to the next: the fallback procedure of Wiens
    (2003; Pharmaceutical Statistics 2, 211-215), which keeps the family-wise error.
    Units count by their effective number under the clusters.

    Parameters
    ----------
    confidence : numpy.ndarray of float, shape (n,)
        NaN and uncoded units are never automatic.
    correct : numpy.ndarray of bool, shape (n,)
        Whether the code is right.
    clusters : numpy.ndarray, shape (n,)
        Cluster of each unit.
    weights : numpy.ndarray of float, shape (n,), optional
        Design weights: the promise is about the weighted accuracy.
    target : float
        Accuracy that the automatic part has to reach.
    level : float
        Probability with which the promise holds.
    starts : int
        Places, at equal ratios of ranks, that share ``1 - level``.
    steps : int
        Thresholds that are tested at most.
    """
    told = np.isfinite(confidence)
    order = np.argsort(-confidence[told], kind="stable")
    ranked = confidence[told][order]
    right = correct[told][order].astype(float)
    _, cluster = np.unique(clusters[told][order], return_inverse=True)
    weight = np.ones(len(order)) if weights is None else weights[told][order]
    share = (1 - level) / starts
    smallest = int(np.ceil(np.log(share) / np.log(target)))
    best = Threshold(np.inf, 0, np.nan)
    if len(ranked) < smallest:
        return best
    ranks = _ranks(ranked, smallest, steps)
    first = np.geomspace(smallest, len(ranked), starts)
    fresh = share * np.bincount(
        np.searchsorted(ranks, first.round().clip(max=ranks[-1])), minlength=len(ranks)
    )
    handed_on = 0.0
    for n, new in zip(ranks, fresh, strict=True):
        alpha = new + handed_on
        if alpha == 0.0:
            continue
        bound = _lower_bound(right[:n], cluster[:n], weight[:n], alpha)
        handed_on = alpha if bound >= target else 0.0
        if handed_on:
            best = Threshold(float(ranked[n - 1]), int(n), bound)
    return best


def oracle_rate(
    confidence: np.ndarray,
    correct: np.ndarray,
    target: float,
    weights: np.ndarray | None = None,
) -> float:
    """Return the largest weighted share that reaches the target, labels known.

    It is what a perfect choice of the threshold could have reached on these very
    units; no threshold fixed beforehand is promised it.
    """
    n = len(confidence)
    told = np.isfinite(confidence)
    order = np.argsort(-confidence[told], kind="stable")
    ranked = confidence[told][order]
    if n == 0 or len(ranked) == 0:
        return 0.0
    weight = np.ones(n) if weights is None else weights
    held = np.cumsum(weight[told][order])
    right = np.cumsum(weight[told][order] * correct[told][order])
    accuracy = np.divide(right, held, out=np.zeros(len(held)), where=held > 0)
    # A threshold cannot part equal confidences.
    ends = np.append(ranked[1:] < ranked[:-1], True)
    reached = np.flatnonzero((accuracy >= target) & ends)
    return float(held[reached[-1]] / weight.sum()) if len(reached) else 0.0


def _ranks(ranked: np.ndarray, smallest: int, steps: int) -> np.ndarray:
    """Return the ranks to test, each moved to the last unit of equal confidence."""
    ranks = np.unique(np.linspace(smallest, len(ranked), steps).round().astype(int))
    ends = np.searchsorted(-ranked, -ranked[ranks - 1], side="right")
    return np.unique(ends)


def _lower_bound(
    right: np.ndarray, cluster: np.ndarray, weight: np.ndarray, alpha: float
) -> float:
    """Return the one-sided Clopper-Pearson bound at the effective sample size.

    Where nothing is wrong no design effect can be estimated: the clusters count as
    units, by Kish's number where their weights differ.
    """
    total = float(weight.sum())
    if total <= 0:
        return 0.0
    p = float((weight * right).sum()) / total
    held = np.bincount(cluster, weight)
    held = held[held > 0]
    g = len(held)
    kish = total**2 / float((held**2).sum())
    effective = min(kish, float(len(right)))
    if p < 1.0:
        errors = np.bincount(cluster, weight * (right - p)) / total
        variance = g / max(g - 1, 1) * float((errors**2).sum())
        effective = p * (1 - p) / variance if variance > 0 else kish
        effective = min(effective, float(len(right)))
    x = p * effective
    return float(stats.beta.ppf(alpha, x, effective - x + 1)) if x > 0 else 0.0
