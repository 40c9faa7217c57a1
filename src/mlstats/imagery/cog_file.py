"""Writing finished blocks as one cloud-optimised GeoTIFF that tells what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlstats.errors import ConfigError, ServiceError
from mlstats.imagery.grid import Grid
from mlstats.imagery.windows import Pixels, Window

__all__ = ["CACHE_BYTES", "Layout", "write_cog"]

# GDAL's own default, 5 % of the memory, is too much beside other workers.
CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Layout:
    """Type and meaning of a raster to write.

    Attributes
    ----------
    bands : tuple of str
        Names of the bands.
    dtype : str
        Type of the values.
    nodata : float or None
        Value that stands for no value.
    classes : mapping
        Code -> name, written as the tag ``classes`` in JSON.
    colours : mapping
        Code -> red, green and blue, for one band of uint8.
    tags : mapping
        More tags of the file.
    """

    bands: tuple[str, ...]
    dtype: str
    nodata: float | None = None
    classes: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from rasterio.dtypes import check_dtype

        if not self.bands:
            raise ConfigError("a raster needs names of bands", where="bands")
        if not check_dtype(self.dtype):
            raise ConfigError(
                f"no raster has the type {self.dtype!r}", expected="as uint8"
            )
        if self.colours and (self.dtype != "uint8" or len(self.bands) > 1):
            raise ConfigError(
                "colours are kept for one band of uint8 only", where="colours"
            )

    @property
    def holds_codes(self) -> bool:
        """Whether overviews must not average the values."""
        return bool(np.issubdtype(np.dtype(self.dtype), np.integer))

    def describe(self, target: Any) -> None:
        """Write names, tags and colours to an opened raster."""
        target.descriptions = self.bands
        target.update_tags(**self.tags)
        if self.classes:
            names = {str(code): name for code, name in sorted(self.classes.items())}
            target.update_tags(classes=json.dumps(names, ensure_ascii=False))
        if self.colours:
            target.write_colormap(1, dict(self.colours))


def write_cog(
    path: Path,
    blocks: Iterable[tuple[Window, Pixels]],
    *,
    grid: Grid,
    layout: Layout,
    size: tuple[int, int],
    threads: int = 1,
) -> None:
    """Write blocks as a GeoTIFF beside `path`, and that as a cloud-optimised one.

    Parameters
    ----------
    path : pathlib.Path
        The file to write; it may be left in part where the run is stopped.
    blocks : iterable of (Window, ndarray)
        Values of shape (bands, rows, columns) in any order; together they cover the
        grid. Each is written as it comes, so that the work on them goes on meanwhile.
    grid : Grid
        The place of the raster.
    layout : Layout
        What it holds. Overviews take the nearest value of integers, the mean of others.
    size : tuple of int
        Rows and columns of the blocks, multiples of 16 unless whole rows.
    threads : int, default=1
        Threads that pack tiles; the bytes are the same.

    Raises
    ------
    ServiceError
        GDAL cannot write the file, for instance on a full disk.
    """
    import rasterio
    from rasterio.shutil import copy

    whole = path.with_suffix(".whole")
    tiled = size[1] < grid.width
    profile = {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": len(layout.bands),
        "dtype": layout.dtype,
        "crs": grid.crs,
        "transform": grid.affine,
        "nodata": layout.nodata,
        "tiled": tiled,
        "blockysize": size[0],
        "compress": "deflate",
        "zlevel": 1,
        "bigtiff": "if_safer",
        "num_threads": threads,
        **({"blockxsize": size[1]} if tiled else {}),
    }
    with _refusals_told(path), rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        with rasterio.open(whole, "w", **profile) as target:
            layout.describe(target)
            for window, values in blocks:
                target.write(values, window=window.ranges)
        copy(
            whole,
            path,
            driver="COG",
            compress="deflate",
            level=1,
            predictor="no" if layout.holds_codes else "yes",
            bigtiff="if_safer",
            num_threads=threads,
            overview_resampling="nearest" if layout.holds_codes else "average",
        )
    whole.unlink()


@contextmanager
def _refusals_told(path: Path) -> Iterator[None]:
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    # Not every refusal of GDAL comes as an error of rasterio's own.
    try:
        yield
    except (RasterioError, CPLE_BaseError):
        raise ServiceError(
            "The raster cannot be written",
            where=str(path),
            expected="room for three times the result",
            hint="make room or choose another place, then run again; "
            "finished blocks are kept",
        ) from None
