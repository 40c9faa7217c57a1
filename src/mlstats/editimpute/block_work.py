"""What is done to a block of a file, wherever it is done: drawn from, then treated.

What was seen when donors were drawn tells which records treatment would leave as they
are. Only the others are made a table of pandas and treated; these are copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlstats.editimpute.block_files import FileBlock, Reading
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.pool import Pool
from mlstats.editimpute.pool_drawing import CellsOf, Drawing, Drawn
from mlstats.editimpute.processing import process
from mlstats.editimpute.treated_blocks import packed
from mlstats.errors import MlstatsError

__all__ = ["Asked", "DrawingFrom", "Seen", "Treating"]


@dataclass(frozen=True, eq=False)
class Asked:
    """What was asked for, but where the records lie.

    The attributes are as in :func:`~mlstats.editimpute.streaming.process_file`.
    """

    edits: EditSet | None
    imputer: Any
    mask: CellsOf | None
    structural: CellsOf | None
    weights: Mapping[str, float] | None
    limit: float | None
    seed: int
    period: str | None


@dataclass(frozen=True, eq=False)
class DrawingFrom:
    """The drawing of donors: where a block lies -> its number, and what was drawn."""

    drawing: Drawing

    def __call__(self, block: FileBlock) -> tuple[int, Drawn]:
        """Return the number of a block, and what was drawn from it."""
        return block.number, self.drawing(block)


@dataclass
class Seen:
    """What was seen of the records of blocks when donors were drawn.

    Attributes
    ----------
    able : dict of int to bytes
        Number of a block -> which of its records treatment leaves as they are, a bit
        for each.
    statuses : list of DataFrame
        status, records: of each block, where there are edits.
    """

    able: dict[int, bytes] = field(default_factory=dict)
    statuses: list[pd.DataFrame] = field(default_factory=list)

    def kept(self, found: Iterable[tuple[int, Drawn]]) -> Iterator[Drawn]:
        """Yield what was drawn, and keep what was seen."""
        for number, drawn in found:
            self.able[number] = drawn.able
            if drawn.statuses is not None:
                self.statuses.append(drawn.statuses)
            yield drawn


@dataclass(frozen=True, eq=False)
class Treating:
    """How blocks are treated.

    Attributes
    ----------
    reading : Reading
        How a block is read.
    asked : Asked
        What is to be done.
    pool : Pool
        The donors, and the imputer fitted on them.
    """

    reading: Reading
    asked: Asked
    pool: Pool

    def __call__(self, given: tuple[FileBlock, bytes]) -> tuple[int, bytes]:
        """Return the number of a block, and its tables as bytes.

        Parameters
        ----------
        given : (FileBlock, bytes)
            Where it lies, and which of its records treatment leaves as they are.
        """
        import pyarrow as pa

        block, able = given
        asked, records = self.asked, self.reading.records(block)
        bits = np.unpackbits(np.frombuffer(able, np.uint8), count=block.rows)
        rows = np.flatnonzero(bits == 0)
        frame = self.reading.labelled(records, block, rows)
        found = process(
            frame,
            asked.edits,
            asked.imputer,
            mask=asked.mask and asked.mask(frame),
            structural=asked.structural and asked.structural(frame),
            weights=asked.weights,
            limit=asked.limit,
            seed=asked.seed,
            period=asked.period,
            donors=self.pool,
        )
        try:
            values = self.reading.table(records, rows, found.values)
        except pa.ArrowInvalid:
            # Its message quotes the value, so it is not passed on.
            raise MlstatsError("A treated block does not fit the columns") from None
        return block.number, packed(found, values, block.start + rows)
