"""The best codes by weighted overlap of words, for many texts at once.

The similarity of a text q and a dictionary entry d is the weighted Dice coefficient
of their word sets,

    s(q, d) = 2 * w(q and d) / (w(q) + w(d)),

w being the sum of the weights of the words. All overlaps of a block of texts are
one sparse product. It is spent on few words: those that a large part of the entries
have ("with", "other"). So the product is first made without them. A table of their
subsets then completes the overlap of the pairs found, and an entry that shares
nothing but left-out words F with q is at most as similar as

    2 * w(F) / (w(q) + w(F)).

Where the k-th best code found lies above that bound the answer is the same as that
of the whole product; the other texts are searched again with fewer words left out,
at last with none.

Weights are whole multiples of 2**-20, so that their sums are exact in any order, and
similarities are compared as whole multiples of 1e-7: answers do not depend on the
block, the machine or the number of words left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlstats.errors import MethodError

__all__ = ["SCALE", "WEIGHT_UNIT", "WordOverlap"]

SCALE = 10_000_000
"""Similarities are whole numbers from 0 to this."""

WEIGHT_UNIT = 2.0**-20
"""Word weights are whole multiples of this."""

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_LEFT_OUT = (16, 5, 2, 0)  # words left out of the product, from try to try
_FREQUENT = 64  # entries that a word must have for leaving it out to pay
_BLOCK_WORK = 1 << 18  # multiplications per block: its arrays stay in the cache
_BLOCK_ROWS = 1 << 14
# A pair of text and entry is one integer that sorts by text, then from the best
# similarity down, then by the entry's rank: 14 + 24 + 25 bits.
_SCORE_SHIFT = 25
_TEXT_SHIFT = _SCORE_SHIFT + 24


@dataclass(frozen=True, eq=False)
class WordOverlap:
    """Dictionary entries to search by weighted overlap of words.

    Parameters
    ----------
    words : csr_array, shape (m, v)
        1 where the entry has the word.
    codes : ndarray of int, shape (m,)
        Number of the code of each entry, ascending.
    ranks : ndarray of int, shape (m,)
        Order of preference, a permutation of 0 to m - 1: of entries that are equally
        similar the one with the lowest rank is best.
    weights : ndarray of float, shape (v,)
        Positive multiples of :data:`WEIGHT_UNIT`.

    Raises
    ------
    MethodError
        If there are more than 2**25 entries.
    """

    words: sparse.csr_array
    codes: _Ints
    ranks: _Ints
    weights: _Floats

    def __post_init__(self) -> None:
        if len(self.codes) > 1 << _SCORE_SHIFT:
            raise MethodError(
                f"The dictionary has {len(self.codes):,} entries",
                expected=f"at most {1 << _SCORE_SHIFT:,} distinct phrases with a code",
            )

    def best(
        self, words: sparse.csr_array, totals: _Floats, k: int
    ) -> tuple[_Ints, _Ints]:
        """Return the best entry of each of the `k` best codes.

        Parameters
        ----------
        words : csr_array, shape (n, v)
            1 where the text has the word.
        totals : ndarray of float, shape (n,)
            Sum of the weights of each text's words, also of those that no entry
            has; multiples of :data:`WEIGHT_UNIT`.
        k : int
            Number of codes.

        Returns
        -------
        entries : ndarray of int, shape (n, k)
            Best first, -1 where no other code shares a word with the text.
        scores : ndarray of int, shape (n, k)
            Similarities in units of ``1 / SCALE``, 0 where there is no entry.
        """
        entries = np.full((words.shape[0], k), -1, dtype=np.int64)
        scores = np.zeros((words.shape[0], k), dtype=np.int64)
        rows = np.arange(words.shape[0])
        for frequent in self._tries:
            certain = np.empty(len(rows), dtype=bool)
            open_words = words[rows]
            for part in self._blocks(open_words, frequent):
                block = rows[part]
                entries[block], scores[block], certain[part] = self._search(
                    open_words[part], totals[block], k, frequent
                )
            rows = rows[~certain]
        return entries, scores

    def _search(
        self, words: sparse.csr_array, totals: _Floats, k: int, frequent: _FrequentWords
    ) -> tuple[_Ints, _Ints, npt.NDArray[np.bool_]]:
        """Search one block; tell also for which texts the answer is certain."""
        subset = frequent.subset_of(words)
        pair, starts = self._best_of_each_code(words, totals, subset, frequent)
        place = starts[:-1, None] + np.arange(k)
        there = place < starts[1:, None]
        found = pair[place[there]] & ((1 << _TEXT_SHIFT) - 1)
        entries = np.full((len(totals), k), -1, dtype=np.int64)
        scores = np.zeros((len(totals), k), dtype=np.int64)
        entries[there] = self._entry_of_rank[found & ((1 << _SCORE_SHIFT) - 1)]
        scores[there] = SCALE - (found >> _SCORE_SHIFT)
        left_out = frequent.weight[subset]
        bound = _score(left_out, np.maximum(totals + left_out, WEIGHT_UNIT))
        return entries, scores, (left_out == 0) | (scores[:, -1] > bound)

    def _best_of_each_code(
        self,
        words: sparse.csr_array,
        totals: _Floats,
        subset: _Ints,
        frequent: _FrequentWords,
    ) -> tuple[_Ints, _Ints]:
        """Return the pairs of text and entry, sorted, and where each text's begin."""
        # With entries in rows, the pairs of a text come out ordered by code.
        product = (self._weighted_words @ frequent.without(words).T.tocsr()).tocsc()
        entry, common = product.indices, product.data
        pairs = np.diff(product.indptr)
        if len(frequent.weight) > 1:
            shared = np.repeat(subset, pairs) & frequent.of_entry[entry]
            common = common + frequent.weight[shared]
        score = _score(common, np.repeat(totals, pairs) + self._totals[entry])
        best = (score << _SCORE_SHIFT) - self.ranks[entry]
        first, starts = _runs(self.codes[entry], product.indptr)
        best = np.maximum.reduceat(best, first) if len(first) else best
        text = np.repeat(np.arange(len(totals)), np.diff(starts))
        pair = (text << _TEXT_SHIFT) + (SCALE << _SCORE_SHIFT) - best
        pair.sort()
        return pair, starts

    def _blocks(
        self, words: sparse.csr_array, frequent: _FrequentWords
    ) -> Iterator[slice]:
        """Cut the texts into runs that need about the same work."""
        used = np.where(frequent.is_left_out, 0, self._entries_of_word)
        work = np.cumsum(words @ used + 1)
        block = work // _BLOCK_WORK + np.arange(len(work)) // _BLOCK_ROWS
        cuts = np.flatnonzero(np.diff(block, prepend=-1, append=-1))
        for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
            yield slice(start, stop)

    @cached_property
    def _weighted_words(self) -> sparse.csr_array:
        return self.words.multiply(self.weights).tocsr()

    @cached_property
    def _entry_of_rank(self) -> _Ints:
        return np.argsort(self.ranks)

    @cached_property
    def _totals(self) -> _Floats:
        return np.asarray(self.words @ self.weights)

    @cached_property
    def _entries_of_word(self) -> _Floats:
        return np.asarray(self.words.sum(axis=0))

    @cached_property
    def _tries(self) -> list[_FrequentWords]:
        by_frequency = np.argsort(-self._entries_of_word, kind="stable")
        pays = by_frequency[self._entries_of_word[by_frequency] >= _FREQUENT]
        sizes = dict.fromkeys(min(size, len(pays)) for size in _LEFT_OUT)
        return [_FrequentWords.of(self, pays[:size]) for size in sizes]


@dataclass(frozen=True, eq=False)
class _FrequentWords:
    """Words left out of the product; a subset of them is an integer, a bit a word.

    Attributes
    ----------
    is_left_out : ndarray of bool, shape (v,)
    bit : ndarray of float, shape (v,)
        2**i for the i-th word left out, else 0.
    of_entry : ndarray of int, shape (m,)
        The subset that each entry has.
    weight : ndarray of float, shape (2**f,)
        Sum of the weights of each subset.
    """

    is_left_out: npt.NDArray[np.bool_]
    bit: _Floats
    of_entry: _Ints
    weight: _Floats

    @classmethod
    def of(cls, overlap: WordOverlap, left_out: _Ints) -> _FrequentWords:
        is_left_out = np.zeros(len(overlap.weights), dtype=bool)
        is_left_out[left_out] = True
        bit = np.zeros(len(overlap.weights))
        bit[left_out] = 2.0 ** np.arange(len(left_out))
        weight = np.zeros(1)
        for word in left_out:
            weight = np.concatenate([weight, weight + overlap.weights[word]])
        of_entry = (overlap.words @ bit).astype(np.int64)
        return cls(is_left_out, bit, of_entry, weight)

    def subset_of(self, words: sparse.csr_array) -> _Ints:
        return np.asarray(words @ self.bit).astype(np.int64)

    def without(self, words: sparse.csr_array) -> sparse.csr_array:
        kept = ~self.is_left_out[words.indices]
        count = np.concatenate([[0], np.cumsum(kept)])
        return sparse.csr_array(
            (words.data[kept], words.indices[kept], count[words.indptr]),
            shape=words.shape,
        )


def _score(common: _Floats, total: _Floats) -> _Ints:
    return np.rint(2 * SCALE * common / total).astype(np.int64)


def _runs(codes: _Ints, starts: _Ints) -> tuple[_Ints, _Ints]:
    """Return where each text's runs of equal codes begin, and each text's first run."""
    is_first = np.ones(len(codes) + 1, dtype=bool)
    np.not_equal(codes[1:], codes[:-1], out=is_first[1:-1])
    is_first[starts] = True
    first = np.flatnonzero(is_first[:-1])
    return first, np.searchsorted(first, starts)
