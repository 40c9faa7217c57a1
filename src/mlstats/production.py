"""One reference period of a pilot, from its data to a release.

The champion and the baseline answer for the same units, each in a process of its own.
Where the champion cannot be relied on, the baseline produces the period, or the classes
concerned, and the release says why. The functions are the steps of the flow in
:mod:`pipelines.produce`; :func:`produce` is all of them in their order.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from mlstats import io
from mlstats.config import Pilot
from mlstats.contract import ContractResult
from mlstats.dataset import finder
from mlstats.errors import (
    ConfigError,
    ContractError,
    MlstatsError,
    ServiceError,
    TimeBudgetError,
)
from mlstats.evaluate import project_key
from mlstats.guard import confidential_log
from mlstats.performance import audited
from mlstats.period import ReferencePeriod
from mlstats.period_source import check_period
from mlstats.pilot_files import load_pilot
from mlstats.produced import (
    Arm,
    Composed,
    PeriodData,
    Produced,
    Reason,
    Situation,
    Theme,
)
from mlstats.production_arms import Arms, arms_of
from mlstats.provenance import config_digest
from mlstats.quality.drift import DriftResult
from mlstats.release_drift import drift_of_period, earlier_releases, vocabulary_of
from mlstats.release_files import write_release
from mlstats.release_totals import EARLIER, compared_with
from mlstats.releases import Release, ReleaseKey, ReleaseStore
from mlstats.review_store import ReviewStore
from mlstats.scale import isolated
from mlstats.settings import Settings
from mlstats.watching import watch

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

_NOT_ASKED: Final = frozenset({"contract", "model"})
_THEMES: Final = {
    "coding": "mlstats.coding_release",
    "editimpute": "mlstats.imputation_release",
    "imagery": "mlstats.imagery_release",
}


@dataclass(frozen=True, eq=False)
class Plan:
    """A production that has begun.

    Parameters
    ----------
    pilot : Pilot
        What is produced.
    settings : Settings
        Of the project.
    period : ReferencePeriod
        For which.
    arms : Arms
        Who answers.
    earlier : mapping of str to Release
        The last release, and that of the same period last year.
    reviewed : pandas.DataFrame
        What clerks made of the period.
    theme : Theme
        What the pilot's theme does.
    releases : ReleaseStore
        Where the release is published.
    dry_run, back_cast : bool
        Publish nothing; ask only the version in the shadow.
    """

    pilot: Pilot
    settings: Settings
    period: ReferencePeriod
    arms: Arms
    earlier: Mapping[str, Release]
    reviewed: pd.DataFrame
    theme: Theme
    releases: ReleaseStore
    dry_run: bool = False
    back_cast: bool = False


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
    watched : pandas.DataFrame
        What later periods are held to.
    drift : DriftResult or None
        The period against its references.
    """

    data: PeriodData
    asked: Any
    failures: pd.DataFrame
    reasons: tuple[Reason, ...]
    watched: pd.DataFrame
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


# -- before anything is asked ------------------------------------------------------


def prepare(
    name: str,
    period: str,
    settings: Settings,
    *,
    dry_run: bool = False,
    back_cast: bool = False,
) -> Plan:
    """Read the pilot, the log of decisions, earlier releases and reviews."""
    pilot = load_pilot(name, project=settings.project)
    theme = _theme(pilot)
    asked = check_period(pilot, period)
    settings.prepare()
    arms = arms_of(pilot, settings)
    if back_cast and arms.shadow is None:
        raise ConfigError(
            f"No version of {pilot.pilot} is in the shadow",
            where="--back-cast",
            hint=f"mlstats promote {pilot.pilot} --to shadow",
        )
    confidential_log(settings.confidential / "productions" / pilot.pilot)
    reviewed = ReviewStore(settings.database).read(pilot.pilot, str(asked))
    store = ReleaseStore(settings.releases)
    earlier = earlier_releases(store, pilot.pilot, asked)
    return Plan(
        pilot,
        settings,
        asked,
        arms,
        earlier,
        reviewed,
        theme,
        store,
        dry_run=dry_run,
        back_cast=back_cast,
    )


def _theme(pilot: Pilot) -> Theme:
    if pilot.theme not in _THEMES:
        raise ConfigError(f"The theme {pilot.theme} is not produced yet")
    theme: Theme = importlib.import_module(_THEMES[pilot.theme]).THEME
    return theme


@contextmanager
def working(plan: Plan) -> Iterator[None]:
    """Hold the period, in the store that will be written; a dry run holds nothing."""
    if plan.dry_run:
        yield
        return
    store = plan.releases
    if plan.back_cast:
        store = ReleaseStore(plan.settings.shadows)
    with store.working(plan.pilot.pilot, str(plan.period)):
        yield


def read(plan: Plan) -> Taken:
    """Read the period's data, hold them to the contract and to earlier periods.

    Raises
    ------
    ContractError
        Where the data lack what any method needs.
    """
    pilot, settings = plan.pilot, plan.settings
    data, checked = plan.theme.load(pilot, settings, str(plan.period))
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
    drifted = drift_of_period(
        pilot, settings, plan.period, watched, version, plan.earlier
    )
    reasons += _performance_reason(plan)
    return Taken(data, asked, checked.failures, tuple(reasons), watched, drifted)


def _contract_reason(checked: ContractResult) -> list[Reason]:
    if checked.ok:
        return []
    told = [
        f"{row['column']}: {row['rule']} ({row['count']})"
        for row in checked.failures.head(3).to_dict("records")
    ]
    return [Reason("contract", "the data break the contract: " + "; ".join(told))]


def _performance_reason(plan: Plan) -> list[Reason]:
    champion, last = plan.arms.champion, plan.earlier.get("last_period")
    if champion is None or last is None or plan.arms.reason is not None:
        return []
    audit = audited(last, ReviewStore(plan.settings.database))
    if audit is None:
        return []
    of, settings = last.key.period, plan.settings
    found = plan.theme.lost(plan.pilot, settings, champion, of, audit)
    return [found] if found is not None else []


def released_before(plan: Plan, taken: Taken) -> Produced | None:
    """Return the release that these data, versions and reviews have already."""
    if plan.dry_run or plan.back_cast:
        return None
    reasons = taken.reasons if plan.arms.champion is not None else ()
    release = plan.releases.again(_key(plan, taken, reasons))
    if release is None:
        return None
    told = pd.read_parquet(release.folder / "totals.parquet")
    counts = release.facts["counts"]
    return Produced(
        plan.pilot.pilot, str(plan.period), release, reasons, None, told, counts,
        ("these data were released already",),
    )  # fmt: skip


def _key(plan: Plan, taken: Taken, reasons: tuple[Reason, ...]) -> ReleaseKey:
    champion = plan.arms.champion
    told = "" if champion is None else champion.digest
    if reasons:
        causes = sorted(f"{one.cause}[{','.join(one.classes)}]" for one in reasons)
        told = f"fallback {' '.join(causes)} of {told}"
    return ReleaseKey(
        plan.pilot.pilot,
        str(plan.period),
        taken.data.digest,
        _config(plan),
        told,
        plan.arms.baseline.digest,
        ReviewStore.digest(plan.reviewed),
    )


def _config(plan: Plan) -> str:
    """Return the sha256 of the pilot and of the files that decide its values."""
    total = hashlib.sha256(config_digest(plan.pilot).encode())
    find = finder(plan.settings)
    for name in plan.theme.files(plan.pilot):
        total.update(io.sha256_file(find(name)).encode())
    return total.hexdigest()


# -- answers -----------------------------------------------------------------------


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
    budget = plan.pilot.production.time_budget
    try:
        if not arm.digest:
            return Answered(
                arm, plan.theme.of_column(plan.pilot, arm.method, taken.data)
            )
        found = isolated(
            plan.theme.answer,
            arm,
            taken.asked,
            plan.settings.confidential,
            seconds=budget if role != "baseline" else 100 * budget,
        )
    except TimeBudgetError:
        said = f"{arm.label} took longer than {budget:g} seconds"
        return Answered(arm, reason=Reason("time", said))
    except ServiceError as error:
        return Answered(arm, reason=Reason("model", error.title))
    except MlstatsError as error:
        return Answered(arm, reason=Reason("crash", error.title))
    return Answered(arm, found)


# -- release -----------------------------------------------------------------------


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
    return _composed(plan, taken, answers, situation), reasons


def _composed(
    plan: Plan, taken: Taken, answers: Mapping[str, Answered], situation: Situation
) -> Composed:
    given = {
        role: one.answer
        for role, one in answers.items()
        if one.answer is not None and role in ("champion", "baseline")
    }
    found = plan.theme.compose(plan.pilot, taken.data, taken.asked, given, situation)
    totals = found.totals
    for name in EARLIER:
        release = plan.earlier.get(name)
        before = pd.DataFrame()
        if release is not None:
            before = pd.read_parquet(release.folder / "totals.parquet")
        totals = compared_with(totals, before, name)
    return replace(found, totals=totals)


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
    notes = tuple(taken.data.cautions)
    release = None
    if not plan.dry_run:
        facts = _facts(plan, taken, composed, reasons)
        release = plan.releases.publish(
            _key(plan, taken, reasons),
            lambda folder: write_release(
                folder, composed, taken, facts, plan.earlier, plan.releases
            ),
            final=composed.final,
            facts=facts,
        )
        _log.info("released %s", release.path)
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
        "cautions": list(taken.data.cautions),
        "synthetic": plan.pilot.data.synthetic,
    }


def keep_shadow(
    plan: Plan, taken: Taken, answers: Mapping[str, Answered]
) -> Release | None:
    """Keep what the version in the shadow answered, beside the releases."""
    found = answers["shadow"]
    if found.arm is None or plan.dry_run:
        return None
    facts: dict[str, Any] = {
        "pilot": plan.pilot.pilot,
        "period": str(plan.period),
        "shadow_version": found.arm.version,
        "shadow_model": found.arm.digest,
        "answered": found.answer is not None,
        "said": found.reason.said if found.reason else "",
    }
    composed = None
    if found.answer is not None:
        situation = Situation(
            str(plan.period),
            found.arm,
            plan.arms.baseline,
            cause="",
            classes={},
            alarm=taken.alarm,
            reviewed=plan.reviewed.iloc[:0],
            key=project_key(plan.settings),
        )
        both = {"champion": found, "baseline": answers["baseline"]}
        composed = _composed(plan, taken, both, situation)
        facts |= {"counts": dict(composed.counts)}

    def write(folder: Any) -> None:
        if composed is not None:
            io.write_parquet(folder / "totals.parquet", composed.totals)

    key = ReleaseKey(
        plan.pilot.pilot,
        str(plan.period),
        taken.data.digest,
        _config(plan),
        f"{'' if found.answer is not None else 'failed '}{found.arm.label}"
        f" {found.arm.digest}",
        plan.arms.baseline.digest,
    )
    return ReleaseStore(plan.settings.shadows).publish(key, write, facts=facts)
