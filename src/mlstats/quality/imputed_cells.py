"""The cells that were imputed, as arrays: the same ones under every method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.method import as_codes
from mlstats.quality.replication import Replicates, numbered_by_place

__all__ = ["ImputedVariable", "Scale", "aligned", "imputed_variables"]

Scale = Literal["numeric", "categorical", "ordinal"]
_KEYS: Final = ("variable", "replicate")
_WHERE: Final = "units of the evaluation"


@dataclass(frozen=True)
class ImputedVariable:
    """One variable's cells under all masks, with what each method put into them.

    Parameters
    ----------
    name : str
        Of the variable.
    scale : {"numeric", "categorical", "ordinal"}
        What its values are.
    cells : Replicates
        Weights, masks and clusters.
    truth : numpy.ndarray of float or int, shape (n,)
        Values, or places in `categories`.
    imputed : mapping of str to numpy.ndarray, shape (n,)
        Method -> values; the truth where the method gave none.
    given : mapping of str to numpy.ndarray of bool, shape (n,)
        Method -> whether it gave a value that can be used.
    categories : tuple of str
        Empty for numbers.
    domains : mapping of str to numpy.ndarray of object, shape (n,)
        Name of a domain variable -> its values.
    """

    name: str
    scale: Scale
    cells: Replicates
    truth: np.ndarray
    imputed: Mapping[str, np.ndarray]
    given: Mapping[str, np.ndarray]
    categories: tuple[str, ...]
    domains: Mapping[str, np.ndarray]

    @property
    def common(self) -> np.ndarray:
        """Whether every method gave a value: what they are compared on."""
        return np.asarray(np.all(list(self.given.values()), axis=0))

    def least(self, inside: np.ndarray) -> int:
        """Return the number of cells in the mask that has the fewest."""
        counts = np.bincount(self.cells.replicate[inside], minlength=self.cells.masks)
        return int(counts.min(initial=len(self.truth)))

    def each_domain(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ("variable: value", cells inside) for every value of every domain."""
        for name, values in self.domains.items():
            place, found = pd.factorize(values, sort=False)
            for i in np.argsort([str(value) for value in found]):
                yield f"{name}: {found[i]}", place == i


def imputed_variables(
    units: pd.DataFrame,
    *,
    scales: Mapping[str, Scale],
    orders: Mapping[str, Sequence[str]],
    seed: int = 0,
) -> list[ImputedVariable]:
    """Return the cells of each variable.

    Parameters
    ----------
    units : pandas.DataFrame
        Columns method, replicate, unit, cluster, stratum, variable, prediction, truth,
        weight and any ``domain_NAME``; with ``position``, the place of the unit in the
        data, the groups of clusters are the same in every project.
    scales : mapping
        Variable -> numeric, categorical or ordinal.
    orders : mapping
        Variable -> its categories, lowest first; every ordinal variable is named.
    seed : int
        Of the groups of clusters.

    Raises
    ------
    ContractError
        Where the methods do not hold the same cells with the same truth and weight, a
        cell has no truth, or a number is not one.
    ConfigError
        Where a variable has no scale or an ordinal one no order.
    """
    _scales_fit(units, scales, orders)
    parts = aligned(units)
    first = next(iter(parts.values()))
    found = []
    for name in scales:
        rows = np.flatnonzero((first["variable"] == name).to_numpy())
        if len(rows) == 0:
            raise ContractError(
                f"No cell of the variable {name!r} was imputed", where=_WHERE
            )
        held = {method: part.iloc[rows] for method, part in parts.items()}
        found.append(_variable(held, name, scales[name], orders.get(name, ()), seed))
    return found


def _scales_fit(
    units: pd.DataFrame,
    scales: Mapping[str, Scale],
    orders: Mapping[str, Sequence[str]],
) -> None:
    for name in units["variable"].unique():
        if name not in scales:
            raise ConfigError(
                f"The variable {name!r} has no scale",
                expected="numeric, categorical or ordinal",
                nearest=nearest(str(name), list(scales)),
            )
    for name, scale in scales.items():
        if scale not in ("numeric", "categorical", "ordinal"):
            raise ConfigError(
                f"The scale {scale!r} of {name!r} is not known",
                expected="numeric, categorical or ordinal",
            )
        if scale == "ordinal" and not orders.get(name):
            raise ConfigError(
                f"The ordinal variable {name!r} has no order of its categories",
                expected="orders: variable -> categories, lowest first",
            )


def aligned(table: pd.DataFrame, where: str = _WHERE) -> dict[str, pd.DataFrame]:
    """Return the rows of each method in the same order of the same cells.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns method, variable, replicate and unit.
    where : str
        What an error calls it.

    Raises
    ------
    ContractError
        Where there are none, a cell stands twice, or the methods' cells differ.
    """
    keys = [pd.factorize(table[key], sort=True)[0] for key in _KEYS]
    keys.append(numbered_by_place(table["unit"], table))
    sizes = [int(key.max(initial=0)) + 1 for key in keys]
    place = (keys[0] * sizes[1] + keys[1]) * sizes[2] + keys[2]
    method, names = pd.factorize(table["method"])
    order = np.lexsort((place, method))
    ends = np.searchsorted(method[order], np.arange(len(names) + 1))
    rows = [order[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    if not rows:
        raise ContractError("No cell was imputed", where=where)
    for name, own in zip(names, rows, strict=True):
        if (np.diff(place[own]) == 0).any():
            raise ContractError(
                f"A cell of the method {name!r} stands twice", where=where
            )
        if not np.array_equal(place[own], place[rows[0]]):
            apart = len(np.setxor1d(place[own], place[rows[0]]))
            raise ContractError(
                f"The methods {names[0]!r} and {name!r} do not hold the same cells",
                where=where,
                expected=f"the same cells under every method; {apart} are not",
            )
    return {str(n): table.iloc[own] for n, own in zip(names, rows, strict=True)}


def _variable(
    held: Mapping[str, pd.DataFrame],
    name: str,
    scale: Scale,
    order: Sequence[str],
    seed: int,
) -> ImputedVariable:
    first = next(iter(held.values()))
    categories: tuple[str, ...] = ()
    if scale == "numeric":
        truth = _numbers(first["truth"], name)
        values = {m: _numbers(part["prediction"], name) for m, part in held.items()}
        known = np.isfinite(truth)
        given = {m: np.isfinite(v) for m, v in values.items()}
    else:
        columns = [_texts(part["prediction"]) for part in held.values()]
        categories, places = _places([_texts(first["truth"]), *columns], order)
        truth, known = places[0], places[0] >= 0
        values = dict(zip(held, places[1:], strict=True))
        given = {m: v >= 0 for m, v in values.items()}
    if not known.all():
        raise ContractError(
            f"{int((~known).sum())} cells of {name!r} have no truth", where=_WHERE
        )
    _same_truth(held, name)
    cells = Replicates.of(
        first["weight"].to_numpy(dtype=float),
        first["replicate"].to_numpy(),
        numbered_by_place(first["cluster"], first),
        first["stratum"].to_numpy(dtype=object) if "stratum" in first else None,
        seed=seed,
    )
    imputed = {m: np.where(given[m], v, truth) for m, v in values.items()}
    domains = {
        str(column).removeprefix("domain_"): first[column].to_numpy(dtype=object)
        for column in first.columns
        if str(column).startswith("domain_")
    }
    return ImputedVariable(
        name, scale, cells, truth, imputed, given, categories, domains
    )


def _numbers(values: pd.Series, name: str) -> np.ndarray:
    try:
        found = pd.to_numeric(values.astype(object), errors="raise")
    except (TypeError, ValueError):
        raise ContractError(
            f"A value of the numeric variable {name!r} is not a number", where=_WHERE
        ) from None
    return np.asarray(found.to_numpy(dtype=float, na_value=np.nan))


def _texts(values: pd.Series) -> np.ndarray:
    place, found = pd.factorize(as_codes(values))
    # The place of what is missing is -1, so None stands last.
    names = np.array([*(str(value) for value in found), None], dtype=object)
    return np.asarray(names[place])


def _places(
    columns: Sequence[np.ndarray], order: Sequence[str]
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Return the categories, and their places in each column, -1 for none."""
    seen = {code for column in columns for code in pd.unique(column)} - {None}
    beyond = seen - set(order)
    if order and beyond:
        raise ContractError(
            f"{len(beyond)} categories are not in the order that is given", where=_WHERE
        )
    categories = tuple(order) if order else tuple(sorted(seen))
    index = pd.Index(categories, dtype=object)
    return categories, [index.get_indexer(pd.Index(c, dtype=object)) for c in columns]


def _same_truth(held: Mapping[str, pd.DataFrame], name: str) -> None:
    first, *others = held.items()
    for method, part in others:
        for column in ("truth", "weight"):
            one = first[1][column].to_numpy(dtype=object)
            if not np.array_equal(one, part[column].to_numpy(dtype=object)):
                raise ContractError(
                    f"The {column} of {name!r} differs between the methods "
                    f"{first[0]!r} and {method!r}",
                    where=_WHERE,
                )
