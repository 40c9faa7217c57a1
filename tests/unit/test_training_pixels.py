"""Pixels of points and polygons come with their features, and none goes missing."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
from shapely.geometry import LineString, Point, Polygon, box

from mlstats.errors import ConfigError, ContractError
from mlstats.imagery import (
    CloudMask,
    FeatureSet,
    Image,
    Stack,
    Texture,
    pixels_at_points,
    pixels_in_polygons,
)
from tests.raster_example import UTM, read_raster, write_raster

RNG = np.random.default_rng(5)
VALUES = RNG.integers(1, 5000, (2, 120, 100)).astype("int16")
LEFT, TOP = 5e5, 2e6


@pytest.fixture
def stack(tmp_path):
    """One date; the rightmost ten columns are cloud."""
    values = VALUES.copy()
    values[1] = 0
    values[1, :, 90:] = 4
    path = write_raster(tmp_path / "a.tif", values)
    return Stack([Image(path, {"red": 1}, "2020-01-01", CloudMask(2))])


def ground(row, column):
    return LEFT + column * 30.0, TOP - row * 30.0


def polygon(top, left, bottom, right):
    """Corners in rows and columns."""
    return box(*ground(bottom, left), *ground(top, right))


def points(row, column, **more):
    x, y = ground(np.asarray(row) + 0.3, np.asarray(column) + 0.7)
    return pd.DataFrame({"east": x, "north": y, **more})


def test_points_have_the_value_of_their_pixel(stack):
    row, column = RNG.integers(0, 120, 300), RNG.integers(0, 100, 300)
    table = points(row, column, crop=[f"c{i}" for i in range(300)])
    found = pixels_at_points(stack, FeatureSet(), table, x="east", y="north", crs=UTM)
    np.testing.assert_array_equal(found.table[["row", "column"]], np.c_[row, column])
    assert found.table["crop"].tolist() == table["crop"].tolist()
    ok = column < 90
    np.testing.assert_array_equal(found.table["ok"], ok)
    values = found.table["red@2020-01-01"]
    np.testing.assert_array_equal(values[ok], VALUES[0, row[ok], column[ok]])
    assert values[~ok].isna().all()
    lost = int((~ok).sum())
    assert found.counts == {"given": 300, "outside": 0, "pixels": 300, "not_ok": lost}
    assert found.notes == [f"{lost} of 300 pixels have too few valid dates."]
    with rasterio.open(stack.images[0].path) as file:
        sampled = [v[0] for v in file.sample(found.table[["x", "y"]].to_numpy()[ok])]
    np.testing.assert_array_equal(values[ok], sampled)


def test_points_of_another_crs_are_moved(stack):
    row, column = np.array([3, 50, 119]), np.array([0, 40, 80])
    table = points(row, column)
    moved = geopandas.GeoSeries(
        geopandas.points_from_xy(table["east"], table["north"]), crs=UTM
    ).to_crs("EPSG:4326")
    table = pd.DataFrame({"x": moved.x, "y": moved.y})
    found = pixels_at_points(stack, FeatureSet(), table, x="x", y="y", crs="EPSG:4326")
    np.testing.assert_array_equal(found.table[["row", "column"]], np.c_[row, column])
    assert found.table["x"].tolist() == [LEFT + 15, LEFT + 1215, LEFT + 2415]


def test_points_outside_are_refused_or_counted(stack):
    table = points([5, 130, 7], [5, 5, -1])
    where = {"x": "east", "y": "north", "crs": UTM}
    with pytest.raises(ContractError, match="2 of 3 points lie outside"):
        pixels_at_points(stack, FeatureSet(), table, **where)
    found = pixels_at_points(stack, FeatureSet(), table, outside="drop", **where)
    assert found.counts["outside"] == 2
    assert found.notes == ["2 of 3 points lie outside the raster and are left out."]
    assert len(found.table) == 1
    # Metres taken for degrees have no place on earth; the other zone is elsewhere.
    for crs in ("EPSG:4326", "EPSG:32720"):
        with pytest.raises(ContractError, match=r"(?s)none of the 3 .* check the CRS"):
            pixels_at_points(
                stack, FeatureSet(), table, outside="drop", **{**where, "crs": crs}
            )
    with pytest.raises(ConfigError, match="CRS is not known"):
        pixels_at_points(stack, FeatureSet(), table, **{**where, "crs": "WGS"})
    with pytest.raises(ContractError, match="not tell their coordinate reference"):
        pixels_at_points(stack, FeatureSet(), table, **{**where, "crs": None})
    with pytest.raises(ContractError, match="there are no points"):
        pixels_at_points(stack, FeatureSet(), table[:0], **where)


def test_points_that_cannot_be_used_are_told(stack):
    table = points([5], [5], ok=[1])
    where = {"x": "east", "y": "north", "crs": UTM}
    with pytest.raises(ContractError, match="'ok' has the name"):
        pixels_at_points(stack, FeatureSet(), table, **where)
    table = points([5, np.nan], [5, 5])
    with pytest.raises(ContractError, match="1 points lack a coordinate"):
        pixels_at_points(stack, FeatureSet(), table, **where)
    with pytest.raises(ConfigError, match="nearest: east"):
        pixels_at_points(stack, FeatureSet(), table, **{**where, "x": "eats"})
    with pytest.raises(ConfigError, match="refuse or drop"):
        pixels_at_points(stack, FeatureSet(), table, outside="keep", **where)


def fields(shapes, crs=UTM, **more):
    names = more or {"id": range(len(shapes)), "crop": ["soy"] * len(shapes)}
    return geopandas.GeoDataFrame(names, geometry=shapes, crs=crs)


def test_polygons_hold_the_pixels_whose_centres_they_cover(stack):
    triangle = Polygon([ground(10, 10), ground(60, 10), ground(10, 50)])
    shapes = [polygon(100, 2, 104, 7), triangle]
    given = fields(shapes, id=["a", "b"], crop=["soy", "corn"])
    # Neither the index nor a column called area may be mistaken for something else.
    given = given.assign(area=1.0).set_axis(["z", "z"])
    found = pixels_in_polygons(stack, FeatureSet(), given, id="id", label="crop")
    table = found.table
    assert table.columns.tolist()[:3] == ["polygon", "id", "class"]
    for number, shape in enumerate(shapes):
        row, column = np.mgrid[0:120, 0:100]
        x, y = stack.grid.centres_of(row.ravel(), column.ravel())
        inside = [shape.contains(Point(*at)) for at in zip(x, y, strict=True)]
        mine = table[table["polygon"] == number]
        expected = np.c_[row.ravel(), column.ravel()][inside]
        np.testing.assert_array_equal(mine[["row", "column"]], expected)
    np.testing.assert_array_equal(
        table["red@2020-01-01"], VALUES[0, table["row"], table["column"]]
    )
    assert table.groupby("id")["class"].unique().str[0].to_dict() == {
        "a": "soy",
        "b": "corn",
    }
    assert [note.split(":")[0] for note in found.notes] == [
        "Class soy has one polygon",
        "Class corn has one polygon",
    ]


def test_a_draw_is_equal_for_all_pixels_and_keeps_its_seed(stack):
    given = fields([polygon(0, 0, 4, 5), polygon(50, 50, 52, 52)])
    arguments = {"id": "id", "label": "crop", "max_per_polygon": 5}
    counts = np.zeros((120, 100))
    for seed in range(150):
        found = pixels_in_polygons(
            stack, FeatureSet(), given, seed=seed, **arguments
        ).table
        assert found.groupby("polygon").size().tolist() == [5, 4]
        counts[found["row"], found["column"]] += 1
    again = pixels_in_polygons(stack, FeatureSet(), given, seed=149, **arguments)
    pd.testing.assert_frame_equal(found, again.table)
    # Binomial with mean 37.5 and standard deviation 5.3 for each of twenty pixels.
    assert np.abs(counts[:4, :5] - 37.5).max() < 4 * 5.3
    assert (counts[50:52, 50:52] == 150).all()
    with pytest.raises(ConfigError, match="0 pixels per polygon"):
        pixels_in_polygons(
            stack, FeatureSet(), given, **{**arguments, "max_per_polygon": 0}
        )


def test_what_a_person_should_know_of_polygons_is_noted(stack):
    bow = Polygon([ground(10, 10), ground(20, 20), ground(10, 20), ground(20, 10)])
    tiny = polygon(30.6, 30.6, 30.9, 30.9)
    shapes = [bow, tiny, polygon(5, 85, 9, 95), polygon(5, 86, 6, 87)]
    given = fields(shapes, id=[1, 1, 2, 3], crop=["soy", "corn", "corn", "soy"])
    found = pixels_in_polygons(stack, FeatureSet(), given, id="id", label="crop")
    assert found.notes == [
        "1 invalid polygons were repaired.",
        "1 ids stand with more than one class.",
        "1 polygons hold no centre of a pixel.",
        "1 pixels lie in more than one polygon.",
        "20 of 91 pixels have too few valid dates.",
    ]
    assert found.counts == {"given": 4, "outside": 0, "pixels": 91, "not_ok": 20}


def test_polygons_that_cannot_be_used_are_told(stack):
    good, far = polygon(5, 5, 9, 9), polygon(500, 5, 510, 9)
    names = {"id": "id", "label": "crop"}
    with pytest.raises(ContractError, match="1 of 2 polygons lie outside"):
        pixels_in_polygons(stack, FeatureSet(), fields([good, far]), **names)
    found = pixels_in_polygons(
        stack, FeatureSet(), fields([good, far]), outside="drop", **names
    )
    assert found.counts["outside"] == 1
    assert set(found.table["polygon"]) == {0}
    with pytest.raises(ContractError, match="none of the 1 polygons"):
        pixels_in_polygons(stack, FeatureSet(), fields([far]), outside="drop", **names)
    with pytest.raises(ContractError, match="polygons do not tell their coordinate"):
        pixels_in_polygons(stack, FeatureSet(), fields([good], crs=None), **names)
    line = LineString([ground(0, 0), ground(5, 5)])
    with pytest.raises(ContractError, match="2 geometries are missing, empty or no"):
        pixels_in_polygons(stack, FeatureSet(), fields([good, line, None]), **names)
    with pytest.raises(ConfigError, match="nearest: crop"):
        pixels_in_polygons(stack, FeatureSet(), fields([good]), id="id", label="crops")


def test_texture_of_labelled_pixels_sees_their_neighbours(stack):
    chosen = FeatureSet(texture=[Texture("red", 3, ("mean",))])
    given = fields([polygon(40, 40, 41, 41)])
    found = pixels_in_polygons(stack, chosen, given, id="id", label="crop")
    assert found.table["red@2020-01-01_mean3"][0] == pytest.approx(
        VALUES[0, 39:42, 39:42].mean()
    )


def test_chiapas_polygons_equal_a_whole_read(real_data):
    folder = real_data / "imagery" / "landsat7_chiapas"
    if not folder.is_dir():
        pytest.skip("the imagery is not on this machine")
    path = folder / "landsat7_1999-11-18.tif"
    given = geopandas.read_file(folder / "training_polygons_1999.gpkg")
    stack = Stack([Image(path, ["red", "nir"], "1999-11-18", CloudMask("fmask"))])
    found = pixels_in_polygons(
        stack, FeatureSet(indices=["NDVI"]), given, id="id", label="class"
    )
    from rasterio.features import rasterize

    whole = read_raster(path).astype(float)
    for number, shape in enumerate(given.geometry):
        drawn = rasterize([shape], (250, 250), transform=stack.grid.affine)
        mine = found.table[found.table["polygon"] == number]
        assert len(mine) == drawn.sum()
        red, nir = whole[2][drawn == 1], whole[3][drawn == 1]
        np.testing.assert_allclose(
            mine["NDVI@1999-11-18"], (nir - red) / (nir + red), rtol=1e-5
        )
    assert "2 ids stand with more than one class." in found.notes
