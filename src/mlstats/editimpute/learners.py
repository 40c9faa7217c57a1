"""The learners of the chain: a regression, and calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlstats.errors import ConfigError

__all__ = ["Learner", "drawn", "temperature"]

# A temperature is found on so large a share of the records, and on so many at least.
HELD_OUT, FEWEST = 0.2, 100


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
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes, and their calibrated probabilities for `wanted`.

        The logits are divided by a temperature found on records that the model never
        saw (Guo et al. 2017, ICML, section 4.2).
        """
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) == 1:
            return classes, np.ones((len(wanted), 1))
        rng = np.random.default_rng(seed)
        held = rng.permutation(len(y))[: max(int(HELD_OUT * len(y)), FEWEST)]
        kept = np.ones(len(y), dtype=bool)
        kept[held] = False
        # Every class must be fitted: a rare one is not held out.
        seen = np.bincount(codes[kept], minlength=len(classes)) > 0
        kept |= ~seen[codes]
        heat = 1.0
        if len(y) < 2 * FEWEST:
            kept[:] = True
        model = self._classifier(X[kept], codes[kept], categorical, seed)
        if not kept.all():
            logits = np.log(np.clip(model.predict_proba(X[~kept]), 1e-12, 1))
            heat = temperature(logits, codes[~kept])
        logits = np.log(np.clip(model.predict_proba(wanted), 1e-12, 1)) / heat
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return classes, shares / shares.sum(axis=1, keepdims=True)

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


def temperature(logits: np.ndarray, codes: np.ndarray) -> float:
    """Return the temperature with the least log loss, from 1/4 to 4."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    own = logits[np.arange(len(codes)), codes]

    def loss(log_heat: float) -> float:
        scale = np.exp(-log_heat)
        return float(np.mean(logsumexp(logits * scale, axis=1) - own * scale))

    limit = np.log(4.0)
    found = minimize_scalar(loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def drawn(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a class for each row, drawn with its probabilities."""
    edges = probabilities.cumsum(axis=1)
    point = rng.random(len(probabilities))[:, None] * edges[:, -1:]
    place: np.ndarray = (point >= edges).sum(axis=1)
    return np.asarray(np.minimum(place, probabilities.shape[1] - 1))
