"""What the learned methods see of a text: words, word runs, character n-grams.

A term enters the vocabulary only if at least `min_units` units use it, or at least
`min_units` clusters where the data have clusters: a name that one household wrote
is then in no model, and neither are the pieces that only this name has.

Character n-grams never cross a blank, so those of a text are those of its words.
They are cut once per distinct word and added up by a sparse product; this is exact
and spares a loop over records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from mlstats.errors import ConfigError, MethodError, nearest

__all__ = ["Block", "TermCounts", "TextFeatures"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_COVARIATES = ("tokens", "ignore")


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
        chosen = _counted(known, column[known], (len(column), len(names)))
        return Block(self.rows, self.items @ chosen, names)


class TermCounts(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Count the terms of texts.

    Parameters
    ----------
    word_ngrams : int, default=2
        Longest run of words that is a term.
    min_characters, max_characters : int, default=2 and 5
        Lengths of the character n-grams, the blanks around a word included.
    covariates : {"tokens", "ignore"}, default="tokens"
        Whether each value of each column beside ``text`` is a term too. Values are
        taken as they are: put an amount into classes before.
    min_units : int, default=2
        A term used by fewer units, or clusters, is left out.

    Attributes
    ----------
    names_ : dict of str to Index
        The terms by kind: words, characters, covariates.
    columns_ : list of str
        The covariates.
    """

    def __init__(
        self,
        *,
        word_ngrams: int = 2,
        min_characters: int = 2,
        max_characters: int = 5,
        covariates: str = "tokens",
        min_units: int = 2,
    ) -> None:
        self.word_ngrams = word_ngrams
        self.min_characters = min_characters
        self.max_characters = max_characters
        self.covariates = covariates
        self.min_units = min_units

    def fit(
        self, X: pd.DataFrame, y: object = None, groups: pd.Series | None = None
    ) -> Self:
        """Choose the vocabulary.

        Parameters
        ----------
        X : DataFrame, shape (n, 1 + covariates)
            Column ``text`` as :func:`mlstats.coding.text.normalise` returns it;
            the other columns are covariates.
        y : object, optional
            Not used.
        groups : Series, shape (n,), optional
            Cluster of each row; a row without one is a cluster of its own.

        Raises
        ------
        ConfigError
            If a parameter does not fit.
        """
        self._check_parameters()
        used = self.covariates == "tokens"
        self.columns_ = [c for c in X.columns if c != "text"] if used else []
        cluster = _clusters(groups, len(X))
        self.names_ = {
            kind: block.names[
                _users(block.counts, cluster) >= self.min_units
            ].sort_values()
            for kind, block in self._all_terms(X)
        }
        return self

    def blocks(self, X: pd.DataFrame) -> dict[str, Block]:
        """Return the counts of the known terms by kind, as products.

        Parameters
        ----------
        X : DataFrame
            As in :meth:`fit`.

        Raises
        ------
        MethodError
            If a covariate of the training data is not there.
        """
        return {
            kind: block.restricted(self.names_[kind])
            for kind, block in self._all_terms(X)
        }

    def transform(self, X: pd.DataFrame) -> sparse.csr_array:
        """Return how often each text has each known term.

        Parameters
        ----------
        X : DataFrame
            As in :meth:`fit`.

        Returns
        -------
        csr_array, shape (n, terms)
            Words, characters, covariates.
        """
        counts = [block.counts for block in self.blocks(X).values()]
        return sparse.hstack(counts, format="csr")

    def to_dict(self) -> dict[str, Any]:
        """Return parameters and vocabulary as JSON can hold them."""
        return {
            "parameters": self.get_params(deep=False),
            "columns": self.columns_,
            "names": {kind: names.tolist() for kind, names in self.names_.items()},
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Make what :meth:`to_dict` described."""
        counts = cls(**state["parameters"])
        counts.columns_ = list(state["columns"])
        counts.names_ = {k: pd.Index(v, dtype=str) for k, v in state["names"].items()}
        return counts

    def _all_terms(self, X: pd.DataFrame) -> Iterator[tuple[str, Block]]:
        """Count every term, kind by kind, known or not."""
        row, number, words = _words(X["text"])
        yield "words", _word_runs(row, number, words, self.word_ngrams, len(X))
        size = (self.min_characters, self.max_characters)
        yield "characters", _word_pieces(row, number, words, size, len(X))
        yield "covariates", self._covariate_values(X)

    def _covariate_values(self, X: pd.DataFrame) -> Block:
        row, name = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=object)]
        for column in self.columns_:
            if column not in X:
                raise MethodError(
                    f"The covariate {column!r} of the training data is not there",
                    nearest=nearest(column, map(str, X.columns)),
                )
            there = np.flatnonzero(X[column].notna())
            values = X[column].iloc[there].astype(str)
            row.append(there)
            name.append((f"{column}=" + values).to_numpy(dtype=object))
        number, names = pd.factorize(np.concatenate(name), sort=True)
        return _plain(np.concatenate(row), number, pd.Index(names, dtype=str), len(X))

    def _check_parameters(self) -> None:
        if self.covariates not in _COVARIATES:
            raise ConfigError(
                f"covariates is {self.covariates!r}",
                expected=" or ".join(_COVARIATES),
                nearest=nearest(str(self.covariates), _COVARIATES),
            )
        for name in ("word_ngrams", "min_characters", "min_units"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}", expected="a number from 1 on"
                )
        if self.max_characters < self.min_characters:
            raise ConfigError(
                f"max_characters is {self.max_characters}",
                expected=f"min_characters ({self.min_characters}) or more",
            )


class TextFeatures(TransformerMixin, TermCounts):  # type: ignore[misc]
    """Weigh the terms of texts by TF-IDF.

    Each kind of text term is a block: counts times idf, with
    idf = ln((1 + n) / (1 + df)) + 1, scaled to length 1; characters then times
    `character_weight`. Covariates are 0 or 1. Without covariates the result is
    scikit-learn's ``FeatureUnion`` of two ``TfidfVectorizer`` (``char_wb`` for the
    characters) with the same vocabulary.

    Parameters
    ----------
    character_weight : float, default=2.0
        Length of the characters' block beside the words' length of 1.
    **parameters
        As in :class:`TermCounts`.

    Attributes
    ----------
    idf_ : dict of str to ndarray
        Weight of each term of ``names_``; 1 for covariates.
    """

    def __init__(
        self,
        *,
        word_ngrams: int = 2,
        min_characters: int = 2,
        max_characters: int = 5,
        character_weight: float = 2.0,
        covariates: str = "tokens",
        min_units: int = 2,
    ) -> None:
        super().__init__(
            word_ngrams=word_ngrams,
            min_characters=min_characters,
            max_characters=max_characters,
            covariates=covariates,
            min_units=min_units,
        )
        self.character_weight = character_weight

    def fit(
        self, X: pd.DataFrame, y: object = None, groups: pd.Series | None = None
    ) -> Self:
        """Choose the vocabulary and weigh it; as :meth:`TermCounts.fit`."""
        super().fit(X, y, groups)
        self.idf_ = {
            kind: np.log((1 + len(X)) / (1 + block.counts.count_nonzero(axis=0))) + 1
            for kind, block in super().blocks(X).items()
        }
        self.idf_["covariates"][:] = 1
        return self

    def fit_transform(
        self, X: pd.DataFrame, y: object = None, groups: pd.Series | None = None
    ) -> sparse.csr_array:
        """Fit, then transform the same texts."""
        return self.fit(X, y, groups).transform(X)

    def blocks(self, X: pd.DataFrame) -> dict[str, Block]:
        """Return the blocks so that each ``counts`` is a block of the features."""
        return {kind: self._weighed(kind, b) for kind, b in super().blocks(X).items()}

    def to_dict(self) -> dict[str, Any]:
        """Return parameters, vocabulary and weights as JSON can hold them."""
        idf = {kind: weights.tolist() for kind, weights in self.idf_.items()}
        return {**super().to_dict(), "idf": idf}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Make what :meth:`to_dict` described."""
        features = super().from_dict(state)
        features.idf_ = {kind: np.array(idf) for kind, idf in state["idf"].items()}
        return features

    def _weighed(self, kind: str, block: Block) -> Block:
        items = block.items @ sparse.diags_array(self.idf_[kind])
        if kind == "covariates":
            return Block(block.rows, items, block.names)
        values = block.rows @ items
        length = np.sqrt((values * values).sum(axis=1))
        weight = self.character_weight if kind == "characters" else 1.0
        scale = np.divide(weight, length, out=np.zeros(len(length)), where=length > 0)
        return Block(sparse.diags_array(scale) @ block.rows, items, block.names)


def _words(texts: pd.Series) -> tuple[Ints, Ints, npt.NDArray[np.object_]]:
    """Return row and number of each word in order, and the distinct words."""
    listed = texts.tolist()
    tokens = np.array(" ".join(listed).split(), dtype=object)
    lengths = [text.count(" ") + 1 if text else 0 for text in listed]
    number, words = pd.factorize(tokens)
    return np.repeat(np.arange(len(listed)), lengths), number, words


def _word_runs(
    row: Ints, number: Ints, words: npt.NDArray[np.object_], longest: int, n: int
) -> Block:
    """Count the runs of 1 to `longest` words.

    A run is the run before it and one word more, so its number follows from two
    numbers and only distinct runs are ever spelt out.
    """
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
    return _plain(np.concatenate(rows), np.concatenate(numbers), index, n)


def _word_pieces(
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
    items = _counted(word, piece, (len(words), len(names)))
    rows = _counted(row, number, (n, len(words)))
    return Block(rows, items, pd.Index(names, dtype=str))


def _pieces(word: str, shortest: int, longest: int) -> list[str]:
    """Cut a word as scikit-learn's ``char_wb`` does: a short word counts once."""
    padded = f" {word} "
    length = len(padded)
    sizes = range(min(shortest, length), min(longest, length) + 1)
    return [padded[i : i + size] for size in sizes for i in range(length - size + 1)]


def _plain(row: Ints, number: Ints, names: pd.Index, n: int) -> Block:
    rows = _counted(row, number, (n, len(names)))
    return Block(rows, sparse.eye_array(len(names), format="csr"), names)


def _counted(row: Ints, column: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    # scikit-learn's solvers take 32-bit indices only.
    place = (row.astype(np.int32), column.astype(np.int32))
    return sparse.csr_array((np.ones(len(row)), place), shape=shape)


def _clusters(groups: pd.Series | None, n: int) -> Ints:
    """Return a number per cluster; a row without one is a cluster of its own."""
    if groups is None:
        return np.arange(n)
    number, known = pd.factorize(groups)
    alone = number < 0
    number[alone] = len(known) + np.arange(alone.sum())
    return np.asarray(number, dtype=np.int64)


def _users(counts: sparse.csr_array, cluster: Ints) -> Ints:
    """Return how many clusters use each term."""
    shape = (int(cluster.max(initial=-1)) + 1, len(cluster))
    member = _counted(cluster, np.arange(len(cluster)), shape)
    return np.asarray((member @ counts).count_nonzero(axis=0))
