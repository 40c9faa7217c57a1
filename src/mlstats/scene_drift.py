"""The later date against the one that was learnt from, before anything is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from mlstats.config import Pilot
from mlstats.errors import ContractError
from mlstats.imagery.applicability import Applicability
from mlstats.imagery.drift_between_dates import date_drift
from mlstats.imagery.images import Stack
from mlstats.imagery.observations import clear_share
from mlstats.imagery.windows import Window
from mlstats.imagery_task import ArmRun, ImageryData
from mlstats.imagery_units import BLOCK
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.indicator import exact
from mlstats.scene_data import SceneData
from mlstats.scene_methods import MAIN

__all__ = ["DatesApart", "class_changes", "compare_dates"]

AHEAD: Final = "of bands and applicability, before anything was predicted"
NOT_MEASURED: Final = "not measured"
_MOST_BLOCKS: Final = 400
_PER_BLOCK: Final = 64
_STRIP: Final = 1 << 18  # pixels
_LEAST_SIDE: Final = 8  # pixels, half of which are the gap to the next core
_ELSEWHERE: Final = (
    "The images that were learnt from lie elsewhere: the dates could not be compared."
)
_SHOWN: Final = [
    "measure", "of", "before", "after", "effect", "effect_lower", "effect_upper",
    "p_adjusted", "floor", "state", "psi", "pixels", "blocks", "note",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class DatesApart:
    """How the later date differs from the one that was learnt from.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`mlstats.imagery.date_drift`; empty where there is one date.
    sentence : str
        The verdicts in words.
    clear : pandas.DataFrame
        Share of clear pixels by image.
    before, after : numpy.ndarray of shape (pixels, features)
        The sample of pixels, for the changes of classes.
    blocks : numpy.ndarray of shape (pixels,)
        Block of each.
    """

    table: pd.DataFrame
    sentence: str = ""
    clear: pd.DataFrame = field(default_factory=pd.DataFrame)
    before: np.ndarray | None = None
    after: np.ndarray | None = None
    blocks: np.ndarray | None = None

    def clouded(self) -> list[str]:
        """Return which images have no clear pixel."""
        if self.clear.empty:
            return []
        lost = self.clear[self.clear["status"] == "all cloud"]
        return [
            f"no pixel is clear on {date} (images {images})"
            for date, images in zip(lost["date"], lost["images"], strict=True)
        ]

    def alarms(self) -> Estimate:
        """Return how many comparisons show drift; without any there is no figure."""
        state = self.table["state"]
        judged = int((~state.isin(["", NOT_MEASURED])).sum())
        if not judged:
            return absent(
                "not_measured", "nothing is clear on both dates, or too few blocks"
            )
        lost = int((state == NOT_MEASURED).sum())
        note = f"{AHEAD}; {lost} comparisons were not measured" if lost else AHEAD
        return exact(float((state == "drift").sum()), n=judged, note=note)


def compare_dates(pilot: Pilot, data: ImageryData) -> DatesApart:
    """Compare the bands of both dates, and their places in what was learnt.

    Pixels are a sample: at most 64 of the core of each of at most 400 blocks, whose
    sides are those of the pilot's blocks. A scene without a later date has none. Images
    on another grid than the target are taken to it; where they lie elsewhere there are
    no pixels to compare, and the sentence says so.
    """
    if pilot.task != "scene":
        return DatesApart(pd.DataFrame())
    scene: SceneData = data.task
    clear = _clear(scene)
    if not scene.later:
        return DatesApart(pd.DataFrame(), clear=clear)
    try:
        earlier = Stack(scene.stack.images, scene.target.grid)
    except ContractError:  # no place in common
        return DatesApart(pd.DataFrame(), _ELSEWHERE, clear)
    side = _side(pilot, scene)
    before, after, blocks = [], [], []
    for number, window in enumerate(_cores(scene.target.grid.shape, side)):
        before.append(_sampled(earlier, scene, window))
        after.append(_sampled(scene.target, scene, window))
        blocks.append(np.full(len(before[-1]), number))
    sides = np.concatenate(before), np.concatenate(after)
    where = np.concatenate(blocks)
    area = _area(data)
    inside = None if area is None else (area.inside(sides[0]), area.inside(sides[1]))
    table = date_drift(*sides, where, names=scene.names, inside=inside)
    return DatesApart(table, _sentence(table), clear, *sides, where)


def class_changes(
    apart: DatesApart, pilot: Pilot, data: ImageryData, runs: Sequence[ArmRun]
) -> pd.DataFrame:
    """Compare the shares of the classes on both dates, by the candidate's labels.

    The confusion of its validation corrects them; its error stays in the interval.
    Where it cannot, a row says why.
    """
    if apart.before is None or apart.after is None or apart.blocks is None:
        return pd.DataFrame()
    run = next(one for one in runs if one.name == pilot.candidate)
    names = data.task.names
    sides = [
        run.method.predict(pd.DataFrame(values, columns=names))
        for values in (apart.before, apart.after)
    ]
    told = run.units[run.units["scheme"] == MAIN]
    counts = pd.crosstab(told["prediction"].astype(str), told["truth"].astype(str))
    try:
        found = date_drift(
            apart.before[:, :0],
            apart.after[:, :0],
            apart.blocks,
            names=[],
            classes=(sides[0], sides[1]),
            confusion=counts,
        )
    except ContractError as error:  # a class that validation hardly met
        row = {"measure": "class share", "of": "", "state": "not measured"}
        return pd.DataFrame([row | {"note": error.title}])
    return found[found["measure"] != "clear"]  # told with the bands


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that a page has room for."""
    return table[[c for c in _SHOWN if c in table]]


def _clear(scene: SceneData) -> pd.DataFrame:
    parts = [clear_share(scene.stack).assign(images="learnt from")]
    if scene.later:
        parts.append(clear_share(scene.target).assign(images="classified"))
    return pd.concat(parts, ignore_index=True)


def _side(pilot: Pilot, scene: SceneData) -> int:
    """Return the side of a block in pixels, a tenth of the scene where none is told."""
    spec = pilot.data.scene
    shortest = min(scene.target.grid.shape)
    side = shortest / 10
    if spec is not None and spec.block and not spec.columns:
        side = spec.block / abs(scene.target.grid.transform[0])
    return int(min(max(side, _LEAST_SIDE), max(_LEAST_SIDE, shortest // 4)))


def _cores(shape: tuple[int, int], side: int) -> list[Window]:
    """Return the middle halves of blocks, evenly over the scene where they are many."""
    gap = side // 4
    found = [
        Window(row + gap, column + gap, side - 2 * gap, side - 2 * gap)
        for row in range(0, shape[0] - side + 1, side)
        for column in range(0, shape[1] - side + 1, side)
    ]
    return found[:: max(1, -(-len(found) // _MOST_BLOCKS))]


def _sampled(stack: Stack, scene: SceneData, window: Window) -> np.ndarray:
    """Return features of every so many pixels of a window, NaN where not clear.

    It is read in strips, since a window may be a hundredth of a country.

    Returns
    -------
    numpy.ndarray of shape (pixels, features)
    """
    halo, found = scene.features.halo, []
    step = max(1, window.height * window.width // _PER_BLOCK)
    size = max(1, _STRIP // window.width), window.width
    for strip in Window.cover((window.height, window.width), size):
        wide = strip.moved(window.row, window.column).grown(halo)
        values, _ = scene.features.compute(stack.read(wide))
        kept = values[:, halo : halo + strip.height, halo : halo + strip.width]
        first = -strip.row * strip.width % step
        # A copy: a view would hold the whole strip until the dates are compared.
        found.append(kept.reshape(len(values), -1)[:, first::step].T.astype(float))
    return np.concatenate(found)


def _area(data: ImageryData) -> Applicability | None:
    try:
        return Applicability.learn(
            data.frame[data.task.names].to_numpy(float), data.frame[BLOCK]
        )
    except ContractError:
        return None


def _sentence(table: pd.DataFrame) -> str:
    table = table[~table["state"].isin(["", NOT_MEASURED])]
    if table.empty:
        return "Nothing of the later date could be compared with what was learnt from."
    alarms = table[table["state"] == "drift"]
    if alarms.empty:
        return "The later date shows no drift beyond the floors."
    named = ", ".join(dict.fromkeys(f"{m} {of}".strip() for m, of in
                      zip(alarms["measure"], alarms["of"], strict=True)))  # fmt: skip
    return (
        f"{len(alarms)} of {len(table)} comparisons with the date that was learnt from "
        f"show drift: {named}."
    )
