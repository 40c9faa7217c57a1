"""Multinomial models of categories, fitted once on a given pool of donors."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from mlstats.editimpute.pool import cannot_fit
from mlstats.editimpute.treatment import Treatment, checked_mask, treatment
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.errors import ConfigError, nearest

if TYPE_CHECKING:
    from mlstats.editimpute.multinomial import MultinomialImputer

__all__ = ["MultinomialOnPool", "is_number"]

Ints = npt.NDArray[np.int64]


def is_number(column: pd.Series) -> bool:
    """Tell whether a column holds numbers; a flag is none."""
    return bool(
        pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    )


class MultinomialOnPool:
    """A multinomial model for each category that may be asked for.

    Parameters
    ----------
    how : MultinomialImputer
        Predictors, pairs, classes and penalty.
    pool : DataFrame
        What the models are fitted on.
    seed : int
        Of the bootstrap sample.
    asked : sequence of str
        Columns of which a cell may be asked for.
    """

    def __init__(
        self,
        how: MultinomialImputer,
        pool: pd.DataFrame,
        *,
        seed: int,
        asked: Sequence[str],
    ) -> None:
        if how.predictors is None:
            raise cannot_fit(
                "A multinomial model without predictors",
                "name those that are never imputed",
            )
        pairs = [name for pair in how.interactions for name in pair]
        self.names, self.pairs = how.predictors, how.interactions
        for name in [*self.names, *pairs]:
            if name not in pool.columns:
                raise ConfigError(
                    f"There is no predictor {name!r}",
                    nearest=nearest(name, map(str, pool.columns)),
                )
        used = dict.fromkeys([*self.names, *pairs])
        self.codes = {name: _Codes(pool[name], how.classes) for name in used}
        terms = self._terms(pool)
        self.kept = [np.unique(term) for term in terms]
        design = self._design(terms)
        self.models: dict[str, tuple[Any, Any]] = {}
        for name in asked:
            if name in pool and name not in used and not is_number(pool[name]):
                self.models[name] = _fitted(how, design, pool[name], name, seed)

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        draws: UnitDraws,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values; no cell has a donor."""
        full = checked_mask(frame, mask, structural=structural)
        asked = [name for name in frame.columns if full[name].any()]
        design = self._design(self._terms(frame))
        values = frame.copy()
        done = np.zeros(full.shape, dtype=bool)
        for name in asked:
            if name not in self.models:
                raise ConfigError(
                    f"{name!r} is a number or a predictor; a multinomial model draws "
                    "categories that nothing is predicted from",
                    hint="impute it by a donor or by ChainedImputer",
                )
            found, model = self.models[name]
            if not len(found):
                continue
            rows = np.flatnonzero(full[name].to_numpy())
            place = _drawn(model, design[rows], draws.take(rows).numbers(name))
            column = frame[name].copy()
            column.iloc[rows] = found.take(place)
            values[name] = column
            done[rows, frame.columns.get_loc(name)] = True
        reasons = np.full(full.shape, "no record has the variable", dtype=object)
        return treatment(
            frame, values, full, method="multinomial", done=done, reasons=reasons
        )

    def _terms(self, frame: pd.DataFrame) -> list[Ints]:
        codes = {name: one.of(frame[name]) for name, one in self.codes.items()}
        terms = [codes[name] for name in self.names]
        for one, other in self.pairs:
            both = (codes[one] >= 0) & (codes[other] >= 0)
            pair = codes[one] * self.codes[other].count + codes[other]
            terms.append(np.where(both, pair, -1))
        return terms

    def _design(self, terms: list[Ints]) -> sparse.csr_array:
        """Return an indicator for each class that the pool has."""
        parts = []
        for term, kept in zip(terms, self.kept, strict=True):
            place = np.minimum(np.searchsorted(kept, term), len(kept) - 1)
            rows = np.flatnonzero(kept[place] == term)
            parts.append(
                sparse.csr_array(
                    (np.ones(len(rows)), (rows, place[rows])),
                    shape=(len(term), len(kept)),
                )
            )
        return sparse.csr_array(sparse.hstack(parts))


class _Codes:
    """The classes of a predictor in the pool, and their numbers."""

    def __init__(self, column: pd.Series, classes: int) -> None:
        self.edges: Any = None
        if is_number(column) and column.nunique() > classes:
            _, self.edges = pd.qcut(
                column, classes, labels=False, duplicates="drop", retbins=True
            )
            self.count = len(self.edges)
        else:
            self.values = pd.Index(column.dropna().unique())
            self.count = len(self.values) + 1

    def of(self, column: pd.Series) -> Ints:
        """Return the class of each record; that of missing values comes last."""
        absent = column.isna().to_numpy()
        if self.edges is None:
            place = self.values.get_indexer(pd.Index(column.to_numpy(dtype=object)))
        else:
            numbers = column.to_numpy(dtype=float, na_value=np.nan)
            inner = self.edges[1:-1]
            place = np.searchsorted(inner, np.where(absent, 0.0, numbers), "left")
        return np.asarray(np.where(absent, self.count - 1, place), dtype=np.int64)


def _fitted(
    how: MultinomialImputer,
    design: sparse.csr_array,
    column: pd.Series,
    name: str,
    seed: int,
) -> tuple[Any, Any]:
    """Return the categories and the model, None for one category or none."""
    from sklearn.linear_model import LogisticRegression

    rows = np.flatnonzero(column.notna().to_numpy())
    if how.bootstrap and len(rows):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        rows = rng.choice(rows, len(rows))
    codes, found = pd.factorize(pd.Index(column.array[rows]), sort=True)
    if len(found) < 2:
        return found, None
    model = LogisticRegression(C=1 / how.penalty, max_iter=500)
    return found, model.fit(design[rows], codes)


def _drawn(model: Any, design: sparse.csr_array, numbers: np.ndarray) -> Ints:
    if model is None or not len(numbers):
        return np.zeros(len(numbers), dtype=np.int64)
    edges = model.predict_proba(design).cumsum(axis=1)
    place = (numbers[:, None] * edges[:, -1:] >= edges).sum(axis=1)
    return np.asarray(np.minimum(place, edges.shape[1] - 1))
