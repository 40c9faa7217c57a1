"""True values made missing or wrong by a stated mechanism, to see what comes back.

A value that is missing in the data stays so: it is neither masked nor damaged, so that
what is missing because nothing can be there is never scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlstats.config_editimpute import Damage, Errors, Missing
from mlstats.errors import ConfigError, nearest

__all__ = ["Damaged", "damage"]

# What an error of each kind does to a number.
_FACTORS: Mapping[str, float] = {
    "thousandfold": 1000.0,
    "tenfold": 10.0,
    "tenth": 0.1,
    "twelvefold": 12.0,
    "twelfth": 1 / 12,
    "sign": -1.0,
}
# A factor is drawn between these; near one it would be no error.
_FACTOR_RANGE = (0.3, 3.0)


@dataclass(frozen=True, eq=False)
class Damaged:
    """Damaged data.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows and columns of the data, in their order.
    missing, wrong : pandas.DataFrame of bool, shape (n, variables)
        Which cells were made missing, and which wrong; none is both.
    """

    frame: pd.DataFrame
    missing: pd.DataFrame
    wrong: pd.DataFrame


def damage(
    frame: pd.DataFrame, variables: Sequence[str], how: Damage, *, seed: int
) -> Damaged:
    """Make values missing and others wrong.

    Parameters
    ----------
    frame : pandas.DataFrame
        Data taken as true.
    variables : sequence of str
        The variables of the pilot; `how` may name some of them only.
    how : Damage
        Mechanisms and shares. ``MCAR`` masks each value with the same probability,
        ``MAR`` with one that grows with the rank of the record in another column
        (twice the share times the rank, from 0 to 1), ``NMAR`` with the rank of the
        value itself (Little and Rubin 2019, section 1.3).
    seed : int
        The same seed damages the same cells.

    Raises
    ------
    ConfigError
        Where a column is not in the data, or an error does not fit its variable.
    """
    rng = np.random.default_rng(seed)
    there = frame[list(variables)].notna()
    missing = pd.DataFrame(False, index=frame.index, columns=list(variables))
    if how.missing is not None:
        for name in how.missing.variables or variables:
            chance = _chance(frame, name, how.missing)
            drawn = rng.random(len(frame)) < chance
            missing[name] = drawn & there[name].to_numpy()
    wrong = pd.DataFrame(False, index=frame.index, columns=list(variables))
    values = frame.copy()
    if how.errors is not None:
        for name in how.errors.variables or variables:
            open_cells = (there[name] & ~missing[name]).to_numpy()
            drawn = open_cells & (rng.random(len(frame)) < how.errors.share)
            values[name] = _in_error(frame[name], drawn, how.errors, rng)
            wrong[name] = (values[name] != frame[name]).to_numpy() & drawn
    for name in variables:
        values[name] = values[name].mask(missing[name])
    return Damaged(values, missing, wrong)


def _chance(frame: pd.DataFrame, name: str, how: Missing) -> np.ndarray:
    """Return the probability that each record's value is masked."""
    if how.mechanism == "MCAR":
        return np.full(len(frame), how.share)
    by = name if how.mechanism == "NMAR" else str(how.by)
    if by not in frame:
        raise ConfigError(
            f"The mechanism depends on {by!r}, which is not in the data",
            where="evaluate.damage.missing.by",
            nearest=nearest(by, map(str, frame.columns)),
        )
    column = frame[by]
    if not pd.api.types.is_numeric_dtype(column):
        codes = pd.factorize(column, sort=True)[0]
        column = pd.Series(codes, index=frame.index).where(column.notna())
    rank = column.rank(pct=True).fillna(0.5).to_numpy()
    return np.asarray(np.clip(2 * how.share * rank, 0.0, 0.95))


def _in_error(
    column: pd.Series, drawn: np.ndarray, how: Errors, rng: np.random.Generator
) -> pd.Series:
    numeric = pd.api.types.is_numeric_dtype(column)
    kinds = [kind for kind in how.kinds if (kind == "other_code") != numeric]
    if not kinds:
        raise ConfigError(
            f"No kind of error fits {column.name!r}",
            where="evaluate.damage.errors.kinds",
            expected="other_code for a category, any other for a number",
        )
    rows = np.flatnonzero(drawn)
    if not numeric:
        return _other_codes(column, rows, rng)
    kind = rng.choice(np.array(kinds, dtype=object), size=len(rows))
    factor = np.array([_FACTORS.get(k, np.nan) for k in kind], dtype=float)
    free = np.isnan(factor)
    factor[free] = rng.uniform(*_FACTOR_RANGE, size=int(free.sum()))
    values = column.to_numpy(dtype=float, na_value=np.nan).copy()
    damaged = values[rows] * factor
    if pd.api.types.is_integer_dtype(column.dtype):
        damaged = np.round(damaged)
    values[rows] = damaged
    return pd.Series(values, index=column.index, name=column.name)


def _other_codes(
    column: pd.Series, rows: np.ndarray, rng: np.random.Generator
) -> pd.Series:
    codes = np.array(sorted(column.dropna().unique()), dtype=object)
    damaged = column.astype(object).copy()
    if len(codes) < 2:
        return damaged
    place = pd.Index(codes).get_indexer(pd.Index(column.iloc[rows]))
    step = rng.integers(1, len(codes), size=len(rows))
    damaged.iloc[rows] = codes[(place + step) % len(codes)]
    return damaged
