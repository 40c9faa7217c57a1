"""How many units must be audited for a gate to decide, and what an audit can see."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from scipy import optimize, stats

from mlstats.errors import MlstatsError
from mlstats.quality.accuracy import labels_needed
from mlstats.quality.estimate import Estimate, Status

__all__ = [
    "LabelsToDecide",
    "detectable_drop",
    "detection_power",
    "labels_for_non_inferiority",
    "labels_to_decide",
]


@dataclass(frozen=True)
class LabelsToDecide:
    """Audited units with which a gate can be expected to decide.

    Parameters
    ----------
    n : int or None
        In all, those that there are included; None where no number would do.
    status, note : str
        As in :class:`~mlstats.quality.estimate.Estimate`.
    """

    n: int | None
    status: Status
    note: str


def labels_for_non_inferiority(
    margin: float,
    discordance: float,
    *,
    difference: float = 0.0,
    confidence: float = 0.95,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> LabelsToDecide:
    """Return the labels that show a method to be less than the margin worse.

    ``(z[confidence] + z[power])**2 (discordance - difference**2) / (margin +
    difference)**2`` times the design effect: the normal approximation for a paired
    difference. It is needed in each domain that has a gate of its own.

    Parameters
    ----------
    margin : float
        Positive, as a share.
    discordance : float
        Share of units on which exactly one of the two methods is right.
    difference : float
        Accuracy of the method less that of the other, as it is expected to be.
    design_effect : float
        Variance under the design over that of a simple random sample.

    Examples
    --------
    >>> labels_for_non_inferiority(0.01, 0.10).n
    6183
    """
    if margin + difference <= 0:
        note = "the method is expected to be worse by the margin: no audit shows less"
        return LabelsToDecide(None, "not_applicable", note)
    spread = discordance - difference**2
    if spread < 0:
        note = "the difference cannot exceed the share of units that differ"
        return LabelsToDecide(None, "not_applicable", note)
    simple = labels_needed(
        margin + difference, spread, confidence=confidence, power=power
    )
    n = ceil(simple * design_effect)
    return LabelsToDecide(n, "measured", f"{power:.0%} power at {confidence:.0%}")


def labels_to_decide(
    estimate: Estimate,
    threshold: float,
    *,
    confidence: float = 0.95,
    power: float = 0.8,
) -> LabelsToDecide:
    """Return the audit that would decide a gate that is inconclusive now.

    Takes the estimate for the truth and lets the standard error shrink with the root
    of the size under the same design: ``n ((z[confidence] + z[power]) se / (value -
    threshold))**2``. The estimate is itself uncertain, so the number is an order of
    magnitude; it grows without bound as the estimate nears the threshold.

    Parameters
    ----------
    estimate : Estimate
        With its standard error and size.
    threshold : float
        What the gate compares the value with, ``-margin`` for a difference.
    """
    if not estimate.has_error or estimate.n < 1:
        note = estimate.note or "the figure has no standard error"
        return LabelsToDecide(None, "not_measured", note)
    distance = abs(estimate.value - threshold)
    z = float(stats.norm.ppf(confidence) + stats.norm.ppf(power))
    if distance * 1e6 < estimate.se:
        note = "the estimate lies on the threshold: no audit can be expected to decide"
        return LabelsToDecide(None, "not_applicable", note)
    n = max(ceil(estimate.n * (z * estimate.se / distance) ** 2), estimate.n)
    side = "above" if estimate.value > threshold else "below"
    note = f"if the true figure lies {side} the threshold where it is estimated"
    return LabelsToDecide(n, "measured", note)


def detection_power(
    n: int,
    accuracy: float,
    drop: float,
    *,
    confidence: float = 0.95,
    design_effect: float = 1.0,
) -> float:
    """Return the chance that an audit of n units sees a drop in accuracy.

    ``Phi((drop - z[confidence] s0) / s1)``, one-sided, with the standard error at the
    accuracy of approval for the test and at the dropped accuracy for its power (Fleiss,
    Levin and Paik 2003, Statistical Methods for Rates and Proportions, chapter 2).

    Parameters
    ----------
    n : int
        Audited units.
    accuracy, drop : float
        Accuracy at approval, which counts as known, and how far it fell, as shares.
    design_effect : float
        Variance under the design over that of a simple random sample.

    Raises
    ------
    MlstatsError
        Where there is no unit or a share is not one.
    """
    if n < 1 or not 0 <= accuracy - drop <= accuracy <= 1:
        raise MlstatsError(
            "The power of this audit is not defined",
            expected="at least one unit, 0 <= drop <= accuracy <= 1",
        )
    dropped = accuracy - drop
    at_approval = sqrt(accuracy * (1 - accuracy) * design_effect / n)
    at_drop = sqrt(dropped * (1 - dropped) * design_effect / n)
    reach = drop - float(stats.norm.ppf(confidence)) * at_approval
    if at_drop == 0:
        return float(reach > 0)
    return float(stats.norm.cdf(reach / at_drop))


def detectable_drop(
    n: int,
    accuracy: float,
    *,
    confidence: float = 0.95,
    power: float = 0.9,
    design_effect: float = 1.0,
) -> float | None:
    """Return the drop in accuracy that an audit of n units can be expected to see.

    What "no alarm" does not rule out.

    Parameters
    ----------
    n : int
        Audited units.
    accuracy : float
        Accuracy at approval, which counts as known.
    design_effect : float
        Variance under the design over that of a simple random sample.

    Returns
    -------
    float or None
        As a share; None where not even the loss of all accuracy would be seen.

    Examples
    --------
    >>> round(detectable_drop(200, 0.8), 3), round(detectable_drop(200, 0.95), 3)
    (0.088, 0.053)
    """

    def short(drop: float) -> float:
        found = detection_power(
            n, accuracy, drop, confidence=confidence, design_effect=design_effect
        )
        return found - power

    if n < 1 or accuracy == 0 or short(accuracy) < 0:
        return None
    return float(optimize.brentq(short, 0.0, accuracy, xtol=1e-9))
