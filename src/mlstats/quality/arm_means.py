"""The judged units of a part under each method, and means over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.judged import Judged
from mlstats.quality.ratio_sums import RatioSums
from mlstats.quality.scorecard import Plan
from mlstats.quality.summaries import Ancestor

__all__ = ["ArmMeans", "Arms", "Figure", "Group", "counted"]

Group = tuple[np.ndarray, np.ndarray]  # of each unit its group's number; sorted names


class Figure(NamedTuple):
    """A mean that a part adds to: of what, by which method, by which domain."""

    name: str
    method: str
    variable: str = ""


@dataclass(frozen=True, eq=False)
class ArmMeans:
    """Moments of means, and the units with weight behind them, by group."""

    sums: dict[Figure, RatioSums]
    units: dict[Figure, Counter[str]]

    @classmethod
    def of_nothing(cls) -> ArmMeans:
        """Return what means are added to."""
        return cls({}, {})

    def merge(self, other: ArmMeans) -> ArmMeans:
        """Return the means over both sets of clusters."""
        return ArmMeans(
            {key: one.merge(other.sums[key]) for key, one in self.sums.items()},
            {key: one + other.units[key] for key, one in self.units.items()},
        )

    def add(
        self,
        figure: Figure,
        arms: Arms,
        values: np.ndarray,
        inside: np.ndarray | None = None,
        *,
        less: np.ndarray | None = None,
        group: Group | None = None,
    ) -> None:
        """Add the mean of `values`, less those of another arm, over some units."""
        weight = arms.weight if inside is None else np.where(inside, arms.weight, 0.0)
        number, names = group or (np.zeros(len(weight), dtype=int), np.array([""]))
        self.sums[figure] = RatioSums.of_one(
            arms.clusters,
            weight,
            weight * values,
            group=group,
            taken=None if less is None else weight * less,
        )
        count = np.bincount(number[weight > 0], minlength=len(names))
        self.units[figure] = counted(names, count)


@dataclass(frozen=True, eq=False)
class Arms:
    """The judged units of a part, under each method in the same order."""

    judged: dict[str, Judged]
    clusters: Clusters
    weight: np.ndarray

    @classmethod
    def of(cls, units: pd.DataFrame, ancestor: Ancestor, plan: Plan) -> Arms:
        """Judge the test part of units of an Evaluation at the level of the plan."""
        test = units[units["fold"] == "test"]
        judged = {
            name: Judged.of(test, name, ancestor, plan.level, single=plan.single)
            for name in plan.kinds
        }
        part = judged[plan.baseline].part
        return cls(
            judged,
            Clusters.of(part["cluster"], part["stratum"]),
            part["weight"].to_numpy(dtype=float),
        )

    def seen(self, method: str) -> np.ndarray:
        """Return whether each text was known from training."""
        return np.asarray(self.judged[method].part["seen"].to_numpy(dtype=bool))

    def domains(self, method: str) -> Iterator[tuple[str, Group]]:
        """Yield each domain variable and the values of its units."""
        for variable, values in self.judged[method].domains.items():
            number, found = pd.factorize(values, use_na_sentinel=False)
            told = ["" if pd.isna(value) else str(value) for value in found]
            names, rank = np.unique(np.array(told, dtype=str), return_inverse=True)
            yield variable, (rank[number], names)


def counted(names: np.ndarray, counts: np.ndarray) -> Counter[str]:
    """Return name -> count."""
    return Counter(dict(zip(names.tolist(), counts.tolist(), strict=True)))
