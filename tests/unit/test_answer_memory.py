"""Answers that a worker remembers: the same as without, and asked for once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.answer_memory import LIMIT, AnswerMemory
from mlstats.coding import LinearText, WeightedIndex
from mlstats.method import predict_top

GOODS = ["rye bread", "white bread", "whole milk", "milk", "beef", "minced beef"]
CODES = ["0111", "0111", "0114", "0114", "0112", "0112"]


class Counting:
    """Answers with the text itself, and counts how often it was asked for each."""

    same_in_any_block = True

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def predict_top(self, X: pd.DataFrame, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = list(X.itertuples(index=False, name=None))
        self.asked += rows
        codes = np.full((len(X), k), None, dtype=object)
        codes[:, 0] = [repr(row) for row in rows]
        return codes, np.tile(np.arange(k, dtype=float), (len(X), 1))


def rows(texts: Sequence[Any], shops: Sequence[Any] | None = None) -> pd.DataFrame:
    told = {"text": pd.Series(texts, dtype=object)}
    if shops is not None:
        told["shop"] = pd.Series(shops, dtype=object)
    return pd.DataFrame(told)


def told(frame: pd.DataFrame) -> list[str]:
    return [repr(row) for row in frame.itertuples(index=False, name=None)]


texts = st.sampled_from(["", "a", "b", "ab", "a\0", "a\0b", "nan", None, "1", " a"])
part = st.lists(st.tuples(texts, texts), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(part, max_size=6), limit=st.integers(0, 12))
def test_answers_are_those_of_the_method(parts: list[Any], limit: int) -> None:
    method = Counting()
    memory = AnswerMemory(method, 3, limit)
    for one in parts:
        frame = rows(*zip(*one, strict=True))
        codes, scores = memory.answer(frame)
        assert codes[:, 0].tolist() == told(frame)
        assert codes[:, 1:].tolist() == [[None, None]] * len(frame)
        assert scores.tolist() == [[0.0, 1.0, 2.0]] * len(frame)
        assert len(memory) <= limit


def test_what_is_known_is_not_asked_for_again() -> None:
    method = Counting()
    memory = AnswerMemory(method, 2)
    for some in (["a", "b"], ["b", "c", None], ["c", "a", None], ["a", "d"]):
        memory.answer(rows(some))
    assert [text for (text,) in method.asked] == ["a", "b", "c", None, "d"]


def test_it_is_given_up_where_parts_have_little_in_common() -> None:
    method = Counting()
    memory = AnswerMemory(method, 2)
    for k in range(5):
        memory.answer(rows([f"{k} {i}" for i in range(50)]))
        assert len(memory) == (50 * (k + 1) if k < 2 else 0)
    memory.answer(rows(["0 0"]))
    assert len(method.asked) == 251


def test_it_is_kept_where_parts_have_a_tenth_in_common() -> None:
    method = Counting()
    memory = AnswerMemory(method, 2)
    for k in range(5):
        own = [f"{k} {i}" for i in range(45)]
        memory.answer(rows([*own, *map(str, range(5))]))
    assert len(method.asked) == 5 * 45 + 5
    assert len(memory) == 5 * 45 + 5


def test_the_first_rows_are_remembered_up_to_the_limit() -> None:
    method = Counting()
    memory = AnswerMemory(method, 2, limit=3)
    for _ in range(3):
        memory.answer(rows(list("abcde")))
    assert [text for (text,) in method.asked] == [*"abcde", *"de", *"de"]
    assert len(memory) == 3
    assert LIMIT >= 100_000


def test_a_method_whose_answer_depends_on_the_block_is_always_asked() -> None:
    method = Counting()
    method.same_in_any_block = False
    memory = AnswerMemory(method, 2)
    for _ in range(2):
        memory.answer(rows(["a", "a", "b"]))
    assert [text for (text,) in method.asked] == ["a", "b"] * 2  # distinct ones
    assert len(memory) == 0


@pytest.mark.parametrize("method", [LinearText(min_units=1), WeightedIndex()])
def test_a_method_that_says_so_gives_the_same_bits_in_any_block(method: Any) -> None:
    assert method.same_in_any_block
    train = rows(GOODS * 20).assign(shop="market")
    rng = np.random.default_rng(4)
    method.fit(train, pd.Series(CODES * 20))
    words = np.array(
        ["rye", "white", "bread", "whole", "milk", "minced", "beef", "500g", "1l"]
    )
    new = rows([" ".join(rng.choice(words, rng.integers(0, 6))) for _ in range(400)])
    new["shop"] = rng.choice(["market", "kiosk"], len(new))
    codes, scores = predict_top(method, new, 3)
    for size in (1, 7, 150):
        for start in range(0, len(new), size):
            part = slice(start, start + size)
            again = predict_top(method, new.iloc[part], 3)
            assert again[0].tolist() == codes[part].tolist()
            assert again[1].tobytes() == scores[part].tobytes()
