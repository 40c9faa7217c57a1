"""What imagery pilots do with data that would give the figures of other data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine

from mlstats.config import Pilot
from mlstats.config_imagery import Segments
from mlstats.errors import ConfigError, ContractError, MlstatsError
from mlstats.imagery import AreaSample, choose_estimator
from mlstats.imagery_methods import load, ready, run_method
from mlstats.scene_drift import compare_dates
from mlstats.scene_methods import build_classifier
from mlstats.scene_scoring import applicability
from mlstats.settings import load_settings

SIDE = 60
NAMES = {1: "maize", 2: "wheat", 3: "grass"}
FOREST = "sklearn.ensemble.RandomForestClassifier"
OLD = {"kind": "traditional", "use": "mlstats.imagery.PreviousMap"}
ESTIMATOR = "mlstats.imagery.SegmentEstimator"
LEFT, TOP = 500_000, 5_000_000


def raster(path: str, bands: np.ndarray, names: list[str], crs: str = "EPSG:32633"):
    place = Affine(10, 0, LEFT, 0, -10, TOP)
    with rasterio.open(
        path, "w", driver="GTiff", height=SIDE, width=SIDE, count=len(bands),
        dtype=str(bands.dtype), crs=crs, transform=place,
    ) as out:  # fmt: skip
        out.write(bands)
        for number, name in enumerate(names, start=1):
            out.set_band_description(number, name)


@pytest.fixture
def scene(tmp_path: Path) -> np.ndarray:
    """Fields of 10 x 10 pixels, an image, points, and a survey of every third field."""
    rng = np.random.default_rng(3)
    fields = rng.integers(1, 4, (6, 6))
    truth = np.kron(fields, np.ones((10, 10), int))
    image = np.stack(
        [truth * k * 300 + rng.normal(0, 100, truth.shape) for k in (1, 2)]
    )
    image = np.concatenate([image, np.zeros((1, SIDE, SIDE))]).astype("int16")
    raster("now.tif", image, ["red", "nir", "mask"])
    image[2] = 4
    raster("cloud.tif", image, ["red", "nir", "mask"])
    raster("before.tif", truth[None].astype("uint8"), ["class"])
    row, column = rng.integers(0, SIDE, (2, 150))
    pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(150)],
            "x": LEFT + column * 10 + 5,
            "y": TOP - row * 10 - 5,
            "crop": [NAMES[code] for code in truth[row, column]],
        }
    ).to_csv("points.csv", index=False)
    frame = pd.DataFrame(
        [(f"s{i}-{j}", 10 * i, 10 * j) for i in range(6) for j in range(6)],
        columns=["segment", "row", "col"],
    )
    frame.to_csv("frame.csv", index=False)
    drawn = (
        frame[["segment"]]
        .iloc[::3]
        .assign(
            **{
                f"{name}_ha": (fields.ravel()[::3] == code) * 1.0
                for code, name in NAMES.items()
            }
        )
    )
    drawn.to_csv("survey.csv", index=False)
    return truth


def of_scene(**more: Any) -> Pilot:
    image = {"file": "now.tif", "date": "2025-05-01", "bands": ["red", "nir"]}
    image["cloud"] = {"band": "mask", "clear": [0]}
    methods = {
        "old": OLD,
        "forest": {"kind": "ml", "use": FOREST, "params": {"n_estimators": 5}},
    }
    return Pilot.model_validate(
        {
            "pilot": "fields",
            "theme": "imagery",
            "owner": {"author": "me"},
            "data": {
                "source": "points.csv",
                "roles": {"unit_id": "id", "target": "crop"},
                "scene": {
                    "points": {"x": "x", "y": "y", "crs": "EPSG:32633"},
                    "images": [image | more.pop("image", {})],
                    "block": 100,
                    "previous": {
                        "file": "before.tif",
                        "classes": {name: [code] for code, name in NAMES.items()},
                    },
                    "survey": {
                        "file": "survey.csv",
                        "frame": "frame.csv",
                        "size": 10,
                        "surveyed": {name: f"{name}_ha" for name in NAMES.values()},
                    },
                    **more.pop("scene", {}),
                },
                **more.pop("data", {}),
            },
            "methods": methods,
            "baseline": "old",
            "candidate": "forest",
            **more,
        }
    )


def changed(path: str, **columns: Any) -> None:
    table = pd.read_csv(path)
    table.assign(**columns).to_csv(path, index=False)


def refused(pilot: Pilot) -> MlstatsError:
    with pytest.raises((ConfigError, ContractError)) as caught:
        load(pilot, load_settings())
    return caught.value


@pytest.mark.usefixtures("scene")
def test_a_surveyed_class_without_labels_keeps_its_area(tmp_path: Path):
    points = pd.read_csv("points.csv")
    points[points["crop"] != "grass"].to_csv("points.csv", index=False)
    pilot = of_scene()
    data, _ = load(pilot, load_settings())
    assert any("no map shows: grass" in told for told in data.cautions)
    found = run_method(pilot, "forest", data, tmp_path)
    areas = found.estimates.set_index(["method", "variable"])["estimate"]
    surveyed = pd.read_csv("survey.csv")["grass_ha"]
    assert areas["forest", "grass"] == pytest.approx(36 * surveyed.mean())
    assert areas["forest, pixel count", "grass"] == 0
    assert "the segments of the frame hold 36" in found.notes[0]


def test_the_previous_map_keeps_a_class_that_no_unit_has(
    scene: np.ndarray, tmp_path: Path
):
    points = pd.read_csv("points.csv")
    points[points["crop"] != "grass"].to_csv("points.csv", index=False)
    pilot = of_scene()
    data, _ = load(pilot, load_settings())
    found = run_method(pilot, "old", data, tmp_path).tables["class_areas"]
    counted = found.set_index("class")["pixels"]
    assert counted["grass"] == (scene == 3).sum()
    assert counted["unclassified"] == 0


@pytest.mark.usefixtures("scene")
def test_an_earlier_class_is_looked_up_for_units_of_a_table():
    table = pd.read_csv("points.csv").assign(red=1.0, nir=2.0)
    table.loc[len(table)] = ["far", 0.0, 0.0, "maize", 1.0, 2.0]
    table.to_csv("points.csv", index=False)
    pilot = of_scene(scene={"columns": ["red", "nir"]}, image={"date": None})
    frame = load(pilot, load_settings())[0].frame
    assert (frame["previous_map"].iloc[:-1] == frame["crop"].iloc[:-1]).all()
    assert pd.isna(frame["previous_map"].iloc[-1])


@pytest.mark.usefixtures("scene")
def test_blocks_are_in_the_unit_of_the_images():
    from rasterio.warp import transform

    points = pd.read_csv("points.csv")
    expected = load(of_scene(), load_settings())[0].frame["block"]
    lon, lat = transform("EPSG:32633", "EPSG:4326", points["x"], points["y"])
    points.drop(columns=["x", "y"]).assign(lon=lon, lat=lat).to_csv(
        "points.csv", index=False
    )
    told = {"x": "lon", "y": "lat", "crs": "EPSG:4326"}
    frame = load(of_scene(scene={"points": told}), load_settings())[0].frame
    assert expected.nunique() > 20
    assert (frame["block"] == expected).all()


@pytest.mark.usefixtures("scene")
def test_clouds_are_told_and_give_no_verdict(tmp_path: Path):
    later = {"file": "cloud.tif", "date": "2026-05-01", "bands": ["red", "nir"]}
    later["cloud"] = {"band": "mask", "clear": [0]}
    pilot = of_scene(scene={"target": [later], "survey": None})
    data, _ = load(pilot, load_settings())
    apart = compare_dates(pilot, data)
    assert apart.alarms().status == "not_measured"
    assert apart.sentence.startswith("Nothing of the later date")
    assert apart.clouded() == ["no pixel is clear on 2026-05-01 (images classified)"]
    run = run_method(pilot, "forest", data, tmp_path)
    assert run.notes == ["forest classified nothing: the whole scene is unclassified"]
    rows, _ = applicability(pilot, data, [run], tmp_path)
    assert rows[0]["status"] == "not_measured"
    found = refused(of_scene(image={"file": "cloud.tif"}))
    assert found.title == "No labelled unit has enough clear dates"


@pytest.mark.usefixtures("scene")
def test_labels_are_words_of_the_office():
    crop = pd.read_csv("points.csv")["crop"]
    changed("points.csv", crop=crop.where(crop.index > 3))
    data, result = load(
        of_scene(data={"tolerate": {"missing_target": 0.1}}), load_settings()
    )
    assert result.ok
    assert len(data.frame) == len(crop) - 4
    assert "4 units have no label and are left out" in data.notes
    changed("points.csv", crop=crop.where(crop.index > 3, "Unclassified"))
    assert "A class is called 'unclassified'" in refused(of_scene()).title
    changed("points.csv", crop="maize")
    assert refused(of_scene()).title == "The labelled units have a single class"


@pytest.mark.usefixtures("scene")
def test_points_in_one_pixel_are_told():
    points = pd.read_csv("points.csv")
    first = points.loc[0]
    points.loc[1, ["x", "y"]] = first[["x", "y"]]
    points.loc[1, "crop"] = "wheat" if first["crop"] == "maize" else "maize"
    points.drop_duplicates(["x", "y", "crop"]).to_csv("points.csv", index=False)
    told = load(of_scene(), load_settings())[0].notes
    assert any("points share their pixel with another, " in note for note in told)


@pytest.mark.usefixtures("scene")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"row": lambda t: t["row"] + 5}, "6 segments of the frame reach over"),
        ({"row": lambda t: t["row"] - 1}, "6 segments of the frame reach over"),
        ({"row": lambda t: t["row"] // 20 * 10}, "Segments of the frame overlap"),
        ({"row": "first"}, "36 of 36 values of 'row' are missing or no numbers"),
        ({"segment": "s0-0"}, "11 surveyed segments are not in the frame"),
    ],
)
def test_a_frame_of_segments_counts_all_land_once(change: dict[str, Any], says: str):
    changed("frame.csv", **change)
    assert refused(of_scene()).title.startswith(says)


@pytest.mark.usefixtures("scene")
def test_what_has_no_number_is_told_without_its_content():
    changed("points.csv", x=lambda t: t["x"].astype(str).where(t.index > 1, "secret"))
    assert str(refused(of_scene())).startswith("2 of 150 values of 'x' are missing")
    changed("survey.csv", maize_ha=lambda t: t["maize_ha"].where(t.index > 0))
    changed("points.csv", x=LEFT + 5)
    assert "1 of 12 values of 'maize_ha'" in refused(of_scene()).title


@pytest.mark.usefixtures("scene")
def test_hectares_beyond_a_segment_are_of_another_unit():
    changed("survey.csv", maize_ha=lambda t: t["maize_ha"] * 100)
    assert "more of all than their land" in refused(of_scene()).title
    changed("survey.csv", maize_ha=-1.0)
    assert "hold less than 0 hectares" in refused(of_scene()).title


@pytest.mark.usefixtures("scene")
def test_degrees_are_refused_with_the_key_that_mends_them():
    with rasterio.open("now.tif") as image:
        bands = image.read()
    place = Affine(1e-4, 0, 15, 0, -1e-4, 45)
    with rasterio.open(
        "now.tif", "w", driver="GTiff", height=SIDE, width=SIDE, count=3,
        dtype="int16", crs="EPSG:4326", transform=place,
    ) as out:  # fmt: skip
        out.write(bands)
        for number, name in enumerate(["red", "nir", "mask"], start=1):
            out.set_band_description(number, name)
    changed("points.csv", x=15.002, y=44.998)
    told = {"x": "x", "y": "y", "crs": "EPSG:4326"}
    error = refused(of_scene(scene={"points": told}))
    assert "geographic" in error.title
    assert str(error.hint).startswith("data.scene.grid:")


@pytest.mark.usefixtures("scene")
def test_a_regressor_is_no_classifier():
    pilot = of_scene()
    spec = pilot.methods["forest"]
    wrong = {"use": "sklearn.ensemble.RandomForestRegressor"}
    methods = pilot.methods | {"forest": spec.model_copy(update=wrong)}
    with pytest.raises(ConfigError, match="is no classifier"):
        build_classifier(pilot.model_copy(update={"methods": methods}), "forest")


def test_a_method_names_a_file():
    methods = {"a/b": {"kind": "ml", "use": FOREST}, "old": OLD}
    with pytest.raises(ValueError, match="'a/b' cannot name a file"):
        of_scene(methods=methods, candidate="a/b")


@pytest.mark.usefixtures("scene")
def test_a_gate_on_an_unknown_class_is_refused():
    pilot = of_scene(gates=[{"measure": "count_bias@maiz", "at_most": 0.1}])
    data, _ = load(pilot, load_settings())
    with pytest.raises(ConfigError) as caught:
        ready(pilot, data)
    assert caught.value.nearest == "maize"


@pytest.mark.usefixtures("scene")
def test_a_code_has_one_class():
    twice = {"file": "before.tif", "classes": {"maize": [1], "wheat": [1, 2]}}
    with pytest.raises(ValueError, match="the code 1 stands with more than one class"):
        of_scene(scene={"previous": twice})


# -- surveyed segments and their frame -----------------------------------------------


def of_segments(**segments: Any) -> Pilot:
    direct = {
        "kind": "traditional",
        "use": ESTIMATOR,
        "params": {"estimator": "direct"},
    }
    return Pilot.model_validate(
        {
            "pilot": "corn",
            "theme": "imagery",
            "owner": {"author": "me"},
            "data": {
                "source": "segments.csv",
                "roles": {"unit_id": "id", "variables": ["corn"], "domain": ["county"]},
                "segments": {
                    "frame": "counties.csv",
                    "by": "county",
                    "segments": "size",
                    "means": {"pixels": "mean"},
                    "classified": {"corn": ["pixels"]},
                    **segments,
                },
            },
            "methods": {
                "direct": direct | {"params": {"estimator": "direct"}},
                "small": {"kind": "ml", "use": "mlstats.imagery.SmallAreas"},
            },
            "baseline": "direct",
            "candidate": "small",
        }
    )


@pytest.fixture
def segments(tmp_path: Path) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    pixels = rng.uniform(100, 300, 20).round()
    table = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(20)],
            "county": np.repeat(["a", "b"], 10),
            "corn": pixels / 2 + rng.normal(0, 9, 20),
            "pixels": pixels,
        }
    )
    table.to_csv("segments.csv", index=False)
    frame = pd.DataFrame({"county": ["a", "b"], "size": [90, 60], "mean": [190, 220]})
    frame.to_csv("counties.csv", index=False)
    return table


@pytest.mark.usefixtures("segments")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"county": ["a", "a"]}, "1 rows of the frame repeat the county"),
        ({"county": ["a", "c"]}, "10 surveyed segments lie in a county"),
        ({"size": [5, 60]}, "1 rows of the frame have no segments, or fewer"),
        ({"size": ["many", 60]}, "1 of 2 values of 'size' are missing or no numbers"),
        ({"mean": [190, None]}, "1 of 2 values of 'mean' are missing or no numbers"),
    ],
)
def test_a_frame_of_another_territory_is_refused(change: dict[str, Any], says: str):
    changed("counties.csv", **change)
    assert refused(of_segments()).title.startswith(says)


@pytest.mark.usefixtures("scene")
def test_a_reference_without_the_class_gives_no_errors_of_it():
    spec = {"file": "before.tif", "classes": {"maize": [1], "rye": [9]}}
    plan = {
        "map": spec,
        "reference": spec | {"classes": {"maize": [1, 2, 3], "rye": [9]}},
    }
    data = of_segments().data
    roles = data.roles.model_copy(update={"variables": ("rye",), "domain": ()})
    drawn = Segments.model_validate({**plan, "size": 10, "draw": 12, "simulate": 100})
    data = data.model_copy(update={"roles": roles, "segments": drawn})
    error = refused(of_segments().model_copy(update={"data": data}))
    assert error.title == "The reference has nothing of 'rye' in any segment"


def test_small_areas_that_cannot_be_fitted_say_so_in_their_row(segments: pd.DataFrame):
    segments.assign(pixels=100.0).to_csv("segments.csv", index=False)
    pilot = of_segments()
    data, _ = load(pilot, load_settings())
    run = run_method(pilot, "small", data)
    row = run.estimates.iloc[0]
    assert np.isnan(row["estimate"])
    assert not row["publishable"]
    assert "one is constant" in row["note"]
    assert run.units["prediction"].isna().all()


def test_a_map_that_says_the_same_everywhere_gives_no_ratio():
    # In floating point the mean of equal numbers may be another one.
    y = np.random.default_rng(2).uniform(1, 9, 33)
    for value in (14.85, 45.0, 100 * 0.45, 0.1):
        sample = AreaSample.of(y, np.full(33, value), segments=250, x_mean=60.0)
        assert choose_estimator(sample).method == "direct"


@pytest.mark.usefixtures("segments")
def test_small_areas_want_areas_before_anything_runs():
    pilot = of_segments(by=None)
    data, _ = load(pilot, load_settings())
    with pytest.raises(ConfigError, match="every small area"):
        ready(pilot, data)


# -- small zones ---------------------------------------------------------------------


def of_zones(weight: str = "houses", **zones: Any) -> Pilot:
    return Pilot.model_validate(
        {
            "pilot": "people",
            "theme": "imagery",
            "owner": {"author": "me"},
            "data": {
                "source": "zones.gpkg",
                "roles": {"unit_id": "zone_id", "variables": ["people"]},
                "zones": {
                    "within": "region",
                    "rasters": {"houses": {"file": "houses.tif"}},
                    **zones,
                },
            },
            "methods": {
                "areal": {
                    "kind": "traditional",
                    "use": "mlstats.imagery.ArealWeighting",
                },
                "houses": {
                    "kind": "ml",
                    "use": "mlstats.imagery.Dasymetric",
                    "params": {"weight": weight},
                },
            },
            "baseline": "areal",
            "candidate": "houses",
        }
    )


@pytest.fixture
def zones(tmp_path: Path) -> Any:
    geopandas = pytest.importorskip("geopandas")
    shapely = pytest.importorskip("shapely")
    rng = np.random.default_rng(6)
    raster("houses.tif", rng.poisson(3, (1, SIDE, SIDE)).astype("uint16"), ["houses"])
    squares = [
        shapely.box(LEFT + 200 * j, TOP - 200 * (i + 1), LEFT + 200 * (j + 1),
                    TOP - 200 * i)
        for i in range(3) for j in range(3)
    ]  # fmt: skip
    table = {
        "zone_id": [f"z{i}" for i in range(9)],
        "region": np.repeat(["r", "s", "t"], 3),
        "people": np.arange(100.0, 190.0, 10.0),
    }
    shapes = geopandas.GeoDataFrame(table, geometry=squares, crs="EPSG:32633")
    shapes.to_file("zones.gpkg")
    return shapes


def test_zones_keep_their_totals(zones: Any):
    pilot = of_zones()
    data, _ = load(pilot, load_settings())
    ready(pilot, data)
    found = run_method(pilot, "houses", data).units
    by_region = found.groupby(np.repeat(["r", "s", "t"], 3))["prediction"].sum()
    expected = zones.groupby("region")["people"].sum()
    assert by_region.to_numpy() == pytest.approx(expected.to_numpy())


def test_totals_that_cannot_be_spread_are_refused(zones: Any):
    for value, says in ((-1.0, "are below 0"), (np.nan, "are missing or no numbers")):
        bad = zones.copy()
        bad.loc[0, "people"] = value
        bad.to_file("zones.gpkg")
        assert says in refused(of_zones()).title


def test_land_that_counts_twice_or_nowhere_is_refused(zones: Any):
    grown = zones.geometry.where(zones.index > 0, zones.geometry.buffer(60))
    zones.set_geometry(grown).to_file("zones.gpkg")
    error = refused(of_zones())
    assert "their land would count twice" in error.title
    assert "z0" not in str(error)
    zones.set_geometry(zones.geometry.translate(1e5)).to_file("zones.gpkg")
    assert refused(of_zones()).title == (
        "houses.tif has a value in none of the small zones"
    )
    zones.set_geometry(zones.geometry.centroid).to_file("zones.gpkg")
    assert "9 of 9 small zones are no polygons" in refused(of_zones()).title


def test_zones_beyond_the_raster_are_told(zones: Any):
    moved = zones.geometry.where(zones.index > 0, zones.geometry.translate(1e5))
    zones.set_geometry(moved).to_file("zones.gpkg")
    data, _ = load(of_zones(), load_settings())
    assert data.cautions == [
        "houses.tif has no value in 1 small zones and ends within 0: what it does not "
        "tell counts as 0"
    ]


@pytest.mark.usefixtures("zones")
def test_the_census_is_no_weight():
    pilot = of_zones(weight="people")
    data, _ = load(pilot, load_settings())
    with pytest.raises(ConfigError) as caught:
        ready(pilot, data)
    assert caught.value.expected == "houses"


@pytest.mark.usefixtures("zones")
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:none"])
def test_areas_want_an_equal_area_projection(crs: str):
    assert isinstance(refused(of_zones(equal_area=crs)), MlstatsError)
