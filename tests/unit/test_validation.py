"""Out-of-fold predictions and their table: fair folds, honest intervals, no gaps."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import f1_score

from mlstats.errors import ConfigError, ContractError, MethodError
from mlstats.imagery import (
    MaximumLikelihood,
    block_cores,
    spatial_blocks,
    unlearnt_classes,
    validate_classifiers,
    validation_sentence,
    validation_table,
)
from mlstats.quality.breakdown import macro_f1_difference, macro_f1_linearised
from mlstats.quality.design import Design

METHODS = {"ml": MaximumLikelihood(), "guess": DummyClassifier()}


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    n = 240
    y = rng.choice(["crop", "forest", "water"], n)
    X = rng.normal(size=(n, 3)) + 2 * np.eye(3)[pd.factorize(y, sort=True)[0]]
    block = np.repeat(np.arange(24), 10)
    season = np.tile(["2013", "2014", "2015"], 80)
    return X, y, block, season


@pytest.fixture(scope="module")
def predictions(scene):
    X, y, block, season = scene
    return validate_classifiers(METHODS, X, y, blocks=block, seasons=season)


def test_every_unit_is_predicted_once_by_every_method_in_the_same_folds(
    predictions, scene
):
    for _, part in predictions.groupby(["scheme", "method"]):
        assert sorted(part["unit"]) == list(range(240))
        assert (part.sort_values("unit")["truth"].to_numpy() == scene[1]).all()
    folds = predictions.pivot(index=["scheme", "unit"], columns="method", values="fold")
    assert (folds["ml"] == folds["guess"]).all()
    assert predictions["confidence"].between(1 / 3, 1).all()
    assert predictions["learnt"].all()


def test_no_block_and_no_season_is_on_both_sides(predictions, scene):
    for scheme, label in (("blocked", scene[2]), ("season", scene[3])):
        part = predictions[predictions["scheme"] == scheme]
        folds = pd.Series(label[part["unit"]]).groupby(label[part["unit"]])
        told = part["fold"].reset_index(drop=True)
        assert all(told[rows].nunique() == 1 for rows in folds.groups.values())


def test_a_prediction_is_that_of_a_fit_without_the_fold(predictions, scene):
    X, y, _, season = scene
    part = predictions[(predictions["scheme"] == "season")]
    part = part[(part["method"] == "ml") & (part["fold"] == "2014")]
    fitted = MaximumLikelihood().fit(X[season != "2014"], y[season != "2014"])
    rows = part["unit"].to_numpy()
    assert (fitted.predict(X[rows]) == part["prediction"].to_numpy(object)).all()
    np.testing.assert_allclose(
        fitted.predict_proba(X[rows]).max(axis=1), part["confidence"]
    )


def test_a_polygon_in_two_blocks_joins_them(scene):
    X, y, block, _ = scene
    field = np.where(np.isin(block, [0, 7]), "field", block.astype(str))
    found = validate_classifiers(METHODS, X, y, blocks=block, clusters=field)
    part = found[(found["scheme"] == "blocked") & (found["method"] == "ml")]
    assert part["cluster"].nunique() == 23
    joined = part[np.isin(block[part["unit"]], [0, 7])]
    assert joined["fold"].nunique() == joined["cluster"].nunique() == 1


def test_a_class_of_one_season_is_said_and_counted_wrong(scene):
    X, y, block, season = scene
    season = np.where(y == "water", "2015", np.where(season == "2015", "2014", season))
    found = validate_classifiers(METHODS, X, y, blocks=block, seasons=season)
    lost = unlearnt_classes(found)
    count = int((y == "water").sum())
    assert lost.to_dict("records") == [
        {"scheme": "season", "fold": "2015", "class": "water", "units": count}
    ]
    table = validation_table(found).set_index(
        ["scheme", "method", "measure", "against"]
    )
    row = table.loc[("season", "ml", "accuracy", "")]
    assert f"water ({count})" in row["note"]
    alone = table.loc[("season", "ml", "accuracy_of_learnt_classes", "")]
    assert alone["n"] == 240 - count
    assert row["value"] == pytest.approx(alone["value"] * (240 - count) / 240)


def test_schemes_that_cannot_be_measured_stay_in_the_table(scene):
    X, y, block, _ = scene
    found = validate_classifiers(METHODS, X, y, blocks=np.zeros_like(block))
    table = validation_table(found)
    assert set(table["scheme"]) == {"random", "blocked", "season"}
    notes = table[table["status"] != "measured"].groupby("scheme")["note"].first()
    assert notes["season"] == "no seasons were given"
    assert notes["blocked"].startswith("the units lie in one block")
    assert "no comparison" in validation_sentence(table)
    # One block is one cluster: the accuracy stands without an error.
    random = table[(table["scheme"] == "random") & (table["against"] == "")]
    assert random["se"].isna().all()
    assert random["value"].notna().all()


def test_a_training_fold_with_one_class_predicts_nothing(scene):
    X, y, block, _ = scene
    two = np.where(y == "water", "water", "land")
    season = np.where(two == "water", "2013", "2014")
    found = validate_classifiers(METHODS, X, two, blocks=block, seasons=season)
    part = found[found["scheme"] == "season"]
    assert part["prediction"].isna().all()
    assert not part["learnt"].any()
    table = validation_table(found)
    level = table[(table["scheme"] == "season") & (table["measure"] == "accuracy")]
    assert (level["value"] == 0).all()


def test_rare_classes_and_few_blocks(scene):
    X, y, block, _ = scene
    y = y.copy()
    y[0] = "rare"
    found = validate_classifiers(METHODS, X, y, blocks=block // 8)
    lost = unlearnt_classes(found)
    assert lost["class"].tolist() == ["rare", "rare"]
    assert found[found["scheme"] == "blocked"]["fold"].nunique() == 3
    assert "3 clusters: a rough interval" in validation_table(found)["note"].iloc[0]


class Failing(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        raise ValueError("no luck")


def test_what_fails_is_named(scene):
    X, y, block, season = scene
    with pytest.raises(MethodError) as caught:
        validate_classifiers({"bad": Failing()}, X, y, blocks=block)
    assert caught.value.where == "bad, scheme random, fold 1"
    missing = X.copy()
    missing[3, 1] = np.nan
    for values, labels, kwargs in (
        (missing, y, {"blocks": block}),
        (X, y[:-1], {"blocks": block}),
        (X, y, {"blocks": block[:-1]}),
        (X, y, {"blocks": block, "seasons": season[:-1]}),
        (X, np.where(y == "crop", None, y), {"blocks": block}),
        (X, np.full(240, "crop"), {"blocks": block}),
    ):
        with pytest.raises(ContractError):
            validate_classifiers(METHODS, values, labels, **kwargs)
    with pytest.raises(ConfigError):
        validate_classifiers({}, X, y, blocks=block)
    found = validate_classifiers(METHODS, X, y, blocks=block)
    with pytest.raises(ConfigError) as caught:
        validation_table(found, baseline="guesss")
    assert caught.value.nearest == "guess"


def test_texts_of_pandas_and_methods_without_probabilities(scene):
    X, y, block, _ = scene
    frame = pd.DataFrame({"class": y, "block": block.astype(str)})
    found = validate_classifiers(
        {"ridge": RidgeClassifier()}, X, frame["class"], blocks=frame["block"]
    )
    assert found["confidence"].isna().all()
    assert (found["prediction"] == found["truth"]).mean() > 0.7


def test_figures_by_hand(predictions):
    table = validation_table(predictions).set_index(
        ["scheme", "method", "measure", "against"]
    )
    part = predictions[predictions["scheme"] == "blocked"]
    wide = part.pivot(index="unit", columns="method", values="prediction")
    one = part[part["method"] == "ml"].set_index("unit").sort_index()
    truth, cluster = one["truth"], one["cluster"]
    right = {name: (wide[name] == truth).astype(float) for name in wide}
    gap = right["guess"] - right["ml"]
    for key, values in (
        (("blocked", "ml", "accuracy", ""), right["ml"]),
        (("blocked", "guess", "accuracy", "ml"), gap),
    ):
        row, mean = table.loc[key], values.mean()
        sums = (values - mean).groupby(cluster).sum()
        se = np.sqrt(24 / 23 * (sums**2).sum()) / 240
        assert row["value"] == pytest.approx(mean)
        assert row["se"] == pytest.approx(se)
        assert row["df"] == 23
    f1 = {n: f1_score(truth, wide[n], average="macro") for n in wide}
    for key, value in (("", f1["guess"]), ("ml", f1["guess"] - f1["ml"])):
        row = table.loc[("blocked", "guess", "macro_f1", key)]
        assert row["value"] == pytest.approx(value)
    assert "not shown to be above" in validation_sentence(table.reset_index())


def jackknife(cluster, figure):
    """Delete one cluster at a time."""
    names = np.unique(cluster)
    found = np.array([figure(cluster != name) for name in names])
    g = len(names)
    return np.sqrt((g - 1) / g * ((found - found.mean()) ** 2).sum())


def test_the_error_of_a_difference_of_macro_f1_by_the_jackknife():
    rng = np.random.default_rng(3)
    truth = rng.choice(np.array(["a", "b", "c"], dtype=object), 600)
    first = np.where(rng.random(600) < 0.8, truth, rng.permutation(truth))
    second = np.where(rng.random(600) < 0.7, first, rng.permutation(truth))
    cluster = np.repeat(np.arange(60), 10)

    def gap(kept):
        one, two = (
            f1_score(truth[kept].astype(str), p[kept].astype(str), average="macro")
            for p in (first, second)
        )
        return one - two

    design = Design.of(np.ones(600), cluster=cluster)
    found = macro_f1_difference(design, truth, first, second)
    assert found.value == pytest.approx(gap(np.ones(600, dtype=bool)))
    assert found.se == pytest.approx(jackknife(cluster, gap), rel=0.03)
    same = macro_f1_difference(design, truth, first, first)
    assert same.value == same.se == 0
    alone = macro_f1_linearised(design, truth, first).value
    assert found.value == pytest.approx(
        alone - macro_f1_linearised(design, truth, second).value
    )


def drawn(rng, blocks, size):
    """Draw rights of two methods that fail together in whole blocks."""
    effect = rng.normal(size=(blocks, 1))
    latent = 0.7 * effect + np.sqrt(0.51) * rng.normal(size=(blocks, size))
    other = 0.7 * effect + np.sqrt(0.51) * rng.normal(size=(blocks, size))
    return (latent < 0.8416).ravel(), (other < 0.8416).ravel()


def test_intervals_cover_where_errors_come_in_blocks():
    rng = np.random.default_rng(4)
    blocks, size, draws = 40, 12, 150
    truth = np.tile(["a", "b"], blocks * size // 2)
    wrong = np.where(truth == "a", "b", "a")
    covered = np.zeros(3)
    for _ in range(draws):
        sides = drawn(rng, blocks, size)
        part = pd.concat(
            pd.DataFrame(
                {
                    "unit": np.arange(blocks * size),
                    "scheme": "blocked",
                    "cluster": np.repeat(np.arange(blocks), size).astype(str),
                    "method": name,
                    "truth": truth,
                    "prediction": np.where(right, truth, wrong),
                    "learnt": True,
                }
            )
            for name, right in zip(("one", "two"), sides, strict=True)
        )
        table = validation_table(part)
        table = table[table["scheme"] == "blocked"].set_index(
            ["method", "measure", "against"]
        )
        for i, (key, target) in enumerate(
            (
                (("one", "accuracy", ""), 0.8),
                (("one", "macro_f1", ""), 0.8),
                (("two", "accuracy", "one"), 0.0),
            )
        ):
            row = table.loc[key]
            covered[i] += row["lower"] <= target <= row["upper"]
    assert (covered / draws > 0.895).all()  # .95 less three standard errors


def test_the_rows_of_cores_are_a_table_too(predictions):
    kept = validation_table(predictions[predictions["unit"] % 3 > 0])
    assert set(kept["scheme"]) == {"random", "blocked", "season"}
    assert (kept["n"] == 160).all()


def test_cores_cover_where_errors_reach_into_the_next_block():
    """Errors cut from a field of range 1 on 10 by 10; blocks of 2, cores 1 apart."""
    rng = np.random.default_rng(8)
    n, draws = 800, 120
    x, y = rng.uniform(0, 10, (2, n))
    h = np.minimum(cdist(np.c_[x, y], np.c_[x, y]), 1)
    root = np.linalg.cholesky(1 - 1.5 * h + 0.5 * h**3 + 1e-8 * np.eye(n))
    core = block_cores(x, y, 2, 1)
    frame = pd.DataFrame(
        {"unit": np.arange(n), "scheme": "random", "method": "one", "learnt": True}
    )
    covered = {"core": 0, "pixel": 0}
    for _ in range(draws):
        right = root @ rng.normal(size=n) > -0.8416
        told = frame.assign(truth="a", prediction=np.where(right, "a", "b"))
        told.loc[0, "truth"] = "b"
        ways = {
            "core": told.assign(cluster=spatial_blocks(x, y, 2))[core],
            "pixel": told.assign(cluster=told.index),
        }
        for name, part in ways.items():
            table = validation_table(part)
            row = table.iloc[0]
            assert (row["scheme"], row["measure"]) == ("random", "accuracy")
            covered[name] += row["lower"] <= 0.8 <= row["upper"]
    assert covered["core"] / draws > 0.89  # .95 less three standard errors
    assert covered["pixel"] / draws < 0.8


def test_random_folds_flatter_and_blocked_ones_do_not():
    """Fields in blocks share their spectrum: the truth is accuracy in new blocks."""
    rng = np.random.default_rng(5)
    random, blocked, truth = [], [], []
    for _ in range(6):
        fields, size = 60, 8
        y = rng.choice(["a", "b"], 3 * fields)
        own = rng.normal(size=(3 * fields, 4)) + 0.6 * (y == "b")[:, None]
        X = np.repeat(own, size, axis=0) + 0.2 * rng.normal(size=(3 * fields * size, 4))
        y, block = np.repeat(y, size), np.repeat(np.arange(3 * fields), size)
        seen = block < fields
        forest = RandomForestClassifier(30, random_state=0)
        part = validate_classifiers({"f": forest}, X[seen], y[seen], blocks=block[seen])
        part["right"] = part["truth"] == part["prediction"]
        level = part.groupby("scheme")["right"].mean()
        random.append(level["random"])
        blocked.append(level["blocked"])
        truth.append(forest.fit(X[seen], y[seen]).score(X[~seen], y[~seen]))
    assert np.mean(random) > np.mean(truth) + 0.15
    assert abs(np.mean(blocked) - np.mean(truth)) < 0.05


def test_blocks_of_a_grid_serve(scene):
    X, y, block, _ = scene
    rng = np.random.default_rng(6)
    cells = spatial_blocks(*rng.uniform(0, 5, (2, 240)), 1.0)
    found = validate_classifiers(METHODS, X, y, blocks=cells)
    assert found[found["scheme"] == "blocked"]["cluster"].nunique() == 25
