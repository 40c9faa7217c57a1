"""The rows of a pilot's history that tell how right a period was, by its audit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.audit_scorecard import ARMS, judged_arms, with_arms
from mlstats.config import Pilot
from mlstats.produced import Arm, Reason
from mlstats.production_plan import theme_of
from mlstats.quality.estimate import Estimate, absent
from mlstats.release_tables import kept_table
from mlstats.releases import Release
from mlstats.review_rows import open_period
from mlstats.review_status import classification_of, coded_audit, status_of
from mlstats.settings import Settings

__all__ = ["as_published", "performance", "unmeasured"]

_LABEL: Final = re.compile(r"^(?P<method>.+?)(?: v(?P<version>\d+))?@(?P<digest>.+)$")


def performance(
    name: str, pilot: Pilot, settings: Settings, release: Release, units: pd.DataFrame
) -> tuple[list[dict[str, Any]], Reason | None]:
    """Return what the audit and the double-coded units say, and whether it is lost.

    Parameters
    ----------
    name : str
        Of the pilot.
    release : Release
        The period's current one, which was not purged.
    units : pandas.DataFrame
        Of the release, those of the audit at least: unit, champion_code and
        baseline_code.

    Returns
    -------
    rows : list of dict
        Of the history: accuracy of both arms and of what no clerk saw, agreement.
    lost : Reason or None
        From :func:`mlstats.performance.lost`.
    """
    now = open_period(name, release.key.period, settings)
    state = status_of(now)
    coded = coded_audit(now)
    rows = [
        _told("performance", "accuracy", "released", state.accuracy),
        _told("coders", "double_coding_agreement", "", state.agreement),
        _told("coders", "double_coding_kappa", "", state.kappa),
    ]
    if not coded["truth"].notna().any():
        found = dict.fromkeys(
            (*ARMS, "difference"),
            absent("not_measured", "no unit of the audit was coded"),
        )
        return [*_arms(found), *rows], None
    classification = classification_of(now, coded)
    judged = with_arms(coded, units)
    rows = [*_arms(judged_arms(pilot, judged, classification.ancestor)), *rows]
    champion = _champion(release)
    lost = None
    if champion is not None:
        of = theme_of(pilot).lost
        lost = of(pilot, settings, champion, release.key.period, judged)
    return rows, lost


def as_published(release: Release) -> Iterator[dict[str, Any]]:
    """Yield what the scorecard of a purged period tells of its audit."""
    gone = f"its records were purged on {release.purged_on}"
    card = kept_table(release.folder / "scorecard.parquet")
    if card is None or card.empty:
        yield from unmeasured(gone)
        return
    labels = release.facts.get("methods", {})
    methods = {role: _method_of(labels.get(role, "")) for role in ARMS}
    rows = {(row["indicator"], row["method"]): row for row in card.to_dict("records")}
    for role, method in methods.items():
        row = rows.get(("accuracy", method))
        if row is None:
            continue
        yield _published("accuracy", role, row, "", gone)
        if pd.notna(row["difference"]):
            gap = _published("accuracy_difference", role, row, "difference", gone)
            yield gap | {"reference": "baseline"}
    for (indicator, _), row in rows.items():
        if indicator == "automation_error":
            error = _published("accuracy", "released", row, "", gone)
            limits = {"lower": 1 - error["upper"], "upper": 1 - error["lower"]}
            yield error | {"value": 1 - error["value"]} | limits


def _arms(found: Mapping[str, Estimate]) -> Iterator[dict[str, Any]]:
    for role in ARMS:
        yield _told("performance", "accuracy", role, found[role])
    gap = _told("performance", "accuracy_difference", "champion", found["difference"])
    yield gap | {"reference": "baseline"}


def unmeasured(why: str) -> Iterator[dict[str, Any]]:
    """Yield both arms as not measured, with the reason."""
    yield from _arms(dict.fromkeys((*ARMS, "difference"), absent("not_measured", why)))


def _told(part: str, indicator: str, arm: str, found: Estimate) -> dict[str, Any]:
    return {
        "part": part,
        "indicator": indicator,
        "arm": arm,
        "value": found.value,
        "se": found.se,
        "df": found.df,
        "lower": found.lower,
        "upper": found.upper,
        "n": found.n,
        "status": found.status,
        "note": found.note,
    }


def _published(
    indicator: str, arm: str, row: Mapping[Any, Any], of: str, note: str
) -> dict[str, Any]:
    """Return a figure of a scorecard as a row of the history."""
    at = f"{of}_" if of else ""
    return {
        "part": "performance",
        "indicator": indicator,
        "arm": arm,
        "value": row[of or "value"],
        "se": row[f"{at}se"],
        "df": np.nan if of else row["df"],
        "lower": row[f"{at}lower"],
        "upper": row[f"{at}upper"],
        "n": row["n"],
        "status": row["status"],
        "note": note,
    }


def _method_of(label: str) -> str:
    told = _LABEL.match(label)
    return told["method"] if told else ""


def _champion(release: Release) -> Arm | None:
    """Return the version that was in production, as the release's provenance has it."""
    label = release.facts.get("methods", {}).get("champion")
    told = _LABEL.match(label) if label else None
    if told is None:
        return None
    version = int(told["version"] or 0)
    return Arm("champion", told["method"], told["digest"], version)
