"""A grid tells where its pixels are and what they measure, or that it cannot."""

import numpy as np
import pytest

from mlstats.errors import ConfigError, ContractError, SourceError
from mlstats.imagery import Grid, common_grid
from tests.raster_example import UTM, write_raster

EQUAL_AREA = Grid("EPSG:6933", (20.0, 0, 0, 0, -20.0, 0), 100, 50)
MODIS = (
    'PROJCS["unnamed",GEOGCS["sphere",DATUM["sphere",SPHEROID["s",6371007.181,0]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],'
    'PROJECTION["Sinusoidal"],PARAMETER["longitude_of_center",0],'
    'PARAMETER["false_easting",0],PARAMETER["false_northing",0],UNIT["metre",1]]'
)


def test_hectares_of_equal_area_grids():
    assert EQUAL_AREA.pixel_hectares() == pytest.approx(0.04)
    modis = Grid(MODIS, (231.656358, 0, -6073798, 0, -231.656358, -1278279), 255, 147)
    assert modis.pixel_hectares() == pytest.approx(231.656358**2 / 1e4)
    assert modis.distortion < 1e-9
    # California Albers in US survey feet: 1200/3937 m.
    feet = "+proj=aea +lat_1=34 +lat_2=40.5 +lat_0=0 +lon_0=-120 +units=us-ft"
    from rasterio.crs import CRS

    grid = Grid(CRS.from_string(feet).to_wkt(), (100.0, 0, 0, 0, -100.0, 1.3e7), 9, 9)
    assert grid.pixel_hectares() == pytest.approx((100 * 1200 / 3937) ** 2 / 1e4)


def test_utm_is_accepted_in_the_middle_and_refused_at_the_edge():
    """Snyder (1987), equation 8-11: k = k0 (1 + x^2 / (2 k0^2 R^2)), area k^2."""
    middle = Grid(UTM, (30.0, 0, 5e5, 0, -30.0, 2e6), 10, 10)
    assert middle.distortion == pytest.approx(1 - 0.9996**2, rel=1e-3)
    assert middle.pixel_hectares() == pytest.approx(0.09)
    edge = Grid(UTM, (30.0, 0, 166_000, 0, -30.0, 1e4), 10, 10)
    expected = (0.9996 * (1 + 334_000**2 / (2 * 0.9996**2 * 6_356_000**2))) ** 2 - 1
    assert edge.distortion == pytest.approx(expected, rel=0.02)
    with pytest.raises(ContractError, match=r"distorts areas by 0\.20%"):
        edge.pixel_hectares()
    assert edge.pixel_hectares(tolerance=0.01) == pytest.approx(0.09)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_grids_that_are_not_equal_area_are_refused(crs):
    step = 0.001 if crs == "EPSG:4326" else 30.0
    grid = Grid(crs, (step, 0, 15.0, 0, -step, 4e6 if step > 1 else 45.0), 10, 10)
    with pytest.raises(ContractError) as caught:
        grid.pixel_hectares()
    assert "EPSG:6933" in str(caught.value)


def test_float_noise_is_the_same_grid_and_a_shift_is_not():
    a, b, c, d, e, f = EQUAL_AREA.transform
    noisy = Grid("EPSG:6933", (a * (1 + 1e-12), b, c + 1e-7, d, e, f), 100, 50)
    assert noisy.same_as(EQUAL_AREA)
    assert not Grid("EPSG:6933", (a, b, c + 4, d, e, f), 100, 50).same_as(EQUAL_AREA)
    part = EQUAL_AREA.part(3, 7, 5, 5)
    assert part.offset_in(EQUAL_AREA) == (3, 7)
    assert (
        Grid("EPSG:6933", (a / 2, b, c, d, e / 2, f), 9, 9).offset_in(EQUAL_AREA)
        is None
    )


def test_pixels_and_centres_are_inverse_in_a_turned_grid():
    from rasterio import Affine

    turned = Affine.translation(1e5, 2e5) @ Affine.rotation(30) @ Affine.scale(20, -20)
    grid = Grid("EPSG:6933", tuple(turned)[:6], 40, 30)
    row, column = np.divmod(np.arange(1200), 40)
    found = grid.pixels_of(*grid.centres_of(row, column))
    np.testing.assert_array_equal(found, (row, column))
    assert grid.pixel_hectares() == pytest.approx(0.04)


def test_common_grid(tmp_path):
    zeros = np.zeros((10, 20), "uint8")
    one = write_raster(tmp_path / "one.tif", zeros)
    two = write_raster(tmp_path / "two.tif", zeros, corner=(5e5 + 150, 2e6 - 90))
    inner = common_grid([one, two])
    assert (inner.transform[2], inner.transform[5]) == (5e5 + 150, 2e6 - 90)
    assert inner.shape == (7, 15)
    assert common_grid([one, two], bounds="union").shape == (13, 25)
    other = common_grid([one, two], crs="EPSG:6933", resolution=30, bounds="union")
    assert other.pixel_hectares() == pytest.approx(0.09)
    assert other.transform[2] % 30 == pytest.approx(0)
    # The same ground: hectares differ by the scale of UTM's middle, and the frame.
    assert 13 * 25 < other.height * other.width < 1.2 * 13 * 25


def test_grids_that_cannot_be_made_are_told(tmp_path):
    zeros = np.zeros((10, 20), "uint8")
    one = write_raster(tmp_path / "one.tif", zeros)
    far = write_raster(tmp_path / "far.tif", zeros, corner=(6e5, 2e6))
    with pytest.raises(ContractError, match=r"far\.tif"):
        common_grid([one, far])
    with pytest.raises(ConfigError, match="size of its pixels"):
        common_grid([one], crs="EPSG:6933")
    with pytest.raises(ConfigError, match="CRS is not known"):
        common_grid([one], crs="EPSG:1", resolution=1)
    with pytest.raises(ConfigError, match="nearest: union"):
        common_grid([one], bounds="unions")
    with pytest.raises(SourceError, match=r"nearest: one\.tif"):
        Grid.of(tmp_path / "oen.tif")
    bare = write_raster(tmp_path / "bare.tif", zeros, crs=None)
    with pytest.raises(SourceError, match="coordinate reference system"):
        Grid.of(bare)
