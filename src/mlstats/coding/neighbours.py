"""Two methods from the literature that code a text as its nearest coded texts.

Both were made for occupations, both take the coded rows, a coding index or both, and
both work by sparse products over blocks of distinct texts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.coding.dictionary import Floats, Ints
from mlstats.coding.matching import with_columns
from mlstats.coding.nearest_entries import NearestEntries, blocks_of_work, rank_codes
from mlstats.coding.text import phrases_of, word_sets
from mlstats.errors import ConfigError

__all__ = ["GweonNeighbour", "MemoryBasedReasoning"]

_SCALE = 10_000_000  # cosines are compared as whole multiples of its reciprocal
_UNIT = 2.0**-16  # feature weights are whole multiples: sums are exact in any order
_BLOCK = 16_384  # texts whose words are looked up together
_MOST_WORDS = 64  # so that a nearness has at most 27 bits of units
# A pair of text and entry is one integer that sorts by text, then from the largest
# nearness down, then by the entry's preference: 11 + 27 + 25 bits.
_NEARNESS_SHIFT = 25
_TEXT_SHIFT = _NEARNESS_SHIFT + 27


class _WordNeighbours(NearestEntries):
    """Words of the entries and of the texts, block by block."""

    def _phrase(self, normalised: pd.Series) -> pd.Series:
        return phrases_of(normalised)

    def _prepare(self, entries: pd.DataFrame) -> None:
        super()._prepare(entries)
        self._words, vocabulary = word_sets(entries["phrase"])
        self._column_of = pd.Index(vocabulary)

    def _blocks(
        self, normalised: pd.Series
    ) -> Iterator[tuple[slice, sparse.csr_array, Floats]]:
        """Yield a slice, the known words of its texts, and all their numbers."""
        entries_of_word = np.asarray(self._words.sum(axis=0), dtype=float)
        for start in range(0, len(normalised), _BLOCK):
            sets, words = word_sets(normalised.iloc[start : start + _BLOCK])
            column = self._column_of.get_indexer(pd.Index(words, dtype=object))
            known = with_columns(sets, column, len(self._column_of))
            lengths = np.asarray(sets.sum(axis=1), dtype=float)
            for part in blocks_of_work(known @ entries_of_word):
                rows = slice(start + part.start, start + part.stop)
                yield rows, known[part], lengths[part]

    def _nearest(self, normalised: pd.Series, k: int) -> tuple[Ints, Floats]:
        entries = np.full((len(normalised), k), -1, dtype=np.int64)
        scores = np.zeros((len(normalised), k))
        for rows, words, lengths in self._blocks(normalised):
            entries[rows], scores[rows] = self._search(words, lengths, k)
        return entries, scores

    @abstractmethod
    def _search(
        self, words: sparse.csr_array, lengths: Floats, k: int
    ) -> tuple[Ints, Floats]:
        """Return the k nearest entries of each text and their scores."""


class GweonNeighbour(_WordNeighbours):
    """The codes of all the coded texts that are most similar to a text.

    With binary bags of words, s(x) the largest cosine of text x and a coded text, K(x)
    the number of coded rows at that cosine, and share(c | x) the share of them with
    code c,

        p(c | x) = s(x) * K(x) / (K(x) + multiplier) * share(c | x),

    the modified nearest neighbour of Gweon et al. (2017, section 3.3). A text without a
    known word has no code. Words that no coded text has count in the length of x, so
    that they lower s(x); they never change the order of codes. Cosines are compared to
    seven decimals. Codes of equal share go by their rows in the dictionary, then by
    code.

    Parameters
    ----------
    index : path, optional
        Coding index, as in :class:`mlstats.coding.ExactIndex`.
    training : bool, default=True
        Whether the coded training rows enter the dictionary.
    multiplier : float, default=0.1
        How much few neighbours lower the confidence; 0 for not at all.
    parser, index_weight, priority, entry_units
        As in :class:`mlstats.coding.dictionary.DictionaryMatch`.

    References
    ----------
    Gweon, H., Schonlau, M., Kaczmirek, L., Blohm, M., Steiner, S. (2017). Three
    methods for occupation coding based on statistical learning. Journal of Official
    Statistics 33(1), 101-122.

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["bus driver", "driver bus", "bus driver", "cook"]})
    >>> method = GweonNeighbour().fit(X, ["8331", "8331", "8332", "5120"])
    >>> codes, scores = method.predict_top(pd.DataFrame({"text": ["Bus driver"]}), 2)
    >>> codes.tolist(), scores.round(4).tolist()
    ([['8331', '8332']], [[0.6452, 0.3226]])
    """

    def __init__(
        self,
        index: str | Path | None = None,
        training: bool = True,
        multiplier: float = 0.1,
        parser: str | Path | Mapping[str, Any] | None = None,
        index_weight: float = 1.0,
        priority: str = "counts",
        entry_units: int = 1,
    ) -> None:
        self.index = index
        self.training = training
        self.multiplier = multiplier
        self.parser = parser
        self.index_weight = index_weight
        self.priority = priority
        self.entry_units = entry_units

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not self.multiplier >= 0:
            raise ConfigError(f"multiplier is {self.multiplier}", expected="0 or more")

    def _prepare(self, entries: pd.DataFrame) -> None:
        super()._prepare(entries)
        self._shrink = 1 / np.sqrt(np.asarray(self._words.sum(axis=1), dtype=float))
        self._columns = self._words.T.tocsr()

    def _search(
        self, words: sparse.csr_array, lengths: Floats, k: int
    ) -> tuple[Ints, Floats]:
        common = (words @ self._columns).tocsr()
        count = np.diff(common.indptr)
        by_text = np.repeat(np.sqrt(lengths), count)
        cosine = common.data * self._shrink[common.indices] / by_text
        cosine = np.rint(_SCALE * cosine)
        largest = np.zeros(len(lengths))
        if len(cosine):
            some = count > 0
            largest[some] = np.maximum.reduceat(cosine, common.indptr[:-1][some])
        near = np.flatnonzero(cosine == np.repeat(largest, count))
        text = np.searchsorted(common.indptr, near, side="right") - 1
        entry = common.indices[near]
        rows = self._frequency[entry]
        pairs = sparse.coo_array((rows, (text, entry)), shape=common.shape)
        neighbours = np.bincount(text, rows, minlength=len(lengths))
        entries, counts = rank_codes(pairs, self._code_of, self._code_rank, k)
        shrunk = largest / _SCALE / np.maximum(neighbours + self.multiplier, _UNIT)
        return entries, np.clip(counts * shrunk[:, None], 0.0, 1.0)


class MemoryBasedReasoning(_WordNeighbours):
    """The codes of the nearest coded rows, by words and pairs of words that tell.

    The features of a text are its words and all unordered pairs of them. A feature f
    weighs the sum over codes of P(c | f)**2, P being shares of coded rows; a coded row
    is as near as the sum of the weights of the features that it shares with the text.
    A code scores the nearness of its rows among the `neighbours` nearest, summed; with
    a1 and a2 the two best scores the confidence is a1 / (a1 + a2), 1 if there is only
    one code (Creecy et al. 1992, metric SUM of the sum of squared conditional
    probabilities). The following codes have a_i / (a1 + a2).

    Own definitions: of equally near rows those come first whose code has the larger
    share of its text, more rows in the dictionary, the lower code. Pairs grow with the
    square of a text, so a longer text than `most_words` is read by its words of the
    largest weight. Weights are rounded to multiples of 2**-16.

    Parameters
    ----------
    index : path, optional
        Coding index, as in :class:`mlstats.coding.ExactIndex`.
    training : bool, default=True
        Whether the coded training rows enter the dictionary.
    neighbours : int, default=12
        Number of nearest coded rows.
    most_words : int, default=40
        Distinct words of a text that are looked at, from 1 to 64.
    parser, index_weight, priority, entry_units
        As in :class:`mlstats.coding.dictionary.DictionaryMatch`.

    References
    ----------
    Creecy, R. H., Masand, B. M., Smith, S. J., Waltz, D. L. (1992). Trading MIPS and
    memory for knowledge engineering. Communications of the ACM 35(8), 48-64.

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["bus driver", "taxi driver", "cook"]})
    >>> method = MemoryBasedReasoning().fit(X, ["8331", "8322", "5120"])
    >>> codes, scores = method.predict_top(pd.DataFrame({"text": ["driver bus"]}), 2)
    >>> codes.tolist(), scores.round(4).tolist()
    ([['8331', '8322']], [[0.8333, 0.1667]])
    """

    def __init__(
        self,
        index: str | Path | None = None,
        training: bool = True,
        neighbours: int = 12,
        most_words: int = 40,
        parser: str | Path | Mapping[str, Any] | None = None,
        index_weight: float = 1.0,
        priority: str = "counts",
        entry_units: int = 1,
    ) -> None:
        self.index = index
        self.training = training
        self.neighbours = neighbours
        self.most_words = most_words
        self.parser = parser
        self.index_weight = index_weight
        self.priority = priority
        self.entry_units = entry_units

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not self.neighbours >= 1 or not 1 <= self.most_words <= _MOST_WORDS:
            raise ConfigError(
                "The parameters of memory-based reasoning do not fit",
                expected=f"neighbours of 1 or more, most_words from 1 to {_MOST_WORDS}",
            )

    def _prepare(self, entries: pd.DataFrame) -> None:
        super()._prepare(entries)
        self._word_weights = self._weights_of(self._words)
        words = self._shortened(self._words)
        pair, entry = _pairs(words)
        self._pairs, column = np.unique(pair, return_inverse=True)
        size = (len(entries), len(self._pairs))
        pairs = sparse.csr_array((np.ones(len(pair)), (entry, column)), shape=size)
        weights = np.concatenate([self._word_weights, self._weights_of(pairs)])
        features = sparse.hstack([words, pairs], format="csr")
        self._features = features.multiply(weights / _UNIT).T.tocsr()
        # Of this many entries or fewer the rows of the nearest are made up.
        self._entries_needed = int(np.ceil(self.neighbours / self._frequency.min()))

    def _weights_of(self, features: sparse.csr_array) -> Floats:
        """Return the sum of squared shares of the codes among rows with a feature."""
        entries = np.arange(features.shape[0])
        size = (len(entries), len(self.classes_))
        rows = sparse.csr_array((self._frequency, (entries, self._code_of)), shape=size)
        counts = features.T.tocsr() @ rows
        total = np.asarray(counts.sum(axis=1))
        squares = np.asarray(counts.multiply(counts).sum(axis=1))
        weights = squares / np.maximum(total, _UNIT) ** 2
        rounded: Floats = np.maximum(np.rint(weights / _UNIT), 1) * _UNIT
        return rounded

    def _shortened(self, words: sparse.csr_array) -> sparse.csr_array:
        """Keep the words of the largest weight of texts that have too many."""
        lengths = np.diff(words.indptr)
        if lengths.max(initial=0) <= self.most_words:
            return words
        row = np.repeat(np.arange(len(lengths)), lengths)
        by_weight = np.lexsort((words.indices, -self._word_weights[words.indices], row))
        place = np.arange(len(row)) - words.indptr[row]
        kept = np.sort(by_weight[place < self.most_words])
        ends = np.cumsum(np.bincount(row[kept], minlength=len(lengths)))
        return sparse.csr_array(
            (words.data[kept], words.indices[kept], np.concatenate([[0], ends])),
            shape=words.shape,
        )

    def _search(
        self, words: sparse.csr_array, lengths: Floats, k: int
    ) -> tuple[Ints, Floats]:
        words = self._shortened(words)
        pair, text = _pairs(words)
        column = np.searchsorted(self._pairs, pair)
        column[column == len(self._pairs)] = 0
        known = self._pairs[column] == pair if len(self._pairs) else column < 0
        size = (words.shape[0], len(self._pairs))
        there = (text[known], column[known])
        pairs = sparse.csr_array((np.ones(known.sum()), there), shape=size)
        features = sparse.hstack([words, pairs], format="csr")
        nearest = self._nearest_rows((features @ self._features).tocsr())
        entries, scores = rank_codes(nearest, self._code_of, self._code_rank, max(k, 2))
        two_best = scores[:, :2].sum(axis=1, keepdims=True)
        shares = scores / np.where(two_best > 0, two_best, 1.0)
        return entries[:, :k], shares[:, :k]

    def _nearest_rows(self, nearness: sparse.csr_array) -> sparse.coo_array:
        """Return the nearness of the nearest rows, summed by entry."""
        pairs = np.rint(nearness.data).astype(np.int64) << _NEARNESS_SHIFT
        pairs -= nearness.indices
        kept = np.concatenate(
            [
                _largest(pairs[start:stop], self._entries_needed) + start
                for start, stop in zip(
                    nearness.indptr[:-1], nearness.indptr[1:], strict=True
                )
            ]
        )
        text = np.searchsorted(nearness.indptr, kept, side="right") - 1
        order = np.argsort((text << _TEXT_SHIFT) - pairs[kept], kind="stable")
        kept, text = kept[order], text[order]
        entry = nearness.indices[kept]
        rows = self._frequency[entry]
        taken = np.cumsum(rows)
        starts = np.searchsorted(text, np.arange(nearness.shape[0]))
        before = taken - rows - np.concatenate([[0.0], taken])[starts][text]
        count = np.clip(self.neighbours - before, 0.0, rows)
        near = count > 0
        said = count[near] * nearness.data[kept][near] * _UNIT
        return sparse.coo_array((said, (text[near], entry[near])), shape=nearness.shape)


def _pairs(words: sparse.csr_array) -> tuple[Ints, Ints]:
    """Return all unordered pairs of words of each text, as numbers, and the texts."""
    words.sort_indices()
    lengths = np.diff(words.indptr)
    row = np.repeat(np.arange(len(lengths)), lengths)
    later = words.indptr[1:][row] - np.arange(len(row)) - 1
    first = np.repeat(np.arange(len(row)), later)
    starts = np.cumsum(later) - later
    second = first + 1 + np.arange(len(first)) - starts[first]
    width = np.int64(words.shape[1])
    return words.indices[first] * width + words.indices[second], row[first]


def _largest(values: Ints, count: int) -> Ints:
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(-values, count - 1)[:count]
