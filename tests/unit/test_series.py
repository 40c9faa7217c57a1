"""Series: the Diebold-Mariano test, long-run variances, means over time."""

import numpy as np
import pytest
from scipy import fft, stats

from mlstats.quality.series import diebold_mariano, long_run_variance, mean_over_time


def test_undefined_is_said_and_never_nan() -> None:
    """Alternating differences: the sum of two autocovariances is below zero."""
    d = np.array([1.0, -1.0] * 6) + 0.1
    found = diebold_mariano(d, np.zeros(12), horizon=2)
    assert found.statistic is None
    assert found.p_value is None
    assert found.mean.value == pytest.approx(0.1)
    assert "Bartlett" in found.mean.note
    other = diebold_mariano(d, np.zeros(12), horizon=2, kernel="bartlett")
    assert other.p_value is not None
    assert 0 < other.p_value < 1


def test_one_step_ahead_is_nearly_the_paired_t_test() -> None:
    """The factor turns the divisor T into T - 1: it is the t test exactly."""
    rng = np.random.default_rng(1)
    first, second = rng.gamma(2, 1, 15), rng.gamma(2, 1, 15)
    wanted = stats.ttest_rel(first, second)
    found = diebold_mariano(first, second)
    assert found.statistic == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert found.mean.lower == pytest.approx(wanted.confidence_interval().low)


@pytest.mark.parametrize(
    ("first", "horizon", "said"),
    [
        (np.array([1.0]), 1, "fewer than two periods"),
        (np.array([1.0, 2.0, 3.0]), 3, "too few for a horizon of 3"),
        (np.array([1.0, np.nan, 3.0]), 1, "1 periods have no finite value"),
        (np.array([2.0, 2.0, 2.0]), 1, "the same in every period"),
    ],
)
def test_series_that_cannot_be_tested(
    first: np.ndarray, horizon: int, said: str
) -> None:
    found = diebold_mariano(first, np.zeros(len(first)), horizon=horizon)
    assert (found.statistic, found.p_value) == (None, None)
    assert said in found.mean.note


def test_long_run_variance_by_hand() -> None:
    x = np.array([1.0, 3.0, 2.0, 6.0])
    apart = x - 3
    g = [(apart[k:] * apart[: 4 - k]).sum() / 4 for k in range(3)]
    assert long_run_variance(x, 2, "rectangular") == pytest.approx(
        g[0] + 2 * g[1] + 2 * g[2]
    )
    assert long_run_variance(x, 2, "bartlett") == pytest.approx(
        g[0] + 2 * (2 / 3 * g[1] + 1 / 3 * g[2])
    )


def test_mean_over_time_from_a_cosine_transform() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=60).cumsum() * 0.1 + rng.normal(size=60)
    terms = int(0.4 * 60 ** (2 / 3))
    coefficients = fft.dct(x, type=2, norm="ortho")[1 : terms + 1]
    se = np.sqrt((coefficients**2).mean() / 60)
    found = mean_over_time(x)
    assert found.mean.df == terms == 6
    assert found.mean.se == pytest.approx(se)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(x.mean() / se), terms))


def test_too_short_or_constant_series_have_no_test() -> None:
    assert mean_over_time(np.array([1.0])).p_value is None
    assert mean_over_time(np.full(9, 2.0)).mean.note == (
        "the value is the same in every period"
    )
    symmetric = mean_over_time(np.array([1.0, -1.0, 1.0]))
    assert symmetric.p_value is None
    assert "too few periods" in symmetric.mean.note


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("periods", [8, 20, 40, 80])
def test_size_of_the_test_of_a_mean_over_time(periods: int, correlation: float) -> None:
    """At 5 % it rejects in at most 8 % of 4,000 seeded series, as its text says."""
    rng = np.random.default_rng(periods)
    noise = rng.normal(size=(4000, periods + 50))
    x = np.zeros_like(noise)
    for t in range(1, periods + 50):
        x[:, t] = correlation * x[:, t - 1] + noise[:, t]
    rejected = np.mean([(mean_over_time(row).p_value or 1) < 0.05 for row in x[:, 50:]])
    assert 0.03 <= rejected <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize(
    ("horizon", "periods", "most"), [(1, 12, 0.06), (2, 12, 0.095), (2, 40, 0.075)]
)
def test_size_of_diebold_mariano(horizon: int, periods: int, most: float) -> None:
    """4,000 seeded series of moving-average differences, as at that horizon."""
    rng = np.random.default_rng(8)
    noise = rng.normal(size=(4000, periods + horizon))
    d = sum(noise[:, k : periods + k] for k in range(horizon))
    p_values = [
        diebold_mariano(row, np.zeros(periods), horizon=horizon).p_value for row in d
    ]
    tested = [p for p in p_values if p is not None]
    assert len(tested) > 3900
    assert 0.035 <= np.mean(np.array(tested) < 0.05) <= most
