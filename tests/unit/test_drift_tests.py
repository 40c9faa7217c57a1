"""The formulas of drift against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from mlstats.quality.drift_evidence import Floors, Sizes, fewest, refer_to_t
from mlstats.quality.drift_tests import (
    binomial_tails,
    change_of_shares,
    homogeneity,
    kolmogorov_smirnov,
    noncentrality,
    signed_binomial,
    sparse_groups,
)


def sizes(n: float, m: float) -> Sizes:
    return Sizes(int(n), int(m), n, m)


def shares_of(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum()


def test_smirnov_on_a_few_values_is_close_to_its_simulated_p() -> None:
    # Five values only: the limit of a continuous variable would say far too much.
    rng = np.random.default_rng(1)
    shares = np.array([0.6, 0.2, 0.1, 0.07, 0.03])
    n, m = 900, 600
    observed = (
        np.cumsum(rng.multinomial(n, shares) / n)[:-1],
        np.cumsum(rng.multinomial(m, shares + [0.05, 0, 0, -0.05, 0]) / m)[:-1],
    )
    found = kolmogorov_smirnov(*observed, sizes(n, m), np.inf, 0.02)
    pooled = (n * observed[0] + m * observed[1]) / (n + m)
    walk = np.diff(np.concatenate([[0], pooled, [1]]))
    steps = rng.normal(size=(400_000, len(walk))) * np.sqrt(walk)
    bridge = np.cumsum(steps, axis=1) - np.outer(steps.sum(axis=1), np.cumsum(walk))
    scaled = found.statistic / np.sqrt(1 / n + 1 / m)
    simulated = (np.abs(bridge[:, :-1]).max(axis=1) >= scaled).mean()
    assert simulated <= found.p <= 1.3 * simulated
    assert special.kolmogorov(scaled) > 2 * simulated


def test_smirnovs_interval_covers_the_distance() -> None:
    rng = np.random.default_rng(2)
    points = np.linspace(-2, 2, 200)
    true = float(np.abs(stats.norm.cdf(points) - stats.norm.cdf(points - 0.3)).max())
    covered = 0
    for _ in range(300):
        x, y = np.sort(rng.normal(size=400)), np.sort(rng.normal(0.3, size=500))
        curves = (np.searchsorted(v, points, "right") / len(v) for v in (x, y))
        found = kolmogorov_smirnov(*curves, sizes(400, 500), np.inf, 0.02)
        covered += int(found.lower[0] <= true <= found.upper[0])
    assert covered >= 285


@pytest.mark.parametrize("seed", range(5))
def test_homogeneity_is_pearsons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.multinomial(500, [0.4, 0.3, 0.2, 0.1], size=2)
    table[1] *= 3
    n, m = table.sum(axis=1)
    spread = 1 / n + 1 / m
    pooled = shares_of(table.sum(axis=0))
    found = homogeneity(
        (shares_of(table[0]), shares_of(table[1]), pooled),
        (3 * spread, 3 * spread**2),
        sizes(n, m),
        np.inf,
        0.05,
    )
    wanted = stats.chi2_contingency(table, correction=False)
    assert found.statistic == pytest.approx(wanted.statistic, rel=1e-12)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)


def test_effect_of_a_composition_is_free_of_chance_and_covered() -> None:
    rng = np.random.default_rng(3)
    old = shares_of(1 / (np.arange(60) + 3.0))
    new = shares_of(old * np.exp(0.15 * rng.normal(size=60)))
    n = 20_000
    true = float(np.sqrt(((new - old) ** 2 / ((old + new) / 2)).sum()))
    effects, covered = [], 0
    for _ in range(300):
        one, two = rng.multinomial(n, old) / n, rng.multinomial(n, new) / n
        found = homogeneity(
            (one, two, (one + two) / 2),
            (59 * 2 / n, 59 * (2 / n) ** 2),
            sizes(n, n),
            np.inf,
            0.05,
        )
        effects.append(float(found.effect[0]))
        covered += int(found.lower[0] <= true <= found.upper[0])
    assert np.mean(effects) == pytest.approx(true, rel=0.02)
    assert 276 <= covered <= 297  # .95 of 300, less and more 3 standard errors


def test_satterthwaite_of_unequal_design_effects() -> None:
    # Each share has its own design effect: the sum of unequal chi-squares.
    rng = np.random.default_rng(4)
    share = np.array([0.4, 0.3, 0.2, 0.1])
    n, hits = 2_000, 0
    spread = np.array([1.0, 2.0, 4.0, 6.0])
    project = np.eye(4) - np.outer(share, np.ones(4))
    covariance = project @ np.diag(share * spread) @ project.T / n
    traces = (
        float((2 * covariance.diagonal() / share).sum()),
        float((4 * covariance**2 / np.outer(share, share)).sum()),
    )
    root = np.linalg.cholesky(covariance + 1e-15 * np.eye(4))
    for _ in range(2_000):
        one, two = share + (rng.normal(size=(2, 4)) @ root.T)
        found = homogeneity((one, two, share), traces, sizes(n, n), np.inf, 0.05)
        hits += int(found.p <= 0.05)
    assert hits / 2_000 == pytest.approx(0.05, abs=0.015)


def test_tails_of_rare_codes_are_fishers() -> None:
    n, m = 50_000, 80_000
    for a, b in [(1, 9), (0, 12), (30, 20), (200, 210)]:
        found = binomial_tails(
            np.array([b / m]), np.array([a / n]), np.array([m]), np.array([n])
        )[0]
        law = stats.hypergeom(n + m, a + b, n)
        wanted = min(1.0, 2 * min(law.cdf(a), law.sf(a - 1)))
        assert found == pytest.approx(wanted, rel=0.01)


def test_tails_of_common_codes_have_the_variance_of_two_samples() -> None:
    n, m = 3_000, 5_000
    for p, q in [(0.3, 0.32), (0.5, 0.54), (0.8, 0.78), (0.97, 0.955)]:
        found = binomial_tails(
            np.array([p]), np.array([q]), np.array([n]), np.array([m])
        )[0]
        pooled = (p * n + q * m) / (n + m)
        z = abs(p - q) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        assert found == pytest.approx(2 * stats.norm.sf(z), rel=0.15)


def test_tails_of_nothing() -> None:
    none = np.array([0.0, 1.0])
    found = binomial_tails(none, none, np.array([50.0, 50.0]), np.array([60.0, 60.0]))
    assert found.tolist() == [1.0, 1.0]


def test_tails_keep_their_size_and_the_promise_of_their_power() -> None:
    rng = np.random.default_rng(5)
    n, m = 4_000, 6_000
    share = np.array([0.3, 0.01])
    old = rng.binomial(n, share, size=(4_000, 2)) / n
    new = rng.binomial(m, share, size=(4_000, 2)) / m
    counts = (np.full((4_000, 2), n), np.full((4_000, 2), m))
    size = (binomial_tails(old, new, *counts) <= 0.05).mean(axis=0)
    assert (size <= 0.06).all()
    assert size[0] >= 0.04
    quiet = change_of_shares(
        "code",
        ("a", "b"),
        (share, share),
        (np.full(2, n), np.full(2, m)),
        sizes(n, m),
        np.inf,
        Floors(),
    )
    assert quiet.detectable is not None
    # The level of the test of both codes, so .005 for each.
    gain = np.array([quiet.detectable(0.01, part) for part in range(2)])
    new = rng.binomial(m, share + gain, size=(4_000, 2)) / m
    power = (binomial_tails(old, new, *counts) <= 0.005).mean(axis=0)
    assert power == pytest.approx([0.9, 0.9], abs=0.05)


def test_signed_binomial_is_the_exact_test() -> None:
    for a, n in [(0, 7), (3, 10), (40, 60), (5, 10)]:
        wanted = stats.binomtest(a, n, 0.5).pvalue
        found = signed_binomial(np.array([a / n]), np.array([float(n)]))[0]
        assert found == pytest.approx(wanted, rel=1e-9)


def test_noncentrality_solves_its_equation() -> None:
    for x, df, z in [(30.0, 10.0, 1.28), (200.0, 199.0, 1.96), (200.0, 199.0, -1.96)]:
        k = noncentrality(x, df, z)
        if k > 0:
            assert df + k - z * np.sqrt(2 * df + 4 * k) == pytest.approx(x)
    assert noncentrality(1.0, 10.0, -1.96) == 0.0


def test_groups_hold_enough_and_do_not_tell_the_split() -> None:
    rng = np.random.default_rng(6)
    units = rng.poisson(3, 500)
    groups = sparse_groups(units, units / 3)
    assert np.bincount(groups, units / 3).min() >= 5 - 1e-9
    # Codes that tie in their units keep their place, whatever the last digits of a
    # share computed from the split say.
    blurred = units / 3 + 1e-16 * rng.normal(size=500)
    assert np.array_equal(groups, sparse_groups(units, blurred))


def test_few_clusters_make_a_p_larger() -> None:
    p = refer_to_t(np.array([0.05, 1e-6, 1.0]), 10.0)
    assert p[0] == pytest.approx(2 * stats.t.sf(stats.norm.isf(0.025), 10))
    assert p[1] > 1e-4
    assert p[2] == 1.0
    assert refer_to_t(0.05, np.inf) == 0.05


def test_fewest_is_what_a_name_would_disclose() -> None:
    units = np.array([[0, 3, 40, 0], [25, 30, 4, 0]])
    assert fewest(units).tolist() == [25, 3, 4, 0]
