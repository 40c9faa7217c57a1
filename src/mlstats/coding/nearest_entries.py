"""What the methods share that give a text the codes of its nearest entries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.coding.dictionary import DictionaryMatch, Floats, Ints, Objects, Strings

__all__ = ["NearestEntries", "blocks_of_work", "rank_codes"]

_BLOCK_WORK = 1 << 22  # pairs of text and entry per block: bounds the memory


class NearestEntries(DictionaryMatch):
    """A match whose answers all derive from the best entry of each of the best codes.

    Outcomes: ``unique`` (only one code is near), ``multiple`` (several), ``failed``
    (none).
    """

    @abstractmethod
    def _nearest(self, normalised: pd.Series, k: int) -> tuple[Ints, Floats]:
        """Return the best entry of each of the k best codes, -1, and confidences."""

    def _phrase(self, normalised: pd.Series) -> pd.Series:
        return normalised

    def _prepare(self, entries: pd.DataFrame) -> None:
        codes = entries["code"].to_numpy(dtype=object)
        self._code_of = np.searchsorted(self.classes_, codes)
        self._frequency = entries["frequency"].to_numpy(dtype=float)
        of_code = np.bincount(self._code_of, self._frequency)
        self._code_rank = np.empty(len(of_code), dtype=np.int64)
        by_rows = np.lexsort((np.arange(len(of_code)), -of_code))
        self._code_rank[by_rows] = np.arange(len(of_code))

    def _candidates(self, normalised: pd.Series, k: int) -> tuple[Objects, Floats]:
        entries, scores = self._nearest(normalised, k)
        codes = np.full(entries.shape, None, dtype=object)
        codes[entries >= 0] = self.classes_[self._code_of[entries[entries >= 0]]]
        return codes, scores

    def _evidence(self, normalised: pd.Series, k: int) -> tuple[Ints, Floats]:
        return self._nearest(normalised, k)

    def _outcomes(self, normalised: pd.Series) -> Strings:
        entries, _ = self._nearest(normalised, 2)
        count = (entries >= 0).sum(axis=1)
        named: Strings = np.array(["failed", "unique", "multiple"])[count]
        return named

    def _measure(self, strength: float) -> str:
        return f"confidence {strength:.2f}"


def blocks_of_work(work: Floats) -> Iterator[slice]:
    """Cut texts into runs that need about the same work.

    Parameters
    ----------
    work : ndarray of float, shape (n,)
        Pairs of text and entry that each text makes.

    Examples
    --------
    >>> [(s.start, s.stop) for s in blocks_of_work(np.array([1.0, 2.0**22, 1.0]))]
    [(0, 1), (1, 3)]
    """
    block = np.cumsum(work + 1) // _BLOCK_WORK
    block += np.arange(len(work)) // 2048  # row numbers of a block need 11 bits
    cuts = np.flatnonzero(np.diff(block, prepend=-1, append=-1))
    for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
        yield slice(int(start), int(stop))


def rank_codes(
    pairs: sparse.coo_array, codes: Ints, code_rank: Ints, k: int
) -> tuple[Ints, Floats]:
    """Add what the entries of a code say for a text, and rank the codes.

    Parameters
    ----------
    pairs : coo_array, shape (n, m)
        What each entry says for each text, above 0, in any order.
    codes : ndarray of int, shape (m,)
        Number of the code of each entry; entries stand in order of preference.
    code_rank : ndarray of int
        Order of preference of the codes, where sums are equal.
    k : int
        Number of codes.

    Returns
    -------
    entries : ndarray of int, shape (n, k)
        The entry that says most for the code, -1 where there is no other code.
    sums : ndarray of float, shape (n, k)
        0 where there is no other code.
    """
    text, entry, said = pairs.row.astype(np.int64), pairs.col, pairs.data
    order = np.lexsort((entry, -said, codes[entry], text))
    text, entry, said = text[order], entry[order], said[order]
    group = text * len(code_rank) + codes[entry]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    sums = np.add.reduceat(said, first) if len(first) else said
    text, entry = text[first], entry[first]
    order = np.lexsort((code_rank[codes[entry]], -sums, text))
    text, entry, sums = text[order], entry[order], sums[order]
    starts = np.searchsorted(text, np.arange(pairs.shape[0] + 1))
    place = np.arange(len(text)) - starts[text]
    kept = place < k
    entries = np.full((pairs.shape[0], k), -1, dtype=np.int64)
    ranked = np.zeros((pairs.shape[0], k))
    entries[text[kept], place[kept]] = entry[kept]
    ranked[text[kept], place[kept]] = sums[kept]
    return entries, ranked
