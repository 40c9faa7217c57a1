"""Small areas from units: the nested-error model of Battese, Harter and Fuller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mlstats.errors import ContractError, MethodError
from mlstats.imagery.area_tables import check_columns, design_matrix, estimates_table
from mlstats.imagery.variance_components import Floats, most_likely

__all__ = ["UnitLevelFit", "battese_harter_fuller"]

UnitMethod = Literal["reml", "ml"]


@dataclass(frozen=True)
class _Sums:
    """Sufficient sums of a sample by area."""

    n: Floats  # (areas,) units in the sample, 0 where there are none
    x: Floats  # (areas, coefficients) means of the covariates
    y: Floats  # (areas,) means of the response
    xx: Floats  # (coefficients, coefficients)
    xy: Floats
    yy: float

    @classmethod
    def of(cls, design: Floats, y: Floats, area: np.ndarray, areas: int) -> _Sums:
        n = np.bincount(area, minlength=areas).astype(float)
        safe = np.maximum(n, 1)
        x = np.stack(
            [np.bincount(area, column, areas) / safe for column in design.T], axis=1
        )
        means = np.bincount(area, y, areas) / safe
        return cls(n, x, means, design.T @ design, design.T @ y, float(y @ y))


@dataclass(frozen=True)
class _Fit:
    """Coefficients and components; `inverse` is (X' V^-1 X)^-1 with its variance."""

    beta: Floats
    inverse: Floats
    sigma2_v: float
    sigma2_e: float


@dataclass(frozen=True)
class UnitLevelFit:
    """A fitted nested-error model and the means of finite populations.

    Attributes
    ----------
    areas : pandas.DataFrame
        One row per area of the population in its order: area, population, n, direct
        (the sample's mean), synthetic, gamma, estimate, g1, g2, g3, mse, status. An
        estimate is a mean per unit; the status is ``eblup``, ``synthetic: no sample``
        or ``synthetic: variance between areas estimated 0``.
    beta, beta_covariance : ndarray
        Coefficients, the intercept first.
    sigma2_v, sigma2_e : float
        Variances between and within areas.
    method : {"reml", "ml"}
    design, area : ndarray
        Covariates of the sample's units and the place of their areas in `areas`.
    population_design : ndarray of shape (areas, coefficients)
    """

    areas: pd.DataFrame
    beta: Floats
    beta_covariance: Floats
    sigma2_v: float
    sigma2_e: float
    method: UnitMethod
    design: Floats
    area: np.ndarray
    population_design: Floats

    @property
    def df(self) -> int:
        """Areas in the sample less one, of the variance between them."""
        return int((self.areas["n"] > 0).sum()) - 1

    def estimates(self, variable: str) -> pd.DataFrame:
        """Return the columns of an Evaluation's estimates, a row per area.

        Parameters
        ----------
        variable : str
            What was measured per unit.
        """
        return estimates_table(
            self.areas,
            method=f"Battese-Harter-Fuller {self.method}",
            variable=variable,
            df=self.df,
            n=self.areas["n"].to_numpy(),
            variance_method="g1 + g2 + 2 g3 + unseen units (Prasad and Rao 1990)",
        )

    def replicate(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Draw populations and samples from the model; estimate again.

        Returns
        -------
        truth, estimate, direct : ndarray of shape (areas,)
        """
        size = self.areas["population"].to_numpy(float)
        effect = rng.normal(0, np.sqrt(self.sigma2_v), len(size))
        noise = rng.normal(0, np.sqrt(self.sigma2_e), len(self.area))
        y = self.design @ self.beta + effect[self.area] + noise
        sums = _Sums.of(self.design, y, self.area, len(size))
        seen = np.bincount(self.area, noise, len(size))
        rest = rng.normal(0, 1, len(size)) * np.sqrt(self.sigma2_e * (size - sums.n))
        truth = self.population_design @ self.beta + effect + (seen + rest) / size
        fit = _fit(sums, self.method)
        table = _predict(sums, fit, self.population_design, size)
        return truth, table["estimate"].to_numpy(), table["direct"].to_numpy()


def battese_harter_fuller(
    sample: pd.DataFrame,
    population: pd.DataFrame,
    *,
    response: str,
    covariates: Sequence[str],
    area: str = "area",
    size: str = "size",
    method: UnitMethod = "reml",
) -> UnitLevelFit:
    """Estimate means of finite populations from a sample of units and known means.

    Parameters
    ----------
    sample : pandas.DataFrame
        One row per unit: area, response, covariates (an area-frame segment: surveyed
        hectares and classified pixels).
    population : pandas.DataFrame
        One row per area: area, number of units, and the means of the covariates over
        all units under the same names. Areas without units in the sample get the
        synthetic estimate.
    method : {"reml", "ml"}
        Of the variances.

    Returns
    -------
    UnitLevelFit

    Raises
    ------
    ContractError
        Missing numbers, an area of the sample that the population lacks, a population
        smaller than its sample.
    MethodError
        Too few units, or covariates that determine each other or the response.

    Notes
    -----
    y_dj = x'b + v_d + e_dj; gamma = sv2 / (sv2 + se2 / n). The mean is
    (n ybar + (N - n)(xbar_r'b + vhat)) / N with xbar_r over the units not in the
    sample. Its mean squared error is (1 - n/N)^2 (g1 + g2 + 2 g3) + (N - n) se2 / N^2;
    g3 rests on the information matrix of the two variances; under ML the bias of g1 is
    taken off.

    References
    ----------
    Battese, Harter and Fuller (1988), JASA 83, 28-36. Prasad and Rao (1990), JASA 85,
    163-171. Rao and Molina (2015), sections 7.1-7.2.
    """
    check_columns(population, [size, *covariates], area=area)
    check_columns(sample, [response, *covariates], area=area, unique=False)
    place = pd.Index(population[area]).get_indexer(sample[area])
    if (place < 0).any():
        raise ContractError(
            f"{int((place < 0).sum())} units are in areas that the population lacks",
            where=f"column {area}",
        )
    design = design_matrix(sample, covariates, least=len(covariates) + 3)
    sums = _Sums.of(design, sample[response].to_numpy(float), place, len(population))
    sizes = population[size].to_numpy(float)
    _check_sizes(sums.n, sizes, size)
    means = design_matrix(population, covariates)
    fit = _fit(sums, method)
    table = _predict(sums, fit, means, sizes)
    table = table.join(_errors(sums, fit, means, sizes, method))
    table.insert(0, "area", population[area].to_numpy())
    table["status"] = _status(sums.n, fit.sigma2_v)
    return UnitLevelFit(
        table,
        fit.beta,
        fit.inverse,
        fit.sigma2_v,
        fit.sigma2_e,
        method,
        design,
        place,
        means,
    )


def _check_sizes(n: Floats, sizes: Floats, name: str) -> None:
    if (n > sizes).any() or not (sizes > 0).all():
        raise ContractError(
            "an area has more units in the sample than in the population",
            where=f"column {name}",
        )
    if (n > 0).sum() < 2 or n.max() < 2:
        raise ContractError(
            "variances between and within areas cannot be told apart",
            expected="two areas in the sample, one of them with two units",
        )


def _solve(sums: _Sums, ratio: float) -> tuple[Floats, Floats, float]:
    """Return beta, (X' W X)^-1 and the residual y'Py for V = se2 (I + ratio J)."""
    cut = ratio * sums.n**2 / (1 + sums.n * ratio)
    cross = sums.xx - (sums.x * cut[:, None]).T @ sums.x
    inverse: Floats = np.asarray(np.linalg.inv(cross), float)
    right = sums.xy - sums.x.T @ (cut * sums.y)
    beta = inverse @ right
    return beta, inverse, float(sums.yy - cut @ sums.y**2 - right @ beta)


def _fit(sums: _Sums, method: UnitMethod) -> _Fit:
    restricted = method == "reml"
    free = sums.n.sum() - (sums.x.shape[1] if restricted else 0)
    if _solve(sums, 0.0)[2] <= 1e-12 * sums.yy:
        raise MethodError(
            "the covariates determine the response",
            hint="is the response among the covariates?",
        )
    deviance, slope = _likelihood(sums, free, restricted=restricted)
    ratio = most_likely(deviance, slope, scale=1.0)
    beta, inverse, residual = _solve(sums, ratio)
    sigma2_e = residual / free
    return _Fit(beta, inverse * sigma2_e, ratio * sigma2_e, sigma2_e)


def _likelihood(
    sums: _Sums, free: float, *, restricted: bool
) -> tuple[Callable[[float], float], Callable[[float], float]]:
    def deviance(ratio: float) -> float:
        _, inverse, residual = _solve(sums, ratio)
        value = free * np.log(residual) + np.log1p(sums.n * ratio).sum()
        if restricted:
            value -= np.linalg.slogdet(inverse)[1]
        return float(value)

    def slope(ratio: float) -> float:
        beta, inverse, residual = _solve(sums, ratio)
        weight = sums.n / (1 + sums.n * ratio)
        value = weight.sum()
        value -= free * np.sum((weight * (sums.y - sums.x @ beta)) ** 2) / residual
        if restricted:
            meat = (sums.x * (weight**2)[:, None]).T @ sums.x
            value -= np.trace(inverse @ meat)
        return float(value)

    return deviance, slope


def _predict(sums: _Sums, fit: _Fit, means: Floats, size: Floats) -> pd.DataFrame:
    n, beta = sums.n, fit.beta
    gamma = n * fit.sigma2_v / (n * fit.sigma2_v + fit.sigma2_e)
    effect = gamma * (sums.y - sums.x @ beta)
    unseen = size * (means @ beta) - n * (sums.x @ beta) + (size - n) * effect
    return pd.DataFrame(
        {
            "population": size,
            "n": n.astype(int),
            "direct": np.where(n > 0, sums.y, np.nan),
            "synthetic": means @ beta,
            "gamma": gamma,
            "estimate": (n * sums.y + unseen) / size,
        }
    )


def _errors(
    sums: _Sums, fit: _Fit, means: Floats, size: Floats, method: UnitMethod
) -> pd.DataFrame:
    n, within, between = sums.n, fit.sigma2_e, fit.sigma2_v
    total = within + n * between
    gamma = n * between / total
    rest = size - n
    # A census of an area has no unseen units: any covariates do, the weight is zero.
    unseen = (size[:, None] * means - n[:, None] * sums.x) / np.maximum(rest, 1)[
        :, None
    ]
    contrast = unseen - gamma[:, None] * sums.x
    g1 = between * within / total
    g2 = np.einsum("ij,jk,ik->i", contrast, fit.inverse, contrast)
    spread = _covariance_of_components(sums, within, between)
    h = (
        within**2 * spread[0, 0]
        + between**2 * spread[1, 1]
        - 2 * within * between * spread[0, 1]
    )
    g3 = n * h / total**3
    slopes = np.stack([(within / total) ** 2, n * (between / total) ** 2], axis=1)
    bias = slopes @ _bias(sums, fit, spread) if method == "ml" else 0.0
    mse = (rest / size) ** 2 * (g1 + g2 + 2 * g3 - bias) + rest * within / size**2
    return pd.DataFrame({"g1": g1, "g2": g2, "g3": g3, "mse": mse})


def _covariance_of_components(sums: _Sums, within: float, between: float) -> Floats:
    """Inverse information of (between, within), Rao and Molina (2015), 7.2.2."""
    n = sums.n[sums.n > 0]
    total = within + n * between
    information = 0.5 * np.array(
        [
            [np.sum(n**2 / total**2), np.sum(n / total**2)],
            [
                np.sum(n / total**2),
                np.sum((n - 1) / within**2 + 1 / total**2),
            ],
        ]
    )
    return np.asarray(np.linalg.inv(information))


def _bias(sums: _Sums, fit: _Fit, spread: Floats) -> Floats:
    """Bias of the ML variances: -(1/2) I^-1 tr(C X' V^-1 dV V^-1 X)."""
    n, within = sums.n, fit.sigma2_e
    total = within + n * fit.sigma2_v
    outer = np.einsum("ij,ik->ijk", sums.x, sums.x)
    meat_v = np.einsum("i,ijk->jk", (n / total) ** 2, outer)
    # V^-2 within an area: units about their mean keep within, the mean has total.
    meat_e = (sums.xx - np.einsum("i,ijk->jk", n, outer)) / within**2
    meat_e = meat_e + np.einsum("i,ijk->jk", n / total**2, outer)
    traces = [np.trace(fit.inverse @ meat) for meat in (meat_v, meat_e)]
    return np.asarray(-0.5 * spread @ np.array(traces))


def _status(n: Floats, between: float) -> list[str]:
    sampled = (
        "eblup" if between > 0 else "synthetic: variance between areas estimated 0"
    )
    return [sampled if count else "synthetic: no sample" for count in n]
