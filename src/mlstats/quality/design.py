"""A sample as its variance sees it: weights, strata, clusters, sampling fractions.

Every standard error of the quality framework that is worked out by linearisation goes
through :class:`Design`: a statistic gives the influence of each unit on it, the design
turns the influences into a variance. A domain is made by influences of zero, never by
leaving units out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.stratified import (
    SingleClusterRule,
    Strata,
    centred_totals,
    drawn_shares,
    gathering,
    stratified_covariance,
)

__all__ = ["Design", "SingleClusterRule"]

# Statistics whose cluster totals are held dense at once.
_BLOCK = 64
# What differs by less, as a share of what it is the difference of, is equal.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Design:
    """Weights and the clusters that were drawn within strata.

    Made by :meth:`of`. Clusters count as drawn with replacement, or without it where
    sampling fractions are given; later stages add no term of their own.

    Parameters
    ----------
    weight : numpy.ndarray of float, shape (n,)
        Design weight of each unit, the inverse of its inclusion probability.
    cluster : numpy.ndarray of int, shape (n,)
        Row of `stratum` that holds the unit's cluster.
    stratum : numpy.ndarray of int, shape (clusters,)
        Stratum of each cluster.
    fraction : numpy.ndarray of float, shape (strata,)
        Share of the stratum's clusters that was drawn, 0 for "with replacement".
    single : {"adjust", "refuse"}
        What becomes of a stratum with a single cluster, unless it was drawn with
        certainty: centred at the mean over all clusters (the survey package of R
        calls this "adjust"), or no standard error is given at all.
    fault : str
        Why nothing can be estimated; empty where all is well.
    """

    weight: np.ndarray
    cluster: np.ndarray
    stratum: np.ndarray
    fraction: np.ndarray
    single: SingleClusterRule = "adjust"
    fault: str = ""

    @classmethod
    def of(
        cls,
        weight: np.ndarray,
        *,
        stratum: np.ndarray | None = None,
        cluster: np.ndarray | None = None,
        fraction: Mapping[str, float] | None = None,
        single: SingleClusterRule = "adjust",
    ) -> Design:
        """Describe the design of a sample.

        Parameters
        ----------
        weight : numpy.ndarray, shape (n,)
            Design weights.
        stratum, cluster : numpy.ndarray, shape (n,), optional
            Labels; one stratum and every unit its own cluster where left out. Equal
            labels of clusters in two strata are two clusters.
        fraction : mapping, optional
            Stratum -> share of its clusters that was drawn; the finite-population
            correction is one minus it. Strata that are not named have none.
        single : {"adjust", "refuse"}
            The rule for a stratum with a single cluster.
        """
        weight = np.asarray(weight, dtype=float)
        n = len(weight)
        strata = np.zeros(n, dtype=int) if stratum is None else stratum
        clusters = np.arange(n) if cluster is None else cluster
        stratum_row, names = pd.factorize(np.asarray(strata), use_na_sentinel=False)
        cluster_row, _ = pd.factorize(np.asarray(clusters), use_na_sentinel=False)
        pair = stratum_row * (int(cluster_row.max(initial=0)) + 1) + cluster_row
        _, first, row = np.unique(pair, return_index=True, return_inverse=True)
        shares = drawn_shares(fraction, names)
        return cls(
            weight, row, stratum_row[first], shares, single, _fault(weight, shares)
        )

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.stratum)

    def degrees_of_freedom(self, inside: np.ndarray | None = None) -> int:
        """Return clusters minus strata, counting those that hold units of a domain.

        Parameters
        ----------
        inside : numpy.ndarray of bool, shape (n,), optional
            Units of the domain; all units with weight where left out.
        """
        held = self.weight > 0 if inside is None else inside & (self.weight > 0)
        clusters = np.unique(self.cluster[held])
        return len(clusters) - len(np.unique(self.stratum[clusters]))

    @property
    def strata(self) -> Strata:
        """How many clusters each stratum has."""
        size = np.bincount(self.stratum, minlength=len(self.fraction))
        return Strata(size, self.fraction, self.single)

    def lonely_strata(self) -> int:
        """Return the number of strata with a single cluster drawn without certainty."""
        return self.strata.lonely

    def covariance(self, scores: np.ndarray) -> np.ndarray:
        """Return the covariance of statistics from the influence of each unit.

        Parameters
        ----------
        scores : numpy.ndarray, shape (n, k)
            Weighted influence of each unit on each of k statistics.

        Returns
        -------
        numpy.ndarray, shape (k, k)
            NaN throughout where a single cluster is refused.
        """
        k = scores.shape[1]
        if self.strata.refused:
            return np.full((k, k), np.nan)
        totals = gathering(self.cluster, self.n_clusters) @ scores
        return stratified_covariance(totals, self.stratum, self.fraction)

    def variances(
        self,
        scores: sparse.csr_array,
        common: np.ndarray | None = None,
        slopes: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the variances of many statistics that touch few units each.

        Parameters
        ----------
        scores : scipy.sparse.csr_array, shape (n, k)
            Weighted influence of each unit on each statistic, or its sparse part.
        common : numpy.ndarray, shape (n, j), optional
            Influences that all statistics share, and
        slopes : numpy.ndarray, shape (j, k), optional
            how much of them belongs to each: the influence is
            ``scores + common @ slopes``.

        Returns
        -------
        numpy.ndarray, shape (k,)
        """
        k = scores.shape[1]
        if self.strata.refused:
            return np.full(k, np.nan)
        gather = gathering(self.cluster, self.n_clusters)
        totals = sparse.csc_array(gather @ scores)
        shared = None if common is None else gather @ common
        found = np.empty(k)
        for first in range(0, k, _BLOCK):
            block = slice(first, min(first + _BLOCK, k))
            dense = totals[:, block].toarray()
            size = np.abs(dense).max(axis=0, initial=0.0)
            if shared is not None and slopes is not None:
                dense += shared @ slopes[:, block]
                size += np.abs(shared).max(axis=0) @ np.abs(slopes[:, block])
            dense[np.abs(dense) <= _ROUNDING * size] = 0.0
            apart, factor = centred_totals(dense, self.stratum, self.fraction)
            found[block] = factor @ apart**2
        return found

    def sizes(
        self, inside: sparse.csr_array
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return units, clusters and degrees of freedom of many domains.

        Parameters
        ----------
        inside : scipy.sparse.csr_array of bool, shape (n, k)
            Units of each domain; those without weight do not count.

        Returns
        -------
        units, clusters, df : numpy.ndarray of int, shape (k,)
        """
        weighted = sparse.diags_array((self.weight > 0).astype(float))
        held = sparse.csr_array(weighted @ inside)
        clusters = (gathering(self.cluster, self.n_clusters) @ held) > 0
        strata = gathering(self.stratum, len(self.fraction)) @ clusters.astype(float)
        count = np.asarray(clusters.sum(axis=0)).ravel()
        df = count - np.asarray((strata > 0).sum(axis=0)).ravel()
        return np.asarray(held.sum(axis=0)).ravel().astype(int), count, df

    def total(
        self,
        y: np.ndarray,
        inside: np.ndarray | None = None,
        *,
        confidence: float = 0.95,
    ) -> Estimate:
        """Estimate the total of `y` over the population or a domain of it.

        Parameters
        ----------
        y : numpy.ndarray, shape (n,)
            Values.
        inside : numpy.ndarray of bool, shape (n,), optional
            Units of the domain.
        """
        kept = y if inside is None else np.where(inside, y, 0.0)
        reason = self.fault or _not_finite(kept)
        if reason:
            return absent("not_measured", reason, len(y))
        scores = self.weight * kept
        return self.linearised(
            float(scores.sum()), scores, inside=inside, confidence=confidence
        )

    def ratio(
        self, y: np.ndarray, x: np.ndarray, *, confidence: float = 0.95
    ) -> Estimate:
        """Estimate the ratio of the totals of `y` and `x`.

        With ``u = w (y - R x) / sum(w x)`` the variance is that of the total of ``u``
        (Särndal, Swensson and Wretman 1992, Model Assisted Survey Sampling, section
        5.6, in the form for clusters drawn with replacement). A proportion, a mean, a
        precision and an F1 are ratios; so is each of them in a domain, with `y` and
        `x` zero outside.

        Parameters
        ----------
        y, x : numpy.ndarray, shape (n,)
            Values of each unit, not weighted.
        """
        reason = self.fault or _not_finite(y, x)
        if reason:
            return absent("not_measured", reason, len(x))
        inside = x != 0
        n = int((inside & (self.weight > 0)).sum())
        whole = float(self.weight @ x)
        if whole == 0:
            note = "no unit has weight here" if n == 0 else "the denominator is zero"
            return absent("not_applicable", note, n)
        value = float(self.weight @ y) / whole
        fitted = value * x
        residual = np.where(
            np.abs(y - fitted) > _ROUNDING * (np.abs(y) + np.abs(fitted)),
            (y - fitted) / whole,
            0.0,
        )
        found = self.linearised(
            value, self.weight * residual, inside=inside, confidence=confidence
        )
        spread = float(self.weight @ residual**2) * float(self.weight @ inside)
        if not found.se > 0:
            return found
        return replace(found, n_effective=spread / found.se**2)

    def mean(
        self,
        y: np.ndarray,
        inside: np.ndarray | None = None,
        *,
        confidence: float = 0.95,
    ) -> Estimate:
        """Estimate the mean of `y` over the population or a domain of it.

        Parameters
        ----------
        y : numpy.ndarray, shape (n,)
            Values.
        inside : numpy.ndarray of bool, shape (n,), optional
            Units of the domain.
        """
        if inside is None:
            return self.ratio(y, np.ones(len(y)), confidence=confidence)
        kept = np.where(inside, y, 0.0)
        return self.ratio(kept, inside.astype(float), confidence=confidence)

    def linearised(
        self,
        value: float,
        scores: np.ndarray,
        *,
        inside: np.ndarray | None = None,
        confidence: float = 0.95,
    ) -> Estimate:
        """Return a value with the standard error that its influences give.

        Parameters
        ----------
        value : float
            The statistic.
        scores : numpy.ndarray, shape (n,)
            Weighted influence of each unit.
        inside : numpy.ndarray of bool, shape (n,), optional
            Units of the domain, for the degrees of freedom.
        """
        held = np.ones(len(scores), dtype=bool) if inside is None else inside
        n = int((held & (self.weight > 0)).sum())
        se = float(np.sqrt(self.covariance(scores[:, None])[0, 0]))
        df = self.degrees_of_freedom(held)
        return self.told(value, se, df, n=n, confidence=confidence)

    def told(
        self, value: float, se: float, df: int, *, n: int, confidence: float = 0.95
    ) -> Estimate:
        """Return an estimate as :meth:`mlstats.quality.stratified.Strata.told`."""
        return self.strata.told(value, se, df, n=n, confidence=confidence)

    def remark(self) -> str:
        """Return what was done about strata with a single cluster, if there are."""
        return self.strata.remark()


def _not_finite(*columns: np.ndarray) -> str:
    bad = int(sum((~np.isfinite(column)).sum() for column in columns))
    return f"{bad} values are missing or not finite" if bad else ""


def _fault(weight: np.ndarray, fraction: np.ndarray) -> str:
    bad = int((~np.isfinite(weight) | (weight < 0)).sum())
    if bad:
        return f"{bad} weights are negative or not finite"
    if ((fraction < 0) | (fraction > 1) | ~np.isfinite(fraction)).any():
        return "a sampling fraction lies outside 0 to 1"
    if not weight.sum() > 0:
        return "no unit has weight"
    return ""
