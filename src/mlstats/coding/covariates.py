"""Columns beside the text as terms: a value each, or a band of a number.

A column is numeric if its type is; a code kept as text stays a value of its own. The
limits of the bands are quantiles of the training rows, so that each band has about
equally many of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.coding.terms import Ints
from mlstats.errors import ConfigError, MethodError, nearest

__all__ = ["Covariates"]

_USES = ("tokens", "ignore")


@dataclass(frozen=True)
class Covariates:
    """Which columns are terms, and the limits of the bands of the numeric ones.

    Attributes
    ----------
    columns : list of str
        The columns, in the order of the training data.
    limits : dict of str to list of float
        Inner limits of the bands of each column that is put into bands.

    Examples
    --------
    >>> X = pd.DataFrame({"text": list("abcd"), "price": [0.5, 1.0, 8.0, None]})
    >>> Covariates.fit(X, "tokens", bands=2).values(X)[2].tolist()
    ['price from 1', 'price to 1']
    """

    columns: list[str] = field(default_factory=list)
    limits: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def fit(cls, X: pd.DataFrame, use: str, bands: int) -> Covariates:
        """Choose the columns and the limits of their bands.

        Parameters
        ----------
        X : DataFrame
            Column ``text`` and the covariates.
        use : {"tokens", "ignore"}
            With "ignore" there are no covariates.
        bands : int
            Number of bands; a numeric column with no more values than this keeps
            its values.

        Raises
        ------
        ConfigError
            If `use` is neither.
        """
        if use not in _USES:
            raise ConfigError(
                f"covariates is {use!r}",
                expected=" or ".join(_USES),
                nearest=nearest(str(use), _USES),
            )
        columns = [c for c in X.columns if c != "text"] if use == "tokens" else []
        limits = {
            column: _quantiles(X[column], bands)
            for column in columns
            if pd.api.types.is_numeric_dtype(X[column])
            and not pd.api.types.is_bool_dtype(X[column])
            and X[column].nunique() > bands
        }
        return cls(columns, limits)

    def values(self, X: pd.DataFrame) -> tuple[Ints, Ints, pd.Index]:
        """Return the terms of each row.

        Parameters
        ----------
        X : DataFrame, shape (n, columns)

        Returns
        -------
        row, number : ndarray of int
            A row and one of its terms.
        names : Index of str
            The terms, sorted. A missing value is no term.

        Raises
        ------
        MethodError
            If a covariate of the training data is not there, or if one that was a
            number has values that are none.
        """
        row, name = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=object)]
        for column in self.columns:
            if column not in X:
                raise MethodError(
                    f"The covariate {column!r} of the training data is not there",
                    nearest=nearest(column, map(str, X.columns)),
                )
            there = np.flatnonzero(X[column].notna())
            row.append(there)
            name.append(self._terms(column, X[column].iloc[there]))
        number, names = pd.factorize(np.concatenate(name), sort=True)
        return np.concatenate(row), number, pd.Index(names, dtype=str)

    def to_dict(self) -> dict[str, Any]:
        """Return columns and limits as JSON can hold them."""
        return {"columns": self.columns, "limits": self.limits}

    def _terms(self, column: str, values: pd.Series) -> npt.NDArray[np.object_]:
        if column not in self.limits:
            return (f"{column}=" + values.astype(str)).to_numpy(dtype=object)
        numbers = pd.to_numeric(values, errors="coerce")
        if numbers.isna().any():
            raise MethodError(
                f"The covariate {column!r} has a value that is no number",
                expected="numbers, as in the training data",
            )
        limits = self.limits[column]
        names = np.array(_band_names(column, limits), dtype=object)
        band = np.searchsorted(limits, numbers.to_numpy(dtype=float), side="right")
        return names[band]


def _quantiles(values: pd.Series, bands: int) -> list[float]:
    shares = np.arange(1, bands) / bands
    found = np.quantile(values.dropna().to_numpy(dtype=float), shares)
    return sorted({float(f"{limit:.4g}") for limit in found})  # repeated: one limit


def _band_names(column: str, limits: list[float]) -> list[str]:
    first, last = f"{column} to {limits[0]:g}", f"{column} from {limits[-1]:g}"
    inner = zip(limits[:-1], limits[1:], strict=True)
    return [first, *(f"{column} {a:g} to {b:g}" for a, b in inner), last]
