"""Adjusted values brought onto the grid of their decimals, edits still holding.

Values are rounded; what an edit then lacks is put on one cell that can bear it, the
largest of those that stand in the fewest balances. Records for which that does not end
well are solved one by one as integer programmes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlstats.editimpute.adjust_fallback import on_grid
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.row_sums import products
from mlstats.errors import ConfigError

__all__ = ["grid_steps", "round_to_grid", "snapped"]

_PASSES = 3


def grid_steps(edits: LinearEdits, decimals: Mapping[str, int]) -> np.ndarray:
    """Return the step of each variable's grid, NaN for the continuous."""
    for name in decimals:
        if name not in edits.variables:
            raise ConfigError(f"The edits have no variable {name!r} to round")
    return np.array(
        [10.0 ** -decimals[v] if v in decimals else np.nan for v in edits.variables]
    )


def snapped(x: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the values rounded to their grids."""
    unit = np.where(np.isfinite(step), step, 1.0)
    # Multiplying by 1 / step keeps 0.1 + 0.2 from becoming 0.30000000000000004.
    near: np.ndarray = np.round(x / unit) / np.round(1 / unit)
    return np.where(np.isfinite(step) & np.isfinite(x), near, x)


def round_to_grid(
    x: np.ndarray,
    free: np.ndarray,
    rows: np.ndarray,
    edits: LinearEdits,
    step: np.ndarray,
    status: np.ndarray,
    reason: np.ndarray,
) -> None:
    """Bring the free cells of the rounded variables onto their grid, in place."""
    rows = rows[status[rows] != "not_adjusted"]
    near = np.where(free[rows], snapped(x[rows], step), x[rows])
    bad = np.asarray(edits.failing(near).any(axis=1))
    if bad.any():
        near[bad] = _shifted(near[bad], free[rows[bad]], edits, step)
        bad[bad] = edits.failing(near[bad]).any(axis=1)
    x[rows[~bad]] = near[~bad]
    status[rows[~bad & (status[rows] == "unchanged")]] = "adjusted"
    for i in rows[bad]:
        found = on_grid(edits, x[i], free[i], step)
        if found is None:
            status[i], reason[i] = "not_adjusted", "no rounded values satisfy the edits"
        else:
            x[i], status[i] = found, "solver"


def _shifted(
    x: np.ndarray, free: np.ndarray, edits: LinearEdits, step: np.ndarray
) -> np.ndarray:
    """Put what each edit lacks on one free cell of it."""
    x = x.copy()
    lower, upper, general = edits.bounds()
    balances = (edits.A[edits.equality] != 0).sum(axis=0)
    for _ in range(_PASSES):
        for edit in general:
            failing = edits.failing(x)[:, edit]
            if failing.any():
                _shift(x, free, np.flatnonzero(failing), edits, edit, step, balances)
        inside = np.clip(x, lower, upper)
        if not (edits.failing(x).any() or (inside != x).any()):
            break
    return x


def _shift(
    x: np.ndarray,
    free: np.ndarray,
    rows: np.ndarray,
    edits: LinearEdits,
    edit: int,
    step: np.ndarray,
    balances: np.ndarray,
) -> None:
    """Move one cell of each record so that an edit holds, in place."""
    used = np.flatnonzero(edits.A[edit])
    lower, upper, _ = edits.bounds()
    values = x[np.ix_(rows, used)]
    terms = edits.A[edit, used]
    lack = (edits.b[edit] - products(values, terms[None])) / terms
    unit = np.where(np.isfinite(step[used]), step[used], 1.0)
    units = lack / unit
    # An inequality may be kept with room to spare, a balance may not.
    whole = np.sign(units) * np.ceil(np.abs(units) - 1e-9)
    if edits.equality[edit]:
        whole = np.where(np.abs(units - np.rint(units)) < 1e-6, np.rint(units), np.nan)
    aim = np.where(
        np.isfinite(step[used]),
        snapped(values + whole * unit, step[used]),
        values + lack,
    )
    able = free[np.ix_(rows, used)] & (aim >= lower[used]) & (aim <= upper[used])
    size = np.abs(values) / (1.0 + np.abs(values).max(axis=1, keepdims=True))
    score = np.where(able, size - balances[used], -np.inf)
    best = score.argmax(axis=1)
    at = np.flatnonzero(np.isfinite(score[np.arange(len(rows)), best]))
    x[rows[at], used[best[at]]] = aim[at, best[at]]
