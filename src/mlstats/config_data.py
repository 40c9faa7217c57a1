"""The data of a pilot: source, roles, classification and edits, as frozen models."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mlstats.config_editimpute import Donors, Edits, History, Recode, Selection
from mlstats.config_imagery import Scene, Segments, Zones
from mlstats.errors import ConfigError, nearest
from mlstats.period import PeriodRange

__all__ = [
    "ClassificationSpec",
    "Data",
    "Retention",
    "Roles",
    "Source",
    "Strict",
    "Tolerance",
    "Uncodable",
    "Word",
    "as_cron",
    "as_range",
    "as_zone",
    "unquoted",
]

Frequency = Literal["A", "S", "Q", "M"]


def unquoted(value: Any) -> Any:
    """Take a number that YAML made of an unquoted word, as in ``periods: 2026``."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if is_number else value


Word = Annotated[str, BeforeValidator(unquoted)]


class Strict(BaseModel):
    """A model that takes no unknown key and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Retention(Strict):
    """Months after a period's end for which its confidential tables are kept.

    Without a number they are kept for ever. ``units`` are the tables of its releases,
    ``watched`` those that later periods are compared with, ``reviews`` what coders were
    given and gave back, ``runs`` the tables of evaluations up to that period. It
    decides no value of a release.
    """

    units: int | None = Field(None, ge=0)
    watched: int | None = Field(None, ge=0)
    reviews: int | None = Field(None, ge=0)
    runs: int | None = Field(None, ge=0)


class Roles(Strict):
    """The columns of a contract by role (GSIM unit data structure)."""

    unit_id: str
    text: tuple[str, ...] = ()
    target: str | None = None
    weight: str | None = None
    stratum: str | None = None
    cluster: str | None = None
    fraction: str | None = None
    period: str | None = None
    variables: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()
    domain: tuple[str, ...] = ()
    confidential: tuple[str, ...] = ()

    def columns(self) -> list[str]:
        """Return every column named, each once, in the order of the roles."""
        named: dict[str, None] = {}
        for value in self.model_dump().values():
            for column in [value] if isinstance(value, str) else value or ():
                named[column] = None
        return list(named)

    def codes(self) -> list[str]:
        """Return the columns that are read as strings whatever they look like."""
        single = [self.unit_id, self.target, self.stratum, self.cluster, self.period]
        return [*self.text, *(c for c in single if c), *self.domain]


class Source(Strict):
    """How the file is read where the reader's own inference is not wanted."""

    sheet: str | None = None
    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None


class ClassificationSpec(Strict):
    """Where the classification lies and how its levels are told."""

    file: str
    code: str = "code"
    title: str | None = "title"
    parent: str | None = None
    level_columns: tuple[str, ...] = ()
    digits: tuple[int, ...] = ()
    separator: str | None = None
    levels: tuple[str, ...] = ()
    version: Word | None = None

    @model_validator(mode="after")
    def _one_structure(self) -> Self:
        named = sum(map(bool, (self.parent, self.level_columns, self.digits)))
        if named != 1:
            raise ValueError("name exactly one of parent, level_columns and digits")
        return self


class Tolerance(Strict):
    """The share of rows that may break a rule before a check fails."""

    empty_text: float = Field(0.0, ge=0, le=1)
    missing_target: float = Field(0.0, ge=0, le=1)
    unknown_code: float = Field(0.0, ge=0, le=1)


class Uncodable(Strict):
    """What cannot be coded: beginnings of codes that say so, and a list of texts."""

    codes: tuple[str, ...] = ()
    texts: str | None = None


class Data(Strict):
    """The data of a pilot."""

    source: str
    periods: Word | None = None
    frequency: Frequency | None = None
    roles: Roles
    classification: ClassificationSpec | None = None
    edits: Edits | None = None
    selection: Selection = Selection()
    donors: Donors | None = None
    recode: dict[str, Recode] = Field(default_factory=dict)
    only: str | None = None
    history: History | None = None
    segments: Segments | None = None
    scene: Scene | None = None
    zones: Zones | None = None
    uncodable: Uncodable = Uncodable()
    tolerate: Tolerance = Tolerance()
    read: Source = Source()
    single_cluster: Literal["adjust", "refuse"] = "adjust"
    synthetic: bool = False

    @model_validator(mode="after")
    def _periods_of_the_source(self) -> Self:
        if "{period}" in self.source and self.periods is None:
            raise ValueError("a source with {period} needs data.periods")
        if self.periods is not None:
            span = as_range(self.periods)
            if self.frequency not in (None, span.first.frequency):
                raise ValueError(
                    f"data.periods {self.periods} are not of frequency {self.frequency}"
                )
        return self


def as_range(text: str) -> PeriodRange:
    """Read a range of periods; the error keeps the place in the file."""
    try:
        return PeriodRange.parse(text)
    except ConfigError as error:
        raise ValueError(f"{error.title}; expected {error.expected}") from None


def as_zone(name: str) -> str:
    """Return the name of a time zone that this machine knows."""
    from zoneinfo import available_timezones

    if name not in available_timezones():
        close = nearest(name, available_timezones())
        raise ValueError(
            f"there is no time zone {name!r}"
            + (f" (nearest: {close})" if close else "")
        )
    return name


def as_cron(text: str) -> str:
    """Return a cron expression of five fields."""
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    wanted = "five fields, as in '0 6 3 * *': minute, hour, day, month, day of the week"
    if len(text.split()) != 5:
        raise ValueError(f"the schedule {text[:40]!r} has not {wanted}")
    try:
        next(CronSim(text, datetime.now(UTC)))
    except (CronSimError, StopIteration):
        raise ValueError(f"the schedule {text[:40]!r} is none; {wanted}") from None
    return text
