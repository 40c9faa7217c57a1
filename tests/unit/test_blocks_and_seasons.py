"""Blocks, seasons and the range of errors."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mlstats.errors import ConfigError, ContractError
from mlstats.imagery import block_cores, block_range, seasons, spatial_blocks


def test_blocks_are_squares_of_a_grid_through_the_origin():
    x = [0.0, 0.9, 1.0, -0.1, 0.5, 0.5]
    y = [0.0, 0.9, 0.0, 0.0, 1.5, -0.1]
    assert spatial_blocks(x, y, 1.0).tolist() == [2, 2, 3, 1, 4, 0]


@pytest.mark.parametrize("size", [0, -1, np.nan, np.inf])
def test_a_size_that_is_none(size):
    with pytest.raises(ConfigError):
        spatial_blocks([0.0], [0.0], size)


def test_places_that_are_missing_are_counted():
    with pytest.raises(ContractError, match="1 units"):
        spatial_blocks([0.0, np.nan], [0.0, 1.0], 1)


def test_seasons_are_named_by_their_first_month():
    dates = ["2013-09-14", "2014-08-29", "2014-09-01", "2014-01-01"]
    assert seasons(dates, first_month=9).tolist() == [
        "2013-09", "2013-09", "2014-09", "2013-09",
    ]  # fmt: skip
    assert seasons(dates).tolist() == ["2013-01", "2014-01", "2014-01", "2014-01"]
    assert seasons(dates, months=3).tolist() == [
        "2013-07", "2014-07", "2014-07", "2014-01",
    ]  # fmt: skip
    with pytest.raises(ConfigError):
        seasons(dates, months=5)
    with pytest.raises(ContractError, match="1 dates"):
        seasons(["2013-09-14", "no date"])


def field(rng, reach, n=400, nugget=0.0):
    """Draw a Gaussian field with a spherical covariance of range `reach`."""
    place = rng.uniform(0, 100, size=(n, 2))
    h = np.minimum(cdist(place, place) / reach, 1)
    root = np.linalg.cholesky(1 - 1.5 * h + 0.5 * h**3 + 1e-9 * np.eye(n))
    return *place.T, root @ rng.normal(size=n) + np.sqrt(nugget) * rng.normal(size=n)


def test_the_range_of_a_made_field_is_found():
    rng = np.random.default_rng(1)
    found = [block_range(*field(rng, 20), permutations=39).range for _ in range(15)]
    assert 16 < np.median(found) < 24


def test_without_correlation_a_range_is_found_in_one_draw_of_twenty():
    rng = np.random.default_rng(2)
    draws = [
        block_range(*rng.uniform(0, 1, (2, 80)), rng.normal(size=80), permutations=99)
        for _ in range(150)
    ]
    alarms = sum(found.status != "no correlation" for found in draws)
    assert alarms <= 14  # exceeded with probability .01 at a rate of 5 %
    quiet = next(found for found in draws if found.status == "no correlation")
    assert quiet.range == 0
    assert quiet.nugget == quiet.sill


def test_a_trend_goes_on_beyond_the_distances():
    x, y, _ = field(np.random.default_rng(3), 20)
    found = block_range(x, y, x + y)
    assert found.status == "beyond the distances seen"
    assert found.range == pytest.approx(np.hypot(np.ptp(x), np.ptp(y)) / 3)


def test_the_variogram_by_hand():
    x, y, z = field(np.random.default_rng(4), 20, n=60)
    found = block_range(x, y, z, classes=5, longest=40)
    far = cdist(np.c_[x, y], np.c_[x, y])
    for k, row in enumerate(found.table.itertuples()):
        pairs = [
            (z[i] - z[j]) ** 2
            for i in range(60)
            for j in range(i)
            if 8 * k <= far[i, j] < 8 * (k + 1)
        ]
        assert row.pairs == len(pairs)
        assert row.semivariance == pytest.approx(np.mean(pairs) / 2)


def test_many_points_are_drawn_by_seed():
    x, y, z = field(np.random.default_rng(5), 20, n=300)
    one, two = (block_range(x, y, z, points=100, seed=1) for _ in range(2))
    assert one.range == two.range
    assert one.table["pairs"].sum() <= 100 * 99 / 2


@pytest.mark.parametrize(
    "residual", [np.zeros(50), np.full(50, np.nan), np.arange(20.0)]
)
def test_residuals_without_a_variogram(residual):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(2, len(residual)))
    with pytest.raises(ContractError):
        block_range(x, y, residual)


def test_cores_keep_away_from_each_other():
    rng = np.random.default_rng(6)
    x, y = rng.uniform(-30, 30, size=(2, 800))
    core = block_cores(x, y, 10, 3)
    block = spatial_blocks(x, y, 10)
    assert core.mean() == pytest.approx(0.49, abs=0.06)
    far = cdist(np.c_[x, y][core], np.c_[x, y][core])
    assert far[block[core][:, None] != block[core]].min() >= 3
    assert block_cores(x, y, 10, 0).all()
    for gap in (-1, 10):
        with pytest.raises(ConfigError):
            block_cores(x, y, 10, gap)
