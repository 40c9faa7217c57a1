"""Satellite images of any number of dates, read window by window on one grid.

An :class:`Image` is one file of one date and says which pixels of it are clear. A
:class:`Stack` holds images and reads the same window of all of them: pixels of another
grid are resampled on the way, what is cloud or nodata becomes NaN and is counted.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.imagery.grid import Grid
from mlstats.imagery.windows import Block, Mask, OpenedRaster, Pixels, Window

__all__ = ["Block", "CloudMask", "Image", "Stack"]


@dataclass(frozen=True)
class CloudMask:
    """Which pixels of a date are clear.

    Attributes
    ----------
    band : str or int
        Band that holds the codes, by description or number from 1.
    clear : tuple of int
        The codes that count as clear; for Landsat's ``fmask`` 0 (clear) and 1 (water).
    path : str or pathlib.Path, optional
        File of the band; by default the image's own.
    """

    band: str | int
    clear: tuple[int, ...] = (0, 1)
    path: str | Path | None = None


@dataclass(frozen=True)
class Image:
    """One file of one date.

    Attributes
    ----------
    path : str or pathlib.Path
        The file.
    bands : mapping, sequence or None
        Name -> band of the file, by description or number from 1; a sequence names
        bands by their descriptions; None takes all.
    date : str or datetime.date, optional
        Of the observation, as 2013-09-14. Images without a date (terrain, a previous
        map) hold for every date.
    cloud : CloudMask, optional
        Which pixels are clear; by default all that are not nodata.
    scale, offset : float
        Values are stored * scale + offset; what the file's tags say is not applied.
    nodata : float, optional
        Stored value of no observation; by default the file's own.
    classes : bool
        Whether values are codes, which are never averaged when resampled.
    """

    path: str | Path
    bands: Mapping[str, str | int] | Sequence[str | int] | None = None
    date: str | datetime.date | None = None
    cloud: CloudMask | None = None
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    classes: bool = False

    @property
    def day(self) -> str | None:
        """The date as text, or None.

        Raises
        ------
        ConfigError
            The date is none.
        """
        if self.date is None:
            return None
        try:
            return datetime.date.fromisoformat(str(self.date)[:10]).isoformat()
        except ValueError:
            raise ConfigError(
                f"{self.date!r} is not a date",
                where=str(self.path),
                expected="a date such as 2013-09-14",
            ) from None

    def placed(self) -> Image:
        """Return the image with absolute paths, as another process needs them."""
        cloud = self.cloud
        if cloud is not None and cloud.path is not None:
            cloud = replace(cloud, path=Path(cloud.path).absolute())
        return replace(self, path=Path(self.path).absolute(), cloud=cloud)


class Stack:
    """Images read on one grid.

    Images of one date and the same bands (neighbouring scenes) fill each other's gaps,
    the first one named goes before. A pixel outside an image is not valid.

    Parameters
    ----------
    images : sequence of Image
        In any order of dates.
    grid : Grid, optional
        The grid to read on; by default that of the images, which must then be one.
        :func:`~mlstats.imagery.common_grid` makes one of several.

    Attributes
    ----------
    images : tuple of Image
        By date, those without a date first.
    grid : Grid
        The grid.
    names : tuple of str
        Features: ``band@date`` or ``band``, by date and then in the image's order.
    dates : tuple of str or None
        The distinct dates in order.

    Raises
    ------
    ConfigError
        No image, images on different grids without `grid`.
    ContractError
        A band that a file does not have, a band that is missing on one date, an image
        that has no place in common with the grid.
    SourceError
        A file that is missing, truncated or without CRS.

    Notes
    -----
    Values of another grid are taken by the nearest pixel where they are classes or
    mask codes, by the mean where the grid is coarser by half or more, and bilinear
    otherwise. A mask is applied after resampling, so a value beside a cloud's edge may
    hold some of the cloud.
    """

    def __init__(self, images: Sequence[Image], grid: Grid | None = None) -> None:
        if not images:
            raise ConfigError("a stack needs an image", where="images")
        self.images = tuple(sorted(images, key=lambda image: image.day or ""))
        self._files: dict[str, OpenedRaster] = {}
        self._bands = [self._found_bands(image) for image in self.images]
        self._check_every_date()
        self.grid = grid or self._only_grid()
        self._check_overlap()
        self.dates = tuple(dict.fromkeys(image.day for image in self.images))
        self.names = tuple(
            dict.fromkeys(
                _feature(band, image.day)
                for image, bands in zip(self.images, self._bands, strict=True)
                for band in bands
            )
        )

    def __getstate__(self) -> dict[str, Any]:
        # An opened file does not cross to another process; it is opened there, and
        # that process may stand in another folder.
        images = tuple(image.placed() for image in self.images)
        return {**self.__dict__, "images": images, "_files": {}}

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; they are opened again where they are needed."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def read(self, window: Any, *, as_stored: bool = False) -> Block:
        """Read a window of all images.

        Parameters
        ----------
        window : Window or object with col_off, row_off, width and height
            In pixels of the grid; it may reach over the edges, where nothing is valid.
        as_stored : bool, default=False
            Keep the files' own type, without scale and NaN, for methods that work on
            integers; only for images that lie on the grid.

        Returns
        -------
        Block

        Raises
        ------
        SourceError
            A damaged part of a file; names the file and the window.
        ConfigError
            As stored, but from an image on another grid.
        """
        place = Window.of(window)
        kind = self._stored_type() if as_stored else np.float32
        values = np.zeros((len(self.names), place.height, place.width), kind)
        ok = np.zeros(values.shape, bool)
        position = {name: index for index, name in enumerate(self.names)}
        for image, bands in zip(self.images, self._bands, strict=True):
            at = [position[_feature(band, image.day)] for band in bands]
            found, good = self._read_image(image, bands, place, as_stored)
            # Only a neighbouring scene of the same date finds anything there.
            if ok[at].any():
                found = np.where(ok[at], values[at], found)
                good |= ok[at]
            values[at], ok[at] = found, good
        if not as_stored:
            values[~ok] = np.nan
        days = np.array([name.partition("@")[2] for name in self.names], object)
        valid = np.stack([ok[days == (date or "")].all(0) for date in self.dates])
        return Block(values, valid, place, self.names, self.dates)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the images and of their masks, each once."""
        named = [image.path for image in self.images]
        clouds = (image.cloud for image in self.images)
        named += [cloud.path for cloud in clouds if cloud and cloud.path]
        return tuple(dict.fromkeys(Path(path) for path in named))

    def file_blocks(self) -> tuple[int, int]:
        """Rows and columns of the blocks in which the first image is stored."""
        rows, columns = self._file(self.images[0].path).dataset.block_shapes[0]
        return int(rows), int(columns)

    def _read_image(
        self, image: Image, bands: dict[str, int], place: Window, as_stored: bool
    ) -> tuple[Pixels, Mask]:
        values, valid = self._file(image.path).read(
            list(bands.values()),
            self.grid,
            place,
            codes=image.classes,
            nodata=image.nodata,
            as_stored=as_stored,
        )
        if image.cloud is not None:
            valid &= self._clear(image, image.cloud, place)
        if not as_stored and (image.scale != 1 or image.offset != 0):
            values = values * np.float32(image.scale) + np.float32(image.offset)
        return values, valid

    def _clear(self, image: Image, cloud: CloudMask, place: Window) -> Mask:
        file = self._file(cloud.path or image.path)
        number = _band_number(file.dataset, cloud.band, image)
        codes, valid = file.read([number], self.grid, place, codes=True)
        return np.asarray(valid & np.isin(codes, np.array(cloud.clear, np.float32)))

    def _file(self, path: str | Path) -> OpenedRaster:
        key = str(path)
        if key not in self._files:
            self._files[key] = OpenedRaster.of(path)
        return self._files[key]

    def _found_bands(self, image: Image) -> dict[str, int]:
        dataset = self._file(image.path).dataset
        if image.cloud is not None:
            masked = self._file(image.cloud.path or image.path).dataset
            _band_number(masked, image.cloud.band, image)
        wanted = image.bands
        if wanted is None:
            wanted = [name or i for i, name in enumerate(dataset.descriptions, 1)]
        if not isinstance(wanted, Mapping):
            wanted = {_name(band): band for band in wanted}
        if not wanted or any("@" in name for name in wanted):
            raise ConfigError(
                "an image needs bands, and their names no @",
                where=str(image.path),
                expected='bands such as ["red", "nir"]; @ goes before the date',
            )
        return {
            name: _band_number(dataset, band, image) for name, band in wanted.items()
        }

    def _only_grid(self) -> Grid:
        first = self._file(self.images[0].path).grid
        for image in self.images[1:]:
            if not first.same_as(self._file(image.path).grid):
                raise ConfigError(
                    "the images lie on different grids",
                    where=str(image.path),
                    expected=f"the grid of {self.images[0].path}",
                    hint="give grid=common_grid([...]) to align them",
                )
        return first

    def _check_overlap(self) -> None:
        left, bottom, right, top = self.grid.bounds
        for image in self.images:
            box = self._file(image.path).grid.bounds_in(self.grid.crs)
            if box[0] >= right or box[2] <= left or box[1] >= top or box[3] <= bottom:
                raise ContractError(
                    "the image has no place in common with the grid",
                    where=_place(image),
                    expected="an image of the region",
                )

    def _check_every_date(self) -> None:
        """Refuse a date that has some bands of another date's image but not all.

        Dates that share no band are of different sensors.
        """
        pairs = list(zip(self.images, self._bands, strict=True))
        by_date: dict[str, dict[str, Image]] = {}
        for image, bands in pairs:
            if image.day is not None:
                by_date.setdefault(image.day, {}).update(dict.fromkeys(bands, image))
        for image, bands in pairs:
            for there in by_date.values() if image.day else ():
                missing = [name for name in bands if name not in there]
                if missing and not bands.keys().isdisjoint(there):
                    odd = next(there[name] for name in bands if name in there)
                    self._refuse_date(odd, missing[0], image)

    def _refuse_date(self, image: Image, band: str, other: Image) -> None:
        known = filter(None, self._file(image.path).dataset.descriptions)
        raise ContractError(
            f"the band {band!r} is missing on one date",
            where=_place(image),
            expected=f"the bands of {_place(other)}",
            nearest=nearest(band, known),
        )

    def _stored_type(self) -> np.dtype[Any]:
        types = [
            self._file(image.path).dataset.dtypes[number - 1]
            for image, bands in zip(self.images, self._bands, strict=True)
            for number in bands.values()
        ]
        return np.result_type(*types)


def _feature(band: str, day: str | None) -> str:
    return band if day is None else f"{band}@{day}"


def _name(band: str | int) -> str:
    return f"band{band}" if isinstance(band, int) else band


def _place(image: Image) -> str:
    return f"{image.path}" + (f", {image.day}" if image.day else "")


def _band_number(dataset: Any, band: str | int, image: Image) -> int:
    if isinstance(band, int):
        if 1 <= band <= dataset.count:
            return band
        expected = f"a number from 1 to {dataset.count}"
        close = None
    else:
        known = [name for name in dataset.descriptions if name]
        if band in known:
            return int(dataset.descriptions.index(band)) + 1
        expected = f"one of {', '.join(known)}" if known else "a number from 1"
        close = nearest(band, known)
    raise ContractError(
        f"the file has no band {band!r}",
        where=_place(image),
        expected=expected,
        nearest=close,
    )
