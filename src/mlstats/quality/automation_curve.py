"""Accuracy against the rate of automation: a picture, not a promise."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import absent, as_table

__all__ = ["automation_curve"]


def automation_curve(
    design: Design,
    confidence: np.ndarray,
    correct: np.ndarray,
    *,
    points: int = 50,
    min_cell: int = 1,
) -> pd.DataFrame:
    """Return the accuracy of the automatic part at thresholds from strict to loose.

    Each point has an interval of its own; to take the best point that looks good
    enough is not covered by them.
    :func:`mlstats.quality.automation.guaranteed_threshold` is the way to choose.

    Parameters
    ----------
    design : Design
        Of the sample.
    confidence : numpy.ndarray of float, shape (n,)
        NaN: never automatic.
    correct : numpy.ndarray of bool, shape (n,)
        Whether the code is right.
    points : int
        Thresholds at most, spread evenly over the ranks.
    min_cell : int
        A point with fewer automatic units is not told.

    Returns
    -------
    pandas.DataFrame
        Columns threshold, rate (weighted share that is automatic), rest_accuracy
        (of the units left, NaN where they are too few) and those of
        :class:`~mlstats.quality.estimate.Estimate` for the automatic part's accuracy.
        Empty where the method tells no confidence.
    """
    keys = ["threshold", "rate", "rest_accuracy"]
    if design.fault:
        return as_table([({}, absent("not_measured", design.fault))], keys)
    told = np.flatnonzero(np.isfinite(confidence) & (design.weight > 0))
    ranked = np.sort(confidence[told])[::-1]
    ranks = np.linspace(1, len(ranked), points).round().astype(int)
    # Equal confidences cannot be parted: each threshold is told once.
    thresholds = np.unique(ranked[ranks - 1])[::-1] if len(ranked) else ranked
    rows = []
    for threshold in thresholds:
        automatic = confidence >= threshold
        rest = _accuracy(design.weight * ~automatic, correct, min_cell)
        rate = float(design.weight[automatic].sum() / design.weight.sum())
        found = proportion(design, correct, automatic)
        if found.n < min_cell:
            found = absent("not_measured", f"fewer than {min_cell} units")
        point = {"threshold": float(threshold), "rate": rate, "rest_accuracy": rest}
        rows.append((point, found))
    return as_table(rows, keys)


def _accuracy(weight: np.ndarray, correct: np.ndarray, min_cell: int) -> float:
    if (weight > 0).sum() < max(min_cell, 1):
        return np.nan
    return float(weight @ correct / weight.sum())
