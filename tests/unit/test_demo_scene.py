"""The synthetic landscape keeps its word on truth, samples and arms."""

import numpy as np
import pandas as pd
import pytest
import rasterio
from scipy.spatial import cKDTree
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold, KFold, cross_val_score

from mlstats.demo_scene import CLASSES, DATES, _segments, make_scene
from mlstats.imagery import AreaSample, compare_estimators

SIDE, SEGMENT, SEGMENT_HA = 600, 20, 16.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def pixels(scene):
    """Spectra of all dates, one row a pixel, and whether every date is clear."""
    bands = []
    for path in scene.images.values():
        with rasterio.open(path) as raster:
            bands.append(raster.read())
    stack = np.stack(bands)
    spectra = stack[:, :4].reshape(12, -1).T.astype(float)
    return spectra, (stack[:, 4] == 0).all(axis=0).ravel()


@pytest.fixture(scope="module")
def training(scene):
    table = pd.read_csv(scene.folder / "training.csv", dtype={"season": str})
    with rasterio.open(scene.images[DATES[0]]) as raster:
        row, column = rasterio.transform.rowcol(
            raster.transform, table["x"], table["y"]
        )
    return table.assign(row=np.array(row), column=np.array(column))


def by_segment(grid):
    parts = grid.reshape(SIDE // SEGMENT, SEGMENT, SIDE // SEGMENT, SEGMENT)
    return parts.sum(axis=(1, 3)) * 0.04


def test_images_say_what_they_hold(scene):
    for date, path in scene.images.items():
        assert path.name == f"scene_{date}.tif"
        with rasterio.open(path) as raster:
            assert raster.shape == (SIDE, SIDE)
            assert raster.dtypes == ("uint16",) * 5
            assert raster.descriptions == ("blue", "green", "red", "nir", "fmask")
            assert raster.crs.to_epsg() == 6933
            assert raster.res == (20.0, 20.0)
            assert raster.block_shapes[0] == (256, 256)
            assert "SYNTHETIC" in raster.tags()
            mask, red = raster.read(5), raster.read(3)
        shares = [float((mask == code).mean()) for code in (2, 4)]
        if date == DATES[0]:
            assert shares == [0, 0]
        else:
            assert 0.02 < shares[0] < shares[1] < 0.08
            assert np.median(red[mask == 4]) > 3 * np.median(red[mask == 0])
            assert np.median(red[mask == 2]) < 0.7 * np.median(red[mask == 0])
    assert not list(scene.folder.glob(".*"))


def test_the_truth_adds_up(scene):
    truth = scene.truth
    assert truth["hectares"].sum() == pytest.approx(14_400)
    assert truth["hectares"].between(720, 5_000).all()
    assert (np.bincount(scene.classes.ravel())[1:] == truth["pixels"]).all()
    written = pd.read_csv(scene.folder / "truth.csv")
    pd.testing.assert_frame_equal(written, truth)
    # One class a field, and fields of 8 to 30 pixels.
    sizes = np.bincount(scene.fields.ravel())
    assert len(np.unique(scene.fields * 10 + scene.classes)) == len(sizes)
    assert 13 < np.median(sizes) ** 0.5 < 24


def test_the_old_map_is_right_on_three_quarters_and_a_fifth_of_fields_changed(scene):
    with rasterio.open(scene.folder / "map_2024.tif") as raster:
        old = raster.read(1)
    assert set(np.unique(old)) == set(CLASSES)
    assert (old == scene.classes).mean() == pytest.approx(0.73, abs=0.03)
    right = np.bincount(scene.fields.ravel(), (old == scene.classes).ravel())
    share = right / np.bincount(scene.fields.ravel())
    assert (share < 0.5).mean() == pytest.approx(0.20, abs=0.03)


def test_points_lie_in_their_fields_in_the_accessible_part(scene, training):
    assert len(training) == 1200
    assert training["field"].nunique() == 150
    assert training["id"].is_unique
    assert set(training["season"]) == {"2025"}
    row, column = training["row"], training["column"]
    names = np.array(["", *CLASSES.values()], object)
    assert (names[scene.classes[row, column]] == training["crop"]).all()
    assert [f"F{n:04d}" for n in scene.fields[row, column]] == training[
        "field"
    ].tolist()
    assert column.max() < 360
    assert not training[["row", "column"]].duplicated().any()


def test_segments_are_a_sample_of_their_strata(scene):
    segments = pd.read_csv(scene.folder / "segments.csv")
    frame = pd.read_csv(scene.folder / "frame.csv")
    strata = frame["stratum"].value_counts()
    assert segments["stratum"].value_counts().to_dict() == {
        "intensive": 48,
        "extensive": 32,
    }
    assert strata.sum() == 900
    with rasterio.open(scene.folder / "map_2024.tif") as raster:
        share = by_segment(raster.read(1) <= 2) / SEGMENT_HA
    assert (share >= 0.45).sum() == strata["intensive"]
    place = segments["row"] // SEGMENT, segments["col"] // SEGMENT
    assert ((share[place] >= 0.45) == (segments["stratum"] == "intensive")).all()
    surveyed = segments[[f"{name}_ha" for name in CLASSES.values()]]
    np.testing.assert_allclose(surveyed.sum(axis=1), SEGMENT_HA, atol=5e-4)
    for code, name in CLASSES.items():
        gap = surveyed[f"{name}_ha"] - by_segment(scene.classes == code)[place]
        assert 0 < gap.abs().max() < 0.6


def test_the_same_seed_gives_the_same_bytes(scene, tmp_path):
    again = make_scene(tmp_path / "again")
    names = sorted(path.name for path in scene.folder.iterdir())
    assert len(names) == 9
    assert names == sorted(path.name for path in again.folder.iterdir())
    for name in names:
        assert (again.folder / name).read_bytes() == (scene.folder / name).read_bytes()
    other = make_scene(tmp_path / "other", seed=5)
    for name in names:
        assert (other.folder / name).read_bytes() != (scene.folder / name).read_bytes()


def test_the_forest_beats_maximum_likelihood_and_blocks_cost_accuracy(training, pixels):
    spectra, clear = pixels
    place = (training["row"] * SIDE + training["column"]).to_numpy()
    use = clear[place]
    inputs = spectra[place[use]]
    crops = training["crop"].to_numpy(object)[use]
    block = (training["row"] // 100 * 10 + training["column"] // 110).to_numpy()[use]
    arms = {
        "likelihood": QuadraticDiscriminantAnalysis(priors=[0.2] * 5, reg_param=1e-3),
        "forest": RandomForestClassifier(60, random_state=1),
    }
    blocked, random = {}, {}
    for name, arm in arms.items():
        scores = cross_val_score(arm, inputs, crops, groups=block, cv=GroupKFold(5))
        blocked[name] = scores.mean()
        folds = KFold(5, shuffle=True, random_state=0)
        random[name] = cross_val_score(arm, inputs, crops, cv=folds).mean()
    assert 0.74 < blocked["likelihood"] < 0.83
    assert 0.82 < blocked["forest"] < 0.90
    assert blocked["forest"] > blocked["likelihood"] + 0.03
    assert random["forest"] > blocked["forest"] + 0.03
    assert random["likelihood"] > blocked["likelihood"]


def test_a_corner_is_like_nothing_in_the_training(training, pixels):
    spectra, clear = pixels
    place = (training["row"] * SIDE + training["column"]).to_numpy()
    known = spectra[place[clear[place]]]
    scale = known.std(axis=0)
    tree = cKDTree(known / scale)
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    corner = clear & (row < 105) & (column >= 495)
    elsewhere = clear & ~((row < 115) & (column >= 485))
    rng = np.random.default_rng(0)
    inside, outside = (
        tree.query(spectra[rng.choice(np.flatnonzero(part), 2000)] / scale)[0]
        for part in (corner, elsewhere)
    )
    assert np.median(inside) > 3 * np.median(outside)
    assert (inside > np.quantile(outside, 0.95)).mean() > 0.8


@pytest.mark.parametrize("crop", ["maize", "soybean"])
def test_regression_on_the_true_map_gains_more_than_threefold(scene, crop):
    code = {name: code for code, name in CLASSES.items()}[crop]
    segments = pd.read_csv(scene.folder / "segments.csv")
    frame = pd.read_csv(scene.folder / "frame.csv")
    strata = frame["stratum"].value_counts()
    with rasterio.open(scene.folder / "map_2024.tif") as raster:
        intensive = by_segment(raster.read(1) <= 2) / SEGMENT_HA >= 0.45
    classified = by_segment(scene.classes == code)
    sample = AreaSample.of(
        segments[f"{crop}_ha"].to_numpy(),
        classified[segments["row"] // SEGMENT, segments["col"] // SEGMENT],
        segments=strata.to_dict(),
        x_mean={
            "intensive": classified[intensive].mean(),
            "extensive": classified[~intensive].mean(),
        },
        stratum=segments["stratum"].to_numpy(object),
    )
    table = compare_estimators(sample, crop, resamples=200)
    chosen = table[table["chosen"]].iloc[0]
    truth = scene.truth.set_index("class")["hectares"][crop]
    assert chosen["relative_efficiency"] > 3
    assert chosen["lower"] < truth < chosen["upper"]


def test_surveys_of_the_sample_design_are_right_on_average(scene):
    with rasterio.open(scene.folder / "map_2024.tif") as raster:
        old = raster.read(1)
    names = [f"{name}_ha" for name in CLASSES.values()]
    rng, totals = np.random.default_rng(0), []
    for _ in range(150):
        segments, frame = _segments(rng, scene.classes, old)
        means = segments.groupby("stratum")[names].mean()
        sizes = frame["stratum"].value_counts()
        totals.append(means.mul(sizes, axis=0).sum())
    found = pd.DataFrame(totals)
    error = found.std() / len(found) ** 0.5
    gap = (found.mean() - scene.truth["hectares"].to_numpy()) / error
    assert gap.abs().max() < 3.5
    # A single survey errs by a tenth: there is something to gain.
    assert (found["maize_ha"].std() / found["maize_ha"].mean()) > 0.08
