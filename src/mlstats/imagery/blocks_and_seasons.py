"""Groups for validation: blocks of land as large as the errors reach, and seasons.

Training pixels that lie together are alike, and so are the errors made on them. A fold
that takes every fifth pixel leaves the neighbours of what it tests in training; a fold
of whole blocks, each as large as the range of the errors' autocorrelation, does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls
from scipy.spatial.distance import pdist

from mlstats.errors import ConfigError, ContractError
from mlstats.imagery.variance_components import Floats

__all__ = ["Variogram", "block_cores", "block_range", "seasons", "spatial_blocks"]

RangeStatus = Literal["found", "no correlation", "beyond the distances seen"]

_LEAST_PAIRS = 30
_ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Variogram:
    """An empirical variogram and the spherical model through it.

    Parameters
    ----------
    range : float
        Distance from which on errors are unrelated, in the unit of the coordinates: 0
        where none is correlated with its neighbours; the longest distance seen, a
        lower bound, where the variogram still rises there.
    nugget, sill : float
        Semivariance at distance 0 and from the range on.
    p : float
        Of the hypothesis that the residuals lie at random among the places.
    status : str
        "found", "no correlation" or "beyond the distances seen".
    table : pandas.DataFrame
        A row per class of distances: distance (mean), pairs, semivariance, fitted.
    """

    range: float
    nugget: float
    sill: float
    p: float
    status: RangeStatus
    table: pd.DataFrame = field(repr=False)


def spatial_blocks(
    x: npt.ArrayLike, y: npt.ArrayLike, size: float
) -> npt.NDArray[np.int64]:
    """Return the number of the square block in which each unit lies.

    Parameters
    ----------
    x, y : array_like of shape (units,)
        Coordinates; projected ones, for blocks of equal ground size.
    size : float
        Side of a block in their unit, at least the range of :func:`block_range`.

    Returns
    -------
    ndarray of int of shape (units,)
        From 0, by row and column of a grid through the origin.

    Raises
    ------
    ContractError
        Coordinates that are missing or not finite.
    ConfigError
        A size that is not above 0.
    """
    places = _places(x, y)
    if not (np.isfinite(size) and size > 0):
        raise ConfigError("the size of a block is not above 0")
    cell = np.floor(places[:, ::-1] / size).astype(np.int64)
    _, block = np.unique(cell, axis=0, return_inverse=True)
    return np.asarray(block, dtype=np.int64)


def block_cores(
    x: npt.ArrayLike, y: npt.ArrayLike, size: float, gap: float
) -> npt.NDArray[np.bool_]:
    """Return which units lie in the core of their block, `gap` away from other cores.

    Blocks that touch are not independent: pixels on both sides of a border are alike.
    A standard error over blocks is too small by that, however large the blocks, while
    cores that lie the range of the autocorrelation apart hardly know of each other.

    Parameters
    ----------
    x, y, size
        As in :func:`spatial_blocks`.
    gap : float
        Distance between the cores of neighbours, less than `size`; the range of
        :func:`block_range`.

    Returns
    -------
    ndarray of bool of shape (units,)

    Raises
    ------
    ContractError
        Coordinates that are missing or not finite.
    ConfigError
        A gap below 0 or not below the size.
    """
    places = _places(x, y)
    if not 0 <= gap < size < np.inf:
        raise ConfigError(
            "the gap between blocks leaves no core",
            expected="a gap from 0 to less than the size",
        )
    inside = places % size
    return np.asarray(((inside >= gap / 2) & (inside <= size - gap / 2)).all(axis=1))


def seasons(
    dates: npt.ArrayLike | pd.Series, *, first_month: int = 1, months: int = 12
) -> npt.NDArray[np.str_]:
    """Return the season of each date, named by its first month such as ``2013-09``.

    Parameters
    ----------
    dates : array_like of shape (units,)
        Dates, or texts of the form 2013-09-14.
    first_month : int
        Month in which a season starts.
    months : int
        Its length, a divisor of 12.

    Raises
    ------
    ContractError
        Dates that are missing or cannot be read.
    ConfigError
        A length that does not divide the year, or no such month.
    """
    if months not in (1, 2, 3, 4, 6, 12) or first_month not in range(1, 13):
        raise ConfigError(
            f"Seasons of {months} months from month {first_month} do not fill a year",
            expected="1, 2, 3, 4, 6 or 12 months, from a month 1 to 12",
        )
    read = pd.to_datetime(pd.Series(np.asarray(dates, dtype=object)), errors="coerce")
    if read.isna().any():
        raise ContractError(
            f"{int(read.isna().sum())} dates are missing or cannot be read",
            expected="year-month-day",
        )
    number = 12 * read.dt.year.to_numpy() + read.dt.month.to_numpy() - 1
    first = number - (number - (first_month - 1)) % months
    return np.array([f"{n // 12:04d}-{n % 12 + 1:02d}" for n in first])


def block_range(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    residual: npt.ArrayLike,
    *,
    classes: int = 15,
    longest: float | None = None,
    points: int = 1500,
    permutations: int = 199,
    seed: int = 0,
) -> Variogram:
    """Find how far errors are related, by an empirical variogram.

    Parameters
    ----------
    x, y : array_like of shape (units,)
        Coordinates.
    residual : array_like of shape (units,)
        Error of each unit out of fold: one for a wrong class and zero for a right one,
        or one minus the probability given to the true class.
    classes : int
        Of distance, equally wide.
    longest : float, optional
        Distance up to which pairs are taken; a third of the diagonal where left out.
    points : int
        Units that are drawn where there are more: their pairs are held at once.
    permutations, seed : int
        Of the test for any correlation.

    Raises
    ------
    ContractError
        Fewer than 30 units, values that are not finite, residuals or places all equal.

    Notes
    -----
    Matheron's estimator, half the mean squared difference of the pairs at a distance
    (Cressie 1993, Statistics for Spatial Data, equation 2.4.2). The spherical model is
    fitted by least squares with weights of pairs over squared distance. The range
    counts only where the semivariance of the nearest class is smaller than in 95 % of
    permutations of the residuals over the places.
    """
    places, errors = _drawn(_places(x, y), np.asarray(residual, float), points, seed)
    far = pdist(places)
    diagonal = float(np.hypot(*np.ptp(places, axis=0)))
    limit = diagonal / 3 if longest is None else float(longest)
    if not (limit > 0 and np.ptp(errors) > 0):
        raise ContractError(
            "the residuals have no variogram",
            expected="residuals that differ, at places that differ",
        )
    first, second = np.triu_indices(len(errors), 1)
    near = far <= limit
    first, second, far = first[near], second[near], far[near]
    row = np.minimum((far / limit * classes).astype(int), classes - 1)
    table = _empirical(row, far, (errors[first] - errors[second]) ** 2 / 2, classes)
    nearest = row == row.min(initial=classes)
    p = _p_value(errors, first[nearest], second[nearest], permutations, seed)
    reach, nugget, partial = _spherical(table, limit)
    table["fitted"] = nugget + partial * _shape(table["distance"].to_numpy(), reach)
    if p > _ALPHA:
        level = float(np.var(errors))
        return Variogram(0.0, level, level, p, "no correlation", table)
    status: RangeStatus = "found" if reach < limit else "beyond the distances seen"
    return Variogram(min(reach, limit), nugget, nugget + partial, p, status, table)


def _places(x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
    places = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    if not np.isfinite(places).all():
        bad = int((~np.isfinite(places)).any(axis=1).sum())
        raise ContractError(f"{bad} units have no coordinates")
    return places


def _drawn(
    places: Floats, errors: Floats, points: int, seed: int
) -> tuple[Floats, Floats]:
    if len(places) != len(errors) or not np.isfinite(errors).all() or len(errors) < 30:
        raise ContractError(
            f"{len(errors)} residuals of {len(places)} places have no variogram",
            expected="30 units or more, each with a finite residual",
        )
    if len(errors) <= points:
        return places, errors
    kept = np.random.default_rng(seed).choice(len(errors), points, replace=False)
    return places[kept], errors[kept]


def _empirical(
    row: npt.NDArray[np.intp], far: Floats, half_square: Floats, classes: int
) -> pd.DataFrame:
    pairs = np.bincount(row, minlength=classes)
    used = pairs >= _LEAST_PAIRS
    if used.sum() < 3:
        raise ContractError(
            "too few pairs of units for a variogram",
            expected=f"three classes of distance with {_LEAST_PAIRS} pairs each",
        )
    cells = {
        "distance": np.bincount(row, far, minlength=classes)[used] / pairs[used],
        "pairs": pairs[used],
        "semivariance": np.bincount(row, half_square, minlength=classes)[used]
        / pairs[used],
    }
    return pd.DataFrame(cells)


def _p_value(
    errors: Floats,
    first: npt.NDArray[np.intp],
    second: npt.NDArray[np.intp],
    permutations: int,
    seed: int,
) -> float:
    rng = np.random.default_rng(seed)
    seen = float(((errors[first] - errors[second]) ** 2).sum())
    smaller = 0
    for _ in range(permutations):
        mixed = rng.permutation(errors)
        smaller += float(((mixed[first] - mixed[second]) ** 2).sum()) <= seen
    return (1 + smaller) / (1 + permutations)


def _shape(distance: Floats, reach: float) -> Floats:
    h = np.minimum(distance / reach, 1.0)
    return np.asarray(1.5 * h - 0.5 * h**3)


def _spherical(table: pd.DataFrame, limit: float) -> tuple[float, float, float]:
    """Return range, nugget and partial sill; the range up to twice the limit."""
    distance = table["distance"].to_numpy()
    # Replicates at one place have distance 0, which must not weigh without end.
    weight = np.sqrt(table["pairs"].to_numpy()) / np.maximum(distance, limit / 100)
    seen = table["semivariance"].to_numpy() * weight
    best = (np.inf, limit, 0.0, 0.0)
    for reach in np.geomspace(limit / 50, 2 * limit, 200):
        columns = np.column_stack([np.ones_like(distance), _shape(distance, reach)])
        (nugget, partial), loss = nnls(columns * weight[:, None], seen)
        best = min(best, (loss, float(reach), float(nugget), float(partial)))
    return best[1:]
