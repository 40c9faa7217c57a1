"""Gates on rows of every kind: lower is better, asymmetric, in each domain."""

from typing import Any

import pandas as pd
import pytest

from mlstats.config import GateRule
from mlstats.quality.gate import judge
from mlstats.quality.indicator import Indicator, clopper_pearson
from mlstats.quality.scorecard import Plan, as_scorecard

PLAN = Plan(kinds={"ml": "ml", "index": "traditional"}, baseline="index", level="full",
            levels=["full"])  # fmt: skip
NAN = float("nan")


def card(*rows: dict[str, Any]) -> pd.DataFrame:
    common = {"dimension": "accuracy", "level": "full", "method": "ml", "n": 400,
              "n_clusters": 400, "df": 399.0}  # fmt: skip
    return as_scorecard([common | row for row in rows], PLAN)


def one(scorecard: pd.DataFrame, **rule: Any) -> pd.Series:
    rules = [GateRule.model_validate(rule)]
    return judge(scorecard, rules, method="ml", level="full").iloc[0]


def test_a_figure_that_is_better_when_lower_passes_below_the_other_method() -> None:
    row: dict[str, Any] = {"indicator": "share_mse", "value": 3.0, "versus": "index"}
    row |= {"difference": -2.0, "difference_se": 0.5}
    row |= {"difference_lower": -3.0, "difference_upper": -1.0}
    gate = one(card(row), measure="share_mse", versus="index")
    assert gate["result"] == "pass"
    assert "at most 0 above index" in gate["rule"]
    worse = row | {"difference": 2.0, "difference_lower": 1.0, "difference_upper": 3.0}
    assert one(card(worse), measure="share_mse", versus="index")["result"] == "fail"


@pytest.mark.parametrize(
    ("lower", "upper", "result"),
    [(0.6, 0.9, "pass"), (0.1, 0.4, "fail"), (0.4, 0.9, "inconclusive")],
)
def test_an_interval_without_a_standard_error_serves_the_gate(
    lower: float, upper: float, result: str
) -> None:
    row = {"indicator": "expert_agreement", "value": (lower + upper) / 2, "se": NAN,
           "lower": lower, "upper": upper, "interval": "Clopper-Pearson"}  # fmt: skip
    gate = one(card(row), measure="expert_agreement", at_least=0.5)
    assert gate["result"] == result
    strict = one(card(row), measure="expert_agreement", at_least=0.5, confidence=0.99)
    assert strict["result"] == "not_measured"


@pytest.mark.parametrize("interval", ["bootstrap of the logarithm", "Clopper-Pearson"])
def test_a_skewed_interval_gives_its_own_limits_not_those_of_its_error(
    interval: str,
) -> None:
    row: dict[str, Any] = {"indicator": "relative_efficiency", "value": 4.0, "se": 1.5}
    row |= {"lower": 1.7, "upper": 11.0, "interval": interval}
    bounds = {"measure": "relative_efficiency", "at_least": 1.6}
    gate = one(card(row), **bounds)
    assert (gate["lower"], gate["upper"]) == (1.7, 11.0)
    # 4 - 1.649 x 1.5 = 1.53 would have left it open: the interval is not symmetric.
    assert gate["result"] == "pass"
    assert one(card(row | {"interval": "t"}), **bounds)["result"] == "inconclusive"
    most = {"measure": "relative_efficiency", "at_most": 8}
    assert one(card(row), **most)["result"] == "inconclusive"
    assert one(card(row | {"interval": "t"}), **most)["result"] == "pass"
    assert one(card(row | {"upper": 7.9}), **most)["result"] == "pass"
    assert one(card(row | {"lower": 8.1}), **most)["result"] == "fail"


def test_limits_of_95_percent_do_not_serve_a_rule_that_asks_for_more() -> None:
    row: dict[str, Any] = {"indicator": "relative_efficiency", "value": 4.0, "se": 1.5}
    row |= {"lower": 1.7, "upper": 11.0, "interval": "bootstrap of the logarithm"}
    rule = {"measure": "relative_efficiency", "at_least": 1.6}
    assert one(card(row), **rule, confidence=0.975)["result"] == "pass"
    strict = one(card(row), **rule, confidence=0.98)
    assert strict["result"] == "not_measured"
    assert pd.isna(strict["lower"])


def test_a_coverage_that_never_failed_has_its_exact_bound() -> None:
    # 100 of 100 intervals held the truth: no error by the formula, yet not certain.
    found = Indicator("accuracy", "repeated_coverage", clopper_pearson(100, 100))
    row, rule = found.row(method="ml", level="full"), {"measure": "repeated_coverage"}
    passed = one(card(row), **rule, at_least=0.96)
    assert passed["result"] == "pass"
    assert passed["lower"] == pytest.approx(0.025 ** (1 / 100))
    assert one(card(row), **rule, at_least=0.97)["result"] == "inconclusive"


def test_a_gate_in_each_domain_takes_the_worst_and_passes_over_none() -> None:
    def at(domain: str, difference: float, **more: Any) -> dict[str, Any]:
        return {"indicator": "accuracy", "domain": f"shop: {domain}", "value": 0.9,
                "se": 0.01, "versus": "index", "difference": difference,
                "difference_se": 0.005} | more  # fmt: skip

    rule = {"measure": "accuracy", "versus": "index", "margin": 0.02, "domain": "shop"}
    good = at("kiosk", 0.05)
    assert one(card(good, at("web", 0.01)), **rule)["result"] == "pass"
    failed = one(card(good, at("web", -0.05)), **rule)
    assert failed["result"] == "fail"
    assert failed["reason"].startswith("shop: web: ")
    small = at("web", NAN, value=NAN, difference_se=NAN, status="not_measured")
    assert one(card(good, small), **rule)["result"] == "not_measured"
    other = {"measure": "accuracy", "versus": "index", "margin": 0.02, "domain": "age"}
    assert one(card(good), **other)["result"] == "not_measured"


def test_an_inconclusive_gate_tells_the_labels_that_would_decide() -> None:
    row = {"indicator": "accuracy", "value": 0.9, "se": 0.015, "versus": "index",
           "difference": 0.0, "difference_se": 0.015}  # fmt: skip
    gate = one(card(row), measure="accuracy", versus="index", margin=0.02)
    assert gate["result"] == "inconclusive"
    # 400 ((1.6449 + .8416) .015 / .02)**2 = 1391.04, rounded up
    assert "about 1,392 labels would decide, 400 there are" in gate["reason"]


def test_a_gate_says_which_file_it_comes_from() -> None:
    source = "gates/x.yaml version 2"
    gate = one(card(), measure="accuracy", at_least=0.5, source=source)
    assert gate["source"] == source
    assert gate["result"] == "not_measured"


def test_a_figure_that_could_not_be_told_gives_its_own_reason() -> None:
    row = {"indicator": "drift_alarms", "value": NAN, "se": NAN, "level": "",
           "status": "not_measured", "note": "the later date is all cloud"}  # fmt: skip
    gate = one(card(row), measure="drift_alarms", at_most=0)
    assert gate["result"] == "not_measured"
    assert gate["reason"] == "not measured: the later date is all cloud"
    absent = one(card(), measure="drift_alarms", at_most=0)
    assert absent["reason"] == "the scorecard has no such figure"
