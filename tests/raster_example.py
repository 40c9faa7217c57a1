"""Small rasters made for tests, and a slow map of one that is killed halfway."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
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


@dataclass(frozen=True)
class HeldSums:
    """The slow sums, where blocks from a row on wait until they are let go.

    So a test that kills what maps them does it in the middle, however late it comes.
    """

    folder: Path

    def let_go(self, row: int) -> None:
        """Let blocks above a row go."""
        new = self.folder / "until.new"
        new.write_text(str(row))
        new.replace(self.folder / "until")  # read whole, or as it was

    def __call__(self, block: Block):
        end = time.monotonic() + 300
        while block.window.row >= int((self.folder / "until").read_text()):
            assert time.monotonic() < end  # nobody waits for a test that has failed
            time.sleep(0.005)
        return slow_sums(block)


def negative(block: Block):
    return (7 - block.values[0]).astype("uint8")


if __name__ == "__main__":
    # A worker of a cluster imports the function from its module, which this is not.
    from tests.raster_example import HeldSums

    folder, workers = Path(sys.argv[1]), sys.argv[2]
    done = map_raster(
        HeldSums(folder),
        folder / "in.tif",
        folder / "out.tif",
        bands="sum",
        dtype="float32",
        block=16,
        workers=int(workers) if workers.isdigit() else Scale(workers),
    )
    print(done.computed, done.blocks)
