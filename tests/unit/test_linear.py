from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mlstats.coding import coder as coder_module
from mlstats.coding.calibration import Calibration
from mlstats.coding.estimator import SklearnText
from mlstats.coding.linear import LinearText, TextFeatures
from mlstats.errors import ConfigError, MethodError, SourceError

GOODS = {
    "0111": ["bread", "rolls", "rye flour", "rice"],
    "0112": ["beef", "sausage", "ham", "minced meat"],
    "0114": ["milk", "yoghurt", "cheese", "eggs"],
    "0117": ["carrots", "tomato", "potatoes", "onion"],
}
BRANDS = ["alba", "norda", "vitae", "solis", "own brand"]


def products(n: int, seed: int, swapped: float = 0.1) -> pd.DataFrame:
    """Return texts, codes (a share of them wrong), shops and households."""
    rng = np.random.default_rng(seed)
    code = rng.choice(list(GOODS), n)
    words = [
        f"{rng.choice(BRANDS)} {rng.choice(GOODS[c])} {rng.integers(1, 9) * 100}g"
        for c in code
    ]
    wrong = rng.random(n) < swapped
    return pd.DataFrame(
        {
            "text": words,
            "shop": np.where(code == "0112", "butcher", "market"),
            "code": np.where(wrong, rng.permutation(code), code),
            "household": rng.integers(0, n // 5, n).astype(str),
        }
    )


TRAIN, VALID, TEST = products(240, 1), products(300, 2), products(400, 3)


def frame(*texts: str | None) -> pd.DataFrame:
    return pd.DataFrame({"text": pd.Series(texts, dtype=object)})


def fitted(**parameters: Any) -> LinearText:
    coder = LinearText(**parameters).fit(TRAIN[["text"]], TRAIN["code"])
    return coder.calibrate(VALID[["text"]], VALID["code"])


@pytest.fixture(scope="module")
def coder() -> LinearText:
    return fitted()


# Codes


def test_learns_the_codes(coder: LinearText) -> None:
    X = frame("Alba BEEF", "cheese!", "Tomatoes")
    assert coder.predict(X).tolist() == ["0112", "0114", "0117"]
    assert coder.classes_.tolist() == sorted(GOODS)


def test_candidates_are_the_best_codes_in_order(coder: LinearText) -> None:
    codes, scores = coder.predict_top(TEST[["text"]], k=3)
    chances = coder.predict_proba(TEST[["text"]])
    assert codes.shape == scores.shape == (400, 3)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert codes[:, 0].tolist() == coder.predict(TEST[["text"]]).tolist()
    ranked = -np.sort(-chances, axis=1)[:, :3]
    np.testing.assert_array_equal(scores, ranked)


def test_fewer_codes_than_candidates(coder: LinearText) -> None:
    codes, scores = coder.predict_top(frame("beef"), k=6)
    assert codes[0, 4:].tolist() == [None, None]
    assert scores[0, 4:].tolist() == [0, 0]
    assert set(codes[0, :4]) == set(GOODS)


@pytest.mark.parametrize("text", [None, "", " ", "?!", "\n", float("nan")])
def test_a_text_without_a_word_is_never_coded(
    coder: LinearText, text: str | None
) -> None:
    X = pd.DataFrame({"text": pd.Series(["beef", text], dtype=object)})
    codes, scores = coder.predict_top(X)
    assert coder.predict(X).tolist() == ["0112", None]
    assert codes[1].tolist() == [None] * 5
    assert not scores[1].any()
    assert not coder.predict_proba(X)[1].any()


def test_rows_without_text_or_code_are_passed_over() -> None:
    more = pd.DataFrame(
        {"text": ["?", None, "beef", "beef"], "code": ["9", "9", None, ""]}
    )
    both = pd.concat([TRAIN[["text", "code"]], more], ignore_index=True)
    coder = LinearText().fit(both[["text"]], both["code"])
    clean = LinearText().fit(TRAIN[["text"]], TRAIN["code"])
    np.testing.assert_array_equal(coder.coef_, clean.coef_)
    coder.calibrate(more[["text"]], more["code"])  # no row is left
    assert coder.predict_proba(frame("beef")).max() < 1


def test_no_rows_give_no_answers(coder: LinearText) -> None:
    codes, scores = coder.predict_top(frame())
    assert codes.shape == scores.shape == (0, 5)
    assert coder.predict(frame()).shape == (0,)


def test_an_unknown_text_is_coded_with_little_confidence(coder: LinearText) -> None:
    known, unknown = coder.predict_top(frame("alba ham 100g", "qqqq"))[1][:, 0]
    assert unknown < known


def test_a_class_with_one_row_and_two_classes() -> None:
    texts = ["beef", "beef ham", "ham", "milk"]
    y = pd.Series(["0112", "0112", "0112", "0114"])
    coder = LinearText(min_units=1).fit(frame(*texts), y)
    assert coder.predict(frame("milk", "ham")).tolist() == ["0114", "0112"]
    assert coder.predict_proba(frame("milk")).shape == (1, 2)


def test_one_code_is_refused() -> None:
    with pytest.raises(MethodError, match="1 codes"):
        LinearText().fit(frame("a", "b"), pd.Series(["1", "1"]))


def test_a_calibration_row_of_an_unknown_code() -> None:
    coder = LinearText().fit(TRAIN[["text"]], TRAIN["code"])
    coder.calibrate(frame("beef", "milk"), pd.Series(["0112", "unknown"]))
    only_unknown = LinearText().fit(TRAIN[["text"]], TRAIN["code"])
    only_unknown.calibrate(frame("beef"), pd.Series(["unknown"]))
    for calibrated in (coder, only_unknown):
        assert np.isfinite(calibrated.predict_proba(frame("beef"))).all()


def test_the_same_seed_gives_the_same_model() -> None:
    np.testing.assert_array_equal(fitted().coef_, fitted().coef_)


def test_a_missing_text_column_is_named() -> None:
    with pytest.raises(MethodError, match="no column 'text'"):
        LinearText().fit(pd.DataFrame({"texts": ["a"]}), pd.Series(["1"]))


def test_parameters_are_checked() -> None:
    for wrong in (
        {"covariates": "token"},
        {"min_units": 0},
        {"word_ngrams": -1},
        {"bands": 1},
        {"min_characters": 4, "max_characters": 3},
    ):
        with pytest.raises(ConfigError):
            LinearText(**wrong).fit(TRAIN[["text"]], TRAIN["code"])  # type: ignore[arg-type]


def test_blocks_do_not_change_answers(coder: LinearText) -> None:
    whole = coder.predict_top(TEST[["text"]])
    with patch.object(coder_module, "_BLOCK_CELLS", 40):
        parts = coder.predict_top(TEST[["text"]])
    assert whole[0].tolist() == parts[0].tolist()
    np.testing.assert_allclose(whole[1], parts[1], rtol=0, atol=1e-12)


# Confidentiality


def vocabulary(coder: LinearText | SklearnText) -> set[str]:
    return {name for names in coder.features_.names_.values() for name in names}


def with_name(households: list[str | None]) -> tuple[pd.DataFrame, pd.Series]:
    planted = pd.DataFrame(
        {
            "text": ["zqxwvu beef"] * len(households),
            "shop": ["zqxwvu shop"] * len(households),
            "code": "0112",
            "household": households,
        }
    )
    rows = pd.concat([TRAIN, planted], ignore_index=True)
    return rows, rows["household"]


@pytest.mark.parametrize(
    ("households", "there"),
    [(["a"], False), (["a"] * 5, False), (["a", "b"], True), ([None, None], True)],
)
def test_a_term_needs_two_clusters(households: list[str | None], there: bool) -> None:
    rows, groups = with_name(households)
    coder = LinearText().fit(rows[["text", "shop"]], rows["code"], groups)
    assert any("zqx" in name for name in vocabulary(coder)) is there
    assert any("wvu" in name for name in vocabulary(coder)) is there


def test_a_term_needs_two_units_where_there_are_no_clusters(tmp_path: Path) -> None:
    rows, _ = with_name(["a"])
    coder = LinearText().fit(rows[["text", "shop"]], rows["code"])
    coder.save(tmp_path)
    for path in tmp_path.iterdir():
        assert b"zqx" not in path.read_bytes()
    rows, _ = with_name(["a", "a"])
    coder = LinearText().fit(rows[["text", "shop"]], rows["code"])
    assert {"zqxwvu", "zqxwvu beef", " zqx"} <= vocabulary(coder)


def test_min_units_can_be_raised() -> None:
    rows, groups = with_name(["a", "b", "c"])
    for least, there in ((3, True), (4, False)):
        coder = LinearText(min_units=least)
        coder.fit(rows[["text"]], rows["code"], groups)
        assert ("zqxwvu" in vocabulary(coder)) is there


def test_no_common_term_is_refused() -> None:
    with pytest.raises(MethodError, match="No term"):
        LinearText().fit(frame("ab", "cd"), pd.Series(["1", "2"]))


# Covariates


def test_covariates_are_used_unless_ignored() -> None:
    rows = pd.DataFrame({"text": ["item"] * 8, "shop": ["fish", "wine"] * 4})
    y = pd.Series(["0113", "0212"] * 4)
    coder = LinearText().fit(rows, y)
    assert coder.predict(rows[:2]).tolist() == ["0113", "0212"]
    ignoring = LinearText(covariates="ignore").fit(rows, y)
    assert len(set(ignoring.predict(rows[:2]))) == 1
    assert ignoring.predict(rows[["text"]])[0] is not None


def test_missing_numeric_and_new_covariate_values() -> None:
    rows = TRAIN[["text"]].assign(size=1.5, many=pd.Series([None, "x"] * 120))
    coder = LinearText().fit(rows, TRAIN["code"])
    names = coder.features_.names_["covariates"].tolist()
    assert names == ["many=x", "size=1.5"]
    new = frame("beef").assign(size=None, many="never seen")
    assert coder.predict(new).tolist() == ["0112"]


def test_an_amount_is_put_into_bands(tmp_path: Path) -> None:
    amount = np.arange(40.0)
    rows = pd.DataFrame({"text": ["item"] * 40, "amount": amount})
    y = pd.Series(np.where(amount < 20, "0111", "0931"))
    coder = LinearText(bands=4).fit(rows, y)
    names = coder.features_.names_["covariates"].tolist()
    ends = ["to 9.75", "9.75 to 19.5", "19.5 to 29.25", "from 29.25"]
    assert sorted(names) == sorted(f"amount {end}" for end in ends)
    new = pd.DataFrame({"text": ["item"] * 3, "amount": [-5.0, 19.0, 1e9]})
    assert coder.predict(new).tolist() == ["0111", "0111", "0931"]
    coder.save(tmp_path)
    assert LinearText.load(tmp_path).predict(new).tolist() == ["0111", "0111", "0931"]
    with pytest.raises(MethodError, match="no number"):
        coder.predict(new.assign(amount="much"))


def test_a_covariate_counts_as_heavily_as_it_is_told() -> None:
    rows = TRAIN[["text", "shop"]]
    heavy = TextFeatures(covariate_weight=3).fit_transform(rows)
    light = TextFeatures().fit_transform(rows)
    shops = [-2, -1]
    np.testing.assert_allclose(heavy[:, shops].toarray(), 3 * light[:, shops].toarray())


def test_sublinear_counts() -> None:
    X = frame("ham ham ham beef", "ham beef")
    plain = TextFeatures(min_units=1, word_ngrams=1).fit(X)
    damped = TextFeatures(min_units=1, word_ngrams=1, sublinear=True).fit(X)
    words = plain.blocks(X)["words"].counts.toarray()
    peer = TfidfVectorizer(sublinear_tf=True).fit_transform(X["text"]).toarray()
    np.testing.assert_allclose(damped.blocks(X)["words"].counts.toarray(), peer)
    assert not np.allclose(words, peer)


def test_no_word_terms_in_a_script_without_blanks() -> None:
    X = frame("牛乳を買う", "牛乳", "食パン、買う", "食パン")
    y = pd.Series(["0114", "0114", "0111", "0111"])
    coder = LinearText(min_units=1, word_ngrams=0, min_characters=1).fit(X, y)
    assert len(coder.features_.names_["words"]) == 0
    assert coder.predict(frame("安い牛乳", "食パン")).tolist() == ["0114", "0111"]


def test_the_entries_of_an_index_are_training_rows(tmp_path: Path) -> None:
    index = tmp_path / "index.csv"
    index.write_text("text,code\nsaffron,0119\nsaffron threads,0119\n,0119\n")
    coder = LinearText(index=index, index_weight=1.0)
    coder.fit(TRAIN[["text", "shop"]], TRAIN["code"], TRAIN["household"])
    assert coder.predict(frame("saffron").assign(shop=None)).tolist() == ["0119"]
    coder.save(tmp_path)
    assert LinearText.load(tmp_path).index == str(index)
    with pytest.raises(ConfigError, match="index_weight"):
        LinearText(index=index, index_weight=0).fit(TRAIN[["text"]], TRAIN["code"])


def test_repeated_rows_are_learned_once_with_their_weight() -> None:
    rows = pd.concat([TRAIN] * 3, ignore_index=True)
    once = plain_pipeline(C=0.9).fit(TRAIN["text"], TRAIN["code"])
    coder = LinearText(min_units=6).fit(rows[["text"]], rows["code"])
    scores = coder._scores(TEST[["text"]])
    np.testing.assert_allclose(scores, once.decision_function(TEST["text"]), atol=0.05)


def test_a_covariate_that_is_not_there_is_named() -> None:
    coder = LinearText().fit(TRAIN[["text", "shop"]], TRAIN["code"])
    with pytest.raises(MethodError, match="'shop'"):
        coder.predict(frame("beef"))


# Against scikit-learn


def plain_pipeline(C: float) -> Pipeline:
    words = TfidfVectorizer(
        ngram_range=(1, 2), token_pattern=r"\S+", lowercase=False, min_df=2
    )
    characters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), lowercase=False, min_df=2
    )
    features = FeatureUnion(
        [("words", words), ("characters", characters)],
        transformer_weights={"words": 1.0, "characters": 2.0},
    )
    machine = LinearSVC(C=C, random_state=0)
    return Pipeline([("features", features), ("machine", machine)])


def test_scores_and_codes_are_those_of_the_plain_pipeline(coder: LinearText) -> None:
    peer = plain_pipeline(C=0.3).fit(TRAIN["text"], TRAIN["code"])
    mine = coder._scores(TEST[["text"]])
    expected = peer.decision_function(TEST["text"])
    np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-5)
    assert coder.predict(TEST[["text"]]).tolist() == peer.predict(TEST["text"]).tolist()


# Calibration


def outcomes(n: int = 4000, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities of four codes and truths drawn from them."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, 4))
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    gumbel = logs + rng.gumbel(size=logs.shape)
    return logs, gumbel.argmax(axis=1)


def test_finds_the_temperature_and_leaves_true_probabilities_alone() -> None:
    logs, truth = outcomes()
    found = Calibration.fit(logs / 5, truth)
    assert found.temperature == pytest.approx(5, rel=0.1)
    chances = found.probabilities(logs / 5)
    best = logs.argmax(axis=1)
    mine, true = chances.max(axis=1), np.exp(logs.max(axis=1))
    assert np.abs(mine - true).mean() < 0.02
    assert mine.mean() == pytest.approx((best == truth).mean(), abs=0.01)


def test_default_calibration_is_the_softmax() -> None:
    logs, _ = outcomes(50)
    np.testing.assert_allclose(
        Calibration().probabilities(logs + 3), np.exp(logs), rtol=1e-12
    )


def test_calibration_improves_on_real_errors(coder: LinearText) -> None:
    chances = coder.predict_top(TEST[["text"]], 1)[1][:, 0]
    right = coder.predict(TEST[["text"]]) == TEST["code"]
    assert chances.mean() == pytest.approx(right.mean(), abs=0.05)


@pytest.mark.parametrize("right", [True, False])
def test_calibration_where_every_row_is_right_or_none(right: bool) -> None:
    scores = np.tile([1.0, 0.0, -1.0], (20, 1))
    truth = np.full(20, 0 if right else 2)
    top = Calibration.fit(scores, truth).probabilities(scores)[0, 0]
    assert np.isfinite(top)
    assert (top > 0.9) if right else (top < 0.1)


def test_scores_far_apart_and_equal_scores() -> None:
    scores = np.array([[1e5, 0.0, -1e5], [2.0, 2.0, 2.0]])
    chances = Calibration().probabilities(scores)
    np.testing.assert_allclose(chances[0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(chances[1], 1 / 3)
    best, _ = Calibration().ranked(scores, 3)
    assert best.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_without_calibrate_a_part_of_the_training_rows_is_held_out() -> None:
    coder = LinearText().fit(TRAIN[["text"]], TRAIN["code"], TRAIN["household"])
    weights = coder.coef_.copy()
    chances = coder.predict_top(TEST[["text"]], 1)[1][:, 0]
    right = coder.predict(TEST[["text"]]) == TEST["code"]
    assert coder._calibration != Calibration()
    assert chances.mean() == pytest.approx(right.mean(), abs=0.08)
    np.testing.assert_array_equal(coder.coef_, weights)
    assert coder._training is None  # the rows are not kept longer than needed


def test_too_few_rows_to_hold_out_leave_the_softmax() -> None:
    coder = LinearText(min_units=1).fit(frame("ab", "cd"), pd.Series(["1", "2"]))
    assert coder.predict_proba(frame("ab")).sum() == pytest.approx(1)


# Files


def test_a_loaded_model_gives_identical_answers(tmp_path: Path) -> None:
    X = TRAIN[["text", "shop"]]
    coder = LinearText(random_state=3).fit(X, TRAIN["code"], TRAIN["household"])
    coder.calibrate(VALID[["text", "shop"]], VALID["code"]).save(tmp_path)
    loaded = LinearText.load(tmp_path)
    assert loaded.get_params() == coder.get_params()
    new = TEST[["text", "shop"]]
    for mine, other in zip(
        coder.predict_top(new), loaded.predict_top(new), strict=True
    ):
        assert mine.tolist() == other.tolist()
    with np.load(tmp_path / "linear.npz", allow_pickle=False) as weights:
        assert sorted(weights) == ["coef", "intercept"]


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        LinearText.load(tmp_path)
    with pytest.raises(SourceError):
        SklearnText.load(tmp_path)
    fitted().save(tmp_path)
    (tmp_path / "linear.npz").write_bytes(b"PK broken")
    with pytest.raises(SourceError):
        LinearText.load(tmp_path)


# Any classifier of scikit-learn


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(C=10),
        RidgeClassifier(),
        NearestCentroid(),
        DecisionTreeClassifier(random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_any_classifier(estimator: Any, tmp_path: Path) -> None:
    coder = SklearnText(estimator).fit(TRAIN[["text"]], TRAIN["code"])
    coder.calibrate(VALID[["text"]], VALID["code"])
    assert coder.predict(frame("alba beef", "...")).tolist() == ["0112", None]
    coder.save(tmp_path)
    loaded = SklearnText.load(tmp_path)
    for mine, other in zip(
        coder.predict_top(TEST[["text"]]),
        loaded.predict_top(TEST[["text"]]),
        strict=True,
    ):
        assert mine.tolist() == other.tolist()
    assert not hasattr(estimator, "classes_")  # the given one stays as it was


def test_two_codes_by_decision_function() -> None:
    two = TRAIN[TRAIN["code"].isin(["0112", "0114"])].reset_index(drop=True)
    coder = SklearnText(LinearSVC(random_state=0)).fit(two[["text"]], two["code"])
    assert coder.predict(frame("beef", "milk")).tolist() == ["0112", "0114"]


def test_a_classifier_that_cannot_learn_from_this() -> None:
    with pytest.raises(MethodError, match="GaussianNB failed with TypeError"):
        SklearnText(GaussianNB()).fit(TRAIN[["text"]], TRAIN["code"])


class HomeMade(DummyClassifier):  # type: ignore[misc]
    """A classifier whose type nobody has agreed to trust."""


def test_a_strange_type_is_named_and_not_saved(tmp_path: Path) -> None:
    coder = SklearnText(HomeMade()).fit(TRAIN[["text"]], TRAIN["code"])
    with pytest.raises(ConfigError, match=r"test_linear\.HomeMade"):
        coder.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_strange_type_is_not_loaded(tmp_path: Path) -> None:
    import skops.io

    coder = SklearnText(DummyClassifier()).fit(TRAIN[["text"]], TRAIN["code"])
    coder.save(tmp_path)
    skops.io.dump(HomeMade().fit([[0]], ["1"]), tmp_path / "estimator.skops")
    with pytest.raises(ConfigError, match="HomeMade"):
        SklearnText.load(tmp_path)


def test_features_stand_alone(tmp_path: Path) -> None:
    features = TextFeatures()
    matrix = features.fit_transform(TRAIN[["text", "shop"]])
    assert matrix.shape == (240, sum(map(len, features.names_.values())))
    state = json.loads(json.dumps(features.to_dict()))
    again = TextFeatures.from_dict(state).transform(TRAIN[["text", "shop"]])
    np.testing.assert_array_equal(matrix.toarray(), again.toarray())
