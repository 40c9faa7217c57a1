"""A second copy of the releases, in a bucket or a folder, where other readers are.

The project's own store stays the place where releases are made. A release that is there
is copied file by file, its manifest last, and then the period's pointer is moved: a
reader that goes by the pointer sees a whole release or the one before. What was copied
before an interruption is not copied again.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mlstats.errors import MlstatsError, RefusedError, ServiceError, SourceError
from mlstats.mirror_place import Place, place_of, put
from mlstats.object_store import reaching, sha256_of
from mlstats.produced import Produced
from mlstats.release_record import MANIFEST, PURGED, Release, read_release
from mlstats.releases import POINTER
from mlstats.settings import Settings
from mlstats.writing import write_atomic

__all__ = [
    "fetch",
    "mirror_release",
    "mirrored",
    "remove_purged",
    "uncopied",
    "verify_mirror",
]

_log = logging.getLogger(__name__)
_CONFIDENTIAL: Final = "confidential"
# What a copy that was killed leaves beside its place, as write_atomic names it.
_HALF: Final = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")


def mirrored(produced: Produced, settings: Settings) -> Produced:
    """Copy what was released to the mirror of the settings, where there is one.

    Whatever fails is told: the release stays as it is, and the next production of the
    period, which publishes nothing new, takes the copying up again.

    Parameters
    ----------
    produced : Produced
        As the production handed it back.
    settings : Settings
        Their ``publish`` names the mirror.

    Returns
    -------
    Produced
        With `unmirrored`, and a note, where the copy is not whole.
    """
    if not settings.publish or produced.release is None:
        return produced
    try:
        mirror_release(produced.release, settings.publish)
    except MlstatsError as error:
        said = error.title
    except Exception as error:  # of a library: its message may quote a request
        said = type(error).__name__
    else:
        return produced
    _log.warning("not copied to the mirror: %s", said)
    note = f"released, and not copied to MLSTATS_PUBLISH: {said}; produce it again"
    return replace(produced, unmirrored=said, notes=(*produced.notes, note))


def mirror_release(release: Release, address: str) -> bool:
    """Copy a release and move the mirror's pointer to it.

    Parameters
    ----------
    release : Release
        Whole, in the project's store; its folder ``confidential`` is copied too.
    address : str
        ``s3://bucket/prefix``, or a folder.

    Returns
    -------
    bool
        False where all of it was there already.

    Raises
    ------
    RefusedError
        Where the mirror holds another release of this number.
    SourceError
        Where a file of the release is not the one in its manifest.
    ServiceError
        Where the mirror does not answer, or refuses; what was copied stays.
    """
    place = place_of(address)
    there = _same(place, release)
    if not there:
        for name, digest in release.files.items():
            if name not in release.purged:
                _copy(place, release, name, digest)
    changed = _without_purged(place, release, told=True) or not there
    if not there:
        manifest = (release.folder / MANIFEST).read_bytes()
        place.write(f"{release.path}/{MANIFEST}", manifest)
    pointer = release.folder.parent / POINTER
    if pointer.is_file() and _number(pointer.read_bytes()) == release.number:
        name = f"{_period(release)}/{POINTER}"
        changed = _renew(place, name, pointer.read_bytes()) or changed
    return changed


def remove_purged(release: Release, address: str) -> bool:
    """Remove from a mirror what was purged of a release, and copy what tells of it.

    The record goes first, so that no file is ever missing without a reason. What was
    published stays. Of a copy that did not come to its end only files go that are this
    release's by their checksums.

    Parameters
    ----------
    release : Release
        As it is in the project's store, after the purge.
    address : str
        Of the mirror.

    Returns
    -------
    bool
        False where nothing was left to do.

    Raises
    ------
    RefusedError
        Where the mirror holds another release of this number.
    ServiceError
        Where the mirror does not answer, or refuses to remove a file; those that it
        does not refuse are gone.
    """
    place = place_of(address)
    return _without_purged(place, release, told=_same(place, release))


def uncopied(releases: Iterable[Release], address: str) -> list[str]:
    """Return which current releases readers of a mirror do not see.

    Pointers and manifests are compared, no other file is read.

    Parameters
    ----------
    releases : iterable of Release
        Each the current one of its period.
    address : str
        Of the mirror.

    Returns
    -------
    list of str
        Pilot, period and number.

    Raises
    ------
    ServiceError
        Where the mirror does not answer, or refuses.
    """
    place = place_of(address)
    return [release.path for release in releases if not _seen(place, release)]


def verify_mirror(address: str, pilot: str, period: str) -> list[str]:
    """Return what is wrong with the current release of a period on a mirror.

    Every file is read and its checksum compared with the manifest's.

    Returns
    -------
    list of str
        ``missing: FILE``, ``changed: FILE`` and, of a file that was purged and still
        lies there, ``not purged: FILE``; nothing where all is well.

    Raises
    ------
    SourceError
        Where the mirror has no release of the period, or its record is damaged.
    ServiceError
        Where the mirror does not answer, or refuses.
    """
    place = place_of(address)
    folder, manifest = _current(place, address, pilot, period)
    gone = _purged(place, folder)
    told = []
    for name, digest in sorted(manifest["files"].items()):
        found = place.checksum(f"{folder}/{name}")
        if found is None:
            told += [] if name in gone else [f"missing: {name}"]
        elif name in gone:
            told.append(f"not purged: {name}")
        elif found != digest:
            told.append(f"changed: {name}")
    return told


def fetch(address: str, pilot: str, period: str, folder: str | Path) -> Release:
    """Copy the current release of a period from a mirror, with its checksums.

    Parameters
    ----------
    address : str
        Of the mirror.
    pilot, period : str
        Whose release.
    folder : str or pathlib.Path
        Gets ``PILOT/PERIOD/rNNNN``; what is there already is read, not copied.

    Returns
    -------
    Release
        Every file of it is the one in its manifest.

    Raises
    ------
    SourceError
        Where there is none, or a file is missing or not the one in the manifest.
    ServiceError
        Where the mirror does not answer, or refuses.
    """
    place = place_of(address)
    source, manifest = _current(place, address, pilot, period)
    target = Path(folder) / source
    gone = _purged(place, source)
    for name, digest in manifest["files"].items():
        file = target / _inside(name)
        if name in gone or (file.is_file() and sha256_of(str(file)) == digest):
            continue
        if name.startswith(f"{_CONFIDENTIAL}/"):
            with reaching(str(target)):
                folder_of_records = target / _CONFIDENTIAL
                folder_of_records.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(file, partial(place.get, f"{source}/{name}"))
        if sha256_of(str(file)) != digest:
            file.unlink()
            raise SourceError(
                f"The mirror's file {name} is not the one in its manifest",
                where=f"{address}/{source}",
                expected="the checksum in the manifest",
                hint="mirror the release again, or fetch it from the project's store",
            )
    for name in (PURGED, MANIFEST):
        data = place.read(f"{source}/{name}")
        if data is not None:
            write_atomic(target / name, partial(put, data))
    return read_release(target)


def _copy(place: Place, release: Release, name: str, digest: str) -> None:
    source = release.folder / name
    if sha256_of(str(source)) != digest:
        raise SourceError(
            f"The file {name} of the release is not the one in its manifest",
            where=release.path,
            expected="a release that nobody changed",
            hint="look at who writes into the store; nothing more is copied",
        )
    if not place.has(f"{release.path}/{name}", digest):
        place.copy(source, f"{release.path}/{name}", digest)


def _same(place: Place, release: Release) -> bool:
    """Return whether the mirror has this release; that of another is refused."""
    there = place.read(f"{release.path}/{MANIFEST}")
    if there is None:
        return False
    if there != (release.folder / MANIFEST).read_bytes():
        raise RefusedError(
            f"The mirror holds another release {release.path}",
            where=place.address,
            expected="a mirror of this project alone",
            hint="name a prefix of its own in MLSTATS_PUBLISH",
        )
    return True


def _seen(place: Place, release: Release) -> bool:
    there = place.read(f"{release.path}/{MANIFEST}")
    if there != (release.folder / MANIFEST).read_bytes():
        return False
    pointer = place.read(f"{_period(release)}/{POINTER}")
    return pointer is not None and _number(pointer) == release.number


def _without_purged(place: Place, release: Release, *, told: bool) -> bool:
    """Remove what was purged; `told`: the copy is whole, or will be."""
    acts = release.folder / PURGED
    if not acts.is_file():
        return False
    changed = told and _renew(place, f"{release.path}/{PURGED}", acts.read_bytes())
    refused = None
    for name in _still_there(place, release, told):
        try:
            place.remove(name)
        except ServiceError as error:
            place.look()  # one that went away is not asked for each file
            refused = refused or error
        changed = True
    if refused is not None:
        raise refused
    return changed


def _still_there(place: Place, release: Release, told: bool) -> list[str]:
    found = []
    for name in place.names(f"{release.path}/{_CONFIDENTIAL}"):
        folder, _, last = name.removeprefix(f"{release.path}/").rpartition("/")
        half = _HALF.fullmatch(last)
        meant = f"{folder}/{half[1] if half else last}"
        if meant not in release.purged:
            continue
        if half or told or place.has(name, release.files[meant]):
            found.append(name)
    return found


def _renew(place: Place, name: str, data: bytes) -> bool:
    if place.read(name) == data:
        return False
    place.write(name, data)
    return True


def _period(release: Release) -> str:
    return release.path.rpartition("/")[0]


def _number(pointer: bytes) -> int | None:
    try:
        return int(json.loads(pointer)["number"])
    except (ValueError, KeyError, TypeError):
        return None


def _current(
    place: Place, address: str, pilot: str, period: str
) -> tuple[str, dict[str, Any]]:
    """Return the folder of the current release and its manifest."""
    pointer = place.read(f"{pilot}/{period}/{POINTER}")
    if pointer is None:
        raise SourceError(
            f"The mirror has no release of {period} of {pilot}",
            where=address,
            expected="a period that was produced with MLSTATS_PUBLISH set",
        )
    folder = f"{pilot}/{period}/r{_number(pointer) or 0:04d}"
    told = place.read(f"{folder}/{MANIFEST}")
    try:
        manifest = dict(json.loads(told or b""))
        dict(manifest["files"])
    except (ValueError, KeyError, TypeError):
        raise _damaged(place, folder, MANIFEST) from None
    return folder, manifest


def _purged(place: Place, folder: str) -> set[str]:
    told = place.read(f"{folder}/{PURGED}")
    try:
        return {name for act in json.loads(told or b"[]") for name in act["files"]}
    except (ValueError, KeyError, TypeError):
        raise _damaged(place, folder, PURGED) from None


def _damaged(place: Place, folder: str, name: str) -> SourceError:
    return SourceError(
        "The mirror's record of the release cannot be read",
        where=f"{place.address}/{folder}",
        expected=f"a whole {name}",
        hint="mirror the release again",
    )


def _inside(name: str) -> PurePosixPath:
    """Return a name of a manifest; one that leaves its folder is refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise SourceError(
            "A manifest names a file outside its release", expected="a name below it"
        )
    return path
