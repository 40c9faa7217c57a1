"""What holds of the quality statistics whatever the numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from mlstats.quality.design import Design
from mlstats.quality.misclassification import Audit, corrected_shares
from mlstats.quality.multiple import benjamini_hochberg, holm
from mlstats.quality.numeric import distribution_distance
from mlstats.quality.paired import Pairs, mcnemar, score_interval, score_statistic

COMMON = settings(max_examples=60, deadline=None)


def design_of(rng: np.random.Generator, n: int) -> Design:
    return Design.of(
        rng.gamma(2, 1, n),
        stratum=rng.choice(list("abc"), n),
        cluster=rng.integers(0, max(n // 3, 1), n),
        fraction={"a": 0.3},
    )


@COMMON
@given(n=st.integers(2, 60), seed=st.integers(0, 9999))
def test_sparse_variances_are_the_diagonal_of_the_covariance(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    design = design_of(rng, n)
    scores = rng.normal(size=(n, 4)) * (rng.random((n, 4)) < 0.3)
    dense = np.diag(design.covariance(scores))
    found = design.variances(sparse.csr_array(scores))
    assert found == pytest.approx(dense, rel=1e-9, abs=1e-12)


@COMMON
@given(n=st.integers(4, 60), seed=st.integers(0, 9999), scale=st.floats(0.01, 100))
def test_ratios_do_not_know_the_scale_of_the_weights(
    n: int, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    design = design_of(rng, n)
    y, x = rng.normal(size=n), rng.uniform(1, 2, n)
    other = Design(
        design.weight * scale, design.cluster, design.stratum, design.fraction
    )
    one, two = design.ratio(y, x), other.ratio(y, x)
    assert two.value == pytest.approx(one.value)
    assert two.se == pytest.approx(one.se, nan_ok=True)


@COMMON
@given(n=st.integers(4, 60), seed=st.integers(0, 9999))
def test_the_order_of_units_does_not_count(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, y = rng.gamma(2, 1, n), rng.normal(size=n)
    stratum, cluster = rng.choice(list("ab"), n), rng.integers(0, n, n)
    order = rng.permutation(n)
    one = Design.of(weight, stratum=stratum, cluster=cluster).mean(y)
    two = Design.of(weight[order], stratum=stratum[order], cluster=cluster[order]).mean(
        y[order]
    )
    assert two.value == pytest.approx(one.value)
    assert two.se == pytest.approx(one.se, nan_ok=True)


@COMMON
@given(b=st.integers(0, 40), c=st.integers(0, 40))
def test_mcnemar_is_symmetric_and_a_probability(b: int, c: int) -> None:
    found = mcnemar(b, c)
    assert found == mcnemar(c, b)
    assert 0 < found.mid_p <= found.exact <= 1


@COMMON
@given(b=st.integers(0, 30), c=st.integers(0, 30), rest=st.integers(1, 200))
def test_score_interval_holds_the_estimate_and_its_own_limits(
    b: int, c: int, rest: int
) -> None:
    pairs = Pairs(b, c, b + c + rest)
    lower, upper = score_interval(pairs)
    assert -1 <= lower <= (b - c) / pairs.n <= upper <= 1
    for limit in (lower, upper):
        z = abs(score_statistic(pairs, limit))
        assert z == pytest.approx(stats.norm.ppf(0.975), rel=1e-6)


@COMMON
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_ordered_and_no_smaller(p_values: list[float]) -> None:
    p = np.array(p_values)
    bh, family = benjamini_hochberg(p), holm(p)
    assert (bh >= p - 1e-15).all()
    assert (family >= bh - 1e-15).all()
    order = np.argsort(p, kind="stable")
    for adjusted in (bh, family):
        assert (np.diff(adjusted[order]) >= 0).all()
        assert (adjusted <= 1).all()
    assert bh == pytest.approx(stats.false_discovery_control(p))


@COMMON
@given(n=st.integers(1, 40), seed=st.integers(0, 9999), shift=st.floats(-5, 5))
def test_distances_of_a_shifted_distribution(n: int, seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    design = Design.of(rng.gamma(2, 1, n))
    x = rng.normal(size=n).round(1)
    found = distribution_distance(design, x, x + shift)
    assert found.wasserstein == pytest.approx(abs(shift), abs=1e-9)
    assert 0 <= found.kolmogorov_smirnov <= 1 + 1e-12
    same = distribution_distance(design, x, rng.permutation(x) * 0 + x)
    assert same.kolmogorov_smirnov == same.wasserstein == 0


@COMMON
@given(seed=st.integers(0, 9999), k=st.integers(2, 5))
def test_corrected_shares_add_up_to_one(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array([f"c{i}" for i in range(k)], dtype=object)
    # Every class is true and predicted at least once.
    true = np.r_[np.arange(k), rng.integers(0, k, 80)]
    predicted = np.where(rng.random(80 + k) < 0.8, true, rng.integers(0, k, 80 + k))
    predicted[:k] = np.arange(k)
    design = Design.of(rng.gamma(2, 1, 80 + k))
    audit = Audit.of(design, names[true], names[predicted], list(names))
    table = corrected_shares(audit, rng.dirichlet(np.ones(k)))
    for _, rows in table.groupby("estimator"):
        if (rows["status"] == "measured").all():
            assert rows["value"].sum() == pytest.approx(1)
            assert rows["bias"].sum() == pytest.approx(0, abs=1e-9)
