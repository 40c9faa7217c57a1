"""CPU seconds and memory of zonal statistics, and how much the centre rule errs.

Makes a raster of 10,000 x 10,000 ZSTD tiles and jagged zones that share their borders,
1,000 and 10,000 of them. Every measurement runs in a process of its own, so that its
peak memory is its own and no import is free; rounds alternate. The differences are
printed too. ``--table`` measures what ``method="auto"`` rests on.

    python benchmarks/zonal.py --folder FOLDER [--rounds 3] [--all] [--table]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

SIDE, CELL = 10_000, 20.0
GRIDS = {1_000: (40, 25), 10_000: (100, 100)}
NAMES = ["count", "sum", "mean"]
EDGE = 8  # corners that an edge between two zones has


def make_raster(path: Path) -> None:
    import rasterio
    from rasterio.windows import Window

    rng = np.random.default_rng(1)
    across = np.sin(np.linspace(0, 30, SIDE))
    profile = {
        **{"driver": "GTiff", "height": SIDE, "width": SIDE, "count": 1},
        **{"dtype": "uint16", "nodata": 0, "crs": "EPSG:6933"},
        **{"tiled": True, "blockxsize": 512, "blockysize": 512},
        **{"compress": "zstd", "predictor": 2},
        "transform": rasterio.Affine(CELL, 0, 0, 0, -CELL, SIDE * CELL),
    }
    with rasterio.open(path, "w", **profile) as raster:
        for row in range(0, SIDE, 512):
            height = min(512, SIDE - row)
            down = np.cos(np.arange(row, row + height) * 30 / SIDE)[:, None]
            noise = rng.normal(0, 120, (height, SIDE))
            values = (2750 + 900 * down * across + noise).astype("uint16")
            raster.write(values[None], window=Window(0, row, SIDE, height))


def jagged_zones(columns: int, rows: int, side: float = SIDE * CELL) -> Any:
    """Return a perturbed grid whose inner edges are jagged and shared."""
    import geopandas
    import shapely

    rng = np.random.default_rng(2)
    step = np.array([side / columns, side / rows])
    x, y = np.meshgrid(np.arange(columns + 1), np.arange(rows + 1))
    corners = np.stack([x, y], axis=-1) * step
    move = rng.uniform(-0.25, 0.25, corners.shape) * step
    move[[0, -1]], move[:, [0, -1]] = 0, 0
    corners += move

    def edges(start: np.ndarray, end: np.ndarray, noise: float) -> np.ndarray:
        share = np.arange(EDGE)[:, None] / EDGE
        line = start[..., None, :] + (end - start)[..., None, :] * share
        shift = rng.normal(0, noise, line.shape)
        shift[..., 0, :] = 0
        return line + shift

    flat = edges(corners[:, :-1], corners[:, 1:], 0.01 * step[0])
    upright = edges(corners[:-1], corners[1:], 0.01 * step[1])
    for row in (0, -1):
        flat[row, :, :, 1] = corners[row, 0, 1]
    for column in (0, -1):
        upright[:, column, :, 0] = corners[0, column, 0]
    shapes = []
    for j in range(rows):
        for i in range(columns):
            back = np.concatenate([flat[j + 1, i], corners[j + 1, [i + 1]]])
            down = np.concatenate([upright[j, i], corners[[j + 1], i]])
            sides = [flat[j, i], upright[j, i + 1], back[:0:-1], down[:0:-1]]
            shapes.append(shapely.Polygon(np.concatenate(sides)))
    return geopandas.GeoDataFrame(
        {"zone": range(len(shapes))}, geometry=shapes, crs="EPSG:6933"
    )


def summarise(tool: str, raster: Path, zones: Any) -> pd.DataFrame:
    if tool in ("centre", "fractional", "auto"):
        from mlstats.imagery import zonal_statistics

        return zonal_statistics(raster, zones, id="zone", statistics=NAMES, method=tool)
    if tool == "rasterstats":
        import rasterstats

        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return pd.DataFrame(rasterstats.zonal_stats(zones, str(raster), stats=NAMES))
    import exactextract
    import rasterio

    with rasterio.open(raster) as source:
        return exactextract.exact_extract(
            source, zones, NAMES, output="pandas", strategy=tool.split(":")[1]
        )


def one_measurement(tool: str, number: int, folder: Path) -> None:
    """Print CPU seconds of the call, and peak memory in MB; keep the answer."""
    zones = pd.read_pickle(folder / f"zones_{number}.pkl")
    start = time.process_time()
    found = summarise(tool, folder / "raster.tif", zones)
    seconds = time.process_time() - start
    # Of Linux; ru_maxrss would start from the parent's memory.
    told = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    peak = int(told.split()[0]) / 1024
    pd.DataFrame(found)[NAMES].astype(float).to_pickle(
        folder / f"found_{tool.replace(':', '_')}_{number}.pkl"
    )
    print(seconds, peak)


def measure(folder: Path, rounds: int, everything: bool) -> None:
    tools = ["centre", "auto", "exactextract:feature-sequential"]
    tools += ["exactextract:raster-sequential", "rasterstats"]
    for number in GRIDS:
        seconds: dict[str, list[float]] = {}
        peak: dict[str, float] = {}
        for turn in range(rounds):
            for tool in tools:
                slow = tool == "rasterstats"
                if slow and (turn or (number > 1_000 and not everything)):
                    continue
                command = [__file__, "--one", tool, str(number), "--folder", folder]
                told = subprocess.run(
                    [sys.executable, *map(str, command)],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.split()
                seconds.setdefault(tool, []).append(float(told[0]))
                peak[tool] = float(told[1])
        ours = pd.read_pickle(folder / f"found_centre_{number}.pkl")
        print(f"\n{number:,} zones of {SIDE**2 / 1e6:.0f} million cells")
        for tool, taken in seconds.items():
            name = f"found_{tool.replace(':', '_')}_{number}.pkl"
            gap = (pd.read_pickle(folder / name) - ours).abs().max()
            runs = " ".join(f"{value:.2f}" for value in taken)
            print(
                f"{tool:32s} {median(taken):6.2f} CPU s [{runs}] {peak[tool]:5.0f} MB"
                f"  largest difference from centre: count {gap['count']:.3g},"
                f" sum {gap['sum']:.3g}, mean {gap['mean']:.3g}"
            )


def table(folder: Path) -> None:
    """Print time and error by the size of zones, on a corner of 4 million cells."""
    print("\ncells  zones  centre CPU s  fractional CPU s  error of count: sd, largest")
    for grid in (2, 6, 20, 45, 63, 100, 200):
        zones = jagged_zones(grid, grid, 2_000 * CELL)
        taken, found = [], []
        for tool in ("centre", "fractional"):
            start = time.process_time()
            found.append(summarise(tool, folder / "raster.tif", zones))
            taken.append(time.process_time() - start)
        error = found[0]["count"] / found[1]["count"] - 1
        print(
            f"{4_000_000 / grid**2:9.0f} {grid**2:6d} {taken[0]:8.2f} {taken[1]:8.2f}"
            f" {error.std():8.2%} {error.abs().max():8.2%}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="rasterstats on 10,000 too")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("TOOL", "ZONES"))
    given = parser.parse_args()
    if given.one:
        one_measurement(given.one[0], int(given.one[1]), given.folder)
    else:
        given.folder.mkdir(parents=True, exist_ok=True)
        if not (given.folder / "raster.tif").exists():
            make_raster(given.folder / "raster.tif")
        for number, shape in GRIDS.items():
            jagged_zones(*shape).to_pickle(given.folder / f"zones_{number}.pkl")
        if given.table:
            table(given.folder)
        measure(given.folder, given.rounds, given.all)
