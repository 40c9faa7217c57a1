"""Change of class shares between two maps of the same pixels, with its error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from mlstats.errors import ContractError
from mlstats.imagery.variance_components import Floats
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate

__all__ = ["Confusions", "as_classes", "class_changes"]

Confusions = pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]
Labels = npt.NDArray[np.object_]


def as_classes(
    classes: tuple[npt.ArrayLike, npt.ArrayLike], pixels: int
) -> tuple[Labels, Labels]:
    """Return class names as texts, None where a pixel is unclassified."""
    found = []
    for side in classes:
        codes = np.asarray(side, dtype=object)
        if codes.shape != (pixels,):
            raise ContractError(
                f"a map of {len(codes)} classes for {pixels} pixels",
                expected="a class for each pixel, missing where unclassified",
            )
        lost = pd.isna(codes)
        named = np.array([str(code) for code in codes], dtype=object)
        found.append(np.where(lost, np.array(None), named))
    return found[0], found[1]


def class_changes(
    mapped: tuple[Labels, Labels],
    clear: npt.NDArray[np.bool_],
    blocks: npt.NDArray[np.intp],
    confusion: Confusions | None = None,
) -> Iterator[tuple[str, tuple[float, float], Estimate]]:
    """Yield each class with its shares on both dates and the change of its share.

    Parameters
    ----------
    mapped : tuple of numpy.ndarray of object, shape (pixels,)
        Of :func:`as_classes`.
    clear : numpy.ndarray of bool, shape (pixels,)
        Pixels that are compared, of those that are classified on both dates.
    blocks : numpy.ndarray, shape (pixels,)
    confusion : pandas.DataFrame or tuple of two, optional
        Counts, mapped classes as rows, reference classes as columns: of both dates
        alike, or one for each.

    Raises
    ------
    ContractError
        A confusion that is not of counts, lacks a mapped class or has fewer than two
        units of one.
    """
    held = clear & pd.notna(mapped[0]) & pd.notna(mapped[1])
    if not held.any():
        return
    names = sorted({name for side in mapped for name in side[held]})
    codes = [pd.Categorical(side[held], categories=names).codes for side in mapped]
    shares = [np.bincount(c, minlength=len(names)) / held.sum() for c in codes]
    if confusion is None:
        chances, counts = [np.eye(len(names))] * 2, [np.full(len(names), np.inf)] * 2
        columns = names
    else:
        chances, counts, columns = _chances(confusion, names)
    weights = [shares[0], shares[1]]
    if not isinstance(confusion, tuple):
        weights = [np.zeros(len(names)), shares[1] - shares[0]]
    design = Design.of(np.ones(len(held)), cluster=blocks)
    for j, name in enumerate(columns):
        gap = np.zeros(len(held))
        gap[held] = chances[1][codes[1], j] - chances[0][codes[0], j]
        error = sum(
            float(w**2 @ (c[:, j] * (1 - c[:, j]) / (n - 1)))
            for w, c, n in zip(weights, chances, counts, strict=True)
        )
        levels = [float(s @ c[:, j]) for s, c in zip(shares, chances, strict=True)]
        change = _with_map_error(design.mean(gap, held), error)
        yield name, (levels[0], levels[1]), change


def _with_map_error(change: Estimate, variance: float) -> Estimate:
    if not (variance > 0 and np.isfinite(change.se)):
        return change
    se = float(np.sqrt(change.se**2 + variance))
    half = float(stats.t.ppf(0.975, change.df)) * se
    note = f"corrected for map errors, of the error {np.sqrt(variance):.2g} by them"
    return replace(
        change, se=se, lower=change.value - half, upper=change.value + half, note=note
    )


def _chances(
    confusion: Confusions, names: list[str]
) -> tuple[list[Floats], list[Floats], list[str]]:
    """Return P(reference | mapped) of both dates, counts behind it, columns."""
    tables = confusion if isinstance(confusion, tuple) else (confusion, confusion)
    chances, counts = [], []
    columns = sorted({str(name) for table in tables for name in table.columns})
    for table in tables:
        cells = table.set_axis([str(name) for name in table.index], axis=0)
        cells = cells.set_axis([str(name) for name in table.columns], axis=1)
        lacking = [name for name in names if name not in cells.index]
        if lacking:
            raise ContractError(
                "the confusion has no row of a mapped class",
                where=", ".join(lacking),
                expected="counts with mapped classes as rows",
            )
        cells = cells.loc[names].reindex(columns=columns, fill_value=0)
        values = cells.to_numpy(dtype=float)
        rows = values.sum(axis=1)
        if not (np.isfinite(values).all() and (values >= 0).all() and (rows > 1).all()):
            raise ContractError(
                "the confusion is not of counts, or has a mapped class with one unit",
                expected="two validated units or more of each mapped class",
            )
        chances.append(values / rows[:, None])
        counts.append(rows)
    return chances, counts, columns
