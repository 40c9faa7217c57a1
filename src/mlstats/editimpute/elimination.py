"""Elimination of variables from linear restrictions, each set of them once.

A variable is eliminated by substitution where an equality has it, else by
Fourier-Motzkin: what is left are the restrictions that the other variables must keep
for a fitting value to exist (Fellegi and Holt 1976, implied edits). Restrictions are
normalised to a largest coefficient of one, so that equal ones are found; of parallel
ones the tightest is kept. The method is exact over the reals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.compiled import RELATIVE, Row

__all__ = ["Eliminator", "Restriction", "RowStore", "TooManyRows"]

_ZERO = 1e-11  # of the largest term: below it a coefficient is what rounding left
_DIGITS = 10
_DERIVED = 10 * RELATIVE  # sums of sums round more often than the edits themselves

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Direction = tuple[bool, tuple[tuple[int, float], ...]]


class TooManyRows(Exception):  # noqa: N818
    """The elimination of a set leaves more restrictions than allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Restriction:
    """``terms <= bound``, or an equality, with its variables as bits.

    `direction` is equal for parallel restrictions. Without terms it is a
    contradiction.
    """

    number: int
    terms: dict[int, float]
    bound: float
    is_equality: bool
    mask: int
    direction: Direction


class RowStore:
    """All restrictions that were met, each once, beside their matrix.

    Parameters
    ----------
    n_numeric : int
        Number of variables.
    tolerance : float
        Of every comparison.
    """

    def __init__(self, n_numeric: int, tolerance: float) -> None:
        self.tolerance = tolerance
        self.rows: list[Restriction] = []
        self._known: dict[tuple[Direction, float], Restriction] = {}
        self._matrix = np.zeros((64, n_numeric))
        self._bound = np.zeros(64)
        self._equality = np.zeros(64, dtype=bool)
        self._size = np.zeros(64, dtype=np.int64)

    def add(
        self, terms: dict[int, float], bound: float, is_equality: bool, scale: float
    ) -> Restriction | None:
        """Return the restriction in its normal form, or None where it always holds.

        `scale` is the magnitude of what was added up to `bound`.
        """
        largest = max(map(abs, terms.values()), default=0.0)
        terms = {j: c for j, c in terms.items() if abs(c) > _ZERO * largest}
        if not terms or largest < _ZERO:
            slack = self.tolerance + _DERIVED * scale
            if bound >= -slack and not (is_equality and bound > slack):
                return None
            terms, largest = {}, 1.0
        first = min(terms, default=0)
        if is_equality and terms and terms[first] < 0:
            largest = -largest
        terms = {j: c / largest for j, c in terms.items()}
        bound = bound / largest + 0.0
        rounded = sorted((j, round(c, _DIGITS)) for j, c in terms.items())
        direction = (is_equality, tuple(rounded))
        key = (direction, float(f"{bound:.12g}"))
        found = self._known.get(key)
        if found is None:
            found = self._made(terms, bound, is_equality, direction)
            self._known[key] = found
        return found

    def _made(
        self,
        terms: dict[int, float],
        bound: float,
        is_equality: bool,
        direction: Direction,
    ) -> Restriction:
        number = len(self.rows)
        mask = 0
        for j in terms:
            mask |= 1 << j
        made = Restriction(number, terms, bound, is_equality, mask, direction)
        self.rows.append(made)
        if number == len(self._bound):
            self._grow()
        self._matrix[number, list(terms)] = list(terms.values())
        self._bound[number] = bound
        self._equality[number] = is_equality
        self._size[number] = len(terms)
        return made

    def _grow(self) -> None:
        self._matrix = np.vstack([self._matrix, np.zeros_like(self._matrix)])
        self._bound = np.concatenate([self._bound, np.zeros_like(self._bound)])
        self._equality = np.concatenate([self._equality, self._equality.copy()])
        self._size = np.concatenate([self._size, np.zeros_like(self._size)])

    def sizes(self, numbers: Ints) -> Ints:
        """Return how many variables restrictions have."""
        return self._size[numbers]

    def dense(self, numbers: Ints) -> tuple[Floats, Floats, Bools]:
        """Return restrictions as matrix, bounds, and which are equalities."""
        return self._matrix[numbers], self._bound[numbers], self._equality[numbers]

    def violated(self, numbers: Ints, X: Floats, magnitude: Floats) -> Bools:
        """Tell which records break which restrictions.

        Parameters
        ----------
        numbers : ndarray of int, shape (k,)
            Of the restrictions.
        X, magnitude : ndarray of float, shape (n, variables)
            The values, and their absolute values.

        Returns
        -------
        ndarray of bool, shape (n, k)
        """
        A, b = self._matrix[numbers], self._bound[numbers]
        excess = X @ A.T
        excess -= b
        is_equality = self._equality[numbers]
        if is_equality.any():
            excess[:, is_equality] = np.abs(excess[:, is_equality])
        broken = excess > self.tolerance
        if broken.any():
            # What rounding can do is looked at only where there is an excess.
            allowed = magnitude @ np.abs(A).T
            allowed += np.abs(b)
            broken &= excess > self.tolerance + _DERIVED * allowed
        return np.asarray(broken)


class Eliminator:
    """What is left of restrictions after variables are eliminated.

    Parameters
    ----------
    store : RowStore
        Where the restrictions are kept.
    rows : iterable of Row
        The edits.
    most_rows : int
        More restrictions than this are not derived.
    """

    def __init__(self, store: RowStore, rows: Iterable[Row], most_rows: int) -> None:
        self.store = store
        self.most_rows = most_rows
        self.base = self.restrictions(rows)
        self._given = frozenset(row.number for row in self.base)
        self._systems: dict[tuple[int, ...], list[Restriction] | None] = {}
        self._derived: dict[tuple[int, ...], Ints] = {}

    def restrictions(self, rows: Iterable[Row]) -> list[Restriction]:
        """Return rows in their normal form."""
        made = (
            self.store.add(
                dict(row.terms), row.bound, row.is_equality, 2 * abs(row.bound)
            )
            for row in rows
        )
        return _tightest(row for row in made if row is not None)

    def left(self, mask: int, extra: tuple[Restriction, ...] = ()) -> Ints:
        """Return the numbers of the restrictions that an elimination derives.

        Parameters
        ----------
        mask : int
            Bits of the variables to eliminate.
        extra : tuple of Restriction
            Restrictions beside the edits.

        Raises
        ------
        TooManyRows
            Where there are more than `most_rows`.
        """
        key = (mask, *sorted(row.number for row in extra))
        found = self._derived.get(key)
        if found is None:
            system = self._system(key, mask, extra)
            numbers = [r.number for r in system if r.number not in self._given]
            found = np.array(numbers, dtype=np.int64)
            self._derived[key] = found
        return found

    def with_variable(self, mask: int, j: int) -> Ints:
        """Return the restrictions on a variable that an elimination leaves."""
        system = self._system((mask,), mask, ())
        numbers = [row.number for row in system if row.mask >> j & 1]
        return np.array(numbers, dtype=np.int64)

    def _system(
        self, key: tuple[int, ...], mask: int, extra: tuple[Restriction, ...]
    ) -> list[Restriction]:
        if key in self._systems:
            system = self._systems[key]
            if system is None:
                raise TooManyRows
            return system
        if not mask:
            system = _tightest([*self.base, *extra])
        else:
            last = mask.bit_length() - 1
            rest = mask & ~(1 << last)
            self._systems[key] = None
            before = self._system((rest, *key[1:]), rest, extra)
            system = self._without(before, last)
            if len(system) > self.most_rows:
                raise TooManyRows
        self._systems[key] = system
        return system

    def _without(self, system: list[Restriction], j: int) -> list[Restriction]:
        bit = 1 << j
        kept = [row for row in system if not row.mask & bit]
        with_it = [row for row in system if row.mask & bit]
        if not with_it:
            return kept
        equalities = [row for row in with_it if row.is_equality]
        if equalities:
            pivot = min(equalities, key=lambda row: len(row.terms))
            others = [row for row in with_it if row is not pivot]
            derived = [self._combined(row, pivot, j) for row in others]
        else:
            upper = [row for row in with_it if row.terms[j] > 0]
            lower = [row for row in with_it if row.terms[j] < 0]
            if len(upper) * len(lower) > 4 * self.most_rows:
                raise TooManyRows
            derived = [self._combined(a, b, j) for a in upper for b in lower]
        return _tightest([*kept, *(row for row in derived if row is not None)])

    def _combined(
        self, row: Restriction, pivot: Restriction, j: int
    ) -> Restriction | None:
        """Add the multiple of `pivot` to `row` that removes the variable `j`."""
        by = -row.terms[j] / pivot.terms[j]
        terms = dict(row.terms)
        for i, value in pivot.terms.items():
            if i in terms:
                total = terms[i] + by * value
                size = abs(terms[i]) + abs(by * value)
                if abs(total) <= _ZERO * size:
                    del terms[i]
                else:
                    terms[i] = total
            else:
                terms[i] = by * value
        terms.pop(j, None)
        bound = row.bound + by * pivot.bound
        scale = abs(row.bound) + abs(by * pivot.bound)
        return self.store.add(terms, bound, row.is_equality, scale)


def _tightest(rows: Iterable[Restriction]) -> list[Restriction]:
    """Return the tightest of parallel restrictions, in the order of the first."""
    best: dict[object, Restriction] = {}
    for row in rows:
        # Two equalities with one direction and two bounds contradict: keep both.
        key: object = row.number if row.is_equality else row.direction
        found = best.get(key)
        if found is None or row.bound < found.bound:
            best[key] = row
    return list(best.values())
