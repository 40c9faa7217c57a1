"""Minimum adjustment: the nearest values at which every edit holds.

For each record ``min sum w_j (y_j - x_j)^2`` over its free cells, subject to the edits
with the other cells as they are. With the weights ``1 / |x_j|`` the adjustment of one
balance is prorating (Pannekoek and Zhang 2015, Survey Methodology 41, 127-144). Records
with the same free cells are solved together: given which bounds and inequalities bind,
the solution is ``y = x - W^-1 C' lambda``, ``(C W^-1 C') lambda = C x - d``; what binds
is found by adding what is violated and dropping what has a multiplier of the wrong
sign. A record ends there only with all its optimality (Karush-Kuhn-Tucker) conditions
satisfied; the few that do not settle go to an interior-point solver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlstats.editimpute.adjust_fallback import solve_record
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.rounding import grid_steps, round_to_grid, snapped
from mlstats.editimpute.row_sums import products
from mlstats.errors import ConfigError

__all__ = ["Adjustment", "adjust"]

ROUNDS = 30
BLOCK = 4_000
_TINY = 1e-10


@dataclass(frozen=True, eq=False)
class Adjustment:
    """Adjusted values, and what happened to each record.

    Parameters
    ----------
    values : numpy.ndarray of float, shape (n, variables)
        In the order of the edits' variables; a record that cannot be adjusted is as
        it was.
    status : numpy.ndarray of str, shape (n,)
        ``unchanged``, ``adjusted``, ``solver`` (the fall-back found it) or
        ``not_adjusted``.
    reason : numpy.ndarray of str, shape (n,)
        Why a record is not adjusted.
    """

    values: np.ndarray
    status: np.ndarray
    reason: np.ndarray


@dataclass(frozen=True, eq=False)
class Problem:
    """The edits on the free cells of one pattern; equalities come first."""

    C: np.ndarray
    equalities: int
    lower: np.ndarray
    upper: np.ndarray


def adjust(
    values: np.ndarray,
    free: np.ndarray,
    edits: LinearEdits,
    *,
    weights: str | np.ndarray = "relative",
    decimals: Mapping[str, int] | None = None,
) -> Adjustment:
    """Move the free cells as little as the edits need.

    Parameters
    ----------
    values : numpy.ndarray of float, shape (n, variables)
        Records in the order of the edits' variables.
    free : numpy.ndarray of bool, shape (n, variables)
        Cells that may be changed: those that were imputed.
    edits : LinearEdits
        What must hold. An edit with a missing value in a cell that is not free is
        left out of account for that record.
    weights : {"relative", "unit"} or numpy.ndarray, shape (n, variables)
        ``1 / |x|``, 1, or what moving a cell costs.
    decimals : mapping, optional
        Number of decimals of a variable; 0 for an integer. Free cells of the others
        are not rounded.

    Returns
    -------
    Adjustment
    """
    x = np.array(values, dtype=float)
    free = np.asarray(free, dtype=bool)
    if x.shape != free.shape or x.shape[1] != len(edits.variables):
        raise ConfigError("values and free need a column for each variable")
    status = np.full(len(x), "unchanged", dtype=object)
    reason = np.full(len(x), "", dtype=object)
    empty = np.asarray((free & ~np.isfinite(x)).any(axis=1))
    needed = edits.failing(x).any(axis=1)
    if decimals:
        step = grid_steps(edits, decimals)
        off = free & np.isfinite(step) & (np.abs(snapped(x, step) - x) > 1e-9)
        needed |= off.any(axis=1)
    _state(status, reason, empty, "a free cell has no value to start from")
    stuck = np.asarray(needed & ~free.any(axis=1))
    _state(status, reason, stuck, "no cell of the record is free")
    inverse = _inverse_weights(x, weights)
    todo = np.flatnonzero(needed & ~empty & ~stuck)
    for rows in _patterns(free[todo], np.isnan(x[todo]), todo):
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            _adjust_pattern(x, free[part[0]], part, edits, inverse, status, reason)
    if decimals:
        round_to_grid(x, free, todo, edits, step, status, reason)
    return Adjustment(x, status.astype(str), reason.astype(str))


def _state(status: np.ndarray, reason: np.ndarray, which: np.ndarray, why: str) -> None:
    status[which], reason[which] = "not_adjusted", why


def _inverse_weights(x: np.ndarray, weights: str | np.ndarray) -> np.ndarray:
    if not isinstance(weights, str):
        cost = np.broadcast_to(np.asarray(weights, dtype=float), x.shape)
        if not (cost > 0).all():
            raise ConfigError("The weights of an adjustment must be above zero")
        return 1.0 / cost
    if weights == "unit":
        return np.ones_like(x)
    if weights != "relative":
        raise ConfigError(
            f"There are no weights {weights!r}", expected="relative, unit or an array"
        )
    size = np.abs(np.nan_to_num(x))
    # A zero may move too, at a high cost: else a record of zeros could not be mended.
    least = 1e-4 * np.maximum(size.max(axis=1, keepdims=True, initial=0.0), 1.0)
    return np.asarray(np.maximum(size, least))


def _patterns(
    free: np.ndarray, missing: np.ndarray, rows: np.ndarray
) -> list[np.ndarray]:
    """Return the rows of each pattern of free and missing cells."""
    if not len(rows):
        return []
    packed = np.packbits(np.hstack([free, missing]), axis=1)
    order = np.lexsort(packed.T)
    new = (packed[order[1:]] != packed[order[:-1]]).any(axis=1)
    return [rows[part] for part in np.split(order, np.flatnonzero(new) + 1)]


def _adjust_pattern(
    x: np.ndarray,
    free: np.ndarray,
    rows: np.ndarray,
    edits: LinearEdits,
    inverse: np.ndarray,
    status: np.ndarray,
    reason: np.ndarray,
) -> None:
    """Adjust records with the same free cells, in place."""
    block = x[rows]
    problem, rhs = _problem(edits, block, free)
    start, cost = block[:, free], inverse[np.ix_(rows, np.flatnonzero(free))]
    found, settled = active_set(problem, start, rhs, cost)
    block[:, free] = found
    left = edits.failing(block)
    again = np.flatnonzero(settled & left.any(axis=1))
    if len(again):
        places = np.ix_(again, np.flatnonzero(free))
        block[places] = _polished(problem, found[again], rhs[again], cost[again])
        left[again] = edits.failing(block[again])
    good = settled & ~left.any(axis=1)
    status[rows[good]] = "adjusted"
    x[rows[good]] = block[good]
    alone = np.asarray(~(edits.A[:, free] != 0).any(axis=1))
    for i in np.flatnonzero(~good):
        solved, why = _alone(problem, edits, x[rows[i]], free, rhs[i], cost[i])
        if solved is not None:
            x[rows[i]], status[rows[i]] = solved, "solver"
            continue
        status[rows[i]] = "not_adjusted"
        told = "the values that are not free contradict the edits"
        reason[rows[i]] = why or (told if left[i, alone].any() else "no exact solution")


def _problem(
    edits: LinearEdits, block: np.ndarray, free: np.ndarray
) -> tuple[Problem, np.ndarray]:
    """Return the edits on the free cells of a pattern, and each record's bounds."""
    lower, upper, general = edits.bounds()
    usable = ~((edits.A[:, np.isnan(block[0])] != 0).any(axis=1))
    general = general[usable[general] & (edits.A[general][:, free] != 0).any(axis=1)]
    general = general[np.argsort(~edits.equality[general], kind="stable")]
    fixed = np.where(free, 0.0, np.nan_to_num(block))
    problem = Problem(
        edits.A[np.ix_(general, np.flatnonzero(free))],
        int(edits.equality[general].sum()),
        lower[free],
        upper[free],
    )
    return problem, edits.b[general] - products(fixed, edits.A[general])


def _alone(
    problem: Problem,
    edits: LinearEdits,
    record: np.ndarray,
    free: np.ndarray,
    rhs: np.ndarray,
    cost: np.ndarray,
) -> tuple[np.ndarray | None, str]:
    """Adjust one record by the solver; return None and the reason where it fails."""
    solved, why = solve_record(problem, record[free], rhs, cost)
    if solved is None:
        return None, why
    trial = record.copy()
    trial[free] = solved
    if edits.failing(trial[None]).any():
        trial[free] = _polished(problem, solved[None], rhs[None], cost[None])[0]
    return (None if edits.failing(trial[None]).any() else trial), why


def _polished(
    problem: Problem, y: np.ndarray, rhs: np.ndarray, inverse: np.ndarray
) -> np.ndarray:
    """Make good what the ridge of the system left over, from so near the solution.

    What is as good as binding binds; the rest moves by as much as is lacking.
    """
    near = _TINY * (1.0 + np.abs(y).max(axis=1, keepdims=True))
    bound = np.where(y <= problem.lower + near, -1, 0)
    bound = np.where(y >= problem.upper - near, 1, bound)
    scale = near * (1.0 + np.abs(problem.C).sum(axis=1))
    active = np.abs(products(y, problem.C) - rhs) <= scale
    active[:, : problem.equalities] = True
    for _ in range(2):
        y = closed_form(problem, y, rhs, inverse, bound, active)[0]
    return y


def active_set(
    problem: Problem, x: np.ndarray, rhs: np.ndarray, inverse: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Solve the records of a pattern together; return values and which settled."""
    y = x.copy()
    settled = np.zeros(len(x), dtype=bool)
    todo = np.arange(len(x))
    bound = np.zeros(x.shape, dtype=np.int8)
    active = np.zeros((len(x), len(problem.C)), dtype=bool)
    active[:, : problem.equalities] = True
    for _ in range(ROUNDS):
        value, multipliers = closed_form(
            problem, x[todo], rhs[todo], inverse[todo], bound[todo], active[todo]
        )
        y[todo] = value
        now = _binding(
            problem,
            (x[todo], rhs[todo], inverse[todo]),
            (bound[todo], active[todo]),
            value,
            multipliers,
        )
        changed = (now[0] != bound[todo]).any(axis=1)
        changed |= (now[1] != active[todo]).any(axis=1)
        settled[todo[~changed]] = True
        bound[todo], active[todo] = now
        todo = todo[changed]
        if not len(todo):
            break
    return y, settled


def closed_form(
    problem: Problem,
    x: np.ndarray,
    rhs: np.ndarray,
    inverse: np.ndarray,
    bound: np.ndarray,
    active: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values and multipliers where it is given what binds."""
    C, m = problem.C, len(problem.C)
    at = np.where(bound < 0, problem.lower, np.where(bound > 0, problem.upper, x))
    if not m:
        return at, np.zeros((len(x), 0))
    moving = np.where(bound == 0, inverse, 0.0)
    squares = (C[:, None, :] * C[None, :, :]).reshape(m * m, -1)
    system = products(moving, squares).reshape(-1, m, m)
    gap = products(at, C) - rhs
    if not active.all():
        gap = np.where(active, gap, 0.0)
        system *= active[:, :, None] & active[:, None, :]
    diagonal = np.einsum("nii->ni", system)
    # Balances that say the same thing twice would make the system singular.
    diagonal += 1e-13 * diagonal.max(axis=1, keepdims=True)
    diagonal[~active | (diagonal == 0)] = 1.0
    multipliers = np.linalg.solve(system, gap[:, :, None])[:, :, 0]
    return at - moving * products(multipliers, C.T), multipliers


def _binding(
    problem: Problem,
    given: tuple[np.ndarray, np.ndarray, np.ndarray],
    binding: tuple[np.ndarray, np.ndarray],
    y: np.ndarray,
    multipliers: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what should bind: drop wrong multipliers, add what is violated."""
    x, rhs, inverse = given
    bound, active = binding
    size = _TINY * (1.0 + np.abs(x).max(axis=1, keepdims=True))
    slope = (y - x) / inverse + products(multipliers, problem.C.T)
    steep = _TINY * (1.0 + np.abs(slope).max(axis=1, keepdims=True))
    kept = np.where((bound < 0) & (slope < -steep), 0, bound)
    kept = np.where((bound > 0) & (slope > steep), 0, kept)
    kept = np.where((bound == 0) & (y < problem.lower - size), -1, kept)
    kept = np.where((bound == 0) & (y > problem.upper + size), 1, kept).astype(np.int8)
    e = problem.equalities
    if e == len(problem.C):
        return kept, active
    rest = active.copy()
    over = (products(y, problem.C) - rhs)[:, e:]
    scale = size * (1.0 + np.abs(problem.C[e:]).sum(axis=1))
    pull = multipliers[:, e:]
    rest[:, e:] = np.where(active[:, e:], pull >= -steep, over > scale)
    return kept, rest
