"""The tests of one column of two independent periods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlstats.quality.drift_evidence import (
    LEAST_UNITS,
    Evidence,
    Floors,
    Sizes,
    Test,
    certain,
    fewest,
)
from mlstats.quality.drift_samples import (
    Sample,
    degrees_of_freedom,
    design_traces,
    needs_variance,
)
from mlstats.quality.drift_summaries import ColumnCounts, Summary
from mlstats.quality.drift_tests import (
    change_of_shares,
    homogeneity,
    kolmogorov_smirnov,
    sparse_groups,
)

__all__ = ["compare_column"]

_LEAST_OF_CODE: Final = 10  # units of both periods together; fewer can tell nothing
_LARGEST_TAIL: Final = 0.05
_NO_VARIANCE: Final = 1e-14
_TAILS: Final = (
    "below the 1st percentile of the Reference",
    "above the 99th percentile of the Reference",
)
_PERIODS: Final = ("the reference", "the current data")


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both sides of a comparison."""

    before: Sample
    now: Sample
    df: float

    @classmethod
    def of(
        cls,
        sides: tuple[ColumnCounts, ColumnCounts],
        summaries: tuple[Summary, Summary],
        group: np.ndarray,
    ) -> _Pair:
        before, now = (
            Sample.of(side, summary, group)
            for side, summary in zip(sides, summaries, strict=True)
        )
        return cls(before, now, degrees_of_freedom(*summaries))

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.before.n, self.now.n, self.before.n_eff, self.now.n_eff)

    @property
    def least(self) -> float:
        return min(self.before.n_eff, self.now.n_eff)

    @property
    def pooled(self) -> np.ndarray:
        n, m = self.before.n_eff, self.now.n_eff
        return np.asarray((n * self.before.share + m * self.now.share) / (n + m))

    def test_shares(
        self, test: Test, cells: np.ndarray, labels: tuple[str, ...], floors: Floors
    ) -> Evidence:
        pooled = self.pooled
        found = change_of_shares(
            test,
            labels,
            (self.before.share[cells], self.now.share[cells]),
            (self.before.effective(pooled)[cells], self.now.effective(pooled)[cells]),
            self.sizes,
            self.df,
            floors,
        )
        units = np.stack([self.before.count[cells], self.now.count[cells]])
        return replace(found, fewest=fewest(units))


def compare_column(
    name: str, reference: Summary, current: Summary, floors: Floors
) -> list[Evidence]:
    """Test a column for drift: its distribution, its codes or tails, what is missing.

    The likelihood of a table with a cell for what is missing parts into that of the
    missing share and that of the composition of the rest. Each is tested alone, so
    that a gap in the data does not pass for a change of the codes.

    Parameters
    ----------
    name : str
        The column.
    reference, current : Summary
        Of independent units.
    floors : Floors
        What matters.

    Returns
    -------
    list of Evidence
        One with a reason where the column could not be tested at all.
    """
    summaries = (reference, current)
    reason = _unusable(name, summaries)
    if reason:
        return [Evidence("distribution", note=reason)]
    counts = (reference.columns[name], current.columns[name])
    if name in current.reference.edges:
        coarse = current.reference.coarse(name)
        sides = (counts[0].coarsened(coarse), counts[1].coarsened(coarse))
    else:
        labels = np.union1d(counts[0].labels, counts[1].labels)
        sides = (counts[0].aligned(labels), counts[1].aligned(labels))
    cells = len(sides[0].count) - 1
    pair = _Pair.of(sides, summaries, np.append(np.arange(cells), -1))
    missing = _Pair.of(sides, summaries, np.append(np.zeros(cells, dtype=int), 1))
    infinite = counts[0].infinite + counts[1].infinite
    return [
        *_composition(name, pair, counts, current, floors),
        _missing(missing, infinite, floors),
    ]


def _unusable(name: str, summaries: tuple[Summary, Summary]) -> str:
    for period, summary in zip(_PERIODS, summaries, strict=True):
        if summary.fault:
            return f"{summary.fault} in {period}"
        if summary.rows == 0:
            return f"{period} has no rows"
        if name not in summary.columns:
            return f"{period} lacks the column"
        if summary.columns[name].fault:
            return f"{summary.columns[name].fault} in {period}"
        if needs_variance(summary) and summary.clusters < 2:
            return f"{period} has one cluster, which has no variance"
    return ""


def _missing(pair: _Pair, infinite: int, floors: Floors) -> Evidence:
    if pair.least < LEAST_UNITS:
        return Evidence("missing", note=_few_units(pair))
    shares = {float(pair.before.share[1]), float(pair.now.share[1])}
    if shares in ({0.0}, {1.0}):
        said = "no" if shares == {0.0} else "every"
        return certain("missing", f"{said} value is missing in both", pair.sizes)
    label = f"of both periods, {infinite:,} values are infinite" if infinite else ""
    return pair.test_shares("missing", np.array([1]), (label,), floors)


def _composition(
    name: str,
    pair: _Pair,
    counts: tuple[ColumnCounts, ColumnCounts],
    current: Summary,
    floors: Floors,
) -> Iterator[Evidence]:
    empty = [
        period
        for period, side in zip(_PERIODS, (pair.before, pair.now), strict=True)
        if side.n == 0
    ]
    if empty:
        note = f"no value in {' and in '.join(empty)}"
        yield Evidence("distribution", note=note)
    elif pair.least < LEAST_UNITS:
        yield Evidence("distribution", note=_few_units(pair))
    elif name not in current.reference.edges:
        labels = np.union1d(counts[0].labels, counts[1].labels)
        yield from _codes(pair, labels, floors)
    elif len(current.reference.edges[name]) == 0:
        note = "the Reference was learnt where the column had no number"
        yield Evidence("distribution", note=note)
    else:
        yield from _numbers(pair, counts, floors)


def _few_units(pair: _Pair) -> str:
    return f"a period has fewer than {LEAST_UNITS} effective units ({pair.least:.0f})"


def _numbers(
    pair: _Pair, counts: tuple[ColumnCounts, ColumnCounts], floors: Floors
) -> Iterator[Evidence]:
    before, now = (np.cumsum(c.weight[:-1])[:-1] / c.weight[:-1].sum() for c in counts)
    sizes = Sizes(
        pair.before.n,
        pair.now.n,
        pair.before.ordinate_n_eff(),
        pair.now.ordinate_n_eff(),
    )
    yield kolmogorov_smirnov(before, now, sizes, pair.df, floors.distance)
    pooled, units = pair.pooled, pair.before.count + pair.now.count
    ends = [
        (cell, label)
        for cell, label in zip((0, len(pooled) - 1), _TAILS, strict=True)
        if units[cell] >= _LEAST_OF_CODE and pooled[cell] <= _LARGEST_TAIL
    ]
    if ends:
        cells, labels = zip(*ends, strict=True)
        yield pair.test_shares("tails", np.array(cells), labels, floors)


def _composition_of_groups(pair: _Pair, group: np.ndarray, floors: Floors) -> Evidence:
    if group.max() == 0:
        note = "too few units to compare the shares of the codes"
        return Evidence("distribution", note=note)
    before, now = pair.before.grouped(group), pair.now.grouped(group)
    shares = np.bincount(group[group >= 0], pair.pooled[group >= 0])
    traces = design_traces(before, now, shares)
    if traces[0] < _NO_VARIANCE:
        note = "every cluster has the same shares, so they have no variance"
        return Evidence("distribution", note=note)
    return homogeneity(
        (before.share, now.share, shares), traces, pair.sizes, pair.df, floors.relative
    )


def _codes(pair: _Pair, labels: np.ndarray, floors: Floors) -> Iterator[Evidence]:
    pooled = pair.pooled
    present = np.flatnonzero(pooled > 0)
    if len(present) == 1:
        yield certain("distribution", "one code in both periods", pair.sizes)
        return
    units = pair.before.count + pair.now.count
    group = np.full(len(pooled), -1)
    group[present] = sparse_groups(units[present], (pooled * pair.least)[present])
    yield _composition_of_groups(pair, group, floors)
    frequent = np.flatnonzero(units >= _LEAST_OF_CODE)
    if len(frequent):
        yield pair.test_shares("code", frequent, tuple(labels[frequent]), floors)
