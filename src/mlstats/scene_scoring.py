"""The rows of a scene: accuracy three ways, and the territory unlike the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import ContractError
from mlstats.imagery.applicability import Applicability
from mlstats.imagery.raster_map import map_raster
from mlstats.imagery.validation_report import validation_table
from mlstats.imagery_task import ArmRun, ImageryData, map_workers
from mlstats.imagery_units import BLOCK, UNCLASSIFIED
from mlstats.quality.estimate import absent, estimate_of
from mlstats.quality.indicator import Indicator, exact
from mlstats.scene_data import SceneData

__all__ = ["applicability", "class_rows"]

Rows = list[dict[str, Any]]
LEVEL: Final = "class"
# How a scheme is told in the scorecard, after the name of the measure.
_ENDING: Final = {"blocked": "", "random": "_random", "season": "_season"}
_INSIDE, _OUTSIDE, _NOTHING = 0, 1, 255


def class_rows(pilot: Pilot, runs: Sequence[ArmRun]) -> tuple[Rows, pd.DataFrame]:
    """Return accuracy and macro-F1 under every scheme, paired with the baseline's.

    Returns
    -------
    rows : list of dict
        Of the scorecard.
    table : pandas.DataFrame
        Of :func:`mlstats.imagery.validation_table`.
    """
    told = pd.concat(
        [run.units.assign(method=run.name) for run in runs], ignore_index=True
    ).rename(columns={"row": "unit"})
    absent: dict[str, str] = dict(runs[0].units.attrs.get("not_measured", {}))
    told.attrs["not_measured"] = absent
    table = validation_table(told, baseline=pilot.baseline)
    rows = _scorecard(table, pilot.baseline)
    others = {
        rule.versus
        for rule in pilot.gates
        if rule.versus not in (None, pilot.baseline, pilot.candidate)
    }
    for other in sorted(filter(None, others)):
        again = _scorecard(validation_table(told, baseline=other), other)
        rows += [row for row in again if row["method"] == pilot.candidate]
    return rows, table


def _scorecard(table: pd.DataFrame, baseline: str) -> Rows:
    """Return level and difference of each measure as one row."""
    rows: Rows = []
    kept = table[table["measure"].isin(["accuracy", "macro_f1"])]
    for _, part in kept.groupby(["scheme", "method", "measure"], sort=False):
        levels = part[part["against"] == ""]
        if levels.empty:
            continue
        row, key = levels.iloc[0], str(levels["measure"].iloc[0])
        name = key + _ENDING[str(row["scheme"])]
        found = Indicator("accuracy", name, estimate_of(row)).row(
            method=str(row["method"]), level=LEVEL
        )
        found["n_clusters"] = int(row["clusters"])
        gaps = part[part["against"] == baseline]
        if len(gaps):
            gap = estimate_of(gaps.iloc[0])
            found |= {
                "versus": baseline,
                "difference": gap.value,
                "difference_se": gap.se,
                "difference_lower": gap.lower,
                "difference_upper": gap.upper,
            }
        rows.append(found)
    return rows


# -- applicability -------------------------------------------------------------------


class _Outside:
    """Which pixels of a block are unlike the training: 1, else 0; 255 unclassified."""

    def __init__(self, area: Applicability, features: Any) -> None:
        self.area = area
        self.features = features

    def __call__(self, block: Any) -> np.ndarray:
        values, ok = self.features.compute(block)
        found = np.full(ok.shape, _NOTHING, np.uint8)
        found[ok] = ~self.area.inside(values[:, ok].T)
        return found


def applicability(
    pilot: Pilot, data: ImageryData, runs: Sequence[ArmRun], folder: Path
) -> tuple[Rows, pd.DataFrame]:
    """Write the mask of the area of applicability; tell the share of maps outside it.

    Every feature weighs the same: the mask is of the data, the same for all methods.
    A training unit's nearest neighbour is looked for in other blocks than its own.

    Returns
    -------
    rows : list of dict
        ``outside_applicability`` by method, of the classified pixels.
    table : pandas.DataFrame
        method, class, pixels, outside (their share).
    """
    scene: SceneData = data.task
    X, folds = data.frame[scene.names].to_numpy(float), data.frame[BLOCK]
    try:
        area = Applicability.learn(X, folds)
    except ContractError as error:
        return [], pd.DataFrame([{"note": error.title}])
    path = folder / "applicability.tif"
    map_raster(
        _Outside(area, scene.features), scene.target, path,
        bands=["outside"], dtype="uint8", nodata=_NOTHING, halo=scene.features.halo,
        classes={_OUTSIDE: "outside", _INSIDE: "inside"},
        workers=map_workers(int(np.prod(scene.target.grid.shape))),
    )  # fmt: skip
    rows, tables = [], []
    for run in runs:
        if run.raster is None:
            continue
        names = run.tables["class_areas"]["class"].tolist()
        counts = _crossed(run.raster, path, len(names))
        found = counts[1:].sum(axis=0)
        told = absent("not_measured", "no pixel is classified")
        if found.sum():
            share = float(found[_OUTSIDE] / found.sum())
            told = exact(share, n=int(found.sum()), note="of the classified pixels")
        rows.append(
            Indicator("accuracy", "outside_applicability", told).row(method=run.name)
        )
        tables.append(_by_class(run.name, names, counts))
    return rows, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _crossed(shown: Path, mask: Path, classes: int) -> np.ndarray:
    """Return pixels by class, inside and outside, shape (classes, 2)."""
    import rasterio

    total = np.zeros((classes, 2), dtype=np.int64)
    with rasterio.open(shown) as one, rasterio.open(mask) as other:
        for _, window in one.block_windows(1):
            code = one.read(1, window=window).astype(int)
            outside = other.read(1, window=window)
            known = outside != _NOTHING
            cells = code[known] * 2 + outside[known]
            total += np.bincount(cells, minlength=2 * classes).reshape(classes, 2)
    return total


def _by_class(method: str, names: list[str], counts: np.ndarray) -> pd.DataFrame:
    pixels = counts.sum(axis=1)
    table = pd.DataFrame(
        {
            "method": method,
            "class": names,
            "pixels": pixels,
            "outside": counts[:, _OUTSIDE] / np.maximum(pixels, 1),
        }
    )
    return table[(table["class"] != UNCLASSIFIED) & (table["pixels"] > 0)]
