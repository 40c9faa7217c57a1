"""A coder's file that comes back: all checks first, then all of it or nothing.

What is wrong is told by row and column and what was expected, never by the text of a
cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from mlstats.coding.classification import Classification
from mlstats.errors import ContractError, SourceError, nearest
from mlstats.identity import operating_system_user
from mlstats.review_export import (
    ABOUT,
    FILL,
    REVIEW,
    UNCHECKED,
    about,
    as_saved,
    read_texts,
)
from mlstats.review_files import (
    ReviewFile,
    ReviewFiles,
    checksum,
    kept_rows,
    working_alone,
)
from mlstats.review_label_studio import Tasks, Tell
from mlstats.review_rows import Reviewing, data_of, may_give, open_period
from mlstats.review_search import CodeSearch
from mlstats.review_store import Reviewed, ReviewStore, reviews_of, slot
from mlstats.settings import Settings

__all__ = ["PROBLEMS", "Imported", "import_file"]

PROBLEMS: Final = ("row", "column", "what", "expected", "nearest")


@dataclass(frozen=True)
class Imported:
    """What came of a file.

    Parameters
    ----------
    file : ReviewFile
        As recorded; ``added`` counts reviews, of which a unit that is in queue and
        audit gives two.
    coded, left : int
        Rows with and without a code.
    known : int
        Rows whose code an earlier import has brought.
    by_others : int
        Units that somebody else coded meanwhile; theirs stands.
    """

    file: ReviewFile
    coded: int
    left: int
    known: int
    by_others: int

    @property
    def again(self) -> bool:
        """Whether the file brought nothing that was not known."""
        return self.coded > 0 and self.file.added == 0 and self.known == self.coded


class _Problems:
    """What is wrong with a file."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str, str]] = []

    def add(
        self,
        row: object,
        column: str,
        what: str,
        expected: str = "",
        near: str | None = None,
    ) -> None:
        self.rows.append((str(row), column, what, expected, near or ""))

    def raise_if_any(self, path: Path) -> None:
        if not self.rows:
            return
        count = len(self.rows)
        raise ContractError(
            f"{count} {'thing is' if count == 1 else 'things are'} wrong in the file; "
            "nothing was imported",
            failures=pd.DataFrame(self.rows, columns=list(PROBLEMS)),
            where=str(path),
            hint="mend the cells that are named, or export again",
        )


def import_file(
    name: str, period: str, path: Path, settings: Settings, *, coder: str = ""
) -> Imported:
    """Check a coder's file and keep its codes, all of them or none.

    Rows without a code are left to be coded. A file may come back several times, with
    more codes or other ones; what is known already is not kept twice.

    Parameters
    ----------
    name, period : str
        Of the pilot and period that the file is expected to be of.
    path : pathlib.Path
        The workbook, or an export of Label Studio (``.json``).
    coder : str
        Whose file it is expected to be; the one that it was made for otherwise.

    Raises
    ------
    SourceError
        Where the file is neither, or not of this kind.
    ContractError
        Where anything else is wrong, with all of it in ``failures``, columns
        :data:`PROBLEMS`.
    """
    now = open_period(name, period, settings)
    with working_alone(settings, now.pilot.pilot, now.period):
        now = open_period(name, period, settings)  # what others did meanwhile counts
        problems = _Problems()
        came = Tasks(path) if path.suffix.lower() == ".json" else _Workbook(path)
        file = _recorded(now, path, came.about(problems.add), coder, problems)
        kept = kept_rows(settings, file.pilot, file.period, file.export)
        sheet = _checked(now, file, came, kept, problems)
        problems.raise_if_any(path)
        return _keep(now, file, sheet.join(kept.set_index("row"), on="row"))


# -- what the file says of itself --------------------------------------------------


def _recorded(
    now: Reviewing,
    path: Path,
    told: Mapping[str, str],
    coder: str,
    problems: _Problems,
) -> ReviewFile:
    """Return the record of a file, and hold what it says of itself to it."""
    files = ReviewFiles(now.settings.database)
    rows = files.read(now.pilot.pilot, now.period)
    rows = rows[rows["export"] == told.get("file", "")]
    if rows.empty:
        problems.add(
            "about", "file",
            f"no file of {now.pilot.pilot} {now.period} has this number",
            f"a file that was exported for {now.pilot.pilot} {now.period}",
        )  # fmt: skip
        problems.raise_if_any(path)
    first, last = rows.iloc[0].drop("time"), rows.iloc[-1]
    file = ReviewFile(**{str(k): v for k, v in first.to_dict().items()})
    if last["act"] == "withdraw":
        problems.add("about", "file", "withdrawn for a later file", "the later file")
    for what, value in about(now, file).items():
        if what not in UNCHECKED and told.get(what) != value:
            expected = "as exported" if what == "checksum" else value
            problems.add("about", what, "not what was exported", expected)
    if coder and coder != file.coder:
        problems.add("about", "coder", "the file of another coder", coder)
    if file.input_digest != now.release.key.input_digest:
        problems.add(
            "about", "release", "the data have changed since", now.release.path
        )
    return file


class _Workbook:
    """A workbook that came back; its method `sheet` adds what is wrong as it is read.

    Its methods are those of :class:`mlstats.review_label_studio.Tasks`.
    """

    whole = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def about(self, tell: Tell) -> dict[str, str]:
        sheet = read_texts(self._path, ABOUT, ["what", "value"])
        if list(sheet.columns) != ["what", "value"]:
            raise SourceError(
                "The workbook is not a coder's file",
                where=f"{self._path}:{ABOUT}",
                expected="a file of mlstats review export",
            )
        return dict(zip(sheet["what"], sheet["value"], strict=True))

    def sheet(
        self, locked: Sequence[str], labels: Mapping[str, str], tell: Tell
    ) -> pd.DataFrame:
        expected = ["row", *locked, *FILL]
        sheet = read_texts(self._path, REVIEW, expected)
        _check_columns(list(map(str, sheet.columns)), expected, tell)
        return sheet


# -- rows --------------------------------------------------------------------------


def _checked(
    now: Reviewing,
    file: ReviewFile,
    came: Tasks | _Workbook,
    kept: pd.DataFrame,
    problems: _Problems,
) -> pd.DataFrame:
    """Return row and code of each row of the sheet, after all checks."""
    names = [str(name) for name in kept]
    locked = [name.removeprefix("sum ") for name in names if name.startswith("sum ")]
    classification = data_of(now).more
    codes = CodeSearch(now, classification)
    labels = {f"{code} {title}".strip(): code for code, title in codes.titles.items()}
    sheet = came.sheet(locked, labels, problems.add)
    needed = ["row", *locked, "code"]
    if list(sheet.columns)[: len(needed)] != needed or not sheet.columns.is_unique:
        return sheet  # which was told: nothing else can be looked at
    known = sheet["row"].isin(kept["row"])
    _check_rows(sheet, known, kept if came.whole else kept.iloc[:0], problems)
    _check_locked(now, file, sheet[known], kept, locked, problems)
    sheet["code"] = sheet["code"].astype("str").str.strip()
    _check_codes(now, sheet, classification, problems)
    _check_second(now, file, sheet[known], kept, problems)
    return sheet[["row", "code"]]


def _check_columns(there: list[str], expected: list[str], tell: Tell) -> None:
    for name in dict.fromkeys(expected):
        count = there.count(name)
        if count != 1:
            what = "the column is missing" if not count else "the column is there twice"
            tell("header", name, what, "one column of this name")
    for place, name in enumerate(there, start=1):
        if name not in expected:
            near = nearest(name, expected)
            tell("header", f"{place}.", "no such column", near=near)
    if there != expected and sorted(there) == sorted(expected):
        tell("header", "", "the columns are in another order", "as exported")


def _check_rows(
    sheet: pd.DataFrame, known: pd.Series, kept: pd.DataFrame, problems: _Problems
) -> None:
    for number in sheet.index[~known]:
        problems.add(number, "row", "no such row was exported", "as exported")
    twice = sheet["row"].duplicated() & known
    first = dict(zip(sheet["row"][::-1], sheet.index[::-1], strict=True))
    for number in sheet.index[twice]:
        told = f"once, in row {first[sheet.at[number, 'row']]}"
        problems.add(number, "row", "the row is there twice", told)
    missing = ~kept["row"].isin(sheet["row"])
    for place in np.flatnonzero(missing.to_numpy()):
        problems.add(place + 2, "row", "the row is missing", "every row, coded or not")


def _check_locked(
    now: Reviewing,
    file: ReviewFile,
    sheet: pd.DataFrame,
    kept: pd.DataFrame,
    locked: list[str],
    problems: _Problems,
) -> None:
    sums = kept.set_index("row").reindex(sheet["row"])
    of_cell = partial(checksum, now.key, file.export)
    for column in locked:
        told = zip(sheet["row"], sheet[column], sums[f"sum {column}"], strict=True)
        for number, (row, text, known) in zip(sheet.index, told, strict=True):
            if of_cell(row, column, as_saved(text)) != known:
                what = "a locked cell was changed"
                problems.add(number, column, what, "as exported")


def _check_codes(
    now: Reviewing,
    sheet: pd.DataFrame,
    classification: Classification,
    problems: _Problems,
) -> None:
    given = sheet.loc[sheet["code"] != "", "code"]
    allowed = may_give(now, classification, sorted(set(given)))
    wrong = given[~given.map(allowed).astype(bool)]
    for number, code in wrong.items():
        listed = code in classification
        what = f"the code does not exist in {now.period}" if listed else "unknown code"
        near = None if listed else classification.nearest(code)
        problems.add(number, "code", what, "a code of the classification", near)


def _check_second(
    now: Reviewing,
    file: ReviewFile,
    sheet: pd.DataFrame,
    kept: pd.DataFrame,
    problems: _Problems,
) -> None:
    """Refuse that one coder codes a unit for both."""
    other = "audit" if file.second else "second"
    told = now.reviewed
    mine = told[(told["kind"] == other) & (told["coder"] == file.coder)]
    hashes = kept.set_index("row")["hash"].reindex(sheet["row"]).to_numpy()
    same = np.isin(hashes.astype(str), mine["unit"].astype("str").to_numpy())
    for number in sheet.index[same & (sheet["code"] != "").to_numpy()]:
        problems.add(number, "code", "the same coder has coded the unit for the other")


# -- keeping -----------------------------------------------------------------------


def _keep(now: Reviewing, file: ReviewFile, sheet: pd.DataFrame) -> Imported:
    coded = sheet[sheet["code"] != ""]
    stands = {
        (row["unit"], slot(row["kind"])): (row["coder"], row["code"])
        for row in now.reviewed.to_dict("records")
    }
    new: list[Reviewed] = []
    known = by_others = 0
    for row in coded.to_dict("records"):
        unit, kinds = str(row["hash"]), str(row["kinds"])
        told = [*reviews_of(unit, kinds, str(row["code"]), file.coder)]
        there = [stands.get((one.unit, slot(one.kind))) for one in told]
        by_others += any(one is not None and one[0] != file.coder for one in there)
        known += all(one == (file.coder, row["code"]) for one in there)
        new += [
            one
            for one, old in zip(told, there, strict=True)
            if old is None or (old[0] == file.coder and old[1] != one.code)
        ]
    ReviewStore(now.settings.database).add(file.pilot, file.period, new)
    by = operating_system_user().name
    done = replace(file, act="import", added=len(new), by=by)
    ReviewFiles(now.settings.database).add([done])
    return Imported(done, len(coded), file.rows - len(coded), known, by_others)
