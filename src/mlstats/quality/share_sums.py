"""The published shares under every arm, from sums that add up over parts.

The arms, the figures and their differences are those of
:mod:`mlstats.quality.estimate_level`; what is kept of a part grows with arms, classes,
strata and values of the domains, never with its units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError
from mlstats.quality.accuracy import as_share
from mlstats.quality.arm_means import Arms, Group
from mlstats.quality.bias import largest_bias_ratio
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.estimate_level import (
    AGGREGATES,
    coded_arms,
    hybrid_name,
    kinds_of,
    share_row,
)
from mlstats.quality.evaluation import fractions_of
from mlstats.quality.indicator import Indicator
from mlstats.quality.ratio_estimates import Sampled
from mlstats.quality.ratio_sums import RatioSums
from mlstats.quality.scorecard import Plan
from mlstats.quality.summaries import UNCODED, Ancestor

__all__ = ["ShareSums"]

_TRUTH: Final = "truth"
_ALL: Final = ""  # no domain variable; the one group of all units


@dataclass(frozen=True, eq=False)
class ShareSums:
    """What the shares of the classes need of a part.

    Parameters
    ----------
    level : str
        Of the published classes.
    baseline : str
        The arm that the gaps refer to.
    kinds : mapping of str to str
        Arm -> truth, traditional, ml or hybrid.
    shares : mapping of (arm, other, variable) to RatioSums
        Of the arm, less those of the other where it is not empty, by the groups of a
        domain variable.
    units : mapping of (arm, variable) to Counter
        (group, class) -> units with weight.
    decided : Counter
        Method -> units that it decides by itself.
    fractions : mapping of str to float
        Stratum -> share of its clusters that was drawn.

    Notes
    -----
    The squared bias over all classes needs the covariance between classes and is not
    told from these sums.
    """

    level: str
    baseline: str
    kinds: Mapping[str, str]
    shares: Mapping[tuple[str, str, str], RatioSums]
    units: Mapping[tuple[str, str], Counter[tuple[str, str]]]
    decided: Counter[str]
    fractions: Mapping[str, float]

    @classmethod
    def of(
        cls, units: pd.DataFrame, ancestor: Ancestor, plan: Plan, level: str
    ) -> ShareSums:
        """Add up the units of an Evaluation that hold whole clusters.

        Parameters
        ----------
        units, ancestor, plan
            As of :meth:`mlstats.quality.score_sums.ScoreSums.of`; columns
            ``domain_NAME`` may follow, the same in every part.
        level : str
            Of the published classes.
        """
        arms = Arms.of(units, ancestor, replace(plan, level=level))
        codes = coded_arms(arms.judged, plan.baseline)
        classes, numbers = _numbered(codes)
        shares, held = {}, {}
        groups: list[tuple[str, Group | None]] = [(_ALL, None)]
        groups += arms.domains(plan.baseline)
        for variable, group in groups:
            for name, other in _pairs([*codes], plan.baseline):
                shares[name, other, variable] = RatioSums.of(
                    arms.clusters,
                    arms.weight,
                    numbers[name],
                    classes,
                    group=group,
                    less=numbers[other] if other else None,
                )
            for name in codes:
                held[name, variable] = _units(arms, numbers[name], classes, group)
        decided = {name: one.decided for name, one in arms.judged.items()}
        return cls(
            level,
            plan.baseline,
            kinds_of(plan.kinds, plan.baseline),
            shares,
            held,
            Counter({name: int(pd.notna(c).sum()) for name, c in decided.items()}),
            fractions_of(arms.judged[plan.baseline].part),
        )

    def merge(self, other: ShareSums) -> ShareSums:
        """Return the sums of both sets of clusters.

        Raises
        ------
        MlstatsError
            Where the two were added up at different levels or of different arms.
        """
        if self.level != other.level or self.shares.keys() != other.shares.keys():
            raise MlstatsError(
                "Sums of different arms, levels or domains cannot be merged",
                where="quality.share_sums",
            )
        return replace(
            self,
            shares={
                key: one.merge(other.shares[key]) for key, one in self.shares.items()
            },
            units={key: one + other.units[key] for key, one in self.units.items()},
            decided=self.decided + other.decided,
            fractions={**other.fractions, **self.fractions},
        )

    @classmethod
    def of_parts(cls, parts: Iterable[ShareSums]) -> ShareSums:
        """Return the sums of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)

    @property
    def arms(self) -> dict[str, str]:
        """The arms that differ from one another -> their kinds.

        The hybrid of a method that decides nothing by itself is the baseline.
        """
        idle = {
            hybrid_name(name, self.baseline)
            for name in self.kinds
            if not self.decided[name]
        }
        return {arm: kind for arm, kind in self.kinds.items() if arm not in idle}

    def table(self, sampled: Sampled, *, min_cell: int = 10) -> pd.DataFrame:
        """Estimate the share of every class under every arm, overall and by domain.

        Parameters
        ----------
        sampled : Sampled
            The rule for single clusters.
        min_cell : int
            A cell with fewer units is not told.

        Returns
        -------
        pandas.DataFrame
            As of :func:`mlstats.quality.estimate_level.share_table`, of classes that
            hold units with weight under an arm.
        """
        rows: list[dict[str, Any]] = []
        for variable in dict.fromkeys(variable for _, _, variable in self.shares):
            for group in self.shares[_TRUTH, "", variable].groups:
                rows += self._rows(variable, str(group), sampled, min_cell)
        return pd.DataFrame(rows, columns=list(AGGREGATES))

    def indicators(self, sampled: Sampled) -> Iterator[dict[str, Any]]:
        """Yield rows of the scorecard: the largest bias ratio of a class, by method.

        They are those of :func:`mlstats.quality.estimate_level.share_indicators`.
        """
        told = [*self._classes]
        places = [k for k, name in enumerate(told) if name != UNCODED]
        true = self.shares[_TRUTH, "", _ALL].shares(_ALL, sampled.fractions)
        n = sum(self.units[_TRUTH, _ALL].values())
        for arm, kind in self.arms.items():
            if arm == _TRUTH:
                continue
            sums = self.shares[arm, _TRUTH, _ALL]
            bias, _ = sampled.estimates(sums, np.full(len(told), n))
            found = largest_bias_ratio(
                [told[k] for k in places],
                np.array([bias[k].value for k in places]),
                np.array([bias[k].se for k in places]),
                true.se[places],
                true.df,
                n=n,
            )
            ratio = Indicator("accuracy", "bias_ratio", found)
            yield share_row(ratio, arm, kind, self.level)

    @property
    def _classes(self) -> list[str]:
        return [str(name) for name in self.shares[_TRUTH, "", _ALL].classes]

    def _rows(
        self, variable: str, group: str, sampled: Sampled, min_cell: int
    ) -> Iterator[dict[str, Any]]:
        n = {
            arm: np.array([self.units[arm, variable][group, c] for c in self._classes])
            for arm in self.arms
        }
        told = {
            (arm, other): self._told(arm, other, variable, group, sampled, n, min_cell)
            for arm, other in _pairs([*self.arms], self.baseline)
        }
        domain = f"{variable}: {group}" if variable else ""
        for place, name in enumerate(self._classes):
            if not any(counts[place] for counts in n.values()):
                continue
            for arm, kind in self.arms.items():
                row: dict[str, Any] = {"level": self.level, "variable": name}
                row |= {"domain": domain, "arm": arm, "kind": kind}
                own = told[arm, ""][place]
                row |= _numbers(own)
                row |= {"n": own.n, "status": own.status, "note": own.note}
                for prefix, other in (("difference", _TRUTH), ("gap", self.baseline)):
                    if other != arm:
                        gap = _numbers(told[arm, other][place], prefix)
                        row |= {key: gap[key] for key in gap if key in AGGREGATES}
                yield row

    def _told(
        self,
        arm: str,
        other: str,
        variable: str,
        group: str,
        sampled: Sampled,
        n: Mapping[str, np.ndarray],
        min_cell: int,
    ) -> list[Estimate]:
        sums = self.shares[arm, other, variable]
        found, clusters = sampled.estimates(sums, n[arm], group)
        if not other:
            units = int(n[arm].sum())
            found = [as_share(one, units, clusters) for one in found]
        # The difference to an empty domain would tell the figure of a small one.
        few = [(n[one] > 0) & (n[one] < min_cell) for one in (arm, other or arm)]
        small = absent("not_measured", f"fewer than {min_cell} units")
        return [
            small if kept_back else one
            for one, kept_back in zip(found, few[0] | few[1], strict=True)
        ]


def _numbered(
    codes: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the sorted classes, and of each arm the place of each unit's class."""
    number, found = pd.factorize(np.concatenate([*codes.values()]))
    classes, rank = np.unique(np.array(found, dtype=str), return_inverse=True)
    own = np.split(rank[number], len(codes))
    return classes, dict(zip(codes, own, strict=True))


def _pairs(arms: list[str], baseline: str) -> Iterator[tuple[str, str]]:
    """Yield each arm alone, beside the truth and beside the baseline."""
    for arm in arms:
        yield arm, ""
        yield from ((arm, other) for other in (_TRUTH, baseline) if other != arm)


def _units(
    arms: Arms, code: np.ndarray, classes: np.ndarray, group: Group | None
) -> Counter[tuple[str, str]]:
    number, names = group or (np.zeros(len(code), dtype=int), np.array([_ALL]))
    width = len(classes)
    count = np.bincount((number * width + code)[arms.weight > 0])
    held = np.flatnonzero(count)
    return Counter(
        {(str(names[k // width]), str(classes[k % width])): int(count[k]) for k in held}
    )


def _numbers(found: Estimate, prefix: str = "") -> dict[str, float]:
    """Return value, error and ends under the names of their columns."""
    head = f"{prefix}_" if prefix else ""
    ends = {f"{head}{name}": getattr(found, name) for name in ("se", "lower", "upper")}
    return {prefix or "value": found.value, **ends}
