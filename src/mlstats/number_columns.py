"""Which columns of texts are numbers, told from all of their values in any pieces.

A column is text until all of its values prove to be numbers, so a code such as 0111
keeps its zero even where nobody named its column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ColumnKind", "as_numbers", "decimal_notes", "decimal_signs"]

_TEXT, _INTEGERS = "", "0"  # beside "." and ",", what a column can hold
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


@dataclass
class ColumnKind:
    """What the values of a column met so far can all be.

    Parameters
    ----------
    decimal : str or None
        The decimal sign, where it was given.
    is_text : bool
        Whether it stays text whatever it holds.
    """

    decimal: str | None = None
    is_text: bool = False
    missing: int = field(default=0, init=False)
    _values: int = field(default=0, init=False)
    _integers: bool = field(default=True, init=False)
    _numbers: dict[str, bool] = field(init=False)
    _grouped: dict[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        signs = self.decimal or ".,"
        self._numbers = dict.fromkeys(signs, not self.is_text)
        # 1.234 may be thousands, unless the decimal sign was given.
        self._grouped = dict.fromkeys(signs, self.decimal is None)

    def meet(self, column: pa.ChunkedArray) -> None:
        """Take account of more values, which are texts or missing."""
        values = column.drop_null()
        self.missing += len(column) - len(values)
        self._values += len(values)
        if not len(values) or not any(self._numbers.values()):
            return
        self._integers = self._integers and _all_match(values, _INTEGER)
        if self._integers:
            return  # which every other pattern matches too
        for sign, possible in self._numbers.items():
            self._numbers[sign] = possible and _all_match(values, _NUMBER[sign])
            self._grouped[sign] = (
                self._grouped[sign]
                and self._numbers[sign]
                and _all_match(values, _GROUPED[sign])
            )

    def told(self) -> tuple[str, bool]:
        """Return the decimal sign of the column, and whether it may group thousands."""
        if not self._values or not any(self._numbers.values()):
            return _TEXT, False
        if self._integers:
            return _INTEGERS, False
        sign = next(sign for sign, possible in self._numbers.items() if possible)
        return sign, self._grouped[sign]


def decimal_signs(
    kinds: Sequence[tuple[str, bool]], separator: str, decimal: str | None
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


def decimal_notes(
    header: Sequence[str], kinds: Sequence[tuple[str, bool]], signs: Sequence[str]
) -> list[str]:
    """Return in sentences which columns have commas, and which are in doubt."""
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


def as_numbers(
    column: pa.ChunkedArray, sign: str, *, complete: bool
) -> pa.ChunkedArray:
    """Return texts as the numbers that they are.

    Parameters
    ----------
    column : pyarrow.ChunkedArray of string
        Values of a column.
    sign : str
        Of :func:`decimal_signs`; empty for texts, which are returned as they are.
    complete : bool
        Whether the whole column misses no value: only then are integers integers.
    """
    if not sign:
        return column
    trimmed = pc.utf8_trim(column, " ")
    if sign == _INTEGERS and complete:
        return trimmed.cast(pa.int64())
    return pc.replace_substring(trimmed, ",", ".").cast(pa.float64())


def _all_match(values: pa.ChunkedArray, pattern: str) -> bool:
    # Most columns of text are known by their first values.
    first = values.slice(0, 1000)
    return _matches(first, pattern) and (
        len(values) == len(first) or _matches(values, pattern)
    )


def _matches(values: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())
