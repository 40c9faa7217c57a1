"""A second copy of the releases, in a bucket or a folder, where other readers are.

The project's own store stays the place where releases are made. A release that is there
is copied file by file, its manifest last, and then the period's pointer is moved: a
reader that goes by the pointer sees a whole release or the one before. What was copied
before an interruption is not copied again.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from mlstats.errors import MlstatsError, RefusedError, SourceError
from mlstats.object_store import is_remote, opened, reaching, sha256_of, store_of
from mlstats.produced import Produced
from mlstats.release_record import MANIFEST, PURGED, Release, read_release
from mlstats.releases import POINTER
from mlstats.settings import Settings
from mlstats.writing import write_atomic

__all__ = ["fetch", "mirror_release", "mirrored", "verify_mirror"]

_log = logging.getLogger(__name__)
_DIGEST: Final = "sha256"


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
    place = _place(address)
    told = (release.folder / MANIFEST).read_bytes()
    there = place.read(f"{release.path}/{MANIFEST}")
    if there is not None and there != told:
        raise RefusedError(
            f"The mirror holds another release {release.path}",
            where=address,
            expected="a mirror of this project alone",
            hint="name a prefix of its own in MLSTATS_PUBLISH",
        )
    if there is None:
        for name, digest in release.files.items():
            if name not in release.purged:
                _copy(place, release, name, digest)
        place.write(f"{release.path}/{MANIFEST}", told)
    changed = there is None
    acts = release.folder / PURGED
    if acts.is_file():
        changed = (
            _renew(place, f"{release.path}/{PURGED}", acts.read_bytes()) or changed
        )
    pointer = release.folder.parent / POINTER
    if pointer.is_file() and _number(pointer.read_bytes()) == release.number:
        name = f"{_period(release)}/{POINTER}"
        changed = _renew(place, name, pointer.read_bytes()) or changed
    return changed


def verify_mirror(address: str, pilot: str, period: str) -> list[str]:
    """Return what is wrong with the current release of a period on a mirror.

    Every file is read and its checksum compared with the manifest's.

    Returns
    -------
    list of str
        ``missing: FILE``, ``changed: FILE``; nothing where all is well.

    Raises
    ------
    SourceError
        Where the mirror has no release of the period, or its record is damaged.
    ServiceError
        Where the mirror does not answer, or refuses.
    """
    place = _place(address)
    folder, manifest = _current(place, address, pilot, period)
    gone = _purged(place, folder)
    told = []
    for name, digest in sorted(manifest["files"].items()):
        found = place.checksum(f"{folder}/{name}")
        if found is None and name not in gone:
            told.append(f"missing: {name}")
        elif found is not None and found != digest:
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
    place = _place(address)
    source, manifest = _current(place, address, pilot, period)
    target = Path(folder) / source
    gone = _purged(place, source)
    for name, digest in manifest["files"].items():
        file = target / _inside(name)
        if name in gone or (file.is_file() and sha256_of(str(file)) == digest):
            continue
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
            write_atomic(target / name, partial(_put, data))
    return read_release(target)


class _Place(Protocol):
    """Where a mirror lies; names are relative to it, with slashes."""

    def read(self, name: str) -> bytes | None:
        """Return what lies there, None where nothing does."""

    def checksum(self, name: str) -> str | None:
        """Return the SHA-256 of the bytes that lie there."""

    def has(self, name: str, digest: str) -> bool:
        """Return whether a whole copy of these bytes lies there."""

    def copy(self, source: Path, name: str, digest: str) -> None:
        """Copy a file there, whole or not at all."""

    def write(self, name: str, data: bytes) -> None:
        """Write a small file there, whole or not at all."""

    def get(self, name: str, target: Path) -> None:
        """Copy a file from there."""


class _Folder:
    def __init__(self, address: str) -> None:
        self.root = Path(address)

    def read(self, name: str) -> bytes | None:
        file = self.root / name
        with reaching(str(file)):
            return file.read_bytes() if file.is_file() else None

    def checksum(self, name: str) -> str | None:
        file = self.root / name
        return sha256_of(str(file)) if file.is_file() else None

    def has(self, name: str, digest: str) -> bool:
        return self.checksum(name) == digest

    def copy(self, source: Path, name: str, digest: str) -> None:
        target = self.root / name
        if target.parent.name == "confidential":
            with reaching(str(target.parent)):
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(target, partial(_copied, source))

    def write(self, name: str, data: bytes) -> None:
        write_atomic(self.root / name, partial(_put, data))

    def get(self, name: str, target: Path) -> None:
        with reaching(name):
            _copied(self.root / name, target)


class _Bucket:
    """Objects of a store, which appear whole; each tells its checksum itself."""

    def __init__(self, address: str) -> None:
        self.root = address.rstrip("/")
        self.files = store_of(address)

    def read(self, name: str) -> bytes | None:
        address = f"{self.root}/{name}"
        try:
            with opened(address) as file:
                return file.read()
        except SourceError:
            return None

    def checksum(self, name: str) -> str | None:
        try:
            return sha256_of(f"{self.root}/{name}")
        except SourceError:
            return None

    def has(self, name: str, digest: str) -> bool:
        address = f"{self.root}/{name}"
        with reaching(address):
            if not self.files.exists(address):
                return False
            return bool(self.files.metadata(address).get(_DIGEST) == digest)

    def copy(self, source: Path, name: str, digest: str) -> None:
        address = f"{self.root}/{name}"
        with reaching(address):
            self.files.put_file(str(source), address, Metadata={_DIGEST: digest})

    def write(self, name: str, data: bytes) -> None:
        address = f"{self.root}/{name}"
        with reaching(address):
            self.files.pipe_file(address, data)

    def get(self, name: str, target: Path) -> None:
        with opened(f"{self.root}/{name}") as file, target.open("wb") as sink:
            shutil.copyfileobj(file, sink, 1 << 22)


def _place(address: str) -> _Place:
    return _Bucket(address) if is_remote(address) else _Folder(address)


def _copy(place: _Place, release: Release, name: str, digest: str) -> None:
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


def _renew(place: _Place, name: str, data: bytes) -> bool:
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
    place: _Place, address: str, pilot: str, period: str
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
        raise SourceError(
            "The mirror's record of the release cannot be read",
            where=f"{address}/{folder}",
            expected=f"a whole {MANIFEST}",
            hint="mirror the release again",
        ) from None
    return folder, manifest


def _purged(place: _Place, folder: str) -> set[str]:
    told = place.read(f"{folder}/{PURGED}")
    return {name for act in json.loads(told or b"[]") for name in act["files"]}


def _inside(name: str) -> PurePosixPath:
    """Return a name of a manifest; one that leaves its folder is refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise SourceError(
            "A manifest names a file outside its release", expected="a name below it"
        )
    return path


def _copied(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _put(data: bytes, target: Path) -> None:
    target.write_bytes(data)
