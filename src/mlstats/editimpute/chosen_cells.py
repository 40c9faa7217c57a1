"""The cells of a file that are to be treated, and why each one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.localisation import localise
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["Chosen", "asked_cells", "choose_cells"]

Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

_UNSOLVED = {
    "limit_exceeded": "more than the limit would have to be changed",
    "no_solution": "the values that may be changed cannot mend the record",
    "time_exceeded": "no selection was found in time",
}


@dataclass(frozen=True, eq=False)
class Chosen:
    """What is to be treated.

    Attributes
    ----------
    frame : DataFrame
        The records, the chosen cells empty.
    mask, structural : DataFrame of bool
        Chosen cells, and cells where nothing can be; all columns of the records.
    why : ndarray of str, shape (n, columns)
        Why each cell is chosen.
    reason : ndarray of str, shape (n,)
        Why no selection was found for a record; empty otherwise.
    """

    frame: pd.DataFrame
    mask: pd.DataFrame
    structural: pd.DataFrame
    why: Texts
    reason: Texts


def choose_cells(
    frame: pd.DataFrame,
    edits: EditSet | None,
    *,
    mask: pd.DataFrame | None,
    structural: pd.DataFrame | None,
    weights: Mapping[str, float],
    limit: float | None,
    seed: int,
    searched: Bools,
    draws: UnitDraws | None = None,
) -> Chosen:
    """Return the missing and flagged cells, and the fewest beside them that are wrong.

    The parameters are those of :func:`~mlstats.editimpute.processing.process`; only
    the records `searched` are looked at for further wrong cells.
    """
    never = _spread(structural, frame, "structural cells", False).astype(bool)
    absent = frame.isna()
    if edits is not None:
        for name in edits.missing_allowed & set(frame.columns):
            given = np.zeros(len(frame), dtype=bool)
            if mask is not None and name in mask:
                # Whoever asks for such a cell knows that a value is there.
                given = asked_cells(mask[[name]])[name].to_numpy()
            never[name] |= absent[name] & ~given
    why = _stated(frame, mask, absent, never.to_numpy())
    reason = np.full(len(frame), "", dtype=object)
    work = _emptied(frame, why != "")
    if edits is not None:
        rows = np.flatnonzero(searched)
        found = localise(
            work.iloc[rows],
            edits,
            weights=weights,
            limit=limit,
            seed=seed,
            draws=None if draws is None else draws.take(rows),
        )
        reason[rows] = [_UNSOLVED.get(status, "") for status in found.status]
        changes = np.zeros(frame.shape, dtype=bool)
        places = frame.columns.get_indexer(found.changes.columns)
        changes[np.ix_(rows, places)] = found.changes.to_numpy()
        # A cell that is empty and was not asked for stays so.
        changes &= ~absent.to_numpy() & (why == "")
        why[changes] = "edit"
        work = _emptied(work, changes, edits.numeric)
    chosen = pd.DataFrame(why != "", index=frame.index, columns=frame.columns)
    return Chosen(work, chosen, never | (absent & ~chosen), why, reason)


def _stated(
    frame: pd.DataFrame, mask: pd.DataFrame | None, absent: pd.DataFrame, never: Bools
) -> Texts:
    """Return why each cell of the mask is in it."""
    why = np.full(frame.shape, "", dtype=object)
    if mask is None:
        why[absent.to_numpy() & ~never] = "missing"
        return why
    full = _spread(mask, frame, "mask", False)
    for j, name in enumerate(full.columns):
        why[:, j] = full[name].map(_said, na_action=None).to_numpy(dtype=object)
    asked = why != ""
    wrong = int((asked & never).sum())
    if wrong:
        raise ConfigError(
            f"{wrong} cells of the mask are structurally missing",
            hint="take them out of the mask: nothing can be there",
        )
    why[asked & absent.to_numpy()] = "missing"
    return why


def asked_cells(mask: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of a mask that are known to be missing or wrong."""
    return mask.map(_said) != ""


def _said(cell: object) -> str:
    """Return why a cell of a mask is in it, by a text or by True."""
    if isinstance(cell, str):
        return cell
    return "given" if cell is True or cell == np.True_ else ""


def _spread(
    cells: pd.DataFrame | None, frame: pd.DataFrame, what: str, fill: bool
) -> pd.DataFrame:
    """Return cells over all columns of the data."""
    if cells is None:
        return pd.DataFrame(fill, index=frame.index, columns=frame.columns)
    for name in cells.columns:
        if name not in frame.columns:
            raise ConfigError(
                f"There is no column {name!r} for the {what}",
                nearest=nearest(str(name), map(str, frame.columns)),
            )
    if not cells.index.equals(frame.index):
        raise ContractError(f"The {what} have other rows than the data")
    return cells.reindex(columns=frame.columns, fill_value=fill)


def _emptied(
    frame: pd.DataFrame, cells: Bools, numeric: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return the data without the values of some cells."""
    made = frame.copy()
    for j in np.flatnonzero(cells.any(axis=0)):
        name = str(frame.columns[int(j)])
        made[name] = frame[name].mask(cells[:, j])
    for name in numeric:
        if not pd.api.types.is_numeric_dtype(made[name]):
            made[name] = pd.to_numeric(made[name], errors="coerce")
    return made
