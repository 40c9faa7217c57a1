"""Versions of recipes on their way to production, without a run and without MLflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlstats import model_store
from mlstats.config import Pilot
from mlstats.pilot_files import load_pilot
from mlstats.recipe import recipe_of
from mlstats.registry import RegisteredVersion, Registry
from mlstats.review_store import Reviewed, ReviewStore
from mlstats.settings import Settings
from tests.production_example import appoint


def direct(function: Callable[..., Any], *given: Any, seconds: float) -> Any:
    """Stand in for :func:`mlstats.scale.isolated`: answer in this process."""
    return function(*given)


def keep(settings: Settings, pilot: Pilot, method: str, **terms: Any) -> str:
    """Store the recipe of a method and return its digest."""
    return model_store.store(
        recipe_of(pilot, method, settings),
        [],
        settings.confidential,
        terms={"method": method, **terms},
    )


def registered(digest: str) -> Registry:
    """Return what MLflow holds after a run: the baseline's version and its alias."""
    told = {"version": 1, "tags": {"model_digest": digest}}
    fields = RegisteredVersion.__dataclass_fields__
    return Registry(
        {1: RegisteredVersion(**{name: told.get(name, "") for name in fields})},
        {"baseline": 1},
    )


def decide(settings: Settings, name: str, to: str = "production") -> str:
    """Bring a version of the candidate to a stage; return the digest of its recipe."""
    pilot = load_pilot(name, project=settings.project)
    base = keep(settings, pilot, pilot.baseline)
    model = keep(settings, pilot, pilot.candidate, baseline=base)
    appoint(settings, model, to, version=2, pilot=name)
    return model


def review(
    settings: Settings, name: str, period: str, *told: tuple[str, str, str]
) -> None:
    """Keep what a clerk gave: hash of the unit, variable, value."""
    rows = [Reviewed(unit, code, "mei", variable=v) for unit, v, code in told]
    ReviewStore(settings.database).add(name, period, rows)
