"""Reading files of every kind: codes as strings, and errors that help."""

from __future__ import annotations

import base64
import gzip
import sys
import zlib
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from mlstats.errors import SourceError
from mlstats.io import SUFFIXES, read_table, sha256_file, write_parquet, write_xlsx

# A SAS data set of three records, written by the ReadStat library: code $6, zcode
# under Z4., text $20 in UTF-8, amount, day under DATE9.; compressed.
SAS_DATA_SET = (
    "eNrtmc+L00AUx2eadJtK1BSC7KFqWPfQg4aMqWW9bWUjilWE9lC0oMtuYYXdFrQL1Yt4VU+e"
    "FDz6HwgeBGFxD3oT8aCHgndPnvztxnTy0iQPY7uUgsvOB9LJ+857M5PJJH1JCAl5+enO1ad6"
    "7s2LBwrJvmL3pw9rOXuG2DZNMeq76IRINKbb9IhNdJ0YEg3aqZarxumzFWehXCtXnZqRBBlC"
    "Pz7iZ6xmP5YjZRzN3yiST5pW0WLnT1Sutda7Ed02mWVaxxgrWSZjJsPNdedKV0rFmGRULrSd"
    "YMP+D5/3ttA4BQKBQCAQCAQCgUAg+G94FD63xniXhp2URvZ6xQfVNwtS3G8D9GkUv7LHL+up"
    "uK6C3ggEeGB/nYVnfqQ3QF9Feh70eaT3FKQDjxP0RoKeT9B7mX/raDgwSZfBXeblxt338xZj"
    "zDBOXd981llaabYS3oo0/Li3327z8h6POz70bUrgTwqDeN6dcW7zyY3mNt/CCAQCgWCnsfXT"
    "5WA9m+C/QOSR4sftf9x4OcHfQm//x+7fD3ePgj0LZZpkvJ6CBMl1Zb7fT4ziyc4viK+TeI40"
    "xQ8i9OWphkzJIbB1qFdQvYbsKNCVaw2UWZinAoy0CPac37+XwaBUjvyGNs6Eko6zDP5Np+Zc"
    "XGovN2/1fzynS97WaXY7i2vt9VaHkOXFm/1vN87fJqOOzmFmQmtfzcTPAY3OfSQ/m0LHTtH4"
    "sO0ivzTyS6O1Q9FxYhuW6NA1+mNEv+/ueGt+p/HFIzrvAV89+uVnsPej+pw1A1eDj5TQPm43"
    "uAccCAQtXn8QrRN3l52PST2PbpfgOkshW0X2PmRryFYmdqRK5H9Mj/Sj8v38iD3L3kjp4C4W"
    "EN7BpeSp4fwBO14Ngg=="
)


@pytest.fixture
def sas(tmp_path: Path) -> Path:
    path = tmp_path / "lines.sas7bdat"
    path.write_bytes(zlib.decompress(base64.b64decode(SAS_DATA_SET)))
    return path


LINES = pd.DataFrame({"code": ["0111", "0112"], "text": ["Käse", "=1+1"], "n": [1, 2]})


def write(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        write_parquet(path, frame)
    elif path.suffix == ".xlsx":
        write_xlsx(path, {"lines": frame})
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ";")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".xlsx", ".parquet"])
def test_a_table_comes_back_from_every_format(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"a file{suffix}", LINES)
    table = read_table(path)
    pd.testing.assert_frame_equal(table.frame, LINES)
    assert table.source == str(path)
    assert table.format == suffix.removeprefix(".")
    assert table.digest == sha256_file(path)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_columns_rows_and_text_columns(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"a{suffix}", LINES)
    table = read_table(
        path, columns=["n", "code"], rows=1, text_columns=["n", "not there"]
    )
    assert table.frame.to_dict("list") == {"n": ["1"], "code": ["0111"]}
    with pytest.raises(SourceError, match="no column 'cod'") as caught:
        read_table(path, columns=["cod"])
    assert caught.value.nearest == "code"


def test_the_type_of_a_column_is_that_of_the_whole_file(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("code,n\n111,1\n0112,2\n")
    assert read_table(path, rows=1).frame["code"].tolist() == ["111"]


def test_what_was_inferred_is_said(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes("text;amount\nKäse;2,5\n".encode("cp1252"))
    notes = " ".join(read_table(path).notes)
    assert "cp1252" in notes
    assert "semicolon" in notes
    assert "comma, in amount" in notes


def test_parquet_keeps_a_stored_index_and_turns_decimals_into_numbers(tmp_path: Path):
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"x": [Decimal("2.50"), None], "c": [111.0, None]})
    frame.index = pd.Index(["0111", "0112"], name="code")
    frame.to_parquet(path)
    table = read_table(path, text_columns=["c"])
    assert table.frame["code"].tolist() == ["0111", "0112"]
    assert table.frame["x"].iloc[0] == 2.5
    assert table.frame["x"].dtype == "float64"
    assert table.frame["c"].tolist()[0] == "111"
    assert table.frame["c"].isna().tolist() == [False, True]
    assert "Column c: 1 typed values became text." in table.notes


def test_a_file_that_is_not_there_offers_the_nearest(tmp_path: Path):
    write(tmp_path / "products_2026-01.csv", LINES)
    with pytest.raises(SourceError, match="The file is not there") as caught:
        read_table(tmp_path / "product_2026-01.csv")
    assert caught.value.nearest == "products_2026-01.csv"
    with pytest.raises(SourceError, match="not there") as caught:
        read_table(tmp_path / "nowhere" / "a.csv")
    assert "there is no folder" in str(caught.value.hint)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceError, match="is a folder"):
        read_table(tmp_path / "folder.csv")


def test_an_unknown_suffix_names_those_that_are_read(tmp_path: Path):
    with pytest.raises(SourceError, match=r"'\.xls' are not read") as caught:
        read_table(tmp_path / "a.xls")
    assert all(suffix in str(caught.value.expected) for suffix in SUFFIXES)
    assert caught.value.nearest == ".xlsx"


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_a_header_without_rows_is_refused(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"a{suffix}", LINES.head(0))
    with pytest.raises(SourceError, match="column names but no rows") as caught:
        read_table(path)
    assert caught.value.where == str(path)


def test_column_names_that_occur_twice_are_refused(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("code,text,code\n0111,x,0112\n")
    with pytest.raises(SourceError, match="'code' occurs 2 times") as caught:
        read_table(path)
    assert caught.value.where == f"{path}:1"
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(SourceError, match="'a' occurs 2 times"):
        read_table(write(tmp_path / "a.xlsx", twice))


def test_a_column_without_a_name_gets_one(tmp_path: Path):
    path = tmp_path / "from R.csv"
    path.write_text('"","text"\n"1","x"\n"2","y"\n')
    table = read_table(path)
    assert list(table.frame.columns) == ["column_1", "text"]
    assert "Column 1 has no name and is called column_1." in table.notes


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx", ".csv.gz", ".sas7bdat"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str):
    if suffix == ".sas7bdat":
        pytest.importorskip("pyreadstat")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"PAR1 private content, not the format it claims to be")
    with pytest.raises(SourceError) as caught:
        read_table(path)
    assert str(caught.value.where) == str(path)
    assert "private" not in str(caught.value)
    whole = gzip.compress(b"a,b\n1,2\n")
    (tmp_path / "b.csv.gz").write_bytes(whole[:-6])
    with pytest.raises(SourceError, match="cannot be unpacked"):
        read_table(tmp_path / "b.csv.gz")


def test_sas_codes_keep_their_zeros(sas: Path):
    pytest.importorskip("pyreadstat")
    table = read_table(sas, text_columns=["code"])
    assert table.frame["code"].tolist() == ["0111", "0112", "111"]
    assert table.frame["zcode"].tolist()[:2] == ["0111", "0112"]
    assert table.frame["zcode"].isna().tolist() == [False, False, True]
    assert table.frame["text"].tolist()[::2] == ["Brötchen", "Käse"]
    assert pd.isna(table.frame["text"].iloc[1])
    assert table.frame["amount"].tolist()[::2] == [2.5, 12.0]
    assert table.frame["day"].iloc[0] == pd.Timestamp("2026-01-01")
    assert "Encoding: UTF-8 (by SAS)." in table.notes
    assert "Column zcode: read as the codes that Z4 shows." in table.notes
    text = read_table(sas, text_columns=["amount", "day"]).frame
    assert text["amount"].tolist()[::2] == ["2.5", "12"]
    assert text["day"].tolist()[0] == "2026-01-01"


def test_sas_transport_files_are_read(tmp_path: Path):
    pyreadstat = pytest.importorskip("pyreadstat")
    path = tmp_path / "a.xpt"
    frame = pd.DataFrame({"code": ["0111", ""], "x": [2.5, None]})
    pyreadstat.write_xport(frame, str(path))
    table = read_table(path)
    assert table.frame["code"].tolist()[0] == "0111"
    assert table.frame["code"].isna().tolist() == [False, True]
    assert table.frame["x"].isna().tolist() == [False, True]


def test_without_the_reader_sas_names_the_extra(
    sas: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "pyreadstat", None)
    with pytest.raises(SourceError, match="not installed") as caught:
        read_table(sas)
    assert caught.value.hint == 'pip install "mlstats[sas]"'


def test_a_digest_of_a_missing_file_is_a_source_error(tmp_path: Path):
    with pytest.raises(SourceError, match="cannot be opened"):
        sha256_file(tmp_path / "nothing")
