"""Nearest-neighbour coding of five coded rows that can be worked out by hand.

    bus driver    8331
    driver bus    8331
    bus driver    8332
    taxi driver   8322
    cook          5120

Gweon et al. (2017), text "bus driver": cosine 1 with three rows, K = 3,
p(8331) = 1 * 3 / 3.1 * 2/3 = 20/31, p(8332) = 10/31. Text "driver": cosine 1 / sqrt 2
with four rows, p(8331) = 0.7071068 * 4/4.1 * 2/4. Text "night bus driver": two of three
words, cosine 2 / sqrt 6 with the same three rows as the first.

Creecy et al. (1992), weights, sums of P(code | feature)^2: "bus" of two rows 8331 and
one 8332, (2/3)^2 + (1/3)^2 = 5/9; "bus driver" the same; "driver" of 2, 1 and 1 rows,
1/4 + 1/16 + 1/16 = 3/8; "taxi", "taxi driver" and "cook" 1. Text "bus driver": each of
the three rows is near by 5/9 + 5/9 + 3/8 = 107/72, the taxi row by 3/8 = 27/72.
Scores 214/72, 107/72, 27/72; confidence 214 / 321 = 2/3. With the two nearest rows
only, both are 8331 (the larger share of its text) and the confidence is 1.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd

from mlstats.coding import GweonNeighbour, MemoryBasedReasoning

ROWS = pd.DataFrame(
    [
        ("bus driver", "8331"),
        ("driver bus", "8331"),
        ("bus driver", "8332"),
        ("taxi driver", "8322"),
        ("cook", "5120"),
    ],
    columns=["text", "code"],
)


def new(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"text": list(texts)})


def test_gweon() -> None:
    method = GweonNeighbour().fit(ROWS[["text"]], ROWS["code"])
    texts = new("Bus driver", "driver", "night bus driver", "nurse")
    codes, scores = method.predict_top(texts, 3)
    assert codes.tolist() == [
        ["8331", "8332", None],
        ["8331", "8322", "8332"],
        ["8331", "8332", None],
        [None, None, None],
    ]
    one = 3 / 3.1 * np.array([2 / 3, 1 / 3, 0])
    wanted = [
        one,
        4 / 4.1 / sqrt(2) * np.array([0.5, 0.25, 0.25]),
        one * 2 / sqrt(6),
        [0, 0, 0],
    ]
    np.testing.assert_allclose(scores, wanted, atol=1e-7)
    assert method.outcome(texts).tolist() == [
        "multiple",
        "multiple",
        "multiple",
        "failed",
    ]


def test_gweon_without_a_multiplier() -> None:
    method = GweonNeighbour(multiplier=0).fit(ROWS[["text"]], ROWS["code"])
    assert method.predict_top(new("cook"), 1)[1].tolist() == [[1.0]]
    default = GweonNeighbour().fit(ROWS[["text"]], ROWS["code"])
    np.testing.assert_allclose(default.predict_top(new("cook"), 1)[1], 1 / 1.1)


def test_creecy() -> None:
    method = MemoryBasedReasoning().fit(ROWS[["text"]], ROWS["code"])
    codes, scores = method.predict_top(new("driver, bus"), 3)
    assert codes.tolist() == [["8331", "8332", "8322"]]
    np.testing.assert_allclose(scores, [[2 / 3, 1 / 3, 27 / 321]], atol=1e-5)


def test_creecy_with_two_neighbours() -> None:
    method = MemoryBasedReasoning(neighbours=2).fit(ROWS[["text"]], ROWS["code"])
    codes, scores = method.predict_top(new("bus driver"), 2)
    assert codes.tolist() == [["8331", None]]
    assert scores.tolist() == [[1.0, 0.0]]


def test_creecy_reads_the_most_telling_words_of_a_long_text() -> None:
    method = MemoryBasedReasoning(most_words=1).fit(ROWS[["text"]], ROWS["code"])
    # "taxi" weighs 1, "bus" 5/9 and "driver" 3/8.
    assert method.predict(new("driver bus taxi")).tolist() == ["8322"]


def test_reasons_hold_no_text_of_a_respondent() -> None:
    for cls in (GweonNeighbour, MemoryBasedReasoning):
        told = cls().fit(ROWS[["text"]], ROWS["code"]).explain(new("bus driver"))
        assert "of the training rows (2 units), confidence 0." in told["reason"].iloc[0]
        assert "next 8332" in told["reason"].iloc[0]
        assert "bus" not in told["reason"].iloc[0]
