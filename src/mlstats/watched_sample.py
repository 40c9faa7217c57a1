"""A random sample of the watched columns that a release keeps, to draw them by.

Drawn are the rows whose unit has the smallest keyed hash: a simple random sample of
units that neither the parting nor the order of the rows changes. The key is the same
for all periods, so that two of them show the same units where they hold the same.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from mlstats.release_tables import read_file, table_files
from mlstats.scale import map_blocks, progress
from mlstats.watched import UNIT

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["WatchedSample", "sample_key", "watched_sample"]

# Not the names of columns: no column of a contract has brackets around it.
_RANK: Final = ("(rank)", "(row)")


@dataclass(frozen=True, eq=False)
class WatchedSample:
    """Rows that were drawn.

    Parameters
    ----------
    frame : pandas.DataFrame
        Watched columns, in the order of the draw. Confidential: it names units.
    rows : int
        Of which they were drawn.
    """

    frame: pd.DataFrame
    rows: int


def sample_key(secret: bytes, seed: int) -> str:
    """Return the key of the draw: who does not know the secret cannot tell the rows."""
    told = hmac.digest(secret, f"sample of watched columns {seed}".encode(), "sha256")
    return told[:8].hex()  # pandas' keyed hash takes sixteen letters


def watched_sample(
    path: Path, *, size: int, key: str, workers: int = 1
) -> WatchedSample | None:
    """Draw rows of a table of watched columns, in one file or in parts.

    Parameters
    ----------
    path : pathlib.Path
        Of the table in one file.
    size : int
        Rows to draw; all where there are no more.
    key : str
        From :func:`sample_key`.
    workers : int
        Processes, each with one part in memory.

    Returns
    -------
    WatchedSample or None
        None where the release keeps no such table.

    Raises
    ------
    SourceError
        Where a file is damaged.
    """
    files = table_files(path)
    if not files:
        return None
    done = map_blocks(_Draw(size, key), files, workers=workers)
    table, rows = _smallest(progress(done, len(files), "Drawing a sample"), size)
    return WatchedSample(table.drop_columns(list(_RANK)).to_pandas(), rows)


@dataclass(frozen=True, eq=False)
class _Draw:
    """The work on one file: its rows that may be drawn, and how many it has."""

    size: int
    key: str

    def __call__(self, path: Path) -> tuple[pa.Table, int]:
        import pyarrow as pa

        units = read_file(path, [UNIT]).column(UNIT).to_pandas()
        rank = self._hashed(units)
        rows = np.arange(len(rank))
        if len(rank) > self.size:
            # Rows of the same unit are told apart below.
            last = np.partition(rank, self.size - 1)[self.size - 1]
            rows = np.flatnonzero(rank <= last)
        drawn = read_file(path).take(pa.array(rows))
        content = pd.util.hash_pandas_object(
            drawn.to_pandas(), index=False, hash_key=self.key
        )
        ranks = (rank[rows], content.to_numpy())
        for name, values in zip(_RANK, ranks, strict=True):
            drawn = drawn.append_column(name, pa.array(values, pa.uint64()))
        return _first(drawn, self.size), len(rank)

    def _hashed(self, units: pd.Series) -> np.ndarray:
        texts = units.astype(object).fillna("\0").astype("str").to_numpy(dtype=object)
        return pd.util.hash_array(texts, hash_key=self.key, categorize=False)


def _smallest(parts: Iterable[tuple[pa.Table, int]], size: int) -> tuple[pa.Table, int]:
    together: list[pa.Table] = []
    rows = 0
    for table, n in parts:
        together.append(table)
        rows += n
        if sum(one.num_rows for one in together) > 4 * size:
            together = [_first(_joined(together), size)]
    return _first(_joined(together), size), rows


def _joined(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    # A part may know fewer codes than another, or none.
    return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()


def _first(table: pa.Table, size: int) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in _RANK]).slice(0, size)
