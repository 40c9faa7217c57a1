"""What the small-area models share: checks of their tables and their design."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlstats.errors import ContractError, MethodError, nearest
from mlstats.imagery.variance_components import Floats

__all__ = ["check_columns", "design_matrix", "estimates_table"]


def check_columns(
    table: pd.DataFrame, covariates: Sequence[str], *, area: str, unique: bool = True
) -> None:
    """Raise ContractError unless areas and finite covariates are there.

    Parameters
    ----------
    table : pandas.DataFrame
    covariates : sequence of str
        Columns that must be numbers in every row.
    area : str
        Column of the areas; each occurs once if `unique`.
    """
    for name in [area, *covariates]:
        if name not in table.columns:
            raise ContractError(
                f"the table has no column {name!r}",
                expected=", ".join(map(str, table.columns)),
                nearest=nearest(name, map(str, table.columns)),
            )
    if unique and table[area].duplicated().any():
        raise ContractError("an area occurs more than once", where=f"column {area}")
    for name in covariates:
        gone = int((~np.isfinite(table[name].to_numpy(float))).sum())
        if gone:
            raise ContractError(f"{gone} rows have no number", where=f"column {name}")


def design_matrix(
    table: pd.DataFrame, covariates: Sequence[str], *, least: int = 0
) -> Floats:
    """Return an intercept and the covariates, shape (rows, 1 + covariates).

    Parameters
    ----------
    least : int
        Rows that a fit needs; 0 leaves rows and rank unchecked.

    Raises
    ------
    MethodError
        Fewer rows than `least`, or columns that determine each other.
    """
    x = np.column_stack(
        [np.ones(len(table)), *(table[name].to_numpy(float) for name in covariates)]
    )
    if not least:
        return x
    if len(table) < least:
        raise MethodError(
            "too few rows for the regression",
            expected=f"at least {least}, got {len(table)}",
            hint="fewer covariates",
        )
    scale = np.abs(x).max(axis=0)
    if (scale == 0).any() or np.linalg.matrix_rank(x / scale) < x.shape[1]:
        raise MethodError(
            "the covariates determine each other, or one is constant",
            where=", ".join(covariates),
            hint="leave one out",
        )
    return x


def estimates_table(
    areas: pd.DataFrame,
    *,
    method: str,
    variable: str,
    df: float,
    n: np.ndarray,
    variance_method: str,
) -> pd.DataFrame:
    """Return a row per area with the names of an Evaluation's estimates.

    Parameters
    ----------
    areas : pandas.DataFrame
        With area, estimate, mse and status.
    df : float
        Degrees of freedom of the interval.
    n : ndarray of shape (areas,)
        Observations of the area that the estimate rests on.
    """
    return pd.DataFrame(
        {
            "method": method,
            "variable": variable,
            "domain": areas["area"].astype(str),
            "estimate": areas["estimate"],
            "standard_error": np.sqrt(areas["mse"].clip(lower=0)),
            "df": float(df),
            "n": np.asarray(n, "int64"),
            "variance_method": variance_method + "; " + areas["status"],
        }
    )
