"""The tables of earlier releases, which a damaged file must not pass for none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mlstats.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["kept_table", "part_files", "read_file", "table_files", "table_or_parts"]


def kept_table(path: Path) -> pd.DataFrame | None:
    """Return a table of a release, None where the release holds none of that name.

    Raises
    ------
    SourceError
        Where the file is there and cannot be read.
    """
    if not path.is_file():
        return None
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError):  # ArrowInvalid is a ValueError
        raise _damaged(path) from None


def part_files(path: Path) -> tuple[Path, ...]:
    """Return the files of a table that a release holds in parts, in their order.

    Parameters
    ----------
    path : pathlib.Path
        Of the table in one file, as ``units.parquet``; its parts lie in ``units/``.
    """
    return tuple(sorted(path.with_suffix("").glob("part-*.parquet")))


def table_files(path: Path) -> tuple[Path, ...]:
    """Return the files of a table of a release: the one, or those of its parts."""
    return (path,) if path.is_file() else part_files(path)


def read_file(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return columns of one file of a table, by default all.

    Raises
    ------
    SourceError
        Where it cannot be read, or lacks a column.
    """
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=None if columns is None else [*columns])
    except (OSError, ValueError):
        raise _damaged(path) from None


def table_or_parts(
    path: Path, columns: Sequence[str] | None = None
) -> pd.DataFrame | None:
    """Return columns of a table of a release, in one file or in parts, if it has any.

    Raises
    ------
    SourceError
        Where a file cannot be read.
    """
    files = table_files(path)
    if not files:
        return None
    import pyarrow as pa

    parts = [read_file(file, columns) for file in files]
    try:
        # A part may know fewer codes than another, or none.
        together = pa.concat_tables(parts, promote_options="permissive")
        table: pd.DataFrame = together.unify_dictionaries().to_pandas()
    except (OSError, ValueError, pa.ArrowException):  # not each is a ValueError
        raise _damaged(path) from None
    return table


def _damaged(path: Path) -> SourceError:
    return SourceError(
        "A release is damaged",
        where=str(path),
        hint="restore it from the backup; mlstats doctor names all that are",
    )
