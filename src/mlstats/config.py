"""The settings of a pilot as frozen models; the YAML files are read in pilot_files."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mlstats.config_data import (
    ClassificationSpec,
    Data,
    Retention,
    Roles,
    Source,
    Strict,
    Word,
    as_cron,
    as_range,
    as_zone,
    unquoted,
)
from mlstats.config_editimpute import Damage, Selective
from mlstats.config_production import Drift, MonitorPlan, ShadowPlan
from mlstats.errors import ConfigError, nearest

__all__ = [
    "ClassificationSpec",
    "Data",
    "DoubleCoded",
    "Evaluate",
    "GateRule",
    "Index",
    "MethodSpec",
    "Pilot",
    "Roles",
    "ShadowPlan",
    "Sheets",
    "Source",
    "Split",
]


class MethodSpec(Strict):
    """One method: a scikit-learn estimator and what kind of method it is."""

    kind: Literal["traditional", "ml"]
    use: str = Field(pattern=r"^[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)+$")
    params: dict[str, Any] = Field(default_factory=dict)


class Split(Strict):
    """How units are parted into train, valid and test."""

    by: Literal["period", "group", "space", "column", "random"] = "random"
    column: str | None = None
    test: str | float = 0.2
    valid: float = Field(0.1, ge=0, lt=1)

    @property
    def test_periods(self) -> str:
        """The periods of the test part, where the split is by period."""
        return str(unquoted(self.test))

    @model_validator(mode="after")
    def _test_fits_by(self) -> Self:
        if self.by in {"column", "space"} and not self.column:
            raise ValueError(f"split by {self.by} needs split.column")
        if self.by == "period":
            as_range(self.test_periods)
        elif self.by in {"group", "random", "space"} and not (
            isinstance(self.test, float) and 0 < self.test < 1
        ):
            raise ValueError(f"split by {self.by} needs split.test as a share")
        return self


class AutomaticStep(Strict):
    """A depth of automatic coding and the accuracy that has to be shown for it."""

    level: str
    target: float = Field(0.95, gt=0, lt=1)


class Automatic(Strict):
    """What may be coded without a clerk; see :mod:`mlstats.quality.routing`."""

    steps: tuple[AutomaticStep, ...] = Field(min_length=1)
    group: str = ""
    joint: bool = False


class DoubleCoded(Strict):
    """A file of units that two coders have coded, and its columns."""

    file: str
    first: str
    second: str
    cluster: str | None = None


class Index(Strict):
    """An index published from the codes: the weighted mean of their scores."""

    name: str = Field("diffusion", pattern=r"^[a-z][a-z0-9_]*$")
    scores: dict[Word, float] = Field(min_length=2)
    by: Literal["period"] = "period"


class Evaluate(Strict):
    """What is measured and how.

    ``truth_seen`` names the methods whose suggestions had been seen when the truth was
    made; none by an empty list, and without it nobody says.
    """

    split: Split = Split()
    truth: str | None = None
    truth_sample: Literal["probability", "purposive", "census", "unknown"] = "unknown"
    truth_version: Word | None = None
    truth_seen: tuple[str, ...] | None = None
    second_coder: str | None = None
    double_coded: DoubleCoded | None = None
    damage: Damage | None = None
    past_edits: dict[str, str] = Field(default_factory=dict)
    selective: Selective | None = None
    index: Index | None = None
    level: str = "full"
    target_accuracy: float = Field(0.95, gt=0, lt=1)
    automatic: Automatic | None = None
    bootstrap: int = Field(1000, ge=50, le=20_000)
    seed: int = 20260101
    min_units: int = Field(2, ge=1)
    expert_sheet: str | None = None

    @model_validator(mode="after")
    def _one_second_coder(self) -> Self:
        if self.second_coder and self.double_coded:
            raise ValueError("name one of second_coder and double_coded")
        return self


Role = Literal["methodologist", "subject_owner", "it"]


class GateRule(Strict):
    """A rule on rows of the scorecard; see :mod:`mlstats.quality.gate`.

    ``signed_by`` names roles that have to sign the step which the gate guards.
    """

    measure: str = Field(pattern=r"^[a-z_0-9]+(@[\w.]+)?$")
    to: Literal["shadow", "production"] = "shadow"
    versus: str | None = None
    domain: str | None = None
    margin: float = Field(0.0, ge=0)
    at_least: float | None = None
    at_most: float | None = None
    confidence: float = Field(0.95, gt=0.5, lt=1)
    signed_by: tuple[Role, ...] = ()
    source: str = ""

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        bounds = (self.versus, self.at_least, self.at_most)
        if sum(bound is not None for bound in bounds) != 1:
            raise ValueError("name exactly one of versus, at_least and at_most")
        return self

    @property
    def indicator(self) -> str:
        """The indicator without its level."""
        return self.measure.partition("@")[0]

    @property
    def level(self) -> str | None:
        """The level after the ``@``, or None: the pilot's own level."""
        return self.measure.partition("@")[2] or None


class Sheets(Strict):
    """What no run can measure: costs, times, and the waivers that were signed."""

    costs: str | None = None
    timeliness: str | None = None
    waivers: str | None = None


class Owner(Strict):
    """Who is responsible: login names, or groups of the operating system."""

    author: str
    roles: dict[Role, str | tuple[str, ...]] = Field(default_factory=dict)

    def holders(self, role: Role) -> tuple[str, ...]:
        """Return the names that hold a role."""
        named = self.roles.get(role, ())
        return (named,) if isinstance(named, str) else named


class ReviewPlan(Strict):
    """What clerks see of a period.

    ``blind_share`` of the queue is coded without suggestions. ``show_unit`` puts the
    ids of units into the coders' workbooks.
    """

    target_accuracy: float = Field(0.95, gt=0, lt=1)
    audit_sample: int = Field(400, ge=1)
    double_code: float = Field(0.1, ge=0, le=1)
    blind_share: float = Field(0.1, ge=0, le=1)
    show_unit: bool = False


class Production(Strict):
    """The plan of production, used by the verbs of the production team.

    ``source`` is where the data of a period to be produced lie; without it, where
    those of the evaluation do. ``history`` is where the file of ``data.history`` lies
    then, with ``{before}`` for the period before. ``lag`` counts periods from the
    scheduled time back to the period that is produced, ``due`` days from then on after
    which it is late. ``time_budget`` is in seconds, for the champion's answers.
    ``schedule`` is a cron expression on the clock of ``timezone``. ``notify`` names
    blocks of Prefect, ``webhook/office``: they hold the address, the pilot does not.
    """

    source: str | None = None
    history: str | None = None
    schedule: Annotated[str, AfterValidator(as_cron)] | None = None
    timezone: Annotated[str, AfterValidator(as_zone)] = "UTC"
    notify: tuple[
        Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9][a-z0-9-]*$")], ...
    ] = ()
    lag: int = Field(1, ge=0)
    due: int = Field(5, ge=0)
    time_budget: float = Field(3600, gt=0)
    retries: int = Field(2, ge=0)
    drift: Drift = Drift()
    review: ReviewPlan = ReviewPlan()
    shadow: ShadowPlan = ShadowPlan()
    monitor: MonitorPlan = MonitorPlan()
    retention: Retention = Retention()


class Pilot(Strict):
    """One pilot: theme, data, methods, gates and production."""

    pilot: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = ""
    theme: Literal["coding", "editimpute", "imagery"]
    gsbpm: Word = "5.2"
    owner: Owner
    data: Data
    methods: dict[str, MethodSpec] = Field(min_length=2)
    baseline: str
    candidate: str
    evaluate: Evaluate = Evaluate()
    gates: tuple[GateRule, ...] = ()
    sheets: Sheets = Sheets()
    production: Production = Production()

    @model_validator(mode="after")
    def _arms_are_methods(self) -> Self:
        for arm, kind in (("baseline", "traditional"), ("candidate", "ml")):
            name = getattr(self, arm)
            if name not in self.methods:
                close = nearest(name, self.methods)
                raise ValueError(
                    f"{arm} {name!r} is not among methods"
                    + (f" (nearest: {close})" if close else "")
                )
            if self.methods[name].kind != kind:
                raise ValueError(f"{arm} {name!r} must be a method of kind {kind}")
        return self

    @model_validator(mode="after")
    def _truth_saw_methods(self) -> Self:
        for name in self.evaluate.truth_seen or ():
            if name not in self.methods:
                close = nearest(name, self.methods)
                raise ValueError(
                    f"evaluate.truth_seen {name!r} is not among methods"
                    + (f" (nearest: {close})" if close else "")
                )
        return self

    @model_validator(mode="after")
    def _methods_name_files(self) -> Self:
        if "truth" in self.methods:  # what every report calls the true values
            raise ValueError("a method cannot be called 'truth'")
        # The hybrid of a method is called "NAME, rest BASELINE".
        wrong = [name for name in self.methods if set(name) & set('/\\:*?"<>|,')]
        if wrong:
            raise ValueError(
                f"the method {wrong[0]!r} cannot name a file: letters, digits, - and _"
            )
        return self

    @model_validator(mode="after")
    def _gates_name_what_is_there(self) -> Self:
        for rule in self.gates:
            if rule.versus is not None and rule.versus not in self.methods:
                raise ValueError(f"a gate's versus {rule.versus!r} is not a method")
            if rule.domain is not None and rule.domain not in self.data.roles.domain:
                raise ValueError(f"a gate's domain {rule.domain!r} has not that role")
        to_production = [rule for rule in self.gates if rule.to == "production"]
        if to_production and not any(rule.versus for rule in to_production):
            raise ValueError(
                "the gates to production compare with no method: name versus in one"
            )
        return self

    @model_validator(mode="after")
    def _roles_fit_the_theme(self) -> Self:
        if self.evaluate.split.by == "group" and self.data.roles.cluster is None:
            raise ValueError("a split by group needs data.roles.cluster")
        if self.theme == "coding" and not self.data.roles.text:
            raise ValueError("a coding pilot needs data.roles.text")
        if self.theme == "coding" and self.data.classification is None:
            raise ValueError("a coding pilot needs data.classification")
        return self

    @model_validator(mode="after")
    def _edit_and_imputation(self) -> Self:
        if self.theme != "editimpute":
            return self
        variables, evaluate = self.data.roles.variables, self.evaluate
        if not variables:
            raise ValueError("an editimpute pilot needs data.roles.variables")
        if (evaluate.damage is None) == (not evaluate.past_edits):
            raise ValueError(
                "an editimpute pilot needs one of evaluate.damage (the data are taken "
                "as true) and evaluate.past_edits (columns after clerical editing)"
            )
        damage = evaluate.damage
        parts = [damage.missing, damage.errors] if damage else []
        named = [v for part in parts if part for v in part.variables]
        named += [*evaluate.past_edits]
        named += [evaluate.selective.variable] if evaluate.selective else []
        named += [r.level for r in self.gates if r.level is not None]
        named += [] if evaluate.level == "full" else [evaluate.level]
        for name in named:
            if name not in variables:
                close = nearest(name, variables)
                raise ValueError(
                    f"{name!r} is not among data.roles.variables"
                    + (f" (nearest: {close})" if close else "")
                )
        return self

    @model_validator(mode="after")
    def _imagery(self) -> Self:
        data = self.data
        tasks = [data.segments, data.scene, data.zones]
        if self.theme != "imagery":
            if any(task is not None for task in tasks):
                raise ValueError("data.segments, scene and zones are of theme imagery")
            return self
        if sum(task is not None for task in tasks) != 1:
            raise ValueError(
                "an imagery pilot needs one of data.segments, data.scene and data.zones"
            )
        if data.scene is not None:
            if data.roles.target is None:
                raise ValueError("a scene needs data.roles.target, the labels' column")
            return self
        if not data.roles.variables:
            raise ValueError("segments and zones need data.roles.variables")
        return self

    @property
    def task(self) -> Literal["segments", "scene", "zones"]:
        """The task of an imagery pilot."""
        if self.data.segments is not None:
            return "segments"
        return "scene" if self.data.scene is not None else "zones"

    @property
    def level(self) -> str:
        """Level, or variable, that is shown first and that gates judge."""
        if self.evaluate.level == "full" and self.theme != "coding":
            variables = self.data.roles.variables
            return variables[0] if variables else "class"
        return self.evaluate.level

    @property
    def truth(self) -> str:
        """The column that the methods are measured against."""
        column = self.evaluate.truth or self.data.roles.target
        if column is None:
            raise ConfigError(
                "The pilot names no truth",
                expected="evaluate.truth or data.roles.target",
            )
        return column
