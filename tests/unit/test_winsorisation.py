from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute.winsorisation import optimal_l, winsorise
from mlstats.errors import ConfigError, ContractError

FRAME = pd.DataFrame(
    {
        "h": ["p", "p", "p", "q", "q", None],
        "y": [10.0, 10, 40, 5, 7, 3],
        "a": [3.0, 3, 3, 1, 2, 4],
        "g": [1.0, 1, 0.3, 1, 2, 1],
        "x": [1.0, 2, 3, 4, 5, 6],
        "L": [8.0, 8, 8, 1, 1, 2],
    },
    index=[7, 7, 8, 9, 10, 11],
)


def test_expansion_by_hand() -> None:
    found = winsorise(FRAME, value="y", weight="a", l_value="L", by=["h"])
    assert found.index.tolist() == FRAME.index.tolist()
    assert found["marker"].tolist() == ["W", "W", "W", "NW_FE", "W", "W"]
    threshold = found["threshold"].to_numpy()
    # The unit with a weight of one is no part of the mean of its stratum.
    assert threshold[[2, 4, 5]].tolist() == pytest.approx([24, 8, 3 + 2 / 3])
    assert np.isnan(threshold[3])
    assert found["value"].tolist() == pytest.approx([10, 10, 40 / 3 + 16, 5, 7, 3])
    weight = found["outlier_weight"].tolist()
    assert weight == pytest.approx([1, 1, (40 / 3 + 16) / 40, 1, 1, 1])


def test_ratio_by_hand() -> None:
    found = winsorise(
        FRAME.iloc[:5],
        value="y",
        weight="a",
        l_value=1.0,
        by=["h"],
        calibration="g",
        auxiliary="x",
    )
    assert found["marker"].tolist() == ["W", "W", "NW_AG", "NW_FE", "W"]
    slope = (3 * 10 + 3 * 10) / (3 * 1 + 3 * 2)
    k = [slope + 0.5, 2 * slope + 0.5]
    assert found["threshold"].tolist()[:2] == pytest.approx(k)
    assert found["value"].tolist()[0] == pytest.approx(10 / 3 + 2 / 3 * k[0])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"a": 0.5}, {}, "design weights are below 1"),
        ({"y": np.nan}, {}, "'y' are missing"),
        ({"y": np.inf}, {}, "'y' are missing"),
        ({"L": [8.0, 7, 8, 1, 1, 2]}, {}, "1 classes have more than one value of L"),
        ({"L": 0.0}, {}, "not above zero"),
        ({"g": -1.0}, {"calibration": "g", "auxiliary": "x"}, "calibration factors"),
        ({"x": 0.0}, {"calibration": "g", "auxiliary": "x"}, "adds up to zero"),
    ],
)
def test_refused(change: dict, options: dict, message: str) -> None:
    given = FRAME.assign(**change)
    with pytest.raises(ContractError, match=message):
        winsorise(given, value="y", weight="a", l_value="L", by=["h"], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration": "g"}, "both|needs a calibration"),
        ({"by": ["stratum"]}, "'stratum' is not in"),
        ({"value": "turnover"}, "'turnover' is not in"),
    ],
)
def test_unknown(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        winsorise(FRAME, **({"value": "y", "weight": "a", "l_value": 1.0} | options))


def test_no_record_and_zeros() -> None:
    options = {"value": "y", "weight": "a", "l_value": 1.0}
    assert winsorise(FRAME.iloc[:0], **options).empty
    found = winsorise(FRAME.assign(y=0.0), **options)
    assert (found["outlier_weight"] == 1).all()


def test_l_is_the_root_of_its_equation() -> None:
    rng = np.random.default_rng(3)
    y, mu, w = rng.lognormal(3, 1, 200), np.full(200, 25.0), rng.uniform(1, 9, 200)
    level = optimal_l(y, mu, w)
    excess = (w - 1) * (y - mu)
    assert np.maximum(excess - level, 0).sum() == pytest.approx(level)
    assert optimal_l([1, 1], [2, 2], [3, 3]) == 0
    with pytest.raises(ContractError, match="not finite"):
        optimal_l([np.nan], [1], [1])
    with pytest.raises(ContractError, match="2 values"):
        optimal_l([1, 1], [1], [1])


def test_the_optimal_l_is_near_the_least_mean_square_error() -> None:
    """Kokic and Bell's promise, for L known from the distribution of past samples."""
    rng = np.random.default_rng(11)
    n, weight, mean = 40, 10.0, np.exp(0.72)
    frame = pd.DataFrame({"a": np.full(n, weight)})
    past = [rng.lognormal(0, 1.2, n) for _ in range(400)]
    # The expectation over samples: the mean of 400 past ones.
    grown = np.concatenate(past)
    lo, hi = 0.0, 1e4
    for _ in range(60):
        mid = (lo + hi) / 2
        excess = np.maximum((weight - 1) * (grown - mean) - mid, 0).sum() / 400
        lo, hi = (mid, hi) if excess > mid else (lo, mid)
    one = np.mean([optimal_l(y, np.full(n, mean), frame["a"]) for y in past])
    assert one == pytest.approx(lo, rel=0.15)
    total = n * weight * mean
    samples = [frame.assign(y=rng.lognormal(0, 1.2, n)) for _ in range(400)]

    def error(level: float) -> float:
        totals = [
            winsorise(s, value="y", weight="a", l_value=level)["value"].sum() * weight
            for s in samples
        ]
        return float(np.mean((np.array(totals) - total) ** 2))

    best = error(lo)
    assert best < 0.75 * error(1e9)
    assert best < 1.03 * min(error(lo / 2), error(lo * 2))
