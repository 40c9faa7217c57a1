"""Texts that no code can be given to, as an outcome of their own.

Empty texts, "same as above", answers that name no occupation: they are told apart
before any method sees them, and never guessed at. Codes that stand for "not codable",
such as the technical codes of a diary, say the same by another way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mlstats import io
from mlstats.coding.text import normalise
from mlstats.errors import ConfigError, nearest

__all__ = ["UncodableTexts", "has_uncodable_code"]


class UncodableTexts:
    """A list of texts that cannot be coded; blank texts are always among them.

    Parameters
    ----------
    texts : pandas.Series
        In any spelling; they are compared as
        :func:`mlstats.coding.text.normalise` writes them.
    """

    def __init__(self, texts: pd.Series) -> None:
        self._texts = frozenset(normalise(texts.dropna()))

    @classmethod
    def read(cls, path: Path, column: str = "text") -> UncodableTexts:
        """Read the list from a column of a table.

        Raises
        ------
        ConfigError
            Where the table has no such column.
        """
        frame = io.read_table(path, text_columns={column}).frame
        if column not in frame:
            raise ConfigError(
                f"The list of uncodable texts has no column {column!r}",
                where=str(path),
                expected=column,
                nearest=nearest(column, map(str, frame.columns)),
            )
        return cls(frame[column])

    def hits(self, texts: pd.Series) -> np.ndarray:
        """Return which texts are blank or in the list.

        Returns
        -------
        numpy.ndarray of bool, shape (n,)
        """
        clean = normalise(texts)
        return (clean.eq("") | clean.isin(self._texts)).to_numpy(dtype=bool)


def has_uncodable_code(codes: np.ndarray, uncodable: tuple[str, ...]) -> np.ndarray:
    """Return which codes stand for "not codable": they begin with one of those named.

    Examples
    --------
    >>> codes = np.array(["98.1", "01.1", None], dtype=object)
    >>> has_uncodable_code(codes, ("98.", "99.")).tolist()
    [True, False, False]
    """
    return np.array(
        [code is not None and str(code).startswith(uncodable) for code in codes],
        dtype=bool,
    )
