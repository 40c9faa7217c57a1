"""The curve of accuracy against the rate of automation."""

import numpy as np
import pytest

from mlstats.quality.automation_curve import automation_curve
from mlstats.quality.design import Design


def test_points_by_hand() -> None:
    design = Design.of(np.array([1.0, 1.0, 2.0, 1.0, 1.0]))
    confidence = np.array([0.9, 0.8, 0.8, 0.3, np.nan])
    correct = np.array([True, False, True, False, True])
    table = automation_curve(design, confidence, correct)
    assert table["threshold"].tolist() == [0.9, 0.8, 0.3]
    assert table["rate"].tolist() == pytest.approx([1 / 6, 4 / 6, 5 / 6])
    assert table["value"].tolist() == pytest.approx([1.0, 3 / 4, 3 / 5])
    assert table["rest_accuracy"].tolist() == pytest.approx([3 / 5, 1 / 2, 1.0])
    assert table["n"].tolist() == [1, 3, 4]


def test_at_most_as_many_points_as_asked_for_and_all_at_the_end() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(1000)
    correct = rng.random(1000) < confidence
    table = automation_curve(Design.of(np.ones(1000)), confidence, correct, points=20)
    assert len(table) == 20
    assert table["rate"].iloc[-1] == 1
    assert np.isnan(table["rest_accuracy"].iloc[-1])
    assert table["value"].iloc[-1] == pytest.approx(correct.mean())
    assert table["rate"].is_monotonic_increasing
    inside = table[table["n"] > 1]
    assert (
        (inside["lower"] <= inside["value"]) & (inside["value"] <= inside["upper"])
    ).all()


def test_a_method_without_confidence_has_no_curve() -> None:
    table = automation_curve(
        Design.of(np.ones(3)), np.full(3, np.nan), np.ones(3, dtype=bool)
    )
    assert len(table) == 0
    assert {"threshold", "rate", "value"} <= set(table.columns)


def test_small_parts_are_not_told() -> None:
    confidence = np.linspace(0, 1, 50)
    correct = confidence > 0.5
    table = automation_curve(Design.of(np.ones(50)), confidence, correct, min_cell=10)
    assert (
        table["status"] == np.where(table.index < 9, "not_measured", "measured")
    ).all()
    assert table["rest_accuracy"].iloc[-9:].isna().all()
    assert not table["rest_accuracy"].iloc[:-10].isna().any()


def test_unusable_weights_are_said() -> None:
    table = automation_curve(Design.of(np.zeros(2)), np.ones(2), np.ones(2, dtype=bool))
    assert table["note"].tolist() == ["no unit has weight"]
