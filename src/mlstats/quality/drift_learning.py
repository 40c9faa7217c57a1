"""The bins of a reference period that comes in parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError
from mlstats.quality.drift_reference import (
    Kind,
    Reference,
    bins_of,
    column_kinds,
    read_numbers,
)
from mlstats.quality.quantile_sketch import QuantileSketch

__all__ = ["Learning"]


@dataclass(frozen=True, eq=False)
class Learning:
    """What :class:`Reference` has to know of each column, in bounded memory.

    Parameters
    ----------
    columns : mapping of str to QuantileSketch or None
        In the order of the data; None for a column of codes, of which nothing is fixed.
    """

    columns: Mapping[str, QuantileSketch | None]

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        *,
        kinds: Mapping[str, Kind] | None = None,
        size: int = 8192,
    ) -> Learning:
        """Take the numbers of a part; rows need not stand together in any way.

        Parameters
        ----------
        frame : pandas.DataFrame
            The columns to be watched and no others.
        kinds : mapping of str to {"number", "code"}, optional
            As of :meth:`Reference.learn`.
        size : int
            Of :class:`QuantileSketch`: some ``8 * size * log2(rows / size)`` bytes a
            column.

        Raises
        ------
        MlstatsError
            Where `kinds` names a column that is not there.
        """
        return cls(
            {
                name: QuantileSketch.of(read_numbers(frame[name]), size=size)
                if kind == "number"
                else None
                for name, kind in column_kinds(frame, kinds).items()
            }
        )

    @property
    def rank_error(self) -> float:
        """By what share of the rows a bin may begin too early or too late at most."""
        return max((s.rank_error for s in self.columns.values() if s), default=0.0)

    def merge(self, other: Learning) -> Learning:
        """Return what both parts tell.

        Raises
        ------
        MlstatsError
            Where a column is in one of them only, or holds numbers in one only.
        """
        merged: dict[str, QuantileSketch | None] = {}
        for name, one in self.columns.items():
            two = other.columns.get(name)
            if name not in other.columns or (one is None) != (two is None):
                raise MlstatsError(
                    f"The column {name!r} is not the same in all parts",
                    where="quality.drift_learning",
                    expected="numbers, or codes, in every part",
                    hint="tell its kind: a column without a value has no type",
                )
            merged[name] = one.merge(two) if one and two else None
        return Learning(merged)

    @classmethod
    def of_parts(cls, parts: Iterable[Learning]) -> Learning:
        """Return what all parts tell, of which there is at least one."""
        return reduce(cls.merge, parts)

    def reference(self, *, bins: int = 2000, max_codes: int = 10_000) -> Reference:
        """Fix bins and kinds.

        Parameters
        ----------
        bins, max_codes : int
            As of :meth:`Reference.learn`, which gives the same where no column has
            more numbers than a sketch holds exactly.
        """
        edges, marks, codes = {}, {}, []
        for name, sketch in self.columns.items():
            if sketch is None:
                codes.append(name)
            elif sketch.n:
                edges[name], marks[name] = bins_of(sketch.quantile, bins)
            else:
                edges[name], marks[name] = np.empty(0), np.empty(0, dtype=int)
        return Reference(edges, marks, tuple(codes), max_codes)
