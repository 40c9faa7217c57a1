"""A scanner that looks for planted words in everything a run writes."""

from __future__ import annotations

import gzip
import io
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

__all__ = ["content", "find", "publishable"]

_OF_DATABASES = ("-wal", "-shm", "-journal")  # they come and go while one is used


def publishable(project: Path, inputs: set[Path]) -> list[Path]:
    """Return every file of a project besides its inputs and what is confidential.

    That is the confidential store, and the folder ``confidential`` of each release and
    of each answer in the shadow.
    """
    home = project / ".mlstats"
    hidden = {home / "confidential"}
    for store in ("releases", "shadows"):
        hidden |= set((home / store).glob("*/*/r*/confidential"))
    return [
        path
        for path in sorted(project.rglob("*"))
        if path.is_file() and hidden.isdisjoint(path.parents) and path not in inputs
    ]


def find(words: list[str], files: list[Path]) -> list[tuple[str, str]]:
    """Return (word, file) for each planted word that a file holds."""
    wanted = [word.lower() for word in words]
    found = []
    for path in files:
        for name, data in _unpacked(path.name, content(path), path):
            text = _as_text(data)
            found += [(word, f"{path}:{name}") for word in wanted if word in text]
    return found


def content(path: Path) -> bytes:
    """Return what a file holds that may belong to a server at work."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if not path.name.endswith(_OF_DATABASES):
            raise
        return b""


def _unpacked(name: str, data: bytes, path: Path) -> Iterator[tuple[str, bytes]]:
    yield name, data
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from _unpacked(member, archive.read(member), path)
    elif data[:2] == b"\x1f\x8b":
        yield from _unpacked(f"{name}/", gzip.decompress(data), path)
    elif data[:4] == b"PAR1":
        yield f"{name}/", pd.read_parquet(io.BytesIO(data)).to_csv().encode()
    elif data[:15] == b"SQLite format 3":
        yield f"{name}/", _dump(path).encode()


def _dump(path: Path) -> str:
    address = f"{path.as_uri()}?mode=ro"
    with sqlite3.connect(address, uri=True, timeout=60) as database:
        return "\n".join(database.iterdump())


def _as_text(data: bytes) -> str:
    # Both readings: words written as UTF-16 are seen as well.
    utf8 = data.decode("utf-8", "ignore")
    utf16 = data.decode("utf-16-le", "ignore")
    return f"{utf8}\n{utf16}".lower()
