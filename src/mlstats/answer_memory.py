"""Answers that a worker remembers, so that a text of many parts is coded once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.method import predict_top
from mlstats.seen_twice import hashed

__all__ = ["LIMIT", "AnswerMemory"]

LIMIT: Final = 500_000  # rows; with five candidates some 60 MB
# Looking up costs a tenth of what the fastest method does: below this share of known
# rows in as many parts it does not pay.
_PAYS: Final = 0.1
_TRIED: Final = 3


class AnswerMemory:
    """What one method has answered, of the rows that a worker has seen.

    It is kept only of a method that says ``same_in_any_block = True``: whose answer to
    a row has the same bits whatever rows are asked beside it. Of any other method the
    result would depend on which worker has seen which part.

    Rows are known by 128 bits of their content, see
    :func:`mlstats.seen_twice.hashed`. Where parts have few rows in common, the memory
    is given up.

    Parameters
    ----------
    method : PredictMethod
        Fitted.
    candidates : int
        How many codes are asked for.
    limit : int
        Rows at most that are remembered; the first ones are.
    """

    def __init__(self, method: Any, candidates: int, limit: int = LIMIT) -> None:
        self._method = method
        self._candidates = candidates
        self._limit = limit
        self._looked = 0
        self._pays = bool(getattr(method, "same_in_any_block", False))
        self._forget()

    def _forget(self) -> None:
        self._first = pd.Index([], dtype="uint64")
        self._second = np.zeros(0, dtype=np.uint64)
        self._codes = np.empty((0, self._candidates), dtype=object)
        self._scores = np.empty((0, self._candidates))

    def __len__(self) -> int:
        return len(self._first)

    def answer(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes and scores of rows; only new ones are asked for.

        Parameters
        ----------
        rows : pandas.DataFrame
            The inputs of the method.

        Returns
        -------
        codes : numpy.ndarray of object, shape (n, candidates)
        scores : numpy.ndarray of float, shape (n, candidates)
            As :func:`mlstats.method.predict_top` gives them.
        """
        if not self._pays:
            return predict_top(self._method, rows, self._candidates)
        keys = _keys(rows)
        place = self._places(keys)
        known = place >= 0
        new = np.flatnonzero(~known)
        asked = predict_top(self._method, rows.iloc[new], self._candidates)
        codes = np.empty((len(rows), self._candidates), dtype=object)
        scores = np.empty((len(rows), self._candidates))
        codes[new], scores[new] = asked
        codes[known], scores[known] = (
            self._codes[place[known]],
            self._scores[place[known]],
        )
        self._remember(keys[new], *asked)
        self._judge(known)
        return codes, scores

    def _places(self, keys: np.ndarray) -> np.ndarray:
        place = self._first.get_indexer(pd.Index(keys[:, 0]))
        known = np.flatnonzero(place >= 0)
        other = self._second[place[known]] != keys[known, 1]
        place[known[other]] = -1
        return place

    def _remember(
        self, keys: np.ndarray, codes: np.ndarray, scores: np.ndarray
    ) -> None:
        # A place is found by the first half of a key, which therefore stands once.
        first = pd.Index(keys[:, 0])
        own = ~first.duplicated() & (self._first.get_indexer(first) < 0)
        kept = np.flatnonzero(own)[: self._limit - len(self)]
        if not len(kept):
            return
        self._first = self._first.append(first[kept])
        self._second = np.concatenate([self._second, keys[kept, 1]])
        self._codes = np.concatenate([self._codes, codes[kept]])
        self._scores = np.concatenate([self._scores, scores[kept]])

    def _judge(self, known: np.ndarray) -> None:
        """Give the memory up where parts after the first hold little that is known."""
        self._looked += 1
        if self._looked >= _TRIED and known.mean() < _PAYS:
            self._pays = False
            self._forget()


def _keys(rows: pd.DataFrame) -> np.ndarray:
    """Return 128 bits of each row, of all its columns, shape (n, 2)."""
    keys = np.zeros((len(rows), 2), dtype=np.uint64)
    for name in rows.columns:
        column = rows[name]
        blank = column.isna().to_numpy()[:, None].astype(np.uint64)
        keys = keys * np.uint64(1_000_003) + hashed(column) + blank
    return keys
