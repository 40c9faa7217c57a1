"""Predictions by models that never saw the record, and the mean that follows."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlstats.editimpute.learners import Learner

__all__ = ["FOLDS", "expected_mean", "fold_models", "some_of", "unseen_predictions"]

# Folds, and the donors below which there are none.
FOLDS, FEWEST = 3, 60
# Categories with an indicator of their own, and how far a weight may exceed the mean.
MOST_INDICATORS, HEAVIEST = 20, 10.0


def unseen_predictions(
    X: np.ndarray,
    y: np.ndarray,
    kinds: np.ndarray,
    donors: np.ndarray,
    wanted: np.ndarray,
    learner: Learner,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict each donor by a model that never saw it, recipients by each model.

    Parameters
    ----------
    X, y : numpy.ndarray, shape (n, features) and (n,)
        Features and values.
    kinds : numpy.ndarray of bool, shape (features,)
        Which are codes of categories.
    donors, wanted : numpy.ndarray of int
        Rows with a value (a row may come several times), and without.
    learner, rng : Learner, numpy.random.Generator
        The models, the folds and their seeds.

    Returns
    -------
    ours, theirs : numpy.ndarray, shape (donors,) and (models, recipients)
        NaN for a donor that every model saw; no model where donors are few.
    """
    ours, models = fold_models(X, y, kinds, donors, learner, rng)
    theirs = np.empty((len(models), len(wanted)))
    for number, model in enumerate(models):
        theirs[number] = model.predict(X[wanted])
    return ours, theirs


def fold_models(
    X: np.ndarray,
    y: np.ndarray,
    kinds: np.ndarray,
    donors: np.ndarray,
    learner: Learner,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[Any]]:
    """Return the predictions of donors and the models of :func:`unseen_predictions`."""
    ours = np.full(len(donors), np.nan)
    models: list[Any] = []
    if len(donors) < FEWEST:
        return ours, models
    if len(donors) >= 2 * learner.fit_rows:
        # One model on a part of the records leaves donors enough.
        share = learner.fit_rows / len(donors)
        folds, fold = 1, (rng.random(len(X)) < share).astype(int)
    else:
        # A bootstrap sample has a record several times: all in one fold.
        folds, fold = FOLDS, rng.integers(0, FOLDS, len(X))
    for number in range(folds):
        at = fold[donors] == number
        fitted = some_of(donors[~at], learner.fit_rows, rng)
        seed = int(rng.integers(2**31))
        model = learner.regression(X[fitted], y[fitted], kinds, seed)
        ours[at] = model.predict(X[donors[at]])
        models.append(model)
    return ours, models


def expected_mean(
    X: np.ndarray,
    y: np.ndarray,
    kinds: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    most: int,
    rng: np.random.Generator,
) -> float:
    """Return the mean that the values of the recipients are expected to have.

    The line of the donors' values on their predictions, each donor with its odds of
    being a recipient as weight, at the mean prediction of the recipients. It is right
    if either the predictions or the odds are (Robins, Rotnitzky and Zhao 1994, JASA
    89, 846-866; as a regression with weights, Kang and Schafer 2007, Statistical
    Science 22, 523-539, section 3).

    Parameters
    ----------
    X : numpy.ndarray, shape (donors + recipients, features)
        Features, the donors first.
    y, ours : numpy.ndarray, shape (donors,)
        Values, and predictions by models that never saw them.
    theirs : numpy.ndarray, shape (recipients,)
        Predictions of the recipients.
    most : int
        Most rows to fit the odds on.
    """
    weight = _odds(X, kinds, len(y), most, rng)
    middle, mean = float(weight @ ours), float(weight @ y)
    apart = weight * (ours - middle)
    spread = float(apart @ ours)
    slope = float(apart @ y) / spread if spread > 0 else 0.0
    return mean + slope * (float(theirs.mean()) - middle)


def _odds(
    X: np.ndarray, kinds: np.ndarray, donors: int, most: int, rng: np.random.Generator
) -> np.ndarray:
    """Return each donor's odds of being a recipient, adding up to one."""
    from sklearn.linear_model import LogisticRegression

    Z = _standardised(X, kinds)
    lacks = np.arange(len(X)) >= donors
    fitted = some_of(np.arange(len(X)), most, rng)
    if not Z.shape[1] or not 0 < lacks[fitted].mean() < 1:
        return np.full(donors, 1 / donors)
    model = LogisticRegression(max_iter=200).fit(Z[fitted], lacks[fitted])
    odds = np.exp(model.decision_function(Z[:donors]))
    odds = np.minimum(odds, HEAVIEST * odds.mean())
    return np.asarray(odds / odds.sum())


def _standardised(X: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return numbers with mean 0 and variance 1, and indicators of common codes."""
    found = [np.empty((len(X), 0))]
    for column, is_code in zip(X.T, kinds, strict=True):
        gap = np.isnan(column)
        if gap.any():
            found.append(gap[:, None].astype(float))
        if is_code:
            # Codes are in the order of their frequency.
            found.append((column[:, None] == np.arange(MOST_INDICATORS)).astype(float))
        elif not gap.all():
            filled = np.where(gap, column[~gap].mean(), column)
            found.append((filled - filled.mean())[:, None] / (filled.std() or 1.0))
    Z = np.hstack(found)
    return np.asarray(Z[:, np.ptp(Z, axis=0) > 0])


def some_of(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return all rows, or `most` of them drawn."""
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False)
