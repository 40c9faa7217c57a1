"""Strata of an audit and the shares of the sample that they get.

A stratum is a code at a coarse level with a band of confidence. What a clerk has coded
stands in strata of its own: the model's confidence says nothing of the clerk's code.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

import numpy as np
import pandas as pd

from mlstats.errors import MlstatsError
from mlstats.quality.summaries import UNCODED, Ancestor

__all__ = [
    "CLERK",
    "Cell",
    "allocated",
    "audit_cells",
    "each_once",
    "strata_of",
    "stratum_names",
]

_log = logging.getLogger(__name__)

CLERK: Final = "coded by a clerk"
Cell = tuple[bool, str, int]


def allocated(
    counts: np.ndarray, measure: np.ndarray, size: int, least: int
) -> np.ndarray:
    """Share a sample out by a measure, between `least` and all units of a stratum.

    Parameters
    ----------
    counts, measure : numpy.ndarray, shape (strata,)
        Units, and what the sample is to be in proportion to.
    size, least : int
        Of the sample, and in each stratum.
    """
    lowest, most = np.minimum(least, counts), counts
    size = int(min(max(size, lowest.sum()), counts.sum()))
    if not measure.sum() > 0:
        measure = counts.astype(float)
    # Strata of no measure take part once all others are drawn in full.
    measure = np.maximum(measure, measure.max() * 1e-9)
    low, high = 0.0, float((counts / measure).max())
    for _ in range(200):
        middle = (low + high) / 2
        if np.clip(middle * measure, lowest, most).sum() < size:
            low = middle
        else:
            high = middle
    wanted = np.clip(high * measure, lowest, most)
    drawn = np.floor(wanted + 1e-6).astype(int)
    order = np.argsort(drawn - wanted, kind="stable")
    free = order[drawn[order] < most[order]]
    drawn[free[: max(size - int(drawn.sum()), 0)]] += 1
    return drawn


def strata_of(
    units: pd.DataFrame,
    size: int,
    ancestor: Ancestor,
    level: str,
    bands: Sequence[float],
    code: str,
    least: int,
) -> pd.Series:
    """Return the stratum of each unit; its name tells what was merged.

    A cell whose proportional part of the sample is less than `least` is merged: bands
    of a code with the next, then codes with one another.

    Parameters
    ----------
    units : pandas.DataFrame
        Columns unit, route, confidence (unknown counts as none) and `code`.
    size, least : int
        Of the sample, and in each stratum.
    ancestor, level
        Classification and the coarse level of the strata.
    bands : sequence of float
        Limits of the bands of confidence.

    Raises
    ------
    MlstatsError
        Where a unit stands twice or the size is less than `least`.
    """
    each_once(units["unit"])
    if not 1 <= least <= size:
        raise MlstatsError(
            f"An audit of {size} units cannot hold {least} of each stratum",
            expected="1 <= least <= size",
        )
    keys = audit_cells(units, ancestor, level, bands, code)
    names = stratum_names(Counter(keys), size, bands, least)
    return pd.Series([names[key] for key in keys], index=units.index, dtype=object)


def audit_cells(
    units: pd.DataFrame,
    ancestor: Ancestor,
    level: str,
    bands: Sequence[float],
    code: str,
) -> list[Cell]:
    """Return the cell of each unit, of which strata are made.

    Parameters
    ----------
    units, ancestor, level, bands, code
        As in :func:`strata_of`.

    Returns
    -------
    list of (bool, str, int)
        Whether a clerk coded the unit, its class of the level, its band of confidence.
    """
    clerk = (units["route"] == "queue").to_numpy()
    row, distinct = pd.factorize(units[code])
    at = ancestor(np.asarray(distinct, dtype=object), level)
    named = np.array([*_named(at), UNCODED], dtype=object)[row]
    band = np.where(clerk, len(bands) + 1, _bands(units, bands))
    return list(zip(clerk.tolist(), named.tolist(), band.tolist(), strict=True))


def stratum_names(
    counts: Mapping[Cell, int], size: int, bands: Sequence[float], least: int
) -> dict[Cell, str]:
    """Return the stratum of each cell, given how many units it has.

    Counts of parts of the units add up to those of all.
    """
    smallest = max(least, ceil(least * sum(counts.values()) / size))
    names = _merged(counts, smallest, _band_names(bands))
    merged = sum(" + " in name for name in set(names.values()))
    if merged:
        _log.info("%d strata of the audit hold merged cells", merged)
    return names


def _bands(units: pd.DataFrame, bands: Sequence[float]) -> np.ndarray:
    confidence = units["confidence"].to_numpy(dtype=float)
    known = np.nan_to_num(confidence)
    return np.asarray(np.searchsorted(np.asarray(bands), known, side="right"))


def _band_names(bands: Sequence[float]) -> list[str]:
    limits = [f"{limit:.2f}" for limit in bands]
    between = [f"{a} to {b}" for a, b in zip(limits[:-1], limits[1:], strict=True)]
    if not limits:
        return ["any", CLERK]
    return [f"below {limits[0]}", *between, f"{limits[-1]} and above", CLERK]


_Block = tuple[list[Cell], int]  # cells that are one stratum, and their units


def _merged(
    counts: Mapping[Cell, int], smallest: int, band_names: Sequence[str]
) -> dict[Cell, str]:
    """Return the name of the stratum of each cell."""
    blocks: list[_Block] = []
    for clerk in (False, True):
        of_part: list[_Block] = []
        for group in sorted({g for c, g, _ in counts if c == clerk}):
            bands = sorted(b for c, g, b in counts if (c, g) == (clerk, group))
            cells = [(clerk, group, b) for b in bands]
            of_part += _joined([([c], counts[c]) for c in cells], smallest)
        large = [block for block in of_part if block[1] >= smallest]
        small = [block for block in of_part if block[1] < smallest]
        blocks += large + ([_union(small)] if small else [])
    while len(blocks) > 1 and min(n for _, n in blocks) < smallest:
        blocks.sort(key=lambda block: (block[1], block[0]))
        blocks = [_union(blocks[:2]), *blocks[2:]]
    named: dict[str, list[Cell]] = {}
    for cells, _ in blocks:
        name = _name(cells, band_names)
        same = sum(known.partition(" (")[0] == name for known in named)
        named[f"{name} ({same + 1})" if same else name] = cells
    return {cell: name for name, cells in named.items() for cell in cells}


def _joined(blocks: list[_Block], smallest: int) -> list[_Block]:
    """Join neighbours, from the least sure, until each has the smallest size."""
    found: list[_Block] = []
    for block in blocks:
        if found and found[-1][1] < smallest:
            found[-1] = _union([found[-1], block])
        else:
            found.append(block)
    if len(found) > 1 and found[-1][1] < smallest:
        found[-2:] = [_union(found[-2:])]
    return found


def _union(blocks: Sequence[_Block]) -> _Block:
    return [cell for cells, _ in blocks for cell in cells], sum(n for _, n in blocks)


def _name(cells: Sequence[Cell], band_names: Sequence[str]) -> str:
    groups = dict.fromkeys(group for _, group, _ in cells)
    bands = dict.fromkeys(band_names[band] for *_, band in sorted(cells, key=_by_band))
    return f"{' + '.join(groups)}: {' + '.join(bands)}"


def _by_band(cell: Cell) -> int:
    return cell[2]


def _named(codes: np.ndarray) -> list[str]:
    return [UNCODED if code is None else str(code) for code in codes]


def each_once(units: pd.Series) -> None:
    """Refuse units that stand more than once."""
    repeated = int(units.duplicated().sum())
    if repeated:
        raise MlstatsError(
            f"{repeated} units stand more than once",
            where="review",
            expected="the rows of one method and fold",
        )
