"""A table that was read: its records, where they came from, what was inferred."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pandas as pd

from mlstats.errors import SourceError, nearest
from mlstats.workbook import text_of

__all__ = ["Table", "as_text", "check_has_columns", "column_names", "finish_table"]


@dataclass(frozen=True, eq=False)
class Table:
    """A table that was read, and what the reader inferred.

    Attributes
    ----------
    frame : pandas.DataFrame
        The records, one a row, numbered from 0.
    source : str
        The path or database it came from, never with a password.
    format : str
        The suffix of the file without its dot, or ``sql``.
    digest : str
        SHA-256 in hex of the file's bytes; for SQL of the records as JSON lines,
        sorted, so that the order of an unordered query does not count.
    notes : list of str
        What was inferred or changed, one sentence each.
    """

    frame: pd.DataFrame
    source: str
    format: str
    digest: str
    notes: list[str] = field(default_factory=list)


def finish_table(
    table: Table,
    *,
    text_columns: Collection[str] = (),
    columns: Collection[str] | None = None,
    rows: int | None = None,
) -> Table:
    """Check a table's names and rows, and bring its columns to plain types.

    Text columns that came typed become text (111.0 is the code 111), decimal
    objects become floats. The parameters are those of
    :func:`mlstats.io.read_table`.

    Raises
    ------
    SourceError
        For no rows, for names that occur twice, for columns that are not there.
    """
    notes = list(table.notes)
    names = column_names([str(n) for n in table.frame.columns], table.source, notes)
    frame = table.frame.set_axis(pd.Index(names, dtype="str"), axis="columns")
    if columns is not None:
        check_has_columns(list(frame.columns), columns, table.source)
        frame = frame[list(columns)]
    if frame.empty:
        raise SourceError(
            "The table has column names but no rows",
            where=table.source,
            expected="one row or more",
            hint="check that the export, or the period asked for, has records",
        )
    frame = frame.reset_index(drop=True)
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.infer_dtype(values) == "decimal":
            frame[name] = values.astype("float64")
        if name in text_columns and not pd.api.types.is_string_dtype(values):
            frame[name] = as_text(values)
            notes.append(f"Column {name}: {values.count()} typed values became text.")
    frame = frame if rows is None else frame.head(rows)
    return Table(frame, table.source, table.format, table.digest, notes)


def as_text(values: pd.Series) -> pd.Series:
    """Return a typed column as texts, by :func:`mlstats.workbook.text_of`.

    Examples
    --------
    >>> as_text(pd.Series([111.0, None])).tolist()
    ['111', nan]
    """
    objects = values.astype("object")
    texts = {value: text_of(value) for value in objects.dropna().unique()}
    return objects.map(texts).astype("str")


def column_names(stored: Sequence[str], where: str, notes: list[str]) -> list[str]:
    """Return what the columns are called; one without a name gets one, and a note.

    Raises
    ------
    SourceError
        For a name that occurs twice.
    """
    names = list(stored)
    blank = [i for i, name in enumerate(names) if not name.strip()]
    for i in blank:
        names[i] = f"column_{i + 1}"
        notes.append(f"Column {i + 1} has no name and is called {names[i]}.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(
            f"The column name {twice[0]!r} occurs {names.count(twice[0])} times",
            where=f"{where}:1",
            expected="column names that differ",
            hint="rename one of the columns in the source",
        )
    return names


def check_has_columns(names: list[str], wanted: Collection[str], where: str) -> None:
    """Raise SourceError for a wanted column that is not there, with the nearest."""
    for name in wanted:
        if name not in names:
            raise SourceError(
                f"There is no column {name!r}",
                where=where,
                expected=f"one of {', '.join(names)}",
                nearest=nearest(name, names),
            )
