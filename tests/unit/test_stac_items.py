"""Local STAC items become stacks; nothing is fetched from elsewhere."""

import json
import sys

import numpy as np
import pytest

from mlstats.errors import ConfigError, ContractError, SourceError
from mlstats.imagery import CloudMask, Window, stack_from_items
from tests.raster_example import write_raster

RED = np.arange(1, 21, dtype="int16").reshape(4, 5) * 100


def item(date, assets, **properties):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"scene-{date}",
        "geometry": None,
        "properties": {"datetime": f"{date}T10:00:00Z", **properties},
        "links": [],
        "assets": assets,
    }


@pytest.fixture
def scenes(tmp_path):
    """Two items: a band per file, and both bands in one file; with scale and mask."""
    (tmp_path / "a b").mkdir()
    write_raster(tmp_path / "a b" / "red.tif", RED)
    write_raster(tmp_path / "nir.tif", RED + 1)
    write_raster(tmp_path / "both.tif", np.stack([RED + 2, RED + 3]))
    scl = np.full((4, 5), 4, "uint8")
    scl[0, 0] = 9
    write_raster(tmp_path / "scl.tif", scl)
    scale = {"scale": 1e-4, "offset": -0.1, "nodata": 200}
    first = item(
        "2021-05-01",
        {
            "B04": {
                "href": "./a b/red.tif",
                "eo:bands": [{"name": "B04", "common_name": "red"}],
                "raster:bands": [scale],
            },
            "nir": {"href": (tmp_path / "nir.tif").as_uri()},
            "SCL": {"href": "scl.tif"},
        },
    )
    second = item(
        "2021-06-01",
        {
            "data": {
                "href": "both.tif",
                "bands": [{"name": "red"}, {"name": "B08", "eo:common_name": "nir"}],
            },
            "SCL": {"href": "scl.tif"},
        },
    )
    return tmp_path, [first, second]


def written(folder, content, name="items.json"):
    path = folder / name
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_a_collection_becomes_a_stack(scenes):
    folder, items = scenes
    path = written(folder, {"type": "FeatureCollection", "features": items})
    stack = stack_from_items(path, ["red", "nir"], cloud=CloudMask("SCL", (4, 5)))
    assert stack.names == (
        "red@2021-05-01",
        "nir@2021-05-01",
        "red@2021-06-01",
        "nir@2021-06-01",
    )
    block = stack.read(Window(0, 0, 4, 5))
    expected = np.stack([RED * 1e-4 - 0.1, RED + 1, RED + 2, RED + 3])
    expected[:, 0, 0] = np.nan
    expected[0, 0, 1] = np.nan
    np.testing.assert_allclose(block.values, expected, rtol=1e-5, atol=1e-7)


def test_files_and_folders_of_items_are_read_too(scenes):
    folder, items = scenes
    one = written(folder, items[0], "one.json")
    assert stack_from_items(one, {"x": "B04"}).names == ("x@2021-05-01",)
    written(folder, items[1], "two.json")
    assert len(stack_from_items(folder, ["red"]).dates) == 2


def test_an_interval_has_the_date_of_its_start(scenes):
    folder, items = scenes
    items[0]["properties"] = {
        "datetime": None,
        "start_datetime": "2021-04-03T00:00:00Z",
        "end_datetime": "2021-05-01T00:00:00Z",
    }
    path = written(folder, items[0])
    assert stack_from_items(path, ["B04"]).dates == ("2021-04-03",)


@pytest.mark.parametrize(
    "href", ["https://example.org/a.tif", "s3://bucket/a.tif", "/vsicurl/http://x/a"]
)
def test_files_elsewhere_are_refused(scenes, href):
    folder, items = scenes
    items[0]["assets"]["nir"]["href"] = href
    with pytest.raises(ContractError, match="nothing is downloaded"):
        stack_from_items(written(folder, items[0]), ["nir"])
    # A file elsewhere that nobody asks for does no harm.
    assert stack_from_items(written(folder, items[0]), ["red"]).names


def test_a_band_missing_in_an_item_is_named_with_its_date(scenes):
    folder, items = scenes
    items[1]["assets"]["data"]["bands"][1] = {"name": "nirr"}
    path = written(folder, {"features": items})
    with pytest.raises(ContractError) as caught:
        stack_from_items(path, ["red", "nir"])
    for part in ("no band 'nir'", "scene-2021-06-01", "2021-06-01", "nearest: nirr"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"type": "Feature"}', '{"features": [3]}', '{"type": "Catalog"}'],
)
def test_what_is_no_item_is_refused(tmp_path, text):
    path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(SourceError, match="cannot be read as STAC items"):
        stack_from_items(path, ["red"])


def test_no_files_and_no_pystac_are_told(scenes, monkeypatch, tmp_path_factory):
    folder, items = scenes
    with pytest.raises(SourceError, match="no STAC items"):
        stack_from_items(tmp_path_factory.mktemp("empty"), ["red"])
    items[0]["assets"]["nir"]["href"] = "nirr.tif"
    with pytest.raises(SourceError, match=r"(?s)nirr\.tif.*nearest: nir\.tif"):
        stack_from_items(written(folder, items[0]), ["nir"])
    monkeypatch.setitem(sys.modules, "pystac", None)
    with pytest.raises(ConfigError, match=r"mlstats\[imagery\]"):
        stack_from_items(written(folder, items[0]), ["red"])
