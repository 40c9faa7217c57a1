"""The tables of earlier releases, which a damaged file must not pass for none."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlstats.errors import SourceError

__all__ = ["kept_table"]


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
        raise SourceError(
            "A release is damaged",
            where=str(path),
            hint="restore it from the backup; mlstats doctor names all that are",
        ) from None
