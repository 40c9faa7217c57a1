"""The scorecard beyond accuracy of parts of whole clusters: what is added up first.

Kappa, the contrasts of groups and what is told of pooled domains need the figures of
all parts before a unit's influence on them can be told. Parts are therefore read twice:
:class:`DimensionSums` holds what a first reading adds up, and
:class:`mlstats.quality.dimension_influences.DimensionInfluences` what a second does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Final

import numpy as np
import pandas as pd

from mlstats.quality.agreement import AgreementSums
from mlstats.quality.arm_means import ArmMeans, Arms, Figure, counted
from mlstats.quality.calibration import BINS, equal_width
from mlstats.quality.calibration_sums import CalibrationSums
from mlstats.quality.comparison import hybrid_right
from mlstats.quality.evaluation import fractions_of
from mlstats.quality.fairness import POOLED, pool_of
from mlstats.quality.pair_sums import PairSums
from mlstats.quality.ratio_sums import RatioSums
from mlstats.quality.scorecard import Plan
from mlstats.quality.summaries import Ancestor

__all__ = ["BY_TEXT", "MIN_CELL", "DimensionSums", "GroupMeans"]

BY_TEXT: Final = ""  # no domain variable: whether the text was known from training
MIN_CELL: Final = 10  # units of a domain below which nothing is told of it


@dataclass(frozen=True)
class GroupMeans:
    """Weight of each group of units, and the weight in it that counts.

    Parameters
    ----------
    variable : str
        The domain variable, or :data:`BY_TEXT`.
    totals : mapping of str to (float, float)
        Group -> weight, and weight of what counts.
    """

    variable: str
    totals: Mapping[str, tuple[float, float]]

    def pair(self, group: str) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return weight and mean in a group, and in all others."""
        inside = self.totals[group]
        others = [self.totals[name] for name in self.totals if name != group]
        # Summed, not subtracted: where all counts the mean is then exactly one.
        outside = sum(x for x, _ in others), sum(y for _, y in others)
        return _mean(*inside), _mean(*outside)


def _mean(x: float, y: float) -> tuple[float, float]:
    return x, y / x if x > 0 else np.nan


@dataclass(frozen=True, eq=False)
class DimensionSums:
    """Sums of a first reading.

    Parameters
    ----------
    means : mapping of Figure to RatioSums
        Moments of each mean.
    units : mapping of Figure to Counter
        Units with weight behind each, by group.
    domains : mapping of str to Counter
        Domain variable -> value -> units.
    agreement : mapping of str to AgreementSums
        By method.
    calibration : mapping of str to CalibrationSums
        By method, of the units with a confidence.
    pairs : mapping of str to PairSums
        By method that is not the baseline, beside it.
    outside : mapping of str to int
        By method, confidences that are not from 0 to 1.
    judged, faulty : int
        Units of each method, and those whose weight is none.
    weight : float
        Of all of them.
    fractions : mapping of str to float
        Stratum -> share of its clusters that was drawn.
    """

    means: Mapping[Figure, RatioSums]
    units: Mapping[Figure, Counter[str]]
    domains: Mapping[str, Counter[str]]
    agreement: Mapping[str, AgreementSums]
    calibration: Mapping[str, CalibrationSums]
    pairs: Mapping[str, PairSums]
    outside: Mapping[str, int]
    judged: int
    faulty: int
    weight: float
    fractions: Mapping[str, float]

    @classmethod
    def of(cls, units: pd.DataFrame, ancestor: Ancestor, plan: Plan) -> DimensionSums:
        """Add up the units of an Evaluation that hold whole clusters.

        Parameters
        ----------
        units, ancestor, plan
            As of :meth:`mlstats.quality.score_sums.ScoreSums.of`; columns
            ``domain_NAME`` may follow, the same in every part.
        """
        arms = Arms.of(units, ancestor, plan)
        means = ArmMeans.of_nothing()
        domains = {
            variable: counted(names, np.bincount(number, minlength=len(names)))
            for variable, (number, names) in arms.domains(plan.baseline)
        }
        agreement, calibration, outside = {}, {}, {}
        for name, arm in arms.judged.items():
            agreement[name] = AgreementSums.of(arms.weight, arm.code, arm.truth)
            calibration[name], outside[name] = _calibration(means, arms, name)
            _add_groups(means, arms, plan, name)
        weight = arms.weight
        return cls(
            means.sums,
            means.units,
            domains,
            agreement,
            calibration,
            _pairs(means, arms, plan),
            outside,
            len(weight),
            int((~np.isfinite(weight) | (weight < 0)).sum()),
            float(weight.sum()),
            fractions_of(arms.judged[plan.baseline].part),
        )

    def merge(self, other: DimensionSums) -> DimensionSums:
        """Return the sums of both sets of clusters."""
        one, two = (ArmMeans(dict(s.means), dict(s.units)) for s in (self, other))
        means = one.merge(two)
        return DimensionSums(
            means.sums,
            means.units,
            {name: n + other.domains[name] for name, n in self.domains.items()},
            {key: a.merge(other.agreement[key]) for key, a in self.agreement.items()},
            {
                key: found.merge(other.calibration[key])
                for key, found in self.calibration.items()
            },
            {name: one.merge(other.pairs[name]) for name, one in self.pairs.items()},
            {name: n + other.outside[name] for name, n in self.outside.items()},
            self.judged + other.judged,
            self.faulty + other.faulty,
            self.weight + other.weight,
            {**other.fractions, **self.fractions},
        )

    @classmethod
    def of_parts(cls, parts: Iterable[DimensionSums]) -> DimensionSums:
        """Return the sums of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)

    @property
    def fault(self) -> str:
        """Why nothing can be estimated; empty where all is well."""
        if self.faulty:
            return f"{self.faulty} weights are negative or not finite"
        return "" if self.weight > 0 else "no unit has weight"

    @cached_property
    def pools(self) -> dict[str, set[str]]:
        """Domain variable -> the values that are made one."""
        return {
            variable: pool_of(+units, min_cell=MIN_CELL)
            for variable, units in self.domains.items()
        }

    def means_of(self, method: str) -> Iterator[GroupMeans]:
        """Yield what the contrasts of a method are made of."""
        known = Figure("accuracy_known", method), Figure("accuracy_new_units", method)
        pair = [_totals(self.means[figure]) for figure in known]
        by_seen = {"known": pair[0][""], "new": pair[1][""]}
        yield GroupMeans(BY_TEXT, by_seen)
        for variable, pool in self.pools.items():
            raw = _totals(self.means[Figure("accuracy", method, variable)])
            groups: dict[str, tuple[float, float]] = {}
            for value in self.domains[variable]:
                x, right = raw[value]
                own = POOLED if value in pool else value
                before = groups.get(own, (0.0, 0.0))
                groups[own] = before[0] + x, before[1] + (x - right)
            yield GroupMeans(variable, dict(sorted(groups.items())))


def _calibration(means: ArmMeans, arms: Arms, name: str) -> tuple[CalibrationSums, int]:
    arm = arms.judged[name]
    confidence = arm.part["confidence"].to_numpy(dtype=float)
    told = np.isfinite(confidence)
    known = np.where(told, confidence, 0.0)
    means.add(Figure("brier", name), arms, (known - arm.right) ** 2, told)
    means.add(Figure("overconfidence", name), arms, known - arm.right, told)
    sums = CalibrationSums.of(
        equal_width(known[told], BINS),
        BINS,
        arms.clusters.number[told],
        arms.weight[told],
        known[told],
        arm.right[told],
    )
    return sums, int(((known < 0) | (known > 1)).sum())


def _pairs(means: ArmMeans, arms: Arms, plan: Plan) -> dict[str, PairSums]:
    found, base = {}, arms.judged[plan.baseline]
    wanted = base.right.astype(float)
    for name, arm in arms.judged.items():
        if name == plan.baseline:
            continue
        own, hybrid = arm.right.astype(float), hybrid_right(arm, base).astype(float)
        means.add(Figure("difference", name), arms, own, less=wanted)
        means.add(Figure("hybrid", name), arms, hybrid)
        means.add(Figure("hybrid_difference", name), arms, hybrid, less=wanted)
        found[name] = PairSums.of(arms.weight, arm.right, base.right)
    return found


def _add_groups(means: ArmMeans, arms: Arms, plan: Plan, name: str) -> None:
    right, seen = arms.judged[name].right.astype(float), arms.seen(name)
    means.add(Figure("accuracy_new_units", name), arms, right, ~seen)
    means.add(Figure("accuracy_known", name), arms, right, seen)
    base = arms.judged[plan.baseline].right.astype(float)
    for variable, by in arms.domains(name):
        means.add(Figure("accuracy", name, variable), arms, right, group=by)
        if name != plan.baseline:
            gap = Figure("difference", name, variable)
            means.add(gap, arms, right, less=base, group=by)


def _totals(sums: RatioSums) -> dict[str, tuple[float, float]]:
    """Return group -> totals of denominator and numerator."""
    strata, groups = max(len(sums.strata), 1), len(sums.groups)
    group = sums.place // strata
    x = np.bincount(group, sums.x, minlength=groups)
    y = np.bincount(group[sums.cell], sums.y, minlength=groups)
    return {str(name): (float(x[k]), float(y[k])) for k, name in enumerate(sums.groups)}
