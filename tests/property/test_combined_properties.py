"""Any text gets a code or None from the methods that combine others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstats.coding.correctness import Checked
from mlstats.coding.hierarchical import HierarchicalText
from mlstats.coding.stacked import Stacked
from mlstats.coding.text import normalise

TEXTS = ["whole milk", "milk", "rye bread", "bread", "tea", "black tea"] * 4
CODES = ["01.14", "01.14", "01.11", "01.11", "01.21", "01.21"] * 4
METHODS: list[dict[str, Any]] = [
    {"use": "mlstats.coding.LinearText"},
    {"use": "mlstats.coding.WeightedIndex"},
]
X, Y = pd.DataFrame({"text": TEXTS}), pd.Series(CODES)
CODERS = [
    Stacked(METHODS, folds=3).fit(X, Y).calibrate(X, Y),
    Checked(METHODS).fit(X, Y).calibrate(X, Y),
    HierarchicalText(separator=".").fit(X, Y).calibrate(X, Y),
    HierarchicalText(approach="siblings", separator=".").fit(X, Y).calibrate(X, Y),
]
texts = st.lists(st.one_of(st.none(), st.text(max_size=30)), min_size=1, max_size=5)


def check(coder: Any, values: list[str | None]) -> None:
    frame = pd.DataFrame({"text": pd.Series(values, dtype=object)})
    codes, chances = coder.predict_top(frame, 3)
    empty = (normalise(frame["text"]) == "").to_numpy()
    assert [code is None for code in codes[:, 0]] == empty.tolist()
    assert set(codes[~empty, 0]) <= set(CODES)
    assert (chances >= 0).all()
    assert (chances.sum(axis=1) <= 1 + 1e-12).all()
    assert (np.diff(chances, axis=1) <= 0).all()


@pytest.mark.parametrize("coder", CODERS, ids=lambda coder: type(coder).__name__)
@given(values=texts)
def test_any_text_gets_a_code_or_none(coder: Any, values: list[str | None]) -> None:
    check(coder, values)


@pytest.mark.parametrize("coder", CODERS, ids=lambda coder: type(coder).__name__)
def test_long_and_strange_texts(coder: Any) -> None:
    check(coder, ["x" * 100_000, "milk " * 20_000, "\x00\x7f", "🥛", "حليب", "\ud800"])
    check(coder, ["milk\u202e tea", "e\u0301" * 500, "が", None, "\n"])


@pytest.mark.parametrize("coder", CODERS[2:], ids=lambda coder: coder.approach)
@given(values=texts)
def test_levels_never_get_more_probable_with_depth(
    coder: Any, values: list[str | None]
) -> None:
    frame = pd.DataFrame({"text": pd.Series(values, dtype=object)})
    codes, chances = coder.predict_levels(frame)
    for code, chance in zip(codes, chances, strict=True):
        there = [c for name, c in zip(code, chance, strict=True) if name is not None]
        assert (np.diff(there) <= 1e-12).all()
        assert all(0 < c <= 1 for c in there)
