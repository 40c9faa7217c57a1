"""Removing confidential tables whose time is over; what was published stays.

The log of decisions is told first, so that nothing goes without a trace; then each
release is told what it will lack, then it goes, and after it its copy on the second
place. What breaks off is completed by the next purge.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import pandas as pd

from mlstats import io
from mlstats.decision_log import DecisionLog
from mlstats.decisions import PURGE, Act, Decision
from mlstats.errors import MlstatsError, ServiceError, SourceError
from mlstats.identity import operating_system_user
from mlstats.mirror_place import Place, place_of
from mlstats.parties import Parties
from mlstats.pilot_files import load_pilot
from mlstats.quality.evidence import canonical
from mlstats.release_drift import is_watched
from mlstats.release_mirror import remove_purged
from mlstats.release_record import Purge, record_purge
from mlstats.releases import Release, ReleaseStore
from mlstats.retention import Due, told_of
from mlstats.review_files import LABELS_FILE, working_alone
from mlstats.review_store import ReviewStore
from mlstats.settings import Settings

__all__ = ["purge", "unexplained"]


def purge(
    found: Sequence[Due],
    settings: Settings,
    *,
    pilots: Collection[str] | None = None,
) -> list[Decision]:
    """Remove what is due and not needed, and tell the log of decisions.

    Where the settings name a second place, whatever was purged here, now or before, is
    removed there too, from every revision.

    Parameters
    ----------
    found : sequence of Due
        From :func:`mlstats.retention.due`.
    settings : Settings
        Their ``publish`` names the second place.
    pilots : collection of str, optional
        Whose copies are looked at; by default those of every pilot.

    Returns
    -------
    list of Decision
        The rows that tell of it, one per period or run.

    Raises
    ------
    ConfigError
        Where the address of the second place cannot be used.
    ServiceError
        Where another run works on a period, or database or store refuse: what was not
        removed is told by the next purge again. Where the second place refuses, all
        else is done before, and the next purge takes that up.
    """
    # Before anything goes: an address that cannot be used is told first.
    second = place_of(settings.publish) if settings.publish else None
    told = []
    going = [one for one in found if not one.needed]
    for (pilot, period, run, _), group in groupby(going, _together):
        dues = list(group)
        if run:
            row = _decision(dues, settings, {})
            shutil.rmtree(settings.confidential / "runs" / run)
        else:
            with ReleaseStore(settings.releases).working(pilot, period):
                row = _purge_period(pilot, period, dues, settings)
        told.append(row)
    if second is not None:
        _purge_copies(second, settings, pilots, len(told))
    return told


def _together(one: Due) -> tuple[str, str, str, str]:
    return one.pilot, one.period, one.run, one.decided.hash if one.decided else ""


def _purge_period(
    pilot: str, period: str, dues: Sequence[Due], settings: Settings
) -> Decision:
    store = ReleaseStore(settings.releases)
    kinds = tuple(one.kind for one in dues)
    releases = store.revisions(pilot, period)
    gone = {one.path: _files(one, kinds) for one in releases}
    row = dues[0].decided or _decision(dues, settings, gone)
    if dues[0].decided is not None:  # the first purge may have had more kinds
        kinds = tuple(told_of(row)["kinds"])
        gone = {one.path: _files(one, kinds) for one in releases}
    for release in releases:
        record_purge(release, Purge(row.time, row.hash, kinds, gone[release.path]))
    for one in dues:
        if one.kind == "reviews":
            _purge_reviews(pilot, period, settings)
        else:
            _remove(one.files)
    place = settings.releases / pilot / period
    for left in place.glob(".new-*"):  # of a run that was killed
        shutil.rmtree(left)
    return row


def _files(release: Release, kinds: Sequence[str]) -> dict[str, str]:
    """Return the files of a release that kinds of tables are."""
    return {
        name: digest
        for name, digest in release.files.items()
        if name.startswith("confidential/")
        and ("watched" if is_watched(name) else "units") in kinds
    }


def _purge_reviews(pilot: str, period: str, settings: Settings) -> None:
    # An export, an import or a page ends before, or finds that the period was purged.
    with working_alone(settings, pilot, period) as given:
        ReviewStore(settings.database).purge(pilot, period)
        _remove([p for p in given.rglob("*") if p.name != ".lock"])
    shutil.rmtree(given, ignore_errors=True)
    folder = settings.confidential / "reviews" / pilot
    labels = folder / LABELS_FILE
    if labels.is_file():
        table = pd.read_parquet(labels)
        io.write_parquet(labels, table[table["period"] != period])
        labels.chmod(0o600)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            if path.is_file():
                path.unlink()
        except OSError as error:
            raise ServiceError(
                f"A file cannot be removed: {os.strerror(error.errno or 0)}",
                where=str(path),
                expected="a store in which this user may remove files",
                hint="run mlstats purge again: it goes on where it broke off",
            ) from None


# -- the second place --------------------------------------------------------------


def _purge_copies(
    place: Place, settings: Settings, pilots: Collection[str] | None, decided: int
) -> None:
    """Remove the copies of all that was ever purged here, as far as they are there."""
    store = ReleaseStore(settings.releases)
    refused: list[MlstatsError] = []
    for release in _purged(store, store.pilots() if pilots is None else pilots):
        key = release.key
        try:
            # A production copies to the second place while it holds the period.
            with store.working(key.pilot, key.period):
                place.look()
                remove_purged(release, place.address)
        except MlstatsError as error:
            refused.append(error)
            if not _answers(place):
                break
    if not refused:
        return
    first, more = refused[0], len(refused) - 1
    rows = f" ({decided} decisions tell of it)" if decided else ""
    where = first.where or place.address
    raise ServiceError(
        f"Purged here{rows}, and not all of it on the second place: {first.title}",
        where=where + (f" and {more} more releases" if more else ""),
        expected=first.expected,
        hint="mend it, then run mlstats purge again: it goes on there",
    )


def _purged(store: ReleaseStore, pilots: Collection[str]) -> Iterator[Release]:
    for pilot in pilots:
        for period in store.periods(pilot):
            with suppress(SourceError):  # a damaged one is told of by the doctor
                yield from (one for one in store.revisions(pilot, period) if one.acts)


def _answers(place: Place) -> bool:
    """Return whether the place is there, so that it can be asked for the others."""
    try:
        place.look()
    except ServiceError:
        return False
    return True


# -- the log -----------------------------------------------------------------------


def _decision(
    dues: Sequence[Due], settings: Settings, gone: Mapping[str, Mapping[str, str]]
) -> Decision:
    first = dues[0]
    kinds = sorted({one.kind for one in dues})
    told = {
        "period": first.period,
        "run": first.run,
        "kinds": kinds,
        "files": sum(len(one.files) for one in dues),
        "bytes": sum(one.size for one in dues),
        "rows": sum(one.rows for one in dues),
    }
    about = f"run {first.run}" if first.run else first.period
    reason = (
        f"purged {', '.join(kinds)} of {about}: {told['files']} files of "
        f"{told['bytes']} bytes, {told['rows']} rows of the database"
    )
    identity = operating_system_user()
    pilot = load_pilot(first.pilot, project=settings.project)
    holders = {role: pilot.owner.holders(role) for role in pilot.owner.roles}
    roles = Parties((), {str(role): held for role, held in holders.items()})
    act = Act(
        0,
        "",
        _evidence(first.period, kinds, gone),
        "",
        "",
        PURGE,
        identity.name,
        next(iter(roles.roles(identity)), ""),
        reason,
        canonical(told).decode(),
    )
    log = DecisionLog(settings.database)
    return log.append(first.pilot, lambda _: [act])[0]


def _evidence(
    period: str, kinds: Sequence[str], gone: Mapping[str, Mapping[str, str]]
) -> str:
    """Return the sha256 of what is removed of which release."""
    files = {path: dict(names) for path, names in gone.items()}
    told = {"period": period, "kinds": sorted(kinds), "files": files}
    return hashlib.sha256(canonical(told)).hexdigest()


def unexplained(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the releases that say they were purged as the log of decisions does not.

    Yields
    ------
    tuple of (str, str)
        The release, and what is wrong.
    """
    rows = {row.hash: row for row in DecisionLog(settings.database).read()}
    store = ReleaseStore(settings.releases)
    for pilot in store.pilots():
        for period in store.periods(pilot):
            with suppress(SourceError):  # a damaged one is told of besides
                yield from _unexplained(store.revisions(pilot, period), rows)


def _unexplained(
    releases: Sequence[Release], rows: Mapping[str, Decision]
) -> Iterator[tuple[str, str]]:
    acts = [(release, act) for release in releases for act in release.acts]
    for release, act in acts:
        row = rows.get(act.decision)
        gone = {r.path: a.files for r, a in acts if a.decision == act.decision}
        found = _evidence(release.key.period, act.kinds, gone)
        if row is None:
            said = f"purged on {act.time[:10]}, of which the decisions do not tell"
            yield release.path, f"{said}: restore the database from a newer copy"
        elif row.evidence != found:
            yield release.path, f"not what decision {row.number} has purged"
