"""A contract held by data that come in parts: the same verdict as of the whole.

A part keeps counts, and what of a stratum must be known of the whole; which ids are
there twice is found elsewhere (:mod:`mlstats.seen_twice`), for it needs all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from mlstats.config import Data
from mlstats.contract.rules import (
    ALL_ZERO,
    DIFFERS,
    DIFFERS_ALONE,
    EMPTY,
    NO_TEXT,
    ONE_CLUSTER,
    REPEATED,
    ROWS_TOLD,
    ContractResult,
    Finding,
    findings,
    result_of,
    without_value,
)

__all__ = ["PartFindings", "merged"]


@dataclass(frozen=True)
class _Stratum:
    """What a part knows of a stratum."""

    clusters: int
    first: int  # row, from 1
    rows: int
    least: float  # of the sampling fraction
    most: float

    def with_more(self, other: _Stratum) -> _Stratum:
        return _Stratum(
            self.clusters + other.clusters,
            min(self.first, other.first),
            self.rows + other.rows,
            float(np.fmin(self.least, other.least)),
            float(np.fmax(self.most, other.most)),
        )


@dataclass(frozen=True)
class PartFindings:
    """What the rules found in a part that holds whole clusters.

    Parameters
    ----------
    rows : int
        Of the part.
    found : tuple of Finding
        As of the part alone, with the numbers of rows of the whole.
    strata : mapping
        What must be known of each stratum; "" where there are none.
    """

    rows: int
    found: tuple[Finding, ...]
    strata: Mapping[str, _Stratum]

    @classmethod
    def of(cls, frame: pd.DataFrame, data: Data, numbers: np.ndarray) -> PartFindings:
        """Hold a part against the rules that rows can break.

        Parameters
        ----------
        frame : pandas.DataFrame
            The part.
        data : Data
            Roles, frequency and tolerances, without a target.
        numbers : numpy.ndarray of int, shape (n,)
            Of the rows in the whole, from 1.
        """
        found = tuple(
            replace(one, rows=tuple(int(numbers[row - 1]) for row in one.rows))
            for one in findings(frame, data, truth=None)
        )
        return cls(len(frame), found, _strata(frame, data, numbers))


def merged(
    parts: Iterable[PartFindings], data: Data, repeated: Sequence[int] | np.ndarray
) -> ContractResult:
    """Return what :func:`mlstats.contract.check` says of all parts together.

    Parameters
    ----------
    parts : iterable of PartFindings
        One or more, in their order.
    data : Data
        As the parts were held against.
    repeated : sequence or array of int
        Rows, from 1, whose id an earlier row has.
    """
    every = list(parts)
    known = [part for part in every if part.rows]
    if not known:
        return result_of(every[0].found)
    rows = sum(part.rows for part in known)
    by_rule: dict[tuple[str, str], list[Finding]] = {}
    strata: dict[str, _Stratum] = {}
    for part in known:
        for one in _completed(part, data):
            by_rule.setdefault((one.column, one.rule), []).append(one)
        for name, more in part.strata.items():
            strata[name] = strata[name].with_more(more) if name in strata else more
    alone = [rule for _, rule in by_rule if rule == DIFFERS_ALONE]
    if not data.roles.stratum and not alone and _differ(strata):
        one = Finding(str(data.roles.fraction), DIFFERS_ALONE, 0, (), 1)
        by_rule[one.column, one.rule] = [one]
    whole = (
        _of_whole(_together(found, rows), repeated, strata)
        for found in by_rule.values()
    )
    return result_of([*_without_text(whole, rows)])


def _without_text(found: Iterable[Finding], rows: int) -> Iterator[Finding]:
    """Leave out the rules on texts that hold of parts and not of the whole."""
    told = [one for one in found if one.rule != EMPTY or one.count == rows]
    empty = {one.column for one in told if one.rule == EMPTY}
    for one in told:
        if one.rule != NO_TEXT or not empty.issuperset(one.column.split(", ")):
            yield one


def _completed(part: PartFindings, data: Data) -> list[Finding]:
    """Add the rule on rows without a text, which a part without any does not hold."""
    named = {one.rule for one in part.found}
    found = list(part.found)
    if EMPTY in named and NO_TEXT not in named:
        first = next(one.rows for one in part.found if one.rule == EMPTY)
        columns = ", ".join(one.column for one in part.found if one.rule == EMPTY)
        found.append(
            Finding(
                columns, NO_TEXT, part.rows, first, part.rows, data.tolerate.empty_text
            )
        )
    return found


def _together(found: Sequence[Finding], rows: int) -> Finding:
    first = found[0]
    if not first.size:
        return first  # of the columns, which all parts have alike
    numbers = sorted(row for one in found for row in one.rows)[:ROWS_TOLD]
    count = sum(one.count for one in found)
    return replace(first, count=count, rows=tuple(numbers), size=rows)


def _of_whole(
    one: Finding, repeated: Sequence[int] | np.ndarray, strata: Mapping[str, _Stratum]
) -> Finding:
    """Return what a rule found, as all parts together break it."""
    if one.rule == REPEATED:
        rows = tuple(int(row) for row in repeated[:ROWS_TOLD])
        return replace(one, count=len(repeated), rows=rows)
    if one.rule == ONE_CLUSTER:
        alone = sorted(s.first for s in strata.values() if s.clusters == 1)
        return replace(one, count=len(alone), rows=tuple(alone[:ROWS_TOLD]))
    if one.rule in (DIFFERS, DIFFERS_ALONE):
        return _differing(one, strata)
    if one.rule in (EMPTY, ALL_ZERO) and one.count < one.size:
        return replace(one, count=0, rows=())  # so of a part, and not of the whole
    return one


def _differ(strata: Mapping[str, _Stratum]) -> bool:
    return any(one.least < one.most for one in strata.values())


def _differing(one: Finding, strata: Mapping[str, _Stratum]) -> Finding:
    """Count the rows of the strata whose fraction is not the same in all parts."""
    rows = sum(s.rows for s in strata.values() if s.least < s.most)
    if one.count >= rows:
        return one
    first = sorted(s.first for s in strata.values() if s.least < s.most)
    return replace(one, count=rows, rows=one.rows or tuple(first[:ROWS_TOLD]))


def _strata(
    frame: pd.DataFrame, data: Data, numbers: np.ndarray
) -> dict[str, _Stratum]:
    roles, n = data.roles, len(frame)
    if n == 0:
        return {}
    by = frame[roles.stratum] if roles.stratum in frame else pd.Series([""] * n)
    number, names = pd.factorize(by, use_na_sentinel=False)
    cluster = np.arange(n)
    if roles.cluster in frame:
        given, _ = pd.factorize(frame[roles.cluster])
        cluster = np.where(without_value(frame[roles.cluster]), n + np.arange(n), given)
    pairs = pd.DataFrame({"stratum": number, "cluster": cluster}).drop_duplicates()
    clusters = np.bincount(pairs["stratum"], minlength=len(names))
    first = np.unique(number, return_index=True)[1]
    least, most = _limits(frame, roles.fraction, number, len(names))
    rows = np.bincount(number, minlength=len(names))
    return {
        repr(name): _Stratum(
            int(clusters[k]),
            int(numbers[first[k]]),
            int(rows[k]),
            float(least[k]),
            float(most[k]),
        )
        for k, name in enumerate(names)
    }


def _limits(
    frame: pd.DataFrame, name: str | None, number: np.ndarray, strata: int
) -> tuple[np.ndarray, np.ndarray]:
    if name not in frame or not is_numeric_dtype(frame[name]):
        return np.zeros(strata), np.zeros(strata)
    share = pd.Series(frame[name].to_numpy(dtype=float, na_value=np.nan))
    by = share.groupby(number)
    return by.min().to_numpy(), by.max().to_numpy()
