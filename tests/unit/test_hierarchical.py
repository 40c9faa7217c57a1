from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlstats.coding.classification import Classification
from mlstats.coding.hierarchical import HierarchicalText
from mlstats.coding.hierarchy import Hierarchy, LevelCalibration
from mlstats.errors import ConfigError

GOODS = {
    "01": ["food", "groceries"],  # the coder stopped at the division
    "01.1.1": ["bread", "rolls", "rice"],
    "01.1.2": ["beef", "sausage", "ham"],
    "01.2.1": ["coffee", "tea"],
    "02.1.1": ["vodka", "gin"],
    "02.1.2": ["wine", "cider"],
}
BRANDS = ["alba", "norda", "vitae", "solis"]
APPROACHES = ["sums", "siblings"]


def products(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    code = rng.choice(list(GOODS), n)
    text = [f"{rng.choice(BRANDS)} {rng.choice(GOODS[c])}" for c in code]
    wrong = rng.random(n) < 0.1
    codes = np.where(wrong, rng.permutation(code), code)
    return pd.DataFrame({"text": text, "code": codes})


TRAIN, VALID, TEST = products(400, 1), products(3000, 2), products(3000, 3)


def fitted(approach: str, **parameters: Any) -> HierarchicalText:
    coder = HierarchicalText(approach=approach, **{"separator": ".", **parameters})
    coder.fit(TRAIN[["text"]], TRAIN["code"])
    return coder.calibrate(VALID[["text"]], VALID["code"])


@pytest.fixture(scope="module", params=APPROACHES)
def coder(request: pytest.FixtureRequest) -> HierarchicalText:
    return fitted(request.param)


def test_codes_at_every_level(coder: HierarchicalText) -> None:
    X = pd.DataFrame({"text": ["alba BEEF", "Wine", "food", None]})
    codes, chances = coder.predict_levels(X)
    assert coder.hierarchy_.levels == ["1", "2", "3", "full"]
    assert codes[1:3, 0].tolist() == ["02", "01"]
    assert codes[0].tolist() == ["01", "01.1", "01.1.2", "01.1.2"]
    assert codes[3].tolist() == [None] * 4
    assert not chances[3].any()


def test_levels_are_consistent(coder: HierarchicalText) -> None:
    codes, chances = coder.predict_levels(TEST[["text"]])
    coded = chances > 0
    assert (coded == (codes != None)).all()  # noqa: E711
    told = np.where(coded, chances, np.nan)
    for row in told:
        assert (np.diff(row[~np.isnan(row)]) <= 1e-12).all()
    for broad, fine in zip(codes[:, 0], codes[:, 1], strict=True):
        assert fine is None or fine.startswith(broad)


def test_each_level_is_as_often_right_as_it_says(coder: HierarchicalText) -> None:
    codes, chances = coder.predict_levels(TEST[["text"]])
    truth = TEST["code"].to_numpy()
    first = np.array([code[:2] for code in truth])
    assert abs((codes[:, 0] == first).mean() - chances[:, 0].mean()) < 0.03
    assert abs((codes[:, -1] == truth).mean() - chances[:, -1].mean()) < 0.03


def test_probabilities_sum_to_at_most_one(coder: HierarchicalText) -> None:
    proba = coder.predict_proba(TEST[["text"]])
    assert (proba >= 0).all()
    assert (proba.sum(axis=1) <= 1 + 1e-12).all()
    right = coder.predict(TEST[["text"]]) == TEST["code"].to_numpy()
    assert right.mean() > 0.8


def test_siblings_are_products_along_the_path() -> None:
    coder = fitted("siblings")
    scores = coder._scores(TEST[["text"]].head(5))
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("approach", APPROACHES)
def test_a_loaded_model_gives_identical_answers(approach: str, tmp_path: Path) -> None:
    coder = fitted(approach)
    coder.save(tmp_path)
    loaded = HierarchicalText.load(tmp_path)
    for way in ("predict_levels", "predict_top"):
        one, other = (getattr(c, way)(TEST[["text"]]) for c in (coder, loaded))
        assert one[0].tolist() == other[0].tolist()
        np.testing.assert_array_equal(one[1], other[1])


def test_a_classification_says_which_groups_there_are() -> None:
    listed = pd.DataFrame(
        {"code": [*GOODS, "01.1", "01.2", "02.1", "02", "X"], "title": ""}
    )
    parents = {"01.1": "X", "01.2": "01", "02.1": "02", "01": "X"}
    listed["parent"] = [
        parents.get(code, code.rpartition(".")[0] or None) for code in listed["code"]
    ]
    classification = Classification.from_frame(listed)
    coder = fitted("sums", classification=classification, separator=None)
    codes, _ = coder.predict_levels(pd.DataFrame({"text": ["beef"]}))
    assert codes[0].tolist()[:3] == ["X", "01.1", "01.1.2"]


def test_the_levels_have_to_be_known() -> None:
    with pytest.raises(ConfigError, match="levels"):
        HierarchicalText().fit(TRAIN[["text"]], TRAIN["code"])
    with pytest.raises(ConfigError, match="approach"):
        HierarchicalText(approach="sum", separator=".").fit(
            TRAIN[["text"]], TRAIN["code"]
        )


def test_sums_and_descent_by_hand() -> None:
    classes = np.array(["1", "11", "12", "21"], dtype=object)
    hierarchy = Hierarchy.of(classes, None, digits=[1, 2])
    chances = np.array([[0.1, 0.25, 0.2, 0.4], [0.5, 0.2, 0.0, 0.1]])
    np.testing.assert_allclose(hierarchy.sums(chances, 0), [[0.55, 0.4], [0.7, 0.1]])
    codes, told = hierarchy.descend(chances)
    # The most probable code is 21, but it lies outside the more probable group.
    assert codes.tolist() == [["1", "11", "11"], ["1", None, "1"]]
    np.testing.assert_allclose(told, [[0.55, 0.25, 0.25], [0.7, 0, 0.5]])
    mixed = np.array(["1", "1.1", "2.1"], dtype=object)
    hierarchy = Hierarchy.of(mixed, None, separator=".")
    codes, told = hierarchy.descend(np.array([[0.5, 0.2, 0.3], [0.3, 0.4, 0.3]]))
    assert codes.tolist() == [["1", None, "1"], ["1", "1.1", "1.1"]]
    np.testing.assert_allclose(told, [[0.7, 0, 0.5], [0.7, 0.4, 0.4]])


def test_level_calibration_moves_to_what_is_right() -> None:
    rng = np.random.default_rng(3)
    told = np.column_stack([np.full(2000, 0.9), np.full(2000, 0.8)])
    right = np.empty((2000, 2), dtype=object)
    right[:, 0] = rng.random(2000) < 0.7
    right[:, 1] = None
    fitted = LevelCalibration.fit(told, right)
    applied = fitted.apply(told)
    np.testing.assert_allclose(applied[:, 0], 0.7, atol=0.03)
    assert (applied[:, 1] <= applied[:, 0]).all()  # not judged, but never above
