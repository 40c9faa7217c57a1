from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from mlstats.errors import ConfigError, ContractError, MlstatsError
from mlstats.quality import contributions
from mlstats.quality.contributions import (
    deletion_test,
    score_of,
    token_contributions,
)
from mlstats.quality.design import Design
from mlstats.quality.expert_sheet import (
    SHEET,
    explanation_coverage,
    rating,
    sample_sheet,
)
from mlstats.quality.explain import (
    METHOD_CLASSES,
    method_class,
    permutation_importance,
    rank_stability,
)
from mlstats.quality.scorecard import COLUMNS

TEXTS = ["whole milk", "skimmed milk", "rye bread", "white bread", "milk bread"] * 4
CODES = np.array(["milk", "milk", "bread", "bread", "bread"] * 4, dtype=object)


class Fitted:
    """A bag of words and a logistic regression, as a method reads its table."""

    def __init__(self) -> None:
        self.model = make_pipeline(CountVectorizer(), LogisticRegression())
        self.model.fit(TEXTS, CODES)
        self.classes_ = self.model.classes_
        self.calls = 0


class Words(Fitted):
    """It gives probabilities."""

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        self.calls += 1
        return self.model.predict_proba(X["text"])


class Ranked(Fitted):
    """It gives the same scores as ranked candidates."""

    def predict_top(self, X: pd.DataFrame, k: int) -> tuple[np.ndarray, np.ndarray]:
        proba = self.model.predict_proba(X["text"])
        best = np.argsort(-proba, axis=1)[:, :k]
        return self.classes_[best], np.take_along_axis(proba, best, axis=1)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"text": TEXTS})


# -- importance --------------------------------------------------------------------


def test_column_that_is_not_read_has_importance_zero() -> None:
    X = pd.DataFrame({"a": list("xyxyxyxyxy"), "b": list("ppqqppqqpp")})
    truth = X["a"].to_numpy(dtype=object)
    design = Design.of(np.ones(10))
    table = permutation_importance(
        lambda f: f["a"].to_numpy(dtype=object), X, truth, design, seed=2
    )
    assert table.loc[table["column"] == "b", "importance"].item() == 0
    assert table.loc[0, "importance"] > 0.2
    assert (table["status"] == "measured").all()


def test_shuffles_of_a_column_do_not_depend_on_the_others() -> None:
    X = pd.DataFrame({"a": list("xyxyxyxyxy"), "b": list("ppqqppqqpp")})
    truth = X["a"].to_numpy(dtype=object)
    design = Design.of(np.ones(10))

    def predict(f: pd.DataFrame) -> np.ndarray:
        return f["a"].to_numpy(dtype=object)

    both = permutation_importance(predict, X, truth, design, seed=2)
    alone = permutation_importance(predict, X, truth, design, columns=["a"], seed=2)
    pd.testing.assert_series_equal(both.iloc[0], alone.iloc[0])


def test_bad_requests_name_what_is_right() -> None:
    X = pd.DataFrame({"text": ["a"]})
    design = Design.of(np.ones(1))
    with pytest.raises(ConfigError, match="9 repeats"):
        permutation_importance(
            lambda f: f["text"], X, np.array(["a"]), design, repeats=9
        )
    with pytest.raises(ConfigError) as error:
        permutation_importance(
            lambda f: f["text"], X, np.array(["a"]), design, columns=["txt"]
        )
    assert error.value.nearest == "text"


def test_importance_of_units_without_weight_says_so() -> None:
    X = pd.DataFrame({"a": list("xy")})
    design = Design.of(np.zeros(2))
    truth = X["a"].to_numpy(dtype=object)
    table = permutation_importance(
        lambda f: f["a"].to_numpy(dtype=object), X, truth, design
    )
    assert table.loc[0, "status"] == "not_measured"
    assert np.isnan(table.loc[0, "importance"])
    assert np.isnan(table.loc[0, "sd"])


@pytest.mark.parametrize(
    ("values", "status"),
    [
        (np.ones((1, 5)), "not_applicable"),
        (np.arange(8.0).reshape(4, 2), "not_measured"),
        (np.ones((4, 5)), "not_applicable"),
        (np.array([[1.0, 2, 3], [np.nan, 1, 2]]), "not_measured"),
    ],
)
def test_stability_that_is_not_defined_says_why(
    values: np.ndarray, status: str
) -> None:
    for found in rank_stability(pd.DataFrame(values)):
        assert found.estimate.status == status
        assert found.estimate.note
        assert np.isnan(found.estimate.value)


def test_equal_ranks_claim_no_interval() -> None:
    same = pd.DataFrame(np.tile(np.arange(6.0)[:, None], (1, 10)))
    for found in rank_stability(same, top=3):
        assert found.estimate.value == 1
        assert not found.estimate.has_error


def test_unrelated_ranks_are_shown_to_be_unstable() -> None:
    rng = np.random.default_rng(0)
    found, shared = rank_stability(pd.DataFrame(rng.normal(size=(30, 10))), top=5)
    assert found.estimate.upper < 0.8
    assert shared.estimate.upper < 0.5


# -- contributions -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [Words, Ranked])
def test_score_of_a_stated_code(kind: type) -> None:
    method = Words()
    codes = np.array(["bread", "milk", "fish"], dtype=object)
    X = pd.DataFrame({"text": ["rye bread", "rye bread", "rye bread"]})
    found = score_of(kind())(X, codes)
    wanted = method.predict_proba(X.head(1))[0]
    assert found == pytest.approx([wanted[0], wanted[1], 0.0])


def test_method_without_scores_is_refused() -> None:
    with pytest.raises(ConfigError, match="no score"):
        score_of(object())


def test_all_removals_of_a_block_are_one_call() -> None:
    method = Words()
    score = score_of(method)
    whole = token_contributions(score, frame(), CODES)
    assert method.calls == 1
    parts = token_contributions(score, frame(), CODES, block=7)
    assert method.calls > 3
    pd.testing.assert_frame_equal(whole, parts)


def test_contribution_is_the_drop_of_the_score() -> None:
    method = Words()
    found = token_contributions(score_of(method), frame().head(1), CODES[:1])
    whole = method.predict_proba(pd.DataFrame({"text": ["whole milk"]}))[0]
    without = method.predict_proba(pd.DataFrame({"text": ["whole"]}))[0]
    column = list(method.classes_).index("milk")
    row = found[found["token"] == "milk"].iloc[0]
    assert row["contribution"] == pytest.approx(whole[column] - without[column])


def test_no_text_gives_an_empty_table() -> None:
    X = pd.DataFrame({"text": ["", None]})
    codes = np.array(["milk", "milk"], dtype=object)
    found = token_contributions(score_of(Words()), X, codes)
    assert len(found) == 0
    design = Design.of(np.ones(2))
    tested = deletion_test(score_of(Words()), X, codes, found, design)
    assert tested.estimate.status == "not_applicable"


def test_deletion_blocks_give_the_same_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score, design = score_of(Words()), Design.of(np.ones(len(TEXTS)))
    explained = token_contributions(score, frame(), CODES)
    one = deletion_test(score, frame(), CODES, explained, design, k=1, seed=4)
    monkeypatch.setattr(contributions, "BLOCK", 5)
    two = deletion_test(score, frame(), CODES, explained, design, k=1, seed=4)
    assert one.estimate.value == pytest.approx(two.estimate.value)
    assert one.estimate.lower > 0


# -- experts -----------------------------------------------------------------------


def sheet_of(n: int) -> pd.DataFrame:
    explained = token_contributions(score_of(Words()), frame(), CODES)
    units = pd.DataFrame(
        {"unit": [f"h{i}" for i in range(len(TEXTS))], "code": CODES, "text": TEXTS}
    )
    return sample_sheet(explained, units, n=n, seed=1)


def test_sheet_is_a_seeded_sample_with_empty_answers() -> None:
    sheet = sheet_of(8)
    assert list(sheet.columns) == list(SHEET)
    assert len(sheet) == sheet["unit"].nunique() == 8
    assert (sheet[["plausible", "rater", "remark"]] == "").all().all()
    pd.testing.assert_frame_equal(sheet, sheet_of(8))
    row = sheet.iloc[0]
    assert set(row["text"].split()) == {
        part.split(" ")[0] for part in row["explanation"].split(", ")
    }
    assert len(sheet_of(500)) == len(TEXTS)


def test_rating_counts_what_was_rated() -> None:
    sheet = sheet_of(8)
    sheet["plausible"] = ["yes", "Yes ", "no", "yes", "", "yes", None, "yes"]
    found = rating(sheet).estimate
    assert found.value == pytest.approx(5 / 6)
    assert found.n == 6
    assert found.lower == pytest.approx(0.3588, abs=1e-4)  # binom.test(5, 6) of R
    assert found.note == "2 of 8 explanations not rated"


def test_unrated_sheet_is_not_measured() -> None:
    assert rating(sheet_of(8)).estimate.status == "not_measured"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("plausible", "perhaps", "neither yes nor no"), ("unit", "h0", "more than once")],
)
def test_bad_rating_is_refused_without_content(
    column: str, value: str, said: str
) -> None:
    sheet = sheet_of(4).assign(plausible="yes")
    sheet[column] = value
    with pytest.raises(ContractError, match=said) as error:
        rating(sheet)
    assert value not in str(error.value)
    assert "milk" not in str(error.value)


def test_coverage_counts_automatic_decisions_only() -> None:
    route = np.array(["automatic"] * 30 + ["queue"] * 10)
    explained = np.array([True] * 27 + [False] * 13)
    design = Design.of(np.ones(40))
    found = explanation_coverage(route, explained, design).estimate
    assert found.value == pytest.approx(0.9)
    assert found.n == 30
    assert found.lower < 0.9 < found.upper < 1
    nothing = explanation_coverage(np.array(["queue"] * 40), explained, design)
    assert nothing.estimate.status == "not_applicable"


# -- class -------------------------------------------------------------------------


class Declared:
    method_class = "rule"


class Mistaken:
    method_class = "simple"


class Wrapper:
    def __init__(self, classifier: object) -> None:
        self.classifier = classifier


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Declared(), "rule"),
        (DecisionTreeClassifier(), "tree"),
        (make_pipeline(CountVectorizer(), LogisticRegression()), "linear"),
        (Wrapper(make_pipeline(CountVectorizer(), SVC())), "opaque"),
    ],
)
def test_method_class_by_name_attribute_and_wrapper(method: object, name: str) -> None:
    found = method_class(method).estimate
    assert found.note == name
    assert found.value == METHOD_CLASSES.index(name) + 1
    assert found.lower == found.upper == found.value


def test_unknown_method_is_not_measured() -> None:
    assert method_class(object()).estimate.status == "not_measured"
    with pytest.raises(MlstatsError, match="unknown class"):
        method_class(Mistaken())


def test_row_fits_the_scorecard() -> None:
    row = method_class(Declared()).row(method="index", kind="traditional")
    assert set(row) <= set(COLUMNS)
    assert row["method"] == "index"
