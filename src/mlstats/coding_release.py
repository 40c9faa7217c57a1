"""What a coding pilot releases of a period: the code of each unit and its way there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.audit_scorecard import scorecard_of
from mlstats.coding import arm
from mlstats.coding.classification import Classification
from mlstats.coding_production import (
    Codes,
    Question,
    known_codes,
    refused,
)
from mlstats.coding_totals import code_totals, process_figures
from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.errors import MethodError
from mlstats.evaluate import keyed, levels_of
from mlstats.performance import lost
from mlstats.period_source import unit_design
from mlstats.produced import Arm, Composed, PeriodData, Reason, Situation
from mlstats.quality.routing import Routing, route
from mlstats.quality.summaries import UNCODED
from mlstats.review import draw_audit, hash_of
from mlstats.review_store import CLOSING
from mlstats.runs import routing_of
from mlstats.settings import Settings

__all__ = [
    "Limits",
    "Rows",
    "audit_table",
    "compose",
    "counts_of",
    "limits_of",
    "lost_of",
    "of_units",
    "published_columns",
    "queue_of",
    "reviewed_units",
    "valued_units",
]


@dataclass(frozen=True, eq=False)
class Rows:
    """One arm's answers, a row per unit, and how the champion's are routed."""

    code: np.ndarray
    confidence: np.ndarray
    found: Codes
    place: np.ndarray  # of each unit among the rows of `found`
    automatic: np.ndarray
    depth: np.ndarray
    routed: np.ndarray


@dataclass(frozen=True, eq=False)
class Limits:
    """From which confidence on a version's codes need no clerk.

    Parameters
    ----------
    method : str
        Of the version.
    table : pandas.DataFrame
        Columns level, group, threshold and method.
    """

    method: str
    table: pd.DataFrame


def compose(
    pilot: Pilot,
    data: PeriodData,
    asked: Question,
    answers: Mapping[str, Codes],
    now: Situation,
) -> Composed:
    """Bring the answers for a period to what is released of it.

    Parameters
    ----------
    answers : mapping of str to Codes
        By role; the one of the arm that produces is there.

    Raises
    ------
    MethodError
        Where neither arm has answered.
    """
    if not answers:
        raise MethodError("Neither champion nor baseline has answered")
    classification = known_codes(data.more, pilot, list(answers.values()))
    told = now.reviewed.loc[now.reviewed["kind"].isin(CLOSING), "code"]
    classification = classification.extended(told.astype(str).str.strip())
    named = {"champion": now.champion, "baseline": now.baseline}
    spread = {
        role: of_units(found, asked, pilot, classification, limits_of(named[role]))
        for role, found in answers.items()
    }
    level = levels_of(pilot, classification)[0]
    units = valued_units(pilot, data, spread, classification, level, now)
    units, audit = _audited(pilot, units, classification, level, now)
    # Before clerks' codes: they have no confidence, and the rest is surer than all.
    process = process_figures(units)
    units, closed = reviewed_units(pilot, units, now)
    totals = code_totals(
        units,
        classification,
        level,
        domains=pilot.data.roles.domain,
        single=pilot.data.single_cluster,
    )
    counts = counts_of(units, audit, closed)
    scorecard = scorecard_of(pilot, units, audit, classification, now)
    return Composed(
        published_columns(units),
        totals,
        counts,
        confidential={"audit": audit, "queue": queue_of(units, spread)},
        tables={"process": process, "scorecard": scorecard},
    )


# -- answers -----------------------------------------------------------------------


def of_units(
    found: Codes,
    asked: Question,
    pilot: Pilot,
    classification: Classification,
    limits: Limits,
) -> Rows:
    """Route the distinct rows by the version's own thresholds, then spread them."""
    told = found.codes[:, 0]
    none = pd.isna(told)
    top = pd.DataFrame(
        {
            "method": limits.method,
            "prediction": pd.Series(told, dtype=object),
            "confidence": np.where(none, np.nan, found.scores[:, 0]),
        }
    )
    routing: Routing = routing_of(pilot)
    if any(step.level != "full" for step in routing.steps):
        top["candidates"] = [[c for c in row if c is not None] for row in found.codes]
        top["scores"] = [
            [float(s) for c, s in zip(*pair, strict=True) if c is not None]
            for pair in zip(found.codes, found.scores, strict=True)
        ]
    routes = route(top, limits.table, classification.ancestor, routing)
    place = asked.inverse if found.distinct else np.arange(len(top))
    return Rows(
        told[place],
        top["confidence"].to_numpy(dtype=float)[place],
        found,
        place,
        (routes["route"] == "automatic").to_numpy()[place],
        routes["depth"].to_numpy(dtype=object)[place],
        routes["routed"].to_numpy(dtype=object)[place],
    )


def limits_of(one: Arm | None) -> Limits:
    """Return the thresholds that a version was signed with, as far as it has any."""
    rows: Collection[Mapping[str, Any]] = one.terms.get("thresholds", []) if one else []
    table = pd.DataFrame(
        [
            (row["level"], row["group"], row["threshold"])
            for row in rows
            if row["threshold"] is not None
        ],
        columns=["level", "group", "threshold"],
    )
    method = one.method if one else ""
    return Limits(method, table.assign(method=method))


def valued_units(
    pilot: Pilot,
    data: PeriodData,
    spread: Mapping[str, Rows],
    classification: Classification,
    level: str,
    now: Situation,
) -> pd.DataFrame:
    """Return a row per unit with the value that stands until a clerk decides."""
    own, base = spread.get("champion"), spread.get("baseline")
    n = len(data.frame)
    frame = unit_design(pilot, data.frame, now.period, data.first)
    none = np.full(n, None, dtype=object)
    frame["champion_code"] = none if own is None else own.code
    frame["baseline_code"] = none if base is None else base.code
    by_champion = own is not None and not now.cause
    rows = own if by_champion else base
    if rows is None:
        raise MethodError("The arm that produces the period has not answered")
    by = now.champion if by_champion and now.champion else now.baseline
    frame["value"], frame["confidence"] = rows.code, rows.confidence
    frame["depth"] = np.where(pd.isna(rows.code), "", "full")
    frame["method"], frame["model_version"] = by.method, by.label
    frame["flag"] = f"fallback: {now.cause}" if now.cause else ""
    given = ~pd.isna(rows.code)
    frame["route"] = np.where(given, "automatic", "queue")
    if by_champion:
        _take_champion(frame, rows, base, classification, now)
        _give_up(frame, base, classification, level, now)
    refuses = refused(pilot, frame["value"].to_numpy(dtype=object))
    frame.loc[refuses, "route"] = "uncodable"
    return frame


def _take_champion(
    frame: pd.DataFrame,
    own: Rows,
    base: Rows | None,
    classification: Classification,
    now: Situation,
) -> None:
    """Route by the champion's thresholds."""
    automatic = own.automatic
    if now.alarm:
        # Two witnesses instead of one: the inputs are not those of the evaluation.
        second = False if base is None else _agree(own, base, classification)
        automatic = automatic & second
    frame["route"] = np.where(automatic, "automatic", "queue")
    frame["value"] = np.where(automatic, own.routed, own.code)
    frame["depth"] = np.where(automatic, own.depth, frame["depth"])


def _give_up(
    frame: pd.DataFrame,
    base: Rows | None,
    classification: Classification,
    level: str,
    now: Situation,
) -> None:
    """Give the classes that the champion has lost to the baseline, else to clerks."""
    at = classification.ancestor(frame["value"], level)
    at[pd.isna(at) & frame["value"].notna().to_numpy()] = UNCODED
    lost = np.isin(at.astype("str"), [*now.classes])
    if base is None:
        frame.loc[lost, "route"] = "queue"
        return
    frame.loc[lost, "value"] = base.code[lost]
    frame.loc[lost, "confidence"] = base.confidence[lost]
    frame.loc[lost, "depth"] = np.where(pd.isna(base.code[lost]), "", "full")
    frame.loc[lost, "method"] = now.baseline.method
    frame.loc[lost, "model_version"] = now.baseline.label
    frame.loc[lost, "flag"] = "fallback: performance"
    frame.loc[lost, "route"] = np.where(pd.isna(base.code[lost]), "queue", "automatic")


def _agree(own: Rows, base: Rows, classification: Classification) -> np.ndarray:
    same = np.zeros(len(own.code), dtype=bool)
    for level in set(own.depth) - {""}:
        at = own.depth == level
        same[at] = own.routed[at] == classification.ancestor(base.code[at], level)
    return same


# -- people ------------------------------------------------------------------------


def _audited(
    pilot: Pilot,
    units: pd.DataFrame,
    classification: Classification,
    level: str,
    now: Situation,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the audit from every unit that has a code, queue and fallback included."""
    plan = pilot.production.review
    size = plan.audit_sample * (2 if now.alarm else 1)
    # Where the contract is broken an id may stand twice; a unit is drawn once.
    pool = units[(units["route"] != "uncodable") & ~units["unit"].duplicated()]
    if pool.empty:
        return units, pool
    seed = pilot.evaluate.seed
    audit = draw_audit(
        pool.assign(prediction=pool["value"]),
        size=max(min(size, len(pool)), min(2, len(pool))),
        ancestor=classification.ancestor,
        level=level,
        least=min(2, len(pool)),
        double_code=plan.double_code,
        seed=seed + hash_of(now.period),
    )
    drawn = units["unit"].isin(audit["unit"]) & (units["route"] == "automatic")
    routed = units.assign(route=units["route"].mask(drawn, "audit"))
    return routed, audit_table(audit, now)


def audit_table(audit: pd.DataFrame, now: Situation) -> pd.DataFrame:
    """Return what a release keeps of the units that an audit drew."""
    if audit.empty:
        return audit
    columns = [
        *("unit", "value", "depth", "route", "weight", "confidence"),
        *("method", "model_version"),
        *("audit_stratum", "inclusion", "audit_weight", "blind", "double_coded"),
        "double_inclusion",
    ]
    return audit[columns].assign(hash=keyed(audit["unit"], now.key))


def reviewed_units(
    pilot: Pilot, units: pd.DataFrame, now: Situation
) -> tuple[pd.DataFrame, int]:
    """Put in what clerks gave the units of the queue."""
    waiting = units["route"] == "queue"
    units = units.assign(open=waiting)
    told = now.reviewed[now.reviewed["kind"].isin(CLOSING)]
    if told.empty or not waiting.any():
        return units, 0
    codes = told["code"].astype(str).str.strip()
    by_hash = dict(zip(told["unit"], codes.where(codes != "", None), strict=True))
    rows = np.flatnonzero(waiting.to_numpy())
    hashes = keyed(units["unit"].iloc[rows], now.key)
    given = np.array([by_hash.get(name) for name in hashes], dtype=object)
    done = rows[~pd.isna(given)]
    units.loc[done, "value"] = given[~pd.isna(given)]
    units.loc[done, "depth"] = "full"
    units.loc[done, ["method", "model_version"]] = "clerk"
    units.loc[done, "confidence"] = np.nan
    units.loc[done, "flag"] = "reviewed"
    units.loc[done, "open"] = False
    return units, len(done)


def counts_of(units: pd.DataFrame, audit: pd.DataFrame, closed: int) -> dict[str, int]:
    """Return the units by route, and how many of the queue are open and closed."""
    by_route = units["route"].value_counts()
    return {
        "units": len(units),
        **{
            name: int(by_route.get(name, 0))
            for name in ("automatic", "queue", "audit", "uncodable")
        },
        "audit_sample": len(audit),
        "open": int(units["open"].sum()),
        "closed": closed,
        "fallback": int(units["flag"].str.startswith("fallback").sum()),
    }


def queue_of(units: pd.DataFrame, spread: Mapping[str, Rows]) -> pd.DataFrame:
    """Return what a clerk is shown of each unit that waits, least sure first."""
    rows = np.flatnonzero(units["open"].to_numpy())
    told = spread.get("champion") or spread["baseline"]
    codes, scores = (
        table[told.place[rows]] for table in (told.found.codes, told.found.scores)
    )
    queue = pd.DataFrame(
        {
            "unit": units["unit"].to_numpy()[rows],
            **{f"code_{k + 1}": codes[:, k] for k in range(codes.shape[1])},
            **{f"score_{k + 1}": scores[:, k] for k in range(scores.shape[1])},
            "confidence": told.confidence[rows],
            "baseline_code": units["baseline_code"].to_numpy()[rows],
        }
    )
    order = np.argsort(np.nan_to_num(queue["confidence"], nan=-1.0), kind="stable")
    return queue.iloc[order].reset_index(drop=True)


def published_columns(units: pd.DataFrame) -> pd.DataFrame:
    """Return the units as they are kept, words that repeat as categories."""
    repeated = ["period", "depth", "method", "model_version", "flag", "route", "value"]
    repeated += ["champion_code", "baseline_code", "stratum"]
    return units.astype(dict.fromkeys(repeated, "category"))


def lost_of(
    pilot: Pilot,
    settings: Settings,
    champion: Arm,
    period: str,
    audit: pd.DataFrame,
) -> Reason | None:
    """Return the reason where an audit says that the champion is not good enough."""
    spec = pilot.data.classification
    assert spec is not None
    classification = arm.read_classification(spec, finder(settings))
    if spec.separator:
        given = [*audit["value"].astype(object), *audit["truth"]]
        classification = classification.extended(
            [code for code in given if isinstance(code, str)]
        )
    return lost(
        pilot,
        champion,
        period,
        audit,
        classification.ancestor,
        levels_of(pilot, classification),
    )
