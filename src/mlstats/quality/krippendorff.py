"""Krippendorff's alpha of any number of coders, with units that some did not code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import bootstrap_weights
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent

__all__ = ["krippendorff_alpha"]


def krippendorff_alpha(
    design: Design,
    codes: np.ndarray,
    *,
    interval: Literal["linearised", "bootstrap"] = "linearised",
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate Krippendorff's alpha for nominal codes.

    ``1 - (n - 1) sum o_ck (c != k) / sum n_c n_k (c != k)`` with the coincidences
    ``o_ck``, in which a unit of m codes counts each of its ordered pairs by
    ``1 / (m - 1)`` (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability,
    section C). Weights of the design multiply the pairs of a unit, scaled so that n
    stays the number of codes; equal weights give the published figure. The standard
    error is linearised over the design (the factor ``n - 1`` taken as known); the
    bootstrap draws clusters in their strata (Zapf, Castell, Morawietz and Karch 2016,
    BMC Medical Research Methodology 16:93, recommend it over units) and takes the
    percentiles.

    Parameters
    ----------
    design : Design
        Of the units.
    codes : numpy.ndarray of object, shape (n, coders)
        None where a coder gave none; units with fewer than two codes do not count.
    interval : {"linearised", "bootstrap"}
        How error and interval are made.
    replicates, seed : int
        Of the bootstrap.
    """
    units = _Units.of(codes)
    inside = units.pairable & (design.weight > 0)
    n = int(inside.sum())
    if design.fault or n == 0:
        return absent("not_measured", design.fault or "no unit has two codes", n)
    values = float(units.counts[inside].sum())
    weight = np.where(inside, design.weight, 0.0)
    value = units.alpha(weight, values)
    if not np.isfinite(value):
        return absent("not_applicable", "all codes are the same", n)
    if interval == "bootstrap":
        drawn = _replicates(design, units, weight, replicates, seed)
        return _percentiles(design, value, drawn, inside, confidence)
    return design.linearised(
        value, units.influence(weight, values), inside=inside, confidence=confidence
    )


@dataclass(frozen=True)
class _Units:
    """How often each class was given to each unit, and how much its coders disagree."""

    counts: np.ndarray  # (n, classes)
    apart: np.ndarray  # (n,), sum of the unit's coincidences off the diagonal
    pairable: np.ndarray  # (n,)

    @classmethod
    def of(cls, codes: np.ndarray) -> _Units:
        n, coders = codes.shape
        number, names = pd.factorize(codes.ravel())
        given = number >= 0
        cell = np.repeat(np.arange(n), coders)[given] * len(names) + number[given]
        counts = np.bincount(cell, minlength=n * len(names)).reshape(n, -1)
        counts = counts.astype(float)
        size = counts.sum(axis=1)
        pairable = size >= 2
        off = size**2 - (counts**2).sum(axis=1)
        apart = np.divide(off, size - 1, out=np.zeros(n), where=pairable)
        counts[~pairable] = 0.0
        return cls(counts, apart, pairable)

    def alpha(self, weight: np.ndarray, values: float) -> float:
        observed, by_class, size = self._parts(weight)
        expected = size**2 - float((by_class**2).sum())
        if expected <= 1e-12 * size**2:
            return float("nan")
        # With weights scaled to `values`: (values - 1) O / E = (1 - 1/values) O S / E.
        return float(1 - (1 - 1 / values) * observed * size / expected)

    def influence(self, weight: np.ndarray, values: float) -> np.ndarray:
        """Return the weighted influence of each unit on alpha."""
        observed, by_class, size = self._parts(weight)
        expected = size**2 - float((by_class**2).sum())
        own = self.counts.sum(axis=1)
        of_expected = 2 * (size * own - self.counts @ by_class)
        slope = self.apart * size + observed * own
        slope = (slope - observed * size * of_expected / expected) / expected
        return np.asarray(-(1 - 1 / values) * weight * slope)

    def _parts(self, weight: np.ndarray) -> tuple[float, np.ndarray, float]:
        by_class = weight @ self.counts
        return float(weight @ self.apart), by_class, float(by_class.sum())


def _replicates(
    design: Design, units: _Units, weight: np.ndarray, replicates: int, seed: int
) -> np.ndarray:
    names = [str(h) for h in range(len(design.fraction))]
    drawn = bootstrap_weights(
        design.stratum.astype(str),
        replicates,
        seed,
        fractions=dict(zip(names, design.fraction, strict=True)),
    )
    values = float(units.counts[weight > 0].sum())
    found = [
        units.alpha(weight * row[design.cluster], values)
        for block in drawn
        for row in block
    ]
    return np.array(found)


def _percentiles(
    design: Design,
    value: float,
    drawn: np.ndarray,
    inside: np.ndarray,
    confidence: float,
) -> Estimate:
    df, n = design.degrees_of_freedom(inside), int(inside.sum())
    lost = int(np.isnan(drawn).sum())
    if df < 1 or len(drawn) - lost < 2:
        return Estimate(value, df=df, n=n, note="too few clusters for a bootstrap")
    tail = 100 * (1 - confidence) / 2
    lower, upper = np.nanpercentile(drawn, [tail, 100 - tail])
    found = design.told(value, float(np.nanstd(drawn, ddof=1)), df, n=n)
    if not found.has_error:
        return found
    note = f"{lost} replicates know one class only" if lost else found.note
    return replace(
        found, lower=float(lower), upper=float(upper), note=note,
        interval="bootstrap percentiles",
    )  # fmt: skip
