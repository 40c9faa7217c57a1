"""The rows of an imagery pilot: units of both arms, areas, repetition, process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.imagery_task import ArmRun, ImageryData, count_bias
from mlstats.quality.data_light import contract_kept, truth_sample
from mlstats.quality.estimate import Estimate, absent, estimate_of, t_estimate
from mlstats.quality.explain import method_class
from mlstats.quality.imputation_level import imputation_rows
from mlstats.quality.indicator import Indicator, clopper_pearson, exact
from mlstats.quality.reproducibility import environment_completeness
from mlstats.segment_methods import efficiency_of

__all__ = ["area_rows", "number_rows", "process_rows", "repetition_rows", "worth_table"]

Rows = list[dict[str, Any]]
_AS_ESTIMATE: Final = {"estimate": "value", "standard_error": "se"}
# Of the measures of predicted numbers, those that a segment or a zone has.
_NUMBERS: Final = frozenset(
    {"nrmse", "nmae", "r_squared", "rank_correlation", "mean_bias", "slope"}
)

# The mean of the others falls where a segment rises: its ranks tell nothing. Totals of
# zones are kept, so that the mean of their parts has no bias.
_EMPTY: Final = {
    "segments": frozenset({"rank_correlation", "slope"}),
    "zones": frozenset({"mean_bias"}),
}


def number_rows(pilot: Pilot, units: pd.DataFrame) -> Rows:
    """Return how well each arm tells the quantity of a single segment or zone.

    Parameters
    ----------
    units : pandas.DataFrame
        Of the Evaluation.
    """
    kinds = {name: spec.kind for name, spec in pilot.methods.items()}
    rows, _ = imputation_rows(
        units,
        baseline=pilot.baseline,
        kinds=kinds,
        variables=dict.fromkeys(pilot.data.roles.variables, "numeric"),
        versus=[
            (pilot.candidate, rule.versus)
            for rule in pilot.gates
            if rule.versus not in (None, pilot.baseline, pilot.candidate)
        ],
        seed=pilot.evaluate.seed,
    )
    kept = _NUMBERS - _EMPTY[pilot.task]
    return [_in_own_words(row) for row in rows if row["indicator"] in kept]


def _in_own_words(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without the words of imputation: nothing is masked here."""
    note = (
        str(row.get("note", "")).replace("one mask: ", "").replace("one mask and ", "")
    )
    interval = str(row.get("interval", "")).replace("1 masks, ", "")
    return row | {"note": note, "interval": interval}


# -- areas ---------------------------------------------------------------------------


def area_rows(pilot: Pilot, data: ImageryData, runs: Sequence[ArmRun]) -> Rows:
    """Return the efficiency of each estimator, and by how much a pixel count is off."""
    rows: Rows = []
    for run in runs:
        for variable, sample in data.task.samples.items():
            found = efficiency_of(run.method, sample, pilot.evaluate.seed)
            size = found.n_effective if found.status == "measured" else np.nan
            note = f"as good as {size:.0f} segments without a map"
            note = note if np.isfinite(size) else ""
            told = Indicator("accuracy", "relative_efficiency", _noted(found, note))
            rows.append(told.row(method=run.name, level=variable))
            if not run.method.publishable:
                rows.append(_count_row(pilot, run, runs, variable))
    return rows


def _noted(found: Estimate, note: str) -> Estimate:
    told = "; ".join(part for part in (found.note, note) if part)
    return replace(found, note=told)


def worth_table(rows: Rows) -> pd.DataFrame:
    """Return what each map is worth in surveyed segments.

    Imagery and analysis pay as long as they cost less than ``(RE - 1) n`` segments
    (Taylor, Sannier, Delincé and Gallego 1997; :func:`mlstats.imagery.cost_break_even`
    does the sum in money).

    Parameters
    ----------
    rows : list of dict
        Of the scorecard.

    Returns
    -------
    pandas.DataFrame
        method, variable, segments (surveyed), equivalent (segments that the survey
        alone would need for the same error) and worth (segments that the map saves)
        with the limits of its 95 % interval.
    """
    found = [
        {
            "method": row["method"],
            "variable": row["level"],
            "segments": row["n"],
            "equivalent": row["value"] * row["n"],
            "worth": (row["value"] - 1) * row["n"],
            "worth_lower": (row["lower"] - 1) * row["n"],
            "worth_upper": (row["upper"] - 1) * row["n"],
        }
        for row in rows
        if row["indicator"] == "relative_efficiency" and row["status"] == "measured"
    ]
    return pd.DataFrame(found)


def _count_row(
    pilot: Pilot, run: ArmRun, runs: Sequence[ArmRun], variable: str
) -> dict[str, Any]:
    judge = next(one for one in runs if one.name == pilot.candidate)
    counted, estimate = (
        estimate_of(_total(one, variable).rename(_AS_ESTIMATE)) for one in (run, judge)
    )
    found = count_bias(counted, estimate, judge.name)
    told = Indicator("accuracy", "count_bias", found)
    return told.row(method=run.name, level=variable)


def _total(run: ArmRun, variable: str) -> pd.Series:
    table = run.estimates
    rows = table[(table["variable"] == variable) & (table["domain"] == "")]
    return rows.iloc[0]


def repetition_rows(pilot: Pilot, repeated: pd.DataFrame) -> Rows:
    """Return bias, error and coverage over repeated surveys of a known territory.

    Parameters
    ----------
    repeated : pandas.DataFrame
        Of :func:`mlstats.segment_methods.simulated`.

    Returns
    -------
    list of dict
        Intervals are of the finite number of repetitions; differences are paired, on
        the same draws.
    """
    rows: Rows = []
    if repeated.empty:
        return rows
    for variable, table in repeated.groupby("variable", sort=False):
        wide = table.pivot(index="draw", columns="method", values="error")
        for method in wide.columns:
            error = wide[method].to_numpy()
            covered = table.loc[table["method"] == method, "covered"].dropna()
            cells = {
                "repeated_bias": _mean(error),
                "repeated_rmse": _root(error),
                "repeated_coverage": _coverage(covered.to_numpy(), len(error)),
            }
            for name, found in cells.items():
                row = Indicator("accuracy", name, found).row(
                    method=str(method), level=str(variable)
                )
                if name == "repeated_rmse" and method != pilot.baseline:
                    row |= _less(error, wide[pilot.baseline].to_numpy(), pilot)
                rows.append(row)
    return rows


def _mean(error: np.ndarray) -> Estimate:
    n = len(error)
    return t_estimate(float(error.mean()), error.std(ddof=1) / n**0.5, n - 1.0, n=n)


def _root(error: np.ndarray) -> Estimate:
    """Return the root mean squared error; its error follows by the delta method."""
    n, square = len(error), error**2
    value = float(np.sqrt(square.mean()))
    return t_estimate(
        value, square.std(ddof=1) / n**0.5 / (2 * value), n - 1.0, n=n
    )  # fmt: skip


def _less(error: np.ndarray, base: np.ndarray, pilot: Pilot) -> dict[str, Any]:
    """Return the difference of two roots on the same draws, by the delta method."""
    n = len(error)
    roots = [float(np.sqrt((e**2).mean())) for e in (error, base)]
    parts = error**2 / (2 * roots[0]) - base**2 / (2 * roots[1])
    found = t_estimate(
        roots[0] - roots[1], parts.std(ddof=1) / n**0.5, n - 1.0, n=n
    )  # fmt: skip
    return {
        "versus": pilot.baseline,
        "difference": found.value,
        "difference_se": found.se,
        "difference_lower": found.lower,
        "difference_upper": found.upper,
    }


def _coverage(covered: np.ndarray, draws: int) -> Estimate:
    if len(covered) == 0:
        return absent("not_applicable", "it has no interval")
    told = f"of {draws:,} surveys drawn anew"
    return clopper_pearson(int(covered.sum()), len(covered), note=told)


# -- process -------------------------------------------------------------------------


def process_rows(
    pilot: Pilot,
    data: ImageryData,
    runs: Sequence[ArmRun],
    provenance: dict[str, str],
) -> Rows:
    """Return the rows on explanation, reproducibility, time and data."""
    rows: Rows = []
    for run in runs:
        found = [
            method_class(run.method),
            environment_completeness(provenance),
            Indicator(
                "reproducibility",
                "rerun_changed",
                exact(run.rerun_changed, note="the same seed in the same process"),
            ),
            Indicator("data", "truth_sample", truth_sample(pilot, len(data.frame))),
            Indicator("data", "contract_kept", contract_kept(*data.rules)),
        ]
        rows += [indicator.row(method=run.name) for indicator in found]
        rows += _speeds(run)
    return rows


def _speeds(run: ArmRun) -> Rows:
    rows: Rows = []
    for step in ("fit", "predict"):
        steps = [row for row in run.timings if row["step"] == step]
        units = sum(row["units"] for row in steps)
        if not units:
            continue
        wall = 1000 * sum(row["wall_seconds"] for row in steps) / units
        name = f"{step}_seconds_per_1000"
        told = Indicator("timeliness", name, exact(wall, n=units))
        rows.append(told.row(method=run.name))
    return rows
