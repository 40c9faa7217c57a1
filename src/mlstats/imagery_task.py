"""What the three tasks of an imagery pilot have in common: data and arms."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.estimate import Estimate, absent
from mlstats.scale import LOCAL, Scale
from mlstats.settings import load_settings

__all__ = [
    "ESTIMATE_COLUMNS",
    "UNIT_COLUMNS",
    "ArmRun",
    "ImageryData",
    "count_bias",
    "estimate_row",
    "map_workers",
    "unit_rows",
]

_SMALL: Final = 4_000_000
_FEW_TO_SUM: Final = 150_000_000  # 3 seconds, by benchmarks/scale/imagery.py
# The columns of the Evaluation's estimates, and what a reader needs beside them.
ESTIMATE_COLUMNS: Final = (
    "method", "variable", "domain", "estimate", "standard_error", "df", "n",
    "variance_method", "lower", "upper", "relative_efficiency", "publishable", "note",
)  # fmt: skip


# The columns of what a method answers for units.
UNIT_COLUMNS: Final = (
    "row", "variable", "prediction", "truth", "scheme", "confidence",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ImageryData:
    """The data of one run.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row per unit: surveyed segment, labelled pixel or small zone.
    task : object
        What the task made of the sources: samples, images, zones.
    digest : str
        sha256 over the digests of the files.
    notes, cautions : list of str
        What the reader inferred, and what a reader of the figures must not miss.
    rules : (int, int)
        Rules of the contract that no row breaks, and how many there are.
    """

    frame: pd.DataFrame
    task: Any
    digest: str
    notes: list[str]
    cautions: list[str] = field(default_factory=list)
    rules: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class ArmRun:
    """What one method answered.

    Parameters
    ----------
    name : str
        Of the method in the pilot.
    method : object
        As it was made or fitted.
    units : pandas.DataFrame
        A row per unit, variable and validation scheme: ``row`` (place in the data's
        frame), ``variable``, ``prediction``, ``truth``, ``scheme`` (empty, or how the
        unit was left out) and ``confidence``; empty where a method predicts no unit.
    estimates : pandas.DataFrame
        Columns `ESTIMATE_COLUMNS`.
    timings : list of dict
        Rows of :data:`mlstats.quality.evaluation.TIMINGS` without run_id.
    inputs : dict
        Column that the method reads -> ``string`` or ``double``.
    rerun_changed : float
        Share of the units that a second run with the same seed answered otherwise.
    tables : dict of str to pandas.DataFrame
        What else it found, publishable.
    rows : list of dict
        Rows of the scorecard that only the method itself can tell.
    raster : pathlib.Path or None
        The map that it made.
    notes : list of str
        What a reader of its figures must not miss.
    """

    name: str
    method: Any
    units: pd.DataFrame
    estimates: pd.DataFrame
    timings: list[dict[str, Any]]
    inputs: dict[str, str]
    rerun_changed: float = np.nan
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    raster: Path | None = None
    notes: list[str] = field(default_factory=list)


def estimate_row(
    found: Estimate,
    *,
    method: str,
    variable: str,
    domain: str = "",
    how: str = "",
    publishable: bool = True,
    efficiency: float = np.nan,
) -> dict[str, Any]:
    """Return an estimate as a row with `ESTIMATE_COLUMNS`."""
    told = "; ".join(part for part in (how, found.interval) if part)
    return {
        "method": method,
        "variable": variable,
        "domain": domain,
        "estimate": found.value,
        "standard_error": found.se,
        "df": found.df,
        "n": found.n,
        "variance_method": told,
        "lower": found.lower,
        "upper": found.upper,
        "relative_efficiency": efficiency,
        "publishable": bool(publishable and found.has_error),
        "note": found.note,
    }


def unit_rows(variable: str, prediction: np.ndarray, truth: np.ndarray) -> pd.DataFrame:
    """Return what a method answered for every unit in its order, one scheme only."""
    return pd.DataFrame(
        {
            "row": np.arange(len(truth)),
            "variable": variable,
            "prediction": prediction,
            "truth": truth,
            "scheme": "",
            "confidence": np.nan,
        }
    )


def count_bias(counted: Estimate, estimate: Estimate, name: str) -> Estimate:
    """Return how far a pixel count lies from an estimate, as a share of it.

    The count has no sampling error of its own: the interval is the estimate's.
    """
    if not estimate.has_error or estimate.lower <= 0:
        why = f"{name} has no interval to hold the count to"
        return absent("not_measured", why, estimate.n)
    value = counted.value
    return Estimate(
        value / estimate.value - 1,
        estimate.se * value / estimate.value**2,
        estimate.df,
        value / estimate.upper - 1,
        value / estimate.lower - 1,
        estimate.n,
        note=f"against the estimate of {name}",
        interval="that of the estimate",
    )


def map_workers(pixels: int, *, sums: bool = False, shared: bool = True) -> int | Scale:
    """Return where the blocks of a raster are worked on, by the settings.

    Parameters
    ----------
    pixels : int
        Of the raster; a small one is done before workers would have started.
    sums : bool
        Whether no more is done than to sum them by zone.
    shared : bool
        Whether other machines see its file; else it stays on this one.
    """
    if pixels <= (_FEW_TO_SUM if sums else _SMALL):
        return 1
    scale = Scale.of(load_settings())
    return scale if shared else Scale(LOCAL, scale.workers)
