"""The chain of models with its models fitted once, on a given pool of donors.

The donors lack nothing, so that the models of all rounds are the same: they are fitted
before the first record is seen. A recipient starts from values of a donor that its
label draws, and goes through the chain alone; numbers are matched to predictions of
the donors, categories drawn, by the label again.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.cross_fitting import FOLDS, fold_models, some_of
from mlstats.editimpute.learners import Learner, Probabilities
from mlstats.editimpute.multinomial_on_pool import is_number
from mlstats.editimpute.pool import cannot_fit
from mlstats.editimpute.treatment import Treatment, checked_mask, treatment
from mlstats.editimpute.unit_draws import UnitDraws
from mlstats.errors import ConfigError

if TYPE_CHECKING:
    from mlstats.editimpute.models import ChainedImputer

__all__ = ["ChainOnPool"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class ChainOnPool:
    """A chained imputer with its models fitted on a pool.

    Parameters
    ----------
    how : ChainedImputer
        Predictors, family, rounds, neighbours.
    pool : DataFrame
        The donors.
    seed : int
        Of the models.
    asked : sequence of str
        Columns of which a cell may be asked for; a model is fitted for each.
    """

    def __init__(
        self,
        how: ChainedImputer,
        pool: pd.DataFrame,
        *,
        seed: int,
        asked: Sequence[str],
    ) -> None:
        if how.rounds < 1 or how.neighbours < 1:
            raise ConfigError("A chain needs a round and a neighbour at least")
        if how.sharpness != 1:
            raise cannot_fit(
                "A sharpness", "it keeps the frequencies of all recipients"
            )
        columns = list(pool.columns) if how.predictors is None else how.predictors
        there = [name for name in pool.columns if pool[name].notna().any()]
        targets = [name for name in there if name in set(asked)]
        used = [name for name in columns if name in there]
        self.used = [*used, *(name for name in targets if name not in used)]
        self.how, self.labels = how, pool.index
        self.coding = _Coding(pool, self.used, targets)
        self.features = self.coding.of(pool)
        self.links = {
            name: _Link(self, self.used.index(name), _generator(seed, name))
            for name in targets
        }

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        draws: UnitDraws,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values with the donor of each matched cell."""
        numbers = [name for name in self.used if name not in self.coding.codes]
        full = checked_mask(frame, mask, numeric=numbers, structural=structural)
        features = self.coding.of(frame)
        places = frame.columns.get_indexer(pd.Index(self.used))
        features[full.to_numpy()[:, places]] = np.nan
        asked = {name: full[name].to_numpy() for name in self.links if full[name].any()}
        for name, cells in asked.items():
            link, rows = self.links[name], np.flatnonzero(cells)
            start = draws.take(rows).places(f"start {name}", len(link.observed))
            at = self.features[link.observed[start], link.place]
            features[rows, link.place] = at
        several = np.sum([*asked.values()], axis=0) > 1 if asked else np.zeros(0, bool)
        donors = np.full(full.shape, -1)
        for turn in range(self.how.rounds):
            for name, cells in asked.items():
                rows = np.flatnonzero(cells & several if turn else cells)
                if len(rows):
                    value, given = self.links[name].of(
                        features[rows], draws.take(rows), turn
                    )
                    features[rows, self.links[name].place] = value
                    donors[rows, frame.columns.get_loc(name)] = given
        done = np.zeros(full.shape, dtype=bool)
        for name, cells in asked.items():
            done[cells, frame.columns.get_loc(name)] = True
        return treatment(
            frame,
            self._written(frame, features, asked),
            full,
            method=f"chained {self.how.family}",
            done=done,
            donors=donors,
            reasons=np.full(full.shape, "no record has the variable", dtype=object),
            labels=self.labels,
        )

    def _written(
        self, frame: pd.DataFrame, features: Floats, asked: dict[str, Bools]
    ) -> pd.DataFrame:
        values = frame.copy()
        for name, cells in asked.items():
            filled = features[cells, self.links[name].place]
            column = frame[name].copy()
            rows = np.flatnonzero(cells)
            if name in self.coding.codes:
                column.iloc[rows] = self.coding.codes[name].take(filled.astype(int))
            elif pd.api.types.is_integer_dtype(column.dtype):
                column.iloc[rows] = filled.astype(int)
            else:
                column.iloc[rows] = filled
            values[name] = column
        return values


def _generator(seed: int, name: str) -> np.random.Generator:
    # By name: the models of a variable do not depend on which others may be asked for.
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class _Coding:
    """Columns as numbers; categories by their frequency in the pool."""

    def __init__(self, pool: pd.DataFrame, used: list[str], targets: list[str]) -> None:
        from mlstats.editimpute.models import MOST_CODES

        self.used, self.most = used, MOST_CODES
        self.codes: dict[str, pd.Index] = {}
        for name in used:
            if is_number(pool[name]):
                continue
            counts = pool[name].astype(object).value_counts(dropna=True, sort=False)
            # Among categories alike the order is that of their texts.
            ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
            if name in targets and len(ranked) > MOST_CODES:
                raise ConfigError(
                    f"{name!r} has {len(ranked)} categories",
                    expected=f"at most {MOST_CODES} in a variable to impute",
                )
            self.codes[name] = pd.Index([value for value, _ in ranked], dtype=object)

    def of(self, frame: pd.DataFrame) -> Floats:
        """Return the columns of records; NaN where a category is not in the pool."""
        features = np.empty((len(frame), len(self.used)))
        for j, name in enumerate(self.used):
            if name not in self.codes:
                features[:, j] = frame[name].to_numpy(dtype=float, na_value=np.nan)
                continue
            labels = pd.Index(frame[name].to_numpy(dtype=object), dtype=object)
            place = self.codes[name].get_indexer(labels)
            features[:, j] = np.where(
                place < 0, np.nan, np.minimum(place, self.most).astype(float)
            )
        return features


class _Link:
    """The models of one variable."""

    def __init__(
        self, chain: ChainOnPool, place: int, rng: np.random.Generator
    ) -> None:
        how, self.place = chain.how, place
        self.name = chain.used[place]
        self.others = np.arange(len(chain.used)) != place
        kinds = np.array([name in chain.coding.codes for name in chain.used])
        X, y = chain.features[:, self.others], chain.features[:, place]
        self.observed = np.flatnonzero(np.isfinite(y))
        rows = self.observed
        if how.bootstrap:
            rows = rng.choice(rows, len(rows))
        learner = Learner(how.family, how.trees, how.leaves, how.fit_rows)
        fit = _Fit(X, y, kinds[self.others], learner, rng)
        self.shares: Probabilities | None = None
        self.parts: list[_Matching] = []
        if kinds[place]:
            self.shares = fit.probabilities(rows, y)
            return
        zero = y[rows] == 0
        parts = [rows]
        if how.zero_share <= zero.mean() < 1:
            self.shares = fit.probabilities(rows, (y != 0).astype(float))
            parts = [rows[zero], rows[~zero]]
        self.parts = [_Matching(fit, part, how) for part in parts]

    def of(self, features: Floats, draws: UnitDraws, turn: int) -> tuple[Floats, Ints]:
        """Return values and donors of records at a turn, -1 for a drawn category."""
        X = features[:, self.others]
        # With the same numbers at every turn a value would be tied to its own effect.
        purpose = f"{self.name} {turn}"
        kind = np.zeros(len(X), dtype=np.int64)
        if self.shares is not None:
            edges = self.shares.of(X).cumsum(axis=1)
            point = draws.numbers(f"category {purpose}")[:, None]
            kind = (point * edges[:, -1:] >= edges).sum(axis=1)
            kind = np.minimum(kind, edges.shape[1] - 1)
        if not self.parts:
            assert self.shares is not None
            return self.shares.classes[kind], np.full(len(X), -1)
        value, donors = np.empty(len(X)), np.empty(len(X), dtype=np.int64)
        for number, part in enumerate(self.parts):
            rows = np.flatnonzero(kind == number)
            if len(rows):
                value[rows], donors[rows] = part.of(X[rows], draws.take(rows), purpose)
        return value, donors


@dataclass(frozen=True, eq=False)
class _Fit:
    """What models are fitted on."""

    X: Floats
    y: Floats
    kinds: Bools
    learner: Learner
    rng: np.random.Generator

    def probabilities(self, rows: Ints, y: Floats) -> Probabilities:
        some = some_of(rows, self.learner.fit_rows, self.rng)
        fold = self.rng.integers(0, FOLDS, len(self.X))[some]
        seed = int(self.rng.integers(2**31))
        return self.learner.fit_probabilities(
            self.X[some], y[some], self.kinds, seed, fold
        )


class _Matching:
    """Donors in the order of their predictions, and the models that predict."""

    def __init__(self, fit: _Fit, rows: Ints, how: ChainedImputer) -> None:
        self.neighbours = how.neighbours
        self.models: list[Any] = []
        ours = np.zeros(len(rows))
        if np.ptp(fit.y[rows]) > 0:
            ours = self._predicted(fit, rows, how)
        known = np.isfinite(ours)
        rows, ours = rows[known], ours[known]
        order = fit.rng.permutation(len(rows))
        order = order[np.argsort(ours[order], kind="stable")]
        self.donors, self.ranked = rows[order], ours[order]
        self.values = fit.y[self.donors]

    def _predicted(self, fit: _Fit, rows: Ints, how: ChainedImputer) -> Floats:
        many = len(rows) > 2 * fit.learner.fit_rows
        if how.cross_fitted or many:
            ours, self.models = fold_models(
                fit.X, fit.y, fit.kinds, rows, fit.learner, fit.rng
            )
            if self.models:
                return ours
        some = some_of(rows, fit.learner.fit_rows, fit.rng)
        seed = int(fit.rng.integers(2**31))
        self.models = [
            fit.learner.regression(fit.X[some], fit.y[some], fit.kinds, seed)
        ]
        return np.asarray(self.models[0].predict(fit.X[rows]))

    def of(self, X: Floats, draws: UnitDraws, purpose: str) -> tuple[Floats, Ints]:
        """Return values and donors, one of the nearest for each record."""
        at = self._at(X, draws.places(f"model {purpose}", max(len(self.models), 1)))
        first = np.searchsorted(self.ranked, at, side="left")
        last = np.searchsorted(self.ranked, at, side="right")
        # A record lies anywhere among donors that are predicted as it is.
        span = last + 1 - first
        place = first + (draws.numbers(f"place {purpose}") * span).astype(np.int64)
        k = min(self.neighbours, len(self.ranked))
        window = place[:, None] + np.arange(-k, k)[None, :]
        outside = (window < 0) | (window >= len(self.ranked))
        window = np.clip(window, 0, len(self.ranked) - 1)
        distance = np.abs(self.ranked[window] - at[:, None])
        distance[outside] = np.inf
        nearest = np.argsort(distance, axis=1, kind="stable")
        which = draws.places(f"neighbour {purpose}", k)
        chosen = window[np.arange(len(X)), nearest[np.arange(len(X)), which]]
        return self.values[chosen], self.donors[chosen]

    def _at(self, X: Floats, own: Ints) -> Floats:
        at = np.zeros(len(X))
        for number, model in enumerate(self.models):
            rows = np.flatnonzero(own == number)
            if len(rows):
                at[rows] = model.predict(X[rows])
        return at
