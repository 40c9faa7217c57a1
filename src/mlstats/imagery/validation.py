"""Accuracy of classifiers three ways: at random, by blocks of land, seasons left out.

Folds at random tell how well the labels of the same fields are recovered, blocked folds
how well land between the training areas is mapped, seasons left out how well a year
without training data is. The three are printed together, for the same folds of every
method, and what a training fold could not teach is said.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from mlstats.errors import ConfigError, ContractError, MethodError
from mlstats.imagery.variance_components import Floats

__all__ = ["SCHEMES", "validate_classifiers"]

SCHEMES: Final = ("random", "blocked", "season")

Labels = npt.NDArray[Any]
Fold = tuple[str, npt.NDArray[np.bool_]]


def validate_classifiers(
    methods: Mapping[str, Any],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    blocks: npt.ArrayLike,
    seasons: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict every unit out of fold, with every method, under every scheme.

    Parameters
    ----------
    methods : mapping of str to classifier of scikit-learn
        Cloned for every fold.
    X : array_like of shape (units, features)
    y : array_like of shape (units,)
        Classes, read as text.
    blocks : array_like of shape (units,)
        Block of land of each unit, see
        :func:`~mlstats.imagery.blocks_and_seasons.spatial_blocks`.
    seasons : array_like of shape (units,), optional
        Season of each unit; each is left out once.
    clusters : array_like of shape (units,), optional
        Polygon, segment or field of each unit. One that lies in two blocks joins them:
        it is never on both sides of a fold.
    folds, seed : int
        Number of the random and blocked folds, and their seed.

    Returns
    -------
    pandas.DataFrame
        A row per scheme, method and unit: unit (row of X), scheme (random, blocked,
        season), fold, cluster (what the interval's clusters are: joined blocks, or
        seasons), method, truth, prediction (missing where the training fold had a
        single class), confidence (largest probability; missing where the method has
        none) and learnt (whether the true class was in the training fold). Why a
        scheme has no rows is in ``attrs["not_measured"]``.

    Raises
    ------
    ConfigError
        No method, fewer than two folds.
    ContractError
        Columns of different lengths, features or labels that are missing, a single
        class.
    MethodError
        A classifier failed; the message names it, the scheme and the fold.
    """
    if not methods or folds < 2:
        raise ConfigError(
            "nothing can be validated", expected="a method and two folds or more"
        )
    values, truth = _checked(X, y)
    groups = _joined(_labels(blocks, len(truth)), clusters)
    plan, absent = _plan(truth, groups, seasons, folds, seed)
    parts = []
    for scheme, (cluster, splits) in plan.items():
        for fold, test in splits:
            where = f"scheme {scheme}, fold {fold}"
            rows = _Split(values, truth, test)
            for name, estimator in methods.items():
                part = rows.predicted(estimator, f"{name}, {where}")
                parts.append(
                    part.assign(
                        scheme=scheme, fold=fold, cluster=cluster[test], method=name
                    )
                )
    columns = [
        "unit", "scheme", "fold", "cluster", "method", "truth", "prediction",
        "confidence", "learnt",
    ]  # fmt: skip
    table = pd.concat(parts, ignore_index=True)[columns] if parts else None
    if table is None:
        raise ContractError(
            "no scheme can be measured", where="; ".join(absent.values())
        )
    table.attrs["not_measured"] = absent
    return table


@dataclass(frozen=True, eq=False)
class _Split:
    """One fold: all units, and which of them are tested."""

    values: Floats
    truth: Labels
    test: npt.NDArray[np.bool_]

    def predicted(self, estimator: Any, where: str) -> pd.DataFrame:
        from sklearn.base import clone

        truth = self.truth[self.test]
        learnt = np.unique(self.truth[~self.test])
        found = pd.DataFrame(
            {
                "unit": np.flatnonzero(self.test),
                "truth": truth,
                "prediction": pd.array([None] * len(truth), dtype="str"),
                "confidence": np.nan,
                "learnt": np.isin(truth, learnt),
            }
        )
        if len(learnt) < 2:
            return found
        try:
            fitted = clone(estimator).fit(self.values[~self.test], self._training())
            codes = np.asarray(fitted.predict(self.values[self.test]))
            if hasattr(fitted, "predict_proba"):
                probabilities = fitted.predict_proba(self.values[self.test])
                found["confidence"] = np.asarray(probabilities).max(axis=1)
        except (ValueError, TypeError, AttributeError, np.linalg.LinAlgError) as error:
            raise MethodError("A classifier failed", where=where) from error
        found["prediction"] = codes.astype(str)
        return found

    def _training(self) -> Labels:
        return np.asarray(self.truth[~self.test])


def _checked(X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Labels]:
    values = np.asarray(X, dtype=float)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ContractError(
            "features are missing or not finite",
            expected="a table of numbers; leave out pixels that are not valid",
        )
    truth = _labels(y, len(values))
    if len(np.unique(truth)) < 2:
        raise ContractError("the labels have a single class")
    return values, truth


def _labels(given: npt.ArrayLike | pd.Series, n: int) -> Labels:
    """Return labels as texts; arrays of Arrow texts are no use to scikit-learn."""
    labels = np.asarray(given, dtype=object)
    if labels.shape != (n,) or pd.isna(labels).any():
        raise ContractError(
            f"labels of shape {labels.shape} do not fit {n} units, or are missing",
            expected="one label for each unit: class, block, season, cluster",
        )
    return labels.astype(str)


def _joined(blocks: Labels, clusters: npt.ArrayLike | None) -> Labels:
    """Return the groups of blocks that share a polygon."""
    if clusters is None:
        return blocks
    block, names = pd.factorize(blocks)
    cluster, others = pd.factorize(_labels(clusters, len(blocks)))
    shape = (len(names), len(others))
    touch = sparse.csr_array((np.ones(len(block)), (block, cluster)), shape=shape)
    _, component = sparse.csgraph.connected_components(touch @ touch.T, directed=False)
    first = pd.Series(names).groupby(component).first()
    return np.asarray(first.to_numpy(object)[component][block].astype(str))


def _plan(
    truth: Labels,
    groups: Labels,
    seasons: npt.ArrayLike | None,
    folds: int,
    seed: int,
) -> tuple[dict[str, tuple[Labels, list[Fold]]], dict[str, str]]:
    """Return the folds of every scheme, and why a scheme has none."""
    plan: dict[str, tuple[Labels, list[Fold]]] = {}
    absent = {}
    largest = int(np.unique(truth, return_counts=True)[1].max())
    if largest < 2:
        absent["random"] = "every class has one unit"
    else:
        plan["random"] = (groups, list(_random(truth, min(folds, largest), seed)))
    count = len(np.unique(groups))
    if count < 2 or largest < 2:
        absent["blocked"] = "the units lie in one block, joined blocks counted as one"
    else:
        plan["blocked"] = (groups, list(_blocked(truth, groups, folds, seed)))
    if seasons is None:
        absent["season"] = "no seasons were given"
        return plan, absent
    labels = _labels(seasons, len(truth))
    if len(np.unique(labels)) < 2:
        absent["season"] = "the units are of one season"
    else:
        plan["season"] = (labels, [(s, labels == s) for s in np.unique(labels)])
    return plan, absent


def _random(truth: Labels, folds: int, seed: int) -> Iterator[Fold]:
    from sklearn.model_selection import StratifiedKFold

    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer units than folds is told by the column `learnt`.
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, test) in enumerate(split.split(truth, truth), 1):
            yield str(fold), _mask(test, len(truth))


def _blocked(truth: Labels, groups: Labels, folds: int, seed: int) -> Iterator[Fold]:
    from sklearn.model_selection import StratifiedGroupKFold

    largest = int(np.unique(truth, return_counts=True)[1].max())
    number = min(folds, len(np.unique(groups)), largest)
    split = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, test) in enumerate(split.split(truth, truth, groups), 1):
            if len(test):
                yield str(fold), _mask(test, len(truth))


def _mask(test: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(n, dtype=bool)
    mask[test] = True
    return mask
