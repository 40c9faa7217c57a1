"""The data of an area survey: surveyed segments, their frame, what was classified."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlstats import contract, io, records
from mlstats.config import Pilot
from mlstats.config_imagery import Map, Segments
from mlstats.dataset import finder
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.imagery.area_sample import AreaSample
from mlstats.imagery_task import ImageryData
from mlstats.imagery_units import has_columns, numbers_in
from mlstats.reference_pixels import ReferencePixels, draw_pixels
from mlstats.settings import Settings

__all__ = ["SurveyFrame", "drawn", "load_segments"]

SEGMENT, AREA = "segment", "area"


@dataclass(frozen=True, eq=False)
class SurveyFrame:
    """Samples by variable, and what is known of the frame.

    Parameters
    ----------
    samples : dict of str to AreaSample
        By variable; y and x in hectares.
    areas : pandas.DataFrame or None
        A row per small area: area, size (segments) and the mean of each classified
        column, where the frame is told by domain.
    classified : mapping of str to list of str
        Columns of x by variable.
    domain : str or None
        Column of the segments that names their area.
    every : pandas.DataFrame or None
        All segments of a wall-to-wall frame: y and x of each variable.
    pixels : ReferencePixels or None
        A sample of single pixels beside that of segments.
    """

    samples: dict[str, AreaSample]
    areas: pd.DataFrame | None
    classified: Mapping[str, list[str]]
    domain: str | None = None
    every: pd.DataFrame | None = field(default=None, repr=False)
    pixels: ReferencePixels | None = None


def load_segments(
    pilot: Pilot, settings: Settings, *, sample: int | None, period: str | None
) -> tuple[ImageryData, contract.ContractResult]:
    """Read surveyed segments and their frame, or draw them from two rasters."""
    spec = pilot.data.segments
    assert spec is not None
    if spec.map is not None:
        return _from_rasters(pilot, spec, settings, sample=sample)
    read, result = records.load(pilot, settings, sample=sample, period=period)
    cautions = list(read.cautions)
    if not result.ok:
        return ImageryData(read.frame, None, read.digest, read.notes), result
    path = finder(settings)(str(spec.frame))
    frame = io.read_table(str(path), text_columns=[spec.by] if spec.by else []).frame
    survey = _survey(pilot, spec, read.frame, frame)
    digest = _joined(read.digest, io.sha256_file(path))
    told = [*read.notes, f"segments of the frame: {frame[spec.segments].sum():,.0f}"]
    if pilot.data.roles.stratum is None:
        told.append("surveyed segments are taken as drawn at random from all of them")
    data = ImageryData(
        read.frame, survey, digest, told, cautions, (result.kept, result.held)
    )
    return data, result


def _joined(*digests: str) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


# -- a table of segments -------------------------------------------------------------


def _survey(
    pilot: Pilot, spec: Segments, segments: pd.DataFrame, frame: pd.DataFrame
) -> SurveyFrame:
    roles, per_unit = pilot.data.roles, spec.hectares_per_unit or 1.0
    wanted = [spec.segments, *spec.means.values(), *([spec.by] if spec.by else [])]
    has_columns(frame, wanted, "data.segments.frame")
    columns = sorted({c for xs in spec.classified.values() for c in xs})
    has_columns(segments, columns, "data.segments.classified")
    numbers_in(segments, [*roles.variables, *columns], "the surveyed segments")
    numbers_in(frame, [spec.segments, *spec.means.values()], "data.segments.frame")
    if spec.by is not None:
        _each_in_the_frame(spec.by, spec.segments, segments, frame)
    for name in columns:
        if name not in spec.means:
            raise ConfigError(
                f"The mean of {name!r} over the frame is not named",
                where="data.segments.means",
            )
    strata = roles.stratum if roles.stratum and roles.stratum == spec.by else None
    samples = {}
    for name in roles.variables:
        xs = list(spec.classified.get(name, ()))
        if not xs:
            raise ConfigError(
                f"No classified column is named for {name!r}",
                where="data.segments.classified",
                nearest=nearest(name, spec.classified),
            )
        samples[name] = AreaSample.of(
            segments[name].to_numpy(float),
            segments[xs].to_numpy(float) * per_unit,
            stratum=None if strata is None else segments[strata].astype(str).to_numpy(),
            **_of_frame(spec, frame, xs, strata, per_unit),
        )
    areas = None
    if spec.by is not None and strata is None:
        areas = frame[[spec.by, spec.segments]].set_axis([AREA, "size"], axis=1)
        areas[AREA] = areas[AREA].astype(str)
        for name, mean in spec.means.items():
            areas[name] = frame[mean].to_numpy(float)
    classified = {name: list(xs) for name, xs in spec.classified.items()}
    domain = spec.by if areas is not None else None
    return SurveyFrame(samples, areas, classified, domain)


def _of_frame(
    spec: Segments,
    frame: pd.DataFrame,
    xs: list[str],
    strata: str | None,
    per_unit: float,
) -> dict[str, Any]:
    sizes = frame[spec.segments].to_numpy(float)
    means = frame[[spec.means[x] for x in xs]].to_numpy(float) * per_unit
    if strata is None:
        return {"segments": sizes.sum(), "x_mean": list(sizes @ means / sizes.sum())}
    names = frame[strata].astype(str)
    return {
        "segments": dict(zip(names, sizes, strict=True)),
        "x_mean": dict(zip(names, means, strict=True)),
    }


def _each_in_the_frame(
    by: str, size: str, segments: pd.DataFrame, frame: pd.DataFrame
) -> None:
    """Refuse a frame that counts an area twice, or lacks one that was surveyed.

    Its number of segments and its means would be those of another territory.
    """
    has_columns(segments, [by], "data.segments.by")
    names = frame[by].astype(str)
    twice = int(names.duplicated().sum())
    if twice:
        raise ContractError(
            f"{twice} rows of the frame repeat the {by} of another",
            where="data.segments.frame",
            expected=f"one row for each {by}",
        )
    drawn = segments[by].astype(str).value_counts()
    strange = drawn[~drawn.index.isin(names)]
    if len(strange):
        raise ContractError(
            f"{int(strange.sum())} surveyed segments lie in a {by} that the frame does "
            "not have",
            where="data.segments.frame",
            expected=f"a row for each {by} of the territory, named as in the survey",
        )
    held = frame.set_index(names)[size].astype(float)
    short = int((drawn.reindex(held.index, fill_value=0) > held).sum())
    if short or not (held > 0).all():
        raise ContractError(
            f"{max(short, int((held <= 0).sum()))} rows of the frame have no segments, "
            "or fewer than were surveyed",
            where="data.segments.frame",
            expected=f"in {size!r} all segments, surveyed or not",
        )


# -- segments drawn from a map and its reference -------------------------------------


def _from_rasters(
    pilot: Pilot, spec: Segments, settings: Settings, *, sample: int | None
) -> tuple[ImageryData, contract.ContractResult]:
    assert spec.map is not None
    assert spec.reference is not None
    find = finder(settings)
    paths = [find(spec.map.file), find(spec.reference.file)]
    every, notes, cautions = _segments_of(pilot, spec, *paths)
    draw = min(sample or spec.draw, len(every))
    frame = drawn(every, draw, pilot.evaluate.seed)
    survey = SurveyFrame(
        {name: sample_of(every, frame, name) for name in pilot.data.roles.variables},
        None,
        {name: [f"{name}_map"] for name in pilot.data.roles.variables},
        every=every,
        pixels=_pixels(pilot, spec, paths),
    )
    notes.append(f"segments drawn: {draw} of {len(every):,}")
    if draw != spec.draw:
        cautions.append(f"{draw} segments were drawn, the pilot says {spec.draw}")
    digest = _joined(*(io.sha256_file(path) for path in paths))
    result = contract.check(frame, pilot.data, truth=None)
    rules = (result.kept, result.held)
    return ImageryData(frame, survey, digest, notes, cautions, rules), result


def _pixels(pilot: Pilot, spec: Segments, paths: list[Path]) -> ReferencePixels | None:
    if not spec.pixels:
        return None
    assert spec.map is not None
    assert spec.reference is not None
    return draw_pixels(
        (paths[0], spec.map),
        (paths[1], spec.reference),
        spec.pixels,
        hectares=_hectares(paths[0]),
        seed=pilot.evaluate.seed,
    )


def drawn(every: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """Draw segments at random without replacement, in the order of the frame."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(every), size, replace=False))
    frame: pd.DataFrame = every.iloc[rows].reset_index(drop=True)
    return frame


def sample_of(every: pd.DataFrame, frame: pd.DataFrame, name: str) -> AreaSample:
    """Return the sample of one variable, with the map's mean over all segments."""
    mapped = f"{name}_map"
    return AreaSample.of(
        frame[name].to_numpy(float),
        frame[mapped].to_numpy(float),
        segments=float(len(every)),
        x_mean=float(every[mapped].mean()),
    )


def _segments_of(
    pilot: Pilot, spec: Segments, map_path: Path, reference_path: Path
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return every whole segment whose reference is known, a strip at a time."""
    import rasterio
    from rasterio.windows import Window

    assert spec.map is not None
    assert spec.reference is not None
    parts, size = [], spec.size
    with rasterio.open(map_path) as shown, rasterio.open(reference_path) as truth:
        _same_grid(shown, truth, map_path, reference_path)
        hectares = _hectares(map_path)
        across = shown.width // size
        for row in range(0, shown.height - size + 1, size):
            window = Window(0, row, across * size, size)
            arrays = (shown.read(1, window=window), truth.read(1, window=window))
            parts.append(_strip(pilot, spec, *arrays, row // size, hectares))
        whole = (shown.height // size) * across
        left = 1 - whole * size**2 / (shown.height * shown.width)
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    known = table[table.pop("unknown") == 0] if len(table) else table
    if len(known) < 2:
        raise ContractError(
            f"{len(known)} whole segments of {size} x {size} pixels have a reference "
            "everywhere",
            where="data.segments.size",
            hint="smaller segments",
        )
    for name in pilot.data.roles.variables:
        if not known[name].any():
            raise ContractError(
                f"The reference has nothing of {name!r} in any segment",
                where="data.segments.reference.classes",
                hint="are these its codes? Errors are told as shares of the true area",
            )
    notes = [f"segments of the frame: {len(known):,} of {size} x {size} pixels"]
    cautions = [
        f"{whole - len(known):,} of {whole:,} segments hold pixels without a known "
        "reference and are not part of the frame: the figures are of the others",
    ]
    if left > 0:
        cautions.append(f"{left:.1%} of the raster is in no whole segment")
    return known.reset_index(drop=True), notes, cautions


def _same_grid(shown: Any, truth: Any, one: Path, other: Path) -> None:
    same = shown.shape == truth.shape and shown.crs == truth.crs
    if not same or not shown.transform.almost_equals(truth.transform, precision=1e-6):
        raise ContractError(
            "Map and reference lie on different grids",
            where=f"{one.name}, {other.name}",
            expected="one CRS, size and origin",
            hint="align them with mlstats.imagery.Stack first",
        )


def _hectares(path: Path) -> float:
    from mlstats.imagery.grid import Grid

    return float(Grid.of(path).pixel_hectares())


def _strip(
    pilot: Pilot,
    spec: Segments,
    shown: np.ndarray,
    truth: np.ndarray,
    place: int,
    hectares: float,
) -> pd.DataFrame:
    assert spec.map is not None
    assert spec.reference is not None
    size = spec.size
    across = shown.shape[1] // size

    def counted(hit: np.ndarray) -> np.ndarray:
        by_column = hit.sum(axis=0).reshape(across, size)
        return np.asarray(by_column.sum(axis=1))

    known = np.isin(truth, [c for codes in spec.reference.classes.values()
                            for c in codes])  # fmt: skip
    columns: dict[str, Any] = {
        SEGMENT: [f"{place}-{column}" for column in range(across)],
        "unknown": counted(~known),
    }
    for name in pilot.data.roles.variables:
        columns[name] = counted(np.isin(truth, _codes(spec.reference, name))) * hectares
        mapped = counted(np.isin(shown, _codes(spec.map, name)))
        columns[f"{name}_map"] = mapped * hectares
    return pd.DataFrame(columns)


def _codes(spec: Map, name: str) -> list[int]:
    if name not in spec.classes:
        raise ConfigError(
            f"The raster {Path(spec.file).name} has no class {name!r}",
            where="data.segments",
            nearest=nearest(name, spec.classes),
        )
    return list(spec.classes[name])
