"""Estimators tried in order: mean, ratio, regression, trends and previous value.

The definitions are those of Banff's estimator imputation (Statistics Canada, Banff
functional description, imputation by estimator): CURMEAN, CURRATIO, CURREG, DIFTREND,
AUXTREND and PREVALUE. The first that gives a value for a cell wins; a division by zero
or a negative result leaves the cell to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlstats.editimpute.donors import class_rows
from mlstats.editimpute.treatment import Imputer, Treatment, checked_mask, treatment
from mlstats.errors import ConfigError

if TYPE_CHECKING:
    from mlstats.editimpute.estimators_on_pool import EstimatorsOnPool
    from mlstats.editimpute.pool import FilledUp

__all__ = ["ESTIMATORS", "EstimatorImputer", "EstimatorStep"]

ESTIMATORS = {
    "mean": 0,
    "ratio": 1,
    "regression": None,
    "trend": 1,
    "auxiliary_trend": 3,
    "previous": 1,
}


@dataclass(frozen=True)
class EstimatorStep:
    """One estimator for one variable.

    Parameters
    ----------
    variable : str
        Variable to impute.
    estimator : str
        ``mean``; ``ratio`` ``ybar x / xbar`` and ``regression`` on `auxiliary`;
        ``trend`` ``y_h ybar / ybar_h``; ``auxiliary_trend`` ``y_h x / x_h``;
        ``previous`` ``y_h``.
    auxiliary : sequence of str
        ratio: x. regression: any number. trend, previous: y_h. auxiliary_trend: y_h,
        x, x_h.
    residual : bool
        Add the residual of a record drawn from those that the estimator rests on.
    weight : str, optional
        Column of weights for means, ratios and regressions.
    by : sequence of str
        Columns of the classes.
    with_imputed : bool
        Means and fits use values imputed by earlier steps.
    negative : bool
        Negative values are valid.
    min_records : int
        Records that the estimator must rest on.
    """

    variable: str
    estimator: str
    auxiliary: Sequence[str] = ()
    residual: bool = False
    weight: str | None = None
    by: Sequence[str] = ()
    with_imputed: bool = False
    negative: bool = False
    min_records: int = 1

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise ConfigError(
                f"There is no estimator {self.estimator!r}",
                expected=", ".join(ESTIMATORS),
            )
        needed = ESTIMATORS[self.estimator]
        if needed is None and not self.auxiliary:
            raise ConfigError("A regression needs an auxiliary variable")
        if needed is not None and len(self.auxiliary) != needed:
            raise ConfigError(
                f"The estimator {self.estimator!r} has {needed} auxiliary variables"
            )


class EstimatorImputer(Imputer):
    """Impute by estimators in order; see :class:`EstimatorStep`.

    Parameters
    ----------
    steps : sequence of EstimatorStep or mapping
        In the order of their use.
    """

    kind = "traditional"

    def __init__(self, steps: Sequence[EstimatorStep | dict[str, object]]) -> None:
        self.steps = [
            s if isinstance(s, EstimatorStep) else EstimatorStep(**s)  # type: ignore[arg-type]
            for s in steps
        ]

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values with the estimator of each cell."""
        named = [n for s in self.steps for n in (s.variable, *s.auxiliary)]
        named += [s.weight for s in self.steps if s.weight is not None]
        full = checked_mask(frame, mask, numeric=named, structural=structural)
        columns = list(dict.fromkeys([*named, *mask.columns]))
        data = {c: _numbers(frame[c]) for c in columns if c in named}
        for c in data:
            data[c][full[c].to_numpy()] = np.nan
        methods = np.full(full.shape, "", dtype=object)
        imputed = {c: np.zeros(len(frame), dtype=bool) for c in data}
        rng = np.random.default_rng(seed)
        for step in self.steps:
            asked = full[step.variable].to_numpy() & np.isnan(data[step.variable])
            value = np.full(len(frame), np.nan)
            for rows in class_rows(frame, step.by):
                if asked[rows].any():
                    value[rows] = _estimated(step, data, imputed, asked, rows, rng)
            got = asked & np.isfinite(value)
            got &= step.negative | (np.nan_to_num(value, nan=-1.0) >= 0)
            data[step.variable][got] = value[got]
            imputed[step.variable] |= got
            methods[got, frame.columns.get_loc(step.variable)] = step.estimator
        values = frame.copy()
        for name in {s.variable for s in self.steps}:
            if imputed[name].any():
                values[name] = np.where(
                    imputed[name], data[name], _numbers(frame[name])
                )
        reasons = np.full(full.shape, "no estimator gave a valid value", dtype=object)
        return treatment(
            frame, values, full, method=methods, done=methods != "", reasons=reasons
        )

    def fitted(
        self,
        pool: pd.DataFrame,
        *,
        seed: int,
        asked: Sequence[str],
        filled: FilledUp | None = None,
    ) -> EstimatorsOnPool:
        """Return the estimators with means, ratios and fits of the pool.

        Raises
        ------
        ConfigError
            For a step with `with_imputed`: nothing in the pool is imputed.
        """
        from mlstats.editimpute.estimators_on_pool import EstimatorsOnPool

        return EstimatorsOnPool(self.steps, pool, filled)


def _numbers(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=float, na_value=np.nan, copy=True)


def _estimated(
    step: EstimatorStep,
    data: dict[str, np.ndarray],
    imputed: dict[str, np.ndarray],
    asked: np.ndarray,
    rows: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the estimate for each record of a class, NaN where there is none."""
    y = data[step.variable][rows]
    x = [data[a][rows] for a in step.auxiliary]
    w = np.ones(len(rows)) if step.weight is None else data[step.weight][rows]
    used = np.isfinite(y) & np.isfinite(w)
    for name, values in zip(step.auxiliary, x, strict=True):
        used &= np.isfinite(values) & (step.negative | (values >= 0))
        used &= step.with_imputed | ~imputed[name][rows]
    used &= step.negative | (np.nan_to_num(y) >= 0)
    used &= step.with_imputed | ~imputed[step.variable][rows]
    alone = step.estimator in ("previous", "auxiliary_trend")
    if used.sum() < (0 if alone and not step.residual else max(step.min_records, 1)):
        return np.full(len(rows), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = _formula(step.estimator, y, x, w, used)
    if step.residual:
        errors = (y - value)[used & np.isfinite(value)]
        if len(errors):
            value = value + rng.choice(errors, size=len(rows))
    return np.where(asked[rows], value, np.nan)


def _formula(
    estimator: str,
    y: np.ndarray,
    x: list[np.ndarray],
    w: np.ndarray,
    used: np.ndarray,
) -> np.ndarray:
    weight = np.where(used, w, 0.0)
    if estimator == "previous":
        return x[0]
    if estimator == "auxiliary_trend":
        return np.asarray(x[0] * x[1] / x[2])
    if estimator == "regression":
        design = np.column_stack([np.ones(len(y)), *x])
        root = np.sqrt(weight[used])
        fit = np.linalg.lstsq(design[used] * root[:, None], y[used] * root, rcond=None)
        return np.asarray(design @ fit[0])
    above = (weight * np.nan_to_num(y)).sum()
    if estimator == "mean":
        return np.full(len(y), above / weight.sum())
    below = (weight * np.nan_to_num(x[0])).sum()
    return np.asarray(above / below * x[0])
