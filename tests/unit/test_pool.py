"""Imputers with given donors: the right donor, the right mean, draws by the label."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlstats.editimpute import (
    ChainedImputer,
    EditSet,
    EstimatorImputer,
    HotDeck,
    MultinomialImputer,
    NearestDonor,
    Variable,
    localise,
    mixed_edits,
    process,
    review,
)
from mlstats.editimpute.pool import Pool, PoolClasses
from mlstats.editimpute.row_sums import products, row_sums
from mlstats.editimpute.status import PASS
from mlstats.editimpute.unit_draws import UnitDraws


def pool_of(n=400, seed=1):
    rng = np.random.default_rng(seed)
    made = pd.DataFrame({"x": rng.normal(50, 10, n).round(1)})
    made["y"] = (2 * made["x"] + rng.normal(0, 5, n)).round(1)
    made["g"] = rng.choice(["u", "v"], n).astype(object)
    made["k"] = np.where(rng.random(n) < np.where(made["g"] == "u", 0.8, 0.2), "p", "q")
    made["k"] = made["k"].astype(object)
    made.index = pd.Index([f"d{i}" for i in range(n)], dtype=object)
    return made


def recipients(columns, n=300, seed=2):
    made = pool_of(n, seed)
    made.index = pd.Index([f"r{i}" for i in range(n)], dtype=object)
    for name in columns:
        made[name] = np.nan if name in "xy" else None
    return made


def treated(imputer, frame, pool, columns, seed=7):
    mask = pd.DataFrame(False, frame.index, frame.columns)
    mask[list(columns)] = True
    fitted = Pool.of(pool, imputer, seed=seed, asked=list(columns)).imputer
    return fitted.treat(frame, mask, UnitDraws.of(frame.index, seed))


def test_draws_are_uniform_and_differ_by_unit_seed_and_purpose():
    labels = pd.Index([f"unit {i}" for i in range(20_000)])
    draws = UnitDraws.of(labels, 3)
    several = {
        "one": draws.numbers("one"),
        "other purpose": draws.numbers("two"),
        "other seed": UnitDraws.of(labels, 4).numbers("one"),
        "beside": draws.beside("one", np.zeros((20_000, 1), int))[:, 0],
        "beside another": draws.beside("one", np.ones((20_000, 1), int))[:, 0],
    }
    for name, numbers in several.items():
        assert stats.kstest(numbers, "uniform").pvalue > 1e-4, name
        assert len(np.unique(numbers)) == 20_000
    pairs = np.corrcoef(np.array(list(several.values())))
    assert np.abs(pairs - np.eye(len(several))).max() < 5 / np.sqrt(20_000)
    assert set(draws.places("three", 5)) == set(range(5))


def test_a_label_draws_the_same_as_a_number_and_as_its_text():
    numbers = UnitDraws.of(pd.RangeIndex(5), 1).numbers("x")
    texts = UnitDraws.of(pd.Index(list("01234")), 1).numbers("x")
    np.testing.assert_array_equal(numbers, texts)


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_sums_of_a_row_are_the_same_alone_and_among_others(n):
    rng = np.random.default_rng(n)
    x, A = rng.normal(size=(n, 13)) * 1e6, rng.normal(size=(9, 13))
    A[:, 4] = 0
    np.testing.assert_allclose(products(x, A), x @ A.T, rtol=1e-12)
    alone = np.vstack([products(row[None], A) for row in x])
    np.testing.assert_array_equal(products(x, A), alone)
    alone = np.concatenate([row_sums(row[None]) for row in np.asfortranarray(x)])
    np.testing.assert_array_equal(row_sums(np.asfortranarray(x)), alone)


def test_classes_of_the_pool_are_found_again_with_missing_as_a_value():
    pool = pd.DataFrame({"g": ["a", None, "b", "a"], "h": [1, 1, 2, 2]})
    classes = PoolClasses(pool, ["g", "h"])
    asked = pd.DataFrame(
        {"g": ["a", None, "b", "b", "c"], "h": [2, 1, 2, 1, 1]}, dtype=object
    )
    found = classes.of(asked)
    assert [classes.members[i].tolist() for i in found[:3]] == [[3], [1], [2]]
    assert found[3:].tolist() == [-1, -1]
    assert PoolClasses(pool, []).members[0].tolist() == [0, 1, 2, 3]


def test_the_nearest_donor_is_the_one_that_is_nearest_in_rank():
    pool, frame = pool_of(), recipients(["y"])
    imputer = NearestDonor(["x"], by=["g"], min_donors=1, min_percent=0)
    cells = treated(imputer, frame, pool, ["y"]).cells
    for unit, donor in cells[["unit", "donor"]].itertuples(index=False):
        same = pool[pool["g"] == frame.loc[unit, "g"]]
        ranks = same["x"].rank() / (len(same) + 1)
        value = frame.loc[unit, "x"]
        place = ((same["x"] < value).sum() + (same["x"] <= value).sum() + 1) / 2
        distance = (ranks - place / (len(same) + 1)).abs()
        assert distance[donor] == pytest.approx(distance.min(), abs=1e-9)


def test_equal_donors_are_drawn_alike_and_by_the_unit():
    pool = pd.DataFrame({"x": 1.0, "y": np.arange(20.0)})
    frame = pd.DataFrame({"x": np.ones(4_000), "y": np.nan})
    imputer = NearestDonor(["x"], min_donors=1, min_percent=0)
    drawn = treated(imputer, frame, pool, ["y"]).values["y"]
    counts = drawn.value_counts()
    assert len(counts) == 20
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("imputer", [HotDeck(["g"]), HotDeck(["g", "x"])])
def test_the_hot_deck_draws_all_donors_of_the_class_alike(imputer):
    pool, frame = pool_of(30), recipients(["y"], 3_000)
    # No donor has these values: the class of both columns gives way to that of one.
    frame["x"] = 1_000.0
    found = treated(imputer, frame, pool, ["y"])
    cells = found.cells.assign(g=frame["g"].to_numpy())
    for name, part in cells.groupby("g"):
        counts = part["donor"].value_counts()
        assert set(counts.index) == set(pool.index[pool["g"] == name])
        assert stats.chisquare(counts).pvalue > 1e-4


def test_a_donor_gives_only_what_it_has():
    pool = pool_of(50).assign(note=None)
    pool.loc[pool.index[:3], "note"] = "seen"
    frame = recipients(["y"], 200).assign(note=None)
    for imputer in (
        HotDeck(),
        NearestDonor(["x"], min_donors=1, min_percent=0),
        NearestDonor(random=True, min_donors=1, min_percent=0),
    ):
        found = treated(imputer, frame, pool, ["y", "note"])
        assert set(found.cells["donor"]) <= set(pool.index[:3])
        assert found.values["note"].eq("seen").all()
        assert treated(imputer, frame, pool, ["y"]).cells["donor"].nunique() > 3


def test_estimates_are_those_of_the_pool():
    pool, frame = pool_of(), recipients(["y"])
    slope, level = np.polyfit(pool["x"], pool["y"], 1)
    ratio = pool.groupby("g")["y"].sum() / pool.groupby("g")["x"].sum()
    expected = {
        "mean": np.full(len(frame), pool["y"].mean()),
        "regression": level + slope * frame["x"],
        "ratio": frame["x"] * frame["g"].map(ratio),
        "previous": frame["x"],
    }
    for name, values in expected.items():
        step = {"variable": "y", "estimator": name, "negative": True}
        if name != "mean":
            step["auxiliary"] = ["x"]
        if name == "ratio":
            step["by"] = ["g"]
        found = treated(EstimatorImputer([step]), frame, pool, ["y"])
        np.testing.assert_allclose(found.values["y"], values, rtol=1e-10)


def test_residuals_are_those_of_donors():
    pool, frame = pool_of(), recipients(["y"], 2_000)
    step = {"variable": "y", "estimator": "mean", "residual": True}
    drawn = treated(EstimatorImputer([step]), frame, pool, ["y"]).values["y"]
    assert np.isin(drawn.round(6), pool["y"].round(6)).all()
    assert abs(drawn.mean() - pool["y"].mean()) < 5 * pool["y"].std() / np.sqrt(2_000)


def test_drawn_categories_have_the_frequencies_of_the_model():
    pool, frame = pool_of(2_000), recipients(["k"], 4_000)
    for imputer in (
        MultinomialImputer(["g"], penalty=1e-3),
        ChainedImputer(["g", "x"], trees=30),
    ):
        drawn = treated(imputer, frame, pool, ["k"]).values["k"]
        for name in "uv":
            expected = (pool["k"] == "p")[pool["g"] == name].mean()
            share = (drawn == "p")[frame["g"] == name]
            error = np.sqrt(expected * (1 - expected) * (1 / len(share) + 1e-3))
            assert abs(share.mean() - expected) < 5 * error


def test_matched_numbers_follow_their_prediction():
    pool, frame = pool_of(1_500), recipients(["y"], 500)
    found = treated(ChainedImputer(["x", "g"], trees=40), frame, pool, ["y"])
    assert found.values["y"].isin(pool["y"]).all()
    assert np.corrcoef(found.values["y"], frame["x"])[0, 1] > 0.9
    own = pool.loc[found.cells["donor"], "y"].to_numpy()
    np.testing.assert_array_equal(found.values["y"], own)


def test_a_variable_with_zeros_is_imputed_in_two_parts():
    pool, frame = pool_of(1_500), recipients(["y"], 2_000)
    pool["y"] = np.where(pool["g"] == "u", 0.0, pool["y"])
    drawn = treated(ChainedImputer(["g"], trees=20), frame, pool, ["y"]).values["y"]
    assert ((drawn == 0) == (frame["g"] == "u")).mean() > 0.99


def test_models_do_not_depend_on_what_else_may_be_asked_for():
    pool, frame = pool_of(), recipients(["y"])
    imputer = ChainedImputer(trees=5)
    made = [
        treated(imputer, frame, pool, ["y"]).values["y"],
        Pool.of(pool, imputer, seed=7, asked=["y", "k", "x"])
        .imputer.treat(
            frame,
            pd.DataFrame(
                frame.columns.isin(["y"])[None].repeat(len(frame), 0),
                frame.index,
                frame.columns,
            ),
            UnitDraws.of(frame.index, 7),
        )
        .values["y"],
    ]
    pd.testing.assert_series_equal(*made)


def test_ties_of_the_selection_are_those_of_the_label():
    edits = EditSet.from_texts(["a + b == c", "a >= 0", "b >= 0"])
    frame = pd.DataFrame({"a": 1.0, "b": 2.0, "c": 9.0}, index=range(3_000))
    draws = UnitDraws.of(frame.index, 1)
    found = localise(frame, edits, draws=draws).changes
    assert (found.sum(axis=1) == 1).all()
    assert found.mean().between(0.05, 0.8).all()
    rows = np.array([2_000, 5, 77])
    some = localise(frame.iloc[rows], edits, draws=draws.take(rows)).changes
    pd.testing.assert_frame_equal(some, found.iloc[rows])


def test_given_donors_give_whatever_the_records_hold():
    edits = EditSet.from_texts(["y >= 0", "x >= 0"])
    pool, frame = pool_of(), recipients(["y"])
    found = process(frame, edits, HotDeck(), donors=pool, seed=1)
    assert set(found.cells["donor"]) <= set(pool.index)
    assert found.values["y"].notna().all()


def test_joint_donors_are_left_out_only_where_none_could_help(monkeypatch):
    edits = EditSet.from_texts(
        [
            "x + y == z",
            "x <= 0.4 * z",
            "y <= 0.5 * z + 10",
            'if k == "p" then y <= 60',
        ],
        {name: Variable(least=0) for name in "xyz"},
    )
    frame = pool_of(600)[["x", "y", "k"]]
    frame["z"] = frame["x"] + frame["y"]
    rng = np.random.default_rng(3)
    for name in "xyzk":
        frame[name] = frame[name].mask(rng.random(len(frame)) < 0.3)
    donors = frame.dropna()[review(frame.dropna(), edits).by_record == PASS]
    asked = []

    def every(made, fitter, free, rows):
        asked.append(len(rows))
        return np.ones(len(rows), dtype=bool)

    few = process(frame, edits, HotDeck(), donors=donors, seed=1)
    monkeypatch.setattr(mixed_edits, "_may_be_helped", every)
    all_of_them = process(frame, edits, HotDeck(), donors=donors, seed=1)
    assert sum(asked) > 20
    pd.testing.assert_frame_equal(few.values, all_of_them.values)
    pd.testing.assert_frame_equal(few.cells, all_of_them.cells)
    pd.testing.assert_frame_equal(few.edits, all_of_them.edits)
