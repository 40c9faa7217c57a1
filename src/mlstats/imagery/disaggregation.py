"""Totals of zones spread over the cells or districts inside them, none of it lost.

Areal weighting is the traditional method; dasymetric weighting follows an indicator of
where people are (buildings, a learnt density); the pycnophylactic surface is smooth.
Each keeps the total of every zone, or says which zone it could not keep and why.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ContractError
from mlstats.imagery.variance_components import Floats

__all__ = ["Disaggregated", "areal_weighting", "dasymetric", "pycnophylactic"]

TOLERANCE = 1e-6
PLACED, FALLBACK = "weights", "areal weighting: no weight in the zone"
EMPTY, OUTSIDE = "not placed: no cell in the zone", "no total: left missing"
DISTORTED = "not placed: the sum differs from the total"


@dataclass(frozen=True)
class Disaggregated:
    """Values of cells and what became of every zone's total.

    Attributes
    ----------
    values : ndarray
        Of the shape of the zones; NaN where a cell's zone has no total.
    zones : pandas.DataFrame
        One row per zone: zone, total, placed, cells, weight, missing_weights (cells
        whose weight was missing and taken as 0) and status. A status is ``weights``;
        ``areal weighting: no weight in the zone``; ``not placed: no cell in the
        zone``, whose total is in no value; ``no total: left missing``; or ``not
        placed: the sum differs from the total`` by more than 1e-6 of it.
    """

    values: Floats
    zones: pd.DataFrame

    @property
    def unplaced(self) -> float:
        """Sum of the totals that are in no cell."""
        gap = self.zones["total"] - self.zones["placed"]
        return float(gap[self.zones["status"].str.startswith("not placed")].sum())


def areal_weighting(
    zone: npt.ArrayLike, totals: pd.Series, *, area: npt.ArrayLike
) -> Disaggregated:
    """Spread each zone's total evenly over its area.

    Parameters
    ----------
    zone : array_like
        Zone of each cell or district, any shape.
    totals : pandas.Series
        Total by zone, the index holds the zones.
    area : array_like
        Area of each cell in an equal-area projection, shape of `zone` or a number.

    Raises
    ------
    ContractError
        An area that is not positive, a total that is negative or missing, a zone
        twice.
    """
    return dasymetric(zone, totals, weight=area, area=area)


def dasymetric(
    zone: npt.ArrayLike,
    totals: pd.Series,
    *,
    weight: npt.ArrayLike,
    area: npt.ArrayLike,
) -> Disaggregated:
    """Spread each zone's total in proportion to weights: P_z w_c / sum of w in z.

    Parameters
    ----------
    zone : array_like
        Zone of each cell or district, any shape.
    totals : pandas.Series
        Total by zone, the index holds the zones.
    weight : array_like
        Not negative, for instance buildings or a learnt number of people; a missing
        one counts as 0. A zone whose weights sum to 0 is spread by `area` and says so.
    area : array_like
        Area of each cell in an equal-area projection, shape of `zone` or a number.

    Raises
    ------
    ContractError
        As in :func:`areal_weighting`, and a negative or infinite weight.

    References
    ----------
    Stevens et al. (2015), PLoS ONE 10(2), e0107042 (dasymetric redistribution).
    """
    labels = np.asarray(zone)
    shape = labels.shape
    areas = np.broadcast_to(np.asarray(area, float), shape).ravel()
    weights = np.broadcast_to(np.asarray(weight, float), shape).ravel()
    _check(totals, areas, weights)
    place, amounts, known = _places(labels.ravel(), totals)
    missing = np.isnan(weights)
    weights = np.where(missing, 0.0, weights)
    count = len(known)
    sums = np.bincount(place, weights, count)
    empty = sums == 0
    weights = np.where(empty[place], areas, weights)
    placed_by = np.bincount(place, weights, count)
    values = amounts[place] * (weights / placed_by[place])
    table = _zones(known, amounts, place, values, empty)
    table["weight"] = sums
    table["missing_weights"] = np.bincount(place, missing, count).astype(int)
    return Disaggregated(values.reshape(shape), table)


def pycnophylactic(
    zone: npt.ArrayLike,
    totals: pd.Series,
    *,
    area: npt.ArrayLike = 1.0,
    tolerance: float = 1e-4,
    most_rounds: int = 5000,
) -> Disaggregated:
    """Spread totals over a grid as a smooth density without steps at borders.

    Parameters
    ----------
    zone : array_like of shape (rows, columns)
        Zone of each cell; cells whose zone has no total are outside, and the density
        does not flow over their border.
    totals : pandas.Series
        Total by zone, the index holds the zones.
    area : array_like
        Area of a cell, shape of `zone` or a number.
    tolerance : float
        Rounds end when no density changes by more than this share of the largest.
    most_rounds : int
        Rounds end here in any case; ``values`` keep the totals then, too.

    Notes
    -----
    Start from areal weighting; each round moves every cell half-way to the mean of
    its four neighbours and multiplies every zone so that its total holds. Tobler moves
    zones by addition and clips at 0; both keep totals and densities of at least 0.

    References
    ----------
    Tobler (1979), JASA 74, 519-530.
    """
    labels = np.asarray(zone)
    if labels.ndim != 2:
        raise ContractError(
            "a pycnophylactic surface needs a grid",
            expected=f"two dimensions, got {labels.ndim}",
        )
    areas = np.broadcast_to(np.asarray(area, float), labels.shape)
    start = areal_weighting(labels, totals, area=areas)
    place, amounts, known = _places(labels.ravel(), totals)
    zones, inside = len(known), np.isfinite(start.values)
    amounts = np.where(np.isfinite(amounts), amounts, 0.0)
    density = np.where(inside, start.values / areas, 0.0)
    neighbours = _around(inside.astype(float))
    for _ in range(most_rounds):
        mean = np.divide(
            _around(density), neighbours, out=density.copy(), where=neighbours > 0
        )
        # Half of the cell itself: the mean alone swings between two patterns, and
        # empties a zone of one cell among empty ones. The limit is the same.
        smooth = np.where(inside, (density + mean) / 2, 0.0)
        sums = np.bincount(place, (smooth * areas).ravel(), zones)
        factor = np.divide(amounts, sums, out=np.zeros_like(sums), where=sums > 0)
        smooth *= factor[place].reshape(labels.shape)
        change = np.abs(smooth - density).max(initial=0.0)
        density = smooth
        if change <= tolerance * density.max(initial=0.0):
            break
    values = np.where(inside, density * areas, np.nan)
    placed = np.bincount(place, values.ravel(), len(amounts))
    return Disaggregated(values, _judged(start.zones.assign(placed=placed)))


def _around(grid: Floats) -> Floats:
    padded = np.pad(grid, 1)
    return np.asarray(
        padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    )


def _check(totals: pd.Series, areas: Floats, weights: Floats) -> None:
    if totals.index.has_duplicates:
        raise ContractError("a zone has two totals")
    amounts = totals.to_numpy(float)
    bad = int((~np.isfinite(amounts) | (amounts < 0)).sum())
    if bad:
        raise ContractError(f"{bad} totals of zones are negative or missing")
    if not (np.isfinite(areas) & (areas > 0)).all():
        raise ContractError("an area is not positive")
    bad = int(((weights < 0) | np.isinf(weights)).sum())
    if bad:
        raise ContractError(f"{bad} weights are negative or infinite")


def _places(
    labels: np.ndarray, totals: pd.Series
) -> tuple[npt.NDArray[np.intp], Floats, pd.Index]:
    """Place of each cell among all zones, those of `totals` first."""
    codes, found = pd.factorize(labels, use_na_sentinel=False)
    extra = pd.Index(found).difference(totals.index, sort=False)
    known = totals.index.append(extra)
    amounts = np.concatenate([totals.to_numpy(float), np.full(len(extra), np.nan)])
    return known.get_indexer(pd.Index(found))[codes], amounts, known


def _zones(
    known: pd.Index,
    amounts: Floats,
    place: npt.NDArray[np.intp],
    values: Floats,
    empty: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    cells = np.bincount(place, minlength=len(known))
    placed = np.bincount(place, values, len(known))
    status = np.where(empty, FALLBACK, PLACED)
    status = np.where(np.isnan(amounts), OUTSIDE, status)
    status = np.where(cells == 0, EMPTY, status)
    table = {
        "zone": known,
        "total": amounts,
        "placed": placed,
        "cells": cells,
        "status": status.astype(object),
    }
    return _judged(pd.DataFrame(table))


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    gap = (table["placed"] - table["total"]).abs() > TOLERANCE * table["total"]
    table.loc[gap & (table["cells"] > 0), "status"] = DISTORTED
    return table
