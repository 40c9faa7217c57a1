"""What a treatment hands back: the values, and a line of provenance per cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.linear_edits import LinearEdits
from mlstats.editimpute.status import FAIL, review
from mlstats.errors import ConfigError, ContractError, nearest

__all__ = [
    "CELL_COLUMNS",
    "Imputer",
    "Treatment",
    "checked_mask",
    "edits_after",
    "picked",
    "set_edits_after",
    "treatment",
]

CELL_COLUMNS = (
    "unit",
    "variable",
    "before",
    "after",
    "status",
    "method",
    "donor",
    "reason",
)


@dataclass(frozen=True, eq=False)
class Treatment:
    """Treated values and their provenance.

    Parameters
    ----------
    values : pandas.DataFrame
        The rows and columns of the input, in its order.
    cells : pandas.DataFrame
        A row per cell that was asked for: unit (index of the input), variable,
        before, after, status (``imputed`` or ``not_imputed``), method, donor (index
        of the input, or None) and reason.
    """

    values: pd.DataFrame
    cells: pd.DataFrame

    def counts(self) -> pd.DataFrame:
        """Return the number of cells by variable, method, status and reason."""
        by = ["variable", "method", "status", "reason"]
        return self.cells.groupby(by, dropna=False).size().rename("cells").reset_index()


class Imputer(ABC):
    """What treats cells; a subclass says in ``treat`` how."""

    kind_of_work = "impute"

    def impute(
        self, frame: pd.DataFrame, mask: pd.DataFrame, seed: int
    ) -> pd.DataFrame:
        """Return `frame` with the cells filled where `mask` is true."""
        return self.treat(frame, mask, seed).values

    @abstractmethod
    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the treated values with their provenance."""


def checked_mask(
    frame: pd.DataFrame,
    mask: pd.DataFrame,
    *,
    numeric: Iterable[str] = (),
    structural: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the mask over all columns of `frame`, after the request was checked.

    Parameters
    ----------
    frame, mask : pandas.DataFrame
        Data, and where to impute; the mask may have fewer columns.
    numeric : iterable of str
        Columns that must hold finite numbers or nothing.
    structural : pandas.DataFrame of bool, optional
        Cells that are missing because nothing can be there; they are never imputed.

    Raises
    ------
    ContractError
        Where rows differ, a number is infinite, or text stands for a number.
    ConfigError
        Where the mask asks for a cell that is structurally missing.
    """
    for name in [*mask.columns, *numeric]:
        if name not in frame.columns:
            raise ConfigError(
                f"There is no column {name!r} to treat",
                nearest=nearest(str(name), map(str, frame.columns)),
            )
    if not frame.index.is_unique:
        raise ContractError("The index of the data does not tell the units apart")
    if not mask.index.equals(frame.index):
        raise ContractError("The mask has other rows than the data")
    full = mask.reindex(columns=frame.columns).fillna(value=False).astype(bool)
    for name in dict.fromkeys(numeric):
        _check_numbers(frame[name], ~full[name].to_numpy())
    if structural is not None:
        never = structural.reindex(index=frame.index, columns=frame.columns)
        wrong = int((full & never.fillna(value=False).astype(bool)).to_numpy().sum())
        if wrong:
            raise ConfigError(
                f"{wrong} cells to impute are structurally missing",
                hint="take them out of the mask: nothing can be there",
            )
    return full


def _check_numbers(column: pd.Series, kept: np.ndarray) -> None:
    if not pd.api.types.is_numeric_dtype(column):
        numbers = pd.to_numeric(column[kept], errors="coerce")
        text = int((numbers.isna() & column[kept].notna()).sum())
        if text or len(column.dropna()):
            raise ContractError(
                f"{column.name!r} holds text where numbers are needed",
                expected="a numeric column, with missing values empty",
            )
        return
    values = column.to_numpy(dtype=float, na_value=np.nan)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise ContractError(
            f"{column.name!r} has {infinite} infinite values",
            expected="finite numbers, with missing values empty",
        )


def treatment(
    frame: pd.DataFrame,
    values: pd.DataFrame,
    mask: pd.DataFrame,
    *,
    method: str | np.ndarray,
    done: np.ndarray | None = None,
    donors: np.ndarray | None = None,
    reasons: np.ndarray | None = None,
    labels: pd.Index | None = None,
) -> Treatment:
    """Return the values with a provenance row per cell of the mask.

    Parameters
    ----------
    frame, values : pandas.DataFrame
        Before and after.
    mask : pandas.DataFrame of bool
        Cells that were asked for, with the columns of `frame`.
    method : str or numpy.ndarray of str, shape (n, p)
        Name of the method, or of the one that did each cell.
    done : numpy.ndarray of bool, shape (n, p), optional
        Cells that were imputed; those with a value if left out.
    donors : numpy.ndarray of int, shape (n,) or (n, p), optional
        Row of the donor, -1 where there is none.
    reasons : numpy.ndarray of object, shape (n, p), optional
        Why a cell was not imputed.
    labels : pandas.Index, optional
        Of the donors, where they are no rows of `frame`.
    """
    rows, columns = np.nonzero(mask.to_numpy())
    if done is None:
        done = values.notna().to_numpy()
    ok = done[rows, columns]
    given = np.full(len(rows), -1) if donors is None else _cells(donors, rows, columns)
    donor = np.full(len(rows), None, dtype=object)
    with_donor = ok & (given >= 0)
    named = (frame.index if labels is None else labels).to_numpy(dtype=object)
    donor[with_donor] = named[given[with_donor]]
    reason = np.full(len(rows), "", dtype=object)
    reason[~ok] = "no value was found"
    if reasons is not None:
        stated = reasons[rows, columns]
        told = ~ok & np.array([bool(r) for r in stated], dtype=bool)
        reason[told] = stated[told]
    cells = pd.DataFrame(
        {
            "unit": frame.index.to_numpy(dtype=object)[rows],
            "variable": frame.columns.to_numpy(dtype=object)[columns],
            "before": picked(frame, rows, columns),
            "after": picked(values, rows, columns),
            "status": np.where(ok, "imputed", "not_imputed"),
            "method": method
            if isinstance(method, str)
            else np.asarray(method)[rows, columns],
            "donor": donor,
            "reason": reason,
        },
        columns=list(CELL_COLUMNS),
    )
    return Treatment(values, cells)


def _cells(array: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    picked: np.ndarray = array[rows] if array.ndim == 1 else array[rows, columns]
    return picked


def picked(frame: pd.DataFrame, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the values of cells, given by their rows and columns."""
    picked = np.empty(len(rows), dtype=object)
    for j in np.unique(columns):
        at = columns == j
        picked[at] = frame.iloc[:, j].to_numpy(dtype=object)[rows[at]]
    return picked


def edits_after(
    edits: LinearEdits,
    values: pd.DataFrame,
    mask: pd.DataFrame,
    reasons: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return a row per edit that still fails after treatment, and why.

    Parameters
    ----------
    edits : LinearEdits
        The edits.
    values, mask : pandas.DataFrame
        Treated data, and the cells that treatment was free to change.
    reasons : numpy.ndarray of object, shape (n,), optional
        Reason per record, such as that of :func:`mlstats.editimpute.adjust.adjust`.

    Returns
    -------
    pandas.DataFrame
        edit, records, reason; no row where every edit holds.
    """
    failed = edits.failing(edits.matrix(values))
    free = mask.reindex(columns=list(edits.variables)).fillna(value=False)
    touched = free.to_numpy(dtype=bool) @ (edits.A != 0).T
    why = np.full(failed.shape, "no value of the edit was open to treatment", object)
    why[touched] = "treatment left it"
    if reasons is not None:
        told = np.array([bool(r) for r in reasons], dtype=bool)
        why[told] = np.asarray(reasons, dtype=object)[told, None]
    return _counted(failed, edits.names, why)


def set_edits_after(
    edits: EditSet, values: pd.DataFrame, reasons: np.ndarray
) -> pd.DataFrame:
    """Return a row per hard edit of a set that still fails after treatment, and why.

    Parameters
    ----------
    edits : EditSet
        The edits.
    values : pandas.DataFrame
        Treated data.
    reasons : numpy.ndarray of object, shape (n,)
        Reason per record.

    Returns
    -------
    pandas.DataFrame
        edit, records, reason; no row where every edit holds.
    """
    found = review(values, edits.hard())
    why = np.broadcast_to(
        np.where(reasons == "", "treatment left it", reasons)[:, None],
        found.by_edit.shape,
    )
    return _counted(found.by_edit == FAIL, found.ids, why)


def _counted(failed: np.ndarray, names: Sequence[str], why: np.ndarray) -> pd.DataFrame:
    rows, which = np.nonzero(failed)
    found = pd.DataFrame(
        {"edit": np.asarray(names, object)[which], "reason": why[rows, which]}
    )
    counted = found.groupby(["edit", "reason"], sort=False).size().rename("records")
    return counted.reset_index()[["edit", "records", "reason"]]
