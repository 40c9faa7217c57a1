"""Deterministic imputation: the cells for which the edits leave one value only."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.treatment import Treatment, checked_mask, treatment

__all__ = ["Deterministic"]


class Deterministic:
    """Impute a cell where, given the others, only one value is feasible.

    First the balances with one open cell are solved, over and over; then the cells
    of the records that are left are bounded by linear programmes.

    Parameters
    ----------
    edits : LinearEdits
        What the record must pass.
    tolerance : float
        Widest range, relative to the largest value of the record, that is one value.

    Notes
    -----
    A record whose other cells contradict the edits is left as it is, with the reason.
    """

    kind = "traditional"
    kind_of_work = "impute"

    def __init__(self, edits: LinearEdits, *, tolerance: float = 1e-9) -> None:
        self.edits = edits
        self.tolerance = tolerance

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
        names = list(self.edits.variables)
        full = checked_mask(frame, mask, numeric=names, structural=structural)
        free = full[names].to_numpy()
        x = self.edits.matrix(frame)
        never = np.isnan(x) & ~free
        x[free] = np.nan
        reason = np.full(len(x), "more than one value is feasible", dtype=object)
        asked = free.any(axis=1)
        _solve_balances(self.edits, x, free)
        for i in np.flatnonzero(asked & (np.isnan(x) & ~never).any(axis=1)):
            if not self._bounded(x[i], np.isnan(x[i]) & ~never[i]):
                reason[i] = "no value is feasible"
                x[i, free[i]] = np.nan
        wrong = np.asarray(asked & self.edits.failing(x).any(axis=1))
        x[wrong[:, None] & free] = np.nan
        reason[wrong] = "no value is feasible"
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

    def _bounded(self, x: np.ndarray, is_open: np.ndarray) -> bool:
        """Fill the cells of a record that have one value, in place."""
        from scipy.optimize import linprog

        known = ~((self.edits.A[:, np.isnan(x) & ~is_open] != 0).any(axis=1))
        A = self.edits.A[known][:, is_open]
        rhs = self.edits.b[known] - self.edits.A[known] @ np.nan_to_num(x)
        same = self.edits.equality[known]
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


def _solve_balances(edits: LinearEdits, x: np.ndarray, free: np.ndarray) -> None:
    """Solve the balances with one open cell, in place, until none is left."""
    balances = edits.A[edits.equality]
    totals = edits.b[edits.equality]
    for _ in range(len(balances)):
        before = int(np.isnan(x).sum())
        for coefficients, total in zip(balances, totals, strict=True):
            used = np.flatnonzero(coefficients)
            gaps = np.isnan(x[:, used])
            rows = np.flatnonzero(gaps.sum(axis=1) == 1)
            place = used[gaps[rows].argmax(axis=1)]
            mine = free[rows, place]
            rows, place = rows[mine], place[mine]
            rest = total - np.nan_to_num(x[rows]) @ coefficients
            x[rows, place] = rest / coefficients[place] + 0.0
        if int(np.isnan(x).sum()) == before:
            return
