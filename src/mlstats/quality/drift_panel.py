"""What paired drift tests see of two periods of a panel: sums over the common units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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
from mlstats.quality.drift_summaries import aligned_moments

__all__ = ["PairedCells", "PairedSummary"]


@dataclass(frozen=True, eq=False)
class PairedCells:
    """How common units moved between the cells of one column.

    Parameters
    ----------
    labels : numpy.ndarray of str, shape (cells,)
        Codes, sorted; empty for numbers.
    before, now, changed : numpy.ndarray, shape (cells,)
        Weight of the units of a cell in the reference and now, and of those that
        entered or left it.
    units : numpy.ndarray of int, shape (2, cells)
        Units of a cell in the reference and now.
    changed_units : numpy.ndarray of int, shape (cells,)
        Units that entered or left it.
    moments : scipy.sparse.csr_array, shape (cells, cells)
        Sum over clusters of the products of their weighted changes.
    fault : str
        Why the column could not be counted; empty where it was.
    """

    labels: np.ndarray
    before: np.ndarray
    now: np.ndarray
    changed: np.ndarray
    units: np.ndarray
    changed_units: np.ndarray
    moments: sparse.csr_array
    fault: str = ""

    @property
    def n(self) -> int:
        """Units counted."""
        return int(self.units[0].sum())

    @property
    def total(self) -> float:
        """Weight of the units counted."""
        return float(self.now.sum())

    @classmethod
    def of(
        cls,
        labels: np.ndarray,
        cells: tuple[np.ndarray, np.ndarray],
        width: int,
        weight: np.ndarray,
        member: np.ndarray,
    ) -> PairedCells:
        """Count units by their cell in the reference and now.

        Parameters
        ----------
        labels : numpy.ndarray of str
            Codes of the cells, or none.
        cells : tuple of numpy.ndarray of int, shape (units,)
            Cell in the reference and now.
        width : int
            Number of cells.
        weight, member : numpy.ndarray, shape (units,)
            Weight, and number of the cluster.
        """
        old, new = cells
        moved = old != new
        shape = (int(member.max(initial=-1)) + 1, width)

        def totals(cell: np.ndarray) -> sparse.csr_array:
            place = (member[moved], cell[moved])
            return sparse.csr_array((weight[moved], place), shape=shape)

        def sums(cell: np.ndarray, kept: np.ndarray | slice) -> np.ndarray:
            return np.bincount(cell[kept], weight[kept], minlength=width)

        def number(cell: np.ndarray, kept: np.ndarray | slice) -> np.ndarray:
            return np.bincount(cell[kept], minlength=width)

        changes = totals(new) - totals(old)
        everyone = slice(None)
        return cls(
            labels=labels,
            before=sums(old, everyone),
            now=sums(new, everyone),
            changed=sums(old, moved) + sums(new, moved),
            units=np.stack([number(old, everyone), number(new, everyone)]),
            changed_units=number(old, moved) + number(new, moved),
            moments=sparse.csr_array(changes.T @ changes),
        )

    def aligned(self, labels: np.ndarray) -> PairedCells:
        """Return the sums over a longer sorted list of codes."""
        if np.array_equal(labels, self.labels):
            return self
        place = np.searchsorted(labels, self.labels)

        def spread(values: np.ndarray) -> np.ndarray:
            wide = np.zeros((*values.shape[:-1], len(labels)), dtype=values.dtype)
            wide[..., place] = values
            return wide

        return PairedCells(
            labels,
            spread(self.before),
            spread(self.now),
            spread(self.changed),
            spread(self.units),
            spread(self.changed_units),
            aligned_moments(self.moments, place, len(labels)),
        )

    def merge(self, other: PairedCells, max_codes: int) -> PairedCells:
        """Return the sums of both sets of units."""
        if self.fault or other.fault:
            return self if self.fault else other
        labels = np.union1d(self.labels, other.labels)
        if len(labels) > max_codes:
            return replace(self, fault=f"more than {max_codes:,} distinct codes")
        one, two = self.aligned(labels), other.aligned(labels)
        return PairedCells(
            labels,
            one.before + two.before,
            one.now + two.now,
            one.changed + two.changed,
            one.units + two.units,
            one.changed_units + two.changed_units,
            sparse.csr_array(one.moments + two.moments),
        )


@dataclass(frozen=True, eq=False)
class PairedSummary:
    """The changes of all watched columns among the units of two periods.

    Parameters
    ----------
    reference : Reference
        What the columns were counted into.
    columns, missing : mapping of str to PairedCells
        Of the units with a value in both periods, and by whether a unit has one.
    n, clusters : int
        Common units with weight, and their clusters.
    clustered : bool
        Whether there were clusters larger than a unit.
    versions : mapping of str to str
        The version of the code list of a column in the reference period.
    fault : str
        Why nothing could be counted; empty where it was.
    """

    reference: Reference = field(repr=False)
    columns: Mapping[str, PairedCells] = field(repr=False)
    missing: Mapping[str, PairedCells] = field(repr=False)
    n: int
    clusters: int
    clustered: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    @classmethod
    def of(
        cls,
        before: pd.DataFrame,
        now: pd.DataFrame,
        reference: Reference,
        *,
        unit: str,
        weight: str | None = None,
        cluster: str | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> PairedSummary:
        """Count the units that two frames have in common.

        Parameters
        ----------
        before, now : pandas.DataFrame
            The reference period and the period to judge.
        reference : Reference
            What to count into.
        unit : str
            Column that names a unit; no unit may have two rows in a frame.
        weight, cluster : str, optional
            Columns of `now`: weights (zero leaves a unit out) and primary sampling
            units.
        versions : mapping of str to str, optional
            Column to version of its code list in the reference period.

        Raises
        ------
        MlstatsError
            Where `unit`, `weight` or `cluster` is not there.
        """
        for name, frame in ((unit, before), (unit, now), (weight, now), (cluster, now)):
            if name is not None and name not in frame:
                raise MlstatsError(
                    f"There is no column {name!r} to pair units by",
                    where="quality.drift_panel",
                    nearest=nearest(name, map(str, frame.columns)),
                )
        fault = _fault(before[unit], now[unit])
        place = pd.Index(before[unit]).get_indexer(now[unit]) if not fault else None
        common = np.flatnonzero(place >= 0) if place is not None else np.empty(0, int)
        here = now.iloc[common]
        weights = np.ones(len(here)) if weight is None else read_numbers(here[weight])
        if not (np.isfinite(weights) & (weights >= 0)).all():
            fault = "weights are missing, infinite or negative"
        if place is None or fault:
            return cls(reference, {}, {}, 0, 0, versions=versions or {}, fault=fault)
        used = weights > 0
        there = before.iloc[place[common][used]]
        here, weights = here[used], weights[used]
        member = (
            np.arange(len(here)) if cluster is None else cluster_numbers(here[cluster])
        )
        columns, missing = {}, {}
        for name in reference.columns:
            if name in before and name in now:
                sides = (there[name], here[name])
                columns[name], missing[name] = _paired(
                    name, sides, reference, weights, member
                )
        return cls(
            reference,
            columns,
            missing,
            n=len(here),
            clusters=int(member.max(initial=-1)) + 1,
            clustered=cluster is not None,
            versions=dict(versions or {}),
        )

    def merge(self, other: PairedSummary) -> PairedSummary:
        """Return the summary of both sets of units, which share no cluster.

        Raises
        ------
        MlstatsError
            Where the two were counted differently.
        """
        same = self.clustered == other.clustered and self.versions == other.versions
        if not (same and self.reference.same_as(other.reference)):
            raise MlstatsError(
                "Two paired summaries were counted differently",
                where="quality.drift_panel",
                hint="count every part with one Reference, versions and clusters",
            )
        limit = self.reference.max_codes
        kept = [name for name in self.columns if name in other.columns]
        return PairedSummary(
            self.reference,
            {n: self.columns[n].merge(other.columns[n], limit) for n in kept},
            {n: self.missing[n].merge(other.missing[n], limit) for n in kept},
            n=self.n + other.n,
            clusters=self.clusters + other.clusters,
            clustered=self.clustered,
            versions=self.versions,
            fault=self.fault or other.fault,
        )


def _fault(before: pd.Series, now: pd.Series) -> str:
    for period, ids in (("the reference", before), ("the current data", now)):
        blank, repeated = int(ids.isna().sum()), int(ids.duplicated().sum())
        if blank or repeated:
            return f"{period}: {blank:,} units without a name, {repeated:,} repeated"
    return ""


def _paired(
    name: str,
    sides: tuple[pd.Series, pd.Series],
    reference: Reference,
    weight: np.ndarray,
    member: np.ndarray,
) -> tuple[PairedCells, PairedCells]:
    none = np.empty(0, dtype=str)
    fault = ""
    if name in reference.edges:
        labels, width = none, len(reference.marks[name]) + 1
        upper = reference.edges[name][reference.marks[name]]
        numbers = [read_numbers(side) for side in sides]
        old, new = (
            np.where(np.isfinite(x), np.searchsorted(upper, x, side="left"), -1)
            for x in numbers
        )
    else:
        found = code_positions(pd.concat(sides, ignore_index=True), reference.max_codes)
        fault = f"more than {reference.max_codes:,} distinct codes" if not found else ""
        everywhere = np.zeros(2 * len(weight), dtype=int)
        position, labels = found or (everywhere, np.array([""]))
        old, new = np.split(position, 2)
        width = len(labels)
    both = (old >= 0) & (new >= 0)
    cells = PairedCells.of(
        labels, (old[both], new[both]), width, weight[both], member[both]
    )
    gaps = ((old < 0).astype(int), (new < 0).astype(int))
    missing = PairedCells.of(none, gaps, 2, weight, member)
    return replace(cells, fault=fault), missing
