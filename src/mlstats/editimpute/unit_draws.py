"""Numbers drawn for units: the same wherever, whenever and beside whom a unit is.

A generator that is drawn from in the order of the records gives a unit another number
as soon as the file is parted or sorted in another way. Here a number is a function of
the unit's label, the seed and what it is drawn for: a keyed hash of the label, mixed
as in SplitMix64 (Steele, Lea and Flood 2014, Fast splittable pseudorandom number
generators, OOPSLA, figure 17).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["UnitDraws", "label_hashes"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def label_hashes(index: pd.Index) -> Words:
    """Return a hash of each label, of 64 bits; of a number that of its text."""
    labels = index.to_numpy(dtype=object)
    return np.asarray(pd.util.hash_array(labels, categorize=False), dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class UnitDraws:
    """Numbers drawn by unit.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n,)
        Hashes of the labels, see :func:`label_hashes`.
    seed : int
        Of all draws.

    Examples
    --------
    >>> some = UnitDraws.of(pd.Index(["a", "b", "c"]), seed=1).numbers("a tie")
    >>> other = UnitDraws.of(pd.Index(["c", "a"]), seed=1).numbers("a tie")
    >>> bool((other == some[[2, 0]]).all())
    True
    """

    keys: Words
    seed: int

    @classmethod
    def of(cls, index: pd.Index, seed: int) -> UnitDraws:
        """Return the draws of labelled records."""
        return cls(label_hashes(index), seed)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: npt.NDArray[np.intp]) -> UnitDraws:
        """Return the draws of some of the units."""
        return UnitDraws(self.keys[rows], self.seed)

    def numbers(self, purpose: str) -> Floats:
        """Return a number of each unit, uniform from 0 to below 1, shape (n,)."""
        return _as_numbers(_mixed(self._words(purpose)))

    def places(self, purpose: str, among: int) -> Ints:
        """Return a whole number below `among` for each unit, shape (n,)."""
        return (self.numbers(purpose) * among).astype(np.int64)

    def beside(self, purpose: str, others: npt.NDArray[np.integer]) -> Floats:
        """Return a number for each unit beside each of its others.

        Parameters
        ----------
        purpose : str
            What it is drawn for.
        others : ndarray of int, shape (n, k)
            A number that names each other, such as its place in the pool.

        Returns
        -------
        ndarray of float, shape (n, k)
        """
        steps = (others.astype(np.int64).astype(np.uint64) + np.uint64(1)) * _STEP
        return _as_numbers(_mixed(self._words(purpose)[:, None] + steps))

    def _words(self, purpose: str) -> Words:
        told = hashlib.blake2b(f"{self.seed}/{purpose}".encode(), digest_size=8)
        stream = np.frombuffer(told.digest(), dtype="<u8").astype(np.uint64)
        return _mixed(self.keys ^ stream)


def _mixed(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))


def _as_numbers(words: Words) -> Floats:
    return np.asarray((words >> np.uint64(11)) * 2.0**-53)
