"""Treated blocks on their way from workers to two files, and between two runs.

A finished block lies as one file in a hidden folder beside the target, under a key of
all that it depends on, until all are there: a run that was killed goes on where it
was. What is put together from them does not tell where a block ended.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import math
import os
import pickle
import secrets
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.processing import PROVENANCE_COLUMNS, Processed
from mlstats.errors import ServiceError
from mlstats.object_store import reaching

__all__ = ["TABLES", "BlockStore", "RowWriter", "identity", "packed", "unpacked"]

TABLES = ("values", "cells", "counts", "edits")
# Rows of a row group of the result; blocks of any size end up in the same.
GROUP_ROWS = 65_536
_HEAD = struct.Struct("<IQ")


def packed(found: Processed, values: Any, places: npt.NDArray[np.int64]) -> bytes:
    """Return a treated block as bytes.

    Parameters
    ----------
    found : Processed
        Its records that were treated.
    values : pyarrow.Table
        All of its records.
    places : ndarray of int
        Of the records that were treated, in the source.
    """
    import pyarrow as pa

    tables = {"values": values, "cells": _text_cells(found, places)}
    for name, frame in (("counts", found.counts), ("edits", found.edits)):
        tables[name] = pa.Table.from_pandas(frame, preserve_index=False)
    parts = [_stream(tables[name]) for name in TABLES]
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def unpacked(content: bytes, wanted: tuple[str, ...] = TABLES) -> dict[str, Any]:
    """Return tables of a block."""
    import pyarrow as pa

    found, at = {}, 0
    for name in TABLES:
        (size,) = struct.unpack_from("<Q", content, at)
        if name in wanted:
            part = memoryview(content)[at + 8 : at + 8 + size]
            found[name] = pa.ipc.open_stream(part).read_all()
        at += 8 + size
    return found


def _stream(table: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _text_cells(found: Processed, places: npt.NDArray[np.int64]) -> Any:
    """Return the provenance of a block as a table of texts."""
    import pyarrow as pa

    cells = found.cells
    place = places[found.values.index.get_indexer(pd.Index(cells["unit"]))]
    texts = (_texts(cells[name]) for name in PROVENANCE_COLUMNS)
    columns = [pa.array(place.astype(np.int64)), *texts]
    return pa.Table.from_arrays(columns, names=["row", *PROVENANCE_COLUMNS])


def _texts(column: pd.Series) -> Any:
    import pyarrow as pa

    if isinstance(column.dtype, pd.StringDtype):
        return pa.chunked_array([column.array], pa.string())
    values = column.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty"):
        return pa.array(values, pa.string(), from_pandas=True)
    # Nearly all are numbers: a call for each of them would take as long again.
    told = [
        (repr(value) if value == value else None)
        if type(value) is float
        else _text(value)
        for value in values.tolist()
    ]
    return pa.array(told, pa.string())


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return None if math.isnan(value) else repr(float(value))
    return str(value)


class BlockStore:
    """Finished blocks of one run, by number.

    Parameters
    ----------
    folder : Path
        Where they lie; what another key left there is thrown away.
    key : str
        Digest of all that they depend on.

    Attributes
    ----------
    numbers : frozenset of int
        Blocks that were there when the store was opened.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / key
        with reaching(str(folder)):
            self.folder.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            if other.is_dir() and other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        there = (p for p in self.folder.glob("*.block") if p.stem.isdigit())
        self.numbers = frozenset(
            int(path.stem) for path in there if self._content(path) is not None
        )

    def add(self, number: int, content: bytes) -> None:
        """Keep a block; it is there whole or not at all.

        Raises
        ------
        ServiceError
            Where the disk is full, or refuses.
        """
        path = self._path(number)
        hidden = path.with_suffix(".part")
        whole = _HEAD.pack(zlib.crc32(content), len(content)) + content
        with reaching(str(self.folder)):
            hidden.write_bytes(whole)
            os.replace(hidden, path)

    def read(self, number: int) -> bytes:
        """Return a block that is there.

        Raises
        ------
        ServiceError
            Where the disk does not give back what was written.
        """
        content = self._content(self._path(number))
        if content is None:
            raise ServiceError(
                "A finished block cannot be read back",
                where=str(self.folder),
                hint="run it again: what is whole is not done anew",
            )
        return content

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.block"

    def _content(self, path: Path) -> bytes | None:
        try:
            whole = path.read_bytes()
        except OSError:
            return None
        if len(whole) < _HEAD.size:
            return None
        check, size = _HEAD.unpack_from(whole)
        content = whole[_HEAD.size :]
        good = len(content) == size and zlib.crc32(content) == check
        return content if good else None


class RowWriter:
    """A Parquet file whose row groups do not depend on the pieces it is given.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: Any = None
        self._waiting: list[Any] = []
        self._have = 0

    def write(self, table: Any) -> None:
        """Add rows."""
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema)
        self._waiting.append(table)
        self._have += len(table)
        if self._have >= GROUP_ROWS:
            self._write_groups(self._have // GROUP_ROWS * GROUP_ROWS)

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._writer is not None:
            self._write_groups(self._have)
            self._writer.close()

    def _write_groups(self, upto: int) -> None:
        import pyarrow as pa

        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        for at in range(0, upto, GROUP_ROWS):
            # Pages end by the pieces of a column, so that it has to be one.
            group = table.slice(at, min(GROUP_ROWS, upto - at)).combine_chunks()
            self._writer.write_table(group, row_group_size=GROUP_ROWS)
        self._waiting, self._have = [table.slice(upto)], len(table) - upto


def identity(*parts: Any) -> str:
    """Return a digest of values that is the same in every process.

    Objects are told by their class and attributes, sets in the order of their texts
    (a pickle has them in an order that differs from process to process), functions by
    their source, defaults and what they are bound to.
    """
    digest = hashlib.sha256()
    _tell(parts, digest.update)
    return digest.hexdigest()


def _tell(value: Any, tell: Callable[[bytes], Any]) -> None:
    tell(f"<{type(value).__qualname__}".encode())
    if isinstance(value, pd.DataFrame | pd.Series | pd.Index):
        tell(pickle.dumps(getattr(value, "columns", None)))
        tell(pd.util.hash_pandas_object(value).to_numpy().tobytes())
    elif isinstance(value, np.ndarray):
        tell(str((value.dtype, value.shape)).encode())
        tell(
            value.tobytes() if value.dtype != object else repr(value.tolist()).encode()
        )
    elif isinstance(value, Mapping):
        for key, one in value.items():
            tell(repr(key).encode())
            _tell(one, tell)
    elif isinstance(value, set | frozenset):
        tell(repr(sorted(map(repr, value))).encode())
    elif isinstance(value, list | tuple):
        for one in value:
            _tell(one, tell)
    else:
        _tell_object(value, tell)
    tell(b">")


def _tell_object(value: Any, tell: Callable[[bytes], Any]) -> None:
    if inspect.isroutine(value) or inspect.isclass(value):
        tell(f"{value.__module__}.{value.__qualname__}".encode())
        with contextlib.suppress(OSError, TypeError):
            tell(inspect.getsource(value).encode())
        closure: Any = getattr(value, "__closure__", None)
        _tell([cell.cell_contents for cell in closure or ()], tell)
        for given in ("__defaults__", "__kwdefaults__"):
            _tell(getattr(value, given, None), tell)
        bound = getattr(value, "__self__", None)
        if not inspect.ismodule(bound):
            _tell_pickled(bound, tell)
    elif isinstance(value, functools.partial):
        _tell((value.func, value.args, value.keywords), tell)
    elif is_dataclass(value):
        for field in fields(value):
            _tell(getattr(value, field.name), tell)
    elif isinstance(value, str | bytes | int | float | bool | Path) or value is None:
        tell(repr(value).encode())
    elif hasattr(value, "__dict__"):
        with contextlib.suppress(OSError, TypeError):
            tell(inspect.getsource(type(value)).encode())
        _tell(vars(value), tell)
    else:
        _tell_pickled(value, tell)


def _tell_pickled(value: Any, tell: Callable[[bytes], Any]) -> None:
    try:
        tell(pickle.dumps(value))
    except Exception:
        # What cannot be told is like nothing that was there before.
        tell(secrets.token_bytes(16))
