"""Small rasters made for tests, and a slow map of one that can be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import rasterio

from mlstats.imagery import Block, map_raster
from mlstats.scale import Scale

UTM = "EPSG:32615"


def write_raster(path: Path, values, *, crs=UTM, corner=(5e5, 2e6), size=30.0, **more):
    """Write bands of shape (bands, rows, columns) with the corner at the upper left."""
    values = values if values.ndim == 3 else values[np.newaxis]
    names = more.pop("names", None)
    transform = rasterio.Affine(size, 0, corner[0], 0, -size, corner[1])
    count, height, width = values.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=height,
        width=width,
        dtype=values.dtype.name,
        crs=crs,
        transform=more.pop("transform", transform),
        **more,
    ) as target:
        target.write(values)
        if names:
            target.descriptions = names
    return path


def read_raster(path: Path):
    with rasterio.open(path) as source:
        return source.read()


def slow_sums(block: Block):
    time.sleep(0.01)
    return block.values.sum(0)


def negative(block: Block):
    return (7 - block.values[0]).astype("uint8")


if __name__ == "__main__":
    # A worker of a cluster imports the function from its module, which this is not.
    from tests.raster_example import slow_sums

    folder, workers = Path(sys.argv[1]), sys.argv[2]
    done = map_raster(
        slow_sums,
        folder / "in.tif",
        folder / "out.tif",
        bands="sum",
        dtype="float32",
        block=16,
        workers=int(workers) if workers.isdigit() else Scale(workers),
    )
    print(done.computed, done.blocks)
