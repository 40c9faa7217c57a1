"""Delimited text as a table: encoding, separator and decimal sign recognised.

Every column is text until all of its values prove to be numbers, so a code such as
0111 keeps its zero even where nobody named its column. What was recognised is said
in sentences, because a wrong guess that nobody sees is worse than an error.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mlstats.errors import ConfigError, SourceError

__all__ = ["SEPARATORS", "read_delimited", "recognise_separator"]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

_HEAD = 64 * 1024
_TEXT, _INTEGERS = "", "0"  # beside "." and ",", what a column can hold
_NO_SEPARATOR = "\x1f"  # a file of one column: a character that no text holds
_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
# A quotation mark opens a quoted value only where a value begins; an inch mark
# inside a value does not.
_QUOTED = re.compile(r'(?<![^\r\n,;\t|])"(?:[^"]|"")*(?:"|\Z)')
# No leading zero (0111 is a code), at most 15 digits (longer ones do not survive a
# float), an exponent only with its sign (1E5 is a code, 1e+05 is a number).
_WHOLE = r"(?:0|[1-9]\d{0,14})"
_EXPONENT = r"(?:[eE](?:\+\d{1,2}|-\d{1,2}))?"
_INTEGER = rf"^ *-?{_WHOLE} *$"
_NUMBER = {
    sign: rf"^ *-?(?:{_WHOLE}(?:[{sign}]\d*)?|[{sign}]\d+){_EXPONENT} *$"
    for sign in ".,"
}
_GROUPED = {sign: rf"{_INTEGER}|^ *-?[1-9]\d{{0,2}}[{sign}]\d{{3}} *$" for sign in ".,"}


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
    _check_options(encoding, separator, decimal)
    content, notes = _as_utf8(data, encoding, where)
    if not content.strip():
        raise SourceError(
            "The file is empty",
            where=where,
            expected="a header with the column names, then one record a line",
            hint="export the table again",
        )
    head = content[:_HEAD].decode("utf-8", errors="ignore")
    if separator is None:
        separator = recognise_separator(head, complete=len(content) <= _HEAD)
        name = SEPARATORS.get(separator or "", "none, the file has one column")
        notes.append(f"Separator: {name} (recognised).")
    separator = separator or _NO_SEPARATOR
    table, header = _parse(content, head, separator, where)
    kinds = [
        (_TEXT, False) if name in text_columns else _kind(column, decimal)
        for name, column in zip(header, table.columns, strict=True)
    ]
    signs = _decimal_signs(kinds, separator, decimal)
    notes.extend(_decimal_notes(header, kinds, signs))
    columns = [
        _as_numbers(column, sign) if sign else column
        for column, sign in zip(table.columns, signs, strict=True)
    ]
    frame = pa.table(columns, names=table.column_names).to_pandas()
    frame.columns = pd.Index(header)
    return frame, notes


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


def _check_options(
    encoding: str | None, separator: str | None, decimal: str | None
) -> None:
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ConfigError(
                f"The encoding {encoding!r} does not exist",
                expected="a name such as utf-8, cp1252, latin-1 or utf-16",
            ) from None
    if separator is not None and len(separator) != 1:
        raise ConfigError(
            "The separator is not one character", expected="one of , ; | or a tab"
        )
    if decimal not in (None, ".", ","):
        raise ConfigError("The decimal sign is not known", expected=". or ,")


def _as_utf8(data: bytes, encoding: str | None, where: str) -> tuple[bytes, list[str]]:
    """Return the content as UTF-8 without a byte order mark, and how it was read."""
    for mark, marked in _MARKS:
        if encoding is None and data.startswith(mark):
            text = _decode(data, marked, where)
            return text.encode(), [f"Encoding: {marked} (by its byte order mark)."]
    if encoding is not None:
        text = _decode(data, encoding, where).removeprefix("\ufeff")
        return text.encode(), [f"Encoding: {encoding} (as given)."]
    try:
        data.decode("utf-8")
        # ASCII characters in UTF-16 are valid UTF-8, every other one of them NUL.
        whole = data.count(b"\0", 0, _HEAD) <= len(data[:_HEAD]) / 5
    except UnicodeDecodeError:
        if b"\0" not in data:
            return _as_western(data)
        whole = False
    if not whole:
        raise SourceError(
            "The file holds NUL bytes and no byte order mark",
            where=where,
            expected="text in UTF-8, cp1252 or UTF-16 with a byte order mark",
            hint="name the encoding, such as utf-16-le, or export the file again",
        )
    return data, ["Encoding: utf-8 (recognised)."]


def _as_western(data: bytes) -> tuple[bytes, list[str]]:
    try:
        text, name = data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        text, name = data.decode("latin-1"), "latin-1"
    reason = "the bytes are not UTF-8; name the encoding if letters look wrong"
    return text.encode(), [f"Encoding: {name} ({reason})."]


def _decode(data: bytes, encoding: str, where: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data.count(b"\n", 0, at) + 1
    raise SourceError(
        f"The file is not valid {encoding}",
        where=f"{where}:{line}",
        expected=f"text in {encoding}",
        hint="leave the encoding out to have it recognised",
    )


def _parse(
    content: bytes, head: str, separator: str, where: str
) -> tuple[pa.Table, list[str]]:
    """Return all records but the first as texts, and the first as the header."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
    header = next(record for record in reader if record)
    positions = [str(i) for i in range(len(header))]
    ragged: list[tuple[int, int]] = []

    def note_ragged(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append((row.number, row.actual_columns))
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(content),
            # One thread: rows are numbered only then.
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, column_names=positions, block_size=1 << 24
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=separator,
                newlines_in_values=True,
                invalid_row_handler=note_ragged,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(positions, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        # Its message quotes the record, so it is not passed on.
        raise SourceError(
            "The file cannot be split into records",
            where=where,
            expected="quotation marks that close, and values below 16 MiB",
            hint="look for a quotation mark that opens a value and never closes",
        ) from None
    if ragged:
        raise _ragged_error(content, separator, where, len(header), ragged)
    return table.slice(1), header


def _ragged_error(
    content: bytes,
    separator: str,
    where: str,
    width: int,
    ragged: list[tuple[int, int]],
) -> SourceError:
    number, actual = ragged[0]
    line = _line_of(content, separator, width) or number
    more = f", as have {len(ragged) - 1} more" if len(ragged) > 1 else ""
    return SourceError(
        f"A record has {actual} values where the header has {width}{more}",
        where=f"{where}:{line}",
        expected=f"{width} values in every record",
        hint="put values that hold the separator or a line break into quotation marks",
    )


def _line_of(content: bytes, separator: str, width: int) -> int | None:
    """Return the line on which the first record of another width begins."""
    text = io.StringIO(content.decode(), newline="")
    reader = csv.reader(text, delimiter=separator)
    line = 1
    try:
        for record in reader:
            if record and len(record) != width:
                return line
            line = reader.line_num + 1
    except csv.Error:  # a value longer than the csv module takes
        return None
    return None


def _kind(column: pa.ChunkedArray, decimal: str | None) -> tuple[str, bool]:
    """Return the decimal sign of a column, and whether it may group thousands."""
    values = column.drop_null()
    if not len(values):
        return _TEXT, False
    if _all_match(values, _INTEGER):
        return _INTEGERS, False
    for sign in decimal or ".,":
        first = values.slice(0, 1000)  # most columns of text are known by their first
        if _all_match(first, _NUMBER[sign]) and _all_match(values, _NUMBER[sign]):
            return sign, decimal is None and _all_match(values, _GROUPED[sign])
    return _TEXT, False


def _decimal_signs(
    kinds: list[tuple[str, bool]], separator: str, decimal: str | None
) -> list[str]:
    """Return the decimal sign of each column, empty for a column that stays text.

    1.234 and 1,234 may be thousands. They count as decimals only where no other
    column of the file speaks against it.
    """
    clear = {sign for sign, grouped in kinds if not grouped}
    signs = []
    for sign, grouped in kinds:
        other = "," if sign == "." else "."
        doubtful = grouped and (other in clear or sign == separator == ",")
        signs.append(_TEXT if doubtful else sign)
    return signs


def _decimal_notes(
    header: list[str], kinds: list[tuple[str, bool]], signs: list[str]
) -> list[str]:
    comma = [name for name, sign in zip(header, signs, strict=True) if sign == ","]
    doubtful = [
        name
        for name, (kind, _), sign in zip(header, kinds, signs, strict=True)
        if kind != sign
    ]
    notes = []
    if comma:
        notes.append(f"Decimal sign: comma, in {', '.join(comma)}.")
    if doubtful:
        notes.append(
            f"Left as text, as the sign may be decimal or group thousands: "
            f"{', '.join(doubtful)}; name the decimal sign to decide."
        )
    return notes


def _all_match(values: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _as_numbers(column: pa.ChunkedArray, sign: str) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim(column, " ")
    if sign == _INTEGERS and not column.null_count:
        return trimmed.cast(pa.int64())
    return pc.replace_substring(trimmed, ",", ".").cast(pa.float64())
