"""Waivers: a gate that is not passed, and goes by under two signatures for a time.

A waiver changes no figure and hides none: the gate reads ``waived (fail)`` in every
report until the waiver expires, and then reads ``fail`` again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

import pandas as pd
from pydantic import Field, model_validator

from mlstats.errors import ConfigError, nearest
from mlstats.quality.gate import RESULTS
from mlstats.quality.sheet_file import Sheet, read_sheet_file

__all__ = [
    "Signature",
    "Waiver",
    "apply_waivers",
    "counting",
    "read_waivers",
    "waived_verdict",
]

_WAIVABLE: Final = tuple(result for result in RESULTS if result != "pass")


class Signature(Sheet):
    """Who signed, in which role, on which day."""

    person: str = Field(min_length=2)
    role: str = Field(min_length=2)
    day: date


class Waiver(Sheet):
    """A gate that may be passed over until a day.

    Parameters
    ----------
    gate : str
        As the gates table names it, for example ``accuracy@4 to production``.
    text : str
        Why, in a sentence.
    expires : datetime.date
        The last day on which it counts.
    first, second : Signature
        Of two persons.
    """

    gate: str = Field(min_length=1)
    text: str = Field(min_length=20)
    expires: date
    first: Signature
    second: Signature

    @model_validator(mode="after")
    def _two_persons_in_time(self) -> Self:
        persons = [" ".join(s.person.casefold().split()) for s in self.signatures]
        if persons[0] == persons[1]:
            raise ValueError("the second signature must be another person's")
        if any(s.day > self.expires for s in self.signatures):
            raise ValueError("a waiver cannot expire before it is signed")
        return self

    @property
    def signatures(self) -> tuple[Signature, Signature]:
        """Both signatures."""
        return (self.first, self.second)

    def counts_on(self, day: date) -> bool:
        """Tell whether both have signed by that day and it has not expired."""
        return max(s.day for s in self.signatures) <= day <= self.expires


class _WaiverFile(Sheet):
    version: int
    waivers: list[Waiver] = Field(default_factory=list)


def read_waivers(path: Path) -> list[Waiver]:
    """Read a file of waivers: ``version`` and the list ``waivers``.

    Raises
    ------
    ConfigError
        With file:line, where it is not YAML or a waiver is not complete.
    """
    return read_sheet_file(path, _WaiverFile).waivers


def apply_waivers(
    gates: pd.DataFrame, waivers: Sequence[Waiver], day: date
) -> pd.DataFrame:
    """Mark the gates that a waiver lets by; their results stay to be read.

    Parameters
    ----------
    gates : pandas.DataFrame
        As :func:`mlstats.quality.gate.judge` returns them.
    waivers : sequence of Waiver
        Those that have expired, or are not signed yet, count for nothing.
    day : datetime.date
        The day of the report.

    Returns
    -------
    pandas.DataFrame
        With ``result`` ``waived (fail)``, ``waived (inconclusive)`` or ``waived
        (not_measured)`` where one counts, and a column ``waiver`` with its text,
        expiry and signatures, empty elsewhere. A gate that passes is never waived.

    Raises
    ------
    ConfigError
        Where a waiver that counts names a gate that is not there, and where two
        name the same gate.
    """
    counted = counting(waivers, day)
    names = set(gates["gate"])
    for gate in counted:
        if gate not in names:
            raise ConfigError(
                f"A waiver names no gate of this pilot: {gate!r}",
                where="waivers",
                expected=", ".join(sorted(names)),
                nearest=nearest(gate, names),
            )
    let_by = gates["gate"].isin(list(counted)) & gates["result"].isin(_WAIVABLE)
    result = gates["result"].where(~let_by, "waived (" + gates["result"] + ")")
    words = [
        _in_words(counted[gate]) if waived else ""
        for gate, waived in zip(gates["gate"], let_by, strict=True)
    ]
    return gates.assign(result=result, waiver=pd.Series(words, gates.index, dtype=str))


def waived_verdict(gates: pd.DataFrame, to: str) -> str:
    """Return the result of all gates of a transition, waived ones told apart.

    As :func:`mlstats.quality.gate.verdict`, and ``waived`` where nothing but waivers
    stands between the result and a pass.
    """
    results = set(gates.loc[gates["to"] == to, "result"])
    for result in ("fail", "inconclusive", "not_measured"):
        if result in results:
            return result
    if any(str(result).startswith("waived") for result in results):
        return "waived"
    return "pass" if results else "not_measured"


def counting(waivers: Sequence[Waiver], day: date) -> dict[str, Waiver]:
    """Return gate -> waiver, of those that count on a day.

    Raises
    ------
    ConfigError
        Where two name the same gate.
    """
    found: dict[str, Waiver] = {}
    for waiver in waivers:
        if not waiver.counts_on(day):
            continue
        if waiver.gate in found:
            raise ConfigError(
                f"Two waivers name the gate {waiver.gate!r}",
                where="waivers",
                expected="one at a time",
            )
        found[waiver.gate] = waiver
    return found


def _in_words(waiver: Waiver) -> str:
    signed: list[Any] = [f"{s.person} ({s.role}, {s.day})" for s in waiver.signatures]
    return (
        f"{waiver.text} Until {waiver.expires}, signed by {signed[0]} and {signed[1]}."
    )
