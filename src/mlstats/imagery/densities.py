"""Weights for dasymetric mapping learnt from the zones' own totals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ContractError
from mlstats.imagery.variance_components import Floats

__all__ = ["learned_weights"]


def learned_weights(
    estimator: Any,
    zones: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    total: str,
    area: str,
    features: list[str],
    groups: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Floats:
    """Predict how many people each cell would hold, to be used as its weight.

    The logarithm of the density of zones is regressed on their mean features; the
    prediction for a cell is exponentiated and multiplied by its area.

    Parameters
    ----------
    estimator : regressor of scikit-learn
        Cloned for every fit.
    zones, cells : pandas.DataFrame
        With the columns `features` (means over the zone or cell) and `area`; `zones`
        also with `total`. Zones whose total is 0 do not enter the fit.
    groups : tuple of array_like, optional
        Block of each zone and of each cell: a cell's weight comes from a fit on zones
        of other blocks. Needed for errors that are to hold where nothing was learnt.

    Returns
    -------
    ndarray of shape (cells,)

    Raises
    ------
    ContractError
        Fewer than two blocks, a block of cells without zones elsewhere, features
        missing.

    References
    ----------
    Stevens et al. (2015), PLoS ONE 10(2), e0107042.
    """
    absent = [name for name in features if name not in zones or name not in cells]
    if absent:
        raise ContractError(
            f"{len(absent)} features are not in both tables", where=", ".join(absent)
        )
    area_of_cells = cells[area].to_numpy(float)
    use = zones[total].to_numpy(float) > 0
    target = np.log(zones[total].to_numpy(float)[use]) - np.log(
        zones[area].to_numpy(float)[use]
    )
    inputs, outputs = zones[features].to_numpy(float)[use], cells[features]
    of_zones, of_cells = (
        (np.zeros(len(zones)), np.ones(len(cells)))
        if groups is None
        else (np.asarray(groups[0]), np.asarray(groups[1]))
    )
    of_zones, density = of_zones[use], np.empty(len(cells))
    for block in pd.unique(of_cells):
        train, test = of_zones != block, of_cells == block
        if train.sum() < 2:
            raise ContractError(
                "a block leaves fewer than two zones to learn from",
                hint="smaller blocks",
            )
        density[test] = _fitted(estimator, inputs[train], target[train]).predict(
            outputs.to_numpy(float)[test]
        )
    return np.asarray(np.exp(density) * area_of_cells)


def _fitted(estimator: Any, inputs: Floats, target: Floats) -> Any:
    from sklearn.base import clone

    return clone(estimator).fit(inputs, target)
