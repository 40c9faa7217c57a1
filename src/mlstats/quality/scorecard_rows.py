"""Rows that the scorecard of a whole table and that of parts have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import RatioEstimate, proportion_interval
from mlstats.quality.routing import Step

__all__ = [
    "KORN_GRAUBARD",
    "accuracy_row",
    "korn_graubard",
    "tells_confidence",
    "thresholds_in_words",
    "timing_rows",
]

KORN_GRAUBARD: Final = "Korn-Graubard"


def accuracy_row(
    indicator: str, level: str, method: str, estimate: RatioEstimate, n: int
) -> dict[str, Any]:
    """Return a row of the dimension accuracy without its interval."""
    parts = asdict(estimate)
    return {"dimension": "accuracy", "indicator": indicator, "level": level} | {
        "method": method,
        "n": n,
        **parts,
    }


def korn_graubard(found: RatioEstimate, n: int) -> dict[str, Any]:
    """Return the cells of the interval of a proportion of `n` units."""
    lower, upper = proportion_interval(found, n)
    return {"lower": lower, "upper": upper, "interval": KORN_GRAUBARD}


def tells_confidence(part: pd.DataFrame) -> bool:
    """Return whether any unit of one method has a confidence."""
    return bool(np.isfinite(part["confidence"].to_numpy(dtype=float)).any())


def thresholds_in_words(shown: pd.DataFrame, step: Step) -> str:
    """Return what was shown of the thresholds of one method and step."""
    found = shown[np.isfinite(shown["threshold"].astype(float))]
    if len(found) == 0:
        return f"target {step.target:g}: no threshold was shown to reach it"
    if len(shown) > 1:
        told = f"thresholds shown for {len(found)} of {len(shown)} groups"
        return f"target {step.target:g}, {told}, the others go to clerks"
    threshold, bound = found[["threshold", "bound"]].astype(float).iloc[0]
    told = f"threshold {threshold:.4f}, shown on the valid part: {bound:.4f}"
    return f"target {step.target:g}, {told}"


def timing_rows(timings: pd.DataFrame, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of the wall times of one run."""
    rows = []
    for step in ("fit", "predict"):
        at = timings[timings["step"] == step].set_index("method")
        for method in methods:
            if method not in at.index:
                continue
            units = int(at["units"][method])
            seconds = float(at["wall_seconds"][method])
            rows.append(
                {
                    "dimension": "timeliness",
                    "indicator": f"{step}_seconds_per_1000",
                    "method": method,
                    "value": seconds / units * 1000 if units else np.nan,
                    "n": units,
                    "note": "wall time of one run, no interval",
                }
            )
    return rows
