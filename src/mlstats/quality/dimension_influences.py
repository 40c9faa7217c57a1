"""The scorecard beyond accuracy of parts of whole clusters: a second reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
import pandas as pd

from mlstats.quality.arm_means import ArmMeans, Arms, Figure, Group
from mlstats.quality.dimension_sums import BY_TEXT, DimensionSums, GroupMeans
from mlstats.quality.fairness import POOLED
from mlstats.quality.influence_sums import InfluenceSums
from mlstats.quality.ratio_sums import RatioSums
from mlstats.quality.scorecard import Plan
from mlstats.quality.summaries import Ancestor

__all__ = ["DimensionInfluences"]

# What differs by less, as a share of what it is the difference of, is equal.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, eq=False)
class DimensionInfluences:
    """Sums of a second reading.

    Parameters
    ----------
    means : mapping of Figure to RatioSums
        Moments of the means by pooled domain.
    units : mapping of Figure to Counter
        Units with weight behind each, by group.
    influences : mapping of str to InfluenceSums
        By method: ``("kappa",)``, and ``(variable, group, side)`` of each contrast,
        with the sides ``inside``, ``outside`` and ``gap``.
    """

    means: Mapping[Figure, RatioSums]
    units: Mapping[Figure, Counter[str]]
    influences: Mapping[str, InfluenceSums]

    @classmethod
    def of(
        cls, units: pd.DataFrame, ancestor: Ancestor, plan: Plan, first: DimensionSums
    ) -> DimensionInfluences:
        """Add up the units of a part.

        Parameters
        ----------
        units, ancestor, plan
            As of :meth:`DimensionSums.of`.
        first : DimensionSums
            Of all parts.
        """
        arms = Arms.of(units, ancestor, plan)
        means = ArmMeans.of_nothing()
        for name in plan.kinds:
            _add_pooled(means, arms, first, name)
        influences = {
            name: InfluenceSums.of(arms.clusters, _influences(arms, first, name))
            for name in plan.kinds
        }
        return cls(means.sums, means.units, influences)

    def merge(self, other: DimensionInfluences) -> DimensionInfluences:
        """Return the sums of both sets of clusters."""
        one, two = (ArmMeans(dict(s.means), dict(s.units)) for s in (self, other))
        means = one.merge(two)
        return DimensionInfluences(
            means.sums,
            means.units,
            {key: a.merge(other.influences[key]) for key, a in self.influences.items()},
        )

    @classmethod
    def of_parts(cls, parts: Iterable[DimensionInfluences]) -> DimensionInfluences:
        """Return the sums of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)


def _add_pooled(means: ArmMeans, arms: Arms, first: DimensionSums, name: str) -> None:
    arm = arms.judged[name]
    automatic = arm.part["route"].eq("automatic").to_numpy(dtype=float)
    wrong = 1.0 - arm.right
    for variable, group in _pooled(arms, first, name):
        means.add(Figure("error", name, variable), arms, wrong, group=group)
        means.add(Figure("not_referred", name, variable), arms, automatic, group=group)


def _pooled(arms: Arms, first: DimensionSums, name: str) -> Iterator[tuple[str, Group]]:
    """Yield each domain variable and the groups of its units, small ones pooled."""
    for variable, (number, values) in arms.domains(name):
        pool = first.pools[variable]
        told = [POOLED if value in pool else value for value in values.tolist()]
        groups, rank = np.unique(np.array(told, dtype=str), return_inverse=True)
        yield variable, (rank[number], groups)


def _influences(
    arms: Arms, first: DimensionSums, name: str
) -> Iterator[tuple[tuple[str, ...], np.ndarray, np.ndarray]]:
    """Yield (name, weighted influence of each unit, units of the domain)."""
    arm, weight = arms.judged[name], arms.weight
    agreed = first.agreement[name]
    if agreed.gap is None:
        scores, both = agreed.influences(weight, arm.code, arm.truth)
        yield ("kappa",), scores, both & (weight > 0)
    seen = np.where(arms.seen(name), 0, 1), np.array(["known", "new"])
    groups: dict[str, Group] = {BY_TEXT: seen, **dict(_pooled(arms, first, name))}
    for means in first.means_of(name):
        number, names = groups[means.variable]
        counted = arm.right if means.variable == BY_TEXT else ~arm.right
        for group in means.totals:
            found = _contrast(means, group, names[number] == group, counted, weight)
            for side, scores, inside in found:
                yield (means.variable, group, side), scores, inside & (weight > 0)


def _contrast(
    means: GroupMeans,
    group: str,
    inside: np.ndarray,
    counted: np.ndarray,
    weight: np.ndarray,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the influences on the means of a group and of the others, and their gap.

    Nothing where one of them has no weight.
    """
    own, others = means.pair(group)
    if not (own[0] > 0 and others[0] > 0):
        return
    one = _of_mean(weight, counted, inside, *own)
    two = _of_mean(weight, counted, ~inside, *others)
    yield "inside", one, inside
    yield "outside", two, ~inside
    yield "gap", one - two, np.ones(len(inside), dtype=bool)


def _of_mean(
    weight: np.ndarray, counted: np.ndarray, inside: np.ndarray, x: float, mean: float
) -> np.ndarray:
    """Return the weighted influence of each unit on a mean, as a design tells it."""
    apart = counted - mean
    apart[np.abs(apart) <= _ROUNDING * (counted + abs(mean))] = 0.0
    return np.where(inside, weight * apart, 0.0) / x
