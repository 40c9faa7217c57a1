"""The records of an edit and imputation pilot: read, checked, with their edits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mlstats import contract, io
from mlstats.config import Pilot
from mlstats.dataset import Source, finder, read_source
from mlstats.editimpute.edit_files import read_edits
from mlstats.editimpute.edits import EditSet
from mlstats.editimpute.status import PASS, review
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.period_source import own_rows
from mlstats.settings import Settings

__all__ = [
    "Records",
    "as_decimals",
    "check_columns",
    "check_valued",
    "check_variables",
    "edits_of",
    "load",
    "load_period",
    "plain",
    "weights_of",
]


@dataclass(frozen=True)
class Records:
    """The data of one run.

    Parameters
    ----------
    frame : pandas.DataFrame
        All columns read, a row per unit, numbered from 0.
    digest : str
        sha256 over the digests of the files.
    notes, cautions : list of str
        What the reader inferred, and what a reader of the figures must not miss.
    edits : EditSet or None
        None where the pilot names none.
    rules : (int, int)
        How many rules of the contract no row breaks, and how many there are.
    """

    frame: pd.DataFrame
    digest: str
    notes: list[str]
    cautions: list[str] = field(default_factory=list)
    edits: EditSet | None = None
    rules: tuple[int, int] = (0, 0)


def load(
    pilot: Pilot,
    settings: Settings,
    *,
    sample: int | None = None,
    period: str | None = None,
) -> tuple[Records, contract.ContractResult]:
    """Read the records and edits of a pilot and check the contract.

    Parameters
    ----------
    pilot, settings, sample
        As in :func:`mlstats.dataset.load`.
    period : str, optional
        Take the records, and the edits, of this period.

    Returns
    -------
    records : Records
        Categories are strings.
    result : ContractResult
        All failures of the contract, to be raised or shown by the caller.

    Raises
    ------
    ConfigError
        Where the edits name what is not a column.
    ContractError
        Where a variable that the edits compute with holds text, or has no value.
    """
    roles = pilot.data.roles
    if period is not None and roles.period is None:
        raise ConfigError(
            "A period was asked for and the pilot does not say which column holds it",
            where="data.roles.period",
            hint="leave --period out, or name the column",
        )
    edits = edits_of(pilot, settings, period)
    source = read_source(
        pilot, settings, sample=sample, period=period, text_columns=_codes(edits)
    )
    frame = source.frame
    if period is not None and roles.period is not None:
        frame = frame[frame[roles.period].astype(str) == period].reset_index(drop=True)
    return checked(pilot, settings, replace(source, frame=frame), edits)


def load_period(
    pilot: Pilot, settings: Settings, period: str, *, written: Pilot
) -> tuple[Records, contract.ContractResult]:
    """Read the records of one period that is produced; nobody has edited them yet.

    Parameters
    ----------
    pilot : Pilot
        As :func:`mlstats.period_source.of_period` returns it.
    period : str
        Whose records, and whose edits.
    written : Pilot
        As its file says it.

    Returns
    -------
    records, result
        As :func:`load` returns them; the digest is of the earlier period's file too.
    """
    edits = edits_of(pilot, settings, period)
    source = read_source(pilot, settings, text_columns=_codes(edits))
    frame, digest = own_rows(source, written, period)
    spec = pilot.data.history
    if spec is not None:
        earlier = io.sha256_file(finder(settings)(spec.source))
        digest = hashlib.sha256(f"{digest}\n{earlier}".encode()).hexdigest()
    return checked(pilot, settings, replace(source, frame=frame, digest=digest), edits)


def edits_of(pilot: Pilot, settings: Settings, period: str | None) -> EditSet | None:
    """Return the pilot's edits that hold in a period, None where it names none."""
    spec = pilot.data.edits
    return read_edits(finder(settings)(spec.file)).at(period) if spec else None


def _codes(edits: EditSet | None) -> list[str]:
    return [] if edits is None else [*edits.categorical]


def checked(
    pilot: Pilot, settings: Settings, source: Source, edits: EditSet | None
) -> tuple[Records, contract.ContractResult]:
    """Join, select and check records that were read, as :func:`load` does."""
    frame, cautions = plain(source.frame), list(source.cautions)
    if pilot.data.history is not None:
        frame = _with_history(frame, pilot, settings, cautions)
    if pilot.data.only is not None:
        frame = _selected(frame, pilot.data.only, cautions)
    result = contract.check(frame, pilot.data, truth=None)
    if result.ok:
        check_variables(frame, pilot, edits)
    frame = as_decimals(frame, pilot, edits)
    return (
        Records(
            frame,
            source.digest,
            [*source.notes, f"records: {len(frame)}"],
            cautions,
            edits,
            (result.kept, result.held),
        ),
        result,
    )


def weights_of(pilot: Pilot, records: Records) -> np.ndarray:
    """Return the design weight of each record, 1 where the pilot names none."""
    column = pilot.data.roles.weight
    if column is None:
        return np.ones(len(records.frame))
    return records.frame[column].to_numpy(dtype=float)


def _selected(frame: pd.DataFrame, only: str, cautions: list[str]) -> pd.DataFrame:
    """Return the records that keep one condition, written like an edit."""
    kept = review(frame, EditSet.from_texts({"data.only": only})).by_record == PASS
    left_out = len(frame) - int(kept.sum())
    cautions.append(f"{left_out:,} records do not keep {only} and take no part")
    kept_frame: pd.DataFrame = frame[kept].reset_index(drop=True)
    return kept_frame


def _with_history(
    frame: pd.DataFrame, pilot: Pilot, settings: Settings, cautions: list[str]
) -> pd.DataFrame:
    """Join the values of an earlier period; records without any miss them."""
    spec, unit = pilot.data.history, pilot.data.roles.unit_id
    assert spec is not None
    table = io.read_table(str(finder(settings)(spec.source)), text_columns={unit})
    earlier = plain(table.frame)
    if unit not in earlier or earlier[unit].duplicated().any():
        raise ContractError(
            f"The earlier file does not tell its units apart by {unit!r}",
            where="data.history",
            expected="one row per unit, with the column of data.roles.unit_id",
        )
    earlier = earlier.set_index(unit).add_suffix(spec.suffix)
    taken = [c for c in earlier.columns if c in frame]
    if taken:
        raise ConfigError(
            f"The column {taken[0]!r} is in the data already",
            where="data.history.suffix",
        )
    met = int(frame[unit].isin(earlier.index).sum())
    cautions.append(f"{met:,} of {len(frame):,} records have an earlier period")
    joined: pd.DataFrame = frame.join(earlier, on=unit)
    return joined


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the data with categories as strings: a treatment writes new ones."""
    kinds = {
        name: object
        for name in frame.columns
        if isinstance(frame[name].dtype, pd.CategoricalDtype)
        or pd.api.types.is_string_dtype(frame[name].dtype)
    }
    made = frame.astype(kinds)
    for name in kinds:
        made[name] = made[name].where(made[name].notna(), None)
    return made


def as_decimals(
    frame: pd.DataFrame, pilot: Pilot, edits: EditSet | None
) -> pd.DataFrame:
    """Return the records with decimal numbers in variables, if treated one by one.

    A whole number would become a decimal one where a record beside it is treated.
    """
    if pilot.data.donors is None:
        return frame
    named = [*pilot.data.roles.variables, *(edits.numeric if edits else ())]
    held = [name for name in dict.fromkeys(named) if name in frame]
    numbers = frame[held].select_dtypes("number").columns
    return frame.astype(dict.fromkeys(numbers, float))


def check_variables(frame: pd.DataFrame, pilot: Pilot, edits: EditSet | None) -> None:
    """Refuse records without a column of the edits, a value, or a number."""
    known = check_columns(frame, pilot, edits)
    check_valued({name: int(frame[name].notna().sum()) for name in known})
    for name, after in pilot.evaluate.past_edits.items():
        sides = [pd.api.types.is_numeric_dtype(frame[c]) for c in (name, after)]
        if sides[0] != sides[1]:
            raise ContractError(
                f"One of {name!r} and {after!r} holds numbers, the other text",
                where=f"evaluate.past_edits.{name}",
                expected="values of one kind, with missing values empty",
            )


def check_valued(values: Mapping[str, int]) -> None:
    """Refuse a variable without a value.

    Parameters
    ----------
    values : mapping of str to int
        Variable -> records with a value.
    """
    for name, count in values.items():
        if count == 0:
            raise ContractError(f"The variable {name!r} has no value in any record")


def check_columns(
    frame: pd.DataFrame, pilot: Pilot, edits: EditSet | None
) -> list[str]:
    """Refuse records without a column, or with text for a number.

    Returns
    -------
    list of str
        Columns that must have a value in some record.
    """
    named = [] if edits is None else [*edits.numeric, *edits.categorical]
    past = list(pilot.evaluate.past_edits.values())
    for name in [*named, *past]:
        if name not in frame:
            raise ConfigError(
                f"There is no column {name!r} in the data",
                where="data.edits" if name in named else "evaluate.past_edits",
                nearest=nearest(name, map(str, frame.columns)),
            )
    numeric = set() if edits is None else set(edits.numeric)
    known = [*dict.fromkeys([*pilot.data.roles.variables, *numeric])]
    for name in known:
        _check_numbers(frame[name], computed=name in numeric)
    return known


def _check_numbers(column: pd.Series, *, computed: bool) -> None:
    """Refuse infinities, and text where the edits compute."""
    as_numbers = pd.api.types.is_numeric_dtype(column)
    if not (computed or as_numbers):
        return
    read = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = ~np.isfinite(read) & column.notna().to_numpy()
    if not as_numbers and not wrong.any():
        wrong = column.notna().to_numpy()  # digits, but read as text
    if wrong.any():
        rows = ", ".join(str(row + 1) for row in wrong.nonzero()[0][:5])
        raise ContractError(
            f"{column.name!r} holds text or infinity where there must be numbers "
            f"({int(wrong.sum())} records, first in rows {rows})",
            expected="finite numbers, with missing values empty",
            hint="mend the data, or data.read.decimal of the pilot",
        )
