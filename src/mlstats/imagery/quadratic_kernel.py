"""Compiled discriminants of :mod:`.quadratic`; importing it imports numba."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from mlstats.imagery.compiling import compiled

__all__ = ["best_discriminants", "discriminants"]

# Pixels that stay in a core's first cache while they pass all classes.
_TILE = 256
# Sums may be rounded in another order: near ties are decided elsewhere.
_fused = partial(compiled, fastmath={"contract", "reassoc"})


@_fused
def _of_class(
    values: Any, mean: Any, factor: Any, constant: float, away: Any, found: Any
) -> None:
    """Write the discriminant of one class for a tile of pixels."""
    n = values.shape[1]
    n_features = values.shape[0]
    for f in range(n_features):
        for i in range(n):
            away[f, i] = values[f, i] - mean[f]
    for i in range(n):
        found[i] = constant
    product = away[n_features]
    for column in range(factor.shape[1]):
        for i in range(n):
            product[i] = 0.0
        for f in range(n_features):
            weight = factor[f, column]
            if weight != 0.0:
                for i in range(n):
                    product[i] += weight * away[f, i]
        for i in range(n):
            found[i] -= 0.5 * product[i] * product[i]


@_fused
def discriminants(
    values: Any, means: Any, factors: Any, constants: Any, found: Any
) -> None:
    """Write the discriminants (classes, n) of values (features, n)."""
    away = np.empty((values.shape[0] + 1, _TILE))
    for start in range(0, values.shape[1], _TILE):
        tile = values[:, start : start + _TILE]
        for k in range(means.shape[0]):
            one = found[k, start : start + _TILE]
            _of_class(tile, means[k], factors[k], constants[k], away, one)


@_fused
def best_discriminants(
    values: Any, means: Any, factors: Any, constants: Any, classes: Any, close: Any
) -> None:
    """Write the class of the greatest discriminant, and whether it is a near tie.

    Two discriminants are near where rounding could have changed their order.
    """
    away = np.empty((values.shape[0] + 1, _TILE))
    found = np.empty(_TILE)
    best = np.empty(_TILE)
    second = np.empty(_TILE)
    label = np.empty(_TILE, np.uint8)
    for start in range(0, values.shape[1], _TILE):
        tile = values[:, start : start + _TILE]
        n = tile.shape[1]
        for i in range(n):
            best[i] = second[i] = -np.inf
            label[i] = 0
        for k in range(means.shape[0]):
            _of_class(tile, means[k], factors[k], constants[k], away, found)
            for i in range(n):
                value = found[i]
                second[i] = max(second[i], min(best[i], value))
                label[i] = k if value > best[i] else label[i]
                best[i] = max(best[i], value)
        for i in range(n):
            classes[start + i] = label[i]
            close[start + i] = best[i] - second[i] <= 1e-9 * (1.0 + abs(best[i]))
