"""Small areas from direct estimates and covariates of areas (Fay and Herriot 1979)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from mlstats.errors import ContractError
from mlstats.imagery.area_tables import check_columns, design_matrix, estimates_table
from mlstats.imagery.variance_components import Floats, most_likely, weighted_fit

__all__ = ["AreaLevelFit", "AreaMethod", "fay_herriot", "smooth_variances"]

AreaMethod = Literal["reml", "ml", "moment"]
VARIANCE_METHODS = {
    "reml": "g1 + g2 + 2 g3 (Datta and Lahiri 2000, REML)",
    "ml": "g1 + g2 + 2 g3 - bias of g1 (Datta and Lahiri 2000, ML)",
    "moment": "g1 + g2 + 2 g3 - bias of g1 (Datta, Rao and Smith 2005, moments)",
}


@dataclass(frozen=True)
class AreaLevelFit:
    """A fitted Fay-Herriot model and its estimates.

    Attributes
    ----------
    areas : pandas.DataFrame
        One row per area in the given order: area, direct, variance (of the direct
        estimate), synthetic, gamma (weight of the direct estimate), estimate, g1, g2,
        g3, mse, status. The status is ``eblup``; ``synthetic: no direct estimate``; or
        ``synthetic: variance between areas estimated 0``, where g1 is 0, the mse
        rests on g2 and g3 alone and may be several times too small.
    beta, beta_covariance : ndarray
        Coefficients, the intercept first, and their covariance.
    sigma2_u : float
        Variance between areas.
    method : {"reml", "ml", "moment"}
    design, direct, variance : ndarray
        What the model was fitted to, areas without a direct estimate included.
    """

    areas: pd.DataFrame
    beta: Floats
    beta_covariance: Floats
    sigma2_u: float
    method: AreaMethod
    design: Floats
    direct: Floats
    variance: Floats

    @property
    def df(self) -> int:
        """Areas with a direct estimate less coefficients."""
        return int(np.isfinite(self.direct).sum()) - len(self.beta)

    def estimates(self, variable: str) -> pd.DataFrame:
        """Return the columns of an Evaluation's estimates, a row per area.

        Parameters
        ----------
        variable : str
            What the direct estimates are of.
        """
        known = np.isfinite(self.direct)
        return estimates_table(
            self.areas,
            method=f"Fay-Herriot {self.method}",
            variable=variable,
            df=self.df,
            n=known.astype(int),
            variance_method=VARIANCE_METHODS[self.method],
        )

    def replicate(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Draw areas and a sample of them from the model; estimate again.

        Returns
        -------
        truth, estimate, direct : ndarray of shape (areas,)
        """
        spread = np.sqrt(self.sigma2_u)
        truth = self.design @ self.beta + rng.normal(0, spread, len(self.direct))
        noise = rng.normal(0, 1, len(truth)) * np.sqrt(self.variance)
        direct = np.where(np.isfinite(self.direct), truth + noise, np.nan)
        sigma2 = _between(self.design, direct, self.variance, self.method)
        parts = _predict(self.design, direct, self.variance, sigma2)
        return truth, parts["estimate"].to_numpy(), direct


def fay_herriot(
    areas: pd.DataFrame,
    *,
    covariates: Sequence[str],
    area: str = "area",
    direct: str = "direct",
    variance: str = "variance",
    method: AreaMethod = "reml",
) -> AreaLevelFit:
    """Combine direct estimates with a regression on covariates of areas.

    Parameters
    ----------
    areas : pandas.DataFrame
        One row per area: the area, its direct estimate, the sampling variance of it
        (taken as known, see :func:`smooth_variances`) and the covariates. An area
        without a direct estimate (missing) gets the synthetic one.
    covariates : sequence of str
        Columns of the regression; an intercept is added.
    method : {"reml", "ml", "moment"}
        How the variance between areas is estimated; ``moment`` solves Fay and
        Herriot's equation sum of squared standardised residuals = areas -
        coefficients.

    Returns
    -------
    AreaLevelFit

    Raises
    ------
    ContractError
        A covariate is missing, an area occurs twice, a sampling variance is not
        positive.
    MethodError
        Too few areas, or covariates that determine each other.

    Notes
    -----
    gamma = s2 / (s2 + psi); estimate = gamma y + (1 - gamma) x'b; g1 = gamma psi;
    g2 = (1 - gamma)^2 x' C x; g3 = psi^2 (psi + s2)^-3 V(s2), with V = 2 / tr(P^2)
    for REML, 2 / sum (s2 + psi)^-2 for ML, 2 m / (sum (s2 + psi)^-1)^2 for moments;
    mse = g1 + g2 + 2 g3 - b (1 - gamma)^2 with b the bias of s2, 0 for REML. For an
    area without a direct estimate mse = s2 + x' C x.

    References
    ----------
    Rao and Molina (2015), Small Area Estimation, 2nd ed., sections 6.1-6.2.
    Datta and Lahiri (2000), Statistica Sinica 10, 613-627.
    """
    check_columns(areas, [*covariates], area=area)
    design = design_matrix(areas, covariates)
    y = areas[direct].to_numpy(float)
    psi = areas[variance].to_numpy(float)
    known = np.isfinite(y)
    if not (np.isfinite(psi[known]) & (psi[known] > 0)).all():
        raise ContractError(
            "a direct estimate has no positive sampling variance",
            where=f"column {variance}",
            hint="smooth the variances, or leave out the direct estimate",
        )
    design_matrix(areas[known], covariates, least=len(covariates) + 3)
    psi = np.where(known, psi, np.nan)
    sigma2 = _between(design, y, psi, method)
    table = _predict(design, y, psi, sigma2)
    beta, covariance = weighted_fit(design[known], y[known], 1 / (sigma2 + psi[known]))
    table = table.join(_errors(design, psi, sigma2, covariance, method))
    table.insert(0, "area", areas[area].to_numpy())
    table["status"] = _status(known, sigma2)
    return AreaLevelFit(table, beta, covariance, sigma2, method, design, y, psi)


def smooth_variances(variance: Floats, n: Floats) -> Floats:
    """Return sampling variances on a smooth function of the sample sizes.

    log variance = a + b log n by least squares, then multiplied so that the sum over
    areas is kept: estimated variances of few units are themselves noise, and the
    Fay-Herriot model takes them as known.

    Parameters
    ----------
    variance : ndarray of shape (areas,)
        Estimated; missing or zero ones get a smooth value, too, and do not enter the
        fit.
    n : ndarray of shape (areas,)
        Units of each area in the sample.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, chapter 7.
    """
    variance, n = np.asarray(variance, float), np.asarray(n, float)
    use = np.isfinite(variance) & (variance > 0)
    if use.sum() < 3 or not (n > 0).all():
        raise ContractError(
            "sampling variances cannot be smoothed",
            expected="three positive variances and positive sample sizes",
        )
    design = np.column_stack([np.ones(len(n)), np.log(n)])
    if np.ptp(n[use]) == 0:
        design = design[:, :1]
    beta = np.linalg.lstsq(design[use], np.log(variance[use]), rcond=None)[0]
    smooth = np.exp(design @ beta)
    return np.asarray(smooth * variance[use].sum() / smooth[use].sum())


def _between(design: Floats, y: Floats, psi: Floats, method: AreaMethod) -> float:
    known = np.isfinite(y)
    x, y, psi = design[known], y[known], psi[known]
    if method == "moment":
        return _moment(x, y, psi)
    deviance, slope = _likelihood(x, y, psi, restricted=method == "reml")
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    scale = max(float(np.median(psi)), float(np.mean(residual**2)))
    return most_likely(deviance, slope, scale=scale)


def _likelihood(
    x: Floats, y: Floats, psi: Floats, *, restricted: bool
) -> tuple[Callable[[float], float], Callable[[float], float]]:
    def deviance(sigma2: float) -> float:
        weight = 1 / (sigma2 + psi)
        beta, covariance = weighted_fit(x, y, weight)
        value = np.sum((y - x @ beta) ** 2 * weight) - np.log(weight).sum()
        if restricted:
            value -= np.linalg.slogdet(covariance)[1]
        return float(value)

    def slope(sigma2: float) -> float:
        weight = 1 / (sigma2 + psi)
        beta, covariance = weighted_fit(x, y, weight)
        value = weight.sum() - np.sum((y - x @ beta) ** 2 * weight**2)
        if restricted:
            value -= np.sum(weight**2 * _quadratic(x, covariance))
        return float(value)

    return deviance, slope


def _moment(x: Floats, y: Floats, psi: Floats) -> float:
    def surplus(sigma2: float) -> float:
        weight = 1 / (sigma2 + psi)
        beta, _ = weighted_fit(x, y, weight)
        return float(np.sum((y - x @ beta) ** 2 * weight) - (len(y) - x.shape[1]))

    if surplus(0.0) <= 0:
        return 0.0
    high = float(np.max(psi))
    while surplus(high) > 0:
        high *= 4
    return float(brentq(surplus, 0.0, high, xtol=1e-14 * high, rtol=1e-12))


def _predict(design: Floats, y: Floats, psi: Floats, sigma2: float) -> pd.DataFrame:
    known = np.isfinite(y)
    beta, _ = weighted_fit(design[known], y[known], 1 / (sigma2 + psi[known]))
    synthetic = design @ beta
    gamma = np.where(known, sigma2 / (sigma2 + np.where(known, psi, 1)), 0.0)
    estimate = synthetic + gamma * np.where(known, y - synthetic, 0.0)
    return pd.DataFrame(
        {
            "direct": y,
            "variance": psi,
            "synthetic": synthetic,
            "gamma": gamma,
            "estimate": estimate,
        }
    )


def _errors(
    design: Floats,
    psi: Floats,
    sigma2: float,
    covariance: Floats,
    method: AreaMethod,
) -> pd.DataFrame:
    known = np.isfinite(psi)
    leverage = _quadratic(design, covariance)
    spread, bias = _moments_of_sigma2(design[known], psi[known], sigma2, method)
    shrunk = np.where(known, psi / (psi + sigma2), 1.0)
    g1 = np.where(known, sigma2 * shrunk, sigma2)
    g2 = shrunk**2 * leverage
    g3 = np.where(known, shrunk**2 / (psi + sigma2) * spread, 0.0)
    # Without a direct estimate g1 is the variance itself: its bias is taken off whole.
    mse = g1 + g2 + 2 * g3 - bias * shrunk**2
    return pd.DataFrame({"g1": g1, "g2": g2, "g3": g3, "mse": mse})


def _moments_of_sigma2(
    x: Floats, psi: Floats, sigma2: float, method: AreaMethod
) -> tuple[float, float]:
    weight = 1 / (sigma2 + psi)
    _, covariance = weighted_fit(x, psi, weight)
    squared = np.sum(weight**2)
    meat = (x * (weight**2)[:, None]).T @ x
    if method == "reml":
        # tr(P^2) with P = W - W X C X' W
        cubed = (x * (weight**3)[:, None]).T @ x
        inner = covariance @ meat
        trace = squared - 2 * np.trace(covariance @ cubed) + np.trace(inner @ inner)
        return float(2 / trace), 0.0
    if method == "ml":
        return float(2 / squared), float(-np.trace(covariance @ meat) / squared)
    m, total = len(psi), np.sum(weight)
    return float(2 * m / total**2), float(2 * (m * squared - total**2) / total**3)


def _quadratic(x: Floats, covariance: Floats) -> Floats:
    return np.asarray(np.einsum("ij,jk,ik->i", x, covariance, x))


def _status(known: np.ndarray, sigma2: float) -> list[str]:
    sampled = (
        "eblup" if sigma2 > 0 else ("synthetic: variance between areas estimated 0")
    )
    return [sampled if k else "synthetic: no direct estimate" for k in known]
