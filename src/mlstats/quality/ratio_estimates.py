"""Ratios from sums over parts, told as a design tells them from the units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mlstats.quality.design import SingleClusterRule
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.ratio_sums import RatioSums
from mlstats.quality.stratified import Strata, drawn_shares

__all__ = ["NO_WEIGHT", "Sampled"]

NO_WEIGHT: Final = "no unit has weight here"
# A standard error that is smaller beside its value is the rounding of a zero.
_ROUNDING: Final = 1e-13


@dataclass(frozen=True)
class Sampled:
    """What sums do not know of the sample.

    Parameters
    ----------
    fractions : mapping of str to float
        Stratum -> share of its clusters that was drawn; none where it is not named.
    single : {"adjust", "refuse"}
        The rule for a stratum with a single cluster.
    """

    fractions: Mapping[str, float] = field(default_factory=dict)
    single: SingleClusterRule = "adjust"

    def estimates(
        self, sums: RatioSums, n: np.ndarray, group: str = ""
    ) -> tuple[list[Estimate], int]:
        """Return the ratio of each class in a group as an estimate of its own.

        Parameters
        ----------
        sums : RatioSums
            Of all parts.
        n : numpy.ndarray of int, shape (classes,)
            Units behind each.
        group : str
            Of :attr:`RatioSums.groups`.

        Returns
        -------
        estimates : list of Estimate
            With t intervals; not applicable where no unit of the group has weight.
        clusters : int
            With weight in the group.
        """
        found = sums.shares(group, self.fractions)
        drawn = drawn_shares(self.fractions, sums.strata)
        strata = Strata(sums.clusters, drawn, self.single)
        told = []
        for value, se, units in zip(found.value, found.se, n, strict=True):
            if not np.isfinite(value):
                told.append(absent("not_applicable", NO_WEIGHT, int(units)))
                continue
            error = np.nan if strata.refused else float(se)
            if error <= _ROUNDING * abs(value):
                error = 0.0
            told.append(strata.told(float(value), error, found.df, n=int(units)))
        return told, found.clusters
