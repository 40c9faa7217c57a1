"""Anticipated values: what would have been expected of a record instead of its value.

Traditional: medians, means and ratios of classes, the value of the period before.
Machine learning: boosting, cross-fitted, so that no record and no cluster predicts
itself. Reported values hold errors: what is fitted is a median, which a few of them
cannot move far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["FeatureCoder", "anticipate", "cross_predicted", "fold_of"]

Floats = npt.NDArray[np.float64]
WAYS = ("median", "mean", "ratio", "median_ratio", "previous")
# Histogram boosting takes 255 values of a category; the rarest share the last code.
MOST_CODES = 254
LEAST_FITTED = 20


def anticipate(
    frame: pd.DataFrame,
    variable: str,
    how: Literal["median", "mean", "ratio", "median_ratio", "previous"] = "median",
    *,
    by: Sequence[str] = (),
    auxiliary: str | None = None,
    weight: str | None = None,
    least: int = 5,
) -> pd.Series:
    """Return anticipated values of the traditional kind.

    ``median`` and ``mean`` of the class; ``ratio`` ``x sum(w y) / sum(w x)`` and
    ``median_ratio`` ``x median(y / x)`` over the class; ``previous``: `auxiliary`
    itself. Where one is missing, ``.fillna`` the next.

    Parameters
    ----------
    frame : DataFrame
        The records.
    variable : str
        Column of the reported values.
    by : sequence of str
        Columns of the classes. A class with fewer than `least` reported values is
        given the figure of all records: a record would anticipate itself.
    auxiliary : str, optional
        Column of the auxiliary variable (ratios), or of the previous value.
    weight : str, optional
        Column of weights, for ``mean`` and ``ratio``.

    Returns
    -------
    Series
        NaN where the auxiliary is missing or there is nothing to go by.

    Examples
    --------
    >>> frame = pd.DataFrame({"y": [2.0, 4, 60, 8], "x": [1.0, 2, 3, 4]})
    >>> anticipate(frame, "y", "median_ratio", auxiliary="x").tolist()
    [2.0, 4.0, 6.0, 8.0]
    """
    if how not in WAYS:
        raise ConfigError(
            f"There is no anticipated value {how!r}",
            expected=", ".join(WAYS),
            nearest=nearest(str(how), WAYS),
        )
    needs = how in ("ratio", "median_ratio", "previous")
    if needs != (auxiliary is not None):
        raise ConfigError(
            f"The anticipated value {how!r} {'needs' if needs else 'has no'} auxiliary"
        )
    y = _numbers(frame, variable)
    x = np.ones(len(frame)) if auxiliary is None else _numbers(frame, auxiliary)
    if how == "previous":
        return pd.Series(x, frame.index, name=variable)
    w = np.ones(len(frame)) if weight is None else _numbers(frame, weight)
    _known(frame, by)
    used = np.isfinite(y * x * w) & ((x != 0) | (how == "ratio"))
    code = np.zeros(len(frame), dtype=int)
    if by:
        code = frame.groupby(list(by), dropna=False).ngroup().to_numpy()
    whole = _slope(y[used], x[used], w[used], np.zeros(int(used.sum()), int), how)
    slopes = _slope(y[used], x[used], w[used], code[used], how)
    counts = pd.Series(code[used]).value_counts()
    slopes = slopes[counts.reindex(slopes.index) >= least]
    slope = slopes.reindex(code).fillna(whole.get(0, np.nan)).to_numpy()
    return pd.Series(x * slope, frame.index, name=variable)


def _slope(
    y: Floats, x: Floats, w: Floats, code: npt.NDArray[np.int64], how: str
) -> pd.Series:
    """Return the figure of each class: a median, or a quotient of weighted sums."""
    if how.startswith("median"):
        return pd.Series(y / x).groupby(code).median()
    sums = pd.DataFrame({"y": w * y, "x": w * x}).groupby(code).sum()
    return (sums["y"] / sums["x"]).where(sums["x"] != 0)


def cross_predicted(
    frame: pd.DataFrame,
    variable: str,
    predictors: Sequence[str],
    *,
    cluster: str | None = None,
    scale: Literal["log", "level"] = "log",
    folds: int = 5,
    trees: int = 150,
    leaves: int = 31,
    random_state: int = 0,
) -> pd.Series:
    """Return anticipated values of machine learning, out of fold.

    Histogram gradient boosting of the conditional median (absolute error); each record
    is predicted by a model that was fitted without it and its cluster.

    Parameters
    ----------
    frame : DataFrame
        The records. Where past edits are known, give the edited value in `variable`.
    variable : str
        Column to predict.
    predictors : sequence of str
        Columns to predict from; text and categories are taken as categories.
    cluster : str, optional
        Column of what must not predict itself (firm, household).
    scale : {"log", "level"}
        Of the model. ``log`` is fitted on values above zero.

    Raises
    ------
    ConfigError
        Where a column is not there, or `variable` among the predictors.
    ContractError
        Where fewer than 20 values can be fitted on, or a cluster is missing.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    if scale not in ("log", "level"):
        raise ConfigError(f"scale is {scale!r}", expected="log or level")
    if variable in predictors:
        raise ConfigError(f"{variable!r} is to be predicted from itself")
    y = _numbers(frame, variable)
    coder = FeatureCoder(frame, predictors)
    X, categorical = coder.numbers_of(frame), coder.categorical
    used = np.isfinite(y) & ((y > 0) | (scale == "level"))
    if used.sum() < LEAST_FITTED:
        raise ContractError(
            f"{int(used.sum())} values of {variable!r} can be fitted on",
            expected=f"{LEAST_FITTED} or more" + ", above zero" * (scale == "log"),
        )
    target = np.log(np.where(used, y, 1.0)) if scale == "log" else y
    fold = fold_of(frame, cluster, folds, random_state)
    found = np.empty(len(frame))
    for k in range(folds):
        model = HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=trees,
            max_leaf_nodes=leaves,
            learning_rate=0.08,
            categorical_features=categorical if categorical.any() else None,
            early_stopping=False,
            random_state=random_state,
        )
        rows, asked = used & (fold != k), fold == k
        found[asked] = model.fit(X[rows], target[rows]).predict(X[asked])
    values = np.exp(found) if scale == "log" else found
    return pd.Series(values, frame.index, name=variable)


class FeatureCoder:
    """Columns as numbers for boosting: text and categories become codes.

    Parameters
    ----------
    frame : DataFrame
        The records that the codes are made from. A value that is not among them counts
        as missing, the rarest share a code.
    names : sequence of str
        Columns; text and categories come first in the result.
    """

    def __init__(self, frame: pd.DataFrame, names: Sequence[str]) -> None:
        from sklearn.preprocessing import OrdinalEncoder

        if not names:
            raise ConfigError("There is no column to predict from")
        _known(frame, names)
        numeric = pd.api.types.is_numeric_dtype
        self.texts = [name for name in names if not numeric(frame[name])]
        self.numbers = [name for name in names if numeric(frame[name])]
        self.categorical = np.arange(len(names)) < len(self.texts)
        self._codes = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
            encoded_missing_value=np.nan,
            max_categories=MOST_CODES,
        )
        if self.texts:
            self._codes.fit(self._text(frame))

    def numbers_of(self, frame: pd.DataFrame) -> Floats:
        """Return the columns as numbers, shape (n, names)."""
        _known(frame, [*self.texts, *self.numbers])
        values = frame[self.numbers].to_numpy(dtype=float, na_value=np.nan)
        if not self.texts:
            return values
        return np.hstack([self._codes.transform(self._text(frame)), values])

    def _text(self, frame: pd.DataFrame) -> npt.NDArray[np.object_]:
        text = frame[self.texts].astype(object)
        return np.asarray(text.where(text.isna(), text.astype(str)).fillna(np.nan))


def fold_of(
    frame: pd.DataFrame, cluster: str | None, folds: int, random_state: int
) -> npt.NDArray[np.int64]:
    """Return the fold of each record, drawn; records of a cluster share it."""
    if cluster is not None:
        _known(frame, [cluster])
        if frame[cluster].isna().any():
            raise ContractError(f"The cluster {cluster!r} is missing in some records")
        unit = pd.factorize(frame[cluster], sort=True)[0]
    else:
        unit = np.arange(len(frame))
    count = int(unit.max(initial=-1)) + 1
    if not 2 <= folds <= count:
        raise ContractError(
            f"There are {count} {'clusters' if cluster else 'records'}, {folds} folds"
        )
    drawn = np.random.default_rng(random_state).permutation(count) % folds
    return np.asarray(drawn[unit], dtype=np.int64)


def _known(frame: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in frame.columns:
            raise ConfigError(
                f"The column {name!r} is not in the data",
                nearest=nearest(name, map(str, frame.columns)),
            )


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    _known(frame, [name])
    column = frame[name]
    values = np.array(
        pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    )
    bad = ~np.isfinite(values) & column.notna().to_numpy()
    if bad.any():
        raise ContractError(
            f"{int(bad.sum())} values of {name!r} are no finite numbers",
            where=f"first at row {int(np.flatnonzero(bad)[0]) + 1}",
        )
    return values
