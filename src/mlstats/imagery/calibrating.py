"""Areas from pixel counts, calibrated with the error matrix in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from mlstats.imagery.reference_units import ReferenceUnits
from mlstats.quality.estimate import Estimate, as_table
from mlstats.quality.misclassification import Audit, corrected_shares

__all__ = ["calibrated_areas"]

# The quality framework's names are those of the literature on coding.
_METHODS: Final = {
    "classify_and_count": "pixel_count",
    "calibration": "inverse",
    "misclassification": "direct",
}
_IN_AREA: Final = ("value", "se", "lower", "upper")


def calibrated_areas(
    reference: np.ndarray,
    mapped: np.ndarray,
    map_areas: Mapping[str, float],
    *,
    stratum: np.ndarray | None = None,
    stratum_areas: Mapping[str, float] | None = None,
    current: bool = True,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate the area of each class from the map's and an error matrix.

    "inverse" takes ``P(reference | map)`` times the map's areas (Card 1982,
    Photogrammetric Engineering and Remote Sensing 48, 431-439): with strata that are
    the map's classes it is the estimator of :func:`~mlstats.imagery.map_accuracy`.
    "direct" solves ``P(map | reference)' a = m`` (Czaplewski and Catts 1992, Remote
    Sensing of Environment 39, 29-43): right also where the reference units are of
    another territory or year with the same confusion, but unstable where classes are
    confused. Where the strata are the classes of this very map the two are the same
    number. "pixel_count" is there to compare with. Worked out by
    :func:`mlstats.quality.misclassification.corrected_shares`.

    Parameters
    ----------
    reference, mapped : numpy.ndarray of str, shape (n,)
        Classes of the sampled units.
    map_areas : mapping
        Map class -> area over all of the territory, what is unclassified included.
    stratum, stratum_areas : numpy.ndarray of shape (n,) and mapping, optional
        Strata of the sample and their areas, where they are not the map's classes.
    current : bool
        Whether the units were drawn from the territory and year of `map_areas`; else
        "inverse" is not measured.

    Returns
    -------
    pandas.DataFrame
        Columns method, class, bias, bias_se, mse (in squared units of area) and those
        of Estimate, in the unit of the areas.

    Raises
    ------
    ContractError
        As :func:`~mlstats.imagery.map_accuracy`.
    """
    sizes = map_areas if stratum_areas is None else stratum_areas
    sample = ReferenceUnits.of(reference, mapped, sizes, stratum=stratum)
    shown = {str(name): float(area) for name, area in map_areas.items()}
    classes = sorted(set(shown) | set(sample.reference) | set(sample.mapped))
    total = sum(shown.values())
    shares = np.array([shown.get(name, 0.0) for name in classes]) / total
    audit = Audit.of(sample.design, sample.reference, sample.mapped, classes)
    found = corrected_shares(audit, shares, current=current, confidence=confidence)
    keys = ["estimator", "class", "bias", "bias_se", "mse"]
    rows = []
    for _, row in found[found["estimator"].isin(list(_METHODS))].iterrows():
        figure = Estimate(**{str(k): v for k, v in row.drop(keys).items()})
        scaled = {end: getattr(figure, end) * total for end in _IN_AREA}
        key = {
            "method": _METHODS[row["estimator"]],
            "class": row["class"],
            "bias": row["bias"] * total,
            "bias_se": row["bias_se"] * total,
            "mse": row["mse"] * total**2,
        }
        rows.append((key, replace(figure, **scaled)))
    return as_table(rows, ["method", *keys[1:]])
