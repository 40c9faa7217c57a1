"""The variance component of a small-area model, by (restricted) likelihood.

Both models of this theme have one component that is not known in closed form: the
variance between areas (Fay-Herriot) or its ratio to the variance within them
(Battese-Harter-Fuller). A search over the half line finds it whatever the shape of
the likelihood, where scoring may stop at a local maximum or below zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from mlstats.errors import MethodError

__all__ = ["Floats", "most_likely", "weighted_fit"]

Floats = npt.NDArray[np.float64]
GRID = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 49)])


def most_likely(
    deviance: Callable[[float], float],
    slope: Callable[[float], float],
    *,
    scale: float,
) -> float:
    """Return the component in [0, inf) with the least deviance.

    Parameters
    ----------
    deviance : callable
        Minus twice the (restricted) log-likelihood.
    slope : callable
        Its derivative.
    scale : float
        Order of magnitude of the component; a grid of 1e-6 to 1e6 times it is
        searched, then the root of the slope is found in the best cell.

    Raises
    ------
    MethodError
        The likelihood still rises at the end of the grid.
    """
    grid = GRID * scale
    best = int(np.argmin([deviance(value) for value in grid]))
    if best == len(grid) - 1:
        raise MethodError(
            "the variance between areas has no finite estimate",
            hint="sampling variances are far too small, or areas do not replicate",
        )
    low, high = grid[max(best - 1, 0)], grid[best + 1]
    if slope(low) >= 0:  # the deviance rises from here on: the boundary
        return float(low)
    return float(brentq(slope, low, high, xtol=1e-12 * scale, rtol=1e-12))


def weighted_fit(
    design: Floats, response: Floats, weight: Floats
) -> tuple[Floats, Floats]:
    """Return coefficients and covariance of the fit with inverse variances `weight`.

    Parameters
    ----------
    design : ndarray of shape (rows, coefficients)
    response, weight : ndarray of shape (rows,)

    Returns
    -------
    beta : ndarray of shape (coefficients,)
    covariance : ndarray of shape (coefficients, coefficients)
    """
    cross = (design * weight[:, None]).T
    covariance: Floats = np.asarray(np.linalg.inv(cross @ design), float)
    return covariance @ (cross @ response), covariance
