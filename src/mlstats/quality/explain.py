"""Which inputs a method leans on, and whether another fit would lean on the same.

Importance is measured on held-out units by shuffling a column, for any method that
predicts from a table; no method is asked to explain itself.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import stats

from mlstats.errors import ConfigError, MlstatsError, nearest
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, absent, t_estimate
from mlstats.quality.indicator import Indicator, exact

__all__ = [
    "METHOD_CLASSES",
    "method_class",
    "permutation_importance",
    "rank_stability",
]

Predict = Callable[[pd.DataFrame], np.ndarray]

LEAST_REPEATS: Final = 10

# From the class that a person can follow by hand to the one that nobody can.
METHOD_CLASSES: Final = ("rule", "linear", "additive", "tree", "ensemble", "opaque")
_CLASS_OF: Final[Mapping[str, str]] = {
    "ExactIndex": "rule",
    "DummyClassifier": "rule",
    # A donor is the reason: a person sees which record gave the value.
    "NearestDonor": "rule",
    "HotDeck": "rule",
    "PreviousMap": "rule",
    "PixelCount": "rule",
    "ArealWeighting": "rule",
    "Dasymetric": "rule",
    "SegmentEstimator": "linear",
    "SmallAreas": "linear",
    "MaximumLikelihood": "additive",
    "EstimatorImputer": "linear",
    "MultinomialImputer": "linear",
    "ChainedImputer": "ensemble",
    "WeightedIndex": "additive",
    "FastText": "additive",
    "LinearText": "linear",
    "LogisticRegression": "linear",
    "LogisticRegressionCV": "linear",
    "LinearRegression": "linear",
    "LinearSVC": "linear",
    "LinearDiscriminantAnalysis": "linear",
    "Perceptron": "linear",
    "PassiveAggressiveClassifier": "linear",
    "Ridge": "linear",
    "RidgeClassifier": "linear",
    "SGDClassifier": "linear",
    "MultinomialNB": "additive",
    "ComplementNB": "additive",
    "BernoulliNB": "additive",
    "GaussianNB": "additive",
    "DecisionTreeClassifier": "tree",
    "DecisionTreeRegressor": "tree",
    "AdaBoostClassifier": "ensemble",
    "BaggingClassifier": "ensemble",
    "ExtraTreesClassifier": "ensemble",
    "ExtraTreesRegressor": "ensemble",
    "GradientBoostingClassifier": "ensemble",
    "GradientBoostingRegressor": "ensemble",
    "HistGradientBoostingClassifier": "ensemble",
    "HistGradientBoostingRegressor": "ensemble",
    "RandomForestClassifier": "ensemble",
    "RandomForestRegressor": "ensemble",
    "StackingClassifier": "ensemble",
    "VotingClassifier": "ensemble",
    "KNeighborsClassifier": "opaque",
    "MLPClassifier": "opaque",
    "MLPRegressor": "opaque",
    "SVC": "opaque",
}


def permutation_importance(
    predict: Predict,
    X: pd.DataFrame,
    truth: np.ndarray,
    design: Design,
    *,
    columns: Sequence[str] | None = None,
    repeats: int = LEAST_REPEATS,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure what each column adds to the accuracy on held-out units.

    The importance of a column is the weighted accuracy minus the mean of the weighted
    accuracies after the column was shuffled (Breiman 2001, Machine Learning 45, 5-32,
    section 10, on held-out units instead of out-of-bag ones). A column's shuffles
    depend on the seed and its own name only, so that further columns change nothing.

    Parameters
    ----------
    predict : callable
        ``predict(X)`` returns a code per row; it is called ``repeats`` times a column
        and once more.
    X : pandas.DataFrame, shape (n, columns)
        Held-out units.
    truth : numpy.ndarray of object, shape (n,)
        Codes.
    design : Design
        Of the same units.
    columns : sequence of str, optional
        The columns to shuffle; all of them by default.
    repeats : int
        At least 10.
    seed : int
        Of the shuffles.

    Returns
    -------
    pandas.DataFrame
        A row per column, most important first: column, importance, sd (over the
        repeats), se and df (over the sample, given the shuffles), lower, upper,
        repeats, n, status, note.

    Raises
    ------
    ConfigError
        For fewer than 10 repeats, or a column that is not there.
    """
    names = list(X.columns) if columns is None else list(columns)
    _check(names, X, repeats)
    right = (np.asarray(predict(X), dtype=object) == truth).astype(float)
    rows = []
    for name in names:
        shuffled = _shuffled_accuracy(predict, X, truth, name, repeats, seed)
        drops = right[:, None] - shuffled
        found = design.mean(drops.mean(axis=1))
        each = design.weight @ drops / max(float(design.weight.sum()), 1e-300)
        sd = float(each.std(ddof=1)) if found.status == "measured" else math.nan
        rows.append(_importance_row(name, found, sd, repeats))
    table = pd.DataFrame(rows)
    return table.sort_values(
        ["importance", "column"], ascending=[False, True], ignore_index=True
    )


def _check(names: Sequence[str], X: pd.DataFrame, repeats: int) -> None:
    if repeats < LEAST_REPEATS:
        raise ConfigError(
            f"{repeats} repeats are too few for the spread of an importance",
            expected=f"at least {LEAST_REPEATS}",
        )
    for name in names:
        if name not in X:
            raise ConfigError(
                f"There is no column {name!r} to shuffle",
                nearest=nearest(name, map(str, X.columns)),
            )


def _shuffled_accuracy(
    predict: Predict,
    X: pd.DataFrame,
    truth: np.ndarray,
    name: str,
    repeats: int,
    seed: int,
) -> np.ndarray:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode("utf-8"))])
    right = np.empty((len(X), repeats))
    values = X[name].array
    for repeat in range(repeats):
        order = rng.permutation(len(X))
        changed = X.assign(**{name: values[order]})
        right[:, repeat] = np.asarray(predict(changed), dtype=object) == truth
    return right


def _importance_row(
    name: str, found: Estimate, sd: float, repeats: int
) -> dict[str, Any]:
    return {
        "column": name,
        "importance": found.value,
        "sd": sd,
        "se": found.se,
        "df": found.df,
        "lower": found.lower,
        "upper": found.upper,
        "repeats": repeats,
        "n": found.n,
        "status": found.status,
        "note": found.note,
    }


# -- stability ---------------------------------------------------------------------


def rank_stability(importances: pd.DataFrame, *, top: int = 5) -> list[Indicator]:
    """Tell whether fits with other seeds or folds rank the columns alike.

    The mean over all pairs of fits of Spearman's rank correlation and of the Jaccard
    index of the `top` most important columns. The interval is that of the delete-one
    jackknife over fits (Arvesen 1969, Annals of Mathematical Statistics 40,
    2076-2100, for U-statistics of two arguments).

    Parameters
    ----------
    importances : pandas.DataFrame, shape (columns of X, fits)
        An importance per column of the data (index) and fit; at least 3 fits.
    top : int
        Size of the compared sets, at most the number of columns minus one.

    Returns
    -------
    list of Indicator
        ``rank_stability`` (Spearman) and ``top_columns_shared`` (Jaccard).
    """
    names = ("rank_stability", "top_columns_shared")
    n_columns, fits = importances.shape
    values = importances.to_numpy(dtype=float)
    missing = _no_ranks(values)
    if missing is not None:
        return [Indicator("explainability", name, missing) for name in names]
    size = max(1, min(top, n_columns - 1))
    order = np.argsort(-values, axis=0, kind="stable")[:size]
    sets = [frozenset(column) for column in order.T.tolist()]
    ranks = np.apply_along_axis(stats.rankdata, 0, values)
    pairs = list(combinations(range(fits), 2))
    # Rounded, so that equal ranks give 1 and not a spread of last digits.
    spearman = [round(np.corrcoef(ranks[:, [a, b]].T)[0, 1], 12) for a, b in pairs]
    jaccard = [len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in pairs]
    notes = (
        f"mean of Spearman's correlation over pairs of {fits} fits",
        f"mean Jaccard index of the first {size} columns over pairs of {fits} fits",
    )
    return [
        Indicator("explainability", name, _jackknifed(pairs, np.array(found), fits, n))
        for name, found, n in zip(names, (spearman, jaccard), notes, strict=True)
    ]


def _no_ranks(values: np.ndarray) -> Estimate | None:
    n_columns, fits = values.shape
    if n_columns < 2:
        return absent("not_applicable", "a single column has no rank", fits)
    if fits < 3:
        return absent("not_measured", f"{fits} fits: their spread needs 3", fits)
    if not np.isfinite(values).all():
        return absent("not_measured", "an importance is missing", fits)
    if (np.ptp(values, axis=0) == 0).any():
        note = "in one fit all columns are equally important"
        return absent("not_applicable", note, fits)
    return None


def _jackknifed(
    pairs: Sequence[tuple[int, int]], values: np.ndarray, fits: int, note: str
) -> Estimate:
    kept = [np.array([fit not in pair for pair in pairs]) for fit in range(fits)]
    left_out = np.array([values[mask].mean() for mask in kept])
    se = math.sqrt((fits - 1) / fits * float(((left_out - left_out.mean()) ** 2).sum()))
    return t_estimate(float(values.mean()), se, fits - 1, n=fits, note=note)


# -- class of a method -------------------------------------------------------------


def method_class(method: object) -> Indicator:
    """Tell how far a person can follow the method: rule, linear, ..., opaque.

    An attribute ``method_class`` of the method wins; else the name of its class, or
    of the last step of a pipeline, is looked up. The value is the rank in
    :data:`METHOD_CLASSES`, 1 for a rule, and the note its name.

    Raises
    ------
    MlstatsError
        Where the attribute names no class.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> method_class(LogisticRegression()).estimate.note
    'linear'
    """
    told = getattr(method, "method_class", None)
    if told is not None and told not in METHOD_CLASSES:
        raise MlstatsError(
            f"{type(method).__name__} tells an unknown class",
            where="method_class",
            expected=", ".join(METHOD_CLASSES),
        )
    found = told or _CLASS_OF.get(type(_innermost(method)).__name__)
    if found is None:
        note = f"the class of {type(method).__name__} is not known"
        return Indicator("explainability", "method_class", absent("not_measured", note))
    rank = float(METHOD_CLASSES.index(found) + 1)
    return Indicator("explainability", "method_class", exact(rank, note=found))


def _innermost(method: object) -> object:
    """Return what does the deciding inside pipelines and wrappers."""
    for _ in range(8):  # a wrapper that holds itself is not followed for ever
        steps = getattr(method, "steps", None)
        if steps and type(method).__name__ not in _CLASS_OF:
            method = steps[-1][1]
            continue
        inner = next(
            (
                held
                for name in ("classifier", "estimator", "base_estimator")
                if hasattr(held := getattr(method, name, None), "fit")
                and type(method).__name__ not in _CLASS_OF
            ),
            None,
        )
        if inner is None:
            return method
        method = inner
    return method
