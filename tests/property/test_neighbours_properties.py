"""The neighbour methods and the fuzzy match against slow, plain implementations."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from math import sqrt
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstats.coding import nearest_entries, neighbours
from mlstats.coding.fuzzy import FuzzyIndex
from mlstats.coding.language import Language
from mlstats.coding.matching import ExactIndex, WeightedIndex
from mlstats.coding.neighbours import GweonNeighbour, MemoryBasedReasoning

Rows = list[tuple[str, str]]
Answer = list[tuple[str, float]]
Preference = tuple[float, float, str, str]

words = st.sampled_from(["the", "the", "the", "a", "b", "c", "d", "e"])
phrases = st.lists(words, max_size=5).map(" ".join)
dictionaries = st.lists(
    st.tuples(phrases, st.sampled_from(["01", "02", "03", "1"])),
    min_size=1,
    max_size=25,
).filter(lambda rows: any(text for text, _ in rows))
queries = st.lists(
    st.lists(st.one_of(words, st.sampled_from(["x", "y"])), max_size=6).map(" ".join),
    min_size=1,
    max_size=8,
)
METHODS = [
    ExactIndex,
    WeightedIndex,
    GweonNeighbour,
    MemoryBasedReasoning,
    FuzzyIndex,
]


def bag(text: str) -> frozenset[str]:
    return frozenset(text.split())


def gweon_by_definition(rows: Rows, query: str, k: int) -> Answer:
    rows = [(text, code) for text, code in rows if text]
    of_code = Counter(code for _, code in rows)
    cosines = [
        round(len(bag(query) & bag(t)) / sqrt(len(bag(query)) * len(bag(t))), 7)
        if query
        else 0.0
        for t, _ in rows
    ]
    largest = max(cosines)
    if largest == 0:
        return []
    near = [
        c for (_, c), cosine in zip(rows, cosines, strict=True) if cosine == largest
    ]
    n = len(near)
    counts = sorted((-m, -of_code[c], c) for c, m in Counter(near).items())
    return [(c, largest * n / (n + 0.1) * -m / n) for m, _, c in counts[:k]]


def features(text: str) -> set[Any]:
    found = bag(text)
    return {*found, *(frozenset(pair) for pair in combinations(sorted(found), 2))}


def creecy_by_definition(rows: Rows, query: str, k: int, n: int) -> Answer:
    rows = [(" ".join(sorted(bag(text))), code) for text, code in rows if text]
    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for text, code in rows:
        for feature in features(text):
            counts[feature][code] += 1
    weight = {
        feature: round(sum((m / sum(of.values())) ** 2 for m in of.values()) * 2**16)
        / 2**16
        for feature, of in counts.items()
    }
    of_code = Counter(code for _, code in rows)

    def preference(text: str, code: str) -> Preference:
        of_text = Counter(c for t, c in rows if t == text)
        return -of_text[code] / sum(of_text.values()), -of_code[code], code, text

    near = []
    for text, code in rows:
        shared = features(query) & features(text)
        nearness = sum(weight[feature] for feature in shared)
        if nearness:
            near.append((-nearness, preference(text, code), code))
    near.sort()
    scores: Counter[str] = Counter()
    for nearness, _, code in near[:n]:
        scores[code] -= nearness  # type: ignore[assignment]
    ranked = sorted((-a, -of_code[code], code) for code, a in scores.items())
    two = -sum(a for a, _, _ in ranked[:2])
    return [(code, -a / two) for a, _, code in ranked[:k]]


def assert_same(method: Any, texts: list[str], wanted: list[Answer], k: int) -> None:
    codes, scores = method.predict_top(pd.DataFrame({"text": texts}), k)
    for row, score, right in zip(codes, scores, wanted, strict=True):
        assert [code for code in row if code is not None] == [c for c, _ in right]
        np.testing.assert_allclose(score[: len(right)], [s for _, s in right], 1e-6)
        assert not score[len(right) :].any()


@given(dictionaries, queries, st.integers(1, 5))
def test_gweon_follows_its_definition(rows: Rows, texts: list[str], k: int) -> None:
    frame = pd.DataFrame(rows, columns=["text", "code"])
    wanted = [gweon_by_definition(rows, query, k) for query in texts]
    method = GweonNeighbour().fit(frame[["text"]], frame["code"])
    assert_same(method, texts, wanted, k)
    with (
        patch.object(nearest_entries, "_BLOCK_WORK", 5),
        patch.object(neighbours, "_BLOCK", 3),
    ):
        assert_same(method, texts, wanted, k)


@given(dictionaries, queries, st.integers(1, 5), st.sampled_from([1, 3, 12]))
def test_memory_based_reasoning_follows_its_definition(
    rows: Rows, texts: list[str], k: int, n: int
) -> None:
    frame = pd.DataFrame(rows, columns=["text", "code"])
    wanted = [creecy_by_definition(rows, query, k, n) for query in texts]
    method = MemoryBasedReasoning(neighbours=n).fit(frame[["text"]], frame["code"])
    assert_same(method, texts, wanted, k)
    with (
        patch.object(nearest_entries, "_BLOCK_WORK", 5),
        patch.object(neighbours, "_BLOCK", 3),
    ):
        assert_same(method, texts, wanted, k)


def levenshtein_ratio(a: str, b: str) -> float:
    """1 - InDel distance / total length, by the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row[:]
        for j, y in enumerate(b):
            row[j + 1] = before[j] + 1 if x == y else max(before[j + 1], row[j])
    return 2 * row[-1] / (len(a) + len(b))


@given(dictionaries, queries, st.integers(1, 5), st.sampled_from([0, 60, 100]))
def test_fuzzy_match_follows_its_definition(
    rows: Rows, texts: list[str], k: int, least: int
) -> None:
    rows_kept = Counter((text, code) for text, code in rows if text)
    of_code = Counter(code for text, code in rows if text)
    of_text = Counter(text for text, _ in rows)
    wanted = []
    for query in texts:
        best: dict[str, Any] = {}
        for (text, code), count in rows_kept.items():
            score = round(levenshtein_ratio(query, text), 7) if query else 0.0
            if score > 0 and score >= least / 100:
                key = (-score, -count / of_text[text], -of_code[code], code)
                best[code] = min(best.get(code, key), key)
        wanted.append([(key[3], -key[0]) for key in sorted(best.values())[:k]])
    frame = pd.DataFrame(rows, columns=["text", "code"])
    method = FuzzyIndex(min_score=least).fit(frame[["text"]], frame["code"])
    assert_same(method, texts, wanted, k)


# Any text at all

ODD = [
    "\0",
    "\U0001f469\u200d\U0001f33e",  # emoji joined to one
    "\u202b\u05d7\u05dc\u05d1\u202c",  # Hebrew between marks of direction
    "\u0645\u0627\u0621 \u0665\u0660",  # Arabic with Arabic digits
    "牛乳 パック",
    "007",
    "\x1b[1m",
    "ß",
    "-",
]
any_text = st.one_of(st.none(), st.text(max_size=30), st.sampled_from(ODD))
PARSER = {
    "language": "all",
    "steps": [
        {"characters": {"ß": "ss"}},
        {"clauses": ["()"]},
        {"delete": ["n/a"]},
        {"phrases": {"a b": "c"}},
        {"units": ["g"]},
        {"suffixes": {"s": ""}},
        {"trivial": ["a"]},
        {"numbers": "mark"},
        {"grams": 2},
        {"sort": True},
        {"unique": True},
    ],
}


@pytest.mark.parametrize("parser", [None, PARSER], ids=["plain", "parser"])
@pytest.mark.parametrize("cls", METHODS)
@settings(max_examples=30)
@given(st.lists(any_text, min_size=1, max_size=12))
def test_any_text_has_a_code_or_a_named_outcome(
    cls: Any, parser: Any, texts: list[str | None]
) -> None:
    entries = pd.DataFrame({"text": [*texts, "milk"]}, dtype=object)
    codes = [str(i % 3) for i in range(len(entries))]
    method = cls(parser=parser).fit(entries, codes)
    new = pd.DataFrame({"text": pd.Series([*texts, "other"], dtype=object)})
    found, scores = method.predict_top(new, 3)
    assert found.shape == scores.shape == (len(new), 3)
    assert ((scores >= 0) & (scores <= 1)).all()
    told = method.explain(new)
    assert (told["reason"] != "").all()
    assert set(told["outcome"]) <= {"unique", "multiple", "possible", "failed", "none"}
    # Row by row is the same as once per distinct text.
    for row in range(len(new)):
        alone, score = method.predict_top(new.iloc[[row]], 3)
        assert alone[0].tolist() == found[row].tolist()
        np.testing.assert_array_equal(score[0], scores[row])


@given(st.lists(any_text, max_size=12))
def test_parsing_at_once_is_parsing_row_by_row(texts: list[str | None]) -> None:
    parser = Language.model_validate(PARSER)
    series = pd.Series(texts, dtype=object)
    alone = [parser.apply(series.iloc[[i]]).iloc[0] for i in range(len(series))]
    assert parser.apply(series).tolist() == alone


@pytest.mark.parametrize("cls", METHODS)
def test_a_very_long_text_is_coded(cls: Any) -> None:
    rng = np.random.default_rng(20201120)
    numbers = rng.integers(0, 30_000, 17_000)
    long = " ".join(f"w{n}" for n in numbers)[:100_000]
    train = pd.DataFrame({"text": ["milk", "w1 w2 w3", long]})
    method = cls().fit(train, ["1", "2", "3"])
    assert method.predict(pd.DataFrame({"text": [long, "milk"]})).tolist() == ["3", "1"]
