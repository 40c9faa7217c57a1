"""Small-area estimates that add up to a published total, with their errors.

The errors come from a parametric bootstrap that repeats fit, estimate and adjustment:
the analytic mean squared error knows nothing of the adjustment.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import pandas as pd

from mlstats.errors import ContractError, MethodError
from mlstats.imagery.area_tables import estimates_table
from mlstats.imagery.variance_components import Floats

__all__ = ["benchmarked", "bootstrap_mse"]

Adjustment = Literal["ratio", "difference"]


class _Fitted(Protocol):
    """Either small-area model."""

    @property
    def areas(self) -> pd.DataFrame: ...
    @property
    def df(self) -> int: ...
    def estimates(self, variable: str) -> pd.DataFrame: ...
    def replicate(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]: ...


def bootstrap_mse(fit: _Fitted, *, replicates: int = 400, seed: int = 0) -> Floats:
    """Return the parametric bootstrap's mean squared error of each area.

    Parameters
    ----------
    fit : AreaLevelFit or UnitLevelFit
    replicates : int
    seed : int

    Returns
    -------
    ndarray of shape (areas,)

    References
    ----------
    Gonzalez-Manteiga et al. (2008), Journal of Statistical Computation and Simulation
    78, 443-462.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros(len(fit.areas))
    for _ in range(replicates):
        truth, estimate, _ = fit.replicate(rng)
        total += (estimate - truth) ** 2
    return np.asarray(total / replicates)


def benchmarked(
    fit: _Fitted,
    sizes: Floats,
    *,
    variable: str,
    total: float | None = None,
    total_se: float = 0.0,
    how: Adjustment = "ratio",
    replicates: int = 400,
    seed: int = 0,
) -> pd.DataFrame:
    """Adjust estimates per area so that sizes times them sum to a total.

    Parameters
    ----------
    fit : AreaLevelFit or UnitLevelFit
    sizes : ndarray of shape (areas,)
        What turns an area's estimate into its total: units, or ones.
    variable : str
    total : float, optional
        The published total; default sum of sizes times direct estimates, recomputed in
        every replicate.
    total_se : float
        Standard error of a given total, drawn independently of the model's errors.
    how : {"ratio", "difference"}
        Multiply by total / sum, or add (total - sum) / sum of sizes to every area.

    Returns
    -------
    pandas.DataFrame
        As ``fit.estimates(variable)``, adjusted, with bootstrap standard errors.

    Raises
    ------
    ContractError
        No total is given and an area has no direct estimate.
    MethodError
        A ratio of a sum that is not positive.
    """
    sizes = np.asarray(sizes, float)
    areas = fit.areas
    if total is None and areas["direct"].isna().any():
        raise ContractError(
            "an area without a direct estimate leaves no total to benchmark to",
            expected="total=",
        )
    table = areas.copy()
    goal = _total(areas["direct"].to_numpy(float), sizes, total)
    table["estimate"] = _adjust(areas["estimate"].to_numpy(float), sizes, goal, how)
    rng = np.random.default_rng(seed)
    squares = np.zeros(len(areas))
    for _ in range(replicates):
        truth, estimate, direct = fit.replicate(rng)
        outside = None
        if total is not None:
            outside = float(truth @ sizes) + rng.normal(0, total_se)
        drawn = _total(direct, sizes, outside)
        squares += (_adjust(estimate, sizes, drawn, how) - truth) ** 2
    table["mse"] = squares / replicates
    plain = fit.estimates(variable)
    return estimates_table(
        table,
        method=f"{plain['method'].iloc[0]}, benchmarked by {how}",
        variable=variable,
        df=fit.df,
        n=plain["n"].to_numpy(),
        variance_method=f"parametric bootstrap, {replicates} replicates",
    )


def _total(direct: Floats, sizes: Floats, total: float | None) -> float:
    return float(direct @ sizes) if total is None else float(total)


def _adjust(estimate: Floats, sizes: Floats, total: float, how: Adjustment) -> Floats:
    now = float(estimate @ sizes)
    if how == "difference":
        return np.asarray(estimate + (total - now) / sizes.sum())
    if now <= 0:
        raise MethodError(
            "a ratio needs estimates with a positive sum", hint='how="difference"'
        )
    return np.asarray(estimate * (total / now))
