"""The entries of a dictionary: a coding index, coded rows, or both merged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlstats.errors import SourceError, nearest
from mlstats.io import read_table

__all__ = ["merged_entries", "read_index"]


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


def merged_entries(
    listed: pd.DataFrame | None,
    coded: pd.DataFrame | None,
    *,
    index_first: bool = False,
    least_units: int = 1,
) -> pd.DataFrame:
    """Merge a coding index and coded rows to a row per phrase and code.

    Of the codes of one phrase the one with the larger share comes first, then the
    one with more rows in the whole dictionary, then the lower code.

    Parameters
    ----------
    listed, coded : DataFrame, optional
        Columns phrase, code, frequency, of the index and of the coded rows; rows
        without a phrase or a code are passed over. Column unit of the coded rows
        tells whose they are; without it every row is a unit.
    index_first : bool
        Whether a phrase of the index has the codes of the index only.
    least_units : int
        Units that an entry needs which the index does not have.

    Returns
    -------
    DataFrame
        Columns phrase, code, frequency, share, listed, units, in order of
        preference.

    Examples
    --------
    >>> index = pd.DataFrame({"phrase": ["milk"], "code": ["1"], "frequency": [1.0]})
    >>> rows = pd.DataFrame({"phrase": ["milk"] * 3, "code": ["2", "2", "1"]})
    >>> merged = merged_entries(index, rows.assign(frequency=1.0))
    >>> merged[["code", "frequency", "listed", "units"]].to_numpy().tolist()
    [['1', 2.0, True, 1], ['2', 2.0, False, 2]]
    """
    tables = []
    for frame, from_index in ((listed, True), (coded, False)):
        if frame is not None:
            unit = frame.get("unit", range(len(frame)))
            tables.append(
                frame.assign(listed=from_index, unit=None if from_index else unit)
            )
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[(rows["phrase"] != "") & rows["code"].notna() & (rows["code"] != "")]
    entries = rows.groupby(["phrase", "code"], as_index=False).agg(
        frequency=("frequency", "sum"),
        listed=("listed", "any"),
        units=("unit", "nunique"),
    )
    kept = entries["listed"] | (entries["units"] >= least_units)
    if index_first:
        in_index = entries["phrase"].isin(entries.loc[entries["listed"], "phrase"])
        kept &= entries["listed"] | ~in_index
    entries = entries[kept]
    of_phrase = entries.groupby("phrase")["frequency"].transform("sum")
    of_code = entries.groupby("code")["frequency"].transform("sum")
    entries = entries.assign(share=entries["frequency"] / of_phrase, rows=of_code)
    preferred: pd.DataFrame = entries.sort_values(
        ["share", "rows", "code", "phrase"],
        ascending=[False, False, True, True],
        ignore_index=True,
    )
    return preferred[["phrase", "code", "frequency", "share", "listed", "units"]]
