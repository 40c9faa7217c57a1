"""When a code, or a version of a whole classification, exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, SourceError, nearest
from mlstats.period import ReferencePeriod

if TYPE_CHECKING:
    from mlstats.coding.classification import Classification

__all__ = ["Spans", "Version", "Versions", "read_spans"]

Spans = Mapping[str, tuple[tuple[date, date], ...]]
"""Code -> first and last day of each time in which it exists."""


def read_spans(
    codes: pd.Series, first: pd.Series | None, last: pd.Series | None
) -> dict[str, tuple[tuple[date, date], ...]]:
    """Read the days between which each code exists.

    Parameters
    ----------
    codes : Series of str, shape (n,)
        A code may stand in several rows.
    first, last : Series of str, shape (n,), optional
        Days (2008-01-01) or reference periods (2008, 2008-Q1); empty without a limit.

    Raises
    ------
    SourceError
        If a value is neither, or an end lies before its beginning.
    """
    spans: dict[str, tuple[tuple[date, date], ...]] = {}
    columns = [_filled(first, codes), _filled(last, codes)]
    for row, (code, begins, ends) in enumerate(zip(codes, *columns, strict=True)):
        try:
            span = (_day(begins, last=False), _day(ends, last=True))
        except (ConfigError, ValueError):
            raise _no_span("A validity is neither a day nor a period", row) from None
        if span[0] > span[1]:
            raise _no_span("A code ends before it begins", row)
        spans[code] = (*spans.get(code, ()), span)
    return spans


@dataclass(frozen=True, eq=False)
class Version:
    """A classification as it was in force between two days.

    Attributes
    ----------
    name : str
        Such as "NACE Rev. 2".
    classification : Classification
    first, last : date
        Of its being in force.
    """

    name: str
    classification: Classification
    first: date = date.min
    last: date = date.max


@dataclass(frozen=True, eq=False)
class Versions:
    """The versions of one classification, each in force in its time.

    Raises
    ------
    ConfigError
        If two versions have one name, or are in force on the same day.
    """

    versions: tuple[Version, ...]

    def __post_init__(self) -> None:
        ordered = sorted(self.versions, key=lambda version: version.first)
        names = {version.name for version in ordered}
        for earlier, later in zip(ordered[:-1], ordered[1:], strict=True):
            if later.first <= earlier.last:
                raise ConfigError(
                    f"The versions {earlier.name!r} and {later.name!r} overlap",
                    expected="each in force after the one before",
                )
        if len(names) != len(ordered) or not ordered:
            raise ConfigError("The versions do not have different names")

    @classmethod
    def of(
        cls, listed: Iterable[tuple[str, Classification, str | None, str | None]]
    ) -> Versions:
        """Make it from (name, classification, first period, last period)."""
        return cls(
            tuple(
                Version(name, held, _day(first, last=False), _day(last, last=True))
                for name, held, first, last in listed
            )
        )

    def at(self, version: str) -> Classification:
        """Return the version of that name, or the one in force at that period.

        Parameters
        ----------
        version : str
            A name, or a reference period, of which the first day counts.

        Raises
        ------
        ConfigError
            If there is none.
        """
        names = [held.name for held in self.versions]
        if version in names:
            return self.versions[names.index(version)].classification
        try:
            day = ReferencePeriod.parse(version).first_day()
        except ConfigError:
            raise ConfigError(
                f"There is no version {version!r}",
                expected=f"{', '.join(names)}, or a reference period",
                nearest=nearest(version, names),
            ) from None
        for held in self.versions:
            if held.first <= day <= held.last:
                return held.classification
        raise ConfigError(f"No version is in force in {version}")

    def exists(self, codes: Any, at: str) -> npt.NDArray[np.bool_]:
        """Tell which codes exist in a version, or at a period."""
        held = self.at(at)
        is_name = at in [version.name for version in self.versions]
        return held.exists(codes, at=None if is_name else at)


def _filled(days: pd.Series | None, codes: pd.Series) -> Sequence[Any]:
    return [None] * len(codes) if days is None else days.tolist()


def _day(value: str | None, *, last: bool) -> date:
    if not value:
        return date.max if last else date.min
    if len(value) == len("2008-01-01"):
        return date.fromisoformat(value)
    period = ReferencePeriod.parse(value)
    return period.last_day() if last else period.first_day()


def _no_span(title: str, row: int) -> SourceError:
    return SourceError(
        title, where=f"row {row + 1}", expected="2008-01-01, 2008 or 2008-Q1"
    )
