"""Where the data of one reference period lie, and which of their rows are its own."""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd

from mlstats.config import Pilot
from mlstats.dataset import Source
from mlstats.errors import ConfigError, SourceError
from mlstats.period import ReferencePeriod

__all__ = ["check_period", "of_period", "own_rows", "without_target"]


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
    source = pilot.production.source or pilot.data.source
    if "{period}" not in source and pilot.data.roles.period is None:
        raise ConfigError(
            f"The pilot {pilot.pilot} does not say where the data of a period lie",
            where="production.source",
            expected="a path with {period} in it, or data.roles.period",
        )
    found: dict[str, Any] = {
        "source": source.replace("{period}", period),
        "periods": None,
    }
    if pilot.data.history is not None and pilot.production.history:
        before = str(ReferencePeriod.parse(period).previous())
        earlier = {"source": pilot.production.history.replace("{before}", before)}
        found["history"] = pilot.data.history.model_copy(update=earlier)
    return pilot.model_copy(update={"data": pilot.data.model_copy(update=found)})


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
    apart = "{period}" in (pilot.production.source or pilot.data.source)
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
    kept = frame[own].reset_index(drop=True)
    hashed = pd.util.hash_pandas_object(kept, index=False).to_numpy()
    return kept, hashlib.sha256(hashed.tobytes()).hexdigest()


def without_target(pilot: Pilot) -> Pilot:
    """Return the pilot of data that nobody has coded yet."""
    roles = pilot.data.roles.model_copy(update={"target": None})
    return pilot.model_copy(
        update={"data": pilot.data.model_copy(update={"roles": roles})}
    )
