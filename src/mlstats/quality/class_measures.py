"""Precision, recall and F1 of every class, from sums that add up over parts.

Each is a ratio in the group of units that count for the class, so that the moments of
:class:`~mlstats.quality.ratio_sums.RatioSums` by group are all that is kept. A unit
counts for the F1 of its true class and for that of the class it was given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import ProportionInterval, as_proportion
from mlstats.quality.arm_means import Arms, counted
from mlstats.quality.cluster_totals import labelled
from mlstats.quality.comparison import recalls_beside
from mlstats.quality.estimate import Estimate, absent, as_table
from mlstats.quality.judged import Judged
from mlstats.quality.ratio_estimates import Sampled
from mlstats.quality.ratio_sums import RatioSums

__all__ = ["ClassMeasures"]

_MEASURES: Final = ("precision", "recall", "f1")
_GAP: Final = "gap"  # recall less that of the baseline


@dataclass(frozen=True, eq=False)
class ClassMeasures:
    """What the measures of one method's classes need of a part.

    Parameters
    ----------
    sums : mapping of str to RatioSums
        Measure -> moments by class; ``gap`` where there is a baseline beside it.
    units : mapping of str to Counter
        Measure -> class -> units with weight.
    """

    sums: Mapping[str, RatioSums]
    units: Mapping[str, Counter[str]]

    @classmethod
    def of(cls, arms: Arms, method: str, baseline: str) -> ClassMeasures:
        """Add up the judged units of a part that holds whole clusters.

        Parameters
        ----------
        arms : Arms
            Of the part.
        method, baseline : str
            Whose classes, and beside whose.
        """
        one = arms.judged[method]
        added = _Added.of(arms)
        right = one.right.astype(float)
        coded = np.flatnonzero(pd.notna(one.code))
        every = np.arange(len(right))
        added.add("precision", one.code[coded], coded, right)
        added.add("recall", one.truth, every, right)
        both = np.append(every, coded)
        added.add("f1", np.append(one.truth, one.code[coded]), both, right)
        # A unit that is right counts for one class, not for two.
        hits = _units(labelled(pd.Series(one.truth)), arms.weight * right)
        added.units["f1"] = added.units["f1"] - hits
        if method != baseline:
            base: Judged = arms.judged[baseline]
            added.add(_GAP, one.truth, every, right, base.right.astype(float))
        return cls(added.sums, added.units)

    def merge(self, other: ClassMeasures) -> ClassMeasures:
        """Return the sums of both sets of clusters."""
        return ClassMeasures(
            {key: one.merge(other.sums[key]) for key, one in self.sums.items()},
            {key: one + other.units[key] for key, one in self.units.items()},
        )

    @classmethod
    def of_parts(cls, parts: Iterable[ClassMeasures]) -> ClassMeasures:
        """Return the sums of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)

    def table(self, sampled: Sampled, *, min_cell: int = 10) -> pd.DataFrame:
        """Estimate precision, recall and F1 of every class.

        Parameters
        ----------
        sampled : Sampled
            Drawn fractions and the rule for single clusters.
        min_cell : int
            A measure over fewer units is not told.

        Returns
        -------
        pandas.DataFrame
            As of :func:`mlstats.quality.comparison.class_table`.
        """
        codes = sorted({*self.sums["f1"].groups.tolist()})
        rows = [
            ({"code": code, "measure": measure}, found)
            for code in codes
            for measure, found in self._told(code, sampled, min_cell)
        ]
        table = as_table(rows, ["code", "measure"])
        if _GAP not in self.sums:
            return recalls_beside(table, None)
        return recalls_beside(table, lambda code: self._bare(_GAP, code, sampled)[0])

    def _told(
        self, code: str, sampled: Sampled, min_cell: int
    ) -> Iterator[tuple[str, Estimate]]:
        for measure in _MEASURES:
            found, clusters = self._bare(measure, code, sampled)
            kind: ProportionInterval = "logit" if measure == "f1" else "Korn-Graubard"
            if found.n == 0:
                found = absent("not_applicable", "no unit counts for this class")
            elif found.n < min_cell:
                found = absent("not_measured", f"fewer than {min_cell} units")
            elif np.isfinite(found.se):
                found = as_proportion(found, clusters, interval=kind)
            yield measure, found

    def _bare(self, measure: str, code: str, sampled: Sampled) -> tuple[Estimate, int]:
        counts = self.units["recall" if measure == _GAP else measure]
        n = np.array([counts[code]])
        found, clusters = sampled.estimates(self.sums[measure], n, code)
        return found[0], clusters


@dataclass(frozen=True, eq=False)
class _Added:
    """Ratios of the units of a part by class."""

    arms: Arms
    sums: dict[str, RatioSums]
    units: dict[str, Counter[str]]

    @classmethod
    def of(cls, arms: Arms) -> _Added:
        return cls(arms, {}, {})

    def add(
        self,
        measure: str,
        codes: np.ndarray,
        rows: np.ndarray,
        right: np.ndarray,
        other: np.ndarray | None = None,
    ) -> None:
        """Add the share of right units, less another's, by the class of each row."""
        clusters, weight = self.arms.clusters, self.arms.weight[rows]
        group = labelled(pd.Series(codes, dtype=object))
        self.sums[measure] = RatioSums.of_one(
            replace(clusters, number=clusters.number[rows]),
            weight,
            weight * right[rows],
            group=group,
            taken=None if other is None else weight * other[rows],
        )
        self.units[measure] = _units(group, weight)


def _units(group: tuple[np.ndarray, np.ndarray], weight: np.ndarray) -> Counter[str]:
    number, names = group
    return counted(names, np.bincount(number[weight > 0], minlength=len(names)))
