"""Values of pixels as ranks among the thresholds of trees, by look-up.

There are as many tables as there are types of pixels: an 8- or 16-bit integer is
looked up itself, of a float32 its upper 16 bits, and what they leave open is searched.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlstats.imagery.tree_kernels import float_ranks, integer_ranks
from mlstats.imagery.tree_tables import TreeTables

__all__ = ["PixelRanks"]


class PixelRanks:
    """Ranks of the features of pixels of one type.

    Parameters
    ----------
    tables : TreeTables
        The thresholds.
    dtype : dtype
        uint8, uint16, int16 or float32.
    """

    def __init__(self, tables: TreeTables, dtype: np.dtype[Any]) -> None:
        self.features = tables.features
        self.thresholds = tables.thresholds
        self.firsts = tables.firsts
        self.floats = dtype.kind == "f"
        if self.floats:
            self.low = 0
            lowest = _least_of_upper_halves()
            self.tables = [np.searchsorted(found, lowest) for found in self.thresholds]
        else:
            limits = np.iinfo(dtype)
            self.low = int(limits.min)
            every = np.arange(limits.min, limits.max + 1, dtype=np.float64)
            self.tables = [
                (first + np.searchsorted(found, every)).astype(np.int32)
                for first, found in zip(self.firsts, self.thresholds, strict=False)
            ]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return ranks, shape (n, features in threes), of values (features, n).

        The rank of a NaN is not defined.
        """
        n_used = len(self.features)
        n_columns = max(3, -(-n_used // 3) * 3)
        ranks = np.full((values.shape[1], n_columns), self.firsts[-1], np.int32)
        for number, feature in enumerate(self.features):
            row, table = values[feature], self.tables[number]
            if self.floats:
                keys, first = row.view(np.uint32), int(self.firsts[number])
                thresholds = self.thresholds[number]
                float_ranks(row, keys, thresholds, table, first, ranks[:, number])
            else:
                integer_ranks(row, table, self.low, ranks[:, number])
        return ranks


def _least_of_upper_halves() -> np.ndarray:
    """Return the least float32 of each upper half, in the order of the numbers."""
    upper = np.arange(1 << 16, dtype=np.uint32)
    negative = upper < 1 << 15
    bits = np.where(
        negative, ((0xFFFF - upper) << 16) | 0xFFFF, (upper - (1 << 15)) << 16
    )
    with np.errstate(invalid="ignore"):  # the bits of some NaN
        least = bits.astype(np.uint32).view(np.float32).astype(np.float64)
    nothing = np.where(negative, -np.inf, np.inf)
    return np.append(np.where(np.isnan(least), nothing, least), np.inf)
