"""What an imagery pilot releases of a period: areas by domain, units, the map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import ContractError, MethodError
from mlstats.evaluate import keyed
from mlstats.imagery_production import (
    Estimated,
    Question,
    answer,
    load,
    of_column,
    question,
)
from mlstats.produced import Arm, Composed, PeriodData, Situation, Theme
from mlstats.quality.report_tables import LEAST_UNITS
from mlstats.release_totals import TOTALS

__all__ = ["PUBLISH", "THEME", "WITHHOLD", "compose", "figure_id"]

# What a methodologist may say of a figure that waits.
PUBLISH: Final = "publish"
WITHHOLD: Final = "withhold"
_REPORTED: Final = "reported"
_NO_INTERVAL: Final = "the arms' errors are not independent: no interval of the gap"
_ALONE: Final = "one method alone answered: no difference"
_SPREAD: Final = "known totals spread by a model: no standard error"
_KEY: Final = ["variable", "domain"]


@dataclass(frozen=True, eq=False)
class _Made:
    """The arm that produces and what it made."""

    arm: Arm
    found: Estimated


def compose(
    pilot: Pilot,
    data: PeriodData,
    asked: Question,
    answers: Mapping[str, Estimated],
    now: Situation,
) -> Composed:
    """Bring the answers for a period to what is released of it.

    A figure is published with the arm's own standard error. One that the arm does not
    call publishable waits for a methodologist, who reviews it as :data:`PUBLISH` or
    :data:`WITHHOLD`; until then its value stands in the confidential table ``queue``
    alone. One that could not be told at all waits for nobody.

    Parameters
    ----------
    answers : mapping of str to Estimated
        By role; the one of the arm that produces is there.

    Returns
    -------
    Composed
        ``units`` has a row per unit and variable: what was predicted, or, where a
        method predicts none, the label that was reported. The table ``figures`` has
        method, model_version, route and flag of each figure; ``estimates`` what both
        arms estimated, without what waits; the map is the file ``map.tif``.

    Raises
    ------
    MethodError
        Where the arm that produces has not answered.
    ContractError
        Where a review is neither of the two words.
    """
    made = _made(answers, now)
    figures = _figures(pilot, asked, made, now)
    totals = _totals(pilot, asked, figures, made, answers, now)
    shown = figures.drop(columns=["estimate", "se", "df", "lower", "upper"])
    tables = {"figures": shown, "estimates": _estimates(answers, now)}
    for name in dict.fromkeys(name for one in answers.values() for name in one.tables):
        parts = [one.tables[name] for one in answers.values() if name in one.tables]
        tables[name] = pd.concat(parts, ignore_index=True)
    opened = figures[figures["open"]]
    queue = opened[[*_KEY, "estimate", "se", "lower", "upper", "n", "note"]]
    named = [figure_id(*pair) for pair in queue[_KEY].to_numpy()]
    queue = queue.assign(unit=keyed(pd.Series(named, dtype=object), now.key))
    raster = made.found.raster
    return Composed(
        _units(pilot, data, made, now),
        totals,
        _counts(figures, len(data.frame)),
        confidential={"queue": queue},
        tables=tables,
        files={} if raster is None else {"map.tif": raster},
    )


def figure_id(variable: str, domain: str) -> str:
    """Return what the keyed hash of a figure is made of, in a review's ``unit``."""
    return f"{variable}\0{domain}"


def _made(answers: Mapping[str, Estimated], now: Situation) -> _Made:
    own, base = answers.get("champion"), answers.get("baseline")
    if own is not None and now.champion is not None and not now.cause:
        return _Made(now.champion, own)
    if base is None:
        raise MethodError("The arm that produces the period has not answered")
    return _Made(now.baseline, base)


# -- figures -------------------------------------------------------------------------


def _figures(
    pilot: Pilot, asked: Question, made: _Made, now: Situation
) -> pd.DataFrame:
    """Return the figures of the arm that produces, with their routes."""
    table = _own(pilot, asked, made.arm, made.found)
    told = table["estimate"].notna()
    waits = told & ~table["publishable"]
    flag = f"fallback: {now.cause}" if now.cause else ""
    table = table.assign(
        route=np.select([waits, told], ["queue", "automatic"], "not told"),
        open=waits,
        flag=flag,
        method=made.arm.method,
        model_version=made.arm.label,
    )
    return _reviewed(table, now)


def _own(pilot: Pilot, asked: Question, arm: Arm, found: Estimated) -> pd.DataFrame:
    """Return an arm's own figures: variable, domain, estimate, se, df, limits, n."""
    if pilot.task == "zones":
        return _spread(asked, found)
    table = found.estimates[found.estimates["method"] == arm.method]
    table = table.rename(columns={"standard_error": "se"}).reset_index(drop=True)
    domain = table["domain"].astype(str).str.replace(": ", "=", n=1, regex=False)
    kept = ["estimate", "se", "df", "lower", "upper", "n", "note", "publishable"]
    return table.assign(
        variable="area of " + table["variable"].astype(str), domain=domain
    )[[*_KEY, *kept]].astype({"publishable": bool})


def _spread(asked: Question, found: Estimated) -> pd.DataFrame:
    """Return the sums of what was spread, by each domain; few zones are not told."""
    frame, rows = asked.data.frame, []
    for variable, part in found.units.groupby("variable", sort=False):
        value = pd.Series(part["prediction"].to_numpy(float), part["row"].to_numpy(int))
        for name in asked.pilot.data.roles.domain:
            groups = frame[name].astype(str).loc[value.index]
            for group, inside in value.groupby(groups):
                row = {
                    "variable": f"total of {variable}",
                    "domain": f"{name}={group}",
                    "estimate": float(inside.sum()),
                    "n": len(inside),
                }
                rows += [row] if len(inside) >= LEAST_UNITS else []
    table = pd.DataFrame(rows, columns=[*_KEY, "estimate", "n"])
    return table.assign(
        se=np.nan, df=np.nan, lower=np.nan, upper=np.nan, note=_SPREAD, publishable=True
    )


def _reviewed(table: pd.DataFrame, now: Situation) -> pd.DataFrame:
    """Close the figures of which a methodologist has said what becomes of them."""
    told = now.reviewed[now.reviewed["kind"] == "queue"]
    wrong = ~told["code"].isin([PUBLISH, WITHHOLD])
    if wrong.any():
        raise ContractError(
            f"{int(wrong.sum())} reviews do not say what becomes of a figure",
            where=f"reviews of {now.period}",
            expected=f"{PUBLISH} or {WITHHOLD}",
        )
    named = [figure_id(*pair) for pair in table[_KEY].to_numpy()]
    by_hash = dict(zip(told["unit"], told["code"], strict=True))
    hashes = keyed(pd.Series(named, dtype=object), now.key)
    said = pd.Series([by_hash.get(name, "") for name in hashes], table.index)
    closed = table["open"] & said.isin([PUBLISH, WITHHOLD])
    flag = table["flag"].mask(closed, "reviewed: " + said)
    return table.assign(open=table["open"] & ~closed, flag=flag)


def _totals(
    pilot: Pilot,
    asked: Question,
    figures: pd.DataFrame,
    made: _Made,
    answers: Mapping[str, Estimated],
    now: Situation,
) -> pd.DataFrame:
    """Return what is published: nothing of a figure that waits or was withheld."""
    hidden = figures["open"] | (figures["flag"] == f"reviewed: {WITHHOLD}")
    numbers = ["estimate", "se", "df", "lower", "upper"]
    totals = figures[[*_KEY, *numbers, "n", "note"]].copy()
    totals.loc[hidden, numbers] = np.nan
    why = np.where(figures["open"], "waits for a methodologist", "")
    why = np.where(hidden & ~figures["open"], "withheld by a methodologist", why)
    sides = {}
    for role, arm in (("champion", now.champion), ("baseline", now.baseline)):
        if role in answers and arm is not None:
            own = _own(pilot, asked, arm, answers[role])
            told = own["estimate"].where(own["publishable"])
            sides[role] = own[_KEY].assign(**{role: told})
    both = len(sides) == 2
    gap = np.full(len(totals), _NO_INTERVAL if both else _ALONE, dtype=object)
    if both:
        for table in sides.values():
            totals = totals.merge(table, on=_KEY, how="left", validate="one_to_one")
        totals["difference"] = totals["champion"] - totals["baseline"]
        columns = ["baseline", "difference"]
        totals.loc[hidden.to_numpy(), columns] = np.nan
        gap[totals["difference"].isna()] = ""
    changed = answers["baseline"].changed if "baseline" in answers else ()
    more = f"the baseline was approved with other {', '.join(changed)}"
    parts = zip(totals["note"].astype(str), why, gap, strict=True)
    notes = [
        "; ".join(filter(None, [*part, more if changed else ""])) for part in parts
    ]
    waits = figures["open"].to_numpy(dtype=float)
    whole = totals.assign(note=notes, open_share=waits)
    whole["class"] = ""
    return whole.reindex(columns=list(TOTALS)).astype(dict(TOTALS))


def _estimates(answers: Mapping[str, Estimated], now: Situation) -> pd.DataFrame:
    """Return what the arms estimated, what is not publishable without its value."""
    arms = {"champion": now.champion, "baseline": now.baseline}
    parts = []
    for role, found in answers.items():
        one, table = arms.get(role), found.estimates
        label = one.label if one is not None else ""
        parts.append(table.assign(role=role, model_version=label))
    table = pd.concat(parts, ignore_index=True)
    numbers = ["estimate", "standard_error", "lower", "upper"]
    table.loc[~table["publishable"].astype(bool), numbers] = np.nan
    return table


# -- units ---------------------------------------------------------------------------


def _units(pilot: Pilot, data: PeriodData, made: _Made, now: Situation) -> pd.DataFrame:
    ids = data.frame[pilot.data.roles.unit_id].to_numpy(object)
    found = made.found.units
    told: dict[str, Any]
    if len(found):
        told = {
            "unit": ids[found["row"].to_numpy(int)],
            "variable": found["variable"].to_numpy(object),
            "value": found["prediction"].to_numpy(object),
            "method": made.arm.method,
            "model_version": made.arm.label,
        }
    else:
        told = {
            "unit": ids,
            "variable": pilot.truth,
            "value": data.frame[pilot.truth].to_numpy(object),
            "method": _REPORTED,
            "model_version": _REPORTED,
        }
    flag = f"fallback: {now.cause}" if now.cause else ""
    more = {"period": now.period, "confidence": np.nan, "route": "automatic"}
    return pd.DataFrame(told | more | {"flag": flag})


def _counts(figures: pd.DataFrame, units: int) -> dict[str, int]:
    routes = figures["route"].value_counts()
    queued = figures["route"] == "queue"
    return {
        "units": units,
        "figures": len(figures),
        "automatic": int(routes.get("automatic", 0)),
        "queue": int(queued.sum()),
        "open": int(figures["open"].sum()),
        "closed": int((queued & ~figures["open"]).sum()),
        "fallback": int(figures["flag"].str.startswith("fallback").sum()),
    }


THEME = Theme(
    load=load,
    question=question,
    answer=answer,
    of_column=of_column,
    compose=compose,
)
