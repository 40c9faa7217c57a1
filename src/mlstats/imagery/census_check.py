"""Error of disaggregated figures against a finer census, with intervals over zones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.errors import ContractError
from mlstats.imagery.variance_components import Floats

__all__ = ["disaggregation_errors"]

MEASURES = ("total absolute error", "root mean square error")


def disaggregation_errors(
    units: pd.DataFrame,
    arms: Sequence[str],
    *,
    truth: str,
    zone: str,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare arms with the truth of the same units, and each with the first arm.

    Parameters
    ----------
    units : pandas.DataFrame
        One row per small unit: its true figure, its zone and a column per arm.
    arms : sequence of str
        Columns of estimates; the first is the baseline.
    truth, zone : str
    confidence : float

    Returns
    -------
    pandas.DataFrame
        measure, method, against (the baseline, or "" for a level), estimate,
        standard_error, low, high, df, zones, units. The total absolute error is
        sum |estimate - truth| / sum truth; the root mean square error is relative to
        the mean of the truth. A difference is the arm less the baseline: below 0 the
        arm is better.

    Raises
    ------
    ContractError
        Missing figures, fewer than three zones, no truth above 0.

    Notes
    -----
    Delete-one-zone jackknife: units of a zone share its total, so their errors are not
    independent. v = (G - 1) / G sum_g (theta_(g) - mean)^2, t with G - 1 degrees of
    freedom (Wolter 2007, section 4.2).
    """
    figures = units[[truth, *arms]].to_numpy(float)
    codes, zones = pd.factorize(units[zone])
    if not np.isfinite(figures).all() or (codes < 0).any():
        raise ContractError("figures or zones of units are missing")
    if len(zones) < 3 or figures[:, 0].sum() <= 0:
        raise ContractError(
            "errors have no interval", expected="three zones and a truth above 0"
        )
    levels, left_out = _measures(figures, codes, len(zones))
    rows = []
    for index, measure in enumerate(MEASURES):
        for arm, name in enumerate(arms):
            cells = left_out[:, index, arm], levels[index, arm]
            rows.append((measure, name, "", *cells))
            if arm:
                gap = left_out[:, index, arm] - left_out[:, index, 0]
                level = levels[index, arm] - levels[index, 0]
                rows.append((measure, name, arms[0], gap, level))
    table = [_row(*row, confidence=confidence) for row in rows]
    return pd.DataFrame(table).assign(zones=len(zones), units=len(units))


def _measures(figures: Floats, codes: np.ndarray, count: int) -> tuple[Floats, Floats]:
    """Both measures of all arms, whole and without each zone."""
    truth, error = figures[:, :1], figures[:, 1:] - figures[:, :1]
    columns = np.hstack([truth, np.ones_like(truth), np.abs(error), error**2])
    sums = np.stack([np.bincount(codes, c, count) for c in columns.T], axis=1)
    whole = sums.sum(axis=0)
    arms = error.shape[1]

    def of(s: Floats) -> Floats:
        absolute = s[..., 2 : 2 + arms] / s[..., :1]
        square = np.sqrt(s[..., 2 + arms :] / s[..., 1:2]) * s[..., 1:2] / s[..., :1]
        return np.stack([absolute, square], axis=-2)

    return of(whole), of(whole - sums)


def _row(
    measure: str,
    method: str,
    against: str,
    left_out: Floats,
    level: float,
    *,
    confidence: float,
) -> dict[str, object]:
    groups = len(left_out)
    spread = float(np.sum((left_out - left_out.mean()) ** 2))
    error = np.sqrt((groups - 1) / groups * spread)
    half = stats.t.ppf(0.5 + confidence / 2, groups - 1) * error
    return {
        "measure": measure,
        "method": method,
        "against": against,
        "estimate": float(level),
        "standard_error": float(error),
        "low": float(level - half),
        "high": float(level + half),
        "df": groups - 1,
    }
