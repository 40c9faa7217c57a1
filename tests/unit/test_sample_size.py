"""Sizes of audits: by simulation of the very gate, and where no size would do."""

import numpy as np
import pytest
from scipy import stats

from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.paired import Pairs, non_inferiority
from mlstats.quality.sample_size import (
    detectable_drop,
    detection_power,
    labels_for_non_inferiority,
    labels_to_decide,
)


@pytest.mark.parametrize("difference", [0.0, 0.01, -0.01])
def test_the_labels_give_the_power(difference: float) -> None:
    """4,000 seeded audits of the size that is told, judged by the score test."""
    found = labels_for_non_inferiority(0.03, 0.10, difference=difference)
    assert found.n is not None
    b = 0.05 + difference / 2
    rng = np.random.default_rng(1)
    counts = rng.multinomial(found.n, [b, 0.10 - b, 0.90], size=4000)
    passed = [
        non_inferiority(Pairs(int(i), int(j), found.n), 0.03).result == "pass"
        for i, j, _ in counts
    ]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.025)


def test_a_design_effect_multiplies_the_labels() -> None:
    plain = labels_for_non_inferiority(0.01, 0.1).n
    double = labels_for_non_inferiority(0.01, 0.1, design_effect=2).n
    assert plain is not None
    assert double == 2 * plain


@pytest.mark.parametrize(
    ("difference", "said"), [(-0.01, "no audit shows less"), (0.5, "cannot exceed")]
)
def test_no_size_would_do(difference: float, said: str) -> None:
    found = labels_for_non_inferiority(0.01, 0.1, difference=difference)
    assert (found.n, found.status) == (None, "not_applicable")
    assert said in found.note


def test_labels_that_decide_an_inconclusive_gate() -> None:
    estimate = Estimate(0.004, 0.01, 300, -0.0156, 0.0236, 500)
    found = labels_to_decide(estimate, -0.01)
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert found.n == int(np.ceil(500 * (z * 0.01 / 0.014) ** 2))
    assert "above" in found.note
    below = labels_to_decide(Estimate(-0.02, 0.01, 300, -0.04, 0.0, 500), -0.01)
    assert below.n is not None
    assert below.n > 500
    assert "below" in below.note


def test_a_decided_gate_needs_no_more_than_it_has() -> None:
    assert labels_to_decide(Estimate(0.5, 0.01, 300, 0.4, 0.6, 500), 0.0).n == 500


def test_an_estimate_on_the_threshold_is_never_decided() -> None:
    found = labels_to_decide(Estimate(-0.01, 0.01, 300, -0.03, 0.01, 500), -0.01)
    assert (found.n, found.status) == (None, "not_applicable")


def test_no_error_no_size() -> None:
    assert labels_to_decide(Estimate(0.1), 0.0).status == "not_measured"
    gone = labels_to_decide(absent("not_measured", "no truth"), 0.0)
    assert gone.note == "no truth"


@pytest.mark.parametrize(("n", "accuracy"), [(200, 0.8), (1000, 0.95), (400, 0.6)])
def test_power_of_a_drop_by_the_binomial(n: int, accuracy: float) -> None:
    drop = detectable_drop(n, accuracy)
    assert drop is not None
    assert detection_power(n, accuracy, drop) == pytest.approx(0.9)
    se = np.sqrt(accuracy * (1 - accuracy) / n)
    alarm = np.ceil((accuracy - stats.norm.ppf(0.95) * se) * n) - 1
    exact = stats.binom.cdf(alarm, n, accuracy - drop)
    assert exact == pytest.approx(0.9, abs=0.02)


def test_drops_that_no_audit_of_this_size_sees() -> None:
    assert detectable_drop(0, 0.8) is None
    assert detectable_drop(1, 0.3) is None
    assert detectable_drop(50, 0.0) is None
    certain = detectable_drop(100, 1.0)
    assert certain is not None
    assert 0 < certain < 0.1


def test_power_that_is_not_defined() -> None:
    from mlstats.errors import MlstatsError

    with pytest.raises(MlstatsError, match="power of this audit"):
        detection_power(100, 0.5, 0.6)
