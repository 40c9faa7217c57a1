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
from mlstats.partitions import is_partitioned
from mlstats.period_source import of_period
from mlstats.produced import Arm, PeriodData
from mlstats.recipe import recipe_of
from mlstats.records import Records, load_period
from mlstats.settings import Settings
from mlstats.sources import source_finder

__all__ = [
    "Question",
    "Treated",
    "answer",
    "kept_cells",
    "load",
    "of_column",
    "question",
    "unedited",
    "why_in_memory",
]

_CELLS = ["row", "variable", "selection", "status", "step", "donor", "reason"]


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
        variable, selection, status, step, donor (id of a record) and reason.
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
    told = unedited(of_period(pilot, period))
    records, result = load_period(told, settings, period, written=pilot)
    cautions = list(records.cautions)
    if told.data.history is not None and not pilot.production.history:
        cautions.append(
            "production.history is not told: the earlier values are those of the "
            "evaluation, whatever the period"
        )
    if is_partitioned(source_finder(settings)(told.data.source)):
        cautions.append(f"the parts were read into memory: {why_in_memory(pilot)}")
    return PeriodData(records.frame, records.digest, cautions, (told, records)), result


def why_in_memory(pilot: Pilot) -> str:
    """Return why a period cannot be treated part by part, empty where it can."""
    data = pilot.data
    reasons = {
        "without data.donors a method sees all records at once": data.donors is None,
        "data.history joins the records of an earlier period": data.history is not None,
        "data.only leaves records out": data.only is not None,
        "an outlier is one beside all records": bool(data.selection.outliers),
        "evaluate.selective scores a record beside all others": (
            pilot.evaluate.selective is not None
        ),
    }
    return next((why for why, is_so in reasons.items() if is_so), "")


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
    ids = records.frame[pilot.data.roles.unit_id].to_numpy(dtype=object)
    cells = found.cells  # labels of an index that counts from 0
    given = [None if pd.isna(row) else ids[int(row)] for row in cells["donor"]]
    donors = [None if pd.isna(donor) else str(donor) or None for donor in given]
    variables = [str(name) for name in case.mask.columns]
    kept = kept_cells(
        cells.assign(
            row=cells["unit"], donor=pd.Series(donors, cells.index, dtype=object)
        ),
        variables,
    )
    return Treated(found.values[variables], kept, changed)


def kept_cells(cells: pd.DataFrame, variables: list[str]) -> pd.DataFrame:
    """Return the cells of variables as :class:`Treated` has them."""
    kept = cells[cells["variable"].isin(variables)].rename(columns={"method": "step"})
    return kept[_CELLS].astype({"row": np.int64}).reset_index(drop=True)


def unedited(pilot: Pilot) -> Pilot:
    """Return the pilot of records that no clerk has edited and nobody damages."""
    plain: dict[str, Any] = {"past_edits": {}, "damage": None}
    return pilot.model_copy(
        update={"evaluate": pilot.evaluate.model_copy(update=plain)}
    )
