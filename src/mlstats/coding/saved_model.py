"""What a saved method tells of itself, and the error where it cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlstats.errors import SourceError

__all__ = ["read_description", "unreadable"]


def read_description(path: Path) -> dict[str, Any]:
    """Return what the description of a saved method holds.

    Parameters
    ----------
    path : pathlib.Path
        Of the JSON file.

    Raises
    ------
    SourceError
        Where the file is missing or is not JSON.
    """
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(path) from error
    return about


def unreadable(path: Path) -> SourceError:
    """Return the error for a file of a saved method that cannot be read."""
    return SourceError(
        "The saved model cannot be read", where=str(path), expected="a saved model"
    )
