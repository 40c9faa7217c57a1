"""Predictive mean matching: the observed value of a record predicted alike."""

from __future__ import annotations

import numpy as np

__all__ = ["matched_donors", "spread_evenly"]

GOLDEN = (5**0.5 - 1) / 2
# Chances differ by no more than a factor of e for each standard deviation of values.
STEEPEST = 1.0


def matched_donors(
    donors: np.ndarray,
    recipients: np.ndarray,
    rng: np.random.Generator,
    *,
    neighbours: int = 10,
    values: np.ndarray | None = None,
    aim: float | None = None,
    balanced: bool = False,
) -> np.ndarray:
    """Return the place of a donor for each recipient, drawn from the nearest.

    One of the `neighbours` donors whose predictions are nearest is drawn (Little 1988,
    Journal of Business & Economic Statistics 6, 287-296).

    Parameters
    ----------
    donors, recipients : numpy.ndarray, shape (donors,) and (recipients,)
        Predictions, at least one of a donor.
    rng : numpy.random.Generator
        For the draw.
    neighbours : int
        Donors to draw from.
    values : numpy.ndarray, shape (donors,), optional
        What the donors give; `aim` and `balanced` need it.
    aim : float, optional
        Mean that the values to be drawn should be expected to have. The nearest
        donors, else all alike, get chances in proportion to ``exp(t y)`` with the one
        `t` for which they have it; `t` is bounded.
    balanced : bool
        Each recipient keeps its chances, but those predicted alike get high and low
        donors in turn (see :func:`spread_evenly`), so that the mean over the
        recipients hardly depends on the draw. Not for several imputations, which
        must differ as much as the missing values may.
    """
    near = _nearest(donors, recipients, rng, min(neighbours, len(donors)))
    chances = np.full(near.shape, 1 / near.shape[1])
    if values is not None:
        ranks = np.argsort(values[near], axis=1, kind="stable")
        near = np.take_along_axis(near, ranks, axis=1)
        if aim is not None:
            chances = _tilted(values[near], aim)
    n = len(recipients)
    point = spread_evenly(recipients, rng) if balanced else rng.random(n)
    which = (point[:, None] >= chances.cumsum(axis=1)).sum(axis=1)
    return np.asarray(near[np.arange(n), np.minimum(which, near.shape[1] - 1)])


def _nearest(
    donors: np.ndarray, recipients: np.ndarray, rng: np.random.Generator, k: int
) -> np.ndarray:
    """Return the places of the nearest donors, shape (recipients, k)."""
    # Equal predictions in a random order, and a recipient in a random place among
    # them: else the same few donors would serve all who are predicted alike.
    mixed = rng.permutation(len(donors))
    order = mixed[np.argsort(donors[mixed], kind="stable")]
    ranked = donors[order]
    first = np.searchsorted(ranked, recipients, side="left")
    last = np.searchsorted(ranked, recipients, side="right")
    place = rng.integers(first, last + 1)
    window = place[:, None] + np.arange(-k, k)[None, :]
    outside = (window < 0) | (window >= len(donors))
    window = np.clip(window, 0, len(donors) - 1)
    distance = np.abs(ranked[window] - recipients[:, None])
    distance[outside] = np.inf
    nearest = np.argpartition(distance, k - 1, axis=1)[:, :k]
    return np.asarray(order[np.take_along_axis(window, nearest, axis=1)])


def _tilted(values: np.ndarray, mean: float) -> np.ndarray:
    """Return chances of each row's values with which their expected mean is `mean`."""
    from scipy.optimize import brentq
    from scipy.special import softmax

    apart = values - values.mean(axis=1, keepdims=True)
    spread = float(apart.std())
    wanted = mean - float(values.mean())
    if spread == 0 or wanted == 0:
        return np.full(values.shape, 1 / values.shape[1])

    def chances(tilt: float) -> np.ndarray:
        return np.asarray(softmax(tilt * apart / spread, axis=1))

    def excess(tilt: float) -> float:
        return float((chances(tilt) * apart).sum(axis=1).mean()) - wanted

    limit = STEEPEST if wanted > 0 else -STEEPEST
    if excess(limit) * wanted <= 0:
        return chances(limit)
    return chances(float(brentq(excess, 0.0, limit, xtol=1e-6)))


def spread_evenly(key: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return numbers between 0 and 1 that are spread evenly over rows alike.

    Each is uniform; those of rows next to each other in the order of `key` are steps
    of the golden section from a random start (a Kronecker sequence: Niederreiter 1992,
    Random Number Generation and Quasi-Monte Carlo Methods, chapter 3).
    """
    order = np.lexsort((rng.random(len(key)), key))
    found = np.empty(len(key))
    found[order] = (rng.random() + GOLDEN * np.arange(len(key))) % 1.0
    return found
