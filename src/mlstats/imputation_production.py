"""One period of an edit and imputation pilot: its records, and what is made of them.

A method is fitted anew to the records of each period; what was approved is its recipe.
Edits, selection and localisation are those of the pilot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats import contract
from mlstats.approved_recipe import approved, as_spec
from mlstats.config import Pilot
from mlstats.editimpute.arm import build_imputer
from mlstats.errors import ConfigError
from mlstats.guard import method_guard
from mlstats.imputing import cases, columns_of, treat
from mlstats.period_source import of_period
from mlstats.produced import Arm, PeriodData
from mlstats.recipe import recipe_of
from mlstats.records import Records, load_period
from mlstats.settings import Settings

__all__ = ["Question", "Treated", "answer", "load", "of_column", "question"]


@dataclass(frozen=True, eq=False)
class Question:
    """What the methods are asked.

    Parameters
    ----------
    pilot : Pilot
        As it reads and treats the period.
    records : Records
        Of the period.
    decides : mapping
        What decides the values besides method and data, by the pilot's file now.
    """

    pilot: Pilot
    records: Records
    decides: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Treated:
    """What an arm made of the records.

    Parameters
    ----------
    values : pandas.DataFrame
        The variables, a row per record.
    cells : pandas.DataFrame
        A row per cell that was asked for or changed: row (place of the record),
        variable, before, after, selection, status, step, donor (place of a record)
        and reason.
    changed : tuple of str
        What the pilot says otherwise than the recipe; of a baseline only.
    """

    values: pd.DataFrame
    cells: pd.DataFrame
    changed: tuple[str, ...] = ()


def load(
    pilot: Pilot, settings: Settings, period: str
) -> tuple[PeriodData, contract.ContractResult]:
    """Read the records and edits of a period and check the contract.

    Returns
    -------
    data : PeriodData
        With the Records.
    result : ContractResult
        All failures of the contract.
    """
    told = _unedited(of_period(pilot, period))
    records, result = load_period(told, settings, period, written=pilot)
    cautions = list(records.cautions)
    if told.data.history is not None and not pilot.production.history:
        cautions.append(
            "production.history is not told: the earlier values are those of the "
            "evaluation, whatever the period"
        )
    return PeriodData(records.frame, records.digest, cautions, (told, records)), result


def question(pilot: Pilot, settings: Settings, data: PeriodData) -> Question:
    """Return what the methods are asked of a period."""
    told, records = data.more
    lost = [name for name in columns_of(told, records) if name not in records.frame]
    if lost:
        raise KeyError(lost[0])  # the contract tells of it
    return Question(told, records, recipe_of(pilot, pilot.baseline, settings).decides)


def of_column(pilot: Pilot, name: str, data: PeriodData) -> Treated:
    """Refuse a method that is a column: nobody has treated the records yet.

    Raises
    ------
    ConfigError
        Always.
    """
    raise ConfigError(
        f"The method {name!r} is a column of the data and treats no records",
        where=f"methods.{name}",
        expected="a method of mlstats.editimpute",
    )


def answer(one: Arm, asked: Question, confidential: Path) -> Treated:
    """Let a version treat the records of a period.

    Raises
    ------
    ServiceError
        Where its recipe is missing, was changed, or was approved with other edits,
        roles or selection.
    MethodError
        Where it fails.
    """
    recipe, changed = approved(one, confidential, asked.decides)
    pilot, records = asked.pilot, asked.records
    method = build_imputer(one.method, as_spec(recipe), records.edits)
    case = next(cases(pilot, records))
    with method_guard(one.method):
        found = treat(pilot, records, method, case)
    variables = list(case.mask.columns)
    cells = found.cells[found.cells["variable"].isin(variables)].copy()
    for name in ("unit", "donor"):  # labels of an index that counts from 0
        cells[name] = cells[name].astype("Int64")
    kept = cells.rename(columns={"unit": "row", "method": "step"})
    kept = kept.astype({"row": np.int64}).reset_index(drop=True)
    return Treated(found.values[variables], kept, changed)


def _unedited(pilot: Pilot) -> Pilot:
    """Return the pilot of records that no clerk has edited and nobody damages."""
    plain: dict[str, Any] = {"past_edits": {}, "damage": None}
    return pilot.model_copy(
        update={"evaluate": pilot.evaluate.model_copy(update=plain)}
    )
