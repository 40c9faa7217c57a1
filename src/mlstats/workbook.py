"""Sheets of a workbook: typed cells to columns and back, safe to open.

A workbook types each cell, not each column: the code 0111 is often the number 111
under the format 0000. Writing keeps a text that begins like a formula from evaluation.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError, SourceError, nearest
from mlstats.same_bytes import without_times
from mlstats.workbook_form import Form, widths

__all__ = ["MAX_ROWS", "read_sheet", "text_of", "write_sheets"]

MAX_ROWS = 1_048_576
_MAX_COLUMNS = 16_384
_MAX_LENGTH = 32_767

# A text that a spreadsheet program evaluates, or that has been kept from it: both
# get one apostrophe more, so that taking one away gives every text back.
_FORMULA = re.compile(r"'*[=+\-@\t\n]")
_GUARDED = re.compile(r"'+[=+\-@\t\n]")
# What XML 1.0 cannot hold: control characters, surrogates, two non-characters.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# _x000D_ stands for the character 0D; a text that looks so has its _ written _x005F_.
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_ZEROS = re.compile(r"^(?:\[[^\]]*\])*(0{2,})(?:\.(0+))?(?:;.*)?$")
_SHEET_NAME = re.compile(r"^[^\[\]:*?/\\]{1,31}$")


def text_of(value: object) -> str:
    """Return a typed value as the text that a codelist would hold.

    Examples
    --------
    >>> text_of(111.0), text_of(1.1), text_of(dt.datetime(2026, 1, 31))
    ('111', '1.1', '2026-01-31')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (float, np.floating)):
        # A spreadsheet shows 15 digits, and 0.1 + 0.2 as 0.3.
        number = float(value)
        whole = number.is_integer() and abs(number) < 1e15
        return str(int(number)) if whole else format(number, ".15g")
    if isinstance(value, dt.datetime):
        midnight = value.time() == dt.time.min and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat()
    return str(value)


def read_sheet(
    path: Path,
    *,
    sheet: str | int | None = None,
    text_columns: Collection[str] = (),
    numbered: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Read one sheet; its first row that holds anything is the header.

    Parameters
    ----------
    path : pathlib.Path
        An .xlsx or .xlsm file.
    sheet : str or int, optional
        Name or position (from 0); by default the first.
    text_columns : collection of str, default ()
        Columns to read as text whatever the cells hold.
    numbered : bool, default False
        Let the index be the rows' numbers in the sheet, whose first row is 1.

    Returns
    -------
    frame : pandas.DataFrame
        Columns in the sheet's order, named as in the header. A column is numeric
        where all its cells are numbers, none of them shown with a leading zero.
    notes : list of str
        What was recognised or changed, one sentence each.

    Raises
    ------
    SourceError
        For a file that is no workbook, a sheet that is not there, an empty sheet.

    Notes
    -----
    An empty text and an empty cell are both missing. A formula gives the value that
    was last calculated, missing where the workbook was never calculated.
    """
    seen = _Seen()
    with _opened(path) as book:
        names = [worksheet.title for worksheet in book.worksheets]
        name = _sheet_name(names, sheet, path)
        worksheet = book[name]
        worksheet.reset_dimensions()  # some programs write a wrong extent
        rows = [[seen.value(cell) for cell in row] for row in worksheet.iter_rows()]
    held = [i for i, row in enumerate(rows) if any(value is not None for value in row)]
    rows = [rows[i] for i in held]
    if not rows:
        raise SourceError(
            "The sheet is empty",
            where=f"{path}:{name}",
            expected="a header with the column names, then one record a row",
        )
    frame, notes = _as_columns(rows, set(text_columns))
    if numbered:
        frame.index = pd.Index([i + 1 for i in held[1:]])
    beside = f", the first of {len(names)}" if sheet is None and len(names) > 1 else ""
    return frame, [f"Sheet: {name}{beside}.", *seen.notes(), *notes]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a workbook for reading; what goes wrong inside is a SourceError."""
    import openpyxl

    book = None
    try:
        with warnings.catch_warnings():
            # openpyxl warns of validations and styles, which hold no data.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            yield book
    except MlstatsError:
        raise
    except FileNotFoundError:
        raise SourceError("There is no such file", where=str(path)) from None
    except Exception as error:  # openpyxl lets KeyError, BadZipFile, ... through
        raise SourceError(
            f"The file is not a readable workbook ({type(error).__name__})",
            where=str(path),
            expected="an .xlsx file that is not protected by a password",
            hint="open it in a spreadsheet program and save it as .xlsx",
        ) from None
    finally:
        if book is not None:
            book.close()


def _sheet_name(names: list[str], sheet: str | int | None, path: Path) -> str:
    if isinstance(sheet, str) and sheet in names:
        return sheet
    position = 0 if sheet is None else sheet
    if isinstance(position, int) and 0 <= position < len(names):
        return names[position]
    raise SourceError(
        f"The workbook has no sheet {sheet!r}",
        where=str(path),
        expected=f"one of {', '.join(names)}",
        nearest=nearest(str(sheet), names),
    )


class _Seen:
    """Reads cells, and counts what was changed on the way."""

    def __init__(self) -> None:
        self.padded = self.errors = self.guards = 0

    def value(self, cell: Any) -> Any:
        value = cell.value
        if value is None or value == "":
            return None
        if cell.data_type == "e":
            self.errors += 1
            return None
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._number(value, cell.number_format)
        return value

    def _text(self, value: str) -> str:
        value = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
        if _GUARDED.match(value):
            self.guards += 1
            return value[1:]
        return value

    def _number(self, value: int | float, number_format: str) -> int | float | str:
        """Return the text of a number that its format shows with leading zeros."""
        zeros = _ZEROS.match(number_format)
        if zeros is None or value < 0:
            return value
        decimals = len(zeros[2] or "")
        width = len(zeros[1]) + (decimals + 1 if decimals else 0)
        shown = f"{value:0{width}.{decimals}f}"
        if not re.match(r"0\d", shown):
            return value
        self.padded += 1
        return shown

    def notes(self) -> list[str]:
        said = [
            (self.padded, "numbers were read as the codes that their format shows"),
            (self.errors, "cells hold an error such as #N/A and are missing"),
            (self.guards, "texts lost the apostrophe that kept them from evaluation"),
        ]
        return [f"Cells: {count} {what}." for count, what in said if count]


def _as_columns(
    rows: list[list[Any]], text_columns: set[str]
) -> tuple[pd.DataFrame, list[str]]:
    width = max(
        i + 1 for row in rows for i, value in enumerate(row) if value is not None
    )
    padded = [row[:width] + [None] * (width - len(row)) for row in rows]
    header = ["" if value is None else text_of(value) for value in padded[0]]
    notes = []
    columns = {}
    for i, name in enumerate(header):
        values = [row[i] for row in padded[1:]]
        columns[i], turned = _as_column(values, text=name in text_columns)
        if turned:
            notes.append(f"Column {name}: {turned} typed cells were read as text.")
    frame = pd.DataFrame(columns)
    frame.columns = pd.Index(header, dtype="str")
    return frame, notes


def _as_column(values: list[Any], *, text: bool) -> tuple[pd.Series, int]:
    """Return a column, and how many typed cells became text in it."""
    kinds = {_cell_kind(value) for value in values if value is not None}
    if len(kinds) == 1 and not text and kinds != {"text"}:
        return pd.Series(values), 0
    turned = sum(value is not None and not isinstance(value, str) for value in values)
    texts = [None if value is None else text_of(value) for value in values]
    return pd.Series(texts, dtype="str"), turned


def _cell_kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def write_sheets(
    path: Path,
    sheets: dict[str, pd.DataFrame],
    notes: list[str],
    red: Mapping[str, Collection[int]] | None = None,
    forms: Mapping[str, Form] | None = None,
) -> int:
    """Write sheets with a bold, frozen header; texts are never evaluated.

    A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return
    gets an apostrophe before it (:func:`read_sheet` takes it away again). Line
    breaks become line feeds. Characters that a workbook cannot hold, and those
    beyond the 32,767 of a cell, are left out.

    Parameters
    ----------
    path : pathlib.Path
        The file to write.
    sheets : dict of str to pandas.DataFrame
        Sheet name (at most 31 characters) to table; the index is not written.
    notes : list of str
        Sentences for a last sheet named Notes, which is left out without any.
    red : mapping of str to collection of int, optional
        Sheet -> rows of its table whose texts stand in red.
    forms : mapping of str to Form, optional
        Sheet -> what people may do in it; without, nothing is locked.

    Returns
    -------
    int
        How many characters were left out; a note says so too.

    Raises
    ------
    SourceError
        For a table with more rows or columns than a sheet holds.
    MlstatsError
        For a sheet name that a workbook cannot have.
    """
    import openpyxl

    for name, frame in sheets.items():
        _check_sheet(path, name, frame)
    book = openpyxl.Workbook(write_only=True)
    writer = _SheetWriter(book)
    for name, frame in sheets.items():
        form = (forms or {}).get(name)
        writer.add(name, frame, red=(red or {}).get(name, ()), form=form)
    if writer.dropped:
        notes = [*notes, f"{writer.dropped} characters cannot stand in a workbook."]
    if notes:
        writer.add("Notes", pd.DataFrame({"note": notes}))
    book.save(path)
    without_times(path)
    return writer.dropped


def _check_sheet(path: Path, name: str, frame: pd.DataFrame) -> None:
    if not _SHEET_NAME.match(name):
        raise MlstatsError(
            f"A sheet cannot have the name {name!r}",
            expected=r"1 to 31 characters, none of [ ] : * ? / \ ",
        )
    rows, columns = len(frame) + 1, frame.shape[1]
    if rows > MAX_ROWS or columns > _MAX_COLUMNS:
        raise SourceError(
            f"The table {name} has {rows:,} rows with its header and {columns:,} "
            "columns",
            where=str(path),
            expected=f"at most {MAX_ROWS:,} rows and {_MAX_COLUMNS:,} columns",
            hint="write it as .parquet or .csv, or split it",
        )


class _SheetWriter:
    """Adds tables to a workbook, and counts the characters it had to leave out."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.dropped = 0

    def add(
        self,
        name: str,
        frame: pd.DataFrame,
        *,
        red: Collection[int] = (),
        form: Form | None = None,
    ) -> None:
        from openpyxl.styles import Font
        from openpyxl.utils import get_column_letter

        sheet = self.book.create_sheet(name)
        sheet.freeze_panes = "A2"
        for i, width in enumerate(widths(frame), start=1):
            sheet.column_dimensions[get_column_letter(i)].width = width
        header = [self._cell(sheet, str(column)) for column in frame.columns]
        for cell in header:
            cell.font = Font(bold=True)
        sheet.append(header)
        for place, row in enumerate(_rows(frame)):
            cells = [self._cell(sheet, value) for value in row]
            for cell in cells if place in red else ():
                if hasattr(cell, "font"):
                    cell.font = Font(bold=True, color="9A1C1C")
            if form is not None:
                cells = form.dress(sheet, list(frame.columns), cells)
            sheet.append(cells)
        if form is not None:
            form.finish(sheet, list(frame.columns), len(frame))

    def _cell(self, sheet: Any, value: Any) -> Any:
        from openpyxl.cell import WriteOnlyCell

        if value is None or isinstance(value, (bool, int, float, dt.date)):
            return value
        cell = WriteOnlyCell(sheet, self._text(str(value)))
        cell.data_type = "s"  # otherwise #N/A and the like become error values
        return cell

    def _text(self, text: str) -> str:
        legal, illegal = _ILLEGAL.subn("", text)
        legal = re.sub(r"\r\n?", "\n", legal)
        guarded = f"'{legal}" if _FORMULA.match(legal) else legal
        written = _LOOKS_ESCAPED.sub("_x005F_", guarded)
        self.dropped += illegal + max(0, len(written) - _MAX_LENGTH)
        return written[:_MAX_LENGTH]


def _rows(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    columns = [_cells(frame.iloc[:, i]) for i in range(frame.shape[1])]
    return zip(*columns, strict=True) if columns else iter(())


def _cells(values: pd.Series) -> Iterable[Any]:
    """Return plain Python values; missing is None, infinity and time zones are text."""
    for value, missing in zip(values.tolist(), values.isna(), strict=True):
        if missing:
            yield None
        elif isinstance(value, np.generic):  # in a column of objects
            yield value.item()
        elif isinstance(value, float) and math.isinf(value):
            yield str(value)
        elif isinstance(value, dt.datetime) and value.tzinfo is not None:
            yield value.isoformat()
        else:
            yield value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
