"""Categories drawn from a log-linear model, the traditional way beside the hot-deck.

A log-linear model of the table of predictors x target that holds the whole table of the
predictors, and the terms of the target with each of them and with chosen pairs, is a
multinomial logistic regression of the target on these terms (Agresti 2013, Categorical
Data Analysis, 3rd edition, section 9.5). It is fitted in that form: the table itself
would have more cells than the file has records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from mlstats.editimpute.learners import drawn
from mlstats.editimpute.treatment import Imputer, Treatment, checked_mask, treatment
from mlstats.errors import ConfigError, nearest

if TYPE_CHECKING:
    from mlstats.editimpute.multinomial_on_pool import MultinomialOnPool
    from mlstats.editimpute.pool import FilledUp

__all__ = ["MultinomialImputer"]


class MultinomialImputer(Imputer):
    """Draw categories with the probabilities of a multinomial logistic regression.

    Parameters
    ----------
    predictors : sequence of str, optional
        Columns to predict from; all that are not imputed if left out.
    interactions : sequence of pairs of str
        Predictors whose pairs are terms too.
    classes : int
        Quantile classes that a numeric predictor is cut into.
    penalty : float
        Ridge on the coefficients, as a number of prior records: a cell without
        records would have no finite estimate.
    bootstrap : bool
        Fit on a bootstrap sample of the observed records and draw independently, as
        each of several imputations must.

    Notes
    -----
    A missing value of a predictor is a category of its own. Each variable is imputed
    by itself; numbers are refused. Draws are balanced, see
    :func:`~mlstats.editimpute.learners.drawn`.
    """

    kind = "traditional"

    def __init__(
        self,
        predictors: Sequence[str] | None = None,
        *,
        interactions: Sequence[tuple[str, str]] = (),
        classes: int = 8,
        penalty: float = 1.0,
        bootstrap: bool = False,
    ) -> None:
        self.predictors = None if predictors is None else list(predictors)
        self.interactions = list(interactions)
        self.classes = classes
        self.penalty = penalty
        self.bootstrap = bootstrap

    def treat(
        self,
        frame: pd.DataFrame,
        mask: pd.DataFrame,
        seed: int,
        structural: pd.DataFrame | None = None,
    ) -> Treatment:
        """Return the imputed values; no cell has a donor.

        Raises
        ------
        ConfigError
            Where a number is to be imputed, or a predictor is unknown.
        """
        full = checked_mask(frame, mask, structural=structural)
        asked = [c for c in frame.columns if full[c].any()]
        for name in asked:
            column = frame[name]
            if pd.api.types.is_numeric_dtype(column) and not _is_flag(column):
                raise ConfigError(
                    f"{name!r} is a number; a multinomial model draws categories",
                    hint="impute it by a donor or by ChainedImputer",
                )
        design = self._design(frame, full, asked)
        rng = np.random.default_rng(seed)
        values = frame.copy()
        done = np.zeros(full.shape, dtype=bool)
        for name in asked:
            cells = full[name].to_numpy()
            seen = ~cells & frame[name].notna().to_numpy()
            if not seen.any():
                continue
            column = frame[name].copy()
            column[cells] = self._drawn(
                design, column.array, np.flatnonzero(seen), np.flatnonzero(cells), rng
            )
            values[name] = column
            done[cells, frame.columns.get_loc(name)] = True
        reasons = np.full(full.shape, "no record has the variable", dtype=object)
        return treatment(
            frame, values, full, method="multinomial", done=done, reasons=reasons
        )

    def fitted(
        self,
        pool: pd.DataFrame,
        *,
        seed: int,
        asked: Sequence[str],
        filled: FilledUp | None = None,
    ) -> MultinomialOnPool:
        """Return the models of the categories that may be asked for, fitted on a pool.

        Each unit draws by its label, so that draws are independent and not balanced.

        Raises
        ------
        ConfigError
            Without `predictors`: which columns are not imputed differs by record.
        """
        from mlstats.editimpute.multinomial_on_pool import MultinomialOnPool

        pool = pool if filled is None else filled.sample(pool)
        return MultinomialOnPool(self, pool, seed=seed, asked=asked)

    def _drawn(
        self,
        design: sparse.csr_array,
        column: Any,
        seen: np.ndarray,
        wanted: np.ndarray,
        rng: np.random.Generator,
    ) -> Any:
        from sklearn.linear_model import LogisticRegression

        rows = rng.choice(seen, len(seen)) if self.bootstrap else seen
        codes, found = pd.factorize(pd.Index(column[rows]), sort=True)
        if len(found) == 1:
            return found[np.zeros(len(wanted), int)]
        model = LogisticRegression(C=1 / self.penalty, max_iter=500)
        model.fit(design[rows], codes)
        shares = model.predict_proba(design[wanted])
        return found[drawn(shares, rng, balanced=not self.bootstrap)]

    def _design(
        self, frame: pd.DataFrame, mask: pd.DataFrame, asked: list[str]
    ) -> sparse.csr_array:
        """Return an indicator for each class of each predictor and pair."""
        names = self.predictors
        if names is None:
            names = [c for c in frame.columns if c not in asked]
        for name in [*names, *(c for pair in self.interactions for c in pair)]:
            if name not in frame.columns or name in asked:
                raise ConfigError(
                    f"There is no predictor {name!r} that is not imputed itself",
                    nearest=nearest(name, [c for c in frame.columns if c not in asked]),
                )
        codes = {
            name: _classes(frame[name], self.classes)
            for name in dict.fromkeys(
                [*names, *(c for p in self.interactions for c in p)]
            )
        }
        terms = [codes[name] for name in names]
        for one, other in self.interactions:
            pair = codes[one] * (codes[other].max() + 1) + codes[other]
            terms.append(np.unique(pair, return_inverse=True)[1])
        n = len(frame)
        parts = [
            sparse.csr_array(
                (np.ones(n), (np.arange(n), term)), shape=(n, term.max() + 1)
            )
            for term in terms
        ]
        return sparse.csr_array(sparse.hstack(parts))


def _is_flag(column: pd.Series) -> bool:
    return bool(pd.api.types.is_bool_dtype(column))


def _classes(column: pd.Series, classes: int) -> np.ndarray:
    """Return the class of each record, that of missing values included."""
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > classes:
        column = pd.qcut(column, classes, labels=False, duplicates="drop")
    return np.asarray(pd.factorize(column, use_na_sentinel=False)[0])
