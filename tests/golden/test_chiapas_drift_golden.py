"""Chiapas from November 1999 to April 2002: errors over blocks as in R's survey."""

import numpy as np
import pytest
import rasterio
from scipy.stats import wasserstein_distance

from mlstats.imagery import date_drift

DATES = ("1999-11-18", "2002-04-16")
BANDS = ["blue", "green", "red", "nir", "swir1", "swir2"]


@pytest.fixture
def scene(real_data):
    """Both dates, missing under clouds, and blocks of 25 by 25 pixels."""
    folder = real_data / "imagery" / "landsat7_chiapas"
    if not folder.exists():
        pytest.skip("the images of Chiapas are not on this machine")
    sides = []
    for date in DATES:
        with rasterio.open(folder / f"landsat7_{date}.tif") as source:
            values = source.read().astype(float)
        lost = (values[7] >= 2) | (values[:6] == source.nodata).any(axis=0)
        sides.append(np.where(lost, np.nan, values[:6]).reshape(6, -1).T)
    row, column = np.divmod(np.arange(250 * 250), 250)
    return *sides, row // 25 * 10 + column // 25


def test_two_seasons(scene):
    """R 4.2, survey: svymean over the clear pixels, a subset of svydesign(~block)."""
    before, after, block = scene
    clear = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
    dark = [
        np.where(np.isnan(side[:, 3]), None, np.where(side[:, 3] < 1500, "dark", "no"))
        for side in scene[:2]
    ]
    table = date_drift(before, after, block, names=BANDS, classes=(dark[0], dark[1]))
    assert (
        table[table["measure"].isin(["mean", "distribution"])]["state"] == "drift"
    ).all()
    table = table.set_index(["measure", "of"])
    assert table.loc[("clear", ""), "after"] == pytest.approx(0.731136)
    row, spread = table.loc[("mean", "nir")], before[clear, 3].std()
    figures = row[["effect", "se", "effect_lower", "effect_upper"]].to_numpy(float)
    expected = [-839.3170518, 25.39264833, -889.741819, -788.8922847]
    np.testing.assert_allclose(figures * spread, expected, rtol=1e-8)
    assert (row["pixels"], row["blocks"]) == (45_696, 94)
    row = table.loc[("class share", "dark")]
    figures = row[["effect", "se", "effect_lower", "effect_upper"]].to_numpy(float)
    expected = [0.001400560224, 0.001074425875, -0.0007330366269, 0.003534157075]
    np.testing.assert_allclose(figures, expected, rtol=1e-8)
    assert row["state"] == "no drift"
    distance = wasserstein_distance(before[clear, 0], after[clear, 0])
    row = table.loc[("distribution", "blue")]
    assert row["wasserstein"] == pytest.approx(distance)
    assert row["effect"] > 0.8
