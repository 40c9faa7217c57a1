"""The totals of a coding pilot worked out of the whole table: what sums must equal.

Each share is a ratio of its own over the clusters; nothing is shared with the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.cell_protection import told_cells
from mlstats.coding.classification import Classification
from mlstats.quality.accuracy import RatioEstimate, proportion_interval, ratio
from mlstats.quality.design import SingleClusterRule
from mlstats.quality.ratio_sums import Shares
from mlstats.quality.report_tables import LEAST_UNITS
from mlstats.quality.summaries import UNCODED
from mlstats.release_totals import TOTALS, t_limits, told_sizes

__all__ = ["code_totals", "process_figures"]


_Cells = tuple[str, np.ndarray | None, np.ndarray]  # domain, its units, told classes


@dataclass(frozen=True, eq=False)
class _Coded:
    """The codings of the units as numbers of classes."""

    names: np.ndarray
    value: np.ndarray
    champion: np.ndarray
    baseline: np.ndarray
    both: bool


@dataclass(frozen=True, eq=False)
class _Design:
    weight: np.ndarray
    number: np.ndarray
    strata: np.ndarray
    fractions: dict[str, float]

    def shares(
        self,
        codes: np.ndarray,
        classes: int,
        inside: np.ndarray | None = None,
        less: np.ndarray | None = None,
    ) -> Shares:
        n = len(self.strata)
        weight = self.weight if inside is None else self.weight * inside
        x = np.bincount(self.number, weight, minlength=n)
        found = []
        for k in range(classes):
            y = np.bincount(self.number, weight * (codes == k), minlength=n)
            if less is not None:
                y = y - np.bincount(self.number, weight * (less == k), minlength=n)
            found.append(ratio(y, x, self.strata, fractions=self.fractions))
        held = x > 0
        df = float(held.sum() - len(set(self.strata[held])))
        se = np.array([one.se for one in found]) if df > 0 else np.full(classes, np.nan)
        return Shares(np.array([one.value for one in found]), se, df, int(held.sum()))


def code_totals(
    units: pd.DataFrame,
    classification: Classification,
    level: str,
    *,
    domains: Sequence[str] = (),
    single: SingleClusterRule = "adjust",
) -> pd.DataFrame:
    """Estimate the weighted share of each class, and how the methods differ in it.

    Parameters
    ----------
    units : pandas.DataFrame
        Columns value, champion_code, baseline_code, weight, cluster, stratum,
        fraction, open and ``domain_NAME``.
    level : str
        Of the classification; what does not reach it is ``uncoded``.
    domains : sequence of str
        Columns by which the shares are told too.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`mlstats.release_totals.TOTALS`. ``difference`` is champion less
        baseline of the same units, whoever produced them. A class of fewer than ten
        units is not told, nor one without which such a class could be worked out.
    """
    coded = _numbered(units, classification, level)
    known = units.loc[units["fraction"] > 0, ["stratum", "fraction"]]
    shares = known.groupby("stratum", observed=True)["fraction"].first()
    fractions = {str(name): float(share) for name, share in shares.items()}
    keys = pd.factorize(
        pd.MultiIndex.from_frame(units[["stratum", "cluster"]].astype("str"))
    )
    strata = np.array([stratum for stratum, _ in keys[1]], dtype=object)
    design = _Design(units["weight"].to_numpy(dtype=float), keys[0], strata, fractions)
    waits = units["open"].to_numpy(dtype=bool)
    refuse = single == "refuse" and bool((pd.Series(strata).value_counts() == 1).any())
    cells: list[_Cells] = [("", None, _told(coded)[0])]
    for name in domains:
        column = units[f"domain_{name}"].astype("str")
        groups, told = _told(coded, column)[1:]
        cells += [
            (f"{name}={group}", (column == group).to_numpy(), told[place])
            for place, group in enumerate(groups)
            if told[place].any()
        ]
    parts = [_table(coded, design, waits, *cell, level) for cell in cells]
    table = pd.concat(parts, ignore_index=True).astype(dict(TOTALS))
    if refuse:
        table[["se", "lower", "upper", "difference_lower", "difference_upper"]] = np.nan
        table["note"] = "a stratum has one cluster: no standard error"
    return table


def _told(
    coded: _Coded, domain: pd.Series | None = None
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return the classes that are told of all units, the groups, and their cells."""
    k = len(coded.names)
    row, groups = pd.factorize(domain, sort=True) if domain is not None else (0, [""])
    named = [str(group) for group in groups]
    told = named if domain is None else told_sizes(domain.astype("str").value_counts())
    counts = np.bincount(row * k + coded.value, minlength=len(named) * k)
    counts = counts.reshape(len(named), k)
    known = np.isin(named, told)
    classes, cells = told_cells(counts, counts.sum(axis=0), known, least=LEAST_UNITS)
    return classes, named, cells


def _numbered(
    units: pd.DataFrame, classification: Classification, level: str
) -> _Coded:
    columns = ["value", "champion_code", "baseline_code"]
    numbers, distinct = [], []
    for column in columns:
        number, found = pd.factorize(units[column])
        at = classification.ancestor(np.asarray(found, dtype=object), level)
        classes = np.array([UNCODED if c is None else str(c) for c in at] + [UNCODED])
        numbers.append(number)
        distinct.append(classes)
    names = np.unique(np.concatenate(distinct))
    value, champion, baseline = (
        np.searchsorted(names, classes)[number]
        for classes, number in zip(distinct, numbers, strict=True)
    )
    both = all(units[column].notna().any() for column in columns[1:])
    return _Coded(names, value, champion, baseline, both)


def _table(
    coded: _Coded,
    design: _Design,
    waits: np.ndarray,
    domain: str,
    inside: np.ndarray | None,
    told: np.ndarray,
    level: str,
) -> pd.DataFrame:
    k = len(coded.names)
    everywhere = np.ones(len(waits), dtype=bool) if inside is None else inside
    found = design.shares(coded.value, k, inside)
    other = design.shares(coded.baseline, k, inside)
    gap = design.shares(coded.champion, k, inside, less=coded.baseline)
    counts = np.bincount(coded.value[everywhere], minlength=k)
    weight = design.weight * everywhere
    of_class = np.bincount(coded.value, weight, minlength=k)
    waiting = np.bincount(coded.value, weight * waits, minlength=k)
    rows = [
        _row(coded, found, other, gap, place, int((weight > 0).sum()))
        | {
            "variable": f"share of classes, level {level}",
            "domain": domain,
            "class": str(coded.names[place]),
            "n": int(counts[place]),
            "open_share": waiting[place] / of_class[place] if of_class[place] else 0.0,
        }
        for place in map(int, np.flatnonzero(told))
    ]
    return pd.DataFrame(rows, columns=list(TOTALS))


def _row(
    coded: _Coded, found: Shares, other: Shares, gap: Shares, place: int, n: int
) -> dict[str, Any]:
    share = RatioEstimate(
        float(found.value[place]), float(found.se[place]), found.df, found.clusters
    )
    lower, upper = proportion_interval(share, n) if found.df > 0 else (np.nan, np.nan)
    row: dict[str, Any] = {
        "estimate": share.value,
        "se": share.se,
        "df": share.df,
        "lower": lower,
        "upper": upper,
        "note": "",
    }
    if not coded.both:
        return row | {"note": "one method alone answered: no difference"}
    # That no unit differs in the sample does not show that none does.
    se = float(gap.se[place]) or np.nan
    ends = t_limits(float(gap.value[place]), se, gap.df)
    return row | {
        "baseline": float(other.value[place]),
        "difference": float(gap.value[place]),
        "difference_lower": ends[0],
        "difference_upper": ends[1],
    }


def process_figures(units: pd.DataFrame) -> pd.DataFrame:
    """Estimate how the codes of a period came about: what outputs are watched by.

    Parameters
    ----------
    units : pandas.DataFrame
        As for :func:`code_totals`, with route and confidence.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`mlstats.release_totals.TOTALS`: the weighted shares of units
        coded automatically and of units to which both methods give the same code, and
        the mean confidence of those that have one; rows that cannot be told are left
        out.
    """
    weight = units["weight"].to_numpy(dtype=float)
    keys = [units["stratum"].astype("str"), units["cluster"].astype("str")]
    number, names = pd.factorize(pd.MultiIndex.from_arrays(keys))
    strata = np.array([stratum for stratum, _ in names], dtype=object)
    champion, baseline = units["champion_code"], units["baseline_code"]
    both = (champion.notna() & baseline.notna()).to_numpy()
    sure = units["confidence"].to_numpy(dtype=float)
    automatic = units["route"].isin(["automatic", "audit"]).to_numpy()
    told = {
        "coded automatically": (automatic.astype(float), np.ones(len(units), bool)),
        "same code by both methods": (
            (champion.astype(object) == baseline.astype(object)).to_numpy(float),
            both,
        ),
        "mean confidence": (np.nan_to_num(sure), np.isfinite(sure)),
    }
    rows = []
    for name, (value, inside) in told.items():
        if inside.sum() < LEAST_UNITS:
            continue
        held = weight * inside
        found = ratio(
            np.bincount(number, held * value), np.bincount(number, held), strata
        )
        lower, upper = found.interval()
        rows.append(
            {
                "variable": name,
                "domain": "",
                "class": "",
                "estimate": found.value,
                "se": found.se,
                "df": found.df,
                "lower": lower,
                "upper": upper,
                "n": int(inside.sum()),
                "open_share": 0.0,
                "note": "",
            }
        )
    return pd.DataFrame(rows, columns=list(TOTALS)).astype(dict(TOTALS))
