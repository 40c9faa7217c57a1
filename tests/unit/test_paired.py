"""Paired comparisons: tests, intervals, verdicts."""

import numpy as np
import pytest
from scipy import optimize, stats

from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.paired import (
    Pairs,
    effective_pairs,
    equivalence,
    mcnemar,
    non_inferiority,
    paired_difference,
    score_interval,
    score_statistic,
)


@pytest.mark.parametrize(("b", "c"), [(0, 5), (3, 9), (20, 14), (1, 1)])
def test_exact_mcnemar_is_the_binomial_test(b: int, c: int) -> None:
    wanted = stats.binomtest(b, b + c, 0.5).pvalue
    assert mcnemar(b, c).exact == pytest.approx(wanted)


def test_mid_p_is_capped_last() -> None:
    """With b = c = 2 the uncapped value is 11/8 - 3/8 = 1, not .625."""
    assert mcnemar(2, 2).mid_p == 1.0


def test_no_discordant_pair_is_no_evidence() -> None:
    found = mcnemar(0, 0)
    assert (found.exact, found.mid_p, found.chi_square_p) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("difference", [-0.3, -0.05, 0.0, 0.1, 0.4])
@pytest.mark.parametrize(("b", "c", "n"), [(12, 5, 80), (1, 7, 21), (0, 3, 40)])
def test_score_statistic_from_the_likelihood(
    b: int, c: int, n: int, difference: float
) -> None:
    """The share under the hypothesis found by a search over the likelihood."""

    def minus_log_likelihood(share: float) -> float:
        p12, p21 = share + difference, share
        rest = 1 - p12 - p21
        parts = [(b, p12), (c, p21), (n - b - c, rest)]
        return -sum(k * np.log(max(p, 1e-300)) for k, p in parts if k)

    low, high = max(0.0, -difference), (1 - difference) / 2
    best = optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded",
        options={"xatol": 1e-12},
    ).x  # fmt: skip
    variance = n * (2 * best + difference - difference**2)
    wanted = (b - c - n * difference) / np.sqrt(variance)
    assert score_statistic(Pairs(b, c, n), difference) == pytest.approx(
        wanted, rel=1e-4
    )


@pytest.mark.parametrize(("b", "c", "n"), [(0, 0, 50), (10, 0, 10), (0, 10, 10)])
def test_score_interval_at_the_borders(b: int, c: int, n: int) -> None:
    lower, upper = score_interval(Pairs(b, c, n))
    assert -1 <= lower <= (b - c) / n <= upper <= 1
    mirrored = score_interval(Pairs(c, b, n))
    assert mirrored == (pytest.approx(-upper), pytest.approx(-lower))
    if b == c == 0:
        z2 = stats.norm.ppf(0.975) ** 2
        assert upper == pytest.approx(z2 / (n + z2))


def test_limits_of_the_score_interval_are_just_not_refuted() -> None:
    pairs = Pairs(12, 5, 80)
    for limit in score_interval(pairs, 0.9):
        z = abs(score_statistic(pairs, limit))
        assert z == pytest.approx(stats.norm.ppf(0.95), rel=1e-9)


def rights(n: int, b: int, c: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    second[:b] = False
    first[b : b + c] = False
    return first, second


def test_effective_pairs_of_a_simple_random_sample_are_the_pairs() -> None:
    first, second = rights(200, 14, 6)
    found = effective_pairs(Design.of(np.full(200, 3.0)), first, second)
    assert found is not None
    assert found.n == pytest.approx(199, abs=1)
    assert found.first / found.n == pytest.approx(0.07)


def test_clusters_shrink_the_effective_pairs() -> None:
    first, second = rights(200, 14, 6)
    design = Design.of(np.ones(200), cluster=np.arange(200) // 7)
    found = effective_pairs(design, first, second)
    assert found is not None
    assert found.n < 60


def test_methods_that_are_never_right_apart_get_a_score_interval() -> None:
    first, second = rights(300, 0, 0)
    cluster = np.arange(300) // 10
    found = paired_difference(Design.of(np.ones(300), cluster=cluster), first, second)
    assert found.value == 0
    z2 = stats.norm.ppf(0.975) ** 2
    assert found.upper == pytest.approx(z2 / (30 + z2))  # 30 clusters count as units
    assert "never right apart on 300 units" in found.note
    assert not found.has_error
    assert non_inferiority(found, 0.1).result == "not_measured"
    pairs = effective_pairs(Design.of(np.ones(300), cluster=cluster), first, second)
    assert pairs is not None
    assert non_inferiority(pairs, 0.1).result == "pass"
    assert non_inferiority(pairs, 0.01).result == "inconclusive"


def test_equal_losses_have_no_interval() -> None:
    loss = np.linspace(0, 1, 20)
    found = paired_difference(Design.of(np.ones(20)), loss, loss)
    assert np.isnan(found.upper)
    assert non_inferiority(found, 0.1).result == "not_measured"


def estimate(value: float, se: float = 0.01) -> Estimate:
    return Estimate(value, se, 50.0, value - 0.02, value + 0.02, 500)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.0, "pass"), (-0.005, "inconclusive"), (-0.03, "inconclusive"), (-0.05, "fail")],
)
def test_non_inferiority(value: float, wanted: str) -> None:
    verdict = non_inferiority(estimate(value), 0.02)
    assert verdict.result == wanted
    t = (value + 0.02) / 0.01
    assert verdict.p_value == pytest.approx(stats.t.sf(t, 50))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.0, "pass"), (0.01, "inconclusive"), (0.06, "fail"), (-0.06, "fail")],
)
def test_equivalence(value: float, wanted: str) -> None:
    assert equivalence(estimate(value), 0.02).result == wanted


def test_verdicts_agree_with_the_bounds_of_the_estimate() -> None:
    for value in np.linspace(-0.06, 0.06, 25):
        found = estimate(float(value))
        lower, upper = found.one_sided(0.95)
        result = non_inferiority(found, 0.02).result
        assert (result == "pass") == (lower >= -0.02)
        assert (result == "fail") == (upper <= -0.02)
        both = equivalence(found, 0.02).result
        assert (both == "pass") == (lower >= -0.02 and upper <= 0.02)


def test_verdicts_of_pairs_use_the_score() -> None:
    pairs = Pairs(30, 31, 1000)
    verdict = non_inferiority(pairs, 0.02)
    z = score_statistic(pairs, -0.02)
    assert verdict.p_value == pytest.approx(stats.norm.sf(z))
    assert verdict.result == "pass"
    assert equivalence(Pairs(30, 31, 100), 0.02).result == "inconclusive"


def test_no_verdict_without_an_error() -> None:
    for verdict in (
        non_inferiority(absent("not_measured", "no"), 0.02),
        equivalence(Estimate(0.1), 0.02),
    ):
        assert (verdict.result, verdict.p_value) == ("not_measured", None)


@pytest.mark.slow
def test_a_method_worse_by_the_margin_rarely_passes() -> None:
    """4,000 seeded samples of 600 pairs with a true difference of minus the margin."""
    rng = np.random.default_rng(3)
    counts = rng.multinomial(600, [0.05, 0.08, 0.87], size=4000)
    passed = [
        non_inferiority(Pairs(int(b), int(c), 600), 0.03).result == "pass"
        for b, c, _ in counts
    ]
    assert np.mean(passed) <= 0.05 + 2 * np.sqrt(0.0475 / 4000)
    assert np.mean(passed) >= 0.03, "a rule that never passes breaks no promise"
