"""Several methods made one: their candidates, weighed by how right each one was.

Stacking (Wolpert 1992, Stacked generalization): every base method is fitted without a
part of the training rows (whole clusters) and gives its candidates for that part, so
that no candidate comes from a model that saw its row. A conditional logit (McFadden
1974) over the candidates of a row learns how much a place, a score and a lead in each
method are worth:

    P(c | x) = exp(w' z(x, c)) / sum over codes d of exp(w' z(x, d))

Its scores are then calibrated like those of any method, on rows of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from mlstats.coding.building import fit_method, load_methods, make_nested, save_methods
from mlstats.coding.calibration import Calibration, Floats, Ints
from mlstats.coding.coder import CalibratedCoder, Objects, Scorer
from mlstats.coding.saved_model import read_description
from mlstats.errors import ConfigError
from mlstats.method import predict_top
from mlstats.writing import write_json

__all__ = ["Stacked"]

_FEATURES = 5  # of each method: there, score, distance, lead, first
_SMALLEST = 1e-9  # a score below it is taken as this when its log is needed
_FAR = 8.0  # a longer distance of log scores is taken as this
_RIDGE = 1e-3  # of the weights, beside the mean log-loss


class Stacked(CalibratedCoder):
    """A weighing of the candidates of several methods.

    Parameters
    ----------
    methods : list of mapping
        The methods, traditional and learned, each ``{use: ..., params: {...}}``.
    candidates : int, default=10
        How many codes of each method are candidates.
    folds : int, default=4
        Parts of the training rows; a base method is fitted once for each, and once
        on all rows.
    min_units : int, default=2
        Handed to the methods that have it.
    random_state : int, default=0
        Which clusters make a part; handed to the methods that have it.

    Attributes
    ----------
    classes_ : ndarray of object
        The codes of the training rows and of the methods, sorted.
    methods_ : list
        The methods, fitted on all training rows.
    weights_ : ndarray
        Weights of the conditional logit: five a method, then the code's share among
        the training rows and how many methods have it first.

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["whole milk", "milk", "rye bread", "bread"] * 5})
    >>> y = pd.Series(["0114", "0114", "0111", "0111"] * 5)
    >>> both = [{"use": f"mlstats.coding.{m}"} for m in ("ExactIndex", "LinearText")]
    >>> Stacked(both).fit(X, y).predict(X[:3]).tolist()
    ['0114', '0114', '0111']
    """

    def __init__(
        self,
        methods: list[dict[str, Any]],
        *,
        candidates: int = 10,
        folds: int = 4,
        min_units: int = 2,
        random_state: int = 0,
    ) -> None:
        self.methods = methods
        self.candidates = candidates
        self.folds = folds
        self.min_units = min_units
        self.random_state = random_state

    def save(self, folder: Path) -> None:
        """Write the methods, each into its folder, and the weights (json)."""
        about = {
            "parameters": {**self.get_params(deep=False), "methods": []},
            "classes": self.classes_.tolist(),
            "weights": self.weights_.tolist(),
            "share": self._share.tolist(),
            "calibration": vars(self._probabilities_ready()),
        }
        save_methods(self.methods_, Path(folder))
        write_json(Path(folder) / "stacked.json", about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        SourceError
            If the folder does not hold it.
        """
        about = read_description(Path(folder) / "stacked.json")
        stacked = cls(**about["parameters"])
        stacked.classes_ = np.array(about["classes"], dtype=object)
        stacked.methods_ = load_methods(Path(folder))
        stacked.weights_ = np.array(about["weights"])
        stacked._share = np.array(about["share"])
        stacked._calibration = Calibration(**about["calibration"])
        stacked._training = None
        return stacked

    def _learn(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        self._check_parameters()
        part = _parts(len(rows), groups, self.folds, self.random_state)
        self.methods_ = self._fitted(rows, codes, groups)
        known = [m.classes_ for m in self.methods_ if hasattr(m, "classes_")]
        self.classes_ = np.array(
            sorted(set(codes).union(*map(set, known))), dtype=object
        )
        code = pd.Index(self.classes_).get_indexer(pd.Index(codes))
        self._share = _log_share(code, len(self.classes_))
        tables, truths = [], []
        for held in range(self.folds):
            out = part == held
            kept = None if groups is None else groups[~out].reset_index(drop=True)
            learned = rows[~out].reset_index(drop=True)
            methods = self._fitted(learned, codes[~out], kept)
            # The share that the methods knew: a held-out row must not tell its code.
            share = _log_share(code[~out], len(self.classes_))
            tables.append(self._table(methods, rows[out], share))
            truths.append(code[out])
        self.weights_ = _conditional_logit(_joined(tables), np.concatenate(truths))

    def _fitted(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> list[Any]:
        made = make_nested(
            self.methods, seed=self.random_state, min_units=self.min_units
        )
        return [fit_method(method, rows, codes, groups) for method in made]

    def _table(self, methods: list[Any], rows: pd.DataFrame, share: Floats) -> _Table:
        found = [predict_top(method, rows, self.candidates) for method in methods]
        codes, scores = [list(part) for part in zip(*found, strict=True)]
        return _tabulated(codes, scores, self.classes_, share)

    def _scorer(self, rows: pd.DataFrame) -> Scorer:
        table = self._table(self.methods_, rows, self._share)
        value = table.features @ self.weights_
        nobody = self._share * self.weights_[-2]

        def score(part: slice) -> Floats:
            scores = np.tile(nobody, (part.stop - part.start, 1))
            here = slice(*np.searchsorted(table.row, [part.start, part.stop]))
            scores[table.row[here] - part.start, table.code[here]] = value[here]
            return scores

        return score

    def _check_parameters(self) -> None:
        for name, least in (("candidates", 1), ("folds", 2)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}",
                    expected=f"a number from {least} on",
                )


@dataclass(frozen=True)
class _Table:
    """A line per row and candidate; lines of a row lie together."""

    row: Ints
    code: Ints
    features: Floats
    rows: int


def _joined(tables: list[_Table]) -> _Table:
    start = np.cumsum([0, *(table.rows for table in tables)])
    return _Table(
        np.concatenate([t.row + s for t, s in zip(tables, start, strict=False)]),
        np.concatenate([table.code for table in tables]),
        np.concatenate([table.features for table in tables]),
        int(start[-1]),
    )


def _log_share(code: Ints, codes: int) -> Floats:
    """Return the log of each code's share, half a row added to each."""
    count = np.bincount(code, minlength=codes) + 0.5
    share: Floats = np.log(count / count.sum())
    return share


def _tabulated(
    codes: list[Objects], scores: list[Floats], classes: Objects, share: Floats
) -> _Table:
    """Describe every candidate of every row; what a method lacks is 0."""
    index, width = pd.Index(classes), len(classes)
    keys, described = [], []
    for top, score in zip(codes, scores, strict=True):
        code = index.get_indexer(pd.Index(top.ravel())).reshape(top.shape)
        keys.append(
            np.where(code >= 0, np.arange(len(top))[:, None] * width + code, -1)
        )
        described.append(_described(np.nan_to_num(score)))
    every = np.unique(np.concatenate([key.ravel() for key in keys]))
    every = every[every >= 0]
    features = np.zeros((len(every), _FEATURES * len(codes) + 2))
    for method, (key, values) in enumerate(zip(keys, described, strict=True)):
        there = key >= 0
        line = np.searchsorted(every, key[there])
        start = _FEATURES * method
        features[line, start : start + _FEATURES] = values[there]
        features[np.searchsorted(every, key[:, 0][there[:, 0]]), -1] += 1
    features[:, -1] **= 2  # two methods that agree tell more than twice one
    row, code = np.divmod(every, width)
    features[:, -2] = share[code]
    return _Table(row, code, features, len(codes[0]))


def _described(score: Floats) -> Floats:
    """Return the features of each place in a ranking, shape (n, k, features)."""
    logs = np.log(np.maximum(score, _SMALLEST))
    last = np.where(score > 0, logs, np.inf).min(axis=1, keepdims=True)
    following = logs[:, 1] if logs.shape[1] > 1 else np.log(_SMALLEST)
    features = np.zeros((*score.shape, _FEATURES))
    features[:, :, 0] = 1
    features[:, :, 1] = score
    features[:, :, 2] = np.clip(logs - last, 0, _FAR)  # 0 for who is no candidate
    features[:, 0, 3] = np.minimum(logs[:, 0] - following, _FAR)
    features[:, 0, 4] = 1
    return features


def _parts(n: int, groups: pd.Series | None, folds: int, seed: int) -> Ints:
    """Return the part of each row; a cluster is never in two parts."""
    cluster = np.arange(n) if groups is None else pd.factorize(groups)[0]
    alone = cluster < 0
    cluster[alone] = cluster.max(initial=-1) + 1 + np.arange(alone.sum())
    order = np.random.default_rng(seed).permutation(int(cluster.max()) + 1)
    return np.asarray(order[cluster] % folds, dtype=np.int64)


def _conditional_logit(table: _Table, truth: Ints) -> Floats:
    """Fit the weights on the rows whose true code is among the candidates."""
    right = table.code == truth[table.row]
    able = np.zeros(len(truth), dtype=bool)
    able[table.row[right]] = True
    used = able[table.row]
    x, right = table.features[used], right[used]
    spread = x.std(axis=0)
    spread[spread == 0] = 1
    x = x / spread
    first = np.flatnonzero(np.r_[True, np.diff(table.row[used]) > 0])
    rows = len(first)
    if not len(x):
        return np.zeros(table.features.shape[1])

    def loss(weights: Floats) -> tuple[float, Floats]:
        value = x @ weights
        top = np.maximum.reduceat(value, first)
        repeats = np.diff(np.r_[first, len(value)])
        chance = np.exp(value - np.repeat(top, repeats))
        total = np.add.reduceat(chance, first)
        chance /= np.repeat(total, repeats)
        told = (np.log(total) + top).sum() - value[right].sum()
        slope = x.T @ (chance - right) / rows + _RIDGE * weights
        return float(told / rows + _RIDGE * weights @ weights / 2), slope

    # A better place never speaks against a code (Breiman 1996, Stacked regressions).
    bounds = [(0.0, None)] * (x.shape[1] - 2) + [(None, None)] * 2
    found = minimize(
        loss, np.zeros(x.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B"
    )
    return np.asarray(found.x / spread, dtype=np.float64)
