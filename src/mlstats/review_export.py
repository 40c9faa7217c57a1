"""A coder's file: the units to code, a sheet to search in, what the file is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from mlstats import io
from mlstats.coding.classification import Classification
from mlstats.errors import RefusedError, UsageError
from mlstats.produced import PeriodData
from mlstats.review_claims import check_coder, given_out, new_file, record
from mlstats.review_files import (
    ReviewFile,
    checksum,
    keep_rows,
    working_alone,
)
from mlstats.review_label_studio import config_of, write_tasks
from mlstats.review_rows import (
    CANDIDATES,
    Reviewing,
    data_of,
    open_period,
    shown,
    waiting,
)
from mlstats.review_search import CodeSearch
from mlstats.settings import Settings
from mlstats.workbook import read_sheet
from mlstats.workbook_form import Form

__all__ = [
    "ABOUT",
    "FILL",
    "REVIEW",
    "UNCHECKED",
    "Exported",
    "Format",
    "about",
    "as_saved",
    "export",
    "read_texts",
]

Format = Literal["workbook", "label-studio"]
REVIEW, SEARCH, ABOUT = "review", "search", "about"
FILL: Final = ("code", "comment")
_HOW: Final = (
    "Fill in the column code: choose from the list, or type a code that the sheet "
    "search holds. Leave it empty where you cannot decide. Nothing else can be changed."
)
UNCHECKED: Final = ("made on", "title", "how")  # of what a file says of itself
_KINDS: Final[dict[Format, tuple[str, str]]] = {
    "workbook": (".xlsx", "a workbook"),
    "label-studio": (".json", "one of tasks"),
}
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LINE_END: Final = re.compile(r"\r\n?")


@dataclass(frozen=True)
class Exported:
    """A file that was written for a coder.

    Parameters
    ----------
    path : pathlib.Path
        Where it lies.
    file : ReviewFile
        As recorded.
    suggested, blind : int
        Rows with and without suggestions.
    elsewhere : int
        Units that wait in files of other coders.
    withdrawn : tuple of str
        Numbers of files that cannot be imported any more.
    dropped : int
        Characters of texts that the file cannot hold.
    """

    path: Path
    file: ReviewFile
    suggested: int
    blind: int
    elsewhere: int
    withdrawn: tuple[str, ...]
    dropped: int


def export(
    name: str,
    period: str,
    settings: Settings,
    *,
    coder: str,
    second: bool = False,
    rows: int | None = None,
    instead_of: str = "",
    out: Path | None = None,
    form: Format = "workbook",
) -> Exported:
    """Write the units of a period that wait for a coder into a file.

    A unit is in the file of one coder at a time. A coder's earlier file of the same
    kind is withdrawn: what was not imported from it is in the new one.

    Parameters
    ----------
    name, period : str
        Of a coding pilot, and of a period that has a release.
    coder : str
        Login name of whom the file is for.
    second : bool
        The double-coded units that others code, for a second coder.
    rows : int, optional
        Units at most, drawn at random from all that wait.
    instead_of : str
        Coder whose files are withdrawn, so that their units wait again.
    out : pathlib.Path, optional
        File or folder; the confidential store otherwise.
    form : {"workbook", "label-studio"}
        A workbook, or tasks for Label Studio with a labelling configuration (``.xml``)
        beside them.

    Raises
    ------
    UsageError
        Where nothing waits, or a coder is named who has no file.
    RefusedError
        Where the period's data have changed since its release.
    """
    check_coder(coder)
    now = open_period(name, period, settings)
    with working_alone(settings, now.pilot.pilot, now.period) as folder:
        now = open_period(name, period, settings)  # what others did meanwhile counts
        gone, others = given_out(now, coder, second=second, instead_of=instead_of)
        found = waiting(now, second=second, without=others)
        if found.empty:
            raise _nothing(now, coder, len(others))
        one = new_file(now, coder, second=second, rows=0)
        found = _shuffled(now, one, found).head(rows or len(found))
        one = replace(one, rows=len(found))
        path = _path(folder, one, out, form)
        dropped = _write(path, now, one, found, form)
        record(now, [*gone, one])
    blind = int(found["blind"].sum())
    withdrawn = tuple(file.export for file in gone)
    count = len(others)
    return Exported(path, one, len(found) - blind, blind, count, withdrawn, dropped)


def _nothing(now: Reviewing, coder: str, elsewhere: int) -> UsageError:
    return UsageError(
        f"No unit of {now.period} waits for {coder}",
        hint=f"{elsewhere} units are in other files: mlstats review status "
        f"{now.pilot.pilot}"
        if elsewhere
        else f"mlstats review status {now.pilot.pilot}",
    )


def _shuffled(now: Reviewing, one: ReviewFile, found: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in a random order, each with a number that tells nothing."""
    numbers = [checksum(now.key, "row", one.export, name) for name in found["hash"]]
    order = np.argsort([checksum(now.key, "order", number) for number in numbers])
    return found.assign(row=numbers).iloc[order].reset_index(drop=True)


def _path(folder: Path, one: ReviewFile, out: Path | None, form: Format) -> Path:
    suffix, kind = _KINDS[form]
    who = re.sub(r"[^A-Za-z0-9_-]", "_", one.coder)
    name = f"{one.pilot}_{one.period}_{who}_{one.export}{suffix}"
    if out is None:
        return folder / name
    path = out / name if out.is_dir() else out
    if path.suffix.lower() != suffix:
        raise UsageError(
            f"A coder's file is {kind} here", where="--out", expected=suffix
        )
    if path.exists() or (form != "workbook" and config_of(path).exists()):
        raise RefusedError(
            "The file is there already, and may hold codes",
            where=str(path),
            hint="name another one",
        )
    return path


# -- writing -----------------------------------------------------------------------


def _write(
    path: Path, now: Reviewing, one: ReviewFile, found: pd.DataFrame, form: Format
) -> int:
    """Write the file, and keep checksums of what can be read from it."""
    data = data_of(now)
    table = shown(now, found, data)
    table.insert(0, "row", found["row"].to_numpy())
    if form == "workbook":
        back, dropped = _write_workbook(path, now, one, table, data)
    else:
        codes = CodeSearch(now, data.more)
        told = {k: v for k, v in about(now, one).items() if k not in UNCHECKED}
        back, dropped = write_tasks(path, told, table, found, codes, data.more)
    path.chmod(0o600)
    kept = found[["row", "unit", "hash", "kinds", "blind"]].copy()
    for column in [str(name) for name in back if name != "row"]:
        kept[f"sum {column}"] = [
            checksum(now.key, one.export, row, column, as_saved(text))
            for row, text in zip(back["row"], back[column], strict=True)
        ]
    keep_rows(now.settings, one, kept)
    return dropped


def _write_workbook(
    path: Path, now: Reviewing, one: ReviewFile, table: pd.DataFrame, data: PeriodData
) -> tuple[pd.DataFrame, int]:
    locked = list(table.columns)
    table[list(FILL)] = None
    sheets = {
        REVIEW: table,
        SEARCH: search_sheet(data.more),
        ABOUT: pd.DataFrame(about(now, one).items(), columns=["what", "value"]),
    }
    dropped = io.write_xlsx(path, sheets, forms=_forms(table, locked))
    # A workbook changes line ends and drops what XML cannot hold: what comes back is
    # held to what can be read.
    return read_texts(path, REVIEW, table.columns)[locked], dropped


def _forms(table: pd.DataFrame, locked: list[str]) -> Mapping[str, Form]:
    offered = {"code": ("candidate_1", f"candidate_{CANDIDATES}")}
    return {
        REVIEW: Form(FILL, offered, tuple(locked[1:]), filtered=True),
        SEARCH: Form(filtered=True, wrapped=("title",)),
        ABOUT: Form(wrapped=("value",)),
    }


def search_sheet(classification: Classification) -> pd.DataFrame:
    """Return the classification as a coder looks it up: code, title and level."""
    codes = [str(code) for code in classification.codes]
    depth = [classification.depth(code) for code in codes]
    levels = ["", *classification.levels]
    return pd.DataFrame(
        {
            "code": codes,
            "title": [str(title) for title in classification.titles],
            "level": [levels[k] for k in depth],
        }
    )


def about(now: Reviewing, one: ReviewFile) -> dict[str, str]:
    """Return what a file says of itself; it is held to the record up to checksum."""
    told = {
        "file": one.export,
        "pilot": one.pilot,
        "period": one.period,
        "release": f"{one.pilot}/{one.period}/r{one.release:04d}",
        "revision": str(one.release),
        "coder": one.coder,
        "second coder": "yes" if one.second else "no",
        "rows": str(one.rows),
    }
    told["checksum"] = checksum(now.key, *told.values())
    told["made on"] = datetime.now(UTC).date().isoformat()
    told["title"] = now.pilot.title or now.pilot.pilot
    told["how"] = _HOW
    return told


def as_saved(text: str) -> str:
    """Return a text as programs agree on it that save a workbook.

    LibreOffice takes a text that looks like the escape of a character, ``_x000A_``, for
    that character when it saves; line ends differ between programs.

    Examples
    --------
    >>> as_saved("a_x000D_b") == as_saved("a" + chr(10) + "b")
    True
    """
    found = _ESCAPE.sub(lambda told: chr(int(told[1], 16)), text)
    return _LINE_END.sub("\n", found)


def read_texts(path: Path, sheet: str, columns: Iterable[object]) -> pd.DataFrame:
    """Return a sheet as texts, empty where a cell is; the index is the row's number."""
    names = [str(name) for name in columns]
    frame, _ = read_sheet(path, sheet=sheet, text_columns=names, numbered=True)
    return frame.astype(object).where(frame.notna(), "")
