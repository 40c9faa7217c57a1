"""What the audit of a period says of both arms, as rows of a scorecard.

Champion and baseline are judged on the same audited units, those of the queue too; what
neither of them decided alone is judged as it was released.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.coding.classification import Classification
from mlstats.config import Pilot
from mlstats.method import as_codes
from mlstats.performance import judging, to_depth
from mlstats.produced import Situation
from mlstats.quality.accuracy import proportion
from mlstats.quality.audit_estimates import audit_design, audit_error_rates
from mlstats.quality.estimate import Estimate, absent, estimate_of
from mlstats.quality.paired import paired_difference
from mlstats.quality.report_tables import LEAST_UNITS
from mlstats.quality.scorecard import Plan, as_scorecard
from mlstats.quality.summaries import Ancestor

__all__ = [
    "ARMS",
    "audit_scorecard",
    "judged_arms",
    "released_accuracy",
    "scorecard_of",
    "with_arms",
]

ARMS: Final = ("champion", "baseline")
_KINDS: Final = {"champion": "ml", "baseline": "traditional"}
_KEPT: Final = (
    "value",
    "lower",
    "upper",
    "se",
    "df",
    "n",
    "interval",
    "status",
    "note",
)


def with_arms(audit: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """Return an audit with the codes that both arms gave its units.

    Parameters
    ----------
    audit : pandas.DataFrame
        With unit.
    units : pandas.DataFrame
        Of the release: unit, champion_code and baseline_code.
    """
    columns = [f"{role}_code" for role in ARMS]
    drawn = units["unit"].isin(audit["unit"])
    given = units.loc[drawn, ["unit", *columns]].drop_duplicates("unit")
    told = given.set_index("unit").reindex(audit["unit"])
    return audit.assign(
        **{name: told[name].astype(object).to_numpy() for name in columns}
    )


def released_accuracy(
    pilot: Pilot, audit: pd.DataFrame, ancestor: Ancestor
) -> Estimate:
    """Estimate the accuracy of what was released without a clerk.

    Parameters
    ----------
    audit : pandas.DataFrame
        As drawn, with `truth`: missing where nobody has coded the unit.
    """
    mine = audit[audit["route"].astype("str").isin(["automatic", "audit"])]
    if not mine["truth"].notna().any():
        return absent("not_measured", "no unit of the audit was coded")
    ancestor = judging(pilot, ancestor)
    codes = mine.assign(
        prediction=mine["value"].astype(object), truth=to_depth(mine, ancestor)
    )
    rates = audit_error_rates(codes, ancestor=ancestor, level=pilot.evaluate.level)
    wrong = estimate_of(
        rates[(rates["figure"] == "rate") & (rates["code"] == "")].iloc[0]
    )
    return replace(
        wrong, value=1 - wrong.value, lower=1 - wrong.upper, upper=1 - wrong.lower
    )


def judged_arms(
    pilot: Pilot, audit: pd.DataFrame, ancestor: Ancestor
) -> dict[str, Estimate]:
    """Estimate the accuracy of both arms on the same audited units.

    Weighted by one over the chance of being drawn; an arm that gave a unit no code is
    wrong about it. Each figure is one of all units that the audit was drawn from: those
    that could be coded. A truth that does not reach the level counts as not coded.

    Parameters
    ----------
    audit : pandas.DataFrame
        From :func:`with_arms`, with `truth`: missing where nobody has coded the unit.

    Returns
    -------
    dict of str to Estimate
        ``champion``, ``baseline`` and ``difference``, champion less baseline; not
        measured where an arm did not answer, or fewer than ten units were coded.
    """
    level, ancestor = pilot.evaluate.level, judging(pilot, ancestor)
    truth = ancestor(as_codes(audit["truth"]), level)
    done = np.array([code is not None for code in truth], dtype=bool)
    n = int(done.sum())
    why = "no unit of the audit was coded" if n == 0 else ""
    if 0 < n < LEAST_UNITS:
        why = f"fewer than {LEAST_UNITS} units of the audit were coded"
    design = audit_design(audit, done) if n else None
    why = why or (design.fault if design else "")
    right: dict[str, np.ndarray] = {}
    found: dict[str, Estimate] = {}
    for role in ARMS:
        codes = as_codes(audit[f"{role}_code"])
        if why or design is None or pd.isna(codes).all():
            found[role] = absent("not_measured", why or f"the {role} did not answer", n)
            continue
        right[role] = (ancestor(codes, level) == truth)[done].astype(bool)
        found[role] = proportion(design, right[role], np.ones(n, dtype=bool))
    if design is None or len(right) < len(ARMS):
        told = why or "one arm alone answered"
        return found | {"difference": absent("not_measured", told, n)}
    gap = paired_difference(design, right["champion"], right["baseline"])
    return found | {"difference": gap}


def audit_scorecard(
    pilot: Pilot,
    audit: pd.DataFrame,
    ancestor: Ancestor,
    methods: Mapping[str, str],
) -> pd.DataFrame:
    """Return the scorecard of a period, as far as its audit is coded.

    Parameters
    ----------
    audit : pandas.DataFrame
        As for :func:`judged_arms`.
    methods : mapping of str to str
        ``champion`` and ``baseline``, as far as there are any, to the method's name,
        and ``released`` to the one that produced the period.

    Returns
    -------
    pandas.DataFrame
        The columns of :data:`mlstats.quality.scorecard.COLUMNS`: accuracy of each arm,
        the champion's with its paired difference, and the error of the automated part
        as released. No row where nobody has coded a unit of the audit.
    """
    specs = pilot.methods.items()
    kinds: dict[str, str] = {name: spec.kind for name, spec in specs}
    for role, kind in _KINDS.items():
        if role in methods:
            kinds[methods[role]] = kind
    plan = Plan(kinds, pilot.baseline, pilot.evaluate.level, (), gsbpm=pilot.gsbpm)
    if not audit["truth"].notna().any():
        return as_scorecard([], plan)
    found = judged_arms(pilot, audit, ancestor)
    rows = [
        _row(pilot, "accuracy", methods[role], found[role])
        for role in ARMS
        if role in methods
    ]
    if "champion" in methods:
        gap = found["difference"]
        rows[0] |= {
            "versus": methods["baseline"],
            "difference": gap.value,
            "difference_se": gap.se,
            "difference_lower": gap.lower,
            "difference_upper": gap.upper,
        }
    mine = released_accuracy(pilot, audit, ancestor)
    wrong = replace(
        mine, value=1 - mine.value, lower=1 - mine.upper, upper=1 - mine.lower
    )
    rows.append(_row(pilot, "automation_error", methods["released"], wrong))
    return as_scorecard(rows, plan)


def scorecard_of(
    pilot: Pilot,
    units: pd.DataFrame,
    audit: pd.DataFrame,
    classification: Classification,
    now: Situation,
) -> pd.DataFrame:
    """Return :func:`audit_scorecard` of a period that is being produced.

    Parameters
    ----------
    units : pandas.DataFrame
        All of the period, or those that were drawn.
    audit : pandas.DataFrame
        As drawn, with `hash`.
    classification : Classification
        It is extended by the codes of the audit, clerks' codes too.
    now : Situation
        Names the arms, and holds what clerks made of the period.
    """
    told = now.reviewed[now.reviewed["kind"] == "audit"]
    if audit.empty or told.empty:
        return pd.DataFrame()
    by_hash = dict(zip(told["unit"], told["code"], strict=True))
    truth = pd.Series([by_hash.get(name) for name in audit["hash"]], dtype=object)
    judged = with_arms(audit.assign(truth=truth.to_numpy()), units)
    named = ["value", "truth", *(f"{role}_code" for role in ARMS)]
    given = pd.concat([judged[name].astype(object) for name in named])
    ancestor = classification.extended(given.dropna().unique()).ancestor
    methods = {"baseline": now.baseline.method}
    if now.champion is not None:
        methods = {"champion": now.champion.method} | methods
    by = "champion" if now.champion is not None and not now.cause else "baseline"
    return audit_scorecard(pilot, judged, ancestor, methods | {"released": methods[by]})


def _row(pilot: Pilot, indicator: str, method: str, found: Estimate) -> dict[str, Any]:
    told = asdict(found)
    return {name: told[name] for name in _KEPT} | {
        "dimension": "accuracy",
        "indicator": indicator,
        "level": pilot.evaluate.level,
        "method": method,
        "n_clusters": found.n,
    }
