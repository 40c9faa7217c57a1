"""What of a pilot's data is watched for drift.

Columns that a report may show are watched as they are; a text is watched by what can
be told of it without its words: its length, its number of words, and the share of them
that the training part knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mlstats import split
from mlstats.config import Pilot
from mlstats.contract.view import shown_columns, words
from mlstats.dataset import Dataset
from mlstats.method import as_codes
from mlstats.quality.evaluation import Evaluation

__all__ = ["CLUSTER", "UNIT", "WEIGHT", "Watched", "known_share", "watched"]

# Not the names of columns: no column of a contract has brackets around it here.
UNIT: Final = "(unit)"
WEIGHT: Final = "(weight)"
CLUSTER: Final = "(cluster)"

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Watched:
    """The columns of a run that are watched, a row per row of the data.

    Parameters
    ----------
    frame : pandas.DataFrame
        Inputs and outputs, with :data:`UNIT` and, where the pilot has them,
        :data:`WEIGHT` and :data:`CLUSTER`. Confidential: it names units.
    inputs, outputs : tuple of str
        Columns known of every row, and the codes that methods gave to the rows of the
        valid and test folds.
    kinds : dict
        How each is read.
    """

    frame: pd.DataFrame = field(repr=False)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kinds: dict[str, Literal["number", "code"]]

    @property
    def weight(self) -> str | None:
        """The column of weights, where there is one."""
        return WEIGHT if WEIGHT in self.frame else None

    @property
    def cluster(self) -> str | None:
        """The column of clusters, where there is one."""
        return CLUSTER if CLUSTER in self.frame else None


def watched(pilot: Pilot, dataset: Dataset, evaluation: Evaluation) -> Watched:
    """Return the columns of a run that are watched.

    These are the stratum, auxiliary and domain columns and the target, without the
    confidential ones, three features of each text, and the codes of candidate and
    baseline. Codes are those of the level at which the pilot is judged.

    Parameters
    ----------
    pilot : Pilot
        Roles, arms and level.
    dataset : Dataset
        With its folds.
    evaluation : Evaluation
        Gives the codes of the methods.
    """
    roles, frame = pilot.data.roles, dataset.frame
    level, ancestor = pilot.evaluate.level, dataset.classification.ancestor
    shown = shown_columns(roles)
    columns: dict[str, pd.Series] = {}
    for name in shown:
        if name != roles.weight and name in frame:
            codes = name == roles.target
            values = ancestor(as_codes(frame[name]), level) if codes else frame[name]
            columns[name] = pd.Series(values, index=frame.index)
    clusters = split.cluster_ids(frame, roles.cluster)
    for name in roles.text:
        columns |= _features(name, frame[name], clusters, dataset.folds == "train")
    outputs = {
        f"code by {name}": _codes(evaluation, name, pilot, dataset)
        for name in dict.fromkeys((pilot.candidate, pilot.baseline))
    }
    by_name = {*roles.codes(), *outputs}  # a number there is a name all the same
    kinds: dict[str, Literal["number", "code"]] = {
        name: "number" if name not in by_name and _is_number(values) else "code"
        for name, values in (columns | outputs).items()
    }
    design: dict[str, object] = {UNIT: frame[roles.unit_id]}
    if roles.weight:
        design[WEIGHT] = frame[roles.weight]
    if roles.cluster:
        design[CLUSTER] = clusters
    together = pd.DataFrame(columns | outputs | design, index=frame.index)
    return Watched(together, tuple(columns), tuple(outputs), kinds)


def _is_number(values: pd.Series) -> bool:
    inferred = values.infer_objects()
    return is_numeric_dtype(inferred) and not is_bool_dtype(inferred)


def _codes(
    evaluation: Evaluation, method: str, pilot: Pilot, dataset: Dataset
) -> pd.Series:
    """Return the codes that a method gave, missing where it gave or was asked none."""
    units = evaluation.units[evaluation.units["method"] == method]
    codes = np.full(len(dataset.frame), None, dtype=object)
    codes[units["position"].to_numpy()] = dataset.classification.ancestor(
        as_codes(units["prediction"]), pilot.evaluate.level
    )
    return pd.Series(codes, index=dataset.frame.index)


def _features(
    name: str, texts: pd.Series, clusters: pd.Series, train: pd.Series
) -> dict[str, pd.Series]:
    row, distinct = pd.factorize(texts.fillna("").astype(str))
    blank = np.array([not text.strip() for text in distinct], dtype=bool)

    def per_text(values: list[int]) -> pd.Series:
        each = np.where(blank, np.nan, np.array(values, dtype=float))
        return pd.Series(each[row], index=texts.index)

    return {
        f"{name}_length": per_text([len(text.strip()) for text in distinct]),
        f"{name}_words": per_text([len(words(text)) for text in distinct]),
        f"{name}_known": pd.Series(
            known_share(texts, clusters, train), index=texts.index
        ),
    }


def known_share(
    texts: pd.Series, clusters: pd.Series, train: pd.Series, *, least: int = 1
) -> _Floats:
    """Return the share of each text's words that other clusters of the training use.

    A word that only the text's own cluster uses is not known: else every word of a
    training text would be, and the share would fall from training to any other part
    without drift.

    Parameters
    ----------
    texts, clusters : pandas.Series
        Of all rows.
    train : pandas.Series of bool
        The rows of the training part.
    least : int
        Other clusters that have to use a word.

    Returns
    -------
    numpy.ndarray
        NaN where a text has no word.
    """
    text, distinct = pd.factorize(texts.fillna("").astype(str))
    cluster, _ = pd.factorize(clusters)
    told = [words(one) for one in distinct]
    counts = np.array([len(one) for one in told], dtype=np.int64)
    code, vocabulary = pd.factorize(
        np.array([word for one in told for word in one], dtype=object)
    )
    width = max(len(vocabulary), 1)
    pairs, place = np.unique(
        cluster.astype(np.int64) * len(distinct) + text, return_inverse=True
    )
    number, word = _exploded(pairs % len(distinct), counts, code)
    key = (pairs // len(distinct))[number] * width + word
    trained = np.zeros(len(pairs), dtype=bool)
    np.logical_or.at(trained, place, train.to_numpy())
    used = np.unique(key[trained[number]])
    elsewhere = np.bincount(used % width, minlength=width)[word] - np.isin(key, used)
    known = np.bincount(number, elsewhere >= least, minlength=len(pairs))
    of = counts[pairs % len(distinct)]
    share = np.divide(known, of, out=np.full(len(pairs), np.nan), where=of > 0)
    return np.asarray(share[place])


def _exploded(texts: _Ints, counts: _Ints, code: _Ints) -> tuple[_Ints, _Ints]:
    """Return for every word of every text its place in `texts`, and its code."""
    starts = np.cumsum(counts) - counts
    each = counts[texts]
    number = np.repeat(np.arange(len(texts)), each)
    within = np.arange(len(number)) - np.repeat(np.cumsum(each) - each, each)
    return number, code[starts[texts][number] + within]
