"""Simple texture: what the pixels in a square window around each pixel look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, nearest

__all__ = ["Texture"]

Plane = npt.NDArray[np.float64]
Valid = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Texture:
    """Statistics of the valid pixels in a square window.

    Attributes
    ----------
    band : str
        Feature to take them of: ``red@2013-09-14``, ``NDVI_mean``, or ``red`` for all
        its dates.
    window : int
        Pixels along the side, odd.
    statistics : tuple of str
        ``mean``, ``std`` (divisor n), ``range`` and ``entropy``, in bits, of the values
        sorted into `levels` classes of equal width.
    limits : tuple of float, optional
        Lowest and highest value of the classes; entropy asks for them, because those
        of a block would differ from block to block. Values beyond count to the ends.
    levels : int
        Number of classes.
    """

    band: str
    window: int = 5
    statistics: tuple[str, ...] = ("mean", "std")
    limits: tuple[float, float] | None = None
    levels: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "statistics", tuple(self.statistics))
        if self.window < 3 or self.window % 2 == 0:
            raise ConfigError(
                f"a window of {self.window} pixels has no neighbours on both sides",
                where=f"texture of {self.band}",
                expected="an odd number from 3",
            )
        for name in self.statistics:
            if name not in _STATISTICS:
                raise ConfigError(
                    f"unknown texture {name!r}",
                    where=f"texture of {self.band}",
                    expected=", ".join(_STATISTICS),
                    nearest=nearest(name, _STATISTICS),
                )
        if "entropy" in self.statistics and not self._has_limits():
            raise ConfigError(
                "entropy needs the limits of the values and 2 levels or more",
                where=f"texture of {self.band}",
                hint="give limits, such as (0, 0.5) for reflectance",
            )

    def _has_limits(self) -> bool:
        limits = self.limits
        return limits is not None and limits[0] < limits[1] and self.levels > 1

    def of(self, values: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """Return the statistics of a plane with NaN where not valid.

        Parameters
        ----------
        values : ndarray, shape (rows, columns)
            A rim of ``window // 2`` pixels has windows that are cut off.

        Returns
        -------
        list of ndarray
            One per statistic, of the same shape; NaN where no pixel is valid.
        """
        valid = np.isfinite(values)
        plane = np.where(valid, values, 0.0).astype(float)
        # A window's variance is the small difference of large sums; a common shift of
        # the plane would make it depend on the block, so sums are taken in float64.
        found = [_STATISTICS[name](self, plane, valid) for name in self.statistics]
        empty = _summed(valid.astype(float), self.window) == 0
        return [np.where(empty, np.nan, one).astype(np.float32) for one in found]


def _summed(plane: Plane, window: int) -> Plane:
    """Sum of each window; each sum on its own, so that it is the same in any block."""
    from scipy.ndimage import correlate1d

    ones = np.ones(window)
    rows = correlate1d(plane, ones, axis=0, mode="constant")
    return np.asarray(correlate1d(rows, ones, axis=1, mode="constant"))


def _average(plane: Plane, valid: Valid, window: int) -> Plane:
    count = _summed(valid.astype(float), window)
    return np.asarray(_summed(plane, window) / np.maximum(count, 1))


def _mean(texture: Texture, plane: Plane, valid: Valid) -> Plane:
    return _average(plane, valid, texture.window)


def _std(texture: Texture, plane: Plane, valid: Valid) -> Plane:
    squares = _average(plane**2, valid, texture.window)
    variance = squares - _average(plane, valid, texture.window) ** 2
    return np.asarray(np.sqrt(np.maximum(variance, 0)))


def _range(texture: Texture, plane: Plane, valid: Valid) -> Plane:
    from scipy.ndimage import maximum_filter, minimum_filter

    size = texture.window
    high = np.where(valid, plane, -np.inf)
    low = np.where(valid, plane, np.inf)
    top = maximum_filter(high, size, mode="constant", cval=-np.inf)
    bottom = minimum_filter(low, size, mode="constant", cval=np.inf)
    return np.asarray(top - bottom)


def _entropy(texture: Texture, plane: Plane, valid: Valid) -> Plane:
    assert texture.limits is not None
    low, high = texture.limits
    level = ((plane - low) / (high - low) * texture.levels).astype(int)
    level = np.where(valid, level.clip(0, texture.levels - 1), -1)
    total = np.zeros(plane.shape)
    for one in range(texture.levels):
        share = _average((level == one).astype(float), valid, texture.window)
        total -= share * np.log2(np.where(share > 0, share, 1))
    return total


_STATISTICS: Mapping[str, Callable[[Texture, Plane, Valid], Plane]] = {
    "mean": _mean,
    "std": _std,
    "range": _range,
    "entropy": _entropy,
}
