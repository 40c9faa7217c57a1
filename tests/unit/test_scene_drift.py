"""Two dates of a scene: a planted shift is found, and fresh noise is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from mlstats import scene_drift
from mlstats.imagery_methods import load, run_method
from mlstats.imagery_task import ImageryData
from mlstats.scene_drift import DatesApart, class_changes, compare_dates, shown
from mlstats.settings import load_settings
from tests.scene_example import (
    CLASSES,
    METHODS,
    SIDE,
    Landscape,
    image,
    make_landscape,
    scene_pilot,
    transform,
    write,
)


@pytest.fixture
def land(tmp_path: Path) -> Landscape:
    return make_landscape()


def of(name: str) -> dict[str, Any]:
    return {"file": f"{name}.tif", "bands": ["red", "nir"], "scale": 0.0001}


def pilot_of(**scene: Any) -> Any:
    two = {"images": [of("one")], "target": [of("two")], "survey": None, "known": None}
    return scene_pilot(
        methods=("likelihood", "forest"),
        scene=two | {"features": {}, "previous": None} | scene,
    )


def bands(name: str, values: np.ndarray, **more: Any) -> None:
    write(f"{name}.tif", values, ("red", "nir"), **more)


def compared(pilot: Any) -> tuple[ImageryData, DatesApart]:
    data, result = load(pilot, load_settings())
    assert result.ok
    return data, compare_dates(pilot, data)


def cores() -> np.ndarray:
    """Return block and place of the pixels in the middle of blocks of ten."""
    inside = (np.arange(SIDE) % 10 >= 2) & (np.arange(SIDE) % 10 < 8)
    return inside[:, None] & inside[None]


@pytest.mark.parametrize("seed", range(11, 19))
def test_fresh_noise_is_no_drift(land: Landscape, seed: int):
    bands("one", image(1, land.classes, 1))
    bands("two", image(seed, land.classes, 1))
    _, apart = compared(pilot_of())
    assert not (apart.table["state"] == "drift").any()
    assert apart.sentence == "The later date shows no drift beyond the floors."


@pytest.mark.parametrize("halo", [False, True])
def test_pixels_are_the_same_read_in_strips(
    land: Landscape, monkeypatch: pytest.MonkeyPatch, halo: bool
):
    """However large the scene, what is held at a time is a strip and the sample."""
    bands("one", image(1, land.classes, 1))
    bands("two", image(2, land.classes, 1))
    texture = [{"band": "red", "window": 3, "statistics": ["mean"]}]
    more = {"features": {"texture": texture}} if halo else {}
    monkeypatch.setattr(scene_drift, "_PER_BLOCK", 7)
    _, whole = compared(pilot_of(**more))
    monkeypatch.setattr(scene_drift, "_STRIP", 30)
    _, strips = compared(pilot_of(**more))
    for one, other in ((whole.before, strips.before), (whole.after, strips.after)):
        assert one is not None
        np.testing.assert_array_equal(one, other)
        assert np.isfinite(one).any()
    np.testing.assert_array_equal(whole.blocks, strips.blocks)


def test_a_brighter_band_is_found_and_the_other_is_not(land: Landscape):
    one, two = image(1, land.classes, 1), image(2, land.classes, 1)
    two[0] = two[0] * 1.4
    bands("one", one)
    bands("two", two)
    _, apart = compared(pilot_of())
    table = apart.table.set_index(["measure", "of"])
    assert table.loc[("mean", "red"), "state"] == "drift"
    assert table.loc[("distribution", "red"), "state"] == "drift"
    assert table.loc[("mean", "nir"), "state"] != "drift"
    assert "mean red" in apart.sentence
    assert "nir" not in apart.sentence
    # A core of six by six pixels in each of 144 blocks.
    inside = cores()
    before, after = one[0][inside] * 1e-4, two[0][inside] * 1e-4
    row = table.loc[("mean", "red")]
    assert (row["pixels"], row["blocks"]) == (inside.sum(), 144)
    assert row["before"] == pytest.approx(before.mean(), rel=1e-5)
    assert row["after"] == pytest.approx(after.mean(), rel=1e-5)
    gap = (after.mean() - before.mean()) / before.std()
    assert row["effect"] == pytest.approx(gap, rel=1e-4)
    assert len(shown(apart.table)) == len(apart.table)


def test_clouds_of_either_date_are_left_out_and_told(land: Landscape):
    one, two = image(1, land.classes, 1), image(2, land.classes, 1)
    cloud = np.zeros((SIDE, SIDE), "uint16")
    cloud[:40] = 4
    two[:, :40] = 14_000  # white: an alarm wherever it was compared
    bands("one", one)
    write("two.tif", np.concatenate([two, cloud[None]]), ("red", "nir", "fmask"))
    target = [of("two") | {"cloud": {"band": "fmask", "clear": [0]}}]
    _, apart = compared(pilot_of(target=target))
    table = apart.table.set_index(["measure", "of"])
    assert table.loc[("mean", "red"), "pixels"] == cores()[40:].sum()
    assert table.loc[("clear", ""), "after"] == pytest.approx(80 / 120)
    assert not (apart.table["state"] == "drift").any()
    clear = apart.clear.set_index("images")
    assert clear.loc["learnt from", "share"] == 1
    assert clear.loc["classified", "clear"] == 80 * SIDE
    assert clear.loc["classified", "status"] == "partly clear"


def test_images_on_another_grid_are_compared_at_the_same_places(land: Landscape):
    bands("one", image(1, land.classes, 1))
    later = image(2, land.classes, 1)
    bands("two", later[:, 20:, 30:], transform=transform(20, 30))
    _, apart = compared(pilot_of())
    assert not (apart.table["state"] == "drift").any()
    assert apart.table["pixels"].max() > 0
    assert apart.before is not None
    assert apart.after is not None
    both = np.corrcoef(apart.before[:, 0], apart.after[:, 0])[0, 1]
    assert both > 0.3  # light of the same fields


def test_images_of_another_place_are_not_compared(land: Landscape):
    bands("one", image(1, land.classes, 1))
    bands("two", image(2, land.classes, 1), transform=transform(500, 500))
    _, apart = compared(pilot_of())
    assert apart.table.empty
    assert "lie elsewhere" in apart.sentence
    assert list(apart.clear["images"]) == ["learnt from", "classified"]


def test_a_scene_of_one_date_tells_clear_pixels_only(land: Landscape):
    data, result = load(scene_pilot(), load_settings())
    assert result.ok
    apart = compare_dates(scene_pilot(), data)
    assert apart.table.empty
    assert apart.sentence == ""
    clear = (land.bands != 65_535).all(axis=1) & ~land.cloud
    assert list(apart.clear["clear"]) == list(clear.sum(axis=(1, 2)))
    assert class_changes(apart, scene_pilot(), data, []).empty


# -- classes -------------------------------------------------------------------------


def changed_fields(land: Landscape) -> np.ndarray:
    """Return the classes a year later: pasture became maize on half of its fields."""
    west = np.arange(SIDE)[None] < SIDE // 2
    return np.where((land.classes == 2) & west, 1, land.classes)


def test_a_class_that_spread_is_found_and_corrected_by_the_confusion(land: Landscape):
    later = changed_fields(land)
    bands("one", image(1, land.classes, 0))
    bands("two", image(2, later, 0))
    pilot = pilot_of()
    data, apart = compared(pilot)
    run = run_method(pilot, "forest", data)
    found = class_changes(apart, pilot, data, [run]).set_index("of")
    assert set(found["measure"]) == {"class share"}
    assert set(found.index) == set(CLASSES.values())
    assert found.loc["maize", "state"] == "drift"
    inside = cores()
    truth = [(c[inside] == 1).mean() for c in (land.classes, later)]
    row = found.loc["maize"]
    assert row["effect_lower"] < truth[1] - truth[0] < row["effect_upper"]

    forest = RandomForestClassifier(**METHODS["forest"]["params"])
    X = data.frame[data.task.names].to_numpy(np.float32)
    forest.fit(X, data.frame["crop"].to_numpy(object))
    blocked = run.units[run.units["scheme"] == "blocked"]
    counts = pd.crosstab(blocked["prediction"], blocked["truth"])
    chance = (counts.T / counts.sum(axis=1)).T
    shares = []
    for side in (apart.before, apart.after):
        assert side is not None
        told = forest.predict(side.astype(np.float32))
        shares.append([(told == name).mean() for name in chance.index])
    gap = (np.array(shares[1]) - shares[0]) @ chance["maize"].to_numpy()
    assert row["effect"] == pytest.approx(gap)


def test_classes_of_the_same_fields_do_not_change(land: Landscape):
    bands("one", image(1, land.classes, 0))
    bands("two", image(2, land.classes, 0))
    pilot = pilot_of()
    data, apart = compared(pilot)
    found = class_changes(apart, pilot, data, [run_method(pilot, "forest", data)])
    assert not (found["state"] == "drift").any()


def test_a_class_that_validation_hardly_met_does_not_stop_the_run(land: Landscape):
    bands("one", image(1, land.classes, 0))
    bands("two", image(2, land.classes, 0))
    pilot = pilot_of()
    data, apart = compared(pilot)
    run = run_method(pilot, "forest", data)
    run = replace(run, units=run.units[run.units["prediction"] != "maize"])
    found = class_changes(apart, pilot, data, [run])
    assert list(found["state"]) == ["not measured"]
    assert list(found["note"]) == ["the confusion has no row of a mapped class"]
    assert list(shown(found)["measure"]) == ["class share"]
