"""Probabilities of error, learnt from past manual edits.

What was never reviewed is neither right nor wrong, and what was reviewed was selected:
records without a finding are left out, the others count by one over their chance of
review. The probabilities are calibrated out of fold, and checked out of fold.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlstats.editimpute.anticipation import FeatureCoder, fold_of
from mlstats.errors import ConfigError, ContractError, nearest
from mlstats.quality.calibration import CalibrationError, expected_calibration_error
from mlstats.quality.design import Design

__all__ = ["ErrorDetector", "error_features"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# Right and wrong records below which nothing is learnt.
FEWEST = 20


def error_features(
    reported: pd.DataFrame,
    anticipated: pd.DataFrame,
    *,
    edits: pd.DataFrame | None = None,
    auxiliary: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return what the detector looks at.

    Parameters
    ----------
    reported, anticipated : DataFrame, shape (n, variables)
        The same columns; give as many kinds of anticipated values as there are by
        joining the results.
    edits : DataFrame of bool, optional
        Which record fails which edit, as in ``review(...)``.
    auxiliary : DataFrame, optional
        Other columns.

    Returns
    -------
    DataFrame
        ``V`` (reported), ``log_ratio_V`` (logarithm of reported over anticipated; NaN
        unless both are above zero), ``gap_V`` (their difference), ``edit_E``, and the
        auxiliary columns.
    """
    made: dict[str, Any] = {}
    for name in reported.columns:
        if name not in anticipated:
            raise ConfigError(
                f"The variable {name!r} has no anticipated values",
                nearest=nearest(str(name), map(str, anticipated.columns)),
            )
        y = reported[name].to_numpy(dtype=float, na_value=np.nan)
        base = anticipated[name].to_numpy(dtype=float, na_value=np.nan)
        if len(y) != len(base):
            raise ContractError(f"There are {len(y)} records, {len(base)} anticipated")
        both = (y > 0) & (base > 0)
        ratio = np.divide(y, base, out=np.full(len(y), np.nan), where=both)
        made[str(name)], made[f"log_ratio_{name}"] = y, np.log(ratio)
        made[f"gap_{name}"] = y - base
    for given, before in ((edits, "edit_"), (auxiliary, "")):
        if given is None:
            continue
        if len(given) != len(reported):
            raise ContractError(f"There are {len(reported)} records, {len(given)} rows")
        made |= {f"{before}{name}": given[name].array for name in given.columns}
    features = pd.DataFrame(made, index=reported.index)
    flags = features.select_dtypes("bool").columns
    return features.astype(dict.fromkeys(flags, float))


class ErrorDetector:
    """Probability that a record holds an error, by boosting on past edits.

    Parameters
    ----------
    calibration : {"logistic", "isotonic"}
        How scores become probabilities; ``isotonic`` needs a thousand records or so
        and makes equal probabilities.
    folds : int
        Of the cross-fitting.
    trees, leaves : int
        Of each model; small ones, because past errors are few.
    random_state : int
        Seed of folds and models.

    Attributes
    ----------
    out_of_fold_ : Series
        Probabilities of the past records, by models and calibrations that did not see
        them (NaN: not reviewed).
    """

    def __init__(
        self,
        *,
        calibration: Literal["logistic", "isotonic"] = "logistic",
        folds: int = 5,
        trees: int = 60,
        leaves: int = 8,
        random_state: int = 0,
    ) -> None:
        self.calibration = calibration
        self.folds = folds
        self.trees = trees
        self.leaves = leaves
        self.random_state = random_state

    def fit(
        self,
        features: pd.DataFrame,
        wrong: pd.Series,
        *,
        inclusion: pd.Series | None = None,
        cluster: pd.Series | None = None,
    ) -> ErrorDetector:
        """Learn from past records.

        Parameters
        ----------
        features : DataFrame
            Of :func:`error_features`, with what was reported before the edit.
        wrong : Series
            1 or True: changed by the review; 0: reviewed and kept; missing: not
            reviewed, left out.
        inclusion : Series, optional
            Chance that the record was reviewed, above 0 up to 1.
        cluster : Series, optional
            Labels of what must not be in two folds.
        """
        if self.calibration not in ("logistic", "isotonic"):
            raise ConfigError(
                f"calibration is {self.calibration!r}", expected="logistic or isotonic"
            )
        used, label = _findings(features, wrong)
        self._weight = _review_weights(inclusion, used)
        self._label = label[used]
        past = features[used]
        self._coder = FeatureCoder(past, list(features.columns))
        X = self._coder.numbers_of(past)
        units = pd.DataFrame({"unit": np.arange(len(features))[used]})
        if cluster is not None:
            units["unit"] = cluster.to_numpy()[used]
        self._unit = units["unit"].to_numpy()
        fold = fold_of(units, "unit", self.folds, self.random_state)
        self._models = [self._model(X[fold != k], fold != k) for k in range(self.folds)]
        score = np.empty(len(X))
        for k, model in enumerate(self._models):
            score[fold == k] = model.decision_function(X[fold == k])
        self._scale = self._calibrated(score, np.ones(len(X), dtype=bool))
        own = np.full(len(features), np.nan)
        inner = np.empty(len(X))
        for k in range(self.folds):
            scale = self._calibrated(score, fold != k)
            inner[fold == k] = _scaled(scale, score[fold == k])
        own[used] = inner
        self.out_of_fold_ = pd.Series(own, features.index, name="probability")
        return self

    def probability(self, features: pd.DataFrame) -> pd.Series:
        """Return the probability of error of new records.

        The average over the models of the folds, each calibrated.
        """
        if not hasattr(self, "_models"):
            raise ConfigError("The detector of errors was not fitted", hint="call fit")
        X = self._coder.numbers_of(features)
        chance = [_scaled(self._scale, m.decision_function(X)) for m in self._models]
        return pd.Series(np.mean(chance, axis=0), features.index, name="probability")

    def calibration_error(
        self, *, seed: int, simulations: int = 500
    ) -> CalibrationError:
        """Return the calibration error of the past records, out of fold."""
        design = Design.of(self._weight, cluster=self._unit)
        own = self.out_of_fold_.dropna().to_numpy()
        return expected_calibration_error(
            design, own, self._label, simulations=simulations, seed=seed
        )

    def _model(self, X: Floats, rows: Bools) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        label = self._label[rows]
        if label.all() or not label.any():
            raise ContractError(
                "A fold of past edits holds no error, or nothing else",
                hint="give more past records, fewer folds or smaller clusters",
            )
        categorical = self._coder.categorical
        model = HistGradientBoostingClassifier(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            learning_rate=0.08,
            categorical_features=categorical if categorical.any() else None,
            early_stopping=False,
            random_state=self.random_state,
        )
        return model.fit(X, label, sample_weight=self._weight[rows])

    def _calibrated(self, score: Floats, rows: Bools) -> Any:
        """Return what turns scores into probabilities, learnt from some records."""
        if self.calibration == "isotonic":
            from sklearn.isotonic import IsotonicRegression

            scale = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        else:
            from sklearn.linear_model import LogisticRegression

            scale = LogisticRegression(C=np.inf)
        label, weight = self._label[rows], self._weight[rows]
        return scale.fit(score[rows, None], label, sample_weight=weight)


def _scaled(scale: Any, score: Floats) -> Floats:
    if hasattr(scale, "predict_proba"):
        return np.asarray(scale.predict_proba(score[:, None])[:, 1], dtype=float)
    return np.asarray(scale.predict(score[:, None]), dtype=float)


def _findings(features: pd.DataFrame, wrong: pd.Series) -> tuple[Bools, Bools]:
    """Return which records were reviewed, and which of them were wrong."""
    if len(wrong) != len(features):
        raise ContractError(f"There are {len(features)} records, {len(wrong)} findings")
    finding = wrong.to_numpy(dtype=float, na_value=np.nan)
    used = ~np.isnan(finding)
    if not np.isin(finding[used], [0, 1]).all():
        raise ContractError(
            "Findings of past reviews are neither right nor wrong",
            expected="1 (changed), 0 (kept) or missing (not reviewed)",
        )
    label = finding == 1
    errors, kept = int(label.sum()), int((used & ~label).sum())
    if min(errors, kept) < FEWEST:
        raise ContractError(
            f"Past reviews hold {errors} errors and {kept} records without",
            expected=f"{FEWEST} of each",
            hint="rank by the score without a probability until there are more",
        )
    return used, label


def _review_weights(inclusion: pd.Series | None, used: Bools) -> Floats:
    if inclusion is None:
        return np.ones(int(used.sum()))
    if len(inclusion) != len(used):
        raise ContractError(f"There are {len(used)} records, {len(inclusion)} chances")
    chance = inclusion.to_numpy(dtype=float, na_value=np.nan)[used]
    if not ((chance > 0) & (chance <= 1)).all():
        raise ContractError(
            "Chances of review are missing, zero or above 1 in reviewed records"
        )
    weight = 1 / chance
    return np.asarray(weight / weight.mean())
