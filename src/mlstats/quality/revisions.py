"""Revisions of a published series, and the break where its method changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mlstats.quality.bias import bias_ratio
from mlstats.quality.estimate import Estimate, Status, absent, t_estimate
from mlstats.quality.series import SeriesTest, mean_over_time

__all__ = [
    "Revision",
    "SwitchOver",
    "revision",
    "revision_table",
    "switch_over_break",
]

# Periods of overlap below which a break is not told.
_OVERLAP = 4


@dataclass(frozen=True)
class Revision:
    """What became of the first figures of a series.

    Parameters
    ----------
    mean : SeriesTest
        Mean of later minus first, and the test that it is zero: a systematic revision.
    mean_absolute, root_mean_square : float
        Usual size, in the unit of the series.
    relative_mean_absolute : float
        Sum of the absolute revisions over that of the absolute later figures.
    sign_changes : float
        Share of periods whose growth (or figure) changed its sign.
    n : int
        Periods that have both figures.
    status, note : str
        As in :class:`~mlstats.quality.estimate.Estimate`.
    """

    mean: SeriesTest
    mean_absolute: float
    root_mean_square: float
    relative_mean_absolute: float
    sign_changes: float
    n: int
    status: Status = "measured"
    note: str = ""


def revision(
    first: np.ndarray,
    later: np.ndarray,
    *,
    series: Literal["level", "growth"] = "level",
    confidence: float = 0.95,
) -> Revision:
    """Summarise the revisions of a series between two of its releases.

    Mean revision with a test that allows for correlation in time, mean absolute
    revision, its relative form and the root mean square (McKenzie and Gamba 2008,
    "Interpreting the results of revision analyses", OECD). Applied to the figures of
    an old and a new method on the same releases it tells what the method changed, and
    to two releases of the same method what the data changed.

    Parameters
    ----------
    first, later : numpy.ndarray, shape (periods,)
        Figures in the order of time; periods without both do not count.
    series : {"level", "growth"}
        Whether the sign is that of the change from one period to the next within a
        release, or of the figures themselves.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(later, dtype=float)
    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    gap = (b - a)[both]
    mean = mean_over_time(gap, confidence=confidence)
    if n < 2:
        nan, note = np.nan, "fewer than two periods have both figures"
        return Revision(mean, nan, nan, nan, nan, n, "not_measured", note)
    signs = (np.sign(a), np.sign(b)) if series == "growth" else _steps(a, b)
    told = np.isfinite(signs[0]) & np.isfinite(signs[1])
    changed = float((signs[0] != signs[1])[told].mean()) if told.any() else np.nan
    size = float(np.abs(b[both]).sum())
    return Revision(
        mean,
        float(np.abs(gap).mean()),
        float(np.sqrt((gap**2).mean())),
        float(np.abs(gap).sum()) / size if size > 0 else np.nan,
        changed,
        n,
        note=mean.mean.note,
    )


def revision_table(
    triangle: pd.DataFrame,
    *,
    series: Literal["level", "growth"] = "level",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Summarise a revision triangle, each later release against the first.

    Parameters
    ----------
    triangle : pandas.DataFrame
        A row per reference period in the order of time, a column per release in the
        order of publication; empty where a period has not had that release.

    Returns
    -------
    pandas.DataFrame
        A row per later release: release, n, mean_revision, se, lower, upper, p_value,
        mean_absolute, root_mean_square, relative_mean_absolute, sign_changes, status,
        note. The p-value is NaN where there is no test, and the note says why.
    """
    releases = list(triangle.columns)
    first = triangle[releases[0]].to_numpy(dtype=float) if releases else np.array([])
    rows = []
    for release in releases[1:]:
        later = triangle[release].to_numpy(dtype=float)
        found = revision(first, later, series=series, confidence=confidence)
        mean, p_value = found.mean.mean, found.mean.p_value
        rows.append(
            {
                "release": str(release),
                "n": found.n,
                "mean_revision": mean.value,
                "se": mean.se,
                "lower": mean.lower,
                "upper": mean.upper,
                "p_value": np.nan if p_value is None else p_value,
                "mean_absolute": found.mean_absolute,
                "root_mean_square": found.root_mean_square,
                "relative_mean_absolute": found.relative_mean_absolute,
                "sign_changes": found.sign_changes,
                "status": found.status,
                "note": found.note,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class SwitchOver:
    """The break that a change of method leaves in a series.

    Parameters
    ----------
    difference : Estimate
        Mean of new minus old over the overlap.
    ratio : Estimate
        Its size in sampling standard errors of the figure.
    back_cast : {"needed", "not needed", "inconclusive", "not_measured"}
        Needed where the break is shown to exceed one standard error.
    """

    difference: Estimate
    ratio: Estimate
    back_cast: Literal["needed", "not needed", "inconclusive", "not_measured"]


def switch_over_break(
    old: np.ndarray,
    new: np.ndarray,
    sampling_se: float,
    *,
    paired_se: np.ndarray | None = None,
    confidence: float = 0.95,
) -> SwitchOver:
    """Estimate the break between two methods from the periods that have both.

    With the standard errors of the paired differences the break of these very periods
    is estimated, ``sqrt(sum se**2) / T``. Without them the spread over time is all
    there is; below 12 periods that has one degree of freedom and hardly ever decides.

    Parameters
    ----------
    old, new : numpy.ndarray, shape (periods,)
        Figures by each method, in the order of time.
    sampling_se : float
        Sampling standard error of the published figure, which counts as known.
    paired_se : numpy.ndarray, shape (periods,), optional
        Standard error of ``new - old`` in each period, from samples that do not
        overlap between periods; those of a rotating panel understate the error.
    """
    a, b = np.asarray(old, dtype=float), np.asarray(new, dtype=float)
    both = np.isfinite(a) & np.isfinite(b)
    gap = (b - a)[both]
    if len(gap) < _OVERLAP:
        note = f"{len(gap)} periods overlap, at least {_OVERLAP} are needed"
        gone = absent("not_measured", note, len(gap))
        return SwitchOver(gone, gone, "not_measured")
    difference = mean_over_time(gap, confidence=confidence).mean
    if paired_se is not None:
        errors = np.asarray(paired_se, dtype=float)[both]
        se = float(np.sqrt((errors**2).sum())) / len(gap)
        difference = t_estimate(
            float(gap.mean()), se, np.inf, n=len(gap), confidence=confidence
        )
    ratio = bias_ratio(difference, sampling_se)
    if ratio.status != "measured" or not np.isfinite(ratio.lower):
        return SwitchOver(difference, ratio, "not_measured")
    if ratio.lower > 1:
        return SwitchOver(difference, ratio, "needed")
    return SwitchOver(
        difference, ratio, "not needed" if ratio.upper <= 1 else "inconclusive"
    )


def _steps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.sign(np.diff(a)), np.sign(np.diff(b))
