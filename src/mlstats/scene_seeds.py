"""What other seeds give: classifiers of a scene validated again, for a full run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.imagery_task import ArmRun, ImageryData
from mlstats.quality.estimate import absent
from mlstats.quality.indicator import Indicator
from mlstats.quality.reproducibility import LEAST_SEEDS, seed_spread
from mlstats.scene_methods import MAIN, build_classifier, validated

__all__ = ["seed_rows"]


def seed_rows(
    pilot: Pilot,
    data: ImageryData,
    runs: Sequence[ArmRun],
    rows: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the spread of the accuracy over seeds, blocks left out, by method.

    Parameters
    ----------
    rows : sequence of dict
        Of the scorecard; the accuracy's standard error is the unit of the spread.
    """
    errors = {
        row["method"]: float(row["se"])
        for row in rows
        if row["indicator"] == "accuracy"
    }
    return [
        _spread(pilot, data, run.name, errors.get(run.name, np.nan)).row(
            method=run.name, level="class"
        )
        for run in runs
    ]


def _spread(pilot: Pilot, data: ImageryData, name: str, error: float) -> Indicator:
    method = build_classifier(pilot, name)
    takes = method.get_params() if hasattr(method, "get_params") else {}
    if "random_state" not in takes:
        why = absent("not_applicable", "the method draws nothing at random")
        return Indicator("reproducibility", "seed_spread_accuracy", why)
    values = []
    for number in range(1, LEAST_SEEDS + 1):
        method.set_params(random_state=pilot.evaluate.seed + number)
        units = validated(pilot, name, method, data)
        values.append(_accuracy(units[units["scheme"] == MAIN]))
    return seed_spread(np.array(values), error, of="accuracy")


def _accuracy(units: pd.DataFrame) -> float:
    return float((units["prediction"].astype(str) == units["truth"].astype(str)).mean())
