"""Pixels get the labels that scikit-learn gives them, whatever the way to them."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mlstats.errors import ConfigError, ContractError, MethodError
from mlstats.imagery import pixel_classifier
from mlstats.imagery.maximum_likelihood import MaximumLikelihood
from mlstats.imagery.pixel_classifier import PixelClassifier

TYPES = ("uint8", "uint16", "int16", "float32")
RANGES = {
    "uint8": (0, 255),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
    "float32": (-3.0, 3.0),
}


def spectra(dtype, n, *, features=6, classes=4, seed=0):
    """Return overlapping classes over the whole range of a type, as (n, features)."""
    rng = np.random.default_rng(seed)
    least, most = RANGES[dtype]
    centre = rng.uniform(least, most, (classes, features))
    label = rng.integers(0, classes, n)
    values = rng.normal(centre[label], 0.15 * (most - least))
    values = values.clip(least, most)
    return (values if dtype == "float32" else values.round()).astype(dtype), label


def assert_same(estimator, values, **options):
    """Labels and probabilities are scikit-learn's on the same pixels."""
    pixels = PixelClassifier(estimator, **options)
    found = pixels.predict(np.ascontiguousarray(values.T))
    expected = estimator.predict(values.astype(np.float32))
    np.testing.assert_array_equal(pixels.classes_[found], expected)
    shares = pixels.probabilities(np.ascontiguousarray(values.T))
    proba = estimator.predict_proba(values.astype(np.float32))
    np.testing.assert_allclose(shares.T, proba, atol=1e-6)
    return pixels


TREES = {
    "forest": RandomForestClassifier(20, random_state=0),
    "forest of 100": RandomForestClassifier(100, max_depth=5, random_state=0),
    "extra trees": ExtraTreesClassifier(17, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
    "stumps": RandomForestClassifier(33, max_depth=1, random_state=0),
    "histogram boosting": HistGradientBoostingClassifier(max_iter=19, random_state=0),
    "wide histogram boosting": HistGradientBoostingClassifier(
        max_iter=9, max_leaf_nodes=90, min_samples_leaf=3, random_state=0
    ),
    "gradient boosting": GradientBoostingClassifier(n_estimators=18, random_state=0),
    "gradient boosting from zero": GradientBoostingClassifier(
        n_estimators=5, init="zero", random_state=0
    ),
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", TREES)
def test_trees_give_the_labels_of_scikit_learn(name, dtype):
    values, label = spectra(dtype, 3_000)
    estimator = TREES[name].fit(values[:600].astype(float), label[:600])
    pixels = assert_same(estimator, values)
    assert pixels.how.startswith("compiled masks")


@pytest.mark.parametrize("classes", [2, 3, 5, 11])
@pytest.mark.parametrize("name", ["forest", "histogram boosting", "gradient boosting"])
def test_any_number_of_classes_and_their_names(name, classes):
    values, label = spectra("uint16", 2_000, classes=classes)
    named = np.array([f"class {k}" for k in range(classes)])[label]
    assert_same(TREES[name].fit(values[:400], named[:400]), values)


@pytest.mark.parametrize("name", ["forest", "tree", "extra trees"])
def test_one_class_and_one_value(name):
    values = np.arange(40, dtype=np.uint8).reshape(20, 2)
    assert_same(TREES[name].fit(values, np.zeros(20)), values)
    constant = np.ones((20, 2), np.uint8)
    assert_same(TREES[name].fit(constant, np.arange(20) % 2), constant)


def test_deep_trees_are_followed_below_their_tops():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 65536, (6_000, 4)).astype(np.uint16)
    label = rng.integers(0, 5, 6_000)
    forest = RandomForestClassifier(18, random_state=0).fit(values, label)
    leaves = [tree.get_n_leaves() for tree in forest.estimators_]
    assert min(leaves) > 1_000
    assert_same(forest, np.vstack([values, values[::-1] + np.uint16(3)]))


def test_ties_go_the_way_of_scikit_learn():
    values = np.repeat(np.arange(8, dtype=np.uint8), 50)[:, None]
    label = np.tile([2, 0, 1, 2, 1, 0, 0, 1, 2, 2], 40)
    for trees in (2, 3, 4, 16, 32):
        forest = RandomForestClassifier(trees, bootstrap=False, random_state=0)
        assert_same(forest.fit(values, label), values)
    # A pure forest of equal votes: what is left of rounding decides, or the order.
    shares = ExtraTreesClassifier(10, max_features=1, random_state=3)
    assert_same(shares.fit(values[::7], label[::7]), values)
    nothing = GradientBoostingClassifier(n_estimators=3, learning_rate=1e-300)
    two = np.arange(400) % 2
    assert_same(nothing.fit(values, two), values)
    boosting = HistGradientBoostingClassifier(max_iter=3, learning_rate=1e-300)
    assert_same(boosting.fit(values, two), values)


def test_wide_features_and_float_thresholds():
    x, label = make_classification(
        1_500, 130, n_informative=20, n_classes=3, random_state=0
    )
    values = x.astype(np.float32)
    assert_same(TREES["forest"].fit(values[:500], label[:500]), values)
    assert_same(TREES["histogram boosting"].fit(values[:500], label[:500]), values)


def test_values_at_and_next_to_every_threshold():
    values, label = spectra("float32", 500, features=2)
    values[::5] = np.float32(0)
    values[1::5, 0] = np.float32(-0.0)
    forest = TREES["forest"].fit(values, label)
    thresholds = np.concatenate(
        [tree.tree_.threshold[tree.tree_.feature >= 0] for tree in forest.estimators_]
    ).astype(np.float32)
    near = [thresholds, *(np.nextafter(thresholds, np.float32(s)) for s in (-9, 9))]
    tiny = np.finfo(np.float32).smallest_subnormal
    largest = np.finfo(np.float32).max
    edge = np.array([0, -0.0, tiny, -tiny, largest, -largest], np.float32)
    flat = np.concatenate([*near, edge])
    pairs = np.column_stack([flat, np.roll(flat, 1)])
    assert_same(forest, pairs)
    assert_same(TREES["histogram boosting"].fit(values, label), pairs)


@pytest.mark.parametrize("dtype", TYPES)
def test_gaussian_classes(dtype):
    values, label = spectra(dtype, 20_000)
    for estimator in (QuadraticDiscriminantAnalysis(), MaximumLikelihood()):
        estimator.fit(values[:2_000].astype(float), label[:2_000])
        pixels = assert_same(estimator, values)
        assert pixels.how.startswith("compiled discriminants")


def test_ties_of_gaussian_classes_are_left_to_the_estimator():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + np.arange(6)
    training, label = np.vstack([one, one[:, ::-1]]), np.arange(600) // 300
    half = rng.normal(size=(2_000, 3)).astype(np.float32)
    # As likely in both classes: only rounding decides.
    between = np.hstack([half, half[:, ::-1]])
    for estimator in (QuadraticDiscriminantAnalysis(), MaximumLikelihood()):
        assert_same(estimator.fit(training, label), between)
        labels = estimator.predict(between)
        assert 0 < labels.mean() < 1


def test_an_analysis_of_float32_stays_with_scikit_learn():
    values, label = spectra("float32", 1_000)
    analysis = QuadraticDiscriminantAnalysis().fit(values, label)
    assert assert_same(analysis, values).how.startswith("scikit-learn in chunks")


def test_other_classifiers_go_in_chunks(monkeypatch):
    monkeypatch.setattr(pixel_classifier._Chunks, "size", 700)
    values, label = spectra("float32", 2_000)
    named = np.array(["wheat", "maize", "grass", "water"])[label]
    for estimator in (GaussianNB(), LogisticRegression()):
        pixels = assert_same(estimator.fit(values[:300], named[:300]), values)
        assert "no compiled form" in pixels.how


def test_models_whose_sums_differ_between_pixels_go_in_chunks():
    values, label = spectra("uint8", 600)
    started = GradientBoostingClassifier(n_estimators=3, init=GaussianNB())
    assert "chunks" in assert_same(started.fit(values, label), values).how
    values[:, 0] %= 6
    grouped = HistGradientBoostingClassifier(max_iter=3, categorical_features=[0])
    assert "chunks" in assert_same(grouped.fit(values, label), values).how


def test_without_numba_the_labels_are_the_same(monkeypatch):
    import sys

    values, label = spectra("uint16", 900)
    compiled = [TREES["forest"], MaximumLikelihood()]
    bands = np.ascontiguousarray(values.T)
    before = [
        PixelClassifier(one.fit(values, label)).predict(bands) for one in compiled
    ]
    for name in ("compiling", "tree_kernels", "quadratic_kernel", "pixel_ranks"):
        monkeypatch.delitem(sys.modules, f"mlstats.imagery.{name}", raising=False)
        monkeypatch.delattr(f"mlstats.imagery.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    for one, expected in zip(compiled, before, strict=True):
        pixels = PixelClassifier(one)
        assert "numba is absent" in pixels.how
        np.testing.assert_array_equal(pixels.predict(bands), expected)


def test_pixels_without_a_value_keep_a_code():
    values, label = spectra("float32", 1_200)
    forest = TREES["forest"].fit(values, label)
    bands = values.T.reshape(6, 40, 30).copy()
    bands[2, 3, 4], bands[0, 5], bands[1, 7, 0] = np.nan, np.inf, -np.inf
    ok = np.ones((40, 30), bool)
    ok[20:, :15] = False
    missing = ~ok
    missing[3, 4] = missing[5] = missing[7, 0] = True
    for code, first in ((255, 0), (0, 1)):
        pixels = PixelClassifier(forest, unclassified=code)
        found = pixels.predict(bands, ok)
        assert found.dtype == np.uint8
        assert found.shape == (40, 30)
        np.testing.assert_array_equal(found == code, missing)
        expected = forest.predict(bands[:, ~missing].T)
        np.testing.assert_array_equal(found[~missing] - first, expected)
        assert pixels.codes() == {k + first: k for k in range(4)}
        shares = pixels.probabilities(bands, ok)
        assert shares.shape == (4, 40, 30)
        np.testing.assert_array_equal(np.isnan(shares), np.stack([missing] * 4))
    np.testing.assert_array_equal(
        PixelClassifier(forest).predict(bands, np.zeros((40, 30), bool)), 255
    )
    assert PixelClassifier(forest).predict(bands[:, :0]).shape == (0, 30)


def test_names_of_features_and_pickling():
    values, label = spectra("uint16", 800)
    table = pd.DataFrame(values.astype(float), columns=list("abcdef"))
    bands = np.ascontiguousarray(values.T)
    for estimator in (TREES["forest"], GaussianNB(), MaximumLikelihood()):
        estimator.fit(table, label)
        pixels = PixelClassifier(estimator, unclassified=0, lead=0.7)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = pixels.predict(bands)
        again = pickle.loads(pickle.dumps(pixels))
        np.testing.assert_array_equal(again.predict(bands), found)
        assert again.how == pixels.how


def test_an_early_winner_changes_few_labels_and_none_at_a_lead_of_one():
    values, label = spectra("uint16", 30_000, seed=2)
    forest = RandomForestClassifier(100, random_state=0)
    forest.fit(values[:1_000], label[:1_000])
    bands = np.ascontiguousarray(values.T)
    exact = PixelClassifier(forest).predict(bands)
    np.testing.assert_array_equal(exact, forest.predict(values))
    fast = PixelClassifier(forest, lead=0.5)
    changed = (fast.predict(bands) != exact).mean()
    assert 0 < changed <= 0.002
    assert "approximate" in fast.how
    np.testing.assert_array_equal(
        fast.probabilities(bands), PixelClassifier(forest).probabilities(bands)
    )


def test_what_cannot_be_used_is_told():
    values, label = spectra("uint8", 300)
    forest = TREES["forest"].fit(values, label)
    pixels = PixelClassifier(forest)
    with pytest.raises(ContractError, match="float64"):
        pixels.predict(values.T.astype(float))
    with pytest.raises(ContractError, match="shape"):
        pixels.predict(values)
    with pytest.raises(ContractError, match="ok"):
        pixels.predict(values.T, np.ones(4, bool))
    with pytest.raises(ConfigError, match="unclassified"):
        PixelClassifier(forest, unclassified=7)
    for lead in (0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="lead"):
            PixelClassifier(forest, lead=lead)
    codes = np.repeat(np.arange(300), 4)
    many = DecisionTreeClassifier().fit(codes[:, None], codes)
    with pytest.raises(ConfigError, match="300 classes"):
        PixelClassifier(many)
    both = DecisionTreeClassifier().fit(values, np.column_stack([label, label]))
    with pytest.raises(ConfigError, match="several outcomes"):
        PixelClassifier(both)
    margin = PixelClassifier(LinearSVC().fit(values / 255, label))
    assert "chunks" in margin.how
    with pytest.raises(MethodError, match="no probabilities"):
        margin.probabilities(values.T)


def test_labels_of_mato_grosso_series(real_data: Path):
    folder = real_data / "imagery/modis_mato_grosso"
    table = pd.read_csv(folder / "samples_ndvi_2000_2014.csv")
    series = table.filter(like="ndvi_").to_numpy(np.float32)
    for name in ("forest", "extra trees", "histogram boosting", "gradient boosting"):
        assert_same(TREES[name].fit(series[::2], table["label"][::2]), series)
    assert_same(MaximumLikelihood().fit(series[::2], table["label"][::2]), series)


def test_labels_of_a_landsat_scene(real_data: Path):
    import geopandas as gpd
    import rasterio
    from rasterio.features import rasterize

    folder = real_data / "imagery/landsat7_chiapas"
    with rasterio.open(folder / "landsat7_1999-11-18.tif") as scene:
        bands, transform = scene.read([1, 2, 3, 4, 5, 6]), scene.transform
        polygons = gpd.read_file(folder / "training_polygons_1999.gpkg").to_crs(
            scene.crs
        )
    codes, names = pd.factorize(polygons["class"], sort=True)
    pairs = zip(polygons.geometry, codes + 1, strict=True)
    truth = rasterize(pairs, bands.shape[1:], transform=transform)
    labelled = truth > 0
    for name in ("forest of 100", "histogram boosting", "gradient boosting"):
        estimator = TREES[name].fit(bands[:, labelled].T, names[truth[labelled] - 1])
        pixels = PixelClassifier(estimator)
        found = pixels.predict(bands, (bands != -9999).all(axis=0))
        good = found != pixels.unclassified
        expected = estimator.predict(bands[:, good].T.astype(np.float32))
        assert good.mean() > 0.9
        np.testing.assert_array_equal(pixels.classes_[found[good]], expected)


def test_code_that_cannot_be_kept_is_compiled_all_the_same():
    space = {}
    exec("def twice(value):\n    return 2 * value", space)
    from mlstats.imagery.compiling import compiled

    assert compiled(space["twice"])(21) == 42
