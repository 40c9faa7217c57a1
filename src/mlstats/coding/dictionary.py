"""The dictionary of the traditional methods, and what matching against it shares.

The dictionary is a coding index (a file that experts keep), the coded training rows,
or both together. It holds what respondents wrote, so a fitted match is confidential
and stays in the confidential store.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mlstats.coding.text import normalise
from mlstats.errors import ConfigError, MethodError, SourceError, nearest
from mlstats.io import read_table, write_json, write_parquet

__all__ = ["DictionaryMatch", "Floats", "Ints", "Objects", "Strings", "read_index"]

Objects = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]

_DICTIONARY = "dictionary.parquet"
_PARAMETERS = "matching.json"


class DictionaryMatch(BaseEstimator, ABC):  # type: ignore[misc]  # sklearn is untyped
    """What the matches share: the dictionary, the answers and the files.

    A subclass says in which form texts are compared, what it derives from the
    dictionary, which codes a text gets, and how that is called.

    Attributes
    ----------
    entries_ : DataFrame
        A row per phrase and code, in order of preference: phrase, code, frequency
        (rows, or the index's own count), share of the code in the phrase.
    classes_ : ndarray of object
        The codes of the dictionary, sorted.
    """

    kind_of_work: ClassVar[str] = "predict"
    confidential: ClassVar[bool] = True

    index: str | Path | None
    training: bool

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
            Not used.

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
        tables = []
        if self.index is not None:
            listed = read_index(self.index)
            phrases = self._phrase(listed["text"])
            tables.append(listed.assign(phrase=phrases).drop(columns="text"))
        if self.training:
            if y is None:
                raise MethodError("The training rows have no codes", hint="pass y")
            coded = pd.DataFrame({"phrase": self._phrase(_texts(X)).to_numpy()})
            codes = np.asarray(y, dtype=object)
            tables.append(coded.assign(code=codes, frequency=1.0))
        self._learn(_counted(pd.concat(tables, ignore_index=True)))
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
        number, distinct = pd.factorize(normalise(_texts(X)))
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
        number, distinct = pd.factorize(normalise(_texts(X)))
        return self._outcomes(pd.Series(distinct, dtype=str))[number]

    def save(self, folder: Path) -> None:
        """Write the dictionary (Parquet) and the parameters (JSON) to a folder."""
        check_is_fitted(self, "entries_")
        parameters = self.get_params(deep=False)
        if self.index is not None:
            parameters["index"] = str(self.index)
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
        match._learn(entries)
        return match

    def _learn(self, entries: pd.DataFrame) -> None:
        if entries.empty:
            raise MethodError(
                "The dictionary has no entry with a word and a code",
                expected="a coding index, or training rows with text and code",
            )
        self.entries_ = entries
        self.classes_ = np.array(sorted(set(entries["code"])), dtype=object)
        self._prepare(entries)

    def _check_parameters(self) -> None:
        if self.index is None and not self.training:
            raise ConfigError(
                f"{type(self).__name__} has no dictionary",
                expected="index: a file with the columns text and code, "
                "or training: true",
            )

    @abstractmethod
    def _phrase(self, texts: pd.Series) -> pd.Series:
        """Return the form in which texts are compared, empty where there is none."""

    @abstractmethod
    def _prepare(self, entries: pd.DataFrame) -> None:
        """Derive from the dictionary what answers need."""

    @abstractmethod
    def _candidates(self, normalised: pd.Series, k: int) -> tuple[Objects, Floats]:
        """Answer :meth:`predict_top` for distinct normalised texts."""

    @abstractmethod
    def _outcomes(self, normalised: pd.Series) -> Strings:
        """Answer :meth:`outcome` for distinct normalised texts."""


def read_index(path: str | Path) -> pd.DataFrame:
    """Read a coding index.

    Parameters
    ----------
    path : path
        A table with the columns ``text`` and ``code``; ``frequency`` is optional, a
        positive number, 1 where it is missing.

    Returns
    -------
    DataFrame
        Columns text, code, frequency.

    Raises
    ------
    SourceError
        If it cannot be read, lacks a column, or has a frequency that is none.
    """
    table = read_table(path, text_columns=("text", "code"))
    frame = table.frame
    for name in ("text", "code"):
        if name not in frame:
            raise SourceError(
                f"The coding index has no column {name!r}",
                where=table.source,
                expected="the columns text and code, and frequency where there is one",
                nearest=nearest(name, frame.columns),
            )
    frequency = pd.Series(1.0, index=frame.index)
    if "frequency" in frame:
        given = pd.to_numeric(frame["frequency"], errors="coerce")
        bad = frame["frequency"].notna() & ~(given > 0)
        if bad.any():
            raise SourceError(
                f"The frequency is no positive number in {bad.sum()} rows",
                where=f"{table.source}, first in row {int(bad.argmax()) + 1}",
                expected="a number above 0, or nothing",
            )
        frequency = given.fillna(1.0)
    return pd.DataFrame(
        {"text": frame["text"], "code": frame["code"], "frequency": frequency}
    )


def _counted(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the rows of each phrase and code, in order of preference.

    Of the codes of one phrase the one with the larger share comes first, then the
    one with more rows in the whole dictionary, then the lower code.
    """
    rows = rows[(rows["phrase"] != "") & rows["code"].notna() & (rows["code"] != "")]
    entries = rows.groupby(["phrase", "code"], as_index=False)["frequency"].sum()
    of_phrase = entries.groupby("phrase")["frequency"].transform("sum")
    of_code = entries.groupby("code")["frequency"].transform("sum")
    entries = entries.assign(share=entries["frequency"] / of_phrase, rows=of_code)
    preferred: pd.DataFrame = entries.sort_values(
        ["share", "rows", "code", "phrase"],
        ascending=[False, False, True, True],
        ignore_index=True,
    )
    del preferred["rows"]
    return preferred


def _texts(X: pd.DataFrame) -> pd.Series:
    if "text" not in X:
        columns = [str(name) for name in X.columns]
        raise MethodError(
            "The data have no column 'text'",
            expected="the texts to be coded in the column 'text'",
            nearest=nearest("text", columns),
        )
    return X["text"]
