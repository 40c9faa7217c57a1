"""Windows of a grid, what is read in them, and reading a file resampled to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, ContractError, SourceError
from mlstats.imagery.grid import Grid, grid_of, open_raster

__all__ = ["Block", "OpenedRaster", "Window"]

Pixels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

# From here on a pixel of the grid holds so many of the file that their mean is meant.
_COARSER = 1.5
# Pixels of a file by which a resampled place may be off.
_TOLERANCE = 0.01


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels; it may reach over the edges of its grid.

    Attributes
    ----------
    row, column : int
        The upper left pixel.
    height, width : int
        Rows and columns.
    """

    row: int
    column: int
    height: int
    width: int

    @classmethod
    def of(cls, window: Any) -> Window:
        """Return a window, or one with the offsets and sizes of rasterio's."""
        if isinstance(window, cls):
            return window
        parts = (window.row_off, window.col_off, window.height, window.width)
        return cls(*(round(part) for part in parts))

    @classmethod
    def cover(cls, shape: tuple[int, int], size: tuple[int, int]) -> Iterator[Window]:
        """Yield windows of at most `size` that part `shape`, row by row.

        Examples
        --------
        >>> [window.width for window in Window.cover((1, 5), (1, 2))]
        [2, 2, 1]
        """
        for row in range(0, shape[0], size[0]):
            height = min(size[0], shape[0] - row)
            for column in range(0, shape[1], size[1]):
                yield cls(row, column, height, min(size[1], shape[1] - column))

    def grown(self, halo: int) -> Window:
        """Return the window with a rim of pixels around it."""
        sizes = self.height + 2 * halo, self.width + 2 * halo
        return Window(self.row - halo, self.column - halo, *sizes)

    def inside(self, shape: tuple[int, int]) -> Window:
        """Return the part that lies in a raster of this shape; it may be empty."""
        top, left = max(self.row, 0), max(self.column, 0)
        height = min(self.row + self.height, shape[0]) - top
        width = min(self.column + self.width, shape[1]) - left
        return Window(top, left, max(height, 0), max(width, 0))

    def moved(self, rows: int, columns: int) -> Window:
        """Return the window shifted by rows and columns."""
        corner = self.row + rows, self.column + columns
        return Window(*corner, self.height, self.width)

    @property
    def text(self) -> str:
        """The place in words."""
        return (
            f"rows {self.row} to {self.row + self.height}, "
            f"columns {self.column} to {self.column + self.width}"
        )

    @property
    def ranges(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns from and to, as rasterio takes them."""
        ends = self.row + self.height, self.column + self.width
        return (self.row, ends[0]), (self.column, ends[1])

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns as slices."""
        rows, columns = self.ranges
        return slice(*rows), slice(*columns)


@dataclass(frozen=True)
class Block:
    """What a stack holds in one window.

    Attributes
    ----------
    values : ndarray of float32, shape (bands, rows, columns)
        In the order of `names`; NaN where not valid. As stored in the files where the
        block was read so, with any value where not valid.
    valid : ndarray of bool, shape (dates, rows, columns)
        Where all bands of a date are valid.
    window : Window
        The place in the stack's grid.
    names : tuple of str
        ``band@date``, or ``band`` where the image has no date.
    dates : tuple of str or None
        In order; None first, where there are images without a date.
    """

    values: Pixels
    valid: Mask
    window: Window
    names: tuple[str, ...]
    dates: tuple[str | None, ...]

    @property
    def count(self) -> npt.NDArray[np.int32]:
        """Number of dates with a valid observation, shape (rows, columns)."""
        dated = [date is not None for date in self.dates]
        kept = self.valid[dated] if any(dated) else self.valid
        return np.asarray(kept.sum(0, dtype=np.int32))


@dataclass(frozen=True)
class OpenedRaster:
    """A raster file that is open in this process.

    Attributes
    ----------
    dataset : rasterio dataset
        The open file.
    grid : Grid
        Its own grid.
    by_band : bool
        Whether bands are read one by one.
    """

    dataset: Any
    grid: Grid
    by_band: bool = False
    _warped: dict[Any, OpenedRaster] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, path: str | Path) -> OpenedRaster:
        """Open a file; raises as :meth:`Grid.of`."""
        dataset = open_raster(path)
        return cls(dataset, grid_of(dataset))

    def read(
        self,
        bands: list[int],
        grid: Grid,
        window: Window,
        *,
        codes: bool = False,
        nodata: float | None = None,
        as_stored: bool = False,
    ) -> tuple[Pixels, Mask]:
        """Read bands on a window of a grid.

        Parameters
        ----------
        bands : list of int
            Numbers from 1.
        grid : Grid
            The grid that `window` counts in.
        window : Window
            The place to read.
        codes : bool
            Whether values are codes; those of another grid are then taken by the
            nearest pixel, else bilinear, or by the mean where pixels of `grid` are
            larger by half or more.
        nodata : float, optional
            Stored value of no observation; by default the file's.
        as_stored : bool
            Keep the file's type instead of float32.

        Returns
        -------
        values : ndarray, shape (bands, rows, columns)
            Any value where not valid.
        valid : ndarray of bool, shape (bands, rows, columns)
            Inside the file and not nodata.

        Raises
        ------
        SourceError
            The file is damaged in that window.
        ConfigError
            `as_stored` of a file on another grid.
        ContractError
            A file with a mask inside on another grid.
        """
        from rasterio.errors import RasterioError

        offset = grid.offset_in(self.grid)
        if offset is None and as_stored:
            raise ConfigError(
                "values of another grid cannot be read as they are stored",
                where=str(self.dataset.name),
                expected="an image that lies on the stack's grid",
            )
        nodata = self.dataset.nodata if nodata is None else nodata
        try:
            if offset is not None:
                return self._plain(bands, window.moved(*offset), nodata, as_stored)
            aligned = self._aligned(tuple(bands), grid, codes, nodata)
            every = list(range(1, len(bands) + 1))
            return aligned._plain(every, window, None, as_stored)
        except RasterioError:
            raise SourceError(
                "The raster cannot be read to its end",
                where=f"{self.dataset.name}, in {window.text} of the grid",
                expected="a complete file",
                hint="copy or export it again; an interrupted copy looks like this",
            ) from None

    def close(self) -> None:
        """Close the file."""
        for aligned in self._warped.values():
            aligned.close()
        self._warped.clear()
        self.dataset.close()

    def _plain(
        self, bands: list[int], window: Window, nodata: float | None, as_stored: bool
    ) -> tuple[Pixels, Mask]:
        part = window.inside(self.dataset.shape)
        shape = (len(bands), window.height, window.width)
        types = [np.dtype(self.dataset.dtypes[band - 1]) for band in bands]
        values = np.zeros(shape, np.result_type(*types) if as_stored else np.float32)
        valid = np.zeros(shape, bool)
        if part.height and part.width:
            stored = self._stored(bands, part)
            rows, columns = part.moved(-window.row, -window.column).slices
            values[:, rows, columns] = stored
            valid[:, rows, columns] = self._observed(bands, stored, nodata, part)
        return values, valid

    def _stored(self, bands: list[int], part: Window) -> Pixels:
        if not self.by_band:
            return np.asarray(self.dataset.read(bands, window=part.ranges))
        one = (self.dataset.read(band, window=part.ranges) for band in bands)
        return np.stack(list(one))

    def _observed(
        self, bands: list[int], stored: Pixels, nodata: float | None, part: Window
    ) -> Mask:
        from rasterio.enums import MaskFlags

        flags = self.dataset.mask_flag_enums[bands[0] - 1]
        if nodata is not None and not np.isnan(nodata):
            observed = stored != nodata
        elif MaskFlags.per_dataset in flags:
            observed = self.dataset.read_masks(bands, window=part.ranges) > 0
        else:
            observed = np.ones(stored.shape, bool)
        if np.issubdtype(stored.dtype, np.floating):
            observed &= np.isfinite(stored)
        return np.asarray(observed)

    def _aligned(
        self, bands: tuple[int, ...], grid: Grid, codes: bool, nodata: float | None
    ) -> OpenedRaster:
        """Return bands as seen on another grid, the same in whatever windows.

        A window warped on its own is placed by an approximation that differs from
        window to window. GDAL's virtual raster of the whole grid works in blocks of its
        own instead, but only where fewer bands are read than it has.
        """
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        key = (bands, grid, codes, nodata)
        if key not in self._warped:
            if codes:
                method = Resampling.nearest
            elif self._times_coarser(grid) >= _COARSER:
                method = Resampling.average
            else:
                method = Resampling.bilinear
            warped = WarpedVRT(
                self._of_bands(bands),
                crs=grid.crs,
                transform=grid.affine,
                width=grid.width,
                height=grid.height,
                resampling=method,
                src_nodata=nodata,
                nodata=np.nan,
                dtype="float32",
                tolerance=_TOLERANCE,
            )
            self._warped[key] = OpenedRaster(warped, grid, by_band=True)
        return self._warped[key]

    def _of_bands(self, bands: tuple[int, ...]) -> Any:
        """Return a virtual raster of some bands; all would be warped for any."""
        import rasterio
        from rasterio.enums import MaskFlags

        if MaskFlags.per_dataset in self.dataset.mask_flag_enums[bands[0] - 1]:
            raise ContractError(
                "a raster with a mask inside cannot be taken to another grid",
                where=str(self.dataset.name),
                expected="a nodata value in place of the mask",
            )
        if bands == tuple(self.dataset.indexes) and len(bands) > 1:
            return self.dataset
        height, width = self.dataset.shape
        root = ElementTree.Element(
            "VRTDataset", rasterXSize=str(width), rasterYSize=str(height)
        )
        ElementTree.SubElement(root, "SRS").text = self.dataset.crs.to_wkt()
        place = ", ".join(map(repr, self.dataset.transform.to_gdal()))
        ElementTree.SubElement(root, "GeoTransform").text = place
        for number, band in enumerate(bands * (1 + (len(bands) == 1)), 1):
            kind = _gdal_type(self.dataset.dtypes[band - 1])
            one = ElementTree.SubElement(
                root, "VRTRasterBand", dataType=kind, band=str(number)
            )
            source = ElementTree.SubElement(one, "SimpleSource")
            name = ElementTree.SubElement(source, "SourceFilename", relativeToVRT="0")
            name.text = str(Path(self.dataset.name).resolve())
            ElementTree.SubElement(source, "SourceBand").text = str(band)
        return rasterio.open(ElementTree.tostring(root, "unicode"))

    def _times_coarser(self, place: Grid) -> float:
        """Length of a pixel of `place` in pixels of the file, at the middle."""
        from rasterio.warp import transform

        row, column = place.height / 2, place.width / 2
        x, y = place.centres_of([row, row, row + 1], [column, column + 1, column])
        moved = transform(place.crs, self.grid.crs, x.tolist(), y.tolist())
        corner, right, down = np.column_stack(self.grid.to_pixels(*moved))
        return float(np.sqrt(abs(np.linalg.det([right - corner, down - corner]))))


def _gdal_type(dtype: str) -> str:
    from rasterio.dtypes import dtype_rev, typename_fwd

    return str(typename_fwd[dtype_rev[dtype]])
