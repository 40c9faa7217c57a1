"""Provenance joined back to its file: cells put in, and what they did to the totals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlstats.errors import ContractError

__all__ = ["apply_cells", "impact"]

_NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")


def apply_cells(
    frame: pd.DataFrame, cells: pd.DataFrame, side: str = "after"
) -> pd.DataFrame:
    """Return the records with the values of a provenance table put in.

    Parameters
    ----------
    frame : DataFrame
        The records, before treatment (or after, to go back).
    cells : DataFrame
        Columns unit, variable, before, after and status; cells that were not imputed
        are left as they are.
    side : {"after", "before"}
        Which values are put in.

    Returns
    -------
    DataFrame
        Cell for cell the treated file; a column of whole numbers becomes one of
        decimal numbers only where one is needed.

    Raises
    ------
    ContractError
        Where a unit or a variable of the table is not in the records.
    """
    done = cells[(cells["status"] == "imputed").to_numpy()]
    row = frame.index.get_indexer(pd.Index(done["unit"]))
    column = frame.columns.get_indexer(pd.Index(done["variable"]))
    lost = int(((row < 0) | (column < 0)).sum())
    if lost:
        raise ContractError(f"{lost} cells of the provenance are not in the records")
    values = frame.copy()
    new = done[side].to_numpy(dtype=object)
    for j in np.unique(column):
        mine = column == j
        name = frame.columns[int(j)]
        values[name] = _put(frame[name], row[mine], new[mine])
    return values


def _put(column: pd.Series, rows: np.ndarray, new: np.ndarray) -> pd.Series:
    """Return a column with new values in some rows, of a type that holds them."""
    put, dtype = column.copy(), column.dtype
    gone = pd.isna(new)
    if gone.any() and pd.api.types.is_integer_dtype(dtype):
        put = column.astype("Int64")
    elif pd.api.types.is_bool_dtype(dtype):
        put, new = (column.astype("boolean"), new) if gone.any() else (put, new == True)  # noqa: E712
    elif pd.api.types.is_integer_dtype(dtype):
        numbers = new.astype(float)
        new = numbers.astype(np.int64)
        if (numbers != np.rint(numbers)).any():
            put, new = column.astype("Float64" if column.hasnans else float), numbers
    elif pd.api.types.is_float_dtype(dtype):
        new = pd.to_numeric(pd.Series(new)).to_numpy(dtype=float, na_value=np.nan)
    elif isinstance(dtype, pd.CategoricalDtype):
        others = [v for v in pd.unique(new[~gone]) if v not in dtype.categories]
        put = column.cat.add_categories(others)
    put.iloc[rows] = new
    return put


def impact(
    processed: object,
    weights: pd.Series | None = None,
    domains: str | Sequence[str] = (),
) -> pd.DataFrame:
    """Compare weighted totals before and after treatment.

    Parameters
    ----------
    processed : Processed
        From :func:`~mlstats.editimpute.processing.process`.
    weights : Series, shape (n,), optional
        Design weights with the index of the records; 1 if left out.
    domains : str or sequence of str
        Columns of the records, as they are after treatment; the whole file if none.

    Returns
    -------
    DataFrame
        variable, domain (the values of several columns joined by `` / ``), cells
        (changed), missing (values that the total before counts as zero), before,
        after, change (relative to before, NaN where that is zero). Numeric variables
        with a changed cell only.

    Raises
    ------
    ContractError
        Where the weights have other rows than the records.
    """
    values, cells = processed.values, processed.cells  # type: ignore[attr-defined]
    if weights is None:
        weights = pd.Series(1.0, values.index)
    if not weights.index.equals(values.index):
        raise ContractError("The weights have other rows than the records")
    w = weights.to_numpy(dtype=float)
    by = [domains] if isinstance(domains, str) else list(domains)
    domain = _domain(values, by)
    done = cells[(cells["status"] == "imputed").to_numpy()]
    found = []
    for name, part in done.groupby("variable", sort=False):
        if pd.api.types.infer_dtype(values[name], skipna=True) not in _NUMBERS:
            continue
        after = pd.to_numeric(values[name])
        rows = values.index.get_indexer(pd.Index(part["unit"]))
        old = pd.to_numeric(part["before"], errors="coerce").to_numpy(dtype=float)
        x = after.to_numpy(dtype=float, na_value=np.nan)
        y, changed = x.copy(), np.zeros(len(x))
        y[rows], changed[rows] = old, 1.0
        columns = {"cells": changed, "missing": np.isnan(y).astype(float)}
        columns |= {"before": w * np.nan_to_num(y), "after": w * np.nan_to_num(x)}
        sums = pd.DataFrame(columns).groupby(domain, sort=True).sum()
        found.append(sums.reset_index(names="domain").assign(variable=name))
    names = ["variable", "domain", "cells", "missing", "before", "after"]
    if not found:
        return pd.DataFrame(columns=[*names, "change"])
    table = pd.concat(found, ignore_index=True)[names]
    table = table.astype({"cells": int, "missing": int})
    change = np.full(len(table), np.nan)
    base = table["before"].to_numpy(dtype=float)
    np.divide(table["after"].to_numpy() - base, base, out=change, where=base != 0)
    return table.assign(change=change)


def _domain(values: pd.DataFrame, by: list[str]) -> np.ndarray:
    if not by:
        return np.full(len(values), "all", dtype=object)
    texts = [values[name].astype(str).to_numpy(dtype=object) for name in by]
    joined = texts[0]
    for text in texts[1:]:
        joined = joined + " / " + text
    return np.asarray(joined, dtype=object)
