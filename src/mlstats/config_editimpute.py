"""What a pilot of edit and imputation says beside what every pilot says."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Damage",
    "Donors",
    "Edits",
    "Errors",
    "History",
    "Missing",
    "Outliers",
    "Recode",
    "Selection",
    "Selective",
    "Thousand",
]

ErrorKind = Literal[
    "thousandfold", "tenfold", "tenth", "twelvefold", "twelfth", "factor", "sign",
    "other_code",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Edits(_Strict):
    """The file of the edits, and how errors are localised with them."""

    file: str
    weights: dict[str, float] = Field(default_factory=dict)
    limit: float | None = Field(None, gt=0)


class Thousand(_Strict):
    """Which records were given in units, not in thousands, and what is divided."""

    principal: str
    targets: tuple[str, ...] = ()
    predictive: str | None = None
    auxiliary: str | None = None
    lower: float = Field(250.0, gt=1)
    upper: float = Field(1350.0, gt=1)


class Outliers(_Strict):
    """Outliers of a variable, or of its ratio (Hidiroglou and Berthelot 1986)."""

    variable: str
    auxiliary: str | None = None
    by: tuple[str, ...] = ()
    impute: float = Field(gt=0)
    exponent: float = Field(0.5, ge=0, le=1)
    absolute_floor: float = Field(0.0, ge=0)


class Selection(_Strict):
    """What is selected before the edits are asked, for every method alike."""

    thousand: tuple[Thousand, ...] = ()
    outliers: tuple[Outliers, ...] = ()


class Donors(_Strict):
    """Donors that every record is treated with, by itself and by its id.

    ``rows`` of them are drawn from the records that pass and lack nothing, and of each
    class of the columns ``by`` at least ``class_rows``, where it has so many.
    """

    rows: int = Field(20_000, ge=1)
    by: tuple[str, ...] = ()
    class_rows: int = Field(200, ge=1)


class History(_Strict):
    """A file of an earlier period, joined to the records by the unit id."""

    source: str
    suffix: str = Field("_before", pattern=r"^\w+$")


class Recode(_Strict):
    """A column made of the codes of another one, in groups."""

    of: str
    groups: dict[str, tuple[str, ...]] = Field(min_length=2)

    @model_validator(mode="after")
    def _each_code_once(self) -> Self:
        codes = [code for group in self.groups.values() for code in group]
        twice = sorted({code for code in codes if codes.count(code) > 1})
        if twice:
            raise ValueError(f"the code {twice[0]!r} is in two groups")
        return self


class Missing(_Strict):
    """How values are made missing: at random, given a column, or by themselves."""

    mechanism: Literal["MCAR", "MAR", "NMAR"] = "MCAR"
    share: float = Field(0.2, gt=0, le=0.45)
    by: str | None = None
    variables: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _mar_has_a_column(self) -> Self:
        if (self.mechanism == "MAR") != (self.by is not None):
            raise ValueError("missing.by names the column that MAR depends on")
        return self


class Errors(_Strict):
    """How values are made wrong."""

    share: float = Field(0.05, gt=0, le=0.5)
    kinds: tuple[ErrorKind, ...] = Field(("tenfold", "tenth", "factor"), min_length=1)
    variables: tuple[str, ...] = ()


class Damage(_Strict):
    """What is done to values that are taken as true, several times over."""

    masks: int = Field(20, ge=1, le=1000)
    of: Literal["all", "passing"] = "all"
    missing: Missing | None = None
    errors: Errors | None = None

    @model_validator(mode="after")
    def _something_is_done(self) -> Self:
        if self.missing is None and self.errors is None:
            raise ValueError("damage needs missing or errors")
        return self


class Selective(_Strict):
    """Selective editing, tried on the errors of the pilot: one score per record."""

    variable: str
    by: tuple[str, ...] = ()
    auxiliary: str | None = None
