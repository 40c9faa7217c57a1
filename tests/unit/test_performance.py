"""When an audit speaks against the champion, and when it must not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.audit_scorecard import judged_arms, released_accuracy
from mlstats.config import Pilot
from mlstats.performance import lost
from mlstats.produced import Arm, Reason
from tests.unit.test_schedule import PILOT

CHAMPION = Arm("champion", "linear", "d" * 64, 3)
CLASSES = ["01.1", "01.2", "02.1", "03.1"]


def pilot(target: float, level: str = "full") -> Pilot:
    production = {"review": {"target_accuracy": target}}
    told = {"data": PILOT["data"] | {"uncodable": {"codes": ["98."]}}}
    evaluate = PILOT.get("evaluate", {}) | {"level": level}
    more = {"evaluate": evaluate, "production": production}
    return Pilot.model_validate({**PILOT, **told, **more})


def ancestor(codes: np.ndarray, level: str) -> np.ndarray:
    cut = [None if c is None else str(c)[:2] if level == "1" else c for c in codes]
    return np.array(cut, dtype=object)


def audit(
    rng: np.random.Generator, accuracy: float | dict[str, float], n: int = 400
) -> pd.DataFrame:
    """Draw an audit of 10,000 units in two strata, and let a clerk find the truth."""
    value = rng.choice(CLASSES, n)
    rate = accuracy if isinstance(accuracy, dict) else dict.fromkeys(CLASSES, accuracy)
    right = rng.uniform(size=n) < np.array([rate[code] for code in value])
    return pd.DataFrame(
        {
            "value": value,
            "truth": np.where(right, value, "04.1"),
            "depth": "full",
            "route": "audit",
            "model_version": CHAMPION.label,
            "audit_stratum": np.where(np.arange(n) < n // 2, "a", "b"),
            "inclusion": n / 10_000,
        }
    )


def verdict(told: pd.DataFrame, target: float = 0.9) -> Reason | None:
    return lost(pilot(target), CHAMPION, "2026-02", told, ancestor, ["1"])


def test_a_champion_at_its_target_is_seldom_blamed() -> None:
    """The chance of a switch without a loss is at most 5 % in a year of months."""
    rng, looks, chance = np.random.default_rng(20260101), 1200, 0.05 / 12
    blamed = sum(verdict(audit(rng, 0.9)) is not None for _ in range(looks))
    assert blamed / looks <= chance + 3 * np.sqrt(chance * (1 - chance) / looks)


def test_a_clear_loss_is_found() -> None:
    rng = np.random.default_rng(1)
    found = [verdict(audit(rng, 0.8)) for _ in range(100)]
    whole = [one for one in found if one is not None and not one.classes]
    assert len(whole) >= 95
    assert whole[0].cause == "performance"
    assert "2026-02" in whole[0].said


def test_a_loss_in_one_class_gives_up_that_class_only() -> None:
    rng = np.random.default_rng(2)
    rates = {"01.1": 0.99, "01.2": 0.99, "02.1": 0.99, "03.1": 0.7}
    found = verdict(audit(rng, rates, 1200))
    assert found is not None
    assert found.classes == ("03",)


@pytest.mark.parametrize(
    ("column", "held"), [("model_version", "linear v2@other"), ("route", "queue")]
)
def test_what_the_champion_did_not_code_says_nothing(column: str, held: str) -> None:
    told = audit(np.random.default_rng(3), 0.2).assign(**{column: held})
    assert verdict(told) is None


def test_a_code_is_judged_as_deep_as_it_was_released() -> None:
    told = audit(np.random.default_rng(5), 1.0)
    shallow = told.assign(value=told["value"].str[:2], depth="1")
    assert verdict(shallow) is None
    assert verdict(shallow.assign(depth="full")) is not None  # it is no full code


def knows_groups(codes: np.ndarray, level: str) -> np.ndarray:
    found = ancestor(codes, level)
    found[[str(c).startswith("98.") for c in codes]] = None if level == "1" else "98.1"
    return found


def test_what_a_coder_calls_uncodable_was_wrong_to_code() -> None:
    told = audit(np.random.default_rng(6), 0.7)
    wrong = told["truth"] != told["value"]
    told["truth"] = told["truth"].mask(wrong, "98.1")
    found = lost(pilot(0.9, "1"), CHAMPION, "2026-02", told, knows_groups, ["1"])
    assert found is not None
    shallow = told.assign(value=told["value"].str[:2], depth="1")
    assert (
        lost(pilot(0.9, "1"), CHAMPION, "2026-02", shallow, knows_groups, ["1"])
        == found
    )
    released = released_accuracy(pilot(0.9, "1"), told, knows_groups)
    assert released.n == len(told)
    assert released.value == pytest.approx(1 - wrong.mean())
    both = told.assign(champion_code=told["value"], baseline_code="98.2")
    arms = judged_arms(pilot(0.9, "1"), both, knows_groups)
    assert arms["champion"].value == pytest.approx(1 - wrong.mean())
    assert arms["baseline"].value == pytest.approx(wrong.mean())  # one cannot be coded


def test_what_nobody_has_reviewed_is_not_wrong() -> None:
    told = audit(np.random.default_rng(4), 0.2).assign(truth=None)
    assert verdict(told) is None
