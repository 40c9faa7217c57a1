r"""Coding rules as people write them, in YAML, CSV or Excel.

::

    rules:
      - id: R017
        pattern: '\bgas\b'
        where: {shop_type: [station, garage], amount: {from: 20}}
        code: "07.2.2"
        author: prices
        valid_from: 2024-01

In a table every rule is a row; a condition is a column headed ``where shop_type``, its
cell a value, values between bars (``station|garage``) or a range (``20..``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, ValidationError, model_validator

from mlstats.coding.patterns import check_pattern
from mlstats.errors import ConfigError, nearest
from mlstats.io import read_table
from mlstats.period import ReferencePeriod
from mlstats.quality.sheet_file import Sheet, read_sheet_file

__all__ = ["CodingRule", "Condition", "read_rules"]

_CONDITION = "where "
_KEYS = ("id", "pattern", "code", "author", "valid_from", "valid_to")
_RANGE = re.compile(r"(-?[\d.]*?)\.\.(-?[\d.]*)")

Value = str | int | float | bool


class Condition(Sheet):
    """What a column must hold: one of some values, or a number of a closed range."""

    values: list[Value] | None = None
    least: float | int | None = Field(default=None, alias="from")
    most: float | int | None = Field(default=None, alias="to")

    @model_validator(mode="before")
    @classmethod
    def _from_values(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return given
        return {"values": given if isinstance(given, list) else [given]}

    @model_validator(mode="after")
    def _is_one_condition(self) -> Condition:
        least, most = self.least, self.most
        is_range = least is not None or most is not None
        if is_range == bool(self.values):
            raise ValueError("A condition has either values, or 'from' and 'to'")
        if least is not None and most is not None and least > most:
            raise ValueError("A range ends before it begins")
        return self

    def holds(self, values: pd.Series) -> npt.NDArray[np.bool_]:
        """Tell which values fulfil the condition; a missing value does not."""
        if self.values is None:
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
            least = -np.inf if self.least is None else self.least
            most = np.inf if self.most is None else self.most
            return np.asarray((numbers >= least) & (numbers <= most))
        is_bool = pd.api.types.is_bool_dtype(values)
        if pd.api.types.is_numeric_dtype(values) and not is_bool:
            allowed = pd.to_numeric(pd.Series(self.values, dtype=object), "coerce")
            found = values.isin(allowed.dropna().astype(float))
        else:
            found = values.astype(str).isin([str(value) for value in self.values])
        return (found & values.notna()).to_numpy(dtype=bool)


class CodingRule(Sheet):
    """A rule: the texts that its pattern finds under its conditions have its code.

    Attributes
    ----------
    id : str
        Unique among the rules.
    pattern : str, optional
        Regular expression, searched in the normalised text; without one the
        conditions alone decide.
    where : dict
        Column -> value, list of values or range; all must hold, and a missing value
        keeps none.
    code : str
        What the unit gets.
    author : str
        Who answers for the rule.
    valid_from, valid_to : period, optional
        First and last reference period of the rule.
    """

    id: str = Field(min_length=1)
    pattern: str | None = Field(default=None, min_length=1)
    where: dict[str, Condition] = Field(default_factory=dict)
    code: str = Field(min_length=1)
    author: str = Field(min_length=1)
    valid_from: str | int | None = None
    valid_to: str | int | None = None

    @model_validator(mode="after")
    def _can_be_used(self) -> CodingRule:
        if self.pattern is None and not self.where:
            raise ValueError("A rule has neither a pattern nor a condition")
        if self.pattern is not None:
            check_pattern(self.pattern)
        first, last = self._days()
        if first > last:
            raise ValueError("A rule ends before it begins")
        return self

    def _days(self) -> tuple[date, date]:
        try:
            first = self.valid_from and ReferencePeriod.parse(str(self.valid_from))
            last = self.valid_to and ReferencePeriod.parse(str(self.valid_to))
        except ConfigError as error:
            raise ValueError(error.title) from None
        return (
            first.first_day() if first else date.min,
            last.last_day() if last else date.max,
        )

    def is_valid(self, period: str | None) -> bool:
        """Tell whether the rule holds on the first day of a reference period.

        Without a period every rule holds.
        """
        if period is None:
            return True
        first, last = self._days()
        return first <= ReferencePeriod.parse(str(period)).first_day() <= last

    def applies(self, X: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Tell for which rows the conditions hold.

        Raises
        ------
        ConfigError
            If a column is missing.
        """
        holds = np.ones(len(X), dtype=bool)
        for column, wanted in self.where.items():
            if column not in X:
                raise ConfigError(
                    f"The rule {self.id!r} has a condition on {column!r}, "
                    "which is not in the data",
                    nearest=nearest(column, map(str, X.columns)),
                    hint="name the column among data.roles.auxiliary",
                )
            holds &= wanted.holds(X[column])
        return holds


def read_rules(given: str | Path | Sequence[Mapping[str, Any]]) -> list[CodingRule]:
    """Read ordered rules.

    Parameters
    ----------
    given : path or sequence of mappings
        A YAML file with the key ``rules``, a table (CSV, Excel ...) with a row per
        rule, or the rules themselves.

    Raises
    ------
    ConfigError
        With file:line, where a rule cannot be used as written.
    SourceError
        If a table cannot be read.
    """
    if not isinstance(given, str | Path):
        places = [f"rules: number {i + 1}" for i in range(len(given))]
        return _checked(list(given), places)
    path = Path(given)
    if path.suffix.lower() in (".yaml", ".yml"):
        return list(read_sheet_file(path, _RuleFile).rules)
    return _read_table(path)


class _RuleFile(Sheet):
    version: int = 1
    rules: list[CodingRule] = Field(min_length=1)

    @model_validator(mode="after")
    def _have_different_ids(self) -> _RuleFile:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.id in seen:
                raise ValueError(f"The rule {rule.id!r} is given twice")
            seen.add(rule.id)
        return self


def _read_table(path: Path) -> list[CodingRule]:
    head = read_table(path, rows=1).frame
    names = [str(name) for name in head.columns]
    for name in names:
        if name not in _KEYS and not name.startswith(_CONDITION):
            raise ConfigError(
                f"Unknown column {name!r}",
                where=f"{path}:1",
                expected=f"{', '.join(_KEYS)}, or {_CONDITION!r} and a column",
                nearest=nearest(name, _KEYS),
            )
    frame = read_table(path, text_columns=names).frame
    rules, places = [], []
    for row, cells in enumerate(frame.to_dict("records")):
        given = {str(k): v for k, v in cells.items() if isinstance(v, str) and v}
        rule: dict[str, Any] = {k: v for k, v in given.items() if k in _KEYS}
        rule["where"] = {
            k.removeprefix(_CONDITION): _condition(v)
            for k, v in given.items()
            if k not in _KEYS
        }
        rules.append(rule)
        places.append(f"{path}:{row + 2}")
    return _checked(rules, places)


def _checked(rules: list[Any], places: list[str]) -> list[CodingRule]:
    made: dict[str, CodingRule] = {}
    for given, place in zip(rules, places, strict=True):
        try:
            rule = CodingRule.model_validate(given)
            if rule.id in made:
                raise ConfigError(f"The rule {rule.id!r} is given twice", where=place)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise ConfigError(
                str(first["msg"]).removeprefix("Value error, "),
                where=place + (f" ({key})" if key else ""),
            ) from None
        made[rule.id] = rule
    return list(made.values())


def _condition(cell: str) -> Any:
    found = _RANGE.fullmatch(cell.strip())
    if found is None:
        return [value.strip() for value in cell.split("|")]
    try:
        ends = [float(end) if end else None for end in found.groups()]
    except ValueError:
        return [cell]
    named = zip(("from", "to"), ends, strict=True)
    return {name: end for name, end in named if end is not None}
