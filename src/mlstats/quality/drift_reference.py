"""What the columns of a table are counted into before they are tested for drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mlstats.errors import MlstatsError, nearest
from mlstats.quality.quantile_sketch import ranks_of

__all__ = [
    "Kind",
    "Reference",
    "bins_of",
    "cluster_numbers",
    "code_positions",
    "column_kinds",
    "read_numbers",
]

Kind = Literal["number", "code"]

_DECILES: Final = np.linspace(0.1, 0.9, 9)
_TAIL: Final = 0.01


@dataclass(frozen=True, eq=False)
class Reference:
    """What the columns are counted into: the bins of numbers and the kinds.

    It is fixed once, from the period that a model was trained on or approved with,
    and every period is counted with it: only summaries with one Reference can be
    compared. The codes of a column are not fixed: a code that only one period has is
    evidence, and where the list came from one of two samples, the other would show
    codes outside it by chance alone.

    Parameters
    ----------
    edges : mapping of str to numpy.ndarray
        For each column of numbers, rising upper edges of its bins (inclusive); one
        more bin lies above the last.
    marks : mapping of str to numpy.ndarray of int
        Positions among the edges of the 1st percentile (just below it), the deciles
        and the 99th percentile: the coarse cells in which design effects are found.
    codes : tuple of str
        The columns of codes.
    max_codes : int
        A column with more distinct codes is not a column of codes and is not tested.
    """

    edges: Mapping[str, np.ndarray] = field(repr=False)
    marks: Mapping[str, np.ndarray] = field(repr=False)
    codes: tuple[str, ...]
    max_codes: int = 10_000

    @classmethod
    def learn(
        cls,
        frame: pd.DataFrame,
        *,
        kinds: Mapping[str, Kind] | None = None,
        bins: int = 2000,
        max_codes: int = 10_000,
    ) -> Reference:
        """Fix bins and kinds from the frame of a reference period.

        Bins need not hold equal numbers for a test to be right. Of a file in parts
        :class:`mlstats.quality.drift_learning.Learning` makes them of all parts.

        Parameters
        ----------
        frame : pandas.DataFrame
            The columns to be watched and no others.
        kinds : mapping of str to {"number", "code"}, optional
            How a column is read; by default numeric columns are numbers.
        bins : int
            Of a column of numbers. A value that makes up more than one bin gets a
            bin of its own.
        max_codes : int
            See the class.

        Raises
        ------
        MlstatsError
            Where `kinds` names a column that is not there.
        """
        told = column_kinds(frame, kinds)
        edges, marks = {}, {}
        for name, kind in told.items():
            if kind == "number":
                edges[name], marks[name] = _bins(read_numbers(frame[name]), bins)
        codes = tuple(name for name, kind in told.items() if kind == "code")
        return cls(edges, marks, codes, max_codes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are watched, numbers first."""
        return (*self.edges, *self.codes)

    def coarse(self, name: str) -> np.ndarray:
        """Return the coarse cell of each bin of a column of numbers."""
        bins = np.arange(len(self.edges[name]) + 1)
        return np.asarray(np.searchsorted(self.marks[name], bins, side="left"))

    def same_as(self, other: Reference) -> bool:
        """Return whether summaries with the two may be compared."""
        return self is other or (
            self.codes == other.codes
            and self.edges.keys() == other.edges.keys()
            and all(np.array_equal(e, other.edges[n]) for n, e in self.edges.items())
        )


def column_kinds(
    frame: pd.DataFrame, kinds: Mapping[str, Kind] | None = None
) -> dict[str, Kind]:
    """Return how each column is read: as told, else numeric columns are numbers.

    Raises
    ------
    MlstatsError
        Where `kinds` names a column that is not there.
    """
    for name in kinds or {}:
        if name not in frame:
            raise MlstatsError(
                f"There is no column {name!r} to watch for drift",
                where="quality.drift_reference",
                nearest=nearest(name, map(str, frame.columns)),
            )
    return {str(c): _kind(frame[c], (kinds or {}).get(c)) for c in frame.columns}


def _kind(values: pd.Series, told: Kind | None) -> Kind:
    if told is not None:
        return told
    number = is_numeric_dtype(values) and not is_bool_dtype(values)
    return "number" if number else "code"


def read_numbers(values: pd.Series) -> np.ndarray:
    """Return a column as floats, NaN where it holds no number."""
    # What cannot be read as a number is missing; the conversion's own message would
    # quote the value.
    numbers = pd.to_numeric(values, errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan))


def code_positions(
    values: pd.Series, max_codes: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the position of each value among the codes, and the sorted codes.

    Codes are words without white space around them; -1 stands for a missing or blank
    one. None where there are more than `max_codes`.
    """
    position, found = pd.factorize(values)
    words = [str(word).strip() for word in found]
    if len(set(words) - {""}) > max_codes:
        return None
    labels, rank = np.unique(np.array(words, dtype=str), return_inverse=True)
    if len(labels) and labels[0] == "":
        labels, rank = labels[1:], rank - 1
    place = np.append(rank, -1)[position]
    return np.asarray(place), np.asarray(labels)


def cluster_numbers(clusters: pd.Series) -> np.ndarray:
    """Return the number of the cluster of each row; a row without one is its own."""
    number, known = pd.factorize(clusters)
    alone = number < 0
    number[alone] = len(known) + np.arange(alone.sum())
    return np.asarray(number)


def _bins(numbers: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges between quantiles, and the positions of the coarse marks."""
    finite = np.sort(numbers[np.isfinite(numbers)])
    n = len(finite)

    def quantile(shares: np.ndarray) -> np.ndarray:
        return np.asarray(finite[ranks_of(shares, n) - 1])

    return bins_of(quantile, bins) if n else (np.empty(0), np.empty(0, dtype=int))


def bins_of(
    quantile: Callable[[np.ndarray], np.ndarray], bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges between quantiles, and the positions of the coarse marks.

    Parameters
    ----------
    quantile : callable
        Of shares from 0 to 1; there is at least one number.
    bins : int
        Of about equal numbers.
    """
    ranked = quantile(np.linspace(0, 1, bins + 1))
    values, times = np.unique(ranked, return_counts=True)
    # Just below the least value and below each value that fills a bin: these values
    # are then told from smaller ones.
    atoms = values[(times > 1) | (values == values[0])]
    edges = np.union1d(values, np.nextafter(atoms, -np.inf))
    low, high = quantile(np.array([_TAIL, 1 - _TAIL]))
    marks = [
        np.searchsorted(edges, low, side="left") - 1,
        *np.searchsorted(edges, quantile(_DECILES), side="left"),
        np.searchsorted(edges, high, side="left"),
    ]
    return edges, np.unique(np.maximum(marks, 0))
