"""The dictionary of the traditional methods, and what matching against it shares.

The dictionary is a coding index (a file that experts keep), the coded training rows,
or both together, which is the best traditional dictionary in the literature (Schierholz
and Schonlau 2021). It holds what respondents wrote, so a fitted match is confidential
and stays in the confidential store.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mlstats.coding.entries import merged_entries, read_index
from mlstats.coding.language import make_parser
from mlstats.coding.text import normalise
from mlstats.errors import ConfigError, MethodError, SourceError, nearest
from mlstats.io import write_json, write_parquet

__all__ = ["DictionaryMatch", "Floats", "Ints", "Objects", "Strings", "read_index"]

Objects = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]

_DICTIONARY = "dictionary.parquet"
_PARAMETERS = "matching.json"
_PRIORITIES = ("counts", "index")


class DictionaryMatch(BaseEstimator, ABC):  # type: ignore[misc]  # sklearn is untyped
    """What the matches share: the dictionary, the answers and the files.

    A subclass says in which form texts are compared, what it derives from the
    dictionary, which codes a text gets, and how that is called.

    Parameters
    ----------
    index : path, optional
        Coding index with the columns text and code, and frequency where there is
        one; by default the dictionary is made of the training rows alone.
    training : bool
        Whether the coded training rows enter the dictionary.
    parser : path or mapping, optional
        Steps that make texts comparable, a file of
        :class:`mlstats.coding.language.Language`; by default texts are normalised
        and no more.
    index_weight : float
        Training rows that one count of the index is worth where both are merged.
    priority : {"counts", "index"}
        Which codes a phrase has that stands in the index and in the training rows:
        all, by their counts, or those of the index alone.
    entry_units : int
        Units (`groups` of the training rows, else the rows) that an entry needs which
        the index does not have.

    Attributes
    ----------
    entries_ : DataFrame
        A row per phrase and code, in order of preference: phrase, code, frequency
        (rows, and the index's own count), share of the code in the phrase, listed
        (whether the index has it), units (of the training rows).
    parser_ : Language or None
        The parser as it was read.
    classes_ : ndarray of object
        The codes of the dictionary, sorted.
    """

    kind_of_work: ClassVar[str] = "predict"
    confidential: ClassVar[bool] = True

    index: str | Path | None
    training: bool
    parser: str | Path | Mapping[str, Any] | None
    index_weight: float
    priority: str
    entry_units: int

    def fit(
        self, X: pd.DataFrame, y: Any = None, groups: pd.Series | None = None
    ) -> Self:
        """Make the dictionary from the index and the coded rows.

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Column ``text``; other columns are not looked at.
        y : Series of str, shape (n,), optional
            Codes; rows without a code or without a word are passed over. Needed
            where `training` is set.
        groups : Series, optional
            Unit of each row, such as the household; they are counted for
            `entry_units`.

        Raises
        ------
        ConfigError
            If a parameter does not fit, or there is neither index nor training.
        SourceError
            If the index cannot be read.
        MethodError
            If no entry is left.
        """
        self._check_parameters()
        self.parser_ = make_parser(self.parser)
        listed = coded = None
        if self.index is not None:
            listed = read_index(self.index)
            listed["phrase"] = self._phrase(self._comparable(listed.pop("text")))
            listed["frequency"] *= self.index_weight
        if self.training:
            if y is None:
                raise MethodError("The training rows have no codes", hint="pass y")
            phrases = self._phrase(self._comparable(_texts(X))).to_numpy()
            codes = np.asarray(y, dtype=object)
            coded = pd.DataFrame({"phrase": phrases, "code": codes, "frequency": 1.0})
            if groups is not None:
                coded["unit"] = np.asarray(groups)
        self._learn(
            merged_entries(
                listed,
                coded,
                index_first=self.priority == "index",
                least_units=self.entry_units,
            )
        )
        return self

    def predict(self, X: pd.DataFrame) -> Objects:
        """Return the best code of each row, None where there is none.

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Column ``text``.

        Returns
        -------
        ndarray of object, shape (n,)
        """
        return self.predict_top(X, k=1)[0][:, 0]

    def predict_top(self, X: pd.DataFrame, k: int = 5) -> tuple[Objects, Floats]:
        """Return the best codes of each row, worked out once per distinct text.

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Column ``text``.
        k : int, default=5
            Number of candidates.

        Returns
        -------
        codes : ndarray of object, shape (n, k)
            Best first, no code twice; None where there is no candidate.
        scores : ndarray of float, shape (n, k)
            Confidence in [0, 1]; 0 where there is no candidate.
        """
        check_is_fitted(self, "entries_")
        number, distinct = pd.factorize(self._comparable(_texts(X)))
        codes, scores = self._candidates(pd.Series(distinct, dtype=str), k)
        return codes[number], scores[number]

    def outcome(self, X: pd.DataFrame) -> Strings:
        """Return how each row was matched; the class names the outcomes.

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Column ``text``.

        Returns
        -------
        ndarray of str, shape (n,)
        """
        check_is_fitted(self, "entries_")
        number, distinct = pd.factorize(self._comparable(_texts(X)))
        return self._outcomes(pd.Series(distinct, dtype=str))[number]

    def explain(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return why each row got its code, for the clerk who looks at it.

        Parameters
        ----------
        X : DataFrame, shape (n, ...)
            Column ``text``.

        Returns
        -------
        DataFrame
            With the index of `X`: code, score, outcome, entry (row of
            :attr:`entries_`, -1 for none) and reason, a sentence. The reason quotes
            an entry of the coding index; an entry that comes from training rows is
            confidential and told by its number and its count of rows.
        """
        check_is_fitted(self, "entries_")
        number, distinct = pd.factorize(self._comparable(_texts(X)))
        texts = pd.Series(distinct, dtype=str)
        codes, scores = self._candidates(texts, 1)
        evidence, strength = self._evidence(texts, 2)
        told = pd.DataFrame(
            {
                "code": pd.Series(codes[:, 0], dtype=object),  # None stays None
                "score": scores[:, 0],
                "outcome": self._outcomes(texts),
                "entry": evidence[:, 0],
                "reason": self._reasons(evidence, strength),
            }
        )
        return told.iloc[number].set_axis(X.index)

    def save(self, folder: Path) -> None:
        """Write the dictionary (Parquet) and the parameters (JSON) to a folder."""
        check_is_fitted(self, "entries_")
        parameters = self.get_params(deep=False)
        if self.index is not None:
            parameters["index"] = str(self.index)
        if self.parser_ is not None:  # the file may change, the saved match must not
            parameters["parser"] = self.parser_.model_dump(exclude_unset=True)
        about = {"class": type(self).__name__, "parameters": parameters}
        write_parquet(Path(folder) / _DICTIONARY, self.entries_)
        write_json(Path(folder) / _PARAMETERS, about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        SourceError
            If the folder does not hold a saved match of this class.
        """
        try:
            written = (Path(folder) / _PARAMETERS).read_text(encoding="utf-8")
            about = json.loads(written)
            entries = pd.read_parquet(Path(folder) / _DICTIONARY)
        except (OSError, ValueError) as error:
            raise SourceError(
                "The saved match cannot be read",
                where=str(folder),
                expected=f"the files {_PARAMETERS} and {_DICTIONARY}",
            ) from error
        if about["class"] != cls.__name__:
            raise SourceError(
                f"The folder holds a saved {about['class']}",
                where=str(folder),
                expected=cls.__name__,
            )
        match = cls(**about["parameters"])
        match.parser_ = make_parser(match.parser)
        match._learn(entries)
        return match

    def _learn(self, entries: pd.DataFrame) -> None:
        if entries.empty:
            raise MethodError(
                "The dictionary has no entry with a word and a code",
                expected="a coding index, or training rows with text and code",
            )
        self.entries_ = entries
        self.__dict__.pop("_told", None)
        self.classes_ = np.array(sorted(set(entries["code"])), dtype=object)
        self._prepare(entries)

    def _check_parameters(self) -> None:
        if self.index is None and not self.training:
            raise ConfigError(
                f"{type(self).__name__} has no dictionary",
                expected="index: a file with the columns text and code, "
                "or training: true",
            )
        if self.priority not in _PRIORITIES:
            raise ConfigError(
                f"priority is {self.priority!r}",
                expected=" or ".join(_PRIORITIES),
                nearest=nearest(str(self.priority), _PRIORITIES),
            )
        if not self.index_weight > 0 or not self.entry_units >= 1:
            raise ConfigError(
                "The weights of the merged dictionary do not fit",
                expected="index_weight above 0 and entry_units of 1 or more",
            )

    def _comparable(self, texts: pd.Series) -> pd.Series:
        return normalise(texts) if self.parser_ is None else self.parser_.apply(texts)

    def _reasons(self, evidence: Ints, strength: Floats) -> Objects:
        """Say in a sentence which entries speak for the best codes."""
        reasons = np.full(
            len(evidence), "no entry of the dictionary fits", dtype=object
        )
        for row, (best, second) in enumerate(evidence):
            if best >= 0:
                said = f"{self._entry_told(best)}, {self._measure(strength[row, 0])}"
                if second >= 0:
                    code = self.entries_["code"].iat[second]
                    said += f"; next {code}, {self._measure(strength[row, 1])}"
                reasons[row] = said
        return reasons

    def _entry_told(self, entry: int) -> str:
        phrase, code, listed, units = self._told[entry]
        if listed:
            return f"{code}: entry {phrase!r} of the index"
        return f"{code}: entry {entry} of the training rows ({units:,} units)"

    @cached_property
    def _told(self) -> list[tuple[str, str, bool, int]]:
        columns = self.entries_[["phrase", "code", "listed", "units"]]
        return list(columns.itertuples(index=False, name=None))

    @abstractmethod
    def _measure(self, strength: float) -> str:
        """Say how strongly an entry speaks for its code."""

    @abstractmethod
    def _phrase(self, normalised: pd.Series) -> pd.Series:
        """Return the form in which texts are compared, empty where there is none."""

    @abstractmethod
    def _prepare(self, entries: pd.DataFrame) -> None:
        """Derive from the dictionary what answers need."""

    @abstractmethod
    def _candidates(self, normalised: pd.Series, k: int) -> tuple[Objects, Floats]:
        """Answer :meth:`predict_top` for distinct normalised texts."""

    @abstractmethod
    def _evidence(self, normalised: pd.Series, k: int) -> tuple[Ints, Floats]:
        """Return the entry that speaks most for each of the k best codes, and how."""

    @abstractmethod
    def _outcomes(self, normalised: pd.Series) -> Strings:
        """Answer :meth:`outcome` for distinct normalised texts."""


def _texts(X: pd.DataFrame) -> pd.Series:
    if "text" not in X:
        columns = [str(name) for name in X.columns]
        raise MethodError(
            "The data have no column 'text'",
            expected="the texts to be coded in the column 'text'",
            nearest=nearest("text", columns),
        )
    return X["text"]
