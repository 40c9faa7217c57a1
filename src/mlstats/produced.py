"""What is said of one reference period that was produced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import pandas as pd

from mlstats.errors import MethodError
from mlstats.releases import Release

__all__ = [
    "CAUSES",
    "Arm",
    "ArmFailed",
    "Composed",
    "InParts",
    "Parts",
    "PeriodData",
    "Produced",
    "Reason",
    "Situation",
    "Theme",
    "seconds_of",
    "too_long",
]

# Why the baseline may stand in, and what that says.
CAUSES: Final[Mapping[str, str]] = {
    "contract": "the data break the contract",
    "model": "the champion's model is missing or cannot be loaded",
    "crash": "the champion failed",
    "time": "the champion took longer than its budget",
    "performance": "an audit measured that the champion is not accurate enough",
}


@dataclass(frozen=True)
class Reason:
    """Why the baseline produced a period, or some classes of it.

    Parameters
    ----------
    cause : str
        One of :data:`CAUSES`.
    said : str
        A sentence without the content of a record.
    classes : tuple of str
        The classes that the baseline took over; none: the whole period.
    """

    cause: str
    said: str
    classes: tuple[str, ...] = ()


def seconds_of(role: str, budget: float) -> float:
    """Return how long an arm may take; nobody stands in for a slow baseline."""
    return budget if role != "baseline" else 100 * budget


def too_long(who: str, seconds: float) -> Reason:
    """Return the reason of an arm that took longer than it may."""
    return Reason("time", f"{who} took longer than {seconds:g} seconds")


class ArmFailed(MethodError):
    """An arm has not answered for a part of the data; its role, and the reason."""

    role: str = ""
    reason: Reason = Reason("crash", "")

    @classmethod
    def of(cls, role: str, reason: Reason) -> ArmFailed:
        """Return the failure of champion, baseline or shadow."""
        error = cls(reason.said)
        error.role, error.reason = role, reason
        return error


@dataclass(frozen=True)
class Arm:
    """A version that answers for a period.

    Parameters
    ----------
    role : str
        champion, baseline or shadow.
    method : str
        Its name in the pilot.
    digest : str
        Of the stored model; empty for a column of the data.
    version : int
        As registered; 0 where the log of decisions does not name it.
    terms : mapping
        On which it was evaluated, see :func:`mlstats.model_store.store`.
    """

    role: str
    method: str
    digest: str
    version: int = 0
    terms: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Method, version and digest, as the provenance of a value tells them."""
        number = f" v{self.version}" if self.version else ""
        return f"{self.method}{number}@{self.digest[:12] or 'column'}"


@dataclass(frozen=True, eq=False)
class PeriodData:
    """The data of one period.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row per unit, numbered from 0.
    digest : str
        sha256 of what was read.
    cautions : list of str
        What a reader of the figures must not miss.
    more : object
        What the theme made of other sources.
    first : int
        Number of the first row, where the frame is a part of the data.
    """

    frame: pd.DataFrame
    digest: str
    cautions: list[str]
    more: Any = None
    first: int = 0


class Parts(Protocol):
    """A table of a release that is not in memory."""

    def write(self, target: Path) -> None:
        """Write its parts into a folder that is made, as ``part-00000.parquet``."""
        ...


@dataclass(frozen=True, eq=False)
class Composed:
    """What is released of a period.

    Parameters
    ----------
    units : pandas.DataFrame or Parts
        Confidential: a row per unit, or per value of one, with unit, value, method,
        model_version, confidence, route and flag; or what writes them in parts.
    totals : pandas.DataFrame
        What is published, see :mod:`mlstats.release_totals`.
    counts : mapping of str to int
        Units by route, and how many of the queue are closed.
    confidential : mapping of str to pandas.DataFrame or Parts
        Further tables of records.
    tables : mapping of str to pandas.DataFrame
        Further publishable ones.
    files : mapping of str to pathlib.Path
        Name in the release -> where a publishable file lies, which is copied.
    cautions : tuple of str
        What a reader of these tables must not miss.
    """

    units: pd.DataFrame | Parts
    totals: pd.DataFrame
    counts: Mapping[str, int]
    confidential: Mapping[str, pd.DataFrame | Parts] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()

    @property
    def final(self) -> bool:
        """Whether no unit waits for a clerk."""
        return self.counts.get("open", 0) == 0


@dataclass(frozen=True, eq=False)
class Situation:
    """What decides about the units of a period besides the answers.

    Parameters
    ----------
    period : str
        The period.
    champion : Arm or None
        None where the baseline produces as decided.
    baseline : Arm
        The traditional method.
    cause : str
        Why the baseline produces all units; empty where it does not.
    classes : mapping of str to str
        Class of the published level -> why the baseline takes it over.
    alarm : bool
        Whether the inputs drifted: the audit is doubled, and a code is automatic only
        where the baseline gives the same one.
    reviewed : pandas.DataFrame
        From :meth:`mlstats.review_store.ReviewStore.read`.
    key : bytes
        Secret of the project for the hashes of units.
    """

    period: str
    champion: Arm | None
    baseline: Arm
    cause: str
    classes: Mapping[str, str]
    alarm: bool
    reviewed: pd.DataFrame
    key: bytes


def _no_loss(*given: Any) -> None:
    """Return None, whatever the audit."""


def _no_files(pilot: Any) -> list[str]:
    """Return the names of no files."""
    return []


@dataclass(frozen=True)
class Theme:
    """What a theme does for the production of a period.

    Parameters
    ----------
    load : callable
        ``(pilot, settings, period) -> (PeriodData, ContractResult)``.
    question : callable
        ``(pilot, settings, data) -> asked``: what the methods are asked; picklable.
    answer : callable
        ``(arm, asked, confidential) -> answer`` of a stored version, in a process of
        its own; ServiceError where the version cannot be loaded.
    of_column : callable
        ``(pilot, name, data) -> answer`` of a method that is a column.
    compose : callable
        ``(pilot, data, asked, answers by role, situation) -> Composed``.
    lost : callable, optional
        ``(pilot, settings, champion, period, audit) -> Reason or None``: the loss that
        the audit of a period measured; without it no audit is judged.
    files : callable, optional
        ``(pilot) -> names``: of the files that decide values besides the data;
        without it there are none.
    in_parts : InParts, optional
        How a period that comes in partitions is produced; without it the data are
        read into memory.
    """

    load: Callable[..., Any]
    question: Callable[..., Any]
    answer: Callable[..., Any]
    of_column: Callable[..., Any]
    compose: Callable[..., Composed]
    lost: Callable[..., Reason | None] = _no_loss
    files: Callable[..., list[str]] = _no_files
    in_parts: InParts | None = None


@dataclass(frozen=True)
class InParts:
    """What a theme does for a period that comes in partitions.

    Parameters
    ----------
    open : callable
        ``(pilot, settings, period, staging) -> parts or None``: None where the data are
        one small table.
    load : callable
        ``(pilot, settings, digest, cautions) -> PeriodData`` without rows.
    ready : callable
        ``(arm, confidential) -> answer``: what is sent to workers to answer for the
        arm; ServiceError where the version cannot be loaded.
    compose : callable
        ``(pilot, data, parts, answers by role, situation) -> Composed``.
    """

    open: Callable[..., Any]
    load: Callable[..., PeriodData]
    ready: Callable[..., Any]
    compose: Callable[..., Composed]


@dataclass(frozen=True)
class Produced:
    """What the production of a period hands back.

    Parameters
    ----------
    pilot, period : str
        What was produced.
    release : Release or None
        None in a dry run and in a back-cast, which publish nothing.
    reasons : tuple of Reason
        Why the fallback was taken; none where the period is as decided.
    shadow : Release or None
        What the version in the shadow answered, kept beside the releases.
    totals : pandas.DataFrame
        What was, or in a dry run would be, published.
    counts : mapping of str to int
        Units by route.
    notes : tuple of str
        What a reader must not miss.
    unmirrored : str
        Why the release is not whole on the mirror; empty where it is, or there is none.
    """

    pilot: str
    period: str
    release: Release | None
    reasons: tuple[Reason, ...] = ()
    shadow: Release | None = None
    totals: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unmirrored: str = ""

    @property
    def fallback(self) -> bool:
        """Whether the baseline stood in for the champion."""
        return bool(self.reasons)
