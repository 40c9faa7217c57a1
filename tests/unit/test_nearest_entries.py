"""Parameters, files and merged dictionaries of the neighbour and fuzzy methods."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.base import clone

from mlstats.coding import FuzzyIndex, GweonNeighbour, MemoryBasedReasoning
from mlstats.errors import ConfigError, MethodError
from mlstats.method import predict_top

ALL = pytest.mark.parametrize("cls", [GweonNeighbour, MemoryBasedReasoning, FuzzyIndex])
TRAIN = pd.DataFrame({"text": ["whole milk", "rye bread", "oat drink"]})
CODES = ["0114", "0111", "0122"]


def new(*texts: str | None) -> pd.DataFrame:
    return pd.DataFrame({"text": pd.Series(texts, dtype=object)})


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (GweonNeighbour, {"multiplier": -1}),
        (MemoryBasedReasoning, {"neighbours": 0}),
        (MemoryBasedReasoning, {"most_words": 65}),
        (FuzzyIndex, {"scorer": "rato"}),
        (FuzzyIndex, {"min_score": 101}),
        (FuzzyIndex, {"most_characters": 0}),
        (FuzzyIndex, {"training": False}),
    ],
)
def test_parameters_are_checked(cls: Any, parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        cls(**parameters).fit(TRAIN, CODES)


@ALL
def test_saved_and_loaded_methods_answer_the_same(cls: Any, tmp_path: Path) -> None:
    method = clone(cls()).fit(TRAIN, CODES)
    method.save(tmp_path)
    texts = new("milk, whole", "rye breda", None, "zzz")
    for before, after in zip(
        method.predict_top(texts, 2),
        cls.load(tmp_path).predict_top(texts, 2),
        strict=True,
    ):
        assert before.tolist() == after.tolist()


@ALL
def test_the_index_and_the_answers_are_one_dictionary(cls: Any, tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    path.write_text("text,code\nbutter,0115\n", encoding="utf-8")
    merged = cls(index=path).fit(TRAIN, CODES)
    texts = new("butter", "rye bread")
    assert merged.predict(texts).tolist() == ["0115", "0111"]
    assert "'butter' of the index" in merged.explain(texts)["reason"].iloc[0]
    listed = cls(index=path, training=False).fit(TRAIN)
    assert listed.predict(texts).tolist() == ["0115", None]


@ALL
def test_small_weights_of_the_index_still_make_neighbours(
    cls: Any, tmp_path: Path
) -> None:
    path = tmp_path / "index.csv"
    path.write_text("text,code\nmilk,1\nwhole milk,2\n", encoding="utf-8")
    method = cls(index=path, index_weight=0.01).fit(TRAIN, CODES)
    assert method.predict(new("whole milk")).tolist() == ["0114"]


@ALL
def test_no_rows_are_no_trouble(cls: Any) -> None:
    method = cls().fit(TRAIN, CODES)
    codes, scores = method.predict_top(new(), 3)
    assert codes.shape == scores.shape == (0, 3)
    assert len(method.explain(new())) == 0
    assert predict_top(method, new("whole milk"), 2)[0].tolist() == [["0114", None]]


@pytest.mark.parametrize(
    "scorer",
    [
        "damerau_levenshtein",
        "jaro_winkler",
        "ratio",
        "token_set_ratio",
        "token_sort_ratio",
    ],
)
def test_fuzzy_scorers(scorer: str) -> None:
    method = FuzzyIndex(scorer=scorer, min_score=70).fit(TRAIN, CODES)
    codes, scores = method.predict_top(new("whole mikl", "whole milk", "", None), 1)
    assert codes[:, 0].tolist() == ["0114", "0114", None, None]
    assert 0.7 <= scores[0, 0] < scores[1, 0] == 1
    told = method.explain(new("whole mikl"))
    assert told["outcome"].tolist() == ["unique"]
    assert f"(1 units), {scorer} " in told["reason"].iloc[0]


def test_fuzzy_looks_at_the_beginning_of_long_texts() -> None:
    method = FuzzyIndex(most_characters=5).fit(TRAIN, CODES)
    assert method.predict(new("whole xxxx")).tolist() == ["0114"]


def test_fuzzy_tells_that_a_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    method = FuzzyIndex().fit(TRAIN, CODES)
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    with pytest.raises(MethodError, match="rapidfuzz"):
        method.predict(new("milk"))
