"""Maps show every pixel and zone as what it is, in a frame that can be read."""

import base64
import re
from xml.etree import ElementTree

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from mlstats.errors import ConfigError, ContractError, SourceError
from mlstats.imagery import class_map_png, class_map_svg, zone_map_svg
from mlstats.imagery.map_frame import great_circle, round_step
from mlstats.imagery.map_picture import CLASS_COLOURS, UNCLASSIFIED_COLOUR

SVG = "{http://www.w3.org/2000/svg}"
NAMES = {1: "maize", 2: "forest & <wood>"}
GREY = UNCLASSIFIED_COLOUR


def write(path, values, *, nodata=0, crs="EPSG:6933", size=20.0):
    values = np.asarray(values, "uint8")
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=values.shape[0],
        width=values.shape[1], dtype="uint8", nodata=nodata, crs=crs,
        transform=Affine(size, 0, 0, 0, -size, 3_680_000 if size == 20 else 30),
    ) as raster:  # fmt: skip
        raster.write(values, 1)
    return path


def colours_of(png):
    """Return the colour of each pixel as text, read by the PNG driver."""
    with rasterio.MemoryFile(png) as memory, memory.open() as picture:
        table = picture.colormap(1)
        names = {i: "#{:02x}{:02x}{:02x}".format(*table[i][:3]) for i in table}
        return np.vectorize(names.get)(picture.read(1))


@pytest.fixture
def quarters(tmp_path):
    values = np.repeat(np.repeat([[1, 2], [0, 9]], 10, axis=0), 20, axis=1)
    return write(tmp_path / "map of 2024.tif", values)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("width", [40, 80, 20])
def test_every_pixel_has_the_colour_of_its_class(quarters, width):
    found = colours_of(class_map_png(quarters, NAMES, unclassified=[9], width=width))
    assert found.shape == (width // 2, width)
    middle = width // 2
    assert (found[: middle // 2, :middle] == CLASS_COLOURS[0]).all()
    assert (found[: middle // 2, middle:] == CLASS_COLOURS[1]).all()
    assert (found[middle // 2 :] == GREY).all()
    own = {1: "#000001", 2: "#fffffe"}
    chosen = colours_of(class_map_png(quarters, NAMES, colours=own, width=width))
    assert set(np.unique(chosen)) == {*own.values(), GREY}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_is_outside_is_hatched_and_told(quarters, tmp_path):
    outside = np.zeros((20, 40))
    outside[:, :10] = 1
    path = write(tmp_path / "outside.tif", outside, nodata=None)
    found = colours_of(class_map_png(quarters, NAMES, outside=path, width=400))
    ink = found == "#1c2430"
    assert 0.2 < ink[:, :100].mean() < 0.4
    assert not ink[:, 100:].any()
    svg = class_map_svg(quarters, NAMES, key="m", title="t", outside=path)
    assert "outside the area of applicability" in svg
    elsewhere = write(tmp_path / "elsewhere.tif", outside[:, :30])
    with pytest.raises(ContractError, match="another grid"):
        class_map_svg(quarters, NAMES, key="m", title="t", outside=elsewhere)


def test_the_svg_is_whole_and_safe(quarters):
    svg = class_map_svg(
        quarters, NAMES, key="m", title='A "<map>"', remark="synthetic data"
    )
    root = ElementTree.fromstring(svg)
    assert root.find(f"{SVG}title").text == 'A "<map>"'
    assert root.find(f"{SVG}desc").text.startswith("Map of the classes maize, forest")
    texts = [node.text for node in root.iter(f"{SVG}text")]
    assert {"maize", "forest & <wood>", "not classified", "N"} <= set(texts)
    assert texts[-1] == "synthetic data"
    assert not list(root.iter(f"{SVG}script"))
    image = root.find(f"{SVG}image").get("href")
    png = base64.b64decode(image.removeprefix("data:image/png;base64,"))
    assert png == class_map_png(quarters, NAMES)
    assert svg == class_map_svg(
        quarters, NAMES, key="m", title='A "<map>"', remark="synthetic data"
    )


def scale_bar(svg):
    """Return the metres and the pixels of the scale bar."""
    pixels = float(re.search(r"v8h([\d.]+)v-8", svg)[1])
    length, unit = re.search(r">([\d.]+) (k?m)</text>", svg).groups()
    return float(length) * (1000 if unit == "km" else 1), pixels


@pytest.mark.parametrize(
    ("crs", "size", "metres"),
    # A degree of longitude at 29.75 degrees north is 96.54 km on the sphere.
    [("EPSG:6933", 20.0, 800), ("EPSG:4326", 0.025, 96_540)],
)
def test_the_scale_bar_is_as_long_as_it_says(tmp_path, crs, size, metres):
    path = write(tmp_path / "r.tif", np.ones((20, 40)), crs=crs, size=size)
    length, pixels = scale_bar(class_map_svg(path, NAMES, key="m", title="t"))
    assert length / pixels == pytest.approx(metres / 800, rel=0.006)
    assert 0.1 <= pixels / 800 <= 0.26


def test_a_large_raster_is_read_from_its_overview(tmp_path):
    path = write(tmp_path / "r.tif", np.ones((2000, 3000)))
    with rasterio.open(path, "r+") as raster:
        raster.build_overviews([8])
    svg = class_map_svg(path, NAMES, key="m", title="t", width=300)
    assert 'height="200"' in svg


def test_pictures_that_cannot_be_drawn(quarters, tmp_path):
    with pytest.raises(ConfigError, match="more than there are colours"):
        class_map_svg(quarters, dict.fromkeys(range(10), "x"), key="m", title="t")
    with pytest.raises(ConfigError, match="'red' is no colour"):
        class_map_svg(quarters, {1: "maize"}, key="m", title="t", colours={1: "red"})
    with pytest.raises(ConfigError, match="classes have no colour"):
        class_map_svg(quarters, NAMES, key="m", title="t", colours={1: "#000000"})
    with pytest.raises(SourceError):
        class_map_svg(tmp_path / "absent.tif", NAMES, key="m", title="t")


@pytest.fixture
def zones():
    shapes = [shapely.box(i * 1000, 0, i * 1000 + 1000, 2000) for i in range(6)]
    shapes[5] = shapes[5] - shapely.box(5400, 500, 5600, 1500)
    return geopandas.GeoDataFrame(
        {"name": [*"abcde", "<f>"], "rate": [1.0, 2, 3, 4, np.nan, 6]},
        geometry=shapes,
        crs="EPSG:6933",
    )


def test_zones_have_the_colour_of_their_class(zones):
    svg = zone_map_svg(
        zones, "rate", key="z", title="Rate", id="name", unit="per km\u00b2",
        breaks=[0, 2, 4, 8],
    )  # fmt: skip
    root = ElementTree.fromstring(svg)
    group = root.find(f"{SVG}g")
    paints = [path.get("fill") for path in group]
    low, middle, high = list(dict.fromkeys(p for p in paints if p.startswith("#")))
    assert paints == [low, middle, middle, high, "url(#z-hatch)", high]
    told = [path.find(f"{SVG}title").text for path in group]
    assert told[0] == "a: 1 per km\u00b2"
    assert told[4] == "e: no figure"
    assert told[5] == "<f>: 6 per km\u00b2"
    texts = {node.text for node in root.iter(f"{SVG}text")}
    assert {"0 \u2013 2 per km\u00b2", "4 \u2013 8 per km\u00b2", "no figure"} <= texts
    # A hole is drawn as one: two rings of four corners.
    assert group[5].get("d").count("z") == 2
    # At the equator this projection draws six kilometres for 6 / cos(30 degrees).
    length, pixels = scale_bar(svg)
    assert length / pixels == pytest.approx(6928 / 800, rel=0.01)


def test_quantile_classes_hold_every_figure(zones):
    svg = zone_map_svg(zones.assign(rate=[5.0] * 6), "rate", key="z", title="t")
    assert "5 \u2013 5" in svg
    rng = np.random.default_rng(0)
    many = zones.iloc[np.tile(np.arange(6), 50)]
    many = many.assign(rate=rng.lognormal(3, 2, 300))
    root = ElementTree.fromstring(zone_map_svg(many, "rate", key="z", title="t"))
    paints = [path.get("fill") for path in root.find(f"{SVG}g")]
    counts = [paints.count(paint) for paint in set(paints)]
    assert len(counts) == 5
    assert max(counts) - min(counts) <= 4
    empty = zone_map_svg(zones.assign(rate=np.nan), "rate", key="z", title="t")
    assert empty.count("url(#z-hatch)") == 7


def test_degrees_keep_their_shape():
    north = geopandas.GeoDataFrame(
        {"rate": [1.0]}, geometry=[shapely.box(0, 59, 2, 61)], crs="EPSG:4326"
    )
    svg = zone_map_svg(north, "rate", key="z", title="t", width=400)
    corners = np.array(re.findall(r"([\d.]+) ([\d.]+)", svg.split(' d="M')[1]), float)
    wide, high = np.ptp(corners[:4], axis=0)
    assert high / wide == pytest.approx(2)
    assert wide == pytest.approx(300, abs=0.2)


def test_zone_maps_that_cannot_be_drawn(zones):
    def go(frame=zones, column="rate", **more):
        return zone_map_svg(frame, column, key="z", title="t", **more)

    with pytest.raises(ContractError) as caught:
        go(column="rte")
    assert caught.value.nearest == "rate"
    with pytest.raises(ConfigError, match="outside the breaks"):
        go(breaks=[2, 4, 8])
    with pytest.raises(ConfigError, match="cannot be drawn"):
        go(breaks=[8, 4, 0])
    with pytest.raises(ContractError, match="projection of the zones"):
        go(zones.set_crs(None, allow_override=True))
    with pytest.raises(ContractError, match="no zone to draw"):
        go(zones.assign(geometry=None))


def test_round_steps_and_distances():
    assert [round_step(v) for v in (0.3, 1, 4.9, 99)] == [0.2, 1, 2, 50]
    quarter = great_circle([0, 90], [0, 0])
    assert quarter == pytest.approx(10_007_557, rel=1e-6)
    assert great_circle([10, 10], [0, 90]) == pytest.approx(quarter)
