"""Measures of imputed values: published numbers, small tables, other programs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlstats.quality.design import Design
from mlstats.quality.imputation_measures import (
    categorical_measures,
    ks_null,
    marginal_homogeneity,
    moment_measures,
    numeric_measures,
    ordinal_distance,
    total_variation_null,
)
from mlstats.quality.numeric import distribution_distance
from mlstats.quality.replication import Replicates

# Unaided distance vision of 7,477 women, right eye by left eye (Stuart 1955, table 1).
EYES = np.array(
    [
        [1520, 266, 124, 66],
        [234, 1512, 432, 78],
        [117, 362, 1772, 205],
        [36, 82, 179, 492],
    ]
)


def pairs(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each unit of a table of counts."""
    row, column = np.indices(table.shape)
    return np.repeat(row.ravel(), table.ravel()), np.repeat(
        column.ravel(), table.ravel()
    )


def alone(measures: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(theta[0, 0]) for name, theta in measures.items()}


# -- marginal homogeneity --------------------------------------------------------------


def test_eyesight_of_women_as_stuart_published_it():
    assert EYES.sum() == 7477
    w, df, p = marginal_homogeneity(*pairs(EYES), 4)
    assert round(w, 2) == 11.96
    assert df == 3
    assert p == pytest.approx(0.00753, abs=5e-5)


def test_two_categories_are_mcnemars_test():
    w, df, p = marginal_homogeneity(*pairs(np.array([[50, 18], [7, 30]])), 2)
    assert w == pytest.approx((18 - 7) ** 2 / (18 + 7))
    assert (df, p) == (1, pytest.approx(stats.chi2.sf(w, 1)))


def test_three_categories_as_fleiss_and_everitt_write_it():
    table = np.array([[35, 5, 0], [15, 20, 5], [10, 5, 5]])
    d = table.sum(axis=1) - table.sum(axis=0)
    n12, n13, n23 = ((table + table.T) / 2)[[0, 0, 1], [1, 2, 2]]
    expected = (n23 * d[0] ** 2 + n13 * d[1] ** 2 + n12 * d[2] ** 2) / (
        2 * (n12 * n13 + n12 * n23 + n13 * n23)
    )
    assert marginal_homogeneity(*pairs(table), 3)[0] == pytest.approx(expected)


def test_categories_that_exchange_nothing_take_no_degree_of_freedom():
    table = np.zeros((4, 4), dtype=int)
    table[:2, :2], table[2:, 2:] = [[9, 4], [1, 9]], [[9, 2], [6, 9]]
    w, df, _ = marginal_homogeneity(*pairs(table), 4)
    assert df == 2
    assert w == pytest.approx((4 - 1) ** 2 / 5 + (2 - 6) ** 2 / 8)
    assert marginal_homogeneity(*pairs(np.diag([5, 6])), 2) == (0.0, 0, 1.0)


# -- small tables, worked out by hand -------------------------------------------------


def test_numbers_by_hand():
    truth, imputed = np.array([1.0, 2.0, 3.0, 6.0]), np.array([2.0, 2.0, 4.0, 4.0])
    weight = np.array([1.0, 1.0, 1.0, 1.0])
    found = alone(numeric_measures(truth, imputed, Replicates.of(weight)))
    # Errors 1, 0, 1, -2; the truth has mean 3 and variance (4 + 1 + 0 + 9) / 4.
    assert found["nrmse"] == pytest.approx(np.sqrt((6 / 4) / (14 / 4)))
    assert found["nmae"] == pytest.approx(4 / 12)
    # Sums of products: 2 + 4 + 12 + 24 = 42 over 4 + 4 + 16 + 16 = 40.
    assert found["slope"] == pytest.approx(42 / 40)
    assert found["r_squared"] == pytest.approx(1 - (50 - 42**2 / 40) / 14)
    assert found["mean_bias"] == 0
    assert found["second_moment_bias"] == pytest.approx(40 / 50 - 1)
    assert found["spread_ratio"] == pytest.approx(np.sqrt(1 / 3.5))
    # Below 2 a quarter against none, up to 3 three quarters against a half.
    assert found["ks"] == pytest.approx(0.25)
    # Mid-ranks 1, 2, 3, 4 and 1.5, 1.5, 3.5, 3.5: 4 / sqrt(5 * 4).
    assert found["rank_correlation"] == pytest.approx(4 / np.sqrt(20))


def test_categories_by_hand():
    truth, imputed = np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1])
    cells = Replicates.of(np.array([1.0, 2.0, 3.0, 4.0]))
    found = alone(categorical_measures(truth, imputed, cells))
    assert found["accuracy"] == pytest.approx(0.4)
    # Shares .3, .3, .4 of the truth, .1, .7, .2 of the imputed values.
    assert found["total_variation"] == pytest.approx(0.4)
    # (2 x (1 + 2 / 2) / 2 + 4 x (1 + 1 / 2) / 2) / 10
    assert ordinal_distance(truth, imputed, cells, 3)[0, 0] == pytest.approx(0.5)


def test_a_perfect_method_has_no_error():
    truth = np.array([1.0, 4.0, 9.0])
    found = alone(numeric_measures(truth, truth, Replicates.of(np.ones(3))))
    one = {"slope", "r_squared", "spread_ratio", "rank_correlation"}
    for name, value in found.items():
        assert value == pytest.approx(1.0 if name in one else 0.0), name


# -- other programs ---------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    truth = np.exp(rng.normal(size=400)).round(1)  # with ties
    return truth, (0.7 * truth + rng.gamma(2, 0.3, 400)).round(1)


def test_numbers_as_scipy_and_scikit_learn_have_them(drawn):
    from sklearn import metrics
    from sklearn.linear_model import LinearRegression

    truth, imputed = drawn
    found = alone(numeric_measures(truth, imputed, Replicates.of(np.ones(400))))
    rmse = metrics.root_mean_squared_error(truth, imputed)
    fit = LinearRegression(fit_intercept=False).fit(imputed[:, None], truth)
    assert found["nrmse"] == pytest.approx(rmse / truth.std())
    assert found["slope"] == pytest.approx(fit.coef_[0])
    assert found["r_squared"] == pytest.approx(fit.score(imputed[:, None], truth))
    spearman = stats.spearmanr(truth, imputed).statistic
    assert found["rank_correlation"] == pytest.approx(spearman)
    gap = stats.ks_2samp(truth, imputed, method="asymp").statistic
    assert found["ks"] == pytest.approx(gap)
    assert found["spread_ratio"] == pytest.approx(imputed.std() / truth.std())
    error = metrics.mean_absolute_error(truth, imputed)
    assert found["nmae"] == pytest.approx(error / truth.mean())


def test_a_weight_of_three_is_three_cells(drawn):
    truth, imputed = (values[:60] for values in drawn)
    weight = np.random.default_rng(2).integers(1, 5, 60)
    weighted = numeric_measures(truth, imputed, Replicates.of(weight.astype(float)))
    many = [np.repeat(values, weight) for values in (truth, imputed)]
    found = alone(numeric_measures(*many, Replicates.of(np.ones(weight.sum()))))
    assert alone(weighted) == pytest.approx(found)
    design = Design.of(weight.astype(float))
    other = distribution_distance(design, truth, imputed)
    assert found["ks"] == pytest.approx(other.kolmogorov_smirnov)


def test_without_a_group_is_without_its_cells(drawn):
    rng = np.random.default_rng(3)
    weight, mask = rng.gamma(4, 0.25, 400), rng.integers(0, 3, 400)
    cells = Replicates.of(weight, mask, rng.integers(0, 50, 400), groups=12, seed=5)
    assert (cells.masks, cells.groups, cells.n_clusters) == (3, 12, 50)
    code = [np.digitize(values, [1, 2, 4]) for values in drawn]
    found = numeric_measures(*drawn, cells) | categorical_measures(*code, cells)
    found["ordinal_distance"] = ordinal_distance(*code, cells, 4)
    for m, g in ((0, 0), (1, 4), (2, 12)):
        at = (mask == m) & ((cells.group != g - 1) if g else True)
        alike = Replicates.of(weight[at])
        of_numbers = numeric_measures(drawn[0][at], drawn[1][at], alike)
        of_codes = categorical_measures(code[0][at], code[1][at], alike)
        expected = alone(of_numbers | of_codes)
        own = ordinal_distance(code[0][at], code[1][at], alike, 4)
        expected["ordinal_distance"] = float(own[0, 0])
        assert {n: theta[m, g] for n, theta in found.items()} == pytest.approx(expected)


def test_large_values_keep_their_spread():
    truth = 1e9 + np.array([0.0, 1.0, 2.0, 3.0])
    cells = Replicates.of(np.ones(4))
    found = alone(moment_measures(truth, truth[::-1].copy(), cells))
    assert found["nrmse"] == pytest.approx(2.0)
    assert found["spread_ratio"] == pytest.approx(1.0)


def test_what_is_not_defined_is_missing():
    cells = Replicates.of(np.ones(3))
    constant = alone(numeric_measures(np.ones(3), np.arange(3.0), cells))
    assert np.isnan([constant["nrmse"], constant["rank_correlation"]]).all()
    assert constant["mean_bias"] == 0.0


# -- what a perfect draw would show ----------------------------------------------


def test_null_of_the_distance_as_kolmogorov_has_it():
    truth = np.random.default_rng(1).normal(size=2000)
    limit = np.sqrt(np.pi / 2) * np.log(2) * np.sqrt(2 / 2000)
    assert ks_null(truth, np.ones(2000)) == pytest.approx(limit, rel=0.08)
    # Weights that differ leave fewer effective cells; ties bring the steps closer.
    weight = np.random.default_rng(2).gamma(1, 1, 2000)
    kish = weight.sum() ** 2 / (weight @ weight)
    wider = limit * np.sqrt(2000 / kish)
    assert ks_null(truth, weight) == pytest.approx(wider, rel=0.1)
    assert ks_null(np.sign(truth), np.ones(2000)) < 0.8 * limit


def test_null_of_the_shares_as_simulated():
    rng, p, n = np.random.default_rng(4), np.array([0.5, 0.3, 0.15, 0.05]), 400
    weight = rng.gamma(2, 0.5, n)
    truth = rng.choice(4, n, p=p)
    shares = np.bincount(truth, weight, 4) / weight.sum()
    found = []
    for _ in range(2000):
        one, other = (rng.choice(4, n, p=shares) for _ in range(2))
        gap = np.bincount(one, weight, 4) - np.bincount(other, weight, 4)
        found.append(np.abs(gap).sum() / 2 / weight.sum())
    null = total_variation_null(truth, weight, 4)
    assert null == pytest.approx(np.mean(found), rel=0.03)
