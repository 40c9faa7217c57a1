"""Whether the inputs of a period are those that the champion was evaluated on.

A period is held to the last release, to the same period of the last year and to the
data that the version was trained on; a reference that moves along misses a slow creep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import ConfigError
from mlstats.model_store import table_of
from mlstats.period import ReferencePeriod
from mlstats.produced import Arm
from mlstats.quality.drift import DriftResult, PairedSummary, Reference, Summary, drift
from mlstats.release_tables import kept_table
from mlstats.releases import Release, ReleaseStore
from mlstats.settings import Settings
from mlstats.watched import CLUSTER, UNIT, WEIGHT
from mlstats.watching import TRAINED, VOCABULARY, kinds_of

__all__ = [
    "KEPT",
    "back_from",
    "drift_of_period",
    "earlier_releases",
    "released_periods",
    "vocabulary_of",
]

# Where a release keeps what later periods are compared with.
KEPT: Final = "confidential/watched.parquet"
_PANEL: Final = 0.5
_NOT_WATCHED: Final = {UNIT, WEIGHT, CLUSTER}


def vocabulary_of(one: Arm | None, settings: Settings) -> pd.DataFrame | None:
    """Return the words that a version knew, None where none are kept."""
    if one is None:
        return None
    return table_of(one.digest, settings.confidential, VOCABULARY)


def earlier_releases(
    store: ReleaseStore, pilot: str, period: ReferencePeriod
) -> dict[str, Release]:
    """Return the last release before a period, and that of the year before.

    Returns
    -------
    dict of str to Release
        ``last_period`` and ``last_year``, as far as there are any.
    """
    found: dict[str, Release] = {}
    known = _periods(store.periods(pilot))
    before = [p for p in known if p.frequency == period.frequency and p < period]
    wanted = {
        "last_period": max(before, default=None),
        "last_year": period.same_period_last_year(),
    }
    for name, one in wanted.items():
        release = None if one is None else store.current(pilot, str(one))
        if release is not None:
            found[name] = release
    return found


def back_from(store: ReleaseStore, last: Release) -> Iterator[Release]:
    """Yield a release and the current ones of the periods before it, back in time."""
    yield last
    pilot, first = last.key.pilot, ReferencePeriod.parse(last.key.period)
    known = _periods(store.periods(pilot))
    before = [p for p in known if p.frequency == first.frequency and p < first]
    for period in sorted(before, reverse=True):
        release = store.current(pilot, str(period))
        if release is not None:
            yield release


def released_periods(store: ReleaseStore, pilot: str) -> list[ReferencePeriod]:
    """Return the periods of a pilot that have a release, in the order of time."""
    found = _periods(store.periods(pilot))
    return sorted(found, key=lambda one: (one.frequency, one.ordinal))


def _periods(names: Sequence[str]) -> list[ReferencePeriod]:
    """Return the periods among the names of folders; a copy by hand is none."""
    found = []
    for name in names:
        with suppress(ConfigError):
            found.append(ReferencePeriod.parse(name))
    return found


def drift_of_period(
    pilot: Pilot,
    settings: Settings,
    period: ReferencePeriod,
    watched: pd.DataFrame,
    version: Arm | None,
    earlier: Mapping[str, Release],
) -> DriftResult | None:
    """Compare a period with its references; None where nothing can be compared.

    Parameters
    ----------
    watched : pandas.DataFrame
        From :func:`mlstats.watching.watch`.
    version : Arm or None
        Whose training data are a reference.
    earlier : mapping of str to Release
        From :func:`earlier_releases`.
    """
    frames = _references(pilot, settings, version, earlier)
    if not frames:
        return None
    learnt = frames.get("training", next(iter(frames.values())))
    columns = [c for c in learnt.columns if c in watched and c not in _NOT_WATCHED]
    if not columns:
        return None
    reference = Reference.learn(learnt[columns], kinds=kinds_of(pilot, learnt[columns]))
    summaries = {
        name: _summary(name, before, watched, reference)
        for name, before in frames.items()
    }
    found = drift(
        _counted(watched, reference),
        summaries,
        periods_per_year=period.per_year,
    )
    asked: set[str] = {"training", *pilot.production.drift.references}
    why = "no such release, or no training data, is kept"
    missing = dict.fromkeys(sorted(asked - set(frames)), why)
    return replace(found, absent=missing)


def _references(
    pilot: Pilot,
    settings: Settings,
    version: Arm | None,
    earlier: Mapping[str, Release],
) -> dict[str, pd.DataFrame]:
    """Return the training data, and the earlier periods that the pilot asks for."""
    frames: dict[str, pd.DataFrame] = {}
    if version is not None:
        trained = table_of(version.digest, settings.confidential, TRAINED)
        if trained is not None:
            frames["training"] = trained
    names = {"last_period": "last_accepted", "last_year": "same_period_last_year"}
    for name, told in names.items():
        release = earlier.get(name)
        if told not in pilot.production.drift.references or release is None:
            continue
        if any(one["cause"] == "contract" for one in release.facts.get("fallback", [])):
            continue  # its data were not accepted
        kept = kept_table(release.folder / KEPT)
        if kept is not None:
            frames[told] = kept
    return frames


def _summary(
    name: str, before: pd.DataFrame, now: pd.DataFrame, reference: Reference
) -> Summary | PairedSummary:
    if name != "training" and _panel(before, now):
        return PairedSummary.of(
            before,
            now,
            reference,
            unit=UNIT,
            weight=WEIGHT if WEIGHT in now else None,
            cluster=CLUSTER if CLUSTER in now else None,
        )
    return _counted(before, reference)


def _counted(frame: pd.DataFrame, reference: Reference) -> Summary:
    return Summary.of(
        frame,
        reference,
        weight=WEIGHT if WEIGHT in frame else None,
        cluster=CLUSTER if CLUSTER in frame else None,
    )


def _panel(before: pd.DataFrame, now: pd.DataFrame) -> bool:
    """Return whether the two periods ask, by and large, the same units."""
    if before[UNIT].duplicated().any() or now[UNIT].duplicated().any():
        return False
    common = int(now[UNIT].isin(before[UNIT]).sum())
    return common >= _PANEL * max(len(before), len(now))
