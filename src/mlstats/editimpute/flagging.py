"""What is put right or flagged before the edits are asked: units of measure, outliers.

A record that was given in units instead of thousands keeps every edit between its
amounts. Error localisation would take the one variable that is right for the wrong one,
so that systematic errors are put right first (GSDEM 2.0, review before selection).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mlstats.config_editimpute import Outliers, Selection, Thousand
from mlstats.editimpute.outliers import hb_current, hb_ratio
from mlstats.editimpute.processing import PROVENANCE_COLUMNS, Processed
from mlstats.editimpute.unit_of_measure import thousand_pounds
from mlstats.errors import ConfigError, nearest

__all__ = [
    "UNIT",
    "corrected_units",
    "flagged_outliers",
    "selected",
    "with_corrections",
]

UNIT, OUTLIER = "unit of measure", "outlier"


def corrected_units(
    frame: pd.DataFrame, specs: Sequence[Thousand]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the records in the right unit, and a row per value that was divided.

    Parameters
    ----------
    frame : pandas.DataFrame
        Records.
    specs : sequence of Thousand
        As for :func:`mlstats.editimpute.unit_of_measure.thousand_pounds`. A rule looks
        at the records that those before it left as they are: where the first principal
        variable is missing, another one tells.

    Returns
    -------
    values : pandas.DataFrame
        The rows and columns of `frame`.
    cells : pandas.DataFrame
        Columns of :data:`mlstats.editimpute.processing.PROVENANCE_COLUMNS`.
    """
    values = frame
    left = np.ones(len(frame), dtype=bool)
    parts = []
    for spec in specs:
        named = [spec.principal, *spec.targets, spec.predictive, spec.auxiliary]
        _known(frame, [name for name in named if name], "data.selection.thousand")
        found = thousand_pounds(frame, **spec.model_dump())
        hit = left & (found.status == "corrected").to_numpy()
        left &= ~hit
        for name in found.values.columns:
            at = hit & frame[name].notna().to_numpy()
            if at.any():
                column = values[name].astype(float).mask(at, found.values[name])
                values = values.assign(**{name: column})
                parts.append(_divided(frame, values, name, at))
    empty = pd.DataFrame(columns=list(PROVENANCE_COLUMNS))
    return values, pd.concat(parts, ignore_index=True) if parts else empty


def _divided(
    frame: pd.DataFrame, values: pd.DataFrame, name: str, at: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unit": frame.index[at],
            "variable": name,
            "before": frame.loc[at, name].to_numpy(dtype=object),
            "after": values.loc[at, name].to_numpy(dtype=object),
            "selection": UNIT,
            "status": "imputed",
            "method": "divided by 1000",
            "donor": None,
            "reason": "",
        }
    )


def flagged_outliers(
    frame: pd.DataFrame, mask: pd.DataFrame, specs: Sequence[Outliers]
) -> pd.DataFrame:
    """Return why each cell is selected: missing, outlier, or an empty text.

    Parameters
    ----------
    frame : pandas.DataFrame
        Records, in the right unit.
    mask : pandas.DataFrame of bool, shape (n, variables)
        Cells that are selected already: they are judged neither as outliers nor
        with the others.
    specs : sequence of Outliers
        Rules in their order.
    """
    why = pd.DataFrame(
        np.where(mask.to_numpy(), "missing", "").astype(object),
        mask.index,
        mask.columns,
    )
    for spec in specs:
        where = f"data.selection.outliers, {spec.variable!r}"
        others = [spec.auxiliary] if spec.auxiliary else []
        _known(mask, [spec.variable], where)
        _known(frame, [*others, *spec.by], where)
        values = frame[spec.variable].mask(mask[spec.variable])
        groups = None
        if spec.by:
            columns = frame[list(spec.by)].astype(str)
            groups = columns.agg(" / ".join, axis=1)
        if spec.auxiliary is None:
            found = hb_current(values, impute=spec.impute, groups=groups)
        else:
            found = hb_ratio(
                values,
                frame[spec.auxiliary],
                impute=spec.impute,
                exponent=spec.exponent,
                absolute_floor=spec.absolute_floor,
                groups=groups,
            )
        hit = (found.status == "impute") & (why[spec.variable] == "")
        why[spec.variable] = why[spec.variable].mask(hit, OUTLIER)
    return why


def with_corrections(found: Processed, cells: pd.DataFrame) -> Processed:
    """Return a processed file with the rows of the values that were put right first.

    A value that was selected again afterwards keeps one row, from what was reported
    to what it became, with both reasons.
    """
    if cells.empty:
        return found
    later = found.cells.copy()
    first = cells.set_index(["unit", "variable"])
    both = pd.MultiIndex.from_frame(later[["unit", "variable"]])
    again = both.isin(first.index)
    later["before"] = later["before"].astype(object)
    later.loc[again, "before"] = first["before"].reindex(both[again]).to_numpy()
    told = later.loc[again, "selection"].astype(str)
    later.loc[again, "selection"] = UNIT + ", " + told
    alone = cells[~first.index.isin(both)]
    together = pd.concat([later, alone], ignore_index=True)
    row = found.values.index.get_indexer(pd.Index(together["unit"]))
    column = found.values.columns.get_indexer(pd.Index(together["variable"]))
    order = np.lexsort((column, row))
    return replace(found, cells=together.iloc[order].reset_index(drop=True))


def _known(frame: pd.DataFrame, names: Sequence[str], where: str) -> None:
    for name in names:
        if name not in frame:
            raise ConfigError(
                f"There is no column {name!r} to select by",
                where=where,
                nearest=nearest(name, map(str, frame.columns)),
            )


def selected(
    frame: pd.DataFrame, mask: pd.DataFrame, spec: Selection
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the records in the right unit, the corrections and the flagged cells.

    Parameters
    ----------
    frame, mask
        As in :func:`flagged_outliers`.
    spec : Selection
        Of the pilot.
    """
    values, cells = corrected_units(frame, spec.thousand)
    return values, cells, flagged_outliers(values, mask, spec.outliers)
