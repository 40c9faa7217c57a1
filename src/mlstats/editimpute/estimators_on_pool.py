"""Estimators whose means, ratios and fits come from a given pool of donors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.pool import FilledUp, PoolClasses, cannot_fit
from mlstats.editimpute.row_sums import products
from mlstats.editimpute.treatment import Treatment, checked_mask, treatment
from mlstats.editimpute.unit_draws import UnitDraws

if TYPE_CHECKING:
    from mlstats.editimpute.estimators import EstimatorStep

__all__ = ["EstimatorsOnPool"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# Coefficients, and the residuals to draw from.
_Taken = tuple[Floats, Floats]


class EstimatorsOnPool:
    """Estimators in order, fitted on a pool.

    Parameters
    ----------
    steps : sequence of EstimatorStep
        In the order of their use.
    pool : DataFrame
        What means, ratios, fits and residuals are taken from, class by class.
    filled : FilledUp, optional
        Where the donors are more than a random sample.

    Raises
    ------
    ConfigError
        Where a step rests on imputed values.
    """

    def __init__(
        self,
        steps: Sequence[EstimatorStep],
        pool: pd.DataFrame,
        filled: FilledUp | None = None,
    ) -> None:
        if any(step.with_imputed for step in steps):
            raise cannot_fit(
                "An estimator with_imputed", "nothing in the pool is imputed"
            )
        self.steps = [
            _FittedStep(number, step, pool, filled) for number, step in enumerate(steps)
        ]

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        draws: UnitDraws,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values with the estimator of each cell."""
        named = [n for s in self.steps for n in (s.step.variable, *s.step.auxiliary)]
        full = checked_mask(frame, mask, numeric=named, structural=structural)
        data = {name: _numbers(frame[name]) for name in named}
        for name in data:
            data[name][full[name].to_numpy()] = np.nan
        methods = np.full(full.shape, "", dtype=object)
        values = frame.copy()
        for fitted in self.steps:
            step = fitted.step
            asked = full[step.variable].to_numpy() & np.isnan(data[step.variable])
            rows = np.flatnonzero(asked)
            value = fitted.of(
                frame.iloc[rows],
                [data[name][rows] for name in step.auxiliary],
                draws.take(rows),
            )
            good = np.isfinite(value)
            good &= step.negative | (np.nan_to_num(value, nan=-1.0) >= 0)
            got = rows[good]
            data[step.variable][got] = value[good]
            methods[got, frame.columns.get_loc(step.variable)] = step.estimator
            if len(got):
                column = _numbers(values[step.variable])
                column[got] = value[good]
                values[step.variable] = column
        reasons = np.full(full.shape, "no estimator gave a valid value", dtype=object)
        return treatment(
            frame, values, full, method=methods, done=methods != "", reasons=reasons
        )


class _FittedStep:
    """A step and what it takes from each class of the pool."""

    def __init__(
        self,
        number: int,
        step: EstimatorStep,
        pool: pd.DataFrame,
        filled: FilledUp | None,
    ) -> None:
        self.step, self.purpose = step, f"residual {number}"
        self.classes = PoolClasses(pool, step.by, filled)
        y = _numbers(pool[step.variable])
        x = np.column_stack(
            [np.empty((len(pool), 0)), *(_numbers(pool[a]) for a in step.auxiliary)]
        )
        weight = (
            np.ones(len(pool)) if step.weight is None else _numbers(pool[step.weight])
        )
        used = np.isfinite(y) & np.isfinite(weight) & np.isfinite(x).all(axis=1)
        if not step.negative:
            used &= (np.nan_to_num(y) >= 0) & (np.nan_to_num(x) >= 0).all(axis=1)
        self.fits = [
            self._fit(y, x, weight, members[used[members]])
            for members in self.classes.members
        ]

    def of(self, frame: pd.DataFrame, x: list[Floats], draws: UnitDraws) -> Floats:
        """Return the estimates for records, NaN where there is none."""
        number = self.classes.of(frame)
        given = np.column_stack([np.empty((len(frame), 0)), *x])
        value = np.full(len(frame), np.nan)
        for one in np.unique(number[number >= 0]):
            fit = self.fits[one]
            if fit is None:
                continue
            coefficients, errors = fit
            rows = np.flatnonzero(number == one)
            value[rows] = self._value(given[rows], coefficients)
            if len(errors):
                place = draws.take(rows).places(self.purpose, len(errors))
                value[rows] += errors[place]
        return value

    def _fit(self, y: Floats, x: Floats, weight: Floats, rows: Ints) -> _Taken | None:
        step = self.step
        alone = step.estimator in ("previous", "auxiliary_trend") and not step.residual
        if len(rows) < (0 if alone else max(step.min_records, 1)):
            return None
        coefficients = self._coefficients(y[rows], x[rows], weight[rows])
        errors = y[rows] - self._value(x[rows], coefficients)
        return coefficients, errors[np.isfinite(errors)] if step.residual else errors[
            :0
        ]

    def _coefficients(self, y: Floats, x: Floats, weight: Floats) -> Floats:
        estimator = self.step.estimator
        if estimator == "regression":
            design = np.column_stack([np.ones(len(y)), x])
            root = np.sqrt(weight)
            fit = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)
            return np.asarray(fit[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            if estimator == "mean":
                return np.array([(weight * y).sum() / weight.sum()])
            if estimator in ("ratio", "trend"):
                return np.array([(weight * y).sum() / (weight * x[:, 0]).sum()])
        return np.zeros(0)

    def _value(self, x: Floats, coefficients: Floats) -> Floats:
        estimator = self.step.estimator
        if estimator == "mean":
            return np.full(len(x), coefficients[0])
        if estimator == "regression":
            design = np.column_stack([np.ones(len(x)), x])
            return products(design, coefficients[None])[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            if estimator == "previous":
                return x[:, 0].copy()
            if estimator == "auxiliary_trend":
                return np.asarray(x[:, 0] * x[:, 1] / x[:, 2])
            return np.asarray(coefficients[0] * x[:, 0])


def _numbers(column: pd.Series) -> Floats:
    return column.to_numpy(dtype=float, na_value=np.nan, copy=True)
