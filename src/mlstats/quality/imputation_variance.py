"""Variance that imputation or a fitted model adds: Rubin's rules and the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlstats.quality.accuracy import bootstrap_weights
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, t_estimate

__all__ = ["MultipleImputation", "bootstrap", "combine_imputations"]

# Replicates without a finite value beyond this share make the variance doubtful.
_LOST = 0.05


@dataclass(frozen=True)
class MultipleImputation:
    """A figure from several imputations, and where its variance comes from.

    Parameters
    ----------
    estimate : Estimate
        With total standard error and Barnard-Rubin degrees of freedom.
    within, between : float
        Mean sampling variance, and variance between the imputations; `between` is
        NaN for a single one.
    added : float
        ``(1 + 1 / m) between``: what imputation adds.
    missing_information : float
        Share of the total variance that imputation adds.
    """

    estimate: Estimate
    within: float
    between: float
    added: float
    missing_information: float


def combine_imputations(
    values: np.ndarray,
    variances: np.ndarray,
    *,
    complete_df: float = np.inf,
    confidence: float = 0.95,
) -> MultipleImputation:
    """Combine the figures of several imputations of the same data.

    ``T = U + (1 + 1 / m) B`` (Rubin 1987, eqs. 3.1.2 to 3.1.5) on the degrees of
    freedom ``1 / (1 / v_m + 1 / v_obs)``, ``v_m = (m - 1) / g**2``,
    ``v_obs = (v + 1) / (v + 3) v (1 - g)``, ``g = (1 + 1 / m) B / T`` (Barnard and
    Rubin 1999, Biometrika 86, 948-955). The rules are right for proper imputations
    only: a matching or a model that is not fitted anew in each imputation leaves its
    own uncertainty out, and :func:`bootstrap` with the fit inside is the way.

    Parameters
    ----------
    values, variances : numpy.ndarray, shape (m,)
        Figure and sampling variance under each imputation.
    complete_df : float
        Degrees of freedom that the complete data would have.
    """
    q, u = np.asarray(values, dtype=float), np.asarray(variances, dtype=float)
    m, nan = len(q), np.nan
    bad = int((~np.isfinite(q)).sum() + (~np.isfinite(u) | (u < 0)).sum())
    if m == 0 or bad:
        reason = f"{bad} figures or variances are not usable" if m else "no imputation"
        return MultipleImputation(absent("not_measured", reason), nan, nan, nan, nan)
    within = float(u.mean())
    if m == 1:
        note = "one imputation has no variance between imputations"
        single = Estimate(float(q[0]), note=note)
        return MultipleImputation(single, within, nan, nan, nan)
    between = float(q.var(ddof=1))
    added = (1 + 1 / m) * between
    total = within + added
    share = added / total if total > 0 else 0.0
    df = _barnard_rubin(m, share, complete_df)
    found = t_estimate(float(q.mean()), total**0.5, df, confidence=confidence)
    return MultipleImputation(found, within, between, added, share)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    design: Design,
    *,
    replicates: int = 1000,
    seed: int,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate a figure and its standard error by the rescaled bootstrap of clusters.

    The weights are those of Rao and Wu (1988), with ``n_h - 1`` clusters drawn. A
    statistic that fits or imputes within itself, with the weights that it is given,
    carries the variance of the fit or of the donors along (Shao and Sitter 1996, JASA
    91, 1278-1288); one that only adds up imputed values gives the naive variance.
    Fractions of the design are not used: the variance is that with replacement.

    Parameters
    ----------
    statistic : callable
        Weights of the units, shape (n,) -> figure.
    design : Design
        Of the sample.
    replicates, seed : int
        Number of replicates and seed.

    Returns
    -------
    Estimate
        Replicates without a finite value are counted in the note; more than 5 % of
        them, and there is no standard error.
    """
    n = len(design.weight)
    if design.fault:
        return absent("not_measured", design.fault, n)
    value = float(statistic(design.weight))
    df = design.degrees_of_freedom()
    if not np.isfinite(value) or df < 1:
        return t_estimate(value, np.nan, df, n=n)
    found = np.array(
        [
            statistic(design.weight * factor[design.cluster])
            for block in bootstrap_weights(design.stratum, replicates, seed)
            for factor in block
        ]
    )
    lost = int((~np.isfinite(found)).sum())
    note = f"{lost} of {replicates} replicates have no value" if lost else ""
    few = lost > _LOST * replicates
    se = np.nan if few else float(found[np.isfinite(found)].std(ddof=1))
    return t_estimate(value, se, df, n=n, note=note, confidence=confidence)


def _barnard_rubin(m: int, share: float, complete_df: float) -> float:
    large = (m - 1) / share**2 if share > 0 else np.inf
    if np.isinf(complete_df):
        return large
    observed = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
    return 1 / (1 / large + 1 / observed) if observed > 0 else 0.0
