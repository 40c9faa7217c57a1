"""Bias, variance and mean squared error of the estimators of a share, two classes.

The formulas are for planning: given how well a classifier does and how many units can
be audited, they tell which estimator of :mod:`mlstats.quality.misclassification` will
be best, before a unit was audited.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError

__all__ = ["two_class_errors"]


def two_class_errors(
    share: float,
    specificity: float,
    sensitivity: float,
    audit_size: float,
    *,
    population: float = np.inf,
) -> pd.DataFrame:
    """Return the errors of every estimator under a simple random audit.

    The formulas of Kloos, Meertens, Scholtus and Karch (2020/21), to the order
    ``1 / n**2`` in the size of the audit; the variance of the misclassification
    estimator lacks a part of that order, 4 % of it at chances of .6 and .7 and 1,000
    units. But for counting, terms of the order of one over the population are dropped,
    as the paper does (its tables show the variance of counting as 0.000). "audited"
    is the share among the audited units alone.

    Parameters
    ----------
    share : float
        True share of the class, strictly between 0 and 1.
    specificity, sensitivity : float
        ``p00`` and ``p11``: chance that a unit outside, in the class is predicted so.
    audit_size : float
        Audited units.
    population : float
        Units whose predictions are counted.

    Returns
    -------
    pandas.DataFrame
        Columns estimator, bias, variance, mse, status, note; the misclassification
        estimator does not exist where ``p00 + p11 = 1``.

    Raises
    ------
    MlstatsError
        Where a share or a chance is not one, or the audit is empty.

    Examples
    --------
    >>> errors = two_class_errors(0.5, 0.6, 0.7, 1000).set_index("estimator")
    >>> f"{errors.variance['subtracted_bias']:.4e}"
    '2.2447e-04'
    """
    chances = np.array([specificity, sensitivity])
    if not 0 < share < 1 or ((chances < 0) | (chances > 1)).any() or audit_size <= 0:
        raise MlstatsError(
            "The errors of these shares are not defined",
            expected="0 < share < 1, chances from 0 to 1, an audit of at least a unit",
        )
    case = _TwoClasses(share, specificity, sensitivity, audit_size, population)
    rows = [
        ("audited", 0.0, share * (1 - share) / audit_size, ""),
        ("classify_and_count", *case.counting(), ""),
        ("subtracted_bias", *case.subtracted_bias(), ""),
        ("misclassification", *case.misclassification()),
        ("calibration", *case.calibration(), ""),
    ]
    table = pd.DataFrame(rows, columns=["estimator", "bias", "variance", "note"])
    table["mse"] = table["bias"] ** 2 + table["variance"]
    table["status"] = np.where(table["note"] == "", "measured", "not_applicable")
    return table[["estimator", "bias", "variance", "mse", "status", "note"]]


@dataclass(frozen=True)
class _TwoClasses:
    a: float
    p00: float
    p11: float
    n: float
    population: float

    @property
    def told_apart(self) -> float:
        """``p00 + p11 - 1``: zero where the predictions tell nothing."""
        return self.p00 + self.p11 - 1

    @property
    def predicted(self) -> float:
        return self.a * self.p11 + (1 - self.a) * (1 - self.p00)

    def of_specificity(self) -> float:
        """Return the variance of the estimated ``p00``."""
        return _over_random_size(self.p00, 1 - self.a, self.n)

    def of_sensitivity(self) -> float:
        return _over_random_size(self.p11, self.a, self.n)

    def counting(self) -> tuple[float, float]:
        a, p00, p11 = self.a, self.p00, self.p11
        bias = a * (p11 - 1) + (1 - a) * (1 - p00)
        spread = a * p11 * (1 - p11) + (1 - a) * p00 * (1 - p00)
        return bias, spread / self.population

    def subtracted_bias(self) -> tuple[float, float]:
        """Return bias and variance; the variance is eq. (11) of the paper."""
        off = 1 - self.told_apart
        bias = (1 - self.p00) * off - self.a * off**2
        variance = (1 - self.predicted) ** 2 * self.of_specificity()
        return bias, variance + self.predicted**2 * self.of_sensitivity()

    def misclassification(self) -> tuple[float, float, str]:
        if self.told_apart == 0:
            return np.nan, np.nan, "singular: p00 + p11 = 1"
        bias = (self.p00 - self.p11) / (self.n * self.told_apart)
        variance = (1 - self.a) ** 2 * self.of_specificity()
        variance += self.a**2 * self.of_sensitivity()
        return bias, variance / self.told_apart**2, ""

    def calibration(self) -> tuple[float, float]:
        """Return bias and variance; ``c11``, ``c10``: chance of truth given code."""
        one, none = self.predicted, 1 - self.predicted
        variance = 0.0
        if one > 0:
            c11 = self.a * self.p11 / one
            variance += one**2 * _over_random_size(c11, one, self.n)
        if none > 0:
            c10 = self.a * (1 - self.p11) / none
            variance += none**2 * _over_random_size(c10, none, self.n)
        return 0.0, variance


def _over_random_size(p: float, part: float, n: float) -> float:
    """Return the variance of a proportion over a random ``n part`` of ``n`` units.

    ``p (1 - p) E(1 / m)`` with ``E(1 / m)`` to the second order.
    """
    return p * (1 - p) / (n * part) * (1 + (1 - part) / (n * part))
