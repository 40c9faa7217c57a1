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
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from mlstats.coding.covariates import Covariates
from mlstats.coding.runs import KnownText
from mlstats.coding.terms import (
    Block,
    Ints,
    counted,
    in_order,
    plain,
    split_words,
    word_pieces,
    word_runs,
)
from mlstats.errors import ConfigError
from mlstats.method import distinct_rows

__all__ = ["TermCounts", "TextFeatures"]

Floats = npt.NDArray[np.float64]


class TermCounts(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Count the terms of texts.

    Parameters
    ----------
    word_ngrams : int, default=2
        Longest run of words that is a term. 0 for a script without blanks between
        words (Japanese, Chinese, Thai): characters alone, cut from each stretch
        between two punctuation marks.
    min_characters, max_characters : int, default=2 and 5
        Lengths of the character n-grams, the blanks around a word included.
    covariates : {"tokens", "ignore"}, default="tokens"
        Whether each value of each column beside ``text`` is a term too, and each
        band of a numeric column; see :class:`~mlstats.coding.covariates.Covariates`.
    bands : int, default=10
        Number of bands, with equally many training rows, of a numeric column that
        has more values than this.
    min_units : int, default=2
        A term used by fewer units, or clusters, is left out.

    Attributes
    ----------
    names_ : dict of str to Index
        The terms by kind: words, characters, covariates.
    frequency_ : dict of str to ndarray
        Number of training rows that have each term.
    covariates_ : Covariates
        Columns, and limits of the bands.
    """

    def __init__(
        self,
        *,
        word_ngrams: int = 2,
        min_characters: int = 2,
        max_characters: int = 5,
        covariates: str = "tokens",
        bands: int = 10,
        min_units: int = 2,
    ) -> None:
        self.word_ngrams = word_ngrams
        self.min_characters = min_characters
        self.max_characters = max_characters
        self.covariates = covariates
        self.bands = bands
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
        self.covariates_ = Covariates.fit(X, self.covariates, self.bands)
        distinct, place = distinct_rows(X[["text", *self.covariates_.columns]])
        users = _Users(place, len(distinct), groups)
        self.names_, self.frequency_ = {}, {}
        for kind, block in self._all_terms(distinct):
            counts = block.counts
            kept = np.flatnonzero(users.of(counts) >= self.min_units)
            kept = kept[np.argsort(block.names[kept], kind="stable")]
            self.names_[kind] = block.names[kept]
            self.frequency_[kind] = users.rows(counts)[kept]
        self._known = KnownText(self.names_["characters"], self.names_["words"])
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
        row, number, words = split_words(X["text"])
        in_row, run = self._known.word_runs(row, number, words)
        in_word, piece = self._known.pieces(words)
        items = counted(in_word, piece, (len(words), len(self.names_["characters"])))
        of_words = in_order(row, number, (len(X), len(words)))
        there, value, names = self.covariates_.values(X)
        covariates = plain(there, value, names, len(X))
        return {
            "words": plain(in_row, run, self.names_["words"], len(X)),
            "characters": Block(of_words, items, self.names_["characters"]),
            "covariates": covariates.restricted(self.names_["covariates"]),
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
            "covariates": self.covariates_.to_dict(),
            "names": {kind: names.tolist() for kind, names in self.names_.items()},
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Make what :meth:`to_dict` described."""
        counts = cls(**state["parameters"])
        counts.covariates_ = Covariates(**state["covariates"])
        counts.names_ = {k: pd.Index(v, dtype=str) for k, v in state["names"].items()}
        counts._known = KnownText(counts.names_["characters"], counts.names_["words"])
        return counts

    def _all_terms(self, X: pd.DataFrame) -> Iterator[tuple[str, Block]]:
        """Count every term, kind by kind, known or not."""
        row, number, words = split_words(X["text"])
        yield "words", word_runs(row, number, words, self.word_ngrams, len(X))
        size = (self.min_characters, self.max_characters)
        yield "characters", word_pieces(row, number, words, size, len(X))
        there, value, names = self.covariates_.values(X)
        yield "covariates", plain(there, value, names, len(X))

    def _check_parameters(self) -> None:
        least = {"word_ngrams": 0, "min_characters": 1, "bands": 2, "min_units": 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}",
                    expected=f"a number from {smallest} on",
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
    `character_weight`. A covariate's value is 0 or `covariate_weight`. Without
    covariates the result is scikit-learn's ``FeatureUnion`` of two
    ``TfidfVectorizer`` (``char_wb`` for the characters) with the same vocabulary.

    Parameters
    ----------
    character_weight : float, default=2.0
        Length of the characters' block beside the words' length of 1.
    covariate_weight : float, default=1.0
        Value of a covariate's term beside the words' length of 1.
    sublinear : bool, default=False
        Whether a term that a text has c times counts 1 + ln c; for long texts.
    **parameters
        As in :class:`TermCounts`.

    Attributes
    ----------
    idf_ : dict of str to ndarray
        Weight of each term of ``names_``.
    """

    def __init__(
        self,
        *,
        word_ngrams: int = 2,
        min_characters: int = 2,
        max_characters: int = 5,
        character_weight: float = 2.0,
        covariate_weight: float = 1.0,
        sublinear: bool = False,
        covariates: str = "tokens",
        bands: int = 10,
        min_units: int = 2,
    ) -> None:
        super().__init__(
            word_ngrams=word_ngrams,
            min_characters=min_characters,
            max_characters=max_characters,
            covariates=covariates,
            bands=bands,
            min_units=min_units,
        )
        self.character_weight = character_weight
        self.covariate_weight = covariate_weight
        self.sublinear = sublinear

    def fit(
        self, X: pd.DataFrame, y: object = None, groups: pd.Series | None = None
    ) -> Self:
        """Choose the vocabulary and weigh it; as :meth:`TermCounts.fit`."""
        super().fit(X, y, groups)
        self.idf_ = {
            kind: np.log((1 + len(X)) / (1 + frequency)) + 1
            for kind, frequency in self.frequency_.items()
        }
        self.idf_["covariates"][:] = self.covariate_weight
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
        if self.sublinear and kind != "covariates":
            counts = block.counts
            counts.data = 1 + np.log(counts.data)
            block = Block(
                counts, sparse.eye_array(counts.shape[1], format="csr"), block.names
            )
        items = block.items @ sparse.diags_array(self.idf_[kind])
        if kind == "covariates":
            return Block(block.rows, items, block.names)
        values = block.rows @ items
        length = np.sqrt((values * values).sum(axis=1))
        weight = self.character_weight if kind == "characters" else 1.0
        scale = np.divide(weight, length, out=np.zeros(len(length)), where=length > 0)
        return Block(sparse.diags_array(scale) @ block.rows, items, block.names)


class _Users:
    """Who has a term: rows and clusters, counted on the distinct rows."""

    def __init__(self, place: Ints, distinct: int, groups: pd.Series | None) -> None:
        number = np.full(len(place), -1)
        if groups is not None:
            number = np.asarray(pd.factorize(groups)[0])
        self._repeats = np.bincount(place, minlength=distinct).astype(float)
        alone = number < 0  # a row without a cluster is one of its own
        self._alone = np.bincount(place[alone], minlength=distinct).astype(float)
        shape = (int(number.max(initial=-1)) + 1, distinct)
        self._member = counted(number[~alone], place[~alone], shape)

    def rows(self, counts: sparse.csr_array) -> Floats:
        """Return how many rows have each term."""
        found: Floats = self._repeats @ (counts > 0)
        return found

    def of(self, counts: sparse.csr_array) -> Floats:
        """Return how many clusters have each term."""
        clusters = (self._member @ counts).count_nonzero(axis=0)
        found: Floats = self._alone @ (counts > 0) + clusters
        return found
