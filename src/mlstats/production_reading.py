"""A period's data, what is known against the champion, and what the arms answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from mlstats.contract import ContractResult
from mlstats.errors import MlstatsError, ServiceError, TimeBudgetError
from mlstats.parts_reading import StagedWatched, read_parts, watched_columns
from mlstats.performance import audited, together
from mlstats.period_parts import PartedData
from mlstats.produced import (
    Arm,
    InParts,
    Parts,
    PeriodData,
    Produced,
    Reason,
    seconds_of,
    too_long,
)
from mlstats.production_plan import Plan, forget_parts, staging, values_digest
from mlstats.quality.drift import DriftResult
from mlstats.release_drift import (
    back_from,
    drift_of_period,
    references_of,
    vocabulary_of,
)
from mlstats.releases import ReleaseKey
from mlstats.review_store import ReviewStore
from mlstats.scale import isolated
from mlstats.watching import watch

__all__ = [
    "Answered",
    "Taken",
    "answer",
    "key_of",
    "read",
    "released_before",
    "roles_of",
]

_NOT_ASKED: Final = frozenset({"contract", "model"})


@dataclass(frozen=True, eq=False)
class Taken:
    """The period's data, and what is known against the champion before it is asked.

    Parameters
    ----------
    data : PeriodData
        As read.
    asked : object
        What the methods are asked.
    failures : pandas.DataFrame
        Broken rules of the contract.
    reasons : tuple of Reason
        Why the champion is not asked, or not relied on.
    watched : pandas.DataFrame or Parts
        What later periods are held to.
    drift : DriftResult or None
        The period against its references.
    """

    data: PeriodData
    asked: Any
    failures: pd.DataFrame
    reasons: tuple[Reason, ...]
    watched: pd.DataFrame | Parts
    drift: DriftResult | None

    @property
    def alarm(self) -> bool:
        """Whether the inputs drifted."""
        return self.drift is not None and self.drift.alarming_pairs > 0


@dataclass(frozen=True, eq=False)
class Answered:
    """What an arm answered, or why it did not."""

    arm: Arm | None
    answer: Any = None
    reason: Reason | None = None


def read(plan: Plan) -> Taken:
    """Read the period's data, hold them to the contract and to earlier periods.

    Raises
    ------
    ContractError
        Where the data lack what any method needs.
    """
    pilot, settings = plan.pilot, plan.settings
    if plan.theme.in_parts is not None:
        given = pilot, settings, str(plan.period), staging(plan)
        parts = plan.theme.in_parts.open(*given)
        if parts is not None:
            return _read_parts(plan, plan.theme.in_parts, parts)
    data, checked = plan.theme.load(pilot, settings, str(plan.period))
    design = {pilot.data.roles.weight, pilot.data.roles.fraction}
    if checked.failures["column"].isin(design - {None}).any():
        checked.raise_if_failed(pilot.pilot)  # no method mends a weight
    reasons = [plan.arms.reason] if plan.arms.reason else []
    reasons += _contract_reason(checked)
    try:
        asked = plan.theme.question(pilot, settings, data)
        # A pack that was changed cannot tell what it was trained on either.
        intact = None if plan.arms.reason else plan.arms.champion
        version = intact or plan.arms.shadow
        watched = watch(pilot, data.frame, vocabulary_of(version, settings))
    except MlstatsError:
        raise
    except Exception:
        checked.raise_if_failed(pilot.pilot)  # a column is missing: nobody can answer
        raise
    known = references_of(pilot, settings, version, plan.earlier, watched.columns)
    drifted = drift_of_period(pilot, plan.period, watched, known)
    reasons += _performance_reason(plan)
    return Taken(data, asked, checked.failures, tuple(reasons), watched, drifted)


def _read_parts(plan: Plan, theme: InParts, parts: PartedData) -> Taken:
    """Read a period that comes in partitions; of the data only counts come here."""
    pilot, settings = plan.pilot, plan.settings
    intact = None if plan.arms.reason else plan.arms.champion
    version = intact or plan.arms.shadow
    vocabulary = vocabulary_of(version, settings)
    there = watched_columns(parts, vocabulary)
    known = references_of(pilot, settings, version, plan.earlier, there)
    found = read_parts(parts, vocabulary, known)
    design = {pilot.data.roles.weight, pilot.data.roles.fraction}
    if found.checked.failures["column"].isin(design - {None}).any():
        found.checked.raise_if_failed(pilot.pilot)  # no method mends a weight
    drifted = None
    if found.counted is not None:
        drifted = drift_of_period(pilot, plan.period, found.counted, known)
    reasons = [plan.arms.reason] if plan.arms.reason else []
    reasons += _contract_reason(found.checked)
    reasons += _performance_reason(plan)
    data = theme.load(pilot, settings, found.digest, found.cautions)
    failures = found.checked.failures
    parts = replace(parts, again=found.again, first=found.first)
    return Taken(data, parts, failures, tuple(reasons), StagedWatched(parts), drifted)


def _contract_reason(checked: ContractResult) -> list[Reason]:
    if checked.ok:
        return []
    told = [
        f"{row['column']}: {row['rule']} ({row['count']})"
        for row in checked.failures.head(3).to_dict("records")
    ]
    return [Reason("contract", "the data break the contract: " + "; ".join(told))]


def _performance_reason(plan: Plan) -> list[Reason]:
    """Return what audits say of the champion, those before it made way too.

    A period that the baseline produced says nothing of the champion: what was measured
    before stands until another version is decided on or the audit is reviewed anew.
    """
    champion, last = plan.arms.champion, plan.earlier.get("last_period")
    if champion is None or last is None or plan.arms.reason is not None:
        return []
    reviews, found = ReviewStore(plan.settings.database), []
    for release in back_from(plan.releases, last):
        audit, of = audited(release, reviews), release.key.period
        if audit is not None:
            settings = plan.settings
            found.append(plan.theme.lost(plan.pilot, settings, champion, of, audit))
        if not release.facts.get("fallback"):
            break
    return together([one for one in found if one is not None])


def released_before(plan: Plan, taken: Taken) -> Produced | None:
    """Return the release that these data, versions and reviews have already."""
    if plan.dry_run or plan.back_cast:
        return None
    reasons = taken.reasons if plan.arms.champion is not None else ()
    release = plan.releases.again(key_of(plan, taken, reasons))
    if release is None:
        return None
    forget_parts(plan)
    told = pd.read_parquet(release.folder / "totals.parquet")
    counts = release.facts["counts"]
    return Produced(
        plan.pilot.pilot, str(plan.period), release, reasons, None, told, counts,
        ("these data were released already",),
    )  # fmt: skip


def key_of(plan: Plan, taken: Taken, reasons: tuple[Reason, ...]) -> ReleaseKey:
    """Return what decides every value of the release, the fallback's causes too."""
    champion = plan.arms.champion
    told = "" if champion is None else champion.digest
    if reasons:
        causes = sorted(f"{one.cause}[{','.join(one.classes)}]" for one in reasons)
        told = f"fallback {' '.join(causes)} of {told}"
    return ReleaseKey(
        plan.pilot.pilot,
        str(plan.period),
        taken.data.digest,
        values_digest(plan),
        told,
        plan.arms.baseline.digest,
        ReviewStore.digest(plan.reviewed),
    )


def roles_of(plan: Plan) -> tuple[str, ...]:
    """Return who is asked; in a back-cast not the champion."""
    if plan.back_cast:
        return ("baseline", "shadow")
    return ("champion", "baseline", "shadow")


def answer(plan: Plan, taken: Taken, role: str) -> Answered:
    """Let an arm answer in a process of its own, within the time it has.

    Nothing that the arm does raises: what went wrong is told as the reason.
    """
    arm = getattr(plan.arms, role)
    if arm is None:
        return Answered(None)
    # After a measured loss it is still asked: what the switch breaks is published.
    if role == "champion" and _NOT_ASKED & {one.cause for one in taken.reasons}:
        return Answered(arm)
    seconds = seconds_of(role, plan.pilot.production.time_budget)
    try:
        if isinstance(taken.asked, PartedData) and plan.theme.in_parts is not None:
            # It is asked part by part, when the answers are brought together.
            ready = plan.theme.in_parts.ready
            return Answered(arm, ready(arm, plan.settings.confidential))
        if not arm.digest:
            return Answered(
                arm, plan.theme.of_column(plan.pilot, arm.method, taken.data)
            )
        found = isolated(
            plan.theme.answer,
            arm,
            taken.asked,
            plan.settings.confidential,
            seconds=seconds,
        )
    except TimeBudgetError:
        return Answered(arm, reason=too_long(arm.label, seconds))
    except ServiceError as error:
        return Answered(arm, reason=Reason("model", error.title))
    except MlstatsError as error:
        return Answered(arm, reason=Reason("crash", error.title))
    return Answered(arm, found)
