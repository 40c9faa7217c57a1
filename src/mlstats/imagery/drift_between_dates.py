"""Drift between two dates of one place, before a model predicts the later one.

The same pixels are seen twice, and only those clear on both dates are compared: clouds
are told, not tested. Pixels of a block change together, so blocks are the clusters of
every test, and only pixels of their cores should be given
(:func:`~mlstats.imagery.blocks_and_seasons.block_cores` with the range of the change as
the gap): blocks that touch gave 8 to 17 % of false alarms where 5 % were promised. All
tests of a call are one family: where nothing drifted the chance of any alarm is at most
the level. A change is an alarm where it is significant and may be as large as its
floor, as in :mod:`mlstats.quality.drift`, whose states these are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from mlstats.errors import ContractError
from mlstats.imagery.transitions import Confusions, as_classes, class_changes
from mlstats.imagery.variance_components import Floats
from mlstats.quality.design import Design
from mlstats.quality.drift_evidence import Floors
from mlstats.quality.drift_paired import compare_paired
from mlstats.quality.drift_panel import PairedSummary
from mlstats.quality.drift_reference import Reference
from mlstats.quality.estimate import Estimate
from mlstats.quality.multiple import benjamini_hochberg
from mlstats.quality.numeric import distribution_distance

__all__ = ["date_drift", "stability_index"]

_COLUMNS: Final = (
    "measure", "of", "before", "after", "effect", "effect_lower", "effect_upper", "se",
    "p", "p_adjusted", "floor", "state", "psi", "wasserstein", "pixels", "blocks",
    "note",
)  # fmt: skip
_LEAST_BLOCKS: Final = 11  # five for each part of the smallest test of a distribution
_SHIFT_FLOOR: Final = 0.05  # standard deviations: Floors.distance of a normal variable

Pair = tuple[npt.ArrayLike, npt.ArrayLike]


def date_drift(
    before: npt.ArrayLike | pd.DataFrame,
    after: npt.ArrayLike | pd.DataFrame,
    blocks: npt.ArrayLike,
    *,
    names: Sequence[str] | None = None,
    inside: Pair | None = None,
    classes: Pair | None = None,
    confusion: Confusions | None = None,
    level: float = 0.05,
    floors: Floors | None = None,
) -> pd.DataFrame:
    """Compare bands, area of applicability and class shares of two dates.

    Parameters
    ----------
    before, after : array_like of shape (pixels, bands)
        The same pixels in the same order; missing where a date is not clear. A sample
        of pixels from every block will do: blocks are what counts.
    blocks : array_like of shape (pixels,)
        Block of each pixel.
    names : sequence of str, optional
        Of the bands; the columns of a DataFrame, or numbers from 1.
    inside : tuple of array_like of bool of shape (pixels,), optional
        Whether each pixel is in the area of applicability, on both dates.
    classes : tuple of array_like of shape (pixels,), optional
        Mapped classes of both dates; missing where unclassified.
    confusion : pandas.DataFrame or tuple of two, optional
        Counts of validated units, mapped classes as rows and reference classes as
        columns. Class shares are then corrected, see Notes.
    level : float
        Chance of any alarm where nothing drifted.
    floors : Floors, optional
        The smallest changes that matter.

    Returns
    -------
    pandas.DataFrame
        A row for each test. measure: clear (told only), mean (of a band; the effect is
        in standard deviations of the earlier date), distribution (of a band; the
        effect is a Kolmogorov-Smirnov distance), outside (share of pixels outside the
        area of applicability), class share. of: band or class. before, after: means
        or shares over pixels clear on both dates. effect with its 95 % interval and
        se; p, p_adjusted (Benjamini-Hochberg over all tests), floor, state ("drift",
        "significant, below floor", "not measured", "no drift"). psi and wasserstein
        of a band are told beside the test: the first over deciles of the earlier
        date, the second in the band's unit. pixels, blocks, note.

    Raises
    ------
    ContractError
        Lengths that differ, a mapped class that the confusion does not have.

    Notes
    -----
    Means and shares: the paired difference of every pixel, with the variance of
    totals over blocks and Student's t with blocks less one degrees of freedom.
    Distributions: Stuart-Maxwell's test of marginal homogeneity over deciles with
    clusters (:func:`mlstats.quality.drift_paired.compare_paired`).

    Corrected shares: ``a_j = sum_i m_i P(j | i)`` with m the mapped shares and
    ``P(j | i) = n_ij / n_i`` (Card 1982, Photogrammetric Engineering and Remote Sensing
    48, 431-439). To the variance over blocks ``sum_i d_i^2 P (1 - P) / (n_i - 1)`` is
    added: with d the change of the mapped share where one confusion holds for both
    dates, so that a map error that stays does not count as change; with d the share
    itself, once for each date, where two were given.
    """
    sides, labels = _sides(before, after, names)
    group = np.asarray(pd.factorize(np.asarray(blocks, dtype=object))[0])
    if len(group) != len(sides[0]) or (group < 0).any():
        raise ContractError(
            f"{len(group)} blocks for {len(sides[0])} pixels, or missing ones",
            expected="a block for each pixel",
        )
    limits = floors or Floors()
    one, other = (np.asarray(np.isfinite(side).all(axis=1)) for side in sides)
    scene = _Scene(sides, np.asarray(one & other), group, labels, limits)
    rows = [scene.told_clear(one, other), *scene.bands()]
    if inside is not None:
        rows.append(scene.outside(inside))
    if classes is not None:
        mapped = as_classes(classes, len(group))
        for name, shares, change in class_changes(mapped, scene.both, group, confusion):
            floor = float(limits.of_shares(np.array([shares[0]]))[0])
            rows.append(scene.row("class share", name, shares, change, floor))
    return _judged(rows, level)


def stability_index(before: npt.ArrayLike, after: npt.ArrayLike) -> float:
    """Return the population stability index of a band over deciles.

    ``sum (q - p) ln(q / p)``, p and q the shares of both dates between the deciles of
    the earlier one: the divergence J of Kullback and Leibler (1951, Annals of
    Mathematical Statistics 22, 79-86), by its name in credit scoring. Half a pixel is
    added to every cell, so that an empty one has a logarithm.

    Parameters
    ----------
    before, after : array_like of shape (pixels,)
        Finite values.

    Examples
    --------
    >>> stability_index(range(100), range(100))
    0.0
    """
    one, other = np.asarray(before, float), np.asarray(after, float)
    edges = np.unique(np.quantile(one, np.linspace(0.1, 0.9, 9)))
    shares = []
    for values in (one, other):
        cell = np.searchsorted(edges, values, side="left")
        count = np.bincount(cell, minlength=len(edges) + 1) + 0.5
        shares.append(count / count.sum())
    p, q = shares
    return float(((q - p) * np.log(q / p)).sum())


@dataclass(frozen=True, eq=False)
class _Scene:
    """Pixels of both dates, and which are clear on both."""

    sides: tuple[Floats, Floats]
    both: npt.NDArray[np.bool_]
    group: npt.NDArray[np.intp]
    labels: list[str]
    floors: Floors

    def told_clear(
        self, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]
    ) -> dict[str, object]:
        row = _blank("clear", "") | {"before": before.mean(), "after": after.mean()}
        note = f"{self.both.mean():.1%} of pixels are clear on both dates"
        return row | {"pixels": len(self.both), "note": f"told, not tested; {note}"}

    def bands(self) -> Iterator[dict[str, object]]:
        held = [side[self.both] for side in self.sides]
        blocks = self.group[self.both]
        enough = len(np.unique(blocks)) >= _LEAST_BLOCKS
        summary = _summary(held, blocks) if enough else None
        for i, name in enumerate(self.labels):
            one, other = held[0][:, i], held[1][:, i]
            yield self._mean(i, name)
            row = _blank("distribution", name)
            if summary is None:
                note = f"fewer than {_LEAST_BLOCKS} blocks are clear on both dates"
                yield row | {"note": note}
                continue
            design = Design.of(np.ones(len(one)), cluster=blocks)
            distance = distribution_distance(design, one, other)
            found = compare_paired(str(i), summary, self.floors)[0]
            yield row | {
                "before": one.mean(), "after": other.mean(),
                "effect": found.effect[0], "effect_lower": found.lower[0],
                "effect_upper": found.upper[0], "floor": found.floor[0],
                "p": found.p if found.in_family else np.nan,
                "state": "" if found.measured else "not measured",
                "psi": stability_index(one, other),
                "wasserstein": distance.wasserstein,
                "pixels": len(one), "blocks": summary.clusters, "note": found.note,
            }  # fmt: skip

    def _mean(self, i: int, name: str) -> dict[str, object]:
        one, other = (side[:, i] for side in self.sides)
        spread = float(one[self.both].std()) if self.both.any() else 0.0
        if not spread > 0:
            note = "the band does not vary on the pixels clear on both dates"
            return _blank("mean", name) | {"note": note}
        gap = np.where(self.both, other - one, 0.0) / spread
        change = Design.of(np.ones(len(gap)), cluster=self.group).mean(gap, self.both)
        shares = float(one[self.both].mean()), float(other[self.both].mean())
        return self.row("mean", name, shares, change, _SHIFT_FLOOR)

    def outside(self, inside: Pair) -> dict[str, object]:
        masks = [~np.asarray(mask, dtype=bool) for mask in inside]
        if any(mask.shape != self.group.shape for mask in masks):
            raise ContractError(
                "a mask of the area of applicability has another number of pixels"
            )
        gap = masks[1].astype(float) - masks[0]
        change = Design.of(np.ones(len(gap)), cluster=self.group).mean(gap, self.both)
        if not self.both.any():
            return self.row("outside", "", (np.nan, np.nan), change, np.nan)
        shares = tuple(float(mask[self.both].mean()) for mask in masks)
        floor = float(self.floors.of_shares(np.array(shares[:1]))[0])
        return self.row("outside", "", (shares[0], shares[1]), change, floor)

    def row(
        self,
        measure: str,
        of: str,
        levels: tuple[float, float],
        change: Estimate,
        floor: float,
    ) -> dict[str, object]:
        """Return the row of a paired difference."""
        row = _blank(measure, of) | {
            "before": levels[0], "after": levels[1], "effect": change.value,
            "effect_lower": change.lower, "effect_upper": change.upper,
            "se": change.se, "floor": floor, "pixels": change.n,
            "blocks": int(change.df) + 1 if change.df >= 0 else 0, "note": change.note,
        }  # fmt: skip
        if change.has_error and change.se > 0:
            t = change.value / change.se
            return row | {"p": float(2 * stats.t.sf(abs(t), change.df)), "state": ""}
        still = change.se == 0 and change.value == 0
        return row | {"state": "" if still else "not measured"}


def _blank(measure: str, of: str) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(_COLUMNS, np.nan)
    return row | {
        "measure": measure, "of": of, "state": "not measured", "pixels": 0,
        "blocks": 0, "note": "",
    }  # fmt: skip


def _sides(
    before: npt.ArrayLike | pd.DataFrame,
    after: npt.ArrayLike | pd.DataFrame,
    names: Sequence[str] | None,
) -> tuple[tuple[Floats, Floats], list[str]]:
    if isinstance(before, pd.DataFrame) and isinstance(after, pd.DataFrame):
        if list(before.columns) != list(after.columns):
            raise ContractError("the dates have different bands, or in another order")
        names = [str(name) for name in before.columns] if names is None else names
    one, other = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if one.ndim != 2 or one.shape != other.shape:
        raise ContractError(
            f"pixels of shape {one.shape} before and {other.shape} after",
            expected="the same pixels and bands on both dates",
        )
    labels = [str(i + 1) for i in range(one.shape[1])] if names is None else list(names)
    if len(labels) != one.shape[1]:
        raise ContractError(f"{len(labels)} names for {one.shape[1]} bands")
    return (one, other), labels


def _summary(held: list[Floats], blocks: npt.NDArray[np.intp]) -> PairedSummary:
    """Return the changes of every pixel between cells, summed over blocks."""
    columns = [str(i) for i in range(held[0].shape[1])]
    frames = [
        pd.DataFrame(side, columns=columns).assign(
            unit=np.arange(len(side)), block=blocks
        )
        for side in held
    ]
    reference = Reference.learn(frames[0][columns])
    return PairedSummary.of(
        frames[0], frames[1], reference, unit="unit", cluster="block"
    )


def _judged(rows: list[dict[str, object]], level: float) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    adjusted = benjamini_hochberg(table["p"].to_numpy(dtype=float))
    table["p_adjusted"] = adjusted
    reach = table[["effect_lower", "effect_upper"]].abs().max(axis=1)
    found = np.where(reach >= table["floor"], "drift", "significant, below floor")
    verdict = np.where(adjusted <= level, found, "no drift")
    table["state"] = np.where(table["state"] == "", verdict, table["state"])
    return table
