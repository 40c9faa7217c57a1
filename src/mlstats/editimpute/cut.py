"""The cut of selective editing: records above it are reviewed, below it are audited.

Records are reviewed from the largest global score downwards, until what is expected to
remain in the others is small enough. What really remains is estimated from a random
sample below the cut: not reviewed is not correct.

References
----------
M. Di Zio and U. Guarnera, "A contamination model for selective editing", Journal of
Official Statistics 29 (2013), 539-555, section 4 (the stopping rule).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.selective import Combination, global_score
from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["Selection", "select_units"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Selection:
    """Which records are reviewed, and why.

    Attributes
    ----------
    table : DataFrame
        A row per record, in the order of the input: unit (its label), ``score_V`` for
        each variable V (the local score), score (the global one), rank (1 is reviewed
        first; NaN without a score), selected, reason.
    residual : DataFrame
        A row per variable: variable, limit, before and after: the expected error of
        all records and of those that are not selected, in units of the standardising
        factor.
    """

    table: pd.DataFrame
    residual: pd.DataFrame


def select_units(
    errors: pd.DataFrame,
    *,
    how: Combination = "max",
    importance: Mapping[str, float] | None = None,
    power: float = 2.0,
    limit: float | Mapping[str, float] | None = None,
    threshold: float | pd.Series | None = None,
    most: int | None = None,
    rule: Literal["absolute", "signed"] = "absolute",
) -> Selection:
    """Select records for review by one of three rules.

    - `limit`: from the smallest global score upwards the expected errors of each
      variable are added up; what lies above the last place at which every sum is below
      its limit, as at all places before, is selected. Equal scores are never parted.
    - `threshold`: records with a global score at or above it.
    - `most`: so many records, those with the largest scores (equal scores in the order
      of the records).

    A record that cannot be scored is selected: nothing shows that it is harmless.

    Parameters
    ----------
    errors : DataFrame, shape (n, variables)
        Of :func:`expected_errors`.
    how, importance, power
        As in :func:`global_score`.
    limit : float or mapping, optional
        Largest expected error that may remain in each variable, in units of the
        standardising factor (times `factor`).
    threshold : float or Series, optional
        One for all, or one for each record (by domain).
    most : int, optional
        Records that can be reviewed, those without a score included.
    rule : {"absolute", "signed"}
        Whether errors of opposite sign may cancel out: ``signed`` is the expected bias
        if anticipated values are expectations, ``absolute`` an upper bound to it.
    """
    given = [x is not None for x in (limit, threshold, most)]
    if sum(given) != 1:
        raise ConfigError(
            "There must be one rule of selection", expected="limit, threshold or most"
        )
    if rule not in ("absolute", "signed"):
        raise ConfigError(f"rule is {rule!r}", expected="absolute or signed")
    score = global_score(errors, how, importance=importance, power=power).to_numpy()
    limits = _limits(limit, list(errors.columns))
    if limit is not None:
        selected, told = _by_limit(errors, score, limits, rule), "the remaining error"
    elif threshold is not None:
        cut = _thresholds(threshold, len(score))
        selected, told = np.isnan(score) | (score >= cut), "the threshold"
    else:
        selected, told = _by_capacity(score, int(most or 0)), "the capacity"
    table = _table(errors, score, selected, told)
    return Selection(table, _residual(errors, selected, limits, rule))


def _limits(
    limit: float | Mapping[str, float] | None, names: list[str]
) -> dict[str, float]:
    if limit is None:
        return dict.fromkeys(names, np.nan)
    if not isinstance(limit, Mapping):
        limit = dict.fromkeys(names, float(limit))
    for name in names:
        if name not in limit:
            raise ConfigError(
                f"The variable {name!r} has no limit of the remaining error",
                nearest=nearest(str(name), map(str, limit)),
            )
    if not all(float(limit[name]) > 0 for name in names):
        raise ConfigError("A limit of the remaining error is not above zero")
    return {name: float(limit[name]) for name in names}


def _by_limit(
    errors: pd.DataFrame, score: Floats, limits: dict[str, float], rule: str
) -> Bools:
    known = np.flatnonzero(~np.isnan(score))
    order = known[np.argsort(score[known], kind="stable")]
    values = errors.to_numpy(dtype=float)[order]
    sums = np.abs((np.abs(values) if rule == "absolute" else values).cumsum(axis=0))
    ends = np.flatnonzero(np.diff(score[order], append=np.inf) > 0)
    holds = (sums[ends] < np.array(list(limits.values()))).all(axis=1)
    passed = int(np.logical_and.accumulate(holds).sum())
    selected = np.ones(len(score), dtype=bool)
    if passed:
        selected[order[: ends[passed - 1] + 1]] = False
    return selected


def _by_capacity(score: Floats, most: int) -> Bools:
    if most < 0:
        raise ConfigError(f"most is {most}", expected="0 or more")
    first = np.where(np.isnan(score), np.inf, score)
    selected = np.zeros(len(score), dtype=bool)
    selected[np.argsort(-first, kind="stable")[:most]] = True
    return selected


def _thresholds(threshold: float | pd.Series, n: int) -> Floats:
    cut = np.asarray(threshold, dtype=float)
    if cut.ndim and len(cut) != n:
        raise ContractError(f"There are {n} records, {len(cut)} thresholds")
    if not (cut > 0).all():
        raise ConfigError("A threshold of the score is not above zero")
    return np.broadcast_to(cut, (n,))


def _table(
    errors: pd.DataFrame, score: Floats, selected: Bools, told: str
) -> pd.DataFrame:
    names = list(errors.columns)
    local = np.abs(errors.to_numpy(dtype=float))
    table = pd.DataFrame(local, columns=[f"score_{name}" for name in names])
    table.insert(0, "unit", errors.index)
    table["score"] = score
    rank = pd.Series(score).rank(ascending=False, method="first")
    table["rank"] = rank.to_numpy()
    table["selected"] = selected
    unscored = np.isnan(local)
    labels = np.array([str(name) for name in names], dtype=object)
    top = labels[np.where(unscored, -1.0, local).argmax(axis=1)]
    gap = labels[unscored.argmax(axis=1)]
    table["reason"] = [
        f"no score: no anticipated value of {g}"
        if np.isnan(s)
        else (f"above the cut by {told}: most by {t}" if c else "below the cut")
        for s, c, t, g in zip(score, selected, top, gap, strict=True)
    ]
    return table


def _residual(
    errors: pd.DataFrame, selected: Bools, limits: dict[str, float], rule: str
) -> pd.DataFrame:
    values = errors.to_numpy(dtype=float)
    sized = np.abs(values) if rule == "absolute" else values
    return pd.DataFrame(
        {
            "variable": list(errors.columns),
            "limit": list(limits.values()),
            "before": np.abs(np.nansum(sized, axis=0)),
            "after": np.abs(np.nansum(sized[~selected], axis=0)),
        }
    )
