"""Terms against slow definitions and scikit-learn; probabilities in any case."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from mlstats.coding.calibration import Calibration
from mlstats.coding.features import TermCounts, TextFeatures
from mlstats.coding.linear import LinearText
from mlstats.coding.text import normalise

words = st.text(alphabet="abcß1é_", min_size=1, max_size=7)
texts = st.lists(words, max_size=5).map(" ".join)
documents = st.lists(texts, min_size=1, max_size=12)
lengths = st.tuples(st.integers(1, 6), st.integers(0, 3)).map(
    lambda pair: (pair[0], sum(pair))
)

CODER = LinearText(min_units=1).fit(
    pd.DataFrame({"text": ["whole milk", "milk", "rye bread", "bread", "tea"]}),
    pd.Series(["0114", "0114", "0111", "0111", "0121"]),
)


def frame(values: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"text": normalise(pd.Series(values, dtype=str))})


def counted(counts: TermCounts, kind: str, X: pd.DataFrame) -> list[dict[str, float]]:
    block = counts.blocks(X)[kind]
    rows = block.counts.toarray()
    return [{n: v for n, v in zip(block.names, row, strict=True) if v} for row in rows]


def by_scikit_learn(X: pd.DataFrame, **how: Any) -> list[dict[str, float]]:
    analyse = CountVectorizer(lowercase=False, **how).build_analyzer()
    return [dict(Counter(analyse(text))) for text in X["text"]]


@given(documents, st.integers(1, 4))
def test_word_runs_are_those_of_scikit_learn(values: list[str], longest: int) -> None:
    X = frame(values)
    counts = TermCounts(word_ngrams=longest, min_units=1).fit(X)
    how = {"ngram_range": (1, longest), "token_pattern": r"\S+"}
    assert counted(counts, "words", X) == by_scikit_learn(X, **how)


@given(documents, lengths)
def test_characters_are_those_of_scikit_learn(
    values: list[str], size: tuple[int, int]
) -> None:
    X = frame(values)
    counts = TermCounts(min_characters=size[0], max_characters=size[1], min_units=1)
    how = {"ngram_range": size, "analyzer": "char_wb"}
    assert counted(counts.fit(X), "characters", X) == by_scikit_learn(X, **how)


@given(
    documents.flatmap(
        lambda rows: st.tuples(
            st.just(rows),
            st.lists(
                st.sampled_from(["a", "b", "c", None]),
                min_size=len(rows),
                max_size=len(rows),
            ),
        )
    ),
    st.integers(1, 4),
)
def test_a_known_term_has_enough_clusters_and_an_unknown_one_too_few(
    data: tuple[list[str], list[str | None]], least: int
) -> None:
    values, groups = data
    X = frame(values)
    everything = TermCounts(min_units=1).fit(X)
    known = TermCounts(min_units=least).fit(X, groups=pd.Series(groups, dtype=object))
    cluster = [i if g is None else g for i, g in enumerate(groups)]
    for kind in ("words", "characters"):
        users: dict[str, set[object]] = {}
        for who, terms in zip(cluster, counted(everything, kind, X), strict=True):
            for term in terms:
                users.setdefault(term, set()).add(who)
        expected = {term for term, who in users.items() if len(who) >= least}
        assert set(known.names_[kind]) == expected


@given(documents.filter(lambda rows: any(len(row) > 1 for row in rows)), documents)
def test_weights_are_those_of_scikit_learn(
    values: list[str], new_values: list[str]
) -> None:
    X, new = frame(values), frame(new_values)
    features = TextFeatures(min_units=1, character_weight=1.5).fit(X)
    how = {"analyzer": "char_wb", "ngram_range": (2, 5), "lowercase": False}
    peer = TfidfVectorizer(**how).fit(X["text"])
    block = features.blocks(new)["characters"]
    assert sorted(peer.get_feature_names_out()) == sorted(block.names)
    order = [peer.vocabulary_[name] for name in block.names]
    expected = 1.5 * peer.transform(new["text"]).toarray()[:, order]
    np.testing.assert_allclose(block.counts.toarray(), expected, rtol=0, atol=1e-12)


scores = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 8), st.integers(2, 6)),
    elements=st.floats(-1e3, 1e3),
)
calibrations = st.builds(
    Calibration,
    temperature=st.floats(0.01, 1000),
    intercept=st.floats(-10, 10),
    log_odds=st.floats(0, 10),
    lead=st.floats(0, 10),
)


@given(scores, calibrations)
def test_probabilities_keep_the_order_of_the_scores(
    values: np.ndarray, calibration: Calibration
) -> None:
    chances = calibration.probabilities(values)
    assert (chances >= 0).all()
    assert (chances.sum(axis=1) <= 1 + 1e-12).all()
    best, ranked = calibration.ranked(values, values.shape[1])
    assert (np.diff(ranked, axis=1) <= 0).all()
    assert (np.diff(np.take_along_axis(values, best, axis=1), axis=1) <= 0).all()
    np.testing.assert_array_equal(np.take_along_axis(chances, best, axis=1), ranked)


@given(scores, st.data())
def test_a_fit_is_finite_and_a_clearer_lead_never_lowers_the_confidence(
    values: np.ndarray, data: st.DataObject
) -> None:
    codes = st.integers(-1, values.shape[1] - 1)
    n = len(values)
    truth = np.array(data.draw(st.lists(codes, min_size=n, max_size=n)))
    calibration = Calibration.fit(values, truth)
    assert np.isfinite(list(vars(calibration).values())).all()
    row = np.zeros((1, values.shape[1]))
    confidence = []
    for lead in (0.0, 0.5, 2.0, 50.0):
        row[0, 0] = lead
        confidence.append(calibration.probabilities(row)[0].max())
    assert (np.diff(confidence) >= -1e-12).all()


anything = st.lists(
    st.one_of(st.none(), st.text(max_size=40)), min_size=1, max_size=6
).map(lambda values: pd.DataFrame({"text": pd.Series(values, dtype=object)}))


@given(anything)
def test_any_text_gets_a_code_or_none_and_chances_of_at_most_one(
    X: pd.DataFrame,
) -> None:
    codes, chances = CODER.predict_top(X, 3)
    empty = (normalise(X["text"]) == "").to_numpy()
    assert [code is None for code in codes[:, 0]] == empty.tolist()
    assert set(codes[~empty, 0]) <= set(CODER.classes_)
    proba = CODER.predict_proba(X)
    assert (proba >= 0).all()
    assert (proba.sum(axis=1) <= 1 + 1e-12).all()
    assert (chances[:, 0] == proba.max(axis=1)).all()


def test_long_and_strange_texts() -> None:
    strange = ["x" * 100_000, "milk " * 20_000, "\x00\x01\x7f", "🥛🍞", "حليب شاي"]
    strange += ["\ud800 milk", "milk\u202e", "a\u0301" * 5, "が" * 3]
    X = pd.DataFrame({"text": pd.Series(strange, dtype=object)})
    codes, chances = CODER.predict_top(X, 2)
    assert codes[1, 0] == "0114"
    assert codes[2, 0] is None
    assert np.isfinite(chances).all()


@given(documents, documents, lengths, st.integers(0, 3), st.integers(1, 3))
def test_known_terms_are_found_as_they_were_cut(
    values: list[str], new: list[str], size: tuple[int, int], longest: int, least: int
) -> None:
    counts = TermCounts(
        word_ngrams=longest,
        min_characters=size[0],
        max_characters=size[1],
        min_units=least,
    ).fit(frame(values))
    X = frame(new)
    found = counts.blocks(X)
    for kind, everything in counts._all_terms(X):
        expected = everything.restricted(counts.names_[kind]).counts.toarray()
        np.testing.assert_array_equal(found[kind].counts.toarray(), expected)


@given(documents, st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_repeated_rows_count_as_often_as_they_are_there(
    values: list[str], chosen: list[int]
) -> None:
    X = frame([values[i % len(values)] for i in chosen])
    features = TextFeatures(min_units=1).fit(X)
    for kind, block in features.blocks(X).items():
        rows = (block.counts.toarray() > 0).sum(axis=0)
        np.testing.assert_array_equal(features.frequency_[kind], rows)
