"""Records that were treated, as an edit and imputation pilot releases them.

Values, cells, what waits for clerks and sums: of a whole period, or of a part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import MethodError
from mlstats.evaluate import keyed
from mlstats.imputation_production import Treated
from mlstats.imputation_routes import contributions, failing, given, waiting
from mlstats.imputation_sums import ImputedSums, Sides
from mlstats.period_source import unit_design
from mlstats.produced import Arm, Situation
from mlstats.record_treatment import structural_cells
from mlstats.records import Records

__all__ = ["ComposedRecords", "WholeFile", "compose_records", "producing_arm"]

_REPORTED = "reported"
_CLERK = "clerk"


@dataclass(frozen=True, eq=False)
class WholeFile:
    """What a part of a period must know of all of it, by variable.

    Parameters
    ----------
    totals, sizes : mapping of str to float
        Weighted sums of the values that the producing arm gives, and of their absolute
        values.
    """

    totals: Mapping[str, float]
    sizes: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class ComposedRecords:
    """What is released of records before the audit is drawn from them.

    Parameters
    ----------
    units, cells, queue : pandas.DataFrame
        As :func:`mlstats.imputation_release.compose` tells, with the place ``row`` of
        the record among these; of the route no ``audit`` yet.
    rows, adds : numpy.ndarray
        See :func:`mlstats.imputation_routes.contributions`.
    sums : ImputedSums
        Of what is published.
    """

    units: pd.DataFrame
    cells: pd.DataFrame
    queue: pd.DataFrame
    rows: np.ndarray
    adds: np.ndarray
    sums: ImputedSums


@dataclass(frozen=True, eq=False)
class _Made:
    """The arm that produces, what it made, and what the other one made."""

    arm: Arm
    found: Treated
    other: Treated | None


def compose_records(
    pilot: Pilot,
    records: Records,
    answers: Mapping[str, Treated],
    now: Situation,
    *,
    first: int = 0,
    whole: WholeFile | None = None,
) -> ComposedRecords:
    """Bring the answers for records to what is released of them.

    Parameters
    ----------
    first : int
        Place of the first record in the period, where these are a part of it.
    whole : WholeFile, optional
        Of the period, where these are a part of it.
    """
    role, arm = producing_arm([*answers], now)
    others = [one for name, one in answers.items() if name != role]
    made = _Made(arm, answers[role], others[0] if others else None)
    totals, sizes = (whole.totals, whole.sizes) if whole else (None, None)
    units = unit_design(pilot, records.frame, now.period, first)
    units.insert(0, "row", np.arange(len(units)))
    queue = waiting(pilot, records, made.found, made.other, totals)
    queued = units["row"].isin(queue["row"]).to_numpy()
    rows, adds = contributions(pilot, records, made.found, queued, sizes)
    units = units.assign(route=np.where(queued, "queue", "automatic"))
    told = _reviews(units, queue, made.found.values, now)
    released = _replaced(made.found.values, told)
    units = _valued(units, records, made, queue, told, released, now)
    return ComposedRecords(
        units,
        _cells(units, records, made, answers, told, released, now),
        _queue(units, records, made, answers, queue),
        rows,
        adds,
        _sums(pilot, records, answers, released, units),
    )


def producing_arm(roles: list[str], now: Situation) -> tuple[str, Arm]:
    """Return the role and the version of the arm that produces.

    Parameters
    ----------
    roles : list of str
        Of the arms that have answered.

    Raises
    ------
    MethodError
        Where it has not answered.
    """
    by_champion = "champion" in roles and now.champion is not None and not now.cause
    role = "champion" if by_champion else "baseline"
    if role not in roles:
        raise MethodError("The arm that produces the period has not answered")
    return role, now.champion if by_champion and now.champion else now.baseline


def _sums(
    pilot: Pilot,
    records: Records,
    answers: Mapping[str, Treated],
    released: pd.DataFrame,
    units: pd.DataFrame,
) -> ImputedSums:
    own, base = answers.get("champion"), answers.get("baseline")
    names = [str(name) for name in released]
    sides = Sides(
        released,
        own.values if own else None,
        base.values if base else None,
        structural_cells(records.frame, names, records.edits),
    )
    return ImputedSums.of(sides, units, domains=pilot.data.roles.domain)


# -- records -------------------------------------------------------------------------


def _reviews(
    units: pd.DataFrame, queue: pd.DataFrame, values: pd.DataFrame, now: Situation
) -> pd.DataFrame:
    """Return row, variable and value of what clerks gave the records that wait."""
    waits = units.loc[units["route"] == "queue", ["row", "unit"]]
    by_hash = dict(zip(keyed(waits["unit"], now.key), waits["row"], strict=True))
    told = now.reviewed[now.reviewed["kind"] == "queue"]
    told = told[told["unit"].isin(list(by_hash))]
    return pd.DataFrame(
        {
            "row": np.array([by_hash[name] for name in told["unit"]], dtype=np.int64),
            "variable": told["variable"].to_numpy(dtype=object),
            "value": np.array(given(told, values, now.period), dtype=object),
        }
    )


def _replaced(values: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    released = values.copy()
    for name, part in told.groupby("variable"):
        numeric = pd.api.types.is_numeric_dtype(released[name])
        column = released[name].to_numpy(dtype=float if numeric else object, copy=True)
        column[part["row"].to_numpy(int)] = part["value"].to_numpy(column.dtype.type)
        released[name] = column
    return released


def _valued(
    units: pd.DataFrame,
    records: Records,
    made: _Made,
    queue: pd.DataFrame,
    told: pd.DataFrame,
    released: pd.DataFrame,
    now: Situation,
) -> pd.DataFrame:
    """Put in the released values, by whom they are, and whether they are final.

    A record is open until every value of it that waits was reviewed.
    """
    left = queue.loc[~_pairs(queue).isin(_pairs(told)), "row"]
    touched = np.bincount(made.found.cells["row"], minlength=len(units))
    reviewed = units["row"].isin(told["row"])
    first = f"fallback: {now.cause}" if now.cause else ""
    broken = reviewed & failing(records, released)
    more = np.select(
        [broken, reviewed], ["reviewed, fails a hard edit", "reviewed"], ""
    )
    flag = ["; ".join(filter(None, [first, told])) for told in more]
    treated = touched > 0
    return units.assign(
        **{f"value_{name}": released[name].to_numpy() for name in released},
        cells=touched,
        method=np.where(treated, made.arm.method, _REPORTED),
        model_version=np.where(treated, made.arm.label, _REPORTED),
        open=units["row"].isin(left),
        flag=flag,
    )


def _pairs(told: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([told["row"], told["variable"]])


# -- cells ---------------------------------------------------------------------------


def _cells(
    units: pd.DataFrame,
    records: Records,
    made: _Made,
    answers: Mapping[str, Treated],
    told: pd.DataFrame,
    released: pd.DataFrame,
    now: Situation,
) -> pd.DataFrame:
    """Return a row per cell that the arm or a clerk was asked for or has changed."""
    own = made.found.cells
    added = told.loc[~_pairs(told).isin(_pairs(own)), ["row", "variable"]].assign(
        selection="review", status="imputed", step=_CLERK, reason=""
    )
    cells = pd.concat([own, added], ignore_index=True)
    column = {name: place for place, name in enumerate(released.columns)}
    places = cells["variable"].map(column)
    cells = cells.iloc[np.lexsort((places, cells["row"]))].reset_index(drop=True)
    by_clerk = _pairs(cells).isin(_pairs(told))
    rows = cells["row"].to_numpy(int)
    ids = units["unit"].to_numpy(object)
    donors = _objects(
        None if clerk or pd.isna(donor) else str(donor)
        for donor, clerk in zip(cells["donor"], by_clerk, strict=True)
    )
    flag = f"fallback: {now.cause}" if now.cause else ""
    return pd.DataFrame(
        {
            "row": rows,
            "unit": ids[rows],
            "variable": cells["variable"],
            "before": _texts(records.frame, cells),
            "value": _texts(released, cells),
            "method": np.where(by_clerk, _CLERK, made.arm.method),
            "model_version": np.where(by_clerk, _CLERK, made.arm.label),
            "confidence": np.nan,
            "step": np.where(by_clerk, _CLERK, cells["step"]),
            "donor": donors,
            "selection": cells["selection"],
            "status": np.where(by_clerk, "imputed", cells["status"]),
            "reason": np.where(by_clerk, "", cells["reason"]),
            "route": units["route"].to_numpy(object)[rows],
            "flag": np.where(by_clerk, "reviewed", flag),
            **_by_arm(answers, cells),
        }
    )


def _by_arm(
    answers: Mapping[str, Treated], cells: pd.DataFrame
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for role in ("baseline", "champion"):
        one = answers.get(role)
        empty = _objects(None for _ in range(len(cells)))
        found[f"{role}_value"] = empty if one is None else _texts(one.values, cells)
    return found


def _texts(frame: pd.DataFrame, cells: pd.DataFrame) -> np.ndarray:
    """Return the values of cells as text: one column holds those of many variables."""
    values = {name: frame[name].to_numpy(object) for name in cells["variable"].unique()}
    picked = (
        values[variable][row]
        for row, variable in zip(cells["row"], cells["variable"], strict=True)
    )
    return _objects(None if pd.isna(value) else str(value) for value in picked)


def _objects(values: Iterable[str | None]) -> np.ndarray:
    """Return texts as an array; pandas takes an empty list for one of numbers."""
    return np.array([*values], dtype=object)


def _queue(
    units: pd.DataFrame,
    records: Records,
    made: _Made,
    answers: Mapping[str, Treated],
    queue: pd.DataFrame,
) -> pd.DataFrame:
    """Return what a clerk is shown of each open record, the most urgent first."""
    opened = queue[queue["row"].isin(units.loc[units["open"], "row"])]
    return pd.DataFrame(
        {
            "row": opened["row"].to_numpy(int),
            "unit": units["unit"].to_numpy(object)[opened["row"].to_numpy(int)],
            "variable": opened["variable"].to_numpy(object),
            "reason": opened["reason"].to_numpy(object),
            "effect": opened["effect"].to_numpy(float),
            "reported": _texts(records.frame, opened),
            "value": _texts(made.found.values, opened),
            **_by_arm(answers, opened),
        }
    )
