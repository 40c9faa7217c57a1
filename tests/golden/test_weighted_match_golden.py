"""The weighted match against a dictionary that can be worked out by hand.

`weighted_match/dictionary.csv` has K = 4 codes and nine distinct pairs of phrase and
code ("Milk bread" twice with 0111, once with 0114). With H over those pairs,
w = 1 - H / ln 4 gives

    white   1 of 0111, 1 of 0213            1 - ln 2 / ln 4        = 0.500000
    bread   3 of 0111, 1 of 0114            1 - 0.562335 / ln 4    = 0.594361
    milk    3 of 0114, 1 of 0111, 1 of 0122  1 - 0.950271 / ln 4   = 0.314525
    any other word of the dictionary        one code               = 1
    any word that is not in it                                     = 0.5

and for "white bread sliced" against "white bread": common 0.5 + 0.594361 = 1.094361,
score 10 * 2 * 1.094361 / (1.594361 + 1.094361) = 8.140380. "milk bread" has two
codes; 0111 is first by its share, 2 of 3 rows. Limits: upper 8, lower 5.2, gap 1.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlstats.coding.matching import WeightedIndex

HERE = Path(__file__).parent / "weighted_match"
QUERIES = pd.read_csv(HERE / "queries.csv", dtype={"code": str, "second_code": str})


@pytest.fixture(scope="module")
def match() -> WeightedIndex:
    index = HERE / "dictionary.csv"
    match = WeightedIndex(index, training=False, upper=8, lower=5.2, gap=1)
    return match.fit(pd.DataFrame({"text": []}))


def test_word_weights(match: WeightedIndex) -> None:
    weight = dict(zip(match.vocabulary_, match.weights_, strict=True))
    wanted = {"white": 0.5, "bread": 0.594361, "milk": 0.314525}
    others = ["apple", "coconut", "juice", "rye", "skimmed", "whole", "wine"]
    assert sorted(weight) == sorted([*wanted, *others])
    for word, value in {**wanted, **dict.fromkeys(others, 1.0)}.items():
        assert weight[word] == pytest.approx(value, abs=1e-6)


def test_codes_and_scores(match: WeightedIndex) -> None:
    codes, scores = match.predict_top(QUERIES, k=2)
    wanted = QUERIES[["code", "second_code"]].astype(object)
    assert codes.tolist() == wanted.where(wanted.notna(), None).to_numpy().tolist()
    wanted = QUERIES[["score", "second_score"]].to_numpy()
    np.testing.assert_allclose(10 * scores, wanted, rtol=0, atol=1.5e-6)


def test_outcomes(match: WeightedIndex) -> None:
    assert match.outcome(QUERIES).tolist() == QUERIES["outcome"].tolist()
