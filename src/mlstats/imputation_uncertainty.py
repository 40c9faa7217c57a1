"""What imputation adds to the error of a published figure, and what if it is wrong.

Both are told of the data as they are where something was selected in them, else of the
first damaged copy: of the case that each run shows. What was found wrong in it is
imputed again with what was missing, or the errors would stay in the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.editimpute.cell_provenance import impact
from mlstats.editimpute.consistent import EditConsistent
from mlstats.editimpute.flagging import UNIT, selected
from mlstats.editimpute.imputed_totals import imputation_error
from mlstats.editimpute.multiple import delta_sensitivity
from mlstats.imputed_units import NUMERIC, variable_kinds
from mlstats.imputing import Case, ImputationRun, cases
from mlstats.quality.estimate import absent, t_estimate
from mlstats.quality.evaluation import ESTIMATES
from mlstats.quality.indicator import Indicator
from mlstats.quality.report_tables import KEPT_BACK, LEAST_UNITS
from mlstats.records import Records, weights_of

__all__ = ["uncertainty"]

DELTAS = (0.8, 0.9, 1.1, 1.2)
# Imputations and replicates of a plain run, and of a full one.
_FEW, _MANY = (5, 20), (20, 100)

Rows = list[dict[str, Any]]


def uncertainty(
    pilot: Pilot, records: Records, runs: Sequence[ImputationRun], *, full: bool
) -> tuple[Rows, pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return rows, estimates and tables on the variance that imputation adds.

    Parameters
    ----------
    full : bool
        With more imputations and replicates.

    Returns
    -------
    rows : list of dict
        ``imputation_variance`` by variable and method: the share of the variance of
        the total that imputation adds.
    estimates : pandas.DataFrame
        Columns of :data:`mlstats.quality.evaluation.ESTIMATES` without run and period.
    tables : dict
        imputation_variance, delta, and impact by variable and domain.
    """
    case = _shown(pilot, records, runs)
    found, rows = [], []
    for run in runs:
        table = _errors(pilot, records, run, case, full=full)
        found.append(table.assign(method=run.name))
        rows += _rows(pilot, run, table, len(case.frame))
    variance = pd.concat(found, ignore_index=True)
    estimates = pd.DataFrame(
        {
            "method": variance["method"],
            "variable": variance["variable"],
            "domain": "",
            "estimate": variance["total"],
            "standard_error": variance["se"],
            "df": variance["df"],
            "n": len(case.frame),
            "variance_method": variance["way"],
        }
    ).reindex(columns=list(ESTIMATES))
    first = ["method", "variable"]
    shown = variance[[*first, *(c for c in variance if c not in first)]]
    tables = {"imputation_variance": shown, "delta": _delta(pilot, records, runs, case)}
    return rows, estimates, tables | {"impact": _impact(pilot, records, runs)}


def _shown(pilot: Pilot, records: Records, runs: Sequence[ImputationRun]) -> Case:
    """Return the case that the runs show; the selection is the same for all methods."""
    as_they_are = any(run.shown is run.data for run in runs)
    return next(cases(pilot, records, first=0 if as_they_are else 1))


def _imputed(run: ImputationRun, case: Case) -> pd.DataFrame:
    """Return the cells that were missing or that the method imputed."""
    cells = run.shown.cells
    # What was divided by a thousand is known, not imputed.
    own = (cells["status"] == "imputed") & (cells["selection"] != UNIT)
    own &= cells["variable"].isin(case.mask.columns)
    mask, done = case.mask.to_numpy(copy=True), cells[own]
    rows = case.mask.index.get_indexer(pd.Index(done["unit"]))
    mask[rows, case.mask.columns.get_indexer(pd.Index(done["variable"]))] = True
    return pd.DataFrame(mask, case.mask.index, case.mask.columns)


def _errors(
    pilot: Pilot, records: Records, run: ImputationRun, case: Case, *, full: bool
) -> pd.DataFrame:
    m, replicates = _MANY if full else _FEW
    mask = _imputed(run, case)
    asked = [v for v in mask.columns if mask[v].any()]
    method = run.method
    if records.edits is not None:
        method = EditConsistent(method, records.edits)
    frame, _, _ = selected(case.frame, case.mask, pilot.data.selection)
    frame = frame.assign(**{v: frame[v].mask(mask[v]) for v in asked})
    table = imputation_error(
        method,
        frame,
        mask,
        weights_of(pilot, records),
        asked,
        seed=case.seed,
        m=m,
        replicates=replicates,
        structural=case.structural,
    )
    few = [v for v in asked if int(mask[v].sum()) < LEAST_UNITS]
    held = [str(name).partition("=")[0] in few for name in table["variable"]]
    # Less the total that was reported it would tell what these few were given.
    table.loc[held, ["total", "se", "imputation_se", "lower", "upper"]] = np.nan
    table.loc[held, "note"] = KEPT_BACK
    return table


def _rows(pilot: Pilot, run: ImputationRun, table: pd.DataFrame, n: int) -> Rows:
    told = {str(row["variable"]): row for row in table.to_dict("records")}
    rows: Rows = []
    for name in pilot.data.roles.variables:
        row = told.get(name)
        if row is None:
            continue
        note = f"{row['way']}; the total and its error stand in the table"
        share = float(row["share_of_variance"])
        value = (
            t_estimate(share, np.nan, 0, n=n, note=note)
            if np.isfinite(share)
            else absent("not_measured", str(row["note"]) or note, n)
        )
        found = Indicator("accuracy", "imputation_variance", value)
        rows.append(found.row(method=run.name, level=name))
    return rows


def _delta(
    pilot: Pilot, records: Records, runs: Sequence[ImputationRun], case: Case
) -> pd.DataFrame:
    weight, rows = weights_of(pilot, records), []
    for run in runs:
        for name, kind in variable_kinds(pilot, records).items():
            if kind != NUMERIC or not case.mask[name].any():
                continue

            def total(frame: pd.DataFrame, name: str = name) -> float:
                values = frame[name].to_numpy(dtype=float, na_value=np.nan)
                return float(np.nansum(weight * values))

            table = delta_sensitivity(run.shown.values, case.mask, name, total, DELTAS)
            if int(case.mask[name].sum()) < LEAST_UNITS:
                # Two deltas tell the sum of the imputed values, which donors gave.
                table[["figure", "change"]] = np.nan
            rows.append(table.assign(method=run.name, variable=name))
    if not rows:
        return pd.DataFrame()
    together = pd.concat(rows, ignore_index=True)
    return together[["method", "variable", "delta", "figure", "change"]]


def _impact(
    pilot: Pilot, records: Records, runs: Sequence[ImputationRun]
) -> pd.DataFrame:
    """Return weighted totals before and after, for all and by each domain variable."""
    domains = records.frame[list(pilot.data.roles.domain)]
    weight = pd.Series(weights_of(pilot, records), records.frame.index)
    found = []
    for run in runs:
        if len(run.data.cells) == 0:
            continue
        values = run.data.values
        more = domains[[c for c in domains.columns if c not in values]]
        one = replace(run.data, values=values.join(more))
        for by in ("", *domains.columns):
            table = impact(one, weight, by or ())
            names = f"{by}: " + table["domain"].astype(str) if by else ""
            found.append(table.assign(method=run.name, domain=names))
    if not found:
        return pd.DataFrame()
    table = pd.concat(found, ignore_index=True)
    small = table["cells"] < LEAST_UNITS
    for name in ("before", "after", "change"):
        table[name] = table[name].astype(float).mask(small)
    return table[["method", *(c for c in table.columns if c != "method")]]
