"""Imputed values of every arm as rows of the scorecard: the levels of Chambers.

All arms are judged on the same cells. A method that leaves cells empty must not look
better for it: what any method left empty is left out for all, the row
``imputed_share`` tells how much that is, and totals are not told where it is not
negligible. A method that leaves more than half of a variable's cells empty does not
impute it, and is not compared on it. Plausibility, the fifth level, is in
:mod:`mlstats.quality.plausibility`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, nearest
from mlstats.quality.estimate import Estimate, absent
from mlstats.quality.imputation_measures import (
    categorical_measures,
    class_measures,
    ks_null,
    marginal_homogeneity,
    moment_measures,
    numeric_measures,
    ordinal_distance,
    total_variation_null,
)
from mlstats.quality.imputation_totals import total_rows, totals_table
from mlstats.quality.imputed_cells import ImputedVariable, Scale, imputed_variables
from mlstats.quality.indicator import Indicator, exact
from mlstats.quality.replication import Replicates, estimated, masks_error, paired
from mlstats.quality.report_tables import KEPT_BACK, LEAST_UNITS

__all__ = ["imputation_rows"]

_INFINITE: Final = float("inf")
_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "nrmse": (0.0, _INFINITE),
    "nmae": (0.0, _INFINITE),
    "slope": (-_INFINITE, _INFINITE),
    "r_squared": (-_INFINITE, 1.0),
    "mean_bias": (-_INFINITE, _INFINITE),
    "abs_mean_bias": (0.0, _INFINITE),
    "second_moment_bias": (-1.0, _INFINITE),
    "spread_ratio": (0.0, _INFINITE),
    "rank_correlation": (-1.0, 1.0),
    "ks": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "total_variation": (0.0, 1.0),
    "ordinal_distance": (0.0, 1.0),
    "imputed_share": (0.0, 1.0),
}
_HALF: Final = 0.5  # of the cells: a method with fewer does not impute a variable
# A method, and the one that its difference refers to, "" for none.
Pairs = Sequence[tuple[str, str]]
_BY_DOMAIN: Final = ("nrmse", "mean_bias", "accuracy")
_READ: Final = frozenset(
    {"method", "replicate", "unit", "cluster", "stratum", "variable", "prediction"}
    | {"truth", "weight", "position"}
)


def imputation_rows(
    units: pd.DataFrame,
    *,
    baseline: str,
    kinds: Mapping[str, str],
    variables: Mapping[str, Scale],
    orders: Mapping[str, Sequence[str]] | None = None,
    totals: pd.DataFrame | None = None,
    versus: Sequence[tuple[str, str]] = (),
    seed: int = 0,
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Return the measures of imputed values, and totals and shares under every arm.

    Parameters
    ----------
    units : pandas.DataFrame
        The test rows of an Evaluation: a row per method, mask (replicate), unit and
        variable, for the cells that were masked and imputed, the same ones under every
        method. A prediction of None, NaN or infinity is none.
    baseline : str
        The method that every difference refers to.
    kinds : mapping
        Method -> traditional or ml; those of other methods are not scored.
    variables : mapping
        Variable -> numeric, categorical or ordinal.
    orders : mapping, optional
        Ordinal variable -> its categories, lowest first.
    totals : pandas.DataFrame, optional
        True design-weighted totals of the whole file: columns variable, domain ("" or
        "name: value"), category ("" for a number), total and n, its units.
    versus : sequence of (str, str)
        Further pairs (method, other one) that have a row with their difference.
    seed : int
        Of the groups of clusters and of the simulated nulls.

    Returns
    -------
    rows : list of dict
        With columns of :data:`mlstats.quality.scorecard.COLUMNS`; ``level`` is the
        variable. Differences are paired: the method less the baseline on the same
        cells. ``df`` is the smaller of those of value and difference.
    aggregates : pandas.DataFrame
        Columns :data:`mlstats.quality.report_tables.AGGREGATE_COLUMNS`, empty without
        `totals`; ``level`` is the variable, ``variable`` its category or "total".

    Raises
    ------
    ConfigError
        Where the baseline is not among `kinds`, or a variable has no scale or order.
    ContractError
        As :func:`mlstats.quality.imputed_cells.imputed_variables`.

    Notes
    -----
    Chambers, R. (2001), Evaluation Criteria for Statistical Editing and Imputation,
    National Statistics Methodological Series 28.
    """
    if baseline not in kinds:
        raise ConfigError(
            f"The baseline {baseline!r} is not a method that is scored",
            nearest=nearest(baseline, list(kinds)),
        )
    # Only what is counted is copied: the units may hold much else.
    read = [c for c in units if c in _READ or str(c).startswith("domain_")]
    own = units.loc[units["method"].isin(list(kinds)), read]
    held = imputed_variables(own, scales=variables, orders=orders or {}, seed=seed)
    aggregates = totals_table(held, totals, baseline, kinds)
    rows = [row for variable in held for row in _left_out(variable, baseline)]
    held = [_compared(variable, baseline) for variable in held]
    pairs = [(m, "" if m == baseline else baseline) for m in own["method"].unique()]
    pairs += [pair for pair in dict.fromkeys(versus) if pair not in pairs]
    rows += [r for variable in held for r in _rows(variable, baseline, pairs, seed)]
    if totals is not None:
        rows += [row for v in held for row in total_rows(v, totals, baseline)]
    return [row | {"kind": kinds[row["method"]]} for row in rows], aggregates


# -- one variable --------------------------------------------------------------------


@dataclass(frozen=True)
class _Cells:
    """Cells that are compared, of all masks or of a domain."""

    variable: ImputedVariable
    inside: np.ndarray
    replicates: Replicates
    n: int
    note: str

    @classmethod
    def of(cls, variable: ImputedVariable, domain: np.ndarray) -> _Cells:
        inside = variable.common & domain
        empty = int((domain & ~inside).sum())
        told = f"{empty:,} of {int(domain.sum()):,} cells left out for all methods: "
        told += "one of them gave no value"
        kept = variable.cells.take(inside)
        return cls(variable, inside, kept, variable.least(inside), told * (empty > 0))

    def pair(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        variable = self.variable
        return variable.truth[self.inside], variable.imputed[method][self.inside]

    def measures(self, method: str) -> dict[str, np.ndarray]:
        """Return every measure, shape (masks, 1 + groups) each."""
        variable, (truth, imputed) = self.variable, self.pair(method)
        if variable.scale == "numeric":
            return numeric_measures(truth, imputed, self.replicates)
        found = categorical_measures(truth, imputed, self.replicates)
        if variable.scale == "ordinal":
            found["ordinal_distance"] = ordinal_distance(
                truth, imputed, self.replicates, len(variable.categories)
            )
        return found

    def few_measures(self, method: str) -> dict[str, np.ndarray]:
        """Return those that are told by domain."""
        numeric = self.variable.scale == "numeric"
        measure = moment_measures if numeric else class_measures
        found = measure(*self.pair(method), self.replicates)
        return {name: found[name] for name in _BY_DOMAIN if name in found}


def _rows(
    variable: ImputedVariable, baseline: str, pairs: Pairs, seed: int
) -> Iterator[dict[str, Any]]:
    everywhere = np.ones(len(variable.truth), dtype=bool)
    compared = {*variable.imputed, ""}
    pairs = [pair for pair in pairs if compared.issuperset(pair)]
    yield from _share_rows(variable, baseline)
    whole = _Cells.of(variable, everywhere)
    if whole.n == 0:
        yield from _nothing(whole, pairs)
        return
    found = {method: whole.measures(method) for method in variable.imputed}
    yield from _measure_rows(whole, found, pairs, "")
    yield from _null_rows(whole, seed)
    for name, inside in variable.each_domain():
        part = _Cells.of(variable, inside)
        if part.n < LEAST_UNITS:
            yield from _kept_back(part, pairs, name)
            continue
        few = {method: part.few_measures(method) for method in variable.imputed}
        yield from _measure_rows(part, few, pairs, name)


def _gives(variable: ImputedVariable, method: str) -> bool:
    """Whether a method gives values to at least half of a variable's cells."""
    return bool(variable.given[method].mean() >= _HALF)


def _compared(variable: ImputedVariable, baseline: str) -> ImputedVariable:
    """Leave out the methods that do not impute the variable, but for the baseline.

    Else nothing would be left to compare the others on.
    """
    kept = [m for m in variable.given if m == baseline or _gives(variable, m)]
    return replace(
        variable,
        imputed={m: variable.imputed[m] for m in kept},
        given={m: variable.given[m] for m in kept},
    )


def _left_out(variable: ImputedVariable, baseline: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of the methods that do not impute the variable."""
    measure = "nrmse" if variable.scale == "numeric" else "accuracy"
    for method in variable.given:
        if method == baseline or _gives(variable, method):
            continue
        share = float(variable.given[method].mean())
        note = f"the method gives a value to {share:.0%} of the cells"
        found = Indicator("accuracy", measure, absent("not_measured", note))
        row = found.row(method=method, level=variable.name)
        yield row | {"versus": baseline}
        given = exact(share, n=len(variable.truth), note=note)
        yield Indicator("accuracy", "imputed_share", given).row(
            method=method, level=variable.name
        )


def _nothing(cells: _Cells, pairs: Pairs) -> Iterator[dict[str, Any]]:
    names = ("nrmse",) if cells.variable.scale == "numeric" else ("accuracy",)
    missing = absent("not_measured", f"a mask without a cell to compare; {cells.note}")
    yield from _absent(cells, names, missing, pairs, "")


def _kept_back(cells: _Cells, pairs: Pairs, domain: str) -> Iterator[dict[str, Any]]:
    numeric = cells.variable.scale == "numeric"
    names = ("nrmse", "mean_bias") if numeric else ("accuracy",)
    missing = absent("not_measured", KEPT_BACK)
    yield from _absent(cells, names, missing, pairs, domain)


def _absent(
    cells: _Cells, names: Sequence[str], missing: Estimate, pairs: Pairs, domain: str
) -> Iterator[dict[str, Any]]:
    """Yield rows without a figure: a gate that compares must find them."""
    for method, other in pairs:
        for name in names:
            yield Indicator("accuracy", name, missing, domain).row(
                method=method, level=cells.variable.name
            ) | {"versus": other}


def _measure_rows(
    cells: _Cells,
    found: Mapping[str, Mapping[str, np.ndarray]],
    pairs: Pairs,
    domain: str,
) -> Iterator[dict[str, Any]]:
    for pair in pairs:
        measures, base = (found.get(method, {}) for method in pair)
        for name, theta in measures.items():
            yield _row(cells, name, domain, pair, theta, base.get(name))
        if not domain and "mean_bias" in measures:
            bias = "mean_bias"
            yield _absolute(cells, pair, measures[bias], base.get(bias))


def _row(
    cells: _Cells,
    name: str,
    domain: str,
    pair: tuple[str, str],
    theta: np.ndarray,
    other: np.ndarray | None,
) -> dict[str, Any]:
    limits = _LIMITS[name]
    found = estimated(theta, n=cells.n, note=cells.note, limits=limits)
    method, versus = pair
    row = Indicator("accuracy", name, found, domain).row(
        method=method, level=cells.variable.name
    )
    if other is not None:
        row |= paired(estimated(theta - other, n=cells.n), found, versus)
    alone = [theta] if other is None else [theta, theta - other]
    if cells.replicates.masks > 1 and found.status == "measured":
        errors = ", of the difference ".join(f"{masks_error(x):.2g}" for x in alone)
        told = f"standard error over the masks alone {errors}"
        row["note"] = "; ".join(part for part in (found.note, told) if part)
    return row | {"n_clusters": cells.replicates.n_clusters}


def _absolute(
    cells: _Cells,
    pair: tuple[str, str],
    theta: np.ndarray,
    other: np.ndarray | None,
) -> dict[str, Any]:
    """Return the size of a bias, whatever its sign, for a gate to compare.

    The signs are those of the means over the masks and count as known, so that a bias
    that cannot be told from none looks larger than it is.
    """
    own = theta * np.sign(theta[:, 0].mean())
    base = None if other is None else other * np.sign(other[:, 0].mean())
    return _row(cells, "abs_mean_bias", "", pair, own, base)


def _share_rows(variable: ImputedVariable, baseline: str) -> Iterator[dict[str, Any]]:
    """Yield the share of the cells that each method imputed."""
    n = variable.least(np.ones(len(variable.truth), dtype=bool))
    total = variable.cells.sums(np.ones(len(variable.truth)))
    for method, given in variable.given.items():
        if given.all():
            found = exact(1.0, n=n, note="every cell has a value")
        else:
            told = f"{int((~given).sum()):,} of {len(given):,} cells have no value"
            share = variable.cells.sums(given.astype(float)) / total
            limits = _LIMITS["imputed_share"]
            found = estimated(share, n=n, note=told, limits=limits)
        row = Indicator("accuracy", "imputed_share", found).row(
            method=method, level=variable.name
        )
        yield row | {"n_clusters": variable.cells.n_clusters}


# -- what a perfect draw would show --------------------------------------------------


def _null_rows(cells: _Cells, seed: int) -> Iterator[dict[str, Any]]:
    variable = cells.variable
    numeric = variable.scale == "numeric"
    null, name = _null(cells, seed), "ks_null" if numeric else "total_variation_null"
    note = "what two independent draws from the true distribution would show"
    for method in variable.imputed:
        yield Indicator("accuracy", name, Estimate(null, n=cells.n, note=note)).row(
            method=method, level=variable.name
        )
        if not numeric:
            found = _homogeneity(cells, method)
            yield Indicator("accuracy", "marginal_homogeneity", found).row(
                method=method, level=variable.name
            )


def _null(cells: _Cells, seed: int) -> float:
    variable, replicates = cells.variable, cells.replicates
    truth = variable.truth[cells.inside]
    # The first mask stands for the others, which have about as many cells.
    at = replicates.replicate == 0
    if variable.scale == "numeric":
        return ks_null(truth[at], replicates.weight[at], seed=seed)
    size = len(variable.categories)
    return total_variation_null(truth[at], replicates.weight[at], size)


def _homogeneity(cells: _Cells, method: str) -> Estimate:
    truth, imputed = cells.pair(method)
    size = len(cells.variable.categories)
    at = [cells.replicates.replicate == mask for mask in range(cells.replicates.masks)]
    found = [marginal_homogeneity(truth[a], imputed[a], size) for a in at]
    w, df, p = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    told = f"W, mean over the masks, df {df.max():.0f}, median p {np.median(p):.2g}, "
    told += f"p < .05 under {int((p < 0.05).sum())} of {len(p)} masks; "
    told += "a perfect draw has W = df on average; units count alike"
    return Estimate(float(w.mean()), n=cells.n, note=told)
