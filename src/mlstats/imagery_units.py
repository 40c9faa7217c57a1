"""The units of an imagery pilot: segments, labelled pixels, small zones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlstats import split
from mlstats.config import Pilot
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.evaluate import keyed
from mlstats.imagery_task import ArmRun, ImageryData
from mlstats.quality.evaluation import UNITS

__all__ = [
    "BLOCK",
    "CORE",
    "UNCLASSIFIED",
    "cluster_column",
    "has_columns",
    "judged_units",
    "numbers_in",
]

BLOCK = "block"  # of labelled pixels: what is left out together
UNCLASSIFIED = "unclassified"  # what a map could not give a class
CORE = "in_core"  # whether a pixel is judged: far enough from other blocks


def cluster_column(pilot: Pilot) -> str | None:
    """Return the column whose units vary together: blocks, zones or the role's."""
    if pilot.data.scene is not None:
        return BLOCK
    if pilot.data.zones is not None:
        return pilot.data.zones.within
    return pilot.data.roles.cluster


def judged_units(
    pilot: Pilot,
    data: ImageryData,
    runs: Sequence[ArmRun],
    *,
    run_id: str,
    key: bytes,
    scheme: str = "",
) -> pd.DataFrame:
    """Return the table ``units`` of the Evaluation, all of it in the fold ``test``.

    Parameters
    ----------
    key : bytes
        Secret of the project; unit and cluster are keyed hashes under it.
    scheme : str
        Which of the ways to leave units out; a scene's is ``blocked``.
    """
    about = _about(pilot, data, key)
    parts = [_of_method(one, about, scheme) for one in runs]
    found = [part for part in parts if len(part)]
    empty = pd.DataFrame(columns=[*UNITS])
    units = pd.concat(found, ignore_index=True) if found else empty
    return units.assign(run_id=run_id)


def _about(pilot: Pilot, data: ImageryData, key: bytes) -> pd.DataFrame:
    roles, frame = pilot.data.roles, data.frame
    clusters = split.cluster_ids(frame, cluster_column(pilot))
    weight: Any = frame[roles.weight].astype(float) if roles.weight else 1.0
    if pilot.data.segments is not None:
        weight = next(iter(data.task.samples.values())).weight
    return pd.DataFrame(
        {
            "period": frame[roles.period].astype(str) if roles.period else "",
            "unit": keyed(frame[roles.unit_id], key),
            "position": np.arange(len(frame)),
            "stratum": frame[roles.stratum].fillna("") if roles.stratum else "",
            "cluster": keyed(clusters, key),
            "weight": weight,
            "fraction": frame[roles.fraction].astype(float) if roles.fraction else 0.0,
            **{f"domain_{name}": frame[name].fillna("") for name in roles.domain},
        }
    )


def _of_method(run: ArmRun, about: pd.DataFrame, scheme: str) -> pd.DataFrame:
    told = run.units[run.units["scheme"] == scheme]
    rows = told["row"].to_numpy(int)
    prediction = told["prediction"].to_numpy(object).copy()
    empty = pd.isna(prediction)
    prediction[empty] = None
    coded = np.where(empty, "uncoded", "coded")
    nothing: pd.Series[Any] = pd.Series([[]] * len(rows), about.index[rows])
    return about.iloc[rows].assign(
        method=run.name,
        fold="test",
        replicate=0,
        variable=told["variable"].to_numpy(object),
        prediction=prediction,
        confidence=told["confidence"].to_numpy(float),
        candidates=nothing,
        scores=nothing,
        truth=told["truth"].to_numpy(object),
        truth_source="survey",
        status=coded,
        route="automatic",
        depth="",
        routed=None,
        seen=False,
    )


def has_columns(frame: pd.DataFrame, wanted: list[str], where: str) -> None:
    """Refuse a table without the columns that the pilot names.

    Raises
    ------
    ConfigError
        Where one is missing.
    """
    for name in wanted:
        if name not in frame:
            raise ConfigError(
                f"There is no column {name!r} in the data",
                where=where,
                nearest=nearest(name, map(str, frame.columns)),
            )


def numbers_in(frame: pd.DataFrame, columns: list[str], where: str) -> None:
    """Refuse columns with text, or without a value in some row.

    Raises
    ------
    ContractError
        With the column and the number of rows.
    """
    for name in columns:
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise ContractError(
                f"{bad} of {len(frame)} values of {name!r} are missing or no numbers",
                where=where,
                expected="a number in every row",
                hint="mend them, or leave the rows out",
            )
