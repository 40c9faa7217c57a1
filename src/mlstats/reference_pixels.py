"""Pixels drawn by class of a map, with what the reference says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config_imagery import Map
from mlstats.imagery.map_assessment import map_accuracy
from mlstats.imagery_task import estimate_row
from mlstats.imagery_units import UNCLASSIFIED
from mlstats.quality.estimate import estimate_of

__all__ = ["ReferencePixels", "draw_pixels", "pixel_areas"]

METHOD: Final = "map and reference pixels"
_ROWS: Final = 512  # of a strip


@dataclass(frozen=True, eq=False)
class ReferencePixels:
    """A sample of pixels, stratified by the classes of the map.

    Parameters
    ----------
    mapped, reference : numpy.ndarray of object, shape (n,)
        Classes.
    hectares : dict of str to float
        Of each map class, where the reference is known.
    pixels : dict of str to int
        The same in pixels.
    """

    mapped: np.ndarray
    reference: np.ndarray
    hectares: dict[str, float]
    pixels: dict[str, int]


def draw_pixels(
    shown: tuple[Path, Map],
    truth: tuple[Path, Map],
    size: int,
    *,
    hectares: float,
    seed: int,
) -> ReferencePixels:
    """Draw as many pixels of each map class, at random without replacement.

    Two passes over strips: one counts, one takes those that were drawn, so that memory
    does not grow with the raster. Pixels without a known reference are not drawn.

    Parameters
    ----------
    shown, truth : tuple of (path, Map)
        Map and reference on one grid.
    size : int
        Pixels in all, an equal number of each class.
    hectares : float
        Of a pixel.
    seed : int
        Of the draw.
    """
    names = [*shown[1].classes, UNCLASSIFIED]
    known = list(truth[1].classes)
    total = np.zeros(len(names), dtype=np.int64)
    for mapped, _ in _strips(shown, truth):
        total += np.bincount(mapped, minlength=len(names))
    rng = np.random.default_rng(seed)
    each = max(2, size // max(1, int((total > 0).sum())))
    wanted = [
        np.sort(rng.choice(count, min(each, count), replace=False))
        for count in map(int, total)
    ]
    drawn: list[tuple[int, int]] = []
    before = np.zeros(len(names), dtype=np.int64)
    for mapped, reference in _strips(shown, truth):
        for stratum in range(len(names)):
            places = np.flatnonzero(mapped == stratum)
            here = wanted[stratum] - before[stratum]
            here = here[(here >= 0) & (here < len(places))]
            drawn += [(stratum, int(reference[p])) for p in places[here]]
            before[stratum] += len(places)
    there = {name: int(n) for name, n in zip(names, total, strict=True) if n}
    return ReferencePixels(
        np.array([names[i] for i, _ in drawn], dtype=object),
        np.array([known[j] for _, j in drawn], dtype=object),
        {name: n * hectares for name, n in there.items()},
        there,
    )


def _strips(
    shown: tuple[Path, Map], truth: tuple[Path, Map]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the places of map and reference class of pixels with a known reference."""
    import rasterio
    from rasterio.windows import Window

    to_map, to_truth = (_places(spec) for _, spec in (shown, truth))
    nothing = len(shown[1].classes)
    with rasterio.open(shown[0]) as one, rasterio.open(truth[0]) as other:
        for row in range(0, one.height, _ROWS):
            window = Window(0, row, one.width, min(_ROWS, one.height - row))
            reference = to_truth(other.read(1, window=window).ravel())
            mapped = to_map(one.read(1, window=window).ravel())
            known = reference >= 0
            yield np.where(mapped < 0, nothing, mapped)[known], reference[known]


def _places(spec: Map) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from codes to the places of their classes, -1 for others."""
    pairs = [
        (code, place)
        for place, codes in enumerate(spec.classes.values())
        for code in codes
    ]
    codes, places = (np.array(part) for part in zip(*sorted(pairs), strict=True))

    def look_up(values: np.ndarray) -> np.ndarray:
        at = np.minimum(np.searchsorted(codes, values), len(codes) - 1)
        return np.where(codes[at] == values, places[at], -1)

    return look_up


def pixel_areas(
    pixels: ReferencePixels, variables: list[str]
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Return the areas of the classes, and the accuracy of the map.

    Returns
    -------
    rows : list of dict
        Of the estimates, a row per variable.
    accuracy : pandas.DataFrame
        measure, class, value, se, lower, upper, n, note: overall, user's and
        producer's accuracy (Olofsson et al. 2014, Remote Sensing of Environment 148,
        42-57).
    """
    found = map_accuracy(
        pixels.reference,
        pixels.mapped,
        pixels.hectares,
        unclassified=[UNCLASSIFIED],
        units={name: float(n) for name, n in pixels.pixels.items()},
    )
    rows = []
    for variable in variables:
        estimate = estimate_of(found.of("area", variable))
        how = "stratified by map class (Olofsson et al. 2014)"
        rows.append(estimate_row(estimate, method=METHOD, variable=variable, how=how))
    kept = ["measure", "class", "value", "se", "lower", "upper", "n", "note"]
    told = found.table["measure"].isin(["overall", "users", "producers"])
    return rows, found.table.loc[told, kept].reset_index(drop=True)
