"""Reference units with their strata: what a map is judged and corrected by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.errors import ContractError
from mlstats.quality.design import Design

__all__ = ["ReferenceUnits"]


@dataclass(frozen=True)
class ReferenceUnits:
    """A stratified random sample of units with map and reference class.

    Made by :meth:`of`.

    Parameters
    ----------
    reference, mapped : numpy.ndarray of object, shape (n,)
        Classes.
    stratum : numpy.ndarray of object, shape (n,)
        Names of strata.
    areas : mapping
        Area of every stratum with an area.
    design : Design
        Weights are area per unit.
    by_map : bool
        Whether the strata are the map's classes.
    """

    reference: np.ndarray
    mapped: np.ndarray
    stratum: np.ndarray
    areas: Mapping[str, float]
    design: Design
    by_map: bool

    @classmethod
    def of(
        cls,
        reference: np.ndarray,
        mapped: np.ndarray,
        areas: Mapping[str, float],
        *,
        stratum: np.ndarray | None = None,
        units: Mapping[str, float] | None = None,
    ) -> ReferenceUnits:
        """Check the units against the areas of their strata.

        Parameters
        ----------
        reference, mapped, stratum : numpy.ndarray, shape (n,)
            Classes, and strata where they are not the map's classes.
        areas : mapping
            Stratum -> area.
        units : mapping, optional
            Stratum -> units in the population.

        Raises
        ------
        ContractError
            Where lengths differ, a class is missing, an area is not a number or a
            unit lies in a stratum without area.
        """
        truth, shown = _names(reference, "reference"), _names(mapped, "map")
        layer = shown if stratum is None else _names(stratum, "stratum")
        if not len(truth) == len(shown) == len(layer):
            raise ContractError(
                "Reference, map and strata differ in length",
                expected=f"{len(truth)} of each",
            )
        sizes = {str(name): float(area) for name, area in areas.items()}
        wrong = [k for k, area in sizes.items() if not 0 <= area < np.inf]
        if wrong or not sum(sizes.values()) > 0:
            raise ContractError(
                "The area of a stratum is negative, missing or all are zero",
                where=f"stratum {wrong[0]!r}" if wrong else None,
            )
        drawn = pd.Series(layer, dtype=object).value_counts()
        strange = [name for name in drawn.index if not sizes.get(str(name), 0.0) > 0]
        if strange:
            raise ContractError(
                f"{int(drawn[strange].sum())} units lie in strata without area",
                where=f"stratum {strange[0]!r}",
                expected="the area of every stratum, the unclassified one included",
            )
        fraction = {
            str(name): float(drawn.get(name, 0)) / float(count)
            for name, count in (units or {}).items()
        }
        weight = np.array([sizes[name] / drawn[name] for name in layer])
        design = Design.of(weight, stratum=layer, fraction=fraction)
        return cls(truth, shown, layer, sizes, design, bool((layer == shown).all()))

    @property
    def total_area(self) -> float:
        """Area of the territory."""
        return float(sum(self.areas.values()))

    @property
    def map_classes(self) -> list[str]:
        """Classes of the map among the units, and strata without units."""
        found = set(self.mapped)
        return sorted(found | set(self._empty()) if self.by_map else found)

    @property
    def reference_classes(self) -> list[str]:
        """Classes of the reference, sorted."""
        return sorted(set(self.reference))

    def unsampled(self, map_class: str | None = None) -> str:
        """Return why a figure is not known; empty where it is.

        Parameters
        ----------
        map_class : str, optional
            The figure is of the area that the map shows as this class only; where the
            strata are the map's classes an empty stratum elsewhere does not matter.
        """
        empty = self._empty()
        if map_class is not None and self.by_map:
            empty = [name for name in empty if name == map_class]
        if not empty:
            return ""
        share = sum(self.areas[name] for name in empty) / self.total_area
        return f"no reference unit in {', '.join(empty[:3])} ({share:.1%} of the area)"

    def matrix(self) -> pd.DataFrame:
        """Return the estimated share of the area in each cell, map by reference."""
        rows, columns = self.map_classes, self.reference_classes
        i = pd.Index(rows, dtype=object).get_indexer(pd.Index(self.mapped))
        j = pd.Index(columns, dtype=object).get_indexer(pd.Index(self.reference))
        shape = (len(rows), len(columns))
        cell = i * len(columns) + j
        weight = self.design.weight / self.total_area
        shares = np.bincount(cell, weight, minlength=shape[0] * shape[1])
        whole = np.nan if self._empty() else 1.0
        return pd.DataFrame(
            shares.reshape(shape) * whole,
            index=pd.Index(rows, name="map"),
            columns=pd.Index(columns, name="reference"),
        )

    def _empty(self) -> list[str]:
        held = set(self.stratum)
        return sorted(k for k, area in self.areas.items() if area > 0 and k not in held)


def _names(values: np.ndarray, what: str) -> np.ndarray:
    given = pd.Series(np.asarray(values, dtype=object))
    missing = int(given.isna().sum())
    if missing:
        raise ContractError(
            f"{missing} units have no {what} class",
            hint="give what is not known a class of its own, with its area",
        )
    return np.array([str(value) for value in given], dtype=object)
