"""The further rows and tables of a run: tests, classes, shares, costs, times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlstats.coding.uncodable import has_uncodable_code
from mlstats.config import Pilot
from mlstats.dataset import Dataset
from mlstats.quality.comparison import (
    candidate_coverage,
    class_table,
    compared,
    hybrid_accuracy,
    worse_classes,
)
from mlstats.quality.diffusion import IndexArms, index_indicators, index_table
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.estimate_level import (
    ShareArms,
    corrected_rows,
    share_indicators,
    share_table,
)
from mlstats.quality.evaluation import Evaluation, design_of
from mlstats.quality.indicator import Indicator
from mlstats.quality.judged import Judged
from mlstats.quality.rejection import rejection_indicators
from mlstats.quality.summaries import Ancestor
from mlstats.sheets import PilotSheets, cost_tables, sheet_rows

__all__ = ["Further", "further"]

MIN_CELL = 10  # units of a cell below which nothing is told of it
Further = tuple[list[dict[str, Any]], dict[str, pd.DataFrame]]


def further(
    pilot: Pilot,
    dataset: Dataset,
    evaluation: Evaluation,
    scorecard: pd.DataFrame,
    sheets: PilotSheets,
    *,
    publication_level: str,
) -> Further:
    """Return rows of the scorecard beside the accuracies, and the publishable tables.

    Parameters
    ----------
    evaluation : Evaluation
        With its routes.
    scorecard : pandas.DataFrame
        The rows that there are already.
    publication_level : str
        Level of the published shares.

    Returns
    -------
    rows : list of dict
        Further rows.
    tables : dict
        aggregates, classes, coverage, index where the pilot names one, and costs
        where there is a sheet.
    """
    ancestor = dataset.classification.ancestor
    rows, tables = _compared(pilot, evaluation.units, ancestor)
    more, tables["aggregates"] = _shares(
        pilot, evaluation.units, ancestor, publication_level
    )
    test = evaluation.units[evaluation.units["fold"] == "test"]
    of_index, indexed = _index(pilot, evaluation.units, ancestor)
    rows += more + of_index
    rows += sheet_rows(
        pilot,
        sheets,
        scorecard,
        evaluation.timings,
        mse_reduction={row["method"]: _reduction(row) for row in _of_mse(more)},
        period=str(test["period"].max()) if len(test) else "",
        newest_label=_newest(pilot, dataset),
    )
    return rows, tables | indexed | cost_tables(pilot, sheets, scorecard)


def _of_mse(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in rows if r["indicator"] == "share_mse" and "difference" in r]


def _reduction(row: dict[str, Any]) -> Estimate:
    """Return by how much a method's MSE of the shares lies below the baseline's."""
    if not np.isfinite(row["difference_lower"]):
        return absent("not_measured", str(row["note"]))
    return Estimate(
        -row["difference"],
        row["difference_se"],
        row["df"],
        -row["difference_upper"],
        -row["difference_lower"],
        row["n"],
        interval="t",
    )


def _newest(pilot: Pilot, dataset: Dataset) -> str:
    period = pilot.data.roles.period
    if period is None:
        return ""
    known = dataset.frame.loc[dataset.folds == "train", period].dropna()
    return str(known.max()) if len(known) else ""


def _compared(pilot: Pilot, units: pd.DataFrame, ancestor: Ancestor) -> Further:
    level, single = pilot.evaluate.level, pilot.data.single_cluster
    test = units[units["fold"] == "test"]
    margin = max((r.margin for r in pilot.gates if r.versus), default=0.0)
    judged = {
        name: Judged.of(test, name, ancestor, level, single=single)
        for name in pilot.methods
    }
    base = judged[pilot.baseline]
    rows: list[dict[str, Any]] = []
    classes, coverage = [], []
    for name, one in judged.items():
        other = None if name == pilot.baseline else base
        table = class_table(one, other, min_cell=MIN_CELL)
        classes.append(table.assign(method=name, level=level))
        found, covered = candidate_coverage(
            units, name, ancestor, level, alpha=1 - pilot.evaluate.target_accuracy
        )
        coverage.append(covered.assign(method=name, level=level))
        if other is not None:
            found += [*compared(one, other, margin=margin), worse_classes(table)]
            rows.append(hybrid_accuracy(one, other, pilot.baseline))
            rows[-1] |= {"method": name, "level": level}
        if pilot.data.uncodable.codes:
            found += _rejection(pilot, test[test["method"] == name])
        rows += [indicator.row(method=name, level=level) for indicator in found]
    return rows, {
        "classes": pd.concat(classes, ignore_index=True),
        "coverage": pd.concat(coverage, ignore_index=True),
    }


def _rejection(pilot: Pilot, part: pd.DataFrame) -> list[Indicator]:
    codes = pilot.data.uncodable.codes
    known = part["truth"].notna()
    part = part[known]
    truth = has_uncodable_code(part["truth"].to_numpy(dtype=object), codes)
    rejected = part["status"].eq("uncodable").to_numpy(dtype=bool)
    design = design_of(part, single=pilot.data.single_cluster)
    return rejection_indicators(design, rejected, truth)


def _shares(
    pilot: Pilot, units: pd.DataFrame, ancestor: Ancestor, level: str
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    single = pilot.data.single_cluster
    test, valid = (units[units["fold"] == fold] for fold in ("test", "valid"))
    shares = ShareArms.of(
        test,
        ancestor,
        level,
        {name: spec.kind for name, spec in pilot.methods.items()},
        baseline=pilot.baseline,
        single=single,
    )
    rows = [*share_indicators(shares)]
    corrected = []
    for name in (pilot.baseline, pilot.candidate):
        audit = Judged.of(valid, name, ancestor, level, single=single)
        if len(audit.part):
            corrected.append(
                corrected_rows(
                    shares, audit, name, current=_same(valid, test), min_cell=MIN_CELL
                )
            )
    together = pd.concat(corrected, ignore_index=True) if corrected else None
    return rows, share_table(shares, together, min_cell=MIN_CELL)


def _index(pilot: Pilot, units: pd.DataFrame, ancestor: Ancestor) -> Further:
    spec = pilot.evaluate.index
    if spec is None:
        return [], {}
    test, valid = (units[units["fold"] == fold] for fold in ("test", "valid"))
    arms = IndexArms.of(
        test,
        valid,
        ancestor,
        "full",
        {name: method.kind for name, method in pilot.methods.items()},
        spec.scores,
        baseline=pilot.baseline,
        candidate=pilot.candidate,
        single=pilot.data.single_cluster,
    )
    table = index_table(arms, spec.name, min_cell=MIN_CELL)
    rows = [
        indicator.row(method=name, level="full")
        for name, indicator in index_indicators(table)
    ]
    return rows, {"index": table}


def _same(valid: pd.DataFrame, test: pd.DataFrame) -> bool:
    """Whether the valid part is of the periods of the test part."""
    periods = [np.unique(part["period"].astype(str)) for part in (valid, test)]
    return bool(np.isin(periods[0], periods[1]).all())
