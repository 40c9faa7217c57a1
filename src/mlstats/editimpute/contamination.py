"""The contamination model: probability of error and anticipated value without training.

True values (or their logarithms) follow a normal regression; with a small probability
a record holds an error that inflates its variance. The posterior probability of error
and the expected true value follow from the reported values alone, no past edits needed.

References
----------
M. Di Zio and U. Guarnera, "A contamination model for selective editing", Journal of
Official Statistics 29 (2013), 539-555, sections 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, ContractError, MethodError

__all__ = ["Contamination", "fit_contamination"]

Floats = npt.NDArray[np.floating]
# Below so large a share of contaminated records, or variance inflation, there is no
# second component to speak of.
LEAST_SHARE, LEAST_INFLATION = 1e-6, 1.0 + 1e-6


@dataclass(frozen=True, eq=False)
class Contamination:
    """The fitted model and what it says of every record.

    Attributes
    ----------
    probability : Series
        Posterior probability that the record is contaminated; NaN where a value is
        missing (or not above zero, on the scale of logarithms).
    anticipated : DataFrame
        Expectation of the true values given the reported ones.
    coefficients : DataFrame, shape (1 + covariates, variables)
        Of the regression, on the scale of the model.
    covariance : DataFrame, shape (variables, variables)
        Of the true values given the covariates.
    share : float
        Prior probability of contamination.
    inflation : float
        Of the variance in contaminated records (lambda, above 1).
    rounds : int
        Of the EM algorithm.
    bic, bic_without : float
        Bayesian information criterion of the model, and of one without contamination:
        the smaller one fits better.
    """

    probability: pd.Series
    anticipated: pd.DataFrame
    coefficients: pd.DataFrame
    covariance: pd.DataFrame
    share: float
    inflation: float
    rounds: int
    bic: float
    bic_without: float


@dataclass
class _Fit:
    """Parameters on the way to the maximum."""

    B: Floats
    S: Floats
    share: float
    inflation: float


def fit_contamination(
    reported: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    *,
    scale: Literal["log", "level"] = "log",
    share: float = 0.05,
    inflation: float = 3.0,
    tolerance: float = 1e-7,
    most_rounds: int = 500,
) -> Contamination:
    """Fit the contamination model by the EM algorithm.

    Parameters
    ----------
    reported : DataFrame, shape (n, variables)
        Values with errors.
    covariates : DataFrame, shape (n, k), optional
        Numbers without errors, on the scale of the model (take logarithms of amounts);
        an intercept is added.
    scale : {"log", "level"}
        Whether logarithms or the values themselves are normal.
    share, inflation : float
        Where the algorithm starts.
    tolerance : float
        Of the relative change of the log-likelihood.
    most_rounds : int
        After which a :class:`~mlstats.errors.MethodError` says that it does not settle.

    Raises
    ------
    ContractError
        Where covariates are missing or too few records are complete.
    MethodError
        Where the fit is perfect, or does not settle.
    """
    if scale not in ("log", "level"):
        raise ConfigError(f"scale is {scale!r}", expected="log or level")
    if not 0 < share < 1 or not inflation > 1:
        raise ConfigError(
            "The start of the contamination model is out of range",
            expected="share between 0 and 1, inflation above 1",
        )
    y = reported.to_numpy(dtype=float, na_value=np.nan)
    x = _design(covariates, len(y))
    used = _usable(y, scale, x.shape[1] + y.shape[1] + 2)
    z = np.log(y[used]) if scale == "log" else y[used]
    fit, likelihood, rounds = _maximised(
        z, x[used], share, inflation, tolerance, most_rounds
    )
    tau, _ = _posterior(z, x[used], fit)
    chance = np.full(len(y), np.nan)
    chance[used] = tau
    expected = np.full(y.shape, np.nan)
    expected[used] = _expected(y[used], z, x[used], fit, tau, scale)
    names = list(reported.columns)
    terms = ["intercept", *(covariates.columns if covariates is not None else [])]
    free = fit.B.size + len(names) * (len(names) + 1) / 2
    n = int(used.sum())
    plain = _normal(z, x[used])
    return Contamination(
        pd.Series(chance, reported.index, name="probability"),
        pd.DataFrame(expected, reported.index, names),
        pd.DataFrame(fit.B, terms, names),
        pd.DataFrame(fit.S, names, names),
        fit.share,
        fit.inflation,
        rounds,
        float((free + 2) * np.log(n) - 2 * likelihood),
        float(free * np.log(n) - 2 * plain),
    )


def _usable(y: Floats, scale: str, size: int) -> npt.NDArray[np.bool_]:
    """Return the records with every value, above zero on the scale of logarithms."""
    used = np.isfinite(y).all(axis=1)
    if scale == "log":
        used &= np.where(np.isfinite(y), y > 0, False).all(axis=1)
    if used.sum() < 2 * size:
        raise ContractError(
            f"{int(used.sum())} records can be fitted on",
            expected=f"{2 * size} or more",
        )
    return np.asarray(used)


def _design(covariates: pd.DataFrame | None, n: int) -> Floats:
    if covariates is None:
        return np.ones((n, 1))
    x = covariates.to_numpy(dtype=float, na_value=np.nan)
    if len(x) != n:
        raise ContractError(f"There are {n} records, {len(x)} rows of covariates")
    if not np.isfinite(x).all():
        raise ContractError("Covariates of the contamination model are not all finite")
    return np.hstack([np.ones((n, 1)), x])


def _maximised(
    z: Floats, x: Floats, share: float, inflation: float, tolerance: float, most: int
) -> tuple[_Fit, float, int]:
    B = np.linalg.lstsq(x, z)[0]
    residual = z - x @ B
    fit = _Fit(B, residual.T @ residual / len(z), share, inflation)
    before = -np.inf
    for i in range(1, most + 1):
        tau, likelihood = _posterior(z, x, fit)
        if likelihood - before <= tolerance * (1 + abs(likelihood)):
            return fit, likelihood, i
        before = likelihood
        fit = _improved(z, x, fit, tau)
    raise MethodError(
        f"The contamination model does not settle in {most} rounds",
        hint="raise most_rounds, or fit fewer variables",
    )


def _improved(z: Floats, x: Floats, fit: _Fit, tau: Floats) -> _Fit:
    """Return the parameters with the largest expected log-likelihood."""
    size = (1 - tau) + tau / fit.inflation
    root = np.sqrt(size)[:, None]
    B = np.linalg.lstsq(root * x, root * z)[0]
    residual = z - x @ B
    S = (size[:, None] * residual).T @ residual / len(z)
    inside = float(tau.sum())
    if inside < LEAST_SHARE * len(z):
        return _Fit(B, S, LEAST_SHARE, fit.inflation)
    distance = _distance(residual, S)
    inflation = float(tau @ distance) / (z.shape[1] * inside)
    return _Fit(B, S, inside / len(z), max(inflation, LEAST_INFLATION))


def _posterior(z: Floats, x: Floats, fit: _Fit) -> tuple[Floats, float]:
    """Return the probabilities of contamination, and the log-likelihood."""
    residual, p = z - x @ fit.B, z.shape[1]
    distance = _distance(residual, fit.S)
    constant = -0.5 * (p * np.log(2 * np.pi) + np.linalg.slogdet(fit.S)[1])
    clean = np.log1p(-fit.share) + constant - distance / 2
    wrong = np.log(fit.share) + constant - distance / (2 * fit.inflation)
    wrong = wrong - 0.5 * p * np.log(fit.inflation)
    both = np.logaddexp(clean, wrong)
    return np.exp(wrong - both), float(both.sum())


def _distance(residual: Floats, S: Floats) -> Floats:
    scale = np.sqrt(np.diag(S))
    if not (scale > 0).all() or np.linalg.cond(S / np.outer(scale, scale)) > 1e12:
        raise MethodError(
            "The contamination model fits perfectly: nothing is left to vary",
            hint="leave out a variable that follows from the others",
        )
    distance: Floats = (residual * np.linalg.solve(S, residual.T).T).sum(axis=1)
    return distance


def _expected(
    y: Floats, z: Floats, x: Floats, fit: _Fit, tau: Floats, scale: str
) -> Floats:
    """Return ``(1 - tau) y + tau E(true value | reported value, contaminated)``."""
    centre = (z + (fit.inflation - 1) * (x @ fit.B)) / fit.inflation
    if scale == "log":
        spread = (1 - 1 / fit.inflation) * np.diag(fit.S)
        centre = np.exp(centre + spread / 2)
    return np.asarray((1 - tau[:, None]) * y + tau[:, None] * centre)


def _normal(z: Floats, x: Floats) -> float:
    """Return the log-likelihood without contamination."""
    residual = z - x @ np.linalg.lstsq(x, z)[0]
    S = residual.T @ residual / len(z)
    n, p = z.shape
    return float(-0.5 * n * (p * np.log(2 * np.pi) + np.linalg.slogdet(S)[1] + p))
