"""The settings of a pilot's production besides its schedule and its review."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlstats.config_data import Strict, as_cron

__all__ = ["Drift", "MonitorPlan", "ShadowPlan"]


class Drift(Strict):
    """References of the drift tests and the reaction to an alarm."""

    references: tuple[
        Literal["last_accepted", "same_period_last_year", "training"], ...
    ] = ("last_accepted",)
    on_alarm: Literal["more_audit"] = "more_audit"


class ShadowPlan(Strict):
    """Periods that a version runs in the shadow before it may produce.

    ``live`` periods are later than all that its evaluation has seen, ``back_cast``
    periods are not; without a number a back-cast covers the four seasons.
    """

    live: int = Field(2, ge=0)
    back_cast: int | None = Field(None, ge=0)


class MonitorPlan(Strict):
    """When monitoring proposes something; see :mod:`mlstats.proposals`.

    ``chance`` is that of a false proposal from audits in a year. ``window`` periods of
    the same version are judged together. ``drifting`` periods with an alarm, one after
    the other, ask for a retraining, ``unaudited`` periods without an audit for one.
    With a ``schedule``, on the clock of ``production.timezone``, `mlstats deploy` lets
    a Prefect server look at the pilot by itself.
    """

    schedule: Annotated[str, AfterValidator(as_cron)] | None = None
    chance: float = Field(0.05, gt=0, lt=1)
    window: int = Field(6, ge=1)
    drifting: int = Field(2, ge=1)
    unaudited: int = Field(3, ge=1)
