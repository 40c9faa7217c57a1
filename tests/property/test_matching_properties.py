"""The matches against slow, transparent implementations of their definitions."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from math import log
from unittest.mock import patch

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mlstats.coding import overlap, text
from mlstats.coding.matching import ExactIndex, WeightedIndex
from mlstats.coding.text import normalise, parse

Entry = tuple[str, str]
Answer = list[tuple[str, float]]

# Few words and codes, so that ties and repeated phrases are common; "the" is in many
# entries and may be left out of the product.
words = st.sampled_from(["the", "the", "the", "a", "b", "c", "d", "e"])
phrases = st.lists(words, max_size=5).map(" ".join)
dictionaries = st.lists(
    st.tuples(phrases, st.sampled_from(["01", "02", "03", "1"])),
    min_size=1,
    max_size=25,
).filter(lambda entries: any(phrase for phrase, _ in entries))
queries = st.lists(
    st.lists(st.one_of(words, st.sampled_from(["x", "y"])), max_size=6).map(" ".join),
    min_size=1,
    max_size=8,
)


def plain(value: str) -> str:
    value = unicodedata.normalize("NFKD", value)
    kept = "".join(c for c in value if not unicodedata.category(c).startswith("M"))
    return re.sub(r"[^\w]+", " ", kept.lower()).strip()


def preference(rows: Counter[Entry], phrase: str, code: str) -> tuple[float, int, str]:
    of_phrase = sum(n for (other, _), n in rows.items() if other == phrase)
    of_code = sum(n for (_, other), n in rows.items() if other == code)
    return -rows[phrase, code] / of_phrase, -of_code, code


def weights_by_definition(pairs: list[Entry]) -> dict[str, float]:
    codes_of_word: dict[str, Counter[str]] = defaultdict(Counter)
    for phrase, code in pairs:
        for word in phrase.split():
            codes_of_word[word][code] += 1
    n_codes = len({code for _, code in pairs})
    weights = {}
    for word, counts in codes_of_word.items():
        n = sum(counts.values())
        entropy = -sum(c / n * log(c / n) for c in counts.values())
        weight = 1 if n_codes == 1 else 1 - entropy / log(n_codes)
        weights[word] = round(max(weight, 2**-10) * 2**20) / 2**20
    return weights


def weighted_by_definition(dictionary: list[Entry], query: str, k: int) -> Answer:
    rows = Counter(
        (" ".join(sorted(set(phrase.split()))), code)
        for phrase, code in dictionary
        if phrase
    )
    weights = weights_by_definition(list(rows))
    asked = set(query.split())
    of_query = sum(weights.get(word, 0.5) for word in asked)
    nearest: dict[str, tuple[float, tuple[float, int, str]]] = {}
    for phrase, code in rows:
        entry = set(phrase.split())
        common = sum(weights[word] for word in asked & entry)
        if common > 0:
            total = of_query + sum(weights[word] for word in entry)
            key = -round(2 * common / total, 7), preference(rows, phrase, code)
            nearest[code] = min(nearest.get(code, key), key)
    ranked = sorted((key, code) for code, key in nearest.items())
    return [(code, -key[0]) for key, code in ranked[:k]]


def exact_by_definition(dictionary: list[Entry], query: str, k: int) -> Answer:
    rows = Counter((phrase, code) for phrase, code in dictionary if phrase)
    codes = [code for phrase, code in rows if phrase == query]
    ranked = sorted(preference(rows, query, code) for code in codes)
    return [(code, -share) for share, _, code in ranked[:k]]


def answers(
    match: ExactIndex | WeightedIndex, texts: list[str], k: int
) -> list[Answer]:
    codes, scores = match.predict_top(pd.DataFrame({"text": texts}), k)
    return [
        [(code, score) for code, score in zip(*row, strict=True) if code is not None]
        for row in zip(codes, scores, strict=True)
    ]


def assert_same(found: list[Answer], wanted: list[Answer]) -> None:
    for of_row, expected in zip(found, wanted, strict=True):
        assert [code for code, _ in of_row] == [code for code, _ in expected]
        for (_, score), (_, right) in zip(of_row, expected, strict=True):
            assert abs(score - right) < 1e-9


@given(dictionaries, queries, st.integers(1, 5))
def test_weighted_match_follows_its_definition(
    dictionary: list[Entry], texts: list[str], k: int
) -> None:
    entries = pd.DataFrame(dictionary, columns=["text", "code"])
    wanted = [weighted_by_definition(dictionary, query, k) for query in texts]
    match = WeightedIndex().fit(entries[["text"]], entries["code"])
    assert_same(answers(match, texts, k), wanted)
    # With words left out and blocks of few texts even of these small dictionaries
    small = {"_FREQUENT": 2, "_LEFT_OUT": (3, 1, 0), "_BLOCK_WORK": 9, "_BLOCK_ROWS": 3}
    with patch.multiple(overlap, **small):
        match = WeightedIndex().fit(entries[["text"]], entries["code"])
        assert_same(answers(match, texts, k), wanted)


@given(dictionaries, queries, st.integers(1, 5))
def test_exact_match_follows_its_definition(
    dictionary: list[Entry], texts: list[str], k: int
) -> None:
    entries = pd.DataFrame(dictionary, columns=["text", "code"])
    wanted = [exact_by_definition(dictionary, query, k) for query in texts]
    match = ExactIndex(on_multiple="frequency")
    match.fit(entries[["text"]], entries["code"])
    assert_same(answers(match, texts, k), wanted)
    clerk = ExactIndex().fit(entries[["text"]], entries["code"])
    one_code = [
        answer if len(exact_by_definition(dictionary, query, 5)) == 1 else []
        for query, answer in zip(texts, wanted, strict=True)
    ]
    assert_same(answers(clerk, texts, k), one_code)
    counts = [len(exact_by_definition(dictionary, query, 5)) for query in texts]
    outcomes = [("none", "unique", "multiple")[min(count, 2)] for count in counts]
    assert clerk.outcome(pd.DataFrame({"text": texts})).tolist() == outcomes


@given(dictionaries)
def test_the_order_of_rows_and_words_does_not_count(dictionary: list[Entry]) -> None:
    texts = [phrase for phrase, _ in dictionary]
    entries = pd.DataFrame(dictionary, columns=["text", "code"])
    mixed = entries.sample(frac=1, random_state=len(dictionary))
    mixed["text"] = [" ".join(reversed(phrase.split())) for phrase in mixed["text"]]
    one = WeightedIndex().fit(entries[["text"]], entries["code"])
    other = WeightedIndex().fit(mixed[["text"]], mixed["code"])
    assert answers(one, texts, 3) == answers(other, texts, 3)


@given(dictionaries)
def test_a_text_of_the_dictionary_is_matched_directly(dictionary: list[Entry]) -> None:
    entries = pd.DataFrame(dictionary, columns=["text", "code"])
    match = WeightedIndex().fit(entries[["text"]], entries["code"])
    codes_of = defaultdict(set)
    for phrase, code in dictionary:
        codes_of[frozenset(phrase.split())].add(code)
    for (phrase, _), answer in zip(
        dictionary, answers(match, entries["text"].tolist(), 4), strict=True
    ):
        direct = {code for code, score in answer if score == 1}
        assert direct == (codes_of[frozenset(phrase.split())] if phrase else set())


@given(st.lists(st.text(), max_size=12))
def test_normalise_follows_its_definition(texts: list[str]) -> None:
    with patch.object(text, "_BLOCK", 3):
        found = normalise(pd.Series(texts, dtype=object))
    assert found.tolist() == [plain(value) for value in texts]


@given(st.lists(st.text(), max_size=12))
def test_normalise_and_parse_change_nothing_twice(texts: list[str]) -> None:
    once = normalise(pd.Series(texts, dtype=object))
    assert normalise(once).tolist() == once.tolist()
    phrases = parse(once)
    assert phrases.tolist() == [" ".join(sorted(set(value.split()))) for value in once]
    assert parse(phrases).tolist() == phrases.tolist()
