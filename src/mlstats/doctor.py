"""What ``mlstats doctor`` looks at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from mlstats.errors import MlstatsError, SourceError
from mlstats.settings import LOCAL, Settings

if TYPE_CHECKING:
    from mlstats.releases import Release

__all__ = ["Finding", "examine"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Parameters
    ----------
    what : str
        The thing.
    state : {"good", "doubtful", "broken"}
        Broken: a run cannot succeed.
    found : str
        What was seen, and what to do where it is not good.
    """

    what: str
    state: str
    found: str


def examine(settings: Settings) -> list[Finding]:
    """Look at versions, stores, services and switches."""
    looks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _versions,
        _stores,
        _tracking,
        _scale,
        _decisions,
        _releases,
        _purges,
        _second_place,
        _telemetry,
        _fasttext,
    )
    findings: list[Finding] = []
    for look in looks:
        try:
            findings += look(settings)
        except MlstatsError as error:
            told = "; ".join([error.title, *(text for _, text in error.lines())])
            findings.append(Finding(_name(look), "broken", told))
    return findings


def _name(look: Callable[[Settings], Iterator[Finding]]) -> str:
    return look.__name__.strip("_").replace("_", " ")


def _versions(settings: Settings) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    for text in metadata.requires("mlstats") or []:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            yield Finding(needed.name, "broken", f"missing: pip install '{needed}'")
            continue
        if needed.specifier.contains(found, prereleases=True):
            yield Finding(needed.name, "good", found)
        else:
            tested = f"{found}; tested: {needed.specifier}"
            yield Finding(needed.name, "doubtful", tested)


def _stores(settings: Settings) -> Iterator[Finding]:
    settings.prepare()
    for name, folder in (
        ("home", settings.home_folder),
        ("confidential store", settings.confidential),
        ("models", settings.models),
    ):
        free = shutil.disk_usage(folder).free / 2**30
        state = "good" if free > 1 else "doubtful"
        yield Finding(name, state, f"{folder}, {free:.1f} GiB free")
    if os.name == "posix" and settings.confidential.stat().st_mode & 0o077:
        yield Finding(
            "confidential store",
            "doubtful",
            f"others can read it: chmod 700 {settings.confidential}",
        )


def _tracking(settings: Settings) -> Iterator[Finding]:
    from mlstats.tracking import reachable

    reachable(settings)
    kind = "embedded SQLite" if settings.mlflow_uri.startswith("sqlite") else "server"
    yield Finding("MLflow", "good", f"{kind} answers")


def _scale(settings: Settings) -> Iterator[Finding]:
    if settings.scale == LOCAL:
        yield Finding("scale", "good", f"local, {settings.workers} processes at most")
        return
    from mlstats.scale_connection import look_at

    seen = look_at(settings.scale)
    found = f"{settings.scale}: {seen.count} workers"
    if seen.count == 0:
        yield Finding("scale", "broken", f"{found}; start some")
    elif seen.threads > 1:
        yield Finding(
            "scale",
            "broken",
            f"{found} with up to {seen.threads} threads; start them with --nthreads 1",
        )
    elif seen.wrong:
        wrong = "; ".join(seen.wrong)
        yield Finding("scale", "broken", f"{found} of another environment: {wrong}")
    else:
        yield Finding("scale", "good", f"{found} with the versions of this process")


def _decisions(settings: Settings) -> Iterator[Finding]:
    from mlstats.decision_audit import audit

    none = True
    for notice in audit(settings):
        none = False
        yield Finding(f"decisions on {notice.pilot}", notice.state, notice.said)
    if none:
        yield Finding("decisions", "good", "none yet")


def _releases(settings: Settings) -> Iterator[Finding]:
    """Hold every current release to the checksums of its manifest."""
    from mlstats.releases import ReleaseStore

    store = ReleaseStore(settings.releases)
    whole = purged = 0
    for pilot in store.pilots():
        for period in store.periods(pilot):
            try:
                release = store.current(pilot, period)
                wrong = ["no release is current"]
                if release is not None:
                    wrong = store.verify(release)
                    purged += bool(release.purged_on)
            except SourceError as error:
                wrong = [error.title]
            whole += not wrong
            if wrong:
                what = f"release {pilot} {period}"
                yield Finding(what, "broken", f"{wrong[0]}; restore it from a copy")
    found = f"{whole} whole" + (f", {purged} of them purged" if purged else "")
    yield Finding("releases", "good", found if whole else "none yet")


def _purges(settings: Settings) -> Iterator[Finding]:
    """Hold what releases say of their purges to the log of decisions."""
    from mlstats.purge import unexplained

    for release, said in unexplained(settings):
        yield Finding(f"release {release}", "doubtful", said)


def _second_place(settings: Settings) -> Iterator[Finding]:
    """Look for the copies of current releases, by their manifests alone."""
    if not settings.publish:
        return
    from mlstats.mirror_place import place_of
    from mlstats.release_mirror import uncopied

    place = place_of(settings.publish)
    place.look()
    place.try_writing()
    current = list(_current(settings))
    missing = uncopied(current, settings.publish)
    found = f"{settings.publish}: {len(current) - len(missing)} of {len(current)}"
    found += " current releases are copied"
    if missing:
        found += f", {missing[0]} is not: produce what is missing there again"
    yield Finding("second place", "doubtful" if missing else "good", found)


def _current(settings: Settings) -> Iterator[Release]:
    from mlstats.releases import ReleaseStore

    store = ReleaseStore(settings.releases)
    for pilot in store.pilots():
        for period in store.periods(pilot):
            with suppress(SourceError):  # told of as damaged
                release = store.current(pilot, period)
                if release is not None:
                    yield release


def _telemetry(settings: Settings) -> Iterator[Finding]:
    off = os.environ.get("DO_NOT_TRACK") == "true"
    yield Finding(
        "telemetry", "good" if off else "broken", "off" if off else "DO_NOT_TRACK unset"
    )


def _fasttext(settings: Settings) -> Iterator[Finding]:
    try:
        import fasttext  # noqa: F401 - its import is the check
    except ImportError as error:
        yield Finding(
            "fastText",
            "broken",
            f"{type(error).__name__}: pip install fasttext-numpy2 (where no wheel "
            "exists it needs a C++ compiler: apt install g++ python3-dev)",
        )
    else:
        yield Finding("fastText", "good", "loads")
