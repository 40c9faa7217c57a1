"""A classification as an object: codes, titles, levels and ancestors.

The levels come from the structure itself, never from the look of a code: parent
links, named level columns, the number of characters that each level uses, or the
segments between separators. A prediction is right at level k if its ancestor at k
is the truth's; a truth that is shorter than k has none there, and its row is left
out of level k. A prediction that is shorter than k is wrong there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.coding.structure import (
    by_characters,
    by_columns,
    by_parents,
    by_segments,
    segments,
    text_column,
)
from mlstats.coding.validity import Spans, read_spans
from mlstats.errors import ConfigError, SourceError, nearest
from mlstats.io import read_table
from mlstats.period import ReferencePeriod

__all__ = ["FULL", "Classification"]

FULL = "full"
"""Name of the level that every code reaches: the code itself."""

_Strings = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Classification:
    """Codes with their titles, levels and ancestors.

    Made by :meth:`read` or :meth:`from_frame`.

    Attributes
    ----------
    codes : ndarray of str, shape (n,)
        Listed codes and the groups that they imply, sorted.
    titles : ndarray of str, shape (n,)
        Empty where the source has none.
    levels : tuple of str
        Names of the levels from the broadest to the finest, "1" to "k" unless
        configured; the level :data:`FULL` is always there beside them.
    ancestors : ndarray of object, shape (n, k)
        The ancestor of each code at each level, None where the code is shorter.
    separator : str or None
        Stands between the segments of a code; lets :meth:`extended` add codes.
    spans : mapping or None
        Code -> the times in which it exists; None where the source tells none.

    Examples
    --------
    >>> frame = pd.DataFrame({"code": ["01", "01.1", "02"], "title": ["Food", "", ""]})
    >>> coicop = Classification.from_frame(frame, parent=None, separator=".")
    >>> coicop.ancestor(["01.1", "02", None], "1").tolist()
    ['01', '02', None]
    >>> coicop.ancestor(["01.1", "02"], "2").tolist()
    ['01.1', None]
    """

    codes: _Strings
    titles: _Strings
    levels: tuple[str, ...]
    ancestors: _Strings
    separator: str | None = None
    spans: Spans | None = None

    @classmethod
    def read(cls, path: str | Path, **structure: Any) -> Classification:
        """Read the structure from a file of any kind that :mod:`mlstats.io` reads.

        Parameters
        ----------
        path : path
            A table, such as csv, csv.gz, xlsx or parquet; its columns of codes
            are read as text, so that "0111" keeps its zero.
        **structure
            As in :meth:`from_frame`.

        Raises
        ------
        ConfigError
            As :meth:`from_frame`.
        SourceError
            If the file cannot be read as a table, or is no classification.
        """
        named = {"code": "code", "title": "title", "parent": "parent", **structure}
        columns = [named["code"], named["title"], named["parent"]]
        columns += structure.get("level_columns") or []
        columns += [structure.get("valid_from"), structure.get("valid_to")]
        table = read_table(path, text_columns=[c for c in columns if c is not None])
        try:
            return cls.from_frame(table.frame, **structure)
        except SourceError as error:
            error.where = f"{table.source}: {error.where}"
            raise

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        code: str = "code",
        title: str | None = "title",
        parent: str | None = "parent",
        level_columns: Sequence[str] | None = None,
        digits: Sequence[int] | None = None,
        separator: str | None = None,
        level_names: Sequence[str] | None = None,
        valid_from: str | None = None,
        valid_to: str | None = None,
    ) -> Classification:
        """Make a classification from a table with a row per code, or several.

        One of four structures counts, the first that is given: `level_columns`,
        `digits`, `parent`, `separator`. With none of them the codes are one level.

        Parameters
        ----------
        frame : DataFrame
            The table; coded data can serve, since a code may stand in many rows.
        code, title : str
            Names of the columns; `title` may be None.
        parent : str or None, default="parent"
            Column with the code of the group above, empty at a root. The level of
            a code is its depth from the root. Not looked for where
            `level_columns` or `digits` is given.
        level_columns : sequence of str, optional
            Columns with the ancestor at each level, broadest first, empty where
            the code is shorter.
        digits : sequence of int, optional
            Number of leading characters that make the code of each level.
        separator : str, optional
            Stands between the segments of a code. Beside `parent` it only serves
            :meth:`extended`; with ``parent=None`` the segments are the levels.
        level_names : sequence of str, optional
            Names of the levels instead of "1" to "k".
        valid_from, valid_to : str, optional
            Columns with the first and last day or period of a code, empty where
            there is no limit; a code may exist several times, a row each.

        Raises
        ------
        ConfigError
            If an option does not fit.
        SourceError
            If a column is missing, a code is missing or is no text, a code has
            different ancestors in different rows, a parent is unknown, or the
            parent links run in a circle.
        """
        codes = text_column(frame, code, full=True)
        if level_columns:
            levels = [text_column(frame, name) for name in level_columns]
            paths = by_columns(codes, levels)
        elif digits:
            paths = by_characters(codes, digits)
        elif parent is not None:
            paths = by_parents(codes, text_column(frame, parent))
        elif separator is not None:
            paths = by_segments(codes, separator)
        else:
            paths = {value: (value,) for value in codes}
        titles = {} if title is None else _titles(codes, text_column(frame, title))
        spans = None
        if valid_from is not None or valid_to is not None:
            first, last = (
                None if name is None else text_column(frame, name)
                for name in (valid_from, valid_to)
            )
            spans = read_spans(codes, first, last)
        return cls._of(paths, titles, separator, level_names, spans)

    @classmethod
    def _of(
        cls,
        paths: Mapping[str, tuple[str | None, ...]],
        titles: Mapping[str, str],
        separator: str | None,
        level_names: Sequence[str] | None,
        spans: Spans | None,
    ) -> Classification:
        depth = max(map(len, paths.values()), default=0)
        codes = sorted(paths)
        ancestors = np.full((len(codes), depth), None, dtype=object)
        for row, code in enumerate(codes):
            ancestors[row, : len(paths[code])] = paths[code]
        names = tuple(level_names or (str(level + 1) for level in range(depth)))
        if len(set(names) - {FULL}) != depth or len(names) != depth:
            raise ConfigError(
                "The names of the levels do not fit the classification",
                expected=f"{depth} different names, none of them {FULL!r}",
            )
        return cls(
            codes=np.array(codes, dtype=object),
            titles=np.array([titles.get(code, "") for code in codes], dtype=object),
            levels=names,
            ancestors=ancestors,
            separator=separator,
            spans=spans,
        )

    def __len__(self) -> int:
        return len(self.codes)

    def __contains__(self, code: object) -> bool:
        return code in self._positions

    def valid(self, codes: Any) -> npt.NDArray[np.bool_]:
        """Tell which codes belong to the classification, groups included.

        Parameters
        ----------
        codes : array-like of str, shape (n,)
            A missing code is not valid.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        number, distinct = pd.factorize(_objects(codes))
        known = np.array([c in self for c in distinct] + [False], dtype=bool)
        return known[number]

    def exists(self, codes: Any, at: str | None = None) -> npt.NDArray[np.bool_]:
        """Tell which codes exist on the first day of a reference period.

        Parameters
        ----------
        codes : array-like of str, shape (n,)
            A missing code does not exist.
        at : str, optional
            Reference period; without it, and for codes without days, being listed
            is enough.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        if at is None or self.spans is None:
            return self.valid(codes)
        day = ReferencePeriod.parse(at).first_day()
        always = ((date.min, date.max),)
        number, distinct = pd.factorize(_objects(codes))
        there = [
            code in self and any(a <= day <= b for a, b in self.spans.get(code, always))
            for code in distinct
        ]
        return np.array([*there, False], dtype=bool)[number]

    def truncate(self, codes: Any, level: str) -> _Strings:
        """Return each code cut to a level; a code that is shorter stays as it is.

        Parameters, return value and errors are those of :meth:`ancestor`; unknown and
        missing codes stay as they are too.

        Examples
        --------
        >>> frame = pd.DataFrame({"code": ["01", "01.1", "02"]})
        >>> held = Classification.from_frame(
        ...     frame, title=None, parent=None, separator="."
        ... )
        >>> held.truncate(["01.1", "02", None], "1").tolist()
        ['01', '02', None]
        """
        cut = self.ancestor(codes, level)
        given = self.ancestor(codes, FULL)  # a missing code is None
        return np.where(pd.isna(cut), given, cut)

    def ancestor(self, codes: Any, level: str) -> _Strings:
        """Return the ancestor of each code at a level.

        Parameters
        ----------
        codes : array-like of str, shape (n,)
            Codes, of mixed depth.
        level : str
            One of :attr:`levels`, or :data:`FULL` for the codes themselves.

        Returns
        -------
        ndarray of object, shape (n,)
            None where the code is shorter than the level, or unknown, or missing.
            At :data:`FULL` an unknown code is returned as it is, so that its row
            still counts.

        Raises
        ------
        ConfigError
            If there is no such level.
        """
        column = self._level(level)
        number, distinct = pd.factorize(_objects(codes))
        found = np.full(len(distinct) + 1, None, dtype=object)  # the last: missing
        for i, value in enumerate(distinct):
            row = self._positions.get(value)
            if column is None:
                found[i] = value
            elif row is not None:
                found[i] = self.ancestors[row, column]
        return found[number]

    def depth(self, code: str) -> int:
        """Return at which level a code stands, 1 for the broadest, 0 if unknown."""
        row = self._positions.get(code)
        if row is None:
            return 0
        levels = enumerate(self.ancestors[row], start=1)
        return max((level for level, group in levels if group is not None), default=0)

    def nearest(self, code: str) -> str | None:
        """Return the code that is written most like `code`, None if none is."""
        return nearest(code, self.codes)

    def extended(self, codes: Iterable[str | None]) -> Classification:
        """Attach codes that the structure lacks below the ancestors it has.

        The parent of a code is the code without its last segment; parents that
        are missing too are added with it. Codes without any known ancestor stay
        outside, and so does every code where no separator was given.

        Parameters
        ----------
        codes : iterable of str
            Known, unknown and missing codes.

        Returns
        -------
        Classification
            A new one with more codes, and more levels if a code is deeper; levels
            that are added are named by their number.
        """
        if self.separator is None:
            return self
        paths = {
            code: tuple(group for group in row if group is not None)
            for code, row in zip(self.codes, self.ancestors, strict=True)
        }
        for code in {code for code in codes if isinstance(code, str)}:
            cut = segments(code, self.separator)
            known = [i for i, group in enumerate(cut) if group in self]
            if known:
                above = paths[cut[known[-1]]]
                below = cut[known[-1] + 1 :]
                paths |= {g: above + below[: i + 1] for i, g in enumerate(below)}
        depth = max(map(len, paths.values()), default=0)
        more = [str(level + 1) for level in range(len(self.levels), depth)]
        titles = dict(zip(self.codes, self.titles, strict=True))
        names = [*self.levels, *more]
        return self._of(paths, titles, self.separator, names, self.spans)

    @cached_property
    def _positions(self) -> dict[object, int]:
        return {code: row for row, code in enumerate(self.codes)}

    def _level(self, level: str) -> int | None:
        if level == FULL:
            return None
        if level in self.levels:
            return self.levels.index(level)
        valid = (*self.levels, FULL)
        raise ConfigError(
            f"The classification has no level {level!r}",
            expected=", ".join(valid),
            nearest=nearest(str(level), valid),
        )


def _titles(codes: pd.Series, titles: pd.Series) -> dict[str, str]:
    """Return the first title of each code that has one."""
    table = pd.DataFrame({"code": codes, "title": titles}).dropna()
    table = table.drop_duplicates("code")
    return dict(zip(table["code"], table["title"], strict=True))


def _objects(codes: Any) -> pd.Series:
    return pd.Series(codes, dtype=object)
