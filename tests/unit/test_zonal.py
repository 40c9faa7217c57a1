"""Zonal statistics by both rules, against rasterstats, exactextract and by hand."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterstats
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from mlstats.errors import ConfigError, ContractError, SourceError
from mlstats.imagery import zonal_statistics
from mlstats.imagery.centre_cells import strips
from mlstats.imagery.grid import Grid
from mlstats.imagery.zonal import choose_cells
from mlstats.imagery.zones import prepared_zones

CRS = "EPSG:6933"
EVERY = ("count", "sum", "mean", "min", "max", "std")


def write(path, values, *, nodata=None, crs=CRS, size=10.0, origin=(0.0, 0.0), **more):
    """Write bands whose first cell has its upper left corner at `origin`."""
    values = np.asarray(values)
    values = values[None] if values.ndim == 2 else values
    profile = {
        "driver": "GTiff",
        "count": len(values),
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype,
        "crs": crs,
        "transform": Affine(size, 0, origin[0], 0, -size, origin[1]),
        "nodata": nodata,
        **more,
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)
    return path


def zones_of(*shapes, crs=CRS, **columns):
    columns = columns or {"zone": [f"z{i}" for i in range(len(shapes))]}
    return geopandas.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


def cells(left, top, right, bottom, size=10.0):
    """Return the rectangle between columns `left`, `right` and rows `top`, `bottom`."""
    return shapely.box(left * size, -bottom * size, right * size, -top * size)


@pytest.fixture
def small(tmp_path):
    values = np.array([[1, 2, 3, 0], [4, 5, 6, 0], [7, 8, 9, 9]], "uint8")
    return write(tmp_path / "small raster.tif", values, nodata=0)


@pytest.mark.parametrize("method", ["centre", "fractional"])
def test_by_hand(small, method):
    zones = zones_of(cells(0, 0, 2, 2), cells(2, 0, 4, 2), cells(0, 2, 4, 3))
    every = (*EVERY, "majority")
    found = zonal_statistics(small, zones, id="zone", statistics=every, method=method)
    assert found["zone"].tolist() == ["z0", "z1", "z2"]
    assert found["count"].tolist() == [4, 2, 4]
    assert found["sum"].tolist() == [12, 9, 33]
    assert found["mean"].tolist() == [3, 4.5, 8.25]
    assert found["min"].tolist() == [1, 3, 7]
    assert found["max"].tolist() == [5, 6, 9]
    np.testing.assert_allclose(found["std"], [10**0.5 / 2, 1.5, 2.75**0.5 / 2])
    assert found["majority"].tolist() == [1, 3, 9]
    assert found["status"].tolist() == ["inside"] * 3
    assert found.attrs["method"] == method


def test_a_cut_cell_counts_by_its_share_or_by_its_centre(small):
    zones = zones_of(cells(0, 0, 1.4, 1), cells(1.4, 0, 3, 1))
    parts = zonal_statistics(small, zones, id="zone", method="fractional")
    np.testing.assert_allclose(parts["count"], [1.4, 1.6])
    np.testing.assert_allclose(parts["sum"], [1.8, 4.2])
    whole = zonal_statistics(small, zones, id="zone", method="centre")
    assert whole["count"].tolist() == [1, 2]
    assert whole["sum"].tolist() == [1, 5]


@pytest.mark.parametrize("method", ["centre", "fractional"])
def test_no_zone_is_dropped(small, method):
    zones = zones_of(
        cells(40, 0, 50, 9),
        cells(0.05, 0.05, 0.1, 0.1),
        None,
        shapely.Point(5, -5),
        cells(3, 0, 4, 2),
        cells(3, 2, 9, 3),
        shapely.Polygon(),
        cells(1, 0, 3, 2),
    )
    found = zonal_statistics(small, zones, id="zone", method=method)
    small_zone = "no cell centre in the zone" if method == "centre" else "inside"
    assert found["status"].tolist() == [
        "outside the raster",
        small_zone,
        "no polygon",
        "no polygon",
        "no valid cell",
        "partly outside the raster",
        "no polygon",
        "inside",
    ]
    empty = found["count"] == 0
    assert empty.tolist() == [True, method == "centre", *[True] * 3, False, True, False]
    assert found.loc[empty, ["sum", "mean", "min", "max", "std"]].isna().all(axis=None)
    nowhere = zonal_statistics(small, zones[:1], id="zone")
    assert nowhere["count"].tolist() == [0]


def brute_force(values, valid, shapes, size=10.0):
    """Return count and sum of the cells whose centre is in each polygon."""
    rows, columns = np.indices(values.shape)
    x, y = (columns + 0.5) * size, -(rows + 0.5) * size
    inside = [shapely.contains_xy(shape, x, y) & valid for shape in shapes]
    return [i.sum() for i in inside], [values[i].sum() for i in inside]


def mosaic(seed, number, width, height):
    """Return a Voronoi mosaic that reaches over the raster's edges."""
    rng = np.random.default_rng(seed)
    points = shapely.MultiPoint(rng.uniform((0, -height), (width, 0), (number, 2)))
    box = shapely.box(-0.3 * width, -1.2 * height, 1.1 * width, 0.2 * height)
    parts = shapely.voronoi_polygons(points, extend_to=box).geoms
    return [part for part in (p.intersection(box) for p in parts) if part.area > 0]


# rasterstats multiplies affine matrices with the old operator.
OLD_OPERATOR = "ignore:Use `@` matmul:PendingDeprecationWarning"


@pytest.mark.filterwarnings(OLD_OPERATOR)
@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.integers(3, 9),
    st.sampled_from(["uint8", "int16", "float32", "float64"]),
)
def test_random_mosaics_equal_rasterstats_and_brute_force(
    tmp_path_factory, seed, number, dtype
):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 60, (23, 31)).astype(dtype)
    folder = tmp_path_factory.mktemp("mosaic")
    path = write(
        folder / "r.tif", values, nodata=7, tiled=True, blockxsize=16, blockysize=16
    )
    shapes = mosaic(seed, number, 310, 230)
    zones = zones_of(*shapes)
    statistics = EVERY if dtype.startswith("float") else (*EVERY, "majority")
    found = zonal_statistics(
        path, zones, id="zone", statistics=statistics, method="centre"
    )
    count, total = brute_force(values, values != 7, shapes)
    assert found["count"].tolist() == count
    np.testing.assert_array_equal(found["sum"].fillna(0), total)
    oracle = pd.DataFrame(
        rasterstats.zonal_stats(zones, str(path), stats=list(statistics))
    )
    for name in statistics:
        np.testing.assert_allclose(
            found[name], oracle[name].astype(float), rtol=1e-13, err_msg=name
        )


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(2, 6))
def test_fractions_are_the_areas_of_cut_cells(tmp_path_factory, seed, number):
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 60, (9, 12)).astype("uint8")
    values[rng.random((9, 12)) < 0.2] = 0
    path = write(tmp_path_factory.mktemp("cut") / "r.tif", values, nodata=0)
    shapes = mosaic(seed, number, 120, 90)
    found = zonal_statistics(
        path,
        zones_of(*shapes),
        id="zone",
        statistics=(*EVERY, "majority"),
        method="fractional",
    )
    rows, columns = np.indices(values.shape)
    boxes = [
        cells(c, r, c + 1, r + 1)
        for r, c in zip(rows.ravel(), columns.ravel(), strict=True)
    ]
    for place, shape in enumerate(shapes):
        part = shapely.area(shapely.intersection(shape, boxes)) / 100
        part = np.where(values.ravel() > 0, part, 0)
        row, flat = found.iloc[place], values.ravel().astype(float)
        assert row["count"] == pytest.approx(part.sum(), rel=1e-5, abs=1e-5)
        if part.sum() > 1e-3:
            mean = np.average(flat, weights=part)
            assert row["mean"] == pytest.approx(mean, rel=1e-4)
            spread = np.average((flat - mean) ** 2, weights=part) ** 0.5
            assert row["std"] == pytest.approx(spread, rel=1e-3, abs=1e-3)
            sums = np.bincount(values.ravel(), part)
            assert sums[int(row["majority"])] == pytest.approx(sums.max(), abs=1e-4)


@pytest.mark.filterwarnings(OLD_OPERATOR)
def test_strips_and_processes_change_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    values = (1e8 + rng.normal(0, 1, (2, 1300, 700))).astype("float64")
    values[:, 100:200, 50:90] = np.nan
    path = write(
        tmp_path / "r.tif",
        values,
        nodata=-1,
        size=2.0,
        tiled=True,
        blockxsize=256,
        blockysize=256,
    )
    with rasterio.open(path) as raster:
        assert [part[0] for part in strips(raster)] == [0, 512, 1024]
        assert len(list(strips(raster, bands=20))) > 3
    zones = zones_of(*mosaic(1, 12, 1400, 2600))
    one = zonal_statistics(path, zones, id="zone", method="centre")
    two = zonal_statistics(path, zones, id="zone", method="centre", workers=2)
    pd.testing.assert_frame_equal(one, two)
    monkeypatch.setattr("mlstats.imagery.centre_cells.STRIP_CELLS", 200_000)
    with rasterio.open(path) as raster:
        assert [part[1] for part in strips(raster)][:3] == [0, 256, 512]
    small = zonal_statistics(path, zones, id="zone", method="centre")
    pd.testing.assert_frame_equal(one, small, rtol=1e-9)
    oracle = pd.DataFrame(
        rasterstats.zonal_stats(zones, str(path), stats=list(EVERY), band=2)
    )
    for name in EVERY:
        # At 1e8 a mean holds the standard deviation of 1 to eight digits.
        close = 1e-9 if name == "std" else 1e-12
        np.testing.assert_allclose(one[f"band2_{name}"], oracle[name], rtol=close)
    parts = zonal_statistics(path, zones, id="zone", method="fractional", workers=2)
    np.testing.assert_allclose(parts["band1_std"], one["band1_std"], rtol=0.02)
    assert parts["zone"].tolist() == one["zone"].tolist()


def test_every_cell_is_in_one_zone_of_a_mosaic(tmp_path):
    path = write(tmp_path / "r.tif", np.ones((230, 310), "uint8"))
    box = shapely.box(0, -2300, 3100, 0)
    shapes = [part.intersection(box) for part in mosaic(5, 60, 3100, 2300)]
    for method in ("centre", "fractional"):
        found = zonal_statistics(path, zones_of(*shapes), id="zone", method=method)
        assert found["count"].sum() == pytest.approx(230 * 310, rel=1e-6)


def test_a_centre_on_a_border_counts_once(small):
    halves = [cells(0, 0, 1.5, 2), cells(1.5, 0, 3, 2)]
    found = zonal_statistics(small, zones_of(*halves), id="zone", method="centre")
    assert found["count"].sum() == 6
    assert found["sum"].sum() == 21


def test_bands_are_named_and_scaled_as_the_file_says(tmp_path):
    values = np.stack([np.full((4, 4), 10), np.full((4, 4), 30)]).astype("int16")
    values[:, 0, 0] += 4
    path = write(tmp_path / "r.tif", values)
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = ("red", "nir")
        raster.scales, raster.offsets = (0.5, -0.1), (1.0, 0.0)
    for method in ("centre", "fractional"):
        found = zonal_statistics(
            path, zones_of(cells(0, 0, 4, 4)), id="zone", method=method
        ).iloc[0]
        assert found["red_count"] == 16
        assert found["red_sum"] == pytest.approx(98)
        assert found["nir_min"] == pytest.approx(-3.4)
        assert found["nir_max"] == pytest.approx(-3.0)
        assert found["nir_std"] == pytest.approx(0.1 * np.std([4, *[0] * 15]))
        alone = zonal_statistics(
            path, zones_of(cells(0, 0, 4, 4)), id="zone", statistics=["max"],
            bands=[2], method=method,
        )  # fmt: skip
        assert alone["max"][0] == pytest.approx(-3.0)
        assert list(alone) == ["zone", "count", "max", "status"]


def test_invalid_polygons_are_repaired_and_told(small):
    bow = shapely.Polygon([(0, 0), (20, -20), (20, 0), (0, -20)])
    found = zonal_statistics(small, zones_of(bow), id="zone", method="fractional")
    assert found.attrs["repaired"] == ["z0"]
    assert found["count"].tolist() == pytest.approx([2.0])


def test_overlaps_are_refused_by_name_and_slivers_count_in_both(small):
    twice = zones_of(cells(0, 0, 2, 3), cells(1, 0, 3, 3), cells(3, 0, 4, 3))
    with pytest.raises(ContractError, match="pairs of zones overlap") as caught:
        zonal_statistics(small, twice, id="zone", method="centre")
    assert caught.value.where == "most of all z0 and z1: 50%"
    parts = zonal_statistics(small, twice, id="zone", method="fractional")
    assert parts["sum"].tolist() == pytest.approx([27, 33, 9])
    sliver = zones_of(cells(0, 0, 1.52, 3), cells(1.49, 0, 4, 3))
    for order in ([0, 1], [1, 0]):
        found = zonal_statistics(small, sliver.iloc[order], id="zone", method="centre")
        both = found.set_index("zone")["sum"]
        assert both.to_dict() == {"z0": 27, "z1": 42}


def test_zones_in_another_projection_and_without_one(small, tmp_path):
    zones = zones_of(cells(0, 0, 2, 2), cells(2, 0, 4, 3))
    straight = zonal_statistics(small, zones, id="zone", method="fractional")
    path = tmp_path / "zones.gpkg"
    zones.to_crs("EPSG:4326").to_file(path)
    moved = zonal_statistics(small, path, id="zone", method="fractional")
    assert moved.attrs["reprojected"]
    assert not straight.attrs["reprojected"]
    np.testing.assert_allclose(moved["sum"], straight["sum"], rtol=1e-6)
    with pytest.raises(ContractError, match="projection of the zones is not known"):
        zonal_statistics(small, zones.set_crs(None, allow_override=True), id="zone")
    pole = zones_of(shapely.box(0, 95, 1, 99), crs="EPSG:4326")
    assert zonal_statistics(small, pole, id="zone")["status"][0] == "no polygon"


def test_a_column_named_area_is_the_column(small):
    zones = zones_of(cells(0, 0, 2, 2), cells(2, 0, 4, 3), area=["007", "008"])
    found = zonal_statistics(small, zones, id="area")
    assert found["area"].tolist() == ["007", "008"]


@pytest.mark.parametrize("method", ["centre", "fractional"])
def test_classes_with_what_is_in_none(tmp_path, method):
    values = np.array([[1, 1, 2, 0], [1, 3, 3, 9]], "uint8")
    path = write(tmp_path / "map.tif", values, nodata=0, size=50.0)
    zones = zones_of(
        cells(0, 0, 2, 2, 50), cells(2, 0, 4, 2, 50), cells(8, 0, 9, 1, 50)
    )
    found = zonal_statistics(
        path,
        zones,
        id="zone",
        values="classes",
        classes={1: "maize", 2: "soybean", 3: "forest", 4: "water"},
        unclassified=[9],
        method=method,
    )
    shares = found.filter(like="share_")
    assert list(shares) == [
        "share_maize",
        "share_soybean",
        "share_forest",
        "share_water",
        "share_unclassified",
    ]
    assert shares.iloc[0].tolist() == pytest.approx([0.75, 0, 0.25, 0, 0])
    assert shares.iloc[1].tolist() == pytest.approx([0, 0.25, 0.25, 0, 0.5])
    assert shares.iloc[2].isna().all()
    assert found["hectares_maize"][0] == pytest.approx(0.75)
    assert found["hectares_unclassified"][1] == pytest.approx(0.5)
    assert found["count"].tolist() == pytest.approx([4, 2, 0])
    assert found["majority"][:2].tolist() == [1, 2]
    plain = zonal_statistics(path, zones, id="zone", values="classes", method=method)
    assert "share_9" in plain
    with pytest.raises(ContractError, match="1 codes of the raster have no name"):
        zonal_statistics(
            path, zones, id="zone", values="classes", classes={1: "a", 2: "b", 3: "c"}
        )


def test_hectares_need_an_equal_area_projection(tmp_path):
    path = write(
        tmp_path / "map.tif", np.ones((3, 3), "uint8"), crs="EPSG:4326", size=0.1
    )
    zones = zones_of(cells(0, 0, 3, 3, 0.1), crs="EPSG:4326")
    assert zonal_statistics(path, zones, id="zone")["count"][0] == pytest.approx(9)
    with pytest.raises(ContractError, match="geographic"):
        zonal_statistics(path, zones, id="zone", values="classes")


def test_what_cannot_be_used_is_told(small, tmp_path):
    zones = zones_of(cells(0, 0, 2, 2), cells(2, 0, 4, 3))

    def go(path=small, zones=zones, id="zone", **more):
        return zonal_statistics(path, zones, id=id, **more)

    with pytest.raises(ConfigError) as caught:
        go(statistics=["meen"])
    assert caught.value.nearest == "mean"
    with pytest.raises(ConfigError, match="unknown word 'center'"):
        go(method="center")
    with pytest.raises(ConfigError, match="bands"):
        go(bands=[2])
    with pytest.raises(ContractError, match="no column 'zne'"):
        go(id="zne")
    with pytest.raises(ContractError, match="name of a result: count"):
        go(zones=zones.rename(columns={"zone": "count"}), id="count")
    with pytest.raises(ContractError, match="2 ids of zones are missing or stand"):
        go(zones=zones.assign(zone="same"))
    with pytest.raises(SourceError, match="zones cannot be read"):
        go(zones=tmp_path / "absent.gpkg")
    floats = write(tmp_path / "f.tif", np.ones((4, 4), "float32"))
    with pytest.raises(ContractError, match="float32 holds no codes"):
        go(floats, values="classes")
    many = write(tmp_path / "many.tif", np.arange(1600, dtype="int32").reshape(40, 40))
    big = zones_of(cells(0, 0, 40, 40))
    for method in ("centre", "fractional"):
        with pytest.raises(ContractError, match="too many different values"):
            go(many, zones=big, values="classes", method=method)
    turned = tmp_path / "turned.tif"
    with rasterio.open(
        turned, "w", driver="GTiff", count=1, height=4, width=4, dtype="uint8",
        crs=CRS, transform=Affine(10, 1, 0, 1, -10, 0),
    ) as raster:  # fmt: skip
        raster.write(np.ones((1, 4, 4), "uint8"))
    with pytest.raises(ContractError, match="turned"):
        go(turned)


@pytest.mark.parametrize("method", ["centre", "fractional"])
def test_a_truncated_raster_is_told(tmp_path, method):
    rng = np.random.default_rng(1)
    path = write(
        tmp_path / "r.tif",
        rng.integers(0, 9, (600, 600)).astype("uint8"),
        tiled=True,
        blockxsize=256,
        blockysize=256,
    )
    path.write_bytes(path.read_bytes()[:150_000])
    zones = zones_of(cells(0, 0, 600, 600))
    with pytest.raises(SourceError, match="raster cannot be"):
        zonal_statistics(path, zones, id="zone", method=method)


def test_the_choice_follows_overlaps_size_and_work():
    grid = Grid(CRS, (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), 10_000, 10_000)

    def choice(*shapes):
        return choose_cells(
            prepared_zones(zones_of(*shapes), id="zone", grid=grid), cell=100.0
        )

    large = [cells(i * 2500, 0, i * 2500 + 2500, 10_000) for i in range(4)]
    assert choice(*large)[0] == "centre"
    assert choice(*large, cells(0, 0, 10_000, 9_000)) == ("fractional", "zones overlap")
    assert choice(cells(0, 0, 300, 300))[1] == "9e+04 cells are few"
    small = [cells(i * 20, 0, i * 20 + 20, 20) for i in range(8)]
    assert "zones are small" in choice(*large, *small)[1]
