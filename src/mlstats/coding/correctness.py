"""A model of P(the first code is right), on top of any method.

A score is one witness; whether other methods agree, whether the words are known and
how long the text is are others. The model is logistic (Platt's with more evidence)
with an effect of each group of codes, shrunk towards none: a group with few rows is
pooled with the rest (a random intercept at its posterior mode; Gelman and Hill 2007,
Data analysis using regression, chapter 12).

It is fitted on rows that none of the methods learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mlstats.coding.building import fit_method, load_methods, make_nested, save_methods
from mlstats.coding.calibration import Floats
from mlstats.coding.classification import FULL, Classification
from mlstats.coding.coder import Objects, coded_rows
from mlstats.coding.features import TermCounts
from mlstats.coding.saved_model import read_description
from mlstats.coding.text import normalise
from mlstats.method import predict_top
from mlstats.writing import write_json

__all__ = ["Checked", "CorrectnessModel"]

_EDGE = 1e-6  # a score nearer to 0 or 1 is taken as this before its log odds
_RIDGE = 1.0  # rows' worth of information that an effect of evidence is none
_GROUP_VARIANCE = 0.25  # of the groups' effects on the log odds


@dataclass(frozen=True)
class CorrectnessModel:
    """P(right) from evidence about a decision and the group of its code.

    Attributes
    ----------
    names : list of str
        Columns of the evidence.
    mean, spread, weights : list of float
        Of each column; `weights` begins with the intercept.
    groups : dict of str to float
        Effect of each group on the log odds; none for a group not met before.

    Examples
    --------
    >>> evidence = pd.DataFrame({"log_odds": [3.0, 2.0, 1.0, -1.0, -2.0, 0.0]})
    >>> right = np.array([True, True, True, False, False, True])
    >>> model = CorrectnessModel.fit(evidence, right)
    >>> chance = model.predict(pd.DataFrame({"log_odds": [-2.0, 3.0]}))
    >>> bool(chance[0] < 0.5 < chance[1])
    True
    """

    names: list[str]
    mean: list[float]
    spread: list[float]
    weights: list[float]
    groups: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        evidence: pd.DataFrame,
        right: npt.NDArray[np.bool_],
        group: Objects | None = None,
    ) -> CorrectnessModel:
        """Fit the model.

        Parameters
        ----------
        evidence : DataFrame, shape (n, columns)
            Numbers.
        right : ndarray of bool, shape (n,)
            Whether the decision was right.
        group : ndarray of object, shape (n,), optional
            Level-1 group of the code that was given; None where it has none.
        """
        values = evidence.to_numpy(dtype=float)
        mean, spread = values.mean(axis=0), values.std(axis=0)
        spread[spread == 0] = 1
        number, names = pd.factorize(_no_groups(len(right)) if group is None else group)
        x = np.column_stack([np.ones(len(values)), (values - mean) / spread])
        wide = x.shape[1]
        pulls = np.r_[0.0, np.full(wide - 1, _RIDGE), np.full(len(names), 1.0)]
        pulls[wide:] /= _GROUP_VARIANCE
        hits = right.sum()
        target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))
        there = number >= 0

        def loss(w: Floats) -> tuple[float, Floats]:
            line = x @ w[:wide] + np.where(there, np.r_[w[wide:], 0.0][number], 0.0)
            off = expit(line) - target
            slope = np.r_[x.T @ off, np.bincount(number[there], off[there], len(names))]
            told = (np.logaddexp(0, line) - target * line).sum()
            return float(told + pulls @ w**2 / 2), slope + pulls * w

        start = np.zeros(wide + len(names))
        found = minimize(loss, start, jac=True, method="L-BFGS-B").x.tolist()
        effects = dict(zip(map(str, names), found[wide:], strict=True))
        columns = list(map(str, evidence.columns))
        return cls(columns, mean.tolist(), spread.tolist(), found[:wide], effects)

    def predict(self, evidence: pd.DataFrame, group: Objects | None = None) -> Floats:
        """Return P(right) of each decision.

        Parameters
        ----------
        evidence : DataFrame, shape (n, columns)
            The columns of :meth:`fit`.
        group : ndarray of object, shape (n,), optional

        Returns
        -------
        ndarray of float, shape (n,)
        """
        values = evidence[self.names].to_numpy(dtype=float)
        line = (values - self.mean) / self.spread @ np.array(self.weights[1:])
        if group is not None:
            line = line + np.array([self.groups.get(str(g), 0.0) for g in group])
        chance: Floats = expit(line + self.weights[0])
        return chance


class Checked(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """The codes of one method, with a confidence of a model of its own.

    The evidence: score and lead of the first code, its length and share of known
    words, whether the text is known as a whole, and for each method `beside` whether
    it agrees and what it thinks of the code.

    Parameters
    ----------
    methods : list of mapping
        ``{use: ..., params: {...}}``; the first gives the codes, the others stand
        beside it.
    classification : Classification, optional
        For the level-1 groups; a pilot hands its own over. Without it all codes are
        one group.
    min_units : int, default=2
        A word or text that fewer units or clusters have is not known; handed to the
        methods that have it.
    random_state : int, default=0
        Handed to the methods that have it.

    Attributes
    ----------
    classes_ : ndarray of object
        Codes of the first method.
    methods_ : list
        Fitted.
    model_ : CorrectnessModel or None
        None before :meth:`calibrate`: the first method's own scores are given.
    """

    kind_of_work: ClassVar[str] = "predict"
    confidential: ClassVar[bool] = True

    def __init__(
        self,
        methods: list[dict[str, Any]],
        *,
        classification: Classification | None = None,
        min_units: int = 2,
        random_state: int = 0,
    ) -> None:
        self.methods = methods
        self.classification = classification
        self.min_units = min_units
        self.random_state = random_state

    def fit(
        self, X: pd.DataFrame, y: pd.Series, groups: pd.Series | None = None
    ) -> Self:
        """Fit the methods, and learn which words and texts are known.

        Parameters
        ----------
        X, y, groups
            As in :class:`~mlstats.coding.linear.LinearText`.
        """
        rows, codes, used = coded_rows(X, y)
        clusters = None
        if groups is not None:
            clusters = pd.Series(groups)[used].reset_index(drop=True)
        made = make_nested(
            self.methods, seed=self.random_state, min_units=self.min_units
        )
        self.methods_ = [fit_method(m, rows, codes, clusters) for m in made]
        self.classes_ = np.asarray(self.methods_[0].classes_, dtype=object)
        known = TermCounts(word_ngrams=1, covariates="ignore", min_units=self.min_units)
        self._words = set(known.fit(rows, groups=clusters).names_["words"])
        self._texts = _common(rows["text"], clusters, self.min_units)
        self._first_groups = _level_one(self.classes_, self.classification)
        self.model_: CorrectnessModel | None = None
        return self

    def calibrate(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Fit the model of correctness on coded rows that :meth:`fit` never saw.

        Parameters
        ----------
        X, y : DataFrame and Series
            As in :meth:`fit`.
        """
        check_is_fitted(self, "classes_")
        rows, truth, _ = coded_rows(X, y)
        if len(rows):
            codes, scores = predict_top(self.methods_[0], rows, 2)
            coded = np.flatnonzero([code is not None for code in codes[:, 0]])
            rows = rows.iloc[coded].reset_index(drop=True)
            evidence = self._evidence(rows, codes[coded], scores[coded])
            right = codes[coded, 0] == truth[coded]
            group = self._groups(codes[coded, 0])
            self.model_ = CorrectnessModel.fit(evidence, right, group)
        return self

    def predict(self, X: pd.DataFrame) -> Objects:
        """Return the first method's code of each row, None where it has none."""
        return np.asarray(self.predict_top(X, 1)[0][:, 0], dtype=object)

    def predict_top(self, X: pd.DataFrame, k: int = 5) -> tuple[Objects, Floats]:
        """Return the best codes of each row.

        Parameters
        ----------
        X : DataFrame, shape (n, 1 + covariates)
            The columns of :meth:`fit`.
        k : int, default=5
            Number of candidates.

        Returns
        -------
        codes : ndarray of object, shape (n, k)
            As the first method ranks them.
        scores : ndarray of float, shape (n, k)
            P(right) of the first code; the others share the rest in proportion to
            their scores, none of them more than the first.
        """
        check_is_fitted(self, "classes_")
        rows = X.assign(text=normalise(X["text"])).reset_index(drop=True)
        codes, scores = predict_top(self.methods_[0], rows, max(k, 2))
        coded = np.flatnonzero([code is not None for code in codes[:, 0]])
        if self.model_ is not None and len(coded):
            some = rows.iloc[coded].reset_index(drop=True)
            evidence = self._evidence(some, codes[coded], scores[coded])
            chance = self.model_.predict(evidence, self._groups(codes[coded, 0]))
            scores[coded] = _shared(scores[coded], chance)
        return codes[:, :k], scores[:, :k]

    def save(self, folder: Path) -> None:
        """Write the methods, each into its folder, and the model (json)."""
        about = {
            "min_units": self.min_units,
            "random_state": self.random_state,
            "classes": self.classes_.tolist(),
            "words": sorted(self._words),
            "texts": sorted(self._texts),
            "groups": self._first_groups,
            "model": None if self.model_ is None else vars(self.model_),
        }
        save_methods(self.methods_, Path(folder))
        write_json(Path(folder) / "checked.json", about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        SourceError
            If the folder does not hold it.
        """
        about = read_description(Path(folder) / "checked.json")
        seed, least = about["random_state"], about["min_units"]
        checked = cls([], min_units=least, random_state=seed)
        checked.classes_ = np.array(about["classes"], dtype=object)
        checked.methods_ = load_methods(Path(folder))
        checked._words, checked._texts = set(about["words"]), set(about["texts"])
        checked._first_groups = about["groups"]
        model = about["model"]
        checked.model_ = None if model is None else CorrectnessModel(**model)
        return checked

    def _evidence(
        self, rows: pd.DataFrame, codes: Objects, scores: Floats
    ) -> pd.DataFrame:
        """Describe decisions; the texts are normalised."""
        score = np.clip(np.nan_to_num(scores), _EDGE, 1 - _EDGE)
        words = [text.split() for text in rows["text"]]
        known = [sum(word in self._words for word in w) / max(len(w), 1) for w in words]
        told = {
            "log_odds": logit(score[:, 0]),
            "lead": np.log(score[:, 0] / score[:, 1]),
            "words": np.log1p([len(w) for w in words]),
            "known_words": np.array(known),
            "known_text": rows["text"].isin(self._texts).to_numpy(dtype=float),
        }
        for number, method in enumerate(self.methods_[1:], start=1):
            others, thought = predict_top(method, rows, 5)
            same = others == codes[:, :1]
            told[f"agrees_{number}"] = same[:, 0].astype(float)
            told[f"score_{number}"] = (np.nan_to_num(thought) * same).sum(axis=1)
        return pd.DataFrame(told)

    def _groups(self, codes: Objects) -> Objects:
        groups = [self._first_groups.get(code) for code in codes]
        return np.array(groups, dtype=object)


def _level_one(
    classes: Objects, classification: Classification | None
) -> Mapping[str, str | None]:
    if classification is None:
        return {}
    level = (*classification.levels, FULL)[0]
    groups = classification.extended(classes).ancestor(classes, level)
    return dict(zip(classes, groups, strict=True))


def _common(texts: pd.Series, clusters: pd.Series | None, least: int) -> set[str]:
    """Return the texts that enough clusters have."""
    cluster = pd.Series(np.arange(len(texts)), index=texts.index).astype(object)
    if clusters is not None:
        cluster = clusters.astype(object).where(clusters.notna(), cluster)
    users = pd.DataFrame({"text": texts, "cluster": cluster.astype(str)})
    count = users.drop_duplicates()["text"].value_counts()
    return set(count.index[count >= least])


def _no_groups(n: int) -> Objects:
    return np.full(n, None, dtype=object)


def _shared(scores: Floats, chance: Floats) -> Floats:
    """Give the first place its chance and share the rest among the others."""
    told = np.nan_to_num(scores)
    rest = 1 - np.minimum(told[:, 0], 1 - _EDGE)
    others = told * ((1 - chance) / rest)[:, None]
    others[:, 0] = chance
    shared: Floats = np.minimum(others, chance[:, None])
    return shared
