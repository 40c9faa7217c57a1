"""The scorecard and the gates on a small Evaluation."""

import numpy as np
import pandas as pd
import pytest

from mlstats.config import GateRule
from mlstats.errors import MlstatsError
from mlstats.quality.evaluation import Evaluation
from mlstats.quality.gate import judge, verdict
from mlstats.quality.routing import Routing, Step
from mlstats.quality.scorecard import COLUMNS, Plan, score
from tests.evaluation_example import LEVELS, ancestor, evaluation_of, units_of

PLAN = Plan(
    kinds={"trad": "traditional", "ml": "ml"},
    baseline="trad",
    level="full",
    levels=LEVELS,
    bootstrap=200,
    seed=1,
    routing=Routing((Step("full", 0.8),)),
)


@pytest.fixture(scope="module")
def card() -> pd.DataFrame:
    return score(evaluation_of(units_of(900, seed=2), 0.8), ancestor, PLAN)


def row(card: pd.DataFrame, indicator: str, method: str, level: str) -> pd.Series:
    found = card[
        (card["indicator"] == indicator)
        & (card["method"] == method)
        & (card["level"] == level)
    ]
    assert len(found) == 1
    return found.iloc[0]


def test_every_figure_has_its_columns_and_every_share_its_interval(
    card: pd.DataFrame,
) -> None:
    assert tuple(card.columns) == COLUMNS
    shares = card[card["indicator"].isin(["accuracy", "macro_f1", "coverage"])]
    assert len(shares) == 2 * 2 * 3
    assert (shares["lower"] < shares["value"]).all()
    assert (shares["value"] < shares["upper"]).all()


def test_accuracy_is_the_weighted_share_at_each_level(card: pd.DataFrame) -> None:
    units = units_of(900, seed=2)
    test = units[(units["fold"] == "test") & (units["method"] == "ml")]
    for level, cut in (("1", 1), ("full", None)):
        right = test["truth"].str[:cut] == test["prediction"].str[:cut]
        wanted = np.average(right, weights=test["weight"])
        assert row(card, "accuracy", "ml", level)["value"] == pytest.approx(wanted)


def test_difference_is_paired_and_refers_to_the_baseline(card: pd.DataFrame) -> None:
    ml, trad = (row(card, "accuracy", m, "full") for m in ("ml", "trad"))
    assert ml["versus"] == "trad"
    assert ml["difference"] == pytest.approx(ml["value"] - trad["value"])
    assert ml["difference_lower"] < ml["difference"] < ml["difference_upper"]
    assert trad["versus"] == ""
    # Paired: the arms share what makes a unit easy, so the difference is sharper
    # than that of two independent samples.
    assert ml["difference_se"] < np.hypot(ml["se"], trad["se"])


def test_unseen_texts_are_a_domain(card: pd.DataFrame) -> None:
    units = units_of(900, seed=2)
    test = units[(units["fold"] == "test") & (units["method"] == "ml")]
    unseen = test[~test["seen"]]
    wanted = np.average(
        unseen["truth"] == unseen["prediction"], weights=unseen["weight"]
    )
    found = row(card, "accuracy_unseen", "ml", "full")
    assert found["value"] == pytest.approx(wanted)
    assert found["n"] == len(unseen)


def test_automation_tells_the_rate_the_error_and_the_oracle(card: pd.DataFrame) -> None:
    rate = row(card, "automation_guaranteed", "ml", "full")
    oracle = row(card, "automation_oracle", "ml", "full")
    error = row(card, "automation_error", "ml", "full")
    assert 0 < rate["value"] < oracle["value"]
    assert error["value"] < 1 - PLAN.routing.steps[0].target
    assert "threshold" in rate["note"]


def test_a_method_without_confidence_is_never_automatic() -> None:
    units = units_of(300).assign(confidence=np.nan)
    card = score(evaluation_of(units), ancestor, PLAN)
    found = row(card, "automation_guaranteed", "ml", "full")
    assert found["status"] == "not_applicable"
    assert np.isnan(found["value"])


def test_a_level_that_no_truth_reaches_is_not_applicable() -> None:
    def short(codes: np.ndarray, level: str) -> np.ndarray:
        if level == "full":
            return codes
        return np.full(len(codes), None, dtype=object)

    card = score(evaluation_of(units_of(300)), short, PLAN)
    found = row(card, "accuracy", "ml", "1")
    assert found["status"] == "not_applicable"


def test_timings_are_per_thousand_units(card: pd.DataFrame) -> None:
    assert row(card, "fit_seconds_per_1000", "ml", "")["value"] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        ({"measure": "accuracy", "versus": "trad", "margin": 0.02}, "pass"),
        ({"measure": "accuracy@1", "at_least": 0.99}, "fail"),
        ({"measure": "accuracy", "at_most": 0.99}, "pass"),
        ({"measure": "accuracy_unseen", "at_least": 0.75}, "inconclusive"),
        ({"measure": "automation_oracle", "at_least": 0.1}, "not_measured"),
        ({"measure": "cost", "at_most": 1.0}, "not_measured"),
    ],
)
def test_gate(card: pd.DataFrame, rule: dict[str, object], result: str) -> None:
    gates = judge(card, [GateRule.model_validate(rule)], method="ml", level="full")
    assert gates["result"].tolist() == [result]
    assert verdict(gates, "shadow") == result
    assert verdict(gates, "production") == "not_measured"


def test_equal_arms_pass_within_the_margin_only_when_there_are_enough_labels() -> None:
    rule = GateRule(measure="accuracy", versus="trad", margin=0.05)
    results = []
    for n in (60, 20_000):
        units = units_of(n, seed=4, better=0.0, uncoded=0.0)
        card = score(evaluation_of(units), ancestor, PLAN)
        results += judge(card, [rule], method="ml", level="full")["result"].tolist()
    assert results == ["inconclusive", "pass"]


def test_an_evaluation_refuses_missing_columns_and_repeated_units() -> None:
    units = units_of(30)
    good = evaluation_of(units)
    with pytest.raises(MlstatsError, match="lacks weight"):
        Evaluation(units.drop(columns="weight"), good.estimates, good.timings)
    twice = pd.concat([units, units.head(1)])
    with pytest.raises(MlstatsError, match="1 rows of units repeat"):
        Evaluation(twice, good.estimates, good.timings)


def test_the_key_of_a_project_changes_no_figure() -> None:
    units = units_of(300, seed=9)
    other = units.assign(cluster=[f"{hash(c) % 10**9}-{c}" for c in units["cluster"]])
    one = score(evaluation_of(units), ancestor, PLAN)
    two = score(evaluation_of(other), ancestor, PLAN)
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize(
    ("rule", "n", "result"),
    [
        # 8 of 8 right in both arms: nothing varies, and nothing is shown by that.
        ({"measure": "accuracy", "versus": "trad", "margin": 0.02}, 8, "inconclusive"),
        ({"measure": "accuracy", "at_least": 0.95}, 8, "inconclusive"),
        ({"measure": "macro_f1", "at_least": 0.9}, 8, "not_measured"),
        # 0 of 300 clusters apart: the discordance is below a point.
        ({"measure": "accuracy", "versus": "trad", "margin": 0.02}, 300, "pass"),
        ({"measure": "accuracy", "at_least": 0.95}, 300, "pass"),
    ],
)
def test_a_gate_does_not_pass_because_nothing_varies(
    rule: dict[str, object], n: int, result: str
) -> None:
    units = units_of(n, seed=1).assign(fold="test", stratum="", weight=1.0)
    units["cluster"] = units["unit"]
    units["prediction"] = units["truth"]
    card = score(evaluation_of(units), ancestor, PLAN)
    gates = judge(card, [GateRule.model_validate(rule)], method="ml", level="full")
    assert gates["result"].tolist() == [result]


def test_a_method_that_codes_nothing_passes_nothing() -> None:
    units = units_of(300, seed=1).assign(prediction=None)
    card = score(evaluation_of(units), ancestor, PLAN)
    rule = GateRule(measure="accuracy", versus="trad", margin=0.02)
    gates = judge(card, [rule], method="ml", level="full")
    assert gates["reason"].tolist() == ["the method coded no unit"]
    assert gates["result"].tolist() == ["not_measured"]
