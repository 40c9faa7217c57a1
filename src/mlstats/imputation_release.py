"""What an edit and imputation pilot releases of a period: records, cells, totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import MethodError
from mlstats.evaluate import keyed
from mlstats.imputation_production import (
    Question,
    Treated,
    answer,
    load,
    of_column,
    question,
)
from mlstats.imputation_routes import draw_treated, failing, given, waiting
from mlstats.imputation_totals import Sides, imputed_totals
from mlstats.period_source import unit_design
from mlstats.produced import Arm, Composed, PeriodData, Reason, Situation, Theme
from mlstats.records import Records
from mlstats.review import hash_of
from mlstats.settings import Settings

__all__ = ["THEME", "compose"]

_REPORTED = "reported"
_CLERK = "clerk"


@dataclass(frozen=True, eq=False)
class _Made:
    """The arm that produces, what it made, and what the other one made."""

    arm: Arm
    found: Treated
    other: Treated | None


def compose(
    pilot: Pilot,
    data: PeriodData,
    asked: Question,
    answers: Mapping[str, Treated],
    now: Situation,
) -> Composed:
    """Bring the answers for a period to what is released of it.

    Parameters
    ----------
    answers : mapping of str to Treated
        By role; the one of the arm that produces is there.

    Returns
    -------
    Composed
        ``units`` has a row per record: unit, design, domains, the released values as
        ``value_VARIABLE``, cells (asked for or changed), method and model_version
        (``reported`` where nothing was), route, open and flag. The confidential table
        ``cells`` has a row per cell that was asked for or changed, with what each arm
        gave; ``queue`` the values that wait, ``audit`` the records drawn.

    Raises
    ------
    MethodError
        Where the arm that produces has not answered.
    ContractError
        Where a review is no value of its variable.
    """
    records, made = asked.records, _made(answers, now)
    units = unit_design(pilot, records.frame, now.period)
    units.insert(0, "row", np.arange(len(units)))
    queue = waiting(pilot, records, made.found, made.other)
    units, audit = _routed(pilot, records, made, units, queue, now)
    told = _reviews(units, queue, made.found.values, now)
    released = _replaced(made.found.values, told)
    units = _valued(units, records, made, queue, told, released, now)
    cells = _cells(units, records, made, answers, told, released, now)
    structural = records.frame[released.columns].isna()
    allowed = records.edits.missing_allowed if records.edits else frozenset()
    structural = structural & [name in allowed for name in released.columns]
    own, base = answers.get("champion"), answers.get("baseline")
    sides = Sides(
        released,
        own.values if own else None,
        base.values if base else None,
        structural,
    )
    changed = base.changed if base else ()
    totals = imputed_totals(
        sides,
        units,
        domains=pilot.data.roles.domain,
        single=pilot.data.single_cluster,
        note=f"the baseline was approved with other {', '.join(changed)}"
        if changed
        else "",
    )
    shown = _queue(units, records, made, answers, queue)
    return Composed(
        units.drop(columns="row"),
        totals,
        _counts(units, cells, audit),
        confidential={"cells": cells, "queue": shown, "audit": audit},
    )


def _made(answers: Mapping[str, Treated], now: Situation) -> _Made:
    own, base = answers.get("champion"), answers.get("baseline")
    by_champion = own is not None and now.champion is not None and not now.cause
    found, other = (own, base) if by_champion else (base, own)
    if found is None:
        raise MethodError("The arm that produces the period has not answered")
    arm = now.champion if by_champion and now.champion else now.baseline
    return _Made(arm, found, other)


# -- records -------------------------------------------------------------------------


def _routed(
    pilot: Pilot,
    records: Records,
    made: _Made,
    units: pd.DataFrame,
    queue: pd.DataFrame,
    now: Situation,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each record its route, and draw the audit; an alarm doubles it."""
    queued = units["row"].isin(queue["row"]).to_numpy()
    units = units.assign(route=np.where(queued, "queue", "automatic"))
    size = pilot.production.review.audit_sample * (2 if now.alarm else 1)
    seed = pilot.evaluate.seed + hash_of(now.period)
    drawn = draw_treated(
        pilot, records, made.found, queued, units, size=size, seed=seed
    )
    hit = units["row"].isin(drawn["row"])
    units = units.assign(route=units["route"].mask(hit, "audit"))
    kept = drawn.drop(columns=["row", "route"]).assign(route="audit")
    versions = {"method": made.arm.method, "model_version": made.arm.label}
    return units, kept.assign(hash=keyed(drawn["unit"], now.key), **versions)


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
    pairs = pd.MultiIndex.from_frame(queue[["row", "variable"]])
    left = queue.loc[~pairs.isin(_pairs(told)), "row"]
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
    own = made.found.cells.drop(columns=["before", "after"])
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
    donors = [
        None if clerk or pd.isna(row) else str(ids[int(row)])
        for row, clerk in zip(cells["donor"], by_clerk, strict=True)
    ]
    flag = f"fallback: {now.cause}" if now.cause else ""
    return pd.DataFrame(
        {
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
) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for role in ("baseline", "champion"):
        one = answers.get(role)
        empty: list[str | None] = [None] * len(cells)
        found[f"{role}_value"] = empty if one is None else _texts(one.values, cells)
    return found


def _texts(frame: pd.DataFrame, cells: pd.DataFrame) -> list[str | None]:
    """Return the values of cells as text: one column holds those of many variables."""
    values = {name: frame[name].to_numpy(object) for name in cells["variable"].unique()}
    picked = (
        values[variable][row]
        for row, variable in zip(cells["row"], cells["variable"], strict=True)
    )
    return [None if pd.isna(value) else str(value) for value in picked]


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
            "unit": units["unit"].to_numpy(object)[opened["row"].to_numpy(int)],
            "variable": opened["variable"].to_numpy(object),
            "reason": opened["reason"].to_numpy(object),
            "effect": opened["effect"].to_numpy(float),
            "reported": _texts(records.frame, opened),
            "value": _texts(made.found.values, opened),
            **_by_arm(answers, opened),
        }
    )


def _counts(
    units: pd.DataFrame, cells: pd.DataFrame, audit: pd.DataFrame
) -> dict[str, int]:
    by_route = units["route"].value_counts()
    routes = ("automatic", "queue", "audit")
    waits = units["route"] == "queue"
    return {
        "units": len(units),
        **{name: int(by_route.get(name, 0)) for name in routes},
        "audit_sample": len(audit),
        "open": int(units["open"].sum()),
        "closed": int((waits & ~units["open"]).sum()),
        "fallback": int(units["flag"].str.startswith("fallback").sum()),
        "cells": len(cells),
    }


def _lost(
    pilot: Pilot,
    settings: Settings,
    champion: Arm,
    period: str,
    audit: pd.DataFrame,
) -> Reason | None:
    """Return None: measured loss is judged for codes only."""
    return None


def _files(pilot: Pilot) -> list[str]:
    return [pilot.data.edits.file] if pilot.data.edits else []


THEME = Theme(
    load=load,
    question=question,
    answer=answer,
    of_column=of_column,
    compose=compose,
    lost=_lost,
    files=_files,
)
