"""Imputation that leaves every edit holding, whatever the imputer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.editimpute.adjust import adjust
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.treatment import Treatment, checked_mask, edits_after

__all__ = ["EditConsistent", "Treated"]


@dataclass(frozen=True, eq=False)
class Treated(Treatment):
    """A treatment with the edits that fail after it.

    Parameters
    ----------
    values, cells
        As in :class:`~mlstats.editimpute.treatment.Treatment`; the method of a cell
        that was adjusted ends in ``, adjusted``.
    edits : pandas.DataFrame
        edit, records, reason: the edits that still fail; empty where all hold.
    """

    edits: pd.DataFrame


class EditConsistent:
    """Impute, then move the imputed cells as little as the edits need.

    Parameters
    ----------
    imputer : object
        With ``treat(frame, mask, seed)``, such as
        :class:`~mlstats.editimpute.models.ChainedImputer`.
    edits : LinearEdits
        What must hold after treatment.
    decimals : mapping, optional
        Number of decimals of a variable, 0 for an integer.
    weights : {"relative", "unit"}
        See :func:`~mlstats.editimpute.adjust.adjust`.

    Notes
    -----
    Only cells of the mask are moved. A record whose other cells contradict the edits
    is reported with the reason; its imputed cells are kept within their bounds.
    """

    kind_of_work = "impute"

    def __init__(
        self,
        imputer: Any,
        edits: LinearEdits,
        *,
        decimals: Mapping[str, int] | None = None,
        weights: str = "relative",
    ) -> None:
        self.imputer = imputer
        self.edits = edits
        self.decimals = decimals
        self.weights = weights

    @property
    def kind(self) -> str:
        """Traditional or ml, as the imputer is."""
        return str(getattr(self.imputer, "kind", "traditional"))

    def impute(
        self, frame: pd.DataFrame, mask: pd.DataFrame, seed: int
    ) -> pd.DataFrame:
        """Return `frame` with the cells filled where `mask` is true."""
        return self.treat(frame, mask, seed).values

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int,
        structural: pd.DataFrame | None = None,
    ) -> Treated:
        """Return the values, their provenance and the edits that still fail."""
        names = list(self.edits.variables)
        full = checked_mask(frame, mask, numeric=names, structural=structural)
        found = self.imputer.treat(frame, mask, seed, structural)
        before = self.edits.matrix(found.values)
        free = full[names].to_numpy()
        # A cell without a value cannot be moved; the edits it stands in are not known.
        result = adjust(
            before,
            free & np.isfinite(before),
            self.edits,
            weights=self.weights,
            decimals=self.decimals,
        )
        after = self._within_bounds(result.values, free, result.status)
        values = found.values.copy()
        changed = free & (after != before) & np.isfinite(before)
        for j in np.flatnonzero(changed.any(axis=0)):
            values[names[j]] = _moved(values[names[j]], changed[:, j], after[:, j])
        cells = _marked(found.cells, frame.index, names, changed, after)
        failing = edits_after(self.edits, values, full, result.reason)
        return Treated(values, cells, failing)

    def _within_bounds(
        self, values: np.ndarray, free: np.ndarray, status: np.ndarray
    ) -> np.ndarray:
        lower, upper, _ = self.edits.bounds()
        open_cells = free & (status == "not_adjusted")[:, None] & np.isfinite(values)
        return np.where(open_cells, np.clip(values, lower, upper), values)


def _moved(column: pd.Series, changed: np.ndarray, after: np.ndarray) -> pd.Series:
    whole = np.equal(np.round(after[changed]), after[changed]).all()
    if pd.api.types.is_integer_dtype(column.dtype) and not whole:
        column = column.astype(float)
    moved = column.copy()
    moved[changed] = after[changed].astype(moved.dtype)
    return moved


def _marked(
    cells: pd.DataFrame,
    index: pd.Index,
    names: list[str],
    changed: np.ndarray,
    after: np.ndarray,
) -> pd.DataFrame:
    """Return the provenance with the adjusted values and methods."""
    cells = cells.copy()
    row = index.get_indexer(pd.Index(cells["unit"]))
    column = pd.Index(names).get_indexer(pd.Index(cells["variable"]))
    hit = (column >= 0) & (row >= 0)
    hit[hit] = changed[row[hit], column[hit]]
    cells.loc[hit, "after"] = after[row[hit], column[hit]]
    cells.loc[hit, "method"] = cells.loc[hit, "method"].astype(str) + ", adjusted"
    return cells
