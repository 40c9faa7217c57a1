"""Areas corrected for map errors, and the accuracy of the map, from reference units.

A probability sample of pixels (or segments) has a reference class beside the map's.
With the sample's weights every figure is a total or a ratio of totals (Stehman 2014,
International Journal of Remote Sensing 35, 4923-4939), whether or not the strata are
the map's classes. Where they are, the estimates and standard errors are those of
Olofsson et al. 2013 (Remote Sensing of Environment 129, 122-131, equations 1-3 and 9)
and 2014 (148, 42-57, equations 1-11).

What the map left unclassified is a stratum with its area, never left out; it has no
user's accuracy and its units count as not correct.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mlstats.errors import ContractError
from mlstats.imagery.reference_units import ReferenceUnits
from mlstats.quality.estimate import Estimate, absent, as_table

__all__ = ["MapAccuracy", "accuracy_of_counts", "map_accuracy"]

MEASURES = ("overall", "users", "producers", "area_share", "area")


@dataclass(frozen=True)
class MapAccuracy:
    """Accuracies and areas.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns measure (overall, users, producers, area_share, area), class ("" for
        overall) and those of :class:`~mlstats.quality.estimate.Estimate`.
    matrix : pandas.DataFrame
        Estimated share of the area in each cell: map classes as rows, reference
        classes as columns. NaN throughout where a stratum has no unit.
    """

    table: pd.DataFrame
    matrix: pd.DataFrame

    def of(self, measure: str, name: str = "") -> pd.Series:
        """Return one row of the table."""
        chosen = (self.table["measure"] == measure) & (self.table["class"] == name)
        if not chosen.any():
            raise ContractError(
                f"There is no {measure!r} of class {name!r}",
                expected=", ".join(MEASURES),
            )
        return self.table[chosen].iloc[0]


def map_accuracy(
    reference: np.ndarray,
    mapped: np.ndarray,
    areas: Mapping[str, float],
    *,
    stratum: np.ndarray | None = None,
    unclassified: Collection[str] = (),
    units: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> MapAccuracy:
    """Estimate areas by reference class, and the accuracy of the map.

    Parameters
    ----------
    reference, mapped : numpy.ndarray of str, shape (n,)
        Classes of the sampled units. Give a unit whose reference is not known a class
        of its own.
    areas : mapping
        Stratum -> area, in any unit; all of the territory, with the area that the map
        left unclassified.
    stratum : numpy.ndarray of str, shape (n,), optional
        Stratum of each unit; the map's class where left out.
    unclassified : collection of str
        Names of map classes that are none: no user's accuracy.
    units : mapping, optional
        Stratum -> units in the population, for the finite-population correction; none
        where left out, as in the papers.
    confidence : float
        Of the intervals, t with the units less the strata of the domain as degrees
        of freedom, cut at what is possible.

    Raises
    ------
    ContractError
        Where lengths differ or a unit lies in a stratum without area.
    """
    sample = ReferenceUnits.of(
        reference, mapped, areas, stratum=stratum, units=units
    )  # fmt: skip
    rows = _rows(sample, set(unclassified), confidence)
    table = as_table(rows, ["measure", "class"])
    order = table["measure"].map({name: i for i, name in enumerate(MEASURES)})
    table = table.iloc[np.argsort(order.to_numpy(), kind="stable")]
    return MapAccuracy(table.reset_index(drop=True), sample.matrix())


def _rows(
    sample: ReferenceUnits, unclassified: Collection[str], confidence: float
) -> list[tuple[dict[str, str], Estimate]]:
    right = (sample.reference == sample.mapped).astype(float)
    ones = np.ones(len(right))
    found = {("overall", ""): _ratio(sample, right, ones, None, confidence)}
    for name in sample.map_classes:
        inside = (sample.mapped == name).astype(float)
        found["users", name] = (
            absent("not_applicable", "the map has no class here")
            if name in unclassified
            else _ratio(sample, right * inside, inside, name, confidence)
        )
    for name in sample.reference_classes:
        inside = (sample.reference == name).astype(float)
        among = _ratio(sample, right * inside, inside, None, confidence)
        share = _ratio(sample, inside, ones, None, confidence)
        found["producers", name] = among
        found["area_share", name] = share
        found["area", name] = _scaled(share, sample.total_area)
    return [({"measure": m, "class": name}, e) for (m, name), e in found.items()]


def accuracy_of_counts(
    counts: pd.DataFrame | np.ndarray,
    areas: Mapping[str, float] | Sequence[float],
    *,
    classes: Sequence[str] | None = None,
    unclassified: Collection[str] = (),
    confidence: float = 0.95,
) -> MapAccuracy:
    """Estimate areas and accuracies from an error matrix of counts.

    Parameters
    ----------
    counts : pandas.DataFrame or numpy.ndarray of int, shape (map, reference)
        Sampled units; rows are the map's classes, which are the strata.
    areas : mapping or sequence
        Area of each map class.
    classes : sequence of str, optional
        Names of rows and columns where `counts` is an array.

    Raises
    ------
    ContractError
        Where the matrix is not of whole counts or does not match the areas.
    """
    table = _counts_table(counts, classes)
    rows = [str(name) for name in table.index]
    given = areas if isinstance(areas, Mapping) else _paired(rows, areas)
    cells = table.to_numpy()
    i, j = np.nonzero(cells)
    times = cells[i, j].astype(int)
    mapped = np.repeat(np.array(rows, dtype=object)[i], times)
    columns = np.array([str(name) for name in table.columns], dtype=object)
    return map_accuracy(
        np.repeat(columns[j], times), mapped, given, unclassified=unclassified,
        confidence=confidence,
    )  # fmt: skip


def _paired(rows: Sequence[str], areas: Sequence[float]) -> dict[str, float]:
    if len(areas) != len(rows):
        raise ContractError(f"{len(areas)} areas were given for {len(rows)} classes")
    return dict(zip(rows, map(float, areas), strict=True))


def _counts_table(
    counts: pd.DataFrame | np.ndarray, classes: Sequence[str] | None
) -> pd.DataFrame:
    if not isinstance(counts, pd.DataFrame):
        cells = np.asarray(counts)
        square = cells.ndim == 2 and cells.shape[0] == cells.shape[1]
        names = [str(i + 1) for i in range(len(cells))] if classes is None else classes
        if not square or len(names) != len(cells):
            raise ContractError(
                f"An error matrix of shape {cells.shape} does not match its classes",
                expected="a row and a column for each class, or a DataFrame",
            )
        counts = pd.DataFrame(cells, index=list(names), columns=list(names))
    values = counts.to_numpy(dtype=float)
    if not np.isfinite(values).all() or (values < 0).any() or (values % 1 != 0).any():
        raise ContractError(
            "An error matrix holds what is no count",
            expected="whole numbers of sampled units, not shares",
        )
    return counts


def _ratio(
    sample: ReferenceUnits,
    y: np.ndarray,
    x: np.ndarray,
    map_class: str | None,
    confidence: float,
) -> Estimate:
    """Return a ratio of totals, or why it is not known."""
    missing = sample.unsampled(map_class)
    if missing:
        return absent("not_measured", missing, int((x != 0).sum()))
    found = sample.design.ratio(y, x, confidence=confidence)
    if not found.interval:
        return found
    lower, upper = max(found.lower, 0.0), min(found.upper, 1.0)
    cut = lower != found.lower or upper != found.upper
    how = "t, cut at 0 or 1" if cut else "t"
    return replace(found, lower=lower, upper=upper, interval=how)


def _scaled(share: Estimate, area: float) -> Estimate:
    return replace(
        share, value=share.value * area, se=share.se * area,
        lower=share.lower * area, upper=share.upper * area,
    )  # fmt: skip
