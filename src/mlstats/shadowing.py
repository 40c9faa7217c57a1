"""The periods that a version ran in the shadow: what it has shown before it produces.

A live period is later than all that the evaluation of the version has seen, and was
answered after the version came to the shadow. Every other period is a back-cast. Only
what the model that is to produce has answered counts, and only while its files are what
was written. A version registered again with the very same model takes over what that
has shown before: the store keeps an answer once.

Where nothing tells which periods the evaluation has seen, because its data name none,
live periods and a back-cast cannot be told apart: every period counts as live, no
back-cast is asked for by default, and one that the pilot asks for by its number is
counted in periods beyond the live ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlstats.config import ShadowPlan
from mlstats.decisions import Decision
from mlstats.errors import ConfigError, ServiceError, SourceError
from mlstats.model_store import terms_of
from mlstats.period import ReferencePeriod
from mlstats.releases import Release, ReleaseStore
from mlstats.settings import Settings

__all__ = ["ShadowRecord", "shadow_record"]


@dataclass(frozen=True)
class ShadowRecord:
    """What a version has shown in the shadow, and what it has to show.

    Parameters
    ----------
    live, back_cast : tuple of str
        Periods that count, in their order.
    wanted_live, wanted_back_cast : int
        How many are needed before production.
    left_out : tuple of str
        Periods of the version that do not count, and why.
    """

    live: tuple[str, ...]
    back_cast: tuple[str, ...]
    wanted_live: int
    wanted_back_cast: int
    left_out: tuple[str, ...] = ()

    def lacks(self) -> list[str]:
        """Return what is missing in words, nothing where enough was shown."""
        said = []
        if len(self.live) < self.wanted_live:
            said.append(f"{len(self.live)} of {self.wanted_live} live shadow periods")
        if len(self.back_cast) < self.wanted_back_cast:
            said.append(
                f"{len(self.back_cast)} of {self.wanted_back_cast} periods back-cast"
            )
        return [*said, *(f"it does not count: {why}" for why in self.left_out if said)]


def shadow_record(
    settings: Settings,
    pilot: str,
    version: int,
    model: str,
    rows: Sequence[Decision],
    plan: ShadowPlan,
) -> ShadowRecord:
    """Count the periods that a version ran in the shadow.

    Parameters
    ----------
    settings : Settings
        Where the shadows and the stored models lie.
    pilot : str
        Its name.
    version : int
        As registered.
    model : str
        Digest of the model that is to produce.
    rows : sequence of Decision
        The log of the pilot: it tells when the version came to the shadow.
    plan : ShadowPlan
        What the pilot asks for; without a number of periods, a back-cast takes one
        cycle of the seasons at the frequency of the periods that were seen.
    """
    seen = _seen_to(model, settings.confidential)
    entered = _entered(rows, version)
    live: list[str] = []
    back_cast: list[str] = []
    left_out = []
    for name, shown, why in _answers(settings, pilot, version, model):
        if shown is None:
            left_out.append(f"{name}: {why}")
        elif _is_live(name, shown, seen, entered):
            live.append(name)
        else:
            back_cast.append(name)
    wanted = plan.back_cast
    if wanted is None:
        wanted = seen.per_year if seen else 0  # the four seasons
    if seen is None:
        beyond = max(len(live) - plan.live, 0)
        back_cast, live = sorted([*back_cast, *live[:beyond]]), live[beyond:]
    return ShadowRecord(
        tuple(live), tuple(back_cast), plan.live, wanted, tuple(left_out)
    )


def _answers(
    settings: Settings, pilot: str, version: int, model: str
) -> Iterator[tuple[str, Release | None, str]]:
    """Yield the periods of a version: its answer, or None and why it does not count."""
    store = ReleaseStore(settings.shadows)
    for name in store.periods(pilot):
        try:
            ReferencePeriod.parse(name)
            release = store.current(pilot, name)
        except (ConfigError, SourceError) as error:
            yield name, None, error.title
            continue
        if release is None:
            continue
        why = _fault(store, release, version, model)
        if why is not None:
            yield name, None if why else release, why


def _is_live(
    name: str, shown: Release, seen: ReferencePeriod | None, entered: datetime | None
) -> bool:
    after = entered and shown.published and shown.published >= entered
    new = seen is None or seen.last_day() < ReferencePeriod.parse(name).first_day()
    return bool(after and new)


def _fault(
    store: ReleaseStore, release: Release, version: int, model: str
) -> str | None:
    """Return why an answer does not count, "" where it does, None: it is another's."""
    facts = release.facts
    if facts.get("shadow_model") != model:
        is_its = facts.get("shadow_version") == version
        return "another model answered" if is_its else None
    if facts.get("answered") is not True:
        return "the version did not answer for every unit"
    return "its files are not what was written" if store.verify(release) else ""


def _seen_to(model: str, confidential: Path) -> ReferencePeriod | None:
    """Return the last period that the evaluation has seen, as the stored model says."""
    try:
        told = terms_of(model, confidential).get("seen_to", "")
        return ReferencePeriod.parse(told)
    except (ServiceError, ConfigError):
        return None  # a model that is not there is a flaw of the version besides


def _entered(rows: Sequence[Decision], version: int) -> datetime | None:
    """Return when a version first came to the shadow, to the second."""
    for row in rows:
        if (row.version, row.kind, row.stage_to) == (version, "promote", "shadow"):
            return datetime.fromisoformat(row.time).replace(microsecond=0)
    return None
