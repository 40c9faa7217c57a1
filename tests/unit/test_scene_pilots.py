"""Pilots of a scene: units, maps, areas and scores against arithmetic on the pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from mlstats.config import Pilot
from mlstats.imagery import AreaSample, choose_estimator, estimate_area
from mlstats.imagery_methods import load, ready, run_method
from mlstats.imagery_task import ArmRun, ImageryData
from mlstats.imagery_units import BLOCK, CORE, judged_units
from mlstats.scene_areas import SURVEY_ALONE, segment_counts
from mlstats.scene_scoring import applicability, class_rows
from mlstats.settings import load_settings
from tests.scene_example import (
    CLASSES,
    CRS,
    FIELD,
    HECTARES,
    IMAGES,
    METHODS,
    NORTH,
    PIXEL,
    SEGMENT,
    SIDE,
    WEST,
    Landscape,
    make_landscape,
    scene_pilot,
    transform,
    write,
)

KEY = b"a key of the test"
NAMES = list(CLASSES.values())


@pytest.fixture
def land(tmp_path: Path) -> Landscape:
    return make_landscape()


def read(pilot: Pilot, **options: Any) -> ImageryData:
    data, result = load(pilot, load_settings(), **options)
    assert result.ok
    return data


def codes_of(run: ArmRun) -> np.ndarray:
    assert run.raster is not None
    with rasterio.open(run.raster) as shown:
        return shown.read(1)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run all arms once: (landscape, pilot, data, runs, folder)."""
    folder = tmp_path_factory.mktemp("mapped")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        land, pilot = make_landscape(), scene_pilot()
        data = read(pilot)
        ready(pilot, data)
        runs = [run_method(pilot, name, data, folder) for name in pilot.methods]
    return land, pilot, data, {run.name: run for run in runs}, folder


# -- units ---------------------------------------------------------------------------


def test_features_of_points_are_those_of_their_pixels(mapped: Any):
    land, _, data, _, _ = mapped
    frame = data.frame
    row, column = frame["row"].to_numpy(int), frame["column"].to_numpy(int)
    east, north = WEST + (column + 0.5) * PIXEL, NORTH - (row + 0.5) * PIXEL
    told = land.points.set_index("id").loc[frame["id"]]
    np.testing.assert_allclose(told["east"], east)
    np.testing.assert_allclose(told["north"], north)
    red, nir = (land.bands[:, band, row, column] * 0.0001 for band in (0, 1))
    for date, name in enumerate(("2025-05-10", "2025-07-05")):
        np.testing.assert_allclose(frame[f"red@{name}"], red[date], rtol=1e-6)
        ndvi = (nir[date] - red[date]) / (nir[date] + red[date])
        np.testing.assert_allclose(frame[f"NDVI@{name}"], ndvi, rtol=1e-5)
    place = [(int(i[1:]) // 12, int(i[1:]) % 12) for i in told["field"]]
    assert place == [(r // FIELD, c // FIELD) for r, c in zip(row, column, strict=True)]


def test_points_with_too_few_clear_dates_are_left_out_and_told(mapped: Any):
    land, _, data, _, _ = mapped
    row = ((NORTH - land.points["north"]) // PIXEL).to_numpy(int)
    column = ((land.points["east"] - WEST) // PIXEL).to_numpy(int)
    lost = land.clear_dates[row, column] < 2
    assert 0 < lost.sum() < len(lost)
    assert list(data.frame["id"]) == list(land.points.loc[~lost, "id"])
    told = f"{lost.sum()} of {len(lost)} pixels have too few valid dates."
    assert told in data.notes


def test_pixels_of_polygons_are_drawn_inside_them_and_are_their_own_blocks(
    land: Landscape,
):
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    fields, shapes = [], []
    for name, part in land.points.groupby("field"):
        row, column = (int(name[1:]) // 12 * FIELD, int(name[1:]) % 12 * FIELD)
        west, north = WEST + column * PIXEL, NORTH - row * PIXEL
        side = FIELD * PIXEL
        shapes.append(shapely.box(west, north - side, west + side, north))
        fields.append({"plot": name, "crop": part["crop"].iloc[0]})
    table = geopandas.GeoDataFrame(fields, geometry=shapes, crs=CRS)
    table.to_file("fields.geojson", driver="GeoJSON")
    pilot = scene_pilot(
        data={"source": "fields.geojson"},
        roles={"unit_id": "plot", "cluster": None, "period": None},
        scene={"points": None, "block": None, "per_polygon": 7},
    )
    data = read(pilot)
    frame = data.frame
    row, column = frame["row"].to_numpy(int), frame["column"].to_numpy(int)
    names = np.array(["", *NAMES], object)
    assert (names[land.classes[row, column]] == frame["crop"]).all()
    assert (land.clear_dates[row, column] >= 2).all()
    assert frame["plot"].is_unique
    inside = row // FIELD * 12 + column // FIELD
    assert (pd.factorize(inside)[0] == pd.factorize(frame[BLOCK])[0]).all()
    sizes = frame[BLOCK].value_counts()
    assert sizes.max() == 7
    assert sizes.sum() > 6 * len(fields)
    run = run_method(pilot, "likelihood", data)
    blocked = run.units[run.units["scheme"] == "blocked"]
    assert blocked.groupby("cluster")["fold"].nunique().max() == 1


def test_a_sample_of_polygons_takes_whole_ones_and_says_so(land: Landscape):
    geopandas = pytest.importorskip("geopandas")
    points = geopandas.points_from_xy(land.points["east"], land.points["north"])
    table = geopandas.GeoDataFrame(
        land.points[["id", "crop"]], geometry=points.buffer(25), crs=CRS
    )
    table.to_file("plots.geojson", driver="GeoJSON")
    pilot = scene_pilot(
        data={"source": "plots.geojson"},
        roles={"cluster": None, "period": None},
        scene={"points": None, "block": None},
    )
    every, some = read(pilot).frame, read(pilot, sample=100)
    whole = every.groupby("polygon").size()
    drawn = some.frame.groupby("polygon").size()
    assert (drawn == whole[drawn.index]).all()
    assert 100 <= len(some.frame) < 100 + whole.max()
    assert f"a sample of {len(some.frame)} pixels was drawn (--sample)" in some.cautions


# -- maps ----------------------------------------------------------------------------


def test_a_pixel_with_too_few_clear_dates_stays_unclassified(mapped: Any):
    land, _, _, runs, _ = mapped
    gone = land.clear_dates < 2
    for name in ("likelihood", "forest"):
        shown, areas = codes_of(runs[name]), runs[name].tables["class_areas"]
        assert ((shown == 0) == gone).all()
        counted = np.bincount(shown.ravel(), minlength=4)
        assert list(areas["class"]) == ["unclassified", *sorted(NAMES)]
        assert list(areas["pixels"]) == counted.tolist()
        assert areas["pixels"].sum() == SIDE**2
        np.testing.assert_allclose(
            areas["counted_hectares"], counted * HECTARES, rtol=1e-3
        )
        assert areas["share"].sum() == pytest.approx(1)
        row = next(r for r in runs[name].rows if r["indicator"] == "unclassified_share")
        assert (row["value"], row["n"]) == (gone.mean(), SIDE**2)


def test_with_one_clear_date_enough_only_what_is_never_clear_is_unclassified(
    land: Landscape, tmp_path: Path
):
    pilot = scene_pilot(scene={"features": {"min_valid": 1}, "survey": None})
    run = run_method(pilot, "likelihood", read(pilot), tmp_path)
    assert ((codes_of(run) == 0) == (land.clear_dates < 1)).all()
    assert run.estimates.empty


def test_a_mask_may_lie_in_a_file_of_its_own(land: Landscape, tmp_path: Path):
    images = []
    for date, one in enumerate(IMAGES):
        write(f"mask{date}.tif", land.cloud[date].astype("uint8"), nodata=None)
        cloud = {"file": f"mask{date}.tif", "band": 1, "clear": [0]}
        images.append(one | {"cloud": cloud})
    pilot = scene_pilot(scene={"images": images, "survey": None})
    data = read(pilot)
    run = run_method(pilot, "likelihood", data, tmp_path)
    assert ((codes_of(run) == 0) == (land.clear_dates < 2)).all()


def test_every_file_that_the_figures_rest_on_is_in_the_digest(land: Landscape):
    write("mask.tif", land.cloud[1].astype("uint8"), nodata=None)
    cloud = {"file": "mask.tif", "band": 1, "clear": [0]}
    pilot = scene_pilot(scene={"images": [IMAGES[0], IMAGES[1] | {"cloud": cloud}]})
    first = read(pilot).digest
    assert read(pilot).digest == first
    seen = {first}
    for name in ("points.csv", "segments.csv", "frame.csv", "known.csv"):
        text = Path(name).read_text()
        Path(name).write_text(text + "\n")
        seen.add(read(pilot).digest)
    write("mask.tif", land.cloud[0].astype("uint8"), nodata=None)
    seen.add(read(pilot).digest)
    write("old.tif", np.ones((SIDE, SIDE), "uint8"), nodata=0)
    seen.add(read(pilot).digest)
    assert len(seen) == 7


def test_probabilities_are_bands_of_the_map_that_sum_to_one(
    land: Landscape, tmp_path: Path
):
    pilot = scene_pilot(scene={"probabilities": True, "survey": None})
    run = run_method(pilot, "forest", read(pilot), tmp_path)
    assert run.raster is not None
    with rasterio.open(run.raster) as shown:
        bands, names = shown.read(), shown.descriptions
    assert names[1:4] == tuple(f"probability {name}" for name in sorted(NAMES))
    clear = land.clear_dates == 2
    shares = bands[1:4, clear].astype(float) / 200
    assert (bands[1:4, ~clear] == 255).all()
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=0.011)
    largest = np.take_along_axis(shares, bands[:1, clear].astype(int) - 1, axis=0)
    assert (largest[0] >= shares.max(axis=0) - 0.0051).all()


def test_the_map_is_what_the_classifier_says_of_the_pixels(mapped: Any):
    land, pilot, data, runs, _ = mapped
    frame, names = data.frame, data.task.names
    forest = RandomForestClassifier(**METHODS["forest"]["params"])
    forest.fit(frame[names].to_numpy(np.float32), frame["crop"].to_numpy(object))
    seen = (land.bands * np.float32(0.0001)).astype(np.float32)
    planes = {}
    for date, day in enumerate(("2025-05-10", "2025-07-05")):
        red, nir = seen[date]
        planes |= {f"red@{day}": red, f"nir@{day}": nir}
        planes[f"NDVI@{day}"] = (nir - red) / (nir + red)
    X = np.stack([planes[name].ravel() for name in names], axis=1)
    told = forest.predict(X).reshape(SIDE, SIDE)
    shown = np.array(["", *sorted(NAMES)], object)[codes_of(runs["forest"])]
    same = (shown == told)[land.clear_dates == 2]
    assert same.mean() > 0.9995  # an index may round otherwise at a threshold


def test_the_earlier_map_answers_with_its_own_codes(mapped: Any):
    land, _, data, runs, _ = mapped
    run = runs["old"]
    row, column = (data.frame[c].to_numpy(int) for c in ("row", "column"))
    old = land.old[row, column]
    expected = np.array([CLASSES.get(int(code)) for code in old], object)
    blocked = run.units[run.units["scheme"] == "blocked"]
    told = blocked.set_index("row")["prediction"].to_numpy(object)
    assert [None if pd.isna(v) else v for v in told] == list(expected[blocked["row"]])
    names = np.array(["", *sorted(NAMES)], object)
    drawn = np.array([CLASSES.get(int(c), "") for c in land.old.ravel()], object)
    assert (names[codes_of(run)].ravel() == drawn).all()
    areas = run.tables["class_areas"].set_index("class")["pixels"]
    assert areas["unclassified"] == 100
    assert areas["maize"] == (land.old == 1).sum()
    assert np.isnan(run.units["confidence"]).all()


def test_an_earlier_map_of_a_larger_area_is_read_at_the_same_places(
    land: Landscape, tmp_path: Path
):
    large = np.full((SIDE + 30, SIDE + 50), 2, "uint8")
    large[10 : 10 + SIDE, 20 : 20 + SIDE] = land.old
    write("old.tif", large, nodata=0, transform=transform(-10, -20))
    data = read(scene_pilot())
    row, column = (data.frame[c].to_numpy(int) for c in ("row", "column"))
    expected = [CLASSES.get(int(code)) for code in land.old[row, column]]
    found = data.frame["previous_map"].to_numpy(object)
    assert [None if pd.isna(name) else name for name in found] == expected
    assert None in expected
    run = run_method(scene_pilot(), "old", data, tmp_path)
    names = np.array([UNSEEN, *sorted(NAMES)], object)
    drawn = [CLASSES.get(int(c), UNSEEN) for c in land.old.ravel()]
    assert (names[codes_of(run)].ravel() == np.array(drawn, object)).all()


UNSEEN = "unclassified"


# -- areas ---------------------------------------------------------------------------


def test_segments_hold_the_pixels_of_each_code(mapped: Any):
    _, _, data, runs, _ = mapped
    shown = codes_of(runs["forest"])
    found = segment_counts(runs["forest"].raster, data.task.survey, 4)
    across = SIDE // SEGMENT
    for code in range(4):
        squares = (shown == code).reshape(across, SEGMENT, across, SEGMENT)
        assert (found[:, code] == squares.sum(axis=(1, 3)).ravel()).all()


def by_hand(land: Landscape, run: ArmRun, name: str) -> AreaSample:
    """Return the sample of a class from the map itself and the surveyed table."""
    code, across = sorted(NAMES).index(name) + 1, SIDE // SEGMENT
    squares = (codes_of(run) == code).reshape(across, SEGMENT, across, SEGMENT)
    x = squares.sum(axis=(1, 3)).ravel() * HECTARES
    place = land.surveyed["segment"].str[1:].astype(int).to_numpy()
    strata = land.frame["zone"].to_numpy(object)
    return AreaSample.of(
        land.surveyed[f"{name}_ha"].to_numpy(),
        x[place],
        segments={"north": 50, "south": 50},
        x_mean={"north": x[:50].mean(), "south": x[50:].mean()},
        stratum=strata[place].astype(str),
    )


def test_areas_with_the_map_are_those_of_the_estimator_called_by_hand(mapped: Any):
    land, pilot, _, runs, _ = mapped
    for method in ("old", "likelihood", "forest"):
        told = runs[method].estimates.set_index(["method", "variable"])
        for name in NAMES:
            sample, row = by_hand(land, runs[method], name), told.loc[(method, name)]
            found = estimate_area(sample, seed=pilot.evaluate.seed).estimate
            expected = (found.value, found.se, found.lower, found.upper)
            shown = row[["estimate", "standard_error", "lower", "upper"]].astype(float)
            np.testing.assert_allclose(shown, expected, rtol=2e-3)
            assert row["publishable"]
            assert row["n"] == 32


def test_the_regression_adds_what_the_map_says_of_the_other_segments(mapped: Any):
    land, _, _, runs, _ = mapped
    sample = by_hand(land, runs["forest"], "maize")
    assert choose_estimator(sample).method == "separate_regression"
    total, direct = 0.0, 0.0
    for h in (0, 1):
        inside = sample.stratum == h
        x, y = sample.x[inside, 0], sample.y[inside]
        slope = np.cov(x, y)[0, 1] / x.var(ddof=1)
        total += 50 * (y.mean() + slope * (sample.x_mean[h, 0] - x.mean()))
        direct += 50 * y.mean()
    told = runs["forest"].estimates.set_index(["method", "variable"])
    assert told.loc[("forest", "maize"), "estimate"] == pytest.approx(total, rel=1e-3)
    alone = runs["likelihood"].estimates.set_index(["method", "variable"])
    row = alone.loc[(SURVEY_ALONE, "maize")]
    assert row["estimate"] == pytest.approx(direct)
    assert (SURVEY_ALONE, "maize") not in told.index  # told once, by the baseline
    spread = [sample.y[sample.stratum == h].var(ddof=1) for h in (0, 1)]
    parts = [
        50**2 * (1 - n / 50) * v / n for n, v in zip((18, 14), spread, strict=True)
    ]
    assert row["standard_error"] == pytest.approx(np.sqrt(sum(parts)))
    gain = told.loc[("forest", "maize"), "relative_efficiency"]
    assert gain > 1


def test_a_count_and_an_estimate_are_held_to_each_other_and_to_the_truth(mapped: Any):
    land, _, _, runs, _ = mapped
    run = runs["forest"]
    told = run.estimates.set_index(["method", "variable"])
    rows = {(r["indicator"], r["level"]): r for r in run.rows}
    for name in NAMES:
        estimate = told.loc[("forest", name)]
        counted = told.loc[("forest, pixel count", name)]
        pixels = (codes_of(run) == sorted(NAMES).index(name) + 1).sum()
        assert counted["estimate"] == pytest.approx(pixels * HECTARES, rel=1e-3)
        assert not counted["publishable"]
        assert np.isnan(counted["standard_error"])
        bias = rows[("count_bias", name)]
        quotient = counted["estimate"] / estimate[["estimate", "upper", "lower"]]
        np.testing.assert_allclose(
            [bias["value"], bias["lower"], bias["upper"]], quotient.astype(float) - 1
        )
        known = (land.classes == {v: k for k, v in CLASSES.items()}[name]).sum()
        off = rows[("area_bias", name)]
        shown = estimate[["estimate", "lower", "upper"]].astype(float)
        np.testing.assert_allclose(
            [off["value"], off["lower"], off["upper"]], shown / (known * HECTARES) - 1
        )


def test_a_surveyed_class_that_no_map_has_is_estimated_by_the_survey_alone(
    land: Landscape, tmp_path: Path
):
    surveyed = pd.read_csv("segments.csv")
    surveyed["maize_ha"] /= 2
    surveyed["orchard_ha"] = surveyed["maize_ha"]
    surveyed.to_csv("segments.csv", index=False)
    survey = scene_pilot().data.scene.survey.model_dump()  # type: ignore[union-attr]
    survey["surveyed"] = survey["surveyed"] | {"orchard": "orchard_ha"}
    pilot = scene_pilot(scene={"survey": survey})
    run = run_method(pilot, "likelihood", read(pilot), tmp_path)
    told = run.estimates.set_index(["method", "variable"])
    orchard, maize = (told.loc[(SURVEY_ALONE, name)] for name in ("orchard", "maize"))
    assert orchard["estimate"] == maize["estimate"]
    with_map = told.loc[("likelihood", "orchard")]
    assert with_map["estimate"] == pytest.approx(orchard["estimate"])
    assert told.loc[("likelihood, pixel count", "orchard"), "estimate"] == 0


# -- scores --------------------------------------------------------------------------


def test_accuracy_is_that_of_the_same_folds_by_scikit_learn(mapped: Any):
    _, pilot, data, runs, _ = mapped
    rows, table = class_rows(pilot, list(runs.values()))
    shown = pd.DataFrame(rows).set_index(["indicator", "method"])
    frame, seed = data.frame, pilot.evaluate.seed
    X = frame[data.task.names].to_numpy(np.float32).astype(float)
    y = frame["crop"].to_numpy(object).astype(str)
    forest = RandomForestClassifier(**METHODS["forest"]["params"])
    folds = {
        "accuracy": (StratifiedGroupKFold, frame[BLOCK].to_numpy(object).astype(str)),
        "accuracy_random": (StratifiedKFold, None),
    }
    for name, (kind, groups) in folds.items():
        told = np.empty(len(y), object)
        for train, test in kind(3, shuffle=True, random_state=seed).split(X, y, groups):
            told[test] = clone(forest).fit(X[train], y[train]).predict(X[test])
        assert shown.loc[(name, "forest"), "value"] == pytest.approx((told == y).mean())
        score = f1_score(y, told, average="macro")
        other = name.replace("accuracy", "macro_f1")
        assert shown.loc[(other, "forest"), "value"] == pytest.approx(score)
    old = frame["previous_map"].to_numpy(object) == y
    assert shown.loc[("accuracy", "old"), "value"] == pytest.approx(old.mean())
    gap = shown.loc[("accuracy", "forest")]
    base = shown.loc[("accuracy", "likelihood"), "value"]
    assert gap["difference"] == pytest.approx(gap["value"] - base)
    assert gap["versus"] == "likelihood"
    assert gap["n_clusters"] == frame[BLOCK].nunique()
    assert set(table["scheme"]) == {"random", "blocked", "season"}


def test_all_three_schemes_have_rows_and_a_single_season_says_why(mapped: Any):
    _, pilot, _, runs, _ = mapped
    shown = pd.DataFrame(class_rows(pilot, list(runs.values()))[0])
    for ending in ("", "_random", "_season"):
        part = shown[shown["indicator"] == f"accuracy{ending}"]
        assert set(part["method"]) == set(METHODS)
    season = shown[shown["indicator"] == "accuracy_season"]
    assert set(season["status"]) == {"not_measured"}
    assert set(season["note"]) == {"the units are of one season"}


def test_each_season_is_left_out_where_there_are_two(land: Landscape):
    season = np.where(land.points.index % 2 == 0, "2024", "2025")
    land.points.assign(season=season).to_csv("points.csv", index=False)
    pilot = scene_pilot(scene={"survey": None})
    data = read(pilot)
    run = run_method(pilot, "likelihood", data)
    rows, _ = class_rows(pilot, [run])
    told = next(r for r in rows if r["indicator"] == "accuracy_season")
    left = run.units[run.units["scheme"] == "season"]
    assert (left["fold"] == data.frame["season"].to_numpy()[left["row"]]).all()
    assert told["value"] == pytest.approx((left["prediction"] == left["truth"]).mean())
    assert told["n_clusters"] == 2


def test_with_a_gap_only_units_of_cores_are_judged(land: Landscape):
    pilot = scene_pilot(scene={"block": 600.0, "gap": 200.0})
    data = read(pilot)
    x, y = ((data.frame[c] % 600).to_numpy() for c in ("east", "north"))
    core = ((x >= 100) & (x <= 500) & (y >= 100) & (y <= 500)).astype(bool)
    assert (data.frame[CORE] == core).all()
    beyond = (~core).sum()
    assert (
        f"{beyond} of {len(core)} units lie near another block: not judged"
        in data.notes
    )
    run = run_method(pilot, "likelihood", data)
    assert set(run.units["row"]) == set(np.flatnonzero(core))
    rows, _ = class_rows(pilot, [run])
    blocked = run.units[run.units["scheme"] == "blocked"]
    told = next(r for r in rows if r["indicator"] == "accuracy")
    assert (told["n"], told["n_clusters"]) == (core.sum(), blocked["cluster"].nunique())
    units = judged_units(pilot, data, [run], run_id="r", key=KEY, scheme="blocked")
    assert len(units) == core.sum()
    assert not units["unit"].isin(data.frame["id"]).any()


def test_what_is_unlike_the_training_is_the_dissimilarity_by_hand(
    mapped: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    land, pilot, data, runs, folder = mapped
    monkeypatch.chdir(folder)
    rows, table = applicability(pilot, data, list(runs.values()), tmp_path)
    frame, names = data.frame, data.task.names
    X = frame[names].to_numpy(float)
    centre, spread = X.mean(axis=0), X.std(axis=0, ddof=1)
    points = (X - centre) / spread
    far = cdist(points, points)
    mean = far.sum() / (len(X) * (len(X) - 1))
    block = frame[BLOCK].to_numpy(object)
    other = np.where(block[:, None] == block[None], np.inf, far).min(axis=1) / mean
    low, high = np.quantile(other, [0.25, 0.75])
    threshold = min(high + 1.5 * (high - low), other.max())
    seen = (land.bands * np.float32(0.0001)).astype(np.float32)
    planes = {}
    for date, day in enumerate(("2025-05-10", "2025-07-05")):
        red, nir = seen[date]
        planes |= {f"red@{day}": red, f"nir@{day}": nir}
        planes[f"NDVI@{day}"] = (nir - red) / (nir + red)
    pixels = np.stack([planes[n].ravel() for n in names], axis=1).astype(float)
    index = cdist((pixels - centre) / spread, points).min(axis=1) / mean
    inside = (index <= threshold).reshape(SIDE, SIDE)
    clear = land.clear_dates == 2
    told = table.set_index(["method", "class"])
    assert 0.005 < (~inside[clear]).mean() < 0.5
    for method in METHODS:
        shown = codes_of(runs[method])
        for name in NAMES:
            at = (shown == sorted(NAMES).index(name) + 1) & clear
            row = told.loc[(method, name)]
            assert row["pixels"] == at.sum()
            assert row["outside"] == pytest.approx((~inside[at]).mean(), abs=2e-4)
        known = (shown > 0) & clear
        share = next(r["value"] for r in rows if r["method"] == method)
        assert share == pytest.approx((~inside[known]).mean(), abs=2e-4)
    with rasterio.open(tmp_path / "applicability.tif") as mask:
        assert ((mask.read(1) == 255) == ~clear).all()


def test_a_feature_that_does_not_vary_is_said_where_the_mask_would_be(
    mapped: Any, tmp_path: Path
):
    _, pilot, data, runs, _ = mapped
    still = data.frame.assign(**{data.task.names[0]: 0.5})
    rows, table = applicability(
        pilot, replace(data, frame=still), list(runs.values()), tmp_path
    )
    assert rows == []
    assert list(table["note"]) == ["features do not vary among the training pixels"]
