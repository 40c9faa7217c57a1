"""The sums that an edit and imputation period's totals are worked out from.

They add up over the parts of a period, each of which holds whole clusters: what is kept
grows with figures, strata and groups, never with records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError
from mlstats.quality.cluster_totals import Clusters, labelled
from mlstats.quality.evaluation import fractions_of
from mlstats.quality.moment_sums import Column, MomentSums

__all__ = ["BASELINE", "BETWEEN", "RELEASED", "Figure", "ImputedSums", "Sides"]

RELEASED, BASELINE, BETWEEN = "released", "baseline", "difference"
_COUNTED: Final = ("weighted", "held", "weight", "waits", "bad", "differ")


@dataclass(frozen=True, eq=False)
class Sides:
    """The values of the variables, a row per record, in the same order.

    Parameters
    ----------
    released : pandas.DataFrame
        What is published.
    champion, baseline : pandas.DataFrame or None
        What the arms made of the records; None where one did not answer.
    structural : pandas.DataFrame of bool
        Cells in which nothing can be.
    """

    released: pd.DataFrame
    champion: pd.DataFrame | None
    baseline: pd.DataFrame | None
    structural: pd.DataFrame

    @property
    def both(self) -> bool:
        """Whether both arms answered."""
        return self.champion is not None and self.baseline is not None


class Figure(NamedTuple):
    """A number, or a category of a variable; None is a category that nobody has."""

    variable: str
    category: str | None
    side: str
    number: bool = False


_Counts = Mapping[Figure, pd.DataFrame]


@dataclass(frozen=True, eq=False)
class ImputedSums:
    """What the published figures need of a part of a period.

    Parameters
    ----------
    numeric : mapping of str to bool
        Variable -> whether it is a number.
    both : bool
        Whether both arms answered.
    domains : mapping of str to (MomentSums, mapping)
        By column, "" those of all records: moments, and by figure the counts of each
        group.
    sizes : mapping of str to pandas.Series
        Column -> records of each group.
    fractions : mapping of str to float
        Stratum -> share of its clusters that was drawn.
    faults : (int, float)
        Weights that are none, and the sum of the others.

    Notes
    -----
    The same parts in the same order give the same bytes; another parting gives figures
    that agree to 1e-9 of themselves.
    """

    numeric: Mapping[str, bool]
    both: bool
    domains: Mapping[str, tuple[MomentSums, _Counts]]
    sizes: Mapping[str, pd.Series]
    fractions: Mapping[str, float]
    faults: tuple[int, float]

    @classmethod
    def of(
        cls, sides: Sides, units: pd.DataFrame, *, domains: Sequence[str] = ()
    ) -> ImputedSums:
        """Add up the records of a part that holds whole clusters.

        Parameters
        ----------
        sides : Sides
            Values of the records.
        units : pandas.DataFrame
            A row per record: weight, stratum, cluster, fraction, open and
            ``domain_NAME``.
        domains : sequence of str
            Columns by which the figures are told too.
        """
        weight = units["weight"].to_numpy(dtype=float)
        good = np.isfinite(weight) & (weight >= 0)
        part = _Part(sides, np.where(good, weight, 0.0), units)
        return cls(
            part.numeric,
            sides.both,
            {name: part.domain(name) for name in ("", *domains)},
            {
                name: units[f"domain_{name}"].astype("str").value_counts()
                for name in domains
            },
            fractions_of(units),
            (int((~good).sum()), float(weight[good].sum())),
        )

    def merge(self, other: ImputedSums) -> ImputedSums:
        """Return the sums of both sets of clusters.

        Raises
        ------
        MlstatsError
            Where the two have other variables, domains or arms.
        """
        if [*self.numeric.items(), *self.domains, self.both] != [
            *other.numeric.items(),
            *other.domains,
            other.both,
        ]:
            raise MlstatsError(
                "Sums of other variables, domains or arms cannot be merged",
                where="imputation_totals",
            )
        return ImputedSums(
            self.numeric,
            self.both,
            {n: _merged(one, other.domains[n]) for n, one in self.domains.items()},
            {n: s.add(other.sizes[n], fill_value=0) for n, s in self.sizes.items()},
            {**other.fractions, **self.fractions},
            (self.faults[0] + other.faults[0], self.faults[1] + other.faults[1]),
        )


# -- a part --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Part:
    """The records of a part."""

    sides: Sides
    weight: np.ndarray
    units: pd.DataFrame

    @property
    def numeric(self) -> dict[str, bool]:
        frame = self.sides.released
        return {
            str(name): pd.api.types.is_numeric_dtype(frame[name])
            and frame[name].dtype != bool
            for name in frame.columns
        }

    def domain(self, name: str) -> tuple[MomentSums, _Counts]:
        group = (np.zeros(len(self.units), dtype=int), np.array([""]))
        if name:
            group = labelled(self.units[f"domain_{name}"].astype("str"))
        columns: dict[Any, Column] = {}
        counts: dict[Figure, pd.DataFrame] = {}
        for figure, y, differ in self._values():
            there = ~self.sides.structural[figure.variable].to_numpy(dtype=bool)
            bad = there & ~np.isfinite(y)
            of = np.where(there & ~bad, y, 0.0)
            columns[figure] = Column(self.weight * of, self.weight * there, there)
            held = there if figure.number else there & (y == 1)
            counts[figure] = self._counts(group, there, held, bad, there & differ)
        clusters = Clusters.of(self.units["cluster"], self.units["stratum"])
        sums = MomentSums.of(clusters, self.weight, columns, group)
        return sums, counts

    def _counts(
        self,
        group: tuple[np.ndarray, np.ndarray],
        there: np.ndarray,
        held: np.ndarray,
        bad: np.ndarray,
        differ: np.ndarray,
    ) -> pd.DataFrame:
        weight = self.weight * held
        waits = weight * self.units["open"].to_numpy(dtype=bool)
        weighted = there & (self.weight > 0)
        columns = weighted, held, weight, waits, bad, differ
        added = {
            name: np.bincount(group[0], values.astype(float), minlength=len(group[1]))
            for name, values in zip(_COUNTED, columns, strict=True)
        }
        return pd.DataFrame(added, index=pd.Index(group[1], name="group"))

    def _values(self) -> Iterator[tuple[Figure, np.ndarray, np.ndarray]]:
        """Yield the figures, their values, and where the arms differ in them."""
        sides = self.sides
        for variable, numeric in self.numeric.items():
            for category in [""] if numeric else self._categories(variable):
                of = Figure(variable, category, RELEASED, numeric)
                released, own, base = (
                    None if frame is None else _numbers(frame[variable], of)
                    for frame in (sides.released, sides.champion, sides.baseline)
                )
                assert released is not None
                never = np.zeros(len(released), dtype=bool)
                yield of, released, never
                if own is not None and base is not None:
                    differ = np.asarray(own != base)
                    yield of._replace(side=BASELINE), base, never
                    yield of._replace(side=BETWEEN), own - base, differ

    def _categories(self, variable: str) -> list[str | None]:
        """Return those that any side has, and one that nobody has."""
        frames = (self.sides.released, self.sides.champion, self.sides.baseline)
        found: set[str] = set()
        for frame in frames:
            if frame is not None:
                found |= {str(value) for value in frame[variable].dropna().unique()}
        return [*sorted(found), None]


def _numbers(column: pd.Series, figure: Figure) -> np.ndarray:
    """Return what is added up; a gap is NaN."""
    if figure.number:
        return np.asarray(column.to_numpy(dtype=float, na_value=np.nan))
    is_it: np.ndarray = np.zeros(len(column))
    if figure.category is not None:
        told = column.astype("str") == figure.category
        is_it = told.to_numpy(dtype=float)
    return np.where(column.isna().to_numpy(), np.nan, is_it)


def _merged(
    one: tuple[MomentSums, _Counts], two: tuple[MomentSums, _Counts]
) -> tuple[MomentSums, _Counts]:
    """Add up two parts; a category that only one of them has is nobody's in the other.

    Who could have it, and has another one, counts in its share all the same.
    """
    names = [*dict.fromkeys([*one[0].names, *two[0].names])]
    nobody = {name: name._replace(category=None) for name in names}
    sums = [side[0].with_columns(nobody, names) for side in (one, two)]
    added = {}
    for name in names:
        tables = [
            side[1][name if name in side[1] else nobody[name]] for side in (one, two)
        ]
        added[name] = tables[0].add(tables[1], fill_value=0)
    return sums[0].merge(sums[1]), added
