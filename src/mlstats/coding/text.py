"""Texts made comparable: normalisation, and the parser of the weighted match.

Every coding method reads a text through :func:`normalise`, so that "Café  AU
lait!" and "cafe au lait" are one text everywhere: in the index, in the training
data, and when accuracy on texts not seen in training is told apart.

The work is done once per distinct text and on blocks of texts joined together,
because a household diary repeats itself and a loop over records is slow.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from mlstats.errors import ConfigError

__all__ = [
    "Parser",
    "distinct_texts",
    "normalise",
    "parse",
    "phrases_of",
    "seen",
    "word_sets",
]

_BLOCK = 512  # texts joined at a time: bounds the memory that long texts need
_NOT_WORD = re.compile(r"[^\w\n]+")


@dataclass(frozen=True)
class Parser:
    """What is done to the words of a normalised text before they are compared.

    The phrase of the weighted match is a set of words: their order and their
    repetition are dropped after the words were replaced and dropped.

    Parameters
    ----------
    drop : iterable of str, default=()
        Trivial words, which carry nothing about the code ("de", "the").
    replace : mapping of str to str, default={}
        Synonyms and abbreviations, word by word, applied once and before `drop`.

    Raises
    ------
    ConfigError
        If an entry is not one word after normalisation.

    Examples
    --------
    >>> parser = Parser(drop=["of"], replace={"choc": "chocolate"})
    >>> parse(pd.Series(["Bar of CHOC", "chocolate bar"]), parser).tolist()
    ['bar chocolate', 'bar chocolate']
    """

    drop: Iterable[str] = ()
    replace: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        drop = _single_words(self.drop, "drop")
        old = _single_words(self.replace.keys(), "replace")
        new = _single_words(self.replace.values(), "replace")
        object.__setattr__(self, "drop", tuple(drop))
        object.__setattr__(self, "replace", dict(zip(old, new, strict=True)))

    def apply(self, words: Iterable[str]) -> list[str | None]:
        """Return each word as it is compared, None for a trivial word."""
        trivial = frozenset(self.drop)
        replaced = (self.replace.get(word, word) for word in words)
        return [None if word in trivial else word for word in replaced]


def normalise(texts: pd.Series) -> pd.Series:
    """Return texts in the one form in which they are compared.

    Compatibility decomposition (NFKD), combining marks dropped, lower case,
    every run of characters that are not letters, digits or underscores made one
    space, no space at the ends. A missing text becomes the empty text.

    Parameters
    ----------
    texts : Series, shape (n,)
        Texts in any script; values that are not strings are taken as written.

    Returns
    -------
    Series of str, shape (n,)
        With the index and the name of `texts`.

    Examples
    --------
    >>> normalise(pd.Series(["Café-crème, 1/2 L", None])).tolist()
    ['cafe creme 1 2 l', '']
    """
    number, distinct = distinct_texts(texts)
    clean = np.empty(len(distinct) + 1, dtype=object)
    clean[:-1] = list(_normalised(distinct))
    clean[-1] = ""
    return pd.Series(clean[number], index=texts.index, name=texts.name, dtype=str)


def distinct_texts(texts: pd.Series) -> tuple[npt.NDArray[np.int64], list[object]]:
    """Return the number of each text among the distinct ones, and those.

    Parameters
    ----------
    texts : Series, shape (n,)
        Texts as given.

    Returns
    -------
    number : ndarray of int, shape (n,)
        -1 for a missing text.
    distinct : list
        In the order of their first occurrence; a NUL character is a blank.
    """
    values: Any = texts
    if texts.dtype == object:
        # pandas' hash table of objects ends a text at its first NUL character.
        values = np.empty(len(texts), dtype=object)
        values[:] = [_blank_nul(value) for value in texts]
    number, distinct = pd.factorize(values)
    return number, distinct.tolist()


def parse(texts: pd.Series, parser: Parser | None = None) -> pd.Series:
    """Return each text as its phrase: distinct words, sorted, joined by a space.

    Parameters
    ----------
    texts : Series, shape (n,)
        Texts as given.
    parser : Parser, optional
        Trivial words and synonyms; without it every word is kept as it is.

    Returns
    -------
    Series of str, shape (n,)
        With the index and the name of `texts`; two texts have the same phrase if
        and only if they have the same set of words.

    Examples
    --------
    >>> parse(pd.Series(["Milk, whole milk", "whole MILK"])).tolist()
    ['milk whole', 'milk whole']
    """
    return phrases_of(normalise(texts), parser)


def phrases_of(normalised: pd.Series, parser: Parser | None = None) -> pd.Series:
    """Return what :func:`parse` does, for texts that are normalised already."""
    number, distinct = pd.factorize(normalised)
    incidence, words = word_sets(pd.Series(distinct, dtype=str), parser)
    used = words[incidence.indices].tolist()
    ends = incidence.indptr.tolist()
    phrases = np.empty(len(distinct), dtype=object)
    phrases[:] = [" ".join(used[a:b]) for a, b in pairwise(ends)]
    name = normalised.name
    return pd.Series(phrases[number], index=normalised.index, name=name, dtype=str)


def word_sets(
    normalised: pd.Series, parser: Parser | None = None
) -> tuple[sparse.csr_array, npt.NDArray[np.object_]]:
    """Return which words each text has.

    Parameters
    ----------
    normalised : Series of str, shape (n,)
        Texts as :func:`normalise` or :func:`parse` returns them.
    parser : Parser, optional
        As in :func:`parse`.

    Returns
    -------
    incidence : csr_array of float, shape (n, v)
        1 where the text has the word; columns of a row in ascending order.
    words : ndarray of str, shape (v,)
        The words of the columns, sorted.

    Examples
    --------
    >>> incidence, words = word_sets(pd.Series(["whole milk", "", "milk milk"]))
    >>> words.tolist(), incidence.toarray().tolist()
    (['milk', 'whole'], [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    """
    texts = normalised.tolist()
    tokens = np.array(" ".join(texts).split(), dtype=object)
    lengths = [text.count(" ") + 1 if text else 0 for text in texts]
    row = np.repeat(np.arange(len(texts)), lengths)
    number, distinct = pd.factorize(tokens)
    parsed = distinct if parser is None else parser.apply(distinct)
    number_parsed, words = pd.factorize(np.array(parsed, dtype=object), sort=True)
    column = number_parsed[number]  # -1 for a trivial word
    row, column = row[column >= 0], column[column >= 0]
    incidence = sparse.csr_array(
        (np.ones(len(row)), (row, column)), shape=(len(texts), len(words))
    )
    incidence.sum_duplicates()
    incidence.data[:] = 1
    return incidence, words


def seen(train: pd.Series, test: pd.Series) -> npt.NDArray[np.bool_]:
    """Tell which test texts occur among the training texts, both normalised.

    Parameters
    ----------
    train, test : Series, shapes (m,) and (n,)
        Texts as given.

    Returns
    -------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> seen(pd.Series(["Whole milk"]), pd.Series(["whole MILK!", "milk"])).tolist()
    [True, False]
    """
    return normalise(test).isin(normalise(train)).to_numpy(dtype=bool)


def _blank_nul(value: object) -> object:
    return value.replace("\0", " ") if isinstance(value, str) else value


def _normalised(texts: list[object]) -> Iterator[str]:
    """Yield the normalised texts, a block of them at a time as one string.

    A line feed is no word character, has no case and combines with nothing, so
    the texts of a block cannot touch each other across it.
    """
    for start in range(0, len(texts), _BLOCK):
        block = [str(text).replace("\n", " ") for text in texts[start : start + _BLOCK]]
        joined = "\n".join(block)
        if not joined.isascii():
            joined = _without_marks(joined)
        joined = _NOT_WORD.sub(" ", joined.lower())
        yield from map(str.strip, joined.split("\n"))


def _without_marks(text: str) -> str:
    """Decompose a text and drop the combining marks (general category M)."""
    text = unicodedata.normalize("NFKD", text)
    # Few of the 2,500 marks occur in one block: a small pattern is a fast one.
    marks = [sign for sign in set(text) if unicodedata.category(sign)[0] == "M"]
    return re.sub(f"[{''.join(marks)}]+", "", text) if marks else text


def _single_words(words: Iterable[str], option: str) -> list[str]:
    given = list(words)
    clean = normalise(pd.Series(given, dtype=object)).tolist()
    for word, written in zip(clean, given, strict=True):
        if not word or " " in word:
            raise ConfigError(
                "A parser entry is not one word",
                where=f"parser option {option!r}: {written!r}",
                expected="one word of letters and digits",
            )
    return clean
