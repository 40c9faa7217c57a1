"""Shares of classes with their design-based errors, all classes in one pass.

The same estimator as :func:`mlstats.quality.accuracy.ratio`, from sums of products over
the clusters of each stratum: a period of millions of units has millions of clusters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.quality.stratified import gathering

__all__ = ["ShareDesign", "Shares"]


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares of every class.

    Parameters
    ----------
    value, se : numpy.ndarray, shape (classes,)
        Share and standard error, NaN where it cannot be told.
    df : float
        Clusters less strata, of those that hold units of the domain.
    clusters : int
        With weight.
    """

    value: np.ndarray
    se: np.ndarray
    df: float
    clusters: int


@dataclass(frozen=True, eq=False)
class ShareDesign:
    """Weights, clusters and strata of the units of a period, numbered once.

    Parameters
    ----------
    weight : numpy.ndarray, shape (n,)
        Of the units.
    cluster : numpy.ndarray of int, shape (n,)
        Number of each unit's cluster within its stratum.
    stratum : numpy.ndarray of int, shape (clusters,)
        Number of each cluster's stratum.
    fraction : numpy.ndarray, shape (strata,)
        Share of the stratum's clusters that was drawn.
    """

    weight: np.ndarray
    cluster: np.ndarray
    stratum: np.ndarray
    fraction: np.ndarray

    @classmethod
    def of(
        cls,
        weight: np.ndarray,
        cluster: pd.Series,
        stratum: pd.Series,
        fractions: Mapping[str, float] | None = None,
    ) -> ShareDesign:
        """Give each cluster of each stratum its number.

        Parameters
        ----------
        weight : numpy.ndarray, shape (n,)
            Of the units.
        cluster, stratum : pandas.Series, shape (n,)
            Names.
        fractions : mapping, optional
            Stratum -> share of its clusters that was drawn.
        """
        of_unit, names = pd.factorize(stratum, use_na_sentinel=False)
        member, _ = pd.factorize(cluster, use_na_sentinel=False)
        key = member.astype(np.int64) * max(len(names), 1) + of_unit
        number, distinct = pd.factorize(key)
        told = np.array([float((fractions or {}).get(str(n), 0.0)) for n in names])
        return cls(weight, number, distinct % max(len(names), 1), told)

    def shares(
        self,
        codes: np.ndarray,
        classes: int,
        inside: np.ndarray | None = None,
        less: np.ndarray | None = None,
    ) -> Shares:
        """Estimate the share of each class, or how it differs under two codings.

        With ``u = (y - R x) / sum(x)`` per cluster the variance is
        ``sum_h (1 - f_h) n_h / (n_h - 1) sum_i (u_hi - mean_h(u))**2`` (Särndal,
        Swensson and Wretman 1992, eqs. 5.6.2 and 5.5.10 with replacement); a stratum
        with a single cluster is centred at zero, the mean of all ``u``.

        Parameters
        ----------
        codes : numpy.ndarray of int, shape (n,)
            Number of the class of each unit.
        classes : int
            How many there are.
        inside : numpy.ndarray of bool, shape (n,), optional
            Units of a domain.
        less : numpy.ndarray of int, shape (n,), optional
            Another coding of the same units, whose shares are taken away.
        """
        weight = self.weight if inside is None else self.weight * inside
        n = len(self.stratum)
        base = np.bincount(self.cluster, weight, minlength=n)
        total = float(base.sum())
        if total <= 0:
            gone = np.full(classes, np.nan)
            return Shares(gone, gone, 0.0, 0)
        shape = (n, classes)
        y = sparse.csr_array((weight, (self.cluster, codes)), shape=shape)
        if less is not None:
            y = y - sparse.csr_array((weight, (self.cluster, less)), shape=shape)
        value = np.asarray(y.sum(axis=0)).ravel() / total
        squares = self._squares(y, base, value, total)
        held = base > 0
        df = float(held.sum() - len(np.unique(self.stratum[held])))
        se = np.sqrt(squares) if df > 0 else np.full(classes, np.nan)
        return Shares(value, se, df, int((base > 0).sum()))

    def _squares(
        self, y: sparse.csr_array, x: np.ndarray, value: np.ndarray, total: float
    ) -> np.ndarray:
        strata = len(self.fraction)
        gather = gathering(self.stratum, strata)
        product = sparse.csr_array(y.multiply(x[:, None]))
        yy = (gather @ sparse.csr_array(y.multiply(y))).toarray()
        yx = (gather @ product).toarray()
        y_sum = (gather @ y).toarray()
        x_sum = np.bincount(self.stratum, x, minlength=strata)
        xx = np.bincount(self.stratum, x * x, minlength=strata)
        size = np.bincount(self.stratum, minlength=strata)
        squared = yy - 2 * value * yx + value**2 * xx[:, None]
        summed = y_sum - value * x_sum[:, None]
        single = (size == 1)[:, None]
        spread = np.where(single, squared, squared - summed**2 / size[:, None])
        grow = np.where(size == 1, 1.0, size / np.maximum(size - 1, 1))
        factor = (1 - self.fraction) * grow
        found = (factor[:, None] * np.maximum(spread, 0.0)).sum(axis=0)
        return np.asarray(found / total**2)
