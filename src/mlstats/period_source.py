"""Where the data of one reference period lie, and which of their rows are its own."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from mlstats import split
from mlstats.config import Pilot
from mlstats.dataset import Source
from mlstats.errors import ConfigError, SourceError
from mlstats.period import PeriodRange, ReferencePeriod

__all__ = [
    "at_period",
    "check_period",
    "has_own_files",
    "last_period",
    "of_period",
    "own_rows",
    "says_period",
    "unit_design",
    "without_target",
]


def check_period(pilot: Pilot, period: str) -> ReferencePeriod:
    """Return a period that fits the pilot's frequency.

    Raises
    ------
    ConfigError
        Where it is none, or of another frequency.
    """
    asked = ReferencePeriod.parse(period)
    frequency = pilot.data.frequency
    if frequency is not None and asked.frequency != frequency:
        raise ConfigError(
            f"The period {period} is not of the pilot's frequency {frequency}",
            where="--period",
            expected=str(ReferencePeriod.containing(asked.first_day(), frequency)),
        )
    return asked


def of_period(pilot: Pilot, period: str) -> Pilot:
    """Return the pilot as it reads the data of one period.

    Raises
    ------
    ConfigError
        Where the pilot does not say which data are those of a period.
    """
    if not has_own_files(pilot) and pilot.data.roles.period is None:
        raise ConfigError(
            f"The pilot {pilot.pilot} does not say where the data of a period lie",
            where="production.source",
            expected="a path with {period} in it, or data.roles.period",
        )
    source = pilot.production.source or pilot.data.source
    found: dict[str, Any] = {"source": source}
    if pilot.data.history is not None and pilot.production.history:
        before = str(ReferencePeriod.parse(period).previous())
        earlier = {"source": pilot.production.history.replace("{before}", before)}
        found["history"] = pilot.data.history.model_copy(update=earlier)
    told = pilot.model_copy(update={"data": pilot.data.model_copy(update=found)})
    return at_period(told, period)


def says_period(pilot: Pilot) -> bool:
    """Return whether a path or date of the pilot's data says ``{period}``."""
    told = [spec.model_dump_json() for spec in _of_imagery(pilot).values()]
    return any("{period}" in text for text in [pilot.data.source, *told])


def has_own_files(pilot: Pilot) -> bool:
    """Return whether a period that is produced has files that hold nothing else."""
    source = pilot.production.source
    if source is None:
        return says_period(pilot)
    without = pilot.data.model_copy(update={"source": source})
    return says_period(pilot.model_copy(update={"data": without}))


def at_period(pilot: Pilot, period: str) -> Pilot:
    """Return the pilot with a period in place of each ``{period}`` of its data."""
    found: dict[str, Any] = {
        "source": pilot.data.source.replace("{period}", period),
        "periods": None,
    }
    for name, spec in _of_imagery(pilot).items():
        told = spec.model_dump_json()
        if "{period}" in told:
            told = told.replace("{period}", period)
            found[name] = type(spec).model_validate_json(told)
    return pilot.model_copy(update={"data": pilot.data.model_copy(update=found)})


def last_period(pilot: Pilot) -> str:
    """Return the last period of the data.

    Raises
    ------
    ConfigError
        Where the pilot does not tell its periods.
    """
    if pilot.data.periods is None:
        raise ConfigError(
            "The pilot says {period} and not which periods there are",
            where="data.periods",
            expected="a period, or a range such as 2026-01/2026-08",
        )
    return str(PeriodRange.parse(pilot.data.periods).last)


def _of_imagery(pilot: Pilot) -> dict[str, BaseModel]:
    data = pilot.data
    specs = {"scene": data.scene, "segments": data.segments, "zones": data.zones}
    return {name: spec for name, spec in specs.items() if spec is not None}


def own_rows(source: Source, pilot: Pilot, period: str) -> tuple[pd.DataFrame, str]:
    """Return the rows of a period and the sha256 of what was read of it.

    Parameters
    ----------
    source : Source
        As read by the pilot of :func:`of_period`.
    pilot : Pilot
        As it is written.

    Raises
    ------
    SourceError
        Where the data hold no row of the period.
    """
    frame, column = source.frame, pilot.data.roles.period
    apart = has_own_files(pilot)
    if column is None:
        return frame, source.digest
    if column not in frame:
        if not apart:  # the contract tells that the column is missing
            return frame, source.digest
        return frame.assign(**{column: period}), source.digest
    own = frame[column].astype("str") == period
    if not own.any():
        raise SourceError(
            f"The data hold no row of the period {period}",
            where=f"column {column}",
            hint="look whether the data of the period have come",
        )
    if own.all():
        return frame, source.digest
    if apart:
        lost = int((~own).sum())
        told = f"{lost} rows of the file are not of {period} and were left out"
        source.cautions.append(told)
    kept = frame[own].reset_index(drop=True)
    hashed = pd.util.hash_pandas_object(kept, index=False).to_numpy()
    return kept, hashlib.sha256(hashed.tobytes()).hexdigest()


def without_target(pilot: Pilot) -> Pilot:
    """Return the pilot of data that nobody has coded yet."""
    roles = pilot.data.roles.model_copy(update={"target": None})
    return pilot.model_copy(
        update={"data": pilot.data.model_copy(update={"roles": roles})}
    )


def unit_design(
    pilot: Pilot, frame: pd.DataFrame, period: str, first: int = 0
) -> pd.DataFrame:
    """Return what a release says of each unit besides its values.

    Parameters
    ----------
    frame : pandas.DataFrame
        The period's data.
    period : str
        Which one.
    first : int
        Number of the first row, where the frame is a part of the data.

    Returns
    -------
    pandas.DataFrame
        Columns unit, period, weight (1 where there is none), stratum, cluster (the
        unit's own where there is none), fraction (0 where none is known) and
        ``domain_NAME``, a row per unit, numbered from 0.
    """
    roles, n = pilot.data.roles, len(frame)
    columns: dict[str, Any] = {
        "unit": frame[roles.unit_id].to_numpy(),
        "period": period,
        "weight": frame[roles.weight].to_numpy(dtype=float)
        if roles.weight
        else np.ones(n),
        "stratum": frame[roles.stratum].fillna("").to_numpy() if roles.stratum else "",
        "cluster": split.cluster_ids(frame, roles.cluster, first=first).to_numpy(),
        "fraction": frame[roles.fraction].to_numpy(dtype=float)
        if roles.fraction
        else 0.0,
    }
    columns |= {
        f"domain_{name}": frame[name].fillna("").to_numpy() for name in roles.domain
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(n))
