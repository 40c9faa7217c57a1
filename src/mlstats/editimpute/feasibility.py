"""Whether restrictions can be kept at all: linear programs and branching.

Alternatives are branched on, not written with large constants: the answer does not
depend on a bound that somebody had to choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.compiled import Choice, CompiledAtom, Row, State
from mlstats.errors import MethodError

__all__ = ["Problem"]

Floats = npt.NDArray[np.float64]
Clause = tuple[CompiledAtom, ...]

_MOST_BRANCHES = 200
_SECONDS = 5.0
_WHOLE = 1e-7
_LARGE = 1e3  # bounds are scaled down to it: HiGHS has absolute tolerances
_FINE = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


class Problem:
    """Clauses over numeric and categorical variables.

    Parameters
    ----------
    n_numeric : int
        Number of numeric variables.
    clauses : sequence of clauses
        All must hold.
    domains : mapping
        Place of a categorical variable -> bits of its codes.
    integer : frozenset of int
        Numeric places that are whole numbers.
    most_nodes : int
        Branches after which the question is given up.

    Attributes
    ----------
    codes : dict
        After :meth:`point`: place of a categorical variable -> bits of the codes any
        of which goes with the point.
    """

    def __init__(
        self,
        n_numeric: int,
        clauses: Sequence[Clause],
        domains: Mapping[int, int],
        integer: frozenset[int] = frozenset(),
        most_nodes: int = 20_000,
    ) -> None:
        self.n = n_numeric
        self.clauses = list(clauses)
        self.domains = dict(domains)
        self.integer = integer
        self.nodes = most_nodes
        self.codes = dict(domains)

    def point(self) -> Floats | None:
        """Return values that keep all clauses, or None where there are none."""
        return self._go([], dict(self.domains), self.clauses)

    def extreme(self, costs: Floats, enough: float = -np.inf) -> float | None:
        """Return the least value of a linear function, ``-inf`` where unbounded.

        None where the clauses cannot be kept. Any value below `enough` may be
        returned instead of the least one.
        """
        self._least: float | None = None
        self._lower([], dict(self.domains), self.clauses, costs, enough)
        return self._least

    def _lower(
        self,
        rows: list[Row],
        domains: dict[int, int],
        clauses: list[Clause],
        costs: Floats,
        enough: float,
    ) -> None:
        self._count()
        taken = _all_taken(clauses, rows, domains)
        if taken is None:
            return
        rows, domains, rest = taken
        status, value, point = self.solve(rows, costs)
        bar = np.inf if self._least is None else self._least
        if status == 2 or (status == 0 and value >= bar) or bar < enough:
            return
        if status == 3:
            first = 0 if rest else None
        else:
            first = self._first_open(rest, point, domains)
        if first is None:
            self._least = value
            return
        others = rest[:first] + rest[first + 1 :]
        for atom in rest[first]:
            one = _taken(atom, rows, domains)
            if one is not None:
                self._lower(*one, others, costs, enough)

    def _first_open(
        self, clauses: list[Clause], point: Floats, domains: dict[int, int]
    ) -> int | None:
        open_ones = (
            i
            for i, clause in enumerate(clauses)
            if not any(self._kept(atom, point, domains) for atom in clause)
        )
        return next(open_ones, None)

    def _go(
        self,
        rows: list[Row],
        domains: dict[int, int],
        clauses: list[Clause],
    ) -> Floats | None:
        self._count()
        taken = _all_taken(clauses, rows, domains)
        if taken is None:
            return None
        rows, domains, rest = taken
        status, _, point = self.solve(rows, np.zeros(self.n))
        if status != 0:
            return None
        first = self._first_open(rest, point, domains)
        if first is None:
            self.codes = domains
            return point
        others = rest[:first] + rest[first + 1 :]
        for atom in rest[first]:
            one = _taken(atom, rows, domains)
            if one is not None:
                found = self._go(*one, others)
                if found is not None:
                    return found
        return None

    def _kept(self, atom: CompiledAtom, point: Floats, domains: dict[int, int]) -> bool:
        if isinstance(atom, Choice):
            return domains[atom.place] & ~atom.codes == 0
        if isinstance(atom, State):
            return atom.negated
        value = sum(c * point[j] for j, c in atom.terms) - atom.bound
        size = sum(abs(c * point[j]) for j, c in atom.terms) + abs(atom.bound)
        return bool((abs(value) if atom.is_equality else value) <= 1e-9 * (1 + size))

    def _count(self) -> None:
        self.nodes -= 1
        if self.nodes < 0:
            raise MethodError(
                "The edits have too many alternatives to be checked together",
                hint="split the set, or write fewer 'or' and '->' on one variable",
            )

    def solve(self, rows: Sequence[Row], costs: Floats) -> tuple[int, float, Floats]:
        """Solve a linear program over rows, with HiGHS.

        Returns
        -------
        status, value, point
            Status 0 solved, 2 infeasible, 3 unbounded.
        """
        if not self.n or not rows:
            if np.any(costs):
                return 3, -np.inf, np.zeros(self.n)
            return 0, 0.0, np.zeros(self.n)
        from scipy.sparse import coo_array

        scale = [max(abs(value) for _, value in row.terms) for row in rows]
        entries = [
            (value / scale[i], i, j)
            for i, row in enumerate(rows)
            for j, value in row.terms
        ]
        values, at, column = zip(*entries, strict=True)
        A = coo_array((values, (at, column)), shape=(len(rows), self.n)).tocsr()
        upper = np.array([row.bound for row in rows]) / scale
        lower = np.where([row.is_equality for row in rows], upper, -np.inf)
        whole = frozenset(j for row in rows for j, _ in row.terms) & self.integer
        if whole and not np.any(costs):
            return _with_whole(A, lower, upper, sorted(whole))
        return _program(A, lower, upper, costs)


def _with_whole(
    A: Any, lower: Floats, upper: Floats, whole: list[int]
) -> tuple[int, float, Floats]:
    """Find a point with whole numbers: branch on linear programs, finely solved.

    A mixed-integer program tells two numbers apart that differ by 1e-6 or more, as
    much as a strict inequality leaves; it is asked only where branching does not end.
    """
    n = A.shape[1]
    stack = [(np.full(n, -np.inf), np.full(n, np.inf))]
    for _ in range(_MOST_BRANCHES):
        if not stack:
            return 2, -np.inf, np.zeros(n)
        low, high = stack.pop()
        status, _, point = _program(A, lower, upper, np.zeros(n), (low, high))
        if status != 0:
            continue
        away = np.abs(point[whole] - np.rint(point[whole]))
        if away.max() <= _WHOLE:
            return 0, 0.0, point
        j = whole[int(away.argmax())]
        less, more = high.copy(), low.copy()
        less[j], more[j] = np.floor(point[j]), np.ceil(point[j])
        stack += [(low, less), (more, high)]
    return _asked(A, lower, upper, whole)


def _asked(
    A: Any, lower: Floats, upper: Floats, whole: list[int]
) -> tuple[int, float, Floats]:
    from scipy.optimize import LinearConstraint, milp

    n = A.shape[1]
    found = milp(
        np.zeros(n),
        constraints=LinearConstraint(A, lower, upper),
        integrality=np.isin(np.arange(n), whole).astype(int),
        bounds=_free(n),
        options={"presolve": False, "time_limit": _SECONDS},
    )
    if found.x is not None:
        return 0, 0.0, np.asarray(found.x)
    is_infeasible = found.status == 2 or "nfeasible" in str(found.message)
    return _known(2 if is_infeasible else int(found.status)), -np.inf, np.zeros(n)


def _program(
    A: Any,
    lower: Floats,
    upper: Floats,
    costs: Floats,
    within: tuple[Floats, Floats] | None = None,
) -> tuple[int, float, Floats]:
    """Solve a linear program; the variables may have bounds."""
    from scipy.optimize import linprog

    n = A.shape[1]
    low, high = within or (np.full(n, -np.inf), np.full(n, np.inf))
    unit = max(float(np.max(np.abs(upper), initial=0.0)) / _LARGE, 1.0)
    is_equality = lower == upper
    parts: dict[str, Any] = {}
    if (~is_equality).any():
        parts |= {"A_ub": A[~is_equality], "b_ub": upper[~is_equality] / unit}
    if is_equality.any():
        parts |= {"A_eq": A[is_equality], "b_eq": upper[is_equality] / unit}
    found = linprog(
        costs,
        **parts,
        bounds=np.column_stack([low, high]) / unit,
        method="highs",
        options=_FINE,
    )
    status = int(found.status)
    if status == 4 and np.any(costs):
        # HiGHS may leave open whether a program is infeasible or unbounded.
        zero = np.zeros(n)
        status = 3 if _program(A, lower, upper, zero, within)[0] == 0 else 2
    if _known(status):
        return status, -np.inf, np.zeros(n)
    return 0, float(found.fun) * unit, np.asarray(found.x) * unit


def _known(status: int) -> int:
    if status not in (0, 2, 3):
        raise MethodError(f"HiGHS gave no answer to a program (status {status})")
    return status


def _free(n: int) -> object:
    from scipy.optimize import Bounds

    return Bounds(np.full(n, -np.inf), np.full(n, np.inf))


def _taken(
    atom: CompiledAtom, rows: list[Row], domains: dict[int, int]
) -> tuple[list[Row], dict[int, int]] | None:
    """Return rows and domains with an atom added, or None where it is impossible."""
    if isinstance(atom, Row):
        return [*rows, atom], domains
    if isinstance(atom, State):
        # Values are changed, never removed: nothing is missing afterwards.
        return (rows, domains) if atom.negated else None
    left = domains[atom.place] & atom.codes
    return (rows, {**domains, atom.place: left}) if left else None


def _all_taken(
    clauses: Sequence[Clause], rows: list[Row], domains: dict[int, int]
) -> tuple[list[Row], dict[int, int], list[Clause]] | None:
    """Add the clauses without alternatives; None where that is impossible."""
    rest = []
    for clause in clauses:
        if len(clause) > 1:
            rest.append(clause)
            continue
        taken = _taken(clause[0], rows, domains)
        if taken is None:
            return None
        rows, domains = taken
    return rows, domains, rest
