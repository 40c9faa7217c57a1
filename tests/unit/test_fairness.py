from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.quality.design import Design
from mlstats.quality.fairness import (
    POOLED,
    domain_gaps,
    fairness_indicators,
    pooled,
    worst_to_best,
)


def sample(
    n: int = 900, *, seed: int = 0, low: float = 0.6
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    domain = rng.choice(np.array(["north", "south", "west"], dtype=object), n)
    right = rng.uniform(size=n) < np.where(domain == "west", low, 0.9)
    return right, domain


def names(counts: dict[str, int]) -> np.ndarray:
    return np.repeat(np.array(list(counts), dtype=object), list(counts.values()))


@pytest.mark.parametrize(
    ("counts", "pool"),
    [
        ({"a": 50, "b": 40}, set()),
        ({"a": 50, "b": 6, "c": 5}, {"b", "c"}),
        ({"a": 50, "b": 12, "c": 5}, {"b", "c"}),  # five alone could be worked out
        ({"a": 50, "b": 12, "c": 6, "d": 5}, {"c", "d"}),
        ({"a": 4, "b": 3}, {"a", "b"}),
    ],
)
def test_small_domains_are_pooled_until_the_pool_is_not_small(
    counts: dict[str, int], pool: set[str]
) -> None:
    domain = names(counts)
    found = pooled(domain, min_cell=10)
    assert set(domain[found == POOLED]) == pool
    assert (found[found != POOLED] == domain[found != POOLED]).all()


def test_gap_is_that_of_a_domain_against_the_rest() -> None:
    right, domain = sample()
    table = domain_gaps(right, domain, Design.of(np.ones(900))).set_index("domain")
    west = domain == "west"
    row = table.loc["west"]
    assert row["n"] == west.sum()
    assert row["error"] == pytest.approx(1 - right[west].mean())
    assert row["gap"] == pytest.approx(right[~west].mean() - right[west].mean())
    parts = [right[mask].var() / mask.sum() for mask in (west, ~west)]
    se = np.sqrt(sum(parts))
    assert row["gap_se"] == pytest.approx(se, rel=0.005)
    assert row["p"] == pytest.approx(2 * stats.t.sf(row["gap"] / se, 899), rel=0.1)
    adjusted = stats.false_discovery_control(table["p"].to_numpy(), method="bh")
    assert table["p_adjusted"].to_numpy() == pytest.approx(adjusted)
    assert row["p_adjusted"] < 0.001
    assert (table.loc[["north", "south"], "gap"] < 0).all()


def test_domain_in_a_single_cluster_is_not_tested() -> None:
    right, domain = sample()
    cluster = np.where(domain == "west", -1, np.arange(900) // 9)
    table = domain_gaps(right, domain, Design.of(np.ones(900), cluster=cluster))
    row = table.set_index("domain").loc["west"]
    # One cluster, whatever its size, shows no variation between clusters.
    assert row["gap"] > 0.2
    assert np.isnan(row[["gap_se", "gap_lower", "p", "p_adjusted"]].astype(float)).all()
    assert row["note"]


def test_missing_domain_is_a_group_of_its_own() -> None:
    right, domain = sample()
    domain[:300] = None
    table = domain_gaps(right, domain, Design.of(np.ones(900)))
    assert set(table["domain"]) == {"", "north", "south", "west"}
    assert table["n"].sum() == 900


def test_nothing_is_told_of_a_group_that_is_too_small() -> None:
    right, domain = sample(8)
    found = domain_gaps(right, domain, Design.of(np.ones(8)), min_cell=10)
    assert found["domain"].tolist() == [POOLED]
    assert found["n"].tolist() == [0]
    assert found["status"].tolist() == ["not_measured"]
    numbers = found.drop(columns=["domain", "n", "status", "note"])
    assert numbers.isna().all(axis=None)


def test_single_domain_has_no_rest() -> None:
    right = np.array([True, False] * 10)
    domain = np.array(["a"] * 20, dtype=object)
    table = domain_gaps(right, domain, Design.of(np.ones(20)))
    assert table["status"].tolist() == ["not_applicable"]
    found = worst_to_best(right, domain, Design.of(np.ones(20)))
    assert found.status == "not_applicable"


def test_ratio_of_the_worst_domain_to_the_best() -> None:
    right, domain = sample(6000)
    found = worst_to_best(right, domain, Design.of(np.ones(6000)))
    shares = pd.Series(right).groupby(domain).mean()
    assert found.value == pytest.approx(shares.min() / shares.max())
    assert found.lower < 0.6 / 0.9 < found.upper < 1
    assert found.note.startswith("worst west")


def test_ratio_of_equal_domains_reaches_one() -> None:
    right, domain = sample(600, low=0.9, seed=2)
    found = worst_to_best(right, domain, Design.of(np.ones(600)))
    assert found.value < 1 == found.upper


def test_domains_without_a_right_code_have_no_ratio() -> None:
    domain = np.array(["a", "b"] * 20, dtype=object)
    found = worst_to_best(np.zeros(40, dtype=bool), domain, Design.of(np.ones(40)))
    assert found.status == "not_applicable"


def test_rows_of_the_scorecard() -> None:
    right, domain = sample()
    route = np.where(np.arange(900) % 3 == 0, "queue", "automatic")
    design = Design.of(np.ones(900))
    found = fairness_indicators(right, route, domain, design, name="region")
    told = {(i.indicator, i.domain): i.estimate for i in found}
    assert set(told) == {
        *((kind, f"region: {d}") for kind in ("error_gap", "not_referred")
          for d in ("north", "south", "west")),
        ("worst_to_best", ""),
    }  # fmt: skip
    assert told["error_gap", "region: west"].note.startswith("p < 0.0001 (adj")
    assert told["error_gap", "region: west"].lower > 0
    south = told["not_referred", "region: south"]
    assert south.value == pytest.approx(
        (route[domain == "south"] == "automatic").mean()
    )
    assert {i.dimension for i in found} == {"fairness"}


def test_zero_weights_and_a_single_cluster_are_said() -> None:
    right, domain = sample(60)
    nothing = domain_gaps(right, domain, Design.of(np.zeros(60)))
    assert (nothing["status"] == "not_measured").all()
    one = Design.of(np.ones(60), cluster=np.zeros(60, dtype=int))
    rows = fairness_indicators(right, np.full(60, "queue"), domain, one, name="d")
    for indicator in rows:
        assert not indicator.estimate.has_error
        assert indicator.estimate.note
