"""What the history of a pilot gives cause to do; people decide, nothing is changed.

A proposal rests on limits and not on points: on a drift verdict, on what
:func:`mlstats.performance.lost` says, or on an interval that is wide enough for the
looks of a year. What production has done by itself is told as done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite, sqrt
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.config import Pilot
from mlstats.monitoring import History, Look
from mlstats.performance import YEARLY
from mlstats.period import ReferencePeriod
from mlstats.quality.accuracy import RatioEstimate, proportion_interval
from mlstats.quality.figures import as_text

__all__ = ["ACTIONS", "Proposal", "proposals", "proposed_table"]

Action = Literal["more_audit", "lower_automation", "retrain", "suspend"]
ACTIONS: Final[Mapping[Action, str]] = {
    "more_audit": "more audit",
    "lower_automation": "lower automation",
    "retrain": "retrain",
    "suspend": "suspend",
}
PROPOSED: Final = "proposed"
DONE: Final = "done by produce"


@dataclass(frozen=True)
class Proposal:
    """What is proposed after a look at one period.

    Parameters
    ----------
    period : str
        The last period that the look took in.
    action : str
        One of :data:`ACTIONS`.
    state : str
        proposed, or done by produce: production does it without being asked.
    cause : str
        A sentence without the content of a record.
    indicator : str
        What the figure is; empty where the cause is a count of periods.
    value, lower, upper : float
        The figure and the limits that the verdict rests on.
    since : str
        The first of the periods, one after the other, with this cause.
    run : str
        What to run.
    """

    period: str
    action: Action
    state: str
    cause: str
    indicator: str = ""
    value: float = np.nan
    lower: float = np.nan
    upper: float = np.nan
    since: str = ""
    run: str = ""


def proposals(history: History) -> list[Proposal]:
    """Return what each period gave cause to propose, in the order of periods.

    Each period is looked at with what is known of it and of the periods before it, so
    that a proposal stands with its period however often the history is made.

    Returns
    -------
    list of Proposal
        Those of the last period are the ones that are open.
    """
    found: list[Proposal] = []
    for last in range(len(history.looks)):
        looks = history.looks[: last + 1]
        known = {one.period for one in looks}
        rows = history.rows[history.rows["period"].isin(known)]
        for one in _look(history.pilot, looks, rows):
            found.append(replace(one, since=_since(one, found, looks)))
    return found


def proposed_table(found: Sequence[Proposal]) -> pd.DataFrame:
    """Return proposals as a table, the last period first."""
    names = list(asdict(Proposal("", "retrain", "", "")))
    periods = list(dict.fromkeys(one.period for one in found))
    ordered = sorted(found, key=lambda one: -periods.index(one.period))
    rows = [asdict(one) for one in ordered]
    kinds = {n: "float64" if n in ("value", "lower", "upper") else "str" for n in names}
    return pd.DataFrame(rows, columns=names).astype(kinds)


def _since(one: Proposal, found: Sequence[Proposal], looks: Sequence[Look]) -> str:
    """Return the period since which the same was proposed at each look."""
    if one.since or len(looks) < 2:
        return one.since or one.period
    before = looks[-2].period
    for earlier in found:
        same = (earlier.action, earlier.indicator) == (one.action, one.indicator)
        if earlier.period == before and same:
            return earlier.since
    return one.period


def _look(
    pilot: Pilot, looks: Sequence[Look], rows: pd.DataFrame
) -> Iterator[Proposal]:
    yield from _drift(pilot, looks, rows)
    yield from _unaudited(pilot, looks, rows)
    yield from _lost(pilot, looks[-1], rows)
    yield from _pooled(pilot, looks, rows)
    yield from _worse(pilot, looks[-1], rows)


def _retrain(pilot: Pilot, period: str) -> str:
    return f"mlstats retrain {pilot.pilot} --to {period}"


def _suspend(pilot: Pilot) -> str:
    return f"mlstats promote {pilot.pilot} --to suspended --reason ..."


def _raise_threshold(pilot: Pilot) -> str:
    return f"raise evaluate.target_accuracy, then mlstats run {pilot.pilot}"


# -- inputs --------------------------------------------------------------------------


def _drift(
    pilot: Pilot, looks: Sequence[Look], rows: pd.DataFrame
) -> Iterator[Proposal]:
    """Propose by alarms: once more audit, several times in turn a new version."""
    alarms = rows[rows["indicator"] == "drift_alarms"]
    last = looks[-1]
    count = _alarms(alarms, last.period)
    if not count:
        return
    named = rows[
        (rows["period"] == last.period) & rows["verdict"].isin(["drift", "break"])
    ]
    columns = ", ".join(sorted(set(named["domain"])))
    yield Proposal(
        last.period,
        "more_audit",
        DONE if last.release.facts.get("alarm") else PROPOSED,
        f"the inputs drifted in {columns}: the audit is doubled, and a code is "
        "automatic only where the baseline gives the same",
        "drift_alarms",
        float(count),
        run=f"mlstats review export {pilot.pilot} {last.period} --coder NAME",
    )
    wanted = pilot.production.monitor.drifting
    # Another version was trained on other data: its periods count anew.
    turn = _in_turn(
        [
            one.champion == last.champion
            and _alarms(alarms, one.period, "training") > 0
            for one in looks
        ]
    )
    if turn < wanted or not last.champion:
        return
    since = looks[-turn].period
    cause = (
        f"{turn} periods one after the other drifted from the data that the champion "
        "was trained on: its thresholds were shown for other inputs"
    )
    told = Proposal(
        last.period, "retrain", PROPOSED, cause, "drift_alarms", float(count),
        since=since, run=_retrain(pilot, last.period),
    )  # fmt: skip
    yield told
    yield replace(told, action="lower_automation", run=_raise_threshold(pilot))


def _alarms(alarms: pd.DataFrame, period: str, reference: str = "") -> int:
    mine = alarms[alarms["period"] == period]
    if reference:
        mine = mine[mine["reference"] == reference]
    return int(mine["value"].fillna(0).sum())


def _in_turn(held: Sequence[bool]) -> int:
    """Return how many of the last ones hold, one after the other."""
    return next((n for n, one in enumerate(reversed(held)) if not one), len(held))


# -- audits ----------------------------------------------------------------------------


def _unaudited(
    pilot: Pilot, looks: Sequence[Look], rows: pd.DataFrame
) -> Iterator[Proposal]:
    """Propose to code the audits where nobody has for some periods."""
    if pilot.theme != "coding" or not looks[-1].champion:
        return
    known = set(_accuracies(rows)["period"])
    turn = _in_turn([one.period not in known for one in looks])
    if turn < pilot.production.monitor.unaudited:
        return
    last = looks[-1].period
    yield Proposal(
        last,
        "more_audit",
        PROPOSED,
        f"the audits of {turn} periods one after the other say nothing: a loss would "
        "not be seen",
        "accuracy",
        since=looks[-turn].period,
        run=f"mlstats review export {pilot.pilot} {last} --coder NAME",
    )


def _accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[
        (rows["indicator"] == "accuracy")
        & (rows["arm"] == "released")
        & (rows["status"] == "measured")
    ]


def _lost(pilot: Pilot, last: Look, rows: pd.DataFrame) -> Iterator[Proposal]:
    """Propose what follows from a measured loss; the baseline stands in already."""
    if last.lost is None:
        yield from _standing(pilot, last)
        return
    whole = not last.lost.classes
    told = Proposal(
        last.period,
        "retrain",
        PROPOSED,
        last.lost.said,
        "accuracy",
        run=_retrain(pilot, last.period),
    )
    mine = _accuracies(rows)
    mine = mine[mine["period"] == last.period]
    if whole and len(mine):
        value, lower, upper = _together(mine, [last], 1 - YEARLY / _per_year(last))
        told = replace(told, value=value, lower=lower, upper=upper)
    yield told
    if whole:
        yield replace(told, action="suspend", run=_suspend(pilot))
    taken = "the baseline produces" + ("" if whole else " these classes")
    yield replace(
        told,
        action="lower_automation",
        state=DONE,
        cause=f"{last.lost.said}: {taken} from the next period on",
        run=f"mlstats produce {pilot.pilot}",
    )


def _standing(pilot: Pilot, last: Look) -> Iterator[Proposal]:
    """Propose the same again while the baseline stands in for a measured loss."""
    for reason in _fallbacks(last):
        if reason["cause"] != "performance":
            continue
        cause = f"{reason['said']}: the loss stands, the baseline stood in again"
        told = Proposal(
            last.period, "retrain", PROPOSED, cause, "accuracy",
            run=_retrain(pilot, last.period),
        )  # fmt: skip
        yield told
        if not reason["classes"]:
            yield replace(told, action="suspend", run=_suspend(pilot))


def _fallbacks(look: Look) -> list[Mapping[str, Any]]:
    """Return why the baseline produced a period, or classes of it."""
    return list(look.release.facts.get("fallback", []))


def _pooled(
    pilot: Pilot, looks: Sequence[Look], rows: pd.DataFrame
) -> Iterator[Proposal]:
    """Propose by the audits of some periods together, which find a smaller loss."""
    last, plan = looks[-1], pilot.production.monitor
    target = pilot.production.review.target_accuracy
    same = _in_turn([one.champion == last.champion for one in looks])
    recent = looks[-min(same, plan.window) :]
    window = [one.period for one in recent if not _fallbacks(one)]  # by the champion
    mine = _accuracies(rows)
    mine = mine[mine["period"].isin(window)]
    if not last.champion or last.lost is not None or len(mine) < 2:
        return
    if last.period not in set(mine["period"]):
        return  # nothing new is known since the last look
    confidence = 1 - plan.chance / _per_year(last)
    value, lower, upper = _together(mine, recent, confidence)
    if not upper < target:
        return
    cause = (
        f"the audits of {len(mine)} periods together measured an accuracy of "
        f"{value:.1%} of what was released without a clerk, the whole interval below "
        f"{target:.0%}"
    )
    told = Proposal(
        last.period, "lower_automation", PROPOSED, cause, "accuracy", value, lower,
        upper, since=str(mine["period"].iloc[0]), run=_raise_threshold(pilot),
    )  # fmt: skip
    yield told
    yield replace(told, action="retrain", run=_retrain(pilot, last.period))


def _per_year(look: Look) -> int:
    return ReferencePeriod.parse(look.period).per_year


def _together(
    mine: pd.DataFrame, looks: Sequence[Look], confidence: float
) -> tuple[float, float, float]:
    """Estimate the mean accuracy of periods with audits of their own.

    Periods weigh as their units, which a purge does not take from a release; their
    audits are independent samples. The interval is Korn and Graubard's, as that of
    each period.
    """
    counted = {one.period: one.release.facts["counts"]["units"] for one in looks}
    size = mine["period"].map(counted).to_numpy(dtype=float)
    share = size / size.sum()
    se = mine["se"].to_numpy(dtype=float)
    value = float(share @ mine["value"].to_numpy(dtype=float))
    if not np.isfinite(se).all():
        return value, np.nan, np.nan
    n, df = int(mine["n"].sum()), float(mine["df"].sum())
    found = RatioEstimate(value, sqrt(float(share**2 @ se**2)), df, n)
    return (value, *proportion_interval(found, n, confidence))


def _worse(pilot: Pilot, last: Look, rows: pd.DataFrame) -> Iterator[Proposal]:
    """Propose to suspend a champion that the baseline is shown to be better than."""
    mine = rows[
        (rows["period"] == last.period)
        & (rows["indicator"] == "accuracy_difference")
        & (rows["status"] == "measured")
    ]
    if mine.empty or not last.champion:
        return
    row = mine.iloc[0]
    value, se, df = (float(row[name]) for name in ("value", "se", "df"))
    if not (isfinite(se) and df >= 1):
        return
    chance = pilot.production.monitor.chance / _per_year(last)
    half = float(stats.t.ppf(1 - chance / 2, df)) * se
    if not value + half < 0:
        return
    told = Proposal(
        last.period,
        "suspend",
        PROPOSED,
        f"the audit of {last.period} measured the champion {-100 * value:.1f} points "
        f"below the baseline on the same {int(row['n'])} units",
        as_text(row["indicator"]),
        value,
        value - half,
        value + half,
        run=_suspend(pilot),
    )
    yield told
    yield replace(told, action="retrain", run=_retrain(pilot, last.period))
