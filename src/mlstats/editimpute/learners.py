"""The learners of the chain: a regression, and calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlstats.errors import ConfigError

__all__ = ["Learner", "Probabilities", "calibration", "drawn", "sharpened"]

TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Probabilities:
    """Models of a category, each of which never saw a part of the records.

    Attributes
    ----------
    classes : ndarray
        The categories.
    models : list
        None where there is one category only.
    records : int
        That they were fitted on.
    heat, shift : float and ndarray
        Of the calibration.
    """

    classes: np.ndarray
    models: list[Any]
    records: int
    heat: float = 1.0
    shift: np.ndarray | float = 0.0

    def of(self, wanted: np.ndarray) -> np.ndarray:
        """Return the mean calibrated probabilities, shape (n, classes)."""
        if not self.models:
            return np.ones((len(wanted), 1))
        theirs = [_logits(model, wanted, self.records) for model in self.models]
        shares = [_softmax(part / self.heat + self.shift) for part in theirs]
        return np.asarray(np.mean(shares, axis=0))


@dataclass(frozen=True)
class Learner:
    """A family of models and its size.

    Parameters
    ----------
    family : {"boosting", "forest"}
        Histogram gradient boosting, or a random forest.
    trees : int
        Number of trees (boosting: rounds).
    leaves : int
        Leaves of a tree.
    fit_rows : int
        Most rows that a model is fitted on; the others are drawn out.
    """

    family: str = "boosting"
    trees: int = 80
    leaves: int = 31
    fit_rows: int = 30_000

    def __post_init__(self) -> None:
        if self.family not in ("boosting", "forest"):
            raise ConfigError(
                f"There is no family {self.family!r}", expected="boosting or forest"
            )

    def regression(
        self, X: np.ndarray, y: np.ndarray, categorical: np.ndarray, seed: int
    ) -> Any:
        """Return a fitted regression."""
        if self.family == "forest":
            from sklearn.ensemble import RandomForestRegressor

            forest = RandomForestRegressor(
                self.trees, min_samples_leaf=5, max_features=0.5, random_state=seed
            )
            return forest.fit(X, y)
        from sklearn.ensemble import HistGradientBoostingRegressor

        model = HistGradientBoostingRegressor(
            **self._boosting(categorical, seed, len(y))
        )
        return model.fit(X, y)

    def probabilities(
        self,
        X: np.ndarray,
        y: np.ndarray,
        categorical: np.ndarray,
        seed: int,
        wanted: np.ndarray,
        fold: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes, and their calibrated probabilities for `wanted`.

        A model is fitted without each of the folds (`fold` has the fold of each
        record) and calibrated on what they predict for the records that they never
        saw; the probabilities of all are averaged.
        """
        fitted = self.fit_probabilities(X, y, categorical, seed, fold)
        return fitted.classes, fitted.of(wanted)

    def fit_probabilities(
        self,
        X: np.ndarray,
        y: np.ndarray,
        categorical: np.ndarray,
        seed: int,
        fold: np.ndarray,
    ) -> Probabilities:
        """Return the calibrated models of :meth:`probabilities`."""
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) == 1:
            return Probabilities(classes, [], len(y))
        logits, models = np.empty((len(y), len(classes))), []
        for number in np.unique(fold):
            seen = fold != number
            # Every class must be fitted: a rare one is not left out.
            seen |= np.bincount(codes[seen], minlength=len(classes))[codes] == 0
            model = self._classifier(X[seen], codes[seen], categorical, seed)
            unseen = fold == number
            logits[unseen] = _logits(model, X[unseen], len(y))
            models.append(model)
        return Probabilities(classes, models, len(y), *calibration(logits, codes))

    def _classifier(
        self, X: np.ndarray, y: np.ndarray, categorical: np.ndarray, seed: int
    ) -> Any:
        if self.family == "forest":
            from sklearn.ensemble import RandomForestClassifier

            forest = RandomForestClassifier(
                self.trees, min_samples_leaf=5, random_state=seed
            )
            return forest.fit(X, y)
        from sklearn.ensemble import HistGradientBoostingClassifier

        options = self._boosting(categorical, seed, len(y))
        if len(np.unique(y)) > 2:
            # A round fits a tree for each class.
            options["max_iter"] = max(self.trees // 2, 20)
            # Leaves of a rare class have next to no curvature: their steps would be
            # huge, and all other probabilities calibrated away to make up for them.
            options |= {"max_leaf_nodes": min(self.leaves, 16), "l2_regularization": 10}
        return HistGradientBoostingClassifier(**options).fit(X, y)

    def _boosting(
        self, categorical: np.ndarray, seed: int, rows: int
    ) -> dict[str, Any]:
        return {
            # With few records a leaf of 20 would flatten both ends of a slope.
            "min_samples_leaf": int(np.clip(rows // 16, 5, 20)),
            "max_iter": self.trees,
            "max_leaf_nodes": self.leaves,
            "categorical_features": categorical if categorical.any() else None,
            "early_stopping": False,
            "random_state": seed,
        }


def calibration(logits: np.ndarray, codes: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the temperature, and the shift of each class, with the least log loss.

    Of vector scaling (Guo et al. 2017, ICML, section 4.2) with one slope for all
    classes. At the optimum each class is predicted as often as it occurs; a
    temperature alone would move rare classes away from their frequency.

    Parameters
    ----------
    logits : numpy.ndarray, shape (n, classes)
        Predicted for records that the model never saw.
    codes : numpy.ndarray of int, shape (n,)
        The class of each.

    Returns
    -------
    temperature : float
        From 1/8 to 8.
    shift : numpy.ndarray, shape (classes,)
        To add after the division by the temperature.
    """
    from scipy.optimize import minimize

    n, k = logits.shape
    own = np.zeros((n, k))
    own[np.arange(n), codes] = 1.0

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = logits * np.exp(-at[0])
        shares = _softmax(scaled + at[1:])
        value = -np.log(np.maximum(shares[np.arange(n), codes], TINY)).mean()
        apart = shares - own
        slope = np.concatenate([[-(apart * scaled).sum(1).mean()], apart.mean(axis=0)])
        # So weak a pull to zero matters only where nothing else decides.
        return value + at @ at / (2 * n), slope + at / n

    limits = [(-np.log(8.0), np.log(8.0)), *[(-10.0, 10.0)] * k]
    found = minimize(loss, np.zeros(k + 1), jac=True, bounds=limits, method="L-BFGS-B")
    return float(np.exp(found.x[0])), np.asarray(found.x[1:])


def _logits(model: Any, X: np.ndarray, n: int) -> np.ndarray:
    """Return logarithms of probabilities, as if each class had half a record more."""
    shares = model.predict_proba(X)
    return np.asarray(np.log((n * shares + 0.5) / (n + 0.5 * shares.shape[1])))


def _softmax(logits: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    return np.asarray(softmax(logits, axis=1))


def sharpened(probabilities: np.ndarray, power: float) -> np.ndarray:
    """Raise probabilities to a power and keep the sum of each class over the rows."""
    if power == 1:
        return probabilities
    aim = probabilities.mean(axis=0)
    logits = power * np.log(np.maximum(probabilities, TINY))
    for _ in range(200):
        shares = _softmax(logits)
        change = np.log(np.maximum(aim, TINY) / np.maximum(shares.mean(axis=0), TINY))
        if np.abs(change).max() < 1e-6:
            break
        logits = logits + change
    return shares


def drawn(
    probabilities: np.ndarray, rng: np.random.Generator, *, balanced: bool = True
) -> np.ndarray:
    """Return a class for each row, drawn with its probabilities.

    Parameters
    ----------
    probabilities : numpy.ndarray, shape (n, classes)
        Rows add up to one.
    rng : numpy.random.Generator
        For the draws.
    balanced : bool
        Draw each row with exactly its own probabilities, but not independently: each
        class, the rarest first, by systematic sampling (Madow 1949, Annals of
        Mathematical Statistics 20, 333-354) of the rows not yet drawn, in the order
        of their probability. Frequencies then hardly differ from the sums of the
        probabilities. Several imputations must differ as much as the missing values
        may, so draw them independently.
    """
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)
    if not balanced:
        edges = shares.cumsum(axis=1)
        place = (rng.random(len(shares))[:, None] >= edges).sum(axis=1)
        return np.asarray(np.minimum(place, shares.shape[1] - 1))
    *first, last = np.argsort(shares.sum(axis=0), kind="stable")
    found = np.full(len(shares), last)
    left, rest = np.arange(len(shares)), np.ones(len(shares))
    for code in first:
        share = shares[left, code] / np.maximum(rest[left], TINY)
        hit = _systematic(np.minimum(share, 1.0), rng)
        found[left[hit]] = code
        rest -= shares[:, code]
        left = left[~hit]
    return found


def _systematic(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    order = np.lexsort((rng.random(len(shares)), shares))
    whole = np.floor(np.append(0.0, shares[order].cumsum()) + rng.random())
    hit = np.empty(len(shares), dtype=bool)
    hit[order] = np.diff(whole) > 0
    return hit
