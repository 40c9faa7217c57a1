"""The totals of a coding pilot from sums that add up over the parts of a period.

A part holds whole clusters. What is kept of it grows with classes, strata and groups of
the domains, never with units or clusters, so that a period of any size is told from
parts that no process holds at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.cell_protection import told_cells
from mlstats.coding.classification import Classification
from mlstats.errors import MlstatsError
from mlstats.process_sums import ProcessSums
from mlstats.quality.accuracy import RatioEstimate, proportion_interval
from mlstats.quality.cluster_totals import Clusters, labelled
from mlstats.quality.design import SingleClusterRule
from mlstats.quality.evaluation import fractions_of
from mlstats.quality.ratio_sums import RatioSums, Shares
from mlstats.quality.report_tables import LEAST_UNITS
from mlstats.quality.stratified import drawn_shares
from mlstats.quality.summaries import UNCODED
from mlstats.release_totals import TOTALS, t_limits, told_sizes

__all__ = ["CodeSums"]

_CODES: Final = ("value", "champion_code", "baseline_code")
_NO_ERROR: Final = ["se", "lower", "upper", "difference_lower", "difference_upper"]


@dataclass(frozen=True, eq=False)
class _Domain:
    """The sums of the groups of one column; "" is that of all units."""

    value: RatioSums
    baseline: RatioSums
    gap: RatioSums  # champion less baseline
    # Of each group and class: units, those with weight, weight, weight that waits.
    counts: pd.DataFrame

    def merge(self, other: _Domain) -> _Domain:
        return _Domain(
            self.value.merge(other.value),
            self.baseline.merge(other.baseline),
            self.gap.merge(other.gap),
            _added(self.counts, other.counts),
        )


@dataclass(frozen=True, eq=False)
class CodeSums:
    """What the shares of the classes and their errors need of a part of a period.

    Parameters
    ----------
    level : str
        Of the classification.
    domains : mapping of str to _Domain
        The sums by column, "" those of all units.
    came : ProcessSums or None
        The sums of the process; None where the units had no route and confidence.
    fractions : mapping of str to float
        Stratum -> share of its clusters that was drawn.
    answered : (bool, bool)
        Whether champion and baseline coded any unit.

    Notes
    -----
    The same parts in the same order give the same bytes. Another parting gives figures
    that agree to 1e-9 of themselves: what is kept are moments about means, not sums of
    squares, see :mod:`mlstats.quality.ratio_sums`.
    """

    level: str
    domains: Mapping[str, _Domain]
    came: ProcessSums | None
    fractions: Mapping[str, float]
    answered: tuple[bool, bool]

    @classmethod
    def of(
        cls,
        units: pd.DataFrame,
        classification: Classification,
        level: str,
        *,
        domains: Sequence[str] = (),
        process: pd.DataFrame | None = None,
    ) -> CodeSums:
        """Add up the units of a part that holds whole clusters.

        Parameters
        ----------
        units : pandas.DataFrame
            Columns value, champion_code, baseline_code, weight, cluster, stratum,
            fraction, open and ``domain_NAME``.
        classification : Classification
            Knows the codes of every part.
        level : str
            Of the classification; what does not reach it is ``uncoded``.
        domains : sequence of str
            Columns by which the shares are told too.
        process : pandas.DataFrame, optional
            The same units as they were before clerks' codes, with champion_code,
            baseline_code, weight, cluster, stratum, route and confidence; by default
            `units` themselves, where they have these columns.
        """
        clusters = Clusters.of(units["cluster"], units["stratum"])
        names, codes = _numbered(units, classification, level)
        part = _Part(units, clusters, names, codes)
        if process is None and {"route", "confidence"} <= set(units.columns):
            process = units
        return cls(
            level=level,
            domains={name: part.domain(name) for name in ("", *domains)},
            came=None if process is None else ProcessSums.of(process),
            fractions=fractions_of(units),
            answered=(
                bool(units["champion_code"].notna().any()),
                bool(units["baseline_code"].notna().any()),
            ),
        )

    def merge(self, other: CodeSums) -> CodeSums:
        """Return the sums of both sets of clusters.

        Raises
        ------
        MlstatsError
            Where the two were added up at different levels or by other domains.
        """
        same = (self.level, *self.domains) == (other.level, *other.domains)
        if not same or (self.came is None) != (other.came is None):
            raise MlstatsError(
                "Sums at different levels or by different domains cannot be merged",
                where="coding_sums",
            )
        return CodeSums(
            self.level,
            {
                name: one.merge(other.domains[name])
                for name, one in self.domains.items()
            },
            self.came.merge(other.came) if self.came and other.came else None,
            {**other.fractions, **self.fractions},
            (
                self.answered[0] or other.answered[0],
                self.answered[1] or other.answered[1],
            ),
        )

    @classmethod
    def of_parts(cls, parts: Iterable[CodeSums]) -> CodeSums:
        """Return the sums of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)

    def totals(self, *, single: SingleClusterRule = "adjust") -> pd.DataFrame:
        """Estimate the weighted share of each class, and how the methods differ in it.

        Parameters
        ----------
        single : {"adjust", "refuse"}
            The rule for a stratum with a single cluster.

        Returns
        -------
        pandas.DataFrame
            As of :func:`mlstats.coding_totals.code_totals`.
        """
        whole = _counted(self.domains[""].counts, [""], self._names)[0]
        rows: list[dict[str, Any]] = []
        for name, sums in self.domains.items():
            groups = [str(group) for group in sums.value.groups]
            counts = _counted(sums.counts, groups, self._names)
            known = np.array([True])
            if name:
                sizes = pd.Series(counts.sum(axis=1), index=groups)
                known = np.isin(groups, told_sizes(sizes))
            classes, cells = told_cells(counts, whole, known, least=LEAST_UNITS)
            told = cells if name else classes[None, :]
            for place in np.flatnonzero(told.any(axis=1)):
                rows += self._rows(name, groups[place], told[place])
        table = pd.DataFrame(rows, columns=list(TOTALS)).astype(dict(TOTALS))
        if (drawn_shares(self.fractions, self.domains[""].value.strata) == 1).all():
            for end in ("lower", "upper"):
                table[end] = table["estimate"]
                table[f"difference_{end}"] = table["difference"]
            table["note"] = table["note"].replace("", "every cluster was drawn")
        elif single == "refuse" and self.domains[""].value.alone(self.fractions):
            table[_NO_ERROR] = np.nan
            table["note"] = "a stratum has one cluster: no standard error"
        return table

    def process(self) -> pd.DataFrame:
        """Estimate how the codes came about.

        Returns
        -------
        pandas.DataFrame
            As of :func:`mlstats.coding_totals.process_figures`.

        Raises
        ------
        MlstatsError
            Where the parts had no columns route and confidence.
        """
        if self.came is None:
            raise MlstatsError(
                "The units had no route and confidence",
                where="coding_sums",
                expected="both columns in every part",
            )
        return self.came.figures()

    @property
    def _names(self) -> np.ndarray:
        return self.domains[""].value.classes

    def _rows(self, name: str, group: str, told: np.ndarray) -> list[dict[str, Any]]:
        sums = self.domains[name]
        found, other, gap = (
            part.shares(group, self.fractions)
            for part in (sums.value, sums.baseline, sums.gap)
        )
        counts = sums.counts.xs(group, level="group").reindex(list(self._names))
        n, weighted, weight, waits = counts.to_numpy(dtype=float).T
        rows = []
        for place in map(int, np.flatnonzero(told)):
            row = self._row(found, other, gap, place, int(np.nansum(weighted)))
            share = waits[place] / weight[place] if weight[place] else 0.0
            row |= {
                "variable": f"share of classes, level {self.level}",
                "domain": f"{name}={group}" if name else "",
                "class": str(self._names[place]),
                "n": int(n[place]),
                "open_share": float(share),
            }
            rows.append(row)
        return rows

    def _row(
        self, found: Shares, other: Shares, gap: Shares, place: int, n: int
    ) -> dict[str, Any]:
        share = RatioEstimate(
            float(found.value[place]), float(found.se[place]), found.df, found.clusters
        )
        ends = proportion_interval(share, n) if found.df > 0 else (np.nan, np.nan)
        row: dict[str, Any] = {
            "estimate": share.value,
            "se": share.se,
            "df": share.df,
            "lower": ends[0],
            "upper": ends[1],
            "note": "",
        }
        if not all(self.answered):
            return row | {"note": "one method alone answered: no difference"}
        # That no unit differs in the sample does not show that none does.
        se = float(gap.se[place]) or np.nan
        lower, upper = t_limits(float(gap.value[place]), se, gap.df)
        return row | {
            "baseline": float(other.value[place]),
            "difference": float(gap.value[place]),
            "difference_lower": lower,
            "difference_upper": upper,
        }


@dataclass(frozen=True, eq=False)
class _Part:
    """The units of a part, their codes as numbers of classes."""

    units: pd.DataFrame
    clusters: Clusters
    names: np.ndarray
    codes: tuple[np.ndarray, ...]  # value, champion, baseline

    def domain(self, name: str) -> _Domain:
        weight = self.units["weight"].to_numpy(dtype=float)
        group = labelled(self.units[f"domain_{name}"]) if name else None
        value, champion, baseline = self.codes

        def sums(codes: np.ndarray, less: np.ndarray | None = None) -> RatioSums:
            return RatioSums.of(
                self.clusters, weight, codes, self.names, group=group, less=less
            )

        return _Domain(
            sums(value), sums(baseline), sums(champion, baseline), self._counts(group)
        )

    def _counts(self, group: tuple[np.ndarray, np.ndarray] | None) -> pd.DataFrame:
        number, groups = group or (0, np.array([""]))
        weight = self.units["weight"].to_numpy(dtype=float)
        waits = self.units["open"].to_numpy(dtype=bool)
        key = number * len(self.names) + self.codes[0]
        columns = {
            "n": None,
            "weighted": weight > 0,
            "weight": weight,
            "waits": weight * waits,
        }
        added = {name: np.bincount(key, of) for name, of in columns.items()}
        held = np.flatnonzero(added["n"])
        index = pd.MultiIndex.from_arrays(
            [groups[held // len(self.names)], self.names[held % len(self.names)]],
            names=["group", "class"],
        )
        return pd.DataFrame({name: of[held] for name, of in added.items()}, index=index)


def _numbered(
    units: pd.DataFrame, classification: Classification, level: str
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    numbers, distinct = [], []
    for column in _CODES:
        number, found = pd.factorize(units[column])
        at = classification.ancestor(np.asarray(found, dtype=object), level)
        classes = np.array([UNCODED if c is None else str(c) for c in at] + [UNCODED])
        numbers.append(number)
        distinct.append(classes)
    names = np.unique(np.concatenate(distinct))
    codes = tuple(
        np.searchsorted(names, classes)[number]
        for classes, number in zip(distinct, numbers, strict=True)
    )
    return names, codes


def _added(one: pd.DataFrame, two: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([one, two]).groupby(level=["group", "class"], sort=True).sum()


def _counted(
    counts: pd.DataFrame, groups: Sequence[str], names: np.ndarray
) -> np.ndarray:
    """Return the units by group and class."""
    wide = counts["n"].unstack("class", fill_value=0)
    wide = wide.reindex(index=list(groups), columns=list(names), fill_value=0)
    return np.asarray(wide.to_numpy(dtype=np.int64))
