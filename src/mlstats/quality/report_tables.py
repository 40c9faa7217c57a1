"""The tables that a report may hold beside its scorecard, and the least cell of each.

A cell of fewer than ten units is not told in any form of the report: its row stays
and says why, its figures go.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

__all__ = [
    "AGGREGATE_COLUMNS",
    "INDEX_COLUMNS",
    "KEPT_BACK",
    "LEAST_UNITS",
    "PREVIOUS_COLUMNS",
    "TOTAL",
    "empty",
    "told",
]

LEAST_UNITS: Final = 10
KEPT_BACK: Final = f"kept back: fewer than {LEAST_UNITS} units"

# What stands for the class in a row of aggregates that is a total, not a share.
TOTAL: Final = "total"

AGGREGATE_COLUMNS: Final = (
    "level", "variable", "domain", "arm", "kind", "value", "se", "lower", "upper",
    "difference", "difference_se", "difference_lower", "difference_upper", "gap",
    "gap_lower", "gap_upper", "n", "status", "note",
)  # fmt: skip
INDEX_COLUMNS: Final = (
    "index", "period", "arm", "kind", "value", "se", "lower", "upper", "difference",
    "difference_se", "difference_lower", "difference_upper", "n", "status", "note",
)  # fmt: skip
PREVIOUS_COLUMNS: Final = (
    "indicator", "level", "method", "now", "before", "difference", "lower", "upper",
    "note",
)  # fmt: skip
_NUMBERS: Final = AGGREGATE_COLUMNS[5:16]


def empty(columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a table without rows."""
    return pd.DataFrame(columns=list(columns))


def told(aggregates: pd.DataFrame) -> pd.DataFrame:
    """Return aggregates without the figures of cells that are too small.

    Parameters
    ----------
    aggregates : pandas.DataFrame
        Columns :data:`AGGREGATE_COLUMNS`.

    Returns
    -------
    pandas.DataFrame
        The same rows; where ``n`` is below :data:`LEAST_UNITS` the figures and the
        number of units are missing, the status is not_measured and the note says so.
    """
    n = pd.to_numeric(aggregates["n"], errors="coerce")
    small = n.notna() & (n < LEAST_UNITS)
    if not small.any():
        return aggregates
    shown = aggregates.astype(dict.fromkeys(_NUMBERS, "float64"))
    shown[["status", "note"]] = shown[["status", "note"]].astype(object)
    shown.loc[small, list(_NUMBERS)] = float("nan")
    shown.loc[small, "status"] = "not_measured"
    shown.loc[small, "note"] = KEPT_BACK
    shown["n"] = n.astype("Int64").mask(small)
    return shown
