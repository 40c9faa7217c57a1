"""Records brought to keep edits with alternatives, by moving numbers only.

Of each edit with alternatives (``if ... then``, ``or``) one that holds is kept, else
the one that is reached with the least movement. What is left are linear edits, the
same for all records with the same choice, and :func:`~mlstats.editimpute.adjust.adjust`
solves these together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.adjust import adjust
from mlstats.editimpute.compiled import (
    RELATIVE,
    CompiledAtom,
    CompiledEdits,
    Records,
    Row,
)
from mlstats.editimpute.evaluation import atom_truth, clause_truth
from mlstats.editimpute.linear_edits import linear_rows
from mlstats.editimpute.row_sums import products, row_sums
from mlstats.editimpute.status import not_whole

__all__ = ["Fitted", "Fitter"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Nothing to choose for this record, and no alternative that its numbers can reach.
_KEPT, _CLOSED = -1, -2


@dataclass(frozen=True, eq=False)
class Fitted:
    """Records after the numbers were moved.

    Attributes
    ----------
    records : Records
        Those that could not be brought to keep the edits are as they were.
    good : ndarray of bool, shape (n,)
        Which keep every edit that can be told.
    reason : ndarray of str, shape (n,)
        Why one does not.
    """

    records: Records
    good: Bools
    reason: npt.NDArray[np.object_]


class Fitter:
    """Hard edits, and how numbers move to keep them.

    Parameters
    ----------
    compiled : CompiledEdits
        The hard edits.
    ids : sequence of str
        Their names.
    weights : str
        As in :func:`~mlstats.editimpute.adjust.adjust`.
    decimals : mapping
        Number of decimals of a variable; the whole numbers of the edits have 0.
    """

    def __init__(
        self,
        compiled: CompiledEdits,
        ids: Sequence[str],
        *,
        weights: str = "relative",
        decimals: Mapping[str, int] | None = None,
    ) -> None:
        self.compiled = compiled
        self.linear = linear_rows(compiled, ids)
        self.weights = weights
        whole = {compiled.names[j]: 0 for j in sorted(compiled.integer)}
        self.decimals = {**(decimals or {}), **whole}
        self.conditional = [
            i
            for i, clause in enumerate(compiled.clauses)
            if len(clause) > 1 or not isinstance(clause[0], Row)
        ]

    def broken(self, records: Records) -> Bools:
        """Tell which records break a clause, shape (n, clauses and whole numbers)."""
        true, unknown = clause_truth(records, self.compiled)
        whole = sorted(self.compiled.integer)
        tolerance = self.compiled.tolerance
        parts = [not_whole(records, j, tolerance)[:, None] for j in whole]
        return np.hstack([~true & ~unknown, *parts])

    def fit(self, records: Records, free: Bools, held: Records | None = None) -> Fitted:
        """Move the free numbers as little as the edits need.

        Parameters
        ----------
        records : Records
            The values.
        free : ndarray of bool, shape (n, variables)
            Cells that may move; those of categories do not.
        held : Records, optional
            Values that tell which alternatives are kept; the same records if left out.
        """
        n = self.compiled.n_numeric
        choice = self._chosen(held or records, free)
        x = np.where(records.missing[:, :n], np.nan, records.numbers)
        movable = free[:, :n] & np.isfinite(x)
        adjusted = x.copy()
        reason = np.full(len(x), "a category stands in the way", dtype=object)
        closed = (choice == _CLOSED).any(axis=1)
        for rows in _groups(choice, np.flatnonzero(~closed)):
            result = adjust(
                x[rows],
                movable[rows],
                self.linear.with_rows(*self._rows(choice[rows[0]])),
                weights=self.weights,
                decimals=self.decimals,
            )
            adjusted[rows], reason[rows] = result.values, result.reason
        moved = replace(records, numbers=np.nan_to_num(adjusted))
        good = ~closed & ~self.broken(moved).any(axis=1)
        numbers = np.where(good[:, None], moved.numbers, records.numbers)
        reason[good] = ""
        reason[~good & (reason == "")] = "no exact solution"
        return Fitted(replace(records, numbers=numbers), good, reason)

    def _rows(self, choice: Ints) -> tuple[list[Row], list[str]]:
        rows = []
        for i, at in zip(self.conditional, choice, strict=True):
            atom = self.compiled.clauses[i][at]
            if at >= 0 and isinstance(atom, Row):
                rows.append(atom)
        return rows, ["alternative"] * len(rows)

    def _chosen(self, records: Records, free: Bools) -> Ints:
        """Return the alternative that each record is to keep, by clause."""
        true, unknown = clause_truth(records, self.compiled)
        found = np.full((len(records), len(self.conditional)), _KEPT)
        for c, i in enumerate(self.conditional):
            parts = [
                self._cost(atom, records, free) for atom in self.compiled.clauses[i]
            ]
            cost = np.column_stack([part[0] for part in parts])
            still = np.column_stack([part[1] for part in parts])
            choice = cost.argmin(axis=1)
            choice[~np.isfinite(cost).any(axis=1)] = _CLOSED
            choice[((cost == 0) & still).any(axis=1)] = _KEPT
            # Not known, or not applicable to the record: nothing is to be kept.
            choice[unknown[:, i] | (true[:, i] & (cost > 0).all(axis=1))] = _KEPT
            found[:, c] = choice
        return found

    def _cost(
        self, atom: CompiledAtom, records: Records, free: Bools
    ) -> tuple[Floats, Bools]:
        """Return what reaching an alternative costs, and whether it cannot be lost."""
        if not isinstance(atom, Row):
            holds, gap = atom_truth(atom, records, self.compiled)
            return np.where(holds & ~gap, 0.0, np.inf), np.ones(len(records), bool)
        places = [j for j, _ in atom.terms]
        factors = np.array([c for _, c in atom.terms])
        values, open_cells = records.numbers[:, places], free[:, places]
        excess = products(values, factors[None])[:, 0] - atom.bound
        if atom.is_equality:
            excess = np.abs(excess)
        size = products(np.abs(values), np.abs(factors)[None])[:, 0] + abs(atom.bound)
        holds = excess <= self.compiled.tolerance + RELATIVE * size
        reach = row_sums(np.maximum(np.abs(values), 1e-4) * factors**2 * open_cells)
        cost = np.full(len(records), np.inf)
        np.divide(excess**2, reach, out=cost, where=reach > 0)
        cost[holds] = 0.0
        cost[records.missing[:, places].any(axis=1)] = np.inf
        return cost, np.asarray(~open_cells.any(axis=1))


def _groups(choice: Ints, rows: Ints) -> list[Ints]:
    """Return the rows that made the same choices."""
    if not len(rows):
        return []
    kinds = np.unique(choice[rows], axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(kinds, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(kinds[order])) + 1)
