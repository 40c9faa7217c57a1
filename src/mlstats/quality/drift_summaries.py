"""What drift tests see of a table: counts that add up over the parts of a file.

A column of numbers is counted in fine bins between the quantiles of a reference, a
column of codes by code, and what is missing or infinite in a cell of its own. Drift
tests need nothing else, so memory does not grow with the rows, and a file read in
parts gives the same verdicts as the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.errors import MlstatsError, nearest
from mlstats.quality.drift_reference import (
    Reference,
    cluster_numbers,
    code_positions,
    read_numbers,
)

__all__ = ["ColumnCounts", "Summary", "aligned_moments"]


@dataclass(frozen=True, eq=False)
class ColumnCounts:
    """The counts of one column; the last cell holds what is missing or infinite.

    Parameters
    ----------
    labels : numpy.ndarray of str, shape (cells,)
        The codes, sorted; empty for numbers.
    count, weight : numpy.ndarray, shape (cells + 1,)
        Units and sum of weights by code or bin.
    infinite : int
        Of the last cell, the infinite values.
    moments : scipy.sparse.csr_array, shape (coarse + 1, coarse + 1), optional
        Sum over clusters of the products of their weighted totals by code or coarse
        cell; None where rows are neither weighted nor clustered.
    fault : str
        Why the column could not be counted; empty where it was.
    """

    labels: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    infinite: int = 0
    moments: sparse.csr_array | None = None
    fault: str = ""

    def aligned(self, labels: np.ndarray) -> ColumnCounts:
        """Return the counts over a longer sorted list of codes."""
        if np.array_equal(labels, self.labels):
            return self
        place = np.append(np.searchsorted(labels, self.labels), len(labels))
        count = np.zeros(len(labels) + 1, dtype=np.int64)
        weight = np.zeros(len(labels) + 1)
        count[place], weight[place] = self.count, self.weight
        moments = self.moments
        if moments is not None:
            moments = aligned_moments(moments, place, len(count))
        return ColumnCounts(labels, count, weight, self.infinite, moments)

    def coarsened(self, coarse: np.ndarray) -> ColumnCounts:
        """Return the counts of numbers in coarse cells, given those of the bins."""
        cell = np.append(coarse, coarse[-1] + 1)
        count = np.bincount(cell, self.count).astype(np.int64)
        weight = np.bincount(cell, self.weight)
        return ColumnCounts(self.labels, count, weight, self.infinite, self.moments)

    def merge(self, other: ColumnCounts, max_codes: int) -> ColumnCounts:
        """Return the counts of both sets of units."""
        if self.fault or other.fault:
            return self if self.fault else other
        labels = np.union1d(self.labels, other.labels)
        if len(labels) > max_codes:
            return _uncounted(f"more than {max_codes:,} distinct codes")
        one, two = self.aligned(labels), other.aligned(labels)
        return ColumnCounts(
            labels,
            one.count + two.count,
            one.weight + two.weight,
            one.infinite + two.infinite,
            None if one.moments is None else one.moments + two.moments,
        )


@dataclass(frozen=True, eq=False)
class Summary:
    """The counts of all watched columns of one period.

    Parameters
    ----------
    reference : Reference
        What the columns were counted into.
    columns : mapping of str to ColumnCounts
        A column that the data lack is not in it.
    rows, clusters : int
        Units with weight, and clusters (rows where there are none).
    weighted, clustered : bool
        Whether there were weights and clusters.
    deff_total, deff_cluster : float, optional
        Design effects stated from elsewhere, see :meth:`of`.
    versions : mapping of str to str
        The version of the code list of a column.
    fault : str
        Why nothing could be counted; empty where it was.
    """

    reference: Reference = field(repr=False)
    columns: Mapping[str, ColumnCounts] = field(repr=False)
    rows: int
    clusters: int
    weighted: bool = False
    clustered: bool = False
    deff_total: float | None = None
    deff_cluster: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        reference: Reference,
        *,
        weight: str | None = None,
        cluster: str | None = None,
        deff_total: float | None = None,
        deff_cluster: float | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> Summary:
        """Count a frame, or a part of one that holds whole clusters.

        Parameters
        ----------
        frame : pandas.DataFrame
            With the columns of `reference`, weight and cluster; others are not read.
        reference : Reference
            What to count into.
        weight : str, optional
            Column of design weights. Rows of weight zero are left out.
        cluster : str, optional
            Column of the primary sampling unit; a row without one is its own. Strata
            are not used: the variance is then, if anything, too large.
        deff_total : float, optional
            The whole design effect, where it is known better than from the rows
            (``n_eff = n / deff_total``).
        deff_cluster : float, optional
            The design effect of clustering alone; the weights' own part is added by
            Kish's formula (``n_eff = sum(w)**2 / sum(w**2) / deff_cluster``).
        versions : mapping of str to str, optional
            Column to version of its code list; another version is a break.

        Raises
        ------
        MlstatsError
            Where the weight or cluster column is missing, or both design effects are
            given.
        """
        _check_design(frame, weight, cluster, deff_total, deff_cluster)
        weights, fault = _weights(frame, weight)
        kept = weights > 0 if weights is not None and not fault else None
        if weights is not None and kept is not None and not kept.all():
            frame, weights = frame[kept], weights[kept]
        members = cluster_numbers(frame[cluster]) if cluster else None
        stated = deff_total is not None or deff_cluster is not None
        design = _Design(weights, None if stated else members)
        columns = {
            name: _counted(frame[name], name, reference, design)
            for name in ([] if fault else reference.columns)
            if name in frame
        }
        return cls(
            reference=reference,
            columns=columns,
            rows=len(frame),
            clusters=len(frame)
            if members is None
            else int(members.max(initial=-1)) + 1,
            weighted=weight is not None,
            clustered=cluster is not None,
            deff_total=deff_total,
            deff_cluster=deff_cluster,
            versions=dict(versions or {}),
            fault=fault,
        )

    def merge(self, other: Summary) -> Summary:
        """Return the summary of both sets of units.

        A cluster of which both hold units counts as two: what its units have in common
        is lost and variances come out too small.
        :class:`mlstats.quality.whole_clusters.WholeClusters` finds such clusters.

        Raises
        ------
        MlstatsError
            Where the two were counted differently.
        """
        for name in ("weighted", "clustered", "deff_total", "deff_cluster", "versions"):
            if getattr(self, name) != getattr(other, name):
                raise MlstatsError(
                    f"Two summaries differ in {name} and cannot be merged",
                    where="quality.drift_summaries",
                )
        if not self.reference.same_as(other.reference):
            raise MlstatsError(
                "Two summaries were counted with different references",
                where="quality.drift_summaries",
                hint="count every part with one Reference",
            )
        limit = self.reference.max_codes
        return Summary(
            reference=self.reference,
            columns={
                name: counts.merge(other.columns[name], limit)
                for name, counts in self.columns.items()
                if name in other.columns
            },
            rows=self.rows + other.rows,
            clusters=self.clusters + other.clusters,
            weighted=self.weighted,
            clustered=self.clustered,
            deff_total=self.deff_total,
            deff_cluster=self.deff_cluster,
            versions=self.versions,
            fault=self.fault or other.fault,
        )

    @classmethod
    def of_parts(cls, parts: Iterable[Summary]) -> Summary:
        """Return the summary of all parts, of which there is at least one."""
        return reduce(cls.merge, parts)


@dataclass(frozen=True, eq=False)
class _Design:
    weights: np.ndarray | None
    members: np.ndarray | None  # number of the cluster of each row

    def moments(self, cell: np.ndarray, cells: int) -> sparse.csr_array | None:
        """Return the sum over clusters of ``t t'``, t the weighted totals by cell."""
        if self.weights is None and self.members is None:
            return None
        weights = np.ones(len(cell)) if self.weights is None else self.weights
        if self.members is None:
            squares = np.bincount(cell, weights**2, minlength=cells).astype(float)
            return sparse.csr_array(sparse.diags_array(squares))
        shape = (_number(len(cell), self.members), cells)
        totals = sparse.csr_array((weights, (self.members, cell)), shape=shape)
        return sparse.csr_array(totals.T @ totals)


def aligned_moments(
    moments: sparse.csr_array, place: np.ndarray, width: int
) -> sparse.csr_array:
    """Return moments in a wider layout, `place` the new cell of each old one."""
    select = sparse.csr_array(
        (np.ones(len(place)), (np.arange(len(place)), place)),
        shape=(len(place), width),
    )
    return sparse.csr_array(select.T @ moments @ select)


def _counted(
    values: pd.Series, name: str, reference: Reference, design: _Design
) -> ColumnCounts:
    if name in reference.edges:
        return _count_numbers(read_numbers(values), name, reference, design)
    return _count_codes(values, reference.max_codes, design)


def _count_numbers(
    numbers: np.ndarray, name: str, reference: Reference, design: _Design
) -> ColumnCounts:
    edges = reference.edges[name]
    finite = np.isfinite(numbers)
    infinite = int(np.isinf(numbers).sum())
    none = np.empty(0, dtype=str)
    if design.weights is None and design.members is None:
        # Two sorted lists meet faster than each value finds its bin.
        below = np.searchsorted(np.sort(numbers[finite]), edges, side="right")
        usable = int(finite.sum())
        count = np.diff(np.concatenate([[0], below, [usable]]))
        count = np.append(count, len(numbers) - usable)
        return ColumnCounts(none, count, count.astype(float), infinite)
    last = len(edges) + 1
    cell = np.where(finite, np.searchsorted(edges, numbers, side="left"), last)
    coarse = reference.coarse(name)
    unusable = coarse[-1] + 1
    moments = design.moments(np.append(coarse, unusable)[cell], unusable + 1)
    return ColumnCounts(none, *_sums(cell, last + 1, design), infinite, moments)


def _count_codes(values: pd.Series, max_codes: int, design: _Design) -> ColumnCounts:
    found = code_positions(values, max_codes)
    if found is None:
        return _uncounted(f"more than {max_codes:,} distinct codes")
    position, labels = found
    cells = len(labels) + 1
    cell = np.where(position < 0, len(labels), position)
    moments = design.moments(cell, cells)
    return ColumnCounts(labels, *_sums(cell, cells, design), 0, moments)


def _sums(
    cell: np.ndarray, cells: int, design: _Design
) -> tuple[np.ndarray, np.ndarray]:
    count = np.bincount(cell, minlength=cells)
    if design.weights is None:
        return count, count.astype(float)
    sums = np.bincount(cell, design.weights, minlength=cells)
    return count, sums.astype(float)  # without a row, numpy counts in whole numbers


def _uncounted(fault: str) -> ColumnCounts:
    nothing = np.zeros(1)
    return ColumnCounts(
        np.empty(0, dtype=str), nothing.astype(int), nothing, fault=fault
    )


def _check_design(
    frame: pd.DataFrame,
    weight: str | None,
    cluster: str | None,
    deff_total: float | None,
    deff_cluster: float | None,
) -> None:
    for name in (weight, cluster):
        if name is not None and name not in frame:
            raise MlstatsError(
                f"There is no column {name!r} of the sampling design",
                where="quality.drift_summaries",
                nearest=nearest(name, map(str, frame.columns)),
            )
    if deff_total is not None and deff_cluster is not None:
        raise MlstatsError(
            "Both deff_total and deff_cluster are given",
            where="quality.drift_summaries",
            expected="one of them: Kish's part is in deff_total already",
        )
    if any(d is not None and not 0 < d < np.inf for d in (deff_total, deff_cluster)):
        raise MlstatsError(
            "A design effect is not a positive number", where="quality.drift_summaries"
        )


def _weights(frame: pd.DataFrame, weight: str | None) -> tuple[np.ndarray | None, str]:
    """Return the weights, and why they cannot be used."""
    if weight is None:
        return None, ""
    weights = read_numbers(frame[weight])
    wrong = int((~np.isfinite(weights) | (weights < 0)).sum())
    if wrong:
        return weights, f"{wrong:,} weights are missing, infinite or negative"
    if len(weights) and not weights.any():
        return weights, "all weights are zero"
    return weights, ""


def _number(rows: int, members: np.ndarray | None) -> int:
    return rows if members is None else int(members.max(initial=-1)) + 1
