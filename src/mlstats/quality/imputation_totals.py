"""What imputation makes of the published figures: totals and shares under every arm.

An arm's total is the true total of the whole file plus the weighted differences of its
imputed values from the true ones, averaged over the masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.errors import ContractError, nearest
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.imputed_cells import ImputedVariable
from mlstats.quality.indicator import Indicator
from mlstats.quality.replication import estimated, paired
from mlstats.quality.report_tables import (
    AGGREGATE_COLUMNS,
    KEPT_BACK,
    LEAST_UNITS,
    TOTAL,
    empty,
    told,
)

__all__ = ["TOTAL_COLUMNS", "total_rows", "totals_table"]

TOTAL_COLUMNS: Final = ("variable", "domain", "category", "total", "n")
_EMPTY: Final = 0.005  # share of cells without a value from which no total is told


def total_rows(
    variable: ImputedVariable, totals: pd.DataFrame, baseline: str
) -> Iterator[dict[str, Any]]:
    """Yield the relative difference of each arm's total from the true one.

    Parameters
    ----------
    variable : ImputedVariable
        One of categories has no such row: its shares are in :func:`totals_table`.
    totals : pandas.DataFrame
        Columns :data:`TOTAL_COLUMNS`.
    baseline : str
        The method that differences refer to.
    """
    if variable.scale != "numeric":
        return
    for row in _of(variable, totals).to_dict("records"):
        domain, total = str(row["domain"]), abs(float(row["total"]))
        scale = total if row["n"] >= LEAST_UNITS and total > 0 else np.nan
        gaps = {m: _gap(variable, m, domain, "", scale) for m in variable.imputed}
        for method, own in gaps.items():
            found = _difference(variable, own, domain, [method])
            if row["n"] < LEAST_UNITS:
                found = absent("not_measured", KEPT_BACK)
            elif total == 0:
                found = absent("not_measured", "the true total is zero")
            cells = Indicator("accuracy", "total_bias", found, domain).row(
                method=method, level=variable.name
            )
            gap = _versus(variable, gaps, method, baseline, domain)
            if method != baseline:
                cells |= paired(gap or absent("not_measured", ""), found, baseline)
            yield cells | {"n_clusters": variable.cells.n_clusters}


def _versus(
    variable: ImputedVariable,
    gaps: Mapping[str, np.ndarray | None],
    method: str,
    baseline: str,
    domain: str,
) -> Estimate | None:
    """Return the arm's total less the baseline's, None where there is no such thing."""
    own, base = gaps[method], gaps[baseline]
    if method == baseline or own is None or base is None:
        return None
    found = _difference(variable, own - base, domain, [method, baseline])
    return found if found.status == "measured" else None


def totals_table(
    variables: Sequence[ImputedVariable],
    totals: pd.DataFrame | None,
    baseline: str,
    kinds: Mapping[str, str],
) -> pd.DataFrame:
    """Return totals of numbers and shares of categories under truth and every arm.

    Parameters
    ----------
    variables : sequence of ImputedVariable
        The cells.
    totals : pandas.DataFrame or None
        Columns :data:`TOTAL_COLUMNS`; without it the table is empty.
    baseline : str
        The method that the gaps refer to.
    kinds : mapping
        Method -> traditional or ml.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`~mlstats.quality.report_tables.AGGREGATE_COLUMNS`: ``level`` is
        the variable, ``variable`` the category or "total", ``difference`` the arm
        minus truth, ``gap`` the arm minus the baseline, in the unit of the total or as
        a share of one. Cells of too few units keep their row and say so.

    Raises
    ------
    ContractError
        Where a column is missing or a domain is not one of the cells'.
    """
    if totals is None:
        return empty(AGGREGATE_COLUMNS)
    missing = [column for column in TOTAL_COLUMNS if column not in totals]
    if missing:
        raise ContractError(f"The totals lack {', '.join(missing)}", where="totals")
    rows = [
        row
        for variable in variables
        for row in _table_rows(variable, totals, baseline, kinds)
    ]
    return told(pd.DataFrame(rows, columns=list(AGGREGATE_COLUMNS)))


def _table_rows(
    variable: ImputedVariable,
    totals: pd.DataFrame,
    baseline: str,
    kinds: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    own = _of(variable, totals)
    numeric = variable.scale == "numeric"
    whole = own.groupby("domain")["total"].sum()
    for row in own.to_dict("records"):
        domain, category = str(row["domain"]), str(row["category"])
        scale = 1.0 if numeric else float(whole[domain])
        true = float(row["total"]) / scale
        common = {
            "level": variable.name,
            "variable": TOTAL if numeric else category,
            "domain": domain,
            "n": int(row["n"]),
        }
        note = "of the whole file, its true values"
        stated = {"arm": "truth", "kind": "truth", "value": true, "note": note}
        yield common | stated | {"status": "measured"}
        gaps = {m: _gap(variable, m, domain, category, scale) for m in variable.imputed}
        for method in variable.imputed:
            arm = {"arm": method, "kind": kinds[method]}
            yield common | arm | _arm(variable, gaps, method, baseline, domain, true)


def _arm(
    variable: ImputedVariable,
    gaps: Mapping[str, np.ndarray | None],
    method: str,
    baseline: str,
    domain: str,
    true: float,
) -> dict[str, Any]:
    """Return value, difference and gap of one arm."""
    found = _difference(variable, gaps[method], domain, [method])
    if found.status != "measured":
        return {"status": found.status, "note": found.note}
    cells = {
        "value": true + found.value,
        "difference": found.value,
        "difference_se": found.se,
        "difference_lower": found.lower,
        "difference_upper": found.upper,
        "status": "measured",
        "note": found.note,
    }
    gap = _versus(variable, gaps, method, baseline, domain)
    if gap is not None:
        cells |= {"gap": gap.value, "gap_lower": gap.lower, "gap_upper": gap.upper}
    return cells


def _of(variable: ImputedVariable, totals: pd.DataFrame) -> pd.DataFrame:
    """Return a variable's totals, after a look at their domains and categories."""
    own = totals[totals["variable"] == variable.name]
    for domain in own["domain"].unique():
        name, apart, _ = str(domain).partition(": ")
        if domain and (not apart or name not in variable.domains):
            raise ContractError(
                f"The domain {name!r} of the totals is not one of the cells",
                where="totals",
                expected='"" or "name: value", with a column domain_name in the units',
                nearest=nearest(name, list(variable.domains)),
            )
    if variable.scale != "numeric":
        beyond = set(variable.categories) - set(own["category"].astype(str))
        if len(own) and beyond:
            raise ContractError(
                f"{len(beyond)} categories of {variable.name!r} have no total",
                where="totals",
                expected="a row for every category, 0 where none is true",
            )
    return own


def _inside(variable: ImputedVariable, domain: str) -> np.ndarray:
    if not domain:
        return np.ones(len(variable.truth), dtype=bool)
    name, _, value = domain.partition(": ")
    return np.asarray(variable.domains[name].astype(str) == value)


def _gap(
    variable: ImputedVariable, method: str, domain: str, category: str, scale: float
) -> np.ndarray | None:
    """Return the arm's total less the truth, over `scale`: (masks, 1 + groups).

    None where the method left too many cells empty: what has no value would count as
    if it were right.
    """
    given = variable.given[method]
    if (~given).mean() > _EMPTY:
        return None
    inside = _inside(variable, domain)
    truth, imputed = variable.truth[inside], variable.imputed[method][inside]
    if variable.scale != "numeric":
        code = variable.categories.index(category)
        truth, imputed = truth == code, imputed == code
    apart = imputed.astype(float) - truth
    return variable.cells.take(inside).totals(apart) / scale


def _difference(
    variable: ImputedVariable,
    gap: np.ndarray | None,
    domain: str,
    methods: Sequence[str],
) -> Estimate:
    if gap is None:
        few = "cells without a value: a total would count them as right"
        return absent("not_measured", few)
    inside = _inside(variable, domain)
    n = variable.least(inside)
    if n < LEAST_UNITS:
        return absent("not_measured", f"{KEPT_BACK} imputed")
    empty_cells = sum(int((inside & ~variable.given[m]).sum()) for m in methods)
    left = f"{empty_cells:,} cells without a value count as if they were right"
    return estimated(gap, n=n, note=left * (empty_cells > 0))
