"""Records treated one by one, with donors that are drawn from all of a period.

With ``data.donors`` what is done to a record depends on the record, its id, the donors
and the seed, and on no other record: a period gives the same values in one table, in
parts of any size and on any number of workers. Without it a method sees all records at
once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.editimpute.consistent import EditConsistent
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.flagging import selected, with_corrections
from mlstats.editimpute.pool import Pool
from mlstats.editimpute.pool_drawing import (
    CellsOf,
    Donors,
    Drawing,
    draw_pool,
)
from mlstats.editimpute.processing import Processed, process
from mlstats.errors import ConfigError

__all__ = [
    "lacking_cells",
    "drawing_of",
    "id_of_label",
    "labels_of",
    "pool_for",
    "processed",
    "structural_cells",
    "treated_by_record",
]

# Stands between an id and the number of its row where the id stands there again.
_AGAIN: Final = "\x1f"


def processed(
    pilot: Pilot,
    edits: EditSet | None,
    method: Any,
    frame: pd.DataFrame,
    mask: pd.DataFrame,
    structural: pd.DataFrame,
    *,
    seed: int,
    donors: Pool | None = None,
) -> Processed:
    """Review, select and treat records.

    Variables of the edits that are not variables of the pilot are taken as right: no
    method would treat them.

    Parameters
    ----------
    mask, structural : pandas.DataFrame of bool, shape (n, variables)
        Cells that are to be imputed whatever the edits say, and cells where nothing
        can be.
    donors : Pool, optional
        As in :func:`mlstats.editimpute.processing.process`.
    """
    spec = pilot.data.edits
    hard = None if edits is None else edits.hard()
    named = [] if hard is None else [*hard.numeric, *hard.categorical]
    weights = {v: np.inf for v in named if v not in mask.columns}
    frame, corrections, why = selected(frame, mask, pilot.data.selection)
    found = process(
        frame,
        edits,
        method,
        mask=why,
        structural=structural,
        weights=weights | dict(spec.weights if spec else {}),
        limit=spec.limit if spec else None,
        seed=seed,
        donors=donors,
    )
    return with_corrections(found, corrections)


# -- cells ---------------------------------------------------------------------------


def structural_cells(
    frame: pd.DataFrame, variables: list[str], edits: EditSet | None
) -> pd.DataFrame:
    """Return the missing cells that are an answer, of the variables."""
    lacking = frame[variables].isna()
    structural = lacking & False
    if edits is not None:
        allowed = [name for name in variables if name in edits.missing_allowed]
        structural[allowed] = lacking[allowed]
    return structural


def lacking_cells(
    frame: pd.DataFrame, variables: list[str], edits: EditSet | None
) -> pd.DataFrame:
    """Return the missing cells of the variables that are no answer."""
    return frame[variables].isna() & ~structural_cells(frame, variables, edits)


# -- labels --------------------------------------------------------------------------


def labels_of(
    ids: pd.Series,
    again: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
) -> pd.Index:
    """Return what a record draws by: its id, which no other record has.

    Parameters
    ----------
    ids : pandas.Series of str, shape (n,)
        Of the records.
    again : numpy.ndarray of bool, shape (n,), optional
        Whether an earlier record of the period has the id; its row tells it apart.
        Looked up among `ids` if left out.
    numbers : numpy.ndarray of int, shape (n,), optional
        The records' places in the period, counted from 0.

    Examples
    --------
    >>> [len(label) for label in labels_of(pd.Series(["a", "b", "a"]))]
    [1, 1, 3]
    """
    told = ids.astype(object).where(ids.notna(), "").astype(str)
    twice = told.duplicated().to_numpy() if again is None else again
    labels: np.ndarray = told.to_numpy(dtype=object, copy=True)
    rows = np.arange(len(labels)) if numbers is None else numbers
    for place in np.flatnonzero(twice):
        labels[place] = f"{labels[place]}{_AGAIN}{rows[place]}"
    named: pd.Index = pd.Index(labels, dtype=object)
    return named


def id_of_label(label: Any) -> str | None:
    """Return the id of a label, None of no label and of a record without an id."""
    return None if pd.isna(label) else str(label).partition(_AGAIN)[0] or None


# -- donors --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Held:
    """Records that are in memory already."""

    numeric: tuple[str, ...]

    def frame(self, block: pd.DataFrame) -> pd.DataFrame:
        return block


def drawing_of(
    pilot: Pilot,
    edits: EditSet | None,
    seed: int,
    *,
    given: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> Drawing:
    """Return how the donors of a period are drawn.

    It is called with records in the right unit, with their labels as index.

    Parameters
    ----------
    given : (pandas.DataFrame, pandas.DataFrame), optional
        Why cells of all records are selected, and those where nothing can be, where
        the records alone do not tell.
    """
    spec, variables = pilot.data.donors, list(pilot.data.roles.variables)
    assert spec is not None
    cells: tuple[CellsOf, CellsOf] = (
        partial(lacking_cells, variables=variables, edits=edits),
        partial(structural_cells, variables=variables, edits=edits),
    )
    if given is not None:
        cells = partial(_given, given[0]), partial(_given, given[1])
    return Drawing(
        _Held(() if edits is None else tuple(edits.numeric)),
        edits,
        *cells,
        seed,
        spec.rows,
        spec.by,
        spec.class_rows,
    )


def _given(cells: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    return cells


def pool_for(
    name: str,
    method: Any,
    edits: EditSet | None,
    donors: Donors,
    seed: int,
) -> Pool:
    """Fit a method on donors.

    Parameters
    ----------
    name : str
        Of the method, for errors.
    donors : Donors
        From :func:`mlstats.editimpute.pool_drawing.draw_pool`.

    Raises
    ------
    ConfigError
        Where the method, or an option of it, needs all recipients at once.
    """
    if edits is not None and not isinstance(method, EditConsistent):
        method = EditConsistent(method, edits)
    held, asked, filled = donors
    pool = Pool.of(held, method, seed=seed, asked=asked, filled=filled)
    if pool.imputer is None:
        raise ConfigError(
            f"The method {name!r} treats all records together, not one by one",
            where="data.donors",
            expected="one with fitted(donors, ...), such as NearestDonor or HotDeck",
            hint="leave data.donors out: the period is read into memory then",
        )
    return pool


def treated_by_record(
    pilot: Pilot,
    edits: EditSet | None,
    method: Any,
    frame: pd.DataFrame,
    mask: pd.DataFrame,
    structural: pd.DataFrame,
    *,
    ids: pd.Series,
    seed: int,
) -> Processed:
    """Draw donors from records in memory, and treat each record with them.

    Parameters
    ----------
    ids : pandas.Series, shape (n,)
        Of the records.

    Returns
    -------
    Processed
        With the labels of `frame`; donors are named by them too.

    Raises
    ------
    ConfigError
        As :func:`pool_for`.
    """
    labels = labels_of(ids)
    own, cells, never = (t.set_axis(labels) for t in (frame, mask, structural))
    ready, _, why = selected(own, cells, pilot.data.selection)
    drawing = drawing_of(pilot, edits, seed, given=(why, never))
    donors = draw_pool(drawing, [drawing(ready)])
    pool = pool_for(type(method).__name__, method, edits, donors, seed)
    found = processed(pilot, edits, method, own, cells, never, seed=seed, donors=pool)
    return _relabelled(found, frame.index, labels)


def _relabelled(found: Processed, index: pd.Index, labels: pd.Index) -> Processed:
    cells = found.cells.copy()
    cells["unit"] = index.take(labels.get_indexer(pd.Index(cells["unit"])))
    places = labels.get_indexer(pd.Index(cells["donor"], dtype=object))
    donors = index.take(np.maximum(places, 0)).to_numpy(dtype=object, copy=True)
    donors[places < 0] = None
    cells["donor"] = donors
    return replace(found, values=found.values.set_axis(index), cells=cells)
