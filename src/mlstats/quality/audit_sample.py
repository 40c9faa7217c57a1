"""A probability sample of units whose codes were checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from mlstats.quality.accuracy import RatioEstimate, ratio

__all__ = ["LEAST_LABELS", "AuditSample"]

LEAST_LABELS: Final = 20
_CERTAIN: Final = 1e-6


@dataclass(frozen=True, eq=False)
class AuditSample:
    """A probability sample of units with labels.

    Parameters
    ----------
    outcome : numpy.ndarray of bool, shape (n,)
        Whether the code is right; or, for a model of one class, whether the unit
        belongs to it.
    probability : numpy.ndarray, shape (n,)
        What the model said of that.
    directions : numpy.ndarray, shape (n, k)
        Along which the residuals are looked at, fixed before any label is seen: inputs
        of the model, indicators of domains or of groups of codes. A constant and the
        logit of the probability are added.
    weight : numpy.ndarray, shape (n,), optional
        One over the inclusion probability.
    cluster : numpy.ndarray, shape (n,), optional
        Primary sampling units.
    correct : numpy.ndarray of bool, shape (n,), optional
        Whether the code is right, where `outcome` is something else.
    """

    outcome: np.ndarray
    probability: np.ndarray
    directions: np.ndarray
    weight: np.ndarray | None = None
    cluster: np.ndarray | None = None
    correct: np.ndarray | None = None

    @property
    def weights(self) -> np.ndarray:
        """The weights, with mean 1; ones where there are none."""
        if self.weight is None:
            return np.ones(len(self.outcome))
        return np.asarray(self.weight / np.mean(self.weight), dtype=float)

    @property
    def members(self) -> np.ndarray:
        """The number of the cluster of each unit."""
        if self.cluster is None:
            return np.arange(len(self.outcome))
        return np.asarray(np.unique(self.cluster, return_inverse=True)[1])

    @property
    def clusters(self) -> int:
        """The number of clusters."""
        return int(self.members.max(initial=-1)) + 1

    def design(self) -> np.ndarray:
        """Return a constant, the logit of the probability and the directions."""
        return np.column_stack(
            [np.ones(len(self.outcome)), self.logit(), self.directions]
        )

    def logit(self) -> np.ndarray:
        """Return the logit of the probability, away from 0 and 1."""
        inside = np.clip(self.probability, _CERTAIN, 1 - _CERTAIN)
        return np.asarray(special.logit(inside))

    def accuracy(self) -> RatioEstimate:
        """Return the weighted share of right codes with its standard error."""
        right = self.outcome if self.correct is None else self.correct
        weights, members = self.weights, self.members
        numerator = np.bincount(members, weights * right)
        return ratio(numerator, np.bincount(members, weights), np.zeros(len(numerator)))

    def fault(self) -> str:
        """Return why the sample cannot carry a test; empty where it can."""
        n = len(self.outcome)
        if n < LEAST_LABELS:
            return f"an audit has {n} labels, fewer than {LEAST_LABELS}"
        if self.clusters < 2:
            return "an audit has one cluster, which has no variance"
        numbers = [self.probability, self.directions]
        wrong = sum(int((~np.isfinite(values)).sum()) for values in numbers)
        if wrong:
            return f"{wrong:,} probabilities or directions are missing or infinite"
        if self.weight is not None and not (
            np.isfinite(self.weight).all() and (self.weight > 0).all()
        ):
            return "a weight of an audit is missing, infinite or not positive"
        return ""
