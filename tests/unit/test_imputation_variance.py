"""Rubin's rules at their borders, and the bootstrap with and without the fit inside."""

import numpy as np
import pytest

from mlstats.quality.design import Design
from mlstats.quality.imputation_variance import bootstrap, combine_imputations


def test_one_imputation_has_no_variance_between() -> None:
    found = combine_imputations(np.array([3.0]), np.array([0.2]))
    assert found.estimate.value == 3
    assert not found.estimate.has_error
    assert "no variance between" in found.estimate.note
    assert np.isnan(found.between)


def test_equal_imputations_leave_the_sampling_variance() -> None:
    found = combine_imputations(np.full(5, 3.0), np.full(5, 0.25), complete_df=40)
    assert found.estimate.se == pytest.approx(0.5)
    assert found.missing_information == 0
    assert found.estimate.df == pytest.approx(41 / 43 * 40)
    endless = combine_imputations(np.full(5, 3.0), np.full(5, 0.25))
    assert endless.estimate.df == np.inf


@pytest.mark.parametrize(
    ("values", "variances", "said"),
    [
        ([], [], "no imputation"),
        ([1.0, np.nan], [0.1, 0.1], "1 figures or variances"),
        ([1.0, 2.0], [0.1, -0.1], "1 figures or variances"),
    ],
)
def test_figures_that_cannot_be_combined(
    values: list[float], variances: list[float], said: str
) -> None:
    found = combine_imputations(np.array(values), np.array(variances))
    assert found.estimate.status == "not_measured"
    assert said in found.estimate.note


def test_figures_without_any_variance_are_no_certainty() -> None:
    found = combine_imputations(np.full(3, 2.0), np.zeros(3))
    assert not found.estimate.has_error


@pytest.mark.slow
def test_coverage_of_combined_figures() -> None:
    """2,000 seeded samples of 60 with half missing, proper normal imputation."""
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(2000):
        y = rng.normal(size=60)
        seen = y[:30]
        values, variances = [], []
        for _ in range(10):
            spread = seen.var(ddof=1) * 29 / rng.chisquare(29)
            centre = rng.normal(seen.mean(), np.sqrt(spread / 30))
            full = np.r_[seen, rng.normal(centre, np.sqrt(spread), 30)]
            values.append(full.mean())
            variances.append(full.var(ddof=1) / 60)
        found = combine_imputations(
            np.array(values), np.array(variances), complete_df=59
        ).estimate
        held += found.lower <= 0 <= found.upper
    assert 0.935 <= held / 2000 <= 0.98


def ratio_design() -> tuple[Design, np.ndarray]:
    rng = np.random.default_rng(9)
    y = rng.gamma(2, 1, 120)
    design = Design.of(
        rng.gamma(4, 1, 120),
        stratum=np.where(np.arange(120) < 60, "a", "b"),
        cluster=np.arange(120) // 2,
    )
    return design, y


def test_bootstrap_agrees_with_linearisation() -> None:
    design, y = ratio_design()
    found = bootstrap(lambda w: float(w @ y / w.sum()), design, replicates=2000, seed=1)
    wanted = design.mean(y)
    assert found.value == pytest.approx(wanted.value)
    assert found.se == pytest.approx(wanted.se, rel=0.06)
    assert found.df == wanted.df


def test_bootstrap_that_imputes_anew_is_larger_than_the_naive_one() -> None:
    design, y = ratio_design()
    missing = np.arange(120) % 3 == 0

    def again(w: np.ndarray) -> float:
        donor = float(w[~missing] @ y[~missing] / w[~missing].sum())
        return float(w @ np.where(missing, donor, y) / w.sum())

    fixed = np.where(missing, design.mean(y, ~missing).value, y)
    naive = bootstrap(lambda w: float(w @ fixed / w.sum()), design, seed=2)
    whole = bootstrap(again, design, seed=2)
    assert whole.value == pytest.approx(naive.value)
    assert whole.se > 1.2 * naive.se


def test_replicates_without_a_value_are_counted() -> None:
    design, y = ratio_design()
    rare = np.zeros(120)
    rare[[0, 5]] = 1.0

    def mean_of_rare(w: np.ndarray) -> float:
        weight = float(w @ rare)
        return float(w @ (rare * y)) / weight if weight > 0 else float("nan")

    found = bootstrap(mean_of_rare, design, replicates=200, seed=3)
    assert not found.has_error
    assert "of 200 replicates have no value" in found.note


def test_bootstrap_of_unusable_designs() -> None:
    assert bootstrap(np.sum, Design.of(np.zeros(3)), seed=1).status == "not_measured"
    alone = bootstrap(np.sum, Design.of(np.ones(3), cluster=np.zeros(3)), seed=1)
    assert alone.value == 3
    assert not alone.has_error
