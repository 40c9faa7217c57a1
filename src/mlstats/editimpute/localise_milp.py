"""Error localisation of one record as a mixed-integer program, with HiGHS.

For the records that the shared search gives up, and for whole numbers, where
elimination is exact over the reals only. Values are scaled to the record; a change is
bounded by the edits' bounds and a box around the record instead of a fixed large
constant; the box is widened until the least weight stays. An answer counts only after
its set was checked without any box; a set that fails the check is excluded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.blocks import Block
from mlstats.editimpute.compiled import RELATIVE, Choice, CompiledAtom, Row, State
from mlstats.editimpute.feasibility import Problem

__all__ = [
    "BlockRecord",
    "OutOfTime",
    "can_stay",
    "localise_record",
    "open_atoms",
]

Floats = npt.NDArray[np.float64]
_BOXES = (1e1, 1e3)  # times the largest value or bound of the record
_MOST_CHECKS = 200
_TINY = 1e-9


class OutOfTime(Exception):  # noqa: N818
    """The time for one record is used up."""


@dataclass(frozen=True)
class BlockRecord:
    """One record in a block.

    Attributes
    ----------
    numbers : ndarray of float
        Of the numeric variables, zero where missing.
    codes : ndarray of int
        Of the categorical variables.
    missing : int
        Bits of the values that are missing and wanted.
    answered : int
        Bits of the values that are missing and stay so.
    """

    numbers: Floats
    codes: npt.NDArray[np.int64]
    missing: int
    answered: int


def can_stay(
    block: Block, record: BlockRecord, mask: int, tolerance: float = 1e-9
) -> bool:
    """Tell whether changing a set of variables is enough, whole numbers included."""
    clauses = []
    for clause in block.clauses:
        rest = open_atoms(clause, block, record, mask, tolerance)
        if rest is None:
            continue
        if not rest:
            return False
        clauses.append(rest)
    whole = block.integer & {j for j in range(block.n_numeric) if mask >> j & 1}
    stays = block.integer - whole
    values = record.numbers[sorted(stays)]
    if np.any(np.abs(values - np.rint(values)) > tolerance + 1e-12 * np.abs(values)):
        return False
    problem = Problem(block.n_numeric, clauses, block.domains, frozenset(whole))
    return problem.point() is not None


def open_atoms(
    clause: Sequence[CompiledAtom],
    block: Block,
    record: BlockRecord,
    mask: int,
    tolerance: float,
) -> tuple[CompiledAtom, ...] | None:
    """Put the values that stay into a clause.

    Returns
    -------
    tuple of atoms or None
        The alternatives that can still hold, none where the clause is broken; None
        where it holds by the values that stay.
    """
    rest: list[CompiledAtom] = []
    for atom in clause:
        left = _substituted(atom, block, record, mask, tolerance)
        if left is True:
            return None
        if left is not False:
            rest.append(left)
    return tuple(rest)


def _substituted(
    atom: CompiledAtom, block: Block, record: BlockRecord, mask: int, tolerance: float
) -> CompiledAtom | bool:
    """Put the values that stay into an atom; true or false where all of them do."""
    if isinstance(atom, State):
        return bool(record.answered >> atom.place & 1) != atom.negated
    if isinstance(atom, Choice):
        if mask >> atom.place & 1:
            return atom
        code = int(record.codes[atom.place - block.n_numeric])
        return bool(atom.codes >> code & 1)
    if any(record.answered >> j & 1 for j, _ in atom.terms):
        return False
    left = tuple((j, c) for j, c in atom.terms if mask >> j & 1)
    parts = [c * record.numbers[j] for j, c in atom.terms if not mask >> j & 1]
    bound = atom.bound - sum(parts)
    if left and all(j in block.integer and c == int(c) for j, c in left):
        return _whole(left, float(bound), atom.is_equality, tolerance)
    if left:
        return Row(left, float(bound), atom.is_equality)
    allowed = tolerance + 10 * RELATIVE * (sum(map(abs, parts)) + abs(atom.bound))
    return bool(bound >= -allowed and not (atom.is_equality and bound > allowed))


def _whole(
    terms: tuple[tuple[int, float], ...],
    bound: float,
    is_equality: bool,
    tolerance: float,
) -> CompiledAtom | bool:
    """Round the bound of a row in which all numbers are whole."""
    near = float(np.rint(bound))
    is_near = abs(bound - near) <= tolerance + 10 * RELATIVE * abs(bound)
    if is_equality:
        return Row(terms, near, True) if is_near else False
    return Row(terms, near if is_near else float(np.floor(bound)), False)


def localise_record(
    block: Block,
    record: BlockRecord,
    costs: Floats,
    *,
    seconds: float = 20.0,
) -> int | None:
    """Return the cheapest set of variables to change, as bits.

    Parameters
    ----------
    block : Block
        The edits.
    record : BlockRecord
        The values.
    costs : ndarray of float, shape (variables of the block,)
        Infinite for a variable that is never changed.
    seconds : float
        For the whole record.

    Returns
    -------
    int or None
        None where no set of variables will do.

    Raises
    ------
    OutOfTime
        After `seconds`.
    """
    deadline = time.monotonic() + seconds
    best: tuple[float, int] | None = None
    for box in _BOXES:
        found = _within(_Program(block, record, costs, box), deadline)
        if found is not None and (best is None or found[0] < best[0] - 1e-7):
            best = found
    return None if best is None else best[1]


def _within(program: _Program, deadline: float) -> tuple[float, int] | None:
    for _ in range(_MOST_CHECKS):
        found = program.solve(deadline)
        if found is None or can_stay(program.block, program.record, found[1]):
            return found
        program.exclude(found[1])
    raise OutOfTime


class _Program:
    """The program: values, changes, codes of categories and chosen alternatives."""

    def __init__(
        self, block: Block, record: BlockRecord, costs: Floats, box: float
    ) -> None:
        self.block, self.record, self.costs = block, record, costs
        self.entries: list[tuple[int, int, float]] = []
        self.lower: list[float] = []
        self.upper: list[float] = []
        n, p = block.n_numeric, len(block.places)
        bounds = [abs(a.bound) for c in block.clauses for a in c if isinstance(a, Row)]
        size = max([1.0, *np.abs(record.numbers), *bounds])
        self.unit = np.full(n, size)
        self.unit[sorted(block.integer)] = 1.0
        self.low, self.high = self._box(np.full(n, box * size))
        self.first_code = {}
        at = n + p
        for place, count in block.n_codes.items():
            self.first_code[place] = at
            at += count
        self.size = at
        self._changes()
        for clause in block.clauses:
            self._clause(clause)

    def _box(self, reach: Floats) -> tuple[Floats, Floats]:
        low, high = -reach, reach.copy()
        for row in self.block.rows:
            if len(row.terms) == 1:
                ((j, c),) = row.terms
                if c > 0 or row.is_equality:
                    high[j] = min(high[j], row.bound / c)
                if c < 0 or row.is_equality:
                    low[j] = max(low[j], row.bound / c)
        return low, high

    def _add(self, terms: list[tuple[int, float]], low: float, high: float) -> None:
        at = len(self.lower)
        # HiGHS drops coefficients below 1e-9, and may be misled by them before.
        self.entries += [(at, j, c) for j, c in terms if abs(c) > _TINY]
        self.lower.append(low)
        self.upper.append(high)

    def _changes(self) -> None:
        """Bind the values that are not changed to the record."""
        n, record = self.block.n_numeric, self.record
        for j in range(n):
            x, unit = record.numbers[j], self.unit[j]
            if record.missing >> j & 1:
                continue
            up, down = max(self.high[j] - x, 0.0), max(x - self.low[j], 0.0)
            self._add([(j, 1.0), (n + j, -up / unit)], -np.inf, x / unit)
            self._add([(j, 1.0), (n + j, down / unit)], x / unit, np.inf)
        for place, first in self.first_code.items():
            count = self.block.n_codes[place]
            codes = [(first + code, 1.0) for code in range(count)]
            self._add(codes, 1.0, 1.0)
            if not record.missing >> place & 1:
                code = int(record.codes[place - n])
                self._add([(first + code, 1.0), (n + place, 1.0)], 1.0, np.inf)

    def _clause(self, clause: tuple[CompiledAtom, ...]) -> None:
        answered = self.record.answered
        atoms: list[Row | Choice] = []
        for atom in clause:
            if isinstance(atom, State):
                if bool(answered >> atom.place & 1) != atom.negated:
                    return
            elif not (
                isinstance(atom, Row) and any(answered >> j & 1 for j, _ in atom.terms)
            ):
                atoms.append(atom)
        if len(atoms) == 1:
            self._atom(atoms[0], None)
            return
        chosen = list(range(self.size, self.size + len(atoms)))
        self.size += len(atoms)
        self._add([(at, 1.0) for at in chosen], 1.0, np.inf)
        for atom, at in zip(atoms, chosen, strict=True):
            self._atom(atom, at)

    def _atom(self, atom: Row | Choice, chosen: int | None) -> None:
        if isinstance(atom, Choice):
            first, count = self.first_code[atom.place], self.block.n_codes[atom.place]
            terms = [
                (first + code, 1.0) for code in range(count) if atom.codes >> code & 1
            ]
            if chosen is None:
                self._add(terms, 1.0, np.inf)
            else:
                self._add([*terms, (chosen, -1.0)], 0.0, np.inf)
            return
        self._side(atom, 1.0, chosen)
        if atom.is_equality:
            self._side(atom, -1.0, chosen)

    def _side(self, row: Row, sign: float, chosen: int | None) -> None:
        terms = [(j, sign * c * self.unit[j]) for j, c in row.terms]
        size = max(abs(c) for _, c in terms)
        terms = [(j, c / size) for j, c in terms]
        bound = sign * row.bound / size
        if chosen is not None:
            ends = (
                max(c * self.low[j] / self.unit[j], c * self.high[j] / self.unit[j])
                for j, c in terms
            )
            slack = max(sum(ends) - bound, 0.0)
            terms, bound = [*terms, (chosen, slack)], bound + slack
        self._add(terms, -np.inf, bound)

    def exclude(self, mask: int) -> None:
        """Demand a change outside a set."""
        n, p = self.block.n_numeric, len(self.block.places)
        others = [(n + j, 1.0) for j in range(p) if not mask >> j & 1]
        self._add(others, 1.0, np.inf)

    def solve(self, deadline: float) -> tuple[float, int] | None:
        """Return the cost and the bits of the cheapest set, or None."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        left = deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime
        n, p = self.block.n_numeric, len(self.block.places)
        if not self.lower:
            return 0.0, self.record.missing
        cost, whole = np.zeros(self.size), np.ones(self.size)
        cost[n : n + p] = np.where(np.isfinite(self.costs), self.costs, 0.0)
        whole[:n] = [j in self.block.integer for j in range(n)]
        rows, columns, values = zip(*self.entries, strict=True)
        shape = (len(self.lower), self.size)
        A = coo_array((values, (rows, columns)), shape=shape).tocsr()
        # Without presolve: with it HiGHS 1.12 returned sets that are not the least.
        found = milp(
            cost,
            constraints=LinearConstraint(A, self.lower, self.upper),
            integrality=whole,
            bounds=Bounds(*self._bounds()),
            options={"time_limit": left, "mip_rel_gap": 0.0, "presolve": False},
        )
        if found.status == 1:
            raise OutOfTime
        if found.x is None:
            return None
        mask = sum(1 << j for j in range(p) if found.x[n + j] > 0.5)
        return float(found.fun), mask

    def _bounds(self) -> tuple[Floats, Floats]:
        n, p, record = self.block.n_numeric, len(self.block.places), self.record
        low, high = np.zeros(self.size), np.ones(self.size)
        low[:n], high[:n] = self.low / self.unit, self.high / self.unit
        given = np.array([not record.missing >> j & 1 for j in range(n)], dtype=bool)
        own = record.numbers / self.unit
        # A wrong value may lie outside the edits' bounds: it is there until changed.
        low[:n] = np.where(given, np.minimum(low[:n], own), low[:n])
        high[:n] = np.where(given, np.maximum(high[:n], own), high[:n])
        for j in range(p):
            if record.missing >> j & 1:
                low[n + j] = 1.0
            elif not np.isfinite(self.costs[j]) or record.answered >> j & 1:
                high[n + j] = 0.0
        for place, first in self.first_code.items():
            for code in range(self.block.n_codes[place]):
                if not self.block.domains[place] >> code & 1:
                    high[first + code] = 0.0
        return low, high
