"""Releases of reference periods: whole or not there, numbered, never overwritten.

A release lies in ``PILOT/PERIOD/r0001``. It is made beside its place and renamed into
it when all of it is on the disk; then the period's pointer, ``current.json``, is moved
to it. Whoever reads by the pointer sees the last whole release, whenever a run ended.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from mlstats import io
from mlstats.errors import ConfigError, ServiceError
from mlstats.release_record import (
    MANIFEST,
    PURGED,
    Release,
    ReleaseKey,
    damaged,
    read_release,
)

__all__ = ["Release", "ReleaseKey", "ReleaseStore"]

POINTER: Final = "current.json"
_NUMBERED: Final = re.compile(r"^r(\d{4,})$")
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")


class ReleaseStore:
    """The releases of a project.

    Parameters
    ----------
    folder : pathlib.Path
        ``releases`` in the store; made at the first release.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(
        self,
        key: ReleaseKey,
        write: Callable[[Path], None],
        *,
        final: bool = False,
        facts: Mapping[str, Any] | None = None,
    ) -> Release:
        """Publish a release, or return the one that this key has already.

        Parameters
        ----------
        key : ReleaseKey
            What decides its values.
        write : callable
            Gets a new folder and fills it; it is not called where the key has a
            whole release.
        final : bool
            Whether the review queue is closed.
        facts : mapping, optional
            Numbers and texts for the manifest; no time of day, so that a run that is
            repeated gives the same bytes.

        Returns
        -------
        Release
            It is the period's current one.

        Raises
        ------
        ServiceError
            Where another run works on this period, or the store refuses.
        """
        place = self._place(key.pilot, key.period)
        with _alone(place):
            for left in place.glob(".new-*"):
                shutil.rmtree(left)
            found = self._with_key(place, key)
            if found is None:
                found = self._write(place, key, write, final, dict(facts or {}))
            self._point(place, found)
        return found

    @contextmanager
    def working(self, pilot: str, period: str) -> Iterator[None]:
        """Hold a period while a run works on it, from its data to its release.

        Raises
        ------
        ServiceError
            Where another run does, or the store refuses.
        """
        with _alone(self._place(pilot, period), ".working"):
            yield

    def again(self, key: ReleaseKey) -> Release | None:
        """Return the whole release that a key has, and point to it; None: it has none.

        Raises
        ------
        ServiceError
            As :meth:`publish`.
        """
        place = self._place(key.pilot, key.period)
        if not place.is_dir():
            return None
        with _alone(place):
            found = self._with_key(place, key)
            if found is not None:
                self._point(place, found)
        return found

    def current(self, pilot: str, period: str) -> Release | None:
        """Return the release that readers see, None where there is none.

        Raises
        ------
        SourceError
            Where the pointer, or what it points to, is damaged.
        """
        pointer = self._place(pilot, period) / POINTER
        try:
            told = json.loads(pointer.read_text(encoding="utf-8"))
            number = int(told["number"])
            published = datetime.fromisoformat(told["published"]).astimezone(UTC)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise damaged(pointer) from None
        release = read_release(pointer.parent / f"r{number:04d}")
        return replace(release, published=published)

    def revisions(self, pilot: str, period: str) -> list[Release]:
        """Return every release of a period, the oldest first."""
        return [read_release(folder) for folder in _folders(self._place(pilot, period))]

    def pilots(self) -> list[str]:
        """Return the pilots that have a folder here."""
        if not self.folder.is_dir():
            return []
        return sorted(place.name for place in self.folder.iterdir() if place.is_dir())

    def periods(self, pilot: str) -> list[str]:
        """Return the periods that have a release."""
        root = self.folder / _named(pilot)
        if not root.is_dir():
            return []
        return sorted(place.name for place in root.iterdir() if _folders(place))

    def verify(self, release: Release) -> list[str]:
        """Return what is wrong with a release's files; nothing where all is well.

        Returns
        -------
        list of str
            ``missing: FILE``, ``changed: FILE`` and ``not in the manifest: FILE``. A
            file that was purged is not missing.
        """
        told = []
        there = dict(_hashed(release.folder))
        for name, digest in release.files.items():
            if name not in there and name in release.purged:
                continue
            if name not in there:
                told.append(f"missing: {name}")
            elif there[name] != digest:
                told.append(f"changed: {name}")
        told += [f"not in the manifest: {n}" for n in there if n not in release.files]
        return told

    def _place(self, pilot: str, period: str) -> Path:
        return self.folder / _named(pilot) / _named(period)

    def _with_key(self, place: Path, key: ReleaseKey) -> Release | None:
        for folder in reversed(_folders(place)):
            release = read_release(folder)
            if release.key == key and not self.verify(release):
                return release
        return None

    def _write(
        self,
        place: Path,
        key: ReleaseKey,
        write: Callable[[Path], None],
        final: bool,
        facts: dict[str, Any],
    ) -> Release:
        numbers = [_number(folder) for folder in _folders(place)]
        number = max(numbers, default=0) + 1
        beside = place / f".new-{secrets.token_hex(4)}"
        try:
            beside.mkdir()
            write(beside)
            files = dict(_hashed(beside))
            manifest = {
                "key": asdict(key),
                "key_digest": key.digest,
                "number": number,
                "final": final,
                "files": files,
                "facts": facts,
            }
            io.write_json(beside / MANIFEST, manifest)
            _flush(beside)
            beside.rename(place / f"r{number:04d}")
            _flush_folder(place)
        except OSError as error:
            raise ServiceError(
                f"The release cannot be written: {os.strerror(error.errno or 0)}",
                where=str(place),
                expected="a store with room and the permission to write",
                hint="make room, then run again: the last release is untouched",
            ) from None
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return read_release(place / f"r{number:04d}")

    def _point(self, place: Path, release: Release) -> None:
        """Move the pointer to a release, unless it is there already."""
        pointer = place / POINTER
        try:
            told = json.loads(pointer.read_text(encoding="utf-8"))
            if told["number"] == release.number:
                return
        except (OSError, ValueError, KeyError, TypeError):
            pass  # missing or damaged: it is written anew
        now = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"number": release.number, "final": release.final, "published": now}
        io.write_json(pointer, content)


@contextmanager
def _alone(place: Path, name: str = ".lock") -> Iterator[None]:
    """Hold a lock of the period, which ends with the process that holds it."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / name, timeout=0)
        lock.acquire()
    except Timeout:
        raise ServiceError(
            "Another run works on this period",
            where=str(place),
            expected="one run for a period at a time",
            hint="wait for it: it publishes, or leaves the last release untouched",
        ) from None
    except OSError as error:
        raise ServiceError(
            f"The store cannot be written: {os.strerror(error.errno or 0)}",
            where=str(place),
            expected="a folder in which this user may create files",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _named(name: str) -> str:
    if not _NAME.match(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a folder",
            expected="letters, digits, dots, hyphens and underscores",
        )
    return name


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    found = [path for path in place.iterdir() if _NUMBERED.match(path.name)]
    return sorted(found, key=_number)


def _number(folder: Path) -> int:
    return int(folder.name[1:])


def _hashed(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name not in (MANIFEST, PURGED):
            yield name, io.sha256_file(path)


def _flush(folder: Path) -> None:
    """Make every file and folder of a release durable before it gets its name."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        else:
            _flush_folder(path)
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
