"""Rasters and zonal tables of a Dask cluster are those of this machine."""

import signal
import subprocess
import sys
import time

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from sklearn.ensemble import RandomForestClassifier

from mlstats import imagery_task, scale_dask
from mlstats.errors import SourceError
from mlstats.imagery import Image, Stack, map_raster, zonal_statistics
from mlstats.imagery.class_raster import classify_raster
from mlstats.imagery.features import FeatureSet
from mlstats.imagery.pixel_classifier import PixelClassifier
from mlstats.imagery_methods import load, ready
from mlstats.scale import Scale
from mlstats.scene_methods import map_classifier
from mlstats.scene_scoring import applicability
from mlstats.settings import load_settings
from tests.conftest import REPOSITORY
from tests.dask_cluster import dask_cluster
from tests.raster_example import HeldSums, slow_sums, write_raster
from tests.scene_example import make_landscape, scene_pilot

pytestmark = pytest.mark.xdist_group("dask")

SIDE = 160
VALUES = np.random.default_rng(5).integers(1, 200, (3, SIDE, SIDE)).astype("uint8")
TILES = {"tiled": True, "blockxsize": 16, "blockysize": 16, "crs": "EPSG:6933"}
SLOW = {"bands": "sum", "dtype": "float32", "block": 16}


@pytest.fixture(scope="module")
def cluster():
    with dask_cluster(2) as running:
        yield running


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """Write the image and go to its folder, where the workers are not."""
    write_raster(tmp_path / "in.tif", VALUES, names=["red", "nir", "swir1"], **TILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("texture", [False, True])
def test_a_classified_raster_has_the_same_bytes(scene, cluster, texture):
    stack, features = Stack([Image("in.tif")]), None
    if texture:
        features = FeatureSet(
            texture=[{"band": "red", "window": 3, "statistics": ["mean", "std"]}]
        )
    width = 3 if features is None else len(features.names(stack))
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 200, (300, width))
    forest = RandomForestClassifier(10, random_state=0).fit(X, rng.integers(0, 3, 300))
    pixels, found = PixelClassifier(forest), []
    for workers in (1, Scale(cluster.address)):
        counts = classify_raster(
            *(stack, features, pixels, "out.tif"),
            probabilities=True,
            uncertainty="margin",
            workers=workers,
            block=64,
        )
        found.append(((scene / "out.tif").read_bytes(), counts))
    assert found[0][0] == found[1][0]
    pd.testing.assert_frame_equal(found[0][1], found[1][1], check_exact=True)


@pytest.mark.parametrize("method", ["centre", "fractional"])
def test_zonal_tables_are_equal(scene, cluster, method):
    edges = np.linspace(0, SIDE * 30, 5)
    boxes = [
        shapely.box(5e5 + left, 2e6 - below, 5e5 + right, 2e6 - above)
        for left, right in zip(edges[:-1], edges[1:], strict=True)
        for above, below in zip(edges[:-1], edges[1:], strict=True)
    ]
    zones = geopandas.GeoDataFrame(
        {"zone": range(len(boxes))}, geometry=boxes, crs="EPSG:6933"
    )
    for values in ("continuous", "classes"):
        here, there = (
            zonal_statistics(
                *("in.tif", zones),
                id="zone",
                values=values,
                method=method,
                workers=workers,
            )
            for workers in (1, Scale(cluster.address))
        )
        pd.testing.assert_frame_equal(here, there, check_exact=True)


def test_a_pilot_makes_the_same_maps(tmp_path, cluster, monkeypatch):
    """Of its methods and of the area of applicability, by settings alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imagery_task, "_SMALL", 0)
    make_landscape()
    pilot, found, sent = scene_pilot(), [], []
    map_on_dask = scale_dask.map_on_dask
    monkeypatch.setattr(
        *(scale_dask, "map_on_dask"),
        lambda *given, **more: sent.append(given) or map_on_dask(*given, **more),
    )
    for address in ("local", cluster.address):
        monkeypatch.setenv("MLSTATS_SCALE", address)
        folder = tmp_path / address[:5]
        folder.mkdir()
        data, _ = load(pilot, load_settings())
        ready(pilot, data)
        runs = [map_classifier(pilot, name, data, folder) for name in pilot.methods]
        rows, table = applicability(pilot, data, runs, folder)
        maps = {path.name: path.read_bytes() for path in folder.glob("*.tif")}
        found.append((maps, rows, table, [run.tables["class_areas"] for run in runs]))
        assert len(sent) == (0 if address == "local" else len(maps))
    assert len(found[0][0]) == len(pilot.methods) + 1
    assert found[0][:2] == found[1][:2]
    pd.testing.assert_frame_equal(found[0][2], found[1][2], check_exact=True)
    for here, there in zip(found[0][3], found[1][3], strict=True):
        pd.testing.assert_frame_equal(here, there, check_exact=True)


def test_a_killed_worker_costs_its_block_only(scene, cluster):
    map_raster(slow_sums, "in.tif", "undisturbed.tif", **SLOW)
    extra, held = cluster.start_worker(), HeldSums(scene)
    held.let_go(SIDE // 2)
    command = [sys.executable, "-m", "tests.raster_example", str(scene)]
    with subprocess.Popen(
        [*command, cluster.address], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as run:
        _wait_for_blocks(scene, run)
        extra.send_signal(signal.SIGKILL)
        held.let_go(SIDE)
        computed, blocks = map(int, run.communicate()[0].split())
    assert run.returncode == 0
    assert computed == blocks
    undisturbed = (scene / "undisturbed.tif").read_bytes()
    assert (scene / "out.tif").read_bytes() == undisturbed


@pytest.mark.parametrize(
    "again", ["cluster", pytest.param("here", marks=pytest.mark.soak)]
)
def test_a_killed_run_goes_on_where_it_was(scene, cluster, again):
    """On the cluster or without it: finished blocks are those of either."""
    map_raster(slow_sums, "in.tif", "undisturbed.tif", **SLOW)
    command = [sys.executable, "-m", "tests.raster_example", str(scene)]
    held = HeldSums(scene)
    held.let_go(SIDE // 2)
    run = subprocess.Popen([*command, cluster.address], cwd=REPOSITORY)
    _wait_for_blocks(scene, run)
    run.send_signal(signal.SIGKILL)
    run.wait()
    held.let_go(SIDE)
    assert not (scene / "out.tif").exists()
    last = subprocess.run(
        [*command, cluster.address if again == "cluster" else "1"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    computed, blocks = map(int, last.stdout.split())
    assert 0 < computed < blocks
    undisturbed = (scene / "undisturbed.tif").read_bytes()
    assert (scene / "out.tif").read_bytes() == undisturbed


def test_an_image_that_workers_do_not_see_is_named(scene, cluster):
    stack = Stack([Image("in.tif")])
    (scene / "in.tif").rename(scene / "moved.tif")
    (scene / "in.tif").touch()
    with pytest.raises(SourceError, match=r"in\.tif"):
        map_raster(
            *(slow_sums, stack, "out.tif"), **SLOW, workers=Scale(cluster.address)
        )
    assert not (scene / "out.tif").exists()


def _wait_for_blocks(folder, run):
    log = folder / ".out.tif.blocks" / "log"
    while not log.exists() or log.stat().st_size < 2_000:
        assert run.poll() is None
        time.sleep(0.005)
