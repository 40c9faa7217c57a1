"""The raster of classes holds what scikit-learn says, and every pixel once."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from sklearn.ensemble import RandomForestClassifier

from mlstats.errors import ConfigError
from mlstats.imagery.class_raster import _Classify, classify_raster
from mlstats.imagery.features import FeatureSet
from mlstats.imagery.images import Image, Stack
from mlstats.imagery.maximum_likelihood import MaximumLikelihood
from mlstats.imagery.pixel_classifier import PixelClassifier
from mlstats.imagery.uncertainty import (
    least_confidence,
    margin_uncertainty,
    normalised_entropy,
)
from mlstats.imagery.windows import Window
from tests.conftest import REPOSITORY

SHAPE = (70, 130)
CLASSES = np.array(["crop", "forest", "water"])
MEASURES = {
    "least": least_confidence,
    "margin": margin_uncertainty,
    "entropy": normalised_entropy,
}


@pytest.fixture
def scene(tmp_path):
    """Write two bands of three classes and a hole; return file, values and hole."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, SHAPE)
    centre = np.array([[900, 2000, 300], [700, 900, 500]])
    values = (centre[:, truth] + rng.normal(0, 150, (2, *SHAPE))).astype(np.uint16)
    hole = np.zeros(SHAPE, bool)
    hole[10:30, 100:] = True
    values[:, hole] = 0
    path = tmp_path / "scene.tif"
    options = {
        "crs": "EPSG:32615",
        "transform": Affine(30, 0, 500_000, 0, -30, 2_000_000),
        "nodata": 0,
        "tiled": True,
        "blockxsize": 32,
        "blockysize": 32,
    }
    height, width = SHAPE
    with rasterio.open(
        path, "w", "GTiff", width, height, 2, dtype="uint16", **options
    ) as raster:
        raster.write(values)
        raster.descriptions = ("green", "red")
    return path, values, hole, truth


def fitted(values, hole, truth, *, names=None, estimator=None):
    table = values[:, ~hole].T.astype(float)
    if names is not None:
        table = pd.DataFrame(table, columns=names)
    estimator = estimator or RandomForestClassifier(20, random_state=0)
    return estimator.fit(table[:2_000], CLASSES[truth[~hole][:2_000]])


@pytest.mark.parametrize("workers", [1, 2])
def test_classes_probabilities_and_uncertainty(scene, tmp_path, workers):
    path, values, hole, truth = scene
    forest = fitted(values, hole, truth)
    out = tmp_path / "classes.tif"
    counts = classify_raster(
        Stack([Image(path)]),
        None,
        PixelClassifier(forest),
        out,
        probabilities=True,
        uncertainty="margin",
        workers=workers,
        block=32,
    )
    with rasterio.open(out) as raster:
        found, tags, names = raster.read(), raster.tags(), raster.descriptions
    pixels = values[:, ~hole].T.astype(np.float32)
    np.testing.assert_array_equal(CLASSES[found[0][~hole]], forest.predict(pixels))
    assert (found[:, hole] == 255).all()
    shares = forest.predict_proba(pixels)
    scale = float(tags["share_scale"])
    np.testing.assert_allclose(found[1:4][:, ~hole].T * scale, shares, atol=scale / 2)
    np.testing.assert_allclose(
        found[4][~hole] * scale, margin_uncertainty(shares), atol=scale / 2 + 1e-6
    )
    assert names[1:] == (
        "probability crop",
        "probability forest",
        "probability water",
        "uncertainty margin",
    )
    assert json.loads(tags["classes"])["255"] == "unclassified"
    assert counts["class"].tolist() == [*CLASSES, "unclassified"]
    assert counts["code"].tolist() == [0, 1, 2, 255]
    assert counts["pixels"].sum() == np.prod(SHAPE)
    assert counts["pixels"].iloc[-1] == hole.sum()
    np.testing.assert_array_equal(
        counts["pixels"][:3], [(forest.predict(pixels) == c).sum() for c in CLASSES]
    )


@pytest.mark.parametrize("texture", [False, True])
def test_map_and_counts_do_not_depend_on_blocks_and_workers(scene, tmp_path, texture):
    path, values, hole, truth = scene
    features = None
    if texture:  # of two features, as the forest was fitted on
        wanted = [{"band": "red", "window": 5, "statistics": ["mean"]}]
        features = FeatureSet(bands=["red"], texture=wanted)
    pixels = PixelClassifier(fitted(values, hole, truth))
    out, maps = tmp_path / "classes.tif", set()
    every = []
    for block, workers in ((32, 1), (512, 1), (64, 2)):
        counts = classify_raster(
            *(Stack([Image(path)]), features, pixels, out),
            probabilities=True,
            uncertainty="entropy",
            workers=workers,
            block=block,
        )
        maps.add(out.read_bytes())
        every.append(counts)
    assert len(maps) == 1
    for counts in every:
        pd.testing.assert_frame_equal(counts, every[0], check_exact=True)


def test_a_worker_starts_without_pandas_and_scikit_learn(scene, tmp_path):
    """They take a worker longer to load than a million pixels take to classify."""
    path, values, hole, truth = scene
    pixels = PixelClassifier(fitted(values, hole, truth))
    job = (Stack([Image(path)]), _Classify(pixels, None, False, None))
    (tmp_path / "job").write_bytes(pickle.dumps(job))
    code = (
        "import pickle, sys\n"
        "stack, classify = pickle.load(open(sys.argv[1], 'rb'))\n"
        "from mlstats.imagery import Window, raster_map\n"
        "classify(stack.read(Window(0, 0, 32, 32), as_stored=True))\n"
        "print([name for name in ('pandas', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "job")],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("measure", sorted(MEASURES))
def test_uncertainty_alone(scene, tmp_path, measure):
    path, values, hole, truth = scene
    model = fitted(values, hole, truth, estimator=MaximumLikelihood())
    out = tmp_path / "classes.tif"
    pixels = PixelClassifier(model, unclassified=0)
    counts = classify_raster(
        Stack([Image(path)]), None, pixels, out, uncertainty=measure
    )
    with rasterio.open(out) as raster:
        codes, found = raster.read()
    assert counts["code"].tolist() == [1, 2, 3, 0]
    np.testing.assert_array_equal(codes == 0, hole)
    shares = model.predict_proba(values[:, ~hole].T.astype(float))
    np.testing.assert_allclose(
        found[~hole] / 200, MEASURES[measure](shares), atol=0.0026
    )
    assert (found[hole] == 255).all()


def test_scaled_bands_and_features(scene, tmp_path):
    path, values, hole, truth = scene
    scaled = values * np.float32(1e-4)
    stack, out = Stack([Image(path, scale=1e-4)]), tmp_path / "classes.tif"
    turned = FeatureSet(bands=["red", "green"])
    for features, order in ((None, [0, 1]), (turned, [1, 0])):
        names = ["green", "red"][:: 1 if features is None else -1]
        forest = fitted(scaled[order], hole, truth, names=names)
        classify_raster(stack, features, PixelClassifier(forest), out)
        with rasterio.open(out) as raster:
            found = raster.read(1)
        table = pd.DataFrame(scaled[order][:, ~hole].T, columns=names)
        np.testing.assert_array_equal(CLASSES[found[~hole]], forest.predict(table))
        np.testing.assert_array_equal(found == 255, hole)


def test_texture_sees_over_the_edges_of_blocks(scene, tmp_path):
    path, _, hole, truth = scene
    stack, out = Stack([Image(path)]), tmp_path / "classes.tif"
    features = FeatureSet(
        texture=[{"band": "red", "window": 5, "statistics": ["mean", "std"]}]
    )
    values, ok = features.compute(stack.read(Window(0, 0, *SHAPE)))
    names = list(features.names(stack))
    table = pd.DataFrame(values[:, ok].T, columns=names)
    forest = RandomForestClassifier(20, random_state=0).fit(table, truth[ok])
    counts = classify_raster(stack, features, PixelClassifier(forest), out, block=32)
    with rasterio.open(out) as raster:
        found = raster.read(1)
    np.testing.assert_array_equal(found == 255, ~ok)
    assert (found[hole] == 255).all()
    np.testing.assert_array_equal(found[ok], forest.predict(table))
    assert counts["pixels"].sum() == np.prod(SHAPE)


def test_a_cloud_over_everything_is_all_unclassified(scene, tmp_path):
    path, values, hole, truth = scene
    pixels = PixelClassifier(fitted(values, hole, truth))
    with rasterio.open(path, "r+") as raster:
        raster.write(np.zeros_like(values))
    counts = classify_raster(Stack([Image(path)]), None, pixels, tmp_path / "none.tif")
    assert counts["pixels"].tolist() == [0, 0, 0, np.prod(SHAPE)]


def test_a_classifier_of_other_features_is_refused(scene, tmp_path):
    path, values, hole, truth = scene
    stack, out = Stack([Image(path)]), tmp_path / "classes.tif"
    one = PixelClassifier(fitted(values[:1], hole, truth))
    with pytest.raises(ConfigError, match="fitted on 1 features, there are 2"):
        classify_raster(stack, None, one, out)
    turned = PixelClassifier(fitted(values, hole, truth, names=["red", "green"]))
    with pytest.raises(ConfigError, match="Feature 1 is 'green'"):
        classify_raster(stack, None, turned, out)
    good = PixelClassifier(fitted(values, hole, truth))
    with pytest.raises(ConfigError, match="no uncertainty 'ratio'"):
        classify_raster(stack, None, good, out, uncertainty="ratio")
    assert not out.exists()
