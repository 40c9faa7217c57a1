"""Index and coded answers as one dictionary, and the reasons that clerks see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlstats.coding.matching import ExactIndex, WeightedIndex
from mlstats.errors import ConfigError

ANSWERS = pd.DataFrame(
    [("Milk", "2")] * 3 + [("secret respondent", "3")] * 2 + [("rare answer", "4")],
    columns=["text", "code"],
)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "index.csv"
    path.write_text("text,code\nmilk,1\nwhite bread,5\n", encoding="utf-8")
    return path


def fitted(cls: Any, index: Path | None, **parameters: Any) -> Any:
    return cls(index, **parameters).fit(ANSWERS[["text"]], ANSWERS["code"])


def new(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"text": list(texts)})


def test_counts_are_merged(index: Path) -> None:
    match = fitted(ExactIndex, index, on_multiple="frequency")
    codes, scores = match.predict_top(new("milk"), 2)
    assert codes.tolist() == [["2", "1"]]
    assert scores.tolist() == [[0.75, 0.25]]


def test_an_entry_of_the_index_can_weigh_more(index: Path) -> None:
    match = fitted(ExactIndex, index, on_multiple="frequency", index_weight=6)
    codes, scores = match.predict_top(new("milk"), 2)
    assert codes.tolist() == [["1", "2"]]
    assert scores[0, 0] == pytest.approx(6 / 9)


def test_the_index_may_have_the_last_word(index: Path) -> None:
    match = fitted(ExactIndex, index, priority="index")
    texts = new("milk", "secret respondent")
    assert match.predict(texts).tolist() == ["1", "3"]
    assert match.outcome(texts).tolist() == ["unique", "unique"]


def test_entries_of_few_units_are_dropped_unless_listed(index: Path) -> None:
    match = fitted(ExactIndex, index, entry_units=2)
    texts = new("rare answer", "secret respondent", "white bread")
    assert match.predict(texts).tolist() == [None, "3", "5"]


@pytest.mark.parametrize(
    "parameters",
    [{"priority": "idnex"}, {"index_weight": 0}, {"entry_units": 0}],
)
def test_parameters_are_checked(index: Path, parameters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        fitted(ExactIndex, index, **parameters)


def test_reasons_quote_the_index_and_never_a_respondent(index: Path) -> None:
    texts = new("white bread", "secret respondent", "milk", "cheese")
    told = fitted(ExactIndex, index).explain(texts)
    assert told["code"].tolist() == ["5", "3", None, None]
    assert told["outcome"].tolist() == ["unique", "unique", "multiple", "none"]
    assert told["reason"].iloc[0] == (
        "5: entry 'white bread' of the index, 100% of the entries of this text"
    )
    assert "training rows (2 units)" in told["reason"].iloc[1]
    assert "secret" not in "".join(told["reason"])
    assert "next 1, 25%" in told["reason"].iloc[2]
    assert told["reason"].iloc[3] == "no entry of the dictionary fits"
    assert told["entry"].iloc[3] == -1


def test_reasons_of_the_weighted_match(index: Path) -> None:
    texts = new("bread white", "white cheese", "rare respondent", "zzz")
    told = fitted(WeightedIndex, index, upper=8, lower=2).explain(texts)
    assert told["outcome"].tolist() == ["unique", "possible", "possible", "failed"]
    assert told["reason"].iloc[0] == "5: entry 'bread white' of the index, direct match"
    assert "'bread white' of the index, score 5" in told["reason"].iloc[1]
    assert "of the training rows (2 units), score 5.00 of 10" in told["reason"].iloc[2]
    assert "secret" not in "".join(told["reason"])
    assert told["code"].iloc[3] is None


def test_reasons_keep_the_index_of_the_rows(index: Path) -> None:
    texts = new("milk", "milk").set_axis(["b", "a"])
    assert fitted(ExactIndex, index).explain(texts).index.tolist() == ["b", "a"]


def test_units_are_groups_where_there_are_any(index: Path) -> None:
    groups = pd.Series(["h1", "h2", "h3", "h1", "h1", "h2"])
    match = ExactIndex(index, entry_units=2)
    match.fit(ANSWERS[["text"]], ANSWERS["code"], groups=groups)
    texts = new("secret respondent", "milk")
    assert match.outcome(texts).tolist() == ["none", "multiple"]
    assert set(match.entries_["units"]) == {0, 3}
