"""Imputation from a pool gives the distribution that its donors have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlstats.editimpute import (
    ChainedImputer,
    EditSet,
    EstimatorImputer,
    HotDeck,
    MultinomialImputer,
    NearestDonor,
    process,
)
from mlstats.editimpute.pool import Pool
from mlstats.editimpute.streaming import process_file
from mlstats.editimpute.unit_draws import UnitDraws


def chained(frame, pool, columns, seed=7, **options):
    mask = pd.DataFrame(False, frame.index, frame.columns)
    mask[columns] = True
    how = ChainedImputer(trees=20, **options)
    fitted = Pool.of(pool, how, seed=seed, asked=columns).imputer
    return fitted.treat(frame, mask, UnitDraws.of(frame.index, seed)).values


def alike(n, seed):
    """Two flags that are the same in nine records of ten."""
    rng = np.random.default_rng(seed)
    one = rng.random(n) < 0.5
    other = one ^ (rng.random(n) < 0.1)
    return pd.DataFrame(
        {
            k: np.where(v, "p", "q").astype(object)
            for k, v in zip("ab", (one, other), strict=True)
        }
    )


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_categories_that_are_imputed_together_keep_their_association(rounds):
    pool, frame = alike(3_000, 1), alike(4_000, 2)
    frame[["a", "b"]] = None
    found = chained(frame, pool, ["a", "b"], rounds=rounds)
    same = (found["a"] == found["b"]).mean()
    # Of the draws, of the pool, and what calibration adds.
    assert same == pytest.approx(0.9, abs=5 * np.sqrt(0.09 / 4_000 + 0.09 / 3_000))


@pytest.mark.parametrize("rounds", [2, 6])
def test_numbers_that_are_imputed_together_keep_their_correlation(rounds):
    rng = np.random.default_rng(3)
    x = rng.normal(size=4_000)
    pool = pd.DataFrame({"x": x, "y": 0.8 * x + 0.6 * rng.normal(size=4_000)})
    frame = pd.DataFrame({"x": np.nan, "y": np.nan}, index=range(4_000))
    options = {"neighbours": 5, "cross_fitted": True}
    found = chained(frame, pool, ["x", "y"], rounds=rounds, **options)
    assert found.corr().loc["x", "y"] == pytest.approx(0.8, abs=0.06)
    for name in "xy":
        assert found[name].std() == pytest.approx(1.0, abs=0.1)


@pytest.fixture
def small_region():
    """One record of a hundred is of a region where a number is a hundred times it."""
    n = 20_000
    rng = np.random.default_rng(4)
    small = rng.random(n) < 0.01
    frame = pd.DataFrame(
        {
            "id": [f"u{i}" for i in range(n)],
            "region": np.where(small, "s", "l").astype(object),
            "y": np.where(small, 100.0, 1.0),
            "k": np.where(small, "p", "q").astype(object),
            "x": rng.normal(size=n),
        }
    )
    gone = rng.random(n) < 0.2
    frame.loc[gone, "y"], frame.loc[gone, "k"] = np.nan, None
    return frame, gone


@pytest.mark.parametrize(
    ("imputer", "column"),
    [
        (HotDeck(), "y"),
        (HotDeck(["id"]), "y"),
        (NearestDonor(random=True, min_donors=1, min_percent=0), "y"),
        (EstimatorImputer([{"variable": "y", "estimator": "mean"}]), "y"),
        (MultinomialImputer(["x"]), "k"),
        (ChainedImputer(["x"], trees=10), "y"),
        (ChainedImputer(["x"], trees=10), "k"),
    ],
)
def test_donors_that_fill_up_small_classes_do_not_weigh_in_others(
    tmp_path, small_region, imputer, column
):
    frame, gone = small_region
    source = tmp_path / "records.parquet"
    frame[["id", "region", "x", column]].to_parquet(source, index=False)
    found = process_file(
        source,
        tmp_path / "out",
        None,
        imputer,
        unit="id",
        pool_rows=1_000,
        by=["region"],
        class_rows=150,
        seed=3,
    )
    given = pd.read_parquet(found.values)[column][gone]
    share = (given == "p").mean() if column == "k" else (given.mean() - 1) / 99
    # One in a hundred; with the donors that fill up it would be more than one in ten.
    assert share < 0.03


def test_donors_that_fill_up_a_class_are_used_in_it(tmp_path, small_region):
    frame, gone = small_region
    source = tmp_path / "records.parquet"
    frame[["id", "region", "y"]].to_parquet(source, index=False)
    how = {"unit": "id", "pool_rows": 1_000, "by": ["region"], "class_rows": 150}
    found = process_file(source, tmp_path / "out", None, HotDeck(["region"]), **how)
    cells = pd.read_parquet(found.cells).set_index("row")
    small = cells[(frame["region"] == "s")[cells.index]]
    # The random thousand have ten of the region or so.
    assert small["donor"].nunique() > 20
    assert (small["after"].astype(float) == 100).all()


def _outliers(block):
    return block[["y"]].isna() | (block[["y"]] > 1e5)


@pytest.mark.parametrize("imputer", [HotDeck(), HotDeck(["region"])])
def test_what_the_mask_calls_wrong_is_given_to_nobody(tmp_path, imputer):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "id": [f"u{i}" for i in range(2_000)],
            "region": rng.choice(["n", "s"], 2_000).astype(object),
            "y": rng.normal(50, 5, 2_000),
        }
    )
    frame.loc[::5, "y"] = 1e6
    frame.loc[1::5, "y"] = np.nan
    frame.to_parquet(tmp_path / "records.parquet", index=False)
    found = process_file(
        tmp_path / "records.parquet",
        tmp_path / "out",
        None,
        imputer,
        unit="id",
        mask=_outliers,
        block_rows=700,
    )
    assert pd.read_parquet(found.values)["y"].max() < 1e5


def test_what_the_mask_calls_wrong_is_given_to_no_record_that_is_looked_at_again():
    edits = EditSet.from_texts(["a + b == c", "a >= 0", "b >= 0"])
    good, wrong, late = [1.0, 2.0, 3.0], [1e6, 1e6, 2e6], [np.nan, 9.0, 4.0]
    frame = pd.DataFrame(20 * [good] + 20 * [wrong] + 40 * [late], columns=list("abc"))
    mask = frame.isna()
    mask.loc[20:39, "a"] = True
    found = process(frame, edits, HotDeck(), mask=mask, seed=1)
    assert found.cells["unit"].nunique() == 60
    assert found.values.loc[40:].max().max() < 100


def test_of_very_many_equal_donors_all_may_give():
    """A search looks at 512 of them: not the first, nor the same for all records."""
    n = 5_000
    pool = pd.DataFrame({"x": 1.0, "y": np.arange(float(n))})
    frame = pd.DataFrame({"x": np.ones(n), "y": np.nan})
    mask = pd.DataFrame({"x": False, "y": True}, frame.index)
    how = NearestDonor(["x"], min_donors=1, min_percent=0)
    fitted = Pool.of(pool, how, seed=1, asked=["y"]).imputer
    given = fitted.treat(frame, mask, UnitDraws.of(frame.index, 2)).values["y"]
    # Were all drawn alike, as many would be drawn once or more as n (1 - 1 / e).
    assert given.nunique() == pytest.approx(n * (1 - np.exp(-1)), rel=0.03)
    assert given.value_counts().max() < 12
    assert abs(given.mean() - (n - 1) / 2) < 5 * n / np.sqrt(12 * n)
