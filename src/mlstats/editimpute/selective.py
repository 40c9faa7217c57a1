"""Selective editing: what an error in a record would do, and which records to review.

A local score is the expected effect of an error on the total of a variable, weight
times distance from the anticipated value over a standardising factor; the local scores
of a record are combined to a global one. Which records are reviewed is decided in
:mod:`mlstats.editimpute.cut`; :func:`impact_table` judges rankings by the truth.

References
----------
M. Latouche and J.-M. Berthelot, "Use of a score function to prioritize and limit
recontacts in editing business surveys", Journal of Official Statistics 8 (1992),
389-400. Office for National Statistics, "Selective editing", Statistical Method
Specifications (OGL v3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, ContractError, nearest

__all__ = [
    "expected_errors",
    "global_score",
    "impact_table",
]

Floats = npt.NDArray[np.float64]
Combination = Literal["max", "mean", "weighted_mean", "minkowski", "sum"]
COMBINATIONS = ("max", "mean", "weighted_mean", "minkowski", "sum")


def expected_errors(
    reported: pd.DataFrame,
    anticipated: pd.DataFrame,
    *,
    weight: pd.Series | npt.ArrayLike,
    standard: Mapping[str, float] | pd.DataFrame | None = None,
    probability: pd.DataFrame | pd.Series | None = None,
    factor: float = 1.0,
) -> pd.DataFrame:
    """Return the expected weighted error of every value; its size is the local score.

    ``factor * w * (reported - anticipated) * p / standard``. A value that was not
    reported has no error (0); one without an anticipated value cannot be scored (NaN).

    Parameters
    ----------
    reported, anticipated : DataFrame, shape (n, variables)
        The same columns; the rows stand in the same order.
    weight : Series or array, shape (n,)
        Survey weights, not negative.
    standard : mapping or DataFrame, optional
        Standardising factor of each variable, or of each value (by domain); the
        weighted sum of the anticipated values where left out, as in SeleMix.
    probability : DataFrame or Series, optional
        Probability that the value, or something in the record, is wrong: 1 if left out.
    factor : float, default=1
        100 for the score of the Office for National Statistics.

    Raises
    ------
    ConfigError
        Where a variable has no anticipated value or standardising factor.
    ContractError
        Where weights are negative, factors not above zero, values not finite.

    Examples
    --------
    >>> expected_errors(
    ...     pd.DataFrame({"turnover": [658.0]}),
    ...     pd.DataFrame({"turnover": [607.0]}),
    ...     weight=[20],
    ...     standard={"turnover": 800_000},
    ...     factor=100,
    ... ).round(4).to_numpy().tolist()
    [[0.1275]]
    """
    names = list(reported.columns)
    _check_columns(names, anticipated, "anticipated values")
    _check_rows(len(reported), {"anticipated values": len(anticipated)})
    w = _weights(weight, len(reported))
    y = _matrix(reported, names, "reported values")
    base = _matrix(anticipated, names, "anticipated values")
    chance = _probability(probability, names, len(reported))
    divisor = _standard(standard, names, base, w)
    errors = np.where(np.isnan(y), 0.0, factor * w[:, None] * (y - base) * chance)
    return pd.DataFrame(errors / divisor, reported.index, names)


def global_score(
    errors: pd.DataFrame,
    how: Combination = "max",
    *,
    importance: Mapping[str, float] | None = None,
    power: float = 2.0,
) -> pd.Series:
    """Combine the local scores of each record.

    Parameters
    ----------
    errors : DataFrame, shape (n, variables)
        Of :func:`expected_errors`; their size counts.
    how : {"max", "mean", "weighted_mean", "minkowski", "sum"}
        ``weighted_mean`` by `importance`, which is divided by its sum;
        ``minkowski``: ``(sum of score ** power) ** (1 / power)``.
    importance : mapping, optional
        Variable -> importance, for ``weighted_mean`` alone.
    power : float
        1 or more, for ``minkowski`` alone.

    Returns
    -------
    Series
        NaN where a variable of the record has no score.
    """
    if how not in COMBINATIONS:
        raise ConfigError(
            f"Scores cannot be combined by {how!r}",
            expected=", ".join(COMBINATIONS),
            nearest=nearest(str(how), COMBINATIONS),
        )
    if not len(errors.columns):
        raise ConfigError("There is no variable to score")
    local = np.abs(errors.to_numpy(dtype=float))
    if how == "weighted_mean":
        share = _importance(importance, list(errors.columns))
        score = local @ share
    elif how == "minkowski":
        if not 1 <= power < np.inf:
            raise ConfigError(f"The power is {power}", expected="1 or more, finite")
        # Divided by the largest, so that high powers stay finite.
        top = local.max(axis=1)
        size = np.where(top > 0, top, 1.0)[:, None]
        score = ((local / size) ** power).sum(axis=1) ** (1 / power) * size[:, 0]
    else:
        score = getattr(local, how)(axis=1)
    return pd.Series(score, errors.index, name="score")


def impact_table(
    truth: npt.ArrayLike,
    reported: npt.ArrayLike,
    weights: npt.ArrayLike,
    scores: Mapping[str, npt.ArrayLike],
    shares: Sequence[float] = (0.01, 0.02, 0.05, 0.10),
) -> pd.DataFrame:
    """Compare rankings by the error that they remove and by the errors that they find.

    The two differ: many small errors are easily found and do not matter. With many
    shares the table is the curve of the impact.

    Parameters
    ----------
    truth, reported : array, shape (n,) or (n, variables)
        A reported value that is missing has no error. With several variables each
        error counts as a share of its variable's weighted total.
    weights : array, shape (n,)
        Survey weights, not negative.
    scores : mapping
        Name -> score of each record, shape (n,); the largest is reviewed first. Equal
        scores count as in a random order, on average.
    shares : sequence of float
        Shares of the records that are reviewed, above 0 up to 1; rounded to records.

    Returns
    -------
    DataFrame
        ranking, share, impact_removed (share of the sum of ``w * |error|``), hit_rate
        (share of the reviewed records with an error), auc, average_precision; NaN
        where there is no error, or (auc) nothing but errors.

    Examples
    --------
    >>> scores = {"size": [1, 9, 1, 2]}
    >>> found = impact_table([1, 1, 1, 1], [1, 9, 1, 2], [1] * 4, scores, [0.25])
    >>> found[["impact_removed", "hit_rate", "auc"]].round(3).iloc[0].tolist()
    [0.889, 1.0, 1.0]
    """
    impact, wrong = _impact(truth, reported, weights)
    n = len(impact)
    if n == 0:
        raise ContractError("There is no record to rank")
    bad = [s for s in shares if not 0 < s <= 1]
    if bad:
        raise ConfigError(f"A share reviewed is {bad[0]}", expected="above 0 up to 1")
    rows = []
    for name, given in scores.items():
        score = np.asarray(given, dtype=float)
        _check_rows(n, {f"scores of {name!r}": len(score)})
        if np.isnan(score).any():
            raise ContractError(
                f"{int(np.isnan(score).sum())} scores of {name!r} are missing",
                hint="decide what is done with records that cannot be scored",
            )
        k = [max(1.0, float(round(s * n))) for s in shares]
        removed, hits = (_removed(score, a, k) for a in (impact, wrong.astype(float)))
        total = impact.sum()
        auc, precision = _separation(wrong, score)
        rows += [
            (name, s, r / total if total > 0 else np.nan, h / m, auc, precision)
            for s, r, h, m in zip(shares, removed, hits, k, strict=True)
        ]
    columns = ["ranking", "share", "impact_removed", "hit_rate"]
    return pd.DataFrame(rows, columns=[*columns, "auc", "average_precision"])


def _impact(
    truth: npt.ArrayLike, reported: npt.ArrayLike, weights: npt.ArrayLike
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    true, y = np.asarray(truth, dtype=float), np.asarray(reported, dtype=float)
    if true.shape != y.shape or true.ndim not in (1, 2):
        raise ContractError(
            f"True values have the shape {true.shape}, reported ones {y.shape}"
        )
    w = _weights(weights, len(true))
    if not np.isfinite(true).all() or np.isinf(y).any():
        raise ContractError(
            "True values are missing, or values infinite",
            hint="what was not reviewed is not correct: leave these records out",
        )
    gap = np.where(np.isnan(y), 0.0, np.abs(y - true))
    wrong = np.asarray((gap > 0).reshape(len(gap), -1).any(axis=1))
    if gap.ndim == 1:
        return w * gap, wrong
    size = w @ np.abs(true)
    share = np.divide(gap, size, out=np.zeros_like(gap), where=size > 0)
    return w * share.sum(axis=1), wrong


def _removed(
    score: Floats, amount: npt.NDArray[np.floating], reviewed: list[float]
) -> Floats:
    """Return what lies in the first records, a share of each run of equal scores."""
    _, run = np.unique(-score, return_inverse=True)
    ends = np.concatenate([[0.0], np.bincount(run).cumsum()])
    sums = np.concatenate([[0.0], np.bincount(run, amount).cumsum()])
    return np.asarray(np.interp(reviewed, ends, sums))


def _separation(wrong: npt.NDArray[np.bool_], score: Floats) -> tuple[float, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not wrong.any():
        return np.nan, np.nan
    finite = np.clip(score, *np.finfo(float).max * np.array([-1, 1]))
    precision = float(average_precision_score(wrong, finite))
    return np.nan if wrong.all() else float(roc_auc_score(wrong, finite)), precision


def _weights(weight: npt.ArrayLike, n: int) -> Floats:
    w = np.asarray(weight, dtype=float)
    _check_rows(n, {"weights": w.size})
    if not (np.isfinite(w) & (w >= 0)).all():
        raise ContractError(
            "Weights are missing or negative", expected="finite numbers, 0 or more"
        )
    return w.reshape(n)


def _matrix(frame: pd.DataFrame, names: list[str], what: str) -> Floats:
    try:
        values = frame[names].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ContractError(f"The {what} are not all numbers") from error
    if np.isinf(values).any():
        raise ContractError(f"{int(np.isinf(values).sum())} {what} are infinite")
    return values


def _probability(
    probability: pd.DataFrame | pd.Series | None, names: list[str], n: int
) -> Floats:
    if probability is None:
        return np.ones((n, len(names)))
    if isinstance(probability, pd.DataFrame):
        _check_columns(names, probability, "probabilities")
        chance = probability[names].to_numpy(dtype=float)
    else:
        chance = np.tile(probability.to_numpy(dtype=float)[:, None], len(names))
    _check_rows(n, {"probabilities": len(chance)})
    if not ((chance >= 0) & (chance <= 1)).all():
        raise ContractError("Probabilities are missing or outside 0 to 1")
    return chance


def _standard(
    standard: Mapping[str, float] | pd.DataFrame | None,
    names: list[str],
    base: Floats,
    w: Floats,
) -> Floats:
    divisor: Floats
    if standard is None:
        divisor = np.abs(np.nansum(w[:, None] * base, axis=0))[None, :]
    elif isinstance(standard, pd.DataFrame):
        _check_columns(names, standard, "standardising factors")
        _check_rows(len(base), {"standardising factors": len(standard)})
        divisor = standard[names].to_numpy(dtype=float)
    else:
        _check_columns(names, standard, "standardising factors")
        divisor = np.array([[float(standard[name]) for name in names]])
    if len(base) and not (np.isfinite(divisor) & (divisor > 0)).all():
        raise ContractError(
            "Standardising factors are missing, zero or negative",
            expected="numbers above zero",
            hint="give the totals of the variables, or of their domains",
        )
    return divisor


def _importance(importance: Mapping[str, float] | None, names: list[str]) -> Floats:
    if importance is None:
        raise ConfigError("A weighted mean of scores needs the importance of variables")
    _check_columns(names, importance, "importance")
    share: Floats = np.array([float(importance[name]) for name in names])
    if not (np.isfinite(share) & (share >= 0)).all() or not share.sum() > 0:
        raise ConfigError(
            "The importance of variables is missing or negative",
            expected="numbers of 0 or more, not all zero",
        )
    return np.asarray(share / share.sum())


def _check_columns(
    names: list[str], given: pd.DataFrame | Mapping[str, float], what: str
) -> None:
    known = [str(name) for name in given]
    for name in names:
        if name not in given:
            raise ConfigError(
                f"The variable {name!r} is not among the {what}",
                nearest=nearest(str(name), known),
            )


def _check_rows(n: int, given: Mapping[str, int]) -> None:
    for what, count in given.items():
        if count != n:
            raise ContractError(f"There are {n} records, {count} {what}")
