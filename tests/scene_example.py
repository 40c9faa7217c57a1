"""A small landscape on disk with what is known of it, and pilots of it in memory.

Fields of ten by ten pixels of 20 m, three classes, two dates with clouds, a map of the
year before, points in fields and an area survey in two strata.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import rasterio

from mlstats.config import Pilot

CRS, PIXEL, WEST, NORTH = "EPSG:6933", 20.0, 1_200_000.0, 5_400_000.0
SIDE, FIELD, SEGMENT, HECTARES = 120, 10, 12, 0.04
CLASSES = {1: "maize", 2: "pasture", 3: "forest"}
DATES = ("2025-05-10", "2025-07-05")
NODATA = 65_535
UNKNOWN = 9  # of the old map
# Red and near infrared of each class on each date, reflectance x 10000.
_LIGHT = {
    1: ((1500, 2300), (500, 4000)),
    2: ((700, 3500), (750, 3400)),
    3: ((400, 3000), (380, 3100)),
}


@dataclass(frozen=True, eq=False)
class Landscape:
    """What was generated, by pixel: classes, old map, clouds by date, both bands."""

    classes: np.ndarray
    old: np.ndarray
    cloud: np.ndarray
    bands: np.ndarray  # date, band, row, column; as stored
    points: pd.DataFrame
    frame: pd.DataFrame
    surveyed: pd.DataFrame

    @property
    def clear_dates(self) -> np.ndarray:
        """Dates on which each pixel has both bands."""
        there = (self.bands != NODATA).all(axis=1) & ~self.cloud
        return there.sum(axis=0)


def transform(row: int = 0, column: int = 0) -> rasterio.Affine:
    return rasterio.Affine(
        PIXEL, 0, WEST + column * PIXEL, 0, -PIXEL, NORTH - row * PIXEL
    )


def write(path: str, values: np.ndarray, names: Any = None, **more: Any) -> None:
    values = values if values.ndim == 3 else values[None]
    profile = {"crs": CRS, "transform": transform(), "nodata": NODATA} | more
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[1], width=values.shape[2],
        count=len(values), dtype=values.dtype.name, **profile,
    ) as file:  # fmt: skip
        file.write(values)
        if names:
            file.descriptions = names


def image(
    seed: int, classes: np.ndarray, date: int, *, fields: int = 7, shift: float = 1
) -> np.ndarray:
    """Return red and near infrared of a date: light by field, and grain by `seed`."""
    light, grain = np.random.default_rng([fields, date]), np.random.default_rng(seed)
    seen = np.array([(0, 0), *(_LIGHT[code][date] for code in CLASSES)], float)
    bands = np.moveaxis(seen[classes], -1, 0)
    size = (2, SIDE // FIELD, SIDE // FIELD)
    bands = bands + np.kron(light.normal(0, 180, size), np.ones((FIELD, FIELD)))
    bands = bands + grain.normal(0, 220, bands.shape)
    return np.clip(bands * shift, 1, 15_000).round().astype("uint16")


def make_landscape() -> Landscape:
    """Write the landscape into the working folder."""
    rng = np.random.default_rng(20260101)
    kind = rng.choice([1, 2, 3], (SIDE // FIELD, SIDE // FIELD), p=[0.4, 0.35, 0.25])
    before = np.where(rng.random(kind.shape) < 0.2, kind % 3 + 1, kind)
    classes, old = (np.kron(k, np.ones((FIELD, FIELD), int)) for k in (kind, before))
    points = _points(rng, classes)
    field = int(points["field"].iloc[-1][1:])  # one that was visited
    top, left = field // (SIDE // FIELD) * FIELD, field % (SIDE // FIELD) * FIELD
    old[top : top + FIELD, left : left + FIELD] = UNKNOWN
    cloud = np.zeros((2, SIDE, SIDE), bool)
    cloud[0, :12, :24] = True
    cloud[1, 6:30, 10:40] = True
    bands = np.stack([image(1, classes, 0), image(2, classes, 1)])
    bands[0, 0, 119, 119] = NODATA
    for date, name in enumerate(DATES):
        mask = np.where(cloud[date], 4, 0).astype("uint16")
        planes = np.concatenate([bands[date], mask[None]])
        write(f"scene_{name}.tif", planes, ("red", "nir", "fmask"))
    write("old.tif", old.astype("uint8"), nodata=0)
    frame, surveyed = _survey(rng, classes)
    points.to_csv("points.csv", index=False)
    frame.to_csv("frame.csv", index=False)
    surveyed.to_csv("segments.csv", index=False)
    pixels = np.bincount(classes.ravel(), minlength=4)[1:]
    known = {"class": list(CLASSES.values()), "hectares": pixels * HECTARES}
    pd.DataFrame(known).to_csv("known.csv", index=False)
    return Landscape(classes, old, cloud, bands, points, frame, surveyed)


def _points(rng: np.random.Generator, classes: np.ndarray) -> pd.DataFrame:
    across, rows = SIDE // FIELD, []
    for field in np.sort(rng.choice(across**2, 60, replace=False)):
        for place in np.sort(rng.choice(FIELD**2, 6, replace=False)):
            row = field // across * FIELD + place // FIELD
            column = field % across * FIELD + place % FIELD
            rows.append(
                {
                    "id": f"P{len(rows):03d}",
                    "field": f"F{field:03d}",
                    "east": WEST + (column + 0.5) * PIXEL,
                    "north": NORTH - (row + 0.5) * PIXEL,
                    "crop": CLASSES[int(classes[row, column])],
                    "season": "2025",
                }
            )
    return pd.DataFrame(rows)


def _survey(
    rng: np.random.Generator, classes: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    across = SIDE // SEGMENT
    every = np.arange(across**2)
    frame = pd.DataFrame(
        {
            "segment": [f"S{place:02d}" for place in every],
            "row": every // across * SEGMENT,
            "col": every % across * SEGMENT,
            "zone": np.where(every < across**2 // 2, "north", "south"),
        }
    )
    drawn = np.sort(np.r_[rng.choice(50, 18, False), 50 + rng.choice(50, 14, False)])
    surveyed = frame.loc[drawn, ["segment"]]
    for code, name in CLASSES.items():
        squares = (classes == code).reshape(across, SEGMENT, across, SEGMENT)
        hectares = squares.sum(axis=(1, 3)).ravel() * HECTARES
        surveyed[f"{name}_ha"] = hectares[drawn]
    return frame, surveyed.reset_index(drop=True)


IMAGES = [
    {
        "file": f"scene_{date}.tif",
        "date": date,
        "bands": ["red", "nir"],
        "scale": 0.0001,
        "cloud": {"band": "fmask", "clear": [0, 1]},
    }
    for date in DATES
]
PREVIOUS = {"file": "old.tif", "classes": {name: [c] for c, name in CLASSES.items()}}
SURVEY = {
    "file": "segments.csv",
    "frame": "frame.csv",
    "size": SEGMENT,
    "stratum": "zone",
    "surveyed": {name: f"{name}_ha" for name in CLASSES.values()},
}
METHODS = {
    "old": {"kind": "traditional", "use": "mlstats.imagery.PreviousMap"},
    "likelihood": {
        "kind": "traditional",
        "use": "mlstats.imagery.MaximumLikelihood",
    },
    "forest": {
        "kind": "ml",
        "use": "sklearn.ensemble.RandomForestClassifier",
        "params": {"n_estimators": 20, "min_samples_leaf": 2, "random_state": 5},
    },
}


def scene_pilot(**changed: Any) -> Pilot:
    """Return a pilot; `scene`, `roles` and `data` change parts of it."""
    scene = {
        "points": {"x": "east", "y": "north", "crs": CRS},
        "images": IMAGES,
        "features": {"indices": ["NDVI"], "min_valid": 2},
        "block": 200.0,
        "folds": 3,
        "previous": PREVIOUS,
        "survey": SURVEY,
        "known": "known.csv",
    } | changed.pop("scene", {})
    roles = {"unit_id": "id", "target": "crop", "cluster": "field"}
    roles |= {"period": "season"} | changed.pop("roles", {})
    data = {"source": "points.csv", "roles": roles, "scene": scene}
    names = changed.pop("methods", tuple(METHODS))
    return Pilot.model_validate(
        {
            "pilot": "crops",
            "theme": "imagery",
            "owner": {"author": "me"},
            "data": data | changed.pop("data", {}),
            "methods": {name: METHODS[name] for name in names},
            "baseline": "likelihood",
            "candidate": "forest",
            **changed,
        }
    )
