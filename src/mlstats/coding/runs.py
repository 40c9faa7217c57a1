"""Known runs of symbols, found in long sequences at once.

Words are runs of characters and texts are runs of words, so one search serves the
character n-grams of words and the word runs of texts. It goes through a trie, level
by level: all runs of two symbols, then all of three. No run is spelt out, which is
what makes it several times faster than looking strings up.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["KnownRuns", "KnownText"]

Ints = npt.NDArray[np.int64]


class KnownRuns:
    """A trie of runs.

    Parameters
    ----------
    runs : ndarray of int, shape (t, longest)
        The symbols of each run, counted from 1; 0 after its end.
    symbols : int
        Number of symbols.
    """

    def __init__(self, runs: Ints, symbols: int) -> None:
        self._width = symbols + 1
        self._levels: list[tuple[Ints, Ints]] = []
        state = np.zeros(len(runs), dtype=np.int64)
        length = (runs > 0).sum(axis=1)
        for size in range(1, runs.shape[1] + 1):
            there = length >= size
            key = state[there] * self._width + runs[there, size - 1]
            keys, number = np.unique(key, return_inverse=True)
            ends = np.flatnonzero(length[there] == size)
            run = np.full(len(keys), -1)
            run[number[ends]] = np.flatnonzero(there)[ends]
            state[there] = number
            self._levels.append((keys, run))

    def find(self, symbols: Ints, end: Ints) -> tuple[Ints, Ints]:
        """Return where known runs begin, and their numbers.

        Parameters
        ----------
        symbols : ndarray of int, shape (n,)
            The sequences one after the other; 0 for an unknown symbol.
        end : ndarray of int, shape (n,)
            For each symbol the place after the last one of its sequence.
        """
        place, state = np.arange(len(symbols)), np.zeros(len(symbols), dtype=np.int64)
        places, runs = [place[:0]], [place[:0]]
        for size, (keys, run) in enumerate(self._levels, start=1):
            inside = place + size <= end[place]
            place, state = place[inside], state[inside]
            if not len(place) or not len(keys):
                break
            key = state * self._width + symbols[place + size - 1]
            state = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            known = keys[state] == key
            place, state = place[known], state[known]
            told = run[state] >= 0
            places.append(place[told])
            runs.append(run[state[told]])
        return np.concatenate(places), np.concatenate(runs)


class KnownText:
    """The known character n-grams and word runs of a vocabulary.

    Parameters
    ----------
    pieces, word_runs : Index of str
        Character n-grams, with the blanks around a word; runs of words, with one
        blank between them.
    """

    def __init__(self, pieces: pd.Index, word_runs: pd.Index) -> None:
        listed = pieces.tolist()
        self._alphabet = np.unique(_characters("".join(listed)))
        lengths = np.array(list(map(len, listed)), dtype=np.int64)
        numbers = self._number(_characters("".join(listed)))
        self._pieces = KnownRuns(_filled(numbers, lengths), len(self._alphabet))
        split = [run.split(" ") for run in word_runs]
        number, words = pd.factorize(
            np.array([word for run in split for word in run], dtype=object)
        )
        self._words = pd.Index(words, dtype=object)
        lengths = np.array(list(map(len, split)), dtype=np.int64)
        self._runs = KnownRuns(_filled(number + 1, lengths), len(words))

    def pieces(self, words: npt.NDArray[np.object_]) -> tuple[Ints, Ints]:
        """Return word and number of each known n-gram in some words."""
        padded = [f" {word} " for word in words]
        length = np.array(list(map(len, padded)), dtype=np.int64)
        end = np.repeat(np.cumsum(length), length)
        word = np.repeat(np.arange(len(words)), length)
        place, piece = self._pieces.find(
            self._number(_characters("".join(padded))), end
        )
        return word[place], piece

    def word_runs(
        self, row: Ints, number: Ints, words: npt.NDArray[np.object_]
    ) -> tuple[Ints, Ints]:
        """Return row and number of each known run of the words `number` of rows."""
        symbols = (self._words.get_indexer(words) + 1)[number]
        end = np.searchsorted(row, row, side="right")
        place, run = self._runs.find(np.asarray(symbols, dtype=np.int64), end)
        return row[place], run

    def _number(self, characters: Ints) -> Ints:
        """Return the number of each character in the alphabet, 0 for a strange one."""
        if not len(self._alphabet):
            return np.zeros_like(characters)
        place = np.searchsorted(self._alphabet, characters)
        place = np.minimum(place, len(self._alphabet) - 1)
        known = self._alphabet[place] == characters
        return np.where(known, place + 1, 0)


def _characters(text: str) -> Ints:
    # Texts may hold half a surrogate pair, as some programs write them.
    code = text.encode("utf-32-le", "surrogatepass")
    return np.frombuffer(code, dtype="<u4").astype(np.int64)


def _filled(symbols: Ints, lengths: Ints) -> Ints:
    """Return the sequences as rows, filled up with 0."""
    rows = np.zeros((len(lengths), int(lengths.max(initial=0))), dtype=np.int64)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = symbols
    return rows
