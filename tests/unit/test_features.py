"""Features equal what is computed pixel by pixel, and say where they are not ok."""

import datetime
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlstats.errors import ConfigError, ContractError
from mlstats.imagery import (
    Block,
    CloudMask,
    FeatureSet,
    Image,
    Stack,
    Texture,
    Window,
    map_raster,
)
from mlstats.imagery.spectral_indices import SpectralIndex
from mlstats.imagery.temporal import STATISTICS, interpolated
from tests.raster_example import read_raster, write_raster

RNG = np.random.default_rng(11)
DATES = ("2020-01-01", "2020-01-17", "2020-03-01", "2020-07-01")
DAYS = np.array([datetime.date.fromisoformat(day).toordinal() for day in DATES], float)
BANDS = ("blue", "red", "nir")


def a_block(values, names, dates=DATES):
    window = Window(0, 0, *values.shape[1:])
    valid = np.isfinite(values).all(0)[np.newaxis].repeat(len(dates), 0)
    return Block(values.astype("float32"), valid, window, tuple(names), dates)


@pytest.fixture
def series():
    """Three bands on four dates of 30 x 40 pixels, a third of the dates cloudy."""
    values = RNG.uniform(0.02, 0.5, (4, 3, 30, 40)).astype("float32")
    values[np.broadcast_to(RNG.random((4, 1, 30, 40)) < 0.33, values.shape)] = np.nan
    names = [f"{band}@{day}" for day in DATES for band in BANDS]
    return a_block(values.reshape(12, 30, 40), names)


GAPPY = arrays.arrays(
    np.float32,
    (4, 3),
    elements=st.floats(-100, 100, width=32) | st.just(np.float32("nan")),
)


@given(GAPPY)
def test_gaps_are_filled_as_by_numpy(values):
    found = interpolated(values, DAYS)
    for pixel, filled in zip(values.T, found.T, strict=True):
        known = np.isfinite(pixel)
        if known.any():
            expected = np.interp(DAYS, DAYS[known], pixel[known])
            np.testing.assert_allclose(filled, expected, rtol=1e-5, atol=1e-3)
        else:
            assert np.isnan(filled).all()


@given(GAPPY)
@settings(max_examples=60)
def test_temporal_statistics_are_those_of_the_valid_dates(values):
    found = {name: function(values, DAYS) for name, function in STATISTICS.items()}
    for place, pixel in enumerate(values.T.astype(float)):
        known = np.isfinite(pixel)
        if known.any():
            clear = pixel[known]
            expected = {
                "mean": clear.mean(),
                "median": np.median(clear),
                "min": clear.min(),
                "max": clear.max(),
                "range": np.ptp(clear),
                "std": clear.std(),
            }
            if known.sum() > 1:
                years = (DAYS[known] - DAYS[0]) / 365.25
                expected["slope"] = np.polyfit(years, clear, 1)[0]
        else:
            expected = dict.fromkeys(STATISTICS, np.nan)
        if known.sum() == 1:
            assert np.isnan(found["slope"][place])
        for name, value in expected.items():
            assert found[name][place] == pytest.approx(
                value, rel=1e-4, abs=1e-2, nan_ok=True
            )


def test_names_and_planes_go_together(series):
    chosen = FeatureSet(
        bands=["red"],
        indices=["NDVI"],
        temporal=["mean", "slope"],
        min_valid=2,
        texture=[{"band": "NDVI_mean", "window": 3, "statistics": ["std"]}],
    )
    names = chosen.names(series)
    assert names == (
        *(f"red@{day}" for day in DATES),
        "red_mean",
        "red_slope",
        *(f"NDVI@{day}" for day in DATES),
        "NDVI_mean",
        "NDVI_slope",
        "NDVI_mean_std3",
    )
    assert chosen.halo == 1
    features, ok = chosen.compute(series)
    values = series.values.reshape(4, 3, 30, 40)
    red, nir = values[:, 1], values[:, 2]
    np.testing.assert_array_equal(ok, np.isfinite(red).sum(0) >= 2)
    assert 0 < ok.mean() < 1
    assert np.isnan(features[:, ~ok]).all()
    ndvi = (nir - red) / (nir + red)
    np.testing.assert_allclose(
        features[names.index("NDVI_mean")][ok],
        np.nanmean(ndvi[:, ok], 0),
        rtol=1e-5,
        atol=1e-6,
    )
    filled = features[names.index("red@2020-01-17")]
    seen = ok & np.isfinite(red[1])
    np.testing.assert_array_equal(filled[seen], red[1][seen])
    gap = ok & np.isnan(red[1]) & np.isfinite(red[0]) & np.isfinite(red[2])
    expected = red[0] + (red[2] - red[0]) * 16 / 60
    np.testing.assert_allclose(filled[gap], expected[gap], rtol=1e-5)


def test_without_interpolation_a_gap_is_not_ok(series):
    _, ok = FeatureSet(interpolate=False).compute(series)
    np.testing.assert_array_equal(ok, np.isfinite(series.values).all(0))
    _, ok = FeatureSet(interpolate=False, dates=False, temporal=["max"]).compute(series)
    np.testing.assert_array_equal(ok, np.isfinite(series.values).any(0))


def test_images_without_a_date_are_as_they_are():
    values = RNG.random((3, 5, 6)).astype("float32")
    values[2, 0, 0] = np.nan
    block = a_block(
        values, ["height", "red@2020-01-01", "nir@2020-01-01"], (None, "2020-01-01")
    )
    chosen = FeatureSet(indices=["NDVI"], temporal=["mean"])
    assert chosen.names(block)[:2] == ("height", "red@2020-01-01")
    features, ok = chosen.compute(block)
    assert not ok[0, 0]
    np.testing.assert_array_equal(features[0][ok], values[0][ok])


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        # Huete et al. (2002), RSE 83, 195-213, equation 1 with L = 1, 6 and 7.5.
        ("EVI", lambda b, g, r, n: 2.5 * (n - r) / (n + 6 * r - 7.5 * b + 1)),
        # Huete (1988), RSE 25, 295-309, with L = 0.5.
        ("SAVI", lambda b, g, r, n: 1.5 * (n - r) / (n + r + 0.5)),
        # McFeeters (1996), IJRS 17, 1425-1432.
        ("NDWI", lambda b, g, r, n: (g - n) / (g + n)),
    ],
)
def test_indices_are_those_published(name, formula):
    blue, green, red, nir = RNG.uniform(0.05, 0.5, (4, 9)).astype("float32")
    bands = {"blue": blue, "green": green, "R": red, "nir": nir}
    index = SpectralIndex(name, bands, constants={"L": 0.5} if name == "SAVI" else None)
    np.testing.assert_allclose(
        index.of(bands), formula(blue, green, red, nir), rtol=1e-5
    )


def test_an_index_without_value_is_not_ok():
    values = np.zeros((2, 1, 2), "float32")
    values[:, 0, 1] = 0.2, 0.4
    features, ok = FeatureSet(indices=["NDVI"]).compute(
        a_block(values, ["red", "nir"], (None,))
    )
    assert ok.tolist() == [[False, True]]
    assert features[2, 0, 1] == pytest.approx(1 / 3)


def test_stored_integers_are_refused_only_where_scale_matters():
    bands = dict.fromkeys(BANDS, np.full(4, 2000.0, "float32"))
    bands["nir"] = np.full(4, 3000.0, "float32")
    assert SpectralIndex("NDVI", bands).of(bands)[0] == pytest.approx(0.2)
    with pytest.raises(ContractError, match=r"(?s)0 to 1.*scale=1e-4"):
        SpectralIndex("EVI", bands).of(bands)


def test_a_band_that_an_index_lacks_is_named_with_it(series):
    with pytest.raises(ContractError) as caught:
        FeatureSet(indices=["NDMI"]).names(series)
    assert "NDMI needs the band 'swir16' (S1)" in str(caught.value)
    other = a_block(series.values[:2], ["B8A", "red"], (None,))
    with pytest.raises(ContractError, match=r"'nir' \(N\)"):
        FeatureSet(indices=["NDVI"]).names(other)
    names = FeatureSet(indices=["NDVI"], letters={"B8A": "N"}).names(other)
    assert names[-1] == "NDVI"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"indices": ["NDVII"]}, r"(?s)unknown index 'NDVII'.*nearest: NDVI"),
        ({"indices": ["kNDVI"]}, "constant kNN|needs the band"),
        ({"bands": ["redd"]}, "(?s)no band 'redd'.*nearest: red"),
        ({"bands": []}, "no feature"),
        ({"temporal": ["men"]}, "(?s)unknown temporal.*nearest: mean"),
        ({"min_valid": 5}, r"5 valid dates cannot be had of 4"),
        ({"min_valid": 0}, "0 valid dates"),
        ({"texture": [{"band": "red", "window": 4}]}, "window of 4"),
        ({"texture": [{"band": "red", "wndow": 5}]}, "(?s)no 'wndow'.*nearest: win"),
        ({"texture": [{"window": 5}]}, "needs the band"),
        ({"texture": [{"band": "green"}]}, "no feature 'green'"),
        ({"texture": [{"band": "red", "statistics": ["entropy"]}]}, "limits"),
        ({"texture": [{"band": "red", "statistics": ["sd"]}]}, "unknown texture"),
    ],
)
def test_features_that_cannot_be_had_are_told(series, arguments, message):
    with pytest.raises((ConfigError, ContractError), match=message):
        FeatureSet(**arguments).names(series)


def test_bands_with_and_without_a_date_and_stored_values_are_refused(series):
    odd = a_block(series.values[:2], ["red", "red@2020-01-01"], (None, "2020-01-01"))
    with pytest.raises(ContractError, match="both with and without"):
        FeatureSet().names(odd)
    zeros = np.zeros((12, 30, 40), "int16")
    stored = Block(zeros, series.valid, series.window, series.names, DATES)
    with pytest.raises(ContractError, match="scaled"):
        FeatureSet().compute(stored)


def test_without_spyndex_the_extra_is_named(series, monkeypatch):
    monkeypatch.setitem(sys.modules, "spyndex", None)
    with pytest.raises(ConfigError, match=r"mlstats\[imagery\]"):
        FeatureSet(indices=["NDVI"]).names(series)


def brute_texture(values, texture):
    """Each window on its own."""
    half = texture.window // 2
    found = np.full((len(texture.statistics), *values.shape), np.nan)
    for row, column in np.ndindex(values.shape):
        rows = slice(max(row - half, 0), row + half + 1)
        window = values[rows, max(column - half, 0) : column + half + 1]
        clear = window[np.isfinite(window)].astype(float)
        if not clear.size:
            continue
        low, high = texture.limits
        place = np.floor((clear - low) / (high - low) * texture.levels)
        counts = np.unique(place.clip(0, texture.levels - 1), return_counts=True)[1]
        share = counts / counts.sum()
        value = {
            "mean": clear.mean(),
            "std": clear.std(),
            "range": np.ptp(clear),
            "entropy": -(share * np.log2(share)).sum(),
        }
        found[:, row, column] = [value[name] for name in texture.statistics]
    return found


@given(
    arrays.arrays(
        np.float32,
        (7, 6),
        elements=st.floats(-4, 4, width=32) | st.just(np.float32("nan")),
    ),
    st.sampled_from([3, 5]),
)
@settings(max_examples=25)
def test_texture_is_that_of_each_window(values, window):
    texture = Texture("red", window, ("entropy", "mean", "range", "std"), (-3, 3), 8)
    np.testing.assert_allclose(
        texture.of(values), brute_texture(values, texture), rtol=1e-4, atol=1e-4
    )


class Compute:
    """Features of a block, for a map; at the top of the module to be picklable."""

    def __init__(self, features):
        self.features = features

    def __call__(self, block):
        return self.features.compute(block)[0]


def test_features_do_not_depend_on_the_blocks(tmp_path):
    values = RNG.integers(1, 6000, (3, 90, 70)).astype("int16")
    values[2] = RNG.integers(0, 5, (90, 70))
    images = [
        Image(
            write_raster(tmp_path / f"{day}.tif", np.roll(values, shift, 2)),
            {"red": 1, "nir": 2},
            day,
            CloudMask(3, (0, 1, 2)),
            scale=1e-4,
        )
        for shift, day in enumerate(DATES)
    ]
    stack = Stack(images)
    chosen = FeatureSet(
        indices=["NDVI"],
        temporal=["mean", "std", "slope"],
        min_valid=2,
        texture=[Texture("NDVI_mean", 5, ("mean", "std", "entropy"), (-1, 1))],
    )
    whole, _ = chosen.compute(stack.read(Window(0, 0, 90, 70)))
    done = map_raster(
        Compute(chosen),
        stack,
        tmp_path / "features.tif",
        bands=chosen.names(stack),
        dtype="float32",
        block=20,
        halo=chosen.halo,
    )
    assert done.blocks > 10
    np.testing.assert_array_equal(read_raster(done.path), whole)
