"""Regular expressions that cannot hang: what a coding rule may ask of a text.

Python's ``re`` has no time limit, and a pattern such as ``(a+)+b`` takes time that
doubles with every character. So the shapes that make this possible are refused when
rules are read, and rules look at the beginning of a text only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["check_pattern"]

MOST_UNBOUNDED = 2
"""Repetitions without a limit (or above :data:`LONG`) that a pattern may have."""

MOST_CHOICES = 10
"""Parts that can match in more than one way that a pattern may have."""

LONG = 20

_TOKEN = re.compile(
    r"""(?P<escape>\\.)
    | (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
    | (?P<open>\((?:\?(?:P<\w+>|P=\w+|<?[=!]|[aiLmsux-]*:|>|\#[^)]*))?)
    | (?P<close>\))
    | (?P<or>\|)
    | (?P<times>(?:[*+?]|\{\d*,?\d*\})[?+]?)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass
class _Group:
    has_choice: bool = False


def check_pattern(pattern: str) -> None:
    r"""Refuse a pattern that is wrong, can never match, or could hang.

    Parameters
    ----------
    pattern : str
        To be searched in normalised texts: lower case, no accents, words between
        single spaces.

    Raises
    ------
    ValueError
        With a sentence that says what is wrong.

    Examples
    --------
    >>> check_pattern(r"\b(milk|lait)\b")
    >>> check_pattern("(a+)+b")
    Traceback (most recent call last):
    ...
    ValueError: The pattern repeats a group that can match in several ways
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"The pattern is no regular expression: {error}") from None
    for token in _letters(pattern):
        if token.isupper() or unicodedata.normalize("NFKD", token) != token:
            raise ValueError(
                f"The pattern can never match: {token!r}, but normalised texts are "
                "in lower case without accents"
            )
    _check_repetitions(pattern)


def _letters(pattern: str) -> Iterator[str]:
    """Yield the characters that stand for themselves."""
    for token in _TOKEN.finditer(pattern):
        if token.lastgroup == "other":
            yield token[0]
        elif token.lastgroup == "set":
            yield from re.sub(r"\\.", "", token[0])


def _check_repetitions(pattern: str) -> None:
    groups = [_Group()]
    closed: _Group | None = None
    unbounded = choices = 0
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        if kind == "times":
            least, most = _limits(token[0])
            if closed is not None and closed.has_choice and most > 1:
                raise ValueError(
                    "The pattern repeats a group that can match in several ways"
                )
            unbounded += most > LONG
            choices += least != most
            groups[-1].has_choice |= least != most
        elif kind == "or":
            choices += not groups[-1].has_choice
            groups[-1].has_choice = True
        elif kind == "open":
            groups.append(_Group())
        closed = None
        if kind == "close" and len(groups) > 1:
            closed = groups.pop()
            groups[-1].has_choice |= closed.has_choice
    if unbounded > MOST_UNBOUNDED or choices > MOST_CHOICES:
        raise ValueError(
            f"The pattern has more than {MOST_UNBOUNDED} unlimited repetitions or "
            f"more than {MOST_CHOICES} choices: make several rules of it"
        )


def _limits(times: str) -> tuple[int, float]:
    """Return how often a quantifier repeats at least and at most."""
    if times[0] in "*+?":
        return int(times[0] == "+"), 1 if times[0] == "?" else float("inf")
    least, comma, most = times.rstrip("?+")[1:-1].partition(",")
    if not comma:
        return int(least or 1), int(least or 1)
    return int(least or 0), float(most or "inf")
