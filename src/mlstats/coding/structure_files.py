"""Official structure files as they are published, recognised by their columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats.coding.classification import Classification
from mlstats.coding.crosswalk import Crosswalk
from mlstats.errors import SourceError
from mlstats.io import read_table

__all__ = ["read_crosswalk", "read_structure"]


@dataclass(frozen=True)
class _Layout:
    """Columns by which a layout is recognised, and how a table of it is read."""

    classification: str
    columns: frozenset[str]
    structure: dict[str, Any]
    prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame


def _with_sic_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the levels of SIC 1987: division, then 2, 3 and 4 digits of the code.

    The file's own columns fill the levels below a code with zeros.
    """
    code = frame["code"]
    is_division = code == frame["division"]
    levels = {"level 1": frame["division"]}
    for digits in (2, 3, 4):
        reaches = ~is_division & (code.str.len() >= digits)
        levels[f"level {digits}"] = code.str[:digits].where(reaches)
    return frame.assign(**levels)


_LAYOUTS = (
    _Layout(
        "NACE Rev. 2",
        frozenset({"Code", "Parent", "Description"}),
        {"code": "Code", "title": "Description", "parent": "Parent"},
    ),
    _Layout(
        "OIICS",
        frozenset({"CASE_CODE", "CASE_CODE_TITLE"}),
        {"code": "CASE_CODE", "title": "CASE_CODE_TITLE", "digits": [1, 2, 3, 4]},
    ),
    _Layout(
        "ISCO-08",
        frozenset({"code", "preferredLabel"}),
        {"title": "preferredLabel", "digits": [1, 2, 3, 4]},
    ),
    _Layout(
        "NAICS",
        frozenset({"code", "title", "naics2d", "naics6d"}),
        {"level_columns": [f"naics{digits}d" for digits in range(2, 7)]},
    ),
    _Layout(
        "SIC 1987",
        frozenset({"code", "title", "division"}),
        {"level_columns": ["level 1", "level 2", "level 3", "level 4"]},
        _with_sic_levels,
    ),
    _Layout(
        "code, title and parent (ISCO-88, NOC, SOC, our own)",
        frozenset({"code", "title", "parent"}),
        {"parent": "parent"},
    ),
)


def read_structure(path: str | Path) -> Classification:
    """Read a published structure file, whose layout its columns tell.

    Parameters
    ----------
    path : path
        A table of NACE Rev. 2, NAICS, SIC 1987, SOC, NOC, ISCO-88, ISCO-08 or OIICS
        in the layouts in which they are published, or any table with the columns
        code, title and parent.

    Raises
    ------
    SourceError
        If the columns are of no known layout, or the table is no classification.
    """
    names = [str(name) for name in read_table(path, rows=1).frame.columns]
    for layout in _LAYOUTS:
        if layout.columns <= set(names):
            table = read_table(path, text_columns=names)
            frame = layout.prepare(table.frame)
            try:
                return Classification.from_frame(frame, **layout.structure)
            except SourceError as error:
                error.where = f"{table.source}: {error.where}"
                raise
    raise SourceError(
        "The layout of the structure file is not known",
        where=str(path),
        expected="; ".join(
            f"{layout.classification}: {', '.join(sorted(layout.columns))}"
            for layout in _LAYOUTS
        ),
        hint="name its columns in Classification.read",
    )


def read_crosswalk(path: str | Path) -> Crosswalk:
    """Read a crosswalk with the columns OLD, OLD_title, NEW and NEW_title.

    Raises
    ------
    SourceError
        If the columns are others.
    """
    names = [str(name) for name in read_table(path, rows=1).frame.columns]
    codes = [name for name in names if f"{name}_title" in names]
    if len(codes) != 2:
        raise SourceError(
            "The layout of the crosswalk is not known",
            where=str(path),
            expected="two columns of codes, each with its title, "
            "as in naics2017, naics2017_title, naics2022, naics2022_title",
            hint="name its columns in Crosswalk.read",
        )
    return Crosswalk.read(path, source=codes[0], target=codes[1])
