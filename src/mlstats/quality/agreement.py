"""Agreement of two codings of the same units: double coding, or code against truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent

__all__ = ["kappa", "raw_agreement"]


def raw_agreement(
    design: Design, first: np.ndarray, second: np.ndarray, *, confidence: float = 0.95
) -> Estimate:
    """Estimate the share of units to which both codings give the same code.

    Parameters
    ----------
    design : Design
        Of the sample.
    first, second : numpy.ndarray of object, shape (n,)
        Codes; units without one or the other do not count.
    """
    one, two, _ = _coded(first, second)
    return proportion(
        design, one == two, (one >= 0) & (two >= 0), confidence=confidence
    )


def kappa(
    design: Design, first: np.ndarray, second: np.ndarray, *, confidence: float = 0.95
) -> Estimate:
    """Estimate Cohen's kappa with its linearised standard error.

    ``(p_o - p_e) / (1 - p_e)`` with ``p_o`` the weighted share of agreement and
    ``p_e`` what independent codings with the same shares would reach (Cohen 1960,
    Educational and Psychological Measurement 20, eq. 1). A unit coded (i, j)
    influences ``p_e`` by ``p_.i + p_j. - 2 p_e``; under simple random sampling this
    is the large-sample variance of Fleiss, Cohen and Everitt (1969, Psychological
    Bulletin 72, 323-327) times ``n / (n - 1)``.

    Parameters
    ----------
    design : Design
        Of the sample.
    first, second : numpy.ndarray of object, shape (n,)
        Codes; units without one or the other do not count.
    """
    one, two, classes = _coded(first, second)
    both = (one >= 0) & (two >= 0)
    weight = np.where(both, design.weight, 0.0)
    n = int((weight > 0).sum())
    if design.fault or n == 0:
        return absent("not_measured", design.fault or "no unit has both codes", n)
    share = weight / weight.sum()
    p_first = np.bincount(one[both], share[both], minlength=classes)
    p_second = np.bincount(two[both], share[both], minlength=classes)
    observed = float(share @ (one == two))
    expected = float(p_first @ p_second)
    if expected >= 1 - 1e-12:
        return absent("not_applicable", "both codings know a single class", n)
    value = (observed - expected) / (1 - expected)
    of_expected = p_second[one] + p_first[two] - 2 * expected
    of_observed = (one == two) - observed
    slope = of_observed * (1 - expected) - of_expected * (1 - observed)
    scores = np.where(both, share * slope, 0.0) / (1 - expected) ** 2
    return design.linearised(value, scores, inside=both, confidence=confidence)


def _coded(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return both codings as numbers of the same classes, -1 where there is none."""
    number, classes = pd.factorize(np.concatenate([first, second]))
    return number[: len(first)], number[len(first) :], len(classes)
