"""Finished blocks of a long run, one after another in a file that a kill cannot spoil.

Each record carries its length and a checksum: what a killed process left half written
at the end is cut off when the log is opened again, and nothing before it is lost.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

__all__ = ["BlockLog"]

_RECORD = struct.Struct("<QQI")


class BlockLog:
    """Blocks by number, for one set of inputs.

    Parameters
    ----------
    path : pathlib.Path
        The file; made where it is missing, and made anew where it is of another `key`.
    key : str
        What identifies the inputs and parameters of the run.

    Attributes
    ----------
    numbers : frozenset of int
        Blocks that were there when the log was opened.
    """

    def __init__(self, path: Path, key: str) -> None:
        head = f"{key}\n".encode()
        path.touch()
        self._file: BinaryIO = path.open("rb+")
        self._places: dict[int, tuple[int, int]] = {}
        if self._file.read(len(head)) == head:
            end = self._scan(path.stat().st_size)
        else:
            self._file.seek(0)
            self._file.write(head)
            end = len(head)
        self._file.truncate(end)
        self._file.seek(end)
        self.numbers = frozenset(self._places)

    def _scan(self, size: int) -> int:
        """Note where whole records lie and return where the last one ends."""
        end = self._file.tell()
        while end + _RECORD.size <= size:
            number, length, check = _RECORD.unpack(self._file.read(_RECORD.size))
            start = end + _RECORD.size
            if start + length > size or zlib.crc32(self._file.read(length)) != check:
                break
            self._places[number] = (start, length)
            end = start + length
        return end

    def append(self, number: int, content: bytes) -> None:
        """Add a block and hand it to the system."""
        self._file.seek(0, 2)
        start = self._file.tell() + _RECORD.size
        record = _RECORD.pack(number, len(content), zlib.crc32(content))
        self._file.write(record + content)
        self._file.flush()
        self._places[number] = (start, len(content))

    def read(self, number: int) -> bytes:
        """Return a block that is there."""
        start, length = self._places[number]
        self._file.seek(start)
        return self._file.read(length)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
