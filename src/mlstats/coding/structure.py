"""How a table tells the structure of a classification.

Each reader returns the path of every code: its ancestors from the broadest group to
the finest level that it reaches, None at a level that it skips. Groups that are
named as ancestors only are codes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, SourceError, nearest

__all__ = [
    "Ancestry",
    "by_characters",
    "by_columns",
    "by_parents",
    "by_segments",
    "segments",
    "text_column",
]

Ancestry = tuple[str | None, ...]

_ROWS_NAMED = 5  # row numbers in an error


def text_column(frame: pd.DataFrame, name: str, *, full: bool = False) -> pd.Series:
    """Return a column of codes or titles as text, None where it is empty.

    Parameters
    ----------
    frame : DataFrame
        A table.
    name : str
        Name of the column.
    full : bool, default=False
        Whether every row must have a value.

    Returns
    -------
    Series of object
        With rows numbered from 0.

    Raises
    ------
    ConfigError
        If the table has no such column.
    SourceError
        If the column holds numbers, or an empty value against `full`.
    """
    if name not in frame:
        columns = [str(column) for column in frame.columns]
        raise ConfigError(
            f"The classification has no column {name!r}",
            expected=f"one of {', '.join(columns)}",
            nearest=nearest(name, columns),
        )
    column = frame[name].reset_index(drop=True)
    empty = (column.isna() | (column == "")).to_numpy()
    values = column.astype(object)
    values[empty] = None
    if not all(isinstance(value, str) for value in values[~empty]):
        raise SourceError(
            "A column of the classification is not text",
            where=f"column {name!r}",
            expected="text, so that leading zeros are kept",
            hint="store the column as text",
        )
    if full and empty.any():
        raise _fault("A code is missing", name, np.flatnonzero(empty))
    return values


def by_parents(codes: pd.Series, parents: pd.Series) -> dict[str, Ancestry]:
    """Follow the links to the parents; the level of a code is its depth.

    Parameters
    ----------
    codes, parents : Series of str, shape (n,)
        The parent is None at a root.

    Raises
    ------
    SourceError
        If a code has two parents, a parent is no code, or links run in a circle.
    """
    links = pd.DataFrame({"code": codes, "parent": parents}).drop_duplicates()
    twice = links["code"].duplicated().to_numpy()
    if twice.any():
        raise _fault("A code has different parents", "parent", links.index[twice])
    unknown = (
        links["parent"].notna() & ~links["parent"].isin(links["code"])
    ).to_numpy()
    if unknown.any():
        raise _fault(
            "A parent is not among the codes",
            "parent",
            links.index[unknown],
            hint="list the parent too, or name level_columns or digits instead",
        )
    parent_of = {
        code: parent if isinstance(parent, str) else None
        for code, parent in zip(links["code"], links["parent"], strict=True)
    }
    paths: dict[str, Ancestry] = {}
    for row, code in zip(links.index, parent_of, strict=True):
        climbed: dict[str, None] = {}
        group: str | None = code
        while group is not None and group not in paths:
            if group in climbed:
                raise _fault(
                    "The parent links run in a circle",
                    "parent",
                    [row],
                    hint="leave the parent of a root empty",
                )
            climbed[group] = None
            group = parent_of[group]
        path: Ancestry = paths[group] if group is not None else ()
        for below in reversed(climbed):
            path = (*path, below)
            paths[below] = path
    return paths


def by_columns(codes: pd.Series, levels: Sequence[pd.Series]) -> dict[str, Ancestry]:
    """Take the ancestors from a column per level, broadest first.

    Parameters
    ----------
    codes : Series of str, shape (n,)
        A code may stand in many rows.
    levels : sequence of Series of str, each of shape (n,)
        None where the code does not reach the level.

    Raises
    ------
    SourceError
        If a code or a group has different ancestors in different rows.
    """
    table = pd.DataFrame({"code": codes}).assign(
        **{f"level {i}": level for i, level in enumerate(levels)}
    )
    paths: dict[str, Ancestry] = {}
    groups: dict[str, Ancestry] = {}
    for row, code, *ancestors in table.drop_duplicates().itertuples(name=None):
        path = tuple(a if isinstance(a, str) else None for a in ancestors)
        while path and path[-1] is None:
            path = path[:-1]
        agree = paths.setdefault(code, path) == path
        for level, group in enumerate(path, start=1):
            # A code that fills several levels (-1 in HISCO) is no group of itself.
            if group is not None and group != code:
                agree &= groups.setdefault(group, path[:level]) == path[:level]
        if not agree:
            raise _fault("A code has different ancestors", "level_columns", [row])
    return {**groups, **paths}


def by_characters(codes: Iterable[str], digits: Sequence[int]) -> dict[str, Ancestry]:
    """Cut the ancestors from the beginning of each code.

    Parameters
    ----------
    codes : iterable of str
        Codes of any length.
    digits : sequence of int
        Number of leading characters of a code at each level, increasing.

    Raises
    ------
    ConfigError
        If the numbers do not increase from 1 or more.
    """
    if any(a >= b for a, b in zip([0, *digits], digits, strict=False)):
        raise ConfigError(
            "The digits of the levels do not increase",
            expected="numbers of characters such as [1, 2, 3, 5]",
        )
    paths = {
        code: tuple(code[:width] for width in digits if width <= len(code))
        for code in set(codes)
    }
    return _with_groups(paths)


def by_segments(codes: Iterable[str], separator: str) -> dict[str, Ancestry]:
    """Make every segment of a code a level."""
    return _with_groups({code: segments(code, separator) for code in set(codes)})


def segments(code: str, separator: str) -> tuple[str, ...]:
    """Return the code cut after each of its segments, broadest first.

    Examples
    --------
    >>> segments("01.1.4", ".")
    ('01', '01.1', '01.1.4')
    """
    parts = code.split(separator)
    return tuple(separator.join(parts[: i + 1]) for i in range(len(parts)))


def _with_groups(paths: dict[str, tuple[str, ...]]) -> dict[str, Ancestry]:
    groups = {g: path[: i + 1] for path in paths.values() for i, g in enumerate(path)}
    return {**groups, **paths}


def _fault(
    title: str, column: str, rows: Iterable[int], hint: str | None = None
) -> SourceError:
    numbers = [int(row) + 1 for row in rows]
    first = ", ".join(map(str, numbers[:_ROWS_NAMED]))
    return SourceError(
        f"{title} ({len(numbers)} rows)",
        where=f"column {column!r}, rows {first}",
        hint=hint,
    )
