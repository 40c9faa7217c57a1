"""Imputation that leaves every edit holding, whatever the imputer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.editimpute.adjust import adjust
from mlstats.editimpute.compiled import category_codes, compile_edits, encode
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.fitting import Fitter
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.mixed_edits import Mended, lacking, mend
from mlstats.editimpute.pool import FilledUp, FittedImputer, Pool
from mlstats.editimpute.post_edits import numbers_of
from mlstats.editimpute.treatment import (
    Imputer,
    Treatment,
    checked_mask,
    edits_after,
    picked,
    set_edits_after,
)
from mlstats.editimpute.unit_draws import UnitDraws

__all__ = ["EditConsistent", "Treated"]


@dataclass(frozen=True, eq=False)
class Treated(Treatment):
    """A treatment with the edits that fail after it.

    Parameters
    ----------
    values, cells
        As in :class:`~mlstats.editimpute.treatment.Treatment`; the method of a cell
        that was adjusted ends in ``, adjusted``, and is ``joint donor`` where all open
        cells of the record came from another donor.
    edits : pandas.DataFrame
        edit, records, reason: the edits that still fail; empty where all hold.
    reasons : pandas.Series
        Unit -> why it fails, of the records that do.
    """

    edits: pd.DataFrame
    reasons: pd.Series


class EditConsistent(Imputer):
    """Impute, then bring the imputed cells to keep the edits, moving them least.

    Parameters
    ----------
    imputer : object
        With ``treat(frame, mask, seed)``, such as
        :class:`~mlstats.editimpute.models.ChainedImputer`.
    edits : EditSet or LinearEdits
        What must hold after treatment: the hard edits of a set, with categories,
        conditions and whole numbers, or linear edits as arrays.
    decimals : mapping, optional
        Number of decimals of a variable, 0 for an integer.
    weights : {"relative", "unit"}
        See :func:`~mlstats.editimpute.adjust.adjust`.
    tries : int
        Near donors that are tried where imputed categories stand in the way of a set
        of edits.

    Notes
    -----
    Only cells of the mask are moved. A record whose other cells contradict the edits
    is reported with the reason; its imputed cells are kept within their bounds. The
    steps taken for a set of edits are told in :mod:`mlstats.editimpute.mixed_edits`.
    """

    def __init__(
        self,
        imputer: Any,
        edits: LinearEdits | EditSet,
        *,
        decimals: Mapping[str, int] | None = None,
        weights: str = "relative",
        tries: int = 20,
    ) -> None:
        self.imputer = imputer
        self.edits = edits
        self.decimals = decimals
        self.weights = weights
        self.tries = tries

    @property
    def kind(self) -> str:
        """Traditional or ml, as the imputer is."""
        return str(getattr(self.imputer, "kind", "traditional"))

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int,
        structural: pd.DataFrame | None = None,
    ) -> Treated:
        """Return the values, their provenance and the edits that still fail."""
        edits = self.edits
        names = numbers_of(edits)
        full = checked_mask(frame, mask, numeric=names, structural=structural)
        found = self.imputer.treat(frame, mask, seed, structural)
        if isinstance(edits, EditSet):
            return self._keep_set(edits.hard(), found, full, seed)
        return self._keep_linear(edits, found, full)

    def fitted(
        self,
        pool: pd.DataFrame,
        *,
        seed: int,
        asked: Sequence[str],
        filled: FilledUp | None = None,
    ) -> FittedImputer | None:
        """Return the imputer fitted on a pool, whose records are the joint donors.

        None where the imputer itself cannot be fitted.
        """
        how = Pool.of(pool, self.imputer, seed=seed, asked=asked, filled=filled)
        inner = how.imputer
        return None if inner is None else _ConsistentOnPool(self, inner, pool, seed)

    def _keep_linear(
        self, edits: LinearEdits, found: Treatment, full: pd.DataFrame
    ) -> Treated:
        names = list(edits.variables)
        before = edits.matrix(found.values)
        free = full[names].to_numpy(dtype=bool)
        # A cell without a value cannot be moved; the edits it stands in are not known.
        result = adjust(
            before,
            free & np.isfinite(before),
            edits,
            weights=self.weights,
            decimals=self.decimals,
        )
        after = _within_bounds(edits, result.values, free, result.status)
        values = found.values.copy()
        changed = free & (after != before) & np.isfinite(before)
        for j in np.flatnonzero(changed.any(axis=0)):
            values[names[j]] = _moved(values[names[j]], changed[:, j], after[:, j])
        everywhere = np.zeros(full.shape, dtype=bool)
        everywhere[:, full.columns.get_indexer(pd.Index(names))] = changed
        cells = _marked(found.cells, values, everywhere)
        failing = edits_after(edits, values, full, result.reason)
        return Treated(values, cells, failing, _told(values.index, result.reason))

    def fitter(self, edits: EditSet) -> Fitter:
        """Return what moves numbers to keep hard edits."""
        ids = [edit.id for edit in edits.edits]
        return Fitter(
            compile_edits(edits), ids, weights=self.weights, decimals=self.decimals
        )

    def _keep_set(
        self, edits: EditSet, found: Treatment, full: pd.DataFrame, seed: int
    ) -> Treated:
        fitter = self.fitter(edits)
        # What was asked for and not imputed is no value that may be moved.
        done = full & _imputed(found, full)
        able = np.asarray(~full.to_numpy().any(axis=1))
        made = mend(
            found.values, edits, fitter, done, able, tries=self.tries, seed=seed
        )
        values, changed = _written(found.values, made, done, found.values)
        labels = values.index
        cells = _marked(found.cells, values, changed, made.donors, labels)
        failing = set_edits_after(edits, values, made.reason)
        return Treated(values, cells, failing, _told(values.index, made.reason))


class _ConsistentOnPool:
    """A fitted imputer, and the edits kept record by record after it."""

    def __init__(
        self, how: EditConsistent, inner: FittedImputer, pool: pd.DataFrame, seed: int
    ) -> None:
        self.how, self.inner, self.seed = how, inner, seed
        if isinstance(how.edits, EditSet):
            self.edits = how.edits.hard()
            self.fitter = how.fitter(self.edits)
            records = encode(pool, self.edits, self.fitter.compiled)
            passes = ~self.fitter.broken(records).any(axis=1)
            rows = np.flatnonzero(passes & ~lacking(records, self.fitter.compiled))
            self.records, self.givers = records.take(rows), pool.iloc[rows]

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        draws: UnitDraws,
        structural: pd.DataFrame | None = None,
    ) -> Treated:
        """Return the values, their provenance and the edits that still fail."""
        names = numbers_of(self.how.edits)
        full = checked_mask(frame, mask, numeric=names, structural=structural)
        found = self.inner.treat(frame, mask, draws, structural)
        if not isinstance(self.how.edits, EditSet):
            return self.how._keep_linear(self.how.edits, found, full)
        done = full & _imputed(found, full)
        made = mend(
            found.values,
            self.edits,
            self.fitter,
            done,
            np.zeros(len(frame), dtype=bool),
            tries=self.how.tries,
            seed=self.seed,
            pool=self.records,
        )
        values, changed = _written(found.values, made, done, self.givers)
        labels = self.givers.index
        cells = _marked(found.cells, values, changed, made.donors, labels)
        failing = set_edits_after(self.edits, values, made.reason)
        return Treated(values, cells, failing, _told(values.index, made.reason))


def _told(index: pd.Index, reasons: np.ndarray) -> pd.Series:
    failing = np.flatnonzero(reasons != "")
    return pd.Series(reasons[failing], index.take(failing), dtype=object, name="reason")


def _imputed(found: Treatment, full: pd.DataFrame) -> np.ndarray:
    """Return which cells were imputed."""
    good = found.cells[found.cells["status"] == "imputed"]
    at = np.zeros(full.shape, dtype=bool)
    row = full.index.get_indexer(pd.Index(good["unit"]))
    at[row, full.columns.get_indexer(pd.Index(good["variable"]))] = True
    return at


def _written(
    before: pd.DataFrame, made: Mended, done: pd.DataFrame, givers: pd.DataFrame
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the values that keep the edits, and which cells changed."""
    values = before.copy()
    compiled, records = made.compiled, made.records
    changed = np.zeros(done.shape, dtype=bool)
    given = made.donors >= 0
    for j in np.flatnonzero((done.to_numpy() & given[:, None]).any(axis=0)):
        name = done.columns[int(j)]
        rows = np.flatnonzero(done[name].to_numpy() & given)
        rows = rows[givers[name].notna().to_numpy()[made.donors[rows]]]
        column = before[name].copy()
        column.iloc[rows] = givers[name].array[made.donors[rows]]
        values[name], changed[rows, j] = column, True
    for place, name in enumerate(compiled.names):
        free = done[name].to_numpy()
        if not free.any():
            continue
        at = done.columns.get_loc(name)
        if place < compiled.n_numeric:
            after = records.numbers[:, place]
            now = values[name].to_numpy(dtype=float, na_value=np.nan)
            moved = free & np.isfinite(now) & (now != after)
            if moved.any():
                values[name] = _moved(values[name], moved, after)
        else:
            codes = records.codes[:, place - compiled.n_numeric]
            values[name], moved = _recoded(
                values[name],
                compiled.codes[place],
                codes,
                free,
                values[name] if givers is before else givers[name],
            )
        changed[moved, at] = True
    return values, changed


def _recoded(
    column: pd.Series,
    known: Mapping[str, int],
    codes: np.ndarray,
    free: np.ndarray,
    seen_in: pd.Series,
) -> tuple[pd.Series, np.ndarray]:
    """Return a column of categories with the codes that changed."""
    now = category_codes(column, known)
    moved = free & column.notna().to_numpy() & (now != codes)
    if not moved.any():
        return column, moved
    recoded = column.copy()
    label = {code: value for value, code in known.items()}
    theirs = category_codes(seen_in, known)
    for code in np.unique(codes[moved]):
        # As it is written in the file: a number, or a value that no edit names.
        seen = seen_in[(theirs == code) & seen_in.notna().to_numpy()]
        text = seen.mode().iloc[0] if len(seen) else label[int(code)]
        recoded[moved & (codes == code)] = text
    return recoded, moved


def _within_bounds(
    edits: LinearEdits, values: np.ndarray, free: np.ndarray, status: np.ndarray
) -> np.ndarray:
    lower, upper, _ = edits.bounds()
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
    values: pd.DataFrame,
    changed: np.ndarray,
    donors: np.ndarray | None = None,
    labels: pd.Index | None = None,
) -> pd.DataFrame:
    """Return the provenance with the new values, methods and donors."""
    cells = cells.copy()
    row = values.index.get_indexer(pd.Index(cells["unit"]))
    column = values.columns.get_indexer(pd.Index(cells["variable"]))
    hit = changed[row, column]
    cells.loc[hit, "after"] = picked(values, row[hit], column[hit])
    joint = np.zeros(len(cells), dtype=bool)
    if donors is not None and labels is not None:
        joint = hit & (donors[row] >= 0)
        named = labels.to_numpy(dtype=object)
        cells.loc[joint, "donor"] = named[donors[row[joint]]]
        cells.loc[joint, "method"] = "joint donor"
    adjusted = hit & ~joint
    cells.loc[adjusted, "method"] = (
        cells.loc[adjusted, "method"].astype(str) + ", adjusted"
    )
    return cells
