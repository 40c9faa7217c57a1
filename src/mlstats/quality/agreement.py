"""Agreement of two codings of the same units: double coding, or code against truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent

__all__ = ["AgreementSums", "kappa", "raw_agreement"]


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
    sums = AgreementSums.of(design.weight, first, second)
    missing = absent("not_measured", design.fault, sums.n) if design.fault else sums.gap
    if missing is not None:
        return missing
    scores, both = sums.influences(design.weight, first, second)
    return design.linearised(sums.kappa, scores, inside=both, confidence=confidence)


@dataclass(frozen=True, eq=False)
class AgreementSums:
    """Weights of two codings of the same units by class; those of parts add up.

    Parameters
    ----------
    classes : numpy.ndarray of object
        Codes that a unit has in either coding.
    first, second : numpy.ndarray of float, shape (classes,)
        Weight of the units of a class in each coding; units that lack one do not
        count.
    agreed, weight : float
        Weight of the units with the same code in both, and of all that count.
    n : int
        Units that count, with weight.
    """

    classes: np.ndarray
    first: np.ndarray
    second: np.ndarray
    agreed: float
    weight: float
    n: int

    @classmethod
    def of(
        cls, weight: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> AgreementSums:
        """Add up units.

        Parameters
        ----------
        weight : numpy.ndarray, shape (n,)
            Design weights.
        first, second : numpy.ndarray of object, shape (n,)
            Codes, None where there is none.
        """
        one, two, classes = _coded(first, second)
        both = (one >= 0) & (two >= 0)
        one, two, held = one[both], two[both], np.asarray(weight[both], dtype=float)
        width = len(classes)
        return cls(
            classes,
            np.bincount(one, held, minlength=width),
            np.bincount(two, held, minlength=width),
            # Summed alike: where all agree it is the weight, to the last digit.
            float(held[one == two].sum()),
            float(held.sum()),
            int((held > 0).sum()),
        )

    def merge(self, other: AgreementSums) -> AgreementSums:
        """Return the sums of both sets of units."""
        number, classes = pd.factorize(np.concatenate([self.classes, other.classes]))

        def added(one: np.ndarray, two: np.ndarray) -> np.ndarray:
            both = np.concatenate([one, two])
            return np.bincount(number, both, minlength=len(classes))

        return AgreementSums(
            np.asarray(classes, dtype=object),
            added(self.first, other.first),
            added(self.second, other.second),
            self.agreed + other.agreed,
            self.weight + other.weight,
            self.n + other.n,
        )

    @property
    def gap(self) -> Estimate | None:
        """Why there is no kappa; None where there is."""
        if self.n == 0:
            return absent("not_measured", "no unit has both codes")
        if self._expected >= 1 - 1e-12:
            return absent("not_applicable", "both codings know a single class", self.n)
        return None

    @property
    def kappa(self) -> float:
        """Agreement beyond what chance would reach."""
        expected = self._expected
        return (self.agreed / self.weight - expected) / (1 - expected)

    @property
    def _expected(self) -> float:
        return float((self.first / self.weight) @ (self.second / self.weight))

    def influences(
        self, weight: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted influence of units on kappa, and those that count.

        Parameters
        ----------
        weight, first, second
            As of :meth:`of`: all of the units, or a part of them.
        """
        index = pd.Index(self.classes, dtype=object)
        one, two = (
            index.get_indexer(pd.Index(codes, dtype=object))
            for codes in (first, second)
        )
        both = (one >= 0) & (two >= 0)
        share = np.where(both, weight, 0.0) / self.weight
        p_first, p_second = self.first / self.weight, self.second / self.weight
        observed, expected = self.agreed / self.weight, self._expected
        of_expected = p_second[one] + p_first[two] - 2 * expected
        of_observed = (one == two) - observed
        slope = of_observed * (1 - expected) - of_expected * (1 - observed)
        return np.where(both, share * slope, 0.0) / (1 - expected) ** 2, both


def _coded(
    first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both codings as numbers of the same classes, -1 where there is none."""
    number, classes = pd.factorize(np.concatenate([first, second]))
    found = np.asarray(classes, dtype=object)
    return number[: len(first)], number[len(first) :], found
