"""One reference period of a pilot, from its data to a release.

The champion and the baseline answer for the same units, each in a process of its own.
Where the champion cannot be relied on, the baseline produces the period, or the classes
concerned, and the release says why. The functions are the steps of the flow in
:mod:`pipelines.produce`; :func:`produce` is all of them in their order.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from mlstats import io
from mlstats.config import Pilot
from mlstats.errors import ContractError, MlstatsError, ServiceError
from mlstats.evaluate import project_key
from mlstats.period_parts import PartedData
from mlstats.produced import Arm, ArmFailed, Composed, Produced, Reason, Situation
from mlstats.production_plan import Plan, forget_parts, prepare, values_digest, working
from mlstats.production_reading import (
    Answered,
    Taken,
    answer,
    key_of,
    read,
    released_before,
    roles_of,
)
from mlstats.production_switches import switches
from mlstats.release_files import write_release
from mlstats.release_tables import kept_table
from mlstats.release_totals import EARLIER, compared_with
from mlstats.releases import Release, ReleaseKey, ReleaseStore
from mlstats.settings import Settings

__all__ = [
    "Answered",
    "Plan",
    "Taken",
    "answer",
    "compose",
    "keep_shadow",
    "prepare",
    "produce",
    "publish",
    "read",
    "released_before",
    "roles_of",
    "working",
]

_log = logging.getLogger(__name__)


def produce(
    name: str,
    period: str,
    settings: Settings,
    *,
    dry_run: bool = False,
    back_cast: bool = False,
) -> Produced:
    """Produce one reference period of a pilot.

    Parameters
    ----------
    name : str
        Name or path of the pilot.
    period : str
        As 2026-03.
    dry_run : bool
        Do everything but publish.
    back_cast : bool
        Keep what the version in the shadow answers, and publish nothing.

    Raises
    ------
    ContractError
        Where not even the baseline can be asked.
    ServiceError
        Where another run works on the period, or a store or database is out of reach.
    MethodError
        Where neither arm answers.
    """
    plan = prepare(name, period, settings, dry_run=dry_run, back_cast=back_cast)
    with working(plan):
        taken = read(plan)
        known = released_before(plan, taken)
        if known is not None:
            return known
        roles = (
            ("baseline", "shadow") if back_cast else ("champion", "baseline", "shadow")
        )
        answers = {role: answer(plan, taken, role) for role in roles}
        shadow = keep_shadow(plan, taken, answers)
        if back_cast:
            return Produced(plan.pilot.pilot, period, None, shadow=shadow)
        composed, reasons = compose(plan, taken, answers)
        return publish(plan, taken, composed, reasons, shadow)


def compose(
    plan: Plan, taken: Taken, answers: Mapping[str, Answered]
) -> tuple[Composed, tuple[Reason, ...]]:
    """Bring the answers to what is released, and tell why the fallback was taken.

    Raises
    ------
    ContractError, MethodError
        Where the arm that has to produce did not answer.
    """
    champion = answers["champion"]
    reasons = taken.reasons if champion.arm is not None else ()
    if champion.reason is not None:
        reasons = (*reasons, champion.reason)
    whole = [one.cause for one in reasons if not one.classes]
    base = answers["baseline"]
    produces = base if whole or champion.arm is None else champion
    if produces.answer is None:
        raise _nobody(taken, base, whole)
    situation = Situation(
        str(plan.period),
        champion.arm,
        plan.arms.baseline,
        cause=whole[0] if whole else "",
        classes={name: one.cause for one in reasons for name in one.classes},
        alarm=taken.alarm,
        reviewed=plan.reviewed,
        key=project_key(plan.settings),
    )
    try:
        return _composed(plan, taken, answers, situation), reasons
    except ArmFailed as failed:
        # Of a period in parts it shows only now.
        one = Answered(answers[failed.role].arm, reason=failed.reason)
        return compose(plan, taken, {**answers, failed.role: one})


def _composed(
    plan: Plan, taken: Taken, answers: Mapping[str, Answered], situation: Situation
) -> Composed:
    given = {
        role: one.answer
        for role, one in answers.items()
        if one.answer is not None and role in ("champion", "baseline")
    }
    theme, parts = plan.theme, plan.theme.in_parts
    in_parts = parts is not None and isinstance(taken.asked, PartedData)
    bring = parts.compose if parts is not None and in_parts else theme.compose
    found = bring(plan.pilot, taken.data, taken.asked, given, situation)
    tables = {"totals": found.totals} | {
        name: table for name, table in found.tables.items() if name == "process"
    }
    for name in EARLIER:
        release = plan.earlier.get(name)
        for told, table in tables.items():
            before = _before(release, told, _scheme(plan.pilot))
            tables[told] = compared_with(table, before, name)
    totals = tables.pop("totals")
    return replace(found, totals=totals, tables={**found.tables, **tables})


def _scheme(pilot: Pilot) -> str:
    """Return the version of the classification, empty where none is stated."""
    spec = pilot.data.classification
    return str(spec.version or "") if spec else ""


def _before(release: Release | None, table: str, scheme: str) -> pd.DataFrame:
    """Return a table of an earlier release; none across versions of a classification.

    Classes of two versions are not the same classes: their difference is a break and
    no change.
    """
    if release is None:
        return pd.DataFrame()
    then = release.facts.get("classification", "")
    if scheme and then and scheme != then:
        return pd.DataFrame()
    kept = kept_table(release.folder / f"{table}.parquet")
    return pd.DataFrame() if kept is None else kept


def _nobody(taken: Taken, base: Answered, causes: list[str]) -> MlstatsError:
    why = base.reason.said if base.reason else "the baseline was not asked"
    if len(taken.failures):
        return ContractError(
            f"The data break the contract and the baseline cannot answer: {why}",
            failures=taken.failures,
            hint="mend the data: the last release is untouched",
        )
    told = f" (and the champion: {', '.join(causes)})" if causes else ""
    return ServiceError(
        f"The period cannot be produced: {why}{told}",
        hint="mlstats doctor; the last release is untouched",
    )


def publish(
    plan: Plan,
    taken: Taken,
    composed: Composed,
    reasons: tuple[Reason, ...],
    shadow: Release | None = None,
) -> Produced:
    """Publish a release, whole or not at all; a dry run publishes nothing."""
    pilot, period = plan.pilot.pilot, str(plan.period)
    notes = (*taken.data.cautions, *composed.cautions)
    release = None
    if not plan.dry_run:
        facts = _facts(plan, taken, composed, reasons)
        release = plan.releases.publish(
            key_of(plan, taken, reasons),
            lambda folder: write_release(
                folder, composed, taken, facts, plan.earlier, plan.releases
            ),
            final=composed.final,
            facts=facts,
        )
        _log.info("released %s", release.path)
    forget_parts(plan)
    return Produced(
        pilot, period, release, reasons, shadow, composed.totals, composed.counts, notes
    )


def _facts(
    plan: Plan, taken: Taken, composed: Composed, reasons: tuple[Reason, ...]
) -> dict[str, Any]:
    """Return what the manifest says; no time of day, so that a rerun is the same."""
    arms = plan.arms
    return {
        "pilot": plan.pilot.pilot,
        "title": plan.pilot.title or plan.pilot.pilot,
        "theme": plan.pilot.theme,
        "period": str(plan.period),
        "methods": {
            one.role: one.label for one in (arms.champion, arms.baseline) if one
        },
        "fallback": [
            {"cause": one.cause, "said": one.said, "classes": list(one.classes)}
            for one in reasons
        ],
        "counts": dict(composed.counts),
        "queue": {
            "open": composed.counts.get("open", 0),
            "closed": composed.counts.get("closed", 0),
        },
        "final": composed.final,
        "joint": bool(composed.totals["difference"].notna().any()),
        "alarm": taken.alarm,
        "drift": taken.drift.sentence() if taken.drift else "not compared",
        "cautions": [
            *taken.data.cautions,
            *composed.cautions,
            *_breaks(plan),
            *_unkept(plan, taken),
            *switches(plan.earlier, reasons, plan.arms),
        ],
        "classification": _scheme(plan.pilot),
        "synthetic": plan.pilot.data.synthetic,
    }


def _unkept(plan: Plan, taken: Taken) -> list[str]:
    """Tell of a broken contract where the baseline produces anyway."""
    if plan.arms.champion is not None:
        return []
    return [one.said for one in taken.reasons if one.cause == "contract"]


def _breaks(plan: Plan) -> list[str]:
    """Tell where the series breaks because the classification has another version."""
    scheme = _scheme(plan.pilot)
    told = []
    for release in plan.earlier.values():
        then = release.facts.get("classification", "")
        if scheme and then and scheme != then:
            told.append(
                f"the classification is of version {scheme}, that of "
                f"{release.key.period} was {then}: a break, no change is told"
            )
    return told


def keep_shadow(
    plan: Plan, taken: Taken, answers: Mapping[str, Answered]
) -> Release | None:
    """Keep what the version in the shadow answered, beside the releases."""
    found = answers["shadow"]
    arm = found.arm
    if arm is None or plan.dry_run:
        return None
    composed, found = _shadow_composed(plan, taken, answers, arm)
    facts: dict[str, Any] = {
        "pilot": plan.pilot.pilot,
        "period": str(plan.period),
        "shadow_version": arm.version,
        "shadow_model": arm.digest,
        "answered": found.answer is not None,
        "said": found.reason.said if found.reason else "",
    }
    if composed is not None:
        facts |= {"counts": dict(composed.counts)}

    def write(folder: Any) -> None:
        if composed is not None:
            io.write_parquet(folder / "totals.parquet", composed.totals)

    key = ReleaseKey(
        plan.pilot.pilot,
        str(plan.period),
        taken.data.digest,
        values_digest(plan),
        f"{'' if found.answer is not None else 'failed '}{arm.label} {arm.digest}",
        plan.arms.baseline.digest,
    )
    return ReleaseStore(plan.settings.shadows).publish(key, write, facts=facts)


def _shadow_composed(
    plan: Plan, taken: Taken, answers: Mapping[str, Answered], arm: Arm
) -> tuple[Composed | None, Answered]:
    """Return what the shadow would have released, and its answer or why it has none."""
    found = answers["shadow"]
    if found.answer is None:
        return None, found
    situation = Situation(
        str(plan.period),
        arm,
        plan.arms.baseline,
        cause="",
        classes={},
        alarm=taken.alarm,
        reviewed=plan.reviewed.iloc[:0],
        key=project_key(plan.settings),
    )
    both = {"champion": found, "baseline": answers["baseline"]}
    try:
        return _composed(plan, taken, both, situation), found
    except ArmFailed as failed:
        if failed.role != "baseline":
            return None, Answered(arm, reason=failed.reason)
        # Of a period in parts it shows only now; the shadow can answer without it.
        base = Answered(plan.arms.baseline, reason=failed.reason)
        return _shadow_composed(plan, taken, {**answers, "baseline": base}, arm)
