"""A raster of a country through a forest and zonal statistics, and what that costs.

    python benchmarks/scale/imagery.py [--size 20000] [--pair 10000] [--turns 7]
        [--workers 1 2] [--address tcp://...] [--folder FOLDER] [--output FOLDER]
        [--quick]

Makes rasters of 4 bands of uint16 block by block: land cover in patches, a spectrum for
each of 4 classes, noise of each pixel and each patch. Half, a quarter and the whole of
the side go through

- forest: a forest of 100 trees, compiled, from file to file by ``classify_raster``;
- hectares: the hectares of each class of that map in 1,000 zones;
- means: count, mean and deviation of the 4 bands in the same zones.

Shown are millions of pixels per wall second and per CPU second, and memory, looked at
20 times a second: the sum over all processes of the most that each ever held, and the
most of one. The exponent is that of CPU seconds over pixels, from half the side on.
Resident memory counts shared libraries once for each process.

- seam: the classifier called on blocks in memory, and by ``map_blocks`` with one
  worker, taking turns; a million pixels. Beside it the whole way from file to file.
- workers: one and two take turns on a raster of `pair` x `pair`. Where other work
  shares the cores wall seconds say little, so the CPU seconds of all processes are
  told, too: half of those of two workers is the least that two cores could take. Told
  is whether the maps have the same bytes and the tables are equal. With an `address`
  the cluster takes turns as well.

A size or pair of 0 leaves that part out.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import hashlib
import multiprocessing
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

TILE, PATCH, SEED, CELL = 512, 32, 6, 10.0
BANDS = ("blue", "green", "red", "nir")
# Of water, forest, crop and soil, reflectance times 10,000.
SPECTRA = np.array(
    [[620, 560, 420, 380], [310, 520, 360, 2900], [480, 790, 640, 3300],
     [930, 1240, 1490, 2400]]
)  # fmt: skip
NOISE = np.array([70, 90, 110, 420])
ZONES = (40, 25)
LIMIT = 1536  # MB


# -- the data ------------------------------------------------------------------------


def pixels(side: int, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return values (bands, side, side) of uint16 and their classes."""
    rng = np.random.default_rng(seed)
    patches = -(-side // PATCH)
    truth = rng.integers(0, len(SPECTRA), (patches, patches))
    level = SPECTRA[truth] + rng.normal(0, 1.5, (patches, patches, 4)) * NOISE
    place = np.arange(side) // PATCH
    noise = rng.standard_normal((side, side, 4), np.float32) * NOISE.astype("float32")
    found = level.astype("float32")[np.ix_(place, place)] + noise
    values = np.moveaxis(found.clip(1, 65535).astype(np.uint16), 2, 0)
    return np.ascontiguousarray(values), truth[np.ix_(place, place)]


def raster_of(folder: Path, side: int) -> Path:
    import rasterio

    path = folder / f"scene_{side}.tif"
    if path.exists():
        return path
    profile = {
        "crs": "EPSG:6933",
        "transform": rasterio.Affine(CELL, 0, 0, 0, -CELL, side * CELL),
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "zstd",
        "zstd_level": 1,
        "bigtiff": "if_safer",
    }
    part = path.with_suffix(".part")
    with rasterio.open(
        part, "w", "GTiff", side, side, 4, dtype="uint16", **profile
    ) as raster:
        for row in range(0, side, TILE):
            for column in range(0, side, TILE):
                height, width = min(TILE, side - row), min(TILE, side - column)
                values, _ = pixels(TILE, [SEED, row, column])
                place = ((row, row + height), (column, column + width))
                raster.write(values[:, :height, :width], window=place)
        raster.descriptions = BANDS
    return part.replace(path)


def zones_of(side: int) -> Any:
    """Return a grid of 1,000 zones whose shared corners are shaken."""
    import geopandas
    import shapely

    rng = np.random.default_rng(SEED)
    step = np.array([side * CELL / ZONES[0], side * CELL / ZONES[1]])
    x, y = np.meshgrid(np.arange(ZONES[0] + 1), np.arange(ZONES[1] + 1))
    corners = np.stack([x, y], axis=-1) * step
    move = rng.uniform(-0.25, 0.25, corners.shape) * step
    move[[0, -1]], move[:, [0, -1]] = 0, 0
    c = corners + move
    rings = np.stack([c[:-1, :-1], c[:-1, 1:], c[1:, 1:], c[1:, :-1]], axis=2)
    shapes = shapely.polygons(rings.reshape(-1, 4, 2))
    frame = {"zone": range(len(shapes))}
    return geopandas.GeoDataFrame(frame, geometry=shapes, crs="EPSG:6933")


def fitted() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    from mlstats.imagery.pixel_classifier import PixelClassifier

    values, truth = pixels(1_024, [SEED])
    rows = np.random.default_rng(SEED).choice(truth.size, 1_000, replace=False)
    X = values.reshape(4, -1).T[rows].astype(float)
    forest = RandomForestClassifier(100, random_state=0).fit(X, truth.ravel()[rows])
    return PixelClassifier(forest)


# -- what is measured ----------------------------------------------------------------


def cpu() -> float:
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


class Memory:
    """The most that each process below this one holds, in MB, from now to the end."""

    def __enter__(self) -> Memory:
        self.most: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._done.wait(0.05):
            for one in [me, *me.children(recursive=True)]:
                try:
                    held = one.memory_info().rss / 2**20
                except psutil.NoSuchProcess:
                    continue
                self.most[one.pid] = max(self.most.get(one.pid, 0), held)


def steps(path: Path, out: Path, side: int, workers: Any) -> dict[str, Callable]:
    from mlstats.imagery import Image, Stack, zonal_statistics
    from mlstats.imagery.class_raster import classify_raster

    classifier, zones = fitted(), zones_of(side)
    return {
        "forest": lambda: classify_raster(
            Stack([Image(path)]), None, classifier, out, workers=workers
        ),
        "hectares": lambda: zonal_statistics(
            out, zones, id="zone", values="classes", workers=workers
        ),
        "means": lambda: zonal_statistics(
            *(path, zones), id="zone", statistics=["mean", "std"], workers=workers
        ),
    }


def large(path: Path, side: int, workers: Any) -> dict[str, dict[str, float]]:
    """Return the figures of each step; runs in a process of its own."""
    out, found = path.with_name("classes.tif"), {}
    for name, step in steps(path, out, side, workers).items():
        begin, start = cpu(), time.perf_counter()
        with Memory() as memory:
            step()
        found[name] = {
            "wall": time.perf_counter() - start,
            "cpu": cpu() - begin,
            "all": sum(memory.most.values()),
            "one": max(memory.most.values()),
        }
    out.unlink()
    return found


def seam(turns: int, folder: Path) -> list[list[float]]:
    """Return seconds of CPU directly, by map_blocks, and from file to file."""
    from mlstats.imagery import Image, Stack
    from mlstats.imagery.class_raster import classify_raster
    from mlstats.scale import map_blocks

    classifier, path = fitted(), raster_of(folder, 1_024)
    with Stack([Image(path)]) as stack:
        whole = stack.read(_window(1_024), as_stored=True).values
    blocks = [
        np.ascontiguousarray(whole[:, row : row + TILE, column : column + TILE])
        for row in (0, TILE)
        for column in (0, TILE)
    ]
    out = folder / "small.tif"
    ways: list[Callable[[], Any]] = [
        lambda: [classifier.predict(block) for block in blocks],
        lambda: list(map_blocks(classifier.predict, blocks)),
        lambda: classify_raster(Stack([Image(path)]), None, classifier, out),
    ]
    for way in ways:
        way()
    return [[_seconds(way) for way in ways] for _ in range(turns)]


def _window(side: int) -> Any:
    from mlstats.imagery import Window

    return Window(0, 0, side, side)


def _seconds(way: Callable[[], Any]) -> float:
    start = time.process_time()
    way()
    return time.process_time() - start


Turns = list[list[dict[str, tuple[float, float]]]]


def turns_of(
    path: Path, side: int, scales: list[Any], turns: int
) -> tuple[Turns, bool]:
    """Return seconds by turn, scale and step, and whether all results are the same.

    Seconds are wall, and CPU of this process and its workers.
    """
    out, found, results = path.with_name("classes.tif"), [], set()
    every = [steps(path, out, side, workers) for workers in scales]
    for _ in range(turns):
        row = []
        for each in every:
            taken, tables = {}, []
            for name, step in each.items():
                begin, start = cpu(), time.perf_counter()
                tables.append(step())
                taken[name] = (time.perf_counter() - start, cpu() - begin)
            told = "".join(table.to_json(double_precision=15) for table in tables)
            results.add(hashlib.sha256(out.read_bytes() + told.encode()).hexdigest())
            out.unlink()
            row.append(taken)
        found.append(row)
    return found, len(results) == 1


def alone(function: Callable, *arguments: Any) -> Any:
    """Return ``function(*arguments)`` of a new process, which may have children."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


# -- what is shown -------------------------------------------------------------------


def table_of(found: dict[int, dict[str, dict[str, float]]], title: str) -> Table:
    table = Table(title=title)
    heads = ["side", "step", "wall s", "CPU s", "Mpixels/s", "Mpixels/CPU s"]
    for head in [*heads, "MB, all", "MB, one"]:
        table.add_column(head, justify="left" if head == "step" else "right")
    for side, of_steps in found.items():
        millions = side**2 / 1e6
        for name, one in of_steps.items():
            rates = (millions / one["wall"], millions / one["cpu"])
            table.add_row(
                *(f"{side:,}", name, f"{one['wall']:.1f}", f"{one['cpu']:.1f}"),
                *(f"{rate:.2f}" for rate in rates),
                *(f"{one['all']:.0f}", f"{one['one']:.0f}"),
            )
    return table


def sentences(found: dict[int, dict[str, dict[str, float]]]) -> list[str]:
    sides = sorted(found)
    told = []
    for name in found[sides[0]]:
        used = [found[side][name]["cpu"] for side in (sides[-2], sides[-1])]
        ratio = (sides[-1] / sides[-2]) ** 2
        exponent = np.log(used[1] / used[0]) / np.log(ratio)
        told.append(f"{name}: exponent {exponent:.3f}")
    most = max(one["all"] for one in found[sides[-1]].values())
    verdict = "within" if most <= LIMIT else "NOT within"
    told.append(f"{most:.0f} MB in all at most, {verdict} {LIMIT} MB")
    return told


def seam_sentences(seconds: list[list[float]]) -> list[str]:
    direct = [row[0] for row in seconds]
    told = [f"seam, median of {len(seconds)}: direct {statistics.median(direct):.3f} s"]
    for place, name in ((1, "by map_blocks"), (2, "from file to file")):
        ratio = statistics.median(row[place] / row[0] for row in seconds)
        each = statistics.median(row[place] for row in seconds)
        told.append(f"  {name} {each:.3f} s, median ratio {ratio:.3f}")
    return told


def turn_sentences(turns: Turns, same: bool, scales: list[Any], side: int) -> list[str]:
    told = [f"{side:,} x {side:,}, {len(turns)} turns of {scales}, median ratios"]
    kinds = {0: "wall", 1: "CPU of all processes"}
    for place, scale in enumerate(scales[1:], 1):
        for name in turns[0][0]:
            for kind, what in kinds.items():
                if kind == 1 and not isinstance(scale, int):
                    continue  # what a cluster spends is not seen here
                pairs = [(row[0][name][kind], row[place][name][kind]) for row in turns]
                ratio = statistics.median(one / other for one, other in pairs)
                each = "; ".join(f"{one:.1f}/{other:.1f}" for one, other in pairs)
                told.append(f"  {scale}, {name}, {what}: {ratio:.2f} ({each})")
    told.append(f"  same bytes and equal tables: {'yes' if same else 'NO'}")
    return told


def plot(found: dict[int, dict[str, dict[str, float]]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    sides = sorted(found)
    millions = [side**2 / 1e6 for side in sides]
    for name in found[sides[0]]:
        for axis, what in zip(axes, ("cpu", "all"), strict=True):
            values = [found[side][name][what] for side in sides]
            axis.plot(millions, values, marker="o", label=name)
    axes[0].set(xscale="log", yscale="log", ylabel="CPU seconds")
    axes[1].set(xscale="log", ylabel="MB, all processes", ylim=(0, LIMIT * 1.1))
    axes[1].axhline(LIMIT, color="grey", linestyle="--")
    for axis in axes:
        axis.set_xlabel("million pixels")
        axis.legend()
    figure.savefig(path, dpi=120)


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--pair", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--address")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.size, options.pair, options.turns = 2_048, 1_024, 1
    return options


def show_large(
    options: argparse.Namespace, folder: Path, output: Path, console: Console
) -> None:
    found = {}
    for side in (options.size // 4, options.size // 2, options.size):
        path = raster_of(folder, side)
        found[side] = alone(large, path, side, options.workers[-1])
    title = f"4 bands of uint16, {options.workers[-1]} workers"
    console.print(table_of(found, title))
    for line in sentences(found):
        console.print(line)
    plot(found, output / "imagery.png")
    console.print(f"plot: {output / 'imagery.png'}", soft_wrap=True)


def main() -> None:
    options, console = options_of(), Console(width=120)
    output = options.output or Path(tempfile.mkdtemp(prefix="mlstats-benchmark-"))
    output.mkdir(parents=True, exist_ok=True)
    scales: list[Any] = list(options.workers)
    if options.address:
        from mlstats.scale import Scale

        scales.append(Scale(options.address))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for line in seam_sentences(alone(seam, options.turns, folder)):
            console.print(line)
        if options.size:
            show_large(options, folder, output, console)
        if options.pair:
            path = raster_of(folder, options.pair)
            given = (path, options.pair, scales, options.turns)
            told = turn_sentences(*alone(turns_of, *given), scales, options.pair)
            for line in told:
                console.print(line, highlight=False)


if __name__ == "__main__":
    main()
