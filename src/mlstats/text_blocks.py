"""Delimited text of any size, as blocks of records: what a whole reading would give.

The file is read as often as there is something to be known of all of it: its encoding,
which columns are numbers, and at last its records. Nothing is held but a block.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.csv

from mlstats.delimited import (
    HEAD,
    Records,
    check_options,
    read_header,
)
from mlstats.errors import SourceError
from mlstats.number_columns import (
    ColumnKind,
    as_numbers,
    decimal_notes,
    decimal_signs,
)
from mlstats.object_store import opened
from mlstats.table import column_names
from mlstats.text_encoding import recognise_encoding, without_mark

__all__ = ["TextBlocks"]

_PIECE: Final = 1 << 22
_BLOCK: Final = 1 << 22  # Arrow's reader holds up to 32 of them that it read ahead


@dataclass(frozen=True)
class TextBlocks:
    """A delimited text whose encoding, separator and types are known.

    Parameters
    ----------
    address : str
        The file, packed by gzip where its name ends in ``.gz``.
    codec : str
        Its encoding.
    separator : str
        Between the values.
    columns : tuple of str
        What the columns are called.
    signs : tuple of str
        Decimal sign of each column, empty for texts.
    complete : tuple of bool
        Which columns miss no value.
    rows : int
        Records.
    notes : tuple of str
        What was recognised, one sentence each.
    """

    address: str
    codec: str
    separator: str
    columns: tuple[str, ...]
    signs: tuple[str, ...]
    complete: tuple[bool, ...]
    rows: int
    notes: tuple[str, ...]

    @classmethod
    def open(
        cls,
        address: str,
        *,
        text_columns: Collection[str] = (),
        encoding: str | None = None,
        separator: str | None = None,
        decimal: str | None = None,
    ) -> TextBlocks:
        """Read the file for what is known of all of it alone.

        The parameters, and what raises, are those of
        :func:`mlstats.delimited.read_delimited`; a table without rows raises
        SourceError too.
        """
        check_options(encoding, separator, decimal)
        with _unpacked(address) as file:
            pieces = iter(lambda: file.read(_PIECE), b"")
            codec, note = recognise_encoding(pieces, encoding, address)
        with _as_utf8(address, codec) as file:
            head = file.read(HEAD)
            complete = len(head) < HEAD or not file.read(1)
        separator, header, told = read_header(
            head, separator, address, complete=complete
        )
        notes = [note, *told]
        names = column_names(header, address, notes)
        kinds = [ColumnKind(decimal, name in text_columns) for name in header]
        rows = 0
        for batch in _batches(address, codec, separator, len(header)):
            rows += len(batch)
            for kind, column in zip(kinds, batch.columns, strict=True):
                kind.meet(column)
        if not rows:
            raise SourceError(
                "The table has column names but no rows",
                where=address,
                expected="one row or more",
                hint="check that the export, or the period asked for, has records",
            )
        found = [kind.told() for kind in kinds]
        signs = decimal_signs(found, separator, decimal)
        notes += decimal_notes(header, found, signs)
        whole = tuple(not kind.missing for kind in kinds)
        return cls(
            address, codec, separator, tuple(names), tuple(signs), whole, rows,
            tuple(notes),
        )  # fmt: skip

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the records in order, some 4 MB of text at a time, typed."""
        batches = _batches(self.address, self.codec, self.separator, len(self.columns))
        for batch in batches:
            columns = [
                as_numbers(column, sign, complete=complete)
                for column, sign, complete in zip(
                    batch.columns, self.signs, self.complete, strict=True
                )
            ]
            yield pa.table(columns, names=list(self.columns))


def _batches(
    address: str, codec: str, separator: str, width: int
) -> Iterator[pa.Table]:
    """Yield all records but the first as texts."""
    records = Records(width, separator, _BLOCK)
    with _as_utf8(address, codec) as file:
        first = True
        try:
            reader = pyarrow.csv.open_csv(
                pa.PythonFile(file, mode="r"), **records.options()
            )
            for batch in reader:
                table = pa.Table.from_batches([batch.slice(1) if first else batch])
                first = first and not len(batch)
                yield table
        except pa.ArrowInvalid:
            raise records.error_of_parsing(address) from None
    if records.ragged:
        with _as_utf8(address, codec) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8", newline="")
            raise records.error(lines, address)


@contextmanager
def _unpacked(address: str) -> Iterator[BinaryIO]:
    with opened(address) as raw:
        if not address.lower().endswith(".gz"):
            yield raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                yield file  # type: ignore[misc]
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise SourceError(
                "The file cannot be unpacked",
                where=address,
                expected="a complete gzip file",
                hint="copy or export the file again",
            ) from None


@contextmanager
def _as_utf8(address: str, codec: str) -> Iterator[Any]:
    """Open a text as UTF-8 without its byte order mark."""
    with _unpacked(address) as file:
        yield io.BufferedReader(_Recoded(file, codec), buffer_size=_PIECE)


class _Recoded(io.RawIOBase):
    """The bytes of a text in UTF-8, whatever its encoding."""

    def __init__(self, file: BinaryIO, codec: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(codec)()
        self._begun = False
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = self._file.read(_PIECE)
            text = self._decoder.decode(piece, final=not piece)
            if text and not self._begun:
                text, self._begun = without_mark(text), True
            self._left = text.encode()
            if not piece and not self._left:
                return 0
        taken = min(len(buffer), len(self._left))
        buffer[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken
