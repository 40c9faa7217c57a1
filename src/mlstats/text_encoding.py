"""Which encoding a text has, recognised from all of its bytes, in pieces or at once."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Final

from mlstats.errors import ConfigError, SourceError

__all__ = ["check_encoding", "recognise_encoding", "without_mark"]

_HEAD: Final = 64 * 1024
_MARKS: Final = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_UNUSED: Final = b"\x81\x8d\x8f\x90\x9d"  # no letter of cp1252


def check_encoding(encoding: str | None) -> None:
    """Raise ConfigError for an encoding that does not exist."""
    if encoding is None:
        return
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ConfigError(
            f"The encoding {encoding!r} does not exist",
            expected="a name such as utf-8, cp1252, latin-1 or utf-16",
        ) from None


def without_mark(text: str) -> str:
    """Return a text without the byte order mark at its beginning."""
    return text.removeprefix("\ufeff")


def recognise_encoding(
    pieces: Iterable[bytes], encoding: str | None, where: str
) -> tuple[str, str]:
    """Return the encoding of a text and a sentence on how it was found.

    Parameters
    ----------
    pieces : iterable of bytes
        The text in order, unpacked, read to its end; the first has 64 KiB or all.
    encoding : str or None
        As given, which is then checked; None to recognise it.
    where : str
        The file's name, for errors.

    Raises
    ------
    SourceError
        For bytes that are not of the encoding that was given or that a mark names,
        and for NUL bytes without a mark.
    """
    rest = iter(pieces)
    first = next(rest, b"")
    given = [(mark, name) for mark, name in _MARKS if first.startswith(mark)]
    if encoding is not None:
        _check(_again(first, rest), encoding, where)
        return encoding, f"Encoding: {encoding} (as given)."
    if given:
        marked = given[0][1]
        _check(_again(first, rest), marked, where)
        return marked, f"Encoding: {marked} (by its byte order mark)."
    return _unmarked(first, rest, where)


def _unmarked(first: bytes, rest: Iterator[bytes], where: str) -> tuple[str, str]:
    # ASCII characters in UTF-16 are valid UTF-8, every other one of them NUL.
    whole = first.count(b"\0", 0, _HEAD) <= len(first[:_HEAD]) / 5
    utf8 = codecs.getincrementaldecoder("utf-8")()
    valid, western, nul = True, True, False
    for piece in _again(first, rest):
        nul = nul or b"\0" in piece
        western = western and not any(byte in piece for byte in _UNUSED)
        if valid:
            valid = _takes(utf8, piece)
    if valid and _takes(utf8, b"", final=True):
        if whole:
            return "utf-8", "Encoding: utf-8 (recognised)."
    elif not nul:
        name = "cp1252" if western else "latin-1"
        reason = "the bytes are not UTF-8; name the encoding if letters look wrong"
        return name, f"Encoding: {name} ({reason})."
    raise SourceError(
        "The file holds NUL bytes and no byte order mark",
        where=where,
        expected="text in UTF-8, cp1252 or UTF-16 with a byte order mark",
        hint="name the encoding, such as utf-16-le, or export the file again",
    )


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _takes(
    decoder: codecs.IncrementalDecoder, piece: bytes, final: bool = False
) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


def _check(pieces: Iterator[bytes], encoding: str, where: str) -> None:
    """Decode all of a text; tell the line of the first byte that is not of it."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    try:
        for piece in pieces:
            decoder.decode(piece)
            lines += piece.count(b"\n")
        decoder.decode(b"", final=True)
        return
    except UnicodeError as error:
        if isinstance(error, UnicodeDecodeError):
            lines += bytes(error.object).count(b"\n", 0, error.start)
    raise SourceError(
        f"The file is not valid {encoding}",
        where=f"{where}:{lines}",
        expected=f"text in {encoding}",
        hint="leave the encoding out to have it recognised",
    )
