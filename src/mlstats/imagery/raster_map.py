"""A raster made block by block from images: bounded memory, resumed after a kill.

Blocks follow the way the first image is stored, so that no part of it is unpacked
twice. What is finished lies in a hidden folder beside the result until all is there;
the result itself, a cloud-optimised GeoTIFF, appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlstats.errors import ConfigError, MethodError
from mlstats.imagery.block_log import BlockLog
from mlstats.imagery.cog_file import CACHE_BYTES, Layout, write_cog
from mlstats.imagery.images import Image, Stack
from mlstats.imagery.windows import Block, Pixels, Window
from mlstats.object_store import FileState, check_unchanged, state_of
from mlstats.scale import LOCAL, Scale, map_blocks, progress

__all__ = ["Mapped", "map_raster"]

Function = Callable[[Block], Pixels]
# GDAL's tiles are multiples of this.
_TILE_STEP = 16
_CODES = 256
# Of a record in the log: one of an earlier version of this module is not read.
_RECORD = "values, counts"


@dataclass(frozen=True, eq=False)
class Mapped:
    """What :func:`map_raster` did.

    Attributes
    ----------
    path : pathlib.Path
        The raster.
    blocks : int
        Blocks of the raster.
    computed : int
        Those computed by this run; the others were found finished.
    counts : ndarray of int, shape (256,)
        Pixels of every code of the first band; all 0 for another type than uint8.
    """

    path: Path
    blocks: int
    computed: int
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Job:
    """The work on one block."""

    function: Function
    stack: Stack
    bands: int
    dtype: str
    halo: int
    as_stored: bool

    def __call__(self, task: tuple[int, Window]) -> tuple[int, bytes]:
        import rasterio

        number, window = task
        with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
            wide = window.grown(self.halo)
            block = self.stack.read(wide, as_stored=self.as_stored)
        values = np.asarray(self.function(block))
        if values.ndim == 2:
            values = values[np.newaxis]
        self._check(values, (self.bands, wide.height, wide.width))
        rows, columns = window.moved(-wide.row, -wide.column).slices
        kept = np.ascontiguousarray(values[:, rows, columns], self.dtype)
        return number, zlib.compress(kept.tobytes() + _counted(kept).tobytes(), 1)

    def _check(self, values: Pixels, shape: tuple[int, int, int]) -> None:
        if values.shape != shape:
            raise MethodError(
                f"the function returned an array of shape {values.shape}",
                expected=f"{shape}: bands, rows and columns of the block it got",
            )
        kind = np.dtype(self.dtype)
        fits = np.can_cast(values.dtype, kind, "same_kind")
        if fits and np.issubdtype(kind, np.integer) and values.dtype != kind:
            limits = np.iinfo(kind)
            fits = limits.min <= values.min() and values.max() <= limits.max
        if not fits:
            raise MethodError(
                f"values of type {values.dtype} do not fit a raster of {kind}",
                expected="codes that the raster's type holds, or another dtype",
            )


@dataclass(eq=False)
class _Making:
    """A raster in the making, and what was found and counted on the way."""

    job: _Job
    layout: Layout
    out: Path
    size: tuple[int, int]
    workers: int | Scale
    states: Mapping[str, FileState]
    found: int = 0
    counts: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(_CODES, np.int64)
    )

    @cached_property
    def blocks(self) -> list[Window]:
        return list(Window.cover(self.job.stack.grid.shape, self.size))

    @property
    def folder(self) -> Path:
        """Where finished blocks lie until all are there."""
        return self.out.with_name(f".{self.out.name}.blocks")

    def write(self, key: str, target: Path) -> None:
        """Write the raster from the blocks of the log and those that it lacks."""
        self.folder.mkdir(exist_ok=True)
        with closing(BlockLog(self.folder / "log", key)) as log:
            self.found = len(log.numbers)
            write_cog(
                self.folder / "result.tif",
                self._unpacked(log),
                grid=self.job.stack.grid,
                layout=self.layout,
                size=self.size,
                threads=_threads(self.workers),
            )
            check_unchanged(self.states, "read")
            os.replace(self.folder / "result.tif", target)

    def _unpacked(self, log: BlockLog) -> Iterator[tuple[Window, Pixels]]:
        """Yield the values of every block, and add its codes to the counts."""
        for number, content in self._contents(log):
            window, raw = self.blocks[number], zlib.decompress(content)
            size = len(raw) - self.counts.nbytes
            self.counts += np.frombuffer(raw, self.counts.dtype, offset=size)
            values = np.frombuffer(memoryview(raw)[:size], self.layout.dtype)
            yield window, values.reshape(-1, window.height, window.width)

    def _contents(self, log: BlockLog) -> Iterator[tuple[int, bytes]]:
        """Yield the blocks of the log, then the others as they are done and logged."""
        found = sorted(log.numbers)
        yield from ((number, log.read(number)) for number in found)
        tasks = [task for task in enumerate(self.blocks) if task[0] not in log.numbers]
        done = map_blocks(self.job, tasks, workers=self.workers, ordered=False)
        for number, content in progress(done, len(tasks), self.out.name):
            log.append(number, content)
            yield number, content


def map_raster(
    function: Function,
    source: Stack | str | Path,
    out: str | Path,
    *,
    bands: str | Sequence[str],
    dtype: str,
    nodata: float | None = None,
    block: int = 512,
    halo: int = 0,
    workers: int | Scale = 1,
    as_stored: bool = False,
    identity: str | None = None,
    classes: Mapping[int, str] | None = None,
    colours: Mapping[int, tuple[int, int, int]] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Mapped:
    """Write the raster of a function of every block.

    Parameters
    ----------
    function : callable
        Takes a :class:`Block` and returns an array of shape (bands, rows, columns) of
        that block, halo included, or (rows, columns) for one band. It must be
        picklable: at the top of a module, or an object of a class that is.
    source : Stack, str or pathlib.Path
        The images, or one file with all its bands.
    out : str or pathlib.Path
        The GeoTIFF to write.
    bands : str or sequence of str
        Names of the bands of the result.
    dtype : str
        Type of the result, such as ``uint8`` or ``float32``.
    nodata : float, optional
        Value that stands for no value.
    block : int, default=512
        Pixels along the side of a block, rounded to the tiles of the first image;
        where that is stored in strips, as many whole rows as hold so many pixels.
    halo : int, default=0
        Pixels around a block that the function sees too; not valid outside the grid.
    workers : int or Scale, default=1
        Processes of this machine, or a cluster; the file has the same bytes. Workers
        of a cluster read the images by the path that is given here, in a folder that
        they share, and write nothing.
    as_stored : bool
        Blocks hold values as they are stored, see :meth:`Stack.read`.
    identity : str, optional
        What tells the function from another when a run is resumed; by default its
        pickled content and its source.
    classes : mapping, optional
        Code -> name of the class, kept as the tag ``classes`` in JSON.
    colours : mapping, optional
        Code -> red, green and blue of 0 to 255; for one band of uint8.
    tags : mapping, optional
        More tags of the file.

    Returns
    -------
    Mapped
        How many blocks there are and were computed.

    Raises
    ------
    ConfigError
        A type, a number of blocks or a function that cannot be used; a result that
        would replace one of the images.
    MethodError
        The function failed or returned another shape or type.
    SourceError
        A damaged part of an image, or one that is changed meanwhile.
    ServiceError
        The disk refuses, or another run writes the same raster.

    Notes
    -----
    A worker holds about 10 bytes per pixel of the block and band of the images, what
    the function needs, and 64 MiB of GDAL's cache; nothing grows with the raster but
    24 bytes per block. A killed run goes on where it was when it is called with the
    same files (path, size and time of change), parameters and function; otherwise the
    finished blocks are thrown away.
    """
    # Here: a worker needs no pandas.
    from mlstats.writing import sole_writer, write_atomic

    stack = source if isinstance(source, Stack) else Stack([Image(source)])
    names = (bands,) if isinstance(bands, str) else tuple(bands)
    layout = Layout(names, dtype, nodata, classes or {}, colours or {}, tags or {})
    out = Path(out)
    _check_sizes(block, halo)
    _check_apart(stack, out)
    states = {str(path): state_of(str(path)) for path in stack.paths}
    job = _Job(function, stack, len(names), dtype, halo, as_stored)
    made = _Making(job, layout, out, _block_size(stack, block), workers, states)
    key = _key(made, identity)
    with closing(stack), sole_writer(out):
        write_atomic(out, partial(made.write, key))
        # While no other run can have begun to fill it.
        shutil.rmtree(made.folder, ignore_errors=True)
    return Mapped(out, len(made.blocks), len(made.blocks) - made.found, made.counts)


def _counted(values: Pixels) -> npt.NDArray[np.int64]:
    """Return how often each code is in the first band."""
    if values.dtype != np.uint8:
        return np.zeros(_CODES, np.int64)
    return np.bincount(values[0].ravel(), minlength=_CODES)


def _threads(workers: int | Scale) -> int:
    """Return by how many threads this process packs tiles."""
    if isinstance(workers, int):
        return workers
    # The client of a cluster has nothing else to do.
    return workers.workers if workers.address == LOCAL else os.cpu_count() or 1


def _check_sizes(block: int, halo: int) -> None:
    if block < _TILE_STEP or halo < 0:
        raise ConfigError(
            f"blocks of {block} pixels with a halo of {halo} cannot be read",
            expected=f"a block of {_TILE_STEP} or more, a halo of 0 or more",
        )


def _check_apart(stack: Stack, out: Path) -> None:
    if out.resolve() in {path.resolve() for path in stack.paths}:
        raise ConfigError(
            "the raster would replace an image that it is made of",
            where=str(out),
            expected="another file than the images",
        )


def _digest(function: Function) -> str:
    try:
        return hashlib.sha256(pickle.dumps(function)).hexdigest()
    except Exception as error:
        raise ConfigError(
            f"the function cannot be sent to a worker: {type(error).__name__}",
            where="function",
            expected="a function at the top of a module, or a picklable object",
        ) from None


def _key(made: _Making, identity: str | None) -> str:
    """Digest of everything that finished blocks depend on."""
    job = made.job
    if identity is None:
        of = job.function if inspect.isfunction(job.function) else type(job.function)
        try:
            source = inspect.getsource(of)
        except (OSError, TypeError):
            source = ""
        identity = source + _digest(job.function)
    grid = job.stack.grid
    parts = (
        identity,
        [*made.states.values()],
        job.stack.images,
        (grid.crs, grid.transform, grid.shape, _RECORD),
        (job.bands, job.dtype, job.halo, job.as_stored, made.size, made.layout.nodata),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _block_size(stack: Stack, block: int) -> tuple[int, int]:
    """Rows and columns of the blocks to work on, by the way the images are stored."""
    rows, columns = stack.file_blocks()
    height, width = stack.grid.shape
    if columns >= width:
        strip = max(1, block * block // width)
        return (strip // rows * rows or strip), width
    if rows % _TILE_STEP or columns % _TILE_STEP:
        rows = columns = _TILE_STEP
    return max(1, round(block / rows)) * rows, max(1, round(block / columns)) * columns
