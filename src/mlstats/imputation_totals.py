"""The totals, means and shares that an edit and imputation pilot publishes of a period.

An interval holds the error of the sample; imputed values count as reported ones in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import RatioEstimate, proportion_interval
from mlstats.quality.design import Design, SingleClusterRule
from mlstats.quality.estimate import Estimate
from mlstats.quality.report_tables import LEAST_UNITS
from mlstats.release_totals import TOTALS, told_groups

__all__ = ["SAMPLING_ONLY", "Sides", "imputed_totals"]

SAMPLING_ONLY: Final = "error of the sample only, without that of imputation"
_ALONE: Final = "one method alone answered: no difference"
_GAP: Final = ("baseline", "difference", "difference_lower", "difference_upper")
_FEW: Final = f"fewer than {LEAST_UNITS} records differ between the methods: not told"


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


@dataclass(frozen=True)
class _Figure:
    """What is told of a variable: its total, its mean, or a category's share."""

    kind: str
    variable: str
    category: Any = None

    @property
    def names(self) -> dict[str, str]:
        told = "" if self.category is None else str(self.category)
        return {"variable": f"{self.kind} of {self.variable}", "class": told}

    def numbers(self, values: pd.DataFrame) -> np.ndarray:
        """Return what is added up; a gap is NaN."""
        column = values[self.variable]
        if self.category is None:
            return column.to_numpy(dtype=float, na_value=np.nan)
        is_it = (column == self.category).to_numpy(dtype=float, na_value=0.0)
        return np.where(column.isna(), np.nan, is_it)


def imputed_totals(
    sides: Sides,
    units: pd.DataFrame,
    *,
    domains: Sequence[str] = (),
    single: SingleClusterRule = "adjust",
    note: str = "",
) -> pd.DataFrame:
    """Estimate the figures of each variable, and how the methods differ in them.

    Parameters
    ----------
    units : pandas.DataFrame
        A row per record: weight, stratum, cluster, fraction, open and
        ``domain_NAME``.
    domains : sequence of str
        Columns by which the figures are told too.
    note : str
        Said of every figure.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`mlstats.release_totals.TOTALS`: weighted total and mean of each
        number, in its unit, and weighted share of each category. ``difference`` is
        champion less baseline of the same records, whoever produced them. Nothing is
        told of fewer than ten records, and no difference where fewer than ten differ;
        nor where either could be worked out from the whole and the other groups.
        A total with a value missing is not told; where missing is an answer, it adds
        nothing and does not count in a mean or share.
    """
    weight = units["weight"].to_numpy(dtype=float)
    known = units.loc[units["fraction"] > 0, ["stratum", "fraction"]]
    shares = known.groupby("stratum", observed=True)["fraction"].first()
    design = Design.of(
        weight,
        stratum=units["stratum"].to_numpy(),
        cluster=units["cluster"].to_numpy(),
        fraction={str(name): float(share) for name, share in shares.items()},
        single=single,
    )
    task = _Task(design, sides, units["open"].to_numpy(dtype=bool), note)
    parts = [_everywhere(units), *(_groups(units, name) for name in domains)]
    rows = [
        row
        for figure in _figures(sides.released)
        for part in parts
        for row in _safe([*task.rows(figure, part)])
    ]
    return pd.DataFrame(rows).reindex(columns=list(TOTALS)).astype(dict(TOTALS))


def _figures(released: pd.DataFrame) -> Iterator[_Figure]:
    for name in released.columns:
        column = released[name]
        if pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
            yield _Figure("total", str(name))
            yield _Figure("mean", str(name))
            continue
        for category in sorted(column.dropna().unique(), key=str):
            yield _Figure("share", str(name), category)


_Part = dict[str, np.ndarray]  # name of a domain -> its records


def _everywhere(units: pd.DataFrame) -> _Part:
    return {"": np.ones(len(units), dtype=bool)}


def _groups(units: pd.DataFrame, name: str) -> _Part:
    column = units[f"domain_{name}"].astype("str")
    told = told_groups(column)
    return {f"{name}={group}": (column == group).to_numpy() for group in told}


def _safe(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hold back the differences of all groups where those held back are too few."""
    few = sum(row["differ"] for row in rows if row["differ"] < LEAST_UNITS)
    if len(rows) < 2 or not 0 < few < LEAST_UNITS:
        return rows
    gap = dict.fromkeys(_GAP, np.nan)
    return [
        row | gap | {"note": _joined(row["note"], "" if _FEW in row["note"] else _FEW)}
        for row in rows
    ]


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


@dataclass(frozen=True, eq=False)
class _Task:
    """The design, the values, and who waits."""

    design: Design
    sides: Sides
    waits: np.ndarray
    note: str

    def rows(self, figure: _Figure, part: _Part) -> Iterator[dict[str, Any]]:
        """Yield the rows of a figure, none where it is of too few records."""
        for domain, inside in part.items():
            row = self._row(figure, inside)
            if row:
                yield row | {"domain": domain}

    def _row(self, figure: _Figure, inside: np.ndarray) -> dict[str, Any]:
        there = inside & ~self.sides.structural[figure.variable].to_numpy(dtype=bool)
        y = figure.numbers(self.sides.released)
        held = there if figure.category is None else there & (y == 1)
        n = int(held.sum())
        if n < LEAST_UNITS:
            return {}
        found = self._estimate(figure, y, there)
        weight = self.design.weight * held
        row: dict[str, Any] = {
            **figure.names,
            "n": n,
            "open_share": _share(weight @ self.waits, weight.sum()),
            "estimate": found.value,
            "se": found.se,
            "df": found.df,
            "lower": found.lower,
            "upper": found.upper,
        }
        if figure.category is not None and found.has_error:
            row |= self._proportion(found, there)
        gap, why = self._difference(figure, there)
        sample = SAMPLING_ONLY if found.has_error else ""
        return row | gap | {"note": _joined(found.note, sample, why, self.note)}

    def _estimate(self, figure: _Figure, y: np.ndarray, there: np.ndarray) -> Estimate:
        y = np.where(there, y, 0.0)
        if figure.kind == "total":
            return self.design.total(y, there)
        return self.design.ratio(y, there.astype(float))

    def _proportion(self, found: Estimate, there: np.ndarray) -> dict[str, float]:
        clusters = len(np.unique(self.design.cluster[there]))
        share = RatioEstimate(found.value, found.se, found.df, clusters)
        lower, upper = proportion_interval(share, int(there.sum()))
        return {"lower": lower, "upper": upper}

    def _difference(
        self, figure: _Figure, there: np.ndarray
    ) -> tuple[dict[str, float], str]:
        """Return the difference of the arms, and of how many records it is."""
        own, base = self.sides.champion, self.sides.baseline
        if own is None or base is None:
            return {"differ": 0}, _ALONE
        mine, its = figure.numbers(own), figure.numbers(base)
        differ = int((there & (mine != its)).sum())
        if 0 < differ < LEAST_UNITS:
            return {"differ": differ}, _FEW
        gap = self._estimate(figure, mine - its, there)
        numbers = (
            self._estimate(figure, its, there).value, gap.value, gap.lower, gap.upper,
        )  # fmt: skip
        return dict(zip(_GAP, numbers, strict=True)) | {"differ": differ}, ""


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
