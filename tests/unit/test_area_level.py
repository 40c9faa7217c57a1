"""Fay-Herriot: limits, promises in simulation, benchmarking, bad input."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.errors import ContractError, MethodError
from mlstats.imagery.area_level import fay_herriot, smooth_variances
from mlstats.imagery.benchmarking import benchmarked, bootstrap_mse

METHODS = ["reml", "ml", "moment"]
PSI = np.repeat([0.3, 0.5, 0.7, 1.0, 1.5], 6)


def _areas(rng, sigma2, psi=PSI):
    x = np.random.default_rng(0).uniform(0, 2, len(psi))
    truth = 1 + 2 * x + rng.normal(0, np.sqrt(sigma2), len(psi))
    direct = truth + rng.normal(0, 1, len(psi)) * np.sqrt(psi)
    table = {"area": np.arange(len(psi)), "direct": direct, "variance": psi, "x": x}
    return truth, pd.DataFrame(table)


@pytest.mark.parametrize("method", METHODS)
def test_errors_are_unbiased_and_intervals_cover(method):
    rng, sums, hits, gain = np.random.default_rng(3), [], [], []
    for _ in range(600):
        truth, table = _areas(rng, 0.7)
        fit = fay_herriot(table, covariates=["x"], method=method)
        squares = (fit.areas["estimate"] - truth) ** 2
        sums.append((fit.areas["mse"] - squares).mean())
        half = stats.t.ppf(0.975, fit.df) * np.sqrt(fit.areas["mse"])
        hits.append((squares <= half**2).mean())
        gain.append(((table["direct"] - truth) ** 2).mean() - squares.mean())
    assert abs(np.mean(sums)) < 3 * np.std(sums) / np.sqrt(len(sums))
    assert np.mean(hits) >= 0.93
    assert np.mean(gain) > 5 * np.std(gain) / np.sqrt(len(gain))


def test_synthetic_estimates_have_an_error_that_holds():
    rng, sums = np.random.default_rng(4), []
    for _ in range(150):
        truth, table = _areas(rng, 0.7)
        table.loc[:4, "direct"] = np.nan
        fit = fay_herriot(table, covariates=["x"])
        squares = (fit.areas["estimate"] - truth) ** 2
        sums.append((fit.areas["mse"] - squares)[:5].mean())
        assert fit.areas["status"][:5].eq("synthetic: no direct estimate").all()
    assert abs(np.mean(sums)) < 3 * np.std(sums) / np.sqrt(len(sums))


@pytest.mark.parametrize("method", METHODS)
def test_gamma_goes_to_one_and_to_zero(method):
    _, table = _areas(np.random.default_rng(5), 1.0)
    near = fay_herriot(
        table.assign(variance=1e-6 * PSI), covariates=["x"], method=method
    ).areas
    assert near["gamma"].min() > 0.9999
    np.testing.assert_allclose(near["mse"], 1e-6 * PSI, rtol=1e-3)
    far = fay_herriot(table.assign(variance=1e3 * PSI), covariates=["x"], method=method)
    assert far.sigma2_u == 0
    assert far.areas["status"].str.contains("estimated 0").all()
    np.testing.assert_array_equal(far.areas["estimate"], far.areas["synthetic"])


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_component_has_the_greatest_dense_likelihood(method):
    _, table = _areas(np.random.default_rng(6), 0.5)
    fit = fay_herriot(table, covariates=["x"], method=method)

    def likelihood(sigma2):
        x, y = fit.design, fit.direct
        if method == "ml":
            inverse = np.diag(1 / (sigma2 + PSI))
            beta = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
            return stats.multivariate_normal.logpdf(y, x @ beta, np.diag(sigma2 + PSI))
        # REML: the likelihood of the contrasts that the coefficients leave
        contrasts = np.linalg.svd(x.T)[2][2:]
        cover = contrasts @ np.diag(sigma2 + PSI) @ contrasts.T
        return stats.multivariate_normal.logpdf(contrasts @ y, cov=cover)

    best = likelihood(fit.sigma2_u)
    grid = np.concatenate([[0], np.geomspace(0.01, 50, 400)])
    assert best >= max(likelihood(s) for s in grid)
    assert best > likelihood(fit.sigma2_u * 1.001)
    assert best > likelihood(fit.sigma2_u * 0.999)


def test_variance_of_the_component_is_two_over_the_trace_of_p_squared():
    _, table = _areas(np.random.default_rng(7), 0.5)
    fit = fay_herriot(table, covariates=["x"])
    w, x = np.diag(1 / (fit.sigma2_u + PSI)), fit.design
    p = w - w @ x @ np.linalg.inv(x.T @ w @ x) @ x.T @ w
    expected = PSI**2 / (PSI + fit.sigma2_u) ** 3 * 2 / np.trace(p @ p)
    np.testing.assert_allclose(fit.areas["g3"], expected, rtol=1e-9)


@pytest.mark.parametrize("how", ["ratio", "difference"])
def test_benchmarked_estimates_add_up_and_their_errors_hold(how):
    rng, sums, sizes = np.random.default_rng(8), [], np.linspace(1, 3, 30)
    for seed in range(30):
        truth, table = _areas(rng, 1.0)
        fit = fay_herriot(table, covariates=["x"])
        found = benchmarked(fit, sizes, variable="y", how=how, replicates=25, seed=seed)
        assert found["estimate"] @ sizes == pytest.approx(table["direct"] @ sizes)
        error = found["standard_error"] ** 2 - (found["estimate"] - truth) ** 2
        sums.append(error.mean())
    assert abs(np.mean(sums)) < 3 * np.std(sums) / np.sqrt(len(sums))


def test_error_of_a_given_total_enters():
    _, table = _areas(np.random.default_rng(9), 1.0)
    fit = fay_herriot(table, covariates=["x"])
    sizes, found = np.ones(30), {}
    for error in (0.0, 30.0):
        found[error] = benchmarked(
            fit,
            sizes,
            variable="y",
            total=90.0,
            total_se=error,
            how="difference",
            replicates=200,
        )["standard_error"].to_numpy()
    # a shift common to all areas with standard deviation 30 / 30
    excess = np.mean(found[30.0] ** 2 - found[0.0] ** 2)
    assert excess == pytest.approx(1.0, abs=0.3)


def test_bootstrap_agrees_with_the_formula():
    _, table = _areas(np.random.default_rng(10), 1.0)
    fit = fay_herriot(table, covariates=["x"])
    ratio = bootstrap_mse(fit, replicates=300).mean() / fit.areas["mse"].mean()
    assert ratio == pytest.approx(1, abs=0.1)


def test_smoothed_variances_keep_the_sum_and_are_closer_to_the_truth():
    rng, n = np.random.default_rng(11), np.repeat([4, 8, 16, 32], 10)
    raw = 2.0 / n * rng.chisquare(n - 1) / (n - 1)
    smooth = smooth_variances(raw, n)
    assert smooth.sum() == pytest.approx(raw.sum())
    assert np.abs(smooth * n - 2).mean() < 0.5 * np.abs(raw * n - 2).mean()
    assert np.isfinite(smooth_variances(np.where(n == 4, np.nan, raw), n)).all()


def test_estimates_have_the_columns_of_an_evaluation():
    from mlstats.quality.evaluation import ESTIMATES

    _, table = _areas(np.random.default_rng(12), 1.0)
    found = fay_herriot(table, covariates=["x"]).estimates("income")
    assert list(found.columns) == [
        name for name in ESTIMATES if name not in {"run_id", "period"}
    ]
    assert found["df"].eq(28).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"variance": 0.0}, ContractError, "positive sampling variance"),
        ({"x": 1.0}, MethodError, "constant"),
        ({"x": np.nan}, ContractError, "rows have no number"),
        ({"area": 1}, ContractError, "more than once"),
    ],
)
def test_bad_tables_are_refused(change, error, words):
    _, table = _areas(np.random.default_rng(13), 1.0)
    with pytest.raises(error, match=words):
        fay_herriot(table.assign(**change), covariates=["x"])


def test_too_few_areas_and_an_unknown_covariate_are_refused():
    _, table = _areas(np.random.default_rng(13), 1.0)
    with pytest.raises(MethodError, match="too few rows"):
        fay_herriot(table.head(3), covariates=["x"])
    with pytest.raises(ContractError, match="no column"):
        fay_herriot(table, covariates=["z"])


def test_no_total_without_direct_estimates_of_all():
    _, table = _areas(np.random.default_rng(13), 1.0)
    table.loc[0, "direct"] = np.nan
    fit = fay_herriot(table, covariates=["x"])
    with pytest.raises(ContractError, match="no total"):
        benchmarked(fit, np.ones(30), variable="y", replicates=2)
