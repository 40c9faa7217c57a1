"""Intervals that cover what they say: samples from a map with wall-to-wall truth."""

import numpy as np
import pytest
import rasterio
from sklearn.tree import DecisionTreeRegressor

from mlstats.imagery import (
    AreaSample,
    cross_fitted,
    estimate_area,
    map_accuracy,
    segment_estimate,
)


@pytest.fixture(scope="module")
def rondonia(real_data):
    """Return whether each pixel is cleared: by the map, by the reference, known."""
    folder = real_data / "imagery" / "rondonia_map_reference"
    if not folder.is_dir():
        pytest.skip("the map of Rondonia is not on this machine")
    layers = []
    for name in ("map_sentinel2_2021.tif", "reference_prodes.tif"):
        with rasterio.open(folder / name) as source:
            layers.append(source.read(1))
    mapped, reference = layers
    known = (mapped != 255) & ~np.isin(reference, [32, 255])
    return np.isin(mapped, [1, 2, 3]), reference != 1, known


def _segments(layers, size=20):
    """Return the surveyed and the mapped share of segments without unknown pixels."""
    rows, columns = (length // size * size for length in layers[0].shape)

    def shares(layer):
        cut = layer[:rows, :columns].reshape(rows // size, size, columns // size, size)
        return cut.mean(axis=(1, 3)).ravel()

    mapped, truth, known = (shares(layer) for layer in layers)
    return truth[known == 1], mapped[known == 1]


def _textbook(y, x, mean, size):
    if np.ptp(x) == 0:  # a sample without cleared land has no slope
        return np.nan, np.nan
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - intercept - slope * x
    n = len(y)
    v = (1 - n / size) * (residual @ residual) / (n - 2) / n
    return intercept + slope * mean, 1.96 * np.sqrt(v)


def _simulated(y, x, n, draws, resamples):
    truth, rng = y.mean(), np.random.default_rng(n)
    held = {"bootstrap": [], "textbook": []}
    values = {"rule": [], "direct": []}
    for i in range(draws):
        s = rng.choice(len(y), n, replace=False)
        sample = AreaSample.of(y[s], x[s], segments=len(y), x_mean=x.mean())
        found = estimate_area(
            sample, per_segment=True, resamples=resamples, seed=i
        ).estimate
        held["bootstrap"].append(found.lower <= truth <= found.upper)
        value, half = _textbook(y[s], x[s], x.mean(), len(y))
        held["textbook"].append(abs(value - truth) <= half)
        values["rule"].append(found.value)
        values["direct"].append(y[s].mean())
    cover = {name: np.mean(hits) for name, hits in held.items()}
    return cover, {name: np.array(found) for name, found in values.items()}


@pytest.mark.parametrize(
    ("n", "draws", "least", "textbook", "efficiency"),
    [(15, 1200, 0.93, 0.87, 10), (30, 1200, 0.935, 0.91, 17)],
)
def test_the_rule_covers_with_few_segments(
    rondonia, n, draws, least, textbook, efficiency
):
    y, x = _segments(rondonia)
    cover, values = _simulated(y, x, n, draws, 299)
    assert cover["bootstrap"] >= least
    # The reason for the bootstrap, and the proof that this test can fail.
    assert cover["textbook"] < textbook
    apart = values["rule"] - y.mean()
    assert abs(apart.mean()) < 4 * apart.std() / np.sqrt(draws)
    assert values["direct"].var() > efficiency * values["rule"].var()
    assert x.mean() / y.mean() - 1 == pytest.approx(0.0485, abs=0.0005)


@pytest.mark.soak
@pytest.mark.parametrize(("n", "least"), [(15, 0.93), (30, 0.935), (60, 0.935)])
@pytest.mark.parametrize("size", [10, 20])
def test_the_rule_covers_in_thousands_of_draws(rondonia, n, least, size):
    y, x = _segments(rondonia, size)
    cover, _ = _simulated(y, x, n, 6000, 499)
    assert cover["bootstrap"] >= least


def test_reference_pixels_correct_the_map(rondonia):
    mapped, truth, known = (layer.ravel() for layer in rondonia)
    mapped, truth = mapped[known], truth[known]
    names = np.array(["forest", "cleared"])
    places = [np.flatnonzero(~mapped), np.flatnonzero(mapped)]
    areas = dict(zip(names, map(len, places), strict=True))
    rng, held, values = np.random.default_rng(6), [], []
    for _ in range(400):
        s = np.concatenate([rng.choice(place, 150, replace=False) for place in places])
        found = map_accuracy(
            names[truth[s].astype(int)], names[mapped[s].astype(int)], areas
        ).of("area", "cleared")
        held.append(found["lower"] <= truth.sum() <= found["upper"])
        values.append(found["value"])
    assert np.mean(held) >= 0.93
    apart = np.array(values) - truth.sum()
    assert abs(apart.mean()) < 4 * apart.std() / np.sqrt(400)
    # Counting the map's pixels would be wrong by many of these standard errors.
    assert areas["cleared"] - truth.sum() > 0.9 * apart.std()


def test_only_cross_fitted_predictions_cover():
    rng = np.random.default_rng(12)
    features = rng.uniform(0, 1, (2000, 3))
    y = 40 * (features[:, 0] > 0.4) * features[:, 1] + rng.normal(0, 4, 2000)
    truth = y.mean()
    learner = DecisionTreeRegressor(max_depth=5, random_state=0)
    held = {"crossed": [], "seen": []}
    values = []
    for i in range(300):
        s = rng.choice(2000, 60, replace=False)
        crossed = cross_fitted(learner, features[s], y[s], features, seed=i)
        seen = learner.fit(features[s], y[s])
        pairs = {
            "crossed": (crossed.sample, crossed.population),
            "seen": (seen.predict(features[s]), seen.predict(features)),
        }
        for name, (own, whole) in pairs.items():
            sample = AreaSample.of(y[s], own, segments=2000, x_mean=whole.mean())
            found = segment_estimate(
                sample, "prediction_powered", per_segment=True, resamples=199, seed=i
            )
            held[name].append(found.lower <= truth <= found.upper)
            values += [found.value] if name == "crossed" else []
    assert np.mean(held["crossed"]) >= 0.93
    assert np.mean(held["seen"]) < 0.75
    apart = np.array(values) - truth
    assert abs(apart.mean()) < 4 * apart.std() / np.sqrt(300)
