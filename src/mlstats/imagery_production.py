"""One period of an imagery pilot: its units and images, and what an arm made of them.

A method is fitted anew to the units of each period; what was approved is its recipe. A
scene's map lies in a folder of its own until the release has it.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats import contract, imagery_methods
from mlstats.approved_recipe import approved, as_spec
from mlstats.config import Pilot
from mlstats.errors import ConfigError
from mlstats.imagery_task import ImageryData
from mlstats.period_source import has_own_files, of_period
from mlstats.produced import Arm, PeriodData
from mlstats.recipe import recipe_of
from mlstats.settings import Settings

__all__ = ["Estimated", "Question", "answer", "load", "of_column", "question"]


@dataclass(frozen=True, eq=False)
class Question:
    """What the methods are asked.

    Parameters
    ----------
    pilot : Pilot
        As it reads the period.
    data : ImageryData
        Of the period.
    decides : mapping
        What decides the values besides method and data, by the pilot's file now.
    folder : pathlib.Path
        Where maps go, a folder for each role.
    """

    pilot: Pilot
    data: ImageryData
    decides: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True, eq=False)
class Estimated:
    """What an arm made of the period.

    Parameters
    ----------
    estimates : pandas.DataFrame
        Columns :data:`mlstats.imagery_task.ESTIMATE_COLUMNS`; a method's figures, and
        what is shown beside them.
    units : pandas.DataFrame
        row, variable and prediction; empty where no unit is predicted.
    raster : pathlib.Path or None
        The map.
    tables : mapping of str to pandas.DataFrame
        What else was found, publishable.
    notes : tuple of str
        What a reader of the figures must not miss.
    changed : tuple of str
        What the pilot says otherwise than the recipe; of a baseline only.
    """

    estimates: pd.DataFrame
    units: pd.DataFrame
    raster: Path | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def load(
    pilot: Pilot, settings: Settings, period: str
) -> tuple[PeriodData, contract.ContractResult]:
    """Read units, images and frames of a period and check the contract.

    Returns
    -------
    data : PeriodData
        With the pilot as it reads the period, and the ImageryData.
    result : ContractResult
        All failures of the contract.
    """
    told = of_period(pilot, period)
    # Files of a period hold that period alone.
    own = None if has_own_files(pilot) else period
    data, result = imagery_methods.load(told, settings, period=own)
    read = PeriodData(data.frame, data.digest, list(data.cautions), (told, data))
    return read, result


def question(pilot: Pilot, settings: Settings, data: PeriodData) -> Question:
    """Return what the methods are asked of a period."""
    told, read = data.more
    if read.task is None:
        raise KeyError("the contract tells what is missing")
    folder = Path(tempfile.mkdtemp(prefix="mlstats-maps-"))
    weakref.finalize(data, shutil.rmtree, folder, ignore_errors=True)
    decides = recipe_of(pilot, pilot.baseline, settings).decides
    return Question(told, read, decides, folder)


def of_column(pilot: Pilot, name: str, data: PeriodData) -> Estimated:
    """Refuse a method that is a column: nothing is estimated from one.

    Raises
    ------
    ConfigError
        Always.
    """
    raise ConfigError(
        f"The method {name!r} is a column of the data and estimates no areas",
        where=f"methods.{name}",
        expected="a method of mlstats.imagery, or a classifier of scikit-learn",
    )


def answer(one: Arm, asked: Question, confidential: Path) -> Estimated:
    """Let a version estimate a period.

    Raises
    ------
    ServiceError
        Where its recipe is missing, was changed, or was approved with other roles or
        another task.
    MethodError
        Where it fails.
    """
    recipe, changed = approved(one, confidential, asked.decides)
    methods = {**asked.pilot.methods, one.method: as_spec(recipe)}
    pilot = asked.pilot.model_copy(update={"methods": methods})
    folder = asked.folder / one.role
    folder.mkdir(parents=True, exist_ok=True)
    found = imagery_methods.estimate(pilot, one.method, asked.data, folder)
    return Estimated(
        found.estimates,
        found.units[["row", "variable", "prediction"]],
        found.raster,
        found.tables,
        tuple(found.notes),
        changed,
    )
