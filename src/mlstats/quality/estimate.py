"""A figure with what is needed to judge it: error, interval, size, status, reason.

A figure that cannot be worked out is not left out and not zero: its status and note
say why. Verdicts are made from intervals, never from the value alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

__all__ = [
    "Estimate",
    "Status",
    "absent",
    "as_table",
    "estimate_of",
    "t_estimate",
]

NO_VARIATION = "nothing varies in the sample: no interval"
Status = Literal["measured", "not_measured", "not_applicable"]


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error and interval.

    Parameters
    ----------
    value : float
        NaN unless measured.
    se, df : float
        Standard error and degrees of freedom; NaN where they are not defined, `df`
        is infinite where the standard error is taken as known.
    lower, upper : float
        Limits of the two-sided interval, NaN where there is none.
    n : int
        Units behind the value.
    n_effective : float
        Size of a simple random sample with the same standard error.
    status : {"measured", "not_measured", "not_applicable"}
        Whether there is a value.
    note : str
        Why there is no value or no interval, or what to know of them.
    interval : str
        How the interval was made.
    """

    value: float
    se: float = np.nan
    df: float = np.nan
    lower: float = np.nan
    upper: float = np.nan
    n: int = 0
    n_effective: float = np.nan
    status: Status = "measured"
    note: str = ""
    interval: str = ""

    @property
    def has_error(self) -> bool:
        """Whether a test or a bound can be made from the standard error."""
        return bool(np.isfinite([self.se, self.lower]).all() and self.df >= 1)

    def one_sided(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the lower and the upper one-sided t bound, NaN where undefined."""
        if not self.has_error:
            return (np.nan, np.nan)
        half = float(stats.t.ppf(confidence, self.df)) * self.se
        return (self.value - half, self.value + half)


def absent(status: Status, note: str, n: int = 0) -> Estimate:
    """Return an estimate without a value, and the reason."""
    return Estimate(np.nan, n=n, status=status, note=note)


def t_estimate(
    value: float,
    se: float,
    df: float,
    *,
    n: int = 0,
    n_effective: float = np.nan,
    note: str = "",
    confidence: float = 0.95,
) -> Estimate:
    """Return an estimate with its t interval.

    Without a usable standard error the value stands alone and the note says so: a
    sample in which nothing varies does not prove that nothing varies.

    Examples
    --------
    >>> t_estimate(1.0, 0.1, float("inf")).upper
    1.1959963984540054
    """
    if not np.isfinite(value):
        return absent("not_measured", note or "the value is not defined", n)
    if not np.isfinite(se) or not df >= 1:
        reason = note or "too few clusters for a standard error"
        return Estimate(value, np.nan, df, n=n, note=reason)
    if se == 0:
        return Estimate(value, 0.0, df, n=n, note=note or NO_VARIATION)
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * se
    return Estimate(
        value, se, df, value - half, value + half, n, n_effective, note=note,
        interval="t",
    )  # fmt: skip


def estimate_of(row: Mapping[Any, Any] | pd.Series) -> Estimate:
    """Return the estimate that a row of :func:`as_table` tells.

    A column that the row does not have takes its default.
    """
    numbers = ("value", "se", "df", "lower", "upper", "n_effective")
    return Estimate(
        **{name: float(row[name]) for name in numbers if name in row},
        n=int(row["n"]),
        status=row.get("status", "measured"),
        note=str(row.get("note", "")),
        interval=str(row.get("interval", "")),
    )


def as_table(
    rows: Iterable[tuple[Mapping[str, Any], Estimate]], keys: Sequence[str]
) -> pd.DataFrame:
    """Return a table of estimates: the columns of each key, then the estimate's.

    Parameters
    ----------
    rows : iterable of (mapping, Estimate)
        What the estimate is of, and the estimate.
    keys : sequence of str
        Names of the first columns, for a table without rows too.
    """
    columns = [*keys, *(field.name for field in fields(Estimate))]
    cells = [{**key, **asdict(estimate)} for key, estimate in rows]
    return pd.DataFrame(cells, columns=columns)
