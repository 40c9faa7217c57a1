"""Whether confidences mean what they say: scores, calibration error, reliability.

Everything is about the decision that the method took: its confidence, and whether the
code was right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from mlstats.quality.accuracy import proportion
from mlstats.quality.calibration_sums import CalibrationSums
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, Status, absent, as_table

__all__ = [
    "BINS",
    "Binning",
    "CalibrationError",
    "brier_score",
    "equal_width",
    "expected_calibration_error",
    "log_loss",
    "no_error",
    "overconfidence",
    "reliability",
    "set_beside",
]

BINS: Final = 15  # of the calibration error of a scorecard
Binning = Literal["equal_width", "equal_mass"]


def brier_score(
    design: Design,
    confidence: np.ndarray,
    correct: np.ndarray,
    inside: np.ndarray | None = None,
) -> Estimate:
    """Estimate the mean of ``(confidence - correct)**2`` (Brier 1950).

    Parameters
    ----------
    design : Design
        Of the sample.
    confidence : numpy.ndarray of float, shape (n,)
        0 to 1.
    correct : numpy.ndarray of bool, shape (n,)
        Whether the code is right.
    inside : numpy.ndarray of bool, shape (n,), optional
        Units of the domain; units that were not coded do not belong to it.
    """
    reason = _unfit(design, confidence, inside)
    if reason:
        return absent("not_measured", reason, len(confidence))
    return design.mean((confidence - correct) ** 2, inside)


def log_loss(
    design: Design,
    confidence: np.ndarray,
    correct: np.ndarray,
    inside: np.ndarray | None = None,
) -> Estimate:
    """Estimate the mean of minus the logarithm of the chance given to what was.

    A decision that was certain and wrong makes it infinite; it is then "not measured"
    and the note counts them, since clipping would only hide them.

    Parameters
    ----------
    design, confidence, correct, inside
        As in :func:`brier_score`.
    """
    reason = _unfit(design, confidence, inside)
    if reason:
        return absent("not_measured", reason, len(confidence))
    held = design.weight > 0 if inside is None else inside & (design.weight > 0)
    chance = np.where(held, np.where(correct, confidence, 1 - confidence), 1.0)
    impossible = int((chance == 0).sum())
    if impossible:
        note = f"infinite: {impossible} decisions were certain and wrong"
        return absent("not_measured", note, len(confidence))
    return design.mean(-np.log(chance), inside)


def overconfidence(
    design: Design,
    confidence: np.ndarray,
    correct: np.ndarray,
    inside: np.ndarray | None = None,
) -> Estimate:
    """Estimate the mean confidence less the accuracy: calibration in the large.

    Parameters
    ----------
    design, confidence, correct, inside
        As in :func:`brier_score`.
    """
    reason = _unfit(design, confidence, inside)
    if reason:
        return absent("not_measured", reason, len(confidence))
    return design.mean(confidence - correct, inside)


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error beside what chance alone would show.

    Parameters
    ----------
    value : float
        Weighted mean over bins of the absolute gap of confidence and accuracy; never
        near zero in a small sample, however well a method is calibrated.
    debiased : float
        The value less what the noise of the bins adds to it.
    null_mean, null_upper : float
        Mean and 95th percentile of the value under perfect calibration.
    p_value : float or None
        Of perfect calibration.
    within_null : bool or None
        Whether the value lies at or below `null_upper`.
    n : int
        Units.
    status, note : str
        As in :class:`~mlstats.quality.estimate.Estimate`.
    """

    value: float
    debiased: float
    null_mean: float
    null_upper: float
    p_value: float | None
    within_null: bool | None
    n: int
    status: Status = "measured"
    note: str = ""


def expected_calibration_error(
    design: Design,
    confidence: np.ndarray,
    correct: np.ndarray,
    *,
    bins: int = BINS,
    binning: Binning = "equal_width",
    simulations: int = 1000,
    seed: int,
) -> CalibrationError:
    """Measure the calibration error, take its bias off and set it beside chance.

    Under perfect calibration the labels are drawn anew from the confidences; where
    clusters hold several units the residuals of each cluster keep together and change
    sign at random (a wild bootstrap), because units of a cluster err together.

    The noise of a bin adds ``E|N(g, s)| - g`` to the absolute gap ``g``. To take it off
    at the observed gaps (Kumar, Liang and Ma 2019) leaves more than half of the bias
    of a well calibrated method, to take it off at gaps of zero takes too much from a
    badly calibrated one. Here it is taken off at gaps shrunk by the James-Stein factor
    ``sqrt(1 - sum s**2 / sum g**2)``, our own choice between the two.

    Parameters
    ----------
    design : Design
        Of the sample; its weights count, its strata do not.
    confidence : numpy.ndarray of float, shape (n,)
        0 to 1; give the coded units alone.
    correct : numpy.ndarray of bool, shape (n,)
        Whether the code is right.
    bins : int
        Number of bins.
    binning : {"equal_width", "equal_mass"}
        Bins of equal width on 0 to 1, or of an equal number of units; equal
        confidences are never parted.
    simulations, seed : int
        Draws of the null band, and seed.
    """
    reason = _unfit(design, confidence, None)
    n = len(confidence)
    if reason or n == 0:
        return no_error(reason or "no unit", n)
    bin_of = _bins(confidence, bins, binning)
    count = int(bin_of.max()) + 1
    sums = CalibrationSums.of(
        bin_of, count, design.cluster, design.weight, confidence, correct
    )
    return set_beside(
        sums, _null(design, confidence, correct, bin_of, simulations, seed)
    )


def no_error(reason: str, n: int) -> CalibrationError:
    """Return that there is no calibration error, and why."""
    gone = np.nan
    return CalibrationError(
        gone, gone, gone, gone, None, None, n, "not_measured", reason
    )


def set_beside(sums: CalibrationSums, null: np.ndarray) -> CalibrationError:
    """Return the error of units beside what a calibrated method may show.

    Parameters
    ----------
    sums : CalibrationSums
        Of all units.
    null : numpy.ndarray, shape (simulations,)
        Errors under perfect calibration.
    """
    value = float(sums.gaps.sum())
    upper = float(np.quantile(null, 0.95))
    exceed = int((null >= value - 1e-12).sum())
    return CalibrationError(
        value=value,
        debiased=sums.debiased,
        null_mean=float(null.mean()),
        null_upper=upper,
        p_value=(1 + exceed) / (1 + len(null)),
        within_null=value <= upper,
        n=sums.n,
    )


def reliability(
    design: Design,
    confidence: np.ndarray,
    correct: np.ndarray,
    group: np.ndarray | None = None,
    *,
    bins: int = 10,
    binning: Binning = "equal_width",
    min_cell: int = 1,
) -> pd.DataFrame:
    """Return the accuracy in bins of confidence, by group.

    Parameters
    ----------
    design, confidence, correct
        As in :func:`expected_calibration_error`.
    group : numpy.ndarray of object, shape (n,), optional
        For instance the first level of the code that was given.
    bins, binning
        As in :func:`expected_calibration_error`; the bins are those of all groups.
    min_cell : int
        A bin with fewer units is not told.

    Returns
    -------
    pandas.DataFrame
        Columns group, bin, confidence (weighted mean in the bin) and those of
        :class:`~mlstats.quality.estimate.Estimate` for the accuracy.
    """
    keys = ["group", "bin", "confidence"]
    groups = np.full(len(confidence), "") if group is None else group
    reason = _unfit(design, confidence, None)
    if reason:
        gone = absent("not_measured", reason, len(confidence))
        return as_table([({"group": "", "bin": 0}, gone)], keys)
    bin_of = _bins(confidence, bins, binning)
    rows = []
    for name in sorted(str(g) for g in pd.unique(groups)):
        member = np.asarray(groups == name)
        for b in np.unique(bin_of[member]):
            inside = member & (bin_of == b)
            found = proportion(design, correct, inside)
            few = found.n < min_cell
            if few:
                found = absent("not_measured", f"fewer than {min_cell} units")
            w = np.where(inside, design.weight, 0.0)
            mean = np.nan if few or not w.sum() > 0 else float(w @ confidence / w.sum())
            rows.append(({"group": name, "bin": int(b), "confidence": mean}, found))
    return as_table(rows, keys)


def _null(
    design: Design,
    confidence: np.ndarray,
    correct: np.ndarray,
    bin_of: np.ndarray,
    simulations: int,
    seed: int,
) -> np.ndarray:
    """Return errors under perfect calibration."""
    rng = np.random.default_rng(seed)
    count = int(bin_of.max()) + 1
    clustered = design.n_clusters < len(confidence)
    share = design.weight / design.weight.sum()
    # Residuals of each cluster in each bin: what changes its sign together.
    cell = design.cluster * count + bin_of
    cells, within = np.unique(cell, return_inverse=True)
    sums = np.bincount(within, share * (correct - confidence))
    null = np.empty(simulations)
    for i in range(simulations):
        if clustered:
            sign = rng.integers(0, 2, design.n_clusters) * 2 - 1
            drawn = sums * sign[cells // count]
            gaps = np.bincount(cells % count, drawn, minlength=count)
        else:
            label = rng.random(len(confidence)) < confidence
            gaps = np.bincount(bin_of, share * (label - confidence), minlength=count)
        null[i] = np.abs(gaps).sum()
    return null


def equal_width(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Return the number of each confidence's bin, from 0.

    The upper edge belongs to the bin, as in the usual definition.
    """
    index = np.ceil(confidence * bins).astype(int) - 1
    return np.asarray(np.clip(index, 0, bins - 1))


def _bins(confidence: np.ndarray, bins: int, binning: Binning) -> np.ndarray:
    if binning == "equal_width":
        return equal_width(confidence, bins)
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1])
    index = np.searchsorted(np.unique(edges), confidence, side="left")
    return np.asarray(np.unique(index, return_inverse=True)[1])


def _unfit(design: Design, confidence: np.ndarray, inside: np.ndarray | None) -> str:
    if design.fault:
        return design.fault
    told = confidence if inside is None else confidence[inside]
    outside = int((~((told >= 0) & (told <= 1))).sum())
    return f"{outside} confidences are missing or outside 0 to 1" if outside else ""
