"""Whether records keep clauses: true, false or unknown, for all records at once.

Unknown is Kleene's: a clause with a missing value is true if another of its atoms is
true, false only if every atom is. A clause on a variable for which missing is an
answer is not applicable to a record without it, and counts as true.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlstats.editimpute.compiled import (
    RELATIVE,
    Choice,
    CompiledAtom,
    CompiledEdits,
    Records,
    Row,
    State,
)

__all__ = ["atom_truth", "choice_table", "clause_truth", "dense_rows", "rows_hold"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def dense_rows(rows: list[Row], n_numeric: int) -> tuple[Floats, Floats, Bools]:
    """Return rows as the matrix, the bounds, and which are equalities."""
    A = np.zeros((len(rows), n_numeric))
    for i, row in enumerate(rows):
        for place, value in row.terms:
            A[i, place] = value
    bound = np.array([row.bound for row in rows], dtype=float)
    return A, bound, np.array([row.is_equality for row in rows], dtype=bool)


def rows_hold(rows: list[Row], numbers: Floats, tolerance: float) -> Bools:
    """Tell which records keep which rows; missing values count as zero.

    Returns
    -------
    ndarray of bool, shape (n, rows)
    """
    A, bound, is_equality = dense_rows(rows, numbers.shape[1])
    excess = numbers @ A.T - bound
    excess[:, is_equality] = np.abs(excess[:, is_equality])
    broken = excess > tolerance
    if broken.any():
        allowed = np.abs(numbers) @ np.abs(A).T + np.abs(bound)
        broken &= excess > tolerance + RELATIVE * allowed
    return ~broken


def choice_table(choice: Choice, n_codes: int) -> Bools:
    """Return for every code whether a choice allows it."""
    return np.array([bool(choice.codes >> code & 1) for code in range(n_codes)])


def clause_truth(
    records: Records, compiled: CompiledEdits, block: int = 65_536
) -> tuple[Bools, Bools]:
    """Tell which clauses hold, and for which that is unknown.

    Returns
    -------
    true, unknown : ndarray of bool, shape (n, clauses)
        A clause that is neither is false.
    """
    shape = (len(records), len(compiled.clauses))
    true, unknown = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for start in range(0, len(records), block):
        part = np.arange(start, min(start + block, len(records)))
        true[part], unknown[part] = _truth(records.take(part), compiled)
    return true, unknown


def _truth(records: Records, compiled: CompiledEdits) -> tuple[Bools, Bools]:
    rows = [a for clause in compiled.clauses for a in clause if isinstance(a, Row)]
    holds = rows_hold(rows, records.numbers, compiled.tolerance)
    absent = _absent(rows, records)
    shape = (len(records), len(compiled.clauses))
    true, unknown = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    at = 0
    for i, clause in enumerate(compiled.clauses):
        for atom in clause:
            if isinstance(atom, Row):
                one, gap = holds[:, at], absent[:, at]
                at += 1
            else:
                one, gap = atom_truth(atom, records, compiled)
            true[:, i] |= one & ~gap
            unknown[:, i] |= gap
    unknown &= ~true
    for place in compiled.missing_allowed:
        answered = records.missing[:, place] & ~records.invalid[:, place]
        if answered.any():
            _set_not_applicable(true, unknown, answered, place, compiled)
    return true, unknown


def _absent(rows: list[Row], records: Records) -> Bools:
    A, _, _ = dense_rows(rows, records.numbers.shape[1])
    missing = records.missing[:, : records.numbers.shape[1]]
    if not missing.any():
        return np.zeros((len(records), len(rows)), dtype=bool)
    return np.asarray(missing.astype(np.float32) @ (A != 0).T.astype(np.float32) > 0)


def atom_truth(
    atom: CompiledAtom, records: Records, compiled: CompiledEdits
) -> tuple[Bools, Bools]:
    """Tell which records keep a choice or a state, and where its value is missing."""
    assert isinstance(atom, Choice | State)
    missing = records.missing[:, atom.place]
    if isinstance(atom, State):
        return missing != atom.negated, np.zeros(len(records), dtype=bool)
    table = choice_table(atom, len(compiled.codes[atom.place]) + 1)
    return table[records.codes[:, atom.place - compiled.n_numeric]], missing


def _set_not_applicable(
    true: Bools,
    unknown: Bools,
    answered: Bools,
    place: int,
    compiled: CompiledEdits,
) -> None:
    for i, clause in enumerate(compiled.clauses):
        is_state = any(isinstance(atom, State) for atom in clause)
        if compiled.supports[i] >> place & 1 and not is_state:
            true[answered, i] = True
            unknown[answered, i] = False
