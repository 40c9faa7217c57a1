"""Whether restrictions can be kept at all: linear programs and branching.

Alternatives are branched on, not written with large constants: the answer does not
depend on a bound that somebody had to choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.compiled import Choice, CompiledAtom, Row, State
from mlstats.errors import MethodError

__all__ = ["Problem"]

Floats = npt.NDArray[np.float64]
_TOLERANCE = 1e-7


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
    """

    def __init__(
        self,
        n_numeric: int,
        clauses: Sequence[tuple[CompiledAtom, ...]],
        domains: Mapping[int, int],
        integer: frozenset[int] = frozenset(),
        most_nodes: int = 20_000,
    ) -> None:
        self.n = n_numeric
        self.clauses = list(clauses)
        self.domains = dict(domains)
        self.integer = integer
        self.nodes = most_nodes

    def point(self) -> Floats | None:
        """Return values that keep all clauses, or None where there are none."""
        return self._go([], dict(self.domains), self.clauses)

    def extreme(self, costs: Floats) -> float | None:
        """Return the least value of a linear function, ``-inf`` where unbounded.

        None where the clauses cannot be kept.
        """
        rows = [c[0] for c in self.clauses if len(c) == 1 and isinstance(c[0], Row)]
        others = [c for c in self.clauses if len(c) > 1 or not isinstance(c[0], Row)]
        best: float | None = None
        for chosen in self._resolved(rows, dict(self.domains), others):
            status, value, _ = self.solve(chosen, costs)
            if status == 3:
                return -np.inf
            if status == 0 and (best is None or value < best):
                best = value
        return best

    def _resolved(
        self,
        rows: list[Row],
        domains: dict[int, int],
        clauses: list[tuple[CompiledAtom, ...]],
    ) -> list[list[Row]]:
        """Return the rows of every way to keep the clauses."""
        found: list[list[Row]] = []
        stack = [(rows, domains, 0)]
        while stack:
            self._count()
            rows, domains, at = stack.pop()
            if at == len(clauses):
                found.append(rows)
                continue
            for atom in clauses[at]:
                taken = _taken(atom, rows, domains)
                if taken is not None:
                    stack.append((*taken, at + 1))
        return found

    def _go(
        self,
        rows: list[Row],
        domains: dict[int, int],
        clauses: list[tuple[CompiledAtom, ...]],
    ) -> Floats | None:
        self._count()
        rest = []
        for clause in clauses:
            if len(clause) == 1:
                taken = _taken(clause[0], rows, domains)
                if taken is None:
                    return None
                rows, domains = taken
            else:
                rest.append(clause)
        status, _, point = self.solve(rows, np.zeros(self.n))
        if status != 0:
            return None
        open_ones = (
            i
            for i, clause in enumerate(rest)
            if not any(self._kept(atom, point, domains) for atom in clause)
        )
        first = next(open_ones, None)
        if first is None:
            return point
        others = rest[:first] + rest[first + 1 :]
        for atom in rest[first]:
            taken = _taken(atom, rows, domains)
            if taken is not None:
                found = self._go(*taken, others)
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
        from scipy.optimize import LinearConstraint, milp
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
        unit = max(float(np.max(np.abs(upper), initial=0.0)), 1.0)
        if self.integer:
            unit = 1.0
        whole = np.array([int(j in self.integer) for j in range(self.n)])
        found = milp(
            costs,
            constraints=LinearConstraint(A, lower / unit, upper / unit),
            integrality=whole,
            bounds=_free(self.n),
        )
        if found.x is None:
            status = _status(found, self, rows, costs)
            return status, -np.inf, np.zeros(self.n)
        return 0, float(found.fun) * unit, np.asarray(found.x) * unit


def _free(n: int) -> object:
    from scipy.optimize import Bounds

    return Bounds(np.full(n, -np.inf), np.full(n, np.inf))


def _status(found: object, problem: Problem, rows: Sequence[Row], costs: Floats) -> int:
    """Tell infeasible (2) from unbounded (3), which HiGHS may leave open."""
    status = int(getattr(found, "status", 2))
    if status == 4 and np.any(costs):
        feasible = problem.solve(rows, np.zeros(problem.n))[0] == 0
        return 3 if feasible else 2
    if status in (2, 3):
        return status
    raise MethodError(f"HiGHS gave no answer to a linear program (status {status})")


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
