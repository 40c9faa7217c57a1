"""Battese-Harter-Fuller: dense algebra, limits, promises in simulation, bad input."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.errors import ContractError, MethodError
from mlstats.imagery.benchmarking import benchmarked
from mlstats.imagery.unit_level import battese_harter_fuller

UNITS = np.tile([1, 2, 3, 5, 8], 4)
SIZE = 60


def _draw(rng, between, *, units=UNITS):
    x = np.random.default_rng(0).normal(5, 2, (len(units), SIZE))
    effect = rng.normal(0, np.sqrt(between), (len(units), 1))
    y = 1 + 2 * x + effect + rng.normal(0, 1, x.shape)
    rows = [(d, x[d, j], y[d, j]) for d in range(len(units)) for j in range(units[d])]
    sample = pd.DataFrame(rows, columns=["area", "x", "y"])
    population = pd.DataFrame(
        {"area": np.arange(len(units)), "size": SIZE, "x": x.mean(axis=1)}
    )
    return y.mean(axis=1), sample, population


def _fit(sample, population, **options):
    return battese_harter_fuller(
        sample, population, response="y", covariates=["x"], **options
    )


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_errors_are_unbiased_and_intervals_cover(method):
    rng, sums, hits, gain = np.random.default_rng(1), [], [], []
    for _ in range(150):
        truth, sample, population = _draw(rng, 0.5)
        fit = _fit(sample, population, method=method)
        squares = (fit.areas["estimate"] - truth) ** 2
        sums.append((fit.areas["mse"] - squares).mean())
        half = stats.t.ppf(0.975, fit.df) * np.sqrt(fit.areas["mse"])
        hits.append((squares <= half**2).mean())
        gain.append(((fit.areas["direct"] - truth) ** 2).mean() - squares.mean())
    assert abs(np.mean(sums)) < 3 * np.std(sums) / np.sqrt(len(sums))
    assert np.mean(hits) >= 0.93
    assert np.mean(gain) > 5 * np.std(gain) / np.sqrt(len(gain))


def test_synthetic_estimates_have_an_error_that_holds():
    rng, sums = np.random.default_rng(2), []
    units = np.where(np.arange(20) < 4, 0, UNITS)
    for _ in range(150):
        truth, sample, population = _draw(rng, 0.5, units=units)
        areas = _fit(sample, population).areas
        assert areas["status"][:4].eq("synthetic: no sample").all()
        sums.append((areas["mse"] - (areas["estimate"] - truth) ** 2)[:4].mean())
    assert abs(np.mean(sums)) < 3 * np.std(sums) / np.sqrt(len(sums))


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_the_sums_agree_with_dense_matrices(method):
    _, sample, population = _draw(np.random.default_rng(3), 0.5)
    fit = _fit(sample, population, method=method)
    z = np.equal.outer(sample["area"].to_numpy(), np.arange(20)).astype(float)
    x, y = fit.design, sample["y"].to_numpy()
    v = fit.sigma2_e * np.eye(len(y)) + fit.sigma2_v * z @ z.T
    w = np.linalg.inv(v)
    inverse = np.linalg.inv(x.T @ w @ x)
    beta = inverse @ x.T @ w @ y
    np.testing.assert_allclose(fit.beta, beta)
    np.testing.assert_allclose(fit.beta_covariance, inverse)
    effect = fit.sigma2_v * z.T @ w @ (y - x @ beta)
    seen, total = z.T @ y, population["x"].to_numpy() * SIZE
    unseen = beta[0] * (SIZE - UNITS) + beta[1] * (total - z.T @ x[:, 1])
    expected = (seen + unseen + (SIZE - UNITS) * effect) / SIZE
    np.testing.assert_allclose(fit.areas["estimate"], expected)
    # the score of both components is 0 at the estimates
    p = w - w @ x @ inverse @ x.T @ w
    for direction in (np.eye(len(y)), z @ z.T):
        trace = np.trace((p if method == "reml" else w) @ direction)
        assert y @ p @ direction @ p @ y == pytest.approx(trace, rel=1e-6)


def test_bias_of_ml_agrees_with_dense_matrices():
    _, sample, population = _draw(np.random.default_rng(4), 0.5)
    ml = _fit(sample, population, method="ml")
    z = np.equal.outer(sample["area"].to_numpy(), np.arange(20)).astype(float)
    x = ml.design
    w = np.linalg.inv(ml.sigma2_e * np.eye(len(x)) + ml.sigma2_v * z @ z.T)
    parts = [z @ z.T, np.eye(len(x))]
    information = [[np.trace(w @ a @ w @ b) / 2 for b in parts] for a in parts]
    traces = [np.trace(ml.beta_covariance @ x.T @ w @ a @ w @ x) for a in parts]
    bias = -np.linalg.solve(information, traces) / 2
    total = ml.sigma2_e + UNITS * ml.sigma2_v
    slope = np.array([(ml.sigma2_e / total) ** 2, UNITS * (ml.sigma2_v / total) ** 2])
    rest = 1 - UNITS / SIZE
    g = ml.areas["g1"] + ml.areas["g2"] + 2 * ml.areas["g3"] - bias @ slope
    expected = rest**2 * g + rest * ml.sigma2_e / SIZE
    np.testing.assert_allclose(ml.areas["mse"], expected)
    assert bias[0] < 0


def test_no_variance_between_areas_is_said_and_a_census_has_no_error():
    rng = np.random.default_rng(5)
    found = [_fit(*_draw(rng, 0.0)[1:]) for _ in range(10)]
    zero = [fit for fit in found if fit.sigma2_v == 0]
    assert zero
    assert zero[0].areas["status"].str.contains("estimated 0").all()
    assert zero[0].areas["gamma"].eq(0).all()
    truth, sample, population = _draw(rng, 1.0, units=np.where(UNITS == 8, 60, UNITS))
    areas = _fit(sample, population).areas
    whole = areas["n"].eq(60)
    np.testing.assert_allclose(areas["estimate"][whole], truth[whole])
    assert areas["mse"][whole].max() < 1e-12


def test_benchmarked_totals():
    _, sample, population = _draw(np.random.default_rng(6), 0.5)
    fit = _fit(sample, population)
    sizes = population["size"].to_numpy(float)
    found = benchmarked(fit, sizes, variable="y", total=14_000.0, replicates=30)
    assert found["estimate"] @ sizes == pytest.approx(14_000)
    assert found["method"].eq("Battese-Harter-Fuller reml, benchmarked by ratio").all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"x": 1.0}, MethodError, "constant"),
        ({"y": np.nan}, ContractError, "rows have no number"),
        ({"area": 99}, ContractError, "population lacks"),
    ],
)
def test_bad_samples_are_refused(change, error, words):
    _, sample, population = _draw(np.random.default_rng(7), 0.5)
    with pytest.raises(error, match=words):
        _fit(sample.assign(**change), population)


def test_a_small_population_and_one_unit_per_area_are_refused():
    _, sample, population = _draw(np.random.default_rng(7), 0.5)
    with pytest.raises(ContractError, match="more units in the sample"):
        _fit(sample, population.assign(size=3))
    with pytest.raises(ContractError, match="cannot be told apart"):
        _fit(sample.drop_duplicates("area"), population)


def test_a_response_among_the_covariates_is_refused():
    _, sample, population = _draw(np.random.default_rng(7), 0.5)
    with pytest.raises(MethodError, match="determine the response"):
        _fit(sample.assign(y=3 * sample["x"] + 1), population)
