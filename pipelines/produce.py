"""The flow of one reference period of any pilot, from its data to a release."""

from __future__ import annotations

from typing import Any

from prefect import flow

from mlstats import production, release_mirror
from mlstats.produced import Produced
from mlstats.settings import Settings
from pipelines.scheduled import run_period
from pipelines.step import step

prepare = step(production.prepare, "prepare")
read = step(production.read, "read, check the contract, compare with earlier periods")
answer = step(production.answer, "let the {role} answer")
keep_shadow = step(production.keep_shadow, "keep the shadow's answers")
compose = step(production.compose, "compose")
publish = step(production.publish, "publish")
mirrored = step(release_mirror.mirrored, "copy to the mirror")


@flow(name="produce", persist_result=False, log_prints=False)
def produce(
    pilot: str,
    period: str | None = None,
    dry_run: bool = False,
    back_cast: bool = False,
) -> Any:
    """Produce one reference period of a pilot.

    The flow ends in the state ``Done``, in ``Fallback`` where the baseline stood in, or
    in ``Released`` where the release could not be copied to the mirror.

    Parameters
    ----------
    pilot : str
        Name or path.
    period : str, optional
        As 2026-03; without it, the period of the scheduled time less the lag.
    dry_run : bool
        Publish nothing.
    back_cast : bool
        Ask only the version in the shadow, and publish nothing.
    """
    return run_period(pilot, period, _one, dry_run=dry_run, back_cast=back_cast)


def _one(
    name: str,
    period: str,
    settings: Settings,
    *,
    dry_run: bool = False,
    back_cast: bool = False,
) -> Produced:
    """Take the steps of :func:`mlstats.production.produce`, each as a task."""
    plan = prepare(name, period, settings, dry_run=dry_run, back_cast=back_cast)
    with production.working(plan):
        taken = read(plan)
        known = production.released_before(plan, taken)
        if known is not None:
            return mirrored(known, settings) if settings.publish else known
        roles = production.roles_of(plan)
        answers = {role: answer(plan, taken, role) for role in roles}
        shadow = keep_shadow(plan, taken, answers)
        if plan.back_cast:
            return Produced(plan.pilot.pilot, str(plan.period), None, shadow=shadow)
        composed, reasons = compose(plan, taken, answers)
        made = publish(plan, taken, composed, reasons, shadow)
        return mirrored(made, settings) if settings.publish else made
