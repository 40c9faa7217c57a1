"""Where a second copy of the releases lies: a folder, or a prefix of an S3 store."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from mlstats.errors import ServiceError, SourceError
from mlstats.object_store import (
    REMOTE,
    is_remote,
    opened,
    reaching,
    sha256_of,
    store_of,
)
from mlstats.writing import write_atomic

__all__ = ["Place", "place_of", "put"]

_DIGEST: Final = "sha256"
_CONFIDENTIAL: Final = "confidential"


class Place(Protocol):
    """Where a mirror lies; names are relative to it, with slashes."""

    address: str

    def read(self, name: str) -> bytes | None:
        """Return what lies there, None where nothing does."""

    def checksum(self, name: str) -> str | None:
        """Return the SHA-256 of the bytes that lie there."""

    def has(self, name: str, digest: str) -> bool:
        """Return whether a whole copy of these bytes lies there."""

    def names(self, folder: str) -> list[str]:
        """Return every file below a folder, hidden ones too; none where it is not."""

    def copy(self, source: Path, name: str, digest: str) -> None:
        """Copy a file there, whole or not at all."""

    def write(self, name: str, data: bytes) -> None:
        """Write a small file there, whole or not at all."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def get(self, name: str, target: Path) -> None:
        """Copy a file from there."""

    def look(self) -> None:
        """Raise ServiceError where the place is not there or does not answer."""

    def try_writing(self) -> None:
        """Raise ServiceError where nothing can be written; leave nothing."""


def place_of(address: str) -> Place:
    """Return the place of an address: ``s3://bucket/prefix``, or a folder.

    Raises
    ------
    ConfigError
        As :func:`mlstats.object_store.store_of`.
    """
    return _Bucket(address) if is_remote(address) else _Folder(address)


class _Folder:
    def __init__(self, address: str) -> None:
        self.address = address
        self.root = Path(address)

    def read(self, name: str) -> bytes | None:
        file = self.root / name
        with reaching(str(file)):
            try:
                return file.read_bytes()
            except FileNotFoundError:
                return None

    def checksum(self, name: str) -> str | None:
        file = self.root / name
        return sha256_of(str(file)) if file.is_file() else None

    def has(self, name: str, digest: str) -> bool:
        return self.checksum(name) == digest

    def names(self, folder: str) -> list[str]:
        found = []
        with reaching(str(self.root / folder)):
            # Not by a pattern: that passes over what this user may not list.
            for place, _, files in os.walk(self.root / folder, onerror=_unlisted):
                below = Path(place).relative_to(self.root)
                found += [(below / name).as_posix() for name in files]
        return sorted(found)

    def copy(self, source: Path, name: str, digest: str) -> None:
        target = self.root / name
        for folder in target.parents:
            if folder.name == _CONFIDENTIAL and folder.is_relative_to(self.root):
                with reaching(str(folder)):
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(target, partial(_copied, source))

    def write(self, name: str, data: bytes) -> None:
        write_atomic(self.root / name, partial(put, data))

    def remove(self, name: str) -> None:
        file = self.root / name
        with reaching(str(file)):
            file.unlink(missing_ok=True)

    def get(self, name: str, target: Path) -> None:
        with reaching(name):
            _copied(self.root / name, target)

    def look(self) -> None:
        if not self.root.is_dir():
            raise _no_place(self.address, "mount it, or make the folder")

    def try_writing(self) -> None:
        with reaching(self.address), tempfile.TemporaryFile(dir=self.root):
            pass


class _Bucket:
    """Objects of a store, which appear whole; each tells its checksum itself."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.root = address.rstrip("/")
        self.files = store_of(address)
        self.bucket, _, self.prefix = self.root.removeprefix(REMOTE).partition("/")

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

    def names(self, folder: str) -> list[str]:
        address = f"{self.root}/{folder}"
        root = f"{self.root.removeprefix(REMOTE)}/"
        with reaching(address):
            return sorted(key.removeprefix(root) for key in self.files.find(address))

    def copy(self, source: Path, name: str, digest: str) -> None:
        address = f"{self.root}/{name}"
        with reaching(address):
            self.files.put_file(str(source), address, Metadata={_DIGEST: digest})

    def write(self, name: str, data: bytes) -> None:
        address = f"{self.root}/{name}"
        with reaching(address):
            self.files.pipe_file(address, data)

    def remove(self, name: str) -> None:
        address = f"{self.root}/{name}"
        with reaching(address):
            self.files.rm_file(address)

    def get(self, name: str, target: Path) -> None:
        with opened(f"{self.root}/{name}") as file, target.open("wb") as sink:
            shutil.copyfileobj(file, sink, 1 << 22)

    def look(self) -> None:
        asked = {"Bucket": self.bucket, "Prefix": self.prefix, "MaxKeys": 1}
        try:
            with reaching(self.address):
                self.files.call_s3("list_objects_v2", **asked)
        except SourceError:
            raise _no_place(self.address, "make the bucket, or mend its name") from None

    def try_writing(self) -> None:
        # An upload that is given up leaves no object, and no version of one.
        asked = {"Bucket": self.bucket, "Key": f"{self.prefix}/.tried".lstrip("/")}
        with reaching(self.address):
            begun = self.files.call_s3("create_multipart_upload", **asked)
            number = begun["UploadId"]
            self.files.call_s3("abort_multipart_upload", **asked, UploadId=number)


def _no_place(address: str, hint: str) -> ServiceError:
    return ServiceError(
        "The second place of the releases is not there",
        where=address,
        expected="a folder or bucket as MLSTATS_PUBLISH names it",
        hint=hint,
    )


def _unlisted(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _copied(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def put(data: bytes, target: Path) -> None:
    """Write bytes into a file."""
    target.write_bytes(data)
