"""What a pilot of a scene refuses, and what it says then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mlstats.errors import ConfigError, ContractError, MlstatsError, SourceError
from mlstats.imagery_methods import load, ready, run_method
from mlstats.settings import load_settings
from tests.scene_example import (
    IMAGES,
    PREVIOUS,
    SEGMENT,
    SIDE,
    SURVEY,
    Landscape,
    make_landscape,
    scene_pilot,
    write,
)


@pytest.fixture
def land(tmp_path: Path) -> Landscape:
    return make_landscape()


def refused(**changed: Any) -> MlstatsError:
    with pytest.raises(MlstatsError) as caught:
        load(scene_pilot(**changed), load_settings())
    return caught.value


def test_a_band_that_is_missing_on_one_date_is_named(land: Landscape):
    write("scene_2025-07-05.tif", land.bands[1][:1], ("red",))
    found = refused()
    assert isinstance(found, ContractError)
    assert "no band 'fmask'" in found.title
    odd = [IMAGES[0], IMAGES[1] | {"bands": ["red"], "cloud": None}]
    found = refused(scene={"images": odd})
    assert "'nir' is missing on one date" in found.title
    assert "2025-07-05" in str(found.where)


def test_points_outside_the_images_are_counted(land: Landscape):
    moved = land.points.copy()
    moved.loc[:4, "east"] += 10_000
    moved.to_csv("points.csv", index=False)
    found = refused()
    assert isinstance(found, ContractError)
    assert "5 of 360 points lie outside the raster" in found.title


@pytest.mark.parametrize("crs", ["EPSG:1", "the office's own"])
def test_a_crs_that_does_not_exist_is_refused(land: Landscape, crs: str):
    points = {"x": "east", "y": "north", "crs": crs}
    found = refused(scene={"points": points})
    assert isinstance(found, ConfigError)
    assert crs in str(found)


def test_points_in_another_crs_than_they_say_are_outside(land: Landscape):
    points = {"x": "east", "y": "north", "crs": "EPSG:32632"}
    found = refused(scene={"points": points})
    assert isinstance(found, ContractError)
    assert "none of the 360 points lies in the raster" in found.title


@pytest.mark.parametrize("column", ["east", "north"])
def test_a_column_of_places_that_is_not_there_is_named(land: Landscape, column: str):
    points = {"x": "east", "y": "north", "crs": "EPSG:6933"}
    wrong = {k: f"{v}s" if v == column else v for k, v in points.items()}
    found = refused(scene={"points": wrong})
    assert (found.where, found.nearest) == ("data.scene", column)


def test_units_without_a_place_are_refused(land: Landscape):
    found = refused(scene={"points": None})
    assert found.where == "data.scene.points"


def test_units_that_nothing_holds_together_are_refused(land: Landscape):
    found = refused(scene={"block": None}, roles={"cluster": None})
    assert found.where == "data.scene.block"


@pytest.mark.parametrize(
    ("row", "column"),
    [(SIDE - SEGMENT + 1, 0), (0, SIDE - SEGMENT + 1), (-1, 0), (0, -3), (SIDE, 0)],
)
def test_a_segment_over_the_edge_is_refused_before_anything_is_fitted(
    land: Landscape, row: int, column: int
):
    frame = land.frame.copy()
    frame.loc[3, ["row", "col"]] = [row, column]
    frame.to_csv("frame.csv", index=False)
    found = refused()
    assert "1 segments of the frame reach over the images' edge" in found.title
    assert found.where == "data.scene.survey.frame"


def test_a_segment_that_the_frame_does_not_have_is_refused(land: Landscape):
    odd = pd.concat([land.surveyed, land.surveyed[:1].assign(segment="S999")])
    odd.to_csv("segments.csv", index=False)
    found = refused()
    assert "1 surveyed segments are not in the frame" in found.title
    twice = pd.concat([land.surveyed, land.surveyed[:1]])
    twice.to_csv("segments.csv", index=False)
    assert refused().where == "data.scene.survey"


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"surveyed": {"maize": "maise_ha"}}, "data.scene.survey.file"),
        ({"stratum": "zones"}, "data.scene.survey.frame"),
        ({"row": "rows"}, "data.scene.survey.frame"),
    ],
)
def test_a_column_of_the_survey_that_is_not_there_is_named(
    land: Landscape, changed: dict[str, Any], where: str
):
    found = refused(scene={"survey": SURVEY | changed})
    assert isinstance(found, ConfigError)
    assert found.where == where
    assert found.nearest in {"maize_ha", "zone", "row"}


@pytest.mark.parametrize(
    ("file", "nearest"), [("old", "old.tif"), ("frame", "frame.csv")]
)
def test_a_file_that_is_not_there_is_named_with_the_nearest(
    land: Landscape, file: str, nearest: str
):
    wrong = nearest.replace(".", "s.")
    scene = {
        "old": {"previous": PREVIOUS | {"file": wrong}},
        "frame": {"survey": SURVEY | {"frame": wrong}},
    }[file]
    found = refused(scene=scene)
    assert isinstance(found, SourceError)
    assert found.nearest == nearest


def test_a_truncated_image_is_refused(land: Landscape):
    path = Path("scene_2025-07-05.tif")
    path.write_bytes(path.read_bytes()[:5000])
    assert isinstance(refused(), SourceError)


def test_all_cloud_leaves_no_unit_and_says_so(land: Landscape):
    bands, mask = land.bands[1], np.full((1, SIDE, SIDE), 4, "uint16")
    write(
        "scene_2025-07-05.tif", np.concatenate([bands, mask]), ("red", "nir", "fmask")
    )
    found = refused()
    assert "No labelled unit has enough clear dates" in found.title
    assert "min_valid" in str(found.hint)


def test_columns_of_a_table_must_be_the_bands_in_their_order(land: Landscape):
    table = land.points.assign(red=0.1, nir=0.2)
    table.to_csv("points.csv", index=False)
    one = [IMAGES[0] | {"date": None, "bands": ["nir", "red"]}]
    scene = {
        "columns": ["red", "nir"], "images": one, "previous": None,
        "features": {"min_valid": 1},
    }  # fmt: skip
    found = refused(scene=scene)
    assert found.where == "data.scene.columns"
    assert found.expected == "nir, red"
    right = scene | {"images": [one[0] | {"bands": ["red", "nir"]}]}
    data, _ = load(scene_pilot(scene=right), load_settings())
    assert data.task.names == ["red", "nir"]


def test_a_target_with_its_bands_in_another_order_is_refused(land: Landscape):
    images = [IMAGES[0]]
    target = [IMAGES[1] | {"bands": ["nir", "red"]}]
    features = {"min_valid": 1}
    found = refused(scene={"images": images, "target": target, "features": features})
    assert isinstance(found, ConfigError)
    assert found.where == "data.scene.target"
    assert found.expected == "red, nir"
    later = refused(scene={"images": IMAGES, "target": images, "features": features})
    assert later.where == "data.scene.target"
    assert later.expected == "red@1, nir@1, red@2, nir@2"


def test_a_gap_as_wide_as_a_block_is_refused():
    with pytest.raises(ValidationError, match="gap must be less"):
        scene_pilot(scene={"block": 200.0, "gap": 200.0})


def test_a_period_without_units_is_refused(land: Landscape):
    with pytest.raises(ContractError, match="No unit is of the period 1999"):
        load(scene_pilot(), load_settings(), period="1999")
    with pytest.raises(ConfigError) as caught:
        load(scene_pilot(roles={"period": None}), load_settings(), period="2025")
    assert caught.value.where == "data.roles.period"


def test_the_earlier_map_is_asked_for_before_an_arm_runs(land: Landscape):
    pilot = scene_pilot(scene={"previous": None})
    data, _ = load(pilot, load_settings())
    with pytest.raises(ConfigError) as caught:
        ready(pilot, data)
    assert caught.value.where == "data.scene.previous"


def test_a_class_that_is_no_classifier_is_refused(land: Landscape):
    pilot = scene_pilot()
    methods = pilot.methods | {
        "forest": pilot.methods["forest"].model_copy(
            update={"use": "mlstats.imagery.ArealWeighting", "params": {}}
        )
    }
    pilot = pilot.model_copy(update={"methods": methods})
    data, _ = load(pilot, load_settings())
    with pytest.raises(ConfigError, match="is no classifier"):
        run_method(pilot, "forest", data)
