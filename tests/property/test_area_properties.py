"""What holds for every sample of segments and every error matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstats.imagery import (
    AreaSample,
    accuracy_of_counts,
    allocate,
    greg,
    segment_estimate,
)

METHODS = (
    "direct", "ratio", "combined_regression", "separate_regression", "difference",
)  # fmt: skip


@st.composite
def samples(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    strata = draw(st.integers(1, 3))
    drawn = [draw(st.integers(4, 12)) for _ in range(strata)]
    stratum = np.repeat([f"s{h}" for h in range(strata)], drawn)
    x = rng.gamma(2, 10, len(stratum)) + 1
    y = 0.7 * x + rng.gamma(2, 2, len(stratum))
    segments = {
        f"s{h}": float(n * draw(st.integers(2, 30))) for h, n in enumerate(drawn)
    }
    x_mean = {f"s{h}": float(rng.uniform(15, 30)) for h in range(strata)}
    return y, x, stratum, segments, x_mean


def _estimate(parts, method, y_scale=1.0, x_scale=1.0, order=None):
    y, x, stratum, segments, x_mean = parts
    order = np.arange(len(y)) if order is None else order
    sample = AreaSample.of(
        y_scale * y[order], x_scale * x[order], stratum=stratum[order],
        segments=segments, x_mean={k: x_scale * v for k, v in x_mean.items()},
    )  # fmt: skip
    return segment_estimate(sample, method, interval="leverage")


def _same(one, other, scale=1.0):
    for end in ("value", "se", "lower", "upper"):
        expected = scale * getattr(other, end)
        assert getattr(one, end) == pytest.approx(expected, rel=1e-7, nan_ok=True)


@given(samples(), st.sampled_from(METHODS), st.floats(0.01, 100))
def test_the_unit_of_measure_changes_nothing_but_the_unit(parts, method, scale):
    x_scale = scale if method == "difference" else 1.0
    plain = _estimate(parts, method)
    _same(_estimate(parts, method, y_scale=scale, x_scale=x_scale), plain, scale)


@given(samples(), st.sampled_from(METHODS[:4]), st.floats(0.01, 100))
def test_the_unit_of_the_map_does_not_matter(parts, method, scale):
    _same(_estimate(parts, method, x_scale=scale), _estimate(parts, method))


@given(samples(), st.sampled_from(METHODS), st.randoms(use_true_random=False))
def test_the_order_of_the_segments_does_not_matter(parts, method, random):
    order = np.arange(len(parts[0]))
    random.shuffle(order)
    _same(_estimate(parts, method, order=order), _estimate(parts, method))


@given(samples(), st.sampled_from(METHODS[1:]))
def test_a_map_that_is_the_truth_gives_the_truth(parts, method):
    _, x, stratum, segments, x_mean = parts
    exact = _estimate((x, x, stratum, segments, x_mean), method)
    total = sum(segments[name] * x_mean[name] for name in segments)
    assert exact.value == pytest.approx(total)
    assert exact.se == pytest.approx(0, abs=1e-6 * total)


@given(samples())
def test_strata_add_up_to_the_whole(parts):
    y, x, stratum, segments, x_mean = parts
    for method in ("direct", "separate_regression"):
        whole = _estimate(parts, method)
        total, variance = 0.0, 0.0
        for name in segments:
            inside = stratum == name
            part = (y[inside], x[inside], stratum[inside],
                    {name: segments[name]}, {name: x_mean[name]})  # fmt: skip
            found = _estimate(part, method)
            total, variance = total + found.value, variance + found.se**2
        assert whole.value == pytest.approx(total)
        assert whole.se == pytest.approx(np.sqrt(variance))


@given(samples())
def test_g_weights_add_up_to_the_frame(parts):
    y, x, stratum, segments, x_mean = parts
    sample = AreaSample.of(y, x, stratum=stratum, segments=segments, x_mean=x_mean)
    total = sum(segments[name] * x_mean[name] for name in segments)
    found = greg(
        y, x, weight=sample.weight, size=sample.total_segments, totals=[total],
        stratum=stratum,
    )  # fmt: skip
    weight = sample.weight * found.g
    assert weight.sum() == pytest.approx(sample.total_segments)
    assert weight @ x == pytest.approx(total)
    assert weight @ y == pytest.approx(found.estimate.value)


matrices = st.integers(2, 4).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(0, 30), min_size=k * k, max_size=k * k),
        st.lists(st.floats(1, 1e6), min_size=k, max_size=k),
    )
)


@given(matrices)
def test_areas_of_the_reference_classes_partition_the_territory(drawn):
    cells, areas = drawn
    k = len(areas)
    counts = np.array(cells).reshape(k, k) + np.eye(k, dtype=int) * 2
    found = accuracy_of_counts(counts, areas)
    rows = found.table.query("measure == 'area'")
    assert rows["value"].sum() == pytest.approx(sum(areas))
    assert found.matrix.to_numpy().sum() == pytest.approx(1)
    assert np.trace(found.matrix) == pytest.approx(found.of("overall")["value"])
    shares = found.table.query("measure in ('users', 'producers', 'overall')")
    assert shares["value"].between(0, 1 + 1e-12).all()
    ends = shares.loc[shares["interval"] != "", ["lower", "upper"]]
    assert ((ends >= 0) & (ends <= 1)).all(axis=None)


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=6),
    st.integers(60, 5000),
    st.sampled_from(["proportional", "equal", "neyman"]),
    st.integers(0, 10),
)
def test_allocations_add_up_and_keep_the_least(sizes, n, allocation, least):
    share = np.array(sizes) / sum(sizes)
    drawn = allocate(
        share, n, spread=np.linspace(1, 3, len(share)), allocation=allocation,
        least=least,
    )  # fmt: skip
    assert drawn.sum() == n
    assert drawn.min() >= least
