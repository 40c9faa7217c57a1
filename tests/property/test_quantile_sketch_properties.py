"""The rank error of quantiles is within its bound, in any order and merged anyhow."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.quality.quantile_sketch import QuantileSketch

SHARES = np.linspace(0, 1, 401)


def numbers_of(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    drawn = {
        "normal": lambda: rng.normal(size=n),
        "heavy": lambda: rng.standard_cauchy(n),
        "ties": lambda: rng.poisson(2.0, n).astype(float),
        "atom": lambda: np.where(rng.uniform(size=n) < 0.6, 0.0, rng.normal(size=n)),
        "constant": lambda: np.full(n, 7.0),
        "rising": lambda: np.arange(n, dtype=float),
        "falling": lambda: -np.arange(n, dtype=float),
        "zigzag": lambda: np.arange(n) * np.where(np.arange(n) % 2, 1.0, -1.0),
        # The extremes first, the middle last.
        "inward": lambda: np.arange(n, 0, -1) * np.where(np.arange(n) % 2, 1.0, -1.0),
    }
    return drawn[kind]()


def merged(parts: list[QuantileSketch], rng: np.random.Generator) -> QuantileSketch:
    """Merge any two that are left until one is."""
    while len(parts) > 1:
        one, two = (parts.pop(rng.integers(len(parts))) for _ in range(2))
        parts.append(one.merge(two))
    return parts[0]


def wrong_ranks(sketch: QuantileSketch, numbers: np.ndarray) -> float:
    """Return by how much the rank of a quantile is wrong at worst, as a share."""
    n = len(numbers)
    ordered = np.sort(numbers)
    told = sketch.quantile(SHARES)
    # In whole numbers: the product of a share in binary may be a little too large.
    wanted = np.clip(-(-np.arange(len(SHARES)) * n // (len(SHARES) - 1)), 1, n)
    first = np.searchsorted(ordered, told, side="left") + 1
    last = np.searchsorted(ordered, told, side="right")
    return float(np.maximum(np.maximum(first - wanted, wanted - last), 0).max()) / n


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(
        ["normal", "heavy", "ties", "atom", "constant", "rising", "falling", "zigzag",
         "inward"]
    ),
    n=st.integers(1, 30_000),
    parts=st.integers(1, 40),
    size=st.integers(2, 300),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_ranks_are_within_the_bound(
    kind: str, n: int, parts: int, size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    numbers = numbers_of(kind, n, rng)
    cuts = np.sort(rng.integers(0, n + 1, parts - 1))
    sketches = [QuantileSketch.of(p, size=size) for p in np.split(numbers, cuts)]
    found = merged(sketches, rng)
    assert found.n == n
    held = sum(len(buffer) * 2**h for h, buffer in enumerate(found.levels))
    assert held == n
    assert max(map(len, found.levels)) <= size
    assert wrong_ranks(found, numbers) <= found.rank_error
    worst = (1 + max(np.log2(n / size), 0)) / (2 * size) + 1 / size
    assert found.rank_error <= worst
    assert found.quantile(np.array([0.0, 1.0])).tolist() == [
        numbers.min(),
        numbers.max(),
    ]
    if n <= size:
        assert found.rank_error == 0


def test_the_bound_is_not_empty_words() -> None:
    """A sketch that lost a number of each pair on one side only would pass no bound."""
    numbers = np.random.default_rng(1).permutation(1_000_000).astype(float)
    parts = [QuantileSketch.of(part, size=1024) for part in np.split(numbers, 100)]
    found = QuantileSketch.of_parts(parts)
    assert 0 < wrong_ranks(found, numbers) <= found.rank_error <= 0.006
    again = QuantileSketch.of_parts(parts)
    assert np.array_equal(again.quantile(SHARES), found.quantile(SHARES))


def test_what_is_no_number_is_left_out() -> None:
    found = QuantileSketch.of(np.array([np.nan, np.inf, -np.inf, 2.0, 1.0]))
    assert found.n == 2
    assert found.quantile(np.array([0.5, 1.0])).tolist() == [1.0, 2.0]
    none = QuantileSketch.of(np.array([np.nan]))
    assert none.rank_error == 0
    assert np.isnan(none.quantile(SHARES)).all()
    assert none.merge(found).quantile(np.array([0.0])).tolist() == [1.0]


def test_a_share_that_is_a_rank_gives_that_rank() -> None:
    """0.55 of a hundred is 55, though the product in binary is a little more."""
    for n in (3, 10, 100, 1_000, 1_234):
        wanted = np.arange(1, n + 1)
        found = QuantileSketch.of(wanted.astype(float)).quantile(wanted / n)
        assert found.tolist() == wanted.tolist()
    hundred = QuantileSketch.of(np.arange(1.0, 101.0))
    assert hundred.quantile(np.array([0.07, 0.14, 0.55])).tolist() == [7, 14, 55]
