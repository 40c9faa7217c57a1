"""Drift of the concept: whether the model errs otherwise than when it was approved.

Inputs can stay as they are while their meaning changes; only labels show that. A
probability sample of units is coded without suggestions in every period, and its
residuals are held against those of the audit on which the model was approved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import special, stats

from mlstats.quality.accuracy import RatioEstimate, proportion_interval
from mlstats.quality.audit_sample import AuditSample
from mlstats.quality.drift_evidence import NORMAL_OF_POWER, POWER
from mlstats.quality.drift_tests import noncentrality

__all__ = [
    "AuditSample",
    "ConceptResult",
    "LabelFreeEstimate",
    "concept_drift",
    "expected_accuracy",
]

_LEAST_OF_EACH: Final = 2  # right and wrong labels per direction in the approval audit
_ROUNDS: Final = 50
_REPEATS: Final = 1e-6  # of its spread, what a column must add to those before it


@dataclass(frozen=True)
class ConceptResult:
    """The verdict on the concept in one period.

    Parameters
    ----------
    state : str
        drift, no drift or not measured.
    statistic, df, p : float
        Of the score test.
    accuracy, accuracy_approval : float
        Weighted shares of right codes.
    drop, drop_lower, drop_upper : float
        Fall of the accuracy since the approval, with its 95 % interval.
    accuracy_p : float
        One-sided p of the fall alone, for comparison; it decides nothing.
    minimum_detectable_drop : float
        Fall that the test of the accuracy alone finds with probability .9.
    minimum_detectable_uniform : float
        Fall of a recalibrated model's outcome rate, all logits falling alike, that the
        score test finds with probability .9; a change between groups shows sooner.
    labels, labels_approval : int
        Labels of both audits.
    note : str
        What a reader has to know.
    """

    state: str
    statistic: float = np.nan
    df: float = np.nan
    p: float = np.nan
    accuracy: float = np.nan
    accuracy_approval: float = np.nan
    drop: float = np.nan
    drop_lower: float = np.nan
    drop_upper: float = np.nan
    accuracy_p: float = np.nan
    minimum_detectable_drop: float = np.nan
    minimum_detectable_uniform: float = np.nan
    labels: int = 0
    labels_approval: int = 0
    note: str = ""

    def sentence(self) -> str:
        """Return the verdict in words, with what it could not have seen."""
        if self.state == "not measured":
            return f"Concept drift was not measured: {self.note}."
        found = "drifted" if self.state == "drift" else "shows no drift"
        return (
            f"The concept {found} (p {self.p:.2g}, {self.labels:,} labels): accuracy "
            f"{self.accuracy:.1%} after {self.accuracy_approval:.1%} at approval, a "
            f"fall of {100 * self.drop:.1f} points (95 % interval "
            f"{100 * self.drop_lower:.1f} to {100 * self.drop_upper:.1f}). With "
            f"probability {POWER:g} the accuracy alone shows a fall of "
            f"{100 * self.minimum_detectable_drop:.1f} points, the residuals one of "
            f"{100 * self.minimum_detectable_uniform:.1f} that meets all units alike."
        )


@dataclass(frozen=True)
class LabelFreeEstimate:
    """An accuracy that rests on an assumption instead of labels.

    Parameters
    ----------
    value : float
        Expected share of right codes; NaN where no unit has a confidence.
    n, unknown : int
        Units with and without a usable confidence.
    state : str
        Always not measured: concept drift cannot show here.
    assumption : str
        Printed wherever the value is.
    """

    value: float
    n: int
    unknown: int
    state: str = "not measured"
    assumption: str = (
        "Holds only if the confidence is as well calibrated as at approval, that is, "
        "if there is no concept drift; it cannot show one."
    )


def concept_drift(
    audit: AuditSample, approval: AuditSample, *, level: float = 0.05
) -> ConceptResult:
    """Test whether the model errs otherwise than in the audit of its approval.

    The probability is recalibrated by a logistic regression on z: a constant, its own
    logit and the directions, so that a model that was wrong in a known way is not
    accused of drift. Without drift one regression holds for both audits; it is fitted
    to both, for one fitted to the approval audit alone gives false alarms (.16 for .05
    with 300 labels each and 14 columns). Rao's score test (1948, Proc. Cambridge Phil.
    Soc. 44, 50-57) of other coefficients in the new audit: with w one over the
    inclusion probability, ``U = sum w z (y - p)`` over the new audit; I is the
    information of the new audit, J that of both. V is the sandwich over the clusters
    of both of ``(1 - I J^-1) s`` in the new and ``-I J^-1 s`` in the old audit, s the
    score of a cluster (Boos 1992, American Statistician 46, 327-333). It holds where
    no logistic regression on z is right, as on raw similarities of a match: there the
    model's own variance gave a false alarm in 13 of 100 re-splits of real data.
    ``U' V^-1 U`` is read as F of an adjusted Wald statistic (Korn and Graubard 1990,
    American Statistician 44, 270-276).

    Parameters
    ----------
    audit : AuditSample
        Of the period.
    approval : AuditSample
        Of the approval, with the same directions.
    level : float
        Chance of a false alarm in a period.

    Returns
    -------
    ConceptResult
        not measured with its reason where a sample cannot carry the test.
    """
    labels, before = len(audit.outcome), len(approval.outcome)
    reason = audit.fault() or approval.fault() or _too_narrow(audit, approval)
    if reason:
        return _not_measured(reason, labels, before)
    z, z_then = _directions(audit, approval)
    fitted = _recalibrated((audit, z), (approval, z_then))
    if fitted is None:
        reason = "the audits cannot be recalibrated: their outcomes separate"
        return _not_measured(reason, labels, before)
    p, p_then = fitted
    slope, spread = _score_variance((audit, z, p), (approval, z_then, p_then))
    score = z.T @ (audit.weights * (audit.outcome - p))
    inverse = np.linalg.pinv(spread, hermitian=True)
    statistic = float(score @ inverse @ score)
    df = int(np.linalg.matrix_rank(spread, hermitian=True))
    tail = _tail(statistic, df, audit, approval)
    # All logits move by one: what the score gains, in units of its own error.
    signal = float(slope[0] @ inverse @ slope[0])
    critical = float(stats.chi2.isf(level, df))
    needed = noncentrality(critical, df, NORMAL_OF_POWER)
    uniform = np.sqrt(needed / signal) * float(audit.weights @ (p * (1 - p)))
    return replace(
        _accuracies(audit, approval, level),
        state="drift" if tail <= level else "no drift",
        statistic=statistic,
        df=float(df),
        p=tail,
        minimum_detectable_uniform=float(uniform / audit.weights.sum()),
        labels=labels,
        labels_approval=before,
        note="" if df == audit.design().shape[1] else "repeated directions count once",
    )


def expected_accuracy(
    confidence: np.ndarray, weight: np.ndarray | None = None
) -> LabelFreeEstimate:
    """Return the accuracy that the confidences promise, without any label.

    Parameters
    ----------
    confidence : numpy.ndarray, shape (n,)
        Probability that a code is right; what lies outside 0 to 1 is not used.
    weight : numpy.ndarray, shape (n,), optional
        Design weights.
    """
    usable = (confidence >= 0) & (confidence <= 1)
    weights = np.ones(len(confidence)) if weight is None else weight
    total = float(weights[usable].sum())
    value = float((weights * confidence)[usable].sum()) / total if total else np.nan
    return LabelFreeEstimate(value, int(usable.sum()), int((~usable).sum()))


def _not_measured(reason: str, labels: int, before: int) -> ConceptResult:
    return ConceptResult(
        "not measured", labels=labels, labels_approval=before, note=reason
    )


def _too_narrow(audit: AuditSample, approval: AuditSample) -> str:
    if audit.directions.shape[1] != approval.directions.shape[1]:
        return "the two audits have different directions"
    columns = approval.directions.shape[1] + 2
    rarer = int(min(approval.outcome.sum(), (1 - approval.outcome).sum()))
    if min(audit.clusters, approval.clusters) < _LEAST_OF_EACH * columns:
        return f"an audit is too small for {columns} directions"
    if rarer < _LEAST_OF_EACH * columns:
        return (
            f"the approval audit has {rarer} labels of the rarer outcome, fewer than "
            f"{_LEAST_OF_EACH} for each of {columns} directions"
        )
    return ""


def _directions(
    audit: AuditSample, approval: AuditSample
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of both, scaled, without what repeats those before it."""
    both = np.vstack([audit.design(), approval.design()])
    varying = both[:, 1:] - both[:, 1:].mean(axis=0)
    spread = varying.std(axis=0)
    scaled = varying[:, spread > 0] / spread[spread > 0]
    basis = np.ones((len(both), 1)) / np.sqrt(len(both))
    kept = []
    for column in range(scaled.shape[1]):
        rest = scaled[:, column]
        for _ in range(2):  # once more for what rounding left
            rest = rest - basis @ (basis.T @ rest)
        size = float(np.linalg.norm(rest))
        if size > _REPEATS * np.sqrt(len(both)):
            kept.append(column)
            basis = np.column_stack([basis, rest / size])
    z = np.column_stack([np.ones(len(both)), scaled[:, kept]])
    return z[: len(audit.outcome)], z[len(audit.outcome) :]


def _recalibrated(*sides: tuple[AuditSample, np.ndarray]) -> list[np.ndarray] | None:
    """Return the probabilities of each side under one regression for all.

    None where it does not exist.
    """
    z = np.vstack([columns for _, columns in sides])
    y = np.concatenate([sample.outcome for sample, _ in sides]).astype(float)
    weights = np.concatenate([sample.weights for sample, _ in sides])
    coefficients = np.zeros(z.shape[1])
    for _ in range(_ROUNDS):
        p = special.expit(z @ coefficients)
        bread = np.linalg.pinv(_information(z, p, weights), hermitian=True)
        step = bread @ (z.T @ (weights * (y - p)))
        coefficients = coefficients + step
        if np.abs(z @ step).max() < 1e-9:
            p = special.expit(z @ coefficients)
            return np.split(p, np.cumsum([len(columns) for _, columns in sides])[:-1])
    return None


def _information(z: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray((z * (weights * p * (1 - p))[:, None]).T @ z)


def _score_variance(
    now: tuple[AuditSample, np.ndarray, np.ndarray],
    then: tuple[AuditSample, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the score gains per change of a coefficient, and its variance."""
    here, there = (_information(z, p, s.weights) for s, z, p in (now, then))
    share = here @ np.linalg.pinv(here + there, hermitian=True)
    slope = share @ there
    rest = np.eye(len(share)) - share
    return slope, rest @ _meat(*now) @ rest.T + share @ _meat(*then) @ share.T


def _meat(sample: AuditSample, z: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the variance of the score over clusters."""
    parts = z * (sample.weights * (sample.outcome - p))[:, None]
    totals = np.zeros((sample.clusters, z.shape[1]))
    np.add.at(totals, sample.members, parts)
    g = sample.clusters
    return np.asarray(totals.T @ totals * (g / (g - 1)))


def _tail(
    statistic: float, df: int, audit: AuditSample, approval: AuditSample
) -> float:
    free = audit.clusters + approval.clusters - 2 - df + 1
    scaled = statistic * free / ((free + df - 1) * df)
    return float(stats.f.sf(scaled, df, free))


def _accuracies(
    audit: AuditSample, approval: AuditSample, level: float
) -> ConceptResult:
    """Return both accuracies, their difference and what it could show."""
    now, then = audit.accuracy(), approval.accuracy()
    n_now, n_then = _effective(now, audit), _effective(then, approval)
    pooled = (n_now * now.value + n_then * then.value) / (n_now + n_then)
    error = float(np.sqrt(pooled * (1 - pooled) * (1 / n_now + 1 / n_then)))
    drop = then.value - now.value
    low, high = proportion_interval(now, len(audit.outcome))
    low_then, high_then = proportion_interval(then, len(approval.outcome))
    z = float(stats.norm.isf(level) + NORMAL_OF_POWER)
    return ConceptResult(
        "",
        accuracy=now.value,
        accuracy_approval=then.value,
        drop=drop,
        # Two intervals combined (Zou and Donner 2008, Statistics in Medicine 27).
        drop_lower=drop - float(np.hypot(then.value - low_then, high - now.value)),
        drop_upper=drop + float(np.hypot(high_then - then.value, now.value - low)),
        accuracy_p=float(stats.norm.sf(drop / error)) if error > 0 else 1.0,
        minimum_detectable_drop=float(z * error),
    )


def _effective(estimate: RatioEstimate, sample: AuditSample) -> float:
    plain = estimate.value * (1 - estimate.value)
    if not estimate.se > 0:
        return float(sample.clusters)
    return min(plain / estimate.se**2, float(len(sample.outcome)))
