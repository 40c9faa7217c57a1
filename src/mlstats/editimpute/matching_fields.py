"""Matching fields that the edits call for: the fields of edits that still bind.

After a record's valid values are put into the edits, an edit binds if it is not implied
by the others; the valid fields of the binding edits that have a field to impute are the
matching fields (Banff functional description, donor imputation).
"""

from __future__ import annotations

import numpy as np

from mlstats.editimpute.linear_edits import LinearEdits

__all__ = ["binding_fields"]


def binding_fields(
    edits: LinearEdits, values: np.ndarray, to_impute: np.ndarray
) -> np.ndarray:
    """Return which valid fields stand in an edit that binds.

    Parameters
    ----------
    edits : LinearEdits
        The edits.
    values : numpy.ndarray, shape (n, variables)
        Records; values that are to be imputed are not read.
    to_impute : numpy.ndarray of bool, shape (n, variables)
        Fields to impute.

    Returns
    -------
    numpy.ndarray of bool, shape (n, variables)
    """
    fields = np.zeros(values.shape, dtype=bool)
    known: dict[bytes, np.ndarray] = {}
    for i, (record, free) in enumerate(zip(values, to_impute, strict=True)):
        usable = ~((edits.A[:, np.isnan(record) & ~free] != 0).any(axis=1))
        usable &= (edits.A[:, free] != 0).any(axis=1)
        rhs = edits.b - edits.A @ np.where(free, 0.0, np.nan_to_num(record))
        key = free.tobytes() + usable.tobytes() + rhs[usable].tobytes()
        if key not in known:
            known[key] = _binding(edits, np.flatnonzero(usable), free, rhs)
        binding = known[key]
        fields[i] = (edits.A[binding] != 0).any(axis=0) & ~free & np.isfinite(record)
    return fields


def _binding(
    edits: LinearEdits, usable: np.ndarray, free: np.ndarray, rhs: np.ndarray
) -> np.ndarray:
    """Return the places of the edits that the others do not imply."""
    if not len(usable):
        return usable
    A, equality = edits.A[:, free], edits.equality
    kept = list(_first_of_equals(A, rhs, equality, usable))
    for edit in [e for e in kept if not equality[e]]:
        others = [e for e in kept if e != edit]
        if _implied(A, rhs, equality, edit, others):
            kept.remove(edit)
    return np.asarray(kept, dtype=int)


def _first_of_equals(
    A: np.ndarray, rhs: np.ndarray, equality: np.ndarray, usable: np.ndarray
) -> np.ndarray:
    """Return the edits without those that say the same as an earlier one."""
    rows = np.column_stack([A, rhs, equality])[usable]
    rows[:, :-1] /= np.abs(A[usable]).max(axis=1, keepdims=True)
    first = np.unique(np.round(rows, 12), axis=0, return_index=True)[1]
    return usable[np.sort(first)]


def _implied(
    A: np.ndarray,
    rhs: np.ndarray,
    equality: np.ndarray,
    edit: int,
    others: list[int],
) -> bool:
    """Return whether the largest value of an edit, given the others, is within it."""
    from scipy.optimize import linprog

    less = [e for e in others if not equality[e]]
    same = [e for e in others if equality[e]]
    # One unit of room beyond the edit keeps the programme bounded.
    found = linprog(
        -A[edit],
        A_ub=np.vstack([A[less], A[edit]]),
        b_ub=np.append(rhs[less], rhs[edit] + 1.0),
        A_eq=A[same] if same else None,
        b_eq=rhs[same] if same else None,
        bounds=(None, None),
    )
    scale = 1e-9 * max(1.0, abs(rhs[edit]))
    return bool(found.status == 0 and -found.fun <= rhs[edit] + scale)
