"""Which treated records a clerk sees: those that may move a figure, and an audit.

A record waits where a hard edit still fails or an asked-for value could not be given,
and where another answer for one of its values, weighted, would move the total of the
variable by :data:`LEAST_EFFECT`: the other arm's value, with one arm alone the reported
value, and where the pilot scores records by ``evaluate.selective`` what is usual for
such a record (Latouche and Berthelot 1992). As the effects of all records together are
of the size of the total at most, few can be that large. The audit is drawn at random
from the other treated records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.editimpute.flagging import UNIT
from mlstats.editimpute.status import FAIL, review
from mlstats.errors import ContractError, nearest
from mlstats.imputation_production import Treated
from mlstats.imputation_selective import usual_values
from mlstats.records import Records, weights_of
from mlstats.review import draw_within

__all__ = [
    "LEAST_EFFECT",
    "absolute",
    "contributions",
    "draw_sized",
    "failing",
    "given",
    "in_order",
    "size_strata",
    "waiting",
]

LEAST_EFFECT: Final = 0.002
_STRATA: Final = 3

FAILS, GAP = "fails a hard edit", "no value could be given"
APART, CHANGED, UNUSUAL = "the methods differ", "was changed", "is not usual"


@dataclass(frozen=True, eq=False)
class _Case:
    pilot: Pilot
    records: Records
    found: Treated
    other: Treated | None
    totals: Mapping[str, float] | None = None

    @property
    def numbers(self) -> list[str]:
        values = self.found.values
        return [str(v) for v in values if pd.api.types.is_numeric_dtype(values[v])]


def waiting(
    pilot: Pilot,
    records: Records,
    found: Treated,
    other: Treated | None,
    totals: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Return the values that wait for a clerk, the most urgent record first.

    Parameters
    ----------
    found : Treated
        By the arm that produces.
    other : Treated or None
        By the other arm, where it has answered.
    totals : mapping of str to float, optional
        Variable -> weighted total of all records, where these are a part of them.

    Returns
    -------
    pandas.DataFrame
        A row per value: row (place of the record), variable, reason and effect (share
        of the variable's total; 0 for a category). Records that fail an edit or lack
        a value stand first, then the others by their largest effect.
    """
    case = _Case(pilot, records, found, other, totals)
    parts = [_failing_values(case), _gaps(case), *_effects(case)]
    together = pd.concat(parts, ignore_index=True)
    told = together.groupby(["row", "variable"], sort=False, as_index=False).agg(
        reason=("reason", "first"), effect=("effect", "max")
    )
    return in_order(told)


def in_order(queue: pd.DataFrame) -> pd.DataFrame:
    """Return the values that wait, those of the most urgent record first."""
    must = queue["reason"].isin([FAILS, GAP]).groupby(queue["row"]).transform("any")
    most = queue.groupby("row")["effect"].transform("max")
    order = np.lexsort((-queue["effect"], queue["row"], -most, ~must))
    return queue.iloc[order].reset_index(drop=True)


def failing(records: Records, values: pd.DataFrame) -> np.ndarray:
    """Return which records fail a hard edit with these values."""
    if records.edits is None:
        return np.zeros(len(values), dtype=bool)
    frame = records.frame.assign(**{str(v): values[v] for v in values})
    return np.asarray(review(frame, records.edits).by_record == FAIL)


def _failing_values(case: _Case) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    if case.records.edits is not None:
        hard, values = case.records.edits.hard(), case.found.values
        frame = case.records.frame.assign(**{str(v): values[v] for v in values})
        by_edit = review(frame, hard).by_edit == FAIL
        for number, edit in enumerate(hard.edits):
            for row in np.flatnonzero(by_edit[:, number]):
                own = [v for v in edit.variables if v in values]
                rows += [(row, v, FAILS, 0.0) for v in own or values.columns[:1]]
    return _table(rows)


def _gaps(case: _Case) -> pd.DataFrame:
    left = case.found.cells[case.found.cells["status"] != "imputed"]
    pairs = zip(left["row"], left["variable"], strict=True)
    return _table([(row, variable, GAP, 0.0) for row, variable in pairs])


def _effects(case: _Case) -> Iterator[pd.DataFrame]:
    weight = weights_of(case.pilot, case.records)
    values = case.found.values
    for name in case.numbers:
        y = values[name].to_numpy(dtype=float, na_value=np.nan)
        whole = np.nansum(weight * y) if case.totals is None else case.totals[name]
        total = abs(float(whole))
        for reason, instead in _alternatives(case, name, y):
            gap = np.nan_to_num(weight * np.abs(y - instead), nan=0.0)
            effect = gap / total if total else np.zeros(len(gap))
            rows = np.flatnonzero(effect >= LEAST_EFFECT)
            yield _table([(row, name, reason, effect[row]) for row in rows])


def _alternatives(
    case: _Case, name: str, y: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    if case.other is not None:
        other = case.other.values[name]
        yield APART, other.to_numpy(dtype=float, na_value=np.nan)
    else:
        column = case.records.frame[name]
        reported = column.to_numpy(dtype=float, na_value=np.nan, copy=True)
        cells = case.found.cells
        # A unit of measure is put right by a rule that leaves no doubt.
        by_rule = cells["selection"].astype("str").str.startswith(UNIT)
        sure = cells.loc[by_rule & (cells["variable"] == name), "row"].to_numpy(int)
        reported[sure] = np.nan
        yield CHANGED, reported
    spec = case.pilot.evaluate.selective
    if spec is not None and spec.variable == name:
        frame = case.records.frame.assign(**{name: y})
        yield UNUSUAL, usual_values(frame, spec)[0].to_numpy(dtype=float)


def _table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["row", "variable", "reason", "effect"])
    kinds = {"row": np.int64, "variable": object, "reason": object, "effect": float}
    return table.astype(kinds)


# -- what clerks said ----------------------------------------------------------------


def given(reviewed: pd.DataFrame, values: pd.DataFrame, period: str) -> list[Any]:
    """Return the reviewed values as they stand in the records.

    Parameters
    ----------
    reviewed : pandas.DataFrame
        Columns variable and code.
    values : pandas.DataFrame
        Of the records: says which variables are numbers.

    Raises
    ------
    ContractError
        Where a review is of no variable of the pilot, or of a number and is none.
    """
    found: list[Any] = []
    for variable, code in zip(reviewed["variable"], reviewed["code"], strict=True):
        if variable not in values:
            raise ContractError(
                f"A review is of {variable!r}, which is no variable of the pilot",
                where=f"reviews of {period}",
                expected=", ".join(map(str, values.columns)),
                nearest=nearest(str(variable), map(str, values.columns)),
            )
        told: Any = str(code).strip()
        if pd.api.types.is_numeric_dtype(values[variable]):
            told = pd.to_numeric(told, errors="coerce")
        if told == "" or (not isinstance(told, str) and not np.isfinite(told)):
            raise ContractError(
                f"A review of {variable!r} holds no value that it can have",
                where=f"reviews of {period}",
                expected="a finite number, or a category",
                hint="give the value again: the last review of a value counts",
            )
        found.append(told)
    return found


# -- audit ---------------------------------------------------------------------------


def contributions(
    pilot: Pilot,
    records: Records,
    found: Treated,
    queued: np.ndarray,
    sizes: Mapping[str, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the treated records that no clerk sees anyway, and what they add.

    Parameters
    ----------
    queued : numpy.ndarray of bool, shape (n,)
        Records that wait.
    sizes : mapping of str to float, optional
        Variable -> sum of the weighted absolute values of all records, where these are
        a part of them.

    Returns
    -------
    rows : numpy.ndarray of int
        Their places, rising.
    adds : numpy.ndarray of float
        The largest share that one of their treated values has in its variable.
    """
    cells = found.cells[found.cells["status"] == "imputed"]
    rows = np.setdiff1d(cells["row"].to_numpy(int), np.flatnonzero(queued))
    weight, most = weights_of(pilot, records), np.zeros(len(found.values))
    for name, part in cells.groupby("variable"):
        column = found.values[name]
        if not pd.api.types.is_numeric_dtype(column):
            continue
        size = absolute(weight, column)
        whole = size.sum() if sizes is None else sizes[str(name)]
        own = part["row"].to_numpy(int)
        share = size[own] / whole if whole else size[own]
        most[own] = np.maximum(most[own], share)
    return rows, most[rows]


def absolute(weight: np.ndarray, column: pd.Series) -> np.ndarray:
    """Return the weighted absolute values of a number, a gap as zero."""
    return np.asarray(np.abs(weight * column.to_numpy(dtype=float, na_value=0.0)))


def size_strata(adds: np.ndarray) -> np.ndarray:
    """Return the stratum of each record: the third by what it adds to a total."""
    third = pd.Series(adds).rank(method="first").sub(1) * _STRATA // len(adds)
    # One text for all records of a stratum, of which there may be very many.
    names = [f"{place + 1} of {_STRATA} by size" for place in range(_STRATA)]
    return np.asarray(np.array(names, dtype=object)[third.to_numpy(dtype=int)])


def draw_sized(
    pilot: Pilot,
    pool: pd.DataFrame,
    own: np.ndarray,
    strata: np.ndarray,
    adds: np.ndarray,
    *,
    size: int,
    seed: int,
) -> pd.DataFrame:
    """Draw the audit from the treated records that no clerk sees anyway.

    Parameters
    ----------
    pool : pandas.DataFrame
        Column unit: all of these records, or of each stratum those that
        :func:`mlstats.review.smallest_ranks` returns.
    own : numpy.ndarray of int
        Places of the rows of `pool` in the next two.
    strata, adds : numpy.ndarray
        Of all of these records, see :func:`size_strata` and :func:`contributions`.
    size : int
        Records to draw.

    Returns
    -------
    pandas.DataFrame
        Rows of `pool` as :func:`mlstats.review.draw_within` returns them; strata are
        thirds of the records by what their treated values add to a total, and the
        sample is in proportion to that.
    """
    if not len(adds):
        return pool
    every = pd.Series(strata)
    return draw_within(
        pool,
        pd.Series(strata[own], pool.index, dtype=object),
        pd.Series(adds).groupby(every).sum(),
        min(size, len(adds)),
        double_code=pilot.production.review.double_code,
        seed=seed,
        counts=every.groupby(every).size(),
    )
