"""Which values stand twice in a column that is too long for memory.

Each value is kept as two hashes of 64 bits and a number, in one of many files by its
hash; equal values meet in the same file, and one file is in memory at a time. That two
different values of a billion share both hashes has a chance of one in 10**20.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import pandas as pd

__all__ = ["SeenTwice", "hashed"]

_FILES: Final = 64
_KEYS: Final = ("mlstats-values-1", "mlstats-values-2")  # pandas asks for 16 bytes
_ROW: Final = np.dtype([("one", "<u8"), ("two", "<u8"), ("number", "<i8")])


def hashed(values: pd.Series) -> np.ndarray:
    """Return two hashes of each value.

    Returns
    -------
    numpy.ndarray of uint64, shape (n, 2)
    """
    texts = values.astype("str").to_numpy(dtype=object)
    return np.column_stack(
        [pd.util.hash_array(texts, hash_key=key, categorize=False) for key in _KEYS]
    )


class SeenTwice:
    """Hashes on the disk, until it is asked which stand twice.

    Parameters
    ----------
    folder : pathlib.Path
        Where a folder of its own is made, and removed at the end.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=".seen-", dir=folder))

    def __enter__(self) -> SeenTwice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, hashes: np.ndarray, numbers: np.ndarray) -> None:
        """Keep hashes and the number of each value, such as its row.

        Parameters
        ----------
        hashes : numpy.ndarray of uint64, shape (n, 2)
            From :func:`hashed`.
        numbers : numpy.ndarray of int, shape (n,)
            Told of those that stand twice.
        """
        rows = np.empty(len(hashes), dtype=_ROW)
        rows["one"], rows["two"] = hashes[:, 0], hashes[:, 1]
        rows["number"] = numbers
        place = rows["one"] % np.uint64(_FILES)
        order = np.argsort(place, kind="stable")
        ends = np.searchsorted(place[order], np.arange(_FILES + 1))
        for k in range(_FILES):
            part = rows[order[ends[k] : ends[k + 1]]]
            if len(part):
                with (self._folder / f"{k:02d}").open("ab") as file:
                    part.tofile(file)

    def again(self) -> np.ndarray:
        """Return the numbers of the values that an earlier one is equal to, sorted."""
        found = [np.zeros(0, dtype=np.int64)]
        for path in sorted(self._folder.iterdir()):
            rows = np.fromfile(path, dtype=_ROW)
            rows = rows[np.lexsort((rows["number"], rows["two"], rows["one"]))]
            same = (rows["one"][1:] == rows["one"][:-1]) & (
                rows["two"][1:] == rows["two"][:-1]
            )
            found.append(rows["number"][1:][same])
        return np.sort(np.concatenate(found))
