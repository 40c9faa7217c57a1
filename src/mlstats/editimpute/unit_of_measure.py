"""Errors of the unit: a thousand times too much, pence for pounds, months for years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.errors import ConfigError, ContractError, nearest

__all__ = ["ThousandPounds", "UnitErrors", "thousand_pounds", "unit_errors"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ThousandPounds:
    """The records of which values were given in pounds, not in thousands.

    Attributes
    ----------
    values : DataFrame
        The principal and the target variables, corrected.
    ratio : Series
        Of the principal to the predictive value, or to the auxiliary one.
    status : Series of str
        ``corrected``, ``kept``, or ``not_measured`` (no principal value, or nothing
        to compare it with).
    """

    values: pd.DataFrame
    ratio: pd.Series
    status: pd.Series


@dataclass(frozen=True)
class UnitErrors:
    """The values that fit their reference only in another unit.

    Attributes
    ----------
    values : Series
        Corrected.
    factor : Series
        By what a value was too large; 1 where it was kept.
    status : Series of str
        ``corrected``, ``kept``, or ``not_measured`` (a value or its reference is
        missing or zero, or their signs differ).
    """

    values: pd.Series
    factor: pd.Series
    status: pd.Series


def thousand_pounds(
    frame: pd.DataFrame,
    *,
    principal: str,
    targets: Sequence[str] = (),
    predictive: str | None = None,
    auxiliary: str | None = None,
    lower: float | str = 250.0,
    upper: float | str = 1350.0,
) -> ThousandPounds:
    """Divide by a thousand the records that were given in pounds.

    Where the ratio of the principal variable to its predictive value (where that is
    missing or zero: to the auxiliary value) lies between two limits, the principal and
    all target variables are divided by 1000.

    Parameters
    ----------
    frame : DataFrame
        The records.
    principal : str
        Column of the variable that tells the error.
    targets : sequence of str
        Columns that are corrected with it.
    predictive, auxiliary : str, optional
        Columns to compare with, such as the value of the period before and the
        register's.
    lower, upper : float or str
        The limits, not included, or the columns that hold them.

    References
    ----------
    Office for National Statistics, "Thousand pounds correction", Statistical Method
    Specifications (OGL v3).

    Examples
    --------
    >>> frame = pd.DataFrame({"t": [9000.0, 12], "b": [50.0, 3], "last": [10.0, 11]})
    >>> found = thousand_pounds(frame, principal="t", targets=["b"], predictive="last")
    >>> found.values.to_numpy().tolist(), found.status.tolist()
    ([[9.0, 0.05], [12.0, 3.0]], ['corrected', 'kept'])
    """
    if predictive is None and auxiliary is None:
        raise ConfigError(
            "The thousand-pounds correction has nothing to compare with",
            expected="predictive, auxiliary or both",
        )
    x = _column(frame, principal)
    base = np.full(len(frame), np.nan)
    for name in (auxiliary, predictive):
        if name is not None:
            given = _column(frame, name)
            base = np.where(np.isfinite(given) & (given != 0), given, base)
    ratio = x / base
    low, high = _limit(frame, lower), _limit(frame, upper)
    if np.any(low >= high):
        raise ConfigError(
            "The limits of the thousand-pounds correction are out of order",
            expected="lower < upper",
        )
    is_wrong = (ratio > low) & (ratio < high)
    values = pd.DataFrame(
        {
            name: np.where(is_wrong, column / 1000, column)
            for name in (principal, *targets)
            for column in [_column(frame, name)]
        },
        index=frame.index,
    )
    known = np.isfinite(ratio) & np.isfinite(low) & np.isfinite(high)
    return ThousandPounds(
        values,
        pd.Series(ratio, frame.index, name="ratio"),
        _status(is_wrong, known, frame.index),
    )


def unit_errors(
    values: pd.Series,
    reference: pd.Series,
    *,
    factors: Sequence[float] = (1000.0,),
    within: float = 3.0,
) -> UnitErrors:
    """Find values that are a known factor from what was expected.

    A value is corrected if its ratio to the reference, divided by one of the factors
    or multiplied with it, lies between ``1 / within`` and `within`, and the ratio
    itself does not; the nearest factor counts.

    Parameters
    ----------
    values, reference : Series of numbers, shape (n,)
        A value and what was expected: of the period before, or of a register.
    factors : sequence of float, default=(1000,)
        Above 1: 1000, 100 (pence), 12 (months) ...
    within : float, default=3
        Above 1, and less than the square root of the least factor, so that the two
        ranges stay apart.

    Examples
    --------
    >>> found = unit_errors(
    ...     pd.Series([5000.0, 6, 0.004]), pd.Series([5.0, 5, 5]), factors=[1000]
    ... )
    >>> found.values.tolist(), found.factor.tolist()
    ([5.0, 6.0, 4.0], [1000.0, 1.0, 0.001])
    """
    if not factors or not 1 < within < min(factors) ** 0.5:
        raise ConfigError(
            "The factors of unit errors and their range do not fit",
            expected="factors above 1, 1 < within < square root of the least factor",
        )
    if len(values) != len(reference):
        raise ContractError(
            f"There are {len(values)} values, {len(reference)} references"
        )
    x, base = _numbers(values, "values"), _numbers(reference, "reference")
    known = (x * base > 0) & np.isfinite(x * base)
    distance = np.log(np.divide(x, base, out=np.ones(len(x)), where=known))
    signed = np.array([*factors, *(1 / f for f in factors)], dtype=float)
    away = np.abs(distance[:, None] - np.log(signed))
    best = away.argmin(axis=1)
    limit = np.log(within)
    fits = away[np.arange(len(x)), best] <= limit
    is_wrong = known & fits & (np.abs(distance) > limit)
    factor = np.where(is_wrong, signed[best], 1.0)
    return UnitErrors(
        pd.Series(x / factor, values.index, name=values.name),
        pd.Series(factor, values.index, name="factor"),
        _status(is_wrong, known, values.index),
    )


def _status(
    is_wrong: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_], index: pd.Index
) -> pd.Series:
    told = np.where(is_wrong, "corrected", np.where(known, "kept", "not_measured"))
    return pd.Series(told, index, name="status", dtype=str)


def _limit(frame: pd.DataFrame, limit: float | str) -> Floats:
    if isinstance(limit, str):
        return _column(frame, limit)
    return np.full(len(frame), float(limit))


def _column(frame: pd.DataFrame, name: str) -> Floats:
    if name not in frame.columns:
        raise ConfigError(
            f"The column {name!r} is not in the data",
            nearest=nearest(name, map(str, frame.columns)),
        )
    return _numbers(frame[name], f"values of {name!r}")


def _numbers(values: pd.Series, what: str) -> Floats:
    numbers = np.array(
        pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    )
    bad = ~np.isfinite(numbers) & values.notna().to_numpy()
    if bad.any():
        raise ContractError(
            f"{int(bad.sum())} of the {what} are no finite numbers",
            where=f"first at row {int(np.flatnonzero(bad)[0]) + 1}",
        )
    return numbers
