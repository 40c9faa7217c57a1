"""Totals and shares after imputation, with the standard error that it adds.

One set of imputations serves all figures. An imputer that can fit itself on a bootstrap
sample makes several imputations, combined by Rubin's rules; any other one is done again
in each replicate of a bootstrap of the records (Shao and Sitter 1996, JASA 91,
1278-1288). Both rest on values missing at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlstats.editimpute.multiple import LOST, bootstrapping
from mlstats.editimpute.treatment import checked_mask
from mlstats.errors import ConfigError, ContractError
from mlstats.quality.design import Design
from mlstats.quality.estimate import Estimate, t_estimate
from mlstats.quality.imputation_variance import combine_imputations

__all__ = ["imputation_error"]


@dataclass(frozen=True)
class _Row:
    """A line of the table."""

    variable: str
    total: float
    se: float
    imputation_se: float
    share_of_variance: float
    df: float
    lower: float
    upper: float
    way: str
    note: str


@dataclass(frozen=True, eq=False)
class _Task:
    """What is imputed, and the figures that are worked out from it."""

    frame: pd.DataFrame
    mask: pd.DataFrame
    weight: np.ndarray
    structural: pd.DataFrame | None
    figures: list[tuple[str, Any]]

    def at(self, rows: np.ndarray) -> _Task:
        """Return the task for a sample of the rows."""
        never = self.structural
        return _Task(
            self.frame.iloc[rows].reset_index(drop=True),
            self.mask.iloc[rows].reset_index(drop=True),
            self.weight[rows],
            None if never is None else never.iloc[rows].reset_index(drop=True),
            self.figures,
        )

    def imputed(self, imputer: Any, seed: int) -> pd.DataFrame:
        """Return the imputed values of the variables that are asked for."""
        found = imputer.treat(self.frame, self.mask, seed, self.structural).values
        values: pd.DataFrame = found[list(dict.fromkeys(v for v, _ in self.figures))]
        return values

    def estimates(self, values: pd.DataFrame) -> list[Estimate]:
        """Return each figure with its standard error were all values reported."""
        design = Design.of(self.weight)
        found = []
        for variable, category in self.figures:
            y, there = self._coded(values, variable, category)
            found.append(design.total(y) if there is None else design.ratio(y, there))
        return found

    def values(self, values: pd.DataFrame) -> np.ndarray:
        """Return each figure alone."""
        found = np.empty(len(self.figures))
        for j, (variable, category) in enumerate(self.figures):
            y, there = self._coded(values, variable, category)
            whole = 1.0 if there is None else float(self.weight @ there)
            found[j] = float(self.weight @ y) / whole if whole else np.nan
        return found

    def _coded(
        self, values: pd.DataFrame, variable: str, category: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return numbers to add up, and to divide by; a gap that stays is NaN."""
        column = values[variable]
        gap = column.isna().to_numpy()
        # A cell that nobody asked for is structurally missing: it adds nothing.
        left = gap & self.mask[variable].to_numpy()
        if category is None:
            y = column.to_numpy(dtype=float, na_value=np.nan)
            return np.where(left, np.nan, np.where(gap, 0.0, y)), None
        y = (column == category).fillna(value=False).to_numpy(dtype=float)
        return np.where(left, np.nan, y), (~gap).astype(float)


def imputation_error(
    imputer: Any,
    frame: pd.DataFrame,
    mask: pd.DataFrame,
    weight: np.ndarray,
    variables: Sequence[str],
    *,
    seed: int,
    m: int = 10,
    replicates: int = 40,
    structural: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return weighted figures with their standard error, and imputation's part of it.

    Parameters
    ----------
    imputer : object
        With ``treat(frame, mask, seed, structural)``.
    frame, mask : pandas.DataFrame
        Data, and where to impute.
    weight : numpy.ndarray, shape (n,)
        Design weight of each record.
    variables : sequence of str
        A number gives its weighted total, text and booleans the weighted share of
        each category among the records that have one.
    seed : int
        Decides every draw.
    m, replicates : int
        Imputations of an imputer with an attribute ``bootstrap`` (its own or that of
        the imputer it holds); replicates of any other.
    structural : pandas.DataFrame of bool, optional
        Cells in which nothing can be. They, and missing cells outside the mask, add
        nothing to a total and count in no share.

    Returns
    -------
    pandas.DataFrame
        variable (``name`` or ``name=category``), total (in the unit of the variable;
        a share as a fraction), se, imputation_se, share_of_variance (that imputation
        adds, as a fraction), df, lower and upper (95 %), way (``multiple imputation``
        or ``bootstrap with re-imputation``) and note (why something is missing).

    Raises
    ------
    ConfigError
        Where `m` or `replicates` is below 2, or a variable is unknown.
    ContractError
        Where there is not one weight for each record.

    Notes
    -----
    The records count as drawn independently with replacement. Rubin's rules (1987,
    eqs. 3.1.2 to 3.1.5) give the error of the average over the imputations.
    With replicates it is that of the single imputation at `seed`: to the sampling
    variance, in its usual form with imputed values as reported ones, is added
    ``n / (n - 1) (v_i - v_f)``, where over the replicates `v_i` is the variance of
    the figure imputed again and `v_f` that of the figure with the first imputed values
    carried along. In expectation that is Shao and Sitter's variance; as the noise of
    the two cancels, few replicates suffice. The degrees of freedom are Satterthwaite's.
    An imputation that draws nothing (a class mean) makes the values alike, so that the
    sampling variance is too small and imputation's part of the error too large.
    """
    if m < 2 or replicates < 2:
        raise ConfigError("An imputation error needs two imputations or replicates")
    weight = np.asarray(weight, dtype=float)
    if weight.shape != (len(frame),):
        raise ContractError(
            f"There are {weight.size} weights for {len(frame)} records",
            expected="one weight for each record",
        )
    full = checked_mask(frame, mask.assign(**_nowhere(mask, variables)))
    figures = [
        figure
        for name in dict.fromkeys(variables)
        for figure in _figures(frame[name][~full[name]])
    ]
    task = _Task(frame, full, weight, structural, figures)
    proper = bootstrapping(imputer)
    rows = (
        _replicated(task, imputer, seed, replicates)
        if proper is None
        else _multiply_imputed(task, proper, seed, m)
    )
    return pd.DataFrame(list(map(astuple, rows)), columns=list(_Row.__annotations__))


def _nowhere(mask: pd.DataFrame, variables: Sequence[str]) -> dict[str, bool]:
    return {v: False for v in variables if v not in mask.columns}


def _figures(column: pd.Series) -> list[tuple[str, Any]]:
    """Return variable and category of each figure; None is the total of numbers."""
    is_flag = pd.api.types.is_bool_dtype(column)
    if pd.api.types.is_numeric_dtype(column) and not is_flag:
        return [(str(column.name), None)]
    # A category that only masked cells hold was never reported.
    found = sorted(column.dropna().unique(), key=str)
    return [(str(column.name), category) for category in found]


def _multiply_imputed(task: _Task, imputer: Any, seed: int, m: int) -> list[_Row]:
    seeds = np.random.SeedSequence(seed).generate_state(m)
    sets = [task.estimates(task.imputed(imputer, int(s))) for s in seeds]
    rows = []
    for figure, *found in zip(task.figures, *sets, strict=True):
        both = combine_imputations(
            np.array([e.value for e in found]),
            np.array([e.se**2 for e in found]),
            complete_df=len(task.frame) - 1,
        )
        share = both.missing_information
        rows.append(
            _row(figure, both.estimate, both.added, share, "multiple imputation")
        )
    return rows


def _replicated(task: _Task, imputer: Any, seed: int, replicates: int) -> list[_Row]:
    n = len(task.frame)
    first = task.imputed(imputer, seed)
    again = np.empty((replicates, len(task.figures)))
    carried = np.empty_like(again)
    rng = np.random.default_rng(seed)
    for r in range(replicates):
        rows = rng.integers(0, n, n)
        drawn = task.at(rows)
        again[r] = drawn.values(drawn.imputed(imputer, int(rng.integers(2**31))))
        carried[r] = drawn.values(first.iloc[rows].reset_index(drop=True))
    return [
        _combined(figure, base, again[:, j], carried[:, j], n)
        for j, (figure, base) in enumerate(
            zip(task.figures, task.estimates(first), strict=True)
        )
    ]


def _combined(
    figure: tuple[str, Any],
    base: Estimate,
    again: np.ndarray,
    carried: np.ndarray,
    n: int,
) -> _Row:
    """Add what imputing again adds to the sampling variance of a figure."""
    way = "bootstrap with re-imputation"
    good = np.isfinite(again) & np.isfinite(carried)
    lost = int((~good).sum())
    note = f"{lost} of {len(good)} replicates have no value" if lost else base.note
    if good.sum() < 2 or lost > LOST * len(good):
        broken = t_estimate(base.value, np.nan, 0, n=n, note=note)
        return _row(figure, broken, np.nan, np.nan, way)
    a, c = again[good], carried[good]
    parts = n / (n - 1) * ((a - a.mean()) ** 2 - (c - c.mean()) ** 2)
    kept = len(parts)
    added = max(float(parts.sum() / (kept - 1)), 0.0)
    total = base.se**2 + added
    noise = 2 * base.se**4 / (n - 1) + float(parts.var(ddof=1)) / kept
    df = 2 * total**2 / noise if noise > 0 else n - 1
    found = t_estimate(base.value, total**0.5, min(df, n - 1), n=n, note=note)
    return _row(figure, found, added, added / total if total > 0 else 0.0, way)


def _row(
    figure: tuple[str, Any], found: Estimate, added: float, share: float, way: str
) -> _Row:
    variable, category = figure
    return _Row(
        variable if category is None else f"{variable}={category}",
        found.value,
        found.se,
        added**0.5,
        share,
        found.df,
        found.lower,
        found.upper,
        way,
        found.note,
    )
