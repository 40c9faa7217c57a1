"""Uncodable as an outcome of its own: who is rejected, rightly or not."""

from __future__ import annotations

import numpy as np

from mlstats.quality.accuracy import proportion
from mlstats.quality.design import Design
from mlstats.quality.indicator import Indicator

__all__ = ["rejection_indicators"]


def rejection_indicators(
    design: Design, rejected: np.ndarray, uncodable: np.ndarray
) -> list[Indicator]:
    """Estimate how many units are rejected, and how many of them wrongly.

    Parameters
    ----------
    design : Design
        Of the sample.
    rejected : numpy.ndarray of bool, shape (n,)
        Units that were told to be uncodable, by their text or by their code.
    uncodable : numpy.ndarray of bool, shape (n,)
        Units that are, by the truth.

    Returns
    -------
    list of Indicator
        uncodable_share of all units, false_reject_rate among those that can be
        coded, uncodable_found among those that cannot.
    """
    everyone = np.ones(len(rejected), dtype=bool)
    found = {
        "uncodable_share": proportion(design, rejected, everyone),
        "false_reject_rate": proportion(design, rejected & ~uncodable, ~uncodable),
        "uncodable_found": proportion(design, rejected & uncodable, uncodable),
    }
    return [Indicator("accuracy", name, value) for name, value in found.items()]
