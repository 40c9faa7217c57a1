from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mlstats.coding.classification import Classification
from mlstats.coding.correctness import Checked, CorrectnessModel
from mlstats.errors import SourceError

GOODS = {
    "011": ["bread", "rolls", "rice"],
    "012": ["beef", "sausage", "ham"],
    "021": ["vodka", "gin", "wine"],
}
METHODS: list[dict[str, Any]] = [
    {"use": "mlstats.coding.LinearText"},
    {"use": "mlstats.coding.WeightedIndex"},
]


def products(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    code = rng.choice(list(GOODS), n)
    text = [f"{rng.choice(GOODS[c])} {rng.integers(9)}" for c in code]
    wrong = rng.random(n) < np.where(code == "021", 0.4, 0.05)
    codes = np.where(wrong, rng.permutation(code), code)
    return pd.DataFrame({"text": text, "code": codes})


TRAIN, VALID, TEST = products(300, 1), products(600, 2), products(600, 3)
CODES = Classification.from_frame(
    pd.DataFrame({"code": list(GOODS)}), title=None, digits=[2, 3]
)


def fitted() -> Checked:
    coder = Checked(METHODS, classification=CODES).fit(TRAIN[["text"]], TRAIN["code"])
    return coder.calibrate(VALID[["text"]], VALID["code"])


@pytest.fixture(scope="module")
def coder() -> Checked:
    return fitted()


def test_codes_are_those_of_the_first_method(coder: Checked) -> None:
    X = TEST[["text"]]
    assert coder.predict(X).tolist() == coder.methods_[0].predict(X).tolist()
    strange = pd.DataFrame({"text": ["", None, "x" * 100_000, "🍞", "\x00"]})
    codes, scores = coder.predict_top(strange, 3)
    assert codes[0].tolist() == [None] * 3
    assert np.isfinite(scores).all()


def test_confidence_is_right_in_each_group(coder: Checked) -> None:
    codes, scores = coder.predict_top(TEST[["text"]], 3)
    right = codes[:, 0] == TEST["code"].to_numpy()
    drinks = codes[:, 0] == "021"
    for part in (drinks, ~drinks):
        assert abs(scores[part, 0].mean() - right[part].mean()) < 0.06
    assert scores[drinks, 0].mean() < scores[~drinks, 0].mean() - 0.05


def test_candidates_sum_to_at_most_one(coder: Checked) -> None:
    _, scores = coder.predict_top(TEST[["text"]], 3)
    assert (scores >= 0).all()
    assert (scores.sum(axis=1) <= 1 + 1e-12).all()
    assert (scores[:, 0] == scores.max(axis=1)).all()


def test_a_loaded_model_gives_identical_answers(coder: Checked, tmp_path: Path) -> None:
    coder.save(tmp_path)
    loaded = Checked.load(tmp_path)
    one, other = (c.predict_top(TEST[["text"]]) for c in (coder, loaded))
    assert one[0].tolist() == other[0].tolist()
    np.testing.assert_array_equal(one[1], other[1])
    with pytest.raises(SourceError):
        Checked.load(tmp_path / "0")


def test_known_words_and_texts_need_two_units(coder: Checked) -> None:
    assert "beef" in coder._words
    rows = pd.DataFrame({"text": ["beef", "beef", "zqx ham", "ham", "rice", "rice"]})
    y = pd.Series(["012", "012", "012", "012", "011", "011"])
    groups = pd.Series(["a", "a", "b", "c", "d", "e"])
    checked = Checked(METHODS[:1]).fit(rows, y, groups)
    assert checked._words == {"ham", "rice"}
    assert checked._texts == {"rice"}


def test_the_model_finds_effects_and_shrinks_small_groups() -> None:
    rng = np.random.default_rng(4)
    n = 6000
    evidence = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(2, 5, size=n)})
    group = np.array(["x", "y"], dtype=object)[rng.integers(0, 2, n)]
    group[:3] = "small"
    line = 0.5 + 1.2 * evidence["a"] + np.where(group == "y", -0.8, 0)
    right = rng.random(n) < expit(line)
    model = CorrectnessModel.fit(evidence, np.asarray(right), group)
    effect = np.array(model.weights[1:]) / np.array(model.spread)
    np.testing.assert_allclose(effect, [1.2, 0], atol=0.12)
    assert abs(model.groups["x"] - model.groups["y"] - 0.8) < 0.15
    assert abs(model.groups["small"]) < 0.45
    new = pd.DataFrame({"a": [0.0], "b": [2.0]})
    unknown = model.predict(new, np.array(["never met"], dtype=object))
    np.testing.assert_allclose(unknown, model.predict(new))


def test_where_everything_is_right_the_confidence_stays_below_one() -> None:
    evidence = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    model = CorrectnessModel.fit(evidence, np.ones(3, dtype=bool))
    assert (model.predict(evidence) < 1).all()
