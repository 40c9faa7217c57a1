"""Whether the inputs of a period are those that the champion was evaluated on.

A period is held to the last release, to the same period of the last year and to the
data that the version was trained on; a reference that moves along misses a slow creep.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import ConfigError
from mlstats.model_store import table_of
from mlstats.period import ReferencePeriod
from mlstats.produced import Arm
from mlstats.quality.drift import DriftResult, PairedSummary, Reference, Summary, drift
from mlstats.quality.drift_learning import Learning
from mlstats.release_tables import kept_table, part_files
from mlstats.releases import Release, ReleaseStore
from mlstats.settings import Settings
from mlstats.watched import CLUSTER, UNIT, WEIGHT
from mlstats.watching import TRAINED, VOCABULARY, kinds_of

__all__ = [
    "KEPT",
    "References",
    "back_from",
    "counted_into",
    "drift_of_period",
    "earlier_releases",
    "is_watched",
    "references_of",
    "released_periods",
    "vocabulary_of",
]

# Where a release keeps what later periods are compared with.
KEPT: Final = "confidential/watched.parquet"
_PANEL: Final = 0.5
_NOT_WATCHED: Final = {UNIT, WEIGHT, CLUSTER}


def is_watched(name: str) -> bool:
    """Return whether a file of a release is what later periods are compared with."""
    return name == KEPT or name.startswith(f"{KEPT.removesuffix('.parquet')}/")


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


@dataclass(frozen=True, eq=False)
class References:
    """What a period is compared with, and what its columns are counted into.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame or tuple of pathlib.Path
        ``training`` and earlier periods; those that were kept in parts as their files.
    reference : Reference
        Learnt from the first of them.
    """

    tables: Mapping[str, pd.DataFrame | tuple[Path, ...]]
    reference: Reference


def references_of(
    pilot: Pilot,
    settings: Settings,
    version: Arm | None,
    earlier: Mapping[str, Release],
    there: Collection[str],
) -> References | None:
    """Return what a period is compared with; None where there is nothing.

    Parameters
    ----------
    version : Arm or None
        Whose training data are a reference.
    earlier : mapping of str to Release
        From :func:`earlier_releases`.
    there : collection of str
        The watched columns of the period; others are not compared.
    """
    tables = _references(pilot, settings, version, earlier)
    if not tables:
        return None
    learnt = tables.get("training", next(iter(tables.values())))
    first = learnt if isinstance(learnt, pd.DataFrame) else pd.read_parquet(learnt[0])
    columns = [c for c in first.columns if c in there and c not in _NOT_WATCHED]
    if not columns:
        return None
    kinds = kinds_of(pilot, first[columns])
    if isinstance(learnt, pd.DataFrame):
        return References(tables, Reference.learn(learnt[columns], kinds=kinds))
    parts = (pd.read_parquet(path, columns=columns) for path in learnt)
    learning = Learning.of_parts(Learning.of(part, kinds=kinds) for part in parts)
    return References(tables, learning.reference())


def drift_of_period(
    pilot: Pilot,
    period: ReferencePeriod,
    watched: pd.DataFrame | Summary,
    known: References | None,
) -> DriftResult | None:
    """Compare a period with its references; None where nothing can be compared.

    Parameters
    ----------
    watched : pandas.DataFrame or Summary
        From :func:`mlstats.watching.watch`, or of its parts by
        :func:`counted_into`. Of parts the units are not paired with those of an
        earlier period, which makes the tests careful where most are the same.
    known : References or None
        From :func:`references_of`.
    """
    if known is None:
        return None
    whole = isinstance(watched, pd.DataFrame)
    now = watched
    if isinstance(now, pd.DataFrame):
        now = counted_into(known.reference, now)
    if not now.columns:
        return None
    summaries = {
        name: _summary(name, before, watched if whole else None, known.reference)
        for name, before in known.tables.items()
    }
    found = drift(now, summaries, periods_per_year=period.per_year)
    asked: set[str] = {"training", *pilot.production.drift.references}
    why = "no such release, or no training data, is kept"
    missing = dict.fromkeys(sorted(asked - set(known.tables)), why)
    return replace(found, absent=missing)


def _references(
    pilot: Pilot,
    settings: Settings,
    version: Arm | None,
    earlier: Mapping[str, Release],
) -> dict[str, pd.DataFrame | tuple[Path, ...]]:
    """Return the training data, and the earlier periods that the pilot asks for."""
    frames: dict[str, pd.DataFrame | tuple[Path, ...]] = {}
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
        parts = part_files(release.folder / KEPT)
        if kept is not None:
            frames[told] = kept
        elif parts:
            frames[told] = parts
    return frames


def _summary(
    name: str,
    before: pd.DataFrame | tuple[Path, ...],
    now: pd.DataFrame | Summary | None,
    reference: Reference,
) -> Summary | PairedSummary:
    if not isinstance(before, pd.DataFrame):
        parts = (counted_into(reference, pd.read_parquet(path)) for path in before)
        return Summary.of_parts(parts)
    if not isinstance(now, pd.DataFrame):
        return counted_into(reference, before)
    if name != "training" and _panel(before, now):
        return PairedSummary.of(
            before,
            now,
            reference,
            unit=UNIT,
            weight=WEIGHT if WEIGHT in now else None,
            cluster=CLUSTER if CLUSTER in now else None,
        )
    return counted_into(reference, before)


def counted_into(reference: Reference, frame: pd.DataFrame) -> Summary:
    """Count watched columns of a period, or of a part that holds whole clusters."""
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
