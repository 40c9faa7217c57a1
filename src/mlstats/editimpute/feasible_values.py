"""Values of a record's open cells that keep every edit, found by branching.

The last resort of a treatment, one record at a time: the alternatives of the edits are
gone through, those that hold at the imputed values first, until one combination can be
kept (:class:`~mlstats.editimpute.feasibility.Problem`). Exact: where nothing is found,
nothing can be found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.blocks import Block, whole_block
from mlstats.editimpute.compiled import (
    Choice,
    CompiledAtom,
    CompiledEdits,
    Records,
    Row,
    State,
)
from mlstats.editimpute.feasibility import Problem
from mlstats.editimpute.localise_milp import BlockRecord, open_atoms
from mlstats.errors import MethodError

__all__ = ["Feasible", "feasible"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_NOTHING = "no values of the free cells satisfy the edits"
_UNNAMED = "only a category that no edit names and no donor has would do"
_NODES = 2_000


@dataclass(frozen=True, eq=False)
class Feasible:
    """Records at values that keep the edits.

    Attributes
    ----------
    records : Records
        With other numbers and codes in the open cells of those that were found.
    good : ndarray of bool, shape (n,)
        Which were found.
    reason : ndarray of str, shape (n,)
        Why one was not.
    """

    records: Records
    good: Bools
    reason: npt.NDArray[np.object_]


def feasible(
    records: Records, free: Bools, compiled: CompiledEdits, frequency: dict[int, Ints]
) -> Feasible:
    """Find values of the open cells with which every edit holds.

    Parameters
    ----------
    records : Records
        The values.
    free : ndarray of bool, shape (n, variables)
        Cells that may take another value.
    compiled : CompiledEdits
        The hard edits.
    frequency : dict
        Place of a categorical variable -> how often each code was found; the most
        frequent of the codes that are left is taken, one that never was only if it is
        named in an edit.
    """
    block = whole_block(compiled)
    numbers, codes = records.numbers.copy(), records.codes.copy()
    good = np.zeros(len(records), dtype=bool)
    reason = np.full(len(records), _NOTHING, dtype=object)
    for i in range(len(records)):
        asked = _Asked(block, records, i, free[i], frequency, compiled.tolerance)
        try:
            found = asked.solve()
        except MethodError:
            reason[i] = "no values were found among too many alternatives"
            continue
        if found is None and asked.unnamed:
            reason[i] = _UNNAMED
        if found is not None:
            numbers[i], codes[i], good[i], reason[i] = *found, True, ""
    return Feasible(replace(records, numbers=numbers, codes=codes), good, reason)


class _Asked:
    """The question for one record."""

    def __init__(
        self,
        block: Block,
        records: Records,
        row: int,
        free: Bools,
        frequency: dict[int, Ints],
        tolerance: float,
    ) -> None:
        self.block, self.frequency, self.tolerance = block, frequency, tolerance
        self.numbers, self.codes = records.numbers[row], records.codes[row]
        self.free = free
        absent = records.missing[row] & ~free
        self.absent = _bits(absent)
        self.record = BlockRecord(self.numbers, self.codes, 0, self.absent)
        self.unnamed = False

    def solve(self) -> tuple[npt.NDArray[np.float64], Ints] | None:
        """Return numbers and codes, or None."""
        clauses = []
        for clause, support in zip(
            self.block.clauses, self.block.supports, strict=True
        ):
            # With a missing value that stays, an edit is not known or not applicable.
            if support & self.absent and not any(isinstance(a, State) for a in clause):
                continue
            left = open_atoms(
                clause, self.block, self.record, _bits(self.free), self.tolerance
            )
            if left is None:
                continue
            if not left:
                return None
            clauses.append(tuple(sorted(left, key=self._cost)))
        n = self.block.n_numeric
        whole = frozenset(j for j in self.block.integer if self.free[j])
        problem = Problem(n, clauses, self._domains(), whole, most_nodes=_NODES)
        point = problem.point()
        if point is None:
            return None
        used = {j for clause in clauses for a in clause for j in _numbers_of(a)}
        moved = [j for j in sorted(used) if self.free[j]]
        numbers, codes = self.numbers.copy(), self.codes.copy()
        numbers[moved] = point[moved]
        numbers[sorted(whole)] = np.rint(numbers[sorted(whole)])
        for place, bits in problem.codes.items():
            if self.free[place]:
                codes[place - n] = self._code(place, bits)
        return numbers, codes

    def _cost(self, atom: CompiledAtom) -> float:
        """Return how far an alternative is from the record; categories come last."""
        if isinstance(atom, Choice):
            code = int(self.codes[atom.place - self.block.n_numeric])
            return 0.0 if atom.codes >> code & 1 else np.inf
        if isinstance(atom, State):
            return 0.0
        excess = sum(c * self.numbers[j] for j, c in atom.terms) - atom.bound
        excess = abs(excess) if atom.is_equality else max(excess, 0.0)
        return float(
            excess**2
            / sum(c**2 * max(abs(self.numbers[j]), 1e-4) for j, c in atom.terms)
        )

    def _domains(self) -> dict[int, int]:
        domains = dict(self.block.domains)
        for place in domains:
            # A value that no edit names can be written only where somebody had one.
            if self.free[place] and not self.frequency[place][0]:
                domains[place] &= ~1
                self.unnamed = True
        return domains

    def _code(self, place: int, bits: int) -> int:
        own = int(self.codes[place - self.block.n_numeric])
        if bits >> own & 1:
            return own
        allowed = [c for c in range(self.block.n_codes[place]) if bits >> c & 1]
        return max(allowed, key=lambda code: int(self.frequency[place][code]))


def _bits(chosen: Bools) -> int:
    return sum(1 << int(j) for j in np.flatnonzero(chosen))


def _numbers_of(atom: CompiledAtom) -> list[int]:
    return [j for j, _ in atom.terms] if isinstance(atom, Row) else []
