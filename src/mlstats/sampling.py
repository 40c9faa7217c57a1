"""A sample of whole clusters from a table that may be too large to be read whole.

The draw hangs on the clusters, their order and the seed alone: the same rows are drawn
from a table however it is partitioned, and from a file that is read whole. The labels
of the clusters are read first, a partition at a time, and then the rows that were
drawn; what is held throughout is a count for each cluster, or eight bytes a row where
every row is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.partitions import PartitionedTable
from mlstats.scale import progress
from mlstats.table import Table

__all__ = ["Part", "drawn", "drawn_clusters", "parts_of"]


@dataclass(frozen=True)
class Part:
    """Rows that are read together, among those of all tables of a source.

    Parameters
    ----------
    table : int
        Which of the tables they belong to, from 0.
    start : int
        Number of the first row in all tables together, from 0.
    rows : int
        How many they are.
    columns : tuple of str
        What the table has.
    read : callable
        Takes the columns to read, None for all, and returns the rows.
    """

    table: int
    start: int
    rows: int
    columns: tuple[str, ...]
    read: Callable[[Sequence[str] | None], pd.DataFrame]


def parts_of(
    tables: Sequence[Table | PartitionedTable], text_columns: Collection[str]
) -> list[Part]:
    """Return the parts of tables that follow each other.

    Parameters
    ----------
    tables : sequence of Table or PartitionedTable
        Read, or opened.
    text_columns : collection of str
        As in :meth:`mlstats.partitions.Partition.read`.
    """
    parts: list[Part] = []
    start = 0
    for number, table in enumerate(tables):
        for rows, columns, read in _readers(table, text_columns):
            parts.append(Part(number, start, rows, columns, read))
            start += rows
    return parts


def drawn(
    parts: Sequence[Part],
    labels: Callable[[Part], pd.Series] | None,
    *,
    seed: int,
    size: int,
) -> list[npt.NDArray[np.intp]]:
    """Draw whole clusters until they hold `size` rows.

    Parameters
    ----------
    parts : sequence of Part
        All rows.
    labels : callable or None
        Returns the cluster of each row of a part, by a label that is the same in
        every part; None where every row is a cluster of its own.
    seed : int
        Of the draw.
    size : int
        Less than all rows.

    Returns
    -------
    list of numpy.ndarray
        For each part the places of the rows drawn, from 0, in order.
    """
    if labels is None:
        rows = sum(part.rows for part in parts)
        taken = np.sort(np.random.default_rng(seed).permutation(rows)[:size])
        edges = np.searchsorted(taken, [part.start for part in parts[1:]])
        pieces = np.split(taken, edges)
        return [piece - part.start for piece, part in zip(pieces, parts, strict=True)]
    told = progress(parts, len(parts), "Clusters read by partition")
    kept = drawn_clusters(_counted(map(labels, told)), seed=seed, size=size)
    again = progress(parts, len(parts), "Clusters found by partition")
    return [np.flatnonzero(labels(part).isin(kept)) for part in again]


def drawn_clusters(counts: pd.Series, *, seed: int, size: int) -> pd.Index:
    """Return clusters drawn at random, so many that they hold `size` rows.

    Parameters
    ----------
    counts : pandas.Series of int
        Rows of each cluster, in the order in which the clusters first appear.
    seed, size : int
        As in :func:`drawn`.
    """
    order = np.random.default_rng(seed).permutation(len(counts))
    filled = counts.to_numpy()[order].cumsum()
    return counts.index[order[: int(np.searchsorted(filled, size)) + 1]]


def _counted(labels: Iterable[pd.Series]) -> pd.Series:
    counts: dict[str, int] = {}
    for some in labels:
        for label, rows in some.value_counts(sort=False).items():
            counts[str(label)] = counts.get(str(label), 0) + rows
    return pd.Series(counts, dtype="int64")


_Reader = tuple[int, tuple[str, ...], Callable[[Sequence[str] | None], pd.DataFrame]]


def _readers(
    table: Table | PartitionedTable, text_columns: Collection[str]
) -> Iterable[_Reader]:
    if isinstance(table, PartitionedTable):
        for one in table.partitions:
            read = partial(one.read, text_columns=frozenset(text_columns))
            yield one.rows, table.columns, read
        return
    frame = table.frame
    names = tuple(map(str, frame.columns))
    yield (
        len(frame),
        names,
        lambda columns: frame if columns is None else frame[list(columns)],
    )
