from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.coding import stacked
from mlstats.coding.stacked import Stacked
from mlstats.errors import ConfigError, SourceError

GOODS = {
    "0111": ["bread", "rolls", "rye flour", "rice"],
    "0112": ["beef", "sausage", "ham", "minced meat"],
    "0114": ["milk", "yoghurt", "cheese", "eggs"],
}
BRANDS = ["alba", "norda", "vitae", "solis"]
METHODS: list[dict[str, Any]] = [
    {"use": "mlstats.coding.WeightedIndex"},
    {"use": "mlstats.coding.LinearText", "params": {"word_ngrams": 1}},
    {"use": "sklearn.naive_bayes.MultinomialNB"},
]


def products(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    code = rng.choice(list(GOODS), n)
    text = [f"{rng.choice(BRANDS)} {rng.choice(GOODS[c])}" for c in code]
    wrong = rng.random(n) < 0.1
    return pd.DataFrame(
        {
            "text": text,
            "code": np.where(wrong, rng.permutation(code), code),
            "household": rng.integers(0, n // 4, n).astype(str),
        }
    )


TRAIN, VALID, TEST = products(200, 1), products(150, 2), products(100, 3)


def fitted(methods: list[dict[str, Any]] = METHODS, **parameters: Any) -> Stacked:
    coder = Stacked(methods, **parameters)
    coder.fit(TRAIN[["text"]], TRAIN["code"], TRAIN["household"])
    return coder.calibrate(VALID[["text"]], VALID["code"])


@pytest.fixture(scope="module")
def coder() -> Stacked:
    return fitted()


def test_learns_the_codes(coder: Stacked) -> None:
    X = pd.DataFrame({"text": ["alba BEEF", "Cheese!", "rice", None, "?"]})
    assert coder.predict(X).tolist() == ["0112", "0114", "0111", None, None]
    assert coder.classes_.tolist() == sorted(GOODS)
    right = coder.predict(TEST[["text"]]) == TEST["code"].to_numpy()
    assert right.mean() > 0.85


def test_probabilities_are_those_of_a_ranking(coder: Stacked) -> None:
    codes, scores = coder.predict_top(TEST[["text"]], 3)
    proba = coder.predict_proba(TEST[["text"]])
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (proba.sum(axis=1) <= 1 + 1e-12).all()
    assert (scores[:, 0] == proba.max(axis=1)).all()
    assert codes[:, 0].tolist() == coder.predict(TEST[["text"]]).tolist()


def test_a_useless_method_is_not_believed() -> None:
    useless = {
        "use": "sklearn.dummy.DummyClassifier",
        "params": {"strategy": "constant", "constant": "0111"},
    }
    coder = fitted([useless, METHODS[1]])
    right = coder.predict(TEST[["text"]]) == TEST["code"].to_numpy()
    assert right.mean() > 0.85


def test_no_candidate_comes_from_a_model_that_saw_its_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned: list[set[str]] = []
    asked: list[set[str]] = []
    fit_method, predict_top = stacked.fit_method, stacked.predict_top

    def fit(method: Any, X: pd.DataFrame, *rest: Any) -> Any:
        learned.append(set(X["mark"]))
        return fit_method(method, X, *rest)

    def ask(method: Any, X: pd.DataFrame, k: int) -> Any:
        asked.append(set(X["mark"]))
        return predict_top(method, X, k)

    monkeypatch.setattr(stacked, "fit_method", fit)
    monkeypatch.setattr(stacked, "predict_top", ask)
    methods = [{"use": m["use"], "params": {"covariates": "ignore"}} for m in METHODS]
    X = TRAIN[["text"]].assign(mark=TRAIN["household"])
    Stacked([methods[1]], folds=3).fit(X, TRAIN["code"], TRAIN["household"])
    assert len(learned) == 4  # all rows, then without each part
    assert len(asked) == 3
    for before, after in zip(learned[1:], asked, strict=True):
        assert not before & after
        assert before | after == learned[0]


def test_the_same_seed_gives_the_same_answers(coder: Stacked) -> None:
    again = fitted()
    np.testing.assert_array_equal(again.weights_, coder.weights_)
    one, other = (c.predict_proba(TEST[["text"]]) for c in (coder, again))
    np.testing.assert_array_equal(one, other)


def test_a_loaded_model_gives_identical_answers(coder: Stacked, tmp_path: Path) -> None:
    coder.save(tmp_path)
    loaded = Stacked.load(tmp_path)
    one, other = (c.predict_top(TEST[["text"]]) for c in (coder, loaded))
    assert one[0].tolist() == other[0].tolist()
    np.testing.assert_array_equal(one[1], other[1])


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        Stacked.load(tmp_path)


@pytest.mark.parametrize(
    "methods",
    [[], "mlstats.coding.LinearText", [{"params": {}}], [{"use": "a.B", "more": 1}]],
)
def test_a_list_of_methods_is_expected(methods: Any) -> None:
    with pytest.raises(ConfigError):
        Stacked(methods).fit(TRAIN[["text"]], TRAIN["code"])


def test_parameters_are_checked() -> None:
    for wrong in ({"folds": 1}, {"candidates": 0}):
        with pytest.raises(ConfigError):
            Stacked(METHODS, **wrong).fit(TRAIN[["text"]], TRAIN["code"])


def test_conditional_logit_finds_the_weights() -> None:
    rng = np.random.default_rng(5)
    n, k, true = 4000, 4, np.array([1.5, 0, 0.8, -0.7])
    z = rng.normal(size=(n, k, 4))
    truth = (z @ true + rng.gumbel(size=(n, k))).argmax(axis=1)
    row, code = np.divmod(np.arange(n * k), k)
    table = stacked._Table(row, code, z.reshape(-1, 4), n)
    found = stacked._conditional_logit(table, truth)
    np.testing.assert_allclose(found, true, atol=0.1)
