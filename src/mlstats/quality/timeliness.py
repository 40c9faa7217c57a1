"""Timeliness: how long it takes to build, to run and to publish.

Dates and clocks are facts of a run, not samples. A date that lies ahead is a plan and
reads ``not_measured``; none of these figures enters the evidence bundle.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import pandas as pd
from pydantic import Field

from mlstats.period import ReferencePeriod
from mlstats.quality.cost_sheet import CostSheet
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator, exact
from mlstats.quality.sheet_file import Sheet, read_sheet_file

__all__ = [
    "Development",
    "TimelinessSheet",
    "development_time",
    "label_age",
    "output_lag",
    "processing_time",
    "punctuality",
    "read_timeliness_sheet",
    "retraining_lead",
]

_DIMENSION: Final = "timeliness"


class Development(Sheet):
    """The time that building an arm took.

    Parameters
    ----------
    person_days : dict
        Stage (labelling, training, it, approval, ...) -> days of work.
    started, approved : datetime.date, optional
        First day of work, and the day on which the arm was approved.
    """

    person_days: dict[str, float] = Field(default_factory=dict)
    started: date | None = None
    approved: date | None = None


class TimelinessSheet(Sheet):
    """Times that no run can measure itself.

    Parameters
    ----------
    version : int
        Raised with every change.
    output_lag_days : dict
        Method -> planned days from the end of the reference period to the output.
    development : dict
        Method -> what building it took.
    """

    version: int = Field(ge=1)
    output_lag_days: dict[str, int] = Field(default_factory=dict)
    development: dict[str, Development] = Field(default_factory=dict)


def read_timeliness_sheet(path: Path) -> TimelinessSheet:
    """Read a sheet of times.

    Raises
    ------
    ConfigError
        With file:line and key.
    """
    return read_sheet_file(path, TimelinessSheet)


def development_time(development: Development | None) -> list[Indicator]:
    """Return ``development_person_days`` and ``development_days`` of an arm (T1)."""
    work = absent("not_measured", "no days of work are recorded")
    days = absent("not_measured", "no start and approval are recorded")
    if development is not None and development.person_days:
        stages = ", ".join(f"{k} {v:g}" for k, v in development.person_days.items())
        work = exact(float(sum(development.person_days.values())), note=stages)
    if development is not None and development.started:
        start, end = development.started, development.approved
        days = (
            absent("not_measured", f"begun on {start}, not approved yet")
            if end is None
            else _days(start, end, f"{start} to {end}, calendar days")
        )
    return [
        Indicator(_DIMENSION, "development_person_days", work),
        Indicator(_DIMENSION, "development_days", days),
    ]


def processing_time(
    timings: pd.DataFrame, method: str, sheet: CostSheet | None = None
) -> Indicator:
    """Return the seconds that 1,000 units take from input to code (T2).

    The clock of the step ``predict``, and the clerks' time of the cost sheet where it
    is given: end to end, whoever does the work.

    Parameters
    ----------
    timings : pandas.DataFrame
        Columns method, step, units, wall_seconds of an Evaluation.
    sheet : CostSheet, optional
        With the method as one of its arms.
    """
    name = "processing_seconds_per_1000"
    rows = timings[(timings["method"] == method) & (timings["step"] == "predict")]
    units = int(rows["units"].sum())
    if units == 0:
        return Indicator(_DIMENSION, name, absent("not_measured", "no timed units"))
    machine = float(rows["wall_seconds"].sum()) / units * 1000
    clerks, note = 0.0, "wall time of one run; the clerks' time is not known"
    if sheet is not None:
        clerical = sheet.arm(method).clerical
        minutes = (1 - clerical.automatic_share) * (
            sheet.minutes_per_unit + clerical.referral_minutes_per_unit
        )
        clerks = minutes * 60 * 1000
        note = f"machine {machine:.3g} measured, clerks {clerks:,.0f} of the cost sheet"
    return Indicator(_DIMENSION, name, exact(machine + clerks, n=units, note=note))


def output_lag(
    period: str, released: date | None, *, planned_days: int | None = None
) -> Indicator:
    """Return the days from the end of the reference period to the output (T3)."""
    end = ReferencePeriod.parse(period).last_day()
    if released is None:
        plan = "" if planned_days is None else f", planned {planned_days} days"
        found = absent("not_measured", f"nothing is released yet{plan}")
    else:
        found = _days(end, released, f"{end} to {released}")
    return Indicator(_DIMENSION, "output_lag_days", found)


def punctuality(planned: date | None, released: date | None) -> Indicator:
    """Return the days by which the output came late, negative where early (T4)."""
    if planned is None or released is None:
        missing = "no planned day" if planned is None else "nothing is released yet"
        found = absent("not_measured", missing)
    else:
        days = (released - planned).days
        found = exact(float(days), note=f"planned {planned}, released {released}")
    return Indicator(_DIMENSION, "punctuality_days", found)


def retraining_lead(triggered: date | None, approved: date | None) -> Indicator:
    """Return the days from the cause of a retraining to the approved model (T5)."""
    if triggered is None or approved is None:
        found = absent("not_measured", "no retraining has been approved yet")
    else:
        found = _days(triggered, approved, f"{triggered} to {approved}")
    return Indicator(_DIMENSION, "retraining_lead_days", found)


def label_age(period: str, newest_label: date | None) -> Indicator:
    """Return the days from the newest training label to the period's end (T6)."""
    end = ReferencePeriod.parse(period).last_day()
    if newest_label is None:
        found = absent("not_measured", "the labels have no date")
    elif newest_label > end:
        found = exact(0.0, note="labels are newer than the reference period")
    else:
        found = _days(newest_label, end, f"newest label of {newest_label}")
    return Indicator(_DIMENSION, "label_age_days", found)


def _days(start: date, end: date, note: str) -> Estimate:
    days = (end - start).days
    if days < 0:
        return absent("not_measured", f"the dates run backwards: {note}")
    return exact(float(days), note=note)
