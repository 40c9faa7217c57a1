"""Both arms on the same units: their answers as text, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mlstats.quality.drift import DriftResult, PairedSummary, Reference, Summary, drift
from mlstats.quality.drift_reference import Kind
from mlstats.runs import Compared

__all__ = ["answers_as_text", "paired_drift"]

UNIT, CLUSTER, WEIGHT = "unit", "cluster", "weight"


def answers_as_text(units: pd.DataFrame) -> pd.DataFrame:
    """Return units with values as text: a column holds those of all variables."""
    written = {
        name: [None if pd.isna(value) else str(value) for value in units[name]]
        for name in ("prediction", "truth")
    }
    columns = {n: pd.Series(v, units.index, dtype=object) for n, v in written.items()}
    return units.assign(**columns)


def paired_drift(
    sides: Compared,
    kinds: Mapping[str, Kind],
    *,
    cluster: np.ndarray,
    weight: np.ndarray | None = None,
) -> DriftResult:
    """Test whether the arms leave the same units with the same distributions.

    The break that a change of the method would be; units are compared in pairs.

    Parameters
    ----------
    sides : Compared
        The units as either arm leaves them, in the same order.
    kinds : mapping
        Variable -> number or code.
    cluster : numpy.ndarray, shape (n,)
        Cluster of each unit.
    weight : numpy.ndarray of float, shape (n,), optional
        Design weights.
    """
    names = list(kinds)
    about = {UNIT: np.arange(len(sides.current)).astype(str), CLUSTER: cluster}
    about |= {} if weight is None else {WEIGHT: weight}
    before, now = (
        side[names].assign(**about) for side in (sides.reference, sides.current)
    )
    reference = Reference.learn(before[names], kinds=dict(kinds))
    weighted = None if weight is None else WEIGHT
    current = Summary.of(
        now.drop(columns=UNIT), reference, weight=weighted, cluster=CLUSTER
    )
    pairs = PairedSummary.of(
        before, now, reference, unit=UNIT, weight=weighted, cluster=CLUSTER
    )
    return drift(current, {sides.against: pairs}, periods_per_year=1)
