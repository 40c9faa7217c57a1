"""Sheets that people fill in: locked cells, drop-downs, filters, widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["Form", "widths"]


@dataclass(frozen=True)
class Form:
    """What a sheet lets people do; every cell of it is locked but those to fill in.

    The lock has no password: it is against mistakes, and who reads the file back
    checks what was locked.

    Parameters
    ----------
    fill : tuple of str
        Columns that may be written to. They hold text, so that a spreadsheet program
        keeps the zeros of a code.
    choices : mapping of str to (str, str)
        Column to fill -> first and last column of the cells in the same row that it
        offers as a drop-down; another text may be typed as well.
    wrapped : tuple of str
        Columns whose long texts are broken into lines.
    filtered : bool
        Offer a filter for each column.
    """

    fill: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    wrapped: tuple[str, ...] = ()
    filtered: bool = False

    def dress(self, sheet: Any, names: Sequence[str], cells: list[Any]) -> list[Any]:
        """Return a row's cells, those to fill in open and formatted as text."""
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Alignment, Protection

        for place, name in enumerate(names):
            if name in self.fill:
                cell = cells[place]
                if not hasattr(cell, "number_format"):
                    cell = WriteOnlyCell(sheet, cell)
                cell.protection = Protection(locked=False)
                cells[place] = cell
            cell = cells[place]
            if hasattr(cell, "number_format"):
                cell.number_format = "@"
                wrap = name in self.wrapped
                cell.alignment = Alignment(vertical="top", wrap_text=wrap)
        return cells

    def finish(self, sheet: Any, names: Sequence[str], rows: int) -> None:
        """Lock a sheet whose rows are written, and add its drop-downs and filter."""
        from openpyxl.utils import get_column_letter
        from openpyxl.worksheet.datavalidation import DataValidation

        letters = {name: get_column_letter(i + 1) for i, name in enumerate(names)}
        sheet.protection.enable()
        for allowed in ("autoFilter", "formatColumns", "formatRows"):
            setattr(sheet.protection, allowed, False)  # False: not forbidden
        last = rows + 1
        if self.filtered and names:
            sheet.auto_filter.ref = f"A1:{letters[names[-1]]}{last}"
        for name, (first, end) in self.choices.items() if rows else ():
            # The row is not fixed: each cell offers what stands beside it.
            offered = f"${letters[first]}2:${letters[end]}2"
            rule = DataValidation("list", formula1=offered, allow_blank=True)
            rule.showErrorMessage = False
            rule.add(f"{letters[name]}2:{letters[name]}{last}")
            sheet.data_validations.append(rule)


def widths(frame: pd.DataFrame) -> list[int]:
    """Return column widths that fit the header and the first hundred values."""
    head = frame.head(100)
    longest = [
        max(len(str(value)) for value in [column, *head.iloc[:, i]])
        for i, column in enumerate(frame.columns)
    ]
    return [min(60, max(8, length + 2)) for length in longest]
