"""Which versions answer for a period, by the log of decisions.

The champion is the version in production and the baseline the one that it was held to.
MLflow is asked only where no version of the pilot was ever decided on: the baseline of
its last run produces alone then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlstats.config import Pilot
from mlstats.decision_log import DecisionLog
from mlstats.decisions import Decision, Standing, faults, standing
from mlstats.errors import ConfigError, ServiceError
from mlstats.model_store import terms_of
from mlstats.produced import Arm, Reason
from mlstats.registry import read_registry
from mlstats.releases import ReleaseStore
from mlstats.settings import Settings

__all__ = ["Arms", "arms_of"]

_COLUMN = "mlstats.Incumbent"


@dataclass(frozen=True)
class Arms:
    """Who answers for a period.

    Parameters
    ----------
    baseline : Arm
        The traditional method.
    champion, shadow : Arm or None
        The version in production, and the newest in the shadow.
    reason : Reason or None
        Why the champion cannot answer, known before anything is read.
    """

    baseline: Arm
    champion: Arm | None = None
    shadow: Arm | None = None
    reason: Reason | None = None


def arms_of(pilot: Pilot, settings: Settings) -> Arms:
    """Return the versions that answer for a period of a pilot.

    Raises
    ------
    ServiceError
        Where the log of decisions does not answer or was changed, and where no
        version of the baseline is known.
    ConfigError
        Where the baseline cannot produce.
    """
    log = DecisionLog(settings.database)
    rows = log.read(pilot.pilot)
    wrong = faults(rows)
    if wrong:
        raise ServiceError(
            f"The log of decisions was changed: {wrong[0]}",
            where=log.place,
            hint="mlstats doctor tells all; restore the database from a copy",
        )
    if not rows:
        _never_decided(pilot, settings, log.place)
    now = standing(rows)
    champion, reason = None, None
    if now.champion is not None:
        champion, reason = _champion(pilot, now, now.champion, settings)
    shadow = _shadow(pilot, now, settings)
    return Arms(_baseline(pilot, settings, rows, now), champion, shadow, reason)


def _never_decided(pilot: Pilot, settings: Settings, place: str) -> None:
    """Refuse an empty log where a champion has produced already."""
    store = ReleaseStore(settings.releases)
    for period in reversed(store.periods(pilot.pilot)):
        release = store.current(pilot.pilot, period)
        if release is not None and "champion" in release.facts.get("methods", {}):
            raise ServiceError(
                f"The log holds no decision on {pilot.pilot}, yet a champion produced "
                f"{period}",
                where=place,
                expected="the database in which the champion was decided on",
                hint="mend MLSTATS_DATABASE_URL, or restore the database from a copy",
            )


def _champion(
    pilot: Pilot, now: Standing, version: int, settings: Settings
) -> tuple[Arm, Reason | None]:
    digest = now.moved[version].model
    try:
        return _arm("champion", version, digest, pilot.candidate, settings), None
    except ServiceError as error:
        arm = Arm("champion", pilot.candidate, digest, version)
        return arm, Reason("model", error.title)


def _shadow(pilot: Pilot, now: Standing, settings: Settings) -> Arm | None:
    """Return the newest version in the shadow that the store holds."""
    for version in reversed(now.at("shadow")):
        digest = now.moved[version].model
        try:
            return _arm("shadow", version, digest, pilot.candidate, settings)
        except ServiceError:
            continue
    return None


def _arm(role: str, version: int, digest: str, method: str, settings: Settings) -> Arm:
    terms = terms_of(digest, settings.confidential)
    return Arm(role, str(terms.get("method", method)), digest, version, terms)


def _baseline(
    pilot: Pilot, settings: Settings, rows: Sequence[Decision], now: Standing
) -> Arm:
    """Return the baseline of the version in production, else of the next known one."""
    name = pilot.baseline
    if pilot.methods[name].use == _COLUMN:
        return Arm("baseline", name, "")
    running = [*now.at("production"), *reversed(now.at("shadow"))]
    decided = [*running, *(row.version for row in reversed(rows))]
    for version in dict.fromkeys(v for v in decided if v in now.moved):
        try:
            named = terms_of(now.moved[version].model, settings.confidential)
        except ServiceError:
            continue
        if named.get("baseline"):
            return Arm("baseline", name, str(named["baseline"]))
    return Arm("baseline", name, _last_baseline(pilot, settings))


def _last_baseline(pilot: Pilot, settings: Settings) -> str:
    """Return the baseline of the last release, else the one that MLflow calls so."""
    releases = ReleaseStore(settings.releases)
    for period in reversed(releases.periods(pilot.pilot)):
        release = releases.current(pilot.pilot, period)
        if release is not None and release.key.baseline:
            return release.key.baseline
    registry = read_registry(settings, pilot.pilot)
    version = registry.aliases.get("baseline")
    held = registry.versions.get(version) if version is not None else None
    if held is None or not held.tags.get("model_digest"):
        raise ConfigError(
            f"The baseline {pilot.baseline!r} of {pilot.pilot} is not registered",
            expected="a finished run of the pilot",
            hint=f"mlstats run {pilot.pilot}",
        )
    return held.tags["model_digest"]
