"""Where a classifier has seen anything alike: dissimilarity and area of applicability.

The dissimilarity index of a pixel is its distance to the nearest training pixel, over
the mean distance between training pixels. Beyond the dissimilarity that validation
itself had to bridge, the validated accuracy says nothing; that land is outside the area
of applicability, and the share of each estimate that lies there is reported with it.
(Meyer and Pebesma 2021, Methods in Ecology and Evolution 12, 1620-1633, section 2.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from mlstats.errors import ConfigError, ContractError
from mlstats.imagery.variance_components import Floats

__all__ = ["Applicability", "outside_share", "permutation_weights"]

_ALL_PAIRS = 10_000  # training pixels up to which every pair is measured
_CHUNK = 500
_DRAWN_PAIRS = 4_000_000


@dataclass(frozen=True, eq=False)
class Applicability:
    """Training pixels as distances see them, and the threshold learnt from the folds.

    Made by :meth:`learn`.

    Parameters
    ----------
    centre, factor : ndarray of shape (features,)
        A feature is measured as ``(x - centre) * factor``: less the training mean,
        over the standard deviation, times its weight.
    points : ndarray of shape (kept, features)
        Training pixels in this measure.
    mean_distance : float
        Between two training pixels.
    training : ndarray of shape (pixels,)
        Dissimilarity of each training pixel to the nearest one of another fold.
    threshold : float
        ``min(Q75 + 1.5 IQR, max)`` of `training`.
    bound : float
        A dissimilarity may be too large by at most this, because training pixels were
        thinned; never too small. 0 where all were kept.
    notes : tuple of str
        What was approximated, and by how much.
    """

    centre: Floats
    factor: Floats
    points: Floats = field(repr=False)
    mean_distance: float
    training: Floats = field(repr=False)
    threshold: float
    bound: float = 0.0
    notes: tuple[str, ...] = ()

    @classmethod
    def learn(
        cls,
        X: npt.ArrayLike,
        folds: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        tolerance: float = 0.0,
        seed: int = 0,
    ) -> Applicability:
        """Learn scale, mean distance and threshold.

        Parameters
        ----------
        X : array_like of shape (pixels, features)
            Training pixels.
        folds : array_like of shape (pixels,)
            Fold in which each was predicted by validation; blocked folds, for a
            threshold of what the validated accuracy bridges. Under folds at random
            next to nothing is inside.
        weights : array_like of shape (features,), optional
            Importance of each feature, as of :func:`permutation_weights`; below 0
            counts as 0. Equal where left out.
        tolerance : float
            Dissimilarity within which a training pixel may stand in for others. Above
            0, pixels are thinned until each left out has one kept within it.
        seed : int
            Of the pairs drawn where there are more than 10,000 pixels.

        Raises
        ------
        ContractError
            Values that are not finite, a feature that does not vary (no distance can
            be measured in it), fewer than two folds, no feature with a weight.
        ConfigError
            A tolerance below 0.
        """
        values, group = _checked(X, folds, tolerance)
        centre = values.mean(axis=0)
        spread = values.std(axis=0, ddof=1)
        factor = _weights(weights, values.shape[1]) / _varying(spread)
        points = (values - centre) * factor
        mean, drawn = _mean_distance(points, seed)
        training = _to_other_folds(points, group) / mean
        low, high = np.quantile(training, [0.25, 0.75])
        threshold = min(high + 1.5 * (high - low), training.max())
        kept, bound = _thinned(points, tolerance * mean)
        notes = [drawn] if drawn else []
        if len(kept) < len(points):
            notes.append(
                f"{len(kept)} of {len(points)} training pixels kept; a dissimilarity "
                f"is too large by at most {bound / mean:.3g}"
            )
        return cls(
            centre, factor, points[kept], mean, training, float(threshold),
            bound / mean, tuple(notes),
        )  # fmt: skip

    def dissimilarity(self, X: npt.ArrayLike) -> Floats:
        """Return the dissimilarity index of pixels.

        Parameters
        ----------
        X : array_like of shape (pixels, features)

        Returns
        -------
        ndarray of shape (pixels,)
            From 0 for a training pixel itself; NaN where a feature is missing.
        """
        return self._nearest(X, np.inf) / self.mean_distance

    def inside(self, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which pixels lie in the area of applicability.

        The same as ``dissimilarity(X) <= threshold``, without a search for neighbours
        beyond it. A pixel with a missing feature is outside.
        """
        reach = float(np.nextafter(self.threshold * self.mean_distance, np.inf))
        return np.asarray(
            self._nearest(X, reach) / self.mean_distance <= self.threshold
        )

    @cached_property
    def _tree(self) -> Any:
        return cKDTree(self.points)

    def _nearest(self, X: npt.ArrayLike, reach: float) -> Floats:
        values = np.asarray(X)
        if values.ndim != 2 or values.shape[1] != len(self.centre):
            raise ContractError(
                f"pixels of shape {values.shape} have other features than in training",
                expected=f"(pixels, {len(self.centre)})",
            )
        there = np.isfinite(values).all(axis=1)
        found = np.full(len(values), np.nan)
        measured = (values[there] - self.centre) * self.factor
        found[there], _ = self._tree.query(measured, distance_upper_bound=reach)
        return found


def permutation_weights(
    estimator: Any,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    folds: npt.ArrayLike,
    *,
    repeats: int = 5,
    seed: int = 0,
) -> Floats:
    """Return the loss of accuracy out of fold when a feature is permuted.

    Parameters
    ----------
    estimator : classifier of scikit-learn
        Cloned and fitted without each fold in turn.
    X : array_like of shape (pixels, features)
    y, folds : array_like of shape (pixels,)
    repeats, seed : int
        Permutations of each feature in each fold.

    Returns
    -------
    ndarray of shape (features,)
        Means over pixels, with what is below 0 set to 0 (Breiman 2001, Machine
        Learning 45, 5-32, section 10, on held-out folds).
    """
    from sklearn.base import clone
    from sklearn.inspection import permutation_importance

    values, group = _checked(X, folds, 0.0)
    truth = np.asarray(y, dtype=object).astype(str)
    total = np.zeros(values.shape[1])
    for name in np.unique(group):
        test = group == name
        fitted = clone(estimator).fit(values[~test], truth[~test])
        found = permutation_importance(
            fitted, values[test], truth[test], n_repeats=repeats, random_state=seed
        )
        total += test.mean() * found.importances_mean
    return np.asarray(np.maximum(total, 0.0))


def outside_share(
    classes: npt.ArrayLike,
    inside: npt.ArrayLike,
    pixel_hectares: float,
    *,
    nodata: float | str | None = None,
) -> pd.DataFrame:
    """Return how much of each class's mapped area lies outside.

    Parameters
    ----------
    classes : array_like of any shape
        Mapped classes.
    inside : array_like of bool of the same shape
        Of :meth:`Applicability.inside`.
    pixel_hectares : float
        Area of a pixel on an equal-area grid.
    nodata : optional
        The code of what the map left unclassified; missing values are that too. It has
        a row of its own, ``(unclassified)``, without a share.

    Returns
    -------
    pandas.DataFrame
        class, pixels, hectares, hectares_outside, share_outside; the last row is
        ``(all classified)``. Pixels and hectares of disjoint windows add up.

    Raises
    ------
    ContractError
        Shapes that differ.
    ConfigError
        A pixel without area.
    """
    names, within = np.asarray(classes), np.asarray(inside, dtype=bool)
    if names.shape != within.shape:
        raise ContractError(
            f"classes of shape {names.shape} and a mask of shape {within.shape}"
        )
    if not (np.isfinite(pixel_hectares) and pixel_hectares > 0):
        raise ConfigError("a pixel has no area", expected="hectares above 0")
    lost = pd.isna(names)
    lost = lost | (names == nodata) if nodata is not None else lost
    code, found = pd.factorize(names[~lost], sort=True)
    pixels = np.bincount(code, minlength=len(found))
    out = np.bincount(code, ~within[~lost], minlength=len(found))
    rows = pd.DataFrame(
        {
            "class": [*(str(name) for name in found), "(unclassified)"],
            "pixels": [*pixels, int(lost.sum())],
            "outside": [*out, np.nan],
        }
    )
    every = ["(all classified)", pixels.sum(), out.sum()]
    rows.loc[len(rows)] = every
    outside = rows.pop("outside").astype(float)
    rows["hectares"] = rows["pixels"] * pixel_hectares
    rows["hectares_outside"] = outside * pixel_hectares
    rows["share_outside"] = outside / rows["pixels"].where(rows["pixels"] > 0)
    return rows


def _checked(
    X: npt.ArrayLike, folds: npt.ArrayLike, tolerance: float
) -> tuple[Floats, npt.NDArray[np.intp]]:
    values = np.asarray(X, dtype=float)
    group, names = pd.factorize(np.asarray(folds, dtype=object))
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ContractError("training pixels have missing values or no features")
    if len(group) != len(values) or (group < 0).any() or len(names) < 2:
        raise ContractError(
            f"{len(names)} folds of {len(group)} labels for {len(values)} pixels",
            expected="a fold for each training pixel, and two folds or more",
        )
    if not tolerance >= 0:
        raise ConfigError("the tolerance of the dissimilarity is below 0")
    return values, np.asarray(group)


def _varying(spread: Floats) -> Floats:
    still = np.flatnonzero(~(spread > 0))
    if len(still):
        raise ContractError(
            "features do not vary among the training pixels",
            where="columns " + ", ".join(str(i) for i in still),
            hint="leave them out: no distance can be measured in them",
        )
    return spread


def _weights(given: npt.ArrayLike | None, features: int) -> Floats:
    weights = np.ones(features) if given is None else np.asarray(given, dtype=float)
    if weights.shape != (features,) or not np.isfinite(weights).all():
        raise ContractError(
            f"weights of shape {weights.shape} for {features} features",
            expected="a finite weight for each feature",
        )
    weights = np.maximum(weights, 0.0)
    if not weights.any():
        raise ContractError(
            "no feature has a weight above 0",
            hint="the classifier uses none of them; leave the weights out",
        )
    return np.asarray(weights)


def _mean_distance(points: Floats, seed: int) -> tuple[float, str]:
    """Return the mean distance of two pixels, and what was approximated."""
    n = len(points)
    if n <= _ALL_PAIRS:
        total = sum(
            float(cdist(points[i : i + _CHUNK], points).sum())
            for i in range(0, n, _CHUNK)
        )
        return total / (n * (n - 1)), ""
    rng = np.random.default_rng(seed)
    sums = np.zeros(2)
    for _ in range(_DRAWN_PAIRS // 100_000):
        one = rng.integers(0, n, 100_000)
        other = (one + rng.integers(1, n, 100_000)) % n
        far = np.linalg.norm(points[one] - points[other], axis=1)
        sums += far.sum(), far @ far
    mean, square = sums / _DRAWN_PAIRS
    error = float(np.sqrt((square - mean**2) / _DRAWN_PAIRS) / mean)
    note = f"mean distance from {_DRAWN_PAIRS} drawn pairs, standard error {error:.2%}"
    return float(mean), note


def _to_other_folds(points: Floats, group: npt.NDArray[np.intp]) -> Floats:
    found = np.empty(len(points))
    for fold in range(int(group.max()) + 1):
        own = group == fold
        found[own], _ = cKDTree(points[~own]).query(points[own])
    return np.asarray(found)


def _thinned(points: Floats, reach: float) -> tuple[npt.NDArray[np.intp], float]:
    """Return pixels such that all lie within `reach` of one, and the farthest of all.

    Pixels are taken in their order; each taken one stands in for those near it.
    """
    if reach == 0:
        return np.arange(len(points)), 0.0
    tree = cKDTree(points)
    open_ = np.ones(len(points), dtype=bool)
    kept = []
    for i in range(len(points)):
        if open_[i]:
            kept.append(i)
            open_[tree.query_ball_point(points[i], reach)] = False
    chosen = np.array(kept)
    far, _ = cKDTree(points[chosen]).query(points)
    return chosen, float(far.max())
