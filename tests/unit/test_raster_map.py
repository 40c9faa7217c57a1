"""A raster is mapped whole or not at all, and a killed run is resumed."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import psutil
import pytest
import rasterio

from mlstats.errors import ConfigError, MethodError, ServiceError, SourceError
from mlstats.imagery import CloudMask, Image, Stack, Window, map_raster, raster_map
from mlstats.imagery.block_log import BlockLog
from mlstats.writing import sole_writer
from tests.conftest import REPOSITORY
from tests.raster_example import HeldSums, read_raster, slow_sums, write_raster

RNG = np.random.default_rng(3)
SIDES = (150, 130)
VALUES = RNG.integers(0, 200, (3, *SIDES)).astype("uint8")


# Functions of the map stand at the top of the module: processes import them.


def double(block):
    return (block.values * 2).astype("float32")


def brightest(block):
    return block.values.argmax(0).astype("uint8") + np.uint8(1)


def smooth(block):
    from scipy.ndimage import uniform_filter

    return uniform_filter(np.nan_to_num(block.values[0]), 5, mode="constant")


def wrong_shape(block):
    return block.values[0, 1:]


def too_large(block):
    return np.full(block.values.shape[1:], 256)


@dataclass(frozen=True)
class Tally:
    """Counts the blocks it is called for in a file, and fails at one of them."""

    path: str
    fails_at: int = -1

    def __call__(self, block):
        with open(self.path, "a") as file:
            file.write("x")
        if os.path.getsize(self.path) == self.fails_at:
            raise MethodError("planted")
        return block.values[0]


@pytest.fixture(params=["strips", "tiles", "one tile"])
def source(request, tmp_path):
    side = {"tiles": 32, "one tile": 256}.get(request.param)
    how = {"tiled": True, "blockxsize": side, "blockysize": side} if side else {}
    return write_raster(tmp_path / "in.tif", VALUES, compress="deflate", **how)


@pytest.mark.parametrize("block", [16, 50, 512])
def test_the_result_equals_the_function_of_all(source, tmp_path, block):
    out = tmp_path / "deep" / "out.tif"
    done = map_raster(
        double, source, out, bands=["a", "b", "c"], dtype="float32", block=block
    )
    assert done.computed == done.blocks
    np.testing.assert_array_equal(read_raster(out), VALUES * np.float32(2))
    assert [entry.name for entry in out.parent.iterdir()] == ["out.tif"]


@pytest.mark.parametrize(
    ("stored", "block", "size"),
    [
        ({"blockysize": 8}, 64, (8, 400)),
        ({"blockysize": 8}, 128, (40, 400)),
        ({"blockysize": 300}, 128, (40, 400)),
        ({"tiled": True, "blockxsize": 64, "blockysize": 64}, 128, (128, 128)),
        ({"tiled": True, "blockxsize": 128, "blockysize": 256}, 200, (256, 256)),
        ({"tiled": True, "blockxsize": 64, "blockysize": 64}, 16, (64, 64)),
    ],
)
def test_blocks_follow_the_way_the_file_is_stored(tmp_path, stored, block, size):
    values = np.zeros((300, 400), "uint8")
    source = write_raster(tmp_path / "in.tif", values, **stored)
    assert raster_map._block_size(Stack([Image(source)]), block) == size


def test_a_halo_makes_blocks_disappear(source, tmp_path):
    out = tmp_path / "out.tif"
    done = map_raster(smooth, source, out, bands="s", dtype="float32", block=16, halo=2)
    assert done.blocks > 1
    whole = smooth(Stack([Image(source)]).read(Window(0, 0, 150, 130)))
    np.testing.assert_allclose(read_raster(out)[0], whole, rtol=1e-5, atol=1e-4)


def test_the_file_is_cloud_optimised_and_tells_what_it_holds(tmp_path):
    values = RNG.integers(0, 200, (3, 700, 600)).astype("uint8")
    source = write_raster(tmp_path / "in.tif", values)
    out = tmp_path / "out.tif"
    map_raster(
        brightest,
        source,
        out,
        bands="class",
        dtype="uint8",
        nodata=0,
        classes={1: "blé", 2: "maize", 3: "soy"},
        colours={1: (200, 0, 0), 2: (0, 200, 0)},
        tags={"model": "forest"},
    )
    with rasterio.open(out) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.descriptions == ("class",)
        assert file.tags()["classes"] == '{"1": "blé", "2": "maize", "3": "soy"}'
        assert file.tags()["model"] == "forest"
        assert file.colormap(1)[2] == (0, 200, 0, 255)
        assert file.nodata == 0
        assert file.overviews(1) == [2]
        assert file.transform == rasterio.open(source).transform
        overview = file.read(1, out_shape=(350, 300))
    # Overviews of classes are pixels of the map, never means of codes.
    full = values.argmax(0) + 1
    cells = full.reshape(350, 2, 300, 2).transpose(0, 2, 1, 3).reshape(350, 300, 4)
    assert (overview[..., None] == cells).any(-1).all()


@pytest.mark.parametrize("stored", ["tiles", "strips"])
def test_the_bytes_do_not_depend_on_the_blocks(tmp_path, stored):
    """Nor do those of overviews, of means as of codes: all are made of the pixels."""
    how = {"blockysize": 7}
    if stored == "tiles":
        how = {"tiled": True, "blockxsize": 32, "blockysize": 32}
    values = RNG.integers(0, 200, (3, 1100, 700)).astype("uint8")
    source = write_raster(tmp_path / "in.tif", values, **how)
    kinds = {"float32": (double, ["a", "b", "c"]), "uint8": (brightest, ["class"])}
    for dtype, (function, bands) in kinds.items():
        found = set()
        for block, workers in ((100, 1), (5_000, 1), (200, 2)):
            out = tmp_path / "out.tif"
            done = map_raster(
                *(function, source, out),
                **{"bands": bands, "dtype": dtype, "block": block, "workers": workers},
            )
            found.add(out.read_bytes())
        assert len(found) == 1
        with rasterio.open(out) as file:
            assert file.overviews(1) == [2, 4]
    classes, pixels = np.unique(values.argmax(0) + 1, return_counts=True)
    np.testing.assert_array_equal(done.counts[classes], pixels)
    assert done.counts.sum() == values[0].size


def test_images_are_named_for_a_process_in_another_folder(tmp_path, monkeypatch):
    write_raster(tmp_path / "in.tif", VALUES)
    write_raster(tmp_path / "cloud.tif", np.ones_like(VALUES[:1]))
    monkeypatch.chdir(tmp_path)
    image = Image("in.tif", cloud=CloudMask(1, path="cloud.tif"))
    sent = pickle.dumps(Stack([image]))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pickle.loads(sent) as stack:
        block = stack.read(Window(0, 0, 150, 130))
    np.testing.assert_array_equal(block.values, VALUES)
    assert stack.images[0].path == tmp_path / "in.tif"


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    source = write_raster(
        tmp_path / "in.tif", VALUES, tiled=True, blockxsize=16, blockysize=16
    )
    undisturbed = tmp_path / "undisturbed.tif"
    map_raster(slow_sums, source, undisturbed, bands="sum", dtype="float32", block=16)
    command = [sys.executable, "-m", "tests.raster_example", str(tmp_path), "1"]
    log, held = tmp_path / ".out.tif.blocks" / "log", HeldSums(tmp_path)
    # Ever more may be done, of blocks that take a hundredth of a second each.
    waits = np.random.default_rng(6).uniform(0.02, 0.25, 3)
    for row, wait in zip((48, 80, 112), waits, strict=True):
        held.let_go(row)
        process = subprocess.Popen(command, cwd=REPOSITORY)
        before = log.stat().st_size if log.exists() else 0
        while not log.exists() or log.stat().st_size <= before:
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "out.tif").exists()
    # A kill in the middle of a record leaves part of it at the end.
    with log.open("rb+") as file:
        file.truncate(log.stat().st_size - 3)
    held.let_go(SIDES[0])
    last = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    computed, blocks = map(int, last.stdout.split())
    assert 0 < computed < blocks
    assert (tmp_path / "out.tif").read_bytes() == undisturbed.read_bytes()


def test_a_killed_worker_costs_its_block_only(tmp_path):
    source = write_raster(
        tmp_path / "in.tif", VALUES, tiled=True, blockxsize=16, blockysize=16
    )
    undisturbed = tmp_path / "undisturbed.tif"
    map_raster(slow_sums, source, undisturbed, bands="sum", dtype="float32", block=16)
    command = [sys.executable, "-m", "tests.raster_example", str(tmp_path)]
    log, held = tmp_path / ".out.tif.blocks" / "log", HeldSums(tmp_path)
    held.let_go(80)
    with subprocess.Popen(
        [*command, "2"], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    ) as process:
        while not log.exists() or log.stat().st_size < 2_000:
            assert process.poll() is None
            time.sleep(0.005)
        workers = [
            child
            for child in psutil.Process(process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        workers[0].kill()
        held.let_go(SIDES[0])
        told = process.communicate()[1]
    assert process.returncode == 0, told
    assert (tmp_path / "out.tif").read_bytes() == undisturbed.read_bytes()


def test_an_error_keeps_the_finished_blocks_for_the_next_run(source, tmp_path):
    out, count = tmp_path / "out.tif", tmp_path / "count"
    out.write_text("what was there")
    arguments = {"bands": "x", "dtype": "float32", "block": 32, "identity": "tally"}
    with pytest.raises(MethodError, match="planted"):
        map_raster(Tally(str(count), 4), source, out, **arguments)
    assert out.read_text() == "what was there"
    done = map_raster(Tally(str(count)), source, out, **arguments)
    assert done.computed == done.blocks - 3
    np.testing.assert_array_equal(read_raster(out)[0], VALUES[0])


@pytest.mark.parametrize("changed", ["input", "parameter", "function", "nothing"])
def test_only_the_same_run_is_resumed(tmp_path, changed):
    source = write_raster(tmp_path / "in.tif", VALUES)
    out, count = tmp_path / "out.tif", tmp_path / "count"
    arguments = {"bands": "x", "dtype": "float32", "block": 32}
    tally = Tally(str(count))
    with (
        pytest.raises(ServiceError, match="Another run"),
        sole_writer(out),
    ):
        map_raster(tally, source, out, **arguments)

    def fail(_, blocks, **__):
        list(blocks)
        raise ServiceError("planted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raster_map, "write_cog", fail)
        with pytest.raises(ServiceError, match="planted"):
            map_raster(tally, source, out, **arguments)
    if changed == "input":
        os.utime(source, ns=(1, 1))
    if changed == "parameter":
        arguments["dtype"] = "float64"
    if changed == "function":
        tally = Tally(str(count), -2)
    done = map_raster(tally, source, out, **arguments)
    assert done.computed == (0 if changed == "nothing" else done.blocks)
    np.testing.assert_array_equal(read_raster(out)[0], VALUES[0])


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
@pytest.mark.parametrize(
    ("limit", "what"), [(100_000, "The raster cannot"), (280_000, "The file cannot")]
)
def test_a_full_disk_leaves_no_output_and_keeps_blocks(tmp_path, limit, what):
    """The raster starts with a tag of 60,000 bytes; the log ends beyond 280,000."""
    noise = RNG.integers(0, 256, (500, 500)).astype("uint8")
    source = write_raster(tmp_path / "in.tif", noise)
    code = (
        "import resource, signal, sys; from tests.raster_example import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "map_raster(negative, sys.argv[1], sys.argv[2], bands='x', dtype='uint8',"
        " block=64, tags={'long': 'x' * 60_000})\n"
    )
    out = tmp_path / "out.tif"
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(out)],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
        text=True,
    )
    assert f"mlstats.errors.ServiceError: {what} be written" in done.stderr
    assert not out.exists()
    assert (tmp_path / ".out.tif.blocks" / "log").stat().st_size > 70_000


def test_a_damaged_input_leaves_no_output(tmp_path):
    from rasterio.shutil import copy

    noise = RNG.integers(0, 255, (600, 600)).astype("uint8")
    write_raster(tmp_path / "in.tif", noise)
    copy(tmp_path / "in.tif", tmp_path / "cog.tif", driver="COG", blocksize=128)
    content = (tmp_path / "cog.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) // 2])
    out = tmp_path / "out.tif"
    with pytest.raises(SourceError, match=r"(?s)cut\.tif, in rows .* columns"):
        map_raster(
            slow_sums, tmp_path / "cut.tif", out, bands="x", dtype="float32", block=128
        )
    assert not out.exists()


@pytest.mark.parametrize(
    ("function", "more", "message"),
    [
        (wrong_shape, {}, "array of shape"),
        (too_large, {"dtype": "uint8"}, "do not fit"),
        (double, {"dtype": "uint8", "bands": ["a", "b", "c"]}, "do not fit"),
        (double, {"dtype": "text"}, "no raster has the type"),
        (double, {"bands": []}, "names of bands"),
        (double, {"block": 8}, "blocks of 8"),
        (double, {"workers": 0}, "0 workers"),
        (double, {"colours": {1: (0, 0, 0)}}, "colours"),
        (lambda block: block.values, {}, "cannot be sent"),
    ],
)
def test_what_cannot_be_mapped_is_told(source, tmp_path, function, more, message):
    arguments = {"bands": "x", "dtype": "float32", **more}
    with pytest.raises((MethodError, ConfigError), match=message):
        map_raster(function, source, tmp_path / "out.tif", **arguments)
    assert not (tmp_path / "out.tif").exists()


def test_a_log_is_read_to_its_last_whole_record(tmp_path):
    contents = {number: bytes([number] * number) for number in (5, 0, 3)}
    log = BlockLog(tmp_path / "log", "key")
    for number, content in contents.items():
        log.append(number, content)
    log.close()
    whole = (tmp_path / "log").read_bytes()
    # Wherever a kill cuts the file, records before the cut are there and right.
    for cut in range(len(whole) + 1):
        (tmp_path / "log").write_bytes(whole[:cut])
        log = BlockLog(tmp_path / "log", "key")
        assert [*log.numbers] == [*frozenset([*contents][: len(log.numbers)])]
        log.append(9, b"new")
        assert log.read(9) == b"new"
        assert all(log.read(n) == contents[n] for n in log.numbers)
        log.close()
        again = BlockLog(tmp_path / "log", "key")
        assert 9 in again.numbers
        again.close()
    assert len(again.numbers) == 4
    log = BlockLog(tmp_path / "log", "other")
    assert not log.numbers
    log.close()


@pytest.mark.soak
def test_memory_does_not_grow_with_the_raster(tmp_path):
    """Peak memory of 400 million pixels is that of 25 million, within 80 MB."""
    code = (
        "import resource, sys; from tests.raster_example import *\n"
        "map_raster(negative, sys.argv[1], sys.argv[2], bands='x', dtype='uint8')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks = []
    for side in (5_000, 20_000):
        source, out = tmp_path / f"{side}.tif", tmp_path / "out.tif"
        strip = RNG.integers(0, 8, (512, side), dtype="uint8")
        with rasterio.open(
            source,
            "w",
            driver="GTiff",
            count=1,
            height=side,
            width=side,
            dtype="uint8",
            crs="EPSG:6933",
            transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
            compress="deflate",
            tiled=True,
            blockxsize=512,
            blockysize=512,
        ) as file:
            for window in Window.cover((side, side), (512, side)):
                file.write(strip[: window.height], 1, window=window.ranges)
        done = subprocess.run(
            [sys.executable, "-c", code, str(source), str(out)],
            cwd=REPOSITORY,
            capture_output=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 80
    assert peaks[1] < 700


def test_a_raster_never_replaces_an_image_that_it_is_made_of(source, tmp_path):
    before = source.read_bytes()
    out = tmp_path / "elsewhere" / ".." / source.name
    with pytest.raises(ConfigError, match="would replace an image"):
        map_raster(double, source, out, bands=list("abc"), dtype="float32")
    assert source.read_bytes() == before


def test_no_run_can_begin_while_another_clears_up(source, tmp_path, monkeypatch):
    out, folder = tmp_path / "out.tif", tmp_path / ".out.tif.blocks"
    removed, remove = [], shutil.rmtree

    def other(place, **how):
        assert out.exists()
        with (
            pytest.raises(ServiceError, match="Another run"),
            sole_writer(out),
        ):
            pass
        removed.append(place)
        remove(place, **how)

    monkeypatch.setattr(raster_map.shutil, "rmtree", other)
    map_raster(brightest, source, out, bands="x", dtype="uint8")
    assert removed == [folder]
    assert not folder.exists()


@dataclass(frozen=True)
class Touching:
    """Changes the image that it is given blocks of."""

    path: str

    def __call__(self, block):
        os.utime(self.path, ns=(1, 1))
        return block.values[0]


def test_an_image_that_is_changed_meanwhile_is_told(source, tmp_path):
    out = tmp_path / "out.tif"
    with pytest.raises(SourceError, match="changed while it was read"):
        map_raster(Touching(str(source)), source, out, bands="x", dtype="float32")
    assert not out.exists()
