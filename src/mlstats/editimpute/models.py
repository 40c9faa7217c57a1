"""Chained machine-learning imputation with matching and drawn categories.

Each variable is predicted from all others, in turn and several times over (van Buuren
and Groothuis-Oudshoorn 2011, Journal of Statistical Software 45(3)). A number comes
from a record predicted alike, so that it is a value that someone reported; a category
is drawn with its calibrated probability, since the likeliest one would wreck the
margins; a variable with many zeros is first drawn to be zero or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlstats.editimpute.cross_fitting import (
    FOLDS,
    expected_mean,
    some_of,
    unseen_predictions,
)
from mlstats.editimpute.learners import Learner, drawn, sharpened
from mlstats.editimpute.matching import matched_donors
from mlstats.editimpute.treatment import Imputer, Treatment, checked_mask, treatment
from mlstats.errors import ConfigError

if TYPE_CHECKING:
    from mlstats.editimpute.chain_on_pool import ChainOnPool
    from mlstats.editimpute.pool import FilledUp

__all__ = ["ChainedImputer"]

# Histogram boosting takes 255 values of a category; the rarest share the last code.
MOST_CODES = 254


@dataclass(frozen=True, eq=False)
class _Target:
    """A variable to impute: its column of the features, and who has it."""

    name: str
    place: int
    categorical: bool
    asked: np.ndarray
    observed: np.ndarray


class ChainedImputer(Imputer):
    """Impute by chained boosting or forests with predictive mean matching.

    Parameters
    ----------
    predictors : sequence of str, optional
        Columns to predict from, beside the imputed ones; all if left out.
    family : {"boosting", "forest"}
        Of the models.
    rounds : int
        Times that the chain is run.
    neighbours : int
        Donors to draw from in the matching.
    zero_share : float
        Share of zeros from which a variable is imputed in two parts; above 1, never.
    bootstrap : bool
        Fit on a bootstrap sample of the observed records and draw donors from it, as
        each of several imputations must.
    cross_fitted : bool
        Match on predictions by models that never saw the donor. A model predicts the
        records that it was fitted on too well, so that without this the imputed
        values lie nearer to their predictions than true values do; single figures
        come out nearer to the truth, the spread around the prediction too small.
        Where donors are many more than `fit_rows`, it is always so.
    sharpness : float
        Power that calibrated probabilities of categories are raised to, with the
        expected frequencies of the imputed cells kept. Above 1, more cells come out
        right and fewer of the less likely categories within a group.
    trees, leaves, fit_rows : int
        See :class:`~mlstats.editimpute.learners.Learner`.

    Notes
    -----
    A cell that is missing and not in the mask counts as structurally missing: it is
    neither imputed nor used to fit, and a model sees that it is missing.

    Matching alone leans towards where donors are dense. The nearest donors therefore
    get chances with which the imputed values are expected to have the mean of
    :func:`~mlstats.editimpute.cross_fitting.expected_mean`. A single imputation is
    drawn so that means and frequencies hardly depend on the draw; with `bootstrap` all
    draws are independent.
    """

    kind = "ml"

    def __init__(
        self,
        predictors: Sequence[str] | None = None,
        *,
        family: str = "boosting",
        rounds: int = 2,
        neighbours: int = 10,
        zero_share: float = 0.1,
        bootstrap: bool = False,
        cross_fitted: bool = False,
        sharpness: float = 1.0,
        trees: int = 80,
        leaves: int = 31,
        fit_rows: int = 30_000,
    ) -> None:
        self.predictors = None if predictors is None else list(predictors)
        self.family = family
        self.rounds = rounds
        self.neighbours = neighbours
        self.zero_share = zero_share
        self.bootstrap = bootstrap
        self.cross_fitted = cross_fitted
        self.sharpness = sharpness
        self.trees = trees
        self.leaves = leaves
        self.fit_rows = fit_rows

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values with the donor of each matched cell."""
        if self.rounds < 1 or self.neighbours < 1:
            raise ConfigError("A chain needs a round and a neighbour at least")
        columns = list(frame.columns) if self.predictors is None else self.predictors
        numeric = _numbers_among(frame, [*columns, *mask.columns])
        full = checked_mask(frame, mask, numeric=numeric, structural=structural)
        # A column that nobody has says nothing, and a model cannot take it.
        never = {c for c in frame.columns if not (frame[c].notna() & ~full[c]).any()}
        columns = [c for c in columns if c not in never]
        asked = [c for c in frame.columns if full[c].any() and c not in never]
        used = [*columns, *(c for c in asked if c not in columns)]
        features, codes = _features(frame, used, full)
        targets = _targets(frame, full, used, asked)
        categorical = np.array([c in codes for c in used])
        ready = [t for t in targets if t.observed.any()]
        given = self._chained(features, ready, categorical, seed)
        donors = np.full(full.shape, -1)
        done = np.zeros(full.shape, dtype=bool)
        for target in ready:
            at = frame.columns.get_loc(target.name)
            donors[target.asked, at] = given[target.name]
            done[target.asked, at] = True
        reasons = np.full(full.shape, "no record has the variable", dtype=object)
        return treatment(
            frame,
            _written(frame, features, ready, codes),
            full,
            method=f"chained {self.family}",
            done=done,
            donors=donors,
            reasons=reasons,
        )

    def fitted(
        self,
        pool: pd.DataFrame,
        *,
        seed: int,
        asked: Sequence[str],
        filled: FilledUp | None = None,
    ) -> ChainOnPool:
        """Return the chain with its models fitted on a pool.

        Raises
        ------
        ConfigError
            With `sharpness`, which needs the frequencies of all imputed cells.
        """
        from mlstats.editimpute.chain_on_pool import ChainOnPool

        pool = pool if filled is None else filled.sample(pool)
        return ChainOnPool(self, pool, seed=seed, asked=asked)

    def _chained(
        self,
        features: np.ndarray,
        ready: list[_Target],
        categorical: np.ndarray,
        seed: int,
    ) -> dict[str, np.ndarray]:
        """Impute the targets in place; return the donors of each one's cells."""
        rng = np.random.default_rng(seed)
        learner = Learner(self.family, self.trees, self.leaves, self.fit_rows)
        for target in ready:
            start = rng.choice(np.flatnonzero(target.observed), int(target.asked.sum()))
            features[target.asked, target.place] = features[start, target.place]
        donors = {}
        for _ in range(self.rounds if len(ready) > 1 else 1):
            for target in ready:
                donors[target.name] = self._link(
                    features, target, categorical, learner, rng
                )
        return donors

    def _link(
        self,
        features: np.ndarray,
        target: _Target,
        categorical: np.ndarray,
        learner: Learner,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Impute one variable in place; return the donors, -1 for a drawn category."""
        others = np.arange(features.shape[1]) != target.place
        kinds = categorical[others]
        rows = np.flatnonzero(target.observed)
        if self.bootstrap:
            rows = rng.choice(rows, len(rows))
        X, y = features[:, others], features[:, target.place]
        wanted = np.flatnonzero(target.asked)
        seed = int(rng.integers(2**31))
        if target.categorical:
            fitted = some_of(rows, learner.fit_rows, rng)
            fold = rng.integers(0, FOLDS, len(X))
            classes, shares = learner.probabilities(
                X[fitted], y[fitted], kinds, seed, X[wanted], fold[fitted]
            )
            shares = sharpened(shares, self.sharpness)
            codes = drawn(shares, rng, balanced=not self.bootstrap)
            features[wanted, target.place] = classes[codes]
            return np.full(len(wanted), -1)
        found = np.full(len(wanted), -1)
        parts = self._parts(X, y, kinds, rows, wanted, learner, rng)
        for donors, at in parts:
            if not len(at):
                continue
            if np.ptp(y[donors]) == 0:
                found[at] = rng.choice(donors, len(at))
                continue
            found[at] = self._matched(X, y, kinds, donors, wanted[at], learner, rng)
        features[wanted, target.place] = y[found]
        return found

    def _matched(
        self,
        X: np.ndarray,
        y: np.ndarray,
        kinds: np.ndarray,
        donors: np.ndarray,
        wanted: np.ndarray,
        learner: Learner,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return a donor for each recipient."""
        ours, theirs = unseen_predictions(X, y, kinds, donors, wanted, learner, rng)
        unseen = np.flatnonzero(np.isfinite(ours))
        aim, given = None, donors
        if len(unseen):
            aim = expected_mean(
                X[np.append(donors[unseen], wanted)],
                y[donors[unseen]],
                kinds,
                ours[unseen],
                theirs.mean(axis=0),
                most=learner.fit_rows,
                rng=rng,
            )
        if len(unseen) and (self.cross_fitted or len(unseen) < len(donors)):
            given, ours = donors[unseen], ours[unseen]
            own = rng.integers(0, len(theirs), len(wanted))
            at = theirs[own, np.arange(len(wanted))]
        else:
            fitted = some_of(donors, learner.fit_rows, rng)
            seed = int(rng.integers(2**31))
            model = learner.regression(X[fitted], y[fitted], kinds, seed)
            ours, at = model.predict(X[donors]), model.predict(X[wanted])
        place = matched_donors(
            ours,
            at,
            rng,
            neighbours=self.neighbours,
            values=y[given],
            aim=aim,
            balanced=not self.bootstrap,
        )
        return np.asarray(given[place])

    def _parts(
        self,
        X: np.ndarray,
        y: np.ndarray,
        kinds: np.ndarray,
        rows: np.ndarray,
        wanted: np.ndarray,
        learner: Learner,
        rng: np.random.Generator,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return donors and recipients: one part, or the zeros and the others."""
        zero = y[rows] == 0
        if not self.zero_share <= zero.mean() < 1:
            return [(rows, np.arange(len(wanted)))]
        fitted = some_of(rows, learner.fit_rows, rng)
        seed = int(rng.integers(2**31))
        other = (y[fitted] != 0).astype(int)
        fold = rng.integers(0, FOLDS, len(X))
        classes, shares = learner.probabilities(
            X[fitted], other, kinds, seed, X[wanted], fold[fitted]
        )
        above = classes[drawn(shares, rng, balanced=not self.bootstrap)] == 1
        return [
            (rows[zero], np.flatnonzero(~above)),
            (rows[~zero], np.flatnonzero(above)),
        ]


def _numbers_among(frame: pd.DataFrame, names: list[str]) -> list[str]:
    there = [c for c in dict.fromkeys(names) if c in frame.columns]
    return [c for c in there if _is_number(frame[c])]


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(
        column
    )


def _features(
    frame: pd.DataFrame, used: list[str], mask: pd.DataFrame
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the columns as numbers, and the values behind each category's codes."""
    features = np.empty((len(frame), len(used)))
    codes: dict[str, np.ndarray] = {}
    for j, name in enumerate(used):
        column = frame[name].where(~mask[name])
        if _is_number(frame[name]):
            features[:, j] = column.to_numpy(dtype=float, na_value=np.nan)
            continue
        counts = column.value_counts(dropna=True)
        ranked = counts.index.to_numpy(dtype=object)
        if mask[name].any() and len(ranked) > MOST_CODES:
            raise ConfigError(
                f"{name!r} has {len(ranked)} categories",
                expected=f"at most {MOST_CODES} in a variable to impute",
            )
        place = pd.Index(ranked).get_indexer(column.to_numpy(dtype=object))
        coded = np.minimum(place, MOST_CODES).astype(float)
        coded[column.isna().to_numpy()] = np.nan
        features[:, j], codes[name] = coded, ranked
    return features, codes


def _targets(
    frame: pd.DataFrame, mask: pd.DataFrame, used: list[str], asked: list[str]
) -> list[_Target]:
    """Return the variables to impute, the one with fewest cells first."""
    found = []
    for name in sorted(asked, key=lambda c: int(mask[c].to_numpy().sum())):
        cells = mask[name].to_numpy()
        there = ~cells & frame[name].notna().to_numpy()
        kind = not _is_number(frame[name])
        found.append(_Target(name, used.index(name), kind, cells, there))
    return found


def _written(
    frame: pd.DataFrame,
    features: np.ndarray,
    targets: list[_Target],
    codes: dict[str, np.ndarray],
) -> pd.DataFrame:
    values = frame.copy()
    for target in targets:
        column = frame[target.name].copy()
        rows = np.flatnonzero(target.asked)
        filled = features[rows, target.place]
        if target.categorical:
            filled = codes[target.name][filled.astype(int)]
        elif pd.api.types.is_integer_dtype(column.dtype):
            filled = filled.astype(int)
        column.iloc[rows] = filled
        values[target.name] = column
    return values
