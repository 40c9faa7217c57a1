"""Deterministic imputation: the cells for which the edits leave one value only."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.linear_edits import LinearEdits, linear_part
from mlstats.editimpute.treatment import Treatment, checked_mask, treatment
from mlstats.editimpute.value_ranges import solve_balances, value_ranges

__all__ = ["Deterministic"]


class Deterministic:
    """Impute a cell where, given the others, only one value is feasible.

    First the balances are solved; then bounds are passed from edit to edit; then the
    cells that are left are bounded by linear programmes.

    Parameters
    ----------
    edits : EditSet or LinearEdits
        What the record must pass; of a set the hard edits that are linear and hold
        without a condition.
    tolerance : float
        Widest range, relative to the largest value of the record, that is one value.
    programs : bool
        Look at all edits together by linear programmes, some milliseconds for each
        cell; without them a value is found less often.

    Notes
    -----
    A record whose other cells contradict the edits is left as it is, with the reason.
    """

    kind = "traditional"
    kind_of_work = "impute"

    def __init__(
        self,
        edits: LinearEdits | EditSet,
        *,
        tolerance: float = 1e-9,
        programs: bool = True,
    ) -> None:
        self.edits = edits
        self.tolerance = tolerance
        self.programs = programs

    def impute(
        self, frame: pd.DataFrame, mask: pd.DataFrame, seed: int = 0
    ) -> pd.DataFrame:
        """Return `frame` with the cells filled where `mask` is true."""
        return self.treat(frame, mask, seed).values

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int = 0,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values; nothing is drawn, so `seed` is not used."""
        given = self.edits
        edits = linear_part(given) if isinstance(given, EditSet) else given
        whole = given.integer if isinstance(given, EditSet) else frozenset()
        names = list(edits.variables)
        full = checked_mask(frame, mask, numeric=names, structural=structural)
        free = full[names].to_numpy(dtype=bool)
        x = edits.matrix(frame)
        x[free] = np.nan
        stuck = self._fill(edits, x, free)
        stuck |= self._snap(x, free & np.isin(names, list(whole)))
        x[stuck[:, None] & free] = np.nan
        reason = np.where(
            stuck, "no value is feasible", "more than one value is feasible"
        ).astype(object)
        values = frame.copy()
        done = np.zeros(full.shape, dtype=bool)
        for j, name in enumerate(names):
            got = free[:, j] & np.isfinite(x[:, j])
            if got.any():
                old = frame[name].to_numpy(dtype=float, na_value=np.nan)
                values[name] = np.where(got, x[:, j], old)
                done[got, list(frame.columns).index(name)] = True
        spread = np.broadcast_to(reason[:, None], full.shape)
        return treatment(
            frame, values, full, method="deterministic", done=done, reasons=spread
        )

    def _fill(self, edits: LinearEdits, x: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Fill in cells with one value, in place; return which records have none."""
        asked = np.flatnonzero(free.any(axis=1))
        part, is_open = x[asked], free[asked]
        solve_balances(edits, part, is_open)
        # What the balances left is open; what is missing and not asked for never is.
        is_open = is_open & np.isnan(part)
        low, high = value_ranges(edits, part, is_open)
        size = np.maximum(1.0, np.abs(np.nan_to_num(part)).max(axis=1, initial=0.0))
        slack = self.tolerance * size[:, None]
        # The edits' own tolerance may have let a value in that is a little too large.
        stuck = (is_open & (low - high > slack)).any(axis=1)
        with np.errstate(invalid="ignore"):
            one = is_open & (high - low <= slack) & ~stuck[:, None]
        # Adding zero turns -0.0 into 0.0.
        part[one] = (low[one] + high[one]) / 2 + 0.0
        is_open &= ~one
        if self.programs:
            for i in np.flatnonzero(is_open.any(axis=1) & ~stuck):
                stuck[i] = not self._bounded(edits, part[i], is_open[i])
        stuck |= edits.failing(part).any(axis=1)
        x[asked] = part
        found = np.zeros(len(x), dtype=bool)
        found[asked] = stuck
        return found

    def _snap(self, x: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Round whole numbers, in place; return which records have another number."""
        near = np.rint(x)
        far = np.abs(near - x) > self.tolerance * np.maximum(1.0, np.abs(near))
        x[whole] = near[whole]
        return np.asarray((far & whole).any(axis=1))

    def _bounded(self, edits: LinearEdits, x: np.ndarray, is_open: np.ndarray) -> bool:
        """Fill the cells of a record that have one value, in place."""
        from scipy.optimize import linprog

        known = ~((edits.A[:, np.isnan(x) & ~is_open] != 0).any(axis=1))
        A = edits.A[known][:, is_open]
        rhs = edits.b[known] - edits.A[known] @ np.nan_to_num(x)
        same = edits.equality[known]
        limits = {
            "A_ub": A[~same] if (~same).any() else None,
            "b_ub": rhs[~same] if (~same).any() else None,
            "A_eq": A[same] if same.any() else None,
            "b_eq": rhs[same] if same.any() else None,
            "bounds": (None, None),
        }
        slack = self.tolerance * max(1.0, float(np.abs(np.nan_to_num(x)).max()))
        for place, j in enumerate(np.flatnonzero(is_open)):
            aim = np.zeros(int(is_open.sum()))
            aim[place] = 1.0
            low = linprog(aim, **limits)
            if low.status == 2:
                return False
            high = linprog(-aim, **limits) if low.status == 0 else low
            if low.status == high.status == 0 and -high.fun - low.fun <= slack:
                # Adding zero turns -0.0 into 0.0.
                x[j] = (low.fun - high.fun) / 2 + 0.0
        return True
