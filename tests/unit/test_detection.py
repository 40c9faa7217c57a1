from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.anticipation import FeatureCoder, anticipate, cross_predicted
from mlstats.editimpute.detection import ErrorDetector, error_features
from mlstats.errors import ConfigError, ContractError

NAN = np.nan


class TestTraditional:
    frame = pd.DataFrame(
        {
            "c": list("aaabbc"),
            "y": [1.0, 2, 30, 4, 6, 9],
            "x": [1.0, 1, 2, 2, 4, NAN],
            "w": [1.0, 1, 1, 3, 1, 1],
        },
        index=[9, 9, 8, 7, 6, 5],
    )

    def test_medians_and_means_of_classes(self) -> None:
        found = anticipate(self.frame, "y", by=["c"], least=2)
        assert found.tolist() == [2, 2, 2, 5, 5, 5]
        assert found.index.tolist() == self.frame.index.tolist()
        found = anticipate(self.frame, "y", "mean", by=["c"], weight="w", least=2)
        whole = (1 + 2 + 30 + 12 + 6 + 9) / 8
        assert found.tolist() == pytest.approx([11, 11, 11, 4.5, 4.5, whole])

    def test_ratios(self) -> None:
        found = anticipate(self.frame, "y", "ratio", auxiliary="x", weight="w")
        slope = (1 + 2 + 30 + 12 + 6) / (1 + 1 + 2 + 6 + 4)
        assert found.tolist()[:5] == pytest.approx([slope * v for v in (1, 1, 2, 2, 4)])
        assert np.isnan(found.iloc[5])
        found = anticipate(self.frame, "y", "median_ratio", auxiliary="x")
        assert found.tolist()[:5] == pytest.approx([2, 2, 4, 4, 8])

    def test_a_small_class_does_not_anticipate_itself(self) -> None:
        found = anticipate(self.frame, "y", by=["c"], least=4)
        assert found.tolist() == [5] * 6

    def test_the_previous_value_and_then_another(self) -> None:
        previous = anticipate(self.frame, "y", "previous", auxiliary="x")
        both = previous.fillna(anticipate(self.frame, "y"))
        assert both.tolist() == [1, 1, 2, 2, 4, 5]

    def test_nothing_reported(self) -> None:
        assert anticipate(self.frame.assign(y=NAN), "y", by=["c"]).isna().all()
        assert anticipate(self.frame.iloc[:0], "y").empty
        zero = self.frame.assign(x=0.0)
        assert anticipate(zero, "y", "ratio", auxiliary="x").isna().all()

    @pytest.mark.parametrize(
        ("args", "options", "error", "message"),
        [
            (["y", "mode"], {}, ConfigError, "no anticipated value 'mode'"),
            (["y", "ratio"], {}, ConfigError, "needs auxiliary"),
            (["y", "mean"], {"auxiliary": "x"}, ConfigError, "has no auxiliary"),
            (["z"], {}, ConfigError, "'z' is not in"),
            (["y"], {"by": ["k"]}, ConfigError, "'k' is not in"),
            (["c"], {}, ContractError, "no finite numbers"),
        ],
    )
    def test_bad_input(
        self, args: list, options: dict, error: type, message: str
    ) -> None:
        with pytest.raises(error, match=message):
            anticipate(self.frame, *args, **options)


def survey(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Return firms of four records each, with true and reported values."""
    x, kind = rng.lognormal(3, 0.7, n), rng.choice(list("abc"), n)
    level = pd.Series(kind).map({"a": 1.0, "b": 3.0, "c": 0.5}).to_numpy()
    true = x * level * rng.lognormal(0, 0.25, n)
    wrong = rng.random(n) < 0.08
    factor = rng.choice([10, 0.1, 2.5, 0.4], n)
    return pd.DataFrame(
        {
            "x": x,
            "kind": kind,
            "firm": np.arange(n) // 4,
            "true": true,
            "y": np.where(wrong, true * factor, true),
            "wrong": wrong,
        }
    )


class TestCrossPredicted:
    def test_errors_do_not_pull_the_prediction_with_them(self) -> None:
        frame = survey(np.random.default_rng(1), 3000)
        found = cross_predicted(frame, "y", ["x", "kind"], cluster="firm", trees=80)
        ratio = np.log(found / frame["true"])
        assert np.median(ratio) == pytest.approx(0, abs=0.03)
        assert np.std(ratio) < 0.4
        wild = frame.assign(y=frame["y"].where(frame.index != 5, 1e12))
        other = cross_predicted(wild, "y", ["x", "kind"], cluster="firm", trees=80)
        firm = frame["firm"] == frame["firm"][5]
        # No record of the cluster sees the value.
        assert other[firm].tolist() == found[firm].tolist()
        assert np.abs(np.log(other / found)).max() < 1

    def test_level_and_missing_values(self) -> None:
        frame = survey(np.random.default_rng(2), 400)
        frame.loc[3, ["y", "kind"]] = [NAN, None]
        frame.loc[4, "y"] = -5
        for scale in ("log", "level"):
            found = cross_predicted(
                frame, "y", ["x", "kind"], scale=scale, trees=10, folds=2
            )
            assert found.notna().all()
        assert (cross_predicted(frame, "y", ["x"], trees=10, folds=2) > 0).all()

    def test_bad_input(self) -> None:
        frame = survey(np.random.default_rng(3), 100)
        with pytest.raises(ConfigError, match="from itself"):
            cross_predicted(frame, "y", ["y"])
        with pytest.raises(ConfigError, match="no column to predict from"):
            cross_predicted(frame, "y", [])
        with pytest.raises(ConfigError, match="'z' is not in"):
            cross_predicted(frame, "y", ["z"])
        with pytest.raises(ConfigError, match="scale is"):
            cross_predicted(frame, "y", ["x"], scale="cube")  # type: ignore[arg-type]
        with pytest.raises(ContractError, match="19 values of 'y'"):
            cross_predicted(frame[:19], "y", ["x"])
        with pytest.raises(ContractError, match="25 clusters, 50 folds"):
            cross_predicted(frame, "y", ["x"], cluster="firm", folds=50)
        with pytest.raises(ContractError, match="is missing in some"):
            cross_predicted(frame.assign(firm=NAN), "y", ["x"], cluster="firm")


def test_codes_are_those_of_the_first_records() -> None:
    frame = pd.DataFrame({"n": [1.0, 2, 3], "t": ["b", "a", None]})
    coder = FeatureCoder(frame, ["n", "t"])
    assert coder.categorical.tolist() == [True, False]
    found = coder.numbers_of(pd.DataFrame({"t": ["a", "new", "b"], "n": [7, NAN, 9]}))
    np.testing.assert_array_equal(found, [[0, 7], [NAN, NAN], [1, 9]])


def features_of(frame: pd.DataFrame) -> pd.DataFrame:
    expected = cross_predicted(frame, "y", ["x", "kind"], cluster="firm", trees=60)
    return error_features(
        frame[["y"]], expected.to_frame(), auxiliary=frame[["x", "kind"]]
    )


def test_features() -> None:
    found = error_features(
        pd.DataFrame({"y": [2.0, -1, NAN]}),
        pd.DataFrame({"y": [1.0, 1, 1]}),
        edits=pd.DataFrame({"E1": [True, False, False]}),
        auxiliary=pd.DataFrame({"k": list("abc")}),
    )
    assert found.columns.tolist() == ["y", "log_ratio_y", "gap_y", "edit_E1", "k"]
    assert found["log_ratio_y"].tolist()[0] == np.log(2)
    assert found["log_ratio_y"].isna().tolist() == [False, True, True]
    assert found["gap_y"].tolist()[:2] == [1, -2]
    assert found["edit_E1"].tolist() == [1, 0, 0]
    with pytest.raises(ConfigError, match="'y' has no anticipated"):
        error_features(pd.DataFrame({"y": [1]}), pd.DataFrame({"z": [1]}))
    with pytest.raises(ContractError, match="1 records, 2"):
        error_features(pd.DataFrame({"y": [1]}), pd.DataFrame({"y": [1, 2]}))
    with pytest.raises(ContractError, match="1 records, 2 rows"):
        error_features(
            pd.DataFrame({"y": [1]}),
            pd.DataFrame({"y": [1]}),
            auxiliary=pd.DataFrame({"k": [1, 2]}),
        )


class TestDetector:
    @pytest.mark.parametrize("calibration", ["logistic", "isotonic"])
    def test_probabilities_of_new_records_are_calibrated(
        self, calibration: str
    ) -> None:
        rng = np.random.default_rng(5)
        past, new = survey(rng, 4000), survey(rng, 12_000)
        detector = ErrorDetector(calibration=calibration, trees=60)  # type: ignore[arg-type]
        detector.fit(features_of(past), past["wrong"], cluster=past["firm"])
        features = features_of(new)
        chance = detector.probability(features)
        again = pickle.loads(pickle.dumps(detector)).probability(features)
        assert again.tolist() == chance.tolist()
        assert chance.index.tolist() == new.index.tolist()
        assert chance.mean() == pytest.approx(new["wrong"].mean(), abs=0.01)
        for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1)):
            inside = chance.between(low, high)
            gap = chance[inside].mean() - new["wrong"][inside].mean()
            # As exact as 4,000 past records, 320 of them wrong, can make it.
            assert abs(gap) < 0.12
        found = detector.calibration_error(seed=1)
        assert found.debiased < 0.02

    def test_selected_reviews_count_by_one_over_their_chance(self) -> None:
        rng = np.random.default_rng(6)
        past, new = survey(rng, 6000), survey(rng, 6000)
        features = features_of(past)
        # What looks large is always reviewed, the rest in one of five cases.
        chance = pd.Series(np.where(features["gap_y"].abs() > 15, 1.0, 0.2), past.index)
        reviewed = rng.random(6000) < chance
        finding = past["wrong"].astype(float).where(reviewed)
        rate = past["wrong"].mean()
        weighted = ErrorDetector(trees=60).fit(features, finding, inclusion=chance)
        plain = ErrorDetector(trees=60).fit(features, finding)
        assert finding.mean() > 1.5 * rate
        own, other = (d.probability(features_of(new)).mean() for d in (weighted, plain))
        truth = new["wrong"].mean()
        assert own == pytest.approx(truth, abs=0.012)
        assert abs(other - truth) > abs(own - truth)
        assert weighted.out_of_fold_.isna().tolist() == (~reviewed).tolist()

    def test_out_of_fold_probabilities_do_not_see_their_own_finding(self) -> None:
        past = survey(np.random.default_rng(7), 1200)
        noise = pd.DataFrame({"u": np.random.default_rng(8).random(1200)})
        detector = ErrorDetector(trees=60, leaves=31)
        detector.fit(noise, past["wrong"], cluster=past["firm"])
        own = detector.out_of_fold_
        # Out of fold, noise tells nothing: no finding is guessed from it.
        gap = own[past["wrong"]].mean() - own[~past["wrong"]].mean()
        assert abs(gap) < 0.02

    def test_bad_input(self) -> None:
        past = survey(np.random.default_rng(9), 400)
        features, wrong = past[["x", "y"]], past["wrong"].astype(float)
        detector = ErrorDetector(trees=5)
        with pytest.raises(ConfigError, match="was not fitted"):
            detector.probability(features)
        with pytest.raises(ConfigError, match="calibration is 'none'"):
            ErrorDetector(calibration="none").fit(features, wrong)  # type: ignore[arg-type]
        with pytest.raises(ContractError, match="neither right nor wrong"):
            detector.fit(features, wrong.replace(1, 2))
        with pytest.raises(ContractError, match="hold 0 errors"):
            detector.fit(features, wrong * 0)
        with pytest.raises(ContractError, match="399 findings"):
            detector.fit(features, wrong[1:])
        for bad in (0.0, 1.5, NAN):
            with pytest.raises(ContractError, match="Chances of review"):
                detector.fit(features, wrong, inclusion=pd.Series(bad, past.index))
        with pytest.raises(ContractError, match="1 chances"):
            detector.fit(features, wrong, inclusion=pd.Series([1.0]))
        detector.fit(features, wrong)
        with pytest.raises(ConfigError, match="'y' is not in"):
            detector.probability(past[["x"]])
