from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from mlstats.editimpute.cut import select_units
from mlstats.editimpute.selective import expected_errors, global_score, impact_table
from mlstats.errors import ConfigError, ContractError

NAN = np.nan


def frame(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(columns)


class TestExpectedErrors:
    def test_score_by_hand(self) -> None:
        found = expected_errors(
            frame(a=[10, 5], b=[1, 9]),
            frame(a=[4, 6], b=[1, 4]),
            weight=[2, 3],
            standard={"a": 6, "b": 10},
            probability=pd.Series([0.5, 1]),
            factor=100,
        )
        assert found.to_numpy().tolist() == [[100, 0], [-50, 150]]

    def test_standard_is_the_weighted_sum_of_anticipated_values(self) -> None:
        found = expected_errors(frame(a=[10, 5]), frame(a=[4, 6]), weight=[2, 3])
        assert found["a"].tolist() == pytest.approx([12 / 26, -3 / 26])

    def test_factor_and_probability_of_every_value(self) -> None:
        found = expected_errors(
            frame(a=[10, 5]),
            frame(a=[4, 6]),
            weight=[2, 3],
            standard=frame(a=[12, 3]),
            probability=frame(a=[0.5, 0]),
        )
        assert found["a"].tolist() == [0.5, 0]

    def test_not_reported_is_no_error_and_not_anticipated_no_score(self) -> None:
        found = expected_errors(
            frame(a=[NAN, 5, NAN]),
            frame(a=[4, NAN, NAN]),
            weight=[1, 1, 1],
            standard={"a": 1},
        )
        assert found["a"].tolist()[::2] == [0, 0]
        assert np.isnan(found["a"].iloc[1])

    def test_size_of_the_error_with_a_spread_of_true_values(self) -> None:
        gap, sd = np.array([0.0, 0.5, -3, 2]), np.array([1.0, 2, 1, 0])
        found = expected_errors(
            pd.DataFrame({"a": 10 + gap}),
            frame(a=[10] * 4),
            weight=[1] * 4,
            standard={"a": 1},
            spread=pd.DataFrame({"a": sd}),
        )["a"].to_numpy()
        draws = np.random.default_rng(1).normal(0, 1, (200_000, 1)) * sd
        simulated = np.abs(gap - draws).mean(axis=0)
        np.testing.assert_allclose(np.abs(found), simulated, rtol=0.01)
        assert (np.sign(found) == [1, 1, -1, 1]).all()
        assert found[3] == 2

    def test_no_record_gives_no_score(self) -> None:
        none = frame(a=[])
        assert expected_errors(none, none, weight=[]).shape == (0, 1)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"weight": [1, -1]}, ContractError, "negative"),
            ({"weight": [1, NAN]}, ContractError, "missing or negative"),
            ({"weight": [1]}, ContractError, "2 records, 1 weights"),
            ({"standard": {"a": 0}}, ContractError, "zero or negative"),
            ({"standard": {"a": NAN}}, ContractError, "zero or negative"),
            ({"standard": {"A": 1}}, ConfigError, "'a' is not among"),
            ({"probability": pd.Series([0.5, 1.5])}, ContractError, "outside 0 to 1"),
            ({"probability": pd.Series([0.5, NAN])}, ContractError, "missing"),
            ({"probability": pd.Series([0.5])}, ContractError, "1 probabilities"),
            ({"anticipated": frame(a=[1])}, ContractError, "1 anticipated"),
            ({"anticipated": frame(b=[1, 1])}, ConfigError, "not among the anticip"),
            ({"reported": frame(a=[np.inf, 1])}, ContractError, "infinite"),
            ({"reported": frame(a=["x", 1])}, ContractError, "not all numbers"),
            ({"spread": frame(a=[1, -1])}, ContractError, "Spreads"),
            ({"spread": frame(b=[1, 1])}, ConfigError, "among the spreads"),
            ({"anticipated": frame(a=[0, 0])}, ContractError, "Standardising"),
        ],
    )
    def test_bad_input(self, options: dict, error: type, message: str) -> None:
        given = {"reported": frame(a=[1, 2]), "anticipated": frame(a=[1, 1])} | options
        given.setdefault("weight", [1, 1])
        with pytest.raises(error, match=message):
            expected_errors(**given)


class TestGlobalScore:
    @pytest.mark.parametrize(
        ("how", "options", "wanted"),
        [
            ("max", {}, [4, 2]),
            ("mean", {}, [3.5, 1]),
            ("sum", {}, [7, 2]),
            ("weighted_mean", {"importance": {"a": 3, "b": 1}}, [3.25, 0.5]),
            ("minkowski", {}, [5, 2]),
            ("minkowski", {"power": 1}, [7, 2]),
            ("minkowski", {"power": 500}, [4, 2]),
        ],
    )
    def test_combined_by_hand(self, how: str, options: dict, wanted: list) -> None:
        errors = frame(a=[-3, 0], b=[4, 2])
        assert global_score(errors, how, **options).tolist() == pytest.approx(wanted)

    def test_a_variable_without_a_score_leaves_the_record_without(self) -> None:
        errors = frame(a=[1, NAN], b=[1, 1])
        for how in ("max", "mean", "sum", "minkowski"):
            assert global_score(errors, how).isna().tolist() == [False, True]

    @pytest.mark.parametrize(
        ("how", "options", "message"),
        [
            ("maximum", {}, "cannot be combined"),
            ("minkowski", {"power": 0.5}, "power is 0.5"),
            ("weighted_mean", {}, "importance"),
            ("weighted_mean", {"importance": {"a": -1}}, "missing or negative"),
            ("weighted_mean", {"importance": {"A": 1}}, "not among the importance"),
        ],
    )
    def test_bad_input(self, how: str, options: dict, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            global_score(frame(a=[1]), how, **options)
        with pytest.raises(ConfigError, match="no variable"):
            global_score(pd.DataFrame(index=[0]))


class TestSelection:
    errors = pd.DataFrame(
        {"a": [0.1, -4, 0.2, 2], "b": [0.3, 1, -0.2, -3]}, list("wxyz")
    )

    def test_least_remaining_error_is_kept_below_the_limit(self) -> None:
        found = select_units(self.errors, limit=0.51)
        assert found.table["unit"].tolist() == list("wxyz")
        assert found.table.index.tolist() == list("wxyz")
        assert found.table["selected"].tolist() == [False, True, False, True]
        assert found.table["rank"].tolist() == [3, 1, 4, 2]
        assert found.table["score_b"].tolist() == [0.3, 1, 0.2, 3]
        reason = found.table["reason"].tolist()
        assert reason[1] == "above the cut by the remaining error: most by a"
        assert reason[3].endswith("most by b")
        assert reason[0] == "below the cut"
        residual = found.residual.set_index("variable")
        assert residual["before"].tolist() == pytest.approx([6.3, 4.5])
        assert residual["after"].tolist() == pytest.approx([0.3, 0.5])

    def test_the_limit_itself_is_too_much(self) -> None:
        found = select_units(self.errors, limit={"a": 9, "b": 0.3})
        assert found.table["selected"].tolist() == [True, True, False, True]

    def test_signed_errors_cancel_out_but_not_beyond_a_place_where_they_do_not(
        self,
    ) -> None:
        errors = frame(a=[1, -1, 2, -2, 9])
        signed = select_units(errors, limit=1.5, rule="signed")
        # Equal scores are never parted: one and minus one leave nothing, two is seen
        # only together with minus two.
        assert signed.table["selected"].tolist() == [False] * 4 + [True]
        assert signed.residual["after"].tolist() == [0]
        absolute = select_units(errors, limit=1.5)
        assert absolute.table["selected"].tolist() == [True] * 5
        stopped = select_units(frame(a=[1, 2, -3]), limit=2.5, rule="signed")
        assert stopped.table["selected"].tolist() == [False, True, True]

    def test_threshold_for_all_or_for_each(self) -> None:
        found = select_units(self.errors, threshold=3)
        assert found.table["selected"].tolist() == [False, True, False, True]
        each = pd.Series([0.1, 9, 0.3, 9])
        found = select_units(self.errors, threshold=each)
        assert found.table["selected"].tolist() == [True, False, False, False]

    def test_capacity(self) -> None:
        for most, wanted in ((0, ""), (1, "x"), (3, "wxz"), (9, "wxyz")):
            found = select_units(self.errors, most=most).table
            assert "".join(found.loc[found["selected"], "unit"]) == wanted

    def test_what_cannot_be_scored_is_reviewed(self) -> None:
        errors = frame(a=[0.1, NAN, 0.1], b=[0, 0, 0])
        for rule in ({"limit": 9.0}, {"threshold": 9.0}, {"most": 1}):
            found = select_units(errors, **rule).table
            assert found["selected"].tolist() == [False, True, False]
            assert found["reason"][1] == "no score: no anticipated value of a"
            assert np.isnan(found["rank"][1])

    def test_no_record(self) -> None:
        found = select_units(frame(a=[]), limit=1)
        assert found.table.empty
        assert found.residual["after"].tolist() == [0]

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({}, ConfigError, "one rule"),
            ({"limit": 1, "most": 1}, ConfigError, "one rule"),
            ({"limit": 0}, ConfigError, "not above zero"),
            ({"limit": NAN}, ConfigError, "not above zero"),
            ({"limit": {"a": 1}}, ConfigError, "'b' has no limit"),
            ({"threshold": 0}, ConfigError, "not above zero"),
            ({"threshold": pd.Series([1.0])}, ContractError, "1 thresholds"),
            ({"most": -1}, ConfigError, "most is -1"),
            ({"most": 1, "rule": "both"}, ConfigError, "rule is 'both'"),
        ],
    )
    def test_bad_input(self, options: dict, error: type, message: str) -> None:
        with pytest.raises(error, match=message):
            select_units(self.errors, **options)


class TestImpact:
    def test_by_hand_with_ties_counted_on_average(self) -> None:
        truth, reported = [1, 1, 1, 1, 1], [1, 4, 1, 3, 1]
        weights = [1, 2, 1, 1, 1]
        scores = {
            "all equal": [1] * 5,
            "best": [0, 9, 0, 8, 0],
            "worst": [1, 0, 1, 0, 1],
        }
        found = impact_table(truth, reported, weights, scores, [0.2, 0.4, 1])
        removed = found.pivot_table(
            index="ranking", columns="share", values="impact_removed"
        )
        assert removed.loc["all equal"].tolist() == pytest.approx([0.2, 0.4, 1])
        assert removed.loc["best"].tolist() == pytest.approx([6 / 8, 1, 1])
        assert removed.loc["worst"].tolist() == pytest.approx([0, 0, 1])
        first = found[found["share"] == 0.2].set_index("ranking")
        assert first["hit_rate"].tolist() == pytest.approx([0.4, 1, 0])
        assert first["auc"].tolist() == pytest.approx([0.5, 1, 0])

    def test_auc_and_average_precision_rank_otherwise_than_impact(self) -> None:
        rng = np.random.default_rng(1)
        truth = rng.lognormal(0, 1, 2000)
        wrong = rng.random(2000) < 0.1
        reported = np.where(wrong, truth * rng.choice([0.5, 10], 2000), truth)
        scores = {
            "log": np.abs(np.log(reported)) + rng.normal(0, 0.1, 2000),
            "size": np.abs(reported - 1),
        }
        found = impact_table(truth, reported, np.ones(2000), scores, [0.05])
        for row in found.itertuples():
            assert row.auc == roc_auc_score(wrong, scores[row.ranking])
            expected = average_precision_score(wrong, scores[row.ranking])
            assert row.average_precision == expected
        by = found.set_index("ranking")
        assert by.loc["size", "impact_removed"] > by.loc["log", "impact_removed"]

    def test_several_variables_count_by_their_totals(self) -> None:
        truth = np.array([[1.0, 100], [1, 100]])
        reported = np.array([[2.0, 100], [1, 150]])
        found = impact_table(truth, reported, [1, 1], {"s": [1, 0]}, [0.5])
        assert found["impact_removed"].tolist() == pytest.approx([0.5 / 0.75])

    def test_no_error_and_nothing_but_errors(self) -> None:
        found = impact_table([1, 1], [1, NAN], [1, 1], {"s": [1, 0]}, [0.5]).iloc[0]
        assert found["hit_rate"] == 0
        names = ["impact_removed", "auc", "average_precision"]
        assert found[names].isna().all()
        found = impact_table([1, 1], [2, 2], [1, 1], {"s": [1, 0]}, [0.5]).iloc[0]
        assert np.isnan(found["auc"])
        assert found["average_precision"] == 1

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"truth": [1, NAN]}, ContractError, "True values are missing"),
            ({"truth": [1]}, ContractError, "shape"),
            ({"reported": [1, np.inf]}, ContractError, "infinite"),
            ({"weights": [1, -1]}, ContractError, "negative"),
            ({"scores": {"s": [1, NAN]}}, ContractError, "1 scores of 's'"),
            ({"scores": {"s": [1]}}, ContractError, "1 scores of 's'"),
            ({"shares": [0]}, ConfigError, "share reviewed is 0"),
            ({"shares": [1.1]}, ConfigError, "share reviewed is 1.1"),
        ],
    )
    def test_bad_input(self, change: dict, error: type, message: str) -> None:
        given = {
            "truth": [1, 1],
            "reported": [1, 2],
            "weights": [1, 1],
            "scores": {"s": [1, 0]},
        }
        with pytest.raises(error, match=message):
            impact_table(**(given | change))

    def test_no_record(self) -> None:
        with pytest.raises(ContractError, match="no record"):
            impact_table([], [], [], {"s": []})
