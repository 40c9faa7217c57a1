"""Mergeable summaries: a partitioned file gives the same scorecard as a whole one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.method import as_codes

__all__ = ["UNCODED", "ClassSums", "Confusion"]

UNCODED = "(uncoded)"
_KEYS = ["method", "level", "stratum", "cluster", "seen", "truth", "prediction"]

Ancestor = Callable[[np.ndarray, str], np.ndarray]


@dataclass(frozen=True)
class ClassSums:
    """Weighted sums of one method at one level, a row per cluster.

    Parameters
    ----------
    weight, correct, coded : numpy.ndarray, shape (clusters,)
        Weight of all units, of the rightly coded and of the coded ones.
    hits, predicted, true : scipy.sparse.csr_array, shape (clusters, classes)
        Weight of the units of a class that were rightly coded, of those predicted
        into it and of those that belong to it.
    n : int
        Number of units.
    """

    weight: np.ndarray
    correct: np.ndarray
    coded: np.ndarray
    hits: sparse.csr_array
    predicted: sparse.csr_array
    true: sparse.csr_array
    n: int


@dataclass(frozen=True)
class Confusion:
    """Counts and weights by method, level, cluster, truth and prediction.

    Every figure of the scorecard's accuracy part is a function of this table, and two
    tables of disjoint units merge by addition.

    Parameters
    ----------
    cells : pandas.DataFrame
        Columns method, level, stratum, cluster, seen, truth, prediction, n, weight
        and position, the first place of the units in the data.
    """

    cells: pd.DataFrame

    READ: ClassVar = (
        "method", "stratum", "cluster", "seen", "weight", "position", "truth",
        "prediction",
    )  # fmt: skip

    @classmethod
    def from_units(
        cls, units: pd.DataFrame, ancestor: Ancestor, levels: Sequence[str]
    ) -> Confusion:
        """Count units of an Evaluation at each level of the classification.

        Parameters
        ----------
        units : pandas.DataFrame
            Rows of one fold of :data:`mlstats.quality.evaluation.UNITS`; only the
            columns :attr:`READ` are read.
        ancestor : callable
            ``ancestor(codes, level)``; None where a code does not reach the level.
        levels : sequence of str
            Units whose truth does not reach a level are left out of it; a prediction
            that does not reach it is wrong.
        """
        truths = as_codes(units["truth"])
        predictions = as_codes(units["prediction"])
        # As arrays of their own type: plain Python strings take several times the room.
        same = {name: units[name].array for name in cls.READ[:6]}
        tables = []
        for level in levels:
            truth = ancestor(truths, level)
            reached = np.array([value is not None for value in truth], dtype=bool)
            coded = _named(predictions[reached], ancestor(predictions, level)[reached])
            table = {name: values[reached] for name, values in same.items()} | {
                "level": level,
                "truth": truth[reached],
                "prediction": coded,
                "n": 1,
            }
            tables.append(_added([pd.DataFrame(table)]))
        return cls(_added(tables))

    def merge(self, other: Confusion) -> Confusion:
        """Return the summary of both sets of units."""
        return Confusion(_added([self.cells, other.cells]))

    def frame_of(self, level: str) -> pd.DataFrame:
        """Return the clusters of a level, columns stratum and cluster.

        They stand in the order of the data, so that a seeded bootstrap gives the same
        in every project although each hashes its clusters under a key of its own.
        """
        at = self.cells[self.cells["level"] == level]
        ordered = at.sort_values(["stratum", "position"])[["stratum", "cluster"]]
        return ordered.drop_duplicates(ignore_index=True)

    def sums(self, method: str, level: str, *, seen: bool | None = None) -> ClassSums:
        """Return the sums of a method at a level, rows as in :meth:`frame_of`.

        Parameters
        ----------
        method, level : str
            One of each.
        seen : bool, optional
            Only units whose text was (not) known from training; the other clusters
            keep their rows, with zeros, as the variance of a domain demands.
        """
        frame = self.frame_of(level)
        cells = self.cells
        cells = cells[(cells["method"] == method) & (cells["level"] == level)]
        if seen is not None:
            cells = cells[cells["seen"] == seen]
        index = pd.MultiIndex.from_frame(frame)
        row = index.get_indexer(pd.MultiIndex.from_frame(cells[["stratum", "cluster"]]))
        truth, prediction = as_codes(cells["truth"]), as_codes(cells["prediction"])
        classes = np.unique(np.concatenate([truth, prediction[prediction != UNCODED]]))
        weight = cells["weight"].to_numpy()
        right = truth == prediction
        coded = prediction != UNCODED

        def per_cluster(kept: np.ndarray) -> np.ndarray:
            return np.bincount(row[kept], weight[kept], minlength=len(frame))

        def per_class(values: np.ndarray, kept: np.ndarray) -> sparse.csr_array:
            column = np.searchsorted(classes, values[kept])
            return sparse.csr_array(
                (weight[kept], (row[kept], column)), shape=(len(frame), len(classes))
            )

        everything = np.ones(len(cells), dtype=bool)
        return ClassSums(
            weight=per_cluster(everything),
            correct=per_cluster(right),
            coded=per_cluster(coded),
            hits=per_class(truth, right),
            predicted=per_class(prediction, coded),
            true=per_class(truth, everything),
            n=int(cells["n"].sum()),
        )


def _named(codes: np.ndarray, ancestors: np.ndarray) -> np.ndarray:
    """Name what has no ancestor: uncoded, or coded too short for the level."""
    named = np.asarray(ancestors, dtype=object).copy()
    for position in np.flatnonzero([value is None for value in named]):
        code = codes[position]
        named[position] = UNCODED if code is None else f"(above the level) {code}"
    return named


def _added(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    together = pd.concat(tables, ignore_index=True)
    added = {"n": "sum", "weight": "sum", "position": "min"}
    return together.groupby(_KEYS, as_index=False, sort=True, observed=True).agg(added)
