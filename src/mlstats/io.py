"""Reading tables and writing files: the one door for data in and out.

Codes are strings. A reader says in sentences what it inferred (encoding, separator,
decimal sign, sheet), so that a wrong guess is seen before it is a wrong statistic.
What each format asks for lives in a module of its own: :mod:`mlstats.delimited`,
:mod:`mlstats.workbook`, :mod:`mlstats.database`, :mod:`mlstats.writing`.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats.database import read_sql
from mlstats.delimited import read_delimited
from mlstats.errors import SourceError, nearest
from mlstats.table import Table, as_text, check_has_columns, finish_table
from mlstats.workbook import read_sheet
from mlstats.writing import (
    write_atomic,
    write_json,
    write_parquet,
    write_text,
    write_xlsx,
)

__all__ = [
    "SUFFIXES",
    "Table",
    "read_sql",
    "read_table",
    "sha256_file",
    "write_atomic",
    "write_json",
    "write_parquet",
    "write_text",
    "write_xlsx",
]

_TEXT_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
_SHEET_SUFFIXES = (".xlsm", ".xlsx")
_SAS_SUFFIXES = (".sas7bdat", ".xpt")
SUFFIXES = (*_TEXT_SUFFIXES, ".parquet", *_SHEET_SUFFIXES, *_SAS_SUFFIXES)

# SAS shows a number under the format Z4. with leading zeros.
_ZEROS_FORMAT = re.compile(r"^Z(\d+)\.?0?$", re.IGNORECASE)


def read_table(
    source: str | Path,
    *,
    text_columns: Collection[str] = (),
    sheet: str | int | None = None,
    encoding: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    columns: Collection[str] | None = None,
    rows: int | None = None,
) -> Table:
    """Read a file, by its suffix one of :data:`SUFFIXES`.

    Parameters
    ----------
    source : str or pathlib.Path
        The file.
    text_columns : collection of str, default ()
        Columns to read as text, such as codes; names that the file does not have
        are passed over.
    sheet : str or int, optional
        Sheet of a workbook, by default the first.
    encoding, separator, decimal : str, optional
        Of delimited text (`encoding` of SAS too); recognised where not given.
    columns : collection of str, optional
        Columns to keep, in this order; by default all.
    rows : int, optional
        Keep only the first rows. Types are those of the whole file.

    Returns
    -------
    Table
        With one row or more.

    Raises
    ------
    SourceError
        For a file that is missing, empty, damaged, without rows or of an unknown
        kind, for column names that occur twice, and for a column or sheet that is
        not there.
    ConfigError
        For an encoding, separator or decimal sign that does not exist.
    """
    path = Path(source)
    suffix = _suffix(path)
    _check_is_file(path)
    digest = sha256_file(path)
    if suffix in _SHEET_SUFFIXES:
        frame, notes = read_sheet(path, sheet=sheet, text_columns=text_columns)
    elif suffix in _SAS_SUFFIXES:
        frame, notes = _read_sas(path, suffix, encoding)
    elif suffix == ".parquet":
        frame, notes = _read_parquet(path, columns)
    else:
        frame, notes = read_delimited(
            _unpacked(path),
            str(path),
            text_columns=text_columns,
            encoding=encoding,
            separator=separator,
            decimal=decimal,
        )
    table = Table(frame, str(path), suffix.removeprefix("."), digest, notes)
    return finish_table(table, text_columns=text_columns, columns=columns, rows=rows)


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hex.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.

    Raises
    ------
    SourceError
        Where the file cannot be opened.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(
            f"The file cannot be opened: {error.strerror}",
            where=str(path),
            expected="a file that this user may read",
        ) from None


def _suffix(path: Path) -> str:
    name = path.name.lower()
    found = [suffix for suffix in SUFFIXES if name.endswith(suffix)]
    if not found:
        raise SourceError(
            f"Files that end in {path.suffix or 'no suffix'!r} are not read",
            where=str(path),
            expected=f"a name that ends in {', '.join(SUFFIXES)}",
            nearest=nearest(path.suffix.lower(), SUFFIXES),
            hint="export the table in one of these formats",
        )
    return max(found, key=len)


def _check_is_file(path: Path) -> None:
    if path.is_file():
        return
    try:
        beside = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        beside = []
    raise SourceError(
        "The source is a folder" if path.is_dir() else "The file is not there",
        where=str(path),
        expected="a file that can be read",
        nearest=nearest(path.name, beside),
        hint=None if path.parent.is_dir() else f"there is no folder {path.parent}",
    )


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix.lower() != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        raise SourceError(
            "The file cannot be unpacked",
            where=str(path),
            expected="a complete gzip file",
            hint="copy or export the file again",
        ) from None


def _read_parquet(
    path: Path, columns: Collection[str] | None
) -> tuple[pd.DataFrame, list[str]]:
    import pyarrow as pa
    import pyarrow.parquet

    from mlstats.parquet_types import as_frame

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if columns is not None:
                check_has_columns(names, columns, str(path))
            kept = file.read(columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError):
        raise SourceError(
            "The file is not a readable Parquet file",
            where=str(path),
            expected="a complete Parquet file",
            hint="write or copy it again; an interrupted copy looks like this",
        ) from None
    return as_frame(kept), []


def _read_sas(
    path: Path, suffix: str, encoding: str | None
) -> tuple[pd.DataFrame, list[str]]:
    try:
        import pyreadstat
    except ImportError:
        raise SourceError(
            "SAS files need the package pyreadstat, which is not installed",
            where=str(path),
            hint='pip install "mlstats[sas]"',
        ) from None
    read = pyreadstat.read_xport if suffix == ".xpt" else pyreadstat.read_sas7bdat
    try:
        frame, meta = read(path, encoding=encoding, dates_as_pandas_datetime=True)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeError):
        raise SourceError(
            "The file cannot be read as a SAS data set",
            where=str(path),
            expected="a complete, unencrypted SAS data set",
            hint="name the encoding if the file is whole, or export it again",
        ) from None
    return _from_sas(frame, meta, encoding)


def _from_sas(
    frame: pd.DataFrame, meta: Any, encoding: str | None
) -> tuple[pd.DataFrame, list[str]]:
    """Make blank texts missing, as SAS means them, and Zw. numbers codes again."""
    used = f"{encoding} (as given)" if encoding else f"{meta.file_encoding} (by SAS)"
    notes = [f"Encoding: {used}."]
    for name, sas_format in meta.original_variable_types.items():
        values = frame[name]
        zeros = _ZEROS_FORMAT.match(sas_format or "")
        if zeros and pd.api.types.is_numeric_dtype(values):
            frame[name] = as_text(values).str.zfill(int(zeros[1]))
            notes.append(f"Column {name}: read as the codes that {sas_format} shows.")
        elif pd.api.types.is_string_dtype(values):
            frame[name] = values.astype("str").mask(values == "")
    return frame, notes
