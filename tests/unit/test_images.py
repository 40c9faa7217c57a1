"""Images of many dates are read on one grid, and what is not valid is told."""

import pickle

import numpy as np
import pytest
from rasterio.enums import Resampling
from rasterio.warp import reproject

from mlstats.errors import ConfigError, ContractError, SourceError
from mlstats.imagery import (
    CloudMask,
    Grid,
    Image,
    Stack,
    Window,
    clear_share,
    common_grid,
)
from tests.raster_example import UTM, read_raster, write_raster

RNG = np.random.default_rng(7)
RED = RNG.integers(1, 5000, (2, 40, 50)).astype("int16")
FMASK = np.where(RNG.random((40, 50)) < 0.3, 4, 0).astype("int16")


@pytest.fixture
def dates(tmp_path):
    """Two dates; the second has clouds, and nodata in one pixel of nir."""
    first = np.stack([*RED, np.zeros_like(FMASK)])
    second = np.stack([*(RED + 7), FMASK])
    second[1, 0, 0] = -9999
    names = ("red", "nir", "fmask")
    return [
        Image(
            write_raster(
                tmp_path / f"{date}.tif", values, names=names, nodata=-9999, **tiles
            ),
            ["red", "nir"],
            date,
            CloudMask("fmask"),
            scale=1e-4,
        )
        for date, values, tiles in [
            ("2020-03-01", second, {"tiled": True, "blockxsize": 16, "blockysize": 16}),
            ("2020-01-01", first, {"compress": "deflate"}),
        ]
    ]


def test_values_equal_the_files_read_whole(dates):
    stack = Stack(dates)
    assert stack.dates == ("2020-01-01", "2020-03-01")
    assert stack.names == tuple(
        f"{band}@{day}" for day in stack.dates for band in ("red", "nir")
    )
    block = stack.read(Window(0, 0, 40, 50))
    expected = np.concatenate([RED, RED + 7]).astype(float) * 1e-4
    expected[2:, FMASK == 4] = np.nan
    expected[3, 0, 0] = np.nan
    np.testing.assert_allclose(block.values, expected, rtol=1e-6)
    assert block.values.dtype == np.float32
    valid = FMASK == 0
    valid[0, 0] = False
    np.testing.assert_array_equal(block.count, 1 + valid)


def test_windows_and_whole_agree_and_reach_over_the_edges(dates):
    stack = pickle.loads(pickle.dumps(Stack(dates)))
    whole = stack.read(Window(0, 0, 40, 50)).values
    padded = np.pad(whole, ((0, 0), (9, 9), (9, 9)), constant_values=np.nan)
    for window in Window.cover((58, 68), (17, 23)):
        block = stack.read(window.moved(-9, -9))
        np.testing.assert_array_equal(block.values, padded[:, *window.slices])
    assert stack.read(Window(90, 90, 2, 3)).count.sum() == 0


def test_stored_values_keep_their_type(dates):
    block = Stack(dates).read(Window(5, 5, 9, 9), as_stored=True)
    assert block.values.dtype == np.int16
    np.testing.assert_array_equal(block.values[:2], RED[:, 5:14, 5:14])
    np.testing.assert_array_equal(block.valid[1], FMASK[5:14, 5:14] == 0)


def test_another_grid_is_resampled_as_gdal_does(dates, tmp_path):
    grid = common_grid([image.path for image in dates], crs="EPSG:6933", resolution=30)
    block = Stack(dates, grid).read(Window(0, 0, *grid.shape))
    source = read_raster(dates[1].path)
    expected = np.full(grid.shape, np.nan, "float32")
    reproject(
        source[0].astype("float32"),
        expected,
        src_transform=Grid.of(dates[1].path).affine,
        src_crs=UTM,
        dst_transform=grid.affine,
        dst_crs=grid.crs,
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )
    np.testing.assert_allclose(block.values[0], expected * 1e-4, rtol=1e-5)
    assert 0 < np.isnan(block.values[0]).mean() < 0.2


@pytest.mark.parametrize("bands", [["red"], ["red", "nir"], ["red", "nir", "fmask"]])
def test_resampled_values_do_not_depend_on_the_windows(tmp_path, bands):
    values = RNG.integers(1, 5000, (3, 700, 600)).astype("int16")
    path = write_raster(tmp_path / "a.tif", values, names=("red", "nir", "fmask"))
    grid = common_grid([path], crs="EPSG:6933", resolution=25)
    stack = Stack([Image(path, bands)], grid)
    whole = stack.read(Window(0, 0, *grid.shape)).values
    for size in ((97, 210), (1, 300)):
        # Strips of single pixels would take long; their first rows say enough.
        for window in list(Window.cover(grid.shape, size))[:40]:
            with stack:
                found = stack.read(window).values
            np.testing.assert_array_equal(found, whole[:, *window.slices])


def test_a_mask_inside_is_not_lost_on_another_grid(tmp_path):
    import rasterio

    path = write_raster(tmp_path / "a.tif", RED)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.full((40, 50), 255, "uint8"))
    grid = common_grid([path], crs="EPSG:6933", resolution=30)
    with pytest.raises(ContractError, match="mask inside"):
        Stack([Image(path)], grid).read(Window(0, 0, 5, 5))


def test_coarser_grids_take_means_and_classes_the_nearest(tmp_path):
    values = RNG.integers(0, 200, (40, 60)).astype("uint8")
    path = write_raster(tmp_path / "a.tif", values)
    grid = Grid(UTM, (120.0, 0, 5e5, 0, -120.0, 2e6), 15, 10)
    means = values.reshape(10, 4, 15, 4).mean((1, 3))
    found = Stack([Image(path)], grid).read(Window(0, 0, 10, 15)).values[0]
    np.testing.assert_allclose(found, means, rtol=1e-6)
    codes = Stack([Image(path, classes=True)], grid).read(Window(0, 0, 10, 15))
    cells = values.reshape(10, 4, 15, 4).transpose(0, 2, 1, 3).reshape(10, 15, 16)
    assert (codes.values[0][..., None] == cells).any(-1).all()


def test_neighbouring_scenes_of_a_date_fill_each_other(tmp_path):
    left = write_raster(tmp_path / "l.tif", RED[0], nodata=3)
    right = write_raster(tmp_path / "r.tif", RED[0] + 1, corner=(5e5 + 600, 2e6))
    grid = common_grid([left, right], bounds="union")
    images = [Image(path, {"red": 1}, "2020-01-01") for path in (left, right)]
    stack = Stack(images, grid)
    assert stack.names == ("red@2020-01-01",)
    found = stack.read(Window(0, 0, *grid.shape)).values[0]
    np.testing.assert_array_equal(found[:, :50], RED[0])
    np.testing.assert_array_equal(found[:, 50:], RED[0, :, 30:] + 1)


def test_a_band_missing_on_one_date_names_file_date_and_nearest(dates, tmp_path):
    path = write_raster(tmp_path / "odd.tif", RED, names=("red", "nir_1"))
    with pytest.raises(ContractError) as caught:
        Stack([*dates, Image(path, ["red", "nir"], "2020-05-01")])
    for part in ("'nir'", "odd.tif, 2020-05-01", "nearest: nir_1"):
        assert part in str(caught.value)
    with pytest.raises(ContractError) as caught:
        Stack([*dates, Image(path, ["red"], "2020-05-01")])
    assert "'nir' is missing on one date" in str(caught.value)
    assert "odd.tif, 2020-05-01" in str(caught.value)


def test_sensors_with_dates_of_their_own_need_not_share_bands(dates, tmp_path):
    radar = write_raster(tmp_path / "radar.tif", RED[0])
    stack = Stack([*dates, Image(radar, {"vv": 1}, "2020-02-01"), Image(radar)])
    assert stack.dates == (None, "2020-01-01", "2020-02-01", "2020-03-01")
    assert stack.names[0] == "band1"
    assert stack.read(Window(0, 0, 5, 5)).count.max() == 3


def test_stacks_that_cannot_be_read_are_told(dates, tmp_path):
    with pytest.raises(ConfigError, match="needs an image"):
        Stack([])
    far = write_raster(tmp_path / "far.tif", RED, corner=(9e5, 2e6))
    with pytest.raises(ConfigError, match="common_grid"):
        Stack([Image(far), Image(dates[0].path)])
    with pytest.raises(ContractError, match=r"(?s)no place in common.*far\.tif"):
        Stack([Image(far)], Grid.of(dates[0].path))
    with pytest.raises(ConfigError, match="not a date"):
        Stack([Image(far, date="March")])
    with pytest.raises(ContractError, match="number from 1 to 2"):
        Stack([Image(far, [3])])
    with pytest.raises(ContractError, match="nearest: fmask"):
        Stack([Image(dates[0].path, ["red"], None, CloudMask("fmaks"))])
    grid = common_grid([dates[0].path], crs="EPSG:6933", resolution=30)
    with pytest.raises(ConfigError, match="stored"):
        Stack(dates, grid).read(Window(0, 0, 2, 2), as_stored=True)
    with pytest.raises(ConfigError, match="no @"):
        Stack([Image(dates[0].path, {"red@1": 1})])


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
@pytest.mark.parametrize("resampled", [False, True])
def test_a_truncated_file_is_named_at_open_or_with_the_block(
    tmp_path, driver, resampled
):
    noise = RNG.integers(0, 255, (600, 600)).astype("uint8")
    whole = write_raster(tmp_path / "whole.tif", noise, compress="deflate")
    if driver == "COG":
        from rasterio.shutil import copy

        copy(whole, tmp_path / "cog.tif", driver="COG", blocksize=128)
        whole = tmp_path / "cog.tif"
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    grid = Grid.of(whole)
    if resampled:
        grid = common_grid([whole], crs="EPSG:6933", resolution=30)
    with pytest.raises(SourceError) as caught:
        clear_share(Stack([Image(cut)], grid), block=128)
    assert "cut.tif" in str(caught.value)
    assert "interrupted copy" in str(caught.value)
    if driver == "COG":
        assert "rows" in str(caught.value)


def test_all_cloud_is_a_status_and_not_an_error(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", np.stack([RED[0], np.full((40, 50), 4)]).astype("int16")
    )
    image = Image(path, {"red": 1}, "2020-01-01", CloudMask(2))
    clear = Image(path, {"red": 1}, "2020-02-01")
    stack = Stack([image, clear])
    block = stack.read(Window(0, 0, 40, 50))
    assert np.isnan(block.values[0]).all()
    assert block.count.max() == 1
    table = clear_share(stack, block=16).set_index("date")
    assert table["status"].tolist() == ["all cloud", "clear"]
    assert table["clear"].tolist() == [0, 2000]


def test_masks_of_another_file_and_resolution(tmp_path):
    path = write_raster(tmp_path / "a.tif", RED[0])
    codes = RNG.integers(0, 5, (20, 25)).astype("uint8")
    mask = write_raster(tmp_path / "m.tif", codes, size=60.0)
    image = Image(path, {"red": 1}, "2020-01-01", CloudMask(1, (0, 1), mask))
    block = Stack([image], Grid.of(path)).read(Window(0, 0, 40, 50))
    expected = np.repeat(np.repeat(codes <= 1, 2, 0), 2, 1)
    np.testing.assert_array_equal(block.valid[0], expected)


def test_inner_masks_and_nan_are_not_valid(tmp_path):
    values = RED[0].astype("float32")
    values[3, 4] = np.nan
    path = write_raster(tmp_path / "a.tif", values)
    import rasterio

    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.where(RED[0] % 5 == 0, 0, 255).astype("uint8"))
    valid = Stack([Image(path)]).read(Window(0, 0, 40, 50)).valid[0]
    expected = RED[0] % 5 != 0
    expected[3, 4] = False
    np.testing.assert_array_equal(valid, expected)


@pytest.fixture
def imagery(real_data):
    if not (real_data / "imagery").is_dir():
        pytest.skip("the imagery is not on this machine")
    return real_data / "imagery"


def test_clear_shares_of_landsat_and_sentinel_are_those_told_with_them(imagery):
    landsat = [
        Image(path, ["red", "nir"], path.stem[-10:], CloudMask("fmask"))
        for path in sorted((imagery / "landsat7_chiapas").glob("landsat7_*.tif"))
    ]
    table = clear_share(Stack(landsat))
    fmask = read_raster(landsat[1].path)[7]
    assert table["clear"].tolist() == [62500, int((fmask <= 1).sum())]
    assert 1 - table["share"][1] == pytest.approx(0.27, abs=0.005)
    sentinel = [
        Image(path, None, path.stem[-10:])
        for path in (imagery / "sentinel2_rondonia").glob("sentinel2_*.tif")
    ]
    table = clear_share(Stack(sentinel))
    assert table["date"].tolist()[0] == "2020-10-24"
    assert table["share"].round(2).tolist() == [0.24, 0.46, 0.45, 0.70]


def test_modis_dates_are_read_as_the_file_holds_them(imagery):
    path = imagery / "modis_mato_grosso" / "ndvi_mod13q1_sinop_2013_2014.tif"
    whole = read_raster(path)
    images = [
        Image(path, {"ndvi": number}, f"2014-{number:02}-01", scale=1e-4)
        for number in range(1, 13)
    ]
    stack = Stack(images)
    assert stack.grid.pixel_hectares() == pytest.approx(5.3665, abs=1e-4)
    block = stack.read(Window(0, 0, *stack.grid.shape))
    np.testing.assert_allclose(block.values, whole * 1e-4, rtol=1e-5)


def test_degrees_have_no_hectares_until_they_are_aligned(imagery):
    path = imagery / "sentinel2_amazon" / "sentinel2_12bands.tif"
    stack = Stack([Image(path, ["B4", "B8"])])
    with pytest.raises(ContractError, match="geographic"):
        stack.grid.pixel_hectares()
    grid = common_grid([path], crs="EPSG:6933", resolution=2)
    assert grid.pixel_hectares() == pytest.approx(0.0004)
    aligned = Stack(stack.images, grid)
    # The scene's hectares on the ellipsoid, 111,320 m cos(latitude) to a degree east
    # and 110,575 m to one north, are those counted on the new grid.
    left, bottom, right, top = stack.grid.bounds
    hectares = (
        (right - left) * 111_320 * np.cos(np.radians(1.4695)) * (top - bottom) * 110_575
    ) / 1e4
    counted = clear_share(aligned)["clear"][0] * grid.pixel_hectares()
    assert counted == pytest.approx(hectares, rel=0.002)
    means = [
        np.nanmean(one.read(Window(0, 0, *one.grid.shape)).values, (1, 2))
        for one in (stack, aligned)
    ]
    np.testing.assert_allclose(means[0], means[1], rtol=0.002)
