"""One file of records through review, selection and treatment, with provenance.

Review tells which records fail; selection adds to the missing and flagged cells the
fewest that must be wrong (Fellegi and Holt 1976); treatment fills in what the edits
leave one value for, then what the imputer gives, then moves the imputed cells until
every hard edit holds. What was done to which cell, why and by what, is one row each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlstats.editimpute.cell_provenance import apply_cells
from mlstats.editimpute.chosen_cells import Chosen, choose_cells
from mlstats.editimpute.consistent import EditConsistent, Treated
from mlstats.editimpute.deterministic import Deterministic
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.pool import Pool
from mlstats.editimpute.status import FAIL, PASS, Review, review
from mlstats.editimpute.treatment import picked, set_edits_after
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.errors import ContractError

__all__ = [
    "PROVENANCE_COLUMNS",
    "Processed",
    "absent_cells",
    "columns_asked",
    "process",
]

PROVENANCE_COLUMNS = (
    "unit",
    "variable",
    "before",
    "after",
    "selection",
    "status",
    "method",
    "donor",
    "reason",
)


@dataclass(frozen=True, eq=False)
class Processed:
    """A file after review, selection and treatment.

    Attributes
    ----------
    values : DataFrame
        The rows, columns and index of the input, in their order.
    cells : DataFrame
        A row per cell that was selected, in the order of the file: unit (label of the
        record), variable, before, after, selection (``missing``, ``edit``,
        ``outlier``, ``given`` or what the mask says), status (``imputed`` or
        ``not_imputed``, which keeps its value), method, donor (label, or None) and
        reason (why a cell is not imputed).
    edits : DataFrame
        edit, records, reason: the hard edits that still fail; empty where all hold.
    review : Review or None
        Of the input; None without edits.
    counts : DataFrame
        variable, selection, status, method, reason, cells.
    """

    values: pd.DataFrame
    cells: pd.DataFrame
    edits: pd.DataFrame
    review: Review | None

    @property
    def counts(self) -> pd.DataFrame:
        """Return the number of cells by what was done to them."""
        by = ["variable", "selection", "status", "method", "reason"]
        counted = self.cells.groupby(by, dropna=False, sort=False).size()
        return counted.rename("cells").reset_index()


def process(
    frame: pd.DataFrame,
    edits: EditSet | None,
    imputer: Any,
    *,
    mask: pd.DataFrame | None = None,
    structural: pd.DataFrame | None = None,
    weights: Mapping[str, float] | None = None,
    limit: float | None = None,
    seed: int = 0,
    period: str | None = None,
    donors: pd.DataFrame | Pool | None = None,
) -> Processed:
    """Take records through review, selection and treatment.

    Parameters
    ----------
    frame : DataFrame, shape (n, columns)
        The records, with an index that tells them apart.
    edits : EditSet or None
        Without edits, only the cells of the mask are treated.
    imputer : object
        With ``treat(frame, mask, seed, structural)``, such as
        :class:`~mlstats.editimpute.donors.NearestDonor`. It is wrapped in
        :class:`~mlstats.editimpute.consistent.EditConsistent` with the edits, unless
        it is one already.
    mask : DataFrame of bool or str, optional
        Cells known to be missing or wrong; a text says why (``outlier``, say), an
        empty one that the cell is right. Every missing cell that is not structural is
        taken if left out.
    structural : DataFrame of bool, optional
        Cells where nothing can be; never selected. So are missing cells of variables
        that the edits allow to be missing.
    weights, limit, period
        Of :func:`~mlstats.editimpute.localisation.localise`.
    seed : int, default=0
        Of the ties of the selection and of the imputer; with `donors` each record
        draws by its label, else in the order of the records.
    donors : DataFrame or Pool, optional
        Records with the same columns that pass and give values; a pool has an imputer
        fitted on them already. What is done to a record then depends on the record,
        its label, the donors and the seed, and on no other record of `frame`: it can
        be any part of a larger file. A donor is named by its label there. An imputer
        that has ``treat`` alone treats the records of `frame` together with the
        donors.

    Raises
    ------
    ConfigError
        Where the edits contradict each other (a minimal subset is named), or a
        variable, a weight or a cell of the mask does not fit the data.
    ContractError
        Where the index has a label twice, or an infinite or textual value stands in a
        number that no edit names.

    Examples
    --------
    >>> from mlstats.editimpute.hotdeck import HotDeck
    >>> edits = EditSet.from_texts(["a + b == c", "a >= 0", "b >= 0"])
    >>> frame = pd.DataFrame({"a": [1.0, 2, 3], "b": [1.0, None, 4], "c": [2.0, 5, 7]})
    >>> found = process(frame, edits, HotDeck())
    >>> found.cells[["unit", "variable", "after", "method"]].to_numpy().tolist()
    [[1, 'b', 3.0, 'deterministic']]
    """
    if not frame.index.is_unique:
        raise ContractError("The index of the data does not tell the units apart")
    known = None if edits is None else edits.at(period)
    before = None if known is None else review(frame, known)
    if known is not None and not isinstance(imputer, EditConsistent):
        imputer = EditConsistent(imputer, known)
    how = _How(known, imputer, mask, structural, weights or {}, limit, seed)
    if donors is not None:
        how = replace(how, draws=UnitDraws.of(frame.index, seed))
    if isinstance(donors, pd.DataFrame):
        asked = columns_asked(absent_cells(frame, structural), known, mask)
        donors = Pool.of(donors, imputer, seed=seed, asked=asked)
    fails = np.zeros(len(frame), dtype=bool)
    if before is not None:
        # A limit counts missing values too: no record can be passed over.
        fails = (before.by_record == FAIL) | (limit is not None)
    cells, reason = _passed_through(frame, how, fails, donors)
    if known is not None and before is not None:
        # What a record lacks may be impossible to fill in: then more is wrong in it.
        after = review(apply_cells(frame, cells), known).by_record
        again = np.flatnonzero((after == FAIL) & ~fails)
        if len(again):
            # What was selected by the mask alone is wrong though no edit tells.
            clean = donors or Pool(_clean(frame, before, cells), None)
            more, why = _passed_through(
                frame.iloc[again], how.of(again), np.ones(len(again), bool), clean
            )
            cells, reason[again] = _replaced(cells, more, frame.index), why
    values = apply_cells(frame, cells)
    failing = pd.DataFrame(columns=["edit", "records", "reason"])
    if known is not None:
        failing = set_edits_after(known, values, reason)
    return Processed(values, cells, failing, before)


def _clean(frame: pd.DataFrame, before: Review, cells: pd.DataFrame) -> pd.DataFrame:
    """Return the records that pass and in which nothing was selected."""
    selected = frame.index.isin(cells["unit"])
    return frame[np.asarray(before.by_record == PASS) & ~selected]


def absent_cells(frame: pd.DataFrame, structural: pd.DataFrame | None) -> pd.DataFrame:
    """Return the cells that are missing where something can be.

    Parameters
    ----------
    frame, structural
        As in :func:`process`.
    """
    absent = frame.isna()
    if structural is not None:
        absent &= ~structural.reindex(columns=frame.columns, fill_value=False)
    return absent


def columns_asked(
    absent: pd.DataFrame, edits: EditSet | None, mask: pd.DataFrame | None
) -> list[str]:
    """Return the columns of which a cell may be selected, in the order of the data.

    Parameters
    ----------
    absent : DataFrame of bool
        From :func:`absent_cells`.
    edits, mask
        As in :func:`process`.
    """
    named: set[str] = set()
    if edits is not None:
        named = {*edits.hard().numeric, *edits.hard().categorical}
    if mask is not None:
        named |= {str(name) for name in mask.columns}
    named |= set(absent.columns[absent.any(axis=0)])
    return [str(name) for name in absent.columns if name in named]


@dataclass(frozen=True, eq=False)
class _How:
    """What was asked for."""

    edits: EditSet | None
    imputer: Any
    mask: pd.DataFrame | None
    structural: pd.DataFrame | None
    weights: Mapping[str, float]
    limit: float | None
    seed: int
    draws: UnitDraws | None = None

    def of(self, rows: np.ndarray) -> _How:
        """Return the same for some of the records."""
        mask = None if self.mask is None else self.mask.iloc[rows]
        never = None if self.structural is None else self.structural.iloc[rows]
        draws = None if self.draws is None else self.draws.take(rows)
        return replace(self, mask=mask, structural=never, draws=draws)


def _passed_through(
    frame: pd.DataFrame, how: _How, searched: np.ndarray, donors: Pool | None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Select and treat; return the provenance, and why each record may still fail."""
    chosen = choose_cells(
        frame,
        how.edits,
        mask=how.mask,
        structural=how.structural,
        weights=how.weights,
        limit=how.limit,
        seed=how.seed,
        searched=searched,
        draws=how.draws,
    )
    steps = _treated(chosen, how, donors)
    cells = _provenance(frame, chosen, steps)
    return cells, _reasons(chosen, cells, steps)


def _replaced(cells: pd.DataFrame, more: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    """Return the provenance with the later rows for the units that have them."""
    both = pd.concat([cells[~cells["unit"].isin(more["unit"])], more])
    order = index.get_indexer(pd.Index(both["unit"])).argsort(kind="stable")
    return both.iloc[order].reset_index(drop=True)


def _treated(chosen: Chosen, how: _How, donors: Pool | None) -> list[Any]:
    """Return the treatments in their order; each fills what the others left."""
    steps: list[Any] = []
    work, mask, structural = chosen.frame, chosen.mask, chosen.structural
    if how.edits is not None:
        found = Deterministic(how.edits, programs=False).treat(work, mask)
        steps.append(found)
        work = found.values
        mask = mask & ~_done(found.cells, mask)
    if not mask.to_numpy().any():
        return steps
    if donors is None:
        steps.append(how.imputer.treat(work, mask, how.seed, structural))
    elif donors.imputer is None or how.draws is None:
        steps.append(_with_donors(how, work, mask, structural, donors.donors))
    else:
        rows = np.flatnonzero(mask.to_numpy().any(axis=1))
        found = donors.imputer.treat(
            work.iloc[rows],
            mask.iloc[rows],
            how.draws.take(rows),
            structural.iloc[rows],
        )
        steps.append(found)
    return steps


def _with_donors(
    how: _How,
    work: pd.DataFrame,
    mask: pd.DataFrame,
    structural: pd.DataFrame,
    donors: pd.DataFrame,
) -> Any:
    """Impute the recipients together with the donors."""
    rows = np.flatnonzero(mask.to_numpy().any(axis=1))
    both = pd.concat([donors[list(work.columns)], work.iloc[rows]], ignore_index=True)
    at = pd.RangeIndex(len(donors), len(both))

    def spread(cells: pd.DataFrame) -> pd.DataFrame:
        part = cells.iloc[rows].set_axis(at)
        return part.reindex(both.index, fill_value=False)

    found = how.imputer.treat(both, spread(mask), how.seed, spread(structural))
    cells = found.cells.copy()
    cells["unit"] = work.index.take(rows).take(
        np.asarray(cells["unit"], dtype=int) - len(donors)
    )
    given = cells["donor"].notna()
    # A model also matches records that lack another value.
    own = work.index.take(rows).to_numpy(dtype=object)
    labels = np.concatenate([donors.index.to_numpy(dtype=object), own])
    cells.loc[given, "donor"] = labels[cells.loc[given, "donor"].astype(int)]
    values = found.values.iloc[len(donors) :].set_axis(work.index.take(rows))
    if not isinstance(found, Treated):
        return replace(found, values=values, cells=cells)
    reasons = found.reasons
    reasons = reasons.set_axis(work.index.take(rows[reasons.index - len(donors)]))
    return replace(found, values=values, cells=cells, reasons=reasons)


def _done(cells: pd.DataFrame, mask: pd.DataFrame) -> np.ndarray:
    good = cells[cells["status"] == "imputed"]
    done = np.zeros(mask.shape, dtype=bool)
    row = mask.index.get_indexer(pd.Index(good["unit"]))
    done[row, mask.columns.get_indexer(pd.Index(good["variable"]))] = True
    return done


def _provenance(frame: pd.DataFrame, chosen: Chosen, steps: list[Any]) -> pd.DataFrame:
    """Return a row per chosen cell: what the last treatment that did it says."""
    rows, columns = np.nonzero(chosen.mask.to_numpy())
    place = np.full(frame.shape, -1)
    place[rows, columns] = np.arange(len(rows))
    before = picked(frame, rows, columns)
    told = {
        "after": before.copy(),
        "status": np.full(len(rows), "not_imputed", dtype=object),
        "method": np.full(len(rows), "", dtype=object),
        "donor": np.full(len(rows), None, dtype=object),
        "reason": np.full(len(rows), "no treatment", dtype=object),
    }
    for step in steps:
        cells = step.cells
        row = frame.index.get_indexer(pd.Index(cells["unit"]))
        at = place[row, frame.columns.get_indexer(pd.Index(cells["variable"]))]
        good = (cells["status"] == "imputed").to_numpy()
        for name in ("after", "status", "method", "donor"):
            told[name][at[good]] = cells[name].to_numpy(dtype=object)[good]
        told["reason"][at] = np.where(good, "", cells["reason"].to_numpy(dtype=object))
    given = {
        "unit": frame.index.take(rows),
        "variable": frame.columns.to_numpy(dtype=object)[columns],
        "before": before,
        "selection": chosen.why[rows, columns],
    }
    return pd.DataFrame({**given, **told}, columns=list(PROVENANCE_COLUMNS))


def _reasons(chosen: Chosen, cells: pd.DataFrame, steps: list[Any]) -> np.ndarray:
    """Return why a record may still fail: by its selection, or by its treatment."""
    index = chosen.frame.index
    reason = np.full(len(index), "", dtype=object)
    for step in steps:
        if isinstance(step, Treated):
            reason[index.get_indexer(step.reasons.index)] = step.reasons.to_numpy()
    left = cells[cells["status"] != "imputed"].drop_duplicates("unit")
    row = index.get_indexer(pd.Index(left["unit"]))
    reason[row] = left["reason"].to_numpy(dtype=object)
    return np.where(chosen.reason != "", chosen.reason, reason)
