"""The design: variances by hand, its rules, and what it refuses."""

import numpy as np
import pytest
from scipy import sparse

from mlstats.quality.design import Design

WEIGHT = np.array([1.0, 2.0, 1.5, 1.0, 3.0, 2.0, 1.0, 1.0])
STRATUM = np.array(["a", "a", "a", "a", "a", "b", "b", "c"], dtype=object)
CLUSTER = np.array(["1", "1", "2", "2", "3", "1", "2", "9"], dtype=object)
Y = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0])


def test_total_by_hand() -> None:
    kept = STRATUM != "c"
    design = Design.of(WEIGHT[kept], stratum=STRATUM[kept], cluster=CLUSTER[kept])
    found = design.total(Y[kept])
    # Cluster totals 1, 2.5, 0 in a and 2, 0 in b.
    in_a = 3 / 2 * ((np.array([1, 2.5, 0]) - 3.5 / 3) ** 2).sum()
    in_b = 2 / 1 * ((np.array([2, 0]) - 1.0) ** 2).sum()
    assert found.value == 5.5
    assert found.se == pytest.approx(np.sqrt(in_a + in_b))
    assert (found.df, found.n) == (3, 7)


def test_equal_labels_of_clusters_in_two_strata_are_two_clusters() -> None:
    design = Design.of(WEIGHT, stratum=STRATUM, cluster=CLUSTER)
    assert design.n_clusters == 6
    assert design.degrees_of_freedom() == 3


def test_sampling_fractions_shrink_the_variance_of_their_stratum() -> None:
    kept = STRATUM == "a"
    plain = Design.of(WEIGHT[kept], cluster=CLUSTER[kept])
    half = Design.of(
        WEIGHT[kept], stratum=STRATUM[kept], cluster=CLUSTER[kept], fraction={"a": 0.75}
    )
    assert half.total(Y[kept]).se == pytest.approx(plain.total(Y[kept]).se / 2)


def test_a_single_cluster_is_centred_at_the_mean_of_all_and_said() -> None:
    design = Design.of(WEIGHT, stratum=STRATUM, cluster=CLUSTER)
    found = design.total(Y)
    without = STRATUM != "c"
    rest = Design.of(
        WEIGHT[without], stratum=STRATUM[without], cluster=CLUSTER[without]
    ).total(Y[without])
    totals = np.array([1, 2.5, 0, 2, 0, 1])
    apart = (totals[-1] - totals.mean()) ** 2
    assert found.se == pytest.approx(np.sqrt(rest.se**2 + apart))
    assert "1 stratum has a single cluster" in found.note
    assert "adjust" in found.note


def test_a_single_cluster_is_refused_where_the_rule_says_so() -> None:
    design = Design.of(WEIGHT, stratum=STRATUM, cluster=CLUSTER, single="refuse")
    found = design.total(Y)
    assert found.value == 6.5
    assert np.isnan(found.se)
    assert not found.has_error
    assert "refuse" in found.note
    scores = sparse.csr_array((WEIGHT * Y)[:, None])
    assert np.isnan(design.variances(scores)).all()


def test_a_single_cluster_drawn_with_certainty_is_not_lonely() -> None:
    design = Design.of(
        WEIGHT, stratum=STRATUM, cluster=CLUSTER, fraction={"c": 1.0}, single="refuse"
    )
    assert design.lonely_strata() == 0
    assert design.total(Y).has_error


def test_a_census_has_no_sampling_error() -> None:
    design = Design.of(WEIGHT, stratum=STRATUM, fraction={"a": 1.0, "b": 1.0, "c": 1.0})
    found = design.mean(Y)
    assert (found.se, found.lower, found.upper) == (0.0, found.value, found.value)
    assert found.has_error
    assert found.one_sided() == (found.value, found.value)


def test_a_domain_keeps_the_clusters_without_its_units() -> None:
    rng = np.random.default_rng(1)
    cluster = np.arange(200) // 10
    inside = cluster % 2 == 0
    y = rng.normal(size=200)
    whole = Design.of(np.ones(200), cluster=cluster)
    part = Design.of(np.ones(100), cluster=cluster[inside])
    found = whole.mean(y, inside)
    assert found.value == pytest.approx(y[inside].mean())
    assert found.se != pytest.approx(part.mean(y[inside]).se)
    assert found.df == 9  # clusters that hold units of the domain, less the stratum
    assert found.n == 100


def test_effective_size_of_a_simple_random_sample_is_its_size() -> None:
    y = (np.arange(400) % 4 == 0).astype(float)
    found = Design.of(np.full(400, 25.0)).mean(y)
    assert found.n_effective == pytest.approx(399)


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (np.array([1.0, -1.0]), "1 weights are negative"),
        (np.array([np.nan, 1.0]), "1 weights are negative or not finite"),
        (np.array([0.0, 0.0]), "no unit has weight"),
        (np.array([]), "no unit has weight"),
    ],
)
def test_weights_that_cannot_be_used(weight: np.ndarray, said: str) -> None:
    found = Design.of(weight).mean(np.ones(len(weight)))
    assert found.status == "not_measured"
    assert said in found.note


def test_a_sampling_fraction_outside_0_to_1() -> None:
    design = Design.of(WEIGHT, stratum=STRATUM, fraction={"a": 1.2})
    assert "sampling fraction" in design.mean(Y).note


def test_values_that_are_not_finite_are_counted_and_never_dropped() -> None:
    bad = Y.copy()
    bad[2] = np.nan
    found = Design.of(WEIGHT).mean(bad)
    assert (found.status, found.note) == (
        "not_measured",
        "1 values are missing or not finite",
    )
    assert Design.of(WEIGHT).mean(bad, inside=np.arange(8) > 2).status == "measured"


def test_an_empty_domain_is_not_applicable() -> None:
    found = Design.of(WEIGHT).mean(Y, np.zeros(8, dtype=bool))
    assert (found.status, found.n) == ("not_applicable", 0)


def test_one_cluster_has_a_value_and_no_error() -> None:
    found = Design.of(WEIGHT, cluster=np.zeros(8)).mean(Y)
    assert found.value == pytest.approx(8 / 12.5 * 6.5 / 8)
    assert np.isnan(found.se)
    assert found.note == "too few clusters for a standard error"


@pytest.mark.parametrize("value", [1.0, 0.1, 1e9 / 7, -0.3])
def test_a_sample_without_variation_proves_nothing(value: float) -> None:
    found = Design.of(WEIGHT).mean(np.full(8, value))
    assert found.value == pytest.approx(value)
    assert np.isnan(found.lower)
    assert not found.has_error
    assert "nothing varies" in found.note
