"""The scorecard of units that come in parts, each of which holds whole clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError
from mlstats.method import as_codes
from mlstats.quality.class_groups import ClassGroups, group_numbers
from mlstats.quality.cluster_totals import Clusters
from mlstats.quality.evaluation import fractions_of
from mlstats.quality.ratio_sums import RatioSums
from mlstats.quality.scorecard import Plan
from mlstats.quality.summaries import Ancestor

__all__ = ["ScoreSums", "others_of"]

_Key = tuple[str, str, str, str]  # indicator, level, method, other method


@dataclass(frozen=True, eq=False)
class ScoreSums:
    """What the accuracy and automation part of a scorecard needs of a part.

    Parameters
    ----------
    ratios : mapping of (indicator, level, method, other) to RatioSums
        Every share and difference.
    units : mapping of (indicator, level, method, other) to int
        Behind each.
    groups : mapping of (level, method) to ClassGroups
        For macro-F1.
    fractions : mapping of str to float
        Stratum -> share of its clusters that was drawn.
    """

    ratios: Mapping[_Key, RatioSums]
    units: Mapping[_Key, int]
    groups: Mapping[tuple[str, str], ClassGroups]
    fractions: Mapping[str, float]

    @classmethod
    def of(cls, units: pd.DataFrame, ancestor: Ancestor, plan: Plan) -> ScoreSums:
        """Add up the units of an Evaluation that hold whole clusters.

        Parameters
        ----------
        units : pandas.DataFrame
            Rows of every method, columns of :data:`mlstats.quality.evaluation.UNITS`;
            their ``position`` counts through all parts. Only the test part is used.
        ancestor : callable
            ``ancestor(codes, level)`` of the classification.
        plan : Plan
            What is scored; the same for every part.
        """
        test = units[units["fold"] == "test"]
        collected = _Collected({}, {}, {})
        for level in plan.levels:
            _add_accuracy(collected, test, ancestor, plan, level)
        for method in plan.kinds:
            part = test[test["method"] == method]
            for step in plan.routing.steps:
                _add_automation(collected, part, ancestor, step.level, method)
            _add_any_depth(collected, part, method)
        return cls(
            collected.ratios, collected.units, collected.groups, fractions_of(test)
        )

    def merge(self, other: ScoreSums) -> ScoreSums:
        """Return the sums of both sets of clusters.

        Raises
        ------
        MlstatsError
            Where the two were added up under different plans.
        """
        if self.ratios.keys() != other.ratios.keys():
            raise MlstatsError(
                "Sums under different plans cannot be merged",
                where="quality.score_sums",
            )
        return ScoreSums(
            {key: one.merge(other.ratios[key]) for key, one in self.ratios.items()},
            {key: n + other.units[key] for key, n in self.units.items()},
            {key: one.merge(other.groups[key]) for key, one in self.groups.items()},
            {**other.fractions, **self.fractions},
        )

    @classmethod
    def of_parts(cls, parts: Iterable[ScoreSums]) -> ScoreSums:
        """Return the sums of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)


# -- sums of a part ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Collected:
    ratios: dict[_Key, RatioSums]
    units: dict[_Key, int]
    groups: dict[tuple[str, str], ClassGroups]

    def add(
        self,
        key: _Key,
        clusters: Clusters,
        rows: np.ndarray,
        whole: np.ndarray,
        part: np.ndarray,
        *,
        less: np.ndarray | None = None,
        n: int,
    ) -> None:
        """Add the ratio of two weighted columns over the rows of one method."""
        at = Clusters(clusters.number[rows], clusters.stratum, clusters.strata)
        self.units[key] = n
        self.ratios[key] = RatioSums.of_one(
            at,
            whole[rows],
            part[rows],
            taken=None if less is None else less[rows],
        )


def _add_accuracy(
    collected: _Collected,
    test: pd.DataFrame,
    ancestor: Ancestor,
    plan: Plan,
    level: str,
) -> None:
    truth = ancestor(as_codes(test["truth"]), level)
    reached = ~pd.isna(truth)
    test, truth = test[reached], truth[reached]
    given = as_codes(test["prediction"])
    prediction = ancestor(given, level)
    clusters = Clusters.of(test["cluster"], test["stratum"])
    weight = test["weight"].to_numpy(dtype=float)
    right = weight * (truth == prediction)
    coded = weight * ~pd.isna(given)
    unseen = ~test["seen"].to_numpy(dtype=bool)
    method = test["method"].to_numpy(dtype=object)
    of_cluster = group_numbers(clusters, test["position"].to_numpy())
    group = of_cluster[clusters.number]
    for name in plan.kinds:
        own = method == name
        rows, n = np.flatnonzero(own), int(own.sum())
        collected.add(("accuracy", level, name, ""), clusters, rows, weight, right, n=n)
        collected.add(("coverage", level, name, ""), clusters, rows, weight, coded, n=n)
        collected.add(
            ("accuracy_unseen", level, name, ""),
            clusters,
            rows,
            weight * unseen,
            right * unseen,
            n=int((own & unseen).sum()),
        )
        collected.groups[level, name] = ClassGroups.of(
            of_cluster, group[rows], weight[rows], truth[rows], prediction[rows]
        )
        for other in others_of(plan, name):
            theirs = method == other
            collected.add(
                ("accuracy", level, name, other),
                clusters,
                np.flatnonzero(own | theirs),
                weight * own,
                right * own,
                less=right * theirs,
                n=n,
            )


def others_of(plan: Plan, method: str) -> list[str]:
    """Return the methods that a method is compared with, the baseline first."""
    others = [other for name, other in plan.versus if name == method]
    return [other for other in (plan.baseline, *others) if other != method]


def _add_automation(
    collected: _Collected,
    part: pd.DataFrame,
    ancestor: Ancestor,
    level: str,
    method: str,
) -> None:
    truth = ancestor(as_codes(part["truth"]), level)
    judged = ~pd.isna(truth)
    told = int(np.isfinite(part["confidence"].to_numpy(dtype=float)).sum())
    everyone, part, truth = len(part), part[judged], truth[judged]
    decided = part["depth"].eq(level).to_numpy()
    wrong = decided & (part["routed"].to_numpy(dtype=object) != truth)
    clusters = Clusters.of(part["cluster"], part["stratum"])
    weight = part["weight"].to_numpy(dtype=float)
    rows = np.arange(len(part))
    key = ("automation_guaranteed", level, method, "")
    collected.add(key, clusters, rows, weight, weight * decided, n=len(part))
    key = ("automation_error", level, method, "")
    n = int(decided.sum())
    collected.add(key, clusters, rows, weight * decided, weight * wrong, n=n)
    collected.units["confident", level, method, ""] = told
    collected.units["everyone", level, method, ""] = everyone


def _add_any_depth(collected: _Collected, part: pd.DataFrame, method: str) -> None:
    clusters = Clusters.of(part["cluster"], part["stratum"])
    weight = part["weight"].to_numpy(dtype=float)
    decided = part["depth"].ne("").to_numpy()
    rows, key = np.arange(len(part)), ("automation_any_depth", "", method, "")
    collected.add(key, clusters, rows, weight, weight * decided, n=len(part))
