"""Donors of a file, drawn from all of it by the labels of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.chosen_cells import asked_cells
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.pool import FilledUp
from mlstats.editimpute.processing import columns_asked
from mlstats.editimpute.status import PASS, review
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["CellsOf", "Donors", "Drawing", "Drawn", "Labelled", "draw_pool"]

CellsOf = Callable[[pd.DataFrame], pd.DataFrame]


class Labelled(Protocol):
    """Gives the records of a block, with their labels as index."""

    @property
    def numeric(self) -> tuple[str, ...]:
        """Return the columns that are decimal numbers."""
        ...

    def frame(self, block: Any) -> pd.DataFrame:
        """Return the records of a block."""
        ...


@dataclass(frozen=True, eq=False)
class Drawn:
    """Donors drawn from a block, and what was seen of all of its records.

    Attributes
    ----------
    donors : DataFrame
        Those that may be among the donors of the file.
    numbers : ndarray of float
        The number that each has drawn.
    hashes : ndarray of uint64
        Of the labels of all records.
    asked : frozenset of str
        Columns of which a cell may be selected.
    """

    donors: pd.DataFrame
    numbers: npt.NDArray[np.float64]
    hashes: npt.NDArray[np.uint64]
    asked: frozenset[str]


@dataclass(frozen=True, eq=False)
class Drawing:
    """How donors are drawn; called with a block.

    Attributes
    ----------
    reading : Labelled
        How a block is read.
    edits : EditSet or None
        What a donor passes, those of the reference period.
    mask, structural : callable or None
        Block -> cells.
    seed, rows, by, class_rows
        As in :func:`~mlstats.editimpute.streaming.process_file`.
    """

    reading: Labelled
    edits: EditSet | None
    mask: CellsOf | None
    structural: CellsOf | None
    seed: int
    rows: int
    by: tuple[str, ...]
    class_rows: int

    def __call__(self, block: Any) -> Drawn:
        """Return what may be among the donors, and what was seen."""
        frame = self.reading.frame(block)
        for name in self.by:
            if name not in frame:
                raise ConfigError(
                    f"There is no column {name!r} to draw donors by",
                    nearest=nearest(name, map(str, frame.columns)),
                )
        structural = self.structural and self.structural(frame)
        mask = self.mask and self.mask(frame)
        draws = UnitDraws.of(frame.index, self.seed)
        able = np.flatnonzero(
            self._complete(frame, structural) & ~_selected(frame, mask)
        )
        numbers = draws.numbers("donors")[able]
        # A record that passes has no text in a number, even where its block has.
        donors = frame.iloc[able].astype(dict.fromkeys(self.reading.numeric, float))
        kept = self.least(donors, numbers)
        asked = frozenset(columns_asked(frame, self.edits, mask, structural))
        return Drawn(donors[kept], numbers[kept], draws.keys, asked)

    def least(
        self, donors: pd.DataFrame, numbers: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Tell which have the smallest numbers, overall or in their class."""
        kept = numbers.argsort().argsort() < self.rows
        if self.by:
            classes = donors.groupby(list(self.by), dropna=False, sort=False).ngroup()
            ranks = pd.Series(numbers).groupby(classes.to_numpy())
            kept |= ranks.rank().to_numpy() <= self.class_rows
        return np.asarray(kept)

    def _complete(
        self, frame: pd.DataFrame, structural: pd.DataFrame | None
    ) -> npt.NDArray[np.bool_]:
        absent = frame.isna()
        if structural is not None:
            absent &= ~structural.reindex(columns=frame.columns, fill_value=False)
        if self.edits is not None:
            allowed = list(self.edits.missing_allowed)
            absent = absent.drop(columns=allowed, errors="ignore")
        complete = ~absent.to_numpy().any(axis=1)
        if self.edits is not None:
            complete &= review(frame, self.edits).by_record == PASS
        return np.asarray(complete)


def _selected(frame: pd.DataFrame, mask: pd.DataFrame | None) -> npt.NDArray[np.bool_]:
    """Tell which records have a cell that is known to be wrong."""
    if mask is None:
        return np.zeros(len(frame), dtype=bool)
    return np.asarray(asked_cells(mask).to_numpy().any(axis=1))


class Donors(NamedTuple):
    """Donors of a file, the columns asked, and how more than a sample was drawn."""

    donors: pd.DataFrame
    asked: list[str]
    filled: FilledUp | None


def draw_pool(drawing: Drawing, parts: Iterable[Drawn]) -> Donors:
    """Return the donors of a file from those of its blocks.

    Raises
    ------
    ContractError
        Where there are no records, or a label is there twice.
    """
    pool: pd.DataFrame | None = None
    numbers = np.zeros(0)
    hashes: list[npt.NDArray[np.uint64]] = []
    asked: set[str] = set()
    for part in parts:
        hashes.append(part.hashes)
        asked |= part.asked
        both = part.donors if pool is None else pd.concat([pool, part.donors])
        numbers = np.concatenate([numbers, part.numbers])
        kept = drawing.least(both, numbers)
        pool, numbers = both[kept], numbers[kept]
    if pool is None:
        raise ContractError("The file has no records")
    every = np.concatenate(hashes)
    hashes.clear()  # of a large file they are the most that is kept
    every.sort()
    if (every[1:] == every[:-1]).any():
        raise ContractError("The labels of the records do not tell them apart")
    # In the order of what they drew: that of the file says nothing here.
    pool = pool.iloc[numbers.argsort()]
    more = len(pool) > drawing.rows
    filled = FilledUp(drawing.rows, drawing.by) if more else None
    return Donors(pool, [str(name) for name in pool.columns if name in asked], filled)
