"""Workbooks: typed cells to columns, and texts that must not be evaluated."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from mlstats import workbook
from mlstats.errors import MlstatsError, SourceError
from mlstats.workbook import read_sheet, write_sheets


def save(path: Path, rows: list[list[object]], formats: dict[str, str] | None = None):
    book = openpyxl.Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    for cell, number_format in (formats or {}).items():
        sheet[cell].number_format = number_format
    book.save(path)
    return path


def test_codes_keep_zeros_as_text_and_as_formatted_numbers(tmp_path: Path):
    path = save(
        tmp_path / "a b.xlsx",
        [["text", "number", "plain", "dotted"], ["0111", 111, 111, 1.1]]
        + [["0112", 112, 112, 12.25]],
        {"B2": "0000", "B3": "0000;[Red]-0000", "D2": "00.0", "D3": "General"},
    )
    frame, notes = read_sheet(path, text_columns=["number", "plain", "dotted"])
    assert frame["text"].tolist() == ["0111", "0112"]
    assert frame["number"].tolist() == ["0111", "0112"]
    assert frame["plain"].tolist() == ["111", "112"]
    assert frame["dotted"].tolist() == ["01.1", "12.25"]
    assert "Column plain: 2 typed cells were read as text." in notes
    assert any("3 numbers were read as the codes" in note for note in notes)


def test_a_format_with_zeros_makes_a_code_of_an_unnamed_column(tmp_path: Path):
    path = save(tmp_path / "a.xlsx", [["a", "n"], [111, 5], [1112, 6]], {"A2": "0000"})
    frame, _ = read_sheet(path)
    assert frame["a"].tolist() == ["0111", "1112"]
    assert frame["n"].dtype == "int64"


def test_columns_are_typed_by_all_of_their_cells(tmp_path: Path):
    day = dt.datetime(2026, 1, 31)
    path = save(
        tmp_path / "a.xlsx",
        [["n", "mixed", "day", "none", "error", "yes"]]
        + [[1.5, 7, day, None, "#N/A", True], [None, "x", None, None, 2, False]],
    )
    frame, notes = read_sheet(path)
    assert frame["n"].tolist()[0] == 1.5
    assert frame["mixed"].tolist() == ["7", "x"]
    assert frame["day"].iloc[0] == pd.Timestamp(day)
    assert frame["none"].isna().all()
    assert frame["error"].isna().tolist() == [True, False]
    assert frame["yes"].tolist() == [True, False]
    assert any("1 cells hold an error" in note for note in notes)
    assert read_sheet(path, text_columns=["day"])[0]["day"].iloc[0] == "2026-01-31"


def test_blank_rows_and_columns_around_the_table_are_left_out(tmp_path: Path):
    path = save(tmp_path / "a.xlsx", [[], ["a", "b", ""], ["x", 1], [], ["y", 2], [""]])
    frame, _ = read_sheet(path)
    assert frame.to_dict("list") == {"a": ["x", "y"], "b": [1, 2]}


def test_sheets_are_chosen_by_name_and_position(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    one, two = pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [2]})
    write_sheets(path, {"units": one, "codes": two}, [])
    frame, notes = read_sheet(path)
    assert list(frame.columns) == ["a"]
    assert notes == ["Sheet: units, the first of 2."]
    assert list(read_sheet(path, sheet="codes")[0].columns) == ["b"]
    assert list(read_sheet(path, sheet=1)[0].columns) == ["b"]
    with pytest.raises(SourceError, match="no sheet 'code'") as caught:
        read_sheet(path, sheet="code")
    assert caught.value.nearest == "codes"
    with pytest.raises(SourceError, match="no sheet 2"):
        read_sheet(path, sheet=2)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"a,b\n1,2\n"])
def test_a_damaged_workbook_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not a readable workbook"):
        read_sheet(path)


def test_a_workbook_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(SourceError, match="There is no such file"):
        read_sheet(tmp_path / "a.xlsx")


def test_an_empty_sheet_is_refused(tmp_path: Path):
    with pytest.raises(SourceError, match="The sheet is empty") as caught:
        read_sheet(save(tmp_path / "a.xlsx", []))
    assert str(caught.value.where).endswith("a.xlsx:Sheet")


FORMULAS = ["=1+1", "+1", "-0004", "@cmd", "\tx", "\rx", "'=x", "''@x", "=cmd|'/c'!A0"]


def test_texts_are_never_formulas_and_come_back_as_they_were(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    texts = [*FORMULAS, "#N/A", "'plain", "_x000D_", "_x0041_x0042_", " padded ", "ä"]
    write_sheets(path, {"t": pd.DataFrame({"=text": texts})}, [])
    cells = [row[0] for row in openpyxl.load_workbook(path)["t"].iter_rows()]
    assert {cell.data_type for cell in cells} == {"s"}
    assert all(cell.value[0] not in "=+-@\t\r" for cell in cells)
    assert cells[1].value == "'=1+1"
    frame, notes = read_sheet(path)
    expected = [text.replace("\r", "\n") for text in texts]
    assert frame["=text"].tolist() == expected
    assert any("lost the apostrophe" in note for note in notes)


def test_a_sign_uncovered_by_an_illegal_character_is_guarded(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    dropped = write_sheets(
        path, {"t": pd.DataFrame({"a": ["\x01=cmd", "a\ufffe"]})}, []
    )
    assert dropped == 2
    book = openpyxl.load_workbook(path)
    assert [cell.value for cell in book["t"]["A"]] == ["a", "'=cmd", "a"]
    assert book["Notes"]["A2"].value == "2 characters cannot stand in a workbook."


def test_values_keep_their_kind_and_the_header_is_bold_and_frozen(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    stamp = pd.Timestamp("2026-01-31 10:00")
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "f": [0.5, np.nan],
            "s": ["x" * 90, None],
            "b": [True, False],
            "t": [stamp, pd.NaT],
            "z": [stamp.tz_localize("UTC"), pd.NaT],
            "o": [np.int64(3), np.inf],
        }
    )
    assert write_sheets(path, {"t": frame}, ["Synthetic data."]) == 0
    book = openpyxl.load_workbook(path)
    sheet = book["t"]
    values = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    first = [1, 0.5, "x" * 90, True, stamp.to_pydatetime()]
    assert values[0] == [*first, "2026-01-31T10:00:00+00:00", 3]
    assert values[1] == [2, None, None, False, None, None, "inf"]
    assert sheet.freeze_panes == "A2"
    assert all(cell.font.bold for cell in sheet[1])
    assert not sheet["A2"].font.bold
    assert sheet.column_dimensions["C"].width == 60
    assert sheet.column_dimensions["A"].width == 8
    assert book.sheetnames == ["t", "Notes"]
    assert book["Notes"]["A2"].value == "Synthetic data."


def test_a_text_beyond_the_limit_of_a_cell_is_cut_and_counted(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    assert write_sheets(path, {"t": pd.DataFrame({"a": ["x" * 32_770]})}, []) == 3
    assert read_sheet(path, sheet="t")[0]["a"].str.len().tolist() == [32_767]


def test_too_many_rows_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert workbook.MAX_ROWS == 2**20
    monkeypatch.setattr(workbook, "MAX_ROWS", 3)
    write_sheets(tmp_path / "a.xlsx", {"t": pd.DataFrame({"a": [1, 2]})}, [])
    with pytest.raises(SourceError, match="4 rows with its header") as caught:
        write_sheets(tmp_path / "b.xlsx", {"t": pd.DataFrame({"a": [1, 2, 3]})}, [])
    assert "parquet" in str(caught.value.hint)
    assert not (tmp_path / "b.xlsx").exists()


@pytest.mark.parametrize("name", ["", "a/b", "x" * 32, "[t]"])
def test_a_sheet_name_that_cannot_be_is_refused(tmp_path: Path, name: str):
    with pytest.raises(MlstatsError, match="cannot have the name"):
        write_sheets(tmp_path / "a.xlsx", {name: pd.DataFrame({"a": [1]})}, [])
