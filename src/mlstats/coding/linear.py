"""Linear classifiers on TF-IDF of words and characters, with probabilities.

Short descriptions with many codes: one linear score per code against all others
does what larger models do, in seconds and on one core.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from mlstats.coding.calibration import Calibration, Floats
from mlstats.coding.coder import CalibratedCoder, Objects, Scorer
from mlstats.coding.dictionary import read_index
from mlstats.coding.features import TextFeatures
from mlstats.coding.saved_model import read_description, unreadable
from mlstats.coding.terms import in_single
from mlstats.coding.text import normalise
from mlstats.errors import ConfigError, MethodError
from mlstats.method import distinct_rows
from mlstats.writing import write_atomic, write_json

__all__ = ["LinearText", "TextFeatures"]

_log = logging.getLogger(__name__)

Weights = npt.NDArray[np.float32]


class LinearText(CalibratedCoder):
    """Support vector machine, one code against the rest, on words and characters.

    Parameters
    ----------
    C : float, default=0.3
        Cost of an error against the length of the weights. Short texts of many
        codes like 0.3 to 0.6, long or noisy ones 0.03 to 0.1.
    word_ngrams, min_characters, max_characters, character_weight, sublinear
        As in :class:`TextFeatures`; ``word_ngrams=0`` for scripts without blanks
        between words.
    covariates, covariate_weight, bands
        As in :class:`TextFeatures`: whether and how the columns beside ``text`` are
        used.
    min_units : int, default=2
        A term used by fewer units, or clusters, is not in the model.
    index : path, optional
        Coding index with the columns text and code: its entries are training rows
        without covariates.
    index_weight : float, default=0.1
        Weight of an entry of the index beside a training row's weight of 1.
    random_state : int, default=0
        Order in which the solver visits rows, and the held-out rows.

    Attributes
    ----------
    classes_ : ndarray of object
        The codes, sorted.
    features_ : TextFeatures
        Vocabulary and weights of the terms.
    coef_ : ndarray, shape (terms, codes)
        Weights.
    intercept_ : ndarray, shape (codes,)

    Examples
    --------
    >>> X = pd.DataFrame({"text": ["whole milk", "milk", "rye bread", "bread"]})
    >>> coder = LinearText(min_units=1).fit(X, pd.Series(["0114"] * 2 + ["0111"] * 2))
    >>> coder.predict(pd.DataFrame({"text": ["Skimmed MILK", "..."]})).tolist()
    ['0114', None]
    """

    same_in_any_block: ClassVar[bool] = True  # see TextFeatures: the order of sums

    def __init__(
        self,
        *,
        C: float = 0.3,
        word_ngrams: int = 2,
        min_characters: int = 2,
        max_characters: int = 5,
        character_weight: float = 2.0,
        covariate_weight: float = 1.0,
        sublinear: bool = False,
        covariates: str = "tokens",
        bands: int = 10,
        min_units: int = 2,
        index: str | Path | None = None,
        index_weight: float = 0.1,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.word_ngrams = word_ngrams
        self.min_characters = min_characters
        self.max_characters = max_characters
        self.character_weight = character_weight
        self.covariate_weight = covariate_weight
        self.sublinear = sublinear
        self.covariates = covariates
        self.bands = bands
        self.min_units = min_units
        self.index = index
        self.index_weight = index_weight
        self.random_state = random_state

    def save(self, folder: Path) -> None:
        """Write weights (npz) and vocabulary, codes, calibration (json) to a folder."""
        about = described(self)

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, coef=self.coef_, intercept=self.intercept_)

        write_atomic(Path(folder) / "linear.npz", write)
        write_json(Path(folder) / "linear.json", about)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; the answers are the same.

        Raises
        ------
        SourceError
            If the folder does not hold it.
        """
        about = read_description(Path(folder) / "linear.json")
        coder = cls(**about["parameters"])
        try:
            with np.load(Path(folder) / "linear.npz", allow_pickle=False) as weights:
                coder.coef_, coder.intercept_ = weights["coef"], weights["intercept"]
        except (OSError, ValueError, KeyError) as error:
            raise unreadable(Path(folder) / "linear.npz") from error
        restore(coder, about)
        return coder

    def _learn(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> None:
        weight = np.ones(len(rows))
        if self.index is not None:
            rows, codes, groups, weight = self._with_index(rows, codes, groups)
        self.features_ = text_features(self, rows, groups)
        rows, codes, weight = _repeats_as_weights(rows, codes, weight)
        machine = LinearSVC(C=self.C, dual=True, random_state=self.random_state)
        fit_quietly(machine, self.features_.transform(rows), codes, weight)
        self.classes_ = np.asarray(machine.classes_, dtype=object)
        self.coef_ = np.ascontiguousarray(both_codes(machine.coef_).T, dtype=np.float32)
        self.intercept_ = both_codes(machine.intercept_[:, None])[:, 0].astype(
            np.float32
        )

    def _with_index(
        self, rows: pd.DataFrame, codes: Objects, groups: pd.Series | None
    ) -> tuple[pd.DataFrame, Objects, pd.Series | None, Floats]:
        """Add the entries of the index to the training rows."""
        if not self.index_weight > 0:
            raise ConfigError(
                f"index_weight is {self.index_weight}", expected="a number above 0"
            )
        entries = read_index(str(self.index))
        entries = entries.assign(text=normalise(entries["text"]))
        entries = entries[(entries["text"] != "") & entries["code"].notna()]
        weight = np.r_[np.ones(len(rows)), np.full(len(entries), self.index_weight)]
        both = pd.concat([rows, entries[["text"]]], ignore_index=True)
        if groups is not None:  # an entry is a cluster of its own
            groups = groups.reindex(both.index)
        codes = np.r_[codes, entries["code"].to_numpy(dtype=object)]
        return both, codes, groups, weight

    def _scorer(self, rows: pd.DataFrame) -> Scorer:
        """Weigh characters by distinct word, which spares most work."""
        parts: list[tuple[sparse.csr_array, Weights]] = []
        start = 0
        for kind, block in self.features_.blocks(rows).items():
            weights = self.coef_[start : start + len(block.names)]
            start += len(block.names)
            if kind == "characters":
                by_word = block.items.astype(np.float32) @ weights
                parts.append((in_single(block.rows), by_word))
            else:
                parts.append((block.counts.astype(np.float32), weights))

        def score(part: slice) -> Weights:
            total: Weights = np.tile(self.intercept_, (part.stop - part.start, 1))
            for counts, weights in parts:
                total += counts[part] @ weights
            return total

        return score


def text_features(
    coder: Any, rows: pd.DataFrame, groups: pd.Series | None
) -> TextFeatures:
    """Return fitted features with the parameters that the coder has for them."""
    names = TextFeatures().get_params(deep=False)
    features = TextFeatures(**{name: getattr(coder, name) for name in names})
    features.fit(rows, groups=groups)
    if not any(map(len, features.names_.values())):
        raise MethodError(
            f"No term is used by {coder.min_units} units or clusters",
            hint="give more training rows, or set min_units: 1 for public texts",
        )
    return features


def _repeats_as_weights(
    rows: pd.DataFrame, codes: Objects, weight: Floats
) -> tuple[pd.DataFrame, Objects, Floats]:
    """Join equal rows of equal code where that halves the work of the solver.

    The loss is the same sum; only the order in which the solver visits its parts
    differs, so nothing is gained where few rows are repeated.
    """
    distinct, place = distinct_rows(rows.assign(code=codes))
    if 2 * len(distinct) > len(rows):
        return rows, codes, weight
    joined = np.bincount(place, weight, len(distinct))
    codes = distinct["code"].to_numpy(dtype=object)
    return distinct.drop(columns="code"), codes, joined.astype(np.float64)


def fit_quietly(
    machine: LinearSVC, matrix: Any, codes: Any, weight: Floats | None
) -> None:
    """Fit, and log where scikit-learn would warn."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        machine.fit(matrix, codes, sample_weight=weight)
    if any(issubclass(w.category, ConvergenceWarning) for w in said):
        _log.warning("The linear classifier stopped before it converged")


def both_codes(scores: Floats) -> Floats:
    """Return a row per code where scikit-learn gives one row for two codes."""
    return np.vstack([-scores, scores]) if len(scores) == 1 else scores


def described(coder: Any) -> dict[str, Any]:
    """Return parameters, codes, features and calibration as JSON can hold them."""
    parameters = coder.get_params(deep=False)
    parameters.pop("estimator", None)
    parameters.pop("classification", None)  # its part in the model is kept apart
    if parameters.get("index") is not None:
        parameters["index"] = str(parameters["index"])
    return {
        "parameters": parameters,
        "classes": coder.classes_.tolist(),
        "features": coder.features_.to_dict(),
        "calibration": vars(coder._probabilities_ready()),
    }


def restore(coder: Any, about: dict[str, Any]) -> None:
    """Give a new coder what :func:`described` told of the old one."""
    coder.classes_ = np.array(about["classes"], dtype=object)
    coder.features_ = TextFeatures.from_dict(about["features"])
    coder._calibration = Calibration(**about["calibration"])
    coder._training = None
