"""Maps of what an imagery pilot found: classes of a scene, errors of small zones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mlstats import io
from mlstats.config import Pilot
from mlstats.imagery_task import ArmRun, ImageryData

__all__ = ["draw_maps"]

# An estimate over the true figure, from too little to too much.
_BREAKS: Final = (0.0, 0.5, 0.8, 1.25, 2.0)
_COLOURS: Final = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")
# What readers of maps expect, among colours that are told apart by all.
_EXPECTED: Final = {"forest": "#117733", "water": "#332288", "urban": "#882255"}
_APPLICABILITY: Final = "applicability.tif"


def draw_maps(
    pilot: Pilot, data: ImageryData, runs: Sequence[ArmRun], folder: Path
) -> list[tuple[str, str]]:
    """Draw the maps of both arms and write them as ``map-METHOD.svg``.

    Returns
    -------
    list of (str, str)
        Title and SVG.
    """
    arms = [run for run in runs if run.name in (pilot.baseline, pilot.candidate)]
    remark = "synthetic data" if pilot.data.synthetic else ""
    draw = {"scene": _scene, "zones": _zones}.get(pilot.task)
    if draw is None or not arms or not _drawable(arms[0]):
        return []
    found = []
    for run in sorted(arms, key=lambda one: one.name != pilot.baseline):
        title, svg = draw(pilot, data, run, folder, remark)
        io.write_text(folder / f"map-{run.name}.svg", svg + "\n")
        found.append((title, svg))
    return found


def _drawable(run: ArmRun) -> bool:
    """Whether there are no more classes than colours that are told apart."""
    from mlstats.imagery.map_picture import CLASS_COLOURS

    shown = run.tables.get("class_areas")
    return shown is None or len(shown) - 1 <= len(CLASS_COLOURS)


def _scene(
    pilot: Pilot, data: ImageryData, run: ArmRun, folder: Path, remark: str
) -> tuple[str, str]:
    from mlstats.imagery.map_picture import CLASS_COLOURS, class_map_svg

    assert run.raster is not None
    names = run.tables["class_areas"]["class"]
    classes = {code: str(name) for code, name in enumerate(names) if code}
    told = {code: _EXPECTED.get(name.lower()) for code, name in classes.items()}
    free = [colour for colour in CLASS_COLOURS if colour not in told.values()]
    colours = {code: told[code] or free.pop(0) for code in told if told[code] or free}
    outside = folder / _APPLICABILITY
    title = f"Classes by {run.name}"
    svg = class_map_svg(
        run.raster,
        classes,
        key=f"map-{run.name}",
        title=title,
        colours=colours,
        unclassified=[0],
        outside=outside if outside.is_file() else None,
        width=640,
        remark=remark,
    )
    return title, svg


def _zones(
    pilot: Pilot, data: ImageryData, run: ArmRun, folder: Path, remark: str
) -> tuple[str, str]:
    from mlstats.imagery.zone_picture import zone_map_svg

    variable = pilot.data.roles.variables[0]
    told = run.units[run.units["variable"] == variable]
    ratio = np.full(len(data.frame), np.nan)
    truth = told["truth"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio[told["row"].to_numpy(int)] = told["prediction"].to_numpy(float) / truth
    ratio[~np.isfinite(ratio)] = np.nan
    shapes = data.task.assign(ratio=ratio)
    highest = float(np.nanmax(ratio, initial=2 * _BREAKS[-1]))
    title = f"{variable} by {run.name}, over the true figure"
    svg = zone_map_svg(
        shapes,
        "ratio",
        key=f"map-{run.name}",
        title=title,
        breaks=(*_BREAKS, math.ceil(highest)),
        colours=_COLOURS,
        width=640,
        remark=remark,
    )
    return title, svg
