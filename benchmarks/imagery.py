"""Speed and memory of the classification of pixels, beside scikit-learn in chunks.

    python benchmarks/imagery.py [--size 10000] [--workers 1 2] [--only NAME ...]
                                 [--folder FOLDER] [--pair 10000] [--peer 1.0]

Makes a raster of `size` x `size` pixels, 6 bands, uint16, tiled by 512 and packed with
ZSTD: land cover in patches, a spectrum for each of 4 classes, and noise of each pixel
and of each patch. The share of pixels whose spectrum occurs once is printed. Each
method classifies the whole raster in a process of its own, from file to file by
``classify_raster``, with one worker. Shown are

- to map: millions of pixels per CPU second of all that, reading, the written map with
  its overviews and the count of classes included;
- in memory: the same without reading and writing, on a part of the raster;
- wall seconds, the peak of memory of that process (GDAL's cache of 64 MiB and the
  libraries included), and of it what was there before the first pixel;
- peer: scikit-learn in the same process, in windows of 512 x 512 float32 that lie in
  memory, on `peer` million pixels or the first window;
- differ: labels that are not scikit-learn's, of the pixels that the peer did;
- changed: share of labels of the in-memory part that are not those of the exact way.

Then one and two workers take turns seven times on a raster of `pair` x `pair`, with the
first of the methods; printed is the median of the seven ratios of wall seconds. Where
other work shares the cores these say little, so the same ratio is printed of the CPU
seconds of the main process and one worker, which do not wait. "first s" are the seconds
until machine code is loaded, or compiled where the machine has none yet.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rich.console import Console
from rich.table import Table

from mlstats.imagery.class_raster import classify_raster
from mlstats.imagery.images import Image, Stack
from mlstats.imagery.pixel_classifier import PixelClassifier

TILE = 512
PATCH = 32
SEED = 6
TURNS = 7
# Blue to second short-wave infrared of water, forest, crop and soil, times 10,000.
SPECTRA = np.array(
    [
        [620, 560, 420, 380, 240, 170],
        [310, 520, 360, 2900, 1400, 620],
        [480, 790, 640, 3300, 2100, 1050],
        [930, 1240, 1490, 2400, 2900, 2050],
    ]
)
PIXEL_NOISE = np.array([70, 90, 110, 420, 330, 240])
PATCH_NOISE = 1.5 * PIXEL_NOISE


@dataclass(frozen=True)
class Method:
    """An estimator, the pixels it is fitted on and the lead of the classifier."""

    estimator: Any
    fitted_on: int
    lead: float = 1.0


def methods() -> dict[str, Method]:
    # Here, since workers import this file and do not need them.
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )

    from mlstats.imagery.maximum_likelihood import MaximumLikelihood

    forest = RandomForestClassifier(100, random_state=0)
    boosting = HistGradientBoostingClassifier(
        max_iter=100, early_stopping=False, random_state=0
    )
    return {
        "forest": Method(forest, 1_000),
        "forest, lead .5": Method(forest, 1_000, 0.5),
        "large forest": Method(forest, 20_000),
        "large forest, lead .5": Method(forest, 20_000, 0.5),
        "boosting": Method(boosting, 4_000),
        "gradient boosting": Method(
            GradientBoostingClassifier(n_estimators=100, random_state=0), 1_000
        ),
        "maximum likelihood": Method(MaximumLikelihood(), 4_000),
    }


def pixels(shape: tuple[int, int], seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return values (bands, rows, cols) of uint16 and their classes."""
    rng = np.random.default_rng(seed)
    patches = tuple(-(-side // PATCH) for side in shape)
    truth = rng.integers(0, len(SPECTRA), patches)
    level = SPECTRA[truth] + rng.normal(0, 1, (*patches, 6)) * PATCH_NOISE
    rows, columns = (np.arange(side) // PATCH for side in shape)
    noise = rng.standard_normal((*shape, 6), np.float32) * PIXEL_NOISE
    found = level[np.ix_(rows, columns)] + noise
    values = found.clip(1, 65535).astype(np.uint16)
    return np.ascontiguousarray(np.moveaxis(values, 2, 0)), truth[np.ix_(rows, columns)]


def windows(size: int, step: int) -> Iterator[tuple[int, int, int, int]]:
    for row in range(0, size, step):
        for column in range(0, size, step):
            yield row, column, min(step, size - row), min(step, size - column)


def make_raster(path: Path, size: int) -> None:
    options = {
        "crs": "EPSG:32636",
        "transform": Affine(10, 0, 300_000, 0, -10, 4_000_000),
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "zstd",
        "zstd_level": 1,
        "bigtiff": "if_safer",
    }
    with rasterio.open(
        path, "w", "GTiff", size, size, 6, dtype="uint16", **options
    ) as raster:
        for row, column, height, width in windows(size, TILE):
            values, _ = pixels((height, width), [SEED, row, column])
            place = ((row, row + height), (column, column + width))
            raster.write(values, window=place)
        raster.descriptions = ("blue", "green", "red", "nir", "swir1", "swir2")


def part_of(path: Path, millions: float) -> list[np.ndarray]:
    """Return windows of 512 x 512 from all over the raster."""
    with rasterio.open(path) as raster:
        places = list(windows(raster.width, TILE))
        n = max(1, round(millions * 1e6 / TILE**2))
        chosen = places[:: max(1, len(places) // n)][:n]
        return [
            raster.read(window=((row, row + height), (column, column + width)))
            for row, column, height, width in chosen
        ]


def unique_share(blocks: list[np.ndarray]) -> float:
    """Return the share of pixels whose spectrum no other pixel has."""
    flat = np.concatenate([block.reshape(6, -1) for block in blocks], axis=1).T
    _, counts = np.unique(
        np.ascontiguousarray(flat).view("V12").ravel(), return_counts=True
    )
    return float((counts == 1).sum() / counts.sum())


def fitted(method: Method) -> Any:
    values, truth = pixels((1_024, 1_024), [SEED])
    rows = np.random.default_rng(SEED).choice(truth.size, method.fitted_on, False)
    X = values.reshape(6, -1).T[rows].astype(float)
    return method.estimator.fit(X, truth.ravel()[rows])


def peak() -> float:
    """Return the greatest memory of this process so far, in MB."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu(children: bool = False) -> float:
    used = resource.getrusage(
        resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    )
    return used.ru_utime + used.ru_stime


def measure(name: str, path: Path, millions: float) -> dict[str, Any]:
    """Return the figures of a method; runs in a process of its own."""
    method = methods()[name]
    estimator = fitted(method)
    classifier = PixelClassifier(estimator, lead=method.lead)
    start = time.perf_counter()
    classifier.predict(np.ones((6, 10), np.uint16))
    result: dict[str, Any] = {"compile": time.perf_counter() - start}
    result |= {"how": classifier.how, "before": peak()}
    begin, start = cpu(), time.perf_counter()
    out = path.with_name("classes.tif")
    counts = classify_raster(Stack([Image(path)]), None, classifier, out)
    n = int(counts["pixels"].sum())
    result["to_map"] = n / 1e6 / (cpu() - begin)
    result |= {"wall": time.perf_counter() - start, "peak": peak()}
    out.unlink()
    return result | in_memory(estimator, classifier, path, millions)


def in_memory(
    estimator: Any, classifier: PixelClassifier, path: Path, millions: float
) -> dict[str, Any]:
    blocks = part_of(path, 8)
    begin = cpu()
    found = [classifier.predict(block) for block in blocks]
    result = {"memory": sum(map(np.size, found)) / 1e6 / (cpu() - begin)}
    if classifier.lead < 1:
        exact = PixelClassifier(estimator)
        changed = [
            (exact.predict(block) != one).mean()
            for block, one in zip(blocks, found, strict=True)
        ]
        result["changed"] = float(np.mean(changed))
    tables = [
        np.ascontiguousarray(block.reshape(6, -1).T, np.float32)
        for block in part_of(path, millions)
    ]
    begin = cpu()
    expected = [estimator.predict(table) for table in tables]
    result["done"] = sum(map(len, expected))
    result["peer"] = result["done"] / 1e6 / (cpu() - begin)
    result["differ"] = sum(
        int((estimator.classes_[classifier.predict(np.array(table.T))] != one).sum())
        for table, one in zip(tables, expected, strict=True)
    )
    return result


def pair(name: str, path: Path, workers: list[int]) -> list[list[tuple[float, float]]]:
    """Return wall and CPU seconds of each number of workers, taking turns."""
    method = methods()[name]
    classifier = PixelClassifier(fitted(method), lead=method.lead)
    out = path.with_name("classes.tif")
    return [
        [timed(classifier, path, out, number) for number in workers]
        for _ in range(TURNS)
    ]


def timed(
    classifier: PixelClassifier, path: Path, out: Path, workers: int
) -> tuple[float, float]:
    """Return wall seconds, and CPU seconds of the longest row of work."""
    own, others, start = cpu(), cpu(children=True), time.perf_counter()
    classify_raster(Stack([Image(path)]), None, classifier, out, workers=workers)
    wall = time.perf_counter() - start
    out.unlink()
    return wall, cpu() - own + (cpu(children=True) - others) / workers


def alone(function: Any, *arguments: Any) -> Any:
    """Return ``function(*arguments)`` of a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def row_of(name: str, found: dict[str, Any], size: int) -> list[str]:
    changed = found.get("changed")
    return [
        name,
        found["how"].split(",")[1].split()[0] if "nodes" in found["how"] else "",
        f"{found['to_map']:.2f}",
        f"{found['memory']:.2f}",
        f"{found['wall']:.0f}",
        f"{found['peak']:.0f} ({found['before']:.0f})",
        f"{found['peer']:.3f}",
        f"{found['differ']} of {found['done']:,}",
        "" if changed is None else f"{changed:.4%}",
        f"{found['compile']:.1f}",
    ]


def table_of(size: int, share: float) -> Table:
    title = (
        f"{size:,} x {size:,} x 6 uint16, {share:.0%} of the spectra occur once; "
        "millions of pixels per CPU second"
    )
    table = Table(title=title)
    for column in (
        "method",
        "nodes",
        "to map",
        "in memory",
        "wall s",
        "peak MB (before)",
        "peer",
        "differ",
        "changed",
        "first s",
    ):
        table.add_column(column, justify="left" if column == "method" else "right")
    return table


def raster_of(folder: Path, size: int) -> Path:
    path = folder / f"scene_{size}.tif"
    if not path.exists():
        part = path.with_suffix(".part")
        make_raster(part, size)
        part.replace(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--only", nargs="*", choices=list(methods()))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pair", type=int, default=10_000)
    parser.add_argument("--peer", type=float, default=1.0)
    options = parser.parse_args()
    console = Console(width=150)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        path = raster_of(folder, options.size)
        table = table_of(options.size, unique_share(part_of(path, 4)))
        chosen = options.only or list(methods())
        for name in chosen:
            found = alone(measure, name, path, options.peer)
            table.add_row(*row_of(name, found, options.size))
        console.print(table)
        if len(options.workers) == 2:
            smaller = raster_of(folder, options.pair)
            turns = alone_with_workers(chosen[0], smaller, options.workers)
            console.print(told(turns, chosen[0], options))


def told(
    turns: list[list[tuple[float, float]]], name: str, options: argparse.Namespace
) -> str:
    lines = [f"{name}, {options.pair:,} x {options.pair:,}, workers {options.workers}"]
    for kind, number in (("wall", 0), ("CPU on the longest way", 1)):
        pairs = [(one[number], two[number]) for one, two in turns]
        ratio = statistics.median(one / two for one, two in pairs)
        each = ", ".join(f"{one:.1f}/{two:.1f}" for one, two in pairs)
        lines.append(f"  seconds, {kind}: {each}; median ratio {ratio:.2f}")
    return "\n".join(lines)


def alone_with_workers(
    name: str, path: Path, workers: list[int]
) -> list[list[tuple[float, float]]]:
    # Not a pool's process, which may not have children of its own.
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(pair, name, path, workers).result()


if __name__ == "__main__":
    main()
