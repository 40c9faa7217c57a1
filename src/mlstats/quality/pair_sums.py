"""Units on which exactly one of two methods is right, in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PairSums"]


@dataclass(frozen=True)
class PairSums:
    """What tests of two methods on the same units need besides their difference.

    Parameters
    ----------
    weights : (float, float)
        Of the units on which only the first, only the second method is right.
    counts : (int, int)
        Of the same units.
    lightest, heaviest : float
        Smallest and largest weight of all units.
    """

    weights: tuple[float, float]
    counts: tuple[int, int]
    lightest: float
    heaviest: float

    @classmethod
    def of(cls, weight: np.ndarray, first: np.ndarray, second: np.ndarray) -> PairSums:
        """Add up units.

        Parameters
        ----------
        weight : numpy.ndarray, shape (n,)
            Design weights.
        first, second : numpy.ndarray of bool, shape (n,)
            Whether each method is right.
        """
        one, two = first & ~second, second & ~first
        return cls(
            (float(weight[one].sum()), float(weight[two].sum())),
            (int(one.sum()), int(two.sum())),
            float(weight.min(initial=np.inf)),
            float(weight.max(initial=-np.inf)),
        )

    def merge(self, other: PairSums) -> PairSums:
        """Return the sums of both sets of units."""
        return PairSums(
            (self.weights[0] + other.weights[0], self.weights[1] + other.weights[1]),
            (self.counts[0] + other.counts[0], self.counts[1] + other.counts[1]),
            min(self.lightest, other.lightest),
            max(self.heaviest, other.heaviest),
        )
