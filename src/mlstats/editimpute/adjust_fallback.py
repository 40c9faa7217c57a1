"""One record at a time: the quadratic programme, and values on a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlstats.editimpute.linear_edits import LinearEdits

if TYPE_CHECKING:
    from mlstats.editimpute.adjust import Problem

__all__ = ["on_grid", "solve_record"]


def solve_record(
    problem: Problem, x: np.ndarray, rhs: np.ndarray, inverse: np.ndarray
) -> tuple[np.ndarray | None, str]:
    """Solve the adjustment of one record by an interior-point method.

    The solver tells what binds; the values then follow in closed form, so that a
    balance holds to the last digits and not only to the solver's tolerance.

    Returns
    -------
    values : numpy.ndarray or None
        None where there is no solution.
    reason : str
        Why there is none.
    """
    import clarabel
    from scipy import sparse

    unit = max(float(np.abs(x).max()), float(np.abs(rhs).max(initial=0.0)), 1.0)
    cost = inverse.max() / inverse
    low, high = np.isfinite(problem.lower), np.isfinite(problem.upper)
    eye = np.eye(len(x))
    A = np.vstack([problem.C, -eye[low], eye[high]])
    b = np.concatenate([rhs, -problem.lower[low], problem.upper[high]]) / unit
    cones = [
        clarabel.ZeroConeT(problem.equalities),
        clarabel.NonnegativeConeT(len(b) - problem.equalities),
    ]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(np.diag(cost)),
        -cost * x / unit,
        sparse.csc_matrix(A),
        b,
        cones,
        settings,
    ).solve()
    if "Infeasible" in str(solution.status):
        return None, "no values of the free cells satisfy the edits"
    if "Solved" not in str(solution.status):
        return None, "the solver found no solution"
    return _polished(problem, x, rhs, inverse, np.asarray(solution.x) * unit, unit), ""


def _polished(
    problem: Problem,
    x: np.ndarray,
    rhs: np.ndarray,
    inverse: np.ndarray,
    y: np.ndarray,
    unit: float,
) -> np.ndarray:
    from mlstats.editimpute.adjust import closed_form

    inside: np.ndarray = np.clip(y, problem.lower, problem.upper)
    # What binds is told by how near it is, and how near is near differs by record.
    for near in (1e-6 * unit, 1e-7 * unit, 1e-5 * unit, 1e-8 * unit, 1e-4 * unit):
        bound = np.where(y <= problem.lower + near, -1, 0)
        bound = np.where(y >= problem.upper - near, 1, bound)
        active = np.abs(problem.C @ y - rhs) <= near
        active[: problem.equalities] = True
        exact, _ = closed_form(
            problem, x[None], rhs[None], inverse[None], bound[None], active[None]
        )
        trial: np.ndarray = np.clip(exact[0], problem.lower, problem.upper)
        over = problem.C @ trial - rhs
        over[: problem.equalities] = np.abs(over[: problem.equalities])
        if (
            over.max(initial=0.0) <= 1e-10 * unit
            and np.abs(trial - y).max() < 1e-3 * unit
        ):
            return trial
    return inside


def on_grid(
    edits: LinearEdits, x: np.ndarray, free: np.ndarray, step: np.ndarray
) -> np.ndarray | None:
    """Return the nearest values on the grid at which the edits hold, or None.

    Minimises the sum of the absolute changes of the free cells, as an integer
    programme; the changes count from the nearest grid point, so that the numbers that
    the programme sees are small.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    cells = np.flatnonzero(free)
    whole = np.isfinite(step[cells])
    unit = np.where(whole, step[cells], 1.0)
    base = np.where(whole, np.round(x[cells] / unit) * unit, x[cells])
    start = x.copy()
    start[cells] = base
    used = ~((edits.A[:, np.isnan(x)] != 0).any(axis=1))
    A = edits.A[used][:, cells] * unit
    gap = edits.b[used] - edits.A[used] @ np.nan_to_num(start)
    k = len(cells)
    # Each change is split into its part upwards and its part downwards.
    limits = LinearConstraint(
        np.hstack([A, -A]), np.where(edits.equality[used], gap, -np.inf), gap
    )
    price = np.concatenate([unit - (x[cells] - base), unit + (x[cells] - base)])
    found = milp(
        np.maximum(price, 1e-6 * np.tile(unit, 2)),
        constraints=limits,
        integrality=np.tile(whole, 2).astype(int),
        bounds=Bounds(0, np.inf),
        options={"time_limit": 5.0},
    )
    if found.x is None:
        return None
    change = found.x[:k] - found.x[k:]
    change = np.where(whole, np.round(change), change)
    result = x.copy()
    decimals = np.round(1 / unit)
    result[cells] = np.where(
        whole, np.round((base + change * unit) * decimals) / decimals, base + change
    )
    return None if edits.failing(result[None]).any() else result
