"""Edits as people keep them, in YAML, CSV or Excel.

::

    variables:
      turnover: {least: 0}
      staff: {least: 0, integer: true}
      marital_status: {values: [single, married], missing: allowed}
    edits:
      - id: E1
        text: turnover + other_rev == total_rev
      - id: E2
        text: if staff > 0 then staff_costs > 0
        severity: soft
        valid_from: 2024-01

In a table every edit is a row with the columns id, text, severity, valid_from and
valid_to; instead of text there can be the columns leftside, operator and rightside.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from mlstats.editimpute.edit_language import parse_edit
from mlstats.editimpute.edits import Edit, EditSet, Variable
from mlstats.errors import ConfigError, nearest
from mlstats.io import read_table
from mlstats.quality.sheet_file import Sheet, read_sheet_file

__all__ = ["read_edits"]

Model = TypeVar("Model", bound=BaseModel)

_SIDES = ("leftside", "operator", "rightside")
_COLUMNS = ("id", "text", "severity", "valid_from", "valid_to", "note")


class _EditRow(Sheet):
    id: str = Field(min_length=1)
    text: str = Field(min_length=1)
    severity: Literal["hard", "soft"] = "hard"
    valid_from: str | int | None = None
    valid_to: str | int | None = None
    note: str | None = None

    @field_validator("text")
    @classmethod
    def _is_in_the_language(cls, text: str) -> str:
        try:
            parse_edit(text)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return text

    @model_validator(mode="after")
    def _can_be_read(self) -> _EditRow:
        try:
            self.made()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def made(self) -> Edit:
        return Edit(
            self.id,
            self.text,
            parse_edit(self.text),
            self.severity,
            None if self.valid_from is None else str(self.valid_from),
            None if self.valid_to is None else str(self.valid_to),
        )


class _VariableRow(Sheet):
    least: float | int | None = None
    most: float | int | None = None
    integer: bool = False
    values: list[str] | None = None
    missing: Literal["allowed", "refused"] = "refused"

    @model_validator(mode="after")
    def _is_one_kind(self) -> _VariableRow:
        bounded = self.least is not None or self.most is not None
        if self.values is not None and (self.integer or bounded):
            raise ValueError("A variable has values, or bounds and whole numbers")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("The bounds of a variable exclude every value")
        return self

    def made(self) -> Variable:
        return Variable(
            integer=self.integer,
            least=self.least,
            most=self.most,
            values=None if self.values is None else tuple(self.values),
            missing_allowed=self.missing == "allowed",
        )


class _EditFile(Sheet):
    version: int = 1
    variables: dict[str, _VariableRow] = Field(default_factory=dict)
    edits: list[_EditRow] = Field(min_length=1)

    @model_validator(mode="after")
    def _hold_together(self) -> _EditFile:
        try:
            self.made()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def made(self) -> EditSet:
        variables = {name: row.made() for name, row in self.variables.items()}
        return EditSet(tuple(row.made() for row in self.edits), variables)


def read_edits(
    given: str | Path | Mapping[str, Any],
    variables: Mapping[str, Variable] | None = None,
) -> EditSet:
    """Read a set of edits.

    Parameters
    ----------
    given : path or mapping
        A YAML file, a table (CSV, Excel ...) with a row per edit, or what such a YAML
        file holds.
    variables : mapping, optional
        Name -> :class:`~mlstats.editimpute.edits.Variable`, for a table, which has no
        room for them.

    Raises
    ------
    ConfigError
        With file:line and the column of the text, where an edit cannot be used.
    SourceError
        If a table cannot be read.
    """
    if isinstance(given, Mapping):
        return _validated(_EditFile, given, "edits").made()
    path = Path(given)
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_sheet_file(path, _EditFile).made()
    return _read_table(path, dict(variables or {}))


def _read_table(path: Path, variables: dict[str, Variable]) -> EditSet:
    names = [str(name) for name in read_table(path, rows=1).frame.columns]
    renamed = {"editid": "id"}
    for name in names:
        if renamed.get(name, name) not in (*_COLUMNS, *_SIDES):
            raise ConfigError(
                f"Unknown column {name!r}",
                where=f"{path}:1",
                expected=f"{', '.join(_COLUMNS)}, or {', '.join(_SIDES)}",
                nearest=nearest(name, (*_COLUMNS, *_SIDES)),
            )
    frame = read_table(path, text_columns=names).frame.rename(columns=renamed)
    edits: list[Edit] = []
    seen: set[str] = set()
    for number, cells in enumerate(frame.to_dict("records")):
        row = {str(k): v for k, v in cells.items() if isinstance(v, str) and v.strip()}
        place = f"{path}:{number + 2}"
        edit = _validated(_EditRow, _with_text(row), place).made()
        if edit.id in seen:
            raise ConfigError(f"The edit {edit.id!r} is given twice", where=place)
        seen.add(edit.id)
        edits.append(edit)
    return EditSet(tuple(edits), variables)


def _with_text(row: dict[str, str]) -> dict[str, str]:
    """Join the sides of an edit where a table keeps them apart."""
    sides = [row.pop(side, "") for side in _SIDES]
    if all(sides) and "text" not in row:
        row["text"] = " ".join(sides)
    return row


def _validated(model: type[Model], given: Mapping[str, Any], place: str) -> Model:
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            str(first["msg"]).removeprefix("Value error, "),
            where=place + (f" ({key})" if key else ""),
        ) from None
