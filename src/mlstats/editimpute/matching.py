"""Predictive mean matching: the observed value of a record predicted alike."""

from __future__ import annotations

import numpy as np

__all__ = ["matched_donors"]


def matched_donors(
    donors: np.ndarray,
    recipients: np.ndarray,
    rng: np.random.Generator,
    *,
    neighbours: int = 10,
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
    """
    # Equal predictions in a random order, and a recipient in a random place among
    # them: else the same few donors would serve all who are predicted alike.
    mixed = rng.permutation(len(donors))
    order = mixed[np.argsort(donors[mixed], kind="stable")]
    ranked = donors[order]
    first = np.searchsorted(ranked, recipients, side="left")
    last = np.searchsorted(ranked, recipients, side="right")
    place = rng.integers(first, last + 1)
    k = min(neighbours, len(donors))
    window = place[:, None] + np.arange(-k, k)[None, :]
    outside = (window < 0) | (window >= len(donors))
    window = np.clip(window, 0, len(donors) - 1)
    distance = np.abs(ranked[window] - recipients[:, None])
    distance[outside] = np.inf
    nearest = np.argpartition(distance, k - 1, axis=1)[:, :k]
    drawn = nearest[np.arange(len(recipients)), rng.integers(0, k, len(recipients))]
    found: np.ndarray = order[window[np.arange(len(recipients)), drawn]]
    return found
