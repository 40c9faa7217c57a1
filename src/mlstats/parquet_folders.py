"""Which Parquet files a table consists of: a folder's, in order, as its manifest says.

A folder that ``mlstats convert`` wrote holds a manifest with the rows and the checksum
of every file: a file that was lost in a copy is then missed at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mlstats.errors import SourceError
from mlstats.object_store import base_name, is_remote, opened, reaching, store_of

__all__ = ["MANIFEST", "check_manifest", "parquet_files", "read_manifest"]

MANIFEST: Final = "_manifest.json"
_SUFFIX: Final = ".parquet"


def parquet_files(address: str) -> list[str]:
    """Return the Parquet files of a table, in order.

    Parameters
    ----------
    address : str
        As the source of :meth:`mlstats.partitions.PartitionedTable.open`.

    Returns
    -------
    list of str
        Absolute paths, or addresses in the store.

    Raises
    ------
    SourceError
        For another file, and for a folder without such files, with folders, or with
        other files.
    """
    if not is_remote(address):
        # A worker of a cluster stands in another folder.
        address = str(Path(address).absolute())
    if address.lower().endswith(_SUFFIX) and not _is_folder(address):
        return [address]
    if not is_remote(address) and Path(address).is_file():
        raise SourceError(
            "The file is not Parquet",
            where=address,
            expected=f"a file that ends in {_SUFFIX}, or a folder of them",
            hint="convert it: mlstats convert SOURCE TARGET",
        )
    inside = _entries(address)
    seen = {
        name: is_folder
        for name, is_folder in inside.items()
        if not name.startswith((".", "_"))
    }
    folders = sorted(name for name, is_folder in seen.items() if is_folder)
    others = sorted(name for name in seen if not name.lower().endswith(_SUFFIX))
    if folders:
        raise SourceError(
            f"The folder of the table holds {len(folders)} folders, as {folders[0]!r}",
            where=address,
            expected="Parquet files side by side",
            hint="name one of them, or each by its period: "
            "source: FOLDER/period={period}",
        )
    if others:
        raise SourceError(
            f"The folder of the table holds {others[0]!r}, which is not Parquet",
            where=address,
            expected=f"files that end in {_SUFFIX}",
            hint="move it away, or begin its name with an underscore",
        )
    if not seen:
        raise SourceError(
            "The folder holds no Parquet files",
            where=address,
            expected=f"one file or more that ends in {_SUFFIX}",
            hint="look at the address, or convert a CSV: mlstats convert SOURCE TARGET",
        )
    joined = address.rstrip("/") + "/" if is_remote(address) else None
    ordered = sorted(seen, key=_natural)
    if joined is not None:
        return [joined + name for name in ordered]
    return [str(Path(address) / name) for name in ordered]


def _is_folder(address: str) -> bool:
    if not is_remote(address):
        return Path(address).is_dir()
    with reaching(address):
        return not store_of(address).isfile(address)


def _entries(address: str) -> dict[str, bool]:
    """Return what lies in a folder: name -> whether it is a folder."""
    with reaching(address):
        if not is_remote(address):
            return {entry.name: entry.is_dir() for entry in Path(address).iterdir()}
        found = store_of(address).ls(address, detail=True)
    folder = address.removeprefix("s3://").rstrip("/")
    return {
        base_name("s3://" + entry["name"]): entry["type"] == "directory"
        for entry in found
        # Some tools mark a folder by an empty object with the folder's own name.
        if entry["name"].rstrip("/") != folder
    }


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return a key by which part-2 comes before part-10."""
    pieces = [piece for piece in re.split(r"([0-9]+)", name) if piece]
    key = [
        (True, int(piece), "") if piece.isdecimal() else (False, 0, piece)
        for piece in pieces
    ]
    return key, name


def read_manifest(address: str) -> dict[str, Any] | None:
    """Return the manifest of a folder that has one, else None.

    Raises
    ------
    SourceError
        Where it cannot be read.
    """
    if not _is_folder(address) or MANIFEST not in _entries(address):
        return None
    place = f"{address.rstrip('/')}/{MANIFEST}"
    try:
        with opened(place) as file:
            told = json.loads(file.read())
        for entry in told["files"].values():
            int(entry["rows"]), str(entry["sha256"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SourceError(
            "The manifest of the folder cannot be read",
            where=place,
            expected="what `mlstats convert` writes",
            hint="convert the source again",
        ) from None
    return dict(told)


def check_manifest(
    told: Mapping[str, Any], address: str, rows: Mapping[str, int]
) -> None:
    """Check the files of a folder, path -> rows, against its manifest.

    Raises
    ------
    SourceError
        For files that are missing, that it does not list, or with other rows.
    """
    listed = {name: int(entry["rows"]) for name, entry in told["files"].items()}
    there = {base_name(path): count for path, count in rows.items()}
    for problem, names in (
        ("is in the manifest and not there", listed.keys() - there.keys()),
        ("is there and not in the manifest", there.keys() - listed.keys()),
        (
            "has other rows than the manifest says",
            {n for n in listed.keys() & there.keys() if listed[n] != there[n]},
        ),
    ):
        if names:
            raise SourceError(
                f"{len(names)} files of the table: {min(names)} {problem}",
                where=address,
                expected=f"the files that {MANIFEST} lists",
                hint="convert the source again, or copy the folder again",
            )
