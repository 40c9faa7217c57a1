"""A production that has begun: which versions answer, and what is there already."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from mlstats.config import Pilot
from mlstats.dataset import finder
from mlstats.errors import ConfigError, SourceError
from mlstats.guard import confidential_log
from mlstats.period import ReferencePeriod
from mlstats.period_source import check_period
from mlstats.pilot_files import load_pilot
from mlstats.produced import Theme
from mlstats.production_arms import Arms, arms_of
from mlstats.provenance import deciding_digest
from mlstats.release_drift import earlier_releases
from mlstats.releases import Release, ReleaseStore
from mlstats.review_store import ReviewStore
from mlstats.settings import Settings

__all__ = [
    "Plan",
    "forget_parts",
    "prepare",
    "staging",
    "theme_of",
    "values_digest",
    "working",
]

_THEMES: Final = {
    "coding": "mlstats.coding_theme",
    "editimpute": "mlstats.imputation_theme",
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
    theme = theme_of(pilot)
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
    if not back_cast:
        _refuse_purged(store, pilot.pilot, str(asked))
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


def _refuse_purged(store: ReleaseStore, pilot: str, period: str) -> None:
    """Refuse a period whose reviews are gone: it would wait for clerks once more."""
    with suppress(SourceError):  # a damaged release is made again
        release = store.current(pilot, period)
        if release is not None:
            release.refuse_purged()


def theme_of(pilot: Pilot) -> Theme:
    """Return what the theme of a pilot does in production."""
    if pilot.theme not in _THEMES:
        raise ConfigError(f"The theme {pilot.theme} is not produced yet")
    theme: Theme = importlib.import_module(_THEMES[pilot.theme]).THEME
    return theme


@contextmanager
def working(plan: Plan) -> Iterator[None]:
    """Hold the period, in the store that will be written; a dry run holds nothing."""
    if plan.dry_run:
        try:
            yield
        finally:
            forget_parts(plan)
        return
    store = plan.releases
    if plan.back_cast:
        store = ReleaseStore(plan.settings.shadows)
    with store.working(plan.pilot.pilot, str(plan.period)):
        try:
            yield
        finally:
            if plan.back_cast:
                forget_parts(plan)


def staging(plan: Plan) -> Path:
    """Return where parts lie until they are released.

    A dry run and a back-cast have a place of their own: a production of the period may
    run beside them.
    """
    if plan.releases.folder != plan.settings.releases:  # a drill
        return plan.releases.folder / ".parts"
    root = plan.settings.confidential / "parts" / plan.pilot.pilot
    name = str(plan.period)
    if plan.dry_run:
        name += f"-dry-{os.getpid()}"
    return root / (f"{name}-back-cast" if plan.back_cast else name)


def forget_parts(plan: Plan) -> None:
    """Remove what was staged of a period."""
    shutil.rmtree(staging(plan), ignore_errors=True)


def values_digest(plan: Plan) -> str:
    """Return the sha256 of the pilot and of the files that decide its values."""
    find = finder(plan.settings)
    return deciding_digest(plan.pilot, map(find, plan.theme.files(plan.pilot)))
