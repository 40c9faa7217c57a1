"""The section of the report on what methods lean on; it names columns, never words."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from mlstats.quality.figures import DASH, Figure, as_text, number, points

__all__ = ["IMPORTANCE_COLUMNS", "importance_rows", "no_importances"]

IMPORTANCE_COLUMNS: Final = ("method", "column", "importance", "se", "lower", "upper")


def no_importances() -> pd.DataFrame:
    """Return the table of a run that measured none."""
    return pd.DataFrame(columns=list(IMPORTANCE_COLUMNS))


def importance_rows(importances: pd.DataFrame) -> list[tuple[str, str, Figure]]:
    """Return (method, column, figure in percentage points), as the page shows them.

    Parameters
    ----------
    importances : pandas.DataFrame
        The columns of :data:`IMPORTANCE_COLUMNS`; a column ``note`` may say why there
        is no number.
    """
    return [
        (as_text(row["method"]), as_text(row["column"]), _figure(row))
        for row in importances.to_dict("records")
    ]


def _figure(row: dict[Any, Any]) -> Figure:
    value, lower, upper = (
        number(row[name]) for name in ("importance", "lower", "upper")
    )
    note = as_text(row.get("note"))
    if value != value:
        return Figure(DASH, missing=f"not measured: {note}" if note else "not measured")
    bounded = lower == lower and upper == upper
    interval = f"{points(lower)} to {points(upper)}" if bounded else ""
    return Figure(points(value), interval, note=note)
