"""A SYNTHETIC landscape seen from space: images, an old map, ground data and the truth.

Nothing here was observed. The generator knows what no office knows: the class of every
pixel. It plants what makes such work hard: two crops whose calendars interleave, a
gradient from north to south, clouds, ground data only where there are roads, and a
corner whose soils are like none that was visited.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.io import write_text
from mlstats.writing import write_atomic

__all__ = ["CLASSES", "DATES", "DemoScene", "make_scene"]

SEED = 20260101
SIDE, PIXEL, CRS = 600, 20.0, "EPSG:6933"
# At 30 degrees north, where this projection keeps shapes as well as areas.
WEST, NORTH = 1_200_000.0, 3_690_000.0
NODATA = 65_535  # not 0, which is a code of the cloud mask
HECTARES = PIXEL**2 / 10_000
CLASSES = {1: "maize", 2: "soybean", 3: "pasture", 4: "forest", 5: "other"}
DATES = ("2025-05-10", "2025-07-05", "2025-09-01")
BANDS = ("blue", "green", "red", "nir", "fmask")
CLEAR, SHADOW, CLOUD = 0, 2, 4
CLOUDED = {"2025-05-10": 0.0, "2025-07-05": 0.05, "2025-09-01": 0.07}

FIELD_WIDTHS = (8, 31)  # pixels, the upper end not reached
CHANGED = 0.20  # of the fields have another class than a year before
WRONG_PATCHES = 0.11  # of the old map's pixels
ROADS_END = 330  # no training field lies east of this column
STRANGE_ROWS, STRANGE_COLUMNS = 110, 110  # the corner in the north-east
FIELDS_VISITED, POINTS = 150, 8
SEGMENT = 20  # pixels of a side
SAMPLE = {"intensive": 48, "extensive": 32}
INTENSIVE = 0.45  # share of crops on the old map
ENUMERATOR_ERROR = 0.02

# Reflectance x 10000 in blue, green, red, near infrared.
_COVERS = {
    "soil": (850, 1150, 1500, 2350),
    "red soil": (700, 1500, 3300, 3900),
    "crop": (330, 720, 380, 4300),
    "grass": (360, 760, 480, 3900),
    "broadleaf": (230, 520, 270, 3700),
    "conifer": (200, 400, 240, 2500),
    "water": (520, 430, 260, 140),
    "built": (1350, 1500, 1700, 2150),
}
# Ways of growing a class: cover, greenness at the dates or week of its peak, share.
_WAYS: dict[int, tuple[tuple[str, Any, float], ...]] = {
    1: (("crop", -4.5, 0.55), ("crop", 1.5, 0.45)),
    2: (("crop", -1.5, 0.5), ("crop", 4.5, 0.5)),
    3: (("grass", (0.75, 0.7, 0.65), 0.5), ("grass", 0.0, 0.5)),
    4: (("broadleaf", (0.95, 1.0, 0.95), 0.6), ("conifer", (0.95, 0.95, 0.95), 0.4)),
    5: (("water", (1.0, 1.0, 1.0), 0.4), ("built", (0.9, 0.85, 0.9), 0.6)),
}
_WEEKS = (-8.0, 0.0, 8.0)  # of the dates, from the middle of the season
_SEASON = 7.5  # weeks from the peak of a crop to a third of its greenness

_Grid = npt.NDArray[np.floating[Any]]
_Codes = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class DemoScene:
    """The synthetic landscape: its files, and what only the generator knows.

    Attributes
    ----------
    folder : pathlib.Path
    images : dict of str to pathlib.Path
        Date to its file.
    classes : ndarray of shape (600, 600)
        True class of every pixel.
    fields : ndarray of shape (600, 600)
        Number of the field of every pixel, from 0.
    truth : pandas.DataFrame
        code, class, pixels and hectares.
    """

    folder: Path
    images: dict[str, Path]
    classes: _Codes
    fields: _Codes
    truth: pd.DataFrame


def make_scene(folder: str | Path, *, seed: int = SEED) -> DemoScene:
    """Write a landscape of 12 x 12 km in pixels of 20 m, EPSG:6933.

    Files: ``scene_<date>.tif`` of three dates (blue, green, red, nir as reflectance x
    10000, and fmask: 0 clear, 2 shadow, 4 cloud), ``map_2024.tif`` (the year before,
    classes 1 to 5), ``training.csv`` (1,200 points in 150 fields chosen along roads),
    ``segments.csv`` (a stratified random sample of 80 segments of 16 ha with surveyed
    hectares), ``frame.csv`` (all segments with their strata), ``truth.csv`` and
    ``README.txt``. The same seed gives the same bytes.

    Parameters
    ----------
    folder : str or pathlib.Path
    seed : int, default 20260101
        Of all draws.

    Raises
    ------
    ServiceError
        Where a file cannot be written.
    """
    folder = Path(folder)
    land = np.random.default_rng([seed, 1])
    fields = _fields(land)
    kind = _classes_of_fields(land, fields)
    classes = kind[fields]
    images = {date: folder / f"scene_{date}.tif" for date in DATES}
    seen = _reflectances(np.random.default_rng([seed, 2]), fields, kind)
    sky = np.random.default_rng([seed, 3])
    for date, bands in zip(DATES, seen, strict=True):
        _write(images[date], _with_clouds(sky, bands, CLOUDED[date]), NODATA, BANDS)
    old = _old_map(np.random.default_rng([seed, 4]), fields, kind)
    _write(folder / "map_2024.tif", old[None], 0, ("class",))
    segments, frame = _segments(np.random.default_rng([seed, 5]), classes, old)
    pixels = np.bincount(classes.ravel(), minlength=6)[1:]
    names = {"code": list(CLASSES), "class": list(CLASSES.values())}
    truth = pd.DataFrame(names | {"pixels": pixels, "hectares": pixels * HECTARES})
    tables = {
        "training": _training(np.random.default_rng([seed, 6]), fields, kind),
        "segments": segments,
        "frame": frame,
        "truth": truth,
    }
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.4f")
        write_text(folder / f"{name}.csv", text)
    write_text(folder / "README.txt", _readme(seed))
    return DemoScene(folder, images, classes, fields, truth)


def _fields(rng: np.random.Generator) -> _Codes:
    """Return the field of each pixel: rows of fields, their borders bent."""
    size = SIDE + 60
    plan, number = np.zeros((size, size), int), 0
    row = 0
    while row < size:
        height, column = int(rng.integers(*FIELD_WIDTHS)), 0
        while column < size:
            width = int(rng.integers(*FIELD_WIDTHS))
            plan[row : row + height, column : column + width] = number
            number, column = number + 1, column + width
        row += height
    rows, columns = np.indices((SIDE, SIDE)) + 30
    bent = [
        np.rint(place + 5 * _smooth(rng, 25)).astype(int) for place in (rows, columns)
    ]
    numbers = np.unique(plan[bent[0], bent[1]], return_inverse=True)[1]
    return np.asarray(numbers, dtype=np.intp)


def _smooth(rng: np.random.Generator, reach: float) -> _Grid:
    """Return noise of mean 0 and variance 1 that is alike within `reach` pixels."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal((SIDE, SIDE)), reach, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std())


def _centres(fields: _Codes) -> npt.NDArray[np.intp]:
    """Return row and column of the middle of each field."""
    count = np.bincount(fields.ravel())
    places = [
        np.bincount(fields.ravel(), place.ravel()) / count
        for place in np.indices(fields.shape)
    ]
    return np.clip(np.rint(places), 0, SIDE - 1).astype(np.intp)


def _classes_of_fields(rng: np.random.Generator, fields: _Codes) -> _Codes:
    """Draw the class of each field; classes gather in regions."""
    row, column = _centres(fields)
    liking = np.stack([_smooth(rng, 45)[row, column] for _ in CLASSES])
    # Crops on the plain in the south-west, forest and pasture in the hills.
    hills = (column - row) / SIDE
    base = np.array([0.35, 0.25, 0.35, 0.0, -1.1])[:, None]
    slope = np.array([-0.5, -0.4, 0.4, 0.7, 0.0])[:, None]
    chance = np.exp(base + slope * hills + 0.8 * liking)
    chance /= chance.sum(axis=0)
    drawn = (rng.random(len(row)) > chance.cumsum(axis=0)).sum(axis=0)
    return np.asarray(np.minimum(drawn, 4) + 1)


def _reflectances(
    rng: np.random.Generator, fields: _Codes, kind: _Codes
) -> list[_Grid]:
    """Return the four bands of each date, before clouds."""
    from scipy.ndimage import gaussian_filter

    covers, peak, green = _growth(rng, fields, kind)
    light = np.exp(0.06 * rng.standard_normal(len(kind)))[fields]
    rich = 0.05 * rng.standard_normal(len(kind))[fields]
    strange = np.zeros((SIDE, SIDE), bool)
    strange[:STRANGE_ROWS, -STRANGE_COLUMNS:] = True
    soil = np.where(strange, *(_band_first(_COVERS[s]) for s in ("red soil", "soil")))
    cover = np.moveaxis(np.array([_COVERS[name] for name in covers])[fields], -1, 0)
    seen = []
    for date, week in enumerate(_WEEKS):
        bell = np.exp(-(((week - peak) / _SEASON) ** 2))
        share = np.where(np.isnan(peak), green[:, date], 0.95 * bell)[fields]
        share = np.clip(share + rich + 0.07 * _smooth(rng, 2), 0, 1)
        # Dry soils of the corner let nothing grow dense.
        share = np.where(strange, 0.55 * share, share)
        bands = (share * cover + (1 - share) * soil) * light
        bands = gaussian_filter(bands, (0, 0.6, 0.6))  # pixels on borders are mixed
        grain = [_smooth(rng, 1) + rng.standard_normal((SIDE, SIDE)) for _ in bands]
        seen.append(bands * np.exp(0.035 * np.stack(grain)))
    return seen


def _band_first(values: tuple[int, ...]) -> _Grid:
    return np.array(values, float)[:, None, None]


def _growth(
    rng: np.random.Generator, fields: _Codes, kind: _Codes
) -> tuple[list[str], _Grid, _Grid]:
    """Draw for each field its cover, the week of its peak, or its greenness."""
    row, column = _centres(fields)
    # Spring comes later in the north, and by region.
    late = 1.6 * (0.5 - row / SIDE) + 0.7 * _smooth(rng, 60)[row, column]
    covers, draws = [], rng.random(len(kind))
    peak, green = np.full(len(kind), np.nan), np.zeros((len(kind), len(DATES)))
    for field, code in enumerate(kind):
        ways = _WAYS[int(code)]
        cover, when, _ = ways[0] if draws[field] < ways[0][2] else ways[1]
        covers.append(cover)
        if isinstance(when, float):
            peak[field] = when + late[field] + 0.45 * rng.standard_normal()
        else:
            green[field] = np.array(when) + 0.06 * rng.standard_normal(len(DATES))
    return covers, peak, green


def _with_clouds(rng: np.random.Generator, bands: _Grid, share: float) -> _Codes:
    """Return bands and mask of a date with clouds, each with its shadow beside."""
    mask = np.zeros((SIDE, SIDE), int)
    if share:
        shape = _smooth(rng, 18)
        cloud = shape > np.quantile(shape, 1 - share)
        shadow = np.roll(cloud, (-14, -10), axis=(0, 1)) & ~cloud
        bands = np.where(shadow, 0.45 * bands, bands)
        bands = np.where(cloud, 6200 + 500 * _smooth(rng, 4), bands)
        mask = np.where(cloud, CLOUD, np.where(shadow, SHADOW, CLEAR))
    whole = np.rint(np.clip(bands, 1, 15_000)).astype(np.uint16)
    return np.concatenate([whole, mask[None].astype(np.uint16)])


def _old_map(rng: np.random.Generator, fields: _Codes, kind: _Codes) -> _Codes:
    """Return the map of the year before: other crops on some fields, and errors."""
    other = (kind + rng.integers(1, 5, len(kind)) - 1) % 5 + 1
    rotated = np.where(kind == 1, 2, np.where(kind == 2, 1, other))
    before = np.where(rng.random(len(kind)) < CHANGED, rotated, kind)[fields]
    shape = _smooth(rng, 1.5)
    wrong = shape > np.quantile(shape, 1 - WRONG_PATCHES)
    confused = np.array([0, 2, 1, 1, 3, 3])[before]
    return np.where(wrong, confused, before).astype(np.uint8)


def _training(rng: np.random.Generator, fields: _Codes, kind: _Codes) -> pd.DataFrame:
    """Choose fields near roads, and points well inside of them."""
    from scipy.ndimage import maximum_filter, minimum_filter

    inner = minimum_filter(fields, 5) == maximum_filter(fields, 5)
    room = np.bincount(fields[inner], minlength=len(kind))
    near = _centres(fields)[1] < ROADS_END
    usable = np.flatnonzero(near & (room >= 2 * POINTS))
    # Who looks for crops visits crops: twice as often as their number.
    wish = np.where(kind[usable] <= 2, 2.0, 1.0)
    chosen = np.sort(
        rng.choice(usable, FIELDS_VISITED, replace=False, p=wish / wish.sum())
    )
    rows: list[dict[str, object]] = []
    for field in chosen:
        places = np.flatnonzero(inner.ravel() & (fields.ravel() == field))
        for place in np.sort(rng.choice(places, POINTS, replace=False)):
            row, column = divmod(int(place), SIDE)
            rows.append(
                {
                    "id": f"P{len(rows) + 1:04d}",
                    "field": f"F{field:04d}",
                    "x": WEST + (column + 0.5) * PIXEL,
                    "y": NORTH - (row + 0.5) * PIXEL,
                    "crop": CLASSES[int(kind[field])],
                    "season": "2025",
                    "synthetic": "synthetic",
                }
            )
    return pd.DataFrame(rows)


def _segments(
    rng: np.random.Generator, classes: _Codes, old: _Codes
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return sampled segments with what was surveyed, and all of the frame."""
    number = SIDE // SEGMENT
    share = _by_segment(old <= 2).ravel() / SEGMENT**2
    stratum = np.where(share >= INTENSIVE, "intensive", "extensive")
    chosen = np.concatenate(
        [
            np.sort(rng.choice(np.flatnonzero(stratum == name), size, replace=False))
            for name, size in SAMPLE.items()
        ]
    )
    surveyed = _surveyed(rng, classes)[chosen]
    every = np.arange(number**2)
    frame = pd.DataFrame(
        {
            "segment": [f"S{place:03d}" for place in every],
            "stratum": stratum,
            "row": every // number * SEGMENT,
            "col": every % number * SEGMENT,
            "synthetic": "synthetic",
        }
    )
    hectares = {f"{n}_ha": surveyed[:, i] for i, n in enumerate(CLASSES.values())}
    return frame.iloc[chosen].assign(**hectares), frame


def _by_segment(grid: npt.NDArray[Any]) -> npt.NDArray[Any]:
    number = SIDE // SEGMENT
    squares = grid.reshape(number, SEGMENT, number, SEGMENT)
    return np.asarray(squares.sum(axis=(1, 3)))


def _surveyed(rng: np.random.Generator, classes: _Codes) -> _Grid:
    """Return hectares by segment and class as enumerators draw them on a photograph."""
    true = [_by_segment(classes == code).ravel() * HECTARES for code in CLASSES]
    seen = np.stack(true, axis=1)
    seen = seen * np.exp(ENUMERATOR_ERROR * rng.standard_normal(seen.shape))
    # The outline of a segment is known: only what lies inside is drawn wrongly.
    whole = SEGMENT**2 * HECTARES
    return np.asarray(seen * whole / seen.sum(axis=1, keepdims=True))


def _write(path: Path, bands: _Codes, nodata: int, names: tuple[str, ...]) -> None:
    import rasterio

    profile = {
        **{"driver": "GTiff", "dtype": bands.dtype, "count": len(bands)},
        **{"height": SIDE, "width": SIDE, "crs": CRS, "nodata": nodata},
        **{"tiled": True, "blockxsize": 256, "blockysize": 256},
        **{"compress": "deflate", "predictor": 2},
        "transform": rasterio.Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH),
    }

    def write(hidden: Path) -> None:
        with rasterio.open(hidden, "w", **profile) as raster:
            raster.write(bands)
            raster.descriptions = names
            raster.update_tags(SYNTHETIC="generated by mlstats, nothing was observed")

    write_atomic(path, write)


def _readme(seed: int) -> str:
    return f"""SYNTHETIC DATA

Everything in this folder was generated by mlstats.demo_scene with the seed {seed}. The
landscape does not exist, and no figure made from it says anything about any country.

scene_<date>.tif  three dates of 2025; reflectance x 10000 in blue, green, red and
                  nir; fmask 0 clear, 2 shadow, 4 cloud; {SIDE} x {SIDE} pixels of
                  {PIXEL:.0f} m in {CRS} (equal-area), nodata {NODATA}
map_2024.tif      the map of the year before:
                  {_legend()}
training.csv      points in {FIELDS_VISITED} fields that were chosen along roads, in the
                  west: {POINTS} in each; not a sample of the scene
segments.csv      a stratified random sample of segments of {SEGMENT} x {SEGMENT} pixels
                  with surveyed hectares; row and col are those of the upper left pixel
frame.csv         all segments with their strata (intensive: crops have at least
                  {INTENSIVE:.0%} of the segment on the old map)
truth.csv         true hectares, which no office has; to check estimates only
"""


def _legend() -> str:
    return ", ".join(f"{code} {name}" for code, name in CLASSES.items())
