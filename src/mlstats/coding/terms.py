"""Terms cut from texts and counted: words, runs of words, character n-grams.

A count is kept as a product of two sparse matrices, texts by items and items by
terms, so that work which depends on a distinct word alone is done once for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

__all__ = [
    "Block",
    "counted",
    "in_order",
    "in_single",
    "plain",
    "split_words",
    "word_pieces",
    "word_runs",
]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Counts of one kind of term, as a product of two sparse matrices.

    Attributes
    ----------
    rows : csr_array, shape (n, m)
        How often each text has each item (a word run, a word, a covariate's value).
    items : csr_array, shape (m, t)
        How often each item has each term.
    names : Index, shape (t,)
        The terms.
    """

    rows: sparse.csr_array
    items: sparse.csr_array
    names: pd.Index

    @property
    def counts(self) -> sparse.csr_array:
        """How often each text has each term, shape (n, t)."""
        return self.rows @ self.items

    def restricted(self, names: pd.Index) -> Block:
        """Return the counts of the terms `names`, in this order."""
        column = names.get_indexer(self.names)
        known = np.flatnonzero(column >= 0)
        chosen = counted(known, column[known], (len(column), len(names)))
        return Block(self.rows, self.items @ chosen, names)


def split_words(texts: pd.Series) -> tuple[Ints, Ints, npt.NDArray[np.object_]]:
    """Return row and number of each word in order, and the distinct words."""
    listed = texts.tolist()
    tokens = np.array(" ".join(listed).split(), dtype=object)
    lengths = [text.count(" ") + 1 if text else 0 for text in listed]
    number, words = pd.factorize(tokens)
    return np.repeat(np.arange(len(listed)), lengths), number, words


def word_runs(
    row: Ints, number: Ints, words: npt.NDArray[np.object_], longest: int, n: int
) -> Block:
    """Count the runs of 1 to `longest` words, none with 0.

    A run is the run before it and one word more, so its number follows from two
    numbers and only distinct runs are ever spelt out.
    """
    if longest == 0:
        none = np.empty(0, dtype=np.int64)
        return plain(none, none, pd.Index([], dtype=str), n)
    start, run, names = np.arange(len(row)), number, words
    rows, numbers, spelt = [row], [run], [words]
    for size in range(2, longest + 1):
        inside = start + size - 1 < len(row)
        inside[inside] = row[start[inside]] == row[start[inside] + size - 1]
        start, run = start[inside], run[inside]
        key = run * len(words) + number[start + size - 1]
        run, keys = pd.factorize(key)
        before, last = np.divmod(keys, max(len(words), 1))
        names = names[before] + " " + words[last]
        rows.append(row[start])
        numbers.append(run + sum(map(len, spelt)))
        spelt.append(names)
    index = pd.Index(np.concatenate(spelt), dtype=str)
    return plain(np.concatenate(rows), np.concatenate(numbers), index, n)


def word_pieces(
    row: Ints,
    number: Ints,
    words: npt.NDArray[np.object_],
    size: tuple[int, int],
    n: int,
) -> Block:
    """Count the character n-grams, cut from each distinct word once."""
    cut = [_pieces(word, *size) for word in words]
    pieces = np.array([piece for of_word in cut for piece in of_word], dtype=object)
    piece, names = pd.factorize(pieces)
    word = np.repeat(np.arange(len(words)), [len(of_word) for of_word in cut])
    items = counted(word, piece, (len(words), len(names)))
    rows = counted(row, number, (n, len(words)))
    return Block(rows, items, pd.Index(names, dtype=str))


def _pieces(word: str, shortest: int, longest: int) -> list[str]:
    """Cut a word as scikit-learn's ``char_wb`` does: a short word counts once."""
    padded = f" {word} "
    length = len(padded)
    sizes = range(min(shortest, length), min(longest, length) + 1)
    return [padded[i : i + size] for size in sizes for i in range(length - size + 1)]


def plain(row: Ints, number: Ints, names: pd.Index, n: int) -> Block:
    """Return a block whose items are the terms themselves."""
    rows = counted(row, number, (n, len(names)))
    return Block(rows, sparse.eye_array(len(names), format="csr"), names)


def counted(row: Ints, column: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    """Return how often each row meets each column."""
    # scikit-learn's solvers take 32-bit indices only.
    place = (row.astype(np.int32), column.astype(np.int32))
    return sparse.csr_array((np.ones(len(row)), place), shape=shape)


def in_order(row: Ints, column: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    """Return what each row meets, as often and in the order in which it does.

    Columns are numbered as a block of rows meets them. Sums over a row that follow the
    text give the same bits in every block; sums by number would not.

    Parameters
    ----------
    row : ndarray of int
        Ascending.
    column : ndarray of int
        What is met.
    shape : (int, int)
        Of the result, in which a column may stand twice in a row.
    """
    begins = np.searchsorted(row, np.arange(shape[0] + 1)).astype(np.int32)
    given = (np.ones(len(row)), column.astype(np.int32), begins)
    return sparse.csr_array(given, shape=shape)


def in_single(counts: sparse.csr_array) -> sparse.csr_array:
    """Return single precision in the same order, which ``astype`` would sort."""
    given = (counts.data.astype(np.float32), counts.indices, counts.indptr)
    return sparse.csr_array(given, shape=counts.shape)
