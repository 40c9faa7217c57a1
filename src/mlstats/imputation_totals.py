"""The totals, means and shares that an edit and imputation pilot publishes of a period.

An interval holds the error of the sample; imputed values count as reported ones in it.
They are worked out from :mod:`mlstats.imputation_sums`, of a period in memory and of
one in parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.imputation_sums import (
    BASELINE,
    BETWEEN,
    RELEASED,
    Figure,
    ImputedSums,
)
from mlstats.quality.accuracy import as_proportion
from mlstats.quality.design import Design, SingleClusterRule
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.report_tables import LEAST_UNITS
from mlstats.quality.stratified import drawn_shares
from mlstats.release_totals import TOTALS, told_sizes

__all__ = ["SAMPLING_ONLY", "totals_of"]

SAMPLING_ONLY: Final = "error of the sample only, without that of imputation"
_ALONE: Final = "one method alone answered: no difference"
_GAP: Final = ("baseline", "difference", "difference_lower", "difference_upper")
_FEW: Final = f"fewer than {LEAST_UNITS} records differ between the methods: not told"


def totals_of(
    sums: ImputedSums, *, single: SingleClusterRule = "adjust", note: str = ""
) -> pd.DataFrame:
    """Estimate the figures of each variable, and how the methods differ in them.

    Parameters
    ----------
    sums : ImputedSums
        Of the records of all parts.
    single : {"adjust", "refuse"}
        The rule for a stratum with a single cluster.
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
    task = _Task(sums, _design(sums, single), note)
    rows = [
        row
        for kind, figure in _figures(sums)
        for domain in sums.domains
        for row in _safe([*task.rows(kind, figure, domain, _told(sums, domain))])
    ]
    return pd.DataFrame(rows).reindex(columns=list(TOTALS)).astype(dict(TOTALS))


def _told(sums: ImputedSums, domain: str) -> list[str]:
    return told_sizes(sums.sizes[domain].astype(int)) if domain else [""]


def _figures(sums: ImputedSums) -> Iterator[tuple[str, Figure]]:
    names = sums.domains[""][0].names
    for variable, numeric in sums.numeric.items():
        own = [n for n in names if n.variable == variable and n.side == RELEASED]
        if numeric:
            yield from ((kind, own[0]) for kind in ("total", "mean"))
            continue
        held = [figure for figure in own if figure.category is not None]
        for figure in sorted(held, key=lambda one: str(one.category)):
            yield "share", figure


def _design(sums: ImputedSums, single: SingleClusterRule) -> Design:
    """Return a design with as many strata and single clusters, to tell of it."""
    moments = sums.domains[""][0]
    drawn = drawn_shares(sums.fractions, moments.strata)
    fault = ""
    if sums.faults[0]:
        fault = f"{sums.faults[0]} weights are negative or not finite"
    elif ((drawn < 0) | (drawn > 1) | ~np.isfinite(drawn)).any():
        fault = "a sampling fraction lies outside 0 to 1"
    elif not sums.faults[1] > 0:
        fault = "no unit has weight"
    few = np.repeat(np.arange(len(drawn)), np.minimum(moments.clusters, 2))
    return Design(np.zeros(0), np.zeros(0, dtype=int), few, drawn, single, fault)


# -- figures -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Task:
    """The sums, the design and what is said of every figure."""

    sums: ImputedSums
    design: Design
    note: str

    def rows(
        self, kind: str, figure: Figure, domain: str, groups: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of a figure, none where it is of too few records."""
        for group in groups:
            row = self._row(kind, figure, domain, group)
            if row:
                yield row | {"domain": f"{domain}={group}" if domain else ""}

    def _row(
        self, kind: str, figure: Figure, domain: str, group: str
    ) -> dict[str, Any]:
        counts = self._counted(figure, domain, group)
        n = int(counts["held"])
        if n < LEAST_UNITS:
            return {}
        found, clusters = self._estimate(kind, figure, domain, group)
        if kind == "share":
            found = as_proportion(replace(found, n=int(counts["weighted"])), clusters)
        row: dict[str, Any] = {
            "variable": f"{kind} of {figure.variable}",
            "class": figure.category,
            "n": n,
            "open_share": _share(counts["waits"], counts["weight"]),
            "estimate": found.value,
            "se": found.se,
            "df": found.df,
            "lower": found.lower,
            "upper": found.upper,
        }
        gap, why = self._difference(kind, figure, domain, group)
        sample = SAMPLING_ONLY if found.has_error else ""
        return row | gap | {"note": _joined(found.note, sample, why, self.note)}

    def _counted(self, figure: Figure, domain: str, group: str) -> dict[str, float]:
        counts = self.sums.domains[domain][1][figure].loc[group]
        return dict(zip(counts.index, counts.to_numpy(dtype=float), strict=True))

    def _estimate(
        self, kind: str, figure: Figure, domain: str, group: str
    ) -> tuple[Estimate, int]:
        """Return a figure, and the clusters that it is of."""
        bad = int(self._counted(figure, domain, group)["bad"])
        fault = f"{bad} values are missing or not finite" if bad else ""
        fault = self.design.fault or fault
        if fault:
            return absent("not_measured", fault), 0
        of = self.sums.domains[domain][0].moments(group, figure, self.sums.fractions)
        assert of is not None
        value, variance = of.total, of.total_variance
        if kind != "total":
            value, variance = of.ratio, of.ratio_variance
        if not np.isfinite(value):
            return absent("not_applicable", "no unit has weight here"), 0
        alone = self.design.single == "refuse" and self.design.lonely_strata()
        se = np.nan if alone else float(np.sqrt(variance))
        return self.design.told(value, se, of.df, n=0), of.clusters

    def _difference(
        self, kind: str, figure: Figure, domain: str, group: str
    ) -> tuple[dict[str, float], str]:
        """Return the difference of the arms, and of how many records it is."""
        if not self.sums.both:
            return {"differ": 0}, _ALONE
        between = figure._replace(side=BETWEEN)
        differ = int(self._counted(between, domain, group)["differ"])
        if 0 < differ < LEAST_UNITS:
            return {"differ": differ}, _FEW
        base, _ = self._estimate(kind, figure._replace(side=BASELINE), domain, group)
        gap, _ = self._estimate(kind, between, domain, group)
        numbers = base.value, gap.value, gap.lower, gap.upper
        return dict(zip(_GAP, numbers, strict=True)) | {"differ": differ}, ""


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


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
