"""What the map is worth: relative efficiency, segments saved and the break-even."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlstats.errors import ConfigError
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery.linear_estimators import LINEAR, direct
from mlstats.imagery.segment_estimates import (
    RESAMPLES,
    SegmentMethod,
    resample_counts,
)
from mlstats.quality.estimate import Estimate, absent

__all__ = ["BreakEven", "cost_break_even", "relative_efficiency"]

_LEAST_SEGMENTS: Final = 10


def relative_efficiency(
    sample: AreaSample,
    method: SegmentMethod = "combined_regression",
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Estimate the variance of the direct expansion over that of a method.

    The interval is the bootstrap's for the logarithm, reflected about the estimate
    (Davison and Hinkley 1997, Bootstrap Methods and their Application, section 5.2).
    It covers about .90 where it says .95, and the estimate is too high with few
    segments (docs/area-estimation.md): an order of magnitude, no more.

    Parameters
    ----------
    sample : AreaSample
        Segments with the classified area.
    method : str
        As in :func:`~mlstats.imagery.segment_estimate`.
    confidence, resamples, seed
        Of the interval.

    Returns
    -------
    Estimate
        Its `n_effective` is the equivalent sample: as many segments without a map
        would have the same standard error (finite populations aside).
    """
    gone = sample.unsampled()
    if gone:
        return absent("not_measured", gone, sample.n)
    once = np.ones((1, sample.n))
    base, other = direct(sample, once), LINEAR[method](sample, once)
    if not (other.variance[0] > 0 and base.variance[0] > 0):
        return absent("not_measured", "a variance is zero or not known", sample.n)
    value = float(base.variance[0] / other.variance[0])
    found = Estimate(value, n=sample.n, n_effective=value * sample.n)
    if sample.n < _LEAST_SEGMENTS:
        return replace(
            found, note=f"fewer than {_LEAST_SEGMENTS} segments: no interval"
        )
    counts = resample_counts(sample, resamples, np.random.default_rng(seed))
    top, bottom = direct(sample, counts), LINEAR[method](sample, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(top.variance / bottom.variance)
    kept = logs[np.isfinite(logs)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    centre = 2 * np.log(value)
    return replace(
        found,
        se=value * float(kept.std(ddof=1)),
        df=float(sample.n - len(sample.names) - 1),
        lower=float(np.exp(centre - high)),
        upper=float(np.exp(centre - low)),
        interval="bootstrap of the logarithm",
    )


@dataclass(frozen=True)
class BreakEven:
    """Whether a map pays.

    Parameters
    ----------
    equivalent_segments : float
        Segments with which the direct expansion would be as precise.
    saved : float
        Cost of the segments that need not be surveyed, less that of the imagery.
    worthwhile : bool
        Whether `saved` is positive.
    break_even_efficiency : float
        Relative efficiency from which the map pays with these segments.
    break_even_segments : float
        Segments from which it pays with this efficiency; infinite where never.
    """

    equivalent_segments: float
    saved: float
    worthwhile: bool
    break_even_efficiency: float
    break_even_segments: float


def cost_break_even(
    efficiency: float, n: int, *, cost_per_segment: float, imagery_cost: float
) -> BreakEven:
    """Compare the cost of imagery and analysis with that of the segments it is worth.

    The map pays where ``(RE - 1) n`` times the cost of a segment exceeds what imagery
    and analysis cost (Taylor, Sannier, Delincé and Gallego 1997, Regional Crop
    Inventories in Europe Assisted by Remote Sensing, JRC).

    Parameters
    ----------
    efficiency : float
        Relative efficiency; do the sum for the limits of its interval too.
    n : int
        Segments surveyed.
    cost_per_segment, imagery_cost : float
        In one currency; the second of imagery and analysis together.

    Raises
    ------
    ConfigError
        Where a number is negative or not finite, or there is no segment.

    Examples
    --------
    >>> cost_break_even(3.7, 36, cost_per_segment=100, imagery_cost=5000).worthwhile
    True
    """
    given = np.array([efficiency, float(n), cost_per_segment, imagery_cost])
    if not np.isfinite(given).all() or (given < 0).any() or n < 1:
        raise ConfigError(
            "The costs of a break-even cannot be used",
            expected="at least one segment, and nothing negative or missing",
        )
    spent = float(n) * cost_per_segment
    saved = (efficiency - 1) * spent - imagery_cost
    gain = (efficiency - 1) * cost_per_segment
    return BreakEven(
        efficiency * n,
        saved,
        saved > 0,
        1 + imagery_cost / spent if spent else np.inf,
        imagery_cost / gain if gain > 0 else np.inf,
    )
