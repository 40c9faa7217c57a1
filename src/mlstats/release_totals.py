"""What a release publishes: each figure beside the baseline, last period, last year.

A figure has the error of its sample. The difference from the baseline is of the same
units; the changes take two periods as independent samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.previous import welch_interval
from mlstats.quality.report_tables import LEAST_UNITS

__all__ = [
    "EARLIER",
    "TOTALS",
    "compared_with",
    "method_difference",
    "t_limits",
    "told_sizes",
]

# Column -> type of the figures that every theme publishes.
TOTALS: Final[Mapping[str, str]] = {
    "variable": "str",
    "domain": "str",  # "column=value", empty: all units
    "class": "str",  # of a classification, empty for a number
    "estimate": "float64",
    "se": "float64",
    "df": "float64",
    "lower": "float64",
    "upper": "float64",
    "n": "int64",
    "open_share": "float64",  # of its weight, that waits for a clerk
    "baseline": "float64",
    "difference": "float64",  # as released less the baseline, same units
    "difference_lower": "float64",
    "difference_upper": "float64",
    "note": "str",
}
EARLIER: Final = ("last_period", "last_year")
_KEY: Final = ["variable", "domain", "class"]


def t_limits(value: float, se: float, df: float) -> tuple[float, float]:
    """Return the ends of the 95 % t interval, NaN where it cannot be told."""
    if not (np.isfinite(se) and df > 0):
        return np.nan, np.nan
    half = float(stats.t.ppf(0.975, df)) * se
    return value - half, value + half


def compared_with(
    totals: pd.DataFrame, earlier: pd.DataFrame, name: str
) -> pd.DataFrame:
    """Return the totals with what they were in an earlier release.

    Parameters
    ----------
    totals : pandas.DataFrame
        Columns :data:`TOTALS`.
    earlier : pandas.DataFrame
        Of the earlier release; empty where there is none.
    name : str
        Of :data:`EARLIER`.

    Returns
    -------
    pandas.DataFrame
        With the columns NAME, NAME_change, NAME_lower and NAME_upper; the interval is
        Welch's of two independent samples.
    """
    known = earlier.reindex(columns=[*_KEY, "estimate", "se", "df"])
    known = known.astype(dict.fromkeys(_KEY, "str"))  # of an empty table: numbers
    both = totals[_KEY].merge(
        known.rename(columns={"estimate": "then", "se": "se_then", "df": "df_then"}),
        on=_KEY,
        how="left",
        validate="one_to_one",
    )
    then = both["then"].to_numpy(dtype=float)
    change = totals["estimate"].to_numpy(dtype=float) - then
    ends = [
        _welch(gap, one, two)
        for gap, one, two in zip(
            change,
            totals[["se", "df"]].to_numpy(dtype=float),
            both[["se_then", "df_then"]].to_numpy(dtype=float),
            strict=True,
        )
    ]
    lower, upper = np.array(ends, dtype=float).reshape(-1, 2).T
    return totals.assign(
        **{
            name: then,
            f"{name}_change": change,
            f"{name}_lower": lower,
            f"{name}_upper": upper,
        }
    )


def _welch(gap: float, now: np.ndarray, then: np.ndarray) -> tuple[float, float]:
    errors, df = np.array([now[0], then[0]]), np.array([now[1], then[1]])
    told = np.isfinite([gap, *errors]).all() and (errors > 0).all() and (df >= 1).all()
    return welch_interval(gap, errors, df) if told else (np.nan, np.nan)


def told_sizes(sizes: pd.Series) -> list[str]:
    """Return the groups of a domain that are told, sorted, given the units of each.

    A group of fewer than ten units is not, nor the groups without which the units of
    all that are left out would be fewer than ten: what one small group holds would be
    what the others leave of the whole. Of groups of one size the first by name goes
    first, whatever the order of the data.

    Examples
    --------
    >>> told_sizes(pd.Series({"a": 20, "b": 12, "c": 3}))
    ['a']
    """
    sizes = sizes.sort_index().sort_values(kind="stable")
    before = sizes.cumsum() - sizes
    hidden = (sizes < LEAST_UNITS) | ((before > 0) & (before < LEAST_UNITS))
    return sorted(map(str, sizes.index[~hidden]))


def method_difference(
    totals: pd.DataFrame, last: Mapping[str, Any], table: pd.DataFrame
) -> pd.DataFrame:
    """Return the break that a switch to the baseline makes, by the last joint period.

    Parameters
    ----------
    totals : pandas.DataFrame
        Of the period that the baseline produces.
    last : mapping
        Facts of the last release in which both methods answered.
    table : pandas.DataFrame
        Its totals.

    Returns
    -------
    pandas.DataFrame
        Columns variable, domain, class, period (of the joint release), difference
        (champion less baseline, same units), difference_lower and difference_upper:
        what has to be added to a figure of this period to link it to the series.
    """
    kept = table[[*_KEY, "difference", "difference_lower", "difference_upper"]]
    linked = totals[_KEY].merge(kept, on=_KEY, how="left", validate="one_to_one")
    linked.insert(3, "period", str(last.get("period", "")))
    return linked
