"""Gaussian maximum likelihood, the traditional classifier of pixels.

Every class has a mean and a covariance of its own; a pixel goes to the class under
which it is most likely. It is quadratic discriminant analysis, with two additions that
training pixels of a few polygons need: a ridge on each covariance, and the pooled
covariance for a class with too few pixels for one of its own, which is told.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from mlstats.errors import ConfigError, MethodError
from mlstats.imagery.variance_components import Floats

__all__ = ["MaximumLikelihood"]

_TRUSTED = 1e-12  # least squared pivot, relative to the mean variance of a band


class MaximumLikelihood(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classify by the largest Gaussian likelihood.

    Parameters
    ----------
    ridge : float
        Added to the variances of each class: ``S + ridge * trace(S) / bands * I``
        (after Friedman 1989, JASA 84, 165-175, equation 18, which also scales S by one
        minus the ridge). 0 is plain quadratic discriminant analysis.
    priors : {"equal", "sample"} or array_like of shape (classes,)
        Probabilities of the classes before the pixel is seen, in the order of
        ``classes_``: the same for all, the shares of the training pixels, or given,
        such as shares of the area from a previous map (Strahler 1980, Remote Sensing
        of Environment 10, 135-163).

    Attributes
    ----------
    classes_ : ndarray of shape (classes,)
    priors_ : ndarray of shape (classes,)
    means_ : ndarray of shape (classes, bands)
    covariances_ : ndarray of shape (classes, bands, bands)
        With the ridge.
    factors_ : ndarray of shape (classes, bands, bands)
        Lower triangles W with ``W' W`` the inverse covariance: the Mahalanobis
        distance of x is the length of ``W (x - mean)``.
    offsets_ : ndarray of shape (classes,)
        ``log(prior) - log(det(covariance)) / 2``.
    counts_ : ndarray of int of shape (classes,)
        Training pixels.
    notes_ : tuple of str
        Classes that have the pooled covariance, and why.

    Notes
    -----
    The discriminant is ``log(prior) - log(det(S)) / 2 - (x - m)' S^-1 (x - m) / 2``
    (Richards 2013, Remote Sensing Digital Image Analysis, 5th edition, section 8.3).
    Covariances are the maximum likelihood estimates, with n as divisor: those of
    scikit-learn from 1.8 and of MASS's ``qda(method="mle")`` in R. A class with no more
    pixels than bands has a covariance of deficient rank, and is given the pooled one,
    ``sum n S / sum n`` over all classes.
    """

    def __init__(
        self,
        *,
        ridge: float = 1e-3,
        priors: Literal["equal", "sample"] | npt.ArrayLike = "equal",
    ) -> None:
        self.ridge = ridge
        self.priors = priors

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> MaximumLikelihood:
        """Learn means and covariances.

        Parameters
        ----------
        X : array_like of shape (pixels, bands)
        y : array_like of shape (pixels,)

        Raises
        ------
        ConfigError
            A negative ridge; priors that are no probabilities of the classes.
        MethodError
            A covariance that cannot be inverted.
        """
        if not self.ridge >= 0:
            raise ConfigError("the ridge of maximum likelihood is below 0")
        values, labels = validate_data(
            self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2
        )
        check_classification_targets(labels)
        values = values.astype(np.float64, copy=False)
        self.classes_, code = np.unique(labels, return_inverse=True)
        self.counts_ = np.bincount(code)
        self.priors_ = self._priors()
        self.means_ = np.stack([values[code == k].mean(axis=0) for k in _each(code)])
        self.covariances_, self.notes_ = self._covariances(values, code)
        lower = np.stack([self._root(s, k) for k, s in enumerate(self.covariances_)])
        unit = np.eye(values.shape[1])
        self.factors_ = np.stack([solve_triangular(r, unit, lower=True) for r in lower])
        with np.errstate(divide="ignore"):
            prior = np.log(self.priors_)
        spread = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
        self.offsets_ = prior - spread
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most likely class of each pixel, shape (pixels,)."""
        best = self._discriminants(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: npt.ArrayLike) -> Floats:
        """Return the posterior probabilities, shape (pixels, classes)."""
        return np.asarray(softmax(self._discriminants(X), axis=1))

    def decision_function(self, X: npt.ArrayLike) -> Floats:
        """Return the discriminants, shape (pixels, classes).

        Of two classes the second's less the first's, shape (pixels,), as scikit-learn
        has it.
        """
        found = self._discriminants(X)
        return np.asarray(found[:, 1] - found[:, 0]) if found.shape[1] == 2 else found

    def _discriminants(self, X: npt.ArrayLike) -> Floats:
        check_is_fitted(self)
        values = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        found = np.empty((len(values), len(self.classes_)))
        for k, (mean, factor) in enumerate(
            zip(self.means_, self.factors_, strict=True)
        ):
            apart = (values - mean) @ factor.T
            found[:, k] = self.offsets_[k] - np.einsum("ij,ij->i", apart, apart) / 2
        return found

    def _priors(self) -> Floats:
        classes = len(self.classes_)
        if isinstance(self.priors, str):
            if self.priors not in ("equal", "sample"):
                raise ConfigError(
                    f"There are no priors {self.priors!r}",
                    expected='"equal", "sample" or a probability for each class',
                )
            sizes = np.ones(classes) if self.priors == "equal" else self.counts_
            return np.asarray(sizes / sizes.sum())
        given = np.asarray(self.priors, dtype=float)
        proper = given.shape == (classes,) and (given >= 0).all()
        if not proper or not np.isclose(given.sum(), 1.0):
            raise ConfigError(
                "the priors are not probabilities of the classes",
                expected=f"{classes} numbers from 0 that add up to 1",
            )
        return given

    def _covariances(
        self, values: Floats, code: npt.NDArray[np.intp]
    ) -> tuple[Floats, tuple[str, ...]]:
        bands = values.shape[1]
        apart = values - self.means_[code]
        pooled = apart.T @ apart / len(values)
        few = self.counts_ <= bands
        found, notes = np.empty((len(few), bands, bands)), []
        for k, alone in enumerate(few):
            own = apart[code == k]
            found[k] = pooled if alone else own.T @ own / self.counts_[k]
            if alone:
                notes.append(
                    f"class {self.classes_[k]}: pooled covariance, {self.counts_[k]} "
                    f"pixels for {bands} bands"
                )
        level = np.trace(found, axis1=1, axis2=2) / bands
        found += (self.ridge * level)[:, None, None] * np.eye(bands)
        return found, tuple(notes)

    def _root(self, covariance: Floats, k: int) -> Floats:
        """Return the Cholesky factor of a class's covariance."""
        level = np.trace(covariance) / len(covariance)
        try:
            root = np.asarray(np.linalg.cholesky(covariance))
            sound = bool((np.diagonal(root) ** 2 > _TRUSTED * level).all())
        except np.linalg.LinAlgError:
            sound = False
        if not sound:
            raise MethodError(
                "The covariance of a class cannot be inverted",
                where=f"maximum likelihood, {self.counts_[k]} pixels of class "
                f"{self.classes_[k]}",
                expected="bands that vary within the class and are not copies of "
                "each other",
                hint="a ridge above 0, or fewer bands",
            )
        return root


def _each(code: npt.NDArray[np.intp]) -> range:
    return range(int(code.max()) + 1)
