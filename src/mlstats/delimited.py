"""Delimited text as a table: encoding, separator and decimal sign recognised.

Every column is text until all of its values prove to be numbers, so a code such as
0111 keeps its zero even where nobody named its column. What was recognised is said
in sentences, because a wrong guess that nobody sees is worse than an error.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from mlstats.errors import ConfigError, SourceError
from mlstats.number_columns import (
    ColumnKind,
    as_numbers,
    decimal_notes,
    decimal_signs,
)
from mlstats.text_encoding import check_encoding, recognise_encoding, without_mark

__all__ = [
    "HEAD",
    "SEPARATORS",
    "Records",
    "check_options",
    "read_delimited",
    "read_header",
    "recognise_separator",
]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

HEAD = 64 * 1024
NO_SEPARATOR = "\x1f"  # a file of one column: a character that no text holds
# A quotation mark opens a quoted value only where a value begins; an inch mark
# inside a value does not.
_QUOTED = re.compile(r'(?<![^\r\n,;\t|])"(?:[^"]|"")*(?:"|\Z)')


def read_delimited(
    data: bytes,
    where: str,
    *,
    text_columns: Collection[str] = (),
    encoding: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Read delimited text; the first record holds the column names.

    Parameters
    ----------
    data : bytes
        The file's content, unpacked.
    where : str
        The file's name, for errors.
    text_columns : collection of str, default ()
        Columns that stay text whatever they hold.
    encoding, separator, decimal : str, optional
        Recognised where they are not given.

    Returns
    -------
    frame : pandas.DataFrame
        Columns in the file's order, named as in the file. An unquoted empty value
        is missing, a quoted one is an empty text, and words such as NA or null are
        texts.
    notes : list of str
        What was recognised, one sentence each.

    Raises
    ------
    SourceError
        For an empty file, an undecodable one, or records with another number of
        values than the header.
    ConfigError
        For an encoding, separator or decimal sign that does not exist.
    """
    check_options(encoding, separator, decimal)
    codec, note = recognise_encoding([data], encoding, where)
    content, notes = data, [note]
    if codec != "utf-8" or encoding is not None:
        content = without_mark(data.decode(codec)).encode()
    separator, header, told = read_header(
        content[:HEAD], separator, where, complete=len(content) <= HEAD
    )
    table = _parse(content, separator, where, header)
    kinds = [ColumnKind(decimal, name in text_columns) for name in header]
    for kind, column in zip(kinds, table.columns, strict=True):
        kind.meet(column)
    found = [kind.told() for kind in kinds]
    signs = decimal_signs(found, separator, decimal)
    columns = [
        as_numbers(column, sign, complete=not column.null_count)
        for column, sign in zip(table.columns, signs, strict=True)
    ]
    frame = pa.table(columns, names=table.column_names).to_pandas()
    frame.columns = pd.Index(header)
    return frame, [*notes, *told, *decimal_notes(header, found, signs)]


def read_header(
    head: bytes, separator: str | None, where: str, *, complete: bool
) -> tuple[str, list[str], list[str]]:
    """Return the separator, the column names and what was recognised.

    Parameters
    ----------
    head : bytes
        The first 64 KiB of the file in UTF-8.
    separator : str or None
        As given; None to recognise it.
    where : str
        The file's name, for errors.
    complete : bool
        Whether `head` is the whole file.

    Raises
    ------
    SourceError
        Where the file is empty, or its first record is not in `head`.
    """
    if not head.strip():
        raise SourceError(
            "The file is empty",
            where=where,
            expected="a header with the column names, then one record a line",
            hint="export the table again",
        )
    text, notes = head.decode("utf-8", errors="ignore"), []
    if not complete and not {"\n", "\r"} & set(text.lstrip()):
        raise SourceError(
            "The first record is longer than 64 KiB",
            where=where,
            expected="a header with the column names in it",
            hint="look whether the lines end; or split the table by columns",
        )
    if separator is None:
        separator = recognise_separator(text, complete=complete)
        name = SEPARATORS.get(separator or "", "none, the file has one column")
        notes.append(f"Separator: {name} (recognised).")
    separator = separator or NO_SEPARATOR
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return separator, next(record for record in reader if record), notes


def recognise_separator(head: str, *, complete: bool = True) -> str | None:
    r"""Recognise the separator of delimited text from its beginning.

    The separator that occurs equally often in the most records wins, the more
    frequent one where two are equal; what lies in quotation marks does not count.

    Parameters
    ----------
    head : str
        The beginning of the file.
    complete : bool, default True
        Whether `head` is the whole file; otherwise its last record is left out.

    Returns
    -------
    str or None
        One of :data:`SEPARATORS`, or None where the file has one column.

    Examples
    --------
    >>> recognise_separator('code;text\n0111;"bread; rolls"\n0112;milk, fresh\n')
    ';'
    >>> recognise_separator("text\nbread, white\nmilk\n") is None
    True
    """
    records = [r for r in re.split(r"\r\n|\r|\n", _QUOTED.sub("", head)) if r]
    if not complete and len(records) > 1:
        records = records[:-1]
    found: tuple[float, int, str] | None = None
    for separator in SEPARATORS:
        counts = [record.count(separator) for record in records]
        if counts and counts[0]:
            share = counts.count(counts[0]) / len(counts)
            if found is None or (share, counts[0]) > found[:2]:
                found = (share, counts[0], separator)
    return found[2] if found else None


def check_options(
    encoding: str | None, separator: str | None, decimal: str | None
) -> None:
    """Raise ConfigError for an encoding, separator or decimal sign that is none."""
    check_encoding(encoding)
    if separator is not None and len(separator) != 1:
        raise ConfigError(
            "The separator is not one character", expected="one of , ; | or a tab"
        )
    if decimal not in (None, ".", ","):
        raise ConfigError("The decimal sign is not known", expected=". or ,")


@dataclass
class Records:
    """How records are parsed, and which had another number of values.

    Parameters
    ----------
    width : int
        Values of a record.
    separator : str
        Between them.
    block : int
        Bytes that are parsed together; no value is longer.
    """

    width: int
    separator: str
    block: int = 1 << 24
    ragged: list[tuple[int, int]] = field(default_factory=list, init=False)

    def options(self) -> dict[str, Any]:
        """Return the options of Arrow's readers: every value a text, in one thread.

        Rows are numbered with one thread only. The first record is the header.
        """
        positions = [str(i) for i in range(self.width)]
        return {
            "read_options": pyarrow.csv.ReadOptions(
                use_threads=False, column_names=positions, block_size=self.block
            ),
            "parse_options": pyarrow.csv.ParseOptions(
                delimiter=self.separator,
                newlines_in_values=True,
                invalid_row_handler=self._note_ragged,
            ),
            "convert_options": pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(positions, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        }

    def _note_ragged(self, row: pyarrow.csv.InvalidRow) -> str:
        self.ragged.append((row.number, row.actual_columns))
        return "skip"

    def error_of_parsing(self, where: str) -> SourceError:
        """Return the error of a file that Arrow cannot parse; its own quotes records.

        Parameters
        ----------
        where : str
            The file's name.
        """
        return SourceError(
            "The file cannot be split into records",
            where=where,
            expected="quotation marks that close, and values below "
            f"{self.block >> 20} MiB",
            hint="look for a quotation mark that opens a value and never closes",
        )

    def error(self, lines: Iterable[str], where: str) -> SourceError:
        """Return the error of the first record with another number of values.

        Parameters
        ----------
        lines : iterable of str
            The file's lines with their ends, to find the one on which it begins.
        where : str
            The file's name.
        """
        number, actual = self.ragged[0]
        line = _line_of(lines, self.separator, self.width) or number
        others = len(self.ragged) - 1
        more = f", as have {others} more" if others else ""
        return SourceError(
            f"A record has {actual} values where the header has {self.width}{more}",
            where=f"{where}:{line}",
            expected=f"{self.width} values in every record",
            hint="put values that hold the separator or a line break into quotation "
            "marks",
        )


def _parse(
    content: bytes, separator: str, where: str, header: Sequence[str]
) -> pa.Table:
    """Return all records but the first as texts."""
    records = Records(len(header), separator)
    try:
        table = pyarrow.csv.read_csv(pa.BufferReader(content), **records.options())
    except pa.ArrowInvalid:
        raise records.error_of_parsing(where) from None
    if records.ragged:
        raise records.error(io.StringIO(content.decode(), newline=""), where)
    return table.slice(1)


def _line_of(lines: Iterable[str], separator: str, width: int) -> int | None:
    """Return the line on which the first record of another width begins."""
    reader = csv.reader(lines, delimiter=separator)
    line = 1
    try:
        for record in reader:
            if record and len(record) != width:
                return line
            line = reader.line_num + 1
    except csv.Error:  # a value longer than the csv module takes
        return None
    return None
