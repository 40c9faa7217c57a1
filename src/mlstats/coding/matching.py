"""The traditional methods: a text gets the code of the dictionary entry it matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.coding.dictionary import DictionaryMatch, Floats, Ints, Objects, Strings
from mlstats.coding.overlap import SCALE, WEIGHT_UNIT, WordOverlap
from mlstats.coding.text import Parser, phrases_of, word_sets
from mlstats.errors import ConfigError, nearest

__all__ = ["ExactIndex", "WeightedIndex", "with_columns", "word_weights"]

_BLOCK = 16_384  # texts whose words are looked up together: bounds the memory
_LEAST_WEIGHT = 2.0**-10  # a word that tells nothing still keeps two phrases apart
_MULTIPLE = ("clerk", "frequency")


class ExactIndex(DictionaryMatch):
    """The code of the dictionary entry that is the same text.

    Texts are the same if they are equal after
    :func:`mlstats.coding.text.normalise`. Outcomes: ``unique`` (the text has one
    code in the dictionary), ``multiple`` (several), ``none`` (it is not there).

    Parameters
    ----------
    index : path, optional
        Coding index with the columns text and code, and frequency where there is
        one; by default the dictionary is made of the training rows alone.
    on_multiple : {"clerk", "frequency"}, default="clerk"
        What is done with a text of several codes: left to the clerk without a
        code, or given the most frequent one, with its share as confidence.
    training : bool, default=True
        Whether the coded training rows enter the dictionary.
    parser, index_weight, priority, entry_units
        As in :class:`mlstats.coding.dictionary.DictionaryMatch`.

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["Whole milk", "Rye bread", "bread", "BREAD"]})
    >>> match = ExactIndex().fit(X, ["0114", "0111", "0111", "0112"])
    >>> new = pd.DataFrame({"text": ["whole MILK!", "bread", "cheese"]})
    >>> match.predict(new).tolist(), match.outcome(new).tolist()
    (['0114', None, None], ['unique', 'multiple', 'none'])
    """

    def __init__(
        self,
        index: str | Path | None = None,
        on_multiple: str = "clerk",
        training: bool = True,
        parser: str | Path | Mapping[str, Any] | None = None,
        index_weight: float = 1.0,
        priority: str = "counts",
        entry_units: int = 1,
    ) -> None:
        self.index = index
        self.on_multiple = on_multiple
        self.training = training
        self.parser = parser
        self.index_weight = index_weight
        self.priority = priority
        self.entry_units = entry_units

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.on_multiple not in _MULTIPLE:
            raise ConfigError(
                f"on_multiple is {self.on_multiple!r}",
                expected=" or ".join(_MULTIPLE),
                nearest=nearest(str(self.on_multiple), _MULTIPLE),
            )

    def _phrase(self, normalised: pd.Series) -> pd.Series:
        return normalised

    def _prepare(self, entries: pd.DataFrame) -> None:
        number, phrases = pd.factorize(entries["phrase"])
        self._phrases = pd.Index(phrases)
        # The entries of a phrase together, still in their order of preference.
        by_phrase = np.argsort(number, kind="stable")
        self._entry = by_phrase
        self._codes = entries["code"].to_numpy(dtype=object)[by_phrase]
        self._shares = entries["share"].to_numpy()[by_phrase]
        self._ends = np.cumsum(np.bincount(number))

    def _found(self, normalised: pd.Series) -> tuple[Ints, Ints]:
        """Return the first entry of each text and the number of its codes."""
        phrase = self._phrases.get_indexer(pd.Index(normalised))
        start = np.concatenate([[0], self._ends])[phrase]
        return start, np.where(phrase < 0, 0, self._ends[phrase] - start)

    def _candidates(self, normalised: pd.Series, k: int) -> tuple[Objects, Floats]:
        start, count = self._found(normalised)
        if self.on_multiple == "clerk":
            count = np.where(count == 1, 1, 0)
        place = np.arange(k)
        there = place < count[:, None]
        entry = (start[:, None] + place)[there]
        codes = np.full(there.shape, None, dtype=object)
        codes[there] = self._codes[entry]
        scores = np.zeros(there.shape)
        scores[there] = self._shares[entry]
        return codes, scores

    def _evidence(self, normalised: pd.Series, k: int) -> tuple[Ints, Floats]:
        start, count = self._found(normalised)
        there = np.arange(k) < count[:, None]
        place = (start[:, None] + np.arange(k))[there]
        entries = np.full(there.shape, -1, dtype=np.int64)
        entries[there] = self._entry[place]
        strength = np.zeros(there.shape)
        strength[there] = self._shares[place]
        return entries, strength

    def _measure(self, strength: float) -> str:
        return f"{strength:.0%} of the entries of this text"

    def _outcomes(self, normalised: pd.Series) -> Strings:
        _, count = self._found(normalised)
        return np.array(["none", "unique", "multiple"])[np.minimum(count, 2)]


class WeightedIndex(DictionaryMatch):
    """The code of the dictionary entry whose words overlap most, by their weight.

    The match that ACTR and G-Code made usual in statistical offices. The exact word
    weight of those systems is not published; this is mlstats' own definition.

    A text is parsed to a phrase, the set of its words
    (:func:`mlstats.coding.text.parse`). The dictionary holds each phrase once, with
    the codes it was given. A word t of the dictionary has the weight

        w(t) = 1 - H(C | t) / ln K,

    K being the number of codes of the dictionary and H the entropy of the codes
    among the distinct pairs (phrase, code) whose phrase has the word: 1 for a word
    that settles the code, 0 for one that says nothing. A pair counts once however
    many rows have it. (Weights are rounded to multiples of 2**-20 and are at least
    2**-10; with K = 1 every word weighs 1.) A phrase q and an entry d are similar by

        s(q, d) = 2 * sum of w over the words of both / (sum_q w + sum_d w),

    and a code is as near as its nearest entry. Similarities are compared to seven
    decimals; of equally similar entries the better is, in this order, the one whose
    code has the larger share of the rows with its phrase, whose code has more rows
    in the dictionary, whose code is lower. The score of ACTR is 10 s; it is 10 if
    the phrases are the same ("direct match"), and the confidence is s.

    Outcomes, S1 and S2 being the scores of the two nearest codes: ``unique``
    (S1 >= upper and S1 - S2 >= gap), ``multiple`` (S1 >= upper, the gap is smaller),
    ``possible`` (lower <= S1 < upper), ``failed`` (S1 < lower, or no common word).

    Parameters
    ----------
    index : path, optional
        Coding index with the columns text and code, and frequency where there is
        one; by default the dictionary is made of the training rows alone.
    training : bool, default=True
        Whether the coded training rows enter the dictionary.
    upper, lower, gap : float, default=8, 0 and 0.2
        Limits of the outcomes, scores from 0 to 10. Below `lower` a code is no
        candidate; `upper` and `gap` tell outcomes apart and leave codes as they are.
    unknown_weight : float, default=0.5
        Weight of a word that the dictionary does not have, from 0 to 1.
    drop : sequence of str, default=()
        Trivial words, as in :class:`mlstats.coding.text.Parser`.
    replace : mapping of str to str, optional
        Synonyms, as in :class:`mlstats.coding.text.Parser`; applied after `parser`.
    parser, index_weight, priority, entry_units
        As in :class:`mlstats.coding.dictionary.DictionaryMatch`.

    Attributes
    ----------
    vocabulary_ : ndarray of str, shape (v,)
        The words of the dictionary, sorted.
    weights_ : ndarray of float, shape (v,)
        Their weights.

    References
    ----------
    Hellerman, E. (1982). Overview of the Hellerman I&O Coding System. U.S. Bureau
    of the Census.
    Wenzowski, M. J. (1988). ACTR: a generalised automated coding system. Survey
    Methodology 14.

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["whole milk", "skimmed milk", "rye bread"]})
    >>> match = WeightedIndex().fit(X, ["01141", "01142", "0111"])
    >>> new = pd.DataFrame({"text": ["milk, whole", "bread of rye", "candle"]})
    >>> match.predict(new).tolist(), match.outcome(new).tolist()
    (['01141', '0111', None], ['unique', 'unique', 'failed'])
    """

    same_in_any_block: ClassVar[bool] = True  # weights are multiples of 2**-20

    def __init__(
        self,
        index: str | Path | None = None,
        training: bool = True,
        upper: float = 8.0,
        lower: float = 0.0,
        gap: float = 0.2,
        unknown_weight: float = 0.5,
        drop: Sequence[str] = (),
        replace: Mapping[str, str] | None = None,
        parser: str | Path | Mapping[str, Any] | None = None,
        index_weight: float = 1.0,
        priority: str = "counts",
        entry_units: int = 1,
    ) -> None:
        self.index = index
        self.training = training
        self.upper = upper
        self.lower = lower
        self.gap = gap
        self.unknown_weight = unknown_weight
        self.drop = drop
        self.replace = replace
        self.parser = parser
        self.index_weight = index_weight
        self.priority = priority
        self.entry_units = entry_units

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not 0 <= self.lower <= self.upper <= 10 or not 0 <= self.gap <= 10:
            raise ConfigError(
                "The limits of the score do not fit together",
                expected="0 <= lower <= upper <= 10 and 0 <= gap <= 10",
            )
        if not 0 <= self.unknown_weight <= 1:
            raise ConfigError(
                f"unknown_weight is {self.unknown_weight}", expected="0 to 1"
            )
        self._parser()

    def _parser(self) -> Parser:
        return Parser(self.drop, self.replace or {})

    def _phrase(self, normalised: pd.Series) -> pd.Series:
        return phrases_of(normalised, self._parser())

    def _prepare(self, entries: pd.DataFrame) -> None:
        code = np.searchsorted(self.classes_, entries["code"].to_numpy(dtype=object))
        words, vocabulary = word_sets(entries["phrase"])
        by_code = np.argsort(code, kind="stable")
        self.weights_ = word_weights(words, code, len(self.classes_))
        self.vocabulary_ = vocabulary
        self._column_of = pd.Index(vocabulary)
        # Entries stand in order of preference: their row is their rank.
        self._overlap = WordOverlap(
            words[by_code], code[by_code], by_code, self.weights_
        )
        self._code_of = code

    def _candidates(self, normalised: pd.Series, k: int) -> tuple[Objects, Floats]:
        entries, scores = self._nearest(normalised, k)
        there = (entries >= 0) & (scores >= _units(self.lower))
        named = np.full(entries.shape, None, dtype=object)
        named[there] = self.classes_[self._code_of[entries[there]]]
        return named, np.where(there, scores / SCALE, 0.0)

    def _evidence(self, normalised: pd.Series, k: int) -> tuple[Ints, Floats]:
        entries, scores = self._nearest(normalised, k)
        there = (entries >= 0) & (scores >= _units(self.lower))
        return np.where(there, entries, -1), np.where(there, scores / SCALE, 0.0)

    def _measure(self, strength: float) -> str:
        return "direct match" if strength == 1 else f"score {10 * strength:.2f} of 10"

    def _outcomes(self, normalised: pd.Series) -> Strings:
        entries, scores = self._nearest(normalised, 2)
        best, second = scores.T
        return np.select(
            [
                (entries[:, 0] < 0) | (best < _units(self.lower)),
                best < _units(self.upper),
                best - second < _units(self.gap),
            ],
            ["failed", "possible", "multiple"],
            "unique",
        )

    def _nearest(self, normalised: pd.Series, k: int) -> tuple[Ints, Ints]:
        """Return the nearest entry of the nearest codes, -1 for none; similarities."""
        entries = np.full((len(normalised), k), -1, dtype=np.int64)
        scores = np.zeros((len(normalised), k), dtype=np.int64)
        parser = self._parser()
        unknown = np.rint(self.unknown_weight / WEIGHT_UNIT) * WEIGHT_UNIT
        for start in range(0, len(normalised), _BLOCK):
            block = slice(start, start + _BLOCK)
            sets, words = word_sets(normalised.iloc[block], parser)
            column = self._column_of.get_indexer(pd.Index(words, dtype=object))
            totals = sets @ np.where(column < 0, unknown, self.weights_[column])
            known = with_columns(sets, column, len(self._column_of))
            entry, scores[block] = self._overlap.best(known, totals, k)
            entries[block] = np.where(entry < 0, -1, self._overlap.ranks[entry])
        return entries, scores


def word_weights(words: sparse.csr_array, codes: Ints, n_codes: int) -> Floats:
    """Return how much each word says about the code.

    Parameters
    ----------
    words : csr_array, shape (m, v)
        1 where the entry, a distinct pair of phrase and code, has the word; every
        word is in some entry.
    codes : ndarray of int, shape (m,)
        Number of the code of each entry.
    n_codes : int
        Number of codes, K.

    Returns
    -------
    ndarray of float, shape (v,)
        1 - H(C | t) / ln K, H by natural logarithm; rounded to multiples of
        :data:`mlstats.coding.overlap.WEIGHT_UNIT`, at least 2**-10.
    """
    if n_codes == 1:
        return np.ones(words.shape[1])
    entries = np.arange(len(codes))
    of_code = sparse.csr_array(
        (np.ones(len(codes)), (entries, codes)), shape=(len(codes), n_codes)
    )
    counts = (words.T @ of_code).tocoo()
    share = counts.data / np.asarray(words.sum(axis=0))[counts.row]
    entropy = np.bincount(counts.row, -share * np.log(share), minlength=words.shape[1])
    weight = np.maximum(1 - entropy / np.log(n_codes), _LEAST_WEIGHT)
    rounded: Floats = np.rint(weight / WEIGHT_UNIT) * WEIGHT_UNIT
    return rounded


def with_columns(sets: sparse.csr_array, column: Ints, width: int) -> sparse.csr_array:
    """Return the matrix with its columns moved to `column`, dropped where -1."""
    moved = column[sets.indices]
    kept = moved >= 0
    starts = np.concatenate([[0], np.cumsum(kept)])[sets.indptr]
    return sparse.csr_array(
        (sets.data[kept], moved[kept], starts), shape=(sets.shape[0], width)
    )


def _units(score: float) -> int:
    """Return a score from 0 to 10 in the units of similarities."""
    return round(score * SCALE / 10)
