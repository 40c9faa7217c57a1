"""Pixels drawn by map class against the rasters that they were drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from mlstats import reference_pixels
from mlstats.config_imagery import Map
from mlstats.imagery.map_assessment import map_accuracy
from mlstats.reference_pixels import METHOD, UNCLASSIFIED, draw_pixels, pixel_areas

SHOWN = Map(file="map.tif", classes={"crop": (2,), "other": (1, 3)})
TRUTH = Map(file="truth.tif", classes={"crop": (20, 21), "other": (10,)})


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("rasters")
    rng = np.random.default_rng(4)
    truth = rng.choice([10, 20, 21, 99], (90, 70), p=[0.6, 0.2, 0.1, 0.1])
    right = np.where(truth >= 20, 2, np.where(rng.random(truth.shape) < 0.5, 1, 3))
    shown = np.where(rng.random(truth.shape) < 0.15, 3 - np.minimum(right, 2), right)
    shown = np.where(rng.random(truth.shape) < 0.05, 77, shown)  # clouds of the map
    for name, values in (("map.tif", shown), ("truth.tif", truth)):
        with rasterio.open(
            folder / name, "w", driver="GTiff", height=90, width=70, count=1,
            dtype="uint8", crs="EPSG:6933",
            transform=rasterio.Affine(10, 0, 0, 0, -10, 4e6),
        ) as file:  # fmt: skip
            file.write(values.astype("uint8"), 1)
    return folder, np.stack([shown, truth])


def drawn(folder: Path, size: int = 90, seed: int = 1):
    return draw_pixels(
        (folder / "map.tif", SHOWN), (folder / "truth.tif", TRUTH), size,
        hectares=0.01, seed=seed,
    )  # fmt: skip


def test_as_many_of_each_class_and_none_without_a_reference(rasters):
    folder, (shown, truth) = rasters
    found = drawn(folder)
    names, counts = np.unique(found.mapped.astype(str), return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {
        "crop": 30, "other": 30, UNCLASSIFIED: 30,
    }  # fmt: skip
    known = truth != 99
    assert found.pixels == {
        "crop": int(((shown == 2) & known).sum()),
        "other": int((np.isin(shown, [1, 3]) & known).sum()),
        UNCLASSIFIED: int(((shown == 77) & known).sum()),
    }
    assert sum(found.hectares.values()) == pytest.approx(known.sum() * 0.01)


def test_all_pixels_give_back_the_rasters_in_their_order(rasters):
    folder, (shown, truth) = rasters
    found = drawn(folder, size=10**6)
    crop = truth[(shown == 2) & (truth != 99)]
    expected = np.where(crop >= 20, "crop", "other")
    assert found.reference[found.mapped == "crop"].tolist() == expected.tolist()


def test_the_draw_does_not_depend_on_the_strips(rasters, monkeypatch):
    folder, _ = rasters
    whole = drawn(folder)
    monkeypatch.setattr(reference_pixels, "_ROWS", 7)
    parts = drawn(folder)
    for name in ("crop", "other", UNCLASSIFIED):
        one = whole.reference[whole.mapped == name]
        assert one.tolist() == parts.reference[parts.mapped == name].tolist()


def test_areas_are_those_of_the_stratified_estimator(rasters):
    folder, _ = rasters
    found = drawn(folder)
    rows, accuracy = pixel_areas(found, ["crop"])
    by_hand = 0.0
    for name, area in found.hectares.items():
        inside = found.reference[found.mapped == name]
        by_hand += area * (inside == "crop").mean()
    assert rows[0]["method"] == METHOD
    assert rows[0]["estimate"] == pytest.approx(by_hand)
    assert rows[0]["publishable"]
    whole = map_accuracy(found.reference, found.mapped, found.hectares)
    of_all = accuracy[accuracy["measure"] == "overall"].iloc[0]
    assert of_all["value"] == pytest.approx(whole.of("overall")["value"])
    users = accuracy[accuracy["measure"] == "users"].set_index("class")["value"]
    assert np.isnan(users[UNCLASSIFIED])
    assert users[["crop", "other"]].notna().all()


def test_areas_of_many_draws_are_right_on_average_and_their_intervals_hold(rasters):
    folder, (_, truth) = rasters
    true = (truth >= 20).sum() - (truth == 99).sum()
    rows = [pixel_areas(drawn(folder, 120, s), ["crop"])[0][0] for s in range(300)]
    values = np.array([row["estimate"] for row in rows]) / 0.01
    error = values.std(ddof=1) / len(values) ** 0.5
    assert abs(values.mean() - true) < 3.5 * error
    held = [row["lower"] <= true * 0.01 <= row["upper"] for row in rows]
    assert np.mean(held) > 0.92
