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
from mlstats.editimpute.processing import absent_cells, columns_asked
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
    able : bytes
        A bit for each record (of :func:`numpy.packbits`): whether it passes, lacks
        nothing and has no cell in the mask. Treatment changes nothing in it.
    statuses : DataFrame or None
        status, records: of all records before treatment; None without edits.
    """

    donors: pd.DataFrame
    numbers: npt.NDArray[np.float64]
    hashes: npt.NDArray[np.uint64]
    asked: frozenset[str]
    able: bytes
    statuses: pd.DataFrame | None


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
        found = None if self.edits is None else review(frame, self.edits)
        absent = absent_cells(frame, structural)
        able = self._lacks_nothing(absent) & ~_selected(frame, mask)
        if found is not None:
            able &= found.by_record == PASS
        draws = UnitDraws.of(frame.index, self.seed)
        places = np.flatnonzero(able)
        numbers = draws.numbers("donors")[places]
        kept = self.least(frame[list(self.by)].iloc[places], numbers)
        return Drawn(
            # A record that passes has no text in a number, even where its block has.
            frame.iloc[places[kept]].astype(dict.fromkeys(self.reading.numeric, float)),
            numbers[kept],
            draws.keys,
            frozenset(columns_asked(absent, self.edits, mask)),
            np.packbits(able).tobytes(),
            None if found is None else found.record_statistics(),
        )

    def least(
        self, classes: pd.DataFrame, numbers: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        """Tell which have the smallest numbers, overall or in their class.

        Parameters
        ----------
        classes : DataFrame, shape (n, columns that make the classes)
            Of the donors.
        numbers : ndarray of float, shape (n,)
            That they have drawn.
        """
        if len(numbers) <= self.rows:
            return np.ones(len(numbers), dtype=bool)
        kept = np.zeros(len(numbers), dtype=bool)
        kept[np.argpartition(numbers, self.rows)[: self.rows]] = True
        if self.by:
            number = classes.groupby(list(self.by), dropna=False, sort=False).ngroup()
            ranks = pd.Series(numbers).groupby(number.to_numpy()).rank()
            kept |= ranks.to_numpy() <= self.class_rows
        return kept

    def _lacks_nothing(self, absent: pd.DataFrame) -> npt.NDArray[np.bool_]:
        if self.edits is not None:
            allowed = list(self.edits.missing_allowed)
            absent = absent.drop(columns=allowed, errors="ignore")
        return np.asarray(~absent.to_numpy().any(axis=1))


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
    by = list(drawing.by)
    numbers = np.zeros(0)
    hashes: list[npt.NDArray[np.uint64]] = []
    asked: set[str] = set()
    for part in parts:
        hashes.append(part.hashes)
        asked |= part.asked
        held = part.donors.iloc[:0] if pool is None else pool
        numbers = np.concatenate([numbers, part.numbers])
        classes = pd.concat([held[by], part.donors[by]])
        kept = drawing.least(classes, numbers)
        n = len(held)
        pool = pd.concat([held[kept[:n]], part.donors[kept[n:]]])
        numbers = numbers[kept]
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
