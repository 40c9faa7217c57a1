"""Writing files that are whole or not there.

A file is completed beside its place, flushed to the disk and then moved there, so
that a full disk or a stopped run never leaves half of it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from mlstats.errors import MlstatsError, ServiceError
from mlstats.workbook import write_sheets
from mlstats.workbook_form import Form

__all__ = [
    "sole_writer",
    "write_atomic",
    "write_folder",
    "write_json",
    "write_parquet",
    "write_text",
    "write_xlsx",
]

_log = logging.getLogger(__name__)

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "there is no permission to write here",
    errno.EPERM: "there is no permission to write here",
}


def write_atomic(path: str | Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a hidden file beside `path`, then move it to `path`.

    Folders that are missing are made. Where anything fails, the hidden file is
    removed and what lay at `path` before stays as it was.

    Parameters
    ----------
    path : str or pathlib.Path
        Where the file is to lie.
    write : callable
        Gets the path of the hidden file and writes it.

    Raises
    ------
    ServiceError
        Where the system refuses: disk or quota full, read-only, no permission.
    """
    path = Path(path)
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(hidden)
        _flush(hidden)
        os.replace(hidden, path)
        _flush_folder(path.parent)
    except OSError as error:
        raise _not_written("file", path, error) from None
    finally:
        # After a success there is nothing left to remove.
        _remove(hidden)


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a hidden folder beside `path`, then move it to `path`.

    What a stopped run left of one before is removed first: the caller sees to it that
    nobody else writes this folder.

    Parameters
    ----------
    path : pathlib.Path
        Where the folder is to lie; nothing may lie there.
    write : callable
        Gets the hidden folder, which is there, and fills it.

    Raises
    ------
    ServiceError
        As :func:`write_atomic`.
    """
    hidden = path.with_name(f".{path.name}.tmp")
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        write(hidden)
        for file in hidden.iterdir():
            _flush(file)
        _flush_folder(hidden)
        hidden.rename(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise _not_written("folder", path, error) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Keep other runs from what is written at a place, until this one ends.

    Parameters
    ----------
    path : pathlib.Path
        Where the file or folder is to lie; the lock lies beside it meanwhile.

    Raises
    ------
    ServiceError
        Where another run has the place, and where the system refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock")
        lock = FileLock(file, timeout=0)
        lock.acquire()
    except Timeout:
        raise ServiceError(
            "Another run writes to this place",
            where=str(path),
            hint="wait for it, or name another place",
        ) from None
    except OSError as error:
        raise _not_written("folder", path, error) from None
    try:
        yield
    finally:
        with suppress(OSError):  # some systems let go of it only afterwards
            file.unlink()
        lock.release()


def _not_written(what: str, path: Path, error: OSError) -> ServiceError:
    code = error.errno or 0
    reason = _REASONS.get(code) or (os.strerror(code) if code else "unknown reason")
    return ServiceError(
        f"The {what} cannot be written: {reason}",
        where=str(path),
        expected="a place with room and the permission to write",
        hint="make room or choose another place, then run again",
    )


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the move itself durable, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("A hidden file could not be removed: %s", error.strerror)


def write_text(path: str | Path, text: str) -> None:
    """Write a text as UTF-8 with its line ends as they are.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    text : str
        Its whole content.

    Raises
    ------
    ServiceError
        As :func:`write_atomic`.
    """

    def write(hidden: Path) -> None:
        hidden.write_bytes(text.encode("utf-8"))

    write_atomic(path, write)


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as canonical JSON: UTF-8, sorted keys, two spaces, one line end.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    value : object
        Of dict, list, str, int, float, bool and None.

    Raises
    ------
    MlstatsError
        For NaN and infinity, which JSON cannot hold, and for other types.
    ServiceError
        As :func:`write_atomic`.
    """
    try:
        text = json.dumps(
            value, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False
        )
    except (TypeError, ValueError):
        raise MlstatsError(
            "The value cannot be written as JSON",
            where=str(path),
            expected="texts, finite numbers, true, false, null, lists and mappings",
            hint="write a missing number as null",
        ) from None
    write_text(path, text + "\n")


def write_parquet(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet, without its index.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    frame : pandas.DataFrame
        Any columns that Parquet holds.

    Raises
    ------
    ServiceError
        As :func:`write_atomic`.
    """
    write_atomic(path, lambda hidden: frame.to_parquet(hidden, index=False))


def write_xlsx(
    path: str | Path,
    sheets: dict[str, pd.DataFrame],
    notes: list[str] | None = None,
    *,
    red: Mapping[str, Collection[int]] | None = None,
    forms: Mapping[str, Form] | None = None,
) -> int:
    """Write tables as a workbook whose texts are never evaluated.

    What is done to texts is said at :func:`mlstats.workbook.write_sheets`.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    sheets : dict of str to pandas.DataFrame
        Sheet name to table, in this order; indexes are not written.
    notes : list of str, optional
        Sentences for a last sheet named Notes.
    red : mapping of str to collection of int, optional
        Sheet -> rows of its table whose texts stand in red.
    forms : mapping of str to Form, optional
        Sheet -> what people may do in it; without, nothing is locked.

    Returns
    -------
    int
        How many characters were left out because a workbook cannot hold them.

    Raises
    ------
    SourceError
        For a table with more rows or columns than a sheet holds.
    MlstatsError
        For a sheet name that a workbook cannot have.
    ServiceError
        As :func:`write_atomic`.
    """
    dropped = 0

    def write(hidden: Path) -> None:
        nonlocal dropped
        dropped = write_sheets(hidden, sheets, notes or [], red, forms)

    write_atomic(path, write)
    if dropped:
        _log.warning("%d characters cannot stand in a workbook", dropped)
    return dropped
