"""One run of an imagery pilot: its scorecard, its report, what it publishes.

The functions are steps of the flow in :mod:`pipelines.imagery`; each can be called on
its own, from a notebook as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats.arms import answers_as_text, paired_drift
from mlstats.cards import method_table
from mlstats.config import Pilot
from mlstats.evaluate import project_key
from mlstats.imagery.validation_report import validation_sentence
from mlstats.imagery_scoring import (
    area_rows,
    number_rows,
    process_rows,
    repetition_rows,
    worth_table,
)
from mlstats.imagery_task import ESTIMATE_COLUMNS, ArmRun, ImageryData
from mlstats.imagery_units import cluster_column, judged_units
from mlstats.provenance import provenance
from mlstats.quality.drift import DriftResult
from mlstats.quality.drift_reference import Kind
from mlstats.quality.evaluation import ESTIMATES, TIMINGS, Evaluation
from mlstats.quality.figures import Cell, indicator_name, write, write_difference
from mlstats.quality.imagery_section import TITLES
from mlstats.quality.indicator import Indicator
from mlstats.quality.report import RunReport
from mlstats.quality.scorecard import Plan, as_scorecard
from mlstats.quality.waiver import waived_verdict
from mlstats.reference_pixels import pixel_areas
from mlstats.runs import GATE_SAID, Compared, Run, shared_parts
from mlstats.scene_drift import DatesApart, class_changes, shown
from mlstats.scene_methods import MAIN
from mlstats.scene_scoring import applicability, class_rows
from mlstats.scene_seeds import seed_rows
from mlstats.segment_methods import simulated
from mlstats.sheets import cost_tables, sheet_rows
from mlstats.split import cluster_ids

__all__ = ["build_report", "compared", "evaluate_methods"]

# What the report's first sentence tells, as far as it was measured.
_FIRST = {
    "segments": ("repeated_rmse", "nrmse"),
    "scene": ("accuracy",),
    "zones": ("nmae",),
}
AGAINST = "answered_by_the_baseline"


def evaluate_methods(
    run: Run,
    data: ImageryData,
    runs: Sequence[ArmRun],
    apart: DatesApart,
    folder: Path | None = None,
) -> tuple[Evaluation, pd.DataFrame]:
    """Bring all methods into one Evaluation and score it.

    Parameters
    ----------
    apart : DatesApart
        What was seen before anything was predicted.
    folder : pathlib.Path, optional
        Where the mask of a scene's area of applicability goes.

    Returns
    -------
    evaluation : Evaluation
        Units, published estimates with their errors, publishable tables.
    scorecard : pandas.DataFrame
        A row per indicator, variable or class, and method.
    """
    pilot, key = run.pilot, project_key(run.settings)
    scheme = MAIN if pilot.task == "scene" else ""
    units = judged_units(pilot, data, runs, run_id=run.run_id, key=key, scheme=scheme)
    timings = pd.DataFrame([row for one in runs for row in one.timings])
    timings = timings.assign(run_id=run.run_id)[list(TIMINGS)]
    rows, tables = _rows(pilot, data, runs, units, folder)
    rows += _further_rows(run, data, runs, apart, rows)
    plan = Plan(
        kinds={name: spec.kind for name, spec in pilot.methods.items()},
        baseline=pilot.baseline,
        level=pilot.level,
        levels=_variables(pilot),
        seed=pilot.evaluate.seed,
        gsbpm=pilot.gsbpm,
    )
    first = as_scorecard(rows, plan)
    period = str(units["period"].max()) if len(units) else ""
    rest = sheet_rows(
        pilot,
        run.sheets,
        first,
        timings,
        mse_reduction={},
        period=period,
        newest_label="",
    )
    scorecard = pd.concat([first, as_scorecard(rest, plan)], ignore_index=True)
    areas = _estimates(runs, tables.pop("areas", None))
    tables = {
        "areas": areas,
        **_joined(runs),
        **tables,
        **_dates(apart, pilot, data, runs),
        "worth": worth_table(rows),
        **cost_tables(pilot, run.sheets, first),
    }
    told = areas.assign(run_id=run.run_id, period=period)[list(ESTIMATES)]
    held = {name: table for name, table in tables.items() if len(table)}
    return Evaluation(answers_as_text(units), told, timings, held), scorecard


def _further_rows(
    run: Run,
    data: ImageryData,
    runs: Sequence[ArmRun],
    apart: DatesApart,
    rows: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return what the methods tell of themselves, of other seeds and of the dates."""
    pilot = run.pilot
    found = [row for one in runs for row in one.rows]
    if run.full and pilot.task == "scene":
        found += seed_rows(pilot, data, runs, rows)
    of_run = provenance(pilot, data.digest, run.settings)
    found += process_rows(pilot, data, runs, of_run)
    if len(apart.table):
        alarms = Indicator("robustness", "drift_alarms", apart.alarms())
        found += [alarms.row(method=one.name) for one in runs]
    return found


def _rows(
    pilot: Pilot,
    data: ImageryData,
    runs: Sequence[ArmRun],
    units: pd.DataFrame,
    folder: Path | None,
) -> tuple[list[dict[str, Any]], dict[str, pd.DataFrame]]:
    if pilot.task == "scene":
        rows, validation = class_rows(pilot, runs)
        tables = {"validation": validation}
        if folder is not None:
            more, tables["applicability"] = applicability(pilot, data, runs, folder)
            rows += more
        return rows, tables
    rows = number_rows(pilot, units)
    if pilot.task != "segments":
        return rows, {}
    repeated = simulated(pilot, data, {run.name: run.method for run in runs})
    rows += area_rows(pilot, data, runs) + repetition_rows(pilot, repeated)
    if data.task.pixels is None:
        return rows, {}
    areas, accuracy = pixel_areas(data.task.pixels, list(data.task.samples))
    return rows, {"areas": pd.DataFrame(areas), "map_accuracy": accuracy}


def _dates(
    apart: DatesApart, pilot: Pilot, data: ImageryData, runs: Sequence[ArmRun]
) -> dict[str, pd.DataFrame]:
    parts = [apart.table, class_changes(apart, pilot, data, runs)]
    held = [shown(part) for part in parts if len(part)]
    table = pd.concat(held, ignore_index=True) if held else pd.DataFrame()
    return {"date_drift": table, "clear": apart.clear}


def _estimates(runs: Sequence[ArmRun], more: pd.DataFrame | None) -> pd.DataFrame:
    parts = [run.estimates for run in runs if len(run.estimates)]
    parts += [] if more is None else [more]
    if not parts:
        return pd.DataFrame(columns=list(ESTIMATE_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _joined(runs: Sequence[ArmRun]) -> dict[str, pd.DataFrame]:
    """Return the tables that several methods have, one below the other."""
    names = dict.fromkeys(name for run in runs for name in run.tables)
    return {
        name: pd.concat(
            [run.tables[name] for run in runs if name in run.tables], ignore_index=True
        )
        for name in names
    }


def compared(run: Run, data: ImageryData, runs: Sequence[ArmRun]) -> Compared:
    """Return the units as the baseline and as the candidate answer for them."""
    before, now = (
        data.frame.assign(**_answers(run.pilot, data, _named(runs, name)))
        for name in (run.pilot.baseline, run.pilot.candidate)
    )
    return Compared(before, now, AGAINST, data.frame)


def _named(runs: Sequence[ArmRun], name: str) -> ArmRun:
    return next(run for run in runs if run.name == name)


def _answers(pilot: Pilot, data: ImageryData, run: ArmRun) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for variable in _variables(pilot):
        told = run.units[run.units["variable"] == variable]
        told = told[told["scheme"].isin(["", MAIN])]
        values: np.ndarray = np.full(len(data.frame), None, dtype=object)
        values[told["row"].to_numpy(int)] = told["prediction"].to_numpy(object)
        codes = pilot.task == "scene"
        found[variable] = values if codes else values.astype(float)
    return found


def _variables(pilot: Pilot) -> list[str]:
    return list(pilot.data.roles.variables) or [pilot.truth]


def arms_apart(run: Run, data: ImageryData, runs: Sequence[ArmRun]) -> DriftResult:
    """Test whether the arms give the same units the same distribution."""
    pilot, sides = run.pilot, compared(run, data, runs)
    names = _variables(pilot)
    kind: Kind = "code" if pilot.task == "scene" else "number"
    both = [
        side[names].notna().all(axis=1) for side in (sides.reference, sides.current)
    ]
    whole = (both[0] & both[1]).to_numpy(dtype=bool)
    cluster = cluster_ids(data.frame, cluster_column(pilot)).to_numpy(object)
    kept = Compared(sides.reference[whole], sides.current[whole], sides.against)
    return paired_drift(kept, dict.fromkeys(names, kind), cluster=cluster[whole])


def build_report(
    run: Run,
    data: ImageryData,
    evaluation: Evaluation,
    scorecard: pd.DataFrame,
    gates: pd.DataFrame,
    runs: Sequence[ArmRun],
    dates: DatesApart,
    pictures: Sequence[tuple[str, str]] = (),
) -> RunReport:
    """Bring together what every form of the report shows."""
    pilot, units = run.pilot, evaluation.units
    apart = arms_apart(run, data, runs)
    tables = evaluation.tables
    return RunReport(
        **shared_parts(run, units, scorecard, gates, units["period"]),
        verdict=_verdict(run, scorecard, gates),
        methods=method_table(pilot, evaluation, runs),
        provenance=provenance(pilot, data.digest, run.settings),
        data_facts=[("units", f"{len(data.frame):,}"), *_reading(data)],
        notes=[*data.cautions, *dates.clouded(), *_remarks(runs, tables)],
        drift=apart.table(),
        drift_sentence=" ".join(filter(None, [apart.sentence(), dates.sentence])),
        tables={TITLES[n]: t for n, t in tables.items() if n in TITLES},
        pictures=pictures,
    )


def _remarks(runs: Sequence[ArmRun], tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return what a reader must not miss of the methods and their validation."""
    told = [note for one in runs for note in one.notes]
    if "validation" in tables:
        told.append(validation_sentence(tables["validation"]))
        why = tables["validation"]["note"].astype(str)
        told += [note for note in dict.fromkeys(why) if note.startswith("classes not")]
    return told


def _reading(data: ImageryData) -> list[tuple[str, str]]:
    return [("reading", note) for note in data.notes]


def _verdict(run: Run, scorecard: pd.DataFrame, gates: pd.DataFrame) -> str:
    """Say the gates' result and the candidate's first figure beside the baseline's."""
    pilot = run.pilot
    said = GATE_SAID[waived_verdict(gates, "shadow")]
    for indicator in _FIRST[pilot.task]:
        rows = scorecard[
            (scorecard["indicator"] == indicator)
            & (scorecard["method"] == pilot.candidate)
            & (scorecard["level"] == pilot.level)
            & (scorecard["domain"] == "")
        ]
        if len(rows) and np.isfinite(rows["value"].iloc[0]):
            cell = Cell.from_row({str(k): v for k, v in rows.iloc[0].items()})
            value = write(cell, level=pilot.level)
            gap = write_difference(cell, baseline=pilot.baseline)
            more = f", {gap.text} against {pilot.baseline}" if not gap.missing else ""
            more += f" ({gap.interval})" if gap.interval else ""
            return (
                f"{said}: {indicator_name(indicator)} of {pilot.candidate} on "
                f"{pilot.level} is {value.text}{more}."
            )
    return f"{said}."
