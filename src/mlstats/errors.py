"""Every error that mlstats raises on purpose.

::

    MlstatsError                 5  internal: a fault of ours
    ├── ConfigError              2  a pilot, gate or setting cannot be used as written
    ├── RefusedError             1  a rule forbids the step: a gate, a signature
    ├── UsageError               2  the command line names what is not there
    ├── ContractError            3  the data do not keep the pilot's contract
    │   └── SourceError          3  a file or table cannot be read as data
    ├── MethodError              5  a method failed while it fitted or predicted
    │   └── TimeBudgetError      5  it took longer than it may
    └── ServiceError             4  a server, database or store is out of reach

An error tells, in this order: what happened, where (file:line), what was
expected, the nearest valid name, what to do. It never carries the content of a
record: row numbers and counts only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "ConfigError",
    "ContractError",
    "MethodError",
    "MlstatsError",
    "RefusedError",
    "ServiceError",
    "SourceError",
    "TimeBudgetError",
    "UsageError",
    "nearest",
]


class MlstatsError(Exception):
    """Base of all errors; an instance of it is an internal fault.

    Parameters
    ----------
    title : str
        What happened, one sentence without a full stop.
    where : str, optional
        ``file:line``, a table or a setting.
    expected : str, optional
        What would have been right.
    nearest : str, optional
        The valid name closest to the one that was given.
    hint : str, optional
        What to do now.
    """

    exit_code: ClassVar[int] = 5

    def __init__(
        self,
        title: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        nearest: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.title = title
        self.where = where
        self.expected = expected
        self.nearest = nearest
        self.hint = hint
        super().__init__(title)

    def lines(self) -> list[tuple[str, str]]:
        """Return the parts that are there, as (label, text) in reading order."""
        parts = [
            ("where", self.where),
            ("expected", self.expected),
            ("nearest", self.nearest),
            ("to do", self.hint),
        ]
        return [(label, text) for label, text in parts if text]

    def __str__(self) -> str:
        return "\n".join(
            [self.title, *(f"  {label}: {text}" for label, text in self.lines())]
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by Exception's own pickling, and errors
        # cross process borders in scale.py.
        return (_rebuild, (type(self), self.title, dict(self.__dict__)))


def _rebuild(
    cls: type[MlstatsError], title: str, state: dict[str, object]
) -> MlstatsError:
    error = cls(title)
    error.__dict__.update(state)
    return error


class ConfigError(MlstatsError):
    """A pilot, a gate or a setting cannot be used as it is written."""

    exit_code = 2


class RefusedError(MlstatsError):
    """A rule forbids the step: a gate is not passed, a signature is missing."""

    exit_code = 1


class UsageError(MlstatsError):
    """The command line names something that is not there."""

    exit_code = 2


class ContractError(MlstatsError):
    """The data do not keep the contract of the pilot.

    Parameters
    ----------
    title : str
        What happened.
    failures : pandas.DataFrame, optional
        One row per failed rule: column, rule, count, first_rows.
    **parts
        As in :class:`MlstatsError`.
    """

    exit_code = 3

    def __init__(
        self, title: str, *, failures: object = None, **parts: str | None
    ) -> None:
        super().__init__(title, **parts)
        self.failures = failures


class SourceError(ContractError):
    """A file or a table cannot be read as data."""


class MethodError(MlstatsError):
    """A method failed while it fitted or predicted."""


class TimeBudgetError(MethodError):
    """A method took longer than its pilot allows."""


class ServiceError(MlstatsError):
    """A server, a database or a store cannot be reached or written."""

    exit_code = 4


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name closest to `name`, or None where none is close.

    Examples
    --------
    >>> nearest("basline", ["baseline", "candidate"])
    'baseline'
    >>> nearest("zzz", ["baseline"]) is None
    True
    """
    found = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return found[0] if found else None
