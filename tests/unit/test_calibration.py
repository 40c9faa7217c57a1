"""Calibration: scores, calibration error under its null, reliability."""

import numpy as np
import pytest
from sklearn import metrics

from mlstats.quality.calibration import (
    brier_score,
    expected_calibration_error,
    log_loss,
    overconfidence,
    reliability,
)
from mlstats.quality.design import Design


def decisions(n: int = 500) -> tuple[Design, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    confidence = rng.beta(3, 1, n)
    correct = rng.random(n) < confidence**1.3
    return Design.of(rng.gamma(4, 1, n)), confidence, correct


def test_scores_are_scikit_learns() -> None:
    design, confidence, correct = decisions()
    w = design.weight
    wanted = metrics.brier_score_loss(correct, confidence, sample_weight=w)
    assert brier_score(design, confidence, correct).value == pytest.approx(wanted)
    wanted = metrics.log_loss(correct, confidence, sample_weight=w)
    assert log_loss(design, confidence, correct).value == pytest.approx(wanted)
    gap = np.average(confidence - correct, weights=w)
    assert overconfidence(design, confidence, correct).value == pytest.approx(gap)


def test_certain_and_wrong_is_counted_and_not_clipped() -> None:
    design, confidence, correct = decisions()
    confidence[:2], correct[:2] = 1.0, [False, True]
    found = log_loss(design, confidence, correct)
    assert found.status == "not_measured"
    assert found.note == "infinite: 1 decisions were certain and wrong"
    others = np.arange(500) > 0
    assert log_loss(design, confidence, correct, others).status == "measured"


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_numbers_that_are_no_confidence(bad: float) -> None:
    design, confidence, correct = decisions()
    confidence[5] = bad
    said = "1 confidences are missing or outside 0 to 1"
    for measure in (brier_score, log_loss, overconfidence):
        assert measure(design, confidence, correct).note == said
    assert expected_calibration_error(design, confidence, correct, seed=0).note == said
    assert reliability(design, confidence, correct)["note"].tolist() == [said]
    inside = np.arange(500) != 5
    assert brier_score(design, confidence, correct, inside).status == "measured"


@pytest.mark.parametrize("binning", ["equal_width", "equal_mass"])
def test_calibration_error_by_hand(binning: str) -> None:
    design = Design.of(np.array([1.0, 1.0, 2.0, 4.0]))
    confidence = np.array([0.1, 0.2, 0.8, 0.9])
    correct = np.array([True, False, True, False])
    found = expected_calibration_error(
        design, confidence, correct, bins=2, binning=binning, seed=1
    )
    low = abs((1 - 0.1) + (0 - 0.2)) / 8
    high = abs(2 * 0.2 - 4 * 0.9) / 8
    assert found.value == pytest.approx(low + high)
    assert found.n == 4


def test_edges_belong_to_the_lower_bin() -> None:
    design = Design.of(np.ones(3))
    confidence = np.array([0.0, 0.5, 1.0])
    table = reliability(design, confidence, np.ones(3, dtype=bool), bins=2)
    assert table["bin"].tolist() == [0, 1]
    assert table["n"].tolist() == [2, 1]


def test_equal_confidences_are_one_bin() -> None:
    design = Design.of(np.ones(100))
    correct = np.arange(100) < 80
    found = expected_calibration_error(
        design, np.full(100, 0.8), correct, binning="equal_mass", seed=1
    )
    assert found.value == pytest.approx(0)
    assert found.within_null


def test_no_unit_is_not_measured() -> None:
    none = np.array([])
    found = expected_calibration_error(Design.of(np.array([])), none, none, seed=0)
    assert (found.status, found.p_value) == ("not_measured", None)


def test_null_band_does_not_depend_on_the_labels() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.beta(2, 1, 400)
    design = Design.of(np.ones(400))
    one, two = (
        expected_calibration_error(design, confidence, rng.random(400) < p, seed=5)
        for p in (confidence, confidence / 2)
    )
    assert one.null_upper == two.null_upper
    assert one.within_null
    assert not two.within_null
    assert two.p_value == pytest.approx(1 / 1001)


def test_units_that_err_together_are_not_taken_for_many() -> None:
    """Every decision ten times over: the same value, ten times the noise."""
    _, confidence, correct = decisions(100)
    ten = np.repeat(np.arange(100), 10)
    once, over, mistaken = (
        expected_calibration_error(design, c, y, seed=1)
        for design, c, y in (
            (Design.of(np.ones(100)), confidence, correct),
            (Design.of(np.ones(1000), cluster=ten), confidence[ten], correct[ten]),
            (Design.of(np.ones(1000)), confidence[ten], correct[ten]),
        )
    )
    assert once.value == pytest.approx(over.value)
    assert over.null_mean == pytest.approx(once.null_mean, rel=0.25)
    assert mistaken.null_mean < once.null_mean / 2
    assert over.debiased < mistaken.debiased


def test_reliability_by_group() -> None:
    design, confidence, correct = decisions()
    group = np.where(np.arange(500) % 2 == 0, "01", "02").astype(object)
    table = reliability(design, confidence, correct, group, bins=5, min_cell=5)
    assert table["n"].where(table["status"] == "measured").min() >= 5
    row = table[(table["group"] == "02") & (table["bin"] == 4)].iloc[0]
    inside = (group == "02") & (confidence > 0.8)
    w = design.weight * inside
    assert row["value"] == pytest.approx(w @ correct / w.sum())
    assert row["confidence"] == pytest.approx(w @ confidence / w.sum())
    hidden = table[table["status"] == "not_measured"]
    assert hidden["confidence"].isna().all()


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 10])
def test_size_of_the_test_of_perfect_calibration(size: int) -> None:
    """600 seeded samples of 600; with clusters the labels of each go together."""
    rng = np.random.default_rng(size)
    cluster = np.arange(600) // size
    found = []
    for i in range(600):
        confidence = rng.beta(2, 1, 600)
        shared = rng.random(600 // size)[cluster]
        correct = (shared if size > 1 else rng.random(600)) < confidence
        design = Design.of(np.ones(600), cluster=cluster if size > 1 else None)
        p_value = expected_calibration_error(
            design, confidence, correct, simulations=199, seed=i
        ).p_value
        found.append(p_value is not None and p_value <= 0.05)
    assert np.mean(found) <= 0.05 + 2 * np.sqrt(0.0475 / 600)
    assert np.mean(found) >= 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shift", "near"),
    [("none", 0.0, 0.007), ("small", 0.02, 0.005), ("large", 0.15, 0.002)],
)
def test_debiased_calibration_error(name: str, shift: float, near: float) -> None:
    """400 seeded samples of 2,000: far less bias than the value has at .026."""
    rng = np.random.default_rng(7)
    design = Design.of(np.ones(2000))
    large = rng.beta(2, 1, 1_000_000)
    bin_of = np.ceil(large * 15).astype(int)
    gap = np.clip(large - shift, 0, 1) - large
    truth = np.abs(np.bincount(bin_of, gap)).sum() / len(large)
    found, raw = [], []
    for _ in range(400):
        confidence = rng.beta(2, 1, 2000)
        correct = rng.random(2000) < confidence - shift
        one = expected_calibration_error(
            design, confidence, correct, simulations=1, seed=0
        )
        found.append(one.debiased)
        raw.append(one.value)
    assert np.mean(found) == pytest.approx(truth, abs=near), name
    if shift < 0.1:
        assert np.mean(raw) - truth > 0.01
