"""The rows and tables of an imputation pilot: five levels, detection, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mlstats.config import Pilot
from mlstats.imputed_units import flags_of, judged_kinds, totals_of
from mlstats.imputing import ImputationRun, cases
from mlstats.quality.data_light import contract_kept, truth_sample
from mlstats.quality.detection import detection_rows
from mlstats.quality.estimate import absent
from mlstats.quality.explain import method_class
from mlstats.quality.imputation_level import imputation_rows
from mlstats.quality.indicator import Indicator, exact
from mlstats.quality.plausibility import plausibility_rows
from mlstats.quality.reproducibility import environment_completeness
from mlstats.records import Records

__all__ = ["accuracy_rows", "process_rows", "process_tables"]

Rows = list[dict[str, Any]]


def accuracy_rows(
    pilot: Pilot,
    records: Records,
    runs: Sequence[ImputationRun],
    units: pd.DataFrame,
    key: bytes,
) -> tuple[Rows, pd.DataFrame]:
    """Return the rows of Chambers' five levels and of detection, and the totals.

    Parameters
    ----------
    units : pandas.DataFrame
        Of :func:`mlstats.imputed_units.judged_units`.
    key : bytes
        Secret of the project.
    """
    kinds = {name: spec.kind for name, spec in pilot.methods.items()}
    seed, base = pilot.evaluate.seed, pilot.baseline
    judged = judged_kinds(pilot, records, units)
    totals = totals_of(pilot, records)
    rows, aggregates = imputation_rows(
        units,
        baseline=base,
        kinds=kinds,
        variables=judged,
        totals=totals[totals["variable"].isin(list(judged))],
        versus=[
            (pilot.candidate, rule.versus)
            for rule in pilot.gates
            if rule.versus not in (None, base, pilot.candidate)
        ],
        seed=seed,
    )
    flags = flags_of(pilot, records, runs, key)
    if len(flags):
        of_all = totals[(totals["domain"] == "") & (totals["category"] == "")]
        rows += detection_rows(
            flags,
            kinds=kinds,
            baseline=base,
            totals=dict(zip(of_all["variable"], of_all["total"].abs(), strict=True)),
            seed=seed,
        )
    counts = [
        {
            "method": run.name,
            "replicate": one.number,
            "records": one.records,
            "failing_records": one.failing,
            "outside_bounds": one.outside,
        }
        for run in runs
        for one in run.treated
    ]
    if records.edits is not None:
        rows += plausibility_rows(pd.DataFrame(counts))
    return rows, aggregates


def process_rows(
    pilot: Pilot,
    records: Records,
    runs: Sequence[ImputationRun],
    provenance: dict[str, str],
) -> Rows:
    """Return the rows on explanation, reproducibility, time and data."""
    rows: Rows = []
    for run in runs:
        found = [
            method_class(run.method),
            _explained(run, records),
            environment_completeness(provenance),
            _rerun(run),
            _speed(run),
            Indicator("data", "truth_sample", truth_sample(pilot, len(records.frame))),
            Indicator("data", "contract_kept", contract_kept(*records.rules)),
        ]
        rows += [indicator.row(method=run.name) for indicator in found]
    return rows


def _explained(run: ImputationRun, records: Records) -> Indicator:
    """Tell whether every value that changed has its line of provenance."""
    name = "explanation_coverage"
    cells = run.shown.cells
    if len(cells) == 0:
        why = absent("not_measured", "no value was changed")
        return Indicator("explainability", name, why)
    told = (cells["method"].astype(str) != "") & (cells["selection"].astype(str) != "")
    note = "changed values with selection, method and donor or reason on record"
    return Indicator(
        "explainability", name, exact(float(told.mean()), n=len(cells), note=note)
    )


def _rerun(run: ImputationRun) -> Indicator:
    note = "treated cells of one case, the same seed in the same process"
    return Indicator(
        "reproducibility", "rerun_changed", exact(run.rerun_changed, note=note)
    )


def _speed(run: ImputationRun) -> Indicator:
    wall = sum(row["wall_seconds"] for row in run.timings)
    units = sum(row["units"] for row in run.timings)
    note = "review, selection and treatment; the model is fitted in it"
    value = exact(1000 * wall / max(units, 1), n=units, note=note)
    return Indicator("timeliness", "treat_seconds_per_1000", value)


# -- tables ------------------------------------------------------------------------


def process_tables(
    pilot: Pilot, records: Records, runs: Sequence[ImputationRun]
) -> dict[str, pd.DataFrame]:
    """Return what happened to the data, without a record of them.

    Returns
    -------
    dict
        ``edits`` (statistics before, failing records after by method), ``selection``
        (cells by variable and reason), ``treatment`` (cells by method, variable and
        what was done), all of the data as they are, and ``damage`` (what was done to
        them in each case, where they are taken as true).
    """
    return {
        "edits": _edits(records, runs),
        "selection": _counted(runs, ["selection"]),
        "treatment": _counted(runs, ["treatment", "status"]),
        "damage": _damage(pilot, records),
    }


def _edits(records: Records, runs: Sequence[ImputationRun]) -> pd.DataFrame:
    if records.edits is None:
        return pd.DataFrame(columns=["edit", "severity", "text"])
    before = runs[0].data.review
    assert before is not None
    table = before.statistics()
    soft = table["severity"] != "hard"  # counted only: nothing is changed for them
    for run in runs:
        left = run.data.edits.groupby("edit")["records"].sum()
        after = table["edit"].map(left).fillna(0).astype("Int64")
        table[f"fail after {run.name}"] = after.mask(soft)
    return table


def _counted(runs: Sequence[ImputationRun], by: list[str]) -> pd.DataFrame:
    parts = []
    for run in runs:
        cells = run.data.cells.rename(columns={"method": "treatment"})
        counts = cells.groupby(["variable", *by], sort=True).size()
        parts.append(counts.rename("cells").reset_index().assign(method=run.name))
    columns = ["method", "variable", *by, "cells"]
    return pd.concat(parts, ignore_index=True)[columns]


def _damage(pilot: Pilot, records: Records) -> pd.DataFrame:
    rows = []
    for case in cases(pilot, records, first=1):
        assert case.truth is not None
        known = case.truth.notna()
        rows += [
            {
                "variable": name,
                "values": int(known[name].sum()),
                "made missing": int((case.mask[name] & known[name]).sum()),
                "made wrong": int(case.wrong[name].sum()),
            }
            for name in case.mask.columns
        ]
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows).groupby("variable", sort=False).mean().reset_index()
    table.insert(
        1, "cases", pilot.evaluate.damage.masks if pilot.evaluate.damage else 0
    )
    return table.round(1)
