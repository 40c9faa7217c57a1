"""What no run can measure, read from the sheets that a pilot names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import ConfigError, nearest
from mlstats.period import ReferencePeriod
from mlstats.pilot_files import find_config
from mlstats.quality.cost import cost_indicators, cost_table, sensitivity, total_cost
from mlstats.quality.cost_sheet import CostSheet, read_cost_sheet
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import Indicator
from mlstats.quality.timeliness import (
    TimelinessSheet,
    development_time,
    label_age,
    output_lag,
    processing_time,
    read_timeliness_sheet,
)
from mlstats.quality.waiver import Waiver, read_waivers

__all__ = ["PilotSheets", "cost_tables", "read_sheets", "sheet_rows"]


@dataclass(frozen=True)
class PilotSheets:
    """The sheets of a pilot.

    Parameters
    ----------
    costs, times : CostSheet and TimelinessSheet or None
        None where the pilot names none.
    waivers : tuple of Waiver
        All of the file, those that have expired among them.
    """

    costs: CostSheet | None = None
    times: TimelinessSheet | None = None
    waivers: tuple[Waiver, ...] = field(default_factory=tuple)


def read_sheets(pilot: Pilot, project: Path) -> PilotSheets:
    """Read what the pilot names under ``sheets``.

    Raises
    ------
    ConfigError
        Where there is no such file, or an arm of a sheet is not a method.
    """
    named = pilot.sheets
    found = {
        key: _path(getattr(named, key), key, project)
        for key in ("costs", "timeliness", "waivers")
    }
    costs = read_cost_sheet(found["costs"]) if found["costs"] else None
    times = read_timeliness_sheet(found["timeliness"]) if found["timeliness"] else None
    waivers = tuple(read_waivers(found["waivers"])) if found["waivers"] else ()
    if costs is not None:
        _are_methods(costs.arms, pilot, found["costs"])
    if times is not None:
        arms = [*times.output_lag_days, *times.development]
        _are_methods(arms, pilot, found["timeliness"])
    return PilotSheets(costs, times, waivers)


def _path(name: str | None, key: str, project: Path) -> Path | None:
    if name is None:
        return None
    path = find_config(name, project)
    if path is None:
        raise ConfigError(
            f"There is no sheet {name!r}",
            where=f"sheets.{key}",
            expected="a file under configs/ of the project, or as shipped",
        )
    return path


def _are_methods(arms: Any, pilot: Pilot, path: Path | None) -> None:
    for arm in arms:
        if arm not in pilot.methods:
            raise ConfigError(
                f"The sheet has an arm {arm!r} that is no method of the pilot",
                where=str(path),
                expected=", ".join(pilot.methods),
                nearest=nearest(arm, pilot.methods),
            )


def sheet_rows(
    pilot: Pilot,
    sheets: PilotSheets,
    scorecard: pd.DataFrame,
    timings: pd.DataFrame,
    *,
    period: str,
    newest_label: str,
    mse_reduction: Mapping[str, Estimate],
) -> list[dict[str, Any]]:
    """Return the rows of cost and timeliness for every method.

    Parameters
    ----------
    scorecard : pandas.DataFrame
        Of this run: the accuracy and the guaranteed automatic share are taken from
        it, in the place of what the sheet planned.
    timings : pandas.DataFrame
        Of the Evaluation.
    period : str
        The last reference period of the test part; "" where the data hold none.
    newest_label : str
        The last reference period of the training part; "" likewise.
    mse_reduction : mapping
        Method -> by how much the MSE of its shares lies below the baseline's.
    """
    rows = []
    costs = _measured(sheets.costs, scorecard, pilot)
    for name in pilot.methods:
        found = [
            *_costs(costs, name, pilot, scorecard, mse_reduction.get(name)),
            *_times(sheets, costs, name, timings, period, newest_label),
        ]
        rows += [indicator.row(method=name) for indicator in found]
    return rows


def cost_tables(
    pilot: Pilot, sheets: PilotSheets, scorecard: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return every line of the costs, and how far each input moves the total.

    Returns
    -------
    dict
        ``costs`` and ``cost_sensitivity`` (one input at a time, 20 % lower and
        higher, on the candidate's total); empty without a cost sheet.
    """
    costs = _measured(sheets.costs, scorecard, pilot)
    if costs is None:
        return {}
    tables = {"costs": cost_table(costs)}
    if pilot.candidate in costs.arms:
        tables["cost_sensitivity"] = sensitivity(
            costs, lambda sheet: total_cost(sheet, pilot.candidate)
        )
    return tables


def _measured(
    sheet: CostSheet | None, scorecard: pd.DataFrame, pilot: Pilot
) -> CostSheet | None:
    """Put the automatic shares that were measured in the place of planned ones."""
    if sheet is None:
        return None
    for name in sheet.arms:
        share = _figure(scorecard, "automation_guaranteed", name, pilot)
        if share.status == "measured":
            sheet = sheet.with_automatic_share(name, share.value)
    return sheet


def _costs(
    sheet: CostSheet | None,
    name: str,
    pilot: Pilot,
    scorecard: pd.DataFrame,
    mse_reduction: Estimate | None,
) -> Iterator[Indicator]:
    if sheet is None or name not in sheet.arms:
        why = "the pilot names no cost sheet" if sheet is None else "not in the sheet"
        yield Indicator("cost", "cost_per_correct", absent("not_measured", why))
        return
    baseline = pilot.baseline if pilot.baseline in sheet.arms else name
    accuracy = _figure(scorecard, "accuracy", name, pilot)
    yield from cost_indicators(
        sheet, name, baseline, accuracy=accuracy, mse_reduction=mse_reduction
    )


def _times(
    sheets: PilotSheets,
    costs: CostSheet | None,
    name: str,
    timings: pd.DataFrame,
    period: str,
    newest_label: str,
) -> Iterator[Indicator]:
    times = sheets.times
    yield from development_time(times.development.get(name) if times else None)
    known = costs if costs is not None and name in costs.arms else None
    yield processing_time(timings, name, known)
    if period:
        planned = times.output_lag_days.get(name) if times else None
        yield output_lag(period, None, planned_days=planned)
        yield label_age(period, _last_day(newest_label))
        return
    for indicator in ("output_lag_days", "label_age_days"):
        why = "the data hold no reference period"
        yield Indicator("timeliness", indicator, absent("not_measured", why))


def _last_day(period: str) -> date | None:
    return ReferencePeriod.parse(period).last_day() if period else None


def _figure(
    scorecard: pd.DataFrame, indicator: str, method: str, pilot: Pilot
) -> Estimate:
    """Return a figure of the scorecard at the pilot's level as an estimate."""
    rows = scorecard[
        (scorecard["indicator"] == indicator)
        & (scorecard["method"] == method)
        & (scorecard["level"] == pilot.level)
        & (scorecard["domain"] == "")
        & (scorecard["status"] == "measured")
    ]
    if len(rows) == 0:
        return absent("not_measured", "the scorecard has no such figure")
    row = rows.iloc[0]
    value, se, df, lower, upper = (
        float(row[name]) for name in ("value", "se", "df", "lower", "upper")
    )
    n, interval = int(row["n"]), str(row["interval"])
    return Estimate(value, se, df, lower, upper, n, interval=interval)


def today() -> date:
    """Return the day that waivers are held against."""
    return datetime.now(UTC).date()
